// SPDX-License-Identifier: MIT
/*
 * net-capture.c - what a capture sees of a device's packets: all of them, as
 * they were on the wire, with what the device knew; and that the packets do not
 * notice.
 */
#include "wire.h"

#include "clock.h"

#define RING (1u << 20)

static struct capture cap;
static bool taken = true; /* the last record */

static void capture_free(void)
{
	stream_fini(&cap.stream);
	memset(&cap, 0, sizeof(cap));
}

static void capture_on(u32 snaplen, u64 size)
{
	capture_free();
	taken = true;
	CHECK_EQ(stream_init(&cap.stream, size), 0);
	cap.snaplen = snaplen;
	net_capture(b.net, 0, &cap);
}

/* The next record, which must come; it stays until the next call. */
static const struct capture_record *next(void)
{
	const struct capture_record *r;
	u64 end = now_ms() + PATIENCE_MS;

	if (!taken)
		stream_take(&cap.stream);
	taken = true;
	while (!(r = stream_peek(&cap.stream))) {
		if (now_ms() > end) {
			CHECK(!"a record came");
			return NULL;
		}
		poll(NULL, 0, 1);
	}
	taken = false;
	return r;
}

/* The capture is over, and there was nothing behind the last next(). */
static void no_more(void)
{
	net_capture(b.net, 0, NULL);
	if (!taken)
		stream_take(&cap.stream);
	taken = true;
	CHECK(!stream_peek(&cap.stream));
}

static bool holds_frame(const struct capture_record *r, u32 number, u32 len, u32 captured)
{
	static u8 want[LARGEST + 4096];

	random_fill(want, len, ((u64)len << 32) + number);
	return r->len == len && r->captured == captured && !memcmp(r->data, want, captured);
}

static void received(enum kind kind)
{
	const u32 sizes[] = { 60, 1514, 1, 9014, LARGEST };
	const struct capture_record *r;
	u64 before = clock_ns();

	bench_start((struct bench_setup){ .kind = kind, .rx_len = 1526, .rx_parts = 3 });
	capture_on(LARGEST, RING);
	rx_post_all();
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		wire_send(i, sizes[i]);
		rx_expect(i, sizes[i]);
		r = next();
		CHECK_EQ(r->way, CAPTURE_RX);
		CHECK(holds_frame(r, i, sizes[i], sizes[i]));
		CHECK_EQ(r->buffers, (sizes[i] + HEADER + 1525) / 1526);
		CHECK_EQ(r->header.num_buffers, r->buffers);
		CHECK_EQ(r->batch, counters().rx.ring.batches);
		CHECK(r->ns >= before && r->ns <= clock_ns());
		CHECK_EQ(r->lost, 0);
		before = r->ns;
		rx_post_all();
	}
	CHECK_EQ(counters().thread.captured, (int)ARRAY_SIZE(sizes));
	no_more();
}

static void sent(enum kind kind)
{
	const u32 crumbs[] = { 1, 5, 5, 3, 10, 0 };
	const u32 sizes[] = { 60, 1514, 1, 9014, LARGEST };
	const struct capture_record *r;

	bench_start((struct bench_setup){ .kind = kind, .tx_len = LARGEST, .queue_size = 16 });
	capture_on(LARGEST, RING);
	for (u32 i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		u32 len = sizes[i / 2];

		CHECK(tx_add(i, len, i & 1 ? crumbs : NULL));
		tx_show();
		wire_expect(i, len);
		r = next();
		CHECK_EQ(r->way, CAPTURE_TX);
		CHECK(holds_frame(r, i, len, len));
		/* A lone byte of data lies in the second of the crumbs' ends. */
		CHECK_EQ(r->buffers, i & 1 ? (len == 1 ? 4 : 6) : 1);
		CHECK_EQ(r->batch, counters().tx.ring.batches);
		tx_reap(1);
	}
	no_more();
}

/* Header and head are the guest's own words. */
static void header_and_head(void)
{
	const struct virtio_net_hdr_v1 h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .hdr_len = 54,
		.gso_size = 1448, .csum_start = 34, .csum_offset = 16,
	};
	const struct capture_record *r;
	u64 at;
	u16 head;

	bench_start((struct bench_setup){ .kind = POLL });
	capture_on(LARGEST, RING);
	for (u32 i = 0; i < 5; i++) {
		head = b.tx.free;
		at = tx_buffer(head);
		CHECK(tx_add(i, 1000, NULL));
		memcpy(guest_at(&b.g, at), &h, HEADER);
		tx_show();
		r = next();
		CHECK_EQ(r->head, head);
		CHECK(!memcmp(&r->header, &h, HEADER));
		tx_reap(1);
	}
	head = b.rx.free;
	rx_post_buffers(1);
	CHECK(wire_try_send(7, 1400, &h));
	r = next();
	CHECK_EQ(r->head, head);
	CHECK_EQ(r->header.num_buffers, 1);
	CHECK(!memcmp(&r->header, &h, 10));
	no_more();
}

/* What the guest did not accept it is not told; the capture has it as the guest. */
static void header_as_delivered(void)
{
	const struct virtio_net_hdr_v1 valid = { .flags = VIRTIO_NET_HDR_F_DATA_VALID };

	bench_start((struct bench_setup){ .kind = POLL, .features = V1 | F(MRG_RXBUF) });
	capture_on(LARGEST, RING);
	rx_post_all();
	CHECK(wire_try_send(1, 100, &valid));
	CHECK_EQ(next()->header.flags, 0);
	no_more();
}

static void snaplen(void)
{
	const u32 sizes[] = { 1, 99, 100, 101, 1514 };

	bench_start((struct bench_setup){ .kind = POLL });
	capture_on(100, RING);
	rx_post_all();
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		wire_send(i, sizes[i]);
		CHECK(holds_frame(next(), i, sizes[i], MIN(sizes[i], 100u)));
		CHECK(tx_add(i, sizes[i], NULL));
		tx_show();
		CHECK(holds_frame(next(), i, sizes[i], MIN(sizes[i], 100u)));
		tx_reap(1);
	}
	no_more();
}

/* Nobody reads: every frame arrives all the same. */
static void full_ring(void)
{
	const struct capture_record *r;
	u32 n = 0;

	bench_start((struct bench_setup){ .kind = POLL });
	capture_on(1000, 4096);
	for (u32 i = 0; i < 200; i++) {
		rx_post_all();
		one_each_way(i, 900, 900);
	}
	CHECK(wait_count(COUNTER(tx.packets), 200));
	n = (u32)counters().thread.captured;
	CHECK(n >= 3 && n <= 4);
	CHECK_EQ(counters().thread.capture_dropped, 400 - n);
	CHECK_EQ(cap.stream.dropped, 400 - n);
	for (u32 i = 0; i < n; i++) {
		r = next();
		CHECK_EQ(r->lost, 0);
	}
	stream_take(&cap.stream);
	taken = true;
	/* The first that finds room again tells how many did not. */
	wire_send(500, 900);
	while (!(r = stream_peek(&cap.stream)))
		poll(NULL, 0, 1);
	CHECK(holds_frame(r, 500, 900, 900));
	CHECK_EQ(r->lost, 400 - n);
	net_capture(b.net, 0, NULL);
}

static void failed(void)
{
	const struct capture_record *r;
	struct segment s[16];

	bench_start((struct bench_setup){ .kind = POLL, .tx_len = 40000 });
	capture_on(100, RING);
	for (unsigned i = 0; i < 16; i++) /* more than the socket takes in one piece */
		s[i] = (struct segment){ .gpa = tx_buffer(0), .len = 40000 };
	CHECK(ring_add(&b.tx, s, 16) >= 0);
	tx_show();
	tx_reap(1);
	CHECK_EQ(counters().tx.errors, 1);
	CHECK(tx_add(1, 100, NULL));
	tx_show();
	tx_reap(1);
	while ((r = next())->way == CAPTURE_NOTHING)
		;
	CHECK(holds_frame(r, 1, 100, 100));
	no_more();
}

/* A write that waits for room in the tap is told of before it is over. */
static void in_flight(void)
{
	const struct capture_record *r;
	u32 sent_already = 0, len = 30000;

	bench_start((struct bench_setup){ .kind = URING_WAITING, .tx_len = len, .queue_size = 64 });
	capture_on(100, RING);
	for (; sent_already < 64 && tx_add(sent_already, len, NULL); sent_already++)
		;
	tx_show();
	for (u32 i = 0; i < sent_already; i++) {
		r = next();
		CHECK(holds_frame(r, i, len, 100));
		CHECK(r->batch || r->fate == NET_FATE_NONE);
	}
	CHECK(counters().tx.packets < sent_already); /* the socket is full */
	for (u32 i = 0; i < sent_already; i++) { /* in whatever order they got room */
		struct pollfd p = { .fd = b.wire, .events = POLLIN };
		u8 byte;

		CHECK_EQ(poll(&p, 1, PATIENCE_MS), 1);
		CHECK_EQ(recv(b.wire, &byte, 1, 0), 1);
	}
	tx_reap(sent_already);
	no_more();
}

/* The record is held back until the interrupt is decided on, and tells of it. */
static void decisions(void)
{
	const struct capture_record *r;

	bench_start((struct bench_setup){ .kind = POLL, .irq = NET_IRQ_DELAY, .irq_usecs = 40000 });
	capture_on(100, RING);
	rx_post_all();
	wire_send(1, 60); /* interrupts are on: zeroes in the ring ask for the first */
	r = next();
	CHECK_EQ(r->fate, NET_FATE_RAISED);
	CHECK(r->deferred);
	CHECK(r->irq_ns > 20000000);
	rx_expect(1, 60);
	STORE_ONCE(ring_used_event(&b.rx), (u16)(b.rx.seen + 100));
	wire_send(2, 60);
	r = next();
	CHECK_EQ(r->fate, NET_FATE_SUPPRESSED);
	CHECK(r->deferred);
	no_more();

	bench_start((struct bench_setup){ .kind = POLL, .irq = NET_IRQ_PACKET });
	capture_on(100, RING);
	rx_post_all();
	wire_send(1, 60);
	r = next();
	CHECK_EQ(r->fate, NET_FATE_RAISED);
	CHECK(!r->deferred);
	CHECK_EQ(r->batch, 1);
	no_more();
}

/* What is held back when there is no decision any more comes without one. */
static void reset_meanwhile(void)
{
	const struct capture_record *r;

	bench_start((struct bench_setup){ .kind = POLL, .irq = NET_IRQ_DELAY, .irq_usecs = 1000000 });
	capture_on(100, RING);
	rx_post_all();
	wire_send(1, 60);
	CHECK(wait_count(COUNTER(rx.packets), 1));
	bench_reset();
	r = next();
	CHECK(holds_frame(r, 1, 60, 60));
	CHECK(r->fate == NET_FATE_NONE && r->deferred);
	bench_up();
	rx_post_all();
	wire_send(2, 60);
	CHECK(wait_count(COUNTER(rx.packets), 2));
	net_capture(b.net, 0, NULL); /* and so when it is the capture that ends */
	CHECK(holds_frame(next(), 2, 60, 60));
	no_more();
}

/* Between start and stop nothing is missing, and outside nothing is there. */
static void on_and_off(enum kind kind)
{
	u32 number = 0;

	bench_start((struct bench_setup){ .kind = kind });
	for (unsigned round = 0; round < 60; round++) {
		bool on = round % 3 != 2;
		u32 first = number;

		if (on)
			capture_on(200, RING);
		for (; number < first + 20; number++) {
			rx_post_all();
			wire_send(number, 700);
			CHECK(tx_add(number, 300, NULL));
			tx_show();
			if (number % 2)
				rx_expect(number - 1, 700), rx_expect(number, 700);
		}
		tx_reap(20);
		for (; first < number; first++)
			wire_expect(first, 300);
		net_capture(b.net, 0, NULL);
		first = number - 20;
		for (u32 rx = first, tx = first; on && (rx < number || tx < number);) {
			const struct capture_record *r = next();

			if (r->way == CAPTURE_RX)
				CHECK(holds_frame(r, rx++, 700, 200));
			else
				CHECK(holds_frame(r, tx++, 300, 200));
		}
		no_more();
	}
	CHECK_EQ(counters().thread.captured, 40 * 40);
	CHECK_EQ(counters().thread.capture_dropped, 0);
}

/* A frame that fails has the number of one that was sent, and still waits to be told of. */
static void failed_behind_one_sent(enum kind kind)
{
	const struct capture_record *r;

	bench_start((struct bench_setup){ .kind = kind, .irq = NET_IRQ_DELAY, .no_spin = true });
	capture_on(65535, RING);
	STORE_ONCE(ring_used_event(&b.tx), 0);
	CHECK(tx_add(1, 60, NULL));
	tx_show();
	wire_expect(1, 60);
	shutdown(b.wire, SHUT_RD);
	CHECK(tx_add(2, 70, NULL));
	tx_show();
	CHECK(wait_count(COUNTER(tx.errors), 1));
	net_capture(b.net, 0, NULL);
	while ((r = next())->way == CAPTURE_NOTHING)
		;
	CHECK(r->way == CAPTURE_TX && holds_frame(r, 1, 60, 60));
}

EACH(received)
EACH(sent)
EACH(failed_behind_one_sent)
EACH(on_and_off)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("frames received are captured whole, with their batch and buffers", received),
		ROWS("frames sent are captured whole, however they are cut", sent),
		{ "header and head are those of the ring", header_and_head },
		{ "the header is what the guest was given", header_as_delivered },
		{ "no more bytes are kept than asked for", snaplen },
		{ "with no room for records the frames go on, and are counted", full_ring },
		{ "a frame that could not be sent is none", failed },
		ROWS("and hides none that was sent", failed_behind_one_sent),
		{ "one that waits to be sent is not waited for", in_flight },
		{ "a record tells what became of the interrupt, and when", decisions },
		{ "when nothing will be decided any more, it comes without", reset_meanwhile },
		ROWS("a capture begins and ends in the midst of traffic", on_and_off),
	};
	int r = check_run(tests, ARRAY_SIZE(tests));

	bench_close();
	capture_free();
	return r;
}
