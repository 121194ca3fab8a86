/* SPDX-License-Identifier: MIT */
/*
 * mmio-device.h - a device of two queues for tests of the register file: it
 * notes how often it was started and stopped, and does no more.
 */
#ifndef RINGLET_TESTS_MMIO_DEVICE_H
#define RINGLET_TESTS_MMIO_DEVICE_H

#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "driver.h"

#define V1 VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define EVENT VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define ALPHA VIRTIO_BIT(3)  /* features of this device: */
#define BETA VIRTIO_BIT(40)  /* BETA needs ALPHA */
#define OFFERED (V1 | EVENT | INDIRECT | ALPHA | BETA)

#define LIVE (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
	      VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

static struct guest g;
static struct virtio_dev dev;
static struct ring ring[2];
static bool serving;
static unsigned fresh_starts, restarts, stops;
static bool queue_was_ready[2]; /* at the last start */
static u64 asked; /* features that check_features() was asked about */

static const char *check_features(struct virtio_dev *d, u64 accepted)
{
	(void)d;
	asked = accepted;
	return accepted & BETA && !(accepted & ALPHA) ? "BETA needs ALPHA" : NULL;
}

static void start(struct virtio_dev *d, bool fresh)
{
	serving = true;
	for (unsigned i = 0; i < 2; i++)
		queue_was_ready[i] = d->queue[i].ready;
	++*(fresh ? &fresh_starts : &restarts);
}

/* What is handed over is whole until we have let go of it. */
static void stop(struct virtio_dev *d)
{
	for (unsigned i = 0; i < 2; i++)
		if (queue_was_ready[i] && !d->vq[i].size)
			abort();
	serving = false;
	stops++;
}

static const struct virtio_ops ops = { .check_features = check_features, .start = start, .stop = stop };

static inline void open_device(bool strict)
{
	static bool is_open;
	char config[VIRTIO_CONFIG_SIZE];

	if (is_open) {
		virtio_fini(&dev);
		guest_close(&g);
		close(dev.irq_fd);
		close(dev.kick_fd[0]);
	}
	is_open = true;
	guest_open(&g, 1 * MiB, 1 * MiB);
	for (unsigned i = 0; i < 2; i++)
		ring_init(&ring[i], &g, i ? 16 : 64, true, true);
	memset(&dev, 0, sizeof(dev));
	dev.ops = &ops;
	dev.mem = &g.mem;
	dev.name = "test";
	dev.id = 42;
	dev.offered = OFFERED;
	dev.nvq = 2;
	dev.queue[0].max = 64;
	dev.queue[1].max = 16;
	dev.strict = strict;
	dev.irq_fd = eventfd(0, EFD_NONBLOCK);
	dev.kick_fd[0] = dev.kick_fd[1] = eventfd(0, EFD_NONBLOCK);
	CHECK_EQ(virtio_init(&dev), 0);
	for (unsigned i = 0; i < sizeof(config); i++)
		config[i] = (char)(i + 1);
	virtio_config_set(&dev, 0, config, sizeof(config));
	serving = false;
	fresh_starts = restarts = stops = 0;
	queue_was_ready[0] = queue_was_ready[1] = false;
	asked = 0;
}

static inline u32 status(void)
{
	return reg_read(&dev, VIRTIO_MMIO_STATUS);
}

/* Of an eventfd, since the last call. */
static inline u64 signals(int fd)
{
	u64 n = 0;

	return read(fd, &n, sizeof(n)) > 0 ? n : 0;
}

/* With the features that both sides have, both queues. */
static inline void bring_up_with(u64 features)
{
	CHECK(driver_negotiate(&dev, features));
	CHECK(driver_enable_queue(&dev, 0, &ring[0].where));
	CHECK(driver_enable_queue(&dev, 1, &ring[1].where));
	driver_ok(&dev);
	CHECK_EQ(status(), LIVE);
	CHECK(dev.running && serving);
}

#endif
