/* SPDX-License-Identifier: MIT */
/*
 * net.h - the driver's side of the network device: virtio-mmio version 2,
 * split rings, no packet.  What is in the rings is up to whoever uses them;
 * hostile.c relies on that.
 */
#ifndef GUEST_NET_H
#define GUEST_NET_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include "lib.h"

#define BIT(n) (1ULL << (n))
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* older than Linux 6.2's headers */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif
#define NET_F_HOST_USO 56

#define RING 256 /* entries at most; the device may allow less */

enum { RX, TX, CONTROL, QUEUES };

struct queue {
	u32 index;
	u16 size;
	u16 last_used; /* free-running: how far we looked at the used ring */
	u64 kicks;
	struct vring_desc desc[RING] __attribute__((aligned(16)));
	/* Behind the last entry of either is the word that says when to call. */
	struct {
		u16 flags, idx, ring[RING + 1];
	} avail;
	struct {
		u16 flags, idx;
		struct vring_used_elem ring[RING + 1];
	} used __attribute__((aligned(4)));
};

extern struct queue net_queue[QUEUES];
extern u64 net_features;      /* negotiated */
extern u64 net_base;	      /* of the registers */
extern u64 net_interrupts;    /* served; atomic is what one processor's increment is */
extern bool net_config_changed; /* set by the interrupt handler */

/* The device, reset, with those of these features that it has.  Fails without one. */
void net_open(u64 features);
/* Its queue, empty, of RING entries or as many as it may have; then ready. */
void net_add_queue(u32 index);
/* The same for a queue that is not what it should be. */
void net_set_queue(u32 index, u32 size, u64 desc, u64 avail, u64 used);
/* Driver OK. */
void net_start(void);
u32 net_status(void);
void net_read_mac(u8 mac[6]);
/* 1500 if the device does not say. */
u32 net_mtu(void);

/* One descriptor more is available from the next net_kick() on. */
static inline void queue_add(struct queue *q, u16 *idx, u16 head)
{
	q->avail.ring[(*idx)++ & (q->size - 1)] = head;
}

/* The device sees all up to idx, and is kicked if it wants that. */
void queue_publish(struct queue *q, u16 idx);
/* The second half of that. */
void queue_kick(struct queue *q);

/* How many the device has used that were not looked at. */
static inline u16 queue_used(struct queue *q)
{
	return (u16)(LOAD_ACQUIRE(&q->used.idx) - q->last_used);
}

/* Interrupt when so many more are used; 0: never.  True when they are already. */
bool queue_interrupt_after(struct queue *q, u16 n);

#endif
