// SPDX-License-Identifier: MIT
/*
 * net.c - frames through the network device, both ways, as a driver that keeps
 * the rules sees them: all there, whole, in order, and told of.  Clauses are
 * those of virtio 1.2.
 */
#include "wire.h"

/* --- features and configuration ---------------------------------------------- */

static void configuration(void)
{
	struct virtio_net_config c;

	bench_open((struct bench_setup){ .kind = POLL });
	for (unsigned i = 0; i < sizeof(c); i++)
		virtio_mmio_read(b.dev, VIRTIO_MMIO_CONFIG + i, (u8 *)&c + i, 1);
	CHECK(!memcmp(c.mac, (u8[6]){ 2, 0, 0, 1, 2, 3 }, 6));
	CHECK_EQ(c.status, VIRTIO_NET_S_LINK_UP);
	CHECK_EQ(c.mtu, 1500);
	CHECK_EQ(reg_read(b.dev, VIRTIO_MMIO_DEVICE_ID), 1);
	CHECK_EQ(reg_read_features(b.dev), OFFERED);
}

/* A ring whose second half does not hold the largest frame is not offered any. */
static void small_rings(void)
{
	for (u16 size = 16; size <= 1024; size *= 2) {
		bench_open((struct bench_setup){ .kind = POLL, .queue_size = size });
		CHECK_EQ(!!(reg_read_features(b.dev) & F(GUEST_TSO4)), size / 2 * 1526 >= LARGEST + HEADER);
		CHECK_EQ(reg_read_features(b.dev) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN), OFFERED);
		reg_write(b.dev, VIRTIO_MMIO_QUEUE_SEL, NET_TXQ);
		CHECK_EQ(reg_read(b.dev, VIRTIO_MMIO_QUEUE_NUM_MAX), size);
	}
}

/* 5.1.3.1: a driver that breaks one of these may not go on. */
static void dependencies(void)
{
	const struct { u64 features; bool fine; } t[] = {
		{ V1, true },
		{ V1 | F(CSUM) | F(GUEST_CSUM), true },
		{ V1 | F(HOST_TSO4), false },
		{ V1 | F(HOST_TSO6), false },
		{ V1 | F(HOST_TSO4) | F(CSUM), true },
		{ V1 | F(HOST_ECN) | F(CSUM), false },
		{ V1 | F(HOST_ECN) | F(CSUM) | F(HOST_TSO6), true },
		{ V1 | F(GUEST_TSO4), false },
		{ V1 | F(GUEST_TSO6) | F(CSUM), false },
		{ V1 | F(GUEST_TSO6) | F(GUEST_CSUM), true },
		{ V1 | F(GUEST_ECN) | F(GUEST_CSUM), false },
		{ V1 | F(GUEST_ECN) | F(GUEST_CSUM) | F(GUEST_TSO4), true },
		{ V1 | F(GUEST_UFO) | F(GUEST_CSUM), false }, /* not offered */
	};
	char said[4096];

	bench_open((struct bench_setup){ .kind = POLL });
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		stderr_capture();
		CHECK_EQ(driver_negotiate(b.dev, t[i].features), t[i].fine);
		stderr_release(said, sizeof(said));
		CHECK_EQ(!*said, t[i].fine);
	}
}

/* --- guest to host ----------------------------------------------------------- */

static void tx_any_layout(enum kind kind)
{
	/* 2.7.4.1: the device makes no assumption on how a frame is cut. */
	u32 number = 0;

	for (unsigned indirect = 0; indirect < 2; indirect++) {
		bench_start((struct bench_setup){
			.kind = kind, .features = V1 | EVENT | (indirect ? INDIRECT : 0),
		});
		for (u32 cut = 0; cut <= 40; cut++) {
			const u32 layout[4][6] = {
				{ cut },	     /* one cut, anywhere in header or data */
				{ HEADER, cut },     /* the header alone, then the data */
				{ cut, 1, 1 },
				{ 1, 1, 1, 1, cut }, /* a header in crumbs */
			};

			for (unsigned k = 0; k < 4; k++) {
				CHECK(tx_add(number, 60 + cut, layout[k]));
				tx_show();
				wire_expect(number, 60 + cut);
				number++;
				tx_reap(1);
			}
		}
		CHECK_EQ(counters().tx.packets, 41 * 4);
		CHECK_EQ(counters().tx.errors, 0);
	}
}

static void tx_sizes(enum kind kind)
{
	const u32 len[] = { 1, 14, 59, 60, 1514, 4000, 9014, 32768, LARGEST };

	bench_start((struct bench_setup){ .kind = kind, .queue_size = 16, .tx_len = LARGEST });
	for (u32 i = 0; i < ARRAY_SIZE(len); i++) {
		const u32 parts[] = { 12, 66, 4000, 4000, 4000, 4000, 0 };

		CHECK(tx_add(i, len[i], i & 1 ? parts : NULL));
		tx_show();
		wire_expect(i, len[i]);
		tx_reap(1);
	}
	CHECK(wire_is_silent());
}

static void tx_too_short(enum kind kind)
{
	bench_start((struct bench_setup){ .kind = kind });
	for (u32 len = 0; len <= HEADER; len++) {
		struct segment s[2] = {
			{ .gpa = tx_buffer(0), .len = len / 2 },
			{ .gpa = tx_buffer(0) + 100, .len = len - len / 2 },
		};

		CHECK(ring_add(&b.tx, s, 2) >= 0);
	}
	CHECK(tx_add(1, 1, NULL)); /* a byte more than a header */
	tx_show();
	tx_reap(HEADER + 2);
	wire_expect(1, 1);
	CHECK(wire_is_silent());
	CHECK_EQ(counters().tx.drop_short, HEADER + 1);
	CHECK_EQ(counters().tx.packets, 1);
}

/* Nothing comes back from the wire, so nothing but TX itself keeps it going. */
static void tx_only_flood(enum kind kind)
{
	u32 sent = 0, seen = 0, back = 0, len;
	u16 head;

	bench_start((struct bench_setup){ .kind = kind });
	while (back < 20000) {
		while (sent < 20000 && tx_add(sent, 60, NULL))
			sent++;
		CHECK(b.tx.n_free == 0 || sent == 20000); /* the ring is full */
		tx_show();
		/* Sleep until most of it is back, as a driver with a full ring does. */
		CHECK(wait_used(&b.tx, (u16)MIN(sent - back, 192u)));
		while (ring_take(&b.tx, &head, &len) > 0)
			back++;
		for (; seen < back; seen++)
			wire_expect(seen, 60);
	}
	CHECK(wire_is_silent());
	CHECK_EQ(counters().tx.packets, 20000);
	CHECK(counters().thread.interrupts <= 2 * 20000 / 192 + 2);
}

static void tx_kicks_are_suppressed(enum kind kind)
{
	struct net_counters c;

	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		bench_start((struct bench_setup){ .kind = kind, .features = V1 | (event_idx ? EVENT : 0) });
		/* Asleep, it must be told; 256 frames that are shown one by one need few kicks. */
		CHECK(wait_count(COUNTER(thread.sleeps), 1));
		for (u32 i = 0; i < 256; i++) {
			struct segment s = { .gpa = tx_buffer(0), .len = 60 };

			if (ring_add(&b.tx, &s, 1) < 0)
				break;
			tx_show();
		}
		CHECK(wait_count(COUNTER(tx.packets), 256));
		c = counters();
		CHECK(c.thread.kicks >= 1);
		CHECK(c.thread.kicks <= 256);
		/* An idle device wants to be told of the next one. */
		tx_reap(256);
		poll(NULL, 0, 20);
		CHECK(tx_add(7, 100, NULL));
		ring_show(&b.tx);
		CHECK(ring_must_kick(&b.tx));
		driver_kick(b.dev, NET_TXQ);
		for (u32 i = 0; i < 256; i++)
			CHECK_EQ(recv(b.wire, &c, sizeof(c), 0), 60);
		wire_expect(7, 100);
	}
}

static void tx_interrupts_are_suppressed(enum kind kind)
{
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		bench_start((struct bench_setup){ .kind = kind, .features = V1 | (event_idx ? EVENT : 0) });
		ring_interrupts_off(&b.tx);
		for (u32 i = 0; i < 32; i++)
			CHECK(tx_add(i, 60, NULL));
		tx_show();
		for (u32 i = 0; i < 32; i++)
			wire_expect(i, 60);
		poll(NULL, 0, 20);
		CHECK_EQ(ring_waiting(&b.tx), 32);
		CHECK_EQ(interrupts(), 0);
		CHECK_EQ(counters().thread.interrupts, 0);
		CHECK(counters().tx.interrupts_suppressed > 0);
		/* Wanted again: the next one comes. */
		CHECK(ring_interrupts_on(&b.tx));
		tx_reap(32);
		ring_interrupts_on(&b.tx);
		CHECK(tx_add(99, 60, NULL));
		tx_show();
		CHECK(wait_interrupt(PATIENCE_MS));
		CHECK_EQ(ring_waiting(&b.tx), 1);
	}
}

/* --- host to guest ----------------------------------------------------------- */

/* 5.1.6.4: a frame fills as many buffers as it needs, and says how many. */
static void rx_mergeable(enum kind kind)
{
	const struct { u32 len; u16 parts; u16 queue; } buffer[] = {
		{ 1526, 1, 256 }, { 4096, 1, 256 }, { 777, 1, 256 }, { 1999, 3, 256 }, { 65600, 17, 256 },
	};
	const u32 len[] = { 60, 64, 764, 765, 766, 1513, 1514, 1515, 3040, 4083, 4084, 4085, 9014,
			    16000, 32768, 65000, LARGEST, 60, LARGEST, 1514, 61, };

	for (unsigned i = 0; i < ARRAY_SIZE(buffer); i++) {
		u32 number = 0;

		bench_start((struct bench_setup){
			.kind = kind, .rx_len = buffer[i].len, .rx_parts = buffer[i].parts,
			.queue_size = buffer[i].queue,
		});
		rx_post_all();
		for (unsigned round = 0; round < 3; round++)
			for (unsigned k = 0; k < ARRAY_SIZE(len); k++) {
				wire_send(number, len[k]);
				rx_expect(number++, len[k]);
				rx_post_all();
			}
		CHECK_EQ(counters().rx.packets, number);
		CHECK_EQ(counters().rx.errors + counters().rx.drop_too_big + counters().rx.drop_declined, 0);
	}
}

static void rx_in_bursts(enum kind kind)
{
	u32 sent = 0, got = 0;
	u64 seed = 11;

	bench_start((struct bench_setup){ .kind = kind });
	rx_post_all();
	while (got < 4000) {
		/* One in twenty is large, so the depth of reads is often wrong. */
		unsigned burst = 1 + (unsigned)(random_next(&seed) % 40);
		u32 first = sent, lens[64];

		for (unsigned i = 0; i < burst; i++) {
			u64 r = random_next(&seed);

			lens[i] = r % 20 ? 60 + (u32)(r >> 32) % 1455 : 60 + (u32)(r >> 32) % 40000;
			if (!wire_try_send(sent, lens[i], NULL))
				break; /* the wire is full */
			sent++;
		}
		/* The last of a burst comes without another one to push it. */
		for (; got < sent; got++) {
			rx_expect(got, lens[got - first]);
			rx_post_all();
		}
	}
	CHECK_EQ(counters().rx.packets, sent);
}

static void rx_interrupts_are_shared(enum kind kind)
{
	bench_start((struct bench_setup){ .kind = kind });
	rx_post_all();
	/* The driver polls: not one interrupt, whatever comes. */
	ring_interrupts_off(&b.rx);
	for (u32 i = 0; i < 100; i++)
		wire_send(i, 60);
	CHECK(wait_count(COUNTER(rx.packets), 100));
	poll(NULL, 0, 20);
	CHECK_EQ(ring_waiting(&b.rx), 100);
	CHECK_EQ(interrupts(), 0);
	for (u32 i = 0; i < 100; i++)
		rx_expect(i, 60);
	rx_post_all();
	/* It sleeps and asks to be told at the next: once, for however many. */
	CHECK(!ring_interrupts_on(&b.rx));
	interrupts();
	for (u32 i = 0; i < 100; i++)
		wire_send(i, 60);
	CHECK(wait_count(COUNTER(rx.packets), 200));
	poll(NULL, 0, 20);
	CHECK_EQ(interrupts(), 1);
}

static void rx_one_buffer_per_frame(enum kind kind)
{
	struct virtio_net_hdr_v1 h;
	u8 frame[2000];
	u32 total;

	/* 5.1.6.4.1: without MRG_RXBUF a frame has one buffer, and num_buffers is 1. */
	bench_start((struct bench_setup){ .kind = kind, .features = V1 | EVENT | INDIRECT, .rx_parts = 2 });
	rx_post_all();
	wire_send(0, 1515); /* two buffers would hold it */
	for (u32 i = 0; i < 50; i++)
		wire_send(i, 60 + i * 29);
	for (u32 i = 0; i < 50; i++)
		rx_expect(i, 60 + i * 29);
	rx_post_all();
	/* Larger than a buffer: dropped and counted, never cut. */
	wire_send(50, 1514);
	wire_send(51, 1515);
	wire_send(52, LARGEST);
	wire_send(53, 100);
	rx_expect(50, 1514);
	rx_expect(53, 100);
	CHECK_EQ(counters().rx.drop_too_big, 3);
	CHECK(!rx_take(frame, &total, &h));
	/* And they took no buffer away. */
	rx_post_all();
	for (u32 i = 0; i < 256; i++)
		wire_send(i, 60);
	for (u32 i = 0; i < 256; i++)
		rx_expect(i, 60);
}

static void rx_large_buffers(enum kind kind)
{
	/* As a driver without MRG_RXBUF that takes TSO must post them (5.1.6.3.1). */
	bench_start((struct bench_setup){
		.kind = kind, .features = V1 | EVENT | INDIRECT | OFFLOADS, .rx_len = 65562, .rx_parts = 19,
		.queue_size = 128,
	});
	rx_post_all();
	for (u32 i = 0; i < 100; i++) {
		wire_send(i, i % 3 ? 100 : LARGEST);
		rx_expect(i, i % 3 ? 100 : LARGEST);
		rx_post_all();
	}
	CHECK_EQ(counters().rx.drop_too_big, 0);
}

/* Both ways at once, the rings full all the time, and sleeping in between. */
static void both_ways(enum kind kind)
{
	u32 tx_sent = 0, tx_seen = 0, rx_sent = 0, rx_got = 0, len;
	u16 head;

	bench_start((struct bench_setup){ .kind = kind, .queue_size = 64 });
	while (rx_got < 3000 || tx_seen < 3000) {
		rx_post_all();
		while (tx_sent < 3000 && tx_sent - tx_seen < 60 && tx_add(tx_sent, 1000, NULL))
			tx_sent++;
		tx_show();
		while (rx_sent < 3000 && rx_sent - rx_got < 60 && wire_try_send(rx_sent, 777, NULL))
			rx_sent++;
		if (rx_got < rx_sent)
			rx_expect(rx_got, 777), rx_got++;
		if (tx_seen < tx_sent)
			wire_expect(tx_seen, 1000), tx_seen++;
		while (ring_take(&b.tx, &head, &len) > 0)
			;
	}
	CHECK_EQ(counters().rx.packets, 3000);
	CHECK_EQ(counters().tx.packets, 3000);
}

EACH(tx_any_layout)
EACH(tx_sizes)
EACH(tx_too_short)
EACH(tx_only_flood)
EACH(tx_kicks_are_suppressed)
EACH(tx_interrupts_are_suppressed)
EACH(rx_mergeable)
EACH(rx_in_bursts)
EACH(rx_interrupts_are_shared)
EACH(rx_one_buffer_per_frame)
EACH(rx_large_buffers)
EACH(both_ways)

int main(void)
{
	static const struct check_test tests[] = {
		{ "it shows its address, its link and its MTU (5.1.4)", configuration },
		{ "with a small ring it offers no frames that might not fit it", small_rings },
		{ "features that lack another one are refused (5.1.3.1)", dependencies },
		ROWS("a frame is sent whole however its chain is cut (2.7.4.1)", tx_any_layout),
		ROWS("frames from 1 byte to the largest are sent", tx_sizes),
		ROWS("what is shorter than a header comes back and is not sent", tx_too_short),
		ROWS("sending alone, with a full ring, never stalls", tx_only_flood),
		ROWS("kicks are few while it is awake, and wanted when it sleeps", tx_kicks_are_suppressed),
		ROWS("no interrupt for sent frames when none is wanted (2.7.7)", tx_interrupts_are_suppressed),
		ROWS("a frame fills buffers of any size, whole and counted (5.1.6.4)", rx_mergeable),
		ROWS("bursts arrive in order, to the last frame", rx_in_bursts),
		ROWS("received frames share an interrupt, and cause none when none is wanted", rx_interrupts_are_shared),
		ROWS("without MRG_RXBUF a frame has one buffer or is dropped whole (5.1.6.4.1)", rx_one_buffer_per_frame),
		ROWS("without MRG_RXBUF large frames fit large buffers", rx_large_buffers),
		ROWS("both directions go on at once", both_ways),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
