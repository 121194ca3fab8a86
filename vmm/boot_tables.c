// SPDX-License-Identifier: MIT
/*
 * boot_tables.c - what lies below 1 MiB when the first instruction runs: the
 * segment descriptors and page tables it runs on, and the letter to the kernel
 * (Linux's zero page or the PVH start info) with the memory map, the command
 * line, the initrd's place and the ACPI root pointer.
 *
 * Every address here is one of ours from layout.h and RAM is never smaller
 * than LAYOUT_RAM_MIN, so a refusal by mem_at() would be our own mistake.
 */
#include "boot_internal.h"

#include <assert.h>
#include <string.h>

#include "layout.h"
#include "mem.h"

#define PTE_TABLE 0x03ULL /* present, writable */
#define PTE_2M 0x83ULL	  /* the same, and a page of 2 MiB */

/* Base 0, limit 4 GiB, present, ring 0, already accessed. */
#define GDT_CODE64 0x00af9b000000ffffULL
#define GDT_CODE32 0x00cf9b000000ffffULL
#define GDT_DATA 0x00cf93000000ffffULL
#define GDT_TSS 0x00008b0000000067ULL /* busy, base 0; VM entry insists on one */

/* PVH, Xen's public/arch-x86/hvm/start_info.h, version 1. */
#define PVH_MAGIC 0x336ec578

struct pvh_start_info {
	u32 magic, version, flags, nr_modules;
	u64 modlist, cmdline, rsdp, memmap; /* gpas */
	u32 memmap_entries, reserved;
};

struct pvh_module {
	u64 start, size, cmdline, reserved;
};

struct pvh_range {
	u64 start, size;
	u32 type, reserved;
};

/* All of PVH's letter, in its one page. */
struct pvh_page {
	struct pvh_start_info info;
	struct pvh_module initrd;
	struct pvh_range map[BOOT_MAX_RANGES];
};

_Static_assert(sizeof(struct pvh_start_info) == 56, "as PVH has it");
_Static_assert(offsetof(struct pvh_start_info, memmap) == 40, "as PVH has it");
_Static_assert(sizeof(struct pvh_module) == 32, "as PVH has it");
_Static_assert(sizeof(struct pvh_range) == 24, "as PVH has it");

/* Nothing below 1 MiB lies upon anything else. */
_Static_assert(LAYOUT_GDT + BOOT_GDT_LIMIT < LAYOUT_ZERO_PAGE, "GDT");
_Static_assert(LAYOUT_ZERO_PAGE + sizeof(struct boot_params) <= LAYOUT_START_INFO, "zero page");
_Static_assert(LAYOUT_START_INFO + sizeof(struct pvh_page) <= LAYOUT_PAGE_TABLES, "start info");
_Static_assert(LAYOUT_PAGE_TABLES + 6 * GUEST_PAGE < LAYOUT_BOOT_STACK, "page tables");
_Static_assert(LAYOUT_BOOT_STACK < LAYOUT_CMDLINE, "stack");
_Static_assert(LAYOUT_CMDLINE + LAYOUT_CMDLINE_MAX <= LAYOUT_EBDA, "command line");

/* Our own place in guest memory, which is there. */
static void *ours(const struct mem *m, u64 gpa, u64 len)
{
	void *p = mem_at(m, gpa, len);

	assert(p);
	return p;
}

unsigned boot_memory_map(const struct mem *m, struct boot_range map[BOOT_MAX_RANGES])
{
	/*
	 * The virtio windows and the IOAPIC are left out on purpose: ACPI
	 * gives them to their drivers, and a reserved entry here could only
	 * get in the way of that.  KVM's own pages nobody else tells of.
	 */
	const struct boot_range all[] = {
		{ 0, LAYOUT_EBDA, 1 },
		{ LAYOUT_EBDA, 0xa0000 - LAYOUT_EBDA, 2 },
		{ LAYOUT_ACPI, LAYOUT_ACPI_END - LAYOUT_ACPI, 2 },
		{ LAYOUT_KERNEL, m->region[0].size - LAYOUT_KERNEL, 1 },
		{ LAYOUT_IDENTITY_MAP, LAYOUT_TSS + 3 * GUEST_PAGE - LAYOUT_IDENTITY_MAP, 2 },
		{ LAYOUT_HIGH, m->region[1].size, 1 },
	};
	unsigned n = ARRAY_SIZE(all) - (m->n < 2);

	_Static_assert(ARRAY_SIZE(all) <= BOOT_MAX_RANGES, "room for all");
	memcpy(map, all, n * sizeof(all[0]));
	return n;
}

static void write_gdt(const struct mem *m)
{
	u64 *gdt = ours(m, LAYOUT_GDT, BOOT_GDT_LIMIT + 1);

	memset(gdt, 0, BOOT_GDT_LIMIT + 1);
	gdt[BOOT_CS64 / 8] = GDT_CODE64;
	gdt[BOOT_DS / 8] = GDT_DATA;
	gdt[BOOT_CS32 / 8] = GDT_CODE32;
	gdt[BOOT_TSS / 8] = GDT_TSS; /* in long mode it takes two entries */
}

/* In real mode: write the reset port, and stop should that not be the end. */
static void write_reset_vector(const struct mem *m)
{
	const u8 code[] = {
		0xba, PORT_ACPI_RESET & 0xff, PORT_ACPI_RESET >> 8, /* mov $port, %dx */
		0xb0, ACPI_RESET_VALUE,				    /* mov $value, %al */
		0xee,						    /* out %al, %dx */
		0xf4,						    /* hlt */
		0xeb, 0xfd,					    /* jmp to the hlt */
	};

	memcpy(ours(m, LAYOUT_RESET_VECTOR, sizeof(code)), code, sizeof(code));
}

/* The first 4 GiB at their own addresses: PML4, PDPT, four directories. */
static void write_page_tables(const struct mem *m)
{
	u64 *pml4 = ours(m, LAYOUT_PAGE_TABLES, 6 * GUEST_PAGE);
	u64 *pdpt = pml4 + 512, *pd = pdpt + 512;

	memset(pml4, 0, 2 * GUEST_PAGE);
	pml4[0] = (LAYOUT_PAGE_TABLES + GUEST_PAGE) | PTE_TABLE;
	for (u64 i = 0; i < 4; i++)
		pdpt[i] = (LAYOUT_PAGE_TABLES + (2 + i) * GUEST_PAGE) | PTE_TABLE;
	for (u64 i = 0; i < 4 * 512; i++)
		pd[i] = i * 2 * MiB | PTE_2M;
}

static void write_zero_page(const struct mem *m, const struct boot_request *req,
			    const struct boot_entry *entry, const struct boot_params *from)
{
	struct boot_params *zp = ours(m, LAYOUT_ZERO_PAGE, sizeof(*zp));
	u64 initrd_size = entry->initrd_end - entry->initrd;
	struct boot_range map[BOOT_MAX_RANGES];

	memcpy(zp, from, sizeof(*zp));
	zp->hdr.cmd_line_ptr = (u32)LAYOUT_CMDLINE;
	zp->ext_cmd_line_ptr = (u32)(LAYOUT_CMDLINE >> 32);
	zp->hdr.ramdisk_image = (u32)entry->initrd;
	zp->ext_ramdisk_image = (u32)(entry->initrd >> 32);
	zp->hdr.ramdisk_size = (u32)initrd_size;
	zp->ext_ramdisk_size = (u32)(initrd_size >> 32);
	zp->acpi_rsdp_addr = req->rsdp;
	zp->e820_entries = (u8)boot_memory_map(m, map);
	for (unsigned i = 0; i < zp->e820_entries; i++)
		zp->e820_table[i] = (struct boot_e820_entry){
			.addr = map[i].start,
			.size = map[i].size,
			.type = map[i].type,
		};
}

static void write_start_info(const struct mem *m, const struct boot_request *req,
			     const struct boot_entry *entry)
{
	struct pvh_page *page = ours(m, LAYOUT_START_INFO, sizeof(*page));
	struct boot_range map[BOOT_MAX_RANGES];
	unsigned n = boot_memory_map(m, map);

	memset(page, 0, sizeof(*page));
	page->info = (struct pvh_start_info){
		.magic = PVH_MAGIC,
		.version = 1,
		.cmdline = LAYOUT_CMDLINE,
		.rsdp = req->rsdp,
		.memmap = LAYOUT_START_INFO + offsetof(struct pvh_page, map),
		.memmap_entries = n,
	};
	if (entry->initrd_end > entry->initrd) {
		page->info.nr_modules = 1;
		page->info.modlist = LAYOUT_START_INFO + offsetof(struct pvh_page, initrd);
		page->initrd.start = entry->initrd;
		page->initrd.size = entry->initrd_end - entry->initrd;
	}
	for (unsigned i = 0; i < n; i++)
		page->map[i] = (struct pvh_range){
			.start = map[i].start,
			.size = map[i].size,
			.type = map[i].type, /* PVH took E820's numbers */
		};
}

void boot_write_tables(const struct mem *m, const struct boot_request *req,
		       const struct boot_entry *entry, const struct boot_params *zero_page)
{
	u64 len = strlen(req->cmdline) + 1;

	assert(len <= LAYOUT_CMDLINE_MAX);
	memcpy(ours(m, LAYOUT_CMDLINE, len), req->cmdline, len);
	write_gdt(m);
	write_reset_vector(m);
	if (entry->protocol == BOOT_PVH) {
		write_start_info(m, req, entry);
	} else {
		write_page_tables(m);
		write_zero_page(m, req, entry, zero_page);
	}
}
