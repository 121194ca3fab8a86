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

/* One direction of one queue pair; its device thread's own. */
struct net_moderation {
	/* Constant while serving. */
	enum net_irq_policy policy;
	u32 policy_usecs;
	u32 lone_usecs; /* how long a lone packet waits for company under drain */
	/* The driver's wish; 0 in either: none, the policy counts. */
	u32 max_usecs, max_packets;

	bool bulk;	  /* one of them was large */
	unsigned pending; /* packets published since the last decision */
	u64 since;	  /* when the first of them was, ns */
	u64 deadline;	  /* when the decision is due at the latest; 0: not set */

	/* adaptive: */
	u64 last;	   /* when the last interrupt was, ns */
	u32 gap_ns;	   /* hold-off after it, learned */
	unsigned fires, fired_packets;
	u64 window;	   /* when counting them started, ns */
};

/* A clock that costs no system call, ns. */
u64 irq_clock(void);

/* The queue is new: nothing is pending.  What was learned stays. */
void irq_reset(struct net_moderation *m);

/* A packet of so many bytes was published now (ns). */
void irq_add(struct net_moderation *m, u32 bytes, u64 now);

/*
 * Must it be decided on now?  drained: nothing more is waiting to be received;
 * full: the driver may have no buffer left.  If not, m->deadline says when.
 */
bool irq_due(struct net_moderation *m, u64 now, bool drained, bool full);

/* It was decided on; raised: an interrupt went out. */
void irq_decided(struct net_moderation *m, u64 now, bool raised);

#endif
