// SPDX-License-Identifier: MIT
/*
 * net_rx.c - wire to guest, without losing or cutting a frame.
 *
 * A tap gives a frame to the first read that comes and cuts it to that read's
 * size, silently.  So every read must have room for the largest frame there
 * is.  Offering that much guest memory per read would eat the receive ring
 * (43 buffers for a 66-byte packet), so a read is made of some guest buffers,
 * as many as recent frames needed, and a private spill behind them.  Nearly
 * every frame lands in guest memory; the tail of one that is larger than
 * expected is copied from the spill into further buffers, and if the guest
 * has none, the frame waits there, and those after it wait in the tap.
 *
 * Invariant: frames reach the guest in the order in which the engine reported
 * them, which is the order in which the tap gave them out.
 */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "barrier.h"
#include "log.h"
#include "net_worker.h"

#define SPILL_SIZE ALIGN_UP(TAP_MAX_FRAME, 4096)
#define MAX_BURST (ENGINE_READS - 1)
/* Waiting reads when there is no other way to read ahead: see engine.h. */
#define MAX_WAITING 3
#define MAX_FAILURES 16

/* What of the header is not the tap's: all there is behind this. */
struct header_tail {
	u16 num_buffers;
	u32 hash_value;
	u16 hash_report, padding;
} __attribute__((packed));

#define TAIL_AT offsetof(struct virtio_net_hdr_v1, num_buffers)
_Static_assert(sizeof(struct virtio_net_hdr_v1) == TAP_HEADER, "the header is the tap's");
_Static_assert(TAIL_AT + sizeof(struct header_tail) == TAP_HEADER_HASH, "and with a hash");

int rx_init(struct net_rx *rx)
{
	rx->pool = calloc(VIRTQ_MAX_SIZE, sizeof(*rx->pool));
	rx->free = calloc(VIRTQ_MAX_SIZE, sizeof(*rx->free));
	rx->spare = calloc(VIRTQ_MAX_SIZE, sizeof(*rx->spare));
	/* Touched only where a frame spills: mostly it stays address space. */
	rx->spills = mmap(NULL, ENGINE_READS * SPILL_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!rx->pool || !rx->free || !rx->spare || rx->spills == MAP_FAILED) {
		rx_fini(rx);
		return -ENOMEM;
	}
	madvise(rx->spills, ENGINE_READS * SPILL_SIZE, MADV_NOHUGEPAGE);
	for (unsigned i = 0; i < ENGINE_READS; i++)
		rx->slot[i].spill = rx->spills + i * SPILL_SIZE;
	rx_reset(rx);
	return 0;
}

void rx_fini(struct net_rx *rx)
{
	free(rx->pool);
	free(rx->free);
	free(rx->spare);
	if (rx->spills && rx->spills != MAP_FAILED)
		munmap(rx->spills, ENGINE_READS * SPILL_SIZE);
}

void rx_reset(struct net_rx *rx)
{
	assert(!rx->in_flight);
	for (unsigned i = 0; i < VIRTQ_MAX_SIZE; i++)
		rx->free[i] = &rx->pool[VIRTQ_MAX_SIZE - 1 - i];
	rx->n_free = VIRTQ_MAX_SIZE;
	rx->n_spare = 0;
	rx->idle_slots = (1u << ENGINE_READS) - 1;
	rx->waiting = rx->n_done = 0;
	rx->depth = 2048;
	rx->burst = rx->came = 0;
	rx->starved = rx->cancelling = rx->dead = false;
	rx->failures = 0;
	irq_reset(&rx->irq);
}

/* Next chain: one that was left over (its memory is the warmest), or a new one. */
static struct rx_chain *fetch(struct net_worker *w)
{
	struct net_rx *rx = &w->rx;
	struct iovec iov[VIRTQ_MAX_SIZE];
	struct virtq_chain c;
	struct rx_chain *r;

	if (rx->n_spare)
		return rx->spare[--rx->n_spare];
	if (virtq_pop(rx->vq, &c, iov) != VIRTQ_CHAIN)
		return NULL;
	assert(rx->n_free);
	r = rx->free[--rx->n_free];
	r->head = c.head;
	/* Of a chain with more segments than anybody posts, we use the first. */
	r->n_iov = MIN(c.n_in, RX_CHAIN_IOV);
	r->len = 0;
	for (unsigned i = 0; i < r->n_iov; i++) {
		r->iov[i] = iov[i];
		r->iov[i].iov_len = MIN(iov[i].iov_len, (size_t)TAP_MAX_FRAME);
		r->len += r->iov[i].iov_len;
	}
	if (c.n_out)
		virtq_break(rx->vq, "readable descriptor in a receive chain");
	else if (r->len < w->header)
		virtq_break(rx->vq, "receive chain has no room for the header");
	if (rx->vq->broken) {
		/* Not to the spare ones: a read that is still posted would use it. */
		rx->free[rx->n_free++] = r;
		return NULL;
	}
	return r;
}

static void put_back(struct net_rx *rx, struct rx_slot *s, unsigned from)
{
	while (s->n_chains > from)
		rx->spare[rx->n_spare++] = s->chain[--s->n_chains];
}

/* Take chains for a read: depth bytes' worth, or one where only one may be. */
static bool take_chains(struct net_worker *w, struct rx_slot *s)
{
	struct net_rx *rx = &w->rx;
	unsigned n = 0;

	s->n_chains = 0;
	s->direct = 0;
	while (!s->n_chains || (rx->mergeable && s->direct < rx->depth)) {
		struct rx_chain *c = fetch(w);

		if (!c)
			break;
		s->chain[s->n_chains++] = c;
		if (n + c->n_iov > RX_READ_IOV) {
			put_back(rx, s, s->n_chains - 1u);
			break;
		}
		memcpy(&s->iov[n], c->iov, c->n_iov * sizeof(c->iov[0]));
		n += c->n_iov;
		s->direct += c->len;
	}
	s->iov[n] = (struct iovec){ .iov_base = s->spill, .iov_len = SPILL_SIZE };
	return s->n_chains;
}

void rx_forget(struct net_rx *rx)
{
	for (unsigned i = 0; i < rx->n_done; i++) {
		put_back(rx, &rx->slot[rx->done[i]], 0);
		rx->idle_slots |= 1u << rx->done[i];
	}
	rx->n_done = 0;
	rx->starved = false;
}

static unsigned count_iov(const struct rx_slot *s)
{
	unsigned n = 1; /* the spill */

	for (unsigned i = 0; i < s->n_chains; i++)
		n += s->chain[i]->n_iov;
	return n;
}

static bool post_one(struct net_worker *w, bool wait)
{
	struct net_rx *rx = &w->rx;
	unsigned i;
	struct rx_slot *s;

	if (!rx->idle_slots)
		return false;
	i = (unsigned)__builtin_ctz(rx->idle_slots);
	s = &rx->slot[i];
	if (!take_chains(w, s))
		return false;
	s->waits = wait;
	rx->idle_slots &= ~(1u << i);
	rx->in_flight++;
	rx->waiting += wait;
	w->engine->ops->read(w->engine, i, s->iov, count_iov(s), wait);
	return true;
}

/*
 * One read always waits in the tap, which also is what wakes us.  Those that
 * run ahead of it are as many as found a frame lately: none on a quiet wire,
 * where a packet costs one read, up to MAX_BURST under load, where a round
 * moves that many with one system call.
 */
unsigned rx_post(struct net_worker *w)
{
	struct net_rx *rx = &w->rx;
	unsigned posted = 0, ahead = rx->burst, wait = 1;
	bool was_starved = rx->starved;

	if (!rx->vq || rx->off || rx->dead || rx->n_done || rx->cancelling)
		return 0;
	rx->starved = false;
	rx->came = 0;
	if (!w->engine->nowait) {
		wait = MIN(1 + rx->burst, MAX_WAITING);
		ahead = 0;
	}
	if (rx->waiting >= wait)
		return 0;
	while (posted < ahead && post_one(w, false))
		posted++;
	while (rx->waiting < wait && post_one(w, true))
		posted++;
	/*
	 * Starved is to have no buffer, nor a read that may bring one back: those
	 * ahead that took the last and find nothing do, and then one of them waits.
	 */
	if (!posted && !rx->waiting) {
		rx->starved = true;
		if (!was_starved)
			COUNT(w->count.rx.starved, 1);
	}
	return posted;
}

void rx_adapt(struct net_rx *rx, unsigned posted)
{
	if (posted)
		rx->burst = rx->came < posted ? rx->came : MIN(2 * rx->burst + 1, MAX_BURST);
}

void rx_completed(struct net_worker *w, unsigned slot, int result)
{
	struct net_rx *rx = &w->rx;
	struct rx_slot *s = &rx->slot[slot];

	rx->in_flight--;
	rx->waiting -= s->waits;
	if (!rx->in_flight)
		rx->cancelling = false;
	if (result >= (int)w->header && result <= TAP_MAX_FRAME) {
		s->frame = (u32)result;
		rx->done[rx->n_done++] = (u8)slot;
		rx->came++;
		rx->failures = 0;
		return;
	}
	put_back(rx, s, 0);
	rx->idle_slots |= 1u << slot;
	if (result == -EAGAIN || result == -ECANCELED || result == -EINTR)
		return;
	if (result > TAP_MAX_FRAME) { /* nothing that a tap gives: it may be cut */
		COUNT(w->count.rx.drop_too_big, 1);
		rx->came++;
		return;
	}
	COUNT(w->count.rx.errors, 1);
	/* One frame's trouble is not the tap's: go on, but not for ever. */
	if (++rx->failures == MAX_FAILURES && !rx->dead) {
		rx->dead = true;
		guest_warn("tap %s cannot be read any more (%s): the guest receives nothing until its driver resets the device",
			   w->tap_name, result < 0 ? strerror(-result) : "frames without a header");
	}
}

/* The first n bytes of what came, or fewer if the frame is shorter. */
static size_t peek(const struct rx_slot *s, u8 *to, size_t n)
{
	size_t have = 0;

	n = MIN(n, s->frame);
	if (!s->direct) { /* withdrawn: all of it is in the spill */
		memcpy(to, s->spill, n);
		return n;
	}
	for (unsigned i = 0; have < n; i++) {
		size_t part = MIN(s->iov[i].iov_len, n - have);

		memcpy(to + have, s->iov[i].iov_base, part);
		have += part;
	}
	return have;
}

/* Does the guest take this frame as it is?  (5.1.6.4) */
static bool is_acceptable(const struct net_rx *rx, const struct virtio_net_hdr_v1 *h)
{
	u8 type = h->gso_type & (u8)~VIRTIO_NET_HDR_GSO_ECN;

	if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !rx->csum_allowed)
		return false;
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	/* The ECN flag is a bit of its own on top of a TCP type. */
	return type < 7 && (rx->gso_allowed & 1u << type) &&
	       (!(h->gso_type & VIRTIO_NET_HDR_GSO_ECN) || (rx->gso_allowed & 1u << 7));
}

/* Complete a header of so many bytes: tun leaves its end to us. */
static void finish_header(const struct rx_chain *c, const struct header_tail *tail, size_t header)
{
	size_t at = TAIL_AT, left = header - at;
	const u8 *from = (const u8 *)tail;

	for (unsigned i = 0; left; i++) {
		while (left && at < c->iov[i].iov_len) {
			((u8 *)c->iov[i].iov_base)[at++] = *from++;
			left--;
		}
		at -= MIN(at, c->iov[i].iov_len);
	}
}

/* Copy len bytes of the spill into a chain. */
static void fill(const struct rx_chain *c, const u8 *from, u32 len)
{
	for (unsigned i = 0; len; i++) {
		u32 n = MIN(len, (u32)c->iov[i].iov_len);

		memcpy(c->iov[i].iov_base, from, n);
		from += n;
		len -= n;
	}
}

enum placed { PLACED, DROPPED, MUST_WAIT };

/*
 * Find room for what went into the spill.  A frame that no number of the
 * guest's buffers can hold is dropped: those are all ours already, or more
 * than a frame may take, or only one may be used.
 */
static enum placed add_chains(struct net_worker *w, struct rx_slot *s)
{
	struct net_rx *rx = &w->rx;
	u32 room = 0;

	for (unsigned i = 0; i < s->n_chains; i++)
		room += s->chain[i]->len;
	while (room < s->frame) {
		struct rx_chain *c;

		if (!rx->mergeable || s->n_chains == RX_FRAME_CHAINS)
			return DROPPED;
		c = fetch(w);
		if (!c)
			return s->n_chains == rx->vq->size ? DROPPED : MUST_WAIT;
		s->chain[s->n_chains++] = c;
		room += c->len;
	}
	return PLACED;
}

static void copy_spill(struct rx_slot *s)
{
	u32 at = 0, tail = s->frame - s->direct;
	const u8 *from = s->spill;

	for (unsigned i = 0; tail; i++) {
		struct rx_chain *c = s->chain[i];

		/* Whole chains were in the read: those before are full. */
		if (at >= s->direct) {
			u32 n = MIN(c->len, tail);

			fill(c, from, n);
			from += n;
			tail -= n;
		}
		at += c->len;
	}
}

static void give(struct net_rx *rx, struct rx_slot *s)
{
	u32 left = s->frame;
	unsigned n = 0;

	while (left) {
		struct rx_chain *c = s->chain[n++];
		u32 len = MIN(left, c->len);

		virtq_add_used(rx->vq, c->head, len);
		rx->free[rx->n_free++] = c;
		left -= len;
	}
	/* Those given are at the front; keep the others. */
	memmove(s->chain, s->chain + n, (s->n_chains - n) * sizeof(s->chain[0]));
	s->n_chains -= (u16)n;
}

static inline __attribute__((always_inline)) enum placed place(struct net_worker *w, struct rx_slot *s, bool watched)
{
	struct net_rx *rx = &w->rx;
	u8 head[TAP_HEADER_HASH + HASH_FRAME_HEAD];
	const u8 *frame = head + w->header;
	size_t have = peek(s, head, w->header + rx->looks_at) - w->header;
	struct header_tail tail = { 0 };
	struct virtio_net_hdr_v1 h;
	enum placed r;
	u32 left = s->frame, hash;

	memcpy(&h, head, sizeof(h));
	if (!filter_accepts(&rx->filter, frame, have)) {
		COUNT(w->count.rx.filtered, 1);
		return DROPPED;
	}
	if (!is_acceptable(rx, &h)) {
		COUNT(w->count.rx.drop_declined, 1);
		return DROPPED;
	}
	r = add_chains(w, s);
	if (r == DROPPED)
		COUNT(w->count.rx.drop_too_big, 1);
	if (r != PLACED)
		return r;
	if (s->frame > s->direct) {
		copy_spill(s);
		COUNT(w->count.rx.spilled, 1);
	}
	for (; left; tail.num_buffers++)
		left -= MIN(left, s->chain[tail.num_buffers]->len);
	if (rx->reports_hash) {
		tail.hash_report = hash_frame(rx->hash_table, rx->hash.types, frame, have, &hash);
		tail.hash_value = hash;
	}
	finish_header(s->chain[0], &tail, w->header);
	/* 5.1.6.4.1; tun says "the checksum is good" unasked.  They are its first byte. */
	if (!rx->csum_allowed)
		*(u8 *)s->chain[0]->iov[0].iov_base = 0;
	if (watched) {
		h.num_buffers = tail.num_buffers;
		h.flags = rx->csum_allowed ? h.flags : 0;
		watch_received(w, s, &h);
	}
	give(rx, s);
	COUNT(w->count.rx.packets, 1);
	COUNT(w->count.rx.bytes, s->frame - w->header);
	COUNT(w->count.rx.gso, h.gso_type != VIRTIO_NET_HDR_GSO_NONE);
	return PLACED;
}

/*
 * Move a frame out of the guest's buffers into its spill, where there is room
 * for the largest, so that an older one can have them.
 */
static void withdraw(struct net_rx *rx, struct rx_slot *s)
{
	u32 n = MIN(s->frame, s->direct), at = 0;

	memmove(s->spill + n, s->spill, s->frame - n);
	for (unsigned i = 0; at < n; i++) {
		u32 len = MIN(n - at, (u32)s->iov[i].iov_len);

		memcpy(s->spill + at, s->iov[i].iov_base, len);
		at += len;
	}
	s->direct = 0;
	put_back(rx, s, 0);
}

/* Withdraw the newest frame behind done[n] that holds buffers. */
static bool withdraw_one(struct net_rx *rx, unsigned n)
{
	for (unsigned i = rx->n_done; --i > n;) {
		struct rx_slot *s = &rx->slot[rx->done[i]];

		if (s->n_chains) {
			withdraw(rx, s);
			return true;
		}
	}
	return false;
}

static inline __attribute__((always_inline)) unsigned deliver(struct net_worker *w, bool watched)
{
	struct net_rx *rx = &w->rx;
	unsigned given = 0, n = 0;

	while (n < rx->n_done) {
		unsigned i = rx->done[n];
		struct rx_slot *s = &rx->slot[i];
		enum placed r;

		r = place(w, s, watched);
		if (r == MUST_WAIT) {
			/*
			 * What it lacks may be under later frames or, see
			 * below, in reads that wait for some.  The guest need
			 * not have more: get them back, or all wait for ever.
			 */
			if (!rx->in_flight && withdraw_one(rx, n))
				continue;
			if (!rx->starved)
				COUNT(w->count.rx.starved, 1);
			rx->starved = true;
			break;
		}
		/* A peak at once, back slowly: bulk streams have small frames too. */
		rx->depth = MAX(s->frame, rx->depth - rx->depth / 16);
		put_back(rx, s, 0);
		rx->idle_slots |= 1u << i;
		n++;
		if (watched && r == DROPPED)
			watch_dropped(w);
		if (r != PLACED)
			continue;
		given++;
		irq_add(&rx->irq, s->frame, w->now);
		if (rx->irq.policy == NET_IRQ_PACKET)
			worker_interrupt(w);
	}
	rx->n_done -= n;
	memmove(rx->done, rx->done + n, rx->n_done);
	/* Then the oldest is tried again. */
	if (rx->n_done && rx->in_flight && !rx->cancelling && !rx->vq->broken) {
		rx->cancelling = true;
		w->engine->ops->cancel(w->engine, false);
	}
	return given;
}

/* As tx_post() does. */
unsigned rx_deliver(struct net_worker *w)
{
	return w->watched ? deliver(w, true) : deliver(w, false);
}

bool rx_drained(const struct net_rx *rx)
{
	return rx->waiting || rx->starved || rx->dead || rx->off;
}
