/* SPDX-License-Identifier: MIT */
/*
 * chaos.h - a device that lies on purpose, for authors of drivers: buffers come
 * back late, twice, in the wrong order, with wrong numbers and lengths, or not
 * at all.  What it does is the same for the same seed and the same sequence of
 * buffers.  The device's own rules still hold for what the guest gives it.
 */
#ifndef RINGLET_CHAOS_H
#define RINGLET_CHAOS_H

#include "base.h"

struct virtq;

enum chaos_kind {
	CHAOS_DELAY,   /* a buffer comes back up to 10 ms later */
	CHAOS_DROP,    /* it never does */
	CHAOS_DUP,     /* it comes back twice */
	CHAOS_REORDER, /* behind the one after it */
	CHAOS_BADID,   /* another one comes back in its place, or one that does not exist */
	CHAOS_LEN,     /* with a length that is wrong */
	CHAOS_IRQ,     /* an interrupt for nothing; of rounds of the device's thread, not of buffers */
	CHAOS_KINDS,
};

#define CHAOS_ALWAYS 1000000

struct chaos_config {
	bool on;
	u64 seed;
	u32 millionth[CHAOS_KINDS]; /* how often, of CHAOS_ALWAYS */
};

/* "delay", ...; NULL behind the last. */
const char *chaos_name(unsigned kind);

/* What follows is of one queue, and its owner's. */

#define CHAOS_HELD 16

struct chaos {
	const struct chaos_config *config;
	u64 random;
	unsigned n;
	struct chaos_held {
		u16 head;
		bool next; /* comes back behind the next one */
		u32 len;
		u64 wait; /* ns, from when the owner looks next */
		u64 due;  /* ns; 0: it has not looked yet */
	} held[CHAOS_HELD];
};

/* The number tells those with the same seed apart.  Nothing is held back. */
void chaos_init(struct chaos *c, const struct chaos_config *config, unsigned number);
/* virtq_add_used() of a queue that has a vq->chaos. */
void chaos_add_used(struct virtq *vq, u16 head, u32 len);
/* Give back what was held back long enough; how many buffers. */
unsigned chaos_release(struct virtq *vq, u64 now);
/* When there will be more of that, ns; 0: never. */
u64 chaos_deadline(const struct chaos *c);
/* Whether now an interrupt comes for nothing; of a struct of its own. */
bool chaos_interrupts(struct chaos *c);

#endif
