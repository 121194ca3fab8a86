// SPDX-License-Identifier: MIT
/*
 * guest-memory.c - the walk through a guest's page tables, of every kind that
 * there is, and of those that are made to lead astray.
 */
#include "check.h"
#include "driver.h"
#include "guest_memory.h"

#define CR0_PG (1ULL << 31)
#define CR4_PSE (1ULL << 4)
#define CR4_PAE (1ULL << 5)
#define CR4_LA57 (1ULL << 12)
#define EFER_LMA (1ULL << 10)
#define P 1ULL
#define RW 2ULL
#define US 4ULL
#define PS 0x80ULL
#define NX (1ULL << 63)

static struct guest g;
static struct guest_page page;

static u64 table(void)
{
	u64 gpa = guest_alloc(&g, 0, 4096, 4096);

	memset(guest_at(&g, gpa), 0, 4096);
	return gpa;
}

static void set64(u64 at, unsigned i, u64 entry)
{
	((u64 *)guest_at(&g, at))[i] = entry;
}

static void set32(u64 at, unsigned i, u32 entry)
{
	((u32 *)guest_at(&g, at))[i] = entry;
}

static void fresh(void)
{
	g.next[0] = GUEST_LOW;
}

/* Four or five levels down to one page; the last table is at *last. */
static struct paging long_mode(u64 va, u64 entry, bool five, u64 *last)
{
	struct paging p = { CR0_PG, table(), CR4_PAE | (five ? CR4_LA57 : 0), EFER_LMA };
	u64 at = p.cr3;

	for (unsigned shift = five ? 48 : 39; shift > 12; shift -= 9) {
		u64 below = table();

		set64(at, va >> shift & 511, below | P | RW | US);
		at = below;
	}
	set64(at, va >> 12 & 511, entry);
	*last = at;
	return p;
}

static void without_paging(void)
{
	struct paging p = { 0 };

	CHECK(guest_translate(&g.mem, &p, 0x123456, &page));
	CHECK_EQ(page.gpa, 0x123000);
	CHECK(!guest_translate(&g.mem, &p, 1ULL << 32, &page));
	/* Without a processor's say they are, however high. */
	CHECK(guest_translate(&g.mem, NULL, 5 * GiB + 3, &page));
	CHECK_EQ(page.gpa, 5 * GiB);
}

static void four_levels(void)
{
	u64 va = 0xffffffff81234000, last;
	struct paging p = long_mode(va, 0x150000 | P | RW | NX, false, &last);

	CHECK(guest_translate(&g.mem, &p, va + 0xabc, &page));
	CHECK_EQ(page.va, va);
	CHECK_EQ(page.gpa, 0x150000);
	CHECK_EQ(page.size, 4096);
	CHECK_EQ(page.flags, PAGE_WRITABLE | PAGE_NO_EXECUTE);
	CHECK(!guest_translate(&g.mem, &p, va + 4096, &page));
	/* Bits above the 48 that count must be the sign of what is below. */
	CHECK(!guest_translate(&g.mem, &p, va & 0x0000ffffffffffff, &page));
	CHECK(!guest_translate(&g.mem, &p, va & 0xff00ffffffffffff, &page));
	set64(last, va >> 12 & 511, 0x150000 | RW); /* not present */
	CHECK(!guest_translate(&g.mem, &p, va, &page));
}

static void five_levels(void)
{
	u64 va = 0xff11000000001000, last;
	struct paging p = long_mode(va, 0x160000 | P | US, true, &last);

	CHECK(guest_translate(&g.mem, &p, va, &page));
	CHECK_EQ(page.gpa, 0x160000);
	CHECK_EQ(page.flags, PAGE_USER);
	p.cr4 &= ~CR4_LA57;
	CHECK(!guest_translate(&g.mem, &p, va, &page));
}

static void large_pages(void)
{
	struct paging p = { CR0_PG, table(), CR4_PAE, EFER_LMA };
	u64 pdpt = table(), pd = table();

	set64(p.cr3, 0, pdpt | P | RW | US);
	set64(pdpt, 0, pd | P | RW);
	set64(pdpt, 2, (4 * GiB) | P | RW | US | PS);
	set64(pd, 3, 0x40000000 | 0x1000 | P | RW | PS); /* 0x1000 is PAT, not address */
	CHECK(guest_translate(&g.mem, &p, 3 * 2 * MiB + 0x12345, &page));
	CHECK_EQ(page.gpa, 0x40000000);
	CHECK_EQ(page.size, 2 * MiB);
	CHECK_EQ(page.flags, PAGE_WRITABLE);
	CHECK(guest_translate(&g.mem, &p, 2 * GiB + 77, &page));
	CHECK_EQ(page.gpa, 4 * GiB);
	CHECK_EQ(page.size, 1 * GiB);
}

static void three_levels(void)
{
	struct paging p = { CR0_PG, GUEST_LOW + 0x20, CR4_PAE, 0 };
	u64 top = table() + 0x20, pd = table(), pt = table();

	CHECK_EQ(top, p.cr3); /* not at the start of a page */
	set64(top, 3, pd | P);
	set64(pd, 1, 0xffe00000 | P | RW | PS);
	set64(pd, 2, pt | P | RW | US);
	set64(pt, 5, 0x170000 | P | RW | US);
	CHECK(guest_translate(&g.mem, &p, 0xc0400000 + 5 * 4096, &page));
	CHECK_EQ(page.gpa, 0x170000);
	CHECK_EQ(page.flags, PAGE_WRITABLE | PAGE_USER);
	CHECK(guest_translate(&g.mem, &p, 0xc0200000, &page));
	CHECK_EQ(page.gpa, 0xffe00000);
	CHECK(!guest_translate(&g.mem, &p, 0x1c0200000, &page));
}

static void two_levels(void)
{
	struct paging p = { CR0_PG, table(), CR4_PSE, 0 };
	u64 pt = table();

	set32(p.cr3, 1, (u32)(pt | P | RW));
	set32(pt, 7, 0x180000 | P);
	set32(p.cr3, 2, 0x00c00000 | 1u << 13 | P | RW | PS);
	CHECK(guest_translate(&g.mem, &p, 0x400000 + 7 * 4096, &page));
	CHECK_EQ(page.gpa, 0x180000);
	CHECK_EQ(page.flags, 0);
	CHECK(guest_translate(&g.mem, &p, 0x800000 + 5, &page));
	CHECK_EQ(page.gpa, 0x100c00000);
	CHECK_EQ(page.size, 4 * MiB);
	p.cr4 = 0; /* the bit means nothing then */
	CHECK(!guest_translate(&g.mem, &p, 0x800000 + 5, &page));
}

static void tables_elsewhere(void)
{
	struct paging p = { CR0_PG, 0x000ffffffffff000, CR4_PAE, EFER_LMA };
	u64 last;

	CHECK(!guest_translate(&g.mem, &p, 0, &page));
	p = long_mode(0, 0, false, &last);
	set64(p.cr3, 0, 0x00000000fee00000 | P | RW); /* a device's */
	CHECK(!guest_translate(&g.mem, &p, 0, &page));
	CHECK_EQ(guest_read(&g.mem, &p, 0, &page, 1), 0);
}

static void across_pages(void)
{
	u64 va = 0x7000, last, a = guest_alloc(&g, 0, 4096, 4096), b = guest_alloc(&g, 0, 4096, 4096);
	struct paging p = long_mode(va, b | P, false, &last);
	char text[8] = "";

	set64(last, 8, a | P);
	CHECK_EQ(guest_write(&g.mem, &p, va + 4092, "abcdefg", 8), 8); /* both are read-only */
	CHECK(!memcmp((u8 *)guest_at(&g, b) + 4092, "abcd", 4));
	CHECK(!memcmp(guest_at(&g, a), "efg", 4));
	CHECK_EQ(guest_read(&g.mem, &p, va + 4092, text, 8), 8);
	CHECK_STR(text, "abcdefg");
	/* Of what is not all there a part is read, and nothing written. */
	CHECK_EQ(guest_read(&g.mem, &p, va + 8190, text, 8), 2);
	memset(guest_at(&g, a), 7, 4096);
	CHECK_EQ(guest_write(&g.mem, &p, va + 8190, "xxxx", 4), 0);
	CHECK_EQ(((u8 *)guest_at(&g, a))[4095], 7);
	CHECK_EQ(guest_read(&g.mem, &p, ~0ULL, text, 8), 0);
}

static void not_memory(void)
{
	u64 last;
	struct paging p = long_mode(0x7000, 0xfee00000 | P | RW, false, &last);
	u8 byte;

	CHECK(guest_translate(&g.mem, &p, 0x7000, &page));
	CHECK_EQ(guest_read(&g.mem, &p, 0x7000, &byte, 1), 0);
	CHECK_EQ(guest_write(&g.mem, &p, 0x7000, &byte, 1), 0);
}

/* --- all pages ------------------------------------------------------------------- */

static unsigned pages;
static u64 last_va;

static bool count(const struct guest_page *at, void *arg)
{
	(void)arg;
	pages++;
	last_va = at->va;
	return true;
}

static bool only_one(const struct guest_page *at, void *arg)
{
	count(at, arg);
	return false;
}

static void all_pages(void)
{
	u64 va = 0xffffffff81234000, last;
	struct paging p = long_mode(va, 0x150000 | P | RW | NX, false, &last);

	pages = 0;
	set64(last, 0, 0x151000 | P);
	CHECK(guest_each_page(&g.mem, &p, count, NULL));
	CHECK_EQ(pages, 2);
	CHECK_EQ(last_va, va);
	pages = 0;
	CHECK(!guest_each_page(&g.mem, &p, only_one, NULL));
	CHECK_EQ(pages, 1);
}

/* A table whose entries all lead to itself: 512^4 pages, if one believes it. */
static void maze(void)
{
	struct paging p = { CR0_PG, table(), CR4_PAE, EFER_LMA };

	for (unsigned i = 0; i < 512; i++)
		set64(p.cr3, i, p.cr3 | P | RW | US);
	pages = 0;
	CHECK(!guest_each_page(&g.mem, &p, count, NULL));
	CHECK(pages && pages <= GUEST_TABLES_MOST * 512);
	CHECK(guest_translate(&g.mem, &p, 0x123456789000, &page));
	CHECK_EQ(page.gpa, p.cr3);
}

#define CLAIM(name) void name##_fresh(void) { fresh(); name(); }
static CLAIM(four_levels)
static CLAIM(five_levels)
static CLAIM(large_pages)
static CLAIM(three_levels)
static CLAIM(two_levels)
static CLAIM(tables_elsewhere)
static CLAIM(across_pages)
static CLAIM(not_memory)
static CLAIM(all_pages)
static CLAIM(maze)

int main(void)
{
	static const struct check_test tests[] = {
		{ "without paging an address is what it is", without_paging },
		{ "four levels, and an address that is not canonical", four_levels_fresh },
		{ "five levels", five_levels_fresh },
		{ "pages of 2 MiB and 1 GiB", large_pages_fresh },
		{ "PAE", three_levels_fresh },
		{ "32 bits, and 4 MiB above 4 GiB", two_levels_fresh },
		{ "tables that are not in memory lead nowhere", tables_elsewhere_fresh },
		{ "copies go across pages, to read-only ones, and are written whole or not at all", across_pages_fresh },
		{ "a page that is not memory is not there", not_memory_fresh },
		{ "all pages, as long as they are wanted", all_pages_fresh },
		{ "of tables that lead to themselves there is an end", maze_fresh },
	};

	guest_open(&g, 1 * MiB, 256 * KiB);
	return check_run(tests, ARRAY_SIZE(tests));
}
