/* SPDX-License-Identifier: MIT */
/*
 * engine.h - how a device thread moves frames through a tap and sleeps: two
 * interchangeable engines, io_uring and plain readv/writev with poll.
 *
 * The owner queues reads and writes, each with a slot number of its own
 * choosing, then enters; what completed comes out of next() in the order in
 * which the tap was really read and written; only what failed may come later
 * than that.  An iovec array must stay valid until enter() returns, the memory
 * it names until the completion.
 *
 * Everything but create/free is for the one thread that called attach().
 */
#ifndef RINGLET_ENGINE_H
#define RINGLET_ENGINE_H

#include <sys/uio.h>

#include "base.h"

enum engine_event_type {
	ENGINE_READ,	/* slot, result: bytes or -errno */
	ENGINE_WRITTEN, /* slot, result */
	ENGINE_KICK,	/* the driver's notification came */
	ENGINE_CONTROL, /* somebody wrote the control eventfd (already read) */
	ENGINE_NOTHING, /* none of these: next() never says it */
};

struct engine_event {
	enum engine_event_type type;
	unsigned slot;
	int result;
};

#define ENGINE_READS 16	 /* slots */
#define ENGINE_WRITES 64 /* slots */
#define ENGINE_READ_IOV 65 /* segments of a read at most; a write has up to 1024 */

#define ENGINE_NO_WAIT 0
#define ENGINE_FOREVER (-1)

struct engine_fds {
	int tap;     /* O_NONBLOCK; datagrams in, datagrams out */
	int kick;    /* eventfd */
	int control; /* eventfd */
};

struct engine;

struct engine_ops {
	const char *name;
	/* First call of the owning thread.  0 or -errno. */
	int (*attach)(struct engine *e);
	/*
	 * Queue a read.  wait: stay until there is a datagram, and be a reason
	 * to wake up; else complete with -EAGAIN when there is none.
	 */
	void (*read)(struct engine *e, unsigned slot, const struct iovec *iov, unsigned n, bool wait);
	void (*write)(struct engine *e, unsigned slot, const struct iovec *iov, unsigned n);
	/*
	 * Carry out what is queued; then wait for an event: ENGINE_NO_WAIT,
	 * ENGINE_FOREVER, or so many nanoseconds at most.
	 */
	void (*enter)(struct engine *e, s64 wait_ns);
	bool (*next)(struct engine *e, struct engine_event *ev);
	/*
	 * Might an enter() find an event?  No system call: for a thread that
	 * looks around before it sleeps.  NULL: this engine cannot tell.
	 */
	bool (*ready)(const struct engine *e);
	/*
	 * Queue the cancelling of every read, and every write if asked, that
	 * is in flight: each still completes, with -ECANCELED or as it may.
	 */
	void (*cancel)(struct engine *e, bool writes);
	/* Last call of the owning thread, nothing in flight: let the fds go. */
	void (*detach)(struct engine *e);
	void (*free)(struct engine *e);
};

struct engine {
	const struct engine_ops *ops;
	struct engine_fds fd;
	/*
	 * Whether reads with wait == false are possible.  Without (tun before
	 * Linux 6.4), read-ahead is done by a few waiting reads.
	 */
	bool nowait;
	/* For the counters: system calls made, reads and writes begun and ended. */
	u64 enters, submissions, completions;
};

/* Main thread, before privileges go.  NULL and errno on failure. */
struct engine *engine_uring_new(const struct engine_fds *fd);
struct engine *engine_poll_new(const struct engine_fds *fd);

#endif
