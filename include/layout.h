/* SPDX-License-Identifier: MIT */
/*
 * layout.h - the guest's physical map, drawn, then defined.  Every fixed
 * address, port and interrupt line of the machine is here and nowhere else.
 *
 *   0x0_0000_0000  +-------------------------+
 *                  | GDT, zero page, start   |  what we leave for the first
 *                  | info, page tables, ...  |  instruction; the kernel may
 *   0x0_0009_fc00  +-------------------------+  reuse it all
 *                  | legacy hole, no RAM use |
 *   0x0_000e_0000  | ACPI tables (reserved)  |
 *   0x0_000f_fff0  | reset vector (reserved) |
 *   0x0_0010_0000  +-------------------------+
 *                  | low RAM: kernel, initrd |
 *   0x0_c000_0000  +-------------------------+  (at most)
 *                  |   hole                  |
 *   0x0_d000_0fa0  | virtio-mmio windows     |
 *   0x0_fec0_0000  | IOAPIC                  |
 *   0x0_fee0_0000  | local APICs (KVM's)     |
 *   0x0_fffb_c000  | KVM's private pages     |
 *   0x1_0000_0000  +-------------------------+
 *                  | high RAM, if any        |
 *                  +-------------------------+
 */
#ifndef RINGLET_LAYOUT_H
#define RINGLET_LAYOUT_H

#include "base.h"

#define GUEST_PAGE 4096ULL

/* Left for the first instruction, all below 640 KiB. */
#define LAYOUT_GDT 0x500ULL
#define LAYOUT_ZERO_PAGE 0x7000ULL   /* struct boot_params, one page */
#define LAYOUT_START_INFO 0x8000ULL  /* PVH start info, modules, memory map */
#define LAYOUT_PAGE_TABLES 0x9000ULL /* PML4, PDPT, 4 page directories */
#define LAYOUT_BOOT_STACK 0x1fff0ULL /* grows down; unused by Linux */
#define LAYOUT_CMDLINE 0x20000ULL
#define LAYOUT_CMDLINE_MAX 0x10000ULL
#define LAYOUT_EBDA 0x9fc00ULL /* end of usable memory below 1 MiB */

/* ACPI: inside the area scanned for "RSD PTR " by kernels not told of it. */
#define LAYOUT_ACPI 0xe0000ULL
#define LAYOUT_ACPI_END 0x100000ULL

/*
 * Where a processor enters the BIOS.  Linux jumps there in real mode to reboot
 * a machine whose ACPI is hardware-reduced, because it takes that for a UEFI
 * machine and finds no UEFI: a few instructions there write the reset port.
 */
#define LAYOUT_RESET_VECTOR 0xffff0ULL

#define LAYOUT_KERNEL 0x100000ULL

#define LAYOUT_RAM_MIN (64 * MiB)
#define LAYOUT_LOW_END 0xc0000000ULL /* low RAM ends here at the latest */
#define LAYOUT_HIGH 0x100000000ULL   /* what did not fit starts here */

/*
 * A virtio-mmio window starts 0x60 bytes before a page boundary: QueueNotify
 * and the select-dependent registers lie in a page with nothing behind it
 * (every access traps, a kick by way of ioeventfd), InterruptStatus, Status
 * and the configuration space in the next page, which is backed by a
 * read-only slot, so that reading them costs no exit.
 */
#define LAYOUT_VIRTIO 0xd0000fa0ULL
#define LAYOUT_VIRTIO_STRIDE 0x2000ULL
#define LAYOUT_VIRTIO_SIZE 0x200ULL
#define LAYOUT_VIRTIO_WINDOW(i) (LAYOUT_VIRTIO + (i) * LAYOUT_VIRTIO_STRIDE)

#define LAYOUT_IOAPIC 0xfec00000ULL
#define LAYOUT_LAPIC 0xfee00000ULL
#define LAYOUT_IDENTITY_MAP 0xfffbc000ULL /* KVM_SET_IDENTITY_MAP_ADDR */
#define LAYOUT_TSS 0xfffbd000ULL	  /* KVM_SET_TSS_ADDR, 3 pages */

/* Interrupt lines (GSIs = IOAPIC pins), all edge triggered, active high. */
#define IOAPIC_PINS 24
#define GSI_SERIAL 4
#define GSI_VIRTIO 5 /* the first device's; the next has 6, ... */

/* I/O ports. */
#define PORT_SERIAL 0x3f8     /* 8 registers */
#define PORT_PVPANIC 0x505    /* ACPI device QEMU0001 */
#define PORT_ACPI_SLEEP 0x600 /* sleep control, then sleep status */
#define PORT_ACPI_RESET 0x602 /* write ACPI_RESET_VALUE */
#define ACPI_RESET_VALUE 0x01
#define ACPI_S5_TYPE 5 /* SLP_TYP of \_S5 */

#define MAX_CPUS 32
#define MAX_VIRTIO 8

#endif
