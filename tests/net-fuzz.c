// SPDX-License-Identifier: MIT
/*
 * net-fuzz.c - a driver gone mad and a wire full of noise: any register, any
 * word of the rings, any time, also while the device looks.  Nothing crashes,
 * nothing hangs, nothing outside guest memory is touched (there is no memory
 * around it), and after a reset the device works.
 */
#include "fuzz.h"
#include "wire.h"

static unsigned rounds;

static u64 some_gpa(void)
{
	const struct mem_region *low = &b.g.mem.region[0], *high = &b.g.mem.region[1];
	const u64 near[] = {
		0, low->gpa, low->gpa + low->size, high->gpa, high->gpa + high->size, ~0ULL,
		b.rx.where.used, b.tx.where.used, b.tx.where.desc, b.rx.where.avail,
	};

	if (rnd(60))
		return high->gpa + rnd(high->size - 4096);
	return near[rnd(ARRAY_SIZE(near))] + rnd(64) - 32;
}

static u32 some_len(void)
{
	const u32 len[] = { 0, 1, 11, 12, 13, 1526, 4096, 65550, 0x7fffffff, 0x80000000, 0xffffffff };

	return rnd(50) ? HEADER + (u32)rnd(3000) : len[rnd(ARRAY_SIZE(len))];
}

static void some_register(void)
{
	const u16 reg[] = {
		0x014, 0x020, 0x024, 0x030, 0x038, 0x044, 0x050, 0x064, 0x070, 0x080, 0x084, 0x090, 0x094,
		0x0a0, 0x0a4, 0x0ac, 0x0c0, 0x100,
	};
	const u32 value[] = { 0, 1, 2, 3, 7, 8, 11, 15, 64, 256, 0x80, 0xffff, 0xffffffff };
	unsigned off = rnd(8) ? reg[rnd(ARRAY_SIZE(reg))] : (unsigned)rnd(0x200);
	u64 v = rnd(3) ? value[rnd(ARRAY_SIZE(value))] : rnd_any();

	/* Most would end this round: a reset, or the end of it. */
	if (off == VIRTIO_MMIO_STATUS && rnd(8))
		v = VIRTIO_CONFIG_S_DRIVER_OK | 11;
	if (off == VIRTIO_MMIO_QUEUE_READY && rnd(8))
		v = 1;
	if (rnd(10))
		virtio_mmio_write(b.dev, off, &v, rnd(10) ? 4 : 1 + (unsigned)rnd(8));
	else
		virtio_mmio_read(b.dev, off, &v, 1 + (unsigned)rnd(8));
}

static struct ring *some_ring(void)
{
	return rnd(2) ? &b.rx : &b.tx;
}

/* A few descriptors in sensible order, with now and then one that is not. */
static void some_chain(void)
{
	struct ring *r = some_ring();
	u16 head = (u16)rnd(r->size), i = head;
	bool write = r == &b.rx;

	for (u64 n = rnd(5);; n--) {
		u16 next = (u16)rnd(r->size);

		r->desc[i] = (struct vring_desc){
			.addr = some_gpa(), .len = some_len(),
			.flags = (u16)((write ^ !rnd(200) ? VRING_DESC_F_WRITE : 0) | (n ? VRING_DESC_F_NEXT : 0)),
			.next = rnd(200) ? next : (u16)rnd_any(),
		};
		if (!n)
			break;
		i = next;
	}
	r->avail->ring[r->avail->idx & (r->size - 1)] = head;
	STORE_RELEASE(&r->avail->idx, (u16)(r->avail->idx + 1));
}

static void some_word(void)
{
	const struct ring *r = some_ring();
	u64 gpa = rnd(3) ? r->where.desc + rnd(r->where.used + 64 - r->where.desc) : some_gpa();
	u64 v = rnd(2) ? rnd_any() : rnd(70);
	const u64 size = 1ULL << rnd(4);

	gpa &= ~7ULL;
	for (unsigned i = 0; i < 2; i++)
		if (gpa - b.g.mem.region[i].gpa < b.g.mem.region[i].size)
			memcpy(guest_at(&b.g, gpa), &v, size);
}

static void some_frame(void)
{
	static u8 frame[80000];
	size_t len = rnd(4) ? HEADER + rnd(1600) : rnd(sizeof(frame));

	random_fill(frame, HEADER, rnd(3) ? 0 : fuzz_seed);
	if (rnd(3))
		memset(frame, 0, HEADER);
	if (send(b.wire, frame, len, MSG_NOSIGNAL) < 0)
		while (recv(b.wire, frame, sizeof(frame), 0) >= 0)
			;
}

static void go_mad(unsigned steps)
{
	while (steps--)
		switch (rnd(16)) {
		case 0:
			if (!rnd(4))
				some_register();
			break;
		case 1:
			if (!rnd(4))
				some_word();
			break;
		case 2 ... 8:
			some_chain();
			break;
		case 9 ... 11:
			driver_kick(b.dev, (unsigned)rnd(3));
			break;
		case 12 ... 14:
			some_frame();
			break;
		case 15:
			if (!rnd(20))
				poll(NULL, 0, 1);
			break;
		}
}

/* --- another processor of the guest ------------------------------------------- */

static bool over;

/* It races with the driver on purpose: that is nothing to report. */
__attribute__((no_sanitize("thread"))) static void *keep_scribbling(void *arg)
{
	u64 own = *(u64 *)arg;
	u64 start = b.rx.where.desc, size = b.tx.where.used + 8ULL * b.tx.size - start;

	while (!LOAD_ONCE(&over)) {
		u64 v = random_next(&own), at = random_next(&own) % (size / 8) * 8;

		if (v & 7)
			v = v & 8 ? GUEST_HIGH + (v >> 40) : (v >> 50 | (v & 0x30) << 28);
		*(volatile u64 *)guest_at(&b.g, start + at) = v;
		if (!(v & 0xff00))
			poll(NULL, 0, 0);
	}
	return NULL;
}

/* --- somebody who captures what there is of packets ------------------------------ */

static struct capture cap;

/* The device copies what the driver changes at the same time: on purpose, too. */
static bool may_capture(void)
{
#ifdef __SANITIZE_THREAD__
	return false;
#else
	return true;
#endif
}

static void capture_begin(void)
{
	if (!may_capture() || rnd(2))
		return;
	CHECK_EQ(stream_init(&cap.stream, 65536), 0);
	cap.snaplen = 1 + (u32)rnd(70000);
	cap.lost = 0;
	net_capture(b.net, 0, &cap);
}

static void capture_end(void)
{
	const struct capture_record *r;

	net_capture(b.net, 0, NULL);
	if (!cap.stream.data)
		return;
	for (; (r = stream_peek(&cap.stream)); stream_take(&cap.stream)) {
		CHECK(r->way <= CAPTURE_TX && r->fate <= NET_FATE_SUPPRESSED);
		CHECK(r->captured <= cap.snaplen && r->captured <= r->len);
		CHECK(CAPTURE_RECORD + r->captured <= r->bytes);
	}
	stream_fini(&cap.stream);
}

static void recover(void)
{
	u8 byte;

	bench_reset();
	CHECK_EQ(reg_read(b.dev, VIRTIO_MMIO_STATUS), 0);
	CHECK_EQ(reg_read(b.dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	while (recv(b.wire, &byte, 1, 0) >= 0)
		;
	bench_up();
	CHECK_EQ(rx_post_all(), b.rx.size);
	one_each_way(rounds, 900, 800);
}

static void mad_driver(enum kind kind)
{
	struct fuzz_time time = { 0 };
	bool scribbler;
	pthread_t t;

	rounds = 0;
	bench_open((struct bench_setup){ .kind = kind, .queue_size = 64, .strict = rnd(2) });
	recover();
	while (fuzz_goes_on(&time)) {
		u64 own = rnd_any();

		/* From a driver that works, or from one that is made up. */
		if (rnd(4))
			bench_up();
		else
			bench_reset(), driver_negotiate(b.dev, rnd_any() | V1);
		scribbler = !rnd(4);
		STORE_ONCE(&over, false);
		if (scribbler)
			pthread_create(&t, NULL, keep_scribbling, &own);
		capture_begin();
		go_mad((unsigned)rnd(600));
		capture_end();
		if (scribbler) {
			STORE_ONCE(&over, true);
			pthread_join(t, NULL);
		}
		rounds++;
		if (!rnd(3))
			recover();
	}
	recover();
	printf("# %u rounds, %llu frames sent, %llu received\n", rounds,
	       (unsigned long long)counters().tx.packets, (unsigned long long)counters().rx.packets);
	CHECK(rounds > 5);
}

EACH(mad_driver)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("a mad driver harms nobody, and a reset cures it", mad_driver),
	};
	int r;

	fuzz_begin(4);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
