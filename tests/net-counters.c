// SPDX-License-Identifier: MIT
/*
 * net-counters.c - the device's counters against what its driver and the wire
 * saw: where they can be known they are equal, not near.
 */
#include "control.h"

static struct net_counters before;

/* What was counted since the last call of mark(). */
static struct net_counters since(void)
{
	struct net_counters c = counters();

	for (size_t i = 0; i < sizeof(c) / sizeof(u64); i++)
		((u64 *)&c)[i] -= ((u64 *)&before)[i];
	return c;
}

static void mark(void)
{
	before = counters();
}

static u64 wakes(const struct net_thread_counters *t)
{
	return t->wakes_frame + t->wakes_sent + t->wakes_kick + t->wakes_control + t->wakes_timer;
}

/* It sleeps once more than it woke: what it counted stays until it has a reason. */
static void asleep(void)
{
	u64 end = now_ms() + PATIENCE_MS;
	struct net_counters c;

	for (;;) {
		c = counters();
		if (c.thread.sleeps == wakes(&c.thread) + 1)
			return;
		CHECK(now_ms() < end);
		sched_yield();
	}
}

/* All buffers posted, and that kick is over. */
static void receiving(void)
{
	asleep(); /* for want of buffers */
	rx_post_all();
	CHECK(wait_count(COUNTER(thread.kicks), 1));
	asleep();
	interrupts();
	mark();
}

static u64 sum_of_sizes(const struct virtq_counters *c)
{
	u64 n = 0;

	for (unsigned i = 0; i < VIRTQ_BATCH_SIZES; i++)
		n += c->batch_size[i];
	return n;
}

/* Each bucket times its least and its most: packets must lie between. */
static void check_sizes(const struct virtq_counters *c, u64 chains)
{
	u64 least = 0, most = 0;

	for (unsigned i = 0; i < VIRTQ_BATCH_SIZES; i++) {
		least += c->batch_size[i] << i;
		most += c->batch_size[i] * ((2ULL << i) - 1);
	}
	CHECK_EQ(sum_of_sizes(c), c->batches);
	CHECK(least <= chains && chains <= most);
}

static void check_sums(const struct net_counters *c)
{
	const struct net_thread_counters *t = &c->thread;

	asleep(); /* in the end sleeps and what ended them agree */
	CHECK_EQ(sum_of_sizes(&c->rx.ring), c->rx.ring.batches);
	CHECK_EQ(sum_of_sizes(&c->tx.ring), c->tx.ring.batches);
	CHECK_EQ(sum_of_sizes(&c->control.ring), c->control.ring.batches);
	CHECK(t->interrupts <= c->rx.interrupts + c->tx.interrupts + c->control.interrupts);
	CHECK(t->completions <= t->submissions);
}

/* --- one at a time ----------------------------------------------------------- */

static void sent_singly(enum kind kind)
{
	u64 bytes = 0;
	struct net_counters c;

	bench_start((struct bench_setup){ .kind = kind });
	asleep();
	mark();
	for (u32 i = 0; i < 50; i++) {
		CHECK(tx_add(i, 60 + i, NULL));
		tx_show();
		wire_expect(i, 60 + i);
		tx_reap(1);
		asleep();
		bytes += 60 + i;
	}
	c = since();
	CHECK_EQ(c.tx.packets, 50);
	CHECK_EQ(c.tx.bytes, bytes);
	CHECK_EQ(c.tx.gso, 0);
	CHECK_EQ(c.tx.ring.kicks, 50);
	CHECK_EQ(c.tx.ring.kicks_suppressed, 0);
	CHECK_EQ(c.thread.kicks, 50);
	CHECK_EQ(c.thread.wakes_kick, 50);
	CHECK_EQ(c.tx.ring.batches, 50);
	CHECK_EQ(c.tx.ring.batch_size[0], 50);
	CHECK_EQ(c.rx.packets + c.rx.ring.batches + c.rx.interrupts, 0);
	check_sums(&c);
}

static void received_singly(enum kind kind)
{
	u64 bytes = 0, irqs = 0;
	struct net_counters c;

	bench_start((struct bench_setup){ .kind = kind });
	receiving();
	for (u32 i = 0; i < 50; i++) {
		CHECK(!ring_interrupts_on(&b.rx));
		wire_send(i, 60 + i);
		CHECK(wait_interrupt(PATIENCE_MS));
		asleep();
		irqs += interrupts();
		rx_expect(i, 60 + i);
		bytes += 60 + i;
	}
	c = since();
	CHECK_EQ(c.rx.packets, 50);
	CHECK_EQ(c.rx.bytes, bytes);
	CHECK_EQ(irqs, 50);
	CHECK_EQ(c.thread.interrupts, 50);
	CHECK_EQ(c.rx.interrupts, 50);
	CHECK_EQ(c.rx.interrupts_suppressed, 0);
	CHECK_EQ(c.rx.ring.batches, 50);
	CHECK_EQ(c.rx.ring.batch_size[0], 50);
	CHECK_EQ(c.thread.wakes_frame, 50);
	CHECK_EQ(c.thread.kicks, 0);
	CHECK_EQ(c.tx.packets + c.tx.ring.batches + c.tx.interrupts, 0);
	check_sums(&c);
}

/* Who polls is not interrupted, and the device says how often it was not. */
static void not_wanted(enum kind kind)
{
	struct net_counters c;

	bench_start((struct bench_setup){ .kind = kind });
	receiving();
	ring_interrupts_off(&b.rx);
	for (u32 i = 0; i < 20; i++) {
		wire_send(i, 100);
		CHECK(wait_count(COUNTER(rx.packets), i + 1));
		asleep();
	}
	c = since();
	CHECK_EQ(interrupts(), 0);
	CHECK_EQ(c.thread.interrupts + c.rx.interrupts, 0);
	CHECK_EQ(c.rx.interrupts_suppressed, 20);
	check_sums(&c);
}

/* --- many at once ------------------------------------------------------------ */

/*
 * A batch that the device finds at one look is one arrival: kicked for, the
 * first time, and the next while it is awake not.
 */
static void kicks(enum kind kind)
{
	struct net_counters c;

	bench_start((struct bench_setup){ .kind = kind });
	asleep();
	mark();
	for (u32 i = 0; i < 40; i++)
		CHECK(tx_add(i, 60, NULL));
	tx_show();
	tx_reap(40);
	asleep();
	c = since();
	CHECK_EQ(c.tx.packets, 40);
	CHECK_EQ(c.tx.ring.kicks + c.tx.ring.kicks_suppressed, 1);
	CHECK_EQ(c.tx.ring.kicks, 1);
	CHECK_EQ(c.thread.kicks, 1);
	check_sizes(&c.tx.ring, 40);
	check_sums(&c);
}

/* Shown without a kick where one would have been due: the next frame finds it. */
static void a_kick_that_was_not_needed(void)
{
	struct virtq_counters c = { 0 };
	struct guest g;
	struct ring r;
	struct virtq vq;
	struct virtq_chain chain;
	struct iovec iov[VIRTQ_MAX_SIZE];
	const char *why;

	for (unsigned event = 0; event < 2; event++) {
		struct segment s;

		guest_open(&g, MiB, 0);
		ring_init(&r, &g, 16, event, false);
		s = (struct segment){ .gpa = guest_alloc(&g, 0, 64, 64), .len = 64 };
		CHECK_EQ(virtq_init(&vq, &g.mem, &r.where, event, false, &why), 0);
		c = (struct virtq_counters){ 0 };
		vq.count = &c;
		for (unsigned i = 0; i < 3; i++) { /* one batch of two at each look */
			CHECK(ring_add(&r, &s, 1) >= 0);
			CHECK(ring_add(&r, &s, 1) >= 0);
			ring_show(&r);
			CHECK_EQ(virtq_waiting(&vq), 2);
			CHECK_EQ(virtq_pop(&vq, &chain, iov), VIRTQ_CHAIN);
			virtq_add_used(&vq, chain.head, 0);
			CHECK_EQ(virtq_pop(&vq, &chain, iov), VIRTQ_CHAIN);
			virtq_add_used(&vq, chain.head, 0);
			virtq_publish(&vq);
			virtq_publish(&vq); /* with nothing in it: none */
			CHECK_EQ(virtq_waiting(&vq), 0);
		}
		CHECK_EQ(c.kicks, 1); /* a new ring asks for one */
		CHECK_EQ(c.kicks_suppressed, 2);
		CHECK_EQ(c.batches, 3);
		CHECK_EQ(c.batch_size[1], 3);
		CHECK(!virtq_kicks_on(&vq));
		CHECK(ring_add(&r, &s, 1) >= 0);
		ring_show(&r);
		CHECK_EQ(virtq_waiting(&vq), 1);
		CHECK_EQ(c.kicks, 2);
		/* Taken back before there was anything: no kick for what comes now. */
		CHECK_EQ(virtq_pop(&vq, &chain, iov), VIRTQ_CHAIN);
		CHECK(!virtq_kicks_on(&vq));
		virtq_kicks_off(&vq);
		CHECK(ring_add(&r, &s, 1) >= 0);
		ring_show(&r);
		CHECK_EQ(virtq_waiting(&vq), 1);
		CHECK_EQ(c.kicks, 2);
		CHECK_EQ(c.kicks_suppressed, 3);
		/* Taken back after: it was kicked for. */
		CHECK_EQ(virtq_pop(&vq, &chain, iov), VIRTQ_CHAIN);
		CHECK(!virtq_kicks_on(&vq));
		CHECK(ring_add(&r, &s, 1) >= 0);
		ring_show(&r);
		virtq_kicks_off(&vq);
		CHECK_EQ(virtq_waiting(&vq), 1);
		CHECK_EQ(c.kicks, 3);
		CHECK_EQ(c.kicks_suppressed, 3);
		guest_close(&g);
	}
}

static void buckets(void)
{
	const struct { u32 size; unsigned bucket; } t[] = {
		{ 0, 0 }, { 1, 0 }, { 2, 1 }, { 3, 1 }, { 4, 2 }, { 7, 2 }, { 511, 8 }, { 512, 9 },
		{ 1023, 9 }, { 1024, 10 }, { 1025, 10 }, { 65535, 10 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		CHECK_EQ(counter_bucket(t[i].size, VIRTQ_BATCH_SIZES), t[i].bucket);
}

static void traffic_both_ways(enum kind kind)
{
	u64 rx_bytes = 0, tx_bytes = 0, irqs = 0;
	struct net_counters c;

	bench_start((struct bench_setup){ .kind = kind });
	receiving();
	for (u32 i = 0; i < 400; i++) {
		u32 len = 60 + i * 3;

		if (!(i % 100))
			irqs += interrupts();
		wire_send(i, len);
		CHECK(tx_add(i, len, NULL));
		tx_show();
		wire_expect(i, len);
		CHECK(wait_count(COUNTER(rx.packets), i + 1));
		CHECK(wait_count(COUNTER(tx.packets), i + 1));
		while (ring_waiting(&b.rx)) {
			static u8 frame[HEADER + LARGEST + 8192];
			struct virtio_net_hdr_v1 h;
			u32 total;

			CHECK(rx_take(frame, &total, &h));
		}
		while (ring_waiting(&b.tx)) {
			u16 head;
			u32 n;

			CHECK_EQ(ring_take(&b.tx, &head, &n), 1);
		}
		rx_post_all();
		ring_interrupts_on(&b.rx);
		ring_interrupts_on(&b.tx);
		rx_bytes += len;
		tx_bytes += len;
	}
	asleep();
	irqs += interrupts();
	c = since();
	CHECK_EQ(c.rx.packets, 400);
	CHECK_EQ(c.tx.packets, 400);
	CHECK_EQ(c.rx.bytes, rx_bytes);
	CHECK_EQ(c.tx.bytes, tx_bytes);
	CHECK_EQ(c.thread.interrupts, irqs);
	CHECK(irqs > 0);
	check_sizes(&c.rx.ring, 400);
	check_sizes(&c.tx.ring, 400);
	check_sums(&c);
}

/* --- what is rare ------------------------------------------------------------ */

static void gso(enum kind kind)
{
	struct virtio_net_hdr_v1 h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				       .gso_size = 100, .csum_start = 34, .csum_offset = 16 };
	u8 got[HEADER + 200];
	struct pollfd p;

	bench_start((struct bench_setup){ .kind = kind });
	rx_post_all();
	CHECK(wire_try_send(1, 200, &h));
	CHECK(wire_try_send(2, 200, NULL));
	CHECK(wait_count(COUNTER(rx.packets), 2));
	CHECK_EQ(counters().rx.gso, 1);
	/* The header in one piece, in two, and byte by byte. */
	for (u32 cut = 1; cut <= 3; cut++) {
		u64 at = tx_buffer(b.tx.free);

		CHECK(tx_add(cut, 200, (u32[]){ cut == 3 ? 12 : cut, cut == 1 ? 1 : 10, 0 }));
		memcpy(guest_at(&b.g, at), &h, sizeof(h));
		CHECK(tx_add(cut, 200, NULL));
		tx_show();
		CHECK(wait_count(COUNTER(tx.packets), 2 * cut));
		CHECK_EQ(counters().tx.gso, cut);
		for (unsigned i = 0; i < 2; i++) {
			p = (struct pollfd){ .fd = b.wire, .events = POLLIN };
			CHECK_EQ(poll(&p, 1, PATIENCE_MS), 1);
			CHECK_EQ(recv(b.wire, got, sizeof(got), 0), sizeof(got));
		}
	}
}

static void commands(enum kind kind)
{
	struct net_counters c;
	u64 irqs;

	bench_start((struct bench_setup){ .kind = kind, .features = FULL });
	asleep();
	interrupts();
	mark();
	for (unsigned i = 0; i < 10; i++) {
		CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, i % 2), OK);
		CHECK_EQ(rx_mode(77, 0), ERR);
	}
	asleep();
	irqs = interrupts();
	c = since();
	CHECK_EQ(c.control.commands, 20);
	CHECK_EQ(c.control.refused, 10);
	CHECK_EQ(c.control.ring.batches, 20);
	CHECK_EQ(c.control.ring.kicks + c.control.ring.kicks_suppressed, 20);
	/* Its driver looks and wants no interrupt. */
	CHECK_EQ(irqs, 0);
	CHECK_EQ(c.thread.interrupts, 0);
	/* Decided once for all that it answered at a time: the next may be there already. */
	CHECK(c.control.interrupts_suppressed > 0 && c.control.interrupts_suppressed <= 20);
	check_sums(&c);
}

/* Counters go on over a reset: they are the device's and not the driver's. */
static void over_a_reset(enum kind kind)
{
	bench_start((struct bench_setup){ .kind = kind });
	for (unsigned round = 1; round <= 3; round++) {
		CHECK(tx_add(round, 100, NULL));
		tx_show();
		wire_expect(round, 100);
		tx_reap(1);
		CHECK_EQ(counters().tx.packets, round);
		CHECK_EQ(counters().tx.ring.batches, round);
		bench_reset();
		bench_up();
	}
}

/* A broken ring: which rule, and the interrupt that tells of it. */
static void broken(enum kind kind)
{
	struct virtio_errors e;
	char said[1024];

	bench_start((struct bench_setup){ .kind = kind });
	asleep();
	interrupts();
	CHECK_EQ(LOAD_ONCE(&b.dev->config_interrupts), 0);
	stderr_capture();
	b.tx.added = (u16)(b.tx.size + 1);
	ring_show(&b.tx);
	driver_kick(b.dev, NET_TXQ);
	CHECK(needs_reset());
	CHECK(wait_interrupt(PATIENCE_MS));
	CHECK_EQ(interrupts(), 1);
	stderr_release(said, sizeof(said));
	CHECK_EQ(LOAD_ONCE(&b.dev->config_interrupts), 1);
	CHECK_EQ(counters().thread.interrupts, 0);
	virtio_read_errors(b.dev, &e);
	CHECK_EQ(e.n, 1);
	CHECK_EQ(e.of[0].times, 1);
	CHECK_STR(e.of[0].rule, "available index moved past the queue's size");
	net_set_link(b.net, false);
	CHECK_EQ(LOAD_ONCE(&b.dev->config_interrupts), 2);
}

static void features(void)
{
	bench_open((struct bench_setup){ .kind = POLL });
	CHECK_EQ(net_negotiated(b.net), 0);
	CHECK(driver_negotiate(b.dev, V1 | F(CSUM)));
	CHECK_EQ(net_negotiated(b.net), 0);
	driver_ok(b.dev);
	CHECK_EQ(net_negotiated(b.net), V1 | F(CSUM));
	bench_reset();
	CHECK_EQ(net_negotiated(b.net), V1 | F(CSUM));
}

/* Each name once, in struct order, no word of a struct without a name. */
static void check_table(const struct counter_table *t, size_t size)
{
	u64 seen[64] = { 0 };

	CHECK(size / sizeof(u64) <= ARRAY_SIZE(seen));
	for (unsigned i = 0; i < t->n; i++) {
		for (unsigned k = 0; k < t->counter[i].n; k++)
			CHECK_EQ(seen[t->counter[i].at + k]++, 0);
		for (unsigned k = 0; k < i; k++)
			CHECK(strcmp(t->counter[i].name, t->counter[k].name));
		CHECK(*t->counter[i].help);
	}
	for (size_t i = 0; i < size / sizeof(u64); i++)
		CHECK_EQ(seen[i], 1);
}

static void tables(void)
{
	check_table(&net_queue_table, sizeof(struct net_queue_counters));
	check_table(&net_thread_table, sizeof(struct net_thread_counters));
}

EACH(sent_singly)
EACH(received_singly)
EACH(not_wanted)
EACH(kicks)
EACH(traffic_both_ways)
EACH(gso)
EACH(commands)
EACH(over_a_reset)
EACH(broken)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("frames sent one by one: each its kick, its batch, its bytes", sent_singly),
		ROWS("frames received one by one: each its wake-up, its interrupt, its bytes", received_singly),
		ROWS("interrupts that the driver does not want are counted as such", not_wanted),
		ROWS("what comes with one kick is one arrival", kicks),
		ROWS("both ways: packets, bytes, and every interrupt of the eventfd", traffic_both_ways),
		ROWS("frames that stand for several, however the header is cut", gso),
		ROWS("commands, and those refused", commands),
		ROWS("counters go on over a reset", over_a_reset),
		ROWS("a broken ring: its rule, and the interrupt that says so", broken),
		{ "features are those of the last driver that went so far as to start", features },
		{ "buffers that come while no kick is asked for are counted once a look", a_kick_that_was_not_needed },
		{ "batch sizes go by powers of two", buckets },
		{ "the tables name every word of their structs once", tables },
	};
	int status = check_run(tests, ARRAY_SIZE(tests));

	bench_close();
	return status;
}
