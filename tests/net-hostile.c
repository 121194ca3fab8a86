// SPDX-License-Identifier: MIT
/*
 * net-hostile.c - a driver that breaks the rules, and a host that lets the
 * device down: what it costs is the guest's network until its driver resets
 * the device, one line in the log, and nothing else.
 */
#include "wire.h"

static char said[1 << 16];

static unsigned lines(void)
{
	unsigned n = 0;

	for (const char *s = said; *s; s++)
		n += *s == '\n';
	return n;
}

/* Both ways, from a fresh driver on. */
static void works_again(void)
{
	bench_up();
	rx_post_all();
	for (u32 i = 0; i < 20; i++)
		one_each_way(i, 100 + i, 200 + i);
}

static void drain_wire(void)
{
	u8 byte;

	while (recv(b.wire, &byte, 1, 0) >= 0)
		;
}

/* --- broken queues ----------------------------------------------------------- */

static void add_raw(struct ring *r, u64 gpa, u32 len, u16 flags)
{
	r->desc[0] = (struct vring_desc){ gpa, len, flags, 0 };
	r->avail->ring[r->avail->idx & (r->size - 1)] = 0;
	STORE_RELEASE(&r->avail->idx, (u16)(r->avail->idx + 1));
}

static const struct mistake {
	const char *rule;
	bool tx;
	u64 gpa;
	u32 len;
	u16 flags;
	u16 jump; /* of the index, instead of a chain */
} mistakes[] = {
	{ .rule = "outside guest memory", .tx = true, .gpa = 0, .len = 100 },
	{ .rule = "outside guest memory", .gpa = GUEST_HIGH - 1, .len = 2000, .flags = VRING_DESC_F_WRITE },
	{ .rule = "writable descriptor in a transmit chain", .tx = true, .gpa = GUEST_LOW, .len = 100,
	  .flags = VRING_DESC_F_WRITE },
	{ .rule = "readable descriptor in a receive chain", .gpa = GUEST_HIGH, .len = 2000 },
	{ .rule = "no room for the header", .gpa = GUEST_HIGH, .len = HEADER - 1, .flags = VRING_DESC_F_WRITE },
	{ .rule = "no room for the header", .gpa = GUEST_HIGH, .len = 0, .flags = VRING_DESC_F_WRITE },
	{ .rule = "longer than the queue", .tx = true, .gpa = GUEST_LOW, .len = 1, .flags = VRING_DESC_F_NEXT },
	{ .rule = "available index", .tx = true, .jump = 1000 },
	{ .rule = "available index", .jump = 257 },
};

static void a_mistake(enum kind kind, const struct mistake *m)
{
	struct ring *r = m->tx ? &b.tx : &b.rx;

	bench_start((struct bench_setup){ .kind = kind });
	if (m->tx)
		rx_post_buffers(10); /* a read waits with some of them */
	poll(NULL, 0, 1);
	interrupts();
	stderr_capture();
	if (m->jump)
		STORE_RELEASE(&r->avail->idx, (u16)(r->avail->idx + m->jump));
	else
		add_raw(r, m->gpa, m->len, m->flags);
	driver_kick(b.dev, m->tx);
	wire_try_send(0, 60, NULL); /* so that it looks at the receive ring */
	CHECK(needs_reset());
	CHECK(wait_interrupt(PATIENCE_MS));
	CHECK(reg_read(b.dev, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
	/* It is quiet from now on, whatever is done to it. */
	for (unsigned i = 0; i < 50; i++) {
		driver_kick(b.dev, i & 1);
		wire_try_send(0, 60, NULL);
	}
	poll(NULL, 0, 10);
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, m->rule);
	CHECK_HAS(said, m->tx ? "net: transmit queue: " : "net: receive queue: ");
	CHECK_EQ(lines(), 1);
	works_again();
}

static void mistakes_break_a_queue(enum kind kind)
{
	for (unsigned i = 0; i < ARRAY_SIZE(mistakes); i++)
		a_mistake(kind, &mistakes[i]);
}

/*
 * A bad receive chain behind good ones, met while frames are coming in: it
 * must not be used, whatever the next frame needs.
 */
static void a_bad_buffer_in_a_flood(enum kind kind)
{
	for (unsigned good = 0; good < 24; good += 2)
		for (unsigned bad = 0; bad < 3; bad++) {
			bench_start((struct bench_setup){ .kind = kind, .queue_size = 64, .rx_len = 200 });
			/* Make it read far ahead. */
			rx_post_buffers(40);
			for (u32 i = 0; i < 40; i++)
				wire_send(i, 60);
			for (u32 i = 0; i < 40; i++)
				rx_expect(i, 60);
			stderr_capture();
			for (u32 i = 0; i < 30; i++)
				wire_try_send(i, i % 7 ? 60 : 1000, NULL);
			for (unsigned i = 0; i < good; i++) {
				struct segment s = { .gpa = rx_buffer(b.rx.free), .len = 200, .write = true };

				ring_add(&b.rx, &s, 1);
			}
			for (unsigned i = 0; i < 3; i++) {
				struct segment s = {
					.gpa = rx_buffer(b.rx.free),
					.len = bad == 0 ? 0 : bad == 1 ? HEADER - 1 : 200,
					.write = bad != 2,
				};

				ring_add(&b.rx, &s, 1);
			}
			ring_show(&b.rx);
			driver_kick(b.dev, NET_RXQ);
			CHECK(needs_reset());
			stderr_release(said, sizeof(said));
			CHECK_EQ(lines(), 1);
			bench_reset();
		}
	works_again();
}

static void one_head_many_times(enum kind kind)
{
	struct segment s = { .gpa = GUEST_LOW, .len = 60 };
	u32 len;
	int head;

	/* The same chain made available over and over is sent as often, no more. */
	bench_start((struct bench_setup){ .kind = kind });
	len = 60;
	head = ring_add(&b.tx, &s, 1);
	for (u16 i = 0; i < 256; i++)
		b.tx.avail->ring[i] = (u16)head;
	STORE_RELEASE(&b.tx.avail->idx, 256);
	driver_kick(b.dev, NET_TXQ);
	CHECK(wait_count(COUNTER(tx.packets), 256));
	CHECK_EQ(counters().tx.bytes, 256 * (len - HEADER));
	bench_reset();
	drain_wire();
	works_again();
}

/* Segments that name 4 GiB between them cost an error, not the host's memory. */
static void huge_frames(enum kind kind)
{
	static struct segment s[RING_TABLE];

	bench_start((struct bench_setup){ .kind = kind, .rx_len = 65536 });
	for (unsigned i = 0; i < RING_TABLE; i++)
		s[i] = (struct segment){ .gpa = GUEST_HIGH, .len = 8 << 20 };
	for (unsigned i = 0; i < 100; i++)
		CHECK(ring_add(&b.tx, s, RING_TABLE) >= 0);
	tx_show();
	tx_reap(100);
	CHECK_EQ(counters().tx.packets, 0);
	CHECK(wire_is_silent());
	works_again();
}

static void kicked_all_the_time(enum kind kind)
{
	bench_start((struct bench_setup){ .kind = kind });
	for (unsigned i = 0; i < 20000; i++)
		driver_kick(b.dev, i);
	works_again();
}

/* Used and available rings, descriptors and buffers all in one place. */
static void everything_overlaps(enum kind kind)
{
	struct virtq_layout where = { .size = 64, .desc = GUEST_LOW, .avail = GUEST_LOW, .used = GUEST_LOW };

	bench_open((struct bench_setup){ .kind = kind, .queue_size = 64 });
	for (u64 seed = 1; seed < 200; seed++) {
		random_fill(guest_at(&b.g, GUEST_LOW), 4096, seed);
		stderr_capture();
		CHECK(driver_negotiate(b.dev, b.setup.features));
		driver_enable_queue(b.dev, 0, &where);
		driver_enable_queue(b.dev, 1, &where);
		driver_ok(b.dev);
		wire_try_send(1, 60, NULL);
		driver_kick(b.dev, 1);
		bench_reset();
		stderr_release(said, sizeof(said));
		CHECK(lines() <= 2);
	}
	drain_wire();
	works_again();
}

/* --- declined offloads (5.1.6.4, 2.2.1) -------------------------------------- */

static void declined_offloads(enum kind kind)
{
	const struct { u64 accepted; u8 flags, gso; bool comes; } t[] = {
		{ 0, VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, false },
		{ 0, 0, VIRTIO_NET_HDR_GSO_TCPV4, false },
		{ F(GUEST_CSUM), VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, true },
		{ F(GUEST_CSUM), VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, false },
		{ F(GUEST_CSUM) | F(GUEST_TSO4), VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, true },
		{ F(GUEST_CSUM) | F(GUEST_TSO4), VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV6, false },
		{ F(GUEST_CSUM) | F(GUEST_TSO6), VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV6, true },
		{ F(GUEST_CSUM) | F(GUEST_TSO4), VIRTIO_NET_HDR_F_NEEDS_CSUM,
		  VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, false },
		{ F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_ECN), VIRTIO_NET_HDR_F_NEEDS_CSUM,
		  VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, true },
		{ OFFLOADS, VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_UDP, false },
		{ OFFLOADS, VIRTIO_NET_HDR_F_NEEDS_CSUM, 5 /* UDP_L4 */, false },
		{ OFFLOADS, VIRTIO_NET_HDR_F_NEEDS_CSUM, 0x7f, false },
		{ OFFLOADS, VIRTIO_NET_HDR_F_NEEDS_CSUM, 0xff, false },
		{ OFFLOADS, VIRTIO_NET_HDR_F_NEEDS_CSUM, 0x80, false },
		{ OFFLOADS, VIRTIO_NET_HDR_F_NEEDS_CSUM, 0x07, false },
	};
	static u8 frame[HEADER + LARGEST + 8192];
	struct virtio_net_hdr_v1 h, got;
	u32 total;

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		/* Header in crumbs: it is looked at wherever it lies. */
		bench_start((struct bench_setup){
			.kind = kind, .features = V1 | F(MRG_RXBUF) | t[i].accepted, .rx_len = 200,
			.rx_parts = (u16)(i % 2 ? 1 : 20), .queue_size = 512,
		});
		rx_post_all();
		h = (struct virtio_net_hdr_v1){ .flags = t[i].flags, .gso_type = t[i].gso, .hdr_len = 54, .gso_size = 1448 };
		CHECK(wire_try_send(1, 3000, &h));
		wire_send(2, 99);
		if (t[i].comes) {
			CHECK(wait_used(&b.rx, 1));
			CHECK(rx_take(frame, &total, &got));
			CHECK_EQ(total, HEADER + 3000);
			CHECK_EQ(got.gso_type, t[i].gso);
			CHECK_EQ(got.flags, t[i].flags);
			CHECK_EQ(got.gso_size, 1448);
		}
		rx_expect(2, 99);
		CHECK_EQ(counters().rx.drop_declined, !t[i].comes);
		CHECK_EQ(counters().rx.gso, t[i].comes && t[i].gso);
	}
}

/* --- the host lets it down --------------------------------------------------- */

static void the_wire_is_cut(enum kind kind, bool datagram)
{
	bench_start((struct bench_setup){ .kind = kind, .datagram = datagram });
	rx_post_all();
	poll(NULL, 0, 2);
	stderr_capture();
	close(b.wire);
	b.wire = 0;
	for (u32 i = 0; i < 200; i++) {
		CHECK(tx_add(i, 60, NULL));
		tx_show();
		tx_reap(1); /* each frame comes back although none can be sent */
	}
	poll(NULL, 0, 10);
	CHECK(counters().tx.errors >= 200);
	/* Reset after reset: each is answered, and the log is not flooded. */
	for (unsigned i = 0; i < 300; i++) {
		bench_reset();
		bench_up();
		rx_post_all();
		CHECK(tx_add(i, 60, NULL));
		tx_show();
		tx_reap(1);
	}
	stderr_release(said, sizeof(said));
	CHECK(lines() <= 50);
}

static void a_peer_that_closed(enum kind kind)
{
	the_wire_is_cut(kind, false);
	CHECK_HAS(said, "tap9 cannot be read any more");
	CHECK(!strstr(said, "Success"));
}

static void a_peer_that_refuses(enum kind kind)
{
	the_wire_is_cut(kind, true);
}

/* Frames that are no frames, one now and then: no tap sends them, but still. */
/*
 * Chains without a frame take no room in the tap: as fast as they come back
 * they can be posted again.  A round must not go on for as long as they are.
 */
static void empty_without_end(enum kind kind)
{
	struct vring_used *used;
	u16 fed = 0, back = 0, mask;
	int ahead = 0;
	struct ring *r = &b.tx;
	u64 end;

	bench_start((struct bench_setup){ .kind = kind, .queue_size = 64 });
	used = r->used;
	mask = r->size - 1;
	for (u16 i = 0; i < r->size; i++) {
		r->desc[i] = (struct vring_desc){ .addr = tx_buffer(0), .len = 4 };
		STORE_ONCE(&used->ring[i].id, ~0u);
	}
	end = now_ms() + 300;
	/* On a machine that is busy with other things it may take a while to begin. */
	while (now_ms() < end || (counters().tx.drop_short <= 64 && now_ms() < end + PATIENCE_MS)) {
		while ((u16)(fed - back) < r->size) {
			r->avail->ring[fed & mask] = fed & mask;
			STORE_RELEASE(&r->avail->idx, ++fed);
		}
		driver_kick(b.dev, NET_TXQ);
		/* What is used can be seen before it is published. */
		while (back != fed && LOAD_ONCE(&used->ring[back & mask].id) != ~0u)
			STORE_ONCE(&used->ring[back++ & mask].id, ~0u);
		ahead = MAX(ahead, (int16_t)(back - LOAD_ACQUIRE(&used->idx)));
	}
	CHECK(counters().tx.drop_short > 64);
	CHECK(ahead <= 2 * r->size);
	bench_reset();
	works_again();
}

static void short_frames(enum kind kind)
{
	u8 byte[HEADER] = { 0 };

	bench_start((struct bench_setup){ .kind = kind });
	rx_post_all();
	for (u32 i = 0; i < 100; i++) {
		for (unsigned k = 0; k < 5; k++)
			CHECK_EQ(send(b.wire, byte, 1 + i % 11, 0), 1 + i % 11);
		wire_send(i, 60);
		rx_expect(i, 60);
		rx_post_all();
	}
	CHECK_EQ(counters().rx.errors, 500);
	/* A header and nothing behind it is passed on as it is. */
	CHECK_EQ(send(b.wire, byte, HEADER, 0), HEADER);
	rx_expect(0, 0);
}

static void frames_beyond_the_largest(enum kind kind)
{
	static u8 frame[100000];

	bench_start((struct bench_setup){ .kind = kind, .rx_len = 4096 });
	rx_post_all();
	for (u32 len = 65540; len <= 100000; len += 4920) {
		/* Some fit the read, some do not; none may come cut. */
		CHECK_EQ(send(b.wire, frame, len, 0), (ssize_t)len);
		wire_send(len, 500);
		if (len <= HEADER + 18 + 65536) {
			struct virtio_net_hdr_v1 h;
			u32 total;

			CHECK(wait_used(&b.rx, 1));
			CHECK(rx_take(frame, &total, &h));
			CHECK_EQ(total, len);
			memset(frame, 0, sizeof(frame));
		}
		rx_expect(len, 500);
		rx_post_all();
	}
	CHECK_EQ(counters().rx.drop_too_big, 7);
}

/* Processor time of the device thread so far. */
static u64 thread_ms(void)
{
	clockid_t id;

	return pthread_getcpuclockid(b.net->worker[0]->thread, &id) ? 0 : clock_of(id) / 1000000;
}

/* A wire that takes nothing: frames are dropped or wait, the thread lives. */
static void a_full_wire(enum kind kind)
{
	u32 i = 0, len;
	u64 end, spent;
	u16 head;

	bench_start((struct bench_setup){ .kind = kind, .tx_len = 9000, .queue_size = 128 });
	rx_post_all();
	end = now_ms() + 100;
	while (now_ms() < end) {
		while (tx_add(i, 9000, NULL))
			i++;
		tx_show();
		while (ring_take(&b.tx, &head, &len) > 0)
			;
	}
	/* Receiving goes on. */
	for (u32 k = 0; k < 50; k++) {
		wire_send(k, 100);
		rx_expect(k, 100);
	}
	/* It waits without spinning, also with more to send than it can hold. */
	spent = thread_ms();
	poll(NULL, 0, 60);
	CHECK(thread_ms() - spent < 30);
	/* With writes that wait for room: the reset gets them back. */
	bench_reset();
	drain_wire();
	works_again();
}

/*
 * An index that jumps while the thread goes to sleep, behind its last round, and
 * a driver that kicks if it is asked to: somebody must tell it, now.
 */
static void broken_at_the_last_look(enum kind kind)
{
	bool slept = false;
	u64 state = 3;

	bench_open((struct bench_setup){ .kind = kind, .no_spin = true, .queue_size = 64 });
	for (unsigned i = 0; i < 400 && !slept; i++) {
		bench_up();
		ring_interrupts_off(&b.tx);
		ring_interrupts_off(&b.rx);
		rx_post_buffers(20);
		usleep(200);
		wire_send(1, 60);
		CHECK(wait_used_for(&b.rx, 1, PATIENCE_MS));
		for (u64 k = random_next(&state) % 1500; k; k--)
			__builtin_ia32_pause();
		b.tx.added = (u16)(b.tx.added + b.setup.queue_size + 6);
		ring_show(&b.tx);
		if (ring_must_kick(&b.tx))
			driver_kick(b.dev, 1);
		u64 end = now_ms() + PATIENCE_MS;
		while (!(reg_read(b.dev, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET) && now_ms() < end)
			sched_yield();
		slept = now_ms() >= end;
		bench_reset();
	}
	CHECK(!slept);
}

EACH(broken_at_the_last_look)
EACH(mistakes_break_a_queue)
EACH(a_bad_buffer_in_a_flood)
EACH(one_head_many_times)
EACH(huge_frames)
EACH(kicked_all_the_time)
EACH(everything_overlaps)
EACH(declined_offloads)
EACH(a_peer_that_closed)
EACH(a_peer_that_refuses)
EACH(empty_without_end)
EACH(short_frames)
EACH(frames_beyond_the_largest)
EACH(a_full_wire)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("a broken rule stops the device with one line, and a reset revives it (2.1.2)", mistakes_break_a_queue),
		ROWS("nor does a thread go to sleep on one", broken_at_the_last_look),
		ROWS("a bad receive buffer is not used by the frames in flight", a_bad_buffer_in_a_flood),
		ROWS("one chain made available many times is sent so often", one_head_many_times),
		ROWS("frames of many megabytes are refused one by one", huge_frames),
		ROWS("kicks without end or reason do no harm", kicked_all_the_time),
		ROWS("rings on top of each other break or work, and a reset revives", everything_overlaps),
		ROWS("a frame that needs an offload the guest declined is dropped (5.1.6.4)", declined_offloads),
		ROWS("a wire that was cut ends receiving, with one line, and no thread", a_peer_that_closed),
		ROWS("a wire that refuses returns every frame", a_peer_that_refuses),
		ROWS("chains without a frame, however many, are given back a ring's worth at a time", empty_without_end),
		ROWS("what is shorter than a header is dropped", short_frames),
		ROWS("what is larger than any frame is dropped whole", frames_beyond_the_largest),
		ROWS("a full wire stops neither receiving nor a reset", a_full_wire),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
