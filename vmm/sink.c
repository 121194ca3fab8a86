// SPDX-License-Identifier: MIT
/*
 * sink.c - writing without being stuck.  poll() says when a pipe has room for a
 * page, which one write() of no more than that then finds; a full disk leaves
 * a file that ends with the last whole piece.
 */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "barrier.h"
#include "log.h"
#include "thread.h"

/* Each look costs somebody a processor for a moment: no more often than must be. */
#define SLEEP_FULL_MS 1
#define SLEEP_BUSY_MS 4
#define SLEEP_MOST_MS 16
#define FULL MiB /* so much at once may soon be more than there is room for */
#define PATIENCE_MS 1000 /* with a reader that takes nothing, at the end */
#define NICE 10

int sink_open_file(const char *name, bool wait, bool *on_disk)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | (wait ? 0 : O_NONBLOCK), 0666);
	struct stat st;

	if (fd < 0)
		return -1;
	*on_disk = !fstat(fd, &st) && S_ISREG(st.st_mode);
	if (fcntl(fd, F_SETFL, 0) || (*on_disk && ftruncate(fd, 0))) {
		close(fd);
		return -1;
	}
	return fd;
}

int sink_start(struct sink *s, const char *thread, void *(*main_loop)(void *))
{
	int err;

	s->stop = s->failed = false;
	s->filled = 0;
	s->in_file = s->n = s->n_out = s->written = 0;
	s->ms = SLEEP_BUSY_MS;
	s->buffer = malloc(SINK_BUFFER);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!s->buffer || s->wake < 0) {
		err = errno;
		free(s->buffer);
		close(s->wake);
		return err;
	}
	err = thread_start(&s->thread, thread, main_loop, s, 0);
	if (err) {
		free(s->buffer);
		close(s->wake);
	}
	return err;
}

void sink_stop(struct sink *s)
{
	u64 one = 1;

	STORE_RELEASE(&s->stop, true);
	if (write(s->wake, &one, sizeof(one)) < 0)
		warn("%s: eventfd: %s", s->what, strerror(errno));
	pthread_join(s->thread, NULL);
	close(s->wake);
	free(s->buffer);
}

static bool must_end(const struct sink *s)
{
	return LOAD_ACQUIRE(&s->stop);
}

void sink_fail(struct sink *s, const char *why)
{
	if (!s->failed)
		warn("%s %s: %s; it has ended with %llu %s, and the guest goes on", s->what, s->name, why,
		     (unsigned long long)s->n_out, s->records);
	s->failed = true;
}

/* There is room, for a page at least; or it failed. */
static bool wait_for_room(struct sink *s)
{
	struct pollfd p[2] = { { .fd = s->fd, .events = POLLOUT }, { .fd = s->wake, .events = POLLIN } };

	if (s->on_disk)
		return true;
	for (;;) {
		bool stop = must_end(s);
		int n = poll(p, stop ? 1 : 2, stop ? PATIENCE_MS : -1);

		if (n < 0 && errno != EINTR)
			sink_fail(s, strerror(errno));
		if (!n)
			sink_fail(s, "its reader takes nothing");
		if (n > 0 && p[0].revents & (POLLERR | POLLNVAL | POLLHUP))
			sink_fail(s, "its reader is gone");
		if (s->failed || (n > 0 && p[0].revents & POLLOUT))
			return !s->failed;
	}
}

void sink_flush(struct sink *s)
{
	u64 whole = s->in_file - s->filled;
	bool was_failed = s->failed;
	size_t at = 0;

	while (!s->failed && at < s->filled && wait_for_room(s)) {
		size_t most = s->on_disk ? s->filled : PIPE_BUF;
		ssize_t n = write(s->fd, s->buffer + at, MIN(s->filled - at, most));

		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno == EPIPE)
			sink_fail(s, "its reader is gone");
		else if (n < 0 && errno != EINTR && errno != EAGAIN)
			sink_fail(s, strerror(errno));
	}
	if (s->failed && !was_failed && s->on_disk && ftruncate(s->fd, (off_t)whole))
		warn("%s %s: its end is cut off", s->what, s->name);
	if (!s->failed)
		s->n_out = s->n;
	s->filled = 0;
}

u8 *sink_room(struct sink *s, size_t n)
{
	if (s->filled + n > SINK_BUFFER)
		sink_flush(s);
	return s->buffer + s->filled;
}

void sink_wrote(struct sink *s, size_t n)
{
	s->filled += n;
	s->in_file += n;
	s->written += n;
}

/* Sleep a little, longer if there was nothing to write; a reader that goes is noticed. */
static void doze(struct sink *s)
{
	struct pollfd p[2] = { { .fd = s->wake, .events = POLLIN }, { .fd = s->on_disk ? -1 : s->fd } };

	if (!s->written)
		s->ms = MIN(2 * s->ms, SLEEP_MOST_MS);
	else
		s->ms = s->written < FULL ? SLEEP_BUSY_MS : SLEEP_FULL_MS;
	s->written = 0;
	if (poll(p, 2, s->ms) > 0 && p[1].revents & (POLLERR | POLLHUP))
		sink_fail(s, "its reader is gone");
}

void sink_serve(struct sink *s, void (*drain)(void))
{
	setpriority(PRIO_PROCESS, 0, NICE); /* of this thread: Linux has it so */
	while (!s->failed) {
		/* Asked before the last look at what there is. */
		bool end = must_end(s);

		drain();
		if (end)
			break;
		doze(s);
	}
}
