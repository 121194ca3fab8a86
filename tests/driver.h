/* SPDX-License-Identifier: MIT */
/*
 * driver.h - the other side: what a guest's driver does, for tests of the
 * device's side.
 *
 * Guest RAM is one memfd mapped twice.  The code under test is given struct
 * mem, which knows the first mapping; the driver uses only the second, at
 * another address.  A pointer that is used without translation, or a gpa taken
 * for one, faults.  Both mappings have inaccessible pages on both sides.
 */
#ifndef RINGLET_TESTS_DRIVER_H
#define RINGLET_TESTS_DRIVER_H

#include "base.h"
#include "mem.h"
#include "virtio.h"
#include "virtq.h"

/* Low RAM does not start at 0, so that an address nobody filled in is bad. */
#define GUEST_LOW 0x100000ULL
#define GUEST_HIGH 0x100000000ULL

struct guest {
	struct mem mem; /* the device's view */
	u8 *view[2];	/* the driver's view of the same regions */
	u64 next[2];	/* where guest_alloc() goes on */
	int fd;
};

/* Sizes in bytes, whole pages; high may be 0. */
void guest_open(struct guest *g, u64 low, u64 high);
void guest_close(struct guest *g);
/* The driver's pointer; the test is wrong if it is not in RAM: abort(). */
void *guest_at(const struct guest *g, u64 gpa);
/* gpa of size fresh bytes in region 0 (low) or 1 (high). */
u64 guest_alloc(struct guest *g, unsigned region, u64 size, u64 align);

struct segment {
	u64 gpa;
	u32 len;
	bool write; /* for the device to write */
};

/* Descriptors in a head's own indirect table at most. */
#define RING_TABLE 32

/* The driver's side of a split virtqueue. */
struct ring {
	struct guest *g;
	struct virtq_layout where;
	u16 size;
	bool event_idx, indirect;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	u64 tables; /* gpa, RING_TABLE descriptors per head */

	u16 added;	      /* available index, not yet all shown */
	u16 shown;	      /* what the device can see */
	u16 asked;	      /* shown at the last decision on a kick */
	u16 seen;	      /* used entries taken */
	u16 free, n_free;     /* list of free descriptors */
	u16 n[VIRTQ_MAX_SIZE]; /* descriptors of the chain with this head; 0: is none */
};

void ring_init(struct ring *r, struct guest *g, u16 size, bool event_idx, bool indirect);
/* As new, in the same memory: after a reset. */
void ring_restart(struct ring *r);
/* Make a chain available; its head, or -1 when there is no room for it. */
int ring_add(struct ring *r, const struct segment *s, unsigned n);
/* Let the device see what was added. */
void ring_show(struct ring *r);
/* After ring_show(): must the device be told?  (2.7.10) */
bool ring_must_kick(struct ring *r);
/* Next used entry: 1, 0 when there is none, -1 when it names no chain of ours. */
int ring_take(struct ring *r, u16 *head, u32 *len);
u16 ring_waiting(const struct ring *r); /* used entries not yet taken */
void ring_interrupts_off(struct ring *r);
/* True when there is something to take already. */
bool ring_interrupts_on(struct ring *r);
u16 *ring_used_event(struct ring *r);
u16 *ring_avail_event(struct ring *r);

/* The register file, as a driver's readl() and writel() reach it. */
u32 reg_read(struct virtio_dev *dev, unsigned reg);
void reg_write(struct virtio_dev *dev, unsigned reg, u32 v);
u64 reg_read_features(struct virtio_dev *dev);
void reg_write_features(struct virtio_dev *dev, u64 features);

/* Reset to FEATURES_OK; whether the device took the features. */
bool driver_negotiate(struct virtio_dev *dev, u64 features);
/* Registers of one queue up to QueueReady; whether it is ready then. */
bool driver_enable_queue(struct virtio_dev *dev, unsigned i, const struct virtq_layout *where);
void driver_ok(struct virtio_dev *dev);
void driver_kick(struct virtio_dev *dev, unsigned queue);

/* A sequence that is the same for the same seed. */
u64 random_next(u64 *state);
/* Fill with bytes that depend on seed and position. */
void random_fill(void *p, size_t n, u64 seed);

/* Make the monotonic clock of this program show so much more. */
void clock_advance(unsigned seconds);

/*
 * What is written to stderr between the two, at most size - 1 bytes.  Starts
 * with a fresh allowance of guest_warn()'s.
 */
void stderr_capture(void);
size_t stderr_release(char *buf, size_t size);

#endif
