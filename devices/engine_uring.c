// SPDX-License-Identifier: MIT
/*
 * engine_uring.c - the engine on io_uring: a batch of reads and writes is one
 * system call, which is also the one that sleeps.
 *
 * The ring is made disabled by the main thread, while it still may, and
 * enabled by the device thread, which thereby becomes its single issuer; with
 * DEFER_TASKRUN completions are posted only while that thread is inside
 * enter(), so the order of completions is the order in which the tap was
 * read.  The tap's poll wakes every read that waits on it, so few do
 * (axboe/liburing#886); the others are told not to (RWF_NOWAIT).
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "barrier.h"
#include "engine.h"

#define SQ_ENTRIES 128 /* reads, writes, two polls, cancels: never full between enters */
#define CQ_ENTRIES 256

/* Indices in the table of registered files. */
enum { FILE_TAP, FILE_KICK, FILE_CONTROL, FILES };

/* user_data: what completed, and its slot. */
enum { DATA_READ, DATA_WRITE, DATA_KICK, DATA_CONTROL, DATA_CANCEL };
#define DATA(kind, slot) ((u64)(kind) << 32 | (slot))

_Static_assert(ENGINE_READS + ENGINE_WRITES + 4 < SQ_ENTRIES, "a round must fit the ring");

struct engine_uring {
	struct engine e;
	struct io_uring ring;
	u32 reads; /* bit per slot: in flight */
	u64 writes;
	bool kick_armed, control_armed;
};

static struct engine_uring *self(struct engine *e)
{
	return (struct engine_uring *)e;
}

/*
 * A kernel without memory may take a part of what is submitted.  The rest may
 * not stay: it names arrays that the next round fills anew.
 */
static void submit_all(struct engine_uring *u)
{
	const struct timespec moment = { .tv_nsec = 100000 };

	while (io_uring_sq_ready(&u->ring))
		if (io_uring_submit(&u->ring) <= 0)
			nanosleep(&moment, NULL);
}

/* A round's requests fit the ring, see SQ_ENTRIES; if not, submit early. */
static struct io_uring_sqe *next_sqe(struct engine_uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe) {
		submit_all(u);
		sqe = io_uring_get_sqe(&u->ring);
	}
	assert(sqe);
	return sqe;
}

static void uring_read(struct engine *e, unsigned slot, const struct iovec *iov, unsigned n, bool wait)
{
	struct engine_uring *u = self(e);
	struct io_uring_sqe *sqe = next_sqe(u);

	io_uring_prep_readv2(sqe, FILE_TAP, iov, n, 0, wait ? 0 : RWF_NOWAIT);
	io_uring_sqe_set_data64(sqe, DATA(DATA_READ, slot));
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	u->reads |= 1u << slot;
	e->submissions++;
}

static void uring_write(struct engine *e, unsigned slot, const struct iovec *iov, unsigned n)
{
	struct engine_uring *u = self(e);
	struct io_uring_sqe *sqe = next_sqe(u);

	/* tun never blocks a writer whose send buffer is unlimited. */
	io_uring_prep_writev2(sqe, FILE_TAP, iov, n, 0, e->nowait ? RWF_NOWAIT : 0);
	io_uring_sqe_set_data64(sqe, DATA(DATA_WRITE, slot));
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	u->writes |= 1ULL << slot;
	e->submissions++;
}

/*
 * A multishot poll on an eventfd reports every signal, and the count need
 * never be read.  It ends only when the completion ring overflows.
 */
static void arm_polls(struct engine_uring *u)
{
	struct io_uring_sqe *sqe;

	if (!u->kick_armed) {
		sqe = next_sqe(u);
		io_uring_prep_poll_multishot(sqe, FILE_KICK, POLLIN);
		io_uring_sqe_set_data64(sqe, DATA(DATA_KICK, 0));
		io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
		u->kick_armed = true;
	}
	if (!u->control_armed) {
		sqe = next_sqe(u);
		io_uring_prep_poll_multishot(sqe, FILE_CONTROL, POLLIN);
		io_uring_sqe_set_data64(sqe, DATA(DATA_CONTROL, 0));
		io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
		u->control_armed = true;
	}
}

/* Completions are posted only in enter(): until then a flag says that there are. */
static bool is_flagged(const struct engine_uring *u)
{
	return LOAD_ONCE(u->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static void uring_enter(struct engine *e, s64 wait_ns)
{
	struct engine_uring *u = self(e);
	struct __kernel_timespec limit = { wait_ns / 1000000000, wait_ns % 1000000000 };
	struct io_uring_cqe *cqe;

	arm_polls(u);
	/* With nothing to submit and no task work due, submit() is no system call. */
	if (wait_ns || io_uring_sq_ready(&u->ring) || is_flagged(u))
		e->enters++;
	if (wait_ns == ENGINE_FOREVER)
		io_uring_submit_and_wait(&u->ring, 1);
	else if (wait_ns == ENGINE_NO_WAIT)
		io_uring_submit(&u->ring);
	else
		io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &limit, NULL);
	submit_all(u);
}

static bool uring_next(struct engine *e, struct engine_event *ev)
{
	struct engine_uring *u = self(e);
	struct io_uring_cqe *cqe;

	/* With none there but some flagged, peek enters the kernel for them. */
	if (!io_uring_cq_ready(&u->ring) && is_flagged(u))
		e->enters++;
	while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		u64 data = io_uring_cqe_get_data64(cqe);
		bool more = cqe->flags & IORING_CQE_F_MORE;
		u64 count;

		*ev = (struct engine_event){ .slot = (u32)data, .result = cqe->res };
		io_uring_cqe_seen(&u->ring, cqe);
		switch (data >> 32) {
		case DATA_READ:
			ev->type = ENGINE_READ;
			u->reads &= ~(1u << ev->slot);
			e->completions++;
			return true;
		case DATA_WRITE:
			ev->type = ENGINE_WRITTEN;
			u->writes &= ~(1ULL << ev->slot);
			e->completions++;
			return true;
		case DATA_KICK:
			ev->type = ENGINE_KICK;
			u->kick_armed = more;
			return true;
		case DATA_CONTROL:
			ev->type = ENGINE_CONTROL;
			u->control_armed = more;
			/* Rare; read so that re-arming does not report it again. */
			if (read(e->fd.control, &count, sizeof(count)) < 0)
				continue;
			return true;
		}
	}
	return false;
}

static bool uring_ready(const struct engine *e)
{
	const struct engine_uring *u = (const struct engine_uring *)e;

	return io_uring_cq_ready(&u->ring) || is_flagged(u);
}

static void uring_cancel(struct engine *e, bool writes)
{
	struct engine_uring *u = self(e);
	struct io_uring_sqe *sqe;

	for (unsigned i = 0; i < ENGINE_READS; i++) {
		if (!(u->reads & 1u << i))
			continue;
		sqe = next_sqe(u);
		io_uring_prep_cancel64(sqe, DATA(DATA_READ, i), 0);
		io_uring_sqe_set_data64(sqe, DATA(DATA_CANCEL, 0));
	}
	for (unsigned i = 0; i < ENGINE_WRITES; i++) {
		if (!writes || !(u->writes & 1ULL << i))
			continue;
		sqe = next_sqe(u);
		io_uring_prep_cancel64(sqe, DATA(DATA_WRITE, i), 0);
		io_uring_sqe_set_data64(sqe, DATA(DATA_CANCEL, 0));
	}
}

/* liburing 2.3 declares io_uring_enable_rings() but does not export it. */
static int uring_attach(struct engine *e)
{
	long r = syscall(__NR_io_uring_register, self(e)->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS,
			 NULL, 0);

	return r < 0 ? -errno : 0;
}

/*
 * A ring is torn down by a kernel worker some time after it is closed, and
 * until then it would keep the tap: let go of the files first, which only this
 * thread may do, and before that of the polls that hold them.
 */
static void uring_detach(struct engine *e)
{
	struct engine_uring *u = self(e);
	const u64 polls[] = { DATA(DATA_KICK, 0), DATA(DATA_CONTROL, 0) };
	struct engine_event ev;
	struct io_uring_sqe *sqe;

	for (unsigned i = 0; i < ARRAY_SIZE(polls); i++) {
		sqe = next_sqe(u);
		io_uring_prep_cancel64(sqe, polls[i], 0);
		io_uring_sqe_set_data64(sqe, DATA(DATA_CANCEL, 0));
	}
	while (u->kick_armed || u->control_armed) {
		if (io_uring_submit_and_wait(&u->ring, 1) < 0)
			return;
		while (uring_next(e, &ev))
			;
	}
	io_uring_unregister_files(&u->ring);
}

static void uring_free(struct engine *e)
{
	io_uring_queue_exit(&self(e)->ring);
	free(self(e));
}

static const struct engine_ops uring_ops = {
	.name = "io_uring",
	.attach = uring_attach,
	.read = uring_read,
	.write = uring_write,
	.enter = uring_enter,
	.next = uring_next,
	.ready = uring_ready,
	.cancel = uring_cancel,
	.detach = uring_detach,
	.free = uring_free,
};

/*
 * Ask the tap itself (tun knows the flag since Linux 6.4).  A frame that this
 * takes came before there was a guest to read it.
 */
static bool tap_knows_nowait(int fd)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	ssize_t r = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	return r >= 0 || errno != EOPNOTSUPP;
}

struct engine *engine_uring_new(const struct engine_fds *fd)
{
	struct engine_uring *u = calloc(1, sizeof(*u));
	struct io_uring_params p = {
		.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
			 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
		.cq_entries = CQ_ENTRIES,
	};
	int files[FILES] = { fd->tap, fd->kick, fd->control };
	int err;

	if (!u)
		return NULL;
	u->e = (struct engine){ .ops = &uring_ops, .fd = *fd, .nowait = tap_knows_nowait(fd->tap) };
	err = io_uring_queue_init_params(SQ_ENTRIES, &u->ring, &p);
	if (err) {
		free(u);
		errno = -err;
		return NULL;
	}
	err = io_uring_register_files(&u->ring, files, FILES);
	if (err) {
		uring_free(&u->e);
		errno = -err;
		return NULL;
	}
	return &u->e;
}
