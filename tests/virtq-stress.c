// SPDX-License-Identifier: MIT
/*
 * virtq-stress.c - a driver and a device on two threads, which sleep whenever
 * they may: no chain is lost, none comes twice, and nobody sleeps for ever.
 *
 * Each side tells the other only when the other asked to be told, so a wake-up
 * that is lost stalls the test and the watchdog ends it.  Either side sleeps
 * after a random number of chains: the races are at those points.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "barrier.h"
#include "check.h"
#include "clock.h"
#include "driver.h"

#define STALL_MS 5000

static struct guest g;
static struct ring r;
static struct virtq vq;
static int kick_fd, irq_fd;
static u32 chains; /* to move in this test */
static u64 kicks, interrupts;
static const char *device_failed; /* set before the thread ends */

static void signal_fd(int fd)
{
	u64 one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		abort();
}

/* Wait for the other side; false when it does not come. */
static bool wait_fd(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	u64 count;

	return poll(&p, 1, STALL_MS) == 1 && read(fd, &count, sizeof(count)) > 0;
}

/*
 * What chain number n carries: the device gets the number in a readable
 * segment and answers with its complement in a writable one.
 */
static const char *device_serve(const struct virtq_chain *c, const struct iovec *iov, u32 n)
{
	u32 got;

	if (c->n_out != 1 || c->n_in != 1 || c->out_len != 4 || c->in_len != 4)
		return "a chain has the wrong shape";
	memcpy(&got, iov[0].iov_base, 4);
	if (got != n)
		return "a chain was lost or came twice";
	got = ~got;
	memcpy(iov[1].iov_base, &got, 4);
	return NULL;
}

static void *device(void *arg)
{
	struct iovec iov[VIRTQ_MAX_SIZE];
	struct virtq_chain c;
	u64 seed = 1;
	u32 n = 0;

	(void)arg;
	while (n < chains && !device_failed) {
		u64 batch = random_next(&seed) % 40;

		virtq_kicks_off(&vq);
		for (; n < chains; batch--) {
			if (!batch || virtq_pop(&vq, &c, iov) != VIRTQ_CHAIN)
				break;
			device_failed = device_serve(&c, iov, n++);
			virtq_add_used(&vq, c.head, 4);
			if (random_next(&seed) % 8 == 0)
				virtq_publish(&vq);
		}
		virtq_publish(&vq);
		if (virtq_wants_interrupt(&vq)) {
			interrupts++;
			signal_fd(irq_fd);
		}
		if (vq.broken)
			device_failed = vq.broken;
		if (n == chains || device_failed || virtq_kicks_on(&vq))
			continue;
		if (!wait_fd(kick_fd))
			device_failed = "the device slept and no kick came";
	}
	return NULL;
}

static u64 slots; /* gpa, 8 bytes per head */

static int driver_add(u32 n)
{
	u64 gpa = slots + 8u * r.free;
	struct segment s[2] = {
		{ .gpa = gpa, .len = 4 },
		{ .gpa = gpa + 4, .len = 4, .write = true },
	};

	if (r.n_free < 2)
		return -1;
	memcpy(guest_at(&g, gpa), &n, 4);
	return ring_add(&r, s, 2);
}

static void stress(u16 size, bool event_idx, bool indirect, u32 n)
{
	u32 sent = 0, taken = 0, expect[VIRTQ_MAX_SIZE], answer, len;
	const char *why;
	u64 seed = 2;
	pthread_t t;
	u16 head;

	chains = n;
	guest_open(&g, 2 * MiB, 1 * MiB);
	ring_init(&r, &g, size, event_idx, indirect);
	slots = guest_alloc(&g, 1, 8u * size, 8);
	CHECK_EQ(virtq_init(&vq, &g.mem, &r.where, event_idx, indirect, &why), 0);
	kick_fd = eventfd(0, EFD_NONBLOCK);
	irq_fd = eventfd(0, EFD_NONBLOCK);
	device_failed = NULL;
	kicks = interrupts = 0;
	pthread_create(&t, NULL, device, NULL);

	while (taken < chains) {
		u64 batch = 1 + random_next(&seed) % 24;
		int got = 0;

		while (batch-- && sent < chains) {
			int h = driver_add(sent);

			if (h < 0)
				break;
			expect[h] = sent++;
			if (random_next(&seed) % 4 == 0)
				ring_show(&r);
		}
		ring_show(&r);
		if (ring_must_kick(&r)) {
			kicks++;
			signal_fd(kick_fd);
		}
		ring_interrupts_off(&r);
		while ((got = ring_take(&r, &head, &len)) > 0) {
			if (len != 4 || expect[head] != taken)
				break;
			memcpy(&answer, guest_at(&g, slots + 8u * head + 4), 4);
			if (answer != ~taken)
				break;
			taken++;
		}
		if (got) {
			printf("# used entry %u is wrong\n", taken);
			break;
		}
		if (taken < chains && (sent == chains || r.n_free < 2 || random_next(&seed) % 4 == 0) &&
		    sent != taken && !ring_interrupts_on(&r) && !wait_fd(irq_fd)) {
			printf("# the driver slept and no interrupt came, %u sent, %u back\n", sent, taken);
			break;
		}
	}
	if (taken < chains)
		signal_fd(kick_fd); /* so that the device's thread ends */
	pthread_join(t, NULL);
	close(kick_fd);
	close(irq_fd);
	guest_close(&g);
	CHECK_EQ(taken, chains);
	CHECK_STR(device_failed ? device_failed : "", "");
	CHECK(kicks && kicks < chains);
	CHECK(interrupts && interrupts < chains);
}

static void with_flags(void)
{
	stress(64, false, false, 100000);
}

static void with_event_idx(void)
{
	stress(64, true, false, 100000);
}

static void with_tables(void)
{
	stress(256, true, true, 200000);
}

static void with_a_tiny_ring(void)
{
	stress(2, true, false, 20000);
}

/* --- the two fences ---------------------------------------------------------- */

/*
 * The moment itself, over and over: one side makes its wish and takes a last
 * look, the other moves its index and looks at the wish.  If neither sees the
 * other both would sleep.  Without the fences this fails within the time.
 */
#define DUEL_MS 500

static u32 arrived[2]; /* at how many meetings each side was */
static bool duel_over, event_mode;
static bool saw[2]; /* device, driver: of the last round */

static void meet(unsigned me)
{
	u32 n = arrived[me] + 1;

	__atomic_store_n(&arrived[me], n, __ATOMIC_SEQ_CST);
	for (unsigned spins = 0; (int32_t)(LOAD_ACQUIRE(&arrived[!me]) - n) < 0; spins++)
		if (spins > 2000) /* there may be one processor only */
			sched_yield();
}

/* Up to a few dozen nanoseconds, so that each comes first in its turn. */
static void dawdle(u64 *seed)
{
	for (u64 i = random_next(seed) % 16; i; i--)
		compiler_barrier();
}

static void *device_duels(void *interrupts_are_it)
{
	struct iovec iov[VIRTQ_MAX_SIZE];
	struct virtq_chain c;
	u64 seed = 3;

	for (;;) {
		if (interrupts_are_it) {
			if (virtq_pop(&vq, &c, iov) == VIRTQ_CHAIN)
				virtq_add_used(&vq, c.head, 0);
		} else {
			virtq_kicks_off(&vq);
		}
		meet(0);
		virtq_waiting(&vq); /* the line is shared: the other's store is slow */
		meet(0);
		dawdle(&seed);
		if (interrupts_are_it) {
			virtq_publish(&vq);
			saw[0] = virtq_wants_interrupt(&vq);
		} else {
			saw[0] = virtq_kicks_on(&vq);
		}
		meet(0); /* results are there */
		if (!interrupts_are_it) {
			if (virtq_pop(&vq, &c, iov) == VIRTQ_CHAIN)
				virtq_add_used(&vq, c.head, 0);
			virtq_publish(&vq);
		}
		meet(0); /* and looked at */
		if (duel_over)
			return NULL;
	}
}

static void duel(bool interrupts_are_it)
{
	struct segment s = { .gpa = GUEST_HIGH, .len = 4 };
	u32 rounds = 0, missed = 0, len;
	const char *why;
	u64 seed = 4, start;
	pthread_t t;
	u16 head;

	guest_open(&g, 1 * MiB, 1 * MiB);
	ring_init(&r, &g, 4, event_mode, false);
	CHECK_EQ(virtq_init(&vq, &g.mem, &r.where, event_mode, false, &why), 0);
	arrived[0] = arrived[1] = 0;
	duel_over = false;
	start = clock_ns();
	if (interrupts_are_it) {
		ring_add(&r, &s, 1);
		ring_show(&r);
		ring_interrupts_off(&r);
	}
	pthread_create(&t, NULL, device_duels, interrupts_are_it ? &duel_over : NULL);
	while (!duel_over) {
		meet(1);
		ring_waiting(&r);
		meet(1);
		dawdle(&seed);
		if (interrupts_are_it) {
			saw[1] = ring_interrupts_on(&r);
		} else {
			ring_add(&r, &s, 1);
			ring_show(&r);
			saw[1] = ring_must_kick(&r);
		}
		meet(1);
		missed += !saw[0] && !saw[1];
		rounds++;
		if (interrupts_are_it) {
			ring_take(&r, &head, &len);
			ring_add(&r, &s, 1);
			ring_show(&r);
			ring_interrupts_off(&r);
		}
		duel_over = rounds >= 100 && clock_ns() - start > DUEL_MS * 1000000ULL;
		meet(1);
		if (!interrupts_are_it)
			while (ring_waiting(&r) && ring_take(&r, &head, &len) > 0)
				;
	}
	pthread_join(t, NULL);
	guest_close(&g);
	CHECK_EQ(missed, 0);
	CHECK(!vq.broken);
}

static void wishes_for_interrupts_are_seen(void)
{
	event_mode = true;
	duel(true);
	event_mode = false;
	duel(true);
}

static void wishes_for_kicks_are_seen(void)
{
	event_mode = true;
	duel(false);
	event_mode = false;
	duel(false);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "no chain and no wake-up is lost between two threads, by flags", with_flags },
		{ "no chain and no wake-up is lost between two threads, by event indices", with_event_idx },
		{ "no chain and no wake-up is lost with indirect tables", with_tables },
		{ "no chain and no wake-up is lost in a ring for one chain", with_a_tiny_ring },
		{ "a wish for an interrupt and a used entry see each other (2.7.7)", wishes_for_interrupts_are_seen },
		{ "a wish for a kick and an available chain see each other (2.7.10)", wishes_for_kicks_are_seen },
	};
	alarm(120);
	return check_run(tests, ARRAY_SIZE(tests));
}
