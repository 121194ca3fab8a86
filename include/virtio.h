/* SPDX-License-Identifier: MIT */
/*
 * virtio.h - a virtio device behind the MMIO transport, version 2 (virtio 1.2,
 * 4.2): the register file as a state machine, and who owns the queues when.
 *
 * The queues belong to the vCPU threads (through the registers, under
 * dev->lock) until DRIVER_OK; start() then hands them to the device's own
 * thread; stop() takes them back, and returns only when no operation that
 * points into guest memory is left.  Reset, FAILED and a queue that is
 * disabled all stop first and change registers after.
 *
 * Layout of a window, see layout.h: registers below 0x60 always trap.  Those
 * from 0x60 on live in a page of their own, dev->page, which the VM maps into
 * the guest read-only; writes to it trap.
 */
#ifndef RINGLET_VIRTIO_H
#define RINGLET_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>

#include "base.h"
#include "virtq.h"

#define VIRTIO_MAX_QUEUES 33
#define VIRTIO_PAGE_START 0x60 /* first register in dev->page */
#define VIRTIO_CONFIG_SIZE 64  /* bytes of device configuration space */
#define VIRTIO_VENDOR 0x474e4952 /* "RING" */

#ifndef VIRTIO_F_RING_RESET /* older than Linux 6.0's headers */
#define VIRTIO_F_RING_RESET 40
#endif

#define VIRTIO_BIT(n) (1ULL << (n))

struct virtio_dev;

/* What a device type does.  All with dev->lock held, by a vCPU thread or main. */
struct virtio_ops {
	/*
	 * The driver wants dev->accepted: may it have just these together
	 * (dependencies)?  NULL, or what is wrong.
	 */
	const char *(*check_features)(struct virtio_dev *dev, u64 accepted);
	/*
	 * Serve those of dev->vq[] that are ready until stop().  fresh: it is
	 * a new driver, forget all; else one queue came or went.
	 */
	void (*start)(struct virtio_dev *dev, bool fresh);
	/* Return when nothing in flight points into guest memory. */
	void (*stop)(struct virtio_dev *dev);
	/*
	 * The driver reset the device, after stop: configuration space is what
	 * the next one, which reads it before start, is to see.  May be NULL.
	 */
	void (*reset)(struct virtio_dev *dev);
};

/*
 * What the driver did wrong, by the rule that it broke: sentences of ours, so
 * there are not many; those that do not fit share the last row.
 */
#define VIRTIO_ERRORS 32
struct virtio_errors {
	unsigned n;
	struct {
		const char *rule;
		u64 times;
	} of[VIRTIO_ERRORS];
};

struct virtio_queue {
	u16 max;    /* QueueNumMax, ours */
	bool ready; /* vq is valid */
	struct virtq_layout want; /* what the driver said, unchecked */
};

struct virtio_dev {
	/* Constant. */
	const struct virtio_ops *ops;
	const struct mem *mem;
	const char *name; /* for messages */
	u32 id;		  /* virtio device ID */
	u64 offered;	  /* feature bits */
	unsigned nvq;
	bool strict; /* InterruptStatus to the letter: see virtio_interrupt() */
	int irq_fd;  /* eventfd, an irqfd in a VM; owned by the creator */
	/*
	 * Per queue: the eventfd that its kicks end in, an ioeventfd in a VM.
	 * Queues may share one; owned by the creator.
	 */
	int kick_fd[VIRTIO_MAX_QUEUES];

	/*
	 * Guest-visible words from register 0x60 on, one host page.  Status
	 * and InterruptStatus are set by the device thread as well: atomic.
	 */
	u32 *page;

	pthread_mutex_t lock; /* all below */
	u64 accepted;
	u32 device_features_sel, driver_features_sel, queue_sel;
	bool running; /* between start() and stop() */
	bool warned;  /* the guest broke a register rule: said once per reset */
	struct virtio_queue queue[VIRTIO_MAX_QUEUES];

	u64 config_interrupts; /* atomic: configuration changes that were signalled */
	pthread_mutex_t errors_lock; /* a leaf: no other lock is taken under it */
	struct virtio_errors errors;

	/* Owned by the device thread while running. */
	struct virtq vq[VIRTIO_MAX_QUEUES];
};

/*
 * Main thread: fill in what is constant first (ops, mem, name, id, offered,
 * nvq, queue[].max, strict, fds).  0 or -errno.
 */
int virtio_init(struct virtio_dev *dev) MUST_CHECK;
/* Main thread, after stop.  Leaves the file descriptors alone. */
void virtio_fini(struct virtio_dev *dev);

/* vCPU threads: the guest's access at offset in the window. */
void virtio_mmio_read(struct virtio_dev *dev, u64 offset, void *data, unsigned len);
void virtio_mmio_write(struct virtio_dev *dev, u64 offset, const void *data, unsigned len);

/* The main thread, when the vCPUs are gone: as if the driver had reset it. */
void virtio_quiesce(struct virtio_dev *dev);

/* Main thread before start, the device thread, or in reset(): configuration space. */
void virtio_config_set(struct virtio_dev *dev, unsigned offset, const void *data, unsigned len);
/*
 * Any thread, after it changed configuration space for a reason of the
 * device's own: a new generation and a configuration change interrupt (2.5.1,
 * 4.2.2.1).
 */
void virtio_config_changed(struct virtio_dev *dev);

/*
 * The device thread: raise "used buffer".  Bit 0 of InterruptStatus stays set
 * from DRIVER_OK to reset unless dev->strict: then the guest's acknowledgement
 * need not reach us, and no interrupt can be lost between the two.  Linux and
 * every driver that looks at the rings whenever it sees the bit is content.
 */
void virtio_interrupt(struct virtio_dev *dev);

/*
 * The device thread: a queue is broken.  Says which rule, sets
 * DEVICE_NEEDS_RESET and raises a configuration change (2.1.2).
 */
void virtio_needs_reset(struct virtio_dev *dev, const char *what, const char *rule);

/* Any thread: what there was until now, all drivers together. */
void virtio_read_errors(struct virtio_dev *dev, struct virtio_errors *to);

/* Any thread: one register word of dev->page. */
u32 *virtio_reg(struct virtio_dev *dev, unsigned reg);

#endif
