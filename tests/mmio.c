// SPDX-License-Identifier: MIT
/*
 * mmio.c - the virtio-mmio register file as a driver meets it, with a device
 * behind it that only counts how often it was started and stopped.  Clauses
 * are those of virtio 1.2.
 */
#include "mmio-device.h"

#define ACK VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER VIRTIO_CONFIG_S_DRIVER
#define FEAT_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRV_OK VIRTIO_CONFIG_S_DRIVER_OK
#define FAILED VIRTIO_CONFIG_S_FAILED

static char said[1 << 16];

static void bring_up(void)
{
	bring_up_with(V1 | EVENT);
}

/* --- 4.2.2: the registers ---------------------------------------------------- */

static void says_who_it_is(void)
{
	open_device(false);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_VERSION), 2);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_DEVICE_ID), 42);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_VENDOR_ID), VIRTIO_VENDOR);
	CHECK_EQ(status(), 0);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_CONFIG_GENERATION), 0);
}

static void features_come_in_two_words(void)
{
	open_device(false);
	CHECK_EQ(reg_read_features(&dev), OFFERED);
	for (unsigned sel = 2; sel; sel <<= 1) {
		reg_write(&dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, sel);
		CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	}
	reg_write(&dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_DEVICE_FEATURES), (u32)OFFERED);
}

static void features_are_written_in_two_words(void)
{
	open_device(false);
	CHECK(driver_negotiate(&dev, V1 | ALPHA | BETA));
	CHECK_EQ(asked, V1 | ALPHA | BETA);
	CHECK_EQ(dev.accepted, V1 | ALPHA | BETA);
	/* The words may come in either order, and be written again. */
	reg_write(&dev, VIRTIO_MMIO_STATUS, 0);
	reg_write(&dev, VIRTIO_MMIO_STATUS, ACK | DRIVER);
	reg_write(&dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg_write(&dev, VIRTIO_MMIO_DRIVER_FEATURES, ~0u);
	reg_write(&dev, VIRTIO_MMIO_DRIVER_FEATURES, (u32)(V1 >> 32));
	reg_write(&dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_write(&dev, VIRTIO_MMIO_DRIVER_FEATURES, (u32)ALPHA);
	/* Linux writes zeros beyond bit 63; they change nothing. */
	reg_write(&dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
	reg_write(&dev, VIRTIO_MMIO_DRIVER_FEATURES, 0);
	CHECK_EQ(dev.warned, false);
	reg_write(&dev, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEAT_OK);
	CHECK_EQ(status(), ACK | DRIVER | FEAT_OK);
	CHECK_EQ(dev.accepted, V1 | ALPHA);
}

static void absent_queues_have_no_size(void)
{
	open_device(false);
	for (unsigned i = 0; i < 2; i++) {
		reg_write(&dev, VIRTIO_MMIO_QUEUE_SEL, i);
		CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_NUM_MAX), i ? 16 : 64);
		CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_READY), 0);
	}
	for (u32 i = 2; i; i = i < 40 ? i + 1 : i << 1) {
		reg_write(&dev, VIRTIO_MMIO_QUEUE_SEL, i);
		CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_READY), 0);
	}
}

static void absent_queues_take_nothing(void)
{
	open_device(false);
	CHECK(driver_negotiate(&dev, V1));
	stderr_capture();
	CHECK(!driver_enable_queue(&dev, 2, &ring[0].where));
	CHECK(!driver_enable_queue(&dev, 0xffffffff, &ring[0].where));
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, "queue that does not exist");
	CHECK_EQ(strchr(said, '\n') - said + 1, (long)strlen(said)); /* said once */
	CHECK_EQ(status(), ACK | DRIVER | FEAT_OK);
}

static void shared_memory_is_absent(void)
{
	open_device(false);
	for (u32 id = 0; id < 3; id++) {
		reg_write(&dev, VIRTIO_MMIO_SHM_SEL, id);
		CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_SHM_LEN_LOW), ~0u);
		CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_SHM_LEN_HIGH), ~0u);
		CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_SHM_BASE_LOW), ~0u);
		CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_SHM_BASE_HIGH), ~0u);
	}
}

/* 4.2.2.2: the driver may read it in any size at any offset. */
static void config_reads_in_any_size(void)
{
	open_device(false);
	for (unsigned len = 1; len <= 8; len++)
		for (unsigned off = 0; off + len <= VIRTIO_CONFIG_SIZE; off++) {
			u8 got[8];

			virtio_mmio_read(&dev, VIRTIO_MMIO_CONFIG + off, got, len);
			for (unsigned i = 0; i < len; i++)
				CHECK_EQ(got[i], off + i + 1);
		}
}

static void odd_reads_are_zero(void)
{
	u8 got[8];

	open_device(false);
	for (unsigned len = 1; len <= 8; len++)
		for (u64 off = 0; off < 0x2000; off++) {
			memset(got, 0x55, sizeof(got));
			virtio_mmio_read(&dev, off, got, len);
			for (unsigned i = len; i < 8; i++)
				CHECK_EQ(got[i], 0x55);
			if (off < VIRTIO_PAGE_START && (len != 4 || off % 4))
				for (unsigned i = 0; i < len; i++)
					CHECK_EQ(got[i], 0);
			if (off + len > VIRTIO_MMIO_CONFIG + VIRTIO_CONFIG_SIZE)
				for (unsigned i = 0; i < len; i++)
					CHECK_EQ(got[i], 0);
		}
}

static void odd_writes_change_nothing(void)
{
	const u64 zero = 0;

	open_device(false);
	bring_up();
	stderr_capture();
	for (unsigned len = 1; len <= 8; len++)
		for (u64 off = 0; off < 0x1000; off++)
			if (off >= VIRTIO_MMIO_CONFIG || len != 4 || off % 4)
				virtio_mmio_write(&dev, off, &zero, len);
	stderr_release(said, sizeof(said));
	CHECK_EQ(strchr(said, '\n') - said + 1, (long)strlen(said)); /* said once */
	CHECK_EQ(status(), ACK | DRIVER | FEAT_OK | DRV_OK);
	CHECK_EQ(stops, 0);
	config_reads_in_any_size();
}

static void read_only_registers_stay(void)
{
	const unsigned regs[] = {
		VIRTIO_MMIO_MAGIC_VALUE, VIRTIO_MMIO_VERSION, VIRTIO_MMIO_DEVICE_ID, VIRTIO_MMIO_VENDOR_ID,
		VIRTIO_MMIO_DEVICE_FEATURES, VIRTIO_MMIO_QUEUE_NUM_MAX, VIRTIO_MMIO_INTERRUPT_STATUS,
		VIRTIO_MMIO_SHM_LEN_LOW, VIRTIO_MMIO_SHM_BASE_HIGH, VIRTIO_MMIO_CONFIG_GENERATION,
		0x018, 0x028, 0x02c, 0x03c, 0x040, 0x04c, 0x054, 0x068, 0x074, 0x0c0,
	};

	open_device(false);
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
		u32 before = reg_read(&dev, regs[i]);

		stderr_capture();
		reg_write(&dev, regs[i], ~before);
		stderr_release(said, sizeof(said));
		CHECK_EQ(reg_read(&dev, regs[i]), before);
		CHECK_EQ(status(), 0);
	}
}

static void write_only_registers_read_as_zero(void)
{
	const unsigned regs[] = {
		VIRTIO_MMIO_DEVICE_FEATURES_SEL, VIRTIO_MMIO_DRIVER_FEATURES, VIRTIO_MMIO_DRIVER_FEATURES_SEL,
		VIRTIO_MMIO_QUEUE_SEL, VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_NOTIFY,
		VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_USED_HIGH,
	};

	open_device(false);
	CHECK(driver_negotiate(&dev, V1));
	driver_enable_queue(&dev, 1, &ring[1].where);
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		CHECK_EQ(reg_read(&dev, regs[i]), 0);
}

static void a_kick_is_an_event(void)
{
	open_device(false);
	bring_up();
	CHECK_EQ(signals(dev.kick_fd[0]), 0);
	driver_kick(&dev, 0);
	driver_kick(&dev, 1);
	driver_kick(&dev, 77);
	CHECK_EQ(signals(dev.kick_fd[0]), 2); /* there is no queue 77 */
}

/* --- 2.1, 3.1.1: the status machine ------------------------------------------ */

static void comes_up_in_order(void)
{
	open_device(false);
	reg_write(&dev, VIRTIO_MMIO_STATUS, ACK);
	CHECK_EQ(status(), ACK);
	reg_write(&dev, VIRTIO_MMIO_STATUS, ACK | DRIVER);
	CHECK_EQ(status(), ACK | DRIVER);
	CHECK_EQ(fresh_starts, 0);
	bring_up();
	CHECK_EQ(fresh_starts, 1);
	CHECK_EQ(stops, 0);
	reg_write(&dev, VIRTIO_MMIO_STATUS, status()); /* nothing new */
	CHECK_EQ(fresh_starts, 1);
}

static void features_ok_is_refused(u64 features, const char *why)
{
	open_device(false);
	stderr_capture();
	CHECK(!driver_negotiate(&dev, features));
	CHECK_EQ(status(), ACK | DRIVER);
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, why);
	CHECK_HAS(said, "FEATURES_OK refused");
	/* Nor may it go on as if it had been taken. */
	stderr_capture();
	reg_write(&dev, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEAT_OK | DRV_OK);
	stderr_release(said, sizeof(said));
	CHECK_EQ(status() & (FEAT_OK | DRV_OK), 0);
	CHECK_EQ(fresh_starts, 0);
	/* The driver may try again with less. */
	reg_write_features(&dev, V1);
	reg_write(&dev, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEAT_OK);
	CHECK_EQ(status(), ACK | DRIVER | FEAT_OK);
}

static void without_version_1(void)
{
	features_ok_is_refused(0, "VIRTIO_F_VERSION_1");
	features_ok_is_refused(ALPHA | EVENT, "VIRTIO_F_VERSION_1");
}

static void with_what_was_not_offered(void)
{
	for (unsigned bit = 0; bit < 64; bit++)
		if (!(OFFERED & VIRTIO_BIT(bit)))
			features_ok_is_refused(V1 | VIRTIO_BIT(bit), "not offered");
}

static void with_a_dependency_missing(void)
{
	features_ok_is_refused(V1 | BETA, "BETA needs ALPHA");
}

static void features_are_fixed_after_features_ok(void)
{
	open_device(false);
	CHECK(driver_negotiate(&dev, V1));
	stderr_capture();
	reg_write_features(&dev, OFFERED);
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, "after FEATURES_OK");
	CHECK_EQ(dev.accepted, V1);
}

static void driver_ok_needs_features_ok(void)
{
	open_device(false);
	stderr_capture();
	reg_write(&dev, VIRTIO_MMIO_STATUS, ACK | DRIVER);
	reg_write(&dev, VIRTIO_MMIO_STATUS, ACK | DRIVER | DRV_OK);
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, "DRIVER_OK without FEATURES_OK");
	CHECK_EQ(status(), ACK | DRIVER);
	CHECK_EQ(fresh_starts, 0);
}

/* 2.1.1: the driver MUST NOT clear a bit; what is written so has no effect. */
static void bits_are_not_cleared(void)
{
	const u32 bad[] = {
		ACK, ACK | DRIVER | FEAT_OK, FEAT_OK | DRV_OK, DRIVER, /* cleared */
		ACK | DRIVER | FEAT_OK | DRV_OK | 0x10, ACK | DRIVER | FEAT_OK | DRV_OK | 0x20,
		0x100, ~0u, 0x80000000, /* invented */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		open_device(false);
		bring_up();
		stderr_capture();
		reg_write(&dev, VIRTIO_MMIO_STATUS, bad[i]);
		stderr_release(said, sizeof(said));
		CHECK_HAS(said, "cleared or invented a Status bit");
		CHECK_EQ(status(), ACK | DRIVER | FEAT_OK | DRV_OK);
		CHECK_EQ(stops, 0);
		CHECK_EQ(fresh_starts, 1);
	}
}

static void failed_stops_it(void)
{
	open_device(false);
	bring_up();
	stderr_capture();
	reg_write(&dev, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEAT_OK | DRV_OK | FAILED);
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, "FAILED");
	CHECK_EQ(stops, 1);
	CHECK_EQ(status(), ACK | DRIVER | FEAT_OK | DRV_OK | FAILED);
	/* It stays down through anything but a reset. */
	stderr_capture();
	reg_write(&dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_write(&dev, VIRTIO_MMIO_QUEUE_READY, 0);
	reg_write(&dev, VIRTIO_MMIO_STATUS, status());
	stderr_release(said, sizeof(said));
	CHECK_EQ(fresh_starts, 1);
	CHECK_EQ(restarts, 0);
	reg_write(&dev, VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(stops, 1); /* it was stopped already */
	bring_up();
	CHECK_EQ(fresh_starts, 2);
}

static void failed_before_driver_ok_prevents_it(void)
{
	open_device(false);
	CHECK(driver_negotiate(&dev, V1));
	stderr_capture();
	reg_write(&dev, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEAT_OK | FAILED);
	reg_write(&dev, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEAT_OK | FAILED | DRV_OK);
	stderr_release(said, sizeof(said));
	CHECK_EQ(fresh_starts, 0);
	open_device(false);
	CHECK(driver_negotiate(&dev, V1));
	stderr_capture();
	reg_write(&dev, VIRTIO_MMIO_STATUS, ACK | DRIVER | FEAT_OK | FAILED | DRV_OK); /* at once */
	stderr_release(said, sizeof(said));
	CHECK_EQ(fresh_starts, 0);
}

static void broken_rules_are_counted(void)
{
	struct virtio_errors e;

	open_device(false);
	virtio_read_errors(&dev, &e);
	CHECK_EQ(e.n, 0);
	stderr_capture();
	for (unsigned i = 0; i < 5; i++) /* said once, counted five times */
		virtio_mmio_write(&dev, VIRTIO_MMIO_CONFIG, &i, 1);
	reg_write(&dev, VIRTIO_MMIO_STATUS, 0x20);
	reg_write(&dev, VIRTIO_MMIO_STATUS, 0); /* not forgotten with the driver */
	for (unsigned i = 0; i < 3; i++)
		reg_write(&dev, VIRTIO_MMIO_STATUS, 0x20);
	stderr_release(said, sizeof(said));
	virtio_read_errors(&dev, &e);
	CHECK_EQ(e.n, 2);
	CHECK_STR(e.of[0].rule, "the driver wrote the configuration space, which is read-only");
	CHECK_EQ(e.of[0].times, 5);
	CHECK_STR(e.of[1].rule, "the driver cleared or invented a Status bit");
	CHECK_EQ(e.of[1].times, 4);
}

/* There are fewer rules than rows; were there more, none would go astray. */
static void rows_for_all(void)
{
	static char rule[VIRTIO_ERRORS + 10][8];
	struct virtio_errors e;
	u64 sum = 0;

	open_device(false);
	stderr_capture();
	for (unsigned i = 0; i < ARRAY_SIZE(rule); i++) {
		snprintf(rule[i], sizeof(rule[i]), "%u", i);
		virtio_needs_reset(&dev, "queue", rule[i]);
	}
	stderr_release(said, sizeof(said));
	virtio_read_errors(&dev, &e);
	CHECK_EQ(e.n, VIRTIO_ERRORS);
	CHECK_STR(e.of[VIRTIO_ERRORS - 1].rule, "others");
	for (unsigned i = 0; i < e.n; i++)
		sum += e.of[i].times;
	CHECK_EQ(sum, ARRAY_SIZE(rule));
	CHECK_EQ(dev.config_interrupts, 0); /* there was no driver to tell */
}

static void is_as_new(void)
{
	CHECK_EQ(status(), 0);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_NUM_MAX), 64); /* queue 0 is selected */
	CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_DEVICE_FEATURES), (u32)OFFERED); /* word 0 is */
	for (unsigned i = 0; i < 2; i++) {
		reg_write(&dev, VIRTIO_MMIO_QUEUE_SEL, i);
		CHECK_EQ(reg_read(&dev, VIRTIO_MMIO_QUEUE_READY), 0);
		CHECK_EQ(dev.vq[i].size, 0);
		CHECK_EQ(dev.queue[i].want.size, 0);
		CHECK_EQ(dev.queue[i].want.desc | dev.queue[i].want.avail | dev.queue[i].want.used, 0);
	}
	CHECK_EQ(dev.accepted, 0);
	CHECK_EQ(dev.running, false);
}

/* 4.2.2.1: reset clears InterruptStatus and every QueueReady; from any state. */
static void reset_works_from_any_state(void)
{
	for (unsigned state = 0; state < 8; state++) {
		open_device(state & 1);
		stderr_capture();
		if (state >= 1)
			reg_write(&dev, VIRTIO_MMIO_STATUS, ACK | DRIVER);
		if (state >= 2)
			driver_negotiate(&dev, state == 2 ? V1 | BETA : V1);
		if (state >= 4)
			driver_enable_queue(&dev, 1, &ring[1].where);
		if (state >= 5)
			driver_ok(&dev);
		if (state == 6)
			virtio_needs_reset(&dev, "queue 0", "for this test");
		if (state == 7)
			reg_write(&dev, VIRTIO_MMIO_STATUS, status() | FAILED);
		virtio_interrupt(&dev);
		reg_write(&dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
		reg_write(&dev, VIRTIO_MMIO_STATUS, 0);
		stderr_release(said, sizeof(said));
		is_as_new();
		CHECK_EQ(stops, state >= 5);
		bring_up();
	}
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "the registers say what it is (4.2.2)", says_who_it_is },
		{ "offered features are read in two words, and there is no third", features_come_in_two_words },
		{ "accepted features are written in two words", features_are_written_in_two_words },
		{ "a queue that does not exist has size 0 (4.2.3.2)", absent_queues_have_no_size },
		{ "a queue that does not exist cannot be set up", absent_queues_take_nothing },
		{ "a shared memory region that does not exist has length -1 (4.2.2)", shared_memory_is_absent },
		{ "the configuration space is read in any size at any offset (4.2.2.2)", config_reads_in_any_size },
		{ "reads of odd sizes, at odd offsets and beyond the end are zero", odd_reads_are_zero },
		{ "writes of odd sizes, at odd offsets and to the configuration change nothing", odd_writes_change_nothing },
		{ "read-only registers stay as they are", read_only_registers_stay },
		{ "write-only registers read as zero", write_only_registers_read_as_zero },
		{ "a write to QueueNotify is an event, whatever the queue", a_kick_is_an_event },
		{ "the driver brings the device up step by step, and it starts once (3.1.1)", comes_up_in_order },
		{ "FEATURES_OK is refused without VERSION_1 (6.1)", without_version_1 },
		{ "FEATURES_OK is refused with a feature that was not offered (2.2.1)", with_what_was_not_offered },
		{ "FEATURES_OK is refused when a feature lacks another one (2.2.2)", with_a_dependency_missing },
		{ "features are fixed once FEATURES_OK is set (3.1.1)", features_are_fixed_after_features_ok },
		{ "DRIVER_OK is not taken before FEATURES_OK (3.1.1)", driver_ok_needs_features_ok },
		{ "Status bits are not cleared but by a reset, and none are invented (2.1.1)", bits_are_not_cleared },
		{ "FAILED stops the device until reset (2.1.1)", failed_stops_it },
		{ "FAILED before DRIVER_OK keeps it from starting", failed_before_driver_ok_prevents_it },
		{ "broken rules are counted, each by its sentence", broken_rules_are_counted },
		{ "and where there are too many, the last row has the others", rows_for_all },
		{ "a reset from any state makes it as new (2.4.1, 4.2.2.1)", reset_works_from_any_state },
	};
	return check_run(tests, ARRAY_SIZE(tests));
}
