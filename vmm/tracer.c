// SPDX-License-Identifier: MIT
/*
 * tracer.c - who writes the trace: like pcap.c, one thread of low priority that
 * looks into the others' streams.  An event that finds no room is lost, and the
 * file says so where it was.
 */
#include "tracer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "barrier.h"
#include "clock.h"
#include "layout.h"
#include "net.h"
#include "sink.h"

#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)

_Static_assert(1 + MAX_CPUS + NET_MAX_PAIRS <= TRACE_MAX_THREADS, "what is written can be read");

static struct {
	struct sink sink;
	u32 classes;
	struct trace *trace; /* main's, the vCPUs', the pairs'; NULL: nothing was begun */
	u64 *lost;	     /* of each, as far as the file has it */
	unsigned threads, vcpus;
	u64 start;
	bool on;
} tracer = { .sink = { .what = "trace", .records = "events", .fd = -1 } };

int tracer_open(const char *file, char *err, size_t err_size)
{
	snprintf(tracer.sink.name, sizeof(tracer.sink.name), "%s", file);
	tracer.sink.fd = sink_open_file(file, true, &tracer.sink.on_disk);
	return tracer.sink.fd < 0 ? FAIL("cannot write %s: %s", file, strerror(errno)) : 0;
}

struct trace *tracer_of_main(void)
{
	return tracer.trace;
}

struct trace *tracer_of_vcpu(unsigned i)
{
	return tracer.trace ? &tracer.trace[1 + i] : NULL;
}

struct trace *tracer_of_pair(unsigned i)
{
	return tracer.trace ? &tracer.trace[1 + tracer.vcpus + i] : NULL;
}

/* --- the thread ------------------------------------------------------------------ */

static void write_out(const void *from, size_t n)
{
	memcpy(sink_room(&tracer.sink, n), from, n);
	sink_wrote(&tracer.sink, n);
}

static void write_event(const struct trace_event *e)
{
	write_out(e, sizeof(*e));
	tracer.sink.n++;
}

static void write_header(void)
{
	struct trace_header h = {
		.version = TRACE_VERSION, .event_bytes = sizeof(struct trace_event),
		.classes = tracer.classes, .threads = tracer.threads, .start = tracer.start,
	};
	char name[TRACE_NAME];

	memcpy(h.magic, TRACE_MAGIC, sizeof(h.magic));
	h.epoch = clock_real_ns() - clock_ns();
	write_out(&h, sizeof(h));
	for (unsigned i = 0; i < tracer.threads; i++) {
		memset(name, 0, sizeof(name));
		if (!i)
			strcpy(name, "main");
		else if (i <= tracer.vcpus)
			snprintf(name, sizeof(name), "vcpu/%u", i - 1);
		else
			snprintf(name, sizeof(name), "net/%u", i - 1 - tracer.vcpus);
		write_out(name, sizeof(name));
	}
}

/* The one whose next event is the oldest, or NULL: there is none. */
static struct stream *oldest(void)
{
	struct stream *s = NULL;
	u64 first = ~0ULL;

	for (unsigned i = 0; i < tracer.threads; i++) {
		const struct trace_event *e = stream_peek(&tracer.trace[i].stream);

		if (!e || e->ns >= first)
			continue;
		first = e->ns;
		s = &tracer.trace[i].stream;
	}
	return s;
}

static void write_lost(void)
{
	for (unsigned i = 0; i < tracer.threads; i++) {
		u64 lost = LOAD_ONCE(&tracer.trace[i].stream.dropped);

		if (lost == tracer.lost[i])
			continue;
		tracer.lost[i] = lost;
		write_event(&(struct trace_event){ .bytes = sizeof(struct trace_event), .ns = clock_ns(), .a = lost,
						   .type = TRACE_LOST, .thread = (u8)i });
	}
}

static void drain(void)
{
	struct stream *s;

	while (!tracer.sink.failed && (s = oldest())) {
		write_event(stream_peek(s));
		stream_take(s);
	}
	write_lost();
	sink_flush(&tracer.sink);
}

static void *writer(void *arg)
{
	struct sink *s = arg;

	write_header();
	sink_serve(s, drain);
	write_event(&(struct trace_event){ .bytes = sizeof(struct trace_event), .ns = clock_ns(), .a = s->n,
					   .type = TRACE_END });
	sink_flush(s);
	return NULL;
}

/* --- main ------------------------------------------------------------------------ */

void tracer_close(void)
{
	for (unsigned i = 0; tracer.trace && i < tracer.threads; i++)
		stream_fini(&tracer.trace[i].stream);
	free(tracer.trace);
	free(tracer.lost);
	tracer.trace = NULL;
	tracer.lost = NULL;
	if (tracer.sink.fd >= 0)
		close(tracer.sink.fd);
	tracer.sink.fd = -1;
}

int tracer_begin(u32 classes, unsigned vcpus, unsigned pairs, char *err, size_t err_size)
{
	int r = 0;

	tracer.classes = classes;
	tracer.start = clock_ns();
	tracer.vcpus = vcpus;
	tracer.threads = 1 + vcpus + pairs;
	tracer.trace = aligned_alloc(64, tracer.threads * sizeof(*tracer.trace));
	tracer.lost = calloc(tracer.threads, sizeof(*tracer.lost));
	if (!tracer.trace || !tracer.lost)
		r = ENOMEM;
	if (tracer.trace)
		memset(tracer.trace, 0, tracer.threads * sizeof(*tracer.trace));
	for (unsigned i = 0; !r && i < tracer.threads; i++) {
		tracer.trace[i].classes = classes;
		tracer.trace[i].thread = (u8)i;
		r = -stream_init(&tracer.trace[i].stream, TRACER_RING);
	}
	if (!r)
		r = sink_start(&tracer.sink, "trace", writer);
	if (r) {
		tracer_close();
		return FAIL("cannot trace: %s", strerror(r));
	}
	tracer.on = true;
	return 0;
}

void tracer_end(void)
{
	if (tracer.on)
		sink_stop(&tracer.sink);
	tracer.on = false;
}
