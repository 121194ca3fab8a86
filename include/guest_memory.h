/* SPDX-License-Identifier: MIT */
/*
 * guest_memory.h - guest memory as the guest's own processors see it: through
 * its page tables, which are walked here and believed in nothing.
 *
 * The main thread's, with the vCPUs standing still; device threads may write
 * what is read.  No access sets a bit in a table, and no permission in one
 * counts: a debugger writes to pages that are read-only, too.
 */
#ifndef RINGLET_GUEST_MEMORY_H
#define RINGLET_GUEST_MEMORY_H

#include "base.h"
#include "mem.h"

/* Where the tables of a processor are, and of which kind. */
struct paging {
	u64 cr0, cr3, cr4, efer;
};

#define PAGE_WRITABLE 1u
#define PAGE_USER 2u
#define PAGE_NO_EXECUTE 4u

/* A page, or a stretch of them, at its linear address. */
struct guest_page {
	u64 va, gpa, size;
	unsigned flags; /* of all tables on the way together */
};

/* The page with that address in it; false: there is none.  p NULL, here and below: it is physical already. */
bool guest_translate(const struct mem *m, const struct paging *p, u64 va, struct guest_page *page) MUST_CHECK;

/*
 * Copy from or to a linear address, len bytes of which all must be there to be
 * written; how many were copied.  Memory only: there is no access to a device.
 */
size_t guest_read(const struct mem *m, const struct paging *p, u64 va, void *to, size_t len);
size_t guest_write(const struct mem *m, const struct paging *p, u64 va, const void *from, size_t len);

/*
 * Every page, in order, until call says false.  A guest can make its tables
 * into a maze: after so many of them it is enough, and the answer is false.
 */
#define GUEST_TABLES_MOST 65536
bool guest_each_page(const struct mem *m, const struct paging *p,
		     bool (*call)(const struct guest_page *page, void *arg), void *arg);

#endif
