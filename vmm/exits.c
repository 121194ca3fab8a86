// SPDX-License-Identifier: MIT
/*
 * exits.c - what a processor came back for, by name: KVM's reason, and which
 * register where it was for one.  These are the exits that reach ringlet; of
 * those that KVM handles itself, its own statistics tell.
 */
#include <linux/kvm.h>
#include <linux/virtio_mmio.h>

#include "virtio.h"
#include "vm.h"

static const struct {
	u32 reason;
	const char *name;
} reasons[] = {
	{ KVM_EXIT_IO, "io" },
	{ KVM_EXIT_MMIO, "mmio" },
	{ KVM_EXIT_INTR, "intr" },
	{ KVM_EXIT_HLT, "hlt" },
	{ KVM_EXIT_IRQ_WINDOW_OPEN, "irq_window_open" },
	{ KVM_EXIT_IOAPIC_EOI, "ioapic_eoi" },
	{ KVM_EXIT_DEBUG, "debug" },
	{ KVM_EXIT_SHUTDOWN, "shutdown" },
	{ KVM_EXIT_INTERNAL_ERROR, "internal_error" },
	{ KVM_EXIT_FAIL_ENTRY, "fail_entry" },
	{ ~0u, "other" },
};
_Static_assert(ARRAY_SIZE(reasons) == EXIT_REASONS, "a row in struct exit_counters for each");

/* Registers of virtio-mmio (4.2.2), and what else there is. */
static const struct {
	unsigned offset;
	const char *name;
} registers[] = {
	{ VIRTIO_MMIO_MAGIC_VALUE, "magic_value" },
	{ VIRTIO_MMIO_VERSION, "version" },
	{ VIRTIO_MMIO_DEVICE_ID, "device_id" },
	{ VIRTIO_MMIO_VENDOR_ID, "vendor_id" },
	{ VIRTIO_MMIO_DEVICE_FEATURES, "device_features" },
	{ VIRTIO_MMIO_DEVICE_FEATURES_SEL, "device_features_sel" },
	{ VIRTIO_MMIO_DRIVER_FEATURES, "driver_features" },
	{ VIRTIO_MMIO_DRIVER_FEATURES_SEL, "driver_features_sel" },
	{ VIRTIO_MMIO_QUEUE_SEL, "queue_sel" },
	{ VIRTIO_MMIO_QUEUE_NUM_MAX, "queue_num_max" },
	{ VIRTIO_MMIO_QUEUE_NUM, "queue_num" },
	{ VIRTIO_MMIO_QUEUE_READY, "queue_ready" },
	{ VIRTIO_MMIO_QUEUE_NOTIFY, "queue_notify" },
	{ VIRTIO_MMIO_INTERRUPT_STATUS, "interrupt_status" },
	{ VIRTIO_MMIO_INTERRUPT_ACK, "interrupt_ack" },
	{ VIRTIO_MMIO_STATUS, "status" },
	{ VIRTIO_MMIO_QUEUE_DESC_LOW, "queue_desc_low" },
	{ VIRTIO_MMIO_QUEUE_DESC_HIGH, "queue_desc_high" },
	{ VIRTIO_MMIO_QUEUE_AVAIL_LOW, "queue_driver_low" },
	{ VIRTIO_MMIO_QUEUE_AVAIL_HIGH, "queue_driver_high" },
	{ VIRTIO_MMIO_QUEUE_USED_LOW, "queue_device_low" },
	{ VIRTIO_MMIO_QUEUE_USED_HIGH, "queue_device_high" },
	{ VIRTIO_MMIO_SHM_SEL, "shm_sel" },
	{ VIRTIO_MMIO_SHM_LEN_LOW, "shm_len_low" },
	{ VIRTIO_MMIO_SHM_LEN_HIGH, "shm_len_high" },
	{ VIRTIO_MMIO_SHM_BASE_LOW, "shm_base_low" },
	{ VIRTIO_MMIO_SHM_BASE_HIGH, "shm_base_high" },
	{ 0x0c0, "queue_reset" },
	{ VIRTIO_MMIO_CONFIG_GENERATION, "config_generation" },
	{ VIRTIO_MMIO_CONFIG, "config" },
	{ ~0u, "reserved" }, /* in a window, and none of these */
	{ ~0u, "ioapic" },
	{ ~0u, "elsewhere" }, /* there is nothing */
};
_Static_assert(ARRAY_SIZE(registers) == EXIT_REGISTERS, "a row in struct exit_counters for each");
enum { RESERVED = EXIT_REGISTERS - 3, IS_IOAPIC, ELSEWHERE };

const char *exit_reason_name(unsigned i)
{
	return i < EXIT_REASONS ? reasons[i].name : NULL;
}

const char *exit_register_name(unsigned i)
{
	return i < EXIT_REGISTERS ? registers[i].name : NULL;
}

unsigned exit_reason(u32 reason)
{
	unsigned i = 0;

	while (i < EXIT_REASONS - 1 && reasons[i].reason != reason)
		i++;
	return i;
}

unsigned exit_register(unsigned nvirtio, u64 gpa)
{
	u64 in_windows = gpa - LAYOUT_VIRTIO, offset = in_windows % LAYOUT_VIRTIO_STRIDE;
	unsigned i = 0;

	if (gpa >= LAYOUT_IOAPIC && gpa < LAYOUT_IOAPIC + GUEST_PAGE)
		return IS_IOAPIC;
	if (gpa < LAYOUT_VIRTIO || in_windows / LAYOUT_VIRTIO_STRIDE >= nvirtio || offset >= LAYOUT_VIRTIO_SIZE)
		return ELSEWHERE;
	if (offset > VIRTIO_MMIO_CONFIG)
		offset = VIRTIO_MMIO_CONFIG;
	while (i < RESERVED && registers[i].offset != offset)
		i++;
	return i;
}
