// SPDX-License-Identifier: MIT
/*
 * net-rss.c - a driver that says where frames go, and one that wants to know
 * their hash: what it may say, what comes of it, and that headers have the
 * length that was agreed on, both ways.  That frames do go there is between
 * the kernel and its program: net-hash.c, rss.t.  Clauses are those of virtio
 * 1.3.
 */
#include "control.h"

#define STEERED (FULL | F(MQ) | F(RSS) | RING_RESET)
#define REPORTING (FULL | F(HASH_REPORT))
#define PROGRAM 1234 /* a descriptor that nobody opens */
#define HASH_HEADER 20u

static struct steering_map map;
static struct steering steering = { .program = PROGRAM, .map = &map };

static const u8 key[HASH_KEY] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};
/* TCP from 66.9.149.187:2794 to 161.142.100.80:1766. */
static const u8 tcp[54] = {
	2, 0, 0, 1, 2, 3, 2, 9, 9, 9, 9, 9, 8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0,
	66, 9, 149, 187, 161, 142, 100, 80, 2794 >> 8, 2794 & 0xff, 1766 >> 8, 1766 & 0xff,
};
#define TCP_PORTS 0x51ccc178
#define TCP_ADDRESSES 0x323e8fc2

static void start(enum kind kind, unsigned pairs, u64 features)
{
	bench_close();
	tap.program = -1;
	tap.refuses_programs = false;
	memset(&map, 0x77, sizeof(map));
	bench_start((struct bench_setup){ .kind = kind, .features = features, .pairs = pairs, .queue_size = 64,
					  .steering = &steering });
}

static void next_driver(u64 features)
{
	bench_reset();
	b.setup.features = features & b.dev->offered;
	bench_up();
}

/* --- commands ---------------------------------------------------------------- */

struct rss {
	u32 types;
	u16 mask, unclassified;
	u16 n, pair[300]; /* n entries are sent */
	u16 max_tx;
	u8 key_len;
	int more; /* bytes of the key that are sent, beyond that */
};

static const struct rss good = {
	.types = HASH_TYPES, .mask = 7, .n = 8, .pair = { 0, 1, 2, 3, 3, 2, 1, 0 }, .unclassified = 2,
	.max_tx = 4, .key_len = HASH_KEY,
};

static u32 put_rss(const struct rss *r, u8 *to)
{
	u32 n = 0, key_len = (u32)(r->key_len + r->more);

	memcpy(to, &r->types, 4);
	memcpy(to + 4, &r->mask, 2);
	memcpy(to + 6, &r->unclassified, 2);
	memcpy(to + 8, r->pair, 2u * r->n);
	n = 8 + 2u * r->n;
	memcpy(to + n, &r->max_tx, 2);
	to[n + 2] = r->key_len;
	for (u32 i = 0; i < key_len; i++)
		to[n + 3 + i] = i < HASH_KEY ? key[i] : 1;
	return n + 3 + key_len;
}

/* Answered between two commands: what we see of their work is ordered by it. */
static void look(void)
{
	worker_call(b.net->worker[0], WORKER_CONFIGURE);
}

static int send_rss(const struct rss *r)
{
	static u8 what[2048];

	look();
	return command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, what, put_rss(r, what));
}

static int send_hash(u32 types, u8 key_len, u32 len)
{
	u8 what[13 + 300] = { [12] = key_len };

	memcpy(what, &types, 4);
	memcpy(what + 13, key, HASH_KEY);
	return command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_HASH_CONFIG, what, len);
}

/* What the program is told is what the driver said. */
static void expect_rules(const struct rss *r)
{
	hash_table table;
	u8 padded[HASH_KEY] = { 0 };

	look();
	memcpy(padded, key, r->key_len);
	hash_build(table, padded);
	CHECK_EQ(LOAD_ONCE(&tap.program), PROGRAM);
	CHECK_EQ(map.types, r->types);
	CHECK_EQ(map.mask, r->mask);
	CHECK_EQ(map.unclassified, r->unclassified);
	for (unsigned i = 0; i < r->n; i++)
		CHECK_EQ(map.pair[i], r->pair[i]);
	CHECK(!memcmp(map.table, table, sizeof(table)));
}

static unsigned attached(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b.setup.pairs; i++)
		n += !LOAD_ONCE(&tap.detached[i]);
	return n;
}

/* 5.1.4 */
static void what_is_told(enum kind kind)
{
	const struct { unsigned pairs; struct steering *steering; u64 offered; } t[] = {
		{ 1, &steering, F(HASH_REPORT) },
		{ 2, NULL, F(HASH_REPORT) | F(MQ) },
		{ 2, &steering, F(HASH_REPORT) | F(MQ) | F(RSS) },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		struct virtio_net_config c;

		bench_open((struct bench_setup){ .kind = kind, .pairs = t[i].pairs, .steering = t[i].steering });
		CHECK_EQ(reg_read_features(b.dev) & (F(HASH_REPORT) | F(MQ) | F(RSS)), t[i].offered);
		for (unsigned k = 0; k < sizeof(c); k++)
			virtio_mmio_read(b.dev, VIRTIO_MMIO_CONFIG + k, (u8 *)&c + k, 1);
		CHECK_EQ(c.rss_max_key_size, 40);
		CHECK_EQ(c.rss_max_indirection_table_length, 128);
		CHECK_EQ(c.supported_hash_types, 0x3f);
	}
	CHECK_EQ(net_features_on_demand(), F(HASH_REPORT) | F(RSS));
}

static void rules_are_taken(enum kind kind)
{
	struct rss r = good;

	start(kind, 4, STEERED);
	CHECK_EQ(LOAD_ONCE(&tap.program), -1);
	CHECK_EQ(attached(), 1);
	CHECK_EQ(send_rss(&r), OK);
	expect_rules(&r);
	CHECK_EQ(attached(), 4);
	/* Every size of the table, the smallest of everything. */
	for (u16 n = 1; n <= STEERING_TABLE; n = (u16)(2 * n)) {
		r.n = n;
		r.mask = (u16)(n - 1);
		for (unsigned i = 0; i < n; i++)
			r.pair[i] = (u16)(i % 3);
		r.unclassified = 0;
		r.max_tx = 1;
		CHECK_EQ(send_rss(&r), OK);
		expect_rules(&r);
		CHECK_EQ(attached(), MIN(n, 3));
	}
	/* Pairs to send with, and the one for the rest, are in use as well. */
	r.n = 1;
	r.mask = r.pair[0] = 0;
	r.max_tx = 2;
	CHECK_EQ(send_rss(&r), OK);
	CHECK_EQ(attached(), 2);
	r.unclassified = 3;
	CHECK_EQ(send_rss(&r), OK);
	CHECK_EQ(attached(), 4);
	/* No types need no key; a short one ends in zeroes. */
	r.types = r.key_len = 0;
	CHECK_EQ(send_rss(&r), OK);
	expect_rules(&r);
	r.types = HASH_TCPV4;
	r.key_len = 16;
	CHECK_EQ(send_rss(&r), OK);
	expect_rules(&r);
}

static void wrong_rules(enum kind kind)
{
	static struct steering_map before;
	struct rss bad[] = {
		{ .types = 0x40 }, { .types = 0x80000001 }, { .types = 0x100 },
		{ .mask = 0xffff, .n = 300 }, { .mask = 255, .n = 256 }, { .mask = 128, .n = 129 },
		{ .mask = 6, .n = 7 }, { .mask = 2, .n = 3 }, { .mask = 126, .n = 127 },
		{ .unclassified = 4 }, { .unclassified = 0x8000 }, { .unclassified = 0xffff },
		{ .pair = { 4 } }, { .pair = { [7] = 4 } }, { .pair = { [3] = 0x8001 } }, { .pair = { [7] = 0xffff } },
		{ .max_tx = 5 }, { .max_tx = 0xffff }, { .max_tx = 0 },
		{ .key_len = 0 }, { .key_len = 41 }, { .key_len = 255 },
		{ .more = 2 }, { .more = -1 }, { .more = 100 },
	};
	static u8 what[2048];
	u32 len;

	start(kind, 4, STEERED);
	CHECK_EQ(send_rss(&good), OK);
	look();
	before = map;
	tap.moves = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rss r = good;

		/* What is not named is as it should be. */
		if (bad[i].types)
			r.types = bad[i].types;
		if (bad[i].mask) {
			r.mask = bad[i].mask;
			r.n = bad[i].n;
		}
		if (bad[i].unclassified)
			r.unclassified = bad[i].unclassified;
		for (unsigned k = 0; k < 8; k++)
			if (bad[i].pair[k])
				r.pair[k] = bad[i].pair[k];
		if (i >= 16 && i < 19)
			r.max_tx = bad[i].max_tx;
		if (i >= 19 && i < 22)
			r.key_len = bad[i].key_len;
		r.more = bad[i].more;
		CHECK_EQ(send_rss(&r), ERR);
		look();
		CHECK(!memcmp(&map, &before, sizeof(map)));
	}
	/* All lengths but its own, and Linux's, which has one byte of padding. */
	len = put_rss(&good, what);
	look();
	for (u32 n = 0; n < len + 20; n++)
		CHECK_EQ(command(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, what, n),
			 n == len || n == len + 1 ? OK : ERR);
	look();
	CHECK(!memcmp(&map, &before, sizeof(map)));
	CHECK_EQ(tap.moves, 0);
	CHECK_EQ(LOAD_ONCE(&tap.program), PROGRAM);
	CHECK_EQ(send_hash(HASH_TYPES, HASH_KEY, 13 + HASH_KEY), ERR); /* no HASH_REPORT */
	/* To no queue that is not there now. */
	reg_write(b.dev, VIRTIO_MMIO_QUEUE_SEL, net_rxq(2));
	reg_write(b.dev, 0x0c0, 1);
	CHECK_EQ(send_rss(&good), ERR);
	bench_pair(2);
	ring_restart(&b.rx);
	CHECK(driver_enable_queue(b.dev, net_rxq(2), &b.rx.where));
	bench_pair(0);
	CHECK_EQ(send_rss(&good), OK);
}

/* 5.1.6.5.6 */
static void last_one_counts(enum kind kind)
{
	start(kind, 4, STEERED);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(send_rss(&good), OK);
		expect_rules(&good);
		CHECK_EQ(set_pairs(2), OK);
		CHECK_EQ(LOAD_ONCE(&tap.program), -1);
		CHECK_EQ(attached(), 2);
	}
	/* What is refused is not the last one. */
	CHECK_EQ(send_rss(&good), OK);
	CHECK_EQ(set_pairs(5), ERR);
	CHECK_EQ(LOAD_ONCE(&tap.program), PROGRAM);
	/* Nothing of it is left for the next driver, with RSS or without. */
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(send_rss(&good), OK);
		next_driver(i ? STEERED & ~F(RSS) : STEERED);
		CHECK_EQ(LOAD_ONCE(&tap.program), -1);
		CHECK_EQ(attached(), 1);
	}
	CHECK_EQ(send_rss(&good), ERR);
	CHECK_EQ(set_pairs(4), OK);
	/* Nor for the next user of the tap. */
	next_driver(STEERED);
	CHECK_EQ(send_rss(&good), OK);
	net_free(b.net);
	b.net = NULL;
	CHECK_EQ(LOAD_ONCE(&tap.program), -1);
}

static void refused_by_the_tap(enum kind kind)
{
	start(kind, 4, STEERED);
	CHECK_EQ(set_pairs(2), OK);
	stderr_capture();
	STORE_ONCE(&tap.refuses_programs, true);
	CHECK_EQ(send_rss(&good), ERR);
	CHECK_EQ(attached(), 2);
	STORE_ONCE(&tap.refuses_programs, false);
	CHECK_EQ(send_rss(&good), OK);
	STORE_ONCE(&tap.refuses_programs, true);
	CHECK_EQ(set_pairs(1), ERR);
	CHECK_EQ(attached(), 4);
	STORE_ONCE(&tap.refuses_programs, false);
	stderr_release((char[1000]){ 0 }, 1000);
}

/* 5.1.2, 5.1.5: RSS alone makes it a device of many pairs. */
static void without_mq(enum kind kind)
{
	start(kind, 3, STEERED & ~F(MQ));
	CHECK_EQ(set_pairs(3), ERR);
	CHECK_EQ(send_rss(&good), ERR); /* it names a fourth */
	CHECK_EQ(send_rss(&(struct rss){ .types = 1, .n = 2, .mask = 1, .pair = { 1, 2 }, .max_tx = 3,
					 .key_len = HASH_KEY }), OK);
	for (unsigned i = 0; i < 3; i++) {
		bench_pair(i);
		rx_post_all();
		wire_send(i, 100);
		rx_expect(i, 100);
		CHECK(tx_add(i, 100, NULL));
		tx_show();
		wire_expect(i, 100);
	}
}

/* --- headers ------------------------------------------------------------------ */

static void wire_frame(const void *frame, u32 len)
{
	u8 what[HASH_HEADER + 2000] = { 0 };

	memcpy(what + HASH_HEADER, frame, len);
	CHECK_EQ(send(b.wire, what, HASH_HEADER + len, MSG_NOSIGNAL), HASH_HEADER + len);
}

/* The next frame received is this one, with that hash. */
static void rx_hash(const void *frame, u32 len, u16 report, u32 value)
{
	static u8 got[HEADER + LARGEST + 8192];
	struct virtio_net_hdr_v1_hash h;
	struct virtio_net_hdr_v1 start_of_it;
	u32 total, room = b.setup.rx_len;

	CHECK(wait_used(&b.rx, 1));
	CHECK(rx_take(got, &total, &start_of_it));
	CHECK_EQ(total, HASH_HEADER + len);
	CHECK(!memcmp(got + HASH_HEADER, frame, len));
	memcpy(&h, got, HASH_HEADER);
	CHECK_EQ(h.hdr.num_buffers, (total + room - 1) / room);
	CHECK_EQ(h.hash_report, report);
	CHECK_EQ(h.hash_value, value);
	CHECK_EQ(h.padding, 0);
	rx_post_all();
}

static void reported(enum kind kind)
{
	const u16 parts[] = { 1, 2, 5, 10 };
	static u8 other_frame[1500];

	random_fill(other_frame, sizeof(other_frame), 3);
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		/* Headers cut anywhere, frames over several buffers. */
		bench_start((struct bench_setup){ .kind = kind, .features = REPORTING, .queue_size = 64,
						  .rx_len = i % 2 ? 30 : 1600, .rx_parts = parts[i] });
		rx_post_all();
		CHECK_EQ(LOAD_ONCE(&tap.header[0]), HASH_HEADER);
		/* Nothing is enabled at first. */
		wire_frame(tcp, sizeof(tcp));
		rx_hash(tcp, sizeof(tcp), VIRTIO_NET_HASH_REPORT_NONE, 0);
		CHECK_EQ(send_hash(HASH_TYPES, HASH_KEY, 13 + HASH_KEY), OK);
		wire_frame(tcp, sizeof(tcp));
		rx_hash(tcp, sizeof(tcp), VIRTIO_NET_HASH_REPORT_TCPv4, TCP_PORTS);
		wire_frame(other_frame, 100);
		rx_hash(other_frame, 100, VIRTIO_NET_HASH_REPORT_NONE, 0);
		wire_frame(other_frame, 1);
		rx_hash(other_frame, 1, VIRTIO_NET_HASH_REPORT_NONE, 0);
		CHECK_EQ(send_hash(HASH_IPV4, HASH_KEY, 13 + HASH_KEY), OK);
		wire_frame(tcp, sizeof(tcp));
		rx_hash(tcp, sizeof(tcp), VIRTIO_NET_HASH_REPORT_IPv4, TCP_ADDRESSES);
		wire_frame(other_frame, 1500);
		rx_hash(other_frame, 1500, VIRTIO_NET_HASH_REPORT_NONE, 0);
		CHECK_EQ(counters().rx.bytes, 3 * sizeof(tcp) + 1601);
		/* To the wire: what is counted is the frame alone. */
		CHECK(tx_add(7, 108, NULL));
		tx_show();
		wire_expect(7, 108);
		tx_reap(1);
		CHECK_EQ(counters().tx.bytes, 100);
		/* Wrong ones change nothing. */
		CHECK_EQ(send_hash(0x40, HASH_KEY, 13 + HASH_KEY), ERR);
		CHECK_EQ(send_hash(1, 41, 13 + 41), ERR);
		CHECK_EQ(send_hash(1, 0, 13), ERR);
		for (u32 n = 0; n < 100; n++)
			if (n != 13 + HASH_KEY && n != 14 + HASH_KEY)
				CHECK_EQ(send_hash(HASH_TYPES, HASH_KEY, n), ERR);
		CHECK_EQ(send_rss(&good), ERR);
		wire_frame(tcp, sizeof(tcp));
		rx_hash(tcp, sizeof(tcp), VIRTIO_NET_HASH_REPORT_IPv4, TCP_ADDRESSES);
		CHECK_EQ(send_hash(0, 0, 13), OK);
		wire_frame(tcp, sizeof(tcp));
		rx_hash(tcp, sizeof(tcp), VIRTIO_NET_HASH_REPORT_NONE, 0);
	}
}

/* RSS sets it too, on every pair; who steers does not matter to it. */
static void reported_with_rss(enum kind kind)
{
	start(kind, 4, STEERED | F(HASH_REPORT));
	for (unsigned i = 0; i < 5; i++) {
		u32 types = i % 2 ? HASH_IPV4 : HASH_TYPES;
		struct rss r = good;

		r.types = types;
		if (i < 3)
			CHECK_EQ(send_rss(&r), OK);
		else
			CHECK_EQ(send_hash(types, HASH_KEY, 13 + HASH_KEY), OK);
		if (i == 2)
			CHECK_EQ(set_pairs(4), OK);
		CHECK_EQ(LOAD_ONCE(&tap.program), i < 2 ? PROGRAM : -1);
		for (unsigned q = 0; q < 4; q++) {
			bench_pair(q);
			CHECK_EQ(LOAD_ONCE(&tap.header[q]), HASH_HEADER);
			rx_post_all();
			wire_frame(tcp, sizeof(tcp));
			rx_hash(tcp, sizeof(tcp), i % 2 ? VIRTIO_NET_HASH_REPORT_IPv4 : VIRTIO_NET_HASH_REPORT_TCPv4,
				i % 2 ? TCP_ADDRESSES : TCP_PORTS);
		}
		bench_pair(0);
	}
}

/* 5.1.6: the header is as long as this driver, not the last one, agreed to. */
static void driver_after_driver(enum kind kind)
{
	bench_start((struct bench_setup){ .kind = kind, .features = REPORTING, .queue_size = 64 });
	for (unsigned i = 0; i < 6; i++) {
		bool reports = i % 3 != 1;

		next_driver(reports ? REPORTING : FULL);
		CHECK_EQ(LOAD_ONCE(&tap.header[0]), reports ? HASH_HEADER : HEADER);
		rx_post_all();
		if (reports) {
			wire_frame(tcp, sizeof(tcp));
			rx_hash(tcp, sizeof(tcp), VIRTIO_NET_HASH_REPORT_NONE, 0);
			CHECK_EQ(send_hash(HASH_TYPES, HASH_KEY, 13 + HASH_KEY), OK);
			wire_frame(tcp, sizeof(tcp));
			rx_hash(tcp, sizeof(tcp), VIRTIO_NET_HASH_REPORT_TCPv4, TCP_PORTS);
		} else {
			wire_send(i, 100);
			rx_expect(i, 100);
			CHECK_EQ(send_hash(HASH_TYPES, HASH_KEY, 13 + HASH_KEY), ERR);
		}
	}
}

/* A header that is not whole. */
static void no_room_for_a_header(enum kind kind)
{
	bench_start((struct bench_setup){ .kind = kind, .features = REPORTING, .queue_size = 64, .rx_len = 19 });
	/* Nothing behind 20 bytes is no frame. */
	for (u32 len = 1; len <= 8; len++) {
		CHECK(tx_add(len, len, NULL));
		tx_show();
		tx_reap(1);
		CHECK(wire_is_silent());
	}
	CHECK_EQ(counters().tx.drop_short, 8);
	CHECK_EQ(counters().tx.packets, 0);
	stderr_capture();
	rx_post_all();
	CHECK(needs_reset());
	stderr_release((char[1000]){ 0 }, 1000);
}

/* Whatever comes, what steers is never told of a pair that is not there. */
static void any_command(enum kind kind)
{
	u64 seed = kind + 1;

	start(kind, 4, STEERED | F(HASH_REPORT));
	CHECK_EQ(send_rss(&good), OK);
	for (unsigned i = 0; i < 3000; i++) {
		static u8 what[2048];
		struct rss r = good;
		u32 len, n = (u32)(random_next(&seed) >> 32);

		r.mask = (u16)((1u << n % 9) - 1 + (n % 5 == 0));
		r.n = (u16)MIN(r.mask + 1u + (n % 7 == 0), ARRAY_SIZE(r.pair));
		for (unsigned k = 0; k < r.n; k++)
			r.pair[k] = (u16)(n >> k % 16 & 3);
		len = put_rss(&r, what);
		for (n = n % 3; n; n--)
			what[random_next(&seed) % len] = (u8)(random_next(&seed) >> 40);
		look();
		command(VIRTIO_NET_CTRL_MQ, (u8)(1 + i % 7 / 6), what, len);
		look();
		CHECK(map.mask < STEERING_TABLE && !(map.types & ~HASH_TYPES));
		CHECK(map.unclassified < attached() && attached() <= 4);
		for (unsigned k = 0; k <= map.mask; k++)
			CHECK(map.pair[k] < attached());
	}
	CHECK(counters().control.refused > 500 && counters().control.commands - counters().control.refused > 500);
	bench_reset();
	bench_up();
	rx_post_all();
	wire_frame(tcp, sizeof(tcp));
	rx_hash(tcp, sizeof(tcp), VIRTIO_NET_HASH_REPORT_NONE, 0);
}

EACH(what_is_told)
EACH(rules_are_taken)
EACH(wrong_rules)
EACH(last_one_counts)
EACH(refused_by_the_tap)
EACH(without_mq)
EACH(reported)
EACH(reported_with_rss)
EACH(driver_after_driver)
EACH(no_room_for_a_header)
EACH(any_command)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("the limits are told, RSS is offered where it can be (5.1.4)", what_is_told),
		ROWS("the kernel's program is told the driver's rules (5.1.6.5.7)", rules_are_taken),
		ROWS("rules that are not allowed are refused and change nothing (5.1.6.5.7)", wrong_rules),
		ROWS("of both ways to steer the last one sent counts (5.1.6.5.6)", last_one_counts),
		ROWS("a tap that takes no program is no harm", refused_by_the_tap),
		ROWS("RSS without MQ has all the pairs (5.1.2)", without_mq),
		ROWS("the hash is in the header of what is received (5.1.6.4.3)", reported),
		ROWS("on every pair, whoever steers", reported_with_rss),
		ROWS("the header is as long as the driver agreed to, and the next one did (5.1.6)", driver_after_driver),
		ROWS("a frame needs more than the longer header, a buffer no less", no_room_for_a_header),
		ROWS("any command leaves rules that can be followed", any_command),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
