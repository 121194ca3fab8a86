// SPDX-License-Identifier: MIT
/*
 * trace_json.c - a trace in the Trace Event Format, which Perfetto and
 * chrome://tracing show as one timeline: a track per thread, with exits and sleeps
 * as bars and all else as marks; and above it a bar per batch of packets, from
 * the frame's coming to the guest's acknowledgement, in which lies what it waited
 * for.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tracer.h"
#include "vm.h"

#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)

struct writer {
	const struct trace_file *t;
	FILE *to;
	bool any;
};

static const char *known(const char *name)
{
	return name ? name : "unknown";
}

/* Everything but what is the event's own; times are in microseconds. */
static void begin(struct writer *w, const char *ph, const char *cat, u64 ns, unsigned thread)
{
	u64 since = ns > w->t->head.start ? ns - w->t->head.start : 0;

	fprintf(w->to, "%s\n{\"ph\":\"%s\",\"cat\":\"%s\",\"ts\":%llu.%03llu,\"pid\":1,\"tid\":%u", w->any ? "," : "",
		ph, cat, (unsigned long long)(since / 1000), (unsigned long long)(since % 1000), thread + 1);
	w->any = true;
}

static void name_threads(struct writer *w)
{
	begin(w, "M", "__metadata", 0, 0);
	fputs(",\"name\":\"process_name\",\"args\":{\"name\":\"ringlet\"}}", w->to);
	for (unsigned i = 0; i < w->t->head.threads; i++) {
		begin(w, "M", "__metadata", 0, i);
		fprintf(w->to, ",\"name\":\"thread_name\",\"args\":{\"name\":\"%s\"}}", w->t->name[i]);
	}
}

static void bar(struct writer *w, const struct trace_event *e, const char *cat, const char *name)
{
	unsigned long long ns = trace_took(e);

	begin(w, "X", cat, e->ns, e->thread);
	fprintf(w->to, ",\"dur\":%llu.%03llu,\"name\":\"%s\"}", ns / 1000, ns % 1000, name);
}

/* A mark: its name, then arguments. */
static void mark(struct writer *w, const struct trace_event *e, const char *cat, const char *fmt, ...) PRINTF(4, 5);
static void mark(struct writer *w, const struct trace_event *e, const char *cat, const char *fmt, ...)
{
	va_list ap;

	begin(w, "i", cat, e->ns, e->thread);
	fputs(",\"s\":\"t\",\"name\":\"", w->to);
	va_start(ap, fmt);
	vfprintf(w->to, fmt, ap);
	va_end(ap);
	fputs("}", w->to);
}

static void write_event(struct writer *w, const struct trace_event *e)
{
	const char *queue = trace_queue_name(e->queue);
	unsigned long long a = e->a;
	char name[64];

	switch (e->type) {
	case TRACE_EXIT:
		bar(w, e, "exits", known(exit_reason_name((unsigned)MIN(a, 255))));
		break;
	case TRACE_SLEEP:
		snprintf(name, sizeof(name), "sleep until %s", trace_wake_name(e->b));
		bar(w, e, "vq", name);
		break;
	case TRACE_READ:
	case TRACE_WRITE:
		mark(w, e, "mmio", "%s %s\",\"args\":{\"value\":%llu,\"bytes\":%u}", e->type == TRACE_READ ? "read" : "write",
		     known(exit_register_name(e->detail)), a, e->b);
		break;
	case TRACE_KICK:
		mark(w, e, "vq", "kick\"");
		break;
	case TRACE_BATCH:
		mark(w, e, "vq", "%s batch\",\"args\":{\"batch\":%llu,\"buffers\":%u}", queue, a, e->b);
		break;
	case TRACE_RAISED:
		mark(w, e, "irq", "%s raised\",\"args\":{\"batch\":%llu}", queue, a);
		break;
	case TRACE_SUPPRESSED:
		mark(w, e, "irq", "%s suppressed\",\"args\":{\"batch\":%llu}", queue, a);
		break;
	case TRACE_DEFERRED:
		mark(w, e, "irq", "%s deferred\",\"args\":{\"batch\":%llu}", queue, a);
		break;
	case TRACE_IRQ_SENT:
		mark(w, e, "irq", "interrupt\"");
		break;
	case TRACE_ACK:
		mark(w, e, "irq", "acknowledged\",\"args\":{\"times\":%llu}", a);
		break;
	case TRACE_CAME:
		mark(w, e, "net", "came\",\"args\":{\"frames\":%llu}", a);
		break;
	case TRACE_RX:
	case TRACE_TX:
		mark(w, e, "net", "%s packet\",\"args\":{\"bytes\":%llu,\"head\":%u,\"gso\":%u}", queue, a, e->b, e->detail);
		break;
	case TRACE_DROP:
		mark(w, e, "net", "rx dropped\"");
		break;
	case TRACE_TX_FAILED:
		mark(w, e, "net", "tx failed\"");
		break;
	case TRACE_LOST:
		mark(w, e, "lost", "lost\",\"args\":{\"events\":%llu}", a);
		break;
	}
}

/* Bars that may overlap with others of their kind are asynchronous events of one id. */
static void edge(struct writer *w, const struct trace_batch *b, const char *ph, u64 ns, const char *name)
{
	begin(w, ph, "batches", ns, b->thread);
	fprintf(w->to, ",\"id\":\"%u.%u.%llu\",\"name\":\"%s\"}", b->thread, b->queue, (unsigned long long)b->number, name);
}

static void part(struct writer *w, const struct trace_batch *b, const char *name, u64 from, u64 to)
{
	if (!from || to < from)
		return;
	edge(w, b, "b", from, name);
	edge(w, b, "e", to, name);
}

static void write_batch(struct writer *w, const struct trace_batch *b)
{
	u64 first = b->came && b->came < b->shown ? b->came : b->shown;
	u64 last = MAX(b->shown, MAX(b->interrupt, b->acknowledged));
	char name[64];

	snprintf(name, sizeof(name), "%s %s batch", w->t->name[b->thread], trace_queue_name(b->queue));
	edge(w, b, "b", first, name);
	part(w, b, b->queue == TRACE_OF_RX ? "delivered" : "sent", b->came, b->shown);
	part(w, b, b->deferred ? "interrupt deferred" : "interrupt waits for more", b->shown, b->interrupt);
	part(w, b, "guest takes it", b->interrupt, b->acknowledged);
	edge(w, b, "e", last, name);
}

int trace_write_json(const struct trace_file *t, FILE *to, char *err, size_t err_size)
{
	struct writer w = { .t = t, .to = to };
	size_t n;
	struct trace_batch *b = trace_batches(t, &n);

	if (!b)
		return FAIL("it is too large for this machine's memory");
	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", to);
	name_threads(&w);
	for (size_t i = 0; i < t->n; i++)
		write_event(&w, &t->event[i]);
	for (size_t i = 0; i < n; i++)
		write_batch(&w, &b[i]);
	fprintf(to, "\n],\"otherData\":{\"lost\":%llu}}\n", (unsigned long long)t->lost);
	free(b);
	return 0;
}
