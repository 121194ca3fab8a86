// SPDX-License-Identifier: MIT
/*
 * virtq.c - what a driver that keeps the rules can count on: the device's side
 * of a split virtqueue, virtio 1.2, clause 2.7 throughout.
 */
#include "virtq.h"

#include "barrier.h"
#include "check.h"
#include "driver.h"

static struct guest g;
static struct ring r;
static struct virtq vq;
static struct virtq_chain c;
static struct iovec iov[VIRTQ_MAX_SIZE];

static void open_queue(u16 size, bool event_idx, bool indirect)
{
	const char *why;

	if (g.mem.n)
		guest_close(&g);
	guest_open(&g, 4 * MiB, 1 * MiB);
	ring_init(&r, &g, size, event_idx, indirect);
	CHECK_EQ(virtq_init(&vq, &g.mem, &r.where, event_idx, indirect, &why), 0);
}

/* One readable chain of one byte. */
static int add_one(void)
{
	struct segment s = { .gpa = GUEST_HIGH, .len = 1 };
	int head = ring_add(&r, &s, 1);

	ring_show(&r);
	return head;
}

static void pop_and_return(u32 len)
{
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_CHAIN);
	virtq_add_used(&vq, c.head, len);
}

/* --- setting up ------------------------------------------------------------ */

static const char *why_not(struct virtq_layout where)
{
	const char *why = NULL;
	struct virtq q;
	int r_ = virtq_init(&q, &g.mem, &where, false, false, &why);

	if (!r_)
		return "taken";
	CHECK_EQ(r_, -1);
	CHECK(why);
	CHECK_EQ(q.size, 0); /* not in use */
	return why;
}

static void sizes_are_powers_of_two(void)
{
	struct virtq_layout where;

	open_queue(256, false, false);
	where = r.where;
	for (unsigned n = 0; n <= 1025; n++) {
		where.size = (u16)n;
		if (n && !(n & (n - 1)))
			CHECK_STR(why_not(where), "taken");
		else
			CHECK_HAS(why_not(where), "size");
	}
	where.size = 0x8000; /* 2.7: at most 32768, ours is less */
	CHECK_HAS(why_not(where), "size");
}

/* 2.7: descriptor table 16, available ring 2, used ring 4. */
static void alignment_is_checked(void)
{
	open_queue(8, false, false);
	for (unsigned off = 1; off <= 16; off++) {
		struct virtq_layout where = r.where;

		where.desc += off;
		CHECK_STR(why_not(where), off % 16 ? "queue address is not aligned" : "taken");
		where = r.where;
		where.avail += off;
		CHECK_STR(why_not(where), off % 2 ? "queue address is not aligned" : "taken");
		where = r.where;
		where.used += off;
		CHECK_STR(why_not(where), off % 4 ? "queue address is not aligned" : "taken");
	}
}

static void each_part_is_wholly_in_memory(void)
{
	u64 end;
	const u16 n = 16;

	open_queue(n, false, false);
	end = GUEST_LOW + 4 * MiB;
	for (unsigned part = 0; part < 3; part++) {
		const u64 bytes[3] = { 16u * n, 6 + 2u * n, 6 + 8u * n }, align[3] = { 16, 2, 4 };
		const u64 fits = (end - bytes[part]) & ~(align[part] - 1);
		const u64 bad[] = {
			fits + align[part], /* the last word is outside */
			end, GUEST_LOW - align[part], 0, 0ULL - align[part], GUEST_HIGH + 1 * MiB,
			GUEST_HIGH - align[part],
		};

		for (unsigned i = 0; i <= ARRAY_SIZE(bad); i++) {
			u64 at = i < ARRAY_SIZE(bad) ? bad[i] : fits;
			struct virtq_layout where = r.where;

			*(part == 0 ? &where.desc : part == 1 ? &where.avail : &where.used) = at;
			CHECK_STR(why_not(where), i < ARRAY_SIZE(bad) ?
					  "queue is not wholly in guest memory" : "taken");
		}
	}
}

static void an_unused_queue_is_empty(void)
{
	struct virtq q = { 0 };

	CHECK_EQ(virtq_pop(&q, &c, iov), VIRTQ_EMPTY);
	CHECK_EQ(virtq_waiting(&q), 0);
	CHECK(!virtq_kicks_on(&q));
	virtq_kicks_off(&q);
	virtq_publish(&q);
	CHECK(!virtq_wants_interrupt(&q));
}

/* --- chains ---------------------------------------------------------------- */

static void segments_are_translated(void)
{
	struct segment s[] = {
		{ .gpa = GUEST_LOW + 3 * MiB + 1, .len = 7 },
		{ .gpa = GUEST_HIGH + 5, .len = 100 },
		{ .gpa = GUEST_HIGH + 1 * MiB - 3, .len = 3, .write = true },
	};

	for (unsigned indirect = 0; indirect < 2; indirect++) {
		int head;

		open_queue(16, false, indirect);
		head = ring_add(&r, s, 3);
		CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_EMPTY); /* not shown yet */
		ring_show(&r);
		CHECK_EQ(virtq_waiting(&vq), 1);
		CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_CHAIN);
		CHECK_EQ(c.head, head);
		CHECK_EQ(c.n_out, 2);
		CHECK_EQ(c.n_in, 1);
		CHECK_EQ(c.out_len, 107);
		CHECK_EQ(c.in_len, 3);
		for (unsigned i = 0; i < 3; i++) {
			CHECK(iov[i].iov_base == mem_at(&g.mem, s[i].gpa, s[i].len));
			CHECK_EQ(iov[i].iov_len, s[i].len);
		}
		CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_EMPTY);
		CHECK_EQ(vq.outstanding, 1);
	}
}

static void empty_segments_are_left_out(void)
{
	/* The address of nothing is nobody's business. */
	struct segment s[] = {
		{ .gpa = 0, .len = 0 },
		{ .gpa = GUEST_HIGH, .len = 1 },
		{ .gpa = ~0ULL, .len = 0 },
		{ .gpa = GUEST_HIGH + 1, .len = 2, .write = true },
		{ .gpa = 1, .len = 0, .write = true },
	};
	struct segment none = { .gpa = 0, .len = 0 };

	open_queue(16, false, false);
	ring_add(&r, s, 5);
	ring_add(&r, &none, 1);
	ring_show(&r);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_CHAIN);
	CHECK_EQ(c.n_out, 1);
	CHECK_EQ(c.n_in, 1);
	CHECK_EQ(iov[1].iov_len, 2);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_CHAIN);
	CHECK_EQ(c.n_out + c.n_in, 0);
	CHECK_EQ(c.out_len + c.in_len, 0);
}

/* 2.7.5.3.1: a chain may be as long as the queue, 2.7.5.2: also with 2^32 - 1 bytes. */
static void a_chain_may_fill_the_queue(void)
{
	static struct segment s[VIRTQ_MAX_SIZE];

	for (unsigned i = 0; i < VIRTQ_MAX_SIZE; i++)
		s[i] = (struct segment){ .gpa = GUEST_HIGH + i, .len = 1, .write = i >= 1000 };
	open_queue(VIRTQ_MAX_SIZE, false, false);
	CHECK(ring_add(&r, s, VIRTQ_MAX_SIZE) >= 0);
	ring_show(&r);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_CHAIN);
	CHECK_EQ(c.n_out, 1000);
	CHECK_EQ(c.n_in, 24);
	CHECK(iov[1023].iov_base == mem_at(&g.mem, GUEST_HIGH + 1023, 1));
}

/* 2.7.5.3.2: zero or more chained descriptors, then one that refers to a table. */
static void a_chain_may_end_in_a_table(void)
{
	u64 gpa;
	struct vring_desc *t;

	open_queue(8, false, true);
	gpa = guest_alloc(&g, 1, 64, 16) + 1; /* a table has no alignment */
	t = guest_at(&g, gpa);
	memcpy(&t[0], &(struct vring_desc){ GUEST_HIGH + 4096, 5, VRING_DESC_F_NEXT, 2 }, 16);
	memcpy(&t[2], &(struct vring_desc){ GUEST_HIGH + 8192, 6, VRING_DESC_F_WRITE, 0 }, 16);
	r.desc[3] = (struct vring_desc){ GUEST_HIGH, 1, VRING_DESC_F_NEXT, 1 };
	r.desc[1] = (struct vring_desc){ GUEST_HIGH + 1, 2, VRING_DESC_F_NEXT, 7 };
	/* The device ignores the write flag of a descriptor that holds a table. */
	r.desc[7] = (struct vring_desc){ gpa, 48, VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE, 0 };
	r.avail->ring[0] = 3;
	STORE_RELEASE(&r.avail->idx, 1);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_CHAIN);
	CHECK_EQ(c.head, 3);
	CHECK_EQ(c.n_out, 3);
	CHECK_EQ(c.n_in, 1);
	CHECK_EQ(c.out_len, 8);
	CHECK_EQ(c.in_len, 6);
	CHECK(iov[3].iov_base == mem_at(&g.mem, GUEST_HIGH + 8192, 6));
}

static void a_table_may_have_as_many_as_the_queue(void)
{
	u64 gpa;
	struct vring_desc *t;

	open_queue(32, false, true);
	gpa = guest_alloc(&g, 0, 32 * 16, 16);
	t = guest_at(&g, gpa);
	for (u16 i = 0; i < 32; i++)
		t[i] = (struct vring_desc){ GUEST_HIGH + i, 1, i < 31 ? VRING_DESC_F_NEXT : 0, (u16)(i + 1) };
	r.desc[0] = (struct vring_desc){ gpa, 32 * 16, VRING_DESC_F_INDIRECT, 0 };
	r.avail->ring[0] = 0;
	STORE_RELEASE(&r.avail->idx, 1);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_CHAIN);
	CHECK_EQ(c.n_out, 32);
}

static void the_first_copy_counts(void)
{
	struct segment s = { .gpa = GUEST_HIGH, .len = 10, .write = true };

	open_queue(4, false, false);
	ring_add(&r, &s, 1);
	ring_show(&r);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_CHAIN);
	memset(r.desc, 0xff, 4 * 16);
	memset(r.avail->ring, 0xff, 8);
	CHECK_EQ(c.head, 0);
	CHECK_EQ(iov[0].iov_len, 10);
	virtq_add_used(&vq, c.head, 10);
	virtq_publish(&vq);
	CHECK_EQ(r.used->ring[0].id, 0);
}

/* --- the used ring --------------------------------------------------------- */

static void used_entries_are_seen_when_published(void)
{
	u16 head;
	u32 len;

	open_queue(4, false, false);
	for (unsigned i = 0; i < 3; i++)
		add_one();
	for (u32 i = 0; i < 3; i++)
		pop_and_return(100 + i);
	CHECK_EQ(ring_waiting(&r), 0);
	CHECK_EQ(vq.outstanding, 0);
	virtq_publish(&vq);
	CHECK_EQ(ring_waiting(&r), 3);
	for (u32 i = 0; i < 3; i++) {
		CHECK_EQ(ring_take(&r, &head, &len), 1);
		CHECK_EQ(head, i);
		CHECK_EQ(len, 100 + i);
	}
}

static void chains_may_return_in_any_order(void)
{
	u16 head[4], got;
	u32 len;

	open_queue(4, false, false);
	for (unsigned i = 0; i < 4; i++)
		add_one();
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_CHAIN);
		head[i] = c.head;
	}
	CHECK_EQ(vq.outstanding, 4);
	for (unsigned i = 4; i--;)
		virtq_add_used(&vq, head[i], i);
	virtq_publish(&vq);
	for (unsigned i = 4; i--;) {
		CHECK_EQ(ring_take(&r, &got, &len), 1);
		CHECK_EQ(got, head[i]);
		CHECK_EQ(len, i);
	}
}

static void indices_wrap(void)
{
	/* 2.7.6, 2.7.8: both indices are free-running and wrap at 65536. */
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		open_queue(8, event_idx, event_idx);
		for (u32 i = 0; i < 3 * 65536 / 5; i++) {
			u16 head;
			u32 len;

			for (unsigned k = 0; k < 5; k++)
				CHECK(add_one() >= 0);
			for (u32 k = 0; k < 5; k++)
				pop_and_return(i + k);
			CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_EMPTY);
			virtq_publish(&vq);
			for (u32 k = 0; k < 5; k++) {
				CHECK_EQ(ring_take(&r, &head, &len), 1);
				CHECK_EQ(len, i + k);
			}
			CHECK_EQ(ring_take(&r, &head, &len), 0);
		}
		CHECK(!vq.broken);
	}
}

static void a_full_ring_wraps(void)
{
	u16 out[4], head;
	unsigned n = 0;
	u32 len;

	open_queue(4, false, false);
	for (u32 i = 0; i < 70000; i++) {
		while (add_one() >= 0)
			;
		CHECK_EQ(virtq_waiting(&vq), 4 - n);
		while (virtq_pop(&vq, &c, iov) == VIRTQ_CHAIN)
			out[n++] = c.head;
		CHECK_EQ(n, 4);
		CHECK_EQ(vq.outstanding, 4);
		/* One to four of them go back, the newest first. */
		for (unsigned k = 0; k <= i % 4; k++)
			virtq_add_used(&vq, out[--n], i);
		virtq_publish(&vq);
		for (unsigned k = 0; k <= i % 4; k++) {
			CHECK_EQ(ring_take(&r, &head, &len), 1);
			CHECK_EQ(len, i);
		}
		CHECK_EQ(ring_take(&r, &head, &len), 0);
	}
	CHECK(!vq.broken);
}

/* --- interrupts (2.7.7) ---------------------------------------------------- */

static bool publish_one(void)
{
	u16 head;
	u32 len;
	bool wants;

	add_one();
	pop_and_return(0);
	virtq_publish(&vq);
	wants = virtq_wants_interrupt(&vq);
	ring_take(&r, &head, &len);
	return wants;
}

static void the_flag_suppresses_interrupts(void)
{
	open_queue(8, false, false);
	CHECK(!virtq_wants_interrupt(&vq));
	CHECK(publish_one());
	CHECK(!virtq_wants_interrupt(&vq)); /* decided already */
	ring_interrupts_off(&r);
	CHECK(!publish_one());
	ring_interrupts_on(&r);
	CHECK(!virtq_wants_interrupt(&vq)); /* for what was decided on there is none */
	CHECK(publish_one());
}

static void used_event_asks_for_one(void)
{
	open_queue(64, true, false);
	CHECK(publish_one()); /* used_event is 0: the first entry */
	CHECK(!publish_one());
	for (u32 i = 2; i < 70000; i++) {
		/* Ask for the entry after the next two. */
		if (i % 3 == 2)
			STORE_ONCE(ring_used_event(&r), (u16)(i + 2));
		CHECK_EQ(publish_one(), i % 3 == 1);
	}
}

static void one_interrupt_for_a_batch(void)
{
	open_queue(64, true, false);
	for (u32 base = 0; base < 140000; base += 20) {
		u16 head;
		u32 len;

		/* In the middle, at both ends, and just outside. */
		const int at[] = { 10, 0, 19, -1, 20 };
		int k = at[base / 20 % 5];

		STORE_ONCE(ring_used_event(&r), (u16)((int)base + k));
		for (unsigned i = 0; i < 20; i++)
			add_one();
		for (unsigned i = 0; i < 20; i++)
			pop_and_return(0);
		virtq_publish(&vq);
		CHECK_EQ(virtq_wants_interrupt(&vq), k >= 0 && k < 20);
		CHECK(!virtq_wants_interrupt(&vq));
		while (ring_take(&r, &head, &len) > 0)
			;
	}
}

static void publishing_often_decides_once(void)
{
	open_queue(64, true, false);
	STORE_ONCE(ring_used_event(&r), 0);
	for (unsigned i = 0; i < 10; i++) {
		add_one();
		pop_and_return(0);
		virtq_publish(&vq);
	}
	/* used_event 0 was passed in the first of ten publications. */
	CHECK(virtq_wants_interrupt(&vq));
}

/* --- kicks (2.7.10) -------------------------------------------------------- */

static void kicks_are_off_while_awake(void)
{
	open_queue(8, false, false);
	virtq_kicks_off(&vq);
	add_one();
	CHECK(!ring_must_kick(&r));
	pop_and_return(0);
	CHECK(!virtq_kicks_on(&vq));
	add_one();
	CHECK(ring_must_kick(&r));
}

static void avail_event_asks_for_one_kick(void)
{
	open_queue(64, true, false);
	for (u32 i = 0; i < 5000; i++) {
		u16 head;
		u32 len;

		CHECK(!virtq_kicks_on(&vq));
		for (unsigned k = 0; k < 17; k++) {
			add_one();
			CHECK_EQ(ring_must_kick(&r), k == 0);
		}
		virtq_kicks_off(&vq);
		for (unsigned k = 0; k < 17; k++) {
			pop_and_return(0);
			virtq_publish(&vq);
			CHECK_EQ(ring_take(&r, &head, &len), 1);
		}
	}
}

/* 2.7.10: woken by something else, the device has asked for a kick that it can do without. */
static void kicks_can_be_taken_back(void)
{
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		open_queue(64, event_idx, false);
		for (u32 i = 0; i < 70000; i++) {
			u16 head;
			u32 len;

			if (i % 1000 == 0) {
				CHECK(!virtq_kicks_on(&vq));
				virtq_kicks_off(&vq);
			}
			add_one();
			CHECK(!ring_must_kick(&r));
			pop_and_return(0);
			virtq_publish(&vq);
			CHECK_EQ(ring_take(&r, &head, &len), 1);
		}
		CHECK(!virtq_kicks_on(&vq));
		add_one();
		CHECK(ring_must_kick(&r));
	}
}

static void kicks_on_says_look_again(void)
{
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		open_queue(8, event_idx, false);
		virtq_kicks_off(&vq);
		add_one();
		/* The chain came before the wish: no kick will tell of it. */
		ring_must_kick(&r);
		CHECK(virtq_kicks_on(&vq));
		CHECK_EQ(virtq_waiting(&vq), 1);
		pop_and_return(0);
		CHECK(!virtq_kicks_on(&vq));
	}
}

static void in_event_mode_the_flags_stay_zero(void)
{
	/* 2.7.10.1: with EVENT_IDX the device MUST set flags to 0. */
	open_queue(8, true, false);
	virtq_kicks_off(&vq);
	CHECK_EQ(r.used->flags, 0);
	CHECK(!virtq_kicks_on(&vq));
	CHECK_EQ(r.used->flags, 0);
	/* 2.7.7: it ignores the driver's flags. */
	r.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	CHECK(publish_one());
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "a queue's size is a power of two up to 1024", sizes_are_powers_of_two },
		{ "parts of a queue that are not aligned are refused (2.7)", alignment_is_checked },
		{ "parts of a queue that are not wholly in memory are refused", each_part_is_wholly_in_memory },
		{ "a queue that is not in use is empty and silent", an_unused_queue_is_empty },
		{ "a chain's segments come translated, in order, readable first", segments_are_translated },
		{ "empty segments are left out, whatever their address", empty_segments_are_left_out },
		{ "a chain may have as many descriptors as the queue (2.7.5.3.1)", a_chain_may_fill_the_queue },
		{ "chained descriptors may end in an indirect table of any alignment (2.7.5.3.2)", a_chain_may_end_in_a_table },
		{ "an indirect table may have as many descriptors as the queue", a_table_may_have_as_many_as_the_queue },
		{ "what a chain said when it was popped is what counts", the_first_copy_counts },
		{ "used entries are invisible until published, then in order (2.7.8)", used_entries_are_seen_when_published },
		{ "chains may be returned in any order", chains_may_return_in_any_order },
		{ "both indices wrap at 65536", indices_wrap },
		{ "a ring that is always full wraps", a_full_ring_wraps },
		{ "the flag in the available ring suppresses interrupts (2.7.7)", the_flag_suppresses_interrupts },
		{ "used_event asks for one interrupt at one entry (2.7.7)", used_event_asks_for_one },
		{ "a batch is interrupted for when used_event lies within it", one_interrupt_for_a_batch },
		{ "several publications before one decision count together", publishing_often_decides_once },
		{ "the flag in the used ring suppresses kicks (2.7.10)", kicks_are_off_while_awake },
		{ "avail_event asks for one kick (2.7.10)", avail_event_asks_for_one_kick },
		{ "a kick that was asked for can be taken back (2.7.10)", kicks_can_be_taken_back },
		{ "turning kicks on says look again when a chain slipped in", kicks_on_says_look_again },
		{ "with event indices the flags stay zero and are ignored (2.7.7, 2.7.10.1)", in_event_mode_the_flags_stay_zero },
	};
	return check_run(tests, ARRAY_SIZE(tests));
}
