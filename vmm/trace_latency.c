// SPDX-License-Identifier: MIT
/*
 * trace_latency.c - from events to batches: where the time of a packet went.
 *
 * A frame came when the read for it ended; frames leave in the order in which
 * they came, to the guest or dropped.  Those that are given between two batches
 * are in the second.  A decision holds for all batches of its queue that were
 * shown and not decided on; an acknowledgement for all interrupts before it.
 * Where events were lost all of that is begun anew.
 */
#include <stdlib.h>
#include <string.h>

#include "tracer.h"

#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)
#define NONE (~0u)
#define QUEUES 2 /* rx and tx */

/* Some of the batches, in their order: linked by struct state's next. */
struct list {
	u32 first, last;
};

struct queue {
	u64 came; /* the first packet of the batch to be; 0: there is none */
	u32 packets;
	struct list undecided, unacknowledged;
};

struct thread {
	size_t came; /* the event of class TRACE_CAME that the next frame is from, if any are left */
	u64 left;
	struct queue queue[QUEUES];
};

struct state {
	const struct trace_file *t;
	struct thread thread[TRACE_MAX_THREADS];
	struct trace_batch *batch;
	u32 *next;
	u32 n;
};

static void append(struct state *s, struct list *l, u32 i)
{
	s->next[i] = NONE;
	if (l->first == NONE)
		l->first = i;
	else
		s->next[l->last] = i;
	l->last = i;
}

/* When the next frame of that thread came; 0: nobody knows. */
static u64 next_came(struct state *s, unsigned thread, size_t now)
{
	struct thread *w = &s->thread[thread];

	while (!w->left) {
		const struct trace_event *e;

		if (w->came >= now)
			return 0;
		e = &s->t->event[w->came++];
		if (e->type == TRACE_CAME && e->thread == thread)
			w->left = e->a;
		if (w->left)
			w->came--; /* it stays the one until it is used up */
	}
	if (!--w->left)
		return s->t->event[w->came++].ns;
	return s->t->event[w->came].ns;
}

static void add_packet(struct queue *q, u64 came)
{
	if (!q->packets++)
		q->came = came;
}

static void add_batch(struct state *s, const struct trace_event *e, struct queue *q)
{
	s->batch[s->n] = (struct trace_batch){
		.thread = e->thread, .queue = e->queue, .number = e->a, .buffers = e->b,
		.packets = q->packets, .came = q->came, .shown = e->ns,
	};
	append(s, &q->undecided, s->n++);
	q->packets = 0;
	q->came = 0;
}

static void decide(struct state *s, const struct trace_event *e, struct queue *q)
{
	u32 i, next;

	for (i = q->undecided.first; i != NONE; i = next) {
		next = s->next[i];
		if (e->type == TRACE_DEFERRED) {
			s->batch[i].deferred = true;
		} else if (e->type == TRACE_SUPPRESSED) {
			s->batch[i].suppressed = true;
		} else {
			s->batch[i].interrupt = e->ns;
			append(s, &q->unacknowledged, i);
		}
	}
	if (e->type != TRACE_DEFERRED)
		q->undecided.first = NONE;
}

static void acknowledge(struct state *s, u64 ns)
{
	for (unsigned i = 0; i < s->t->head.threads; i++)
		for (unsigned k = 0; k < QUEUES; k++) {
			struct list *l = &s->thread[i].queue[k].unacknowledged;

			for (u32 b = l->first; b != NONE; b = s->next[b])
				s->batch[b].acknowledged = ns;
			l->first = NONE;
		}
}

/* Anything may have been among them: an acknowledgement, too, which is all threads'. */
static void forget(struct state *s, unsigned thread, size_t now)
{
	struct thread *w = &s->thread[thread];

	w->came = now;
	w->left = 0;
	for (unsigned k = 0; k < QUEUES; k++) {
		w->queue[k].packets = 0;
		w->queue[k].came = 0;
		w->queue[k].undecided.first = NONE;
	}
	for (unsigned i = 0; i < s->t->head.threads; i++)
		for (unsigned k = 0; k < QUEUES; k++)
			s->thread[i].queue[k].unacknowledged.first = NONE;
}

static void take(struct state *s, size_t at)
{
	const struct trace_event *e = &s->t->event[at];
	struct queue *q = &s->thread[e->thread].queue[e->queue < QUEUES ? e->queue : 0];

	if (e->type == TRACE_ACK)
		acknowledge(s, e->ns);
	if (e->type == TRACE_LOST)
		forget(s, e->thread, at);
	if (e->queue >= QUEUES)
		return;
	switch (e->type) {
	case TRACE_RX:
		add_packet(q, next_came(s, e->thread, at));
		break;
	case TRACE_DROP:
		next_came(s, e->thread, at);
		break;
	case TRACE_TX:
		add_packet(q, e->ns);
		break;
	case TRACE_BATCH:
		add_batch(s, e, q);
		break;
	case TRACE_RAISED:
	case TRACE_SUPPRESSED:
	case TRACE_DEFERRED:
		decide(s, e, q);
		break;
	}
}

struct trace_batch *trace_batches(const struct trace_file *t, size_t *n)
{
	struct state *s = calloc(1, sizeof(*s));
	struct trace_batch *batch = NULL;

	*n = 0;
	if (!s)
		return NULL;
	s->t = t;
	s->batch = calloc(t->n + 1, sizeof(*s->batch));
	s->next = calloc(t->n + 1, sizeof(*s->next));
	for (unsigned i = 0; i < TRACE_MAX_THREADS; i++)
		for (unsigned k = 0; k < QUEUES; k++)
			s->thread[i].queue[k].undecided.first = s->thread[i].queue[k].unacknowledged.first = NONE;
	if (s->batch && s->next && t->n < NONE) {
		for (size_t i = 0; i < t->n; i++)
			take(s, i);
		batch = s->batch;
		*n = s->n;
	} else {
		free(s->batch);
	}
	free(s->next);
	free(s);
	return batch;
}

/* --- as text ---------------------------------------------------------------------- */

enum { DELIVERY, MODERATION, GUEST, ALL, PHASES };
static const char *const phases[] = { "came>shown", "shown>irq", "irq>ack", "all" };

/* In ns; false: one of the two ends is not known. */
static bool phase(const struct trace_batch *b, unsigned which, u64 *ns)
{
	const u64 ends[PHASES][2] = {
		[DELIVERY] = { b->came, b->shown },
		[MODERATION] = { b->shown, b->interrupt },
		[GUEST] = { b->interrupt, b->acknowledged },
		[ALL] = { b->came, b->acknowledged },
	};

	*ns = ends[which][1] - ends[which][0];
	return ends[which][0] && ends[which][1] && ends[which][1] >= ends[which][0];
}

static void write_batch(const struct trace_file *t, const struct trace_batch *b, FILE *to)
{
	u64 at = b->shown > t->head.start ? b->shown - t->head.start : 0, ns;

	fprintf(to, "%6llu.%09llu %-8s %s %8llu %5u", (unsigned long long)(at / 1000000000),
		(unsigned long long)(at % 1000000000), t->name[b->thread], trace_queue_name(b->queue),
		(unsigned long long)b->number, b->packets);
	for (unsigned i = 0; i < PHASES; i++)
		if (phase(b, i, &ns))
			fprintf(to, " %10llu", (unsigned long long)ns);
		else
			fprintf(to, " %10s", "-");
	fprintf(to, "%s%s\n", b->deferred ? " deferred" : "", b->suppressed ? " suppressed" : "");
}

static int by_size(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Of all batches of a kind of queue: how many had that phase, and how long it took. */
static void write_summary(const struct trace_batch *b, size_t n, unsigned queue, u64 *room, FILE *to)
{
	for (unsigned which = 0; which < PHASES; which++) {
		size_t have = 0;

		for (size_t i = 0; i < n; i++)
			have += b[i].queue == queue && phase(&b[i], which, &room[have]);
		if (!have)
			continue;
		qsort(room, have, sizeof(*room), by_size);
		fprintf(to, "%s %-10s %8zu %10llu %10llu %10llu %10llu\n", trace_queue_name(queue), phases[which], have,
			(unsigned long long)room[have / 2], (unsigned long long)room[have * 9 / 10],
			(unsigned long long)room[have * 99 / 100], (unsigned long long)room[have - 1]);
	}
}

int trace_write_latency(const struct trace_file *t, FILE *to, char *err, size_t err_size)
{
	struct trace_batch *b;
	size_t n;
	u64 *room;

	if (!(t->head.classes & TRACE_VQ) || !(t->head.classes & TRACE_IRQ))
		return FAIL("it has no batches or no interrupts; latencies need --trace net,vq,irq");
	b = trace_batches(t, &n);
	room = calloc(n + 1, sizeof(*room));
	if (!b || !room) {
		free(b);
		free(room);
		return FAIL("it is too large for this machine's memory");
	}
	fprintf(to, "# shown at, s    thread   queue  batch   n");
	for (unsigned i = 0; i < PHASES; i++)
		fprintf(to, " %10s", phases[i]);
	fputs(" ns\n", to);
	for (size_t i = 0; i < n; i++)
		write_batch(t, &b[i], to);
	fprintf(to, "\n# %-10s %8s %10s %10s %10s %10s ns\n", "", "batches", "median", "90 %", "99 %", "most");
	write_summary(b, n, TRACE_OF_RX, room, to);
	write_summary(b, n, TRACE_OF_TX, room, to);
	free(room);
	free(b);
	return 0;
}
