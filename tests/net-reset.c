// SPDX-License-Identifier: MIT
/*
 * net-reset.c - when the write that takes a queue away returns, the queue is
 * gone: nothing of the device's touches guest memory from then on, whatever
 * was in flight and however hard both ends push.
 *
 * After each reset all of guest RAM is filled with a pattern, left alone for a
 * moment with frames still coming in, and compared.
 */
#include <dirent.h>
#include <fcntl.h>

#include "wire.h"


static pthread_t flooder;
static bool flood_over;
static u32 flood_len;

/* Frames without end, as fast as the wire takes them. */
static void *flood(void *arg)
{
	static u8 frame[HEADER + LARGEST];
	int fd = *(int *)arg;
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	memset(frame + HEADER, 0xf1, sizeof(frame) - HEADER);
	while (!LOAD_ONCE(&flood_over))
		if (send(fd, frame, HEADER + LOAD_ONCE(&flood_len), MSG_NOSIGNAL) < 0)
			poll(&p, 1, 1);
	return NULL;
}

static void flood_start(u32 len)
{
	STORE_ONCE(&flood_over, false);
	STORE_ONCE(&flood_len, len);
	pthread_create(&flooder, NULL, flood, &b.wire);
}

static void flood_stop(void)
{
	STORE_ONCE(&flood_over, true);
	pthread_join(flooder, NULL);
}

static void drain(int fd)
{
	u8 byte;

	while (recv(fd, &byte, 1, 0) >= 0)
		;
}

/* Nobody writes to memory, or signals, from here on. */
static bool is_quiet(int ms)
{
	const struct net_worker *w = b.net->worker[0];

	/* What is still to be cancelled might do so only now and then: look. */
	if (w->rx.in_flight || w->tx.in_flight)
		return false;
	interrupts();
	paint();
	driver_kick(b.dev, NET_TXQ);
	poll(NULL, 0, ms);
	return is_painted() && !interrupts();
}

static void reset_at_every_depth(enum kind kind)
{
	static const u32 len[] = { 60, 1514, 9000, 60000 };
	bool quiet = true;
	unsigned i;

	bench_start((struct bench_setup){ .kind = kind, .queue_size = 64, .rx_len = 1526 });
	flood_start(60);
	for (i = 0; i < 300 && quiet; i++) {
		unsigned depth = i % 65;

		STORE_ONCE(&flood_len, len[i / 3 % 4]);
		rx_post_buffers(depth);
		for (unsigned k = 0; k < i * 7 % 65; k++)
			tx_add(k, 1000, (u32[]){ 100, 100, 100, 0 });
		tx_show();
		/* Let it get so far. */
		if (i % 5 == 1)
			poll(NULL, 0, 1);
		else if (i % 5 > 1)
			wait_used_for(&b.rx, (u16)(i % 7), 1);
		bench_reset();
		quiet = reg_read(b.dev, VIRTIO_MMIO_STATUS) == 0 && is_quiet(i % 16 ? 0 : 2);
		drain(b.wire);
		bench_up();
	}
	flood_stop();
	CHECK_EQ(i, 300);
	CHECK(quiet);
	CHECK_EQ(counters().rx.errors, 0);
	/* And in the end it works. */
	bench_reset();
	drain(b.tap);
	drain(b.wire);
	bench_up();
	rx_post_all();
	wire_send(1, 1000);
	rx_expect(1, 1000);
}

static void resets_of_other_kinds(enum kind kind)
{
	bool quiet = true;

	bench_start((struct bench_setup){ .kind = kind, .queue_size = 64 });
	flood_start(700);
	for (unsigned i = 0; i < 60 && quiet; i++) {
		stderr_capture();
		rx_post_buffers(i + 1);
		tx_add(1, 100, NULL);
		tx_show();
		wait_used_for(&b.rx, (u16)(i % 8), 1);
		switch (i % 3) {
		case 0:
			reg_write(b.dev, VIRTIO_MMIO_STATUS,
				  reg_read(b.dev, VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_FAILED);
			break;
		case 1:
			virtio_quiesce(b.dev);
			break;
		case 2: /* both queues, one after the other */
			for (unsigned q = 0; q < 2; q++) {
				reg_write(b.dev, VIRTIO_MMIO_QUEUE_SEL, q);
				reg_write(b.dev, VIRTIO_MMIO_QUEUE_READY, 0);
			}
			break;
		}
		stderr_release((char[100]){ 0 }, 100);
		quiet = is_quiet(1);
		bench_reset();
		drain(b.wire);
		bench_up();
	}
	flood_stop();
	CHECK(quiet);
}

/* A write that waits for room in the tap reads guest memory when it gets it. */
static void unsent_frames_stay_unsent(enum kind kind)
{
	static u8 frame[HEADER + 9000];

	for (unsigned i = 0; i < 10; i++) {
		bench_start((struct bench_setup){ .kind = kind, .queue_size = 128, .tx_len = 9000 });
		for (unsigned n = 0; n < 3; n++) {
			u16 head;
			u32 len;

			while (tx_add(0, 9000, NULL))
				;
			tx_show();
			poll(NULL, 0, 2);
			while (ring_take(&b.tx, &head, &len) > 0)
				;
		}
		bench_reset();
		CHECK(is_quiet(0));
		/* Make room; nothing may go out now. */
		for (ssize_t n; (n = recv(b.wire, frame, sizeof(frame), 0)) >= 0;)
			CHECK(frame[HEADER] != PATTERN || frame[HEADER + 1] != PATTERN);
		poll(NULL, 0, 2);
		CHECK(wire_is_silent());
	}
}

static void disable(unsigned queue)
{
	reg_write(b.dev, VIRTIO_MMIO_QUEUE_SEL, queue);
	reg_write(b.dev, VIRTIO_MMIO_QUEUE_READY, 0);
	CHECK_EQ(reg_read(b.dev, VIRTIO_MMIO_QUEUE_READY), 0);
}

/* Fill a ring's own memory, and tell whether it is still so. */
static bool ring_is_left_alone(struct ring *r, bool check)
{
	struct { u64 gpa, size; } part[] = {
		{ r->where.desc, 16u * r->size }, { r->where.avail, 6 + 2u * r->size },
		{ r->where.used, 6 + 8u * r->size },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(part); i++) {
		u8 *p = guest_at(&b.g, part[i].gpa);

		for (u64 k = 0; k < part[i].size; k++) {
			if (check && p[k] != PATTERN)
				return false;
			p[k] = PATTERN;
		}
	}
	return true;
}

/* 4.2.2.1: QueueReady = 0 takes one queue; frames of the other lose nothing. */
static void receiving_goes_on_without_tx(enum kind kind)
{
	for (unsigned i = 0; i < 20; i++) {
		u32 sent = 0, got = 0;

		bench_start((struct bench_setup){ .kind = kind, .queue_size = 64 });
		rx_post_buffers(5 + i % 20);
		while (sent < 40)
			wire_send(sent++, 100);
		for (unsigned k = 0; k < i; k++)
			tx_add(k, 100, NULL);
		tx_show();
		for (; got < 5; got++)
			rx_expect(got, 100);
		disable(NET_TXQ);
		ring_is_left_alone(&b.tx, false);
		while (got < sent) {
			rx_post_buffers(3);
			driver_kick(b.dev, 1);
			rx_expect(got++, 100);
		}
		CHECK(ring_is_left_alone(&b.tx, true));
	}
}

static void sending_goes_on_without_rx(enum kind kind)
{
	for (unsigned i = 0; i < 20; i++) {
		bool alone;

		bench_start((struct bench_setup){ .kind = kind, .queue_size = 64 });
		rx_post_buffers(i);
		for (u32 k = 0; k < i + 3; k++)
			wire_send(k, 100);
		poll(NULL, 0, i % 3);
		disable(NET_RXQ);
		ring_is_left_alone(&b.rx, false);
		memset(guest_at(&b.g, b.rx_base), PATTERN, 64ULL * b.rx_stride);
		for (u32 k = 0; k < 100; k++) {
			wire_try_send(k, 100, NULL);
			CHECK(tx_add(k, 100, NULL));
			tx_show();
			wire_expect(k, 100);
			tx_reap(1);
		}
		alone = ring_is_left_alone(&b.rx, true);
		for (u64 k = 0; k < 64ULL * b.rx_stride; k++)
			alone &= *(u8 *)guest_at(&b.g, b.rx_base + k) == PATTERN;
		CHECK(alone);
	}
}

/*
 * As if another processor of the guest made each chain available again at
 * once: while the device sends there is always one more to send.
 */
#define ENOUGH 1000000

static const struct engine_ops *real_ops;
static struct engine_ops greedy_ops;
static unsigned greedy_writes;

static void greedy_write(struct engine *e, unsigned slot, const struct iovec *iov, unsigned n)
{
	real_ops->write(e, slot, iov, n);
	if (__atomic_add_fetch(&greedy_writes, 1, __ATOMIC_RELAXED) < ENOUGH)
		STORE_RELEASE(&b.tx.avail->idx, (u16)(LOAD_ACQUIRE(&b.tx.used->idx) + b.tx.size));
}

static void be_greedy(void)
{
	struct engine *e = b.net->worker[0]->engine;

	real_ops = e->ops;
	greedy_ops = *real_ops;
	greedy_ops.write = greedy_write;
	e->ops = &greedy_ops;
}

static void a_reset_does_not_wait_for_peace(enum kind kind)
{
	bench_open((struct bench_setup){ .kind = kind, .before_start = be_greedy, .datagram = true });
	close(b.wire); /* writes fail at once */
	b.wire = 0;
	for (unsigned i = 0; i < 10; i++) {
		bench_up();
		b.tx.desc[0] = (struct vring_desc){ .addr = tx_buffer(0), .len = 60 };
		STORE_ONCE(&greedy_writes, 0);
		STORE_RELEASE(&b.tx.avail->idx, 1);
		driver_kick(b.dev, NET_TXQ);
		while (!LOAD_ONCE(&greedy_writes))
			poll(NULL, 0, 0);
		bench_reset();
		CHECK(LOAD_ONCE(&greedy_writes) < ENOUGH);
	}
}

static void old_frames_are_not_for_the_new(enum kind kind)
{
	bench_open((struct bench_setup){ .kind = kind });
	for (u32 i = 0; i < 50; i++) {
		for (u32 k = 0; k < 50; k++)
			wire_try_send(k, 200, NULL);
		bench_up();
		rx_post_all();
		wire_send(1000 + i, 300);
		rx_expect(1000 + i, 300);
		/* Some waited in the device, even. */
		for (u32 k = 0; i % 2 && k < 300; k++)
			wire_try_send(k, 200, NULL);
		bench_reset();
	}
}

/* --- the end of the device --------------------------------------------------- */

static unsigned entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	CHECK(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void nothing_is_left_over(enum kind kind)
{
	unsigned fds, threads;
	char err[200];
	int nothing;

	bench_close();
	fds = entries("/proc/self/fd");
	threads = entries("/proc/self/task");
	for (unsigned i = 0; i < 40; i++) {
		bench_open((struct bench_setup){ .kind = kind, .queue_size = 32 });
		if (i % 4)
			bench_up();
		if (i % 4 > 1) {
			rx_post_all();
			for (u32 k = 0; k < 40; k++)
				wire_try_send(k, 500, NULL);
			tx_add(1, 100, NULL);
			tx_show();
		}
		if (i % 4 > 2)
			bench_reset();
		bench_close(); /* in the middle of it all */
	}
	CHECK_EQ(entries("/proc/self/fd"), fds);
	CHECK_EQ(entries("/proc/self/task"), threads);
	/* One that never ran. */
	nothing = open("/dev/null", O_RDWR);
	for (unsigned i = 0; i < 20; i++) {
		struct net_params p = { .queue_size = 16, .poll_engine = kind == POLL, .pairs = 1, .tap_fd = &nothing };
		struct mem m = { .n = 0 };
		struct net *net = net_new(&p, &m, err, sizeof(err));

		CHECK(net);
		net_free(net);
	}
	close(nothing);
	CHECK_EQ(entries("/proc/self/fd"), fds);
}

EACH(reset_at_every_depth)
EACH(resets_of_other_kinds)
EACH(unsent_frames_stay_unsent)
EACH(receiving_goes_on_without_tx)
EACH(sending_goes_on_without_rx)
EACH(a_reset_does_not_wait_for_peace)
EACH(old_frames_are_not_for_the_new)
EACH(nothing_is_left_over)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("after a reset nothing touches memory, whatever was in flight (2.4, 4.2.2.1)", reset_at_every_depth),
		ROWS("nor after FAILED, at the end, or with both queues taken", resets_of_other_kinds),
		ROWS("a frame that waits for room in the tap is not sent after a reset", unsent_frames_stay_unsent),
		ROWS("without its transmit queue it receives on and loses nothing", receiving_goes_on_without_tx),
		ROWS("without its receive queue it sends on", sending_goes_on_without_rx),
		ROWS("a reset does not wait for traffic to end", a_reset_does_not_wait_for_peace),
		ROWS("a driver gets nothing that came before it", old_frames_are_not_for_the_new),
		ROWS("a device that goes leaves no descriptor and no thread", nothing_is_left_over),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
