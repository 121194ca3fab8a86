// SPDX-License-Identifier: MIT
/*
 * std_stream.c - standard streams that no thread need wait for.
 *
 * A pipe or terminal is shared with others, whom O_NONBLOCK would surprise: we
 * take a description of our own.  What cannot be opened again (another user's)
 * is used as it is, when poll() says so.
 */
#include "std_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void std_open(struct std_stream *s, int fd, int mode)
{
	struct stat st = { 0 };
	char name[32];
	int own = -1;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	s->may_wait = !fstat(fd, &st) && (S_ISFIFO(st.st_mode) || isatty(fd));
	if (s->may_wait)
		own = open(name, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	s->socket = S_ISSOCK(st.st_mode);
	s->may_wait &= own < 0;
	s->fd = own < 0 ? fd : own;
}

ssize_t std_read(const struct std_stream *s, const struct iovec *iov, unsigned n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };
	ssize_t r;

	do
		r = s->socket ? recvmsg(s->fd, &m, MSG_DONTWAIT) : readv(s->fd, iov, (int)n);
	while (r < 0 && errno == EINTR);
	return r;
}

ssize_t std_write(const struct std_stream *s, const struct iovec *iov, unsigned n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };
	ssize_t r;

	if (s->may_wait && poll(&p, 1, 0) <= 0) {
		errno = EAGAIN;
		return -1;
	}
	do {
		/* A pipe that has any room has it for PIPE_BUF. */
		if (s->may_wait)
			r = write(s->fd, iov->iov_base, MIN(iov->iov_len, PIPE_BUF));
		else
			r = s->socket ? sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) : writev(s->fd, iov, (int)n);
	} while (r < 0 && errno == EINTR);
	return r;
}

bool std_write_all(const struct std_stream *s, const void *buf, size_t n, int wait_ms)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };
	struct iovec rest = { (void *)buf, n };

	while (rest.iov_len) {
		ssize_t did = std_write(s, &rest, 1);

		if (did < 0 && errno != EAGAIN)
			return true;
		if (did < 0 && poll(&p, 1, wait_ms) <= 0)
			return false;
		did = MAX(did, 0);
		rest.iov_base = (char *)rest.iov_base + did;
		rest.iov_len -= (size_t)did;
	}
	return true;
}
