/* SPDX-License-Identifier: MIT */
/*
 * net_irq.h - when to interrupt: the host's policy, and the driver's own wish
 * (VIRTIO_NET_F_NOTF_COAL, virtio 1.3, 5.1.6.5.8).
 *
 * Used buffers are published at once, where a polling driver finds them; only
 * the interrupt is moderated.  The owner asks irq_due() once a round, not per
 * packet, and sleeps no longer than the deadline that it leaves: no timer is
 * set, no system call is made for it.
 */
#ifndef RINGLET_NET_IRQ_H
#define RINGLET_NET_IRQ_H

#include "base.h"
#include "net.h"

/* Packets that share one interrupt at most under drain (vhost-net's figure). */
#define NET_IRQ_MOST 64

/* Looking around finds something every time: to begin with. */
#define SPIN_LUCKY 256
/* Bytes; a larger packet is not a small one: somebody may wait for its memory. */
#define NET_IRQ_SMALL 512

/* One direction of one queue pair; its device thread's own. */
struct net_moderation {
	/* Constant while serving. */
	bool transmit;
	enum net_irq_policy policy;
	u32 policy_usecs;
	u32 lone_usecs; /* transmit: how long one small packet waits for company */
	/* The driver's wish; 0 in either: none, the policy counts. */
	u32 max_usecs, max_packets;

	/* adaptive: how long packets may wait, see irq_hold(); the owner's word. */
	u64 hold_ns;

	bool bulk;	  /* one of them was not small */
	unsigned pending; /* packets published since the last decision */
	u64 since;	  /* when the first of them was, ns */
	u64 deadline;	  /* when the decision is due at the latest; 0: not set */
};

/* What is known of a pair's traffic. */
struct net_pace {
	u64 frame_ns; /* what moving a frame takes, of late */
	u64 streamed; /* when the guest last sent a large one, ns */
	unsigned luck;	 /* how often looking around found something of late, in 256 */
	unsigned passes; /* chances to look since the last that was taken */
};

/* Has the driver one? */
static inline bool irq_is_wished(const struct net_moderation *m)
{
	return m->max_usecs && m->max_packets;
}

/* The queue is new: nothing is pending. */
void irq_reset(struct net_moderation *m);

/* A packet of so many bytes was published now (ns). */
void irq_add(struct net_moderation *m, u32 bytes, u64 now);

/*
 * Must it be decided on now?  drained: nothing more is waiting to be received;
 * full: the driver may have no buffer left.  If not, m->deadline says when.
 */
bool irq_due(struct net_moderation *m, u64 now, bool drained, bool full);

/* So many frames were moved in that time. */
void irq_pace(struct net_pace *p, unsigned frames, u64 ns);

/* Is it worth while to look around for more before sleeping? */
bool irq_spins(struct net_pace *p);
/* For how long, ns; and what came of it. */
u64 irq_spin(const struct net_pace *p);
void irq_spun(struct net_pace *p, bool won);

/* How long adaptive lets packets of a direction wait now; 0: not at all. */
u64 irq_hold(const struct net_pace *p, bool transmit, u64 now);

#endif
