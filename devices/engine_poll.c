// SPDX-License-Identifier: MIT
/*
 * engine_poll.c - the engine for hosts where io_uring is switched off: plain
 * readv and writev on the non-blocking tap, ppoll to sleep.
 *
 * Everything that can be done is done at once when it is queued, so only
 * waiting reads are ever in flight; enter() retries them, in order.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

#define MAX_EVENTS (ENGINE_READS + ENGINE_WRITES + 2)

struct waiting_read {
	unsigned slot;
	unsigned n;
	struct iovec iov[ENGINE_READ_IOV];
};

struct engine_poll {
	struct engine e;
	struct engine_event ready[MAX_EVENTS]; /* a ring: n of them from first on */
	unsigned first, n;
	struct waiting_read waiting[ENGINE_READS]; /* in order of arrival */
	unsigned n_waiting;
	bool tried; /* a read, since the last enter() */
};

static struct engine_poll *self(struct engine *e)
{
	return (struct engine_poll *)e;
}

static void post(struct engine_poll *p, enum engine_event_type type, unsigned slot, int result)
{
	assert(p->n < MAX_EVENTS);
	p->ready[(p->first + p->n++) % MAX_EVENTS] = (struct engine_event){ type, slot, result };
}

static int poll_attach(struct engine *e)
{
	(void)e;
	return 0;
}

static int try_read(struct engine *e, const struct iovec *iov, unsigned n)
{
	ssize_t r = readv(e->fd.tap, iov, (int)n);

	self(e)->tried = true;
	e->enters++;
	return r < 0 ? -errno : (int)r;
}

static void poll_read(struct engine *e, unsigned slot, const struct iovec *iov, unsigned n, bool wait)
{
	struct engine_poll *p = self(e);
	int r = p->n_waiting ? -EAGAIN : try_read(e, iov, n);

	e->submissions++;
	if (r == -EAGAIN && wait) {
		struct waiting_read *w = &p->waiting[p->n_waiting++];

		assert(n <= ENGINE_READ_IOV);
		w->slot = slot;
		w->n = n;
		memcpy(w->iov, iov, n * sizeof(*iov));
		return;
	}
	post(p, ENGINE_READ, slot, r);
}

static void poll_write(struct engine *e, unsigned slot, const struct iovec *iov, unsigned n)
{
	ssize_t r = writev(e->fd.tap, iov, (int)n);

	e->enters++;
	e->submissions++;
	post(self(e), ENGINE_WRITTEN, slot, r < 0 ? -errno : (int)r);
}

static void retry_reads(struct engine_poll *p)
{
	unsigned done = 0;

	while (done < p->n_waiting) {
		struct waiting_read *w = &p->waiting[done];
		int r = try_read(&p->e, w->iov, w->n);

		if (r == -EAGAIN)
			break;
		post(p, ENGINE_READ, w->slot, r);
		done++;
	}
	p->n_waiting -= done;
	memmove(p->waiting, p->waiting + done, p->n_waiting * sizeof(p->waiting[0]));
}

static void poll_enter(struct engine *e, s64 wait_ns)
{
	struct engine_poll *p = self(e);
	struct pollfd fds[3] = {
		{ .fd = e->fd.kick, .events = POLLIN },
		{ .fd = e->fd.control, .events = POLLIN },
		{ .fd = p->n_waiting ? e->fd.tap : -1, .events = POLLIN },
	};
	struct timespec limit = { wait_ns / 1000000000, wait_ns % 1000000000 };
	bool tried = p->tried;
	u64 count;

	p->tried = false;
	/*
	 * What was queued is done already, but for the reads that wait.  A thread
	 * that is always busy hears of those here alone; one that has just begun
	 * to wait found nothing.
	 */
	if (wait_ns == ENGINE_NO_WAIT && !tried)
		retry_reads(p);
	if (wait_ns == ENGINE_NO_WAIT || p->n)
		return;
	e->enters++;
	if (ppoll(fds, 3, wait_ns == ENGINE_FOREVER ? NULL : &limit, NULL) <= 0)
		return;
	if (fds[0].revents && read(e->fd.kick, &count, sizeof(count)) > 0)
		post(p, ENGINE_KICK, 0, 0);
	if (fds[1].revents && read(e->fd.control, &count, sizeof(count)) > 0)
		post(p, ENGINE_CONTROL, 0, 0);
	if (fds[2].revents)
		retry_reads(p);
}

static bool poll_next(struct engine *e, struct engine_event *ev)
{
	struct engine_poll *p = self(e);

	if (!p->n)
		return false;
	*ev = p->ready[p->first];
	p->first = (p->first + 1) % MAX_EVENTS;
	p->n--;
	e->completions += ev->type == ENGINE_READ || ev->type == ENGINE_WRITTEN;
	return true;
}

static void poll_cancel(struct engine *e, bool writes)
{
	struct engine_poll *p = self(e);

	(void)writes; /* they are done when they are queued */
	for (unsigned i = 0; i < p->n_waiting; i++)
		post(p, ENGINE_READ, p->waiting[i].slot, -ECANCELED);
	p->n_waiting = 0;
}

static void poll_detach(struct engine *e)
{
	(void)e;
}

static void poll_free(struct engine *e)
{
	free(self(e));
}

static const struct engine_ops poll_ops = {
	.name = "poll",
	.attach = poll_attach,
	.read = poll_read,
	.write = poll_write,
	.enter = poll_enter,
	.next = poll_next,
	.cancel = poll_cancel,
	.detach = poll_detach,
	.free = poll_free,
};

struct engine *engine_poll_new(const struct engine_fds *fd)
{
	struct engine_poll *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->e = (struct engine){ .ops = &poll_ops, .fd = *fd, .nowait = true };
	return &p->e;
}
