/* SPDX-License-Identifier: MIT */
/*
 * ioapic.h - the I/O APIC of a split irqchip: KVM has the local APICs, we have
 * the redirection table.  Each unmasked entry becomes an MSI route for the
 * GSI of the same number, so that an eventfd write injects the interrupt in
 * the writer's own context and never through a kernel worker.
 */
#ifndef RINGLET_IOAPIC_H
#define RINGLET_IOAPIC_H

#include "base.h"
#include "layout.h"

struct ioapic_msi {
	u64 address;
	u32 data;
};

struct ioapic_ops {
	/*
	 * The routes changed: commit all of them.  route[pin] is valid where
	 * bit pin of unmasked is set; the other pins have no route.  Called
	 * only when an unmasked entry really changed: a commit is dear.
	 */
	void (*commit)(void *opaque, const struct ioapic_msi route[IOAPIC_PINS], u32 unmasked);
	/*
	 * The pin was masked and is not any more, and its route is committed.
	 * An edge that came in between is gone: signal once so that it is not
	 * lost.  Spurious signals are harmless to virtio and to a 16550.
	 */
	void (*unmasked)(void *opaque, unsigned pin);
};

struct ioapic {
	const struct ioapic_ops *ops;
	void *opaque;
	u8 select;
	u8 id;
	u64 entry[IOAPIC_PINS];
	struct ioapic_msi route[IOAPIC_PINS];
	u32 unmasked;
};

void ioapic_init(struct ioapic *io, const struct ioapic_ops *ops, void *opaque);

/*
 * Guest access at offset from LAYOUT_IOAPIC, len bytes.  Caller serialises
 * (the vCPU threads hold the bus lock).
 */
u32 ioapic_read(struct ioapic *io, u64 offset, unsigned len);
void ioapic_write(struct ioapic *io, u64 offset, unsigned len, u32 value);

#endif
