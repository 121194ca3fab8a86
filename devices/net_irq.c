// SPDX-License-Identifier: MIT
/*
 * net_irq.c - the experiments of 2009 as policies, and a driver's wish above
 * them.
 *
 * packet: one interrupt per packet, the seed's "before".  drain: when no more
 * is waiting, its patch.  delay: a fixed time after the first packet.
 * pending: that time divided by the packets that wait, its 1/, 2/ and
 * 5/pending.  adaptive: drain, but not sooner after the last interrupt than a
 * gap, which grows while interrupts come thick with few packets each and
 * shrinks when they do not; a sparse packet never waits.
 *
 * A transmit queue's interrupt only lets the driver free what was sent.  For one
 * small packet that can wait for the interrupt of the packet that answers it;
 * but not for several or a large one: a sender may wait for their memory.
 */
#include "net_irq.h"

#include <time.h>

/* Packets that share one interrupt at most under drain (vhost-net's figure). */
#define DRAIN_MAX 64

/* Larger than this is not a lone packet: a sender may wait for its memory. */
#define LONE_BYTES 512

/* adaptive: */
#define WINDOW 64	 /* interrupts between two lessons */
#define BUSY_NS 50000	 /* more often than this on average is thick */
#define SPARSE_NS 200000 /* less often than this is thin */
#define GAP_MIN_NS 4000
#define GAP_MAX_NS 64000
#define ENOUGH 16 /* packets per interrupt that need no help */

u64 irq_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

void irq_reset(struct net_moderation *m)
{
	m->pending = 0;
	m->bulk = false;
	m->deadline = 0;
}

void irq_add(struct net_moderation *m, u32 bytes, u64 now)
{
	if (!m->pending)
		m->since = now;
	m->pending++;
	m->bulk |= bytes > LONE_BYTES;
}

static bool at(struct net_moderation *m, u64 now, u64 when)
{
	m->deadline = when;
	return now >= when;
}

static bool drained_or_many(const struct net_moderation *m, bool drained)
{
	return drained || m->pending >= DRAIN_MAX;
}

static bool policy_due(struct net_moderation *m, u64 now, bool drained)
{
	u64 delay = m->policy_usecs * 1000ULL;

	switch (m->policy) {
	case NET_IRQ_DELAY:
		return at(m, now, m->since + delay);
	case NET_IRQ_PENDING:
		return at(m, now, m->since + delay / m->pending);
	case NET_IRQ_ADAPTIVE:
		if (!drained_or_many(m, drained))
			return false;
		return !m->gap_ns || at(m, now, m->last + m->gap_ns);
	case NET_IRQ_DRAIN:
		if (m->lone_usecs && !m->bulk && m->pending == 1)
			return at(m, now, m->since + m->lone_usecs * 1000ULL);
		return drained_or_many(m, drained);
	case NET_IRQ_PACKET:
		break;
	}
	return true;
}

/* The driver's wish; a fixed delay of the host's may be shorter. */
static bool wish_due(struct net_moderation *m, u64 now, bool drained)
{
	u64 wish = m->since + m->max_usecs * 1000ULL;

	if (m->pending >= m->max_packets || m->policy == NET_IRQ_PACKET)
		return true;
	if ((m->policy == NET_IRQ_DELAY || m->policy == NET_IRQ_PENDING) && policy_due(m, now, drained))
		return true;
	return at(m, now, m->deadline ? MIN(m->deadline, wish) : wish);
}

bool irq_due(struct net_moderation *m, u64 now, bool drained, bool full)
{
	m->deadline = 0;
	if (!m->pending)
		return false;
	if (full)
		return true;
	return m->max_usecs && m->max_packets ? wish_due(m, now, drained) : policy_due(m, now, drained);
}

static void learn(struct net_moderation *m, u64 now)
{
	u64 average = (now - m->window) / WINDOW;

	if (average > SPARSE_NS)
		m->gap_ns /= 2;
	else if (average < BUSY_NS && m->fired_packets < WINDOW * ENOUGH)
		m->gap_ns = MIN(MAX(2 * m->gap_ns, (u32)GAP_MIN_NS), (u32)GAP_MAX_NS);
	if (m->gap_ns < GAP_MIN_NS)
		m->gap_ns = 0;
	m->fires = m->fired_packets = 0;
	m->window = now;
}

void irq_decided(struct net_moderation *m, u64 now, bool raised)
{
	if (raised && m->policy == NET_IRQ_ADAPTIVE) {
		m->last = now;
		m->fired_packets += m->pending;
		if (++m->fires == WINDOW)
			learn(m, now);
	}
	irq_reset(m);
}
