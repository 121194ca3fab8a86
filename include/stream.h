/* SPDX-License-Identifier: MIT */
/*
 * stream.h - records from one thread to one other, without a lock: whoever
 * writes never waits, and what finds no room is dropped and counted.
 *
 * A record is a struct that begins with a u32, its size in bytes, which is
 * this file's; it lies in one piece, 8 bytes aligned.  It can be changed until
 * it is shown.
 */
#ifndef RINGLET_STREAM_H
#define RINGLET_STREAM_H

#include "base.h"

struct stream {
	/* Constant. */
	u8 *data;
	u64 size; /* power of two */

	/* The writer's; places count bytes for ever. */
	u64 end;     /* of what was added */
	u64 room_to; /* as far as end may come, at the last look */
	u64 dropped; /* records; any thread may read it */

	/* One's word for the other, each in a cache line of its own. */
	u64 shown __attribute__((aligned(64))); /* by the writer */
	u64 taken __attribute__((aligned(64))); /* by the reader */
	u64 known; /* the reader's: shown at its last look */
};

/* Any thread, before and after.  size: a power of two.  0 or -errno. */
int stream_init(struct stream *s, u64 size) MUST_CHECK;
void stream_fini(struct stream *s);

/* The writer: room for a record of so many bytes, or NULL: it is dropped. */
void *stream_add(struct stream *s, u32 bytes);
/*
 * The writer: the records that were added and not shown, one after the other.
 * *at is 0 at first; NULL behind the last.
 */
void *stream_hidden(struct stream *s, u64 *at);
/* The writer: let the reader have those before a place, such as *at or end. */
void stream_show(struct stream *s, u64 place);

/* The reader: the oldest record, which stays until it is taken; or NULL. */
const void *stream_peek(struct stream *s);
void stream_take(struct stream *s);

#endif
