// SPDX-License-Identifier: MIT
/*
 * pcapng.c - blocks, read back by the rules of the format
 * (draft-ietf-opsawg-pcapng, sections 3 and 4) and not by those of the writer.
 */
#include "pcapng.h"

#include "check.h"

static u8 block[PCAPNG_ROOM + 70000];
static size_t len;

static u32 word(size_t at)
{
	u32 v;

	CHECK(at + 4 <= len);
	memcpy(&v, block + at, 4);
	return v;
}

static u16 half(size_t at)
{
	u16 v;

	CHECK(at + 2 <= len);
	memcpy(&v, block + at, 2);
	return v;
}

/* 3.1: multiples of four, the same length twice; what follows stays as it was. */
static void check_block(u32 type)
{
	CHECK(len >= 12 && len % 4 == 0);
	CHECK_EQ(word(0), type);
	CHECK_EQ(word(4), len);
	CHECK_EQ(word(len - 4), len);
	for (size_t i = len; i < len + 16; i++)
		CHECK_EQ(block[i], 0xee);
}

/* 3.5: options from there on to the end; the value of the first with that code. */
static const u8 *option(size_t at, u16 code, u16 *option_len)
{
	const u8 *found = NULL;

	for (;;) {
		u16 n = half(at + 2);

		if (!half(at)) {
			CHECK_EQ(n, 0);
			CHECK_EQ(at + 4, len - 4); /* nothing behind the end of options */
			return found;
		}
		CHECK(at + 4 + n <= len - 8);
		for (size_t i = n; i & 3; i++)
			CHECK_EQ(block[at + 4 + i], 0);
		if (half(at) == code) {
			CHECK(!found);
			found = block + at + 4;
			*option_len = n;
		}
		at += 4 + ALIGN_UP(n, 4);
	}
}

static u64 number(size_t at, u16 code, u16 bytes)
{
	u16 n = 0;
	u64 v = 0;
	const u8 *p = option(at, code, &n);

	CHECK(p);
	CHECK_EQ(n, bytes);
	memcpy(&v, p, n);
	return v;
}

static const char *text(size_t at, u16 code)
{
	static char t[400];
	u16 n = 0;
	const u8 *p = option(at, code, &n);

	CHECK(p && n < sizeof(t));
	memcpy(t, p, n);
	t[n] = '\0';
	return t;
}

static void clear(void)
{
	memset(block, 0xee, sizeof(block));
}

static void section(void)
{
	char os[8] = "";

	for (unsigned i = 0; i < 7; i++) { /* all ways to be filled up */
		clear();
		len = pcapng_section(block, &(struct pcapng_section){ .hardware = "wood", .os = os, .application = "r 1" });
		check_block(0x0a0d0d0a);
		CHECK_EQ(word(8), 0x1a2b3c4d);
		CHECK_EQ(word(12), 1);
		CHECK(word(16) == ~0u && word(20) == ~0u);
		CHECK_STR(text(24, 2), "wood");
		CHECK_STR(text(24, 3), os);
		CHECK_STR(text(24, 4), "r 1");
		os[i] = 'x';
	}
}

static void interface(void)
{
	const struct pcapng_interface i = {
		.name = "tap0", .mac = { 2, 3, 4, 5, 6, 7 }, .speed = 10000000000, .snaplen = 128,
	};
	u16 n = 0;

	clear();
	len = pcapng_interface(block, &i);
	check_block(1);
	CHECK_EQ(half(8), 1); /* Ethernet */
	CHECK_EQ(half(10), 0);
	CHECK_EQ(word(12), 128);
	CHECK_STR(text(16, 2), "tap0");
	CHECK(!memcmp(option(16, 6, &n), i.mac, 6) && n == 6);
	CHECK_EQ(number(16, 8, 8), 10000000000);
	CHECK_EQ(number(16, 9, 1), 9);
}

static void long_names(void)
{
	char long_name[500];

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	clear();
	len = pcapng_section(block, &(struct pcapng_section){ long_name, long_name, long_name });
	check_block(0x0a0d0d0a);
	CHECK(len <= PCAPNG_ROOM);
}

static struct capture_record *record(u32 captured, u32 of)
{
	static union {
		struct capture_record r;
		u8 room[CAPTURE_RECORD + 70000];
	} u;

	memset(&u, 0, sizeof(u));
	for (u32 i = 0; i < captured; i++)
		u.r.data[i] = (u8)(i * 7 + 1);
	u.r.ns = 5;
	u.r.len = of;
	u.r.captured = captured;
	u.r.way = CAPTURE_RX;
	return &u.r;
}

/* Where a packet's options begin. */
#define OPTIONS (28 + ALIGN_UP(word(20), 4))

static void packet(void)
{
	struct capture_record *r = record(60, 1514);

	*r = (struct capture_record){
		.ns = 7000000001, .len = 1514, .captured = 60, .batch = 17, .head = 5, .buffers = 2, .way = CAPTURE_RX,
		.fate = NET_FATE_RAISED, .irq_ns = 1234,
	};
	clear();
	len = pcapng_packet(block, r, 3, 1ULL << 32);
	check_block(6);
	CHECK_EQ(word(8), 0);
	CHECK_EQ((u64)word(12) << 32 | word(16), 7000000001 + (1ULL << 32));
	CHECK_EQ(word(20), 60);
	CHECK_EQ(word(24), 1514);
	CHECK_EQ(number(OPTIONS, 2, 4), 1); /* inbound */
	CHECK_EQ(number(OPTIONS, 6, 4), 3);
	CHECK_STR(text(OPTIONS, 1), "queue=rx3 batch=17 head=5 buffers=2 irq=raised irq_ns=1234 csum=none");

	r->way = CAPTURE_TX;
	clear();
	len = pcapng_packet(block, r, 0, 0);
	CHECK_EQ(number(OPTIONS, 2, 4), 2); /* outbound */
	CHECK_HAS(text(OPTIONS, 1), "queue=tx0 ");
}

static void sizes(void)
{
	u16 n;

	for (u32 size = 0; size < 40; size++) {
		struct capture_record *r = record(size, size);

		clear();
		len = pcapng_packet(block, r, 0, 0);
		check_block(6);
		CHECK_EQ(word(20), size);
		CHECK(!memcmp(block + 28, r->data, size));
		for (u32 i = size; i & 3; i++)
			CHECK_EQ(block[28 + i], 0);
		CHECK(option(OPTIONS, 1, &n));
	}
	clear();
	len = pcapng_packet(block, record(65600, 65600), 0, 0);
	check_block(6);
	CHECK(len <= 65600 + PCAPNG_ROOM);
}

static const char *comment_of(struct capture_record *r)
{
	clear();
	len = pcapng_packet(block, r, 0, 0);
	return text(OPTIONS, 1);
}

static void comments(void)
{
	struct capture_record *r = record(0, 0);

	CHECK_HAS(comment_of(r), " irq=unknown csum=none");
	r->fate = NET_FATE_SUPPRESSED;
	CHECK_HAS(comment_of(r), " irq=suppressed irq_ns=0 ");
	r->deferred = 1;
	r->fate = NET_FATE_RAISED;
	r->irq_ns = ~0u;
	CHECK_HAS(comment_of(r), " irq=deferred,raised irq_ns=4294967295 ");
	r->header.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	CHECK_HAS(comment_of(r), " csum=valid");
	r->header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	r->header.csum_start = 34;
	r->header.csum_offset = 16;
	CHECK_HAS(comment_of(r), " csum=needed,34+16");
	r->header.gso_size = 1448;
	r->header.gso_type = 1;
	CHECK_HAS(comment_of(r), " gso=tcp4 gso_size=1448");
	r->header.gso_type = 4 | 0x80;
	CHECK_HAS(comment_of(r), " gso=tcp6+ecn gso_size=1448");
	r->header.gso_type = 5;
	CHECK_HAS(comment_of(r), " gso=udp gso_size=1448");
	r->header.gso_type = 3;
	CHECK_HAS(comment_of(r), " gso=ufo gso_size=1448");
	r->header.gso_type = 99; /* a guest may write what it likes */
	CHECK_HAS(comment_of(r), " gso=99 gso_size=1448");
}

static void drops(void)
{
	struct capture_record *r = record(0, 0);
	u16 n;

	clear();
	len = pcapng_packet(block, r, 0, 0);
	CHECK(!option(OPTIONS, 4, &n));
	r->lost = 77;
	clear();
	len = pcapng_packet(block, r, 0, 0);
	CHECK_EQ(number(OPTIONS, 4, 8), 77);
}

/* The longest of everything. */
static void room(void)
{
	struct capture_record *r = record(0, 0);

	memset(r, 0xff, CAPTURE_RECORD);
	r->captured = 0;
	r->fate = NET_FATE_RAISED;
	clear();
	len = pcapng_packet(block, r, 4000000000u, ~0ULL);
	check_block(6);
	CHECK(len <= PCAPNG_ROOM);
}

static void statistics(void)
{
	const struct pcapng_statistics s = { .start = 1ULL << 40, .now = (1ULL << 40) + 3, .seen = 100, .dropped = 7 };
	u16 n = 0;
	u32 t[2];

	clear();
	len = pcapng_statistics(block, &s);
	check_block(5);
	CHECK_EQ(word(8), 0);
	CHECK_EQ((u64)word(12) << 32 | word(16), s.now);
	memcpy(t, option(20, 2, &n), 8);
	CHECK_EQ((u64)t[0] << 32 | t[1], s.start);
	memcpy(t, option(20, 3, &n), 8);
	CHECK_EQ((u64)t[0] << 32 | t[1], s.now);
	CHECK_EQ(number(20, 4, 8), 100);
	CHECK_EQ(number(20, 5, 8), 7);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "a section says who wrote it, filled up to four bytes", section },
		{ "names without an end are cut", long_names },
		{ "an interface has a name, an address, a speed, and nanoseconds", interface },
		{ "a packet has its time, length, direction, queue and comment", packet },
		{ "packets of all sizes are filled up with zeroes", sizes },
		{ "the comment tells checksum, segmentation and what became of the interrupt", comments },
		{ "what was dropped before a packet is with it, if there was any", drops },
		{ "there is room for the longest of everything", room },
		{ "statistics count what was dropped", statistics },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
