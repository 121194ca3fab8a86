// SPDX-License-Identifier: MIT
/*
 * mem.c - the one door to guest memory says no at every edge.
 */
#include "mem.h"

#include <setjmp.h>
#include <signal.h>

#include "check.h"
#include "driver.h"
#include "layout.h"

static void small_memory_is_one_region(void)
{
	struct mem m;

	CHECK_EQ(mem_init(&m, 64 * MiB), 0);
	CHECK_EQ(m.n, 1);
	CHECK_EQ(m.size, 64 * MiB);
	CHECK_EQ(m.region[0].gpa, 0);
	CHECK_EQ(m.region[0].size, 64 * MiB);
	CHECK(mem_at(&m, 0, 64 * MiB) == m.region[0].hva);
	/* It can be written from end to end. */
	m.region[0].hva[0] = 1;
	m.region[0].hva[64 * MiB - 1] = 1;
	mem_fini(&m);
	CHECK_EQ(m.n, 0);
}

static void large_memory_leaves_the_hole_free(void)
{
	struct mem m;

	CHECK_EQ(mem_init(&m, 5 * GiB), 0);
	CHECK_EQ(m.n, 2);
	CHECK_EQ(m.region[0].size, LAYOUT_LOW_END);
	CHECK_EQ(m.region[1].gpa, LAYOUT_HIGH);
	CHECK_EQ(m.region[0].size + m.region[1].size, 5 * GiB);
	CHECK(mem_at(&m, LAYOUT_LOW_END - 1, 1) == m.region[0].hva + LAYOUT_LOW_END - 1);
	CHECK(!mem_at(&m, LAYOUT_LOW_END, 1));
	CHECK(!mem_at(&m, LAYOUT_VIRTIO, 4));
	CHECK(!mem_at(&m, LAYOUT_HIGH - 1, 1));
	CHECK(mem_at(&m, LAYOUT_HIGH, 1) == m.region[1].hva);
	mem_fini(&m);
}

/* Otherwise KVM maps every 4 KiB by themselves, whatever the host's pages are. */
static void a_large_page_of_the_guest_is_one_of_the_hosts(void)
{
	struct mem m;

	/* Not by chance: what is mapped first may lie well. */
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(mem_init(&m, 5 * GiB), 0);
		for (unsigned r = 0; r < m.n; r++)
			CHECK_EQ((uintptr_t)m.region[r].hva % (2 * MiB), m.region[r].gpa % (2 * MiB));
		mem_fini(&m);
	}
}

static void exactly_up_to_the_hole_is_one_region(void)
{
	struct mem m;

	CHECK_EQ(mem_init(&m, LAYOUT_LOW_END), 0);
	CHECK_EQ(m.n, 1);
	mem_fini(&m);
	CHECK_EQ(mem_init(&m, LAYOUT_LOW_END + MiB), 0);
	CHECK_EQ(m.n, 2);
	CHECK_EQ(m.region[1].size, MiB);
	mem_fini(&m);
}

static void every_edge_is_checked(void)
{
	struct guest g;
	u64 size = 64 * KiB, end = GUEST_LOW + size;

	guest_open(&g, size, size);
	CHECK(mem_at(&g.mem, GUEST_LOW, size) == g.mem.region[0].hva);
	CHECK(mem_at(&g.mem, end - 1, 1) == g.mem.region[0].hva + size - 1);
	CHECK(mem_at(&g.mem, end - 1, 0) == g.mem.region[0].hva + size - 1);
	CHECK(!mem_at(&g.mem, GUEST_LOW - 1, 1));
	CHECK(!mem_at(&g.mem, GUEST_LOW - 1, 2));
	CHECK(!mem_at(&g.mem, GUEST_LOW, size + 1));
	CHECK(!mem_at(&g.mem, end - 1, 2));
	CHECK(!mem_at(&g.mem, end, 1));
	CHECK(!mem_at(&g.mem, end, 0));
	CHECK(!mem_at(&g.mem, 0, 0));
	/* From one region to the other there is a hole, whatever the length. */
	CHECK(!mem_at(&g.mem, GUEST_LOW, GUEST_HIGH - GUEST_LOW + 1));
	CHECK(mem_at(&g.mem, GUEST_HIGH + size - 1, 1));
	CHECK(!mem_at(&g.mem, GUEST_HIGH + size, 1));
	guest_close(&g);
}

static void nothing_wraps(void)
{
	struct guest g;

	guest_open(&g, 64 * KiB, 64 * KiB);
	CHECK(!mem_at(&g.mem, ~0ULL, 1));
	CHECK(!mem_at(&g.mem, ~0ULL, ~0ULL));
	CHECK(!mem_at(&g.mem, GUEST_LOW, ~0ULL));
	CHECK(!mem_at(&g.mem, GUEST_LOW + 16, 0ULL - 16)); /* sum: GUEST_LOW */
	CHECK(!mem_at(&g.mem, GUEST_HIGH + 1, 0ULL - GUEST_HIGH));
	CHECK(!mem_at(&g.mem, 0ULL - 4096, 4096 + GUEST_LOW + 1));
	guest_close(&g);
}

static sigjmp_buf fault;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(fault, 1);
}

static bool faults(volatile u8 *p)
{
	struct sigaction sa = { .sa_handler = on_fault }, old_segv, old_bus;
	volatile bool faulted = true;

	sigaction(SIGSEGV, &sa, &old_segv);
	sigaction(SIGBUS, &sa, &old_bus);
	if (!sigsetjmp(fault, 1)) {
		(void)*p;
		faulted = false;
	}
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGBUS, &old_bus, NULL);
	return faulted;
}

static void guards_are_inaccessible(void)
{
	struct mem m;

	CHECK_EQ(mem_init(&m, 5 * GiB), 0);
	for (unsigned i = 0; i < m.n; i++) {
		volatile u8 *hva = m.region[i].hva;
		u64 size = m.region[i].size;

		CHECK(!faults(hva));
		CHECK(!faults(hva + size - 1));
		CHECK(faults(hva - 1));
		CHECK(faults(hva + size));
		/* As far as a whole packet would go. */
		CHECK(faults(hva - 65535));
		CHECK(faults(hva + size + 65535));
	}
	mem_fini(&m);
}

static void too_much_memory_is_an_error(void)
{
	struct mem m;

	CHECK(mem_init(&m, 1ULL << 60) < 0);
	CHECK_EQ(m.n, 0);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "memory below the hole is one region from address 0", small_memory_is_one_region },
		{ "memory that does not fit goes on at 4 GiB, and the hole has none", large_memory_leaves_the_hole_free },
		{ "a large page of the guest is one of the host's", a_large_page_of_the_guest_is_one_of_the_hosts },
		{ "memory that just reaches the hole is still one region", exactly_up_to_the_hole_is_one_region },
		{ "a range is in memory only with its first and last byte", every_edge_is_checked },
		{ "no address and length wrap around into memory", nothing_wraps },
		{ "a packet's length before and behind each region there is no access", guards_are_inaccessible },
		{ "memory that cannot be had is an error and leaves nothing", too_much_memory_is_an_error },
	};
	return check_run(tests, ARRAY_SIZE(tests));
}
