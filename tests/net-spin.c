// SPDX-License-Identifier: MIT
/*
 * net-spin.c - the moment before the device thread sleeps, in which it looks
 * around with kicks off: whatever may come is noticed, and nobody who waits for
 * the thread waits in vain.
 *
 * How long that moment is follows from what a frame takes.  The thread is made
 * to believe that this is forever: then only what it notices ends it.
 */
#include "control.h"

#define FOREVER_NS 1000000000000000ULL

static u64 sleeps; /* before the test */

static void a_frame_takes_forever(void)
{
	for (unsigned i = 0; i < b.net->pairs; i++)
		b.net->worker[i]->pace.frame_ns = FOREVER_NS;
}

/* Up, and looking around after a frame that it received. */
static void start_with(struct bench_setup s)
{
	cpu_set_t set;

	if (!sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) < 2)
		SKIP("there is one processor only");
	s.features = FULL;
	s.before_start = a_frame_takes_forever;
	bench_start(s);
	rx_post_all();
	wire_send(0, 100);
	rx_expect(0, 100);
	CHECK(wait_count(COUNTER(thread.spins), 1));
	CHECK_EQ(counters().thread.spins_won, 0);
	interrupts();
	sleeps = counters().thread.sleeps;
}

static void start(enum kind kind)
{
	start_with((struct bench_setup){ .kind = kind });
}

/* Not small ones: of those a lone one has its interrupt after 2 ms, which ends it. */
static void frames_of_the_guest(enum kind kind)
{
	u64 kicks;

	start(kind);
	kicks = counters().thread.kicks;
	for (u32 i = 0; i < 20; i++) {
		CHECK(tx_add(i, 1000, NULL));
		ring_show(&b.tx);
		CHECK(!ring_must_kick(&b.tx));
		wire_expect(i, 1000);
		CHECK(wait_count(COUNTER(thread.spins), i + 2));
		CHECK_EQ(counters().thread.spins_won, i + 1);
	}
	CHECK_EQ(counters().thread.kicks, kicks);
	CHECK_EQ(counters().thread.sleeps, sleeps);
}

/* With their interrupts: rx_expect() waits for nothing else. */
static void frames_of_the_wire(enum kind kind)
{
	start(kind);
	for (u32 i = 1; i <= 20; i++) {
		wire_send(i, 300);
		rx_expect(i, 300);
	}
	CHECK_EQ(counters().thread.sleeps, sleeps);
}

/* What was sent is in the ring; its interrupt is that of what comes next. */
static void one_interrupt_for_both(enum kind kind)
{
	start(kind);
	for (u32 i = 0; i < 3; i++)
		CHECK(tx_add(i, 1000, NULL));
	*ring_used_event(&b.tx) = 2;
	smp_mb();
	tx_show();
	for (u32 i = 0; i < 3; i++)
		wire_expect(i, 1000);
	CHECK(wait_count(COUNTER(thread.spins), 2));
	CHECK_EQ(ring_waiting(&b.tx), 3);
	CHECK_EQ(interrupts(), 0);
	*ring_used_event(&b.rx) = b.rx.seen;
	smp_mb();
	wire_send(1, 100);
	CHECK(wait_interrupt(PATIENCE_MS));
	CHECK(wait_count(COUNTER(thread.spins), 3));
	CHECK_EQ(interrupts(), 1);
	CHECK_EQ(ring_waiting(&b.rx), 1);
	CHECK_EQ(counters().thread.sleeps, sleeps);
}

/* Not for those that the driver wants moderated by itself: they are due. */
static void a_wish_is_kept(enum kind kind)
{
	start(kind);
	CHECK_EQ(set_coal(RX_SET, 100, 2000), OK);
	CHECK_EQ(set_coal(TX_SET, 100, 2000), OK);
	interrupts();
	*ring_used_event(&b.rx) = b.rx.seen;
	*ring_used_event(&b.tx) = b.tx.seen;
	smp_mb();
	wire_send(1, 100);
	CHECK(wait_interrupt(PATIENCE_MS));
	CHECK_EQ(interrupts(), 1);
	CHECK(tx_add(1, 1000, NULL));
	tx_show();
	wire_expect(1, 1000);
	CHECK(wait_interrupt(PATIENCE_MS));
	CHECK_EQ(interrupts(), 1);
	CHECK_EQ(ring_waiting(&b.tx), 1);
}

static void a_dry_ring_refilled(enum kind kind)
{
	start_with((struct bench_setup){ .kind = kind, .queue_size = 32 });
	for (u32 i = 1; i < 40; i++)
		wire_send(i, 100);
	CHECK(wait_count(COUNTER(rx.packets), 32));
	CHECK(wait_count(COUNTER(thread.spins), 2));
	for (u32 i = 1; i < 32; i++)
		rx_expect(i, 100);
	CHECK_EQ(ring_waiting(&b.rx), 0);
	rx_post_all();
	for (u32 i = 32; i < 40; i++)
		rx_expect(i, 100);
	CHECK_EQ(counters().thread.sleeps, sleeps);
}

/* 5.1.6.5: the driver waits for each, without sleeping itself. */
static void commands(enum kind kind)
{
	start(kind);
	for (u32 i = 0; i < 20; i++)
		CHECK_EQ(set_coal(RX_SET, i, i), OK);
	CHECK_EQ(counters().control.commands, 20);
}

static void a_reset(enum kind kind)
{
	for (u32 i = 0; i < 20; i++) {
		start(kind);
		bench_reset();
		bench_up();
		rx_post_all();
		wire_send(5, 100);
		rx_expect(5, 100);
	}
}

static void a_broken_ring(enum kind kind)
{
	char said[400];

	start(kind);
	stderr_capture();
	STORE_ONCE(&b.tx.avail->idx, (u16)(b.tx.shown + 2 * b.setup.queue_size));
	CHECK(wait_interrupt(PATIENCE_MS));
	CHECK(reg_read(b.dev, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	bench_reset();
	stderr_release(said, sizeof(said));
	CHECK(strstr(said, "transmit queue"));
}

static void switched_off(enum kind kind)
{
	bench_start((struct bench_setup){ .kind = kind, .no_spin = true });
	rx_post_all();
	for (u32 i = 0; i < 20; i++) {
		wire_send(i, 100);
		rx_expect(i, 100);
	}
	CHECK_EQ(counters().thread.spins, 0);
}

/* It has to enter the kernel to see a frame: it sleeps there as well. */
static void poll_cannot(void)
{
	bench_start((struct bench_setup){ .kind = POLL, .before_start = a_frame_takes_forever });
	rx_post_all();
	wire_send(0, 100);
	rx_expect(0, 100);
	CHECK_EQ(counters().thread.spins, 0);
}

#undef EACH
#undef ROWS
#define EACH(f)                                   \
	static void f##_uring(void) { f(URING); } \
	static void f##_waiting(void) { f(URING_WAITING); }
#define ROWS(claim, f) { "io_uring: " claim, f##_uring }, { "io_uring, no nowait: " claim, f##_waiting }

EACH(frames_of_the_guest)
EACH(frames_of_the_wire)
EACH(one_interrupt_for_both)
EACH(a_wish_is_kept)
EACH(a_dry_ring_refilled)
EACH(commands)
EACH(a_reset)
EACH(a_broken_ring)
EACH(switched_off)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("frames of the guest are found without a kick", frames_of_the_guest),
		ROWS("frames of the wire are found and their interrupts raised", frames_of_the_wire),
		ROWS("what was sent shares the interrupt of what comes next", one_interrupt_for_both),
		ROWS("an interrupt that the driver put off comes when it is due (5.1.6.5.8)", a_wish_is_kept),
		ROWS("a receive ring that is filled again is found", a_dry_ring_refilled),
		ROWS("commands are answered (5.1.6.5)", commands),
		ROWS("a reset is answered", a_reset),
		ROWS("a ring that breaks is noticed", a_broken_ring),
		ROWS("it can be switched off", switched_off),
		{ "poll: never looks around", poll_cannot },
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
