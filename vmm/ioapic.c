// SPDX-License-Identifier: MIT
/*
 * ioapic.c - the redirection table of a split irqchip.  KVM keeps the local
 * APICs; this is the other half: 24 entries that the guest writes through a
 * window of two registers, each turned into the MSI message that the entry's
 * pin would send.  Knows nothing of KVM or of devices, nor of when a pin is
 * raised: an eventfd with a route does that without us.
 *
 * Invariant: route[] and unmasked are what the last commit said, and follow
 * from entry[].  An entry is one 64-bit value written in two halves.  Linux
 * writes the high half (destination) first, and masks with the low half
 * before it touches the high one, so that no half-written entry is ever
 * unmasked.  A guest that changes an unmasked entry in halves gets what
 * hardware gives it: each half takes effect when it is written, because the
 * other might never come.
 */
#include "ioapic.h"

#include <string.h>

/* Registers in the window, at these offsets only, 32 bits wide. */
#define IOREGSEL 0x00
#define IOWIN 0x10

/* Behind the window. */
#define REG_ID 0x00
#define REG_VERSION 0x01
#define REG_ARBITRATION 0x02
#define REG_ENTRY 0x10 /* low half of entry 0, high half, low half of 1, ... */

/*
 * 0x11: no EOI register, which a kernel would use for level entries only,
 * and ours are edge triggered.
 */
#define VERSION 0x11

#define ID_SHIFT 24
#define ID_MASK 0xf

#define ENTRY_VECTOR 0xffULL
#define ENTRY_MODE_SHIFT 8
#define ENTRY_MODE (7ULL << ENTRY_MODE_SHIFT)
#define ENTRY_LOGICAL (1ULL << 11)
#define ENTRY_LEVEL (1ULL << 15)
#define ENTRY_MASKED (1ULL << 16)
#define ENTRY_DEST_SHIFT 56

/*
 * Read-only: delivery status (12) and remote IRR (14), both always 0 as no
 * message ever waits here.  Bits 17 to 55 are reserved.
 */
#define ENTRY_WRITABLE \
	(0xffULL << ENTRY_DEST_SHIFT | ENTRY_MASKED | ENTRY_LEVEL | 1ULL << 13 | 0xfffULL)

enum { MODE_FIXED = 0, MODE_LOWEST = 1, MODE_NMI = 4 };

/* Vectors below belong to the processor's exceptions; an APIC refuses them. */
#define FIRST_VECTOR 16

#define MSI_BASE 0xfee00000ULL
#define MSI_DEST_SHIFT 12
#define MSI_LOGICAL (1u << 2)
#define MSI_LEVEL (1u << 15)

void ioapic_init(struct ioapic *io, const struct ioapic_ops *ops, void *opaque)
{
	memset(io, 0, sizeof(*io));
	io->ops = ops;
	io->opaque = opaque;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->entry[pin] = ENTRY_MASKED;
}

/*
 * Whether an edge on the pin would reach anyone.  ExtINT needs a PIC to ask
 * for the vector, SMI and INIT would not be a device's to send: such entries
 * count as masked.
 */
static bool entry_delivers(u64 entry)
{
	if (entry & ENTRY_MASKED)
		return false;
	switch ((entry & ENTRY_MODE) >> ENTRY_MODE_SHIFT) {
	case MODE_FIXED:
	case MODE_LOWEST:
		return (entry & ENTRY_VECTOR) >= FIRST_VECTOR;
	case MODE_NMI:
		return true;
	default:
		return false;
	}
}

static struct ioapic_msi entry_message(u64 entry)
{
	struct ioapic_msi msg = {
		.address = MSI_BASE | (entry >> ENTRY_DEST_SHIFT) << MSI_DEST_SHIFT,
		.data = entry & (ENTRY_VECTOR | ENTRY_MODE), /* at the same places */
	};

	if (entry & ENTRY_LOGICAL)
		msg.address |= MSI_LOGICAL;
	if (entry & ENTRY_LEVEL)
		msg.data |= MSI_LEVEL;
	return msg;
}

/*
 * A commit copies the whole table and waits for every reader of the old one,
 * while a booting kernel writes each half of each entry several times: so
 * compare first.  Bits that are not in the message (polarity) do not count.
 */
static void update_route(struct ioapic *io, unsigned pin)
{
	const u64 entry = io->entry[pin];
	const u32 bit = 1u << pin;
	const bool was = io->unmasked & bit, is = entry_delivers(entry);
	struct ioapic_msi msg = is ? entry_message(entry) : (struct ioapic_msi){ 0 };

	if (was == is && msg.address == io->route[pin].address && msg.data == io->route[pin].data)
		return;
	io->route[pin] = msg;
	io->unmasked = is ? io->unmasked | bit : io->unmasked & ~bit;
	io->ops->commit(io->opaque, io->route, io->unmasked);
	/* Only now: a signal before the commit would be lost like the edge. */
	if (is && !was)
		io->ops->unmasked(io->opaque, pin);
}

static u32 read_register(const struct ioapic *io)
{
	unsigned half = io->select - REG_ENTRY;

	switch (io->select) {
	case REG_ID:
	case REG_ARBITRATION: /* loaded with the id; there is no bus to arbitrate */
		return (u32)io->id << ID_SHIFT;
	case REG_VERSION:
		return VERSION | (IOAPIC_PINS - 1) << 16;
	}
	if (io->select < REG_ENTRY || half >= 2 * IOAPIC_PINS)
		return 0;
	return io->entry[half / 2] >> (half % 2 ? 32 : 0);
}

static void write_register(struct ioapic *io, u32 value)
{
	unsigned half = io->select - REG_ENTRY, pin = half / 2;
	u64 entry;

	if (io->select == REG_ID)
		io->id = value >> ID_SHIFT & ID_MASK;
	if (io->select < REG_ENTRY || half >= 2 * IOAPIC_PINS)
		return;

	entry = io->entry[pin];
	if (half % 2)
		entry = (u64)value << 32 | (u32)entry;
	else
		entry = (entry >> 32) << 32 | value;
	io->entry[pin] = entry & ENTRY_WRITABLE;
	update_route(io, pin);
}

u32 ioapic_read(struct ioapic *io, u64 offset, unsigned len)
{
	if (len != 4)
		return 0;
	switch (offset) {
	case IOREGSEL:
		return io->select;
	case IOWIN:
		return read_register(io);
	default:
		return 0;
	}
}

void ioapic_write(struct ioapic *io, u64 offset, unsigned len, u32 value)
{
	if (len != 4)
		return;
	switch (offset) {
	case IOREGSEL:
		io->select = value;
		break;
	case IOWIN:
		write_register(io, value);
		break;
	}
}
