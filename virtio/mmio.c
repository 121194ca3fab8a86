// SPDX-License-Identifier: MIT
/*
 * mmio.c - the door through which a ring changes hands: virtio-mmio version 2
 * as a state machine (virtio 1.2, 2.1 and 4.2).
 *
 * Every value here comes from the guest.  A write that is out of order or out
 * of range changes nothing and is reported once; queues that are set up wrong
 * make the device ask for a reset.  What a queue's registers say is checked
 * when QueueReady is written, turned into a struct virtq then, and never
 * looked at again.  This file knows neither packets nor KVM.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "barrier.h"
#include "log.h"
#include "mem.h"
#include "virtio.h"

#define STATUS_KNOWN                                                                           \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK |    \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED)

#define SHM_LEN_LOW 0x0b0
#define SHM_BASE_HIGH 0x0bc
#define QUEUE_RESET 0x0c0

u32 *virtio_reg(struct virtio_dev *dev, unsigned reg)
{
	return &dev->page[(reg - VIRTIO_PAGE_START) / 4];
}

static u32 status_of(struct virtio_dev *dev)
{
	return LOAD_ONCE(virtio_reg(dev, VIRTIO_MMIO_STATUS));
}

int virtio_init(struct virtio_dev *dev)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -errno;
	dev->page = page;
	/* 4.2.2.1: a shared memory region that does not exist has length -1. */
	for (unsigned r = SHM_LEN_LOW; r <= SHM_BASE_HIGH; r += 4)
		*virtio_reg(dev, r) = ~0u;
	pthread_mutex_init(&dev->lock, NULL);
	pthread_mutex_init(&dev->errors_lock, NULL);
	return 0;
}

void virtio_fini(struct virtio_dev *dev)
{
	munmap(dev->page, 4096);
	pthread_mutex_destroy(&dev->lock);
	pthread_mutex_destroy(&dev->errors_lock);
}

void virtio_config_set(struct virtio_dev *dev, unsigned offset, const void *data, unsigned len)
{
	u8 *to = (u8 *)virtio_reg(dev, VIRTIO_MMIO_CONFIG) + offset;

	/* Not memcpy(): a vCPU may be reading it. */
	for (unsigned i = 0; i < len; i++)
		STORE_ONCE(&to[i], ((const u8 *)data)[i]);
}

static void raise_irq(struct virtio_dev *dev)
{
	u64 one = 1;

	/* Can fail only by EAGAIN, at 2^64 - 2 interrupts nobody took. */
	if (write(dev->irq_fd, &one, sizeof(one)) < 0)
		return;
}

static void config_interrupt(struct virtio_dev *dev)
{
	__atomic_fetch_or(virtio_reg(dev, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG,
			  __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&dev->config_interrupts, 1, __ATOMIC_RELAXED);
	raise_irq(dev);
}

/* A device thread, or a vCPU with dev->lock held. */
static void count_error(struct virtio_dev *dev, const char *rule)
{
	struct virtio_errors *e = &dev->errors;
	unsigned i = 0;

	pthread_mutex_lock(&dev->errors_lock);
	while (i < e->n && e->of[i].rule != rule)
		i++;
	if (i == VIRTIO_ERRORS) {
		i--;
		e->of[i].rule = "others";
	} else if (i == e->n) {
		e->of[e->n++].rule = rule;
	}
	e->of[i].times++;
	pthread_mutex_unlock(&dev->errors_lock);
}

void virtio_read_errors(struct virtio_dev *dev, struct virtio_errors *to)
{
	pthread_mutex_lock(&dev->errors_lock);
	*to = dev->errors;
	pthread_mutex_unlock(&dev->errors_lock);
}

void virtio_interrupt(struct virtio_dev *dev)
{
	if (dev->strict)
		__atomic_fetch_or(virtio_reg(dev, VIRTIO_MMIO_INTERRUPT_STATUS),
				  VIRTIO_MMIO_INT_VRING, __ATOMIC_SEQ_CST);
	raise_irq(dev);
}

void virtio_needs_reset(struct virtio_dev *dev, const char *what, const char *rule)
{
	count_error(dev, rule);
	guest_warn("%s: %s: %s; the device asks for a reset", dev->name, what, rule);
	__atomic_fetch_or(virtio_reg(dev, VIRTIO_MMIO_STATUS), VIRTIO_CONFIG_S_NEEDS_RESET,
			  __ATOMIC_SEQ_CST);
	/* 2.1.2: tell a driver that has said DRIVER_OK; others look by themselves. */
	if (!(status_of(dev) & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	config_interrupt(dev);
}

void virtio_config_changed(struct virtio_dev *dev)
{
	pthread_mutex_lock(&dev->lock);
	__atomic_fetch_add(virtio_reg(dev, VIRTIO_MMIO_CONFIG_GENERATION), 1, __ATOMIC_SEQ_CST);
	if (status_of(dev) & VIRTIO_CONFIG_S_DRIVER_OK)
		config_interrupt(dev);
	pthread_mutex_unlock(&dev->lock);
}

static void complain(struct virtio_dev *dev, const char *what)
{
	count_error(dev, what);
	if (!dev->warned)
		guest_warn("%s: %s; ignored, as will be further ones until reset", dev->name, what);
	dev->warned = true;
}

static void stop(struct virtio_dev *dev)
{
	if (dev->running)
		dev->ops->stop(dev);
	dev->running = false;
}

static void reset(struct virtio_dev *dev)
{
	stop(dev);
	/* The device thread is out: nobody else writes the page now. */
	STORE_ONCE(virtio_reg(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	dev->accepted = 0;
	dev->device_features_sel = dev->driver_features_sel = dev->queue_sel = 0;
	dev->warned = false;
	for (unsigned i = 0; i < dev->nvq; i++) {
		dev->queue[i] = (struct virtio_queue){ .max = dev->queue[i].max };
		memset(&dev->vq[i], 0, sizeof(dev->vq[i]));
	}
	if (dev->ops->reset)
		dev->ops->reset(dev);
	STORE_RELEASE(virtio_reg(dev, VIRTIO_MMIO_STATUS), 0);
}

void virtio_quiesce(struct virtio_dev *dev)
{
	pthread_mutex_lock(&dev->lock);
	stop(dev);
	pthread_mutex_unlock(&dev->lock);
}

static bool features_are_fine(struct virtio_dev *dev)
{
	const char *why = NULL;

	if (dev->accepted & ~dev->offered)
		why = "the driver accepted features that were not offered";
	else if (!(dev->accepted & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
		why = "the driver did not accept VIRTIO_F_VERSION_1";
	else
		why = dev->ops->check_features(dev, dev->accepted);
	if (why) {
		count_error(dev, why);
		guest_warn("%s: %s; FEATURES_OK refused", dev->name, why);
	}
	return !why;
}

/* 2.1.2, 3.1.1: bits are only ever added, in order; zero is a reset. */
static void write_status(struct virtio_dev *dev, u32 value)
{
	u32 old = status_of(dev) & ~(u32)VIRTIO_CONFIG_S_NEEDS_RESET, added = value & ~old;

	if (value == 0) {
		reset(dev);
		return;
	}
	value &= ~(u32)VIRTIO_CONFIG_S_NEEDS_RESET;
	if (value & ~(u32)STATUS_KNOWN || (old & ~value)) {
		complain(dev, "the driver cleared or invented a Status bit");
		return;
	}
	added &= STATUS_KNOWN;
	if (added & VIRTIO_CONFIG_S_FEATURES_OK && !features_are_fine(dev))
		added &= ~(u32)(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	if (added & VIRTIO_CONFIG_S_DRIVER_OK && !((old | added) & VIRTIO_CONFIG_S_FEATURES_OK)) {
		complain(dev, "the driver set DRIVER_OK without FEATURES_OK");
		added &= ~(u32)VIRTIO_CONFIG_S_DRIVER_OK;
	}
	if (added & VIRTIO_CONFIG_S_FAILED) {
		guest_warn("%s: the guest's driver gave the device up (Status FAILED)", dev->name);
		stop(dev);
	}
	__atomic_fetch_or(virtio_reg(dev, VIRTIO_MMIO_STATUS), added, __ATOMIC_SEQ_CST);
	if (added & VIRTIO_CONFIG_S_DRIVER_OK && !(status_of(dev) & VIRTIO_CONFIG_S_FAILED) &&
	    !(status_of(dev) & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		if (!dev->strict)
			__atomic_fetch_or(virtio_reg(dev, VIRTIO_MMIO_INTERRUPT_STATUS),
					  VIRTIO_MMIO_INT_VRING, __ATOMIC_SEQ_CST);
		dev->running = true;
		dev->ops->start(dev, true);
	}
}

static bool is_live(struct virtio_dev *dev)
{
	return status_of(dev) & VIRTIO_CONFIG_S_DRIVER_OK;
}

static void enable_queue(struct virtio_dev *dev, unsigned i)
{
	struct virtio_queue *q = &dev->queue[i];
	bool was_running = dev->running;
	const char *why = NULL;
	char what[32];

	if (q->ready)
		return;
	/* 2.6.1: only a queue that was reset by itself comes back by itself. */
	if (is_live(dev) && !(dev->accepted & VIRTIO_BIT(VIRTIO_F_RING_RESET))) {
		complain(dev, "the driver enabled a queue after DRIVER_OK");
		return;
	}
	stop(dev);
	if (q->want.size > q->max)
		why = "queue size exceeds QueueNumMax";
	else if (virtq_init(&dev->vq[i], dev->mem, &q->want,
			    dev->accepted & VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX),
			    dev->accepted & VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC), &why) == 0)
		q->ready = true;
	if (why) {
		snprintf(what, sizeof(what), "queue %u", i);
		virtio_needs_reset(dev, what, why);
	} else if (was_running && !(status_of(dev) & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		dev->running = true;
		dev->ops->start(dev, false);
	}
}

/* 4.2.2.2: the driver writes 0 and reads it back to be sure we let go. */
static void disable_queue(struct virtio_dev *dev, unsigned i)
{
	bool was_running = dev->running;

	if (!dev->queue[i].ready)
		return;
	stop(dev);
	dev->queue[i].ready = false;
	memset(&dev->vq[i], 0, sizeof(dev->vq[i]));
	/* A device that waits for its reset does nothing for this driver any more. */
	if (was_running && !(status_of(dev) & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		dev->running = true;
		dev->ops->start(dev, false);
	}
}

static void set_low(u64 *word, u32 v)
{
	*word = (*word & ~0xffffffffULL) | v;
}

static void set_high(u64 *word, u32 v)
{
	*word = (*word & 0xffffffffULL) | (u64)v << 32;
}

static void write_queue_register(struct virtio_dev *dev, u64 reg, u32 v)
{
	struct virtio_queue *q;

	if (dev->queue_sel >= dev->nvq) {
		complain(dev, "the driver wrote a register of a queue that does not exist");
		return;
	}
	q = &dev->queue[dev->queue_sel];
	if (reg == VIRTIO_MMIO_QUEUE_READY) {
		if (v)
			enable_queue(dev, dev->queue_sel);
		else
			disable_queue(dev, dev->queue_sel);
		return;
	}
	if (reg == QUEUE_RESET) {
		/* Done before the write returns: QueueReset always reads 0. */
		if (v == 1 && dev->accepted & VIRTIO_BIT(VIRTIO_F_RING_RESET)) {
			disable_queue(dev, dev->queue_sel);
			q->want = (struct virtq_layout){ 0 };
		}
		return;
	}
	/* 4.2.2.2: not after QueueReady; what is in use is a copy anyway. */
	if (q->ready) {
		complain(dev, "the driver changed a queue that is ready");
		return;
	}
	switch (reg) {
	case VIRTIO_MMIO_QUEUE_NUM:
		q->want.size = v <= VIRTQ_MAX_SIZE ? (u16)v : 0;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		set_low(&q->want.desc, v);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_high(&q->want.desc, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		set_low(&q->want.avail, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_high(&q->want.avail, v);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		set_low(&q->want.used, v);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_high(&q->want.used, v);
		break;
	}
}

static void write_driver_features(struct virtio_dev *dev, u32 v)
{
	if (status_of(dev) & VIRTIO_CONFIG_S_FEATURES_OK)
		complain(dev, "the driver changed features after FEATURES_OK");
	else if (dev->driver_features_sel == 0)
		set_low(&dev->accepted, v);
	else if (dev->driver_features_sel == 1)
		set_high(&dev->accepted, v);
	else if (v)
		complain(dev, "the driver accepted features beyond bit 63");
}

static void kick(struct virtio_dev *dev, u32 queue)
{
	u64 one = 1;

	/* Only where no ioeventfd took it; EAGAIN means one is pending. */
	if (queue < dev->nvq && write(dev->kick_fd[queue], &one, sizeof(one)) < 0)
		return;
}

static void write_register(struct virtio_dev *dev, u64 reg, u32 v)
{
	switch (reg) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		dev->device_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		dev->driver_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_driver_features(dev, v);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		dev->queue_sel = v;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		kick(dev, v);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		/* Bit 0 stays while the driver is attached, see virtio_interrupt(). */
		if (!dev->strict && is_live(dev))
			v &= ~(u32)VIRTIO_MMIO_INT_VRING;
		__atomic_fetch_and(virtio_reg(dev, VIRTIO_MMIO_INTERRUPT_STATUS), ~v,
				   __ATOMIC_SEQ_CST);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(dev, v);
		break;
	case VIRTIO_MMIO_QUEUE_NUM:
	case VIRTIO_MMIO_QUEUE_READY:
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
	case QUEUE_RESET:
		write_queue_register(dev, reg, v);
		break;
	case VIRTIO_MMIO_SHM_SEL:
		break; /* there are none, whichever is selected */
	default:
		complain(dev, "the driver wrote a register that is not writable");
	}
}

static u32 read_register(struct virtio_dev *dev, u64 reg)
{
	const struct virtio_queue *q =
		dev->queue_sel < dev->nvq ? &dev->queue[dev->queue_sel] : NULL;

	switch (reg) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return 'v' | 'i' << 8 | 'r' << 16 | 't' << 24;
	case VIRTIO_MMIO_VERSION:
		return 2;
	case VIRTIO_MMIO_DEVICE_ID:
		return dev->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VIRTIO_VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		if (dev->device_features_sel > 1)
			return 0;
		return (u32)(dev->offered >> (dev->device_features_sel ? 32 : 0));
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return q ? q->max : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return q && q->ready;
	default:
		return 0;
	}
}

void virtio_mmio_read(struct virtio_dev *dev, u64 offset, void *data, unsigned len)
{
	bool word = len == 4 && !(offset & 3);
	u32 v;

	memset(data, 0, len);
	if (offset >= VIRTIO_PAGE_START) {
		const u8 *from = (u8 *)dev->page + offset - VIRTIO_PAGE_START;

		/* Only where the page is not mapped into the guest. */
		if (offset + len > VIRTIO_MMIO_CONFIG + VIRTIO_CONFIG_SIZE)
			return;
		/* The device thread writes there, too: a word is read as one. */
		for (unsigned i = 0; !word && i < len; i++)
			((u8 *)data)[i] = LOAD_ONCE(&from[i]);
		if (!word)
			return;
		v = LOAD_ONCE((const u32 *)from);
	} else if (word) {
		pthread_mutex_lock(&dev->lock);
		v = read_register(dev, offset);
		pthread_mutex_unlock(&dev->lock);
	} else {
		return;
	}
	memcpy(data, &v, sizeof(v));
}

void virtio_mmio_write(struct virtio_dev *dev, u64 offset, const void *data, unsigned len)
{
	u32 v;

	pthread_mutex_lock(&dev->lock);
	if (offset >= VIRTIO_MMIO_CONFIG) {
		complain(dev, "the driver wrote the configuration space, which is read-only");
	} else if (len != 4 || offset & 3) {
		complain(dev, "the driver wrote a register with a wrong size or alignment");
	} else {
		memcpy(&v, data, sizeof(v));
		write_register(dev, offset, v);
	}
	pthread_mutex_unlock(&dev->lock);
}
