/* SPDX-License-Identifier: MIT */
/*
 * boot.h - what must be in memory before the first instruction: the kernel,
 * the initrd, the command line, and the tables that tell the kernel of them.
 * Runs on the main thread before any vCPU; knows nothing of KVM.
 */
#ifndef RINGLET_BOOT_H
#define RINGLET_BOOT_H

#include "base.h"

struct mem;

enum boot_protocol {
	BOOT_LINUX64, /* RSI = zero page, long mode, paging on */
	BOOT_PVH,     /* EBX = start info, 32-bit protected mode, paging off */
};

/* Where and how the first vCPU starts. */
struct boot_entry {
	enum boot_protocol protocol;
	u64 rip;
	u64 info;	   /* gpa of the zero page or of the PVH start info */
	u64 page_table;	   /* gpa of the PML4; 0 for BOOT_PVH */
	const char *kind;  /* "bzImage", "ELF64 vmlinux", "ELF64 vmlinux (PVH)" */
	u64 kernel, kernel_end; /* gpa range of the loaded kernel */
	u64 initrd, initrd_end; /* gpa range, empty when there is none */
};

/*
 * The descriptor table at LAYOUT_GDT: flat segments, base 0, limit 4 GiB, with
 * the selectors Linux's boot protocol asks for.  BOOT_TSS is busy, limit 0x67.
 */
#define BOOT_CS64 0x10
#define BOOT_DS 0x18
#define BOOT_CS32 0x20
#define BOOT_TSS 0x28
#define BOOT_GDT_LIMIT 0x37 /* the table's size - 1, as for GDTR */

/* An initrd that is made and not read: it comes behind the other, if there is one. */
struct boot_made {
	u64 size;
	/* Write size bytes.  0, or -1 and a sentence. */
	int (*write)(const void *opaque, void *to, char *err, size_t err_size);
	const void *opaque;
};

struct boot_request {
	const char *kernel;  /* file name */
	const char *initrd;  /* file name or NULL */
	const char *cmdline; /* whole command line, without terminating newline */
	u64 rsdp;	     /* gpa of the ACPI root pointer */
	const struct boot_made *made; /* or NULL */
};

/* One entry of the guest's memory map, as the kernel is told of it. */
struct boot_range {
	u64 start, size;
	u32 type; /* 1 RAM, 2 reserved (E820 numbers) */
};
#define BOOT_MAX_RANGES 8

/* The memory map for this RAM; returns how many entries were written. */
unsigned boot_memory_map(const struct mem *m, struct boot_range map[BOOT_MAX_RANGES]);

/*
 * Load everything into guest RAM.  0, or -1 with one sentence in err that
 * says what is wrong with which file and what would work.
 */
int boot_load(const struct mem *m, const struct boot_request *req, struct boot_entry *entry,
	      char *err, size_t err_size) MUST_CHECK;

/* Refuse what boot_load() would, in the same words; only the sizes of m count. */
int boot_check(const struct mem *m, const struct boot_request *req, char *err, size_t err_size) MUST_CHECK;

/*
 * The release a kernel says it is, "6.1.0-18-amd64": of a bzImage its header
 * tells, in a vmlinux it is looked for.  false: it says nothing.
 */
#define BOOT_VERSION 65
bool boot_version(const char *kernel, char version[BOOT_VERSION]);

/*
 * Look at the kernel file only: 0 when it is one that boot_load() would
 * take, else -1 and the sentence.
 */
int boot_probe(const char *kernel, char *err, size_t err_size) MUST_CHECK;

#endif
