// SPDX-License-Identifier: MIT
/*
 * net-hash.c - the number of a flow: the Toeplitz function against the vectors
 * that everybody uses, which of a frame's bytes go into it, and the program in
 * the kernel, which must come to the same for whatever a frame may be.
 * Clauses are those of virtio 1.3.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/virtio_net.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "driver.h"
#include "net_hash.h"
#include "tap_steering.h"

#define REPORT(name) VIRTIO_NET_HASH_REPORT_##name

static const u8 known_key[HASH_KEY] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

/* The verification suite of those who defined RSS. */
static const struct flow {
	const char *from, *to;
	u16 from_port, to_port;
	u32 addresses, ports; /* hashes of the addresses alone, and with ports */
} flows[] = {
	{ "66.9.149.187", "161.142.100.80", 2794, 1766, 0x323e8fc2, 0x51ccc178 },
	{ "199.92.111.2", "65.69.140.83", 14230, 4739, 0xd718262a, 0xc626b0ea },
	{ "24.19.198.95", "12.22.207.184", 12898, 38024, 0xd2d0a5de, 0x5c2b394a },
	{ "38.27.205.30", "209.142.163.6", 48228, 2217, 0x82989176, 0xafc7327f },
	{ "153.39.163.191", "202.188.127.2", 44251, 1303, 0x5d1809c5, 0x10e828a2 },
	{ "3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, 0x2cc18cd5, 0x40207d3d },
	{ "3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, 0x0f0c461c, 0xdde51bbf },
	{ "3ffe:1900:4545:3:200:f8ff:fe21:67cf", "fe80::200:f8ff:fe21:67cf", 44251, 38024, 0x4b61e985,
	  0x02d1feef },
};

static hash_table table;
static u64 seed;

static u32 below(u32 n)
{
	return (u32)(random_next(&seed) >> 32) % n;
}

static bool is_ipv6(const struct flow *f)
{
	return strchr(f->from, ':');
}

/* Addresses, then ports, as they are hashed; how many bytes the addresses are. */
static size_t input_of(const struct flow *f, u8 *to)
{
	int family = is_ipv6(f) ? AF_INET6 : AF_INET;
	size_t n = is_ipv6(f) ? 16 : 4;
	u16 ports[2] = { htons(f->from_port), htons(f->to_port) };

	CHECK_EQ(inet_pton(family, f->from, to), 1);
	CHECK_EQ(inet_pton(family, f->to, to + n), 1);
	memcpy(to + 2 * n, ports, 4);
	return 2 * n;
}

static void known_vectors(void)
{
	hash_build(table, known_key);
	for (unsigned i = 0; i < ARRAY_SIZE(flows); i++) {
		u8 input[HASH_INPUT];
		size_t n = input_of(&flows[i], input);

		CHECK_EQ(hash_bytes(table, input, n), flows[i].addresses);
		CHECK_EQ(hash_bytes(table, input, n + 4), flows[i].ports);
	}
}

/* As it is defined, a bit at a time. */
static u32 toeplitz(const u8 *key, const u8 *input, size_t len)
{
	u32 hash = 0;

	for (unsigned bit = 0; bit < 8 * len; bit++) {
		u32 window = 0;

		for (unsigned k = bit; k < bit + 32; k++)
			window = window << 1 | (key[k / 8] >> (7 - k % 8) & 1);
		if (input[bit / 8] & 0x80 >> bit % 8)
			hash ^= window;
	}
	return hash;
}

static void any_key(void)
{
	for (unsigned i = 0; i < 200; i++) {
		u8 key[HASH_KEY], input[HASH_INPUT];

		random_fill(key, sizeof(key), i);
		random_fill(input, sizeof(input), 1000 + i);
		hash_build(table, key);
		for (size_t n = 0; n <= HASH_INPUT; n++)
			CHECK_EQ(hash_bytes(table, input, n), toeplitz(key, input, n));
	}
}

/* --- frames ---------------------------------------------------------------------- */

static struct frame {
	u8 bytes[400];
	u32 len;
} f;

static void add(const void *what, u32 len)
{
	memcpy(f.bytes + f.len, what, len);
	f.len += len;
}

static void add_type(u16 type)
{
	type = htons(type);
	add(&type, 2);
}

static void add_tag(u16 type)
{
	add_type(type);
	add_type(7); /* of VLAN 7 */
}

static void begin(void)
{
	f.len = 0;
	add("\2\0\0\0\0\1\2\0\0\0\0\2", 12);
}

/* An IP header with so many bytes of options, in front of some payload. */
static void add_ip(const struct flow *flow, u8 protocol, u8 options, u16 fragment)
{
	u8 h[60] = { 0 }, input[HASH_INPUT];
	size_t n = input_of(flow, input);

	if (is_ipv6(flow)) {
		add_type(0x86dd);
		h[0] = 0x60;
		h[6] = protocol;
		memcpy(h + 8, input, n);
		add(h, 40);
		return;
	}
	add_type(0x0800);
	h[0] = (u8)(0x45 + options / 4);
	h[6] = (u8)(fragment >> 8);
	h[7] = (u8)fragment;
	h[9] = protocol;
	memcpy(h + 12, input, n);
	memset(h + 20, 1, 40);
	add(h, 20 + options);
}

static void add_ports(const struct flow *flow)
{
	u8 input[HASH_INPUT];

	add(input + input_of(flow, input), 4);
	memset(f.bytes + f.len, 0, 16);
	f.len += 16;
}

static void expect(u32 types, u16 report, u32 want)
{
	u32 value = 99;

	CHECK_EQ(hash_frame(table, types, f.bytes, f.len, &value), report);
	CHECK_EQ(value, report == REPORT(NONE) ? 0 : want);
}

/* 5.1.6.4.3.2, 5.1.6.4.3.3 */
static void by_type(void)
{
	hash_build(table, known_key);
	for (unsigned i = 0; i < ARRAY_SIZE(flows); i++) {
		const struct flow *flow = &flows[i];
		unsigned shift = is_ipv6(flow) ? 3 : 0;
		u16 plain = shift ? REPORT(IPv6) : REPORT(IPv4);

		for (u32 types = 0; types <= HASH_TYPES; types++) {
			u32 mine = types >> shift & 7;

			for (unsigned p = 0; p < 3; p++) {
				begin();
				if (i % 2)
					add_tag(0x8100);
				add_ip(flow, p == 0 ? 6 : p == 1 ? 17 : 132, 0, 0);
				add_ports(flow);
				if (p < 2 && mine & (p ? HASH_UDPV4 : HASH_TCPV4))
					expect(types, (u16)(plain + 1 + p), flow->ports);
				else
					expect(types, mine & HASH_IPV4 ? plain : REPORT(NONE), flow->addresses);
			}
		}
	}
}

static void not_plain(void)
{
	const struct flow *v4 = &flows[0], *v6 = &flows[5];

	hash_build(table, known_key);
	/* Options, tags, fragments. */
	for (u8 options = 0; options <= 40; options = (u8)(options + 4)) {
		begin();
		add_tag(0x88a8);
		add_tag(0x8100);
		add_ip(v4, 6, options, 0x4000);
		add_ports(v4);
		expect(HASH_TYPES, REPORT(TCPv4), v4->ports);
	}
	for (unsigned i = 0; i < 2; i++) {
		begin();
		add_ip(v4, 17, 0, i ? 0x2000 : 0x0010);
		add_ports(v4);
		expect(HASH_TYPES, REPORT(IPv4), v4->addresses);
	}
	/* One tag too many; no IP at all. */
	begin();
	for (unsigned i = 0; i <= HASH_VLAN_TAGS; i++)
		add_tag(0x8100);
	add_ip(v4, 6, 0, 0);
	add_ports(v4);
	expect(HASH_TYPES, REPORT(NONE), 0);
	begin();
	add_type(0x0806);
	memset(f.bytes + f.len, 6, 28);
	f.len += 28;
	expect(HASH_TYPES, REPORT(NONE), 0);
	/* 5.1.6.4.3.4: past all extension headers that may be, and not one more. */
	for (unsigned n = 1; n <= HASH_EXTENSIONS + 1; n++) {
		begin();
		add_ip(v6, 0, 0, 0);
		for (unsigned i = 0; i < n; i++)
			add((u8[16]){ i == n - 1 ? 6 : i % 2 ? 60 : 43, 1 }, 16);
		add_ports(v6);
		expect(HASH_TYPES, n <= HASH_EXTENSIONS ? REPORT(TCPv6) : REPORT(IPv6),
		       n <= HASH_EXTENSIONS ? v6->ports : v6->addresses);
	}
	begin();
	add_ip(v6, 51, 0, 0);
	add((u8[12]){ 17, 1 }, 12);
	add_ports(v6);
	expect(HASH_TYPES, REPORT(UDPv6), v6->ports);
	begin();
	add_ip(v6, 44, 0, 0);
	add((u8[8]){ 17 }, 8);
	add_ports(v6);
	expect(HASH_TYPES, REPORT(IPv6), v6->addresses);
}

/* Cut anywhere, and kept where a byte too far is seen by the sanitizers. */
static void short_frames(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(flows); i++) {
		begin();
		add_ip(&flows[i], 6, 8, 0);
		add_ports(&flows[i]);
		for (u32 len = 0, whole = f.len; len < whole; len++) {
			u8 *cut = malloc(len ? len : 1);
			u32 value, ip = is_ipv6(&flows[i]) ? 54 : 34, ports = is_ipv6(&flows[i]) ? 58 : 46;
			u16 report;

			memcpy(cut, f.bytes, len);
			report = hash_frame(table, HASH_TYPES, cut, len, &value);
			free(cut);
			CHECK_EQ(report == REPORT(NONE), len < ip);
			CHECK_EQ(report == REPORT(TCPv4) || report == REPORT(TCPv6), len >= ports);
		}
	}
}

/* --- the kernel's opinion --------------------------------------------------------- */

static struct steering s = { .program = -1 };

/* What the program says of the frame. */
static u32 run(void)
{
	/* The test run takes the Ethernet header away: let it take another. */
	u8 in[14 + sizeof(f.bytes)] = { [12] = 0x99, [13] = 0x99 };
	union bpf_attr attr = { .test = { .prog_fd = (u32)s.program, .data_in = (uintptr_t)in, .repeat = 1 } };

	memcpy(in + 14, f.bytes, f.len);
	attr.test.data_size_in = 14 + f.len;
	CHECK_EQ(syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)), 0);
	return attr.test.retval;
}

static void add_random(u32 len)
{
	random_fill(f.bytes + f.len, len, random_next(&seed));
	f.len += len;
}

/* Mostly one that is something, with much that may be wrong. */
static void random_frame(void)
{
	static const u8 protocols[] = { 6, 17, 6, 17, 0, 43, 44, 51, 60, 59, 1 };
	const struct flow *flow = &flows[below(ARRAY_SIZE(flows))];
	u8 next = protocols[below(ARRAY_SIZE(protocols))];

	begin();
	for (u32 n = below(3) ? 0 : below(4); n; n--)
		add_tag(below(2) ? 0x8100 : 0x88a8);
	if (below(20))
		add_ip(flow, next, (u8)(below(11) * 4), below(3) ? 0x4000 : (u16)below(0x10000));
	for (u32 n = is_ipv6(flow) ? below(7) : 0; n; n--) {
		u8 h[16] = { protocols[below(ARRAY_SIZE(protocols))], (u8)(below(8) ? below(2) : below(256)) };

		add(h, 8 * (1 + (h[1] & 1)));
	}
	add_random(1 + below(100));
	/* Here and there another byte, or an end. */
	for (u32 n = below(3) ? 0 : below(4); n; n--)
		f.bytes[12 + below(f.len - 12)] = (u8)below(256);
	if (!below(4))
		f.len = 1 + below(f.len);
}

static void open_steering(void)
{
	char err[200];

	if (s.program < 0 && steering_open(&s, err, sizeof(err))) {
		printf("# %s\n", err);
		SKIP("bpf(2) is not allowed here");
	}
}

static void program_agrees(void)
{
	struct steering_rules r = { .n = STEERING_TABLE, .unclassified = 5000 };
	unsigned seen[REPORT(UDPv6) + 1] = { 0 };

	open_steering();
	for (unsigned round = 0; round < 400; round++) {
		random_fill(r.hash.key, HASH_KEY, 77 + round);
		r.hash.types = round % 3 ? HASH_TYPES : below(HASH_TYPES + 1);
		r.n = (u16)(1u << below(8));
		for (unsigned i = 0; i < r.n; i++)
			r.pair[i] = (u16)below(65536);
		steering_set(&s, &r);
		hash_build(table, r.hash.key);
		for (unsigned i = 0; i < 100; i++) {
			u16 report;
			u32 value;

			random_frame();
			report = hash_frame(table, r.hash.types, f.bytes, f.len, &value);
			seen[report]++;
			CHECK_EQ(run(), report == REPORT(NONE) ? 5000 : r.pair[value & (r.n - 1u)]);
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(seen); i++)
		CHECK(seen[i] > 500);
}

/* No number in the map, whoever wrote it, takes the program out of its table. */
static void program_is_bounded(void)
{
	open_steering();
	hash_build(s.map->table, known_key);
	s.map->types = HASH_TYPES;
	for (unsigned i = 0; i < STEERING_TABLE; i++)
		s.map->pair[i] = 1000 + i;
	for (unsigned i = 0; i < ARRAY_SIZE(flows); i++) {
		begin();
		add_ip(&flows[i], 6, 0, 0);
		add_ports(&flows[i]);
		s.map->mask = ~0u;
		CHECK_EQ(run(), 1000 + flows[i].ports % STEERING_TABLE);
	}
	steering_close(&s);
	CHECK_EQ(s.program, -1);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "the hash is what the verification suite says", known_vectors },
		{ "and for any key what the definition says", any_key },
		{ "what is hashed depends on the types that are enabled (5.1.6.4.3)", by_type },
		{ "options, tags, fragments and extension headers", not_plain },
		{ "a frame that ends too early is hashed as far as it can be", short_frames },
		{ "the program in the kernel says the same of any frame", program_agrees },
		{ "and stays in its table", program_is_bounded },
	};

	alarm(120);
	return check_run(tests, ARRAY_SIZE(tests));
}
