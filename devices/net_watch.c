// SPDX-License-Identifier: MIT
/*
 * net_watch.c - what those who watch get to see of a device thread.
 *
 * Nothing here is called unless somebody does.  The frame's bytes are copied
 * where they are, in guest memory, from segments that were checked when the
 * chain was popped: the guest may change them meanwhile, and then sees in the
 * capture what others may have seen, too.
 */
#include <string.h>

#include "clock.h"
#include "net_worker.h"

/* --- for a trace ------------------------------------------------------------------ */

/* The trace, if it wants events of that class. */
static struct trace *traces(const struct net_worker *w, u32 class)
{
	return w->trace && w->trace->classes & class ? w->trace : NULL;
}

static u8 queue_of(const struct net_worker *w, const struct virtq *vq)
{
	return vq == w->rx.vq ? TRACE_OF_RX : vq == w->tx.vq ? TRACE_OF_TX : TRACE_OF_CONTROL;
}

/* As its counter numbers them. */
static u64 batches_of(const struct virtq *vq)
{
	return vq->count->batches;
}

void watch_came(struct net_worker *w, unsigned frames)
{
	struct trace *t = traces(w, TRACE_NET);

	if (t)
		trace_put(t, TRACE_CAME, TRACE_OF_RX, frames, 0, 0);
}

void watch_dropped(struct net_worker *w)
{
	struct trace *t = traces(w, TRACE_NET);

	if (t)
		trace_put(t, TRACE_DROP, TRACE_OF_RX, 0, 0, 0);
}

/* Of frames that wait, none will be given: or those after them would be taken for these. */
void watch_forgotten(struct net_worker *w)
{
	for (unsigned i = 0; i < w->rx.n_done; i++)
		watch_dropped(w);
}

void watch_kicked(struct net_worker *w)
{
	struct trace *t = traces(w, TRACE_VQ);

	if (t)
		trace_put(t, TRACE_KICK, 0, 0, 0, 0);
}

void watch_slept(struct net_worker *w, u64 since, enum engine_event_type woken_by)
{
	static const u8 by[] = {
		[ENGINE_READ] = TRACE_BY_FRAME, [ENGINE_WRITTEN] = TRACE_BY_SENT, [ENGINE_KICK] = TRACE_BY_KICK,
		[ENGINE_CONTROL] = TRACE_BY_CONTROL, [ENGINE_NOTHING] = TRACE_BY_TIMER,
	};
	struct trace *t = traces(w, TRACE_VQ);

	if (t)
		trace_put_since(t, TRACE_SLEEP, since, clock_ns() - since, by[woken_by]);
}

static void publishing(struct net_worker *w, const struct virtq *vq)
{
	u16 n = vq ? (u16)(vq->used_idx - vq->published) : 0;

	if (!n)
		return;
	w->published_at = w->published_at ? w->published_at : clock_ns();
	trace_put_at(w->trace, w->published_at, TRACE_BATCH, queue_of(w, vq), batches_of(vq) + 1, n);
}

void watch_publishing(struct net_worker *w, const struct virtq *a, const struct virtq *b)
{
	w->published_at = 0;
	if (!traces(w, TRACE_VQ))
		return;
	publishing(w, a);
	publishing(w, b);
}

/* A decision is made at once, if it is made then: one look at the clock is enough. */
void watch_decided(struct net_worker *w, const struct virtq *vq, enum net_fate fate)
{
	static const u8 types[] = {
		[NET_FATE_DEFERRED] = TRACE_DEFERRED,
		[NET_FATE_RAISED] = TRACE_RAISED,
		[NET_FATE_SUPPRESSED] = TRACE_SUPPRESSED,
	};
	struct trace *t = traces(w, TRACE_IRQ);

	if (t && types[fate])
		trace_put_at(t, w->published_at ? w->published_at : clock_ns(), types[fate], queue_of(w, vq),
			     batches_of(vq), 0);
}

void watch_interrupt(struct net_worker *w)
{
	struct trace *t = traces(w, TRACE_IRQ);

	if (t)
		trace_put(t, TRACE_IRQ_SENT, 0, 0, 0, 0);
}

void net_trace(struct net *net, unsigned pair, struct trace *t)
{
	net->worker[pair]->trace = t->classes & (TRACE_VQ | TRACE_IRQ | TRACE_NET) ? t : NULL;
	net->worker[pair]->watched = net->worker[pair]->trace;
}

/* --- for a capture ---------------------------------------------------------------- */

/* Where to copy from: segments, or what is left of one. */
struct source {
	const struct iovec *iov;
	unsigned n;
	size_t at; /* bytes of the first that are done with */
};

/* The next bytes of it, n or as many as there are. */
static size_t copy_from(struct source *s, void *to, size_t n)
{
	size_t have = 0;

	while (have < n && s->n) {
		size_t part = MIN(s->iov->iov_len - s->at, n - have);

		memcpy((u8 *)to + have, (u8 *)s->iov->iov_base + s->at, part);
		have += part;
		s->at += part;
		if (s->at == s->iov->iov_len) {
			s->iov++;
			s->n--;
			s->at = 0;
		}
	}
	return have;
}

/* A record for a frame of so many bytes, or NULL: there is no room. */
static struct capture_record *add_record(struct net_worker *w, u64 len)
{
	struct capture *c = w->capture;
	u32 most = MIN(c->snaplen, TAP_MAX_FRAME);
	u32 captured = (u32)MIN(len, most);
	struct capture_record *r = stream_add(&c->stream, (u32)CAPTURE_RECORD + captured);

	if (!r) {
		COUNT(w->count.thread.capture_dropped, 1);
		return NULL;
	}
	COUNT(w->count.thread.captured, 1);
	r->lost = (u32)(c->stream.dropped - c->lost);
	c->lost = c->stream.dropped;
	r->ns = clock_ns();
	r->len = (u32)MIN(len, UINT32_MAX);
	r->captured = captured;
	r->batch = r->irq_ns = 0;
	r->fate = NET_FATE_WAITS;
	r->deferred = false;
	return r;
}

/* What is behind the header, which may lie in pieces. */
static void take_data(struct capture_record *r, struct source *s, size_t header)
{
	u8 rest[TAP_HEADER_HASH];

	copy_from(s, &r->header, sizeof(r->header));
	copy_from(s, rest, header - sizeof(r->header));
	r->captured = (u32)copy_from(s, r->data, r->captured);
}

void watch_received(struct net_worker *w, const struct rx_slot *s, const struct virtio_net_hdr_v1 *h)
{
	struct capture_record *r = w->capture ? add_record(w, s->frame - w->header) : NULL;
	struct iovec iov[RX_FRAME_CHAINS * 2];
	struct source from = { .iov = iov };
	u32 left = w->header + (r ? r->captured : 0);
	struct trace *t = traces(w, TRACE_NET);

	if (t)
		trace_put(t, TRACE_RX, TRACE_OF_RX, s->frame - w->header, s->chain[0]->head, h->gso_type);
	if (!r)
		return;
	for (unsigned i = 0; left && i < s->n_chains; i++)
		for (unsigned k = 0; left && k < s->chain[i]->n_iov && from.n < ARRAY_SIZE(iov); k++) {
			iov[from.n++] = s->chain[i]->iov[k];
			left -= (u32)MIN(left, s->chain[i]->iov[k].iov_len);
		}
	take_data(r, &from, w->header);
	r->way = CAPTURE_RX;
	r->head = s->chain[0]->head;
	r->buffers = h->num_buffers;
	r->header = *h;
}

void watch_sent(struct net_worker *w, unsigned slot, const struct virtq_chain *c, const struct iovec *iov)
{
	struct capture_record *r = w->capture ? add_record(w, c->out_len - w->header) : NULL;
	struct source from = { .iov = iov, .n = c->n_out };
	struct trace *t = traces(w, TRACE_NET);

	w->tx.recorded = (w->tx.recorded & ~(1ULL << slot)) | (u64)!!r << slot;
	if (t)
		trace_put(t, TRACE_TX, TRACE_OF_TX, c->out_len - w->header, c->head, w->tx.gso >> slot & 1);
	if (!r)
		return;
	take_data(r, &from, w->header);
	r->way = CAPTURE_TX;
	r->head = c->head;
	r->buffers = c->n_out;
	r->slot = (u8)slot;
}

/* It was not sent: it was no packet. */
void watch_failed(struct net_worker *w, unsigned slot)
{
	struct trace *t = traces(w, TRACE_NET);
	struct capture_record *r, *newest = NULL;
	u64 at = 0;

	if (t)
		trace_put(t, TRACE_TX_FAILED, TRACE_OF_TX, 0, slot, 0);
	/* Those before it with the same number were sent, and wait for a decision. */
	while (w->capture && w->tx.recorded >> slot & 1 && (r = stream_hidden(&w->capture->stream, &at)))
		if (r->way == CAPTURE_TX && r->slot == slot)
			newest = r;
	if (newest)
		newest->way = CAPTURE_NOTHING;
}

/* What is known of a record by now; true if that is all that will be. */
static bool settle(struct capture_record *r, enum net_fate fate, u32 batch, u64 now)
{
	if (r->fate != NET_FATE_WAITS)
		return true;
	if (!r->batch)
		r->batch = batch;
	r->deferred |= fate == NET_FATE_DEFERRED;
	if (fate == NET_FATE_WAITS || fate == NET_FATE_DEFERRED)
		return false;
	r->fate = (u8)fate;
	r->irq_ns = (u32)MIN(now - r->ns, UINT32_MAX);
	return true;
}

/* They are not held back any longer. */
static void release(struct net_worker *w)
{
	struct stream *s = &w->capture->stream;
	struct capture_record *r;
	u64 at = 0;

	while ((r = stream_hidden(s, &at)))
		if (r->fate == NET_FATE_WAITS)
			r->fate = NET_FATE_NONE;
	stream_show(s, s->end);
}

void watch_published(struct net_worker *w, enum net_fate rx, enum net_fate tx)
{
	struct stream *s = w->capture ? &w->capture->stream : NULL;
	u64 at = 0, settled = s ? s->shown : 0, now = s ? clock_ns() : 0;
	struct capture_record *r;
	bool all = true;

	if (!s)
		return;
	while ((r = stream_hidden(s, &at))) {
		if (r->way == CAPTURE_RX)
			all &= settle(r, rx, (u32)w->count.rx.ring.batches, now);
		else if (w->tx.idle_slots >> r->slot & 1 || r->way == CAPTURE_NOTHING)
			all &= settle(r, tx, (u32)w->count.tx.ring.batches, now);
		else /* it waits for room in the tap: nothing waits for it */
			r->fate = NET_FATE_NONE;
		if (all)
			settled = at;
	}
	stream_show(s, settled);
	/* Where a decision takes so long that there is no room, they go without. */
	if (s->end - s->shown > s->size / 2)
		release(w);
}

void watch_change(struct net_worker *w)
{
	if (w->capture)
		release(w);
	w->capture = w->next_capture;
	w->tx.recorded = 0;
	w->watched = w->capture || w->trace;
}

void watch_stopped(struct net_worker *w)
{
	if (w->capture)
		release(w);
}

void net_capture(struct net *net, unsigned pair, struct capture *c)
{
	struct net_worker *w = net->worker[pair];

	w->next_capture = c;
	if (w->started)
		worker_call(w, WORKER_WATCH);
	else
		watch_change(w);
}
