// SPDX-License-Identifier: MIT
/*
 * chaos.c - a device that lies does so as often as it was told, in the way it
 * was told, the same for the same seed; and stays within its own rules.
 */
#include "chaos.h"

#include "barrier.h"
#include "check.h"
#include "driver.h"
#include "virtq.h"

#define SIZE 64
#define MANY 20000

static struct guest g;
static struct ring ring;
static struct virtq vq;
static struct chaos chaos;
static struct chaos_config config;

static void start(enum chaos_kind kind, u32 millionth, u64 seed)
{
	const char *why;

	if (!g.mem.n) {
		guest_open(&g, 2 * MiB, 0);
		ring_init(&ring, &g, SIZE, false, false);
	}
	ring_restart(&ring);
	CHECK_EQ(virtq_init(&vq, &g.mem, &ring.where, false, false, &why), 0);
	config = (struct chaos_config){ .on = true, .seed = seed };
	config.millionth[kind] = millionth;
	chaos_init(&chaos, &config, 0);
	vq.chaos = &chaos;
}

/* The driver's next buffer, and that the device gives it back; its head. */
static u16 pass_one(u32 len)
{
	struct iovec iov[VIRTQ_MAX_SIZE];
	struct virtq_chain c;
	const struct segment s = { .gpa = GUEST_LOW, .len = 100, .write = true };

	CHECK(ring_add(&ring, &s, 1) >= 0);
	ring_show(&ring);
	CHECK_EQ(virtq_pop(&vq, &c, iov), VIRTQ_CHAIN);
	virtq_add_used(&vq, c.head, len);
	return c.head;
}

static struct vring_used_elem used(u16 i)
{
	return ring.used->ring[i % SIZE];
}

static void take_all(void)
{
	u16 head;
	u32 len;

	virtq_publish(&vq);
	while (ring_take(&ring, &head, &len) > 0)
		;
}

static void honest(void)
{
	start(CHAOS_DROP, 0, 1);
	for (unsigned i = 0; i < 1000; i++) {
		u16 head = pass_one(i);

		CHECK_EQ(used((u16)i).id, head);
		CHECK_EQ(used((u16)i).len, i);
		CHECK_EQ(vq.outstanding, 0);
		take_all();
	}
	CHECK_EQ(chaos_deadline(&chaos), 0);
}

static void dropped(void)
{
	start(CHAOS_DROP, CHAOS_ALWAYS, 1);
	for (unsigned i = 0; i < SIZE; i++)
		pass_one(1);
	CHECK_EQ(vq.used_idx, 0);
	CHECK_EQ(vq.outstanding, SIZE); /* the driver can have no more */
	CHECK_EQ(chaos_release(&vq, ~0ULL), 0);
}

static void doubled(void)
{
	u16 head;

	start(CHAOS_DUP, CHAOS_ALWAYS, 1);
	head = pass_one(7);
	CHECK_EQ(vq.used_idx, 2);
	CHECK_EQ(used(0).id, head);
	CHECK_EQ(used(1).id, head);
	CHECK_EQ(used(1).len, 7);
	CHECK_EQ(vq.outstanding, 0);
}

static void wrong(void)
{
	unsigned beyond = 0, within = 0;

	for (u64 seed = 0; seed < 200; seed++) {
		u16 head;

		start(CHAOS_BADID, CHAOS_ALWAYS, seed);
		head = pass_one(7);
		CHECK_EQ(vq.used_idx, 1);
		CHECK(used(0).id != head);
		beyond += used(0).id >= SIZE;
		within += used(0).id < SIZE;
		CHECK_EQ(vq.outstanding, 0);
		start(CHAOS_LEN, CHAOS_ALWAYS, seed);
		head = pass_one(7);
		CHECK_EQ(used(0).id, head);
		CHECK(used(0).len != 7);
	}
	CHECK(beyond > 50 && within > 50);
}

static void late(void)
{
	u64 now = 1000000000;
	u16 head;

	start(CHAOS_DELAY, CHAOS_ALWAYS, 5);
	head = pass_one(9);
	CHECK_EQ(vq.used_idx, 0);
	CHECK_EQ(vq.outstanding, 1);
	CHECK_EQ(chaos_release(&vq, now), 0);
	CHECK(chaos_deadline(&chaos) > now && chaos_deadline(&chaos) <= now + 10000000);
	CHECK_EQ(chaos_release(&vq, chaos_deadline(&chaos) - 1), 0);
	CHECK_EQ(chaos_release(&vq, chaos_deadline(&chaos)), 1);
	CHECK_EQ(chaos_deadline(&chaos), 0);
	CHECK_EQ(used(0).id, head);
	CHECK_EQ(used(0).len, 9);
	CHECK_EQ(vq.outstanding, 0);
	take_all();
	/* When it can hold no more, they come in time. */
	for (unsigned i = 0; i < SIZE; i++)
		pass_one(i);
	CHECK_EQ(vq.used_idx, 1 + SIZE - CHAOS_HELD);
	CHECK_EQ(vq.outstanding, CHAOS_HELD);
}

static void out_of_order(void)
{
	u16 a, b;

	start(CHAOS_REORDER, CHAOS_ALWAYS, 5);
	a = pass_one(1);
	config.millionth[CHAOS_REORDER] = 0;
	CHECK_EQ(vq.used_idx, 0);
	b = pass_one(2);
	CHECK_EQ(vq.used_idx, 2);
	CHECK_EQ(used(0).id, b);
	CHECK_EQ(used(1).id, a);
	CHECK_EQ(used(1).len, 1);
	/* With none behind it, it comes all the same. */
	config.millionth[CHAOS_REORDER] = CHAOS_ALWAYS;
	pass_one(3);
	CHECK_EQ(chaos_release(&vq, 1), 0);
	CHECK_EQ(chaos_release(&vq, chaos_deadline(&chaos)), 1);
	CHECK_EQ(vq.outstanding, 0);
}

static void as_often_as_said(void)
{
	unsigned n = 0, irqs = 0;

	start(CHAOS_LEN, 10000, 99);
	for (unsigned i = 0; i < MANY; i++) {
		pass_one(7);
		n += used((u16)i).len != 7;
		take_all();
	}
	CHECK(n > MANY / 200 && n < MANY / 50);
	config.millionth[CHAOS_IRQ] = 100000;
	for (unsigned i = 0; i < MANY; i++)
		irqs += chaos_interrupts(&chaos);
	CHECK(irqs > MANY / 20 && irqs < MANY / 5);
}

/* What buffers become, as one number; releases come when they will. */
static u64 run(u64 seed, unsigned number, unsigned release_every)
{
	u64 sum = 0;

	start(CHAOS_DUP, 100000, seed);
	chaos_init(&chaos, &config, number);
	config.millionth[CHAOS_LEN] = 200000;
	config.millionth[CHAOS_BADID] = 50000;
	config.millionth[CHAOS_DROP] = 1000;
	config.millionth[CHAOS_DELAY] = release_every ? 20000 : 0;
	for (unsigned i = 0; i < 1000; i++) {
		u16 from = vq.used_idx;

		/* Not for the driver of the tests, which knows no lies. */
		vq.outstanding = 1;
		virtq_add_used(&vq, (u16)(i % SIZE), i);
		if (chaos.n)
			sum = sum * 31 + chaos.held[chaos.n - 1].wait;
		for (; from != vq.used_idx; from++)
			sum = sum * 31 + used(from).id + ((u64)used(from).len << 32);
		if (release_every && i % release_every == 0)
			chaos.n = 0;
	}
	return sum;
}

static void the_same_again(void)
{
	for (u64 seed = 0; seed < 20; seed++) {
		CHECK_EQ(run(seed, 0, 0), run(seed, 0, 0));
		CHECK(run(seed, 0, 0) != run(seed + 1, 0, 0));
		CHECK(run(seed, 0, 0) != run(seed, 1, 0));
		CHECK_EQ(run(seed, 0, 1), run(seed, 0, 1));
	}
}

/* All at once, and a driver that believes everything: the device keeps to the ring. */
static void with_a_credulous_driver(void)
{
	struct iovec iov[VIRTQ_MAX_SIZE];
	struct virtq_chain c;
	u64 now = 1, seed = 3;

	for (unsigned round = 0; round < 200; round++) {
		u16 avail = 0;

		start(CHAOS_DUP, 50000, round);
		for (unsigned k = 0; k < CHAOS_KINDS; k++)
			config.millionth[k] = 50000;
		for (unsigned i = 0; i < 300; i++) {
			unsigned more = (unsigned)(random_next(&seed) % 8);

			/* What was said to be used is made available again, whatever it is. */
			while (more--)
				ring.avail->ring[avail++ % SIZE] = (u16)(random_next(&seed) % SIZE);
			for (unsigned d = 0; d < SIZE; d++)
				ring.desc[d] = (struct vring_desc){ .addr = GUEST_LOW, .len = 16, .flags = 2 };
			STORE_ONCE(&ring.avail->idx, avail);
			while (virtq_pop(&vq, &c, iov) == VIRTQ_CHAIN)
				virtq_add_used(&vq, c.head, 16);
			now += random_next(&seed) % 3000000;
			chaos_release(&vq, now);
			virtq_publish(&vq);
			CHECK(vq.outstanding <= SIZE);
			if (vq.broken)
				break;
		}
	}
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "told to lie never, it does not", honest },
		{ "drop: a buffer does not come back", dropped },
		{ "dup: it comes back twice", doubled },
		{ "badid and len: another one does, or with another length", wrong },
		{ "delay: it comes back up to 10 ms later", late },
		{ "reorder: behind the one after it, if there is one", out_of_order },
		{ "it lies as often as it was told", as_often_as_said },
		{ "with the same seed, the same again", the_same_again },
		{ "a driver that believes everything harms only itself", with_a_credulous_driver },
	};
	int r = check_run(tests, ARRAY_SIZE(tests));

	guest_close(&g);
	return r;
}
