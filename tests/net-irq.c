// SPDX-License-Identifier: MIT
/*
 * net-irq.c - when an interrupt is due, by each policy and by the driver's own
 * wish, on a clock that the test moves.  Clauses are those of virtio 1.3.
 */
#include "../devices/net_irq.h"

#include "check.h"

#define US 1000ULL
#define MS 1000000ULL

static struct net_moderation m;
static u64 now;

static void policy(enum net_irq_policy p, u32 usecs)
{
	m = (struct net_moderation){ .policy = p, .policy_usecs = usecs };
	now = 5000 * MS;
}

static void wish(u32 packets, u32 usecs)
{
	m.max_packets = packets;
	m.max_usecs = usecs;
}

static void add(unsigned n)
{
	while (n--)
		irq_add(&m, 1500, now);
}

static bool due(void)
{
	return irq_due(&m, now, true, false);
}

static bool due_while_busy(void)
{
	return irq_due(&m, now, false, false);
}

static void decided(void)
{
	irq_decided(&m, now, true);
}

static void nothing_pending(void)
{
	for (enum net_irq_policy p = NET_IRQ_DRAIN; p <= NET_IRQ_ADAPTIVE; p++)
		for (unsigned w = 0; w < 2; w++) {
			policy(p, 100);
			wish(w, w);
			CHECK(!irq_due(&m, now, true, true));
			CHECK_EQ(m.deadline, 0);
			add(1);
			now += 1000 * MS;
			CHECK(due());
			decided();
			CHECK_EQ(m.pending, 0);
			CHECK_EQ(m.deadline, 0);
			CHECK(!due());
			CHECK_EQ(m.deadline, 0);
		}
}

static void packet(void)
{
	policy(NET_IRQ_PACKET, 0);
	add(1);
	CHECK(due_while_busy());
	decided();
	add(1);
	CHECK(due());
}

static void drain(void)
{
	policy(NET_IRQ_DRAIN, 0);
	add(1);
	CHECK(!due_while_busy());
	CHECK_EQ(m.deadline, 0); /* the owner goes on and asks again */
	CHECK(due());
	/* A wire that is never quiet: after so many, and no later. */
	for (unsigned n = 2; n <= 63; n++) {
		add(1);
		CHECK(!due_while_busy());
	}
	add(1);
	CHECK(due_while_busy());
	decided();
	add(1);
	CHECK(!due_while_busy());
}

static void delay(void)
{
	u64 first;

	policy(NET_IRQ_DELAY, 50);
	first = now;
	add(1);
	CHECK(!due());
	CHECK_EQ(m.deadline, first + 50 * US);
	now += 20 * US;
	add(100); /* further ones do not move it */
	CHECK(!due());
	CHECK_EQ(m.deadline, first + 50 * US);
	now = first + 50 * US - 1;
	CHECK(!due());
	now++;
	CHECK(due());
	decided();
	/* The next delay starts with the next packet. */
	now += 10 * MS;
	first = now;
	add(1);
	CHECK(!due());
	CHECK_EQ(m.deadline, first + 50 * US);
}

static void pending(void)
{
	u64 first;

	policy(NET_IRQ_PENDING, 60);
	first = now;
	add(1);
	CHECK(!due());
	CHECK_EQ(m.deadline, first + 60 * US);
	add(1);
	CHECK(!due());
	CHECK_EQ(m.deadline, first + 30 * US);
	now = first + 29 * US;
	CHECK(!due());
	add(1); /* a third: 20 us, which is over */
	CHECK(due());
	decided();
	add(6);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 10 * US);
	add(100000);
	CHECK(due());
}

static void no_time_at_all(void)
{
	policy(NET_IRQ_DELAY, 0);
	add(1);
	CHECK(due_while_busy());
	policy(NET_IRQ_PENDING, 0);
	add(1);
	CHECK(due_while_busy());
}

static void no_buffer_left(void)
{
	for (enum net_irq_policy p = NET_IRQ_DRAIN; p <= NET_IRQ_ADAPTIVE; p++)
		for (unsigned w = 0; w < 2; w++) {
			policy(p, 1000000);
			wish(1000 * w, 1000000 * w);
			m.gap_ns = 64000;
			m.last = now;
			add(1);
			CHECK(irq_due(&m, now, false, true));
		}
}

/* 5.1.6.5.8.1: max_packets or max_usecs, whichever happens first. */
static void wished(void)
{
	u64 first;

	policy(NET_IRQ_DRAIN, 0);
	wish(15, 10);
	first = now;
	add(14);
	CHECK(!due());
	CHECK_EQ(m.deadline, first + 10 * US);
	add(1);
	CHECK(due());
	decided();
	/* It starts counting both again at the next packet. */
	now += 3 * US;
	first = now;
	add(1);
	CHECK(!due());
	CHECK_EQ(m.deadline, first + 10 * US);
	now += 9 * US;
	add(1); /* does not move it */
	CHECK(!due());
	CHECK_EQ(m.deadline, first + 10 * US);
	now = first + 10 * US - 1;
	CHECK(!due());
	now++;
	CHECK(due());
	/* Whether or not more is waiting. */
	CHECK(due_while_busy());
	decided();
	add(14);
	CHECK(!due_while_busy());
	CHECK_EQ(m.deadline, now + 10 * US);
}

static void wished_at_the_limits(void)
{
	policy(NET_IRQ_DRAIN, 0);
	wish(1, ~0u);
	add(1);
	CHECK(due());
	decided();
	wish(~0u, ~0u);
	add(1000000);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 4294967295 * US);
	now += 4294967295 * US;
	CHECK(due());
	decided();
	wish(~0u, 1);
	add(1);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 1 * US);
}

/* 5.1.6.5.8.1: 0 in either is no wish. */
static void half_a_wish(void)
{
	for (unsigned half = 0; half < 3; half++) {
		const u32 packets = half == 1 ? 1000 : 0, usecs = half == 2 ? 1000 : 0;

		policy(NET_IRQ_DRAIN, 0);
		wish(packets, usecs);
		add(1);
		CHECK(due());
		CHECK_EQ(m.deadline, 0);
		policy(NET_IRQ_DELAY, 50);
		wish(packets, usecs);
		add(1);
		CHECK(!due());
		CHECK_EQ(m.deadline, now + 50 * US);
	}
}

/* 5.1.6.5.8.4: what is pending is judged by the new parameters at once. */
static void changed_while_pending(void)
{
	policy(NET_IRQ_DRAIN, 0);
	wish(15, 1000000);
	add(10);
	CHECK(!due());
	wish(8, 1000000);
	CHECK(due());
	wish(15, 1000000);
	CHECK(!due());
	now += 5 * US;
	wish(15, 5);
	CHECK(due());
	wish(15, 6);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 1 * US);
	wish(0, 0);
	CHECK(due());
	CHECK_EQ(m.deadline, 0);
}

/* The host's own figure may be shorter than the driver's, which is a ceiling. */
static void wish_and_policy(void)
{
	policy(NET_IRQ_DELAY, 50);
	wish(100, 1000);
	add(1);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 50 * US);
	wish(100, 20);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 20 * US);
	add(99);
	CHECK(due());
	policy(NET_IRQ_PENDING, 50);
	wish(100, 30);
	add(1);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 30 * US);
	add(4);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 10 * US);
	policy(NET_IRQ_PACKET, 0);
	wish(100, 1000);
	add(1);
	CHECK(due());
	policy(NET_IRQ_ADAPTIVE, 0);
	wish(100, 1000);
	add(1);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 1000 * US);
}

/* Interrupts of so many packets each, so far apart; the gap learned then. */
static u32 traffic(unsigned interrupts, unsigned packets, u64 every)
{
	for (unsigned i = 0; i < interrupts; i++) {
		now += every;
		add(packets);
		while (!due())
			now = m.deadline;
		decided();
	}
	return m.gap_ns;
}

static void adaptive_learns(void)
{
	u32 gap = 0, before;

	policy(NET_IRQ_ADAPTIVE, 0);
	/* Thick, with few packets each: longer and longer, up to a limit. */
	for (unsigned i = 0; i < 20; i++) {
		before = gap;
		gap = traffic(64, 1, 5 * US);
		CHECK(gap >= before);
	}
	CHECK_EQ(gap, 64 * US);
	/* As thick, with many packets each: good as it is. */
	CHECK_EQ(traffic(640, 40, 5 * US), gap);
	/* Sparse: shorter and shorter, down to none. */
	for (unsigned i = 0; gap; i++) {
		CHECK(i < 20);
		before = gap;
		gap = traffic(64, 1, 1 * MS);
		CHECK(gap < before);
	}
	CHECK_EQ(traffic(640, 1, 1 * MS), 0);
	/* Many packets each from the start: nothing to learn. */
	CHECK_EQ(traffic(640, 40, 20 * US), 0);
	/* In between: neither thick nor sparse. */
	CHECK_EQ(traffic(640, 1, 100 * US), 0);
}

/* What a transmit queue has: one small packet waits for company. */
static void a_lone_packet_waits(void)
{
	policy(NET_IRQ_DRAIN, 0);
	m.lone_usecs = 1000;
	irq_add(&m, 512, now);
	CHECK(!due());
	CHECK_EQ(m.deadline, m.since + 1 * MS);
	now = m.deadline - 1;
	CHECK(!due());
	now++;
	CHECK(due());
	decided();
	CHECK_EQ(m.deadline, 0);
	/* Two do not. */
	irq_add(&m, 100, now);
	CHECK(!due());
	irq_add(&m, 100, now);
	CHECK(due());
	decided();
	/* Nor a large one: its sender may wait for the memory. */
	irq_add(&m, 513, now);
	CHECK(due());
	decided();
	irq_add(&m, 60, now);
	CHECK(!due()); /* the next is small again */
	/* Nor where the driver said what it wants, or has nothing left. */
	CHECK(irq_due(&m, now, true, true));
	wish(1, 5);
	CHECK(due());
}

static void adaptive_holds_off(void)
{
	policy(NET_IRQ_ADAPTIVE, 0);
	traffic(20 * 64, 1, 5 * US);
	CHECK_EQ(m.gap_ns, 64 * US);
	/* Right after an interrupt the next one waits, the gap long and no longer. */
	now += 1 * US;
	add(1);
	CHECK(!due());
	CHECK_EQ(m.deadline, m.last + 64 * US);
	now = m.deadline;
	CHECK(due());
	decided();
	/* Many pending ones do not make it sooner; they share it. */
	now += 1 * US;
	add(200);
	CHECK(!due());
	/* While more is coming in, the owner asks again without a deadline. */
	CHECK(!irq_due(&m, now, true, false));
	m.pending = 3;
	CHECK(!due_while_busy());
	CHECK_EQ(m.deadline, 0);
}

static void adaptive_spares_the_sparse(void)
{
	policy(NET_IRQ_ADAPTIVE, 0);
	traffic(20 * 64, 1, 5 * US);
	/* Whatever it learned: a packet that comes alone does not wait. */
	for (unsigned i = 0; i < 1000; i++) {
		now += 64 * US + i * US;
		add(1);
		CHECK(due());
		decided();
	}
	/* Nor the first of all. */
	policy(NET_IRQ_ADAPTIVE, 0);
	add(1);
	CHECK(due());
}

/* Decisions that raised nothing, as the driver was polling, teach nothing. */
static void adaptive_ignores_the_unwanted(void)
{
	policy(NET_IRQ_ADAPTIVE, 0);
	for (unsigned i = 0; i < 10000; i++) {
		now += 5 * US;
		add(1);
		CHECK(due());
		irq_decided(&m, now, false);
	}
	CHECK_EQ(m.gap_ns, 0);
}

static void the_clock(void)
{
	u64 a = irq_clock(), b = irq_clock();

	CHECK(a && b >= a);
	CHECK(b - a < 60000 * MS);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "without a packet nothing is due and no deadline is left", nothing_pending },
		{ "packet: at once", packet },
		{ "drain: when no more is waiting, or after many", drain },
		{ "delay: a fixed time after the first packet", delay },
		{ "pending: that time divided by the packets that wait", pending },
		{ "a delay of nothing is none", no_time_at_all },
		{ "a driver without buffers is told at once, whatever was set", no_buffer_left },
		{ "the driver's wish: so many packets or so much time, the first of both (5.1.6.5.8.1)", wished },
		{ "from one packet or microsecond to 2^32 - 1", wished_at_the_limits },
		{ "0 in either is no wish: the policy counts (5.1.6.5.8.1)", half_a_wish },
		{ "a new wish counts at once for what is pending (5.1.6.5.8.4)", changed_while_pending },
		{ "the shorter of the driver's and the host's delay counts", wish_and_policy },
		{ "adaptive: learns to wait in thick traffic, and to stop waiting", adaptive_learns },
		{ "one small packet sent waits for the interrupt of another", a_lone_packet_waits },
		{ "adaptive: waits for a gap after the last interrupt", adaptive_holds_off },
		{ "adaptive: never delays a sparse packet", adaptive_spares_the_sparse },
		{ "adaptive: learns only from interrupts that were raised", adaptive_ignores_the_unwanted },
		{ "the clock is in nanoseconds and does not go back", the_clock },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
