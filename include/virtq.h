/* SPDX-License-Identifier: MIT */
/*
 * virtq.h - the device's side of a split virtqueue (virtio 1.2, 2.7).
 *
 * Pure functions over guest memory: no system call, no thread, no idea what
 * the buffers mean.  A queue has one owner at a time, and only the owner may
 * call anything here.
 *
 * The guest can change every byte of a ring at any moment.  So each word is
 * read once into a private copy, checked there, and only the copy is used;
 * what a chain's descriptors said when it was popped is what they say for
 * ever.  A guest that breaks a rule gets a broken queue: from then on every
 * pop says VIRTQ_BROKEN, and broken names the rule.
 */
#ifndef RINGLET_VIRTQ_H
#define RINGLET_VIRTQ_H

#include <linux/virtio_ring.h>
#include <sys/uio.h>

#include "base.h"
#include "counter.h"

struct chaos;
struct mem;

#define VIRTQ_MAX_SIZE 1024
#define VIRTQ_BATCH_SIZES 11 /* 1, 2-3, 4-7, ..., 1024 and more */

#define VIRTQ_COUNTERS(ONE, MANY)                                                              \
	ONE(kicks, 0, "times new buffers were found after a kick for them was asked for")      \
	ONE(kicks_suppressed, 0, "times new buffers were found that needed no kick")           \
	ONE(batches, 0, "times used buffers were shown to the driver")                         \
	MANY(batch_size, VIRTQ_BATCH_SIZES, 0, "batches by their size: 1, 2-3, 4-7, ..., 1024 and more")

struct virtq_counters {
	VIRTQ_COUNTERS(COUNTER_ONE, COUNTER_MANY)
};

enum virtq_pop {
	VIRTQ_EMPTY,
	VIRTQ_CHAIN,
	VIRTQ_BROKEN,
};

/* A popped chain: segments [0, n_out) of its iovec are for the device to
 * read, [n_out, n_out + n_in) for it to write.  Empty segments are left out. */
struct virtq_chain {
	u16 head;  /* what virtq_add_used() wants back */
	u16 n_out;
	u16 n_in;
	u64 out_len; /* bytes */
	u64 in_len;
};

struct virtq {
	/* Set by virtq_init(), constant while the queue runs. */
	const struct mem *mem;
	u16 size;     /* power of two; 0: the queue is not in use */
	bool event_idx;
	bool indirect;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;

	/* The owner's cursors, all free-running. */
	u16 last_avail;	 /* next entry of the available ring to pop */
	u16 seen_avail;	 /* the driver's index as we last read it */
	u16 used_idx;	 /* next entry of the used ring to fill */
	u16 published;	 /* how far the driver may read */
	u16 decided;	 /* published at the last decision on an interrupt */
	u16 outstanding; /* popped and not yet given back */
	const char *broken; /* the rule that the guest broke, or NULL */
	bool asked;	 /* for a kick, for what was not seen yet */
	struct virtq_counters *count; /* the owner's, which it sets after virtq_init(), or NULL */
	struct chaos *chaos; /* the same; NULL: what the driver reads is true */
};

/* Where the driver says the parts of a queue are. */
struct virtq_layout {
	u16 size;
	u64 desc, avail, used; /* gpa */
};

/*
 * Take over a queue that the driver has just set up, cursors at zero.  0, or
 * -1 with *why set when size, alignment (2.7) or addresses are not allowed;
 * the queue is not in use then.
 */
int virtq_init(struct virtq *vq, const struct mem *m, const struct virtq_layout *where,
	       bool event_idx, bool indirect, const char **why) MUST_CHECK;

/*
 * Next chain.  iov must have room for VIRTQ_MAX_SIZE segments: a chain may
 * have as many as the queue has entries, and no more (2.7.5.3.1).
 */
enum virtq_pop virtq_pop(struct virtq *vq, struct virtq_chain *chain, struct iovec *iov) MUST_CHECK;

/* How many chains wait, by a fresh look at the driver's index. */
u16 virtq_waiting(struct virtq *vq);

/* Give a chain back, len bytes written into it.  Not visible until published. */
void virtq_add_used(struct virtq *vq, u16 head, u32 len);
/* The entry by itself, for chaos.c: whatever it says. */
void virtq_put_used(struct virtq *vq, u32 id, u32 len);
/* Let the driver see all that was added. */
void virtq_publish(struct virtq *vq);
/*
 * Decide, once, on an interrupt for everything published since the last
 * decision: whether the driver wants one (2.7.7).
 */
bool virtq_wants_interrupt(struct virtq *vq) MUST_CHECK;

/* Whether it would say yes, without deciding. */
bool virtq_would_interrupt(struct virtq *vq) MUST_CHECK;

/*
 * Kicks are wanted only by a device that is about to sleep.  off() is a hint
 * that costs no fence.  on() returns true when a chain came in meanwhile: look
 * again instead of sleeping, no kick will come for it.
 */
void virtq_kicks_off(struct virtq *vq);
bool virtq_kicks_on(struct virtq *vq) MUST_CHECK;

/* The queue is not to be touched again until virtq_init(). */
void virtq_break(struct virtq *vq, const char *rule);

#endif
