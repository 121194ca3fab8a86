// SPDX-License-Identifier: MIT
/*
 * net.c - finding, resetting and setting up the device, and the two questions
 * of a split ring: does the device want a kick, do we want an interrupt.
 */
#include "net.h"

#include <linux/virtio_ids.h>

struct queue net_queue[QUEUES];
u64 net_features, net_base, net_interrupts;
bool net_config_changed;

static struct device device;

static u32 reg(unsigned offset)
{
	return read32(net_base + offset);
}

static void set_reg(unsigned offset, u32 v)
{
	write32(net_base + offset, v);
}

INTERRUPT static void on_interrupt(struct frame *frame)
{
	u32 why = reg(VIRTIO_MMIO_INTERRUPT_STATUS);

	(void)frame;
	/* One bit at a time: that of the rings alone may be taken by an eventfd. */
	if (why & VIRTIO_MMIO_INT_VRING)
		set_reg(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	if (why & VIRTIO_MMIO_INT_CONFIG) {
		set_reg(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
		STORE_ONCE(&net_config_changed, true);
	}
	if (why)
		STORE_ONCE(&net_interrupts, net_interrupts + 1);
	end_of_interrupt();
}

static u64 offered(void)
{
	u64 low;

	set_reg(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	low = reg(VIRTIO_MMIO_DEVICE_FEATURES);
	set_reg(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	return low | (u64)reg(VIRTIO_MMIO_DEVICE_FEATURES) << 32;
}

void net_open(u64 features)
{
	static bool routed;
	u32 status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	if (!routed && !find_virtio(VIRTIO_ID_NET, &device))
		fail("there is no network device; ringlet makes one with -n ip=10.0.0.1/24,guest_ip=10.0.0.2");
	net_base = device.base;
	set_reg(VIRTIO_MMIO_STATUS, 0);
	while (net_status())
		;
	if (!routed)
		route_interrupt(&device, on_interrupt);
	routed = true;
	net_config_changed = false;

	set_reg(VIRTIO_MMIO_STATUS, status);
	net_features = offered() & (features | BIT(VIRTIO_F_VERSION_1));
	set_reg(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set_reg(VIRTIO_MMIO_DRIVER_FEATURES, (u32)net_features);
	set_reg(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set_reg(VIRTIO_MMIO_DRIVER_FEATURES, (u32)(net_features >> 32));
	set_reg(VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(net_status() & VIRTIO_CONFIG_S_FEATURES_OK))
		fail("the device does not take what it offers");
}

void net_set_queue(u32 index, u32 size, u64 desc, u64 avail, u64 used)
{
	set_reg(VIRTIO_MMIO_QUEUE_SEL, index);
	set_reg(VIRTIO_MMIO_QUEUE_NUM, size);
	set_reg(VIRTIO_MMIO_QUEUE_DESC_LOW, (u32)desc);
	set_reg(VIRTIO_MMIO_QUEUE_DESC_HIGH, (u32)(desc >> 32));
	set_reg(VIRTIO_MMIO_QUEUE_AVAIL_LOW, (u32)avail);
	set_reg(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (u32)(avail >> 32));
	set_reg(VIRTIO_MMIO_QUEUE_USED_LOW, (u32)used);
	set_reg(VIRTIO_MMIO_QUEUE_USED_HIGH, (u32)(used >> 32));
	set_reg(VIRTIO_MMIO_QUEUE_READY, 1);
}

void net_add_queue(u32 index)
{
	struct queue *q = &net_queue[index];

	set_reg(VIRTIO_MMIO_QUEUE_SEL, index);
	*q = (struct queue){ .index = index, .size = (u16)MIN(reg(VIRTIO_MMIO_QUEUE_NUM_MAX), RING) };
	if (!q->size)
		fail("the device lacks a queue");
	net_set_queue(index, q->size, (u64)q->desc, (u64)&q->avail, (u64)&q->used);
}

void net_start(void)
{
	/* One that came of setting up the line is served before it can be taken for ours. */
	let_interrupts_in();
	set_reg(VIRTIO_MMIO_STATUS, net_status() | VIRTIO_CONFIG_S_DRIVER_OK);
}

u32 net_status(void)
{
	return reg(VIRTIO_MMIO_STATUS);
}

void net_read_mac(u8 mac[6])
{
	for (unsigned i = 0; i < 6; i++)
		mac[i] = *(volatile u8 *)(net_base + VIRTIO_MMIO_CONFIG + i);
}

u32 net_mtu(void)
{
	if (!(net_features & BIT(VIRTIO_NET_F_MTU)))
		return 1500;
	return *(volatile u16 *)(net_base + VIRTIO_MMIO_CONFIG + offsetof(struct virtio_net_config, mtu));
}

static bool device_wants_kick(struct queue *q, u16 old, u16 new)
{
	if (net_features & BIT(VIRTIO_RING_F_EVENT_IDX))
		return vring_need_event(LOAD_ONCE((u16 *)&q->used.ring[q->size]), new, old);
	return !(LOAD_ONCE(&q->used.flags) & VRING_USED_F_NO_NOTIFY);
}

void queue_kick(struct queue *q)
{
	q->kicks++;
	set_reg(VIRTIO_MMIO_QUEUE_NOTIFY, q->index);
}

void queue_publish(struct queue *q, u16 idx)
{
	u16 old = q->avail.idx;

	if (idx == old)
		return;
	STORE_RELEASE(&q->avail.idx, idx);
	/* The device writes its wish, fences, and looks at the index once more. */
	smp_mb();
	if (device_wants_kick(q, old, idx))
		queue_kick(q);
}

bool queue_interrupt_after(struct queue *q, u16 n)
{
	if (net_features & BIT(VIRTIO_RING_F_EVENT_IDX))
		STORE_ONCE(&q->avail.ring[q->size], (u16)(q->last_used + n - 1));
	else
		STORE_ONCE(&q->avail.flags, n ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
	/* The wish is out before we look: the device does it the other way round. */
	smp_mb();
	return n && queue_used(q) >= n;
}
