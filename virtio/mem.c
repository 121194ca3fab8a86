// SPDX-License-Identifier: MIT
/*
 * mem.c - what a guest is made of: a stretch of anonymous memory below the
 * hole, another above 4 GiB when it does not fit, and the checked door.
 */
#include "mem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "layout.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#define GUARD (64 * KiB)
#define LARGE_PAGE (2 * MiB)

/*
 * KVM maps a large page as one where it lies in a large page here too: so gpa,
 * which begins one, does here.  Rounding up what mmap() gives, the rest goes
 * back.
 *
 * The guards catch our own mistakes, not the guest's: those end at mem_at().
 * 64 KiB because that is how far a packet copied one region too far would go.
 */
static u8 *reserve(u64 size)
{
	u64 whole = size + 2 * GUARD + LARGE_PAGE;
	u8 *p = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	u8 *begin, *end;

	if (p == MAP_FAILED)
		return NULL;
	begin = (u8 *)ALIGN_UP((uintptr_t)p + GUARD, LARGE_PAGE);
	end = begin + size + GUARD;
	if (begin - GUARD > p)
		munmap(p, (size_t)(begin - GUARD - p));
	if (end < p + whole)
		munmap(end, (size_t)(p + whole - end));
	return begin;
}

static int map_region(struct mem *m, u64 gpa, u64 size)
{
	u8 *p = reserve(size);

	if (!p)
		return -errno;
	if (mprotect(p, size, PROT_READ | PROT_WRITE)) {
		int err = errno;

		munmap(p - GUARD, size + 2 * GUARD);
		return -err;
	}
	/* Both are favours; a kernel that does not know them changes nothing. */
	madvise(p, size, MADV_HUGEPAGE);
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, size, "guest RAM");
	m->region[m->n++] = (struct mem_region){ .gpa = gpa, .size = size, .hva = p };
	m->size += size;
	return 0;
}

int mem_init(struct mem *m, u64 size)
{
	u64 low = MIN(size, LAYOUT_LOW_END);
	int err;

	memset(m, 0, sizeof(*m));
	err = map_region(m, 0, low);
	if (!err && size > low)
		err = map_region(m, LAYOUT_HIGH, size - low);
	if (err)
		mem_fini(m);
	return err;
}

void mem_fini(struct mem *m)
{
	for (unsigned i = 0; i < m->n; i++)
		munmap(m->region[i].hva - GUARD, m->region[i].size + 2 * GUARD);
	memset(m, 0, sizeof(*m));
}

void *mem_at(const struct mem *m, u64 gpa, u64 len)
{
	for (unsigned i = 0; i < m->n; i++) {
		const struct mem_region *r = &m->region[i];

		/* Differences, not sums: nothing here can wrap. */
		if (gpa >= r->gpa && gpa - r->gpa < r->size && len <= r->size - (gpa - r->gpa))
			return r->hva + (gpa - r->gpa);
	}
	return NULL;
}
