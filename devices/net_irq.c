// SPDX-License-Identifier: MIT
/*
 * net_irq.c - the experiments of 2009 as policies, and a driver's wish above
 * them.
 *
 * packet: one interrupt per packet, the seed's "before".  drain: when no more
 * is waiting, its patch.  delay: a fixed time after the first packet.
 * pending: that time divided by the packets that wait, its 1/, 2/ and
 * 5/pending.
 *
 * A transmit queue's interrupt only lets the driver free what was sent.  For one
 * small packet that can wait for the interrupt of the packet that answers it;
 * but not for several or a large one: a sender may wait for their memory.
 *
 * adaptive: drain, but a guest that streams out is told in larger portions that
 * its frames are sent, and of the small ones, acknowledgements mostly, that
 * come back.  They wait for as long as it takes to move a few frames: that is
 * nothing to a stream, and it is not an absolute time, which would be too
 * short for one machine and ages for another.  And a small frame that comes by
 * itself, where there is no stream, does not wait for a look at whether there
 * are more: somebody waits for it.
 */
#include "net_irq.h"

/* adaptive, in the time of a frame: the waits, and how long a stream is one. */
#define HOLD_RX_FRAMES 8
#define HOLD_TX_FRAMES 3
#define STREAM_FRAMES 16
/* Who sends one after the other needs one frame's time for the next; and some more. */
#define SPIN_FRAMES 2
/* Who finds less than that takes a processor from others, and does it less often. */
#define SPIN_LUCK (SPIN_LUCKY / 2)
#define SPIN_RETRY 8
/* So many do not wait for more. */
#define HOLD_MOST 16
/* A longer time was not a frame's: the thread had to wait for a processor. */
#define FRAME_MOST_NS 500000
/* Shorter than this is not worth a sleep. */
#define HOLD_LEAST_NS 2000

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
	m->bulk |= bytes > NET_IRQ_SMALL;
}

static bool at(struct net_moderation *m, u64 now, u64 when)
{
	m->deadline = when;
	return now >= when;
}

static bool drained_or_many(const struct net_moderation *m, bool drained)
{
	return drained || m->pending >= NET_IRQ_MOST;
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
	case NET_IRQ_DRAIN:
		if (m->lone_usecs && !m->bulk && m->pending == 1)
			return at(m, now, m->since + m->lone_usecs * 1000ULL);
		if (m->policy == NET_IRQ_ADAPTIVE && !m->transmit && !m->bulk && m->pending == 1 && !m->hold_ns)
			return true;
		if (!drained_or_many(m, drained))
			return false;
		if (m->hold_ns && m->pending < HOLD_MOST && (m->transmit || !m->bulk))
			return at(m, now, m->since + m->hold_ns);
		return true;
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
	return irq_is_wished(m) ? wish_due(m, now, drained) : policy_due(m, now, drained);
}

void irq_pace(struct net_pace *p, unsigned frames, u64 ns)
{
	u64 each = MIN(ns / frames, FRAME_MOST_NS);

	p->frame_ns = p->frame_ns ? (15 * p->frame_ns + each) / 16 : each;
}

u64 irq_hold(const struct net_pace *p, bool transmit, u64 now)
{
	u64 hold = p->frame_ns * (transmit ? HOLD_TX_FRAMES : HOLD_RX_FRAMES);

	if (now - p->streamed > STREAM_FRAMES * p->frame_ns || hold < HOLD_LEAST_NS)
		return 0;
	return hold;
}

bool irq_spins(struct net_pace *p)
{
	if (p->luck < SPIN_LUCK && ++p->passes < SPIN_RETRY)
		return false;
	p->passes = 0;
	return true;
}

void irq_spun(struct net_pace *p, bool won)
{
	p->luck = (7 * p->luck + (won ? SPIN_LUCKY : 0)) / 8;
}

u64 irq_spin(const struct net_pace *p)
{
	return p->frame_ns * SPIN_FRAMES;
}
