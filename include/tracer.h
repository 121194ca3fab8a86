/* SPDX-License-Identifier: MIT */
/*
 * tracer.h - traces: who writes them down (tracer.c), and who reads them
 * (trace_file.c, trace_text.c, trace_json.c, trace_latency.c).
 */
#ifndef RINGLET_TRACER_H
#define RINGLET_TRACER_H

#include <stdio.h>

#include "trace.h"

#define TRACER_RING (4 * MiB) /* room for what is not written yet, per thread */

/*
 * Main.  Open the file, while privileged; begin, with so many vCPUs and pairs of
 * queues, before any of their threads; each then has its own.  0, or -1 and a
 * sentence.
 */
int tracer_open(const char *file, char *err, size_t err_size) MUST_CHECK;
int tracer_begin(u32 classes, unsigned vcpus, unsigned pairs, char *err, size_t err_size) MUST_CHECK;
/* NULL: no trace was begun. */
struct trace *tracer_of_main(void);
struct trace *tracer_of_vcpu(unsigned i);
struct trace *tracer_of_pair(unsigned i);
/* When nobody has anything to say any more: write it all. */
void tracer_end(void);
/* When those threads are gone. */
void tracer_close(void);

/* A file in memory, events by time. */
struct trace_file {
	struct trace_header head;
	char (*name)[TRACE_NAME]; /* of head.threads threads */
	struct trace_event *event; /* by time; bytes is the place in the file */
	size_t n;
	u64 lost; /* events that found no room */
	bool complete; /* there was an end */
};

/* 0, or -1 and a sentence: it is no trace.  One that is cut short is read as far as it goes. */
int trace_read(struct trace_file *t, const char *file, char *err, size_t err_size) MUST_CHECK;
void trace_free(struct trace_file *t);
/* How long that took, in ns. */
u64 trace_took(const struct trace_event *e);

/* A line for each event; its time since the start, in seconds. */
void trace_write_text(const struct trace_file *t, FILE *to);
/* Trace Event Format, for Perfetto and chrome://tracing. */
int trace_write_json(const struct trace_file *t, FILE *to, char *err, size_t err_size) MUST_CHECK;
/* A line for each batch: how long it took to where. */
int trace_write_latency(const struct trace_file *t, FILE *to, char *err, size_t err_size) MUST_CHECK;

/* What became of the packets of a batch, in ns; 0: it did not, or nobody saw it. */
struct trace_batch {
	u8 thread, queue;
	u64 number;
	u32 packets, buffers;
	u64 came;      /* the read of its first frame ended, or its first frame was taken */
	u64 shown;     /* the used index moved */
	u64 interrupt;
	u64 acknowledged;
	bool deferred, suppressed;
};
/* All batches of packets, by the time when they were shown; malloc'ed, NULL: no memory. */
struct trace_batch *trace_batches(const struct trace_file *t, size_t *n);

/* `ringlet trace`: its exit status. */
struct conf_trace;
int trace_show(const struct conf_trace *c);

#endif
