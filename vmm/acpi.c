// SPDX-License-Identifier: MIT
/*
 * acpi.c - the tables from which an unmodified kernel learns what machine it
 * is in: RSDP -> XSDT -> FADT, MADT; FADT -> DSDT.  Numbers of tables, fields
 * and bits are those of ACPI 6.3.
 *
 * The machine is "hardware reduced": no PM timer, no fixed buttons, no SCI,
 * no FACS, and so no legacy PIC or PIT that a kernel would wait for.  What it
 * has is a reset register, a sleep register and devices with fixed resources.
 * Knows nothing of how those devices work, only of where layout.h puts them.
 *
 * A table is complete when its checksum is written; nothing changes it then.
 */
#include "acpi.h"

#include <assert.h>
#include <string.h>

#include "aml.h"
#include "layout.h"
#include "mem.h"

#define PACKED __attribute__((packed))

#define OEM_ID "RINGLT"
#define OEM_TABLE_ID "RINGLET "
#define CREATOR_ID "RNGL"

struct rsdp {
	char signature[8];
	u8 checksum; /* of the first 20 bytes, all that ACPI 1.0 knew */
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 ext_checksum; /* of everything */
	u8 reserved[3];
} PACKED;
_Static_assert(sizeof(struct rsdp) == 36, "RSDP of ACPI 2.0 and later");
#define RSDP_V1_LEN 20

struct header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
} PACKED;
_Static_assert(sizeof(struct header) == 36, "every table's header");

struct xsdt {
	struct header h;
	u64 table[2]; /* FADT, MADT; the DSDT is the FADT's */
} PACKED;

struct gas {
	u8 space; /* 1: I/O ports */
	u8 bits;
	u8 offset;
	u8 access; /* 1: bytes */
	u64 address;
} PACKED;

struct fadt {
	struct header h;
	u32 firmware_ctrl;
	u32 dsdt;
	u8 reserved1;
	u8 pm_profile;
	u16 sci_int;
	u8 fixed_hardware[48]; /* ports, blocks and lengths that we do not have */
	u16 p_lvl2_lat;
	u16 p_lvl3_lat;
	u8 flush_and_duty[6];
	u8 rtc[3];
	u16 iapc_boot_arch;
	u8 reserved2;
	u32 flags;
	struct gas reset_reg;
	u8 reset_value;
	u16 arm_boot_arch;
	u8 minor_version;
	u64 x_firmware_ctrl;
	u64 x_dsdt;
	struct gas x_fixed_hardware[8];
	struct gas sleep_control;
	struct gas sleep_status;
	char hypervisor[8];
} PACKED;
_Static_assert(offsetof(struct fadt, p_lvl2_lat) == 96, "FADT");
_Static_assert(offsetof(struct fadt, iapc_boot_arch) == 109, "FADT");
_Static_assert(offsetof(struct fadt, reset_reg) == 116, "FADT");
_Static_assert(offsetof(struct fadt, x_dsdt) == 140, "FADT");
_Static_assert(offsetof(struct fadt, sleep_control) == 244, "FADT");
_Static_assert(sizeof(struct fadt) == 276, "FADT of ACPI 6.x");

enum {
	FADT_WBINVD = 1 << 0, /* mandatory since ACPI 1.0 */
	FADT_PROC_C1 = 1 << 2,
	FADT_PWR_BUTTON = 1 << 4, /* set: not a fixed-hardware one */
	FADT_SLP_BUTTON = 1 << 5, /* likewise */
	FADT_RESET_REG_SUP = 1 << 10,
	FADT_HW_REDUCED = 1 << 20,
};

/* Bits 0 (legacy devices) and 1 (8042) are clear: do not look for them. */
enum {
	BOOT_NO_VGA = 1 << 2,
	BOOT_NO_CMOS_RTC = 1 << 5,
};

/* "Worse than 100 and 1000 us": there is no C2 and no C3. */
#define NO_C2 0x0fff
#define NO_C3 0x0fff

struct madt {
	struct header h;
	u32 lapic;
	u32 flags; /* bit 0, PCAT_COMPAT, clear: there are no 8259s */
} PACKED;
_Static_assert(sizeof(struct madt) == 44, "MADT");

struct madt_lapic {
	u8 type, length;
	u8 uid;
	u8 apic_id;
	u32 flags; /* bit 0: enabled */
} PACKED;

struct madt_ioapic {
	u8 type, length;
	u8 id;
	u8 reserved;
	u32 address;
	u32 gsi_base;
} PACKED;

struct madt_nmi {
	u8 type, length;
	u8 uid; /* 0xff: every processor */
	u16 flags;
	u8 lint;
} PACKED;

/* The area between LAYOUT_ACPI and LAYOUT_ACPI_END, filled from its start. */
struct area {
	u8 *start;
	size_t used, size;
};

static u8 sum(const void *data, size_t len)
{
	const u8 *p = data;
	u8 s = 0;

	while (len--)
		s += *p++;
	return s;
}

/* The table at the current end, zeroed; it becomes part of the area by take(). */
static void *reserve(struct area *area, size_t len)
{
	assert(area->used <= area->size && len <= area->size - area->used);
	return memset(area->start + area->used, 0, len);
}

/* Returns the gpa of what was taken. */
static u64 take(struct area *area, size_t len)
{
	u64 gpa = LAYOUT_ACPI + area->used;

	assert(len <= area->size - area->used);
	area->used = ALIGN_UP(area->used + len, 16);
	return gpa;
}

static u64 finish(struct area *area, struct header *h, const char *signature, u8 revision, u32 len)
{
	memcpy(h->signature, signature, sizeof(h->signature));
	h->length = len;
	h->revision = revision;
	memcpy(h->oem_id, OEM_ID, sizeof(h->oem_id));
	memcpy(h->oem_table_id, OEM_TABLE_ID, sizeof(h->oem_table_id));
	h->oem_revision = 1;
	memcpy(h->creator_id, CREATOR_ID, sizeof(h->creator_id));
	h->creator_revision = 1;
	h->checksum = 0;
	h->checksum = -sum(h, len);
	return take(area, len);
}

/*
 * Processors are not here: a kernel takes them from the MADT, and without
 * power states there is nothing to add.
 */
static u64 build_dsdt(struct area *area, const struct acpi_config *c)
{
	static const u64 s5[] = { ACPI_S5_TYPE, 0, 0, 0 };
	/*
	 * Enough for every device we can have, and asserted there: a device
	 * takes less than 100 bytes.
	 */
	const size_t max = 4096;
	struct header *h = reserve(area, max);
	struct aml a;

	aml_init(&a, h + 1, max - sizeof(*h));
	aml_name_package(&a, "_S5_", s5, ARRAY_SIZE(s5));
	aml_scope(&a, "_SB_");

	aml_device(&a, "COM1");
	aml_name_eisaid(&a, "_HID", "PNP0501");
	aml_name_integer(&a, "_UID", 0);
	aml_crs(&a);
	aml_crs_io(&a, PORT_SERIAL, 8);
	aml_crs_edge_interrupt(&a, GSI_SERIAL);
	aml_crs_end(&a);
	aml_end(&a);

	aml_device(&a, "PEVT");
	aml_name_string(&a, "_HID", "QEMU0001");
	aml_name_integer(&a, "_STA", 0xb); /* present, enabled, working; not shown to users */
	aml_crs(&a);
	aml_crs_io(&a, PORT_PVPANIC, 1);
	aml_crs_end(&a);
	aml_end(&a);

	for (unsigned i = 0; i < c->nvirtio; i++) {
		const struct acpi_device *d = &c->virtio[i];
		char name[5] = { 'V', 'I', 'O', (char)('0' + i) };

		assert(d->base <= UINT32_MAX && d->size && d->size - 1 <= UINT32_MAX - d->base);
		assert(d->gsi < IOAPIC_PINS);
		aml_device(&a, name);
		aml_name_string(&a, "_HID", "LNRO0005");
		aml_name_integer(&a, "_UID", i);
		aml_name_integer(&a, "_CCA", 1); /* sees memory as the processors do */
		aml_crs(&a);
		aml_crs_memory(&a, d->base, d->size);
		aml_crs_edge_interrupt(&a, d->gsi);
		aml_crs_end(&a);
		aml_end(&a);
	}

	aml_end(&a);
	/* Revision 2: integers have 64 bits. */
	return finish(area, h, "DSDT", 2, sizeof(*h) + aml_finish(&a));
}
_Static_assert(MAX_VIRTIO <= 10, "one decimal digit in a device's name");

static struct gas io_byte(u16 port)
{
	return (struct gas){ .space = 1, .bits = 8, .access = 1, .address = port };
}

static u64 build_fadt(struct area *area, u64 dsdt)
{
	struct fadt *f = reserve(area, sizeof(*f));

	f->dsdt = dsdt; /* for kernels that look at the old field only */
	f->x_dsdt = dsdt;
	f->p_lvl2_lat = NO_C2;
	f->p_lvl3_lat = NO_C3;
	f->iapc_boot_arch = BOOT_NO_VGA | BOOT_NO_CMOS_RTC;
	f->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON | FADT_SLP_BUTTON |
		   FADT_RESET_REG_SUP | FADT_HW_REDUCED;
	f->reset_reg = io_byte(PORT_ACPI_RESET);
	f->reset_value = ACPI_RESET_VALUE;
	f->minor_version = 3;
	f->sleep_control = io_byte(PORT_ACPI_SLEEP);
	f->sleep_status = io_byte(PORT_ACPI_SLEEP + 1);
	memcpy(f->hypervisor, "RINGLET", sizeof("RINGLET"));
	return finish(area, &f->h, "FACP", 6, sizeof(*f));
}

static u64 build_madt(struct area *area, unsigned ncpus)
{
	const size_t len = sizeof(struct madt) + ncpus * sizeof(struct madt_lapic) +
			   sizeof(struct madt_ioapic) + sizeof(struct madt_nmi);
	const struct madt_ioapic io = { 1, sizeof(io), .address = LAYOUT_IOAPIC };
	const struct madt_nmi nmi = { 4, sizeof(nmi), .uid = 0xff, .lint = 1 };
	struct madt *m = reserve(area, len);
	u8 *p = (u8 *)(m + 1);

	m->lapic = LAYOUT_LAPIC;
	for (unsigned i = 0; i < ncpus; i++) {
		const struct madt_lapic e = { 0, sizeof(e), .uid = i, .apic_id = i, .flags = 1 };

		p = mempcpy(p, &e, sizeof(e));
	}
	/*
	 * No interrupt source overrides: the ISA lines keep their numbers, and
	 * a hardware-reduced kernel has none of its own.
	 */
	p = mempcpy(p, &io, sizeof(io));
	p = mempcpy(p, &nmi, sizeof(nmi));
	assert(p == (u8 *)m + len);
	return finish(area, &m->h, "APIC", 5, len);
}
_Static_assert(MAX_CPUS <= 255, "APIC ids of more than a byte need other entries");

u64 acpi_build(const struct mem *m, const struct acpi_config *c)
{
	const size_t size = LAYOUT_RESET_VECTOR - LAYOUT_ACPI;
	struct area area = { .start = mem_at(m, LAYOUT_ACPI, size), .size = size };
	struct rsdp *rsdp;
	struct xsdt *xsdt;
	u64 fadt, madt, rsdp_gpa;

	assert(area.start); /* layout.h: RAM is larger than that */
	assert(c->ncpus >= 1 && c->ncpus <= MAX_CPUS && c->nvirtio <= MAX_VIRTIO);

	/* First, because it is looked for at the area's 16-byte boundaries. */
	rsdp = reserve(&area, sizeof(*rsdp));
	rsdp_gpa = take(&area, sizeof(*rsdp));

	fadt = build_fadt(&area, build_dsdt(&area, c));
	madt = build_madt(&area, c->ncpus);
	xsdt = reserve(&area, sizeof(*xsdt));
	xsdt->table[0] = fadt;
	xsdt->table[1] = madt;

	memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
	memcpy(rsdp->oem_id, OEM_ID, sizeof(rsdp->oem_id));
	rsdp->revision = 2;
	rsdp->length = sizeof(*rsdp);
	rsdp->xsdt = finish(&area, &xsdt->h, "XSDT", 1, sizeof(*xsdt));
	rsdp->checksum = -sum(rsdp, RSDP_V1_LEN);
	rsdp->ext_checksum = -sum(rsdp, sizeof(*rsdp));
	return rsdp_gpa;
}
