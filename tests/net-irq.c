// SPDX-License-Identifier: MIT
/*
 * net-irq.c - when an interrupt is due, by each policy and by the driver's own
 * wish, on a clock that the test moves.  Clauses are those of virtio 1.3.
 */
#include "../devices/net_irq.h"

#include "check.h"
#include "clock.h"

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
	irq_reset(&m);
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
			m.hold_ns = 64000;
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

/* A pair that moves frames of so much time each, and sent a large one now. */
static struct net_pace streaming(u64 frame_ns)
{
	struct net_pace p = { .streamed = now };

	for (unsigned i = 0; i < 200; i++)
		irq_pace(&p, 10, 10 * frame_ns);
	return p;
}

static void the_pace(void)
{
	struct net_pace p = { 0 };

	irq_pace(&p, 4, 40 * US);
	CHECK_EQ(p.frame_ns, 10 * US); /* the first is taken for what it is */
	irq_pace(&p, 1, 26 * US);
	CHECK_EQ(p.frame_ns, 11 * US);
	/* An accident is no pace: it counts for 500 us at most. */
	irq_pace(&p, 1, 5000 * MS);
	CHECK_EQ(p.frame_ns, (15 * 11 * US + 500 * US) / 16);
	CHECK(streaming(7 * US).frame_ns <= 7 * US);
	CHECK(streaming(7 * US).frame_ns > 6 * US);
}

/* In frames' times, so that it is as much on a slow machine as on a fast one. */
static void the_hold(void)
{
	struct net_pace p = { .frame_ns = 10 * US, .streamed = now };

	now = 5000 * MS;
	p.streamed = now;
	CHECK_EQ(irq_hold(&p, true, now), 30 * US);
	CHECK_EQ(irq_hold(&p, false, now), 80 * US);
	/* For as long as the stream is one. */
	CHECK_EQ(irq_hold(&p, true, now + 160 * US), 30 * US);
	CHECK_EQ(irq_hold(&p, true, now + 160 * US + 1), 0);
	CHECK_EQ(irq_hold(&p, false, now + 160 * US + 1), 0);
	/* Too little to sleep for. */
	p.frame_ns = 666;
	CHECK_EQ(irq_hold(&p, true, now), 0);
	CHECK_EQ(irq_hold(&p, false, now), 5328);
	/* Where nothing was sent yet there is no stream. */
	p = (struct net_pace){ .frame_ns = 10 * US };
	CHECK_EQ(irq_hold(&p, true, now), 0);
}

/* As long as two frames take; with no frame so far there is nothing to wait for. */
static void the_spin(void)
{
	struct net_pace p = { 0 };

	CHECK_EQ(irq_spin(&p), 0);
	irq_pace(&p, 4, 40 * US);
	CHECK_EQ(irq_spin(&p), 20 * US);
	p = (struct net_pace){ 0 };
	irq_pace(&p, 1, 5000 * MS);
	CHECK_EQ(irq_spin(&p), 1 * MS); /* and no longer, whatever happens */
}

/* Who finds nothing leaves it be but for a try now and then, until that finds something again. */
static void the_luck(void)
{
	struct net_pace p = { .luck = SPIN_LUCKY };
	unsigned lost = 0, tries = 0;

	while (irq_spins(&p) && ++lost < 100)
		irq_spun(&p, false);
	CHECK(lost > 1 && lost < 10);
	for (unsigned i = 0; i < 800; i++)
		if (irq_spins(&p)) {
			tries++;
			irq_spun(&p, false);
		}
	CHECK_EQ(tries, 100);
	/* One thing found, it may be chance. */
	while (!irq_spins(&p))
		;
	irq_spun(&p, true);
	CHECK(!irq_spins(&p));
	for (unsigned i = 0; i < 100; i++)
		if (irq_spins(&p))
			irq_spun(&p, true);
	for (unsigned i = 0; i < 100; i++) {
		CHECK(irq_spins(&p));
		irq_spun(&p, i % 4 != 0);
	}
}

/* Small and by itself, it is what somebody waits for. */
static void adaptive_and_alone(void)
{
	for (enum net_irq_policy p = NET_IRQ_DRAIN; p <= NET_IRQ_ADAPTIVE; p++) {
		bool at_once = p == NET_IRQ_ADAPTIVE;

		if (p != NET_IRQ_DRAIN && !at_once)
			continue;
		policy(p, 0);
		irq_add(&m, 512, now);
		CHECK_EQ(due_while_busy(), at_once);
		irq_add(&m, 66, now);
		CHECK(!due_while_busy()); /* there are two */
		decided();
		irq_add(&m, 513, now);
		CHECK(!due_while_busy());
		decided();
		m.transmit = true;
		irq_add(&m, 66, now);
		CHECK(!due_while_busy());
	}
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

/* Of what comes in, small packets wait for company, others do not. */
static void adaptive_receives(void)
{
	policy(NET_IRQ_ADAPTIVE, 0);
	add(1);
	CHECK(due()); /* nobody streams */
	decided();
	m.hold_ns = 60 * US;
	irq_add(&m, 66, now);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 60 * US);
	now += 60 * US - 1;
	CHECK(!due());
	now++;
	CHECK(due());
	decided();
	/* Sixteen are company enough. */
	for (unsigned i = 0; i < 15; i++) {
		irq_add(&m, 66, now);
		CHECK(!due());
	}
	irq_add(&m, 66, now);
	CHECK(due());
	decided();
	/* A large one may be what somebody waits for. */
	irq_add(&m, 66, now);
	CHECK(!due());
	irq_add(&m, 513, now);
	CHECK(due());
	decided();
	/* While more is coming in, the owner asks again without a deadline. */
	irq_add(&m, 66, now);
	now += 1 * MS;
	CHECK(!due_while_busy());
	CHECK_EQ(m.deadline, 0);
	CHECK(due());
	/* Nor does anything wait where drain is the policy, or no buffer is left. */
	CHECK(irq_due(&m, m.since, true, true));
	m.hold_ns = 0;
	CHECK(irq_due(&m, m.since, true, false));
}

static void adaptive_sends(void)
{
	policy(NET_IRQ_ADAPTIVE, 0);
	m.transmit = true;
	add(3);
	CHECK(due());
	decided();
	m.hold_ns = 20 * US;
	add(15);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 20 * US);
	add(1);
	CHECK(due());
	decided();
	/* One small packet has its own time. */
	m.lone_usecs = 1000;
	irq_add(&m, 66, now);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 1 * MS);
	add(1);
	CHECK(!due());
	CHECK_EQ(m.deadline, now + 20 * US);
}

static void the_clock(void)
{
	u64 a = clock_ns(), b = clock_ns();

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
		{ "adaptive: learns what moving a frame takes", the_pace },
		{ "adaptive: a guest that streams out is told a few frames' times later", the_hold },
		{ "before sleeping: two frames' times, and 1 ms at most", the_spin },
		{ "looking around stops where it seldom finds anything", the_luck },
		{ "adaptive: one small packet received by itself does not wait", adaptive_and_alone },
		{ "one small packet sent waits for the interrupt of another", a_lone_packet_waits },
		{ "adaptive: what is received waits if it is small, and a little", adaptive_receives },
		{ "adaptive: what was sent waits for more that was", adaptive_sends },
		{ "the clock is in nanoseconds and does not go back", the_clock },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
