/* SPDX-License-Identifier: MIT */
/*
 * vconsole.h - a virtio console device (virtio 1.2, 5.3) with several named
 * ports: streams of bytes between a program in the guest, which opens
 * /dev/vport0p0 and its neighbours, and one here.
 *
 * Every port has its own pair of rings, so that each stream holds itself up
 * and no other: what is not taken here stays in the guest's buffers until its
 * writer waits, and nothing is stored on the way.
 *
 * It has no thread: the main thread calls vconsole_serve(), which never waits.
 */
#ifndef RINGLET_VCONSOLE_H
#define RINGLET_VCONSOLE_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base.h"

struct mem;
struct vconsole;
struct virtio_dev;

#define VCONSOLE_MAX_PORTS 8

/*
 * The host's ends of the streams; called within vconsole_serve(), must not
 * wait.  Both say how many bytes they took or gave, which may be fewer than
 * there are; 0: none at the moment, vconsole_serve() is to be called when that
 * changes; -1: this is the end of the port, towards the guest too.
 */
struct vconsole_ops {
	ssize_t (*take)(void *opaque, unsigned port, const struct iovec *iov, unsigned n);
	ssize_t (*give)(void *opaque, unsigned port, const struct iovec *iov, unsigned n);
};

/*
 * Main thread.  One port for each of the n names but those that are NULL, whose
 * number is left out; NULL: no memory, no eventfds.
 */
struct vconsole *vconsole_new(const struct mem *m, const char *const *name, unsigned n, bool strict,
			      const struct vconsole_ops *ops, void *opaque);
/* Main thread, when no vCPU runs. */
void vconsole_free(struct vconsole *vc);

struct virtio_dev *vconsole_virtio(struct vconsole *vc);

/* Readable when the guest did something; vconsole_serve() is then due. */
int vconsole_kick_fd(const struct vconsole *vc);

/*
 * Main thread: move what can be moved without waiting, a bounded amount.
 * True if it came to that bound: call again.
 */
bool vconsole_serve(struct vconsole *vc);

/* Main thread: whether a program in the guest has the port open. */
bool vconsole_is_open(struct vconsole *vc, unsigned port);

#endif
