/* SPDX-License-Identifier: MIT */
/*
 * mem.h - guest RAM and the one door to it.
 *
 * A guest-physical address (gpa) becomes a pointer only through mem_at(),
 * which takes a length as well and says no.  The table of regions is filled
 * by the main thread before any other thread starts and never changes after
 * that, so readers need no lock.
 */
#ifndef RINGLET_MEM_H
#define RINGLET_MEM_H

#include "base.h"

struct mem_region {
	u64 gpa;  /* guest-physical start */
	u64 size; /* bytes */
	u8 *hva;  /* where it is mapped in this process */
};

struct mem {
	struct mem_region region[2]; /* low RAM, high RAM */
	unsigned n;
	u64 size; /* all of it, bytes */
};

/*
 * Main thread: map size bytes of RAM (a multiple of 4 KiB), laid out as in
 * layout.h, with inaccessible guard pages around each region.  0 or -errno.
 */
int mem_init(struct mem *m, u64 size) MUST_CHECK;
void mem_fini(struct mem *m);

/*
 * Any thread: where [gpa, gpa + len) is, or NULL unless all of it lies in one
 * region.  A len of 0 is allowed at every address inside a region.
 */
void *mem_at(const struct mem *m, u64 gpa, u64 len) MUST_CHECK;

#endif
