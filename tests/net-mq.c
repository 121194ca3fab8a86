// SPDX-License-Identifier: MIT
/*
 * net-mq.c - a device of many queue pairs: each pair's frames go through a
 * queue of the tap of its own, as many pairs are in use as the driver said,
 * and a pair, or a queue, comes and goes without harm to the others.  Clauses
 * are those of virtio 1.3.
 */
#include "control.h"

#include <dirent.h>
#include <fcntl.h>

#define FEATURES (FULL | F(MQ) | RING_RESET)
#define QUEUE_RESET 0x0c0

static void start(enum kind kind, unsigned pairs)
{
	bench_start((struct bench_setup){ .kind = kind, .features = FEATURES, .pairs = pairs, .queue_size = 64 });
	tap.read_while_detached = 0;
}

static struct net_counters counters_of(unsigned pair)
{
	struct net_counters c;

	net_read_pair_counters(b.net, pair, &c);
	return c;
}

/* --- each by itself ---------------------------------------------------------- */

static void own_queue_of_the_tap(enum kind kind)
{
	const unsigned pairs[] = { 1, 2, 4, 16 };

	for (unsigned n = 0; n < ARRAY_SIZE(pairs); n++) {
		start(kind, pairs[n]);
		CHECK_EQ(set_pairs((u16)pairs[n]), pairs[n] > 1 ? OK : ERR);
		for (unsigned i = 0; i < pairs[n]; i++) {
			bench_pair(i);
			rx_post_all();
		}
		/* Number by pair, so that a frame astray is seen. */
		for (u32 round = 0; round < 20; round++) {
			for (unsigned i = 0; i < pairs[n]; i++) {
				bench_pair(i);
				wire_send(100 * i + round, 200);
				CHECK(tx_add(100 * i + round, 300, NULL));
				tx_show();
			}
			for (unsigned i = 0; i < pairs[n]; i++) {
				bench_pair(i);
				rx_expect(100 * i + round, 200);
				wire_expect(100 * i + round, 300);
				tx_reap(1);
				rx_post_all();
			}
		}
		for (unsigned i = 0; i < pairs[n]; i++) {
			struct net_counters c = counters_of(i);

			CHECK_EQ(c.rx.packets, 20);
			CHECK_EQ(c.tx.packets, 20);
			CHECK_EQ(c.control.commands, i == 0);
		}
		CHECK_EQ(counters().rx.packets, 20 * pairs[n]);
	}
}

static void one_pair_at_first(enum kind kind)
{
	start(kind, 4);
	for (unsigned i = 1; i < 4; i++)
		CHECK(LOAD_ONCE(&tap.detached[i]));
	for (unsigned n = 1; n <= 4; n++) {
		CHECK_EQ(set_pairs((u16)n), OK);
		for (unsigned i = 0; i < 4; i++) {
			CHECK_EQ(LOAD_ONCE(&tap.detached[i]), i >= n);
			bench_pair(i);
			rx_post_all();
			if (i >= n)
				wire_send(1000 * n + i, 100);
		}
		poll(NULL, 0, 3);
		for (unsigned i = n; i < 4; i++) {
			bench_pair(i);
			CHECK_EQ(ring_waiting(&b.rx), 0);
			CHECK(recv(b.tap, guest_at(&b.g, b.command), 4096, 0) > 0);
		}
		for (unsigned i = 0; i < n; i++) {
			bench_pair(i);
			wire_send(n, 100);
			rx_expect(n, 100);
		}
	}
	CHECK_EQ(set_pairs(0), ERR);
	CHECK_EQ(set_pairs(5), ERR);
	CHECK_EQ(set_pairs(0x8000), ERR);
	CHECK(!LOAD_ONCE(&tap.detached[3]));
	/* A new driver begins with one. */
	bench_reset();
	bench_up();
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(LOAD_ONCE(&tap.detached[i]), i >= 1);
	CHECK_EQ(tap.read_while_detached, 0);
}

/* The device's own words, by whatever index the driver knows them (5.1.4). */
static void told_how_many(enum kind kind)
{
	const unsigned pairs[] = { 1, 2, 16 };

	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++) {
		u16 n;

		bench_open((struct bench_setup){ .kind = kind, .pairs = pairs[i], .queue_size = 64 });
		virtio_mmio_read(b.dev, VIRTIO_MMIO_CONFIG + 8, &n, 2);
		CHECK_EQ(n, pairs[i]);
		CHECK_EQ(!!(reg_read_features(b.dev) & F(MQ)), pairs[i] > 1);
		CHECK_EQ(b.dev->nvq, 2 * pairs[i] + 1);
	}
}

/* --- floods ------------------------------------------------------------------- */

static pthread_t flooder;
static bool flood_over;
static int flood_fd[NET_MAX_PAIRS];
static unsigned flood_pairs;

static void *flood(void *arg)
{
	u8 frame[HEADER + FRAME] = { 0 };
	u32 next[NET_MAX_PAIRS] = { 0 };

	(void)arg;
	while (!LOAD_ONCE(&flood_over)) {
		bool any = false;

		for (unsigned i = 0; i < flood_pairs; i++) {
			memcpy(frame + sizeof(frame) - 4, &next[i], 4);
			if (send(flood_fd[i], frame, sizeof(frame), MSG_NOSIGNAL) < 0)
				continue;
			next[i]++;
			any = true;
		}
		if (!any)
			poll(NULL, 0, 1);
	}
	return NULL;
}

static void flood_start(void)
{
	flood_pairs = b.setup.pairs;
	for (unsigned i = 0; i < flood_pairs; i++) {
		bench_pair(i);
		flood_fd[i] = b.wire;
	}
	bench_pair(0);
	STORE_ONCE(&flood_over, false);
	pthread_create(&flooder, NULL, flood, NULL);
}

static void flood_stop(void)
{
	STORE_ONCE(&flood_over, true);
	pthread_join(flooder, NULL);
}

/* Take whatever came and post buffers again; with *next, in sequence. */
static bool take_numbers(u32 *next)
{
	static u8 frame[HEADER + LARGEST + 8192];
	struct virtio_net_hdr_v1 h;
	u32 total, number;

	while (ring_waiting(&b.rx)) {
		if (!rx_take(frame, &total, &h) || total != HEADER + FRAME)
			return false;
		memcpy(&number, frame + total - 4, 4);
		if (next && number != (*next)++)
			return false;
	}
	rx_post_all();
	return true;
}

static void up_and_down(enum kind kind)
{
	bool fine = true, quiet = true;
	u32 next = 0;
	unsigned i;

	start(kind, 3);
	for (i = 0; i < 3; i++) {
		bench_pair(i);
		rx_post_all();
	}
	flood_start();
	for (i = 0; i < 300 && fine && quiet; i++) {
		unsigned n = 1 + i * 7 % 3;
		u16 seen[3];

		fine = set_pairs((u16)n) == OK;
		/* From the answer on nothing comes in the others (5.1.6.5.5). */
		for (unsigned q = n; q < 3; q++) {
			bench_pair(q);
			seen[q] = LOAD_ONCE(&b.rx.used->idx);
		}
		bench_pair(0);
		if (i % 3 == 0)
			wait_used_for(&b.rx, 1, 1);
		fine &= take_numbers(&next);
		for (unsigned q = n; q < 3; q++) {
			bench_pair(q);
			quiet &= LOAD_ONCE(&b.rx.used->idx) == seen[q];
		}
		for (unsigned q = 1; q < 3; q++) {
			bench_pair(q);
			fine &= take_numbers(NULL);
		}
	}
	bench_pair(0);
	flood_stop();
	CHECK(fine);
	CHECK(quiet);
	CHECK_EQ(i, 300);
	CHECK_EQ(tap.read_while_detached, 0);
	CHECK_EQ(counters().rx.errors, 0);
	CHECK(next > 0);
	/* In the end all three work. */
	CHECK_EQ(set_pairs(3), OK);
	for (i = 0; i < 3; i++) {
		u64 before = counters_of(i).rx.packets;

		bench_pair(i);
		do
			CHECK(take_numbers(NULL));
		while (wait_used_for(&b.rx, 1, 20));
		CHECK(take_numbers(NULL));
		wire_send(9, 100);
		CHECK(wait_used(&b.rx, 1));
		CHECK(counters_of(i).rx.packets > before);
	}
}

/*
 * A pair that goes gives what was read in time, so that none is missing
 * between what came and what still waits in the tap.
 */
static void going_in_between(enum kind kind)
{
	u32 at = 0, next = 0;

	start(kind, 2);
	bench_pair(1);
	for (unsigned i = 0; i < 200; i++) {
		rx_post_all();
		CHECK_EQ(set_pairs(2), OK);
		while (at - next < 20)
			wire_number(own, NO_VLAN, at++);
		if (i % 4 == 0)
			sched_yield();
		CHECK_EQ(set_pairs(1), OK);
		CHECK(take_numbers(&next));
	}
	CHECK_EQ(set_pairs(2), OK);
	while (next < at) {
		CHECK(wait_used(&b.rx, 1));
		CHECK(take_numbers(&next));
	}
	/* A frame for which there was no room then goes with the pair. */
	bench_reset();
	bench_up();
	bench_pair(1);
	rx_post_buffers(2);
	for (unsigned i = 0; i < 20; i++) {
		u64 before = LOAD_ONCE(COUNTER(rx.starved));

		CHECK_EQ(set_pairs(2), OK);
		wire_send(1, 10000);
		CHECK(wait_count(COUNTER(rx.starved), before + 1));
		CHECK_EQ(set_pairs(1), OK);
	}
	rx_post_all();
	driver_kick(b.dev, net_rxq(1));
	poll(NULL, 0, 5);
	CHECK_EQ(ring_waiting(&b.rx), 0);
	CHECK_EQ(set_pairs(2), OK);
	wire_send(2, 10000);
	rx_expect(2, 10000);
	rx_post_all();
	for (u32 i = 0; i < 64; i++) /* not one of its buffers went with it */
		wire_send(i, 100);
	for (u32 i = 0; i < 64; i++)
		rx_expect(i, 100);
}

/* Whether the device thread of that name comes to rest. */
static bool rests(const char *name)
{
	u64 end = now_ms() + PATIENCE_MS;
	char path[300], text[256], state;
	struct dirent *e;
	DIR *d;

	do {
		d = opendir("/proc/self/task");
		CHECK(d);
		while ((e = readdir(d))) {
			int fd;
			ssize_t n;

			snprintf(path, sizeof(path), "/proc/self/task/%s/stat", e->d_name);
			fd = open(path, O_RDONLY);
			n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
			if (fd >= 0)
				close(fd);
			if (n <= 0)
				continue;
			text[n] = 0;
			if (!strstr(text, name) || sscanf(strrchr(text, ')'), ") %c", &state) != 1 || state != 'S')
				continue;
			closedir(d);
			return true;
		}
		closedir(d);
		sched_yield();
	} while (now_ms() < end);
	return false;
}

/* Out of use while it waited for buffers, it waits for none any more. */
static void off_while_starved(enum kind kind)
{
	start(kind, 2);
	CHECK_EQ(set_pairs(2), OK);
	bench_pair(1);
	CHECK(wait_count(COUNTER(rx.starved), 1));
	CHECK(rests("(net/1)"));
	CHECK_EQ(set_pairs(1), OK);
	rx_post_all();
	CHECK(rests("(net/1)"));
	CHECK_EQ(set_pairs(2), OK);
	wire_send(1, 100);
	rx_expect(1, 100);
}

static void reset_with_all_busy(enum kind kind)
{
	bool quiet = true;
	u8 byte;

	start(kind, 8);
	flood_start();
	for (unsigned i = 0; i < 25 && quiet; i++) {
		quiet &= set_pairs((u16)(1 + i % 8)) == OK;
		for (unsigned q = 0; q < 8; q++) {
			bench_pair(q);
			rx_post_buffers(i * 3 % 65);
			for (unsigned k = 0; k < i && q < 1 + i % 8; k++)
				tx_add(k, 500, NULL);
			tx_show();
		}
		bench_pair(0);
		if (i % 3)
			wait_used_for(&b.rx, (u16)(i % 5), 1);
		bench_reset();
		interrupts();
		paint();
		for (unsigned q = 0; q <= 16; q++)
			driver_kick(b.dev, q);
		poll(NULL, 0, 1);
		quiet &= is_painted() && !interrupts();
		for (unsigned q = 0; q < 8; q++) {
			bench_pair(q);
			while (recv(b.wire, &byte, 1, 0) >= 0)
				;
		}
		bench_up();
	}
	flood_stop();
	CHECK(quiet);
	CHECK_EQ(counters().rx.errors, 0);
	/* One of them broken stops its own thread; a reset starts all. */
	CHECK_EQ(set_pairs(8), OK);
	bench_pair(5);
	stderr_capture();
	STORE_RELEASE(&b.tx.avail->idx, 1000);
	driver_kick(b.dev, net_txq(5));
	CHECK(needs_reset());
	stderr_release((char[1000]){ 0 }, 1000);
	bench_reset();
	bench_up();
	CHECK_EQ(set_pairs(8), OK);
	for (unsigned q = 0; q < 8; q++) {
		bench_pair(q);
		CHECK(tx_add(q, 100, NULL));
		tx_show();
		wire_expect(q, 100);
	}
}

/* --- one queue comes and goes (2.6.1) ----------------------------------------- */

static void reset_queue(unsigned q)
{
	reg_write(b.dev, VIRTIO_MMIO_QUEUE_SEL, q);
	reg_write(b.dev, QUEUE_RESET, 1);
	CHECK_EQ(reg_read(b.dev, QUEUE_RESET), 0);
	CHECK_EQ(reg_read(b.dev, VIRTIO_MMIO_QUEUE_READY), 0);
}

/* Everything of one queue of the pair at hand: its ring and its buffers. */
static bool left_alone(bool tx, bool check)
{
	struct ring *r = tx ? &b.tx : &b.rx;
	struct { u64 gpa, size; } part[] = {
		{ r->where.desc, 16u * r->size }, { r->where.avail, 6 + 2u * r->size },
		{ r->where.used, 6 + 8u * r->size },
		{ tx ? b.tx_base : b.rx_base, 64ULL * (tx ? b.tx_stride : b.rx_stride) },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(part); i++) {
		u8 *p = guest_at(&b.g, part[i].gpa);

		for (u64 k = 0; check && k < part[i].size; k++)
			if (p[k] != PATTERN)
				return false;
		memset(p, PATTERN, part[i].size);
	}
	return true;
}

/* The same queue with another size, in the same memory. */
static void enable_again(unsigned q, u16 size)
{
	struct ring *r = q & 1 ? &b.tx : &b.rx;

	r->size = r->where.size = size;
	ring_restart(r);
	CHECK(driver_enable_queue(b.dev, q, &r->where));
}

/* The queue works, whatever else was still on its way. */
static void works(unsigned q, u32 number)
{
	if (q & 1) {
		CHECK(tx_add(number, 100, NULL));
		tx_show();
		wire_expect(number, 100);
		tx_reap(1);
		return;
	}
	rx_post_all();
	wire_number(own, NO_VLAN, number);
	while (rx_number() != number)
		rx_post_all();
}

static void one_queue_of_many(enum kind kind)
{
	u32 number = 1000;
	u8 byte;

	start(kind, 3);
	CHECK_EQ(set_pairs(3), OK);
	for (unsigned i = 0; i < 3; i++) {
		bench_pair(i);
		rx_post_all();
	}
	for (unsigned i = 0; i < 90; i++) {
		unsigned q = i % 6;
		bool tx = q & 1;

		/* In the middle of it. */
		bench_pair(q / 2);
		for (u32 k = 0; k < i % 11; k++)
			if (!tx)
				wire_number(own, NO_VLAN, k);
			else
				tx_add(k, 100, NULL);
		tx_show();
		reset_queue(q);
		left_alone(tx, false);
		while (recv(b.wire, &byte, 1, 0) >= 0)
			;
		/* Its pair's other queue, and the other pairs, go on and lose nothing. */
		for (unsigned other_q = 0; other_q < 6; other_q++) {
			if (other_q == q)
				continue;
			bench_pair(other_q / 2);
			if (other_q & 1) {
				works(other_q, number++);
				continue;
			}
			wire_number(own, NO_VLAN, number);
			CHECK_EQ(rx_number(), number);
			rx_post_all();
			number++;
		}
		/* Frames for it find nobody. */
		bench_pair(q / 2);
		if (!tx)
			wire_number(own, NO_VLAN, 1);
		driver_kick(b.dev, q);
		poll(NULL, 0, i % 4 ? 0 : 1);
		CHECK(left_alone(tx, true));
		enable_again(q, i % 4 < 2 ? 16 : 64);
		works(q, number++);
	}
	CHECK_EQ(counters().rx.errors + counters().tx.errors, 0);
}

/* The control queue as well; settings stay as they were. */
static void control_queue_alone(enum kind kind)
{
	start(kind, 2);
	rx_post_all();
	for (u32 i = 0; i < 20; i++) {
		CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
		reset_queue(4);
		wire_number(other, NO_VLAN, 100);
		wire_number(own, NO_VLAN, i);
		CHECK_EQ(rx_number(), i);
		rx_post_all();
		ring_restart(&b.control);
		CHECK(driver_enable_queue(b.dev, 4, &b.control.where));
		CHECK_EQ(set_pairs((u16)(1 + i % 2)), OK);
	}
	CHECK_EQ(counters().rx.filtered, 20);
}

EACH(own_queue_of_the_tap)
EACH(one_pair_at_first)
EACH(told_how_many)
EACH(up_and_down)
EACH(going_in_between)
EACH(off_while_starved)
EACH(reset_with_all_busy)
EACH(one_queue_of_many)
EACH(control_queue_alone)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("each pair has a queue of the tap of its own", own_queue_of_the_tap),
		ROWS("one pair is in use until the driver says how many (5.1.6.5.5)", one_pair_at_first),
		ROWS("it says how many there are, and offers MQ if more than one (5.1.4)", told_how_many),
		ROWS("pairs come and go under traffic, without loss on the others (5.1.6.5.5)", up_and_down),
		ROWS("a pair that goes gives what was read in time, and nothing later", going_in_between),
		ROWS("a pair that goes while it waits for buffers waits no more", off_while_starved),
		ROWS("after a reset of all pairs nothing touches memory", reset_with_all_busy),
		ROWS("a queue is reset, and enabled with another size, while others go on (2.6.1)", one_queue_of_many),
		ROWS("the control queue is reset alone, and settings stay", control_queue_alone),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
