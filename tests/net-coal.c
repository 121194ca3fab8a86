// SPDX-License-Identifier: MIT
/*
 * net-coal.c - how many interrupts the frames of a queue cause, and when: by
 * the driver's coalescing parameters and by the host's policy.  Used entries
 * are there at once all the time.  Clauses are those of virtio 1.3.
 *
 * The driver has no event indices and wants every interrupt, so they can be
 * counted.  That one does not come is seen by waiting a little; that it comes,
 * by waiting long: a slow machine fails neither.
 */
#include "control.h"

#define NEVER 4000000000u /* us */
#define SETTLE_MS 4

static void start_with(struct bench_setup s)
{
	s.features = (FULL | RING_RESET) & ~EVENT;
	bench_start(s);
	rx_post_all();
	interrupts();
}

static void start(enum kind kind)
{
	start_with((struct bench_setup){ .kind = kind });
}

static u32 sent, received;

/* One frame, and wait until it is in the ring. */
static void receive_one(void)
{
	u16 before = ring_waiting(&b.rx);
	u64 end = now_ms() + PATIENCE_MS;

	wire_send(sent++, 100);
	while (ring_waiting(&b.rx) == before) {
		CHECK(now_ms() < end);
		sched_yield();
	}
}

static void send_one(void)
{
	u16 before = ring_waiting(&b.tx);
	u64 end = now_ms() + PATIENCE_MS;

	CHECK(tx_add(1, 100, NULL));
	tx_show();
	while (ring_waiting(&b.tx) == before) {
		CHECK(now_ms() < end);
		sched_yield();
	}
	wire_expect(1, 100);
}

static u64 interrupts_after_a_while(void)
{
	poll(NULL, 0, SETTLE_MS);
	return interrupts();
}

/* That one comes, and no other with it. */
static void one_interrupt(void)
{
	CHECK(wait_interrupt(PATIENCE_MS));
	CHECK_EQ(interrupts_after_a_while(), 1);
}

static void take_all(void)
{
	u16 head;
	u32 len;

	while (ring_take(&b.rx, &head, &len) > 0)
		;
	while (ring_take(&b.tx, &head, &len) > 0)
		;
	rx_post_all();
}

static void before_and_after(enum kind kind)
{
	start(kind);
	for (unsigned i = 0; i < 8; i++) {
		receive_one();
		one_interrupt();
	}
	CHECK_EQ(set_coal(RX_SET, 8, NEVER), OK);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 7; i++)
			receive_one(); /* and it is there */
		CHECK_EQ(interrupts_after_a_while(), 0);
		receive_one();
		one_interrupt();
		take_all();
	}
	CHECK_EQ(set_coal(RX_SET, 0, 0), OK);
	for (unsigned i = 0; i < 4; i++) {
		receive_one();
		one_interrupt();
	}
	CHECK(counters().rx.interrupts_deferred > 0);
	/* Sending is not concerned. */
	CHECK_EQ(set_coal(RX_SET, 8, NEVER), OK);
	send_one();
	one_interrupt();
}

static void sending(enum kind kind)
{
	start(kind);
	send_one();
	one_interrupt();
	CHECK_EQ(set_coal(TX_SET, 4, NEVER), OK);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 3; i++)
			send_one();
		CHECK_EQ(interrupts_after_a_while(), 0);
		send_one();
		one_interrupt();
		take_all();
	}
	receive_one();
	one_interrupt();
}

/* A frame alone is told of when the time is over, whoever sleeps. */
static void a_lone_frame(enum kind kind)
{
	start(kind);
	CHECK_EQ(set_coal(RX_SET, 1000, 20000), OK);
	CHECK_EQ(set_coal(TX_SET, 1000, 20000), OK);
	for (unsigned i = 0; i < 3; i++) {
		receive_one();
		one_interrupt();
		send_one();
		one_interrupt();
		take_all();
	}
	/* The shorter of both directions. */
	CHECK_EQ(set_coal(TX_SET, 1000, NEVER), OK);
	receive_one();
	send_one();
	one_interrupt();
	CHECK_EQ(interrupts_after_a_while(), 0);
}

/* 5.1.6.5.8.4 */
static void changed_at_once(enum kind kind)
{
	start(kind);
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(set_coal(RX_SET, 15, NEVER), OK);
		for (unsigned k = 0; k < 10; k++)
			receive_one();
		CHECK_EQ(interrupts_after_a_while(), 0);
		switch (i) {
		case 0:
			CHECK_EQ(set_coal(RX_SET, 8, NEVER), OK);
			break;
		case 1:
			CHECK_EQ(set_coal(RX_SET, 15, 1), OK);
			break;
		case 2:
			CHECK_EQ(set_coal(RX_SET, 0, 0), OK);
			break;
		case 3:
			CHECK_EQ(set_coal_of(0, 10, NEVER), OK);
			break;
		case 4: /* what changes nothing of that changes nothing */
			CHECK_EQ(set_coal_of(1, 1, 1), OK);
			CHECK_EQ(set_coal_of(0, 14, NEVER), OK);
			CHECK_EQ(interrupts_after_a_while(), 0);
			for (unsigned k = 0; k < 4; k++)
				receive_one();
			break;
		}
		one_interrupt();
		take_all();
	}
}

static void the_last_setting_counts(enum kind kind)
{
	struct coal c[4];

	/* The specification's own example. */
	bench_start((struct bench_setup){ .kind = kind, .features = FULL | F(MQ), .pairs = 2, .queue_size = 64 });
	CHECK_EQ(set_coal(RX_SET, 1, 2), OK);
	CHECK_EQ(set_coal_of(0, 3, 4), OK);
	for (u16 q = 0; q < 4; q++)
		CHECK_EQ(get_coal(q, &c[q]), OK);
	CHECK(c[0].max_packets == 3 && c[0].max_usecs == 4);
	CHECK(c[2].max_packets == 1 && c[2].max_usecs == 2);
	CHECK(!c[1].max_packets && !c[3].max_packets && !c[1].max_usecs && !c[3].max_usecs);
	CHECK_EQ(set_coal_of(1, 5, 6), OK);
	CHECK_EQ(get_coal(1, &c[1]), OK);
	CHECK_EQ(get_coal(3, &c[3]), OK);
	CHECK(c[1].max_packets == 5 && c[1].max_usecs == 6 && !c[3].max_packets);
	CHECK_EQ(set_coal(TX_SET, 7, 8), OK);
	for (u16 q = 0; q < 4; q++)
		CHECK_EQ(get_coal(q, &c[q]), OK);
	CHECK(c[1].max_packets == 7 && c[1].max_usecs == 8);
	CHECK(c[3].max_packets == 7 && c[3].max_usecs == 8);
	CHECK(c[0].max_packets == 3 && c[2].max_packets == 1);
}

/* Each queue has its own, and they do what they say there and nowhere else. */
static void per_queue(enum kind kind)
{
	bench_start((struct bench_setup){
		.kind = kind, .features = (FULL | F(MQ)) & ~EVENT, .pairs = 2, .queue_size = 64,
	});
	CHECK_EQ(set_pairs(2), OK);
	for (unsigned pair = 0; pair < 2; pair++) {
		bench_pair(pair);
		rx_post_all();
		CHECK_EQ(set_coal(RX_SET, 0, 0), OK);
		CHECK_EQ(set_coal(TX_SET, 0, 0), OK);
		CHECK_EQ(set_coal_of((u16)(2 * pair), 3, NEVER), OK);
		interrupts();
		receive_one();
		receive_one();
		CHECK_EQ(interrupts_after_a_while(), 0);
		send_one();
		one_interrupt();
		receive_one();
		one_interrupt();
		CHECK_EQ(set_coal_of((u16)(2 * pair + 1), 2, NEVER), OK);
		send_one();
		CHECK_EQ(interrupts_after_a_while(), 0);
		send_one();
		one_interrupt();
		/* The other pair's come at once. */
		bench_pair(!pair);
		rx_post_all();
		receive_one();
		one_interrupt();
		send_one();
		one_interrupt();
	}
}

/* 5.1.6.5.8: an interrupt that is due but suppressed does not come; later ones do. */
static void suppressed(enum kind kind)
{
	start(kind);
	CHECK_EQ(set_coal(RX_SET, 2, NEVER), OK);
	ring_interrupts_off(&b.rx);
	for (unsigned i = 0; i < 7; i++)
		receive_one();
	CHECK_EQ(interrupts_after_a_while(), 0);
	ring_interrupts_on(&b.rx);
	receive_one(); /* the eighth: due */
	one_interrupt();
	CHECK(counters().rx.interrupts_suppressed >= 3);
}

/* A driver with no buffers left is told at once: else both would wait. */
static void no_buffers_left(enum kind kind)
{
	bench_start((struct bench_setup){ .kind = kind, .features = FULL & ~EVENT });
	CHECK_EQ(set_coal(RX_SET, 1000, NEVER), OK);
	interrupts();
	rx_post_buffers(5);
	for (unsigned i = 0; i < 5; i++)
		wire_send(i, 100);
	CHECK(wait_interrupt(PATIENCE_MS));
	CHECK(ring_waiting(&b.rx));
	/* Nor does one wait that has sent all it can. */
	CHECK_EQ(set_coal(TX_SET, 1000, NEVER), OK);
	interrupts_after_a_while();
	for (unsigned i = 0; i < 256; i++) {
		CHECK(tx_add(i, 100, NULL));
		tx_show();
		wire_expect(i, 100);
	}
	CHECK(!b.tx.n_free);
	CHECK(wait_interrupt(PATIENCE_MS));
}

/*
 * A driver that polls for long, then stops and asks to be told of the next:
 * indices have 16 bits, and a decision may not be about more than that.
 */
static void polling_for_long(void)
{
	const u32 many = 65536 + 5, last = 10;

	bench_start((struct bench_setup){ .kind = POLL, .features = FULL, .queue_size = 1024, .rx_len = 128 });
	rx_post_all();
	CHECK_EQ(set_coal(RX_SET, many, NEVER), OK);
	ring_interrupts_off(&b.rx);
	sent = received = 0;
	while (received < many - last) {
		u16 head;
		u32 len;

		while (sent < many - last && sent - received < 256 && wire_try_send(sent, 100, NULL))
			sent++;
		while (ring_take(&b.rx, &head, &len) > 0)
			received++;
		if (b.rx.n_free > 300) {
			rx_post_all();
			ring_interrupts_off(&b.rx);
		}
	}
	rx_post_all();
	CHECK(!ring_interrupts_on(&b.rx));
	interrupts();
	for (u32 i = 0; i < last; i++)
		receive_one();
	/* Many are over, or the time is: now it matters what was decided on before. */
	CHECK_EQ(set_coal(RX_SET, 1, 1), OK);
	one_interrupt();
}

/* Interrupts put off go with their queue: nothing is left to wake up for. */
static void a_queue_is_reset_meanwhile(enum kind kind)
{
	for (unsigned q = 0; q < 2; q++) {
		u64 sleeps, enters;

		start(kind);
		CHECK_EQ(set_coal(RX_SET, 1000, 30000), OK);
		CHECK_EQ(set_coal(TX_SET, 1000, 30000), OK);
		if (q)
			send_one();
		else
			receive_one();
		reg_write(b.dev, VIRTIO_MMIO_QUEUE_SEL, q);
		reg_write(b.dev, 0x0c0, 1);
		CHECK_EQ(reg_read(b.dev, VIRTIO_MMIO_QUEUE_READY), 0);
		interrupts();
		poll(NULL, 0, 40);
		sleeps = counters().thread.sleeps;
		enters = counters().thread.enters;
		poll(NULL, 0, 50);
		CHECK(counters().thread.sleeps - sleeps < 20);
		CHECK(counters().thread.enters - enters < 40);
		CHECK_EQ(interrupts(), 0);
		/* Back again, it counts from nothing. */
		ring_restart(q ? &b.tx : &b.rx);
		CHECK(driver_enable_queue(b.dev, q, q ? &b.tx.where : &b.rx.where));
		CHECK_EQ(set_coal(q ? TX_SET : RX_SET, 2, NEVER), OK);
		rx_post_all();
		for (unsigned i = 0; i < 2; i++) {
			CHECK_EQ(interrupts_after_a_while(), 0);
			if (q)
				send_one();
			else
				receive_one();
		}
		one_interrupt();
		/* What the other queue has put off survives that. */
		CHECK_EQ(set_coal(q ? RX_SET : TX_SET, 2, NEVER), OK);
		if (q)
			receive_one();
		else
			send_one();
		reg_write(b.dev, VIRTIO_MMIO_QUEUE_SEL, q);
		reg_write(b.dev, 0x0c0, 1);
		CHECK_EQ(interrupts_after_a_while(), 0);
		if (q)
			receive_one();
		else
			send_one();
		one_interrupt();
	}
}

/* --- the host's policies ------------------------------------------------------ */

static void policy_packet(enum kind kind)
{
	for (unsigned pairs = 1; pairs <= 2; pairs++) {
		bench_start((struct bench_setup){
			.kind = kind, .features = (FULL | F(MQ)) & ~EVENT, .irq = NET_IRQ_PACKET, .pairs = pairs,
		});
		if (pairs > 1)
			CHECK_EQ(set_pairs(2), OK);
		bench_pair(pairs - 1);
		rx_post_all();
		interrupts();
		/* One for each, however they come. */
		for (u32 i = 0; i < 200; i++)
			wire_send(i, 100);
		CHECK(wait_count(COUNTER(rx.packets), 200));
		CHECK_EQ(interrupts_after_a_while(), 200);
		CHECK_EQ(ring_waiting(&b.rx), 200);
		for (u32 i = 0; i < 10; i++) {
			receive_one();
			one_interrupt();
		}
		CHECK_EQ(counters().thread.interrupts, 210);
	}
	/* A frame in many buffers is one. */
	start_with((struct bench_setup){ .kind = kind, .irq = NET_IRQ_PACKET, .rx_len = 200 });
	for (u32 i = 0; i < 20; i++)
		wire_send(i, 1000);
	CHECK(wait_count(COUNTER(rx.packets), 20));
	CHECK_EQ(interrupts_after_a_while(), 20);
	/* None when none is wanted. */
	ring_interrupts_off(&b.rx);
	take_all();
	receive_one();
	CHECK_EQ(interrupts_after_a_while(), 0);
}

static void policy_drain(enum kind kind)
{
	start_with((struct bench_setup){ .kind = kind, .irq = NET_IRQ_DRAIN });
	for (u32 i = 0; i < 200; i++)
		wire_send(i, 100);
	CHECK(wait_count(COUNTER(rx.packets), 200));
	CHECK(wait_interrupt(PATIENCE_MS));
	CHECK(interrupts_after_a_while() <= 200);
	receive_one();
	one_interrupt();
}

static void policy_delay(enum kind kind)
{
	start_with((struct bench_setup){ .kind = kind, .irq = NET_IRQ_DELAY, .irq_usecs = 100000 });
	for (unsigned round = 0; round < 2; round++) {
		u64 start_ms = now_ms();

		for (u32 i = 0; i < 50; i++)
			receive_one();
		CHECK(wait_interrupt(PATIENCE_MS));
		/* One, unless the machine is so slow that it took longer. */
		CHECK(interrupts_after_a_while() <= (now_ms() - start_ms) / 100 + 1);
		take_all();
		poll(NULL, 0, 110);
		interrupts();
	}
	/* Sending is not delayed by it. */
	send_one();
	one_interrupt();
}

static void policy_pending(enum kind kind)
{
	start_with((struct bench_setup){ .kind = kind, .irq = NET_IRQ_PENDING, .irq_usecs = 4000000 });
	receive_one();
	CHECK_EQ(interrupts_after_a_while(), 0);
	/* 4 s by 101: it comes long before it would for one. */
	for (u32 i = 0; i < 100; i++)
		receive_one();
	CHECK(wait_interrupt(1500));
}

/* What waits for a time that is far off is due at once by the next policy. */
static void policy_changes(enum kind kind)
{
	u32 usecs;

	start_with((struct bench_setup){ .kind = kind, .irq = NET_IRQ_DELAY, .irq_usecs = 1000000000 });
	CHECK_EQ(net_irq(b.net, &usecs), NET_IRQ_DELAY);
	CHECK_EQ(usecs, 1000000000);
	for (unsigned round = 0; round < 2; round++) {
		receive_one();
		CHECK_EQ(interrupts_after_a_while(), 0);
		net_set_irq(b.net, round ? NET_IRQ_PACKET : NET_IRQ_DRAIN, 0);
		one_interrupt();
		for (unsigned i = 0; i < 3; i++) {
			receive_one();
			one_interrupt();
		}
		net_set_irq(b.net, NET_IRQ_DELAY, 1000000000);
	}
	/* Nor is it forgotten by a driver that comes later. */
	net_set_irq(b.net, NET_IRQ_ADAPTIVE, 0);
	CHECK_EQ(net_irq(b.net, &usecs), NET_IRQ_ADAPTIVE);
	CHECK_EQ(usecs, 0);
	receive_one();
	one_interrupt();
}

static void policy_adaptive(enum kind kind)
{
	start_with((struct bench_setup){ .kind = kind, .irq = NET_IRQ_ADAPTIVE });
	sent = received = 0;
	for (unsigned round = 0; round < 3000; round++) {
		for (unsigned i = round % 4; i < 4 && wire_try_send(sent, 100, NULL); i++)
			sent++;
		if (round % 3)
			continue;
		/* By interrupt alone: each frame is told of. */
		while (received < sent)
			rx_expect(received++, 100);
		rx_post_all();
	}
	for (unsigned i = 0; i < 5; i++) {
		interrupts_after_a_while();
		receive_one();
		one_interrupt();
		take_all();
	}
}

EACH(before_and_after)
EACH(sending)
EACH(a_lone_frame)
EACH(changed_at_once)
EACH(the_last_setting_counts)
EACH(per_queue)
EACH(suppressed)
EACH(no_buffers_left)
EACH(a_queue_is_reset_meanwhile)
EACH(policy_packet)
EACH(policy_drain)
EACH(policy_delay)
EACH(policy_pending)
EACH(policy_adaptive)
EACH(policy_changes)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("rx-frames: one interrupt for so many frames, which are there at once (5.1.6.5.8)", before_and_after),
		ROWS("tx-frames: one interrupt for so many sent", sending),
		ROWS("rx-usecs and tx-usecs: a lone frame is told of when the time is over", a_lone_frame),
		ROWS("new parameters count at once for what is pending (5.1.6.5.8.4)", changed_at_once),
		ROWS("the last of global and queue settings counts", the_last_setting_counts),
		ROWS("each queue of each pair counts by itself", per_queue),
		ROWS("what is due and not wanted is not raised (5.1.6.5.8)", suppressed),
		ROWS("a driver without buffers is told at once", no_buffers_left),
		{ "after a long time of polling the next interrupt is not lost", polling_for_long },
		ROWS("what a queue put off ends with its reset, the other's does not", a_queue_is_reset_meanwhile),
		ROWS("irq=packet: exactly one interrupt per frame", policy_packet),
		ROWS("irq=drain: at most one per frame, and one for the last", policy_drain),
		ROWS("irq=delay: one for all that came in that time", policy_delay),
		ROWS("irq=pending: sooner the more are pending", policy_pending),
		ROWS("irq=adaptive: each frame is told of, and a lone one at once", policy_adaptive),
		ROWS("another policy counts at once for what is pending", policy_changes),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
