/* SPDX-License-Identifier: MIT */
/*
 * std_stream.h - a standard stream of ours, used without waiting for whoever
 * is at its other end.
 */
#ifndef RINGLET_STD_STREAM_H
#define RINGLET_STD_STREAM_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base.h"

struct std_stream {
	int fd; /* for poll(); the stream's, or one of our own */
	bool socket, may_wait;
};

/* Main thread, before privileges go; mode: O_RDONLY or O_WRONLY. */
void std_open(struct std_stream *s, int fd, int mode);
/* Any thread: as readv() and writev(); -1 and EAGAIN if it would have to wait. */
ssize_t std_read(const struct std_stream *s, const struct iovec *iov, unsigned n);
ssize_t std_write(const struct std_stream *s, const struct iovec *iov, unsigned n);

/* How long who may be reading is waited for. */
#define STD_PATIENCE_MS 1000
/*
 * Any thread: all of it, each time it has to wait for so long at most.  False: it
 * or its end is lost as nobody reads; true also where nobody is left to tell.
 */
bool std_write_all(const struct std_stream *s, const void *buf, size_t n, int wait_ms);

#endif
