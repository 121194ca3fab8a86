// SPDX-License-Identifier: MIT
/*
 * guest_memory.c - from a linear address to a physical one, by every kind of
 * page table that an x86 processor may be using.
 */
#include "guest_memory.h"

#include <string.h>

#include "barrier.h"
#include "layout.h"

#define CR0_PG (1ULL << 31)
#define CR4_PSE (1ULL << 4)
#define CR4_PAE (1ULL << 5)
#define CR4_LA57 (1ULL << 12)
#define EFER_LMA (1ULL << 10)

#define ENTRY_PRESENT 1ULL
#define ENTRY_WRITABLE 2ULL
#define ENTRY_USER 4ULL
#define ENTRY_PAGE 0x80ULL /* above the last level: a large one */
#define ENTRY_NX (1ULL << 63)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL

/* What the control registers say of the tables. */
struct shape {
	unsigned levels;  /* 0: there are none */
	unsigned bits;	  /* of the address that each table takes */
	unsigned top;	  /* entries of the first table */
	unsigned largest; /* level at which an entry can be a page */
	bool is64, wide;  /* addresses; entries */
};

static struct shape shape_of(const struct paging *p)
{
	if (!p || !(p->cr0 & CR0_PG))
		return (struct shape){ 0 };
	if (p->efer & EFER_LMA)
		return (struct shape){ p->cr4 & CR4_LA57 ? 5 : 4, 9, 512, 3, true, true };
	if (p->cr4 & CR4_PAE)
		return (struct shape){ 3, 9, 4, 2, false, true };
	return (struct shape){ 2, 10, 1024, p->cr4 & CR4_PSE ? 2 : 1, false, false };
}

static u64 first_table(const struct paging *p, const struct shape *s)
{
	return p->cr3 & (s->top == 4 ? 0xffffffe0ULL : s->wide ? ENTRY_ADDRESS : 0xfffff000ULL);
}

static unsigned shift_of(const struct shape *s, unsigned level)
{
	return 12 + s->bits * (level - 1);
}

/* 0, which is not present: the table is not in memory. */
static u64 read_entry(const struct mem *m, const struct shape *s, u64 table, unsigned index)
{
	const void *at = mem_at(m, table + index * (s->wide ? 8ULL : 4ULL), s->wide ? 8 : 4);

	if (!at)
		return 0;
	return s->wide ? LOAD_ONCE((const u64 *)at) : LOAD_ONCE((const u32 *)at);
}

static bool is_page(const struct shape *s, unsigned level, u64 entry)
{
	return level == 1 || (level <= s->largest && entry & ENTRY_PAGE);
}

static u64 page_address(const struct shape *s, unsigned level, u64 entry)
{
	u64 gpa = entry & ENTRY_ADDRESS & ~((1ULL << shift_of(s, level)) - 1);

	if (!s->wide && level == 2) /* PSE-36: the upper bits are below */
		gpa = (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
	return gpa;
}

static unsigned narrowed(const struct shape *s, unsigned level, u64 entry, unsigned flags)
{
	if (s->top == 4 && level == 3)
		return flags; /* those four have no such bits */
	if (!(entry & ENTRY_WRITABLE))
		flags &= ~PAGE_WRITABLE;
	if (!(entry & ENTRY_USER))
		flags &= ~PAGE_USER;
	if (s->wide && entry & ENTRY_NX)
		flags |= PAGE_NO_EXECUTE;
	return flags;
}

static bool is_canonical(const struct shape *s, u64 va)
{
	unsigned unused = 64 - shift_of(s, s->levels + 1);

	return s->is64 ? (u64)((s64)(va << unused) >> unused) == va : va < 4 * GiB;
}

bool guest_translate(const struct mem *m, const struct paging *p, u64 va, struct guest_page *page)
{
	const struct shape s = shape_of(p);
	unsigned flags = PAGE_WRITABLE | PAGE_USER, level = s.levels;
	u64 table, entry;

	if (!s.levels) {
		va &= ~(GUEST_PAGE - 1);
		*page = (struct guest_page){ va, va, GUEST_PAGE, flags };
		return !p || va < 4 * GiB;
	}
	if (!is_canonical(&s, va))
		return false;
	table = first_table(p, &s);
	for (;; level--) {
		entry = read_entry(m, &s, table, va >> shift_of(&s, level) & ((1u << s.bits) - 1));
		if (!(entry & ENTRY_PRESENT))
			return false;
		flags = narrowed(&s, level, entry, flags);
		if (is_page(&s, level, entry))
			break;
		table = entry & (s.wide ? ENTRY_ADDRESS : 0xfffff000ULL);
	}
	page->size = 1ULL << shift_of(&s, level);
	page->va = va & ~(page->size - 1);
	page->gpa = page_address(&s, level, entry);
	page->flags = flags;
	return true;
}

/* The memory at an address, as far as it is in one page; NULL: there is none. */
static u8 *piece_at(const struct mem *m, const struct paging *p, u64 va, size_t *len)
{
	struct guest_page page;

	if (!guest_translate(m, p, va, &page))
		return NULL;
	*len = MIN(*len, GUEST_PAGE - va % GUEST_PAGE);
	return mem_at(m, page.gpa + (va - page.va), *len);
}

size_t guest_read(const struct mem *m, const struct paging *p, u64 va, void *to, size_t len)
{
	size_t done = 0, n;
	const u8 *from;

	for (; done < len; done += n) {
		n = len - done;
		from = piece_at(m, p, va + done, &n);
		if (!from)
			break;
		memcpy((u8 *)to + done, from, n);
	}
	return done;
}

size_t guest_write(const struct mem *m, const struct paging *p, u64 va, const void *from, size_t len)
{
	size_t done, n;

	for (done = 0; done < len; done += n) {
		n = len - done;
		if (!piece_at(m, p, va + done, &n))
			return 0;
	}
	for (done = 0; done < len; done += n) {
		u8 *to;

		n = len - done;
		to = piece_at(m, p, va + done, &n);
		if (!to)
			break; /* what was written were the tables */
		memcpy(to, (const u8 *)from + done, n);
	}
	return done;
}

/* --- all of it -------------------------------------------------------------------- */

struct walk {
	const struct mem *m;
	struct shape s;
	unsigned tables; /* that may still be read */
	bool (*call)(const struct guest_page *page, void *arg);
	void *arg;
};

static bool walk_table(struct walk *w, u64 table, unsigned level, u64 va, unsigned flags)
{
	unsigned n = level == w->s.levels ? w->s.top : 1u << w->s.bits, shift = shift_of(&w->s, level);

	if (!w->tables--)
		return false;
	for (unsigned i = 0; i < n; i++) {
		u64 entry = read_entry(w->m, &w->s, table, i), at = va | (u64)i << shift;
		unsigned narrow = narrowed(&w->s, level, entry, flags), unused = 64 - shift_of(&w->s, w->s.levels + 1);

		if (!(entry & ENTRY_PRESENT))
			continue;
		if (w->s.is64)
			at = (u64)((s64)(at << unused) >> unused);
		if (is_page(&w->s, level, entry)) {
			struct guest_page page = { at, page_address(&w->s, level, entry), 1ULL << shift, narrow };

			if (!w->call(&page, w->arg))
				return false;
		} else if (!walk_table(w, entry & (w->s.wide ? ENTRY_ADDRESS : 0xfffff000ULL), level - 1, at, narrow)) {
			return false;
		}
	}
	return true;
}

bool guest_each_page(const struct mem *m, const struct paging *p,
		     bool (*call)(const struct guest_page *page, void *arg), void *arg)
{
	struct walk w = { .m = m, .s = shape_of(p), .tables = GUEST_TABLES_MOST, .call = call, .arg = arg };
	struct guest_page all = { .size = 4 * GiB, .flags = PAGE_WRITABLE | PAGE_USER };

	if (!w.s.levels)
		return call(&all, arg);
	return walk_table(&w, first_table(p, &w.s), w.s.levels, 0, PAGE_WRITABLE | PAGE_USER);
}
