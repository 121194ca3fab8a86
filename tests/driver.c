// SPDX-License-Identifier: MIT
/*
 * driver.c - guest RAM at two addresses, and a virtio driver that works at
 * the second.
 *
 * It follows the driver's half of virtio 1.2, 2.7 and 3.1 to the letter, so
 * that what fails in a test is the device.  It shares no code with virtq.c
 * but the layout in <linux/virtio_ring.h> and the words of barrier.h.
 */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "barrier.h"

#define GUARD (1 * MiB)

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	printf("# the test itself is wrong, or the machine out of something: %s\n", what);
	abort();
}

/* --- memory ----------------------------------------------------------------- */

static u8 *map_guarded(int fd, u64 offset, u64 size)
{
	u8 *p = mmap(NULL, size + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	need(p != MAP_FAILED, "address space");
	p = mmap(p + GUARD, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);
	need(p != MAP_FAILED, "mapping the memfd");
	return p;
}

void guest_open(struct guest *g, u64 low, u64 high)
{
	const u64 gpa[2] = { GUEST_LOW, GUEST_HIGH }, size[2] = { low, high };

	memset(g, 0, sizeof(*g));
	g->fd = memfd_create("guest RAM", MFD_CLOEXEC);
	need(g->fd >= 0 && !ftruncate(g->fd, (off_t)(low + high)), "a memfd");
	for (unsigned i = 0; i < 2 && size[i]; i++) {
		g->mem.region[i] = (struct mem_region){
			.gpa = gpa[i],
			.size = size[i],
			.hva = map_guarded(g->fd, i ? low : 0, size[i]),
		};
		g->view[i] = map_guarded(g->fd, i ? low : 0, size[i]);
		g->next[i] = gpa[i];
		g->mem.size += size[i];
		g->mem.n++;
	}
}

void guest_close(struct guest *g)
{
	for (unsigned i = 0; i < g->mem.n; i++) {
		munmap(g->mem.region[i].hva - GUARD, g->mem.region[i].size + 2 * GUARD);
		munmap(g->view[i] - GUARD, g->mem.region[i].size + 2 * GUARD);
	}
	close(g->fd);
	memset(g, 0, sizeof(*g));
}

void *guest_at(const struct guest *g, u64 gpa)
{
	for (unsigned i = 0; i < g->mem.n; i++)
		if (gpa - g->mem.region[i].gpa < g->mem.region[i].size)
			return g->view[i] + (gpa - g->mem.region[i].gpa);
	need(false, "an address outside guest RAM");
	return NULL;
}

u64 guest_alloc(struct guest *g, unsigned region, u64 size, u64 align)
{
	u64 gpa = ALIGN_UP(g->next[region], align);
	const struct mem_region *m = &g->mem.region[region];

	need(gpa + size <= m->gpa + m->size, "guest RAM is too small for this test");
	g->next[region] = gpa + size;
	return gpa;
}

/* --- ring ------------------------------------------------------------------- */

u16 *ring_used_event(struct ring *r)
{
	return (u16 *)&r->avail->ring[r->size];
}

u16 *ring_avail_event(struct ring *r)
{
	return (u16 *)&r->used->ring[r->size];
}

void ring_init(struct ring *r, struct guest *g, u16 size, bool event_idx, bool indirect)
{
	memset(r, 0, sizeof(*r));
	r->g = g;
	r->size = size;
	r->event_idx = event_idx;
	r->indirect = indirect;
	r->where.size = size;
	r->where.desc = guest_alloc(g, 0, 16u * size, 16);
	r->where.avail = guest_alloc(g, 0, 6 + 2u * size, 64); /* lines of their own */
	r->where.used = guest_alloc(g, 0, 6 + 8u * size, 64);
	r->desc = guest_at(g, r->where.desc);
	r->avail = guest_at(g, r->where.avail);
	r->used = guest_at(g, r->where.used);
	if (indirect)
		r->tables = guest_alloc(g, 0, 16ULL * RING_TABLE * size, 16);
	ring_restart(r);
}

void ring_restart(struct ring *r)
{
	memset(r->desc, 0, 16u * r->size);
	memset(r->avail, 0, 6 + 2u * r->size);
	memset(r->used, 0, 6 + 8u * r->size);
	memset(r->n, 0, sizeof(r->n));
	for (u16 i = 0; i < r->size; i++)
		r->desc[i].next = (u16)(i + 1);
	r->free = 0;
	r->n_free = r->size;
	r->added = r->shown = r->asked = r->seen = 0;
}

static struct vring_desc descriptor(const struct segment *s, bool last, u16 next)
{
	return (struct vring_desc){
		.addr = s->gpa,
		.len = s->len,
		.flags = (u16)((s->write ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT)),
		.next = next,
	};
}

int ring_add(struct ring *r, const struct segment *s, unsigned n)
{
	bool indirect = r->indirect && n > 1;
	unsigned need_free = indirect ? 1 : n;
	u16 head = r->free, i = head;

	need(n && (!indirect || n <= RING_TABLE), "a chain of that length");
	if (r->n_free < need_free)
		return -1;
	if (indirect) {
		u64 gpa = r->tables + 16ULL * RING_TABLE * head;
		struct vring_desc *table = guest_at(r->g, gpa);

		r->free = r->desc[head].next;
		for (unsigned k = 0; k < n; k++)
			table[k] = descriptor(&s[k], k == n - 1, (u16)(k + 1));
		r->desc[head] = (struct vring_desc){
			.addr = gpa, .len = 16 * n, .flags = VRING_DESC_F_INDIRECT,
		};
	} else {
		for (unsigned k = 0; k < n; k++) {
			u16 next = r->desc[i].next;

			r->desc[i] = descriptor(&s[k], k == n - 1, next);
			i = next;
		}
		r->free = i;
	}
	r->n_free -= (u16)need_free;
	r->n[head] = (u16)need_free;
	STORE_ONCE(&r->avail->ring[r->added & (r->size - 1)], head);
	r->added++;
	return head;
}

void ring_show(struct ring *r)
{
	/* Release: descriptors and entries first.  The device's acquire pairs. */
	STORE_RELEASE(&r->avail->idx, r->added);
	r->shown = r->added;
}

bool ring_must_kick(struct ring *r)
{
	u16 old = r->asked;

	r->asked = r->shown;
	if (old == r->shown)
		return false;
	/* Our index must be out before we look at the device's wish. */
	smp_mb();
	if (r->event_idx)
		return vring_need_event(LOAD_ONCE(ring_avail_event(r)), r->shown, old);
	return !(LOAD_ONCE(&r->used->flags) & VRING_USED_F_NO_NOTIFY);
}

u16 ring_waiting(const struct ring *r)
{
	return (u16)(LOAD_ACQUIRE(&r->used->idx) - r->seen);
}

int ring_take(struct ring *r, u16 *head, u32 *len)
{
	struct vring_used_elem e;
	u16 i;

	if (!ring_waiting(r))
		return 0;
	e = r->used->ring[r->seen & (r->size - 1)];
	if (e.id >= r->size || !r->n[e.id])
		return -1;
	r->seen++;
	*head = (u16)e.id;
	*len = e.len;
	i = *head;
	for (u16 k = 1; k < r->n[*head]; k++)
		i = r->desc[i].next;
	r->desc[i].next = r->free;
	r->free = *head;
	r->n_free += r->n[*head];
	r->n[*head] = 0;
	return 1;
}

void ring_interrupts_off(struct ring *r)
{
	if (r->event_idx)
		STORE_ONCE(ring_used_event(r), (u16)(r->seen + 0x8000)); /* far from now */
	else
		STORE_ONCE(&r->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}

bool ring_interrupts_on(struct ring *r)
{
	if (r->event_idx)
		STORE_ONCE(ring_used_event(r), r->seen);
	else
		STORE_ONCE(&r->avail->flags, 0);
	/* The wish must be out before the last look. */
	smp_mb();
	return ring_waiting(r);
}

/* --- registers -------------------------------------------------------------- */

u32 reg_read(struct virtio_dev *dev, unsigned reg)
{
	u32 v;

	virtio_mmio_read(dev, reg, &v, sizeof(v));
	return v;
}

void reg_write(struct virtio_dev *dev, unsigned reg, u32 v)
{
	virtio_mmio_write(dev, reg, &v, sizeof(v));
}

u64 reg_read_features(struct virtio_dev *dev)
{
	u64 low;

	reg_write(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	low = reg_read(dev, VIRTIO_MMIO_DEVICE_FEATURES);
	reg_write(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	return low | (u64)reg_read(dev, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
}

void reg_write_features(struct virtio_dev *dev, u64 features)
{
	reg_write(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_write(dev, VIRTIO_MMIO_DRIVER_FEATURES, (u32)features);
	reg_write(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg_write(dev, VIRTIO_MMIO_DRIVER_FEATURES, (u32)(features >> 32));
}

static void add_status(struct virtio_dev *dev, u32 bits)
{
	reg_write(dev, VIRTIO_MMIO_STATUS, reg_read(dev, VIRTIO_MMIO_STATUS) | bits);
}

bool driver_negotiate(struct virtio_dev *dev, u64 features)
{
	reg_write(dev, VIRTIO_MMIO_STATUS, 0);
	add_status(dev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(dev, VIRTIO_CONFIG_S_DRIVER);
	reg_write_features(dev, features);
	add_status(dev, VIRTIO_CONFIG_S_FEATURES_OK);
	return reg_read(dev, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK;
}

bool driver_enable_queue(struct virtio_dev *dev, unsigned i, const struct virtq_layout *where)
{
	reg_write(dev, VIRTIO_MMIO_QUEUE_SEL, i);
	reg_write(dev, VIRTIO_MMIO_QUEUE_NUM, where->size);
	reg_write(dev, VIRTIO_MMIO_QUEUE_DESC_LOW, (u32)where->desc);
	reg_write(dev, VIRTIO_MMIO_QUEUE_DESC_HIGH, (u32)(where->desc >> 32));
	reg_write(dev, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (u32)where->avail);
	reg_write(dev, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (u32)(where->avail >> 32));
	reg_write(dev, VIRTIO_MMIO_QUEUE_USED_LOW, (u32)where->used);
	reg_write(dev, VIRTIO_MMIO_QUEUE_USED_HIGH, (u32)(where->used >> 32));
	reg_write(dev, VIRTIO_MMIO_QUEUE_READY, 1);
	return reg_read(dev, VIRTIO_MMIO_QUEUE_READY);
}

void driver_ok(struct virtio_dev *dev)
{
	add_status(dev, VIRTIO_CONFIG_S_DRIVER_OK);
}

void driver_kick(struct virtio_dev *dev, unsigned queue)
{
	reg_write(dev, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

/* --- the rest --------------------------------------------------------------- */

/* xorshift64*: good enough to be irregular, and the same everywhere. */
u64 random_next(u64 *state)
{
	u64 x = *state ? *state : 0x9e3779b97f4a7c15ULL;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dULL;
}

void random_fill(void *p, size_t n, u64 seed)
{
	u64 state = seed * 0x9e3779b97f4a7c15ULL + 1, word;
	u8 *to = p;

	for (; n; to += sizeof(word), n -= MIN(n, sizeof(word))) {
		word = random_next(&state);
		memcpy(to, &word, MIN(n, sizeof(word)));
	}
}
