// SPDX-License-Identifier: MIT
/*
 * virtq.c - how two who distrust each other share memory: the device's side
 * of a split virtqueue.
 *
 * The driver fills descriptors, puts the head of a chain into the available
 * ring and moves its index; we pop, use the buffers, put the head into the
 * used ring and move ours.  What is invariant: outstanding never exceeds size
 * (a driver that makes more available than it has descriptors is caught at
 * the index), and a segment handed out lies wholly in guest RAM.
 */
#include "virtq.h"

#include <assert.h>
#include <string.h>

#include "barrier.h"
#include "chaos.h"
#include "mem.h"

_Static_assert(VIRTQ_MAX_SIZE <= 1024, "a whole chain must fit one readv (UIO_MAXIOV)");

/* 2.7.7.1, 2.7.10: the two event words lie behind the rings. */
static u16 *used_event(struct virtq *vq)
{
	return (u16 *)&vq->avail->ring[vq->size];
}

static u16 *avail_event(struct virtq *vq)
{
	return (u16 *)&vq->used->ring[vq->size];
}

int virtq_init(struct virtq *vq, const struct mem *m, const struct virtq_layout *where,
	       bool event_idx, bool indirect, const char **why)
{
	u64 n = where->size;

	memset(vq, 0, sizeof(*vq));
	*why = NULL;
	if (!n || n > VIRTQ_MAX_SIZE || (n & (n - 1)))
		*why = "queue size is not a power of two within QueueNumMax";
	else if ((where->desc & 15) || (where->avail & 1) || (where->used & 3))
		*why = "queue address is not aligned";
	if (*why)
		return -1;

	/* Event words are within the checked lengths whether negotiated or not. */
	vq->desc = mem_at(m, where->desc, 16 * n);
	vq->avail = mem_at(m, where->avail, 6 + 2 * n);
	vq->used = mem_at(m, where->used, 6 + 8 * n);
	if (!vq->desc || !vq->avail || !vq->used) {
		*why = "queue is not wholly in guest memory";
		return -1;
	}
	vq->mem = m;
	vq->size = (u16)n;
	vq->event_idx = event_idx;
	vq->indirect = indirect;
	vq->asked = true; /* zeroes in the ring ask for the first kick */
	return 0;
}

void virtq_break(struct virtq *vq, const char *rule)
{
	if (!vq->broken)
		vq->broken = rule;
}

static enum virtq_pop broke(struct virtq *vq, const char *rule)
{
	virtq_break(vq, rule);
	return VIRTQ_BROKEN;
}

/* The driver's index moved: one kick at most was asked for all that is new. */
static void count_arrival(struct virtq *vq)
{
	if (vq->count && vq->asked)
		COUNT(vq->count->kicks, 1);
	else if (vq->count)
		COUNT(vq->count->kicks_suppressed, 1);
	vq->asked = false;
}

u16 virtq_waiting(struct virtq *vq)
{
	u16 n, seen = vq->seen_avail;

	if (vq->broken || !vq->size)
		return 0;
	/* Acquire: what the driver wrote before it moved the index is visible. */
	vq->seen_avail = LOAD_ACQUIRE(&vq->avail->idx);
	n = (u16)(vq->seen_avail - vq->last_avail);
	if (n + vq->outstanding > vq->size) {
		virtq_break(vq, "available index moved past the queue's size");
		return 0;
	}
	if (seen != vq->seen_avail)
		count_arrival(vq);
	return n;
}

/*
 * One copy of the guest's 16 bytes (an indirect table may have any alignment).
 * The barrier keeps the compiler from going back to the original.
 */
static struct vring_desc snapshot(const struct vring_desc *d)
{
	struct vring_desc copy;

	memcpy(&copy, d, sizeof(copy));
	compiler_barrier();
	return copy;
}

static const char *add_segment(struct virtq *vq, struct virtq_chain *c, struct iovec *iov,
			       const struct vring_desc *d)
{
	void *p;

	if (!(d->flags & VRING_DESC_F_WRITE) && c->n_in)
		return "readable descriptor behind a writable one";
	if (!d->len)
		return NULL;
	p = mem_at(vq->mem, d->addr, d->len);
	if (!p)
		return "descriptor points outside guest memory";
	iov[c->n_out + c->n_in] = (struct iovec){ .iov_base = p, .iov_len = d->len };
	if (d->flags & VRING_DESC_F_WRITE) {
		c->n_in++;
		c->in_len += d->len;
	} else {
		c->n_out++;
		c->out_len += d->len;
	}
	return NULL;
}

/*
 * Walk a chain, in the queue's own table or (once) in an indirect one.  Steps
 * are bounded by the queue size over both, so a loop ends as a broken rule.
 */
static const char *walk(struct virtq *vq, struct virtq_chain *c, struct iovec *iov, u16 head)
{
	const struct vring_desc *table = vq->desc;
	u32 entries = vq->size, i = head, steps = 0;
	const char *rule;
	bool inside = false;

	for (;;) {
		struct vring_desc d;

		if (i >= entries)
			return "descriptor index is not in the table";
		if (steps++ == vq->size)
			return "chain is longer than the queue";
		d = snapshot(&table[i]);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (!vq->indirect)
				return "indirect descriptor was not negotiated";
			if (inside)
				return "indirect descriptor in an indirect table";
			if (d.flags & VRING_DESC_F_NEXT)
				return "indirect descriptor with a next one";
			if (!d.len || d.len % sizeof(d) || d.len / sizeof(d) > vq->size)
				return "indirect table has a wrong length";
			table = mem_at(vq->mem, d.addr, d.len);
			if (!table)
				return "indirect table is not in guest memory";
			entries = d.len / sizeof(d);
			inside = true;
			steps--; /* the descriptor that holds a table is no segment */
			i = 0;
			continue;
		}
		rule = add_segment(vq, c, iov, &d);
		if (rule)
			return rule;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return NULL;
		i = d.next;
	}
}

enum virtq_pop virtq_pop(struct virtq *vq, struct virtq_chain *c, struct iovec *iov)
{
	const char *rule;
	u16 head;

	if (vq->last_avail == vq->seen_avail && !virtq_waiting(vq))
		return vq->broken ? VIRTQ_BROKEN : VIRTQ_EMPTY;
	if (vq->broken)
		return VIRTQ_BROKEN;

	head = LOAD_ONCE(&vq->avail->ring[vq->last_avail & (vq->size - 1)]);
	if (head >= vq->size)
		return broke(vq, "available ring names a descriptor that does not exist");
	*c = (struct virtq_chain){ .head = head };
	rule = walk(vq, c, iov, head);
	if (rule)
		return broke(vq, rule);
	vq->last_avail++;
	vq->outstanding++;
	return VIRTQ_CHAIN;
}

void virtq_put_used(struct virtq *vq, u32 id, u32 len)
{
	struct vring_used_elem *e = &vq->used->ring[vq->used_idx & (vq->size - 1)];

	STORE_ONCE(&e->id, id);
	STORE_ONCE(&e->len, len);
	vq->used_idx++;
}

void virtq_add_used(struct virtq *vq, u16 head, u32 len)
{
	assert(vq->outstanding);
	if (vq->chaos) {
		chaos_add_used(vq, head, len);
		return;
	}
	virtq_put_used(vq, head, len);
	vq->outstanding--;
}

static void count_batch(struct virtq_counters *c, u16 size)
{
	COUNT(c->batches, 1);
	COUNT(c->batch_size[counter_bucket(size, VIRTQ_BATCH_SIZES)], 1);
}

void virtq_publish(struct virtq *vq)
{
	if (vq->published == vq->used_idx)
		return;
	/* Release: the entries, and the data they speak of, come first. */
	STORE_RELEASE(&vq->used->idx, vq->used_idx);
	if (vq->count)
		count_batch(vq->count, (u16)(vq->used_idx - vq->published));
	vq->published = vq->used_idx;
}

bool virtq_would_interrupt(struct virtq *vq)
{
	u16 old = vq->decided, new = vq->published;

	if (old == new)
		return false;
	/*
	 * Our used->idx must be out before we read what the driver wants: it
	 * writes its wish, fences, and looks at used->idx once more.  One of
	 * us sees the other.
	 */
	smp_mb();
	if (vq->event_idx)
		return vring_need_event(LOAD_ONCE(used_event(vq)), new, old);
	return !(LOAD_ONCE(&vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

bool virtq_wants_interrupt(struct virtq *vq)
{
	bool wants = virtq_would_interrupt(vq);

	vq->decided = vq->published;
	return wants;
}

void virtq_kicks_off(struct virtq *vq)
{
	if (!vq->size)
		return;
	/* What is there by now was kicked for, and is so when it is looked at. */
	vq->asked = vq->asked && LOAD_ONCE(&vq->avail->idx) != vq->seen_avail;
	/*
	 * The driver kicks when it passes the index that we last asked for.  It
	 * may have yet to, if something else woke us: ask for one that it comes
	 * to in half of all indices' time.
	 */
	if (vq->event_idx)
		STORE_ONCE(avail_event(vq), (u16)(vq->last_avail + 0x8000));
	else
		STORE_ONCE(&vq->used->flags, VRING_USED_F_NO_NOTIFY);
}

bool virtq_kicks_on(struct virtq *vq)
{
	if (vq->broken || !vq->size)
		return false;
	if (vq->event_idx)
		STORE_ONCE(avail_event(vq), vq->last_avail);
	else
		STORE_ONCE(&vq->used->flags, 0);
	vq->asked = true;
	/*
	 * The wish must be out before the last look: the driver moves its
	 * index, fences, and reads the wish.  One of us sees the other.
	 */
	smp_mb();
	return virtq_waiting(vq) != 0;
}
