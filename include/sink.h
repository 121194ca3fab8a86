/* SPDX-License-Identifier: MIT */
/*
 * sink.h - where a thread of low priority writes what others recorded: a file, a
 * FIFO, a pipe.  It is never stuck there: to what is not a file it writes only
 * what there is room for, and it can be told to end while it waits for room.
 *
 * Main opens, starts the thread, tells it to end, joins it and closes; all else
 * is the thread's.
 */
#ifndef RINGLET_SINK_H
#define RINGLET_SINK_H

#include <limits.h>
#include <pthread.h>

#include "base.h"

#define SINK_BUFFER (256 * KiB)

struct sink {
	const char *what, *records; /* for messages: "capture" of "packets" */
	char name[PATH_MAX];
	int fd;
	bool on_disk;
	bool failed;
	pthread_t thread;
	int wake;  /* eventfd: stop was set */
	bool stop; /* atomic */

	/* The thread's. */
	u8 *buffer;
	size_t filled;
	u64 in_file; /* bytes, those in the buffer included */
	u64 n, n_out; /* records; those of them that are written out, for messages */
	u64 written; /* bytes since it dozed */
	int ms;	     /* that it dozed last */
};

/* Main.  Open a file to write, emptied; wait for a FIFO's reader, or not: -1 and errno. */
int sink_open_file(const char *name, bool wait, bool *on_disk);
/*
 * Main.  Memory, an eventfd, and a thread of that name which runs main_loop with
 * s; fd and names are set before.  0 or an errno.
 */
int sink_start(struct sink *s, const char *thread, void *(*main_loop)(void *)) MUST_CHECK;
/* Main: let it end, and wait for that; fd is left open. */
void sink_stop(struct sink *s);

/*
 * From now on of low priority: drain() writes what there is to write, again and
 * again, until it has when no more is to come, or it has failed.
 */
void sink_serve(struct sink *s, void (*drain)(void));
/* Room for so many bytes, SINK_BUFFER at most; then say how many it was. */
u8 *sink_room(struct sink *s, size_t n);
void sink_wrote(struct sink *s, size_t n);
/* Write out what there is.  What has failed takes everything and keeps nothing. */
void sink_flush(struct sink *s);
/* It cannot go on; said once. */
void sink_fail(struct sink *s, const char *why);

#endif
