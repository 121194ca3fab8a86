/* SPDX-License-Identifier: MIT */
/*
 * acpi.h - the tables by which a stock kernel finds the machine: RSDP, XSDT,
 * hardware-reduced FADT, MADT and a DSDT with the serial port, pvpanic and
 * one LNRO0005 per virtio-mmio device.
 */
#ifndef RINGLET_ACPI_H
#define RINGLET_ACPI_H

#include "base.h"

struct mem;

struct acpi_device {
	u64 base; /* virtio-mmio window, below 4 GiB */
	u32 size;
	u32 gsi;
};

struct acpi_config {
	unsigned ncpus; /* 1 to MAX_CPUS; APIC ids are 0 to ncpus - 1 */
	const struct acpi_device *virtio;
	unsigned nvirtio;
};

/*
 * Main thread, before any vCPU runs: write the tables between LAYOUT_ACPI and
 * LAYOUT_ACPI_END and return the RSDP's gpa (16-byte aligned).
 */
u64 acpi_build(const struct mem *m, const struct acpi_config *c);

#endif
