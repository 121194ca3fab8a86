/* SPDX-License-Identifier: MIT */
/*
 * trace.h - what happened when: events of 32 bytes, from each thread by a stream
 * of its own into a file, and what that file is made of.
 *
 * A file is a struct trace_header, names of the threads, TRACE_NAME bytes each,
 * and events, roughly by time.  It ends with TRACE_END.  Words are little endian,
 * times CLOCK_MONOTONIC in ns.
 */
#ifndef RINGLET_TRACE_H
#define RINGLET_TRACE_H

#include "base.h"
#include "stream.h"

/* What can be asked for; trace_class_name() has the words. */
enum { TRACE_EXITS = 1, TRACE_MMIO = 2, TRACE_VQ = 4, TRACE_IRQ = 8, TRACE_NET = 16, TRACE_ALL = 31 };

/* In the file: these keep their numbers as long as TRACE_VERSION does. */
enum trace_type {
	/* Class exits; a vCPU. */
	TRACE_EXIT = 1, /* took, a: reason, as exit_reason_name() numbers them */
	/* mmio; a vCPU. */
	TRACE_READ,  /* a: value, b: bytes, detail: register, as exit_register_name() has them */
	TRACE_WRITE,
	/* vq; a device thread. */
	TRACE_KICK,	/* it took notice of a notification */
	TRACE_BATCH,	/* used buffers are about to be shown; a: number of the batch, b: buffers */
	TRACE_SLEEP,	/* took, a: the same if that is too small for it; b: what ended it, enum trace_wake */
	/* irq; a device thread. */
	TRACE_RAISED,	/* decisions on an interrupt for all batches up to number a */
	TRACE_SUPPRESSED,
	TRACE_DEFERRED,
	TRACE_IRQ_SENT, /* the interrupt is about to be injected */
	/* and whoever sees it. */
	TRACE_ACK,	/* the guest acknowledged; a: how many times since the last look */
	/* net; a device thread. */
	TRACE_CAME,	/* reads ended: a: frames */
	TRACE_RX,	/* a frame is given to the guest; a: bytes, b: first descriptor, detail: gso_type, or of what is sent only whether it has one */
	TRACE_DROP,	/* one is not */
	TRACE_TX,	/* one was taken from the guest and is sent; as TRACE_RX */
	TRACE_TX_FAILED, /* b: slot */
	/* The writer of the file. */
	TRACE_LOST,	/* a: events of this thread that found no room so far */
	TRACE_END,	/* a: events before this one */
	TRACE_TYPES,
};

/* Which queue of a pair. */
enum { TRACE_OF_RX, TRACE_OF_TX, TRACE_OF_CONTROL };

/* What ended a sleep. */
enum trace_wake { TRACE_BY_FRAME, TRACE_BY_SENT, TRACE_BY_KICK, TRACE_BY_CONTROL, TRACE_BY_TIMER };

struct trace_event {
	u32 bytes; /* the stream's: always sizeof(struct trace_event) */
	u32 took;  /* ns, at most what fits */
	u64 ns;	   /* when it began */
	u64 a;
	u32 b;
	u8 type;
	u8 thread; /* its number in the header's list */
	u8 queue;  /* TRACE_OF_* */
	u8 detail;
};
_Static_assert(sizeof(struct trace_event) == 32, "a file is made of these");

#define TRACE_MAGIC "ringtrac"
#define TRACE_VERSION 1
#define TRACE_NAME 16
#define TRACE_MAX_THREADS 64

struct trace_header {
	char magic[8];
	u32 version;
	u32 event_bytes;
	u32 classes;
	u32 threads;
	u64 start; /* ns */
	u64 epoch; /* what to add to a time for ns since 1970 */
};

/* One thread's.  It alone writes; classes and thread are constant. */
struct trace {
	struct stream stream;
	u32 classes;
	u8 thread;
};

/* Its thread: now; there is room or it is lost. */
void trace_put(struct trace *t, enum trace_type type, u8 queue, u64 a, u32 b, u8 detail);
/* The same at a time that is known already. */
void trace_put_at(struct trace *t, u64 ns, enum trace_type type, u8 queue, u64 a, u32 b);
/* The same for what began then and has just ended. */
void trace_put_since(struct trace *t, enum trace_type type, u64 since, u64 a, u32 b);

const char *trace_class_name(unsigned i); /* of bit i; NULL behind the last */
const char *trace_queue_name(unsigned queue); /* TRACE_OF_*; "?" if it is none */
const char *trace_wake_name(unsigned wake); /* what ended a sleep; "?" likewise */

#endif
