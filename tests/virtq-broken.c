// SPDX-License-Identifier: MIT
/*
 * virtq-broken.c - every rule of the ring that a driver can break ends in a
 * queue that is broken, names the rule, and stays so; nothing is handed out.
 */
#include "barrier.h"
#include "check.h"
#include "driver.h"
#include "virtq.h"

#define END_LOW (GUEST_LOW + 1 * MiB)
#define END_HIGH (GUEST_HIGH + 1 * MiB)
#define N VRING_DESC_F_NEXT
#define W VRING_DESC_F_WRITE
#define I VRING_DESC_F_INDIRECT

static struct guest g;
static struct ring r;
static struct virtq vq;
static struct virtq_chain c;
static struct iovec iov[VIRTQ_MAX_SIZE];
static u64 table; /* gpa of a page for indirect tables */

static void open_queue(u16 size, bool indirect)
{
	const char *why;

	if (g.mem.n)
		guest_close(&g);
	guest_open(&g, 1 * MiB, 1 * MiB);
	ring_init(&r, &g, size, false, false);
	table = guest_alloc(&g, 0, 32 * KiB, 4096);
	CHECK_EQ(virtq_init(&vq, &g.mem, &r.where, false, indirect, &why), 0);
}

static void set(u16 i, u64 addr, u32 len, u16 flags, u16 next)
{
	r.desc[i] = (struct vring_desc){ addr, len, flags, next };
}

static void set_in_table(u16 i, u64 addr, u32 len, u16 flags, u16 next)
{
	struct vring_desc *t = guest_at(&g, table);

	t[i] = (struct vring_desc){ addr, len, flags, next };
}

static void show(u16 head)
{
	r.avail->ring[r.avail->idx & (r.size - 1)] = head;
	STORE_RELEASE(&r.avail->idx, (u16)(r.avail->idx + 1));
}

/* The chain with this head breaks the rule, for good. */
static void must_break(u16 head, const char *rule)
{
	show(head);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_BROKEN);
	CHECK(vq.broken);
	CHECK_HAS(vq.broken, rule);
	CHECK_EQ(vq.outstanding, 0);
	/* It cannot be talked out of it. */
	memset(r.desc, 0, 16u * r.size);
	set(0, GUEST_HIGH, 1, 0, 0);
	show(0);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_BROKEN);
	CHECK_EQ(virtq_waiting(&vq), 0);
	CHECK(!virtq_kicks_on(&vq));
	CHECK_HAS(vq.broken, rule);
}

static void must_work(u16 head)
{
	show(head);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_CHAIN);
	CHECK(!vq.broken);
}

static void loops(void)
{
	open_queue(8, false);
	set(0, GUEST_HIGH, 1, N, 0); /* itself */
	must_break(0, "longer than the queue");

	open_queue(8, false);
	set(2, GUEST_HIGH, 1, N, 5);
	set(5, GUEST_HIGH, 1, N, 7);
	set(7, GUEST_HIGH, 1, N, 5);
	must_break(2, "longer than the queue");

	open_queue(8, false);
	set(0, 0, 0, N, 0); /* of nothing at all */
	must_break(0, "longer than the queue");

	open_queue(1024, false);
	for (u16 i = 0; i < 1024; i++)
		set(i, GUEST_HIGH, 1, N, (u16)((i + 1) % 1024));
	must_break(17, "longer than the queue");
}

static void loops_in_a_table(void)
{
	open_queue(8, true);
	set(0, table, 16, I, 0);
	set_in_table(0, GUEST_HIGH, 1, N, 0);
	must_break(0, "longer than the queue");

	/* One descriptor before the table counts as well. */
	open_queue(4, true);
	set(0, GUEST_HIGH, 1, N, 1);
	set(1, table, 64, I, 0);
	for (u16 i = 0; i < 4; i++)
		set_in_table(i, GUEST_HIGH, 1, i < 3 ? N : 0, (u16)(i + 1));
	must_break(0, "longer than the queue");
}

static void indices_outside(void)
{
	const u16 bad[] = { 8, 9, 255, 256, 0x7fff, 0x8000, 0xffff };

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		open_queue(8, true);
		must_break(bad[i], "names a descriptor that does not exist");

		open_queue(8, true);
		set(0, GUEST_HIGH, 1, N, bad[i]);
		must_break(0, "not in the table");

		/* A table is as long as its length says, no matter the queue's. */
		open_queue(64, true);
		set(0, table, 8 * 16, I, 0);
		set_in_table(0, GUEST_HIGH, 1, N, bad[i]);
		must_break(0, "not in the table");
	}
}

static void segments_outside(void)
{
	const struct { u64 gpa; u32 len; bool fine; } t[] = {
		{ END_LOW - 1, 1, true },
		{ END_LOW - 1, 2, false },
		{ END_LOW, 1, false },
		{ END_LOW - 4096, 4096, true },
		{ END_LOW - 4096, 4097, false },
		{ GUEST_LOW, 1 * MiB, true },
		{ GUEST_LOW, 1 * MiB + 1, false },
		{ GUEST_LOW - 1, 1, false },
		{ GUEST_LOW - 1, 2, false },
		{ 0, 1, false },
		{ 0, ~0u, false },
		{ GUEST_LOW, ~0u, false },
		{ GUEST_HIGH - 1, 2, false },
		{ GUEST_HIGH, 1, true },
		{ END_HIGH - 1, 1, true },
		{ END_HIGH - 1, 2, false },
		{ END_HIGH, 1, false },
		{ ~0ULL, 1, false },
		{ ~0ULL, ~0u, false },
		{ 0ULL - 16, 16, false },
		{ 0ULL - 16, 17, false },
		/* The sum wraps to an address that is in memory. */
		{ 0ULL - 0x1000, (u32)(0x1000 + GUEST_LOW + 1), false },
		/* Only the low half of the address would be in memory. */
		{ 0x8000000000000000ULL | GUEST_LOW, 1, false },
		{ 0x200000000ULL | GUEST_LOW, 1, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		for (unsigned where = 0; where < 4; where++) {
			u16 flags = where & 1 ? W : 0;

			open_queue(8, true);
			if (where & 2) {
				set(0, table, 16, I, 0);
				set_in_table(0, t[i].gpa, t[i].len, flags, 0);
			} else {
				set(0, t[i].gpa, t[i].len, flags, 0);
			}
			if (t[i].fine)
				must_work(0);
			else
				must_break(0, "outside guest memory");
		}
}

static void bad_segment_behind_good_ones(void)
{
	open_queue(8, false);
	set(0, GUEST_HIGH, 1, N, 1);
	set(1, GUEST_HIGH, 1, N, 2);
	set(2, END_HIGH, 1, 0, 0);
	must_break(0, "outside guest memory");
}

static void table_addresses(void)
{
	const struct { u64 gpa; u32 len; bool fine; } t[] = {
		{ END_LOW - 16, 16, true },
		{ END_LOW - 15, 16, false },
		{ END_LOW - 16, 32, false },
		{ END_HIGH - 32, 32, true },
		{ END_HIGH, 16, false },
		{ GUEST_LOW - 16, 32, false },
		{ 0, 16, false },
		{ ~0ULL - 15, 16, false },
		{ ~0ULL - 7, 16, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		open_queue(8, true);
		set(0, t[i].gpa, t[i].len, I, 0);
		if (t[i].fine) { /* a table of zeros: one empty segment */
			memset(guest_at(&g, t[i].gpa), 0, t[i].len);
			must_work(0);
		} else {
			must_break(0, "indirect table is not in guest memory");
		}
	}
}

static void table_lengths(void)
{
	const u32 bad[] = { 0, 1, 15, 17, 24, 9 * 16, 0x80, 0xfffffff0, 0xffffffff };

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		open_queue(4, true);
		set(0, table, bad[i], I, 0);
		must_break(0, "indirect table has a wrong length");
	}
}

static void tables_do_not_nest(void)
{
	open_queue(8, true);
	set(0, table, 32, I, 0);
	set_in_table(0, table, 32, I, 0);
	must_break(0, "indirect descriptor in an indirect table");

	open_queue(8, true);
	set(0, table, 32, I, 0);
	set_in_table(0, GUEST_HIGH, 1, N, 1);
	set_in_table(1, table + 512, 16, I, 0);
	must_break(0, "indirect descriptor in an indirect table");
}

static void tables_end_a_chain(void)
{
	open_queue(8, true);
	set(0, table, 16, I | N, 1);
	set(1, GUEST_HIGH, 1, 0, 0);
	must_break(0, "indirect descriptor with a next one");
}

static void tables_are_negotiated(void)
{
	open_queue(8, false);
	set(0, table, 16, I, 0);
	must_break(0, "not negotiated");
}

static void readable_comes_first(void)
{
	open_queue(8, true);
	set(0, GUEST_HIGH, 1, W | N, 1);
	set(1, GUEST_HIGH, 1, 0, 0);
	must_break(0, "readable descriptor behind a writable one");

	/* ... also across the edge of a table. */
	open_queue(8, true);
	set(0, GUEST_HIGH, 1, W | N, 1);
	set(1, table, 16, I, 0);
	set_in_table(0, GUEST_HIGH, 1, 0, 0);
	must_break(0, "readable descriptor behind a writable one");
}

/* The driver cannot make more chains available than it has descriptors. */
static void index_jumps(void)
{
	const u16 jump[] = { 9, 10, 1000, 0x7fff, 0x8000, 0xffff };

	for (unsigned i = 0; i < ARRAY_SIZE(jump); i++) {
		open_queue(8, false);
		STORE_RELEASE(&r.avail->idx, jump[i]);
		CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_BROKEN);
		CHECK_HAS(vq.broken, "available index");

		open_queue(8, false);
		STORE_RELEASE(&r.avail->idx, jump[i]);
		CHECK_EQ(virtq_waiting(&vq), 0);
		CHECK(vq.broken);

		open_queue(8, false);
		STORE_RELEASE(&r.avail->idx, jump[i]);
		CHECK(!virtq_kicks_on(&vq)); /* nothing to look at again */
		CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_BROKEN);
	}
}

static void index_goes_back(void)
{
	open_queue(8, false);
	for (u16 i = 0; i < 8; i++)
		set(i, GUEST_HIGH, 1, 0, 0);
	must_work(0);
	must_work(1);
	STORE_RELEASE(&r.avail->idx, 1);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_BROKEN);
	CHECK_HAS(vq.broken, "available index");
	CHECK_EQ(vq.outstanding, 2);
}

static void more_than_there_are(void)
{
	/* All eight are ours; a ninth cannot be, even by the same head again. */
	open_queue(8, false);
	for (u16 i = 0; i < 8; i++)
		set(i, GUEST_HIGH, 1, 0, 0);
	for (u16 i = 0; i < 8; i++)
		must_work(i);
	show(0);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_BROKEN);
	CHECK_EQ(vq.outstanding, 8);

	/* With one returned there may be one. */
	open_queue(8, false);
	for (u16 i = 0; i < 8; i++)
		set(i, GUEST_HIGH, 1, 0, 0);
	for (u16 i = 0; i < 8; i++)
		must_work(i);
	virtq_add_used(&vq, 3, 0);
	virtq_publish(&vq);
	must_work(3);
	show(3);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_BROKEN);
}

static void many_good_then_one_bad(void)
{
	open_queue(8, false);
	for (u16 i = 0; i < 8; i++)
		set(i, GUEST_HIGH, 1, 0, 0);
	for (unsigned i = 0; i < 70000; i++) {
		must_work((u16)(i % 8));
		virtq_add_used(&vq, c.head, 0);
		virtq_publish(&vq);
	}
	set(5, END_LOW, 1, 0, 0);
	must_break(5, "outside guest memory");
}

/* What was taken before may still be given back, what was not is not. */
static void broken_queues_take_back(void)
{
	open_queue(8, false);
	set(0, GUEST_HIGH, 1, 0, 0);
	must_work(0);
	show(99);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_BROKEN);
	virtq_add_used(&vq, 0, 0);
	virtq_publish(&vq);
	CHECK_EQ(LOAD_ACQUIRE(&r.used->idx), 1);
}

static void the_first_rule_is_told(void)
{
	open_queue(8, false);
	virtq_break(&vq, "the device's own rule");
	show(99);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_BROKEN);
	CHECK_STR(vq.broken, "the device's own rule");
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "a chain that loops breaks the queue (2.7.5.3.1)", loops },
		{ "a chain that loops in a table, or is too long with it, breaks the queue", loops_in_a_table },
		{ "an index outside its table breaks the queue", indices_outside },
		{ "a segment outside memory breaks the queue at every edge, and does not wrap", segments_outside },
		{ "a bad segment behind good ones breaks the queue", bad_segment_behind_good_ones },
		{ "a table that is not wholly in memory breaks the queue", table_addresses },
		{ "a table whose length is no number of descriptors breaks the queue", table_lengths },
		{ "a table in a table breaks the queue (2.7.5.3.1)", tables_do_not_nest },
		{ "a descriptor behind a table breaks the queue (2.7.5.3.1)", tables_end_a_chain },
		{ "a table that was not negotiated breaks the queue (2.7.5.3.1)", tables_are_negotiated },
		{ "a readable segment behind a writable one breaks the queue (2.7.4.2)", readable_comes_first },
		{ "an available index that jumps breaks the queue", index_jumps },
		{ "an available index that goes back breaks the queue (2.7.6.1)", index_goes_back },
		{ "more chains than descriptors break the queue", more_than_there_are },
		{ "a queue that worked for long breaks at the first bad chain", many_good_then_one_bad },
		{ "what was popped before can still be returned", broken_queues_take_back },
		{ "the first broken rule is the one that is told", the_first_rule_is_told },
	};
	return check_run(tests, ARRAY_SIZE(tests));
}
