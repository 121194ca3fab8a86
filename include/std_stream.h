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

#endif
