// SPDX-License-Identifier: MIT
/*
 * mmio-queue.c - how queues change hands by way of the registers, and how the
 * device calls for attention: QueueReady, NEEDS_RESET, InterruptStatus in its
 * two modes.  Clauses are those of virtio 1.2.
 */
#include "mmio-device.h"

#define QUEUE_RESET 0x0c0
#define USED VIRTIO_MMIO_INT_VRING
#define CONFIG VIRTIO_MMIO_INT_CONFIG

static char said[1 << 16];

static u32 interrupt_status(void)
{
	return reg_read(&dev, VIRTIO_MMIO_INTERRUPT_STATUS);
}

static u64 interrupts(void)
{
	return signals(dev.irq_fd);
}

static void bring_up(void)
{
	bring_up_with(V1 | EVENT | INDIRECT);
}

/* --- queues ------------------------------------------------------------------ */

static void queues_get_what_was_negotiated(void)
{
	const u64 features[] = { 0, EVENT, INDIRECT, EVENT | INDIRECT };

	for (unsigned i = 0; i < 4; i++) {
		open_device(false);
		CHECK(driver_negotiate(&dev, V1 | features[i]));
		CHECK(driver_enable_queue(&dev, 0, &ring[0].where));
		CHECK_EQ(dev.vq[0].event_idx, !!(features[i] & EVENT));
		CHECK_EQ(dev.vq[0].indirect, !!(features[i] & INDIRECT));
		CHECK_EQ(dev.vq[0].size, 64);
		CHECK(dev.vq[0].desc == mem_at(&g.mem, ring[0].where.desc, 16));
		CHECK_EQ(dev.vq[1].size, 0);
	}
}

static void addresses_have_64_bits(void)
{
	struct virtq_layout where = { .size = 8, .desc = GUEST_HIGH, .avail = GUEST_HIGH + 4096, .used = GUEST_HIGH + 8192 };

	open_device(false);
	CHECK(driver_negotiate(&dev, V1));
	CHECK(driver_enable_queue(&dev, 1, &where));
	CHECK(dev.vq[1].desc == mem_at(&g.mem, where.desc, 128));
	CHECK((u8 *)dev.vq[1].avail == (u8 *)mem_at(&g.mem, where.avail, 22));
	CHECK((u8 *)dev.vq[1].used == (u8 *)mem_at(&g.mem, where.used, 70));
}

static void a_bad_queue_wants_a_reset(void)
{
	struct virtq_layout bad[7];

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		open_device(false);
		for (unsigned k = 0; k < ARRAY_SIZE(bad); k++)
			bad[k] = ring[1].where;
		bad[0].size = 32; /* more than QueueNumMax */
		bad[1].size = 0;
		bad[2].size = 12;
		bad[3].desc += 8;
		bad[4].avail = GUEST_LOW - 2;
		bad[5].used = GUEST_HIGH + 1 * MiB - 8;
		bad[6].desc |= 1ULL << 63;
		CHECK(driver_negotiate(&dev, V1));
		stderr_capture();
		CHECK(!driver_enable_queue(&dev, 1, &bad[i]));
		stderr_release(said, sizeof(said));
		CHECK_HAS(said, "queue 1: ");
		CHECK(status() & NEEDS_RESET);
		/* 2.1.2: no notification before DRIVER_OK. */
		CHECK_EQ(interrupts(), 0);
		CHECK_EQ(dev.vq[1].size, 0);
		/* It does not start like that. */
		driver_ok(&dev);
		CHECK(!serving);
		reg_write(&dev, VIRTIO_MMIO_STATUS, 0);
		CHECK_EQ(status(), 0);
		bring_up();
	}
}

static void huge_sizes_do_not_wrap(void)
{
	const u32 size[] = { 0x10000, 0x10010, 0x80000010, 0xffffffff, 2048 };

	for (unsigned i = 0; i < ARRAY_SIZE(size); i++) {
		open_device(false);
		CHECK(driver_negotiate(&dev, V1));
		stderr_capture();
		reg_write(&dev, VIRTIO_MMIO_QUEUE_SEL, 0);
		reg_write(&dev, VIRTIO_MMIO_QUEUE_NUM, size[i]);
		reg_write(&dev, VIRTIO_MMIO_QUEUE_DESC_LOW, (u32)ring[0].where.desc);
		reg_write(&dev, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (u32)ring[0].where.avail);
		reg_write(&dev, VIRTIO_MMIO_QUEUE_USED_LOW, (u32)ring[0].where.used);
		reg_write(&dev, VIRTIO_MMIO_QUEUE_READY, 1);
		stderr_release(said, sizeof(said));
		CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_READY), 0);
		CHECK(status() & NEEDS_RESET);
	}
}

static void ready_queues_are_fixed(void)
{
	const unsigned regs[] = {
		VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH,
		VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW,
		VIRTIO_MMIO_QUEUE_USED_HIGH,
	};

	open_device(false);
	bring_up();
	reg_write(&dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	stderr_capture();
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		reg_write(&dev, regs[i], 0x1000);
	reg_write(&dev, VIRTIO_MMIO_QUEUE_READY, 1); /* it is: nothing happens */
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, "changed a queue that is ready");
	CHECK(!memcmp(&dev.queue[0].want, &ring[0].where, sizeof(ring[0].where)));
	CHECK_EQ(status(), LIVE);
	CHECK_EQ(stops, 0);
}

static void late_queues_are_refused(void)
{
	open_device(false);
	CHECK(driver_negotiate(&dev, V1));
	CHECK(driver_enable_queue(&dev, 0, &ring[0].where));
	driver_ok(&dev);
	CHECK(serving && queue_was_ready[0] && !queue_was_ready[1]);
	stderr_capture();
	CHECK(!driver_enable_queue(&dev, 1, &ring[1].where));
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, "after DRIVER_OK");
	CHECK_EQ(dev.vq[1].size, 0);
	CHECK_EQ(status(), LIVE);
}

/* 4.2.2.1: not accessed while QueueReady is zero. */
static void a_disabled_queue_is_let_go(void)
{
	open_device(false);
	bring_up();
	reg_write(&dev, VIRTIO_MMIO_QUEUE_SEL, 1);
	reg_write(&dev, VIRTIO_MMIO_QUEUE_READY, 0);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_READY), 0);
	CHECK_EQ(stops, 1);
	CHECK_EQ(restarts, 1);
	CHECK_EQ(fresh_starts, 1);
	CHECK(serving && queue_was_ready[0] && !queue_was_ready[1]);
	CHECK_EQ(dev.vq[1].size, 0);
	CHECK_EQ(dev.vq[0].size, 64);
	/* Once more changes nothing. */
	reg_write(&dev, VIRTIO_MMIO_QUEUE_READY, 0);
	CHECK_EQ(stops, 1);
	reg_write(&dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_READY), 1);
	reg_write(&dev, VIRTIO_MMIO_QUEUE_READY, 0);
	CHECK_EQ(stops, 2);
	CHECK(!queue_was_ready[0]);
}

static void a_queue_may_be_set_up_again(void)
{
	open_device(false);
	CHECK(driver_negotiate(&dev, V1));
	CHECK(driver_enable_queue(&dev, 1, &ring[1].where));
	reg_write(&dev, VIRTIO_MMIO_QUEUE_READY, 0);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_READY), 0);
	CHECK_EQ(stops, 0);
	CHECK(driver_enable_queue(&dev, 1, &ring[1].where));
	reg_write(&dev, VIRTIO_MMIO_QUEUE_READY, 0);
	/* Otherwise than before, too. */
	open_device(false);
	CHECK(driver_negotiate(&dev, V1));
	CHECK(driver_enable_queue(&dev, 0, &ring[1].where));
	reg_write(&dev, VIRTIO_MMIO_QUEUE_READY, 0);
	CHECK(driver_enable_queue(&dev, 0, &ring[0].where));
	CHECK_EQ(dev.vq[0].size, 64);
}

/* --- attention --------------------------------------------------------------- */

static void needs_reset_is_told(void)
{
	for (unsigned strict = 0; strict < 2; strict++) {
		open_device(strict);
		bring_up();
		interrupts();
		stderr_capture();
		virtio_needs_reset(&dev, "transmit queue", "a rule");
		stderr_release(said, sizeof(said));
		CHECK_STR(said, "ringlet: test: transmit queue: a rule; the device asks for a reset\n");
		CHECK_EQ(status(), LIVE | NEEDS_RESET);
		CHECK_EQ(interrupts(), 1);
		CHECK_EQ(interrupt_status() & CONFIG, CONFIG);
		/* It stays until acknowledged, and goes then. */
		reg_write(&dev, VIRTIO_MMIO_INTERRUPT_ACK, USED);
		CHECK_EQ(interrupt_status() & CONFIG, CONFIG);
		reg_write(&dev, VIRTIO_MMIO_INTERRUPT_ACK, CONFIG);
		CHECK_EQ(interrupt_status() & CONFIG, 0);
		CHECK_EQ(status(), LIVE | NEEDS_RESET);
	}
}

/* 2.1.2: only a reset takes NEEDS_RESET away, and until then it does nothing. */
static void needs_reset_stays(void)
{
	open_device(false);
	bring_up();
	stderr_capture();
	virtio_needs_reset(&dev, "transmit queue", "a rule");
	reg_write(&dev, VIRTIO_MMIO_STATUS, LIVE);
	CHECK_EQ(status(), LIVE | NEEDS_RESET);
	reg_write(&dev, VIRTIO_MMIO_STATUS, LIVE | NEEDS_RESET);
	CHECK_EQ(status(), LIVE | NEEDS_RESET);
	CHECK_EQ(fresh_starts, 1);
	/* A queue taken away does not set the other going again. */
	reg_write(&dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_write(&dev, VIRTIO_MMIO_QUEUE_READY, 0);
	stderr_release(said, sizeof(said));
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_READY), 0);
	CHECK_EQ(restarts, 0);
	CHECK(!serving);
	reg_write(&dev, VIRTIO_MMIO_STATUS, 0);
	bring_up();
	CHECK_EQ(status(), LIVE);
}

static void a_driver_cannot_set_needs_reset(void)
{
	open_device(false);
	reg_write(&dev, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | NEEDS_RESET);
	CHECK_EQ(status() & NEEDS_RESET, 0);
	reg_write(&dev, VIRTIO_MMIO_STATUS, 0);
	bring_up();
	reg_write(&dev, VIRTIO_MMIO_STATUS, LIVE | NEEDS_RESET);
	CHECK_EQ(status(), LIVE);
	CHECK(serving);
}

/* 4.2.2.1, to the letter. */
static void strict_status_counts_events(void)
{
	open_device(true);
	bring_up();
	CHECK_EQ(interrupt_status(), 0);
	virtio_interrupt(&dev);
	CHECK_EQ(interrupt_status(), USED);
	CHECK_EQ(interrupts(), 1);
	reg_write(&dev, VIRTIO_MMIO_INTERRUPT_ACK, CONFIG);
	CHECK_EQ(interrupt_status(), USED);
	reg_write(&dev, VIRTIO_MMIO_INTERRUPT_ACK, USED);
	CHECK_EQ(interrupt_status(), 0);
	virtio_interrupt(&dev);
	stderr_capture();
	virtio_needs_reset(&dev, "a queue", "a rule");
	stderr_release(said, sizeof(said));
	CHECK_EQ(interrupt_status(), USED | CONFIG);
	reg_write(&dev, VIRTIO_MMIO_INTERRUPT_ACK, USED | CONFIG);
	CHECK_EQ(interrupt_status(), 0);
}

static void sticky_status_stays(void)
{
	open_device(false);
	CHECK(driver_negotiate(&dev, V1));
	CHECK_EQ(interrupt_status(), 0);
	driver_ok(&dev);
	CHECK_EQ(interrupt_status(), USED);
	virtio_interrupt(&dev);
	CHECK_EQ(interrupts(), 1);
	for (u32 ack = 0; ack < 4; ack++) {
		reg_write(&dev, VIRTIO_MMIO_INTERRUPT_ACK, ack);
		CHECK_EQ(interrupt_status(), USED);
	}
	reg_write(&dev, VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(interrupt_status(), 0);
	reg_write(&dev, VIRTIO_MMIO_INTERRUPT_ACK, ~0u);
	CHECK_EQ(interrupt_status(), 0);
}

/* 2.6.1, 4.2.2.2: a queue is reset, with all that it had, if that was negotiated. */
static void a_queue_is_reset_alone(void)
{
	const u32 no[] = { 0, 2, 3, ~0u };

	open_device(false);
	bring_up();
	/* Not without the feature. */
	reg_write(&dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_write(&dev, QUEUE_RESET, 1);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_READY), 1);
	CHECK_EQ(stops, 0);
	open_device(false);
	dev.offered |= VIRTIO_BIT(40);
	CHECK(driver_negotiate(&dev, dev.offered));
	CHECK(driver_enable_queue(&dev, 0, &ring[0].where));
	CHECK(driver_enable_queue(&dev, 1, &ring[1].where));
	driver_ok(&dev);
	/* Nor by another value than 1. */
	for (unsigned i = 0; i < ARRAY_SIZE(no); i++)
		reg_write(&dev, QUEUE_RESET, no[i]);
	CHECK_EQ(stops, 0);
	reg_write(&dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_write(&dev, QUEUE_RESET, 1);
	CHECK_EQ(reg_read(&dev, QUEUE_RESET), 0);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_READY), 0);
	CHECK(!queue_was_ready[0] && queue_was_ready[1]);
	CHECK_EQ(stops, 1);
	CHECK_EQ(restarts, 1);
	CHECK_EQ(status(), LIVE);
	/* Once more changes nothing; nor does one that does not exist. */
	reg_write(&dev, QUEUE_RESET, 1);
	stderr_capture();
	reg_write(&dev, VIRTIO_MMIO_QUEUE_SEL, 2);
	reg_write(&dev, QUEUE_RESET, 1);
	stderr_release(said, sizeof(said));
	CHECK_EQ(stops, 1);
	/* It comes back with what the driver says now. */
	ring[0].where.size = 16;
	CHECK(driver_enable_queue(&dev, 0, &ring[0].where));
	CHECK_EQ(dev.vq[0].size, 16);
	CHECK_EQ(dev.vq[0].last_avail, 0);
	CHECK(queue_was_ready[0] && queue_was_ready[1]);
	CHECK_EQ(restarts, 2);
	CHECK_EQ(fresh_starts, 1);
	/* What it was before is forgotten: enabled without a word, it has no size. */
	reg_write(&dev, QUEUE_RESET, 1);
	stderr_capture();
	reg_write(&dev, VIRTIO_MMIO_QUEUE_READY, 1);
	stderr_release(said, sizeof(said));
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_READY), 0);
	CHECK(status() & NEEDS_RESET);
}

/* 4.2.2.1: a change of configuration has a new generation, and is told to a driver. */
static void configuration_changes(void)
{
	u32 before;

	open_device(false);
	before = reg_read(&dev, VIRTIO_MMIO_CONFIG_GENERATION);
	virtio_config_changed(&dev);
	CHECK(reg_read(&dev, VIRTIO_MMIO_CONFIG_GENERATION) != before);
	CHECK_EQ(interrupts(), 0);
	CHECK_EQ(interrupt_status(), 0);
	bring_up();
	before = reg_read(&dev, VIRTIO_MMIO_CONFIG_GENERATION);
	virtio_config_changed(&dev);
	CHECK(reg_read(&dev, VIRTIO_MMIO_CONFIG_GENERATION) != before);
	CHECK_EQ(interrupts(), 1);
	CHECK_EQ(interrupt_status(), USED | CONFIG);
	reg_write(&dev, VIRTIO_MMIO_INTERRUPT_ACK, USED | CONFIG);
	CHECK_EQ(interrupt_status(), USED);
}

static unsigned resets;
static bool serving_at_reset;

static void count_reset(struct virtio_dev *d)
{
	(void)d;
	resets++;
	serving_at_reset |= serving;
}

/* The next driver reads the configuration before the device starts for it. */
static void resets_are_told(void)
{
	static const struct virtio_ops with_reset = {
		.check_features = check_features, .start = start, .stop = stop, .reset = count_reset,
	};

	open_device(false);
	dev.ops = &with_reset;
	resets = 0;
	bring_up(); /* begins with one */
	CHECK_EQ(resets, 1);
	virtio_quiesce(&dev);
	CHECK_EQ(resets, 1);
	reg_write(&dev, VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(resets, 2);
	bring_up();
	reg_write(&dev, VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(resets, 4);
	CHECK(!serving_at_reset);
}

static void quiesce_stops_once(void)
{
	open_device(false);
	bring_up();
	virtio_quiesce(&dev);
	CHECK(!serving);
	CHECK_EQ(stops, 1);
	virtio_quiesce(&dev);
	CHECK_EQ(stops, 1);
	reg_write(&dev, VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(stops, 1);
	bring_up();
}

static void the_guest_does_not_flood_the_log(void)
{
	unsigned n = 0;

	open_device(false);
	stderr_capture();
	for (unsigned i = 0; i < 20000; i++) {
		reg_write(&dev, VIRTIO_MMIO_STATUS, 0);
		driver_negotiate(&dev, VIRTIO_BIT(63));
		reg_write(&dev, VIRTIO_MMIO_STATUS, 0);
		driver_negotiate(&dev, V1);
		reg_write(&dev, VIRTIO_MMIO_QUEUE_READY, 1);
		driver_ok(&dev);
		reg_write(&dev, VIRTIO_MMIO_MAGIC_VALUE, 1);
		reg_write(&dev, VIRTIO_MMIO_STATUS, status() | VIRTIO_CONFIG_S_FAILED);
	}
	stderr_release(said, sizeof(said));
	for (char *s = said; *s; s++)
		n += *s == '\n';
	CHECK(n <= 100);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "a queue works as was negotiated", queues_get_what_was_negotiated },
		{ "queue addresses have 64 bits, one register for each half", addresses_have_64_bits },
		{ "a queue set up wrong makes the device ask for a reset and stay down", a_bad_queue_wants_a_reset },
		{ "a queue size beyond 16 bits is not taken for a small one", huge_sizes_do_not_wrap },
		{ "the registers of a queue that is ready are fixed (4.2.2.2)", ready_queues_are_fixed },
		{ "a queue cannot be enabled after DRIVER_OK", late_queues_are_refused },
		{ "QueueReady = 0 takes one queue back and leaves the other (4.2.2.1)", a_disabled_queue_is_let_go },
		{ "a queue may be taken back and set up anew before DRIVER_OK", a_queue_may_be_set_up_again },
		{ "NEEDS_RESET comes with a configuration change interrupt (2.1.2)", needs_reset_is_told },
		{ "NEEDS_RESET stays until reset, and nothing starts before (2.1.2)", needs_reset_stays },
		{ "a driver cannot set NEEDS_RESET", a_driver_cannot_set_needs_reset },
		{ "in strict mode InterruptStatus shows what was not acknowledged (4.2.2.1)", strict_status_counts_events },
		{ "otherwise its used-buffer bit stays set from DRIVER_OK to reset", sticky_status_stays },
		{ "QueueReset takes one queue and all that was set of it (2.6.1)", a_queue_is_reset_alone },
		{ "a change of configuration is a new generation, and told (4.2.2.1)", configuration_changes },
		{ "each reset is told to the device, after it has stopped", resets_are_told },
		{ "quiescing stops a running device, once", quiesce_stops_once },
		{ "a guest that repeats its mistakes does not flood the log", the_guest_does_not_flood_the_log },
	};
	return check_run(tests, ARRAY_SIZE(tests));
}
