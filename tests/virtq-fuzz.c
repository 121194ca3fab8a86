// SPDX-License-Identifier: MIT
/*
 * virtq-fuzz.c - rings full of nonsense: whatever a chain says, what is handed
 * out lies in guest memory, is no longer than the queue, and a queue that
 * broke stays broken.
 */
#include <pthread.h>

#include "barrier.h"
#include "check.h"
#include "driver.h"
#include "fuzz.h"

static struct guest g;
static struct ring r;
static struct virtq vq;
static unsigned chains, breaks;

/* Addresses and lengths that are near something. */
static u64 some_gpa(void)
{
	const u64 near[] = {
		0, GUEST_LOW, GUEST_LOW + 256 * KiB, GUEST_HIGH, GUEST_HIGH + 256 * KiB, ~0ULL,
		1ULL << 63, r.where.desc, r.where.used, r.tables,
	};

	if (rnd(4))
		return GUEST_HIGH + rnd(200 * KiB);
	return near[rnd(ARRAY_SIZE(near))] + rnd(64) - 32;
}

static u32 some_len(void)
{
	const u32 len[] = { 0, 1, 16, 32, 48, 4096, 65536, 0x7fffffff, 0x80000000, 0xffffffff };

	return rnd(3) ? (u32)rnd(3000) : len[rnd(ARRAY_SIZE(len))];
}

static void scribble_descriptor(struct vring_desc *d, unsigned entries)
{
	const u16 flags[] = { 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 0xffff };

	d->flags = flags[rnd(ARRAY_SIZE(flags))];
	d->addr = d->flags & VRING_DESC_F_INDIRECT && rnd(8) ? r.tables + 16 * rnd(64) : some_gpa();
	d->len = d->flags & VRING_DESC_F_INDIRECT && rnd(8) ? 16 * (u32)rnd(entries + 2) : some_len();
	d->next = rnd(16) ? (u16)rnd(entries) : (u16)rnd_any();
}

static void scribble(void)
{
	struct vring_desc *table = guest_at(&g, r.tables);

	for (u64 n = rnd(8); n; n--)
		scribble_descriptor(&r.desc[rnd(r.size)], r.size);
	for (u64 n = rnd(8); n; n--)
		scribble_descriptor(&table[rnd(64)], r.size);
	for (u64 n = rnd(4); n; n--)
		r.avail->ring[rnd(r.size)] = rnd(30) ? (u16)rnd(r.size) : (u16)rnd_any();
	STORE_RELEASE(&r.avail->idx, (u16)(rnd(500) ? r.avail->idx + rnd(3) : rnd_any()));
}

static bool in_memory(const struct iovec *v)
{
	for (unsigned i = 0; i < g.mem.n; i++) {
		const u8 *start = g.mem.region[i].hva, *p = v->iov_base;

		if (p >= start && p + v->iov_len <= start + g.mem.region[i].size && p + v->iov_len > p)
			return true;
	}
	return false;
}

/* One chain, or as it may be; everything about it is checked. */
static enum virtq_pop pop_checked(void)
{
	struct iovec iov[VIRTQ_MAX_SIZE];
	u16 outstanding = vq.outstanding;
	struct virtq_chain c;
	enum virtq_pop what;
	u64 sum = 0;

	memset(iov, 0, sizeof(iov));
	what = virtq_pop(&vq, &c, iov);
	if (what != VIRTQ_CHAIN) {
		CHECK_EQ(what == VIRTQ_BROKEN, !!vq.broken);
		CHECK_EQ(vq.outstanding, outstanding);
		breaks += what == VIRTQ_BROKEN;
		return what;
	}
	chains++;
	CHECK(!vq.broken);
	CHECK(c.head < vq.size);
	CHECK(c.n_out + c.n_in <= vq.size);
	CHECK_EQ(vq.outstanding, outstanding + 1);
	CHECK(vq.outstanding <= vq.size);
	for (unsigned i = 0; i < c.n_out + c.n_in; i++) {
		CHECK(in_memory(&iov[i]));
		sum += iov[i].iov_len;
	}
	CHECK_EQ(sum, c.out_len + c.in_len);
	return what;
}

static void fresh_queue(void)
{
	const char *why;
	u16 size = (u16)(1u << rnd(7));

	g.next[0] = GUEST_LOW;
	ring_init(&r, &g, size, rnd(2), true);
	CHECK_EQ(virtq_init(&vq, &g.mem, &r.where, r.event_idx, rnd(4), &why), 0);
}

static void use_queue(unsigned rounds)
{
	while (rounds--) {
		scribble();
		while (rnd(8) && pop_checked() == VIRTQ_CHAIN)
			;
		while (vq.outstanding && rnd(4))
			virtq_add_used(&vq, (u16)rnd(vq.size), (u32)rnd(1 << 20));
		if (rnd(2))
			virtq_publish(&vq);
		if (rnd(2) && virtq_wants_interrupt(&vq))
			CHECK_EQ(vq.decided, vq.published);
		if (rnd(2))
			virtq_kicks_off(&vq);
		else if (virtq_kicks_on(&vq))
			CHECK(!vq.broken);
		if (vq.broken) {
			CHECK_EQ(pop_checked(), VIRTQ_BROKEN);
			return;
		}
	}
}

static void nonsense(void)
{
	struct fuzz_time time = { 0 };

	while (fuzz_goes_on(&time))
		for (unsigned i = 0; i < 50; i++) {
			fresh_queue();
			use_queue(200);
		}
	printf("# %u chains, %u broken queues\n", chains, breaks);
	CHECK(chains > 100 && breaks > 100);
}

/* --- while it is being looked at ---------------------------------------------- */

static bool over;

/* Descriptors, half of which may be old and half new; the index is left to us. */
static void *keep_scribbling(void *arg)
{
	u64 own = *(u64 *)arg;

	while (!LOAD_ONCE(&over)) {
		u64 v = random_next(&own);
		struct vring_desc d = {
			.addr = v & 7 ? GUEST_HIGH + v % 1000 : v, .len = (u32)(v >> 33) % 100,
			.flags = (u16)(v >> 7 & 3), .next = (u16)(v >> 20 & 31),
		};

		memcpy((u8 *)&r.desc[v >> 50 & 31] + (v >> 40 & 8), (u8 *)&d + (v >> 40 & 8), 8);
		STORE_ONCE(&r.avail->ring[v >> 55 & 31], (u16)(v >> 60 ? v >> 45 & 31 : v >> 30));
	}
	return NULL;
}

static void changed_meanwhile(void)
{
	struct fuzz_time time = { 0 };
	pthread_t t;

	chains = breaks = 0;
	while (fuzz_goes_on(&time)) {
		const char *why;
		u64 own = rnd_any();

		g.next[0] = GUEST_LOW;
		ring_init(&r, &g, 32, true, true);
		over = false;
		pthread_create(&t, NULL, keep_scribbling, &own);
		for (unsigned i = 0; i < 300; i++) {
			CHECK_EQ(virtq_init(&vq, &g.mem, &r.where, true, true, &why), 0);
			for (unsigned k = 0; k < 100 && !vq.broken; k++) {
				STORE_RELEASE(&r.avail->idx, (u16)(vq.last_avail + 1));
				pop_checked();
				if (vq.outstanding)
					virtq_add_used(&vq, (u16)rnd(32), 0);
			}
		}
		STORE_ONCE(&over, true);
		pthread_join(t, NULL);
	}
	printf("# %u chains, %u broken queues\n", chains, breaks);
	CHECK(chains > 100 && breaks > 100);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "of nonsense nothing is handed out that is not in guest memory", nonsense },
		{ "nor of what changes while it is looked at", changed_meanwhile },
	};

	fuzz_begin(3);
	guest_open(&g, 256 * KiB, 256 * KiB);
	return check_run(tests, ARRAY_SIZE(tests));
}
