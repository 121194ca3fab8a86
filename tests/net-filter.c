// SPDX-License-Identifier: MIT
/*
 * net-filter.c - which frames pass a receive filter, as a table of modes,
 * addresses and VLANs.  Clauses are those of virtio 1.2.
 */
#include "../devices/net_filter.h"

#include "check.h"

#define OWN "\x02\x00\x00\x00\x00\x01"
#define OTHER "\x02\x00\x00\x00\x00\x02"
#define LISTED "\x02\x00\x00\x00\x00\x03"
#define NULL_MAC "\0\0\0\0\0\0"
#define GROUP "\x01\x00\x5e\x00\x00\x01"
#define GROUP6 "\x33\x33\x00\x00\x00\x01"
#define JOINED "\x01\x00\x5e\x00\x00\x02"
#define ALL "\xff\xff\xff\xff\xff\xff"
#define ALMOST_ALL "\xff\xff\xff\xff\xff\xfe"

static struct net_filter f;

/* A driver that filters by address: not promiscuous, one of each kind listed. */
static void by_mac(void)
{
	filter_reset(&f, (const u8 *)OWN, true, false);
	f.promisc = false;
	memcpy(f.uni[f.n_uni++], LISTED, 6);
	memcpy(f.multi[f.n_multi++], JOINED, 6);
}

static bool passes(const char *to)
{
	u8 frame[60] = { 0 };

	memcpy(frame, to, 6);
	frame[12] = 8;
	return filter_accepts(&f, frame, FILTER_FRAME_HEAD);
}

/* An outer tag and, if inner is not 0, another type behind it. */
static bool tag_passes(const char *to, u16 type, u16 tci, u16 inner)
{
	u8 frame[60] = { 0 };

	memcpy(frame, to, 6);
	frame[12] = (u8)(type >> 8);
	frame[13] = (u8)type;
	frame[14] = (u8)(tci >> 8);
	frame[15] = (u8)tci;
	frame[16] = (u8)(inner >> 8);
	frame[17] = (u8)inner;
	return filter_accepts(&f, frame, FILTER_FRAME_HEAD);
}

static void nothing_negotiated(void)
{
	const char *to[] = { OWN, OTHER, GROUP, GROUP6, ALL, NULL_MAC };

	filter_reset(&f, (const u8 *)OWN, false, false);
	for (unsigned i = 0; i < ARRAY_SIZE(to); i++) {
		CHECK(passes(to[i]));
		CHECK(tag_passes(to[i], 0x8100, 7, 0x0800));
	}
}

static void promiscuous_at_first(void)
{
	filter_reset(&f, (const u8 *)OWN, true, true);
	CHECK(passes(OTHER));
	CHECK(passes(GROUP));
	CHECK(tag_passes(OTHER, 0x8100, 7, 0x0800));
}

static void unicast(void)
{
	by_mac();
	CHECK(passes(OWN));
	CHECK(passes(LISTED));
	CHECK(!passes(OTHER));
	CHECK(!passes(NULL_MAC));
	/* The groups' table is not for single addresses. */
	memcpy(f.multi[f.n_multi++], OTHER, 6);
	CHECK(!passes(OTHER));
	f.alluni = true;
	CHECK(passes(OTHER));
	CHECK(!passes(GROUP));
}

static void another_own_address(void)
{
	by_mac();
	memcpy(f.mac, OTHER, 6);
	CHECK(passes(OTHER));
	CHECK(!passes(OWN));
}

static void multicast(void)
{
	by_mac();
	CHECK(passes(JOINED));
	CHECK(!passes(GROUP));
	CHECK(!passes(GROUP6));
	CHECK(!passes(ALMOST_ALL));
	memcpy(f.uni[f.n_uni++], GROUP, 6);
	CHECK(!passes(GROUP));
	f.allmulti = true;
	CHECK(passes(GROUP));
	CHECK(passes(GROUP6));
	CHECK(passes(ALMOST_ALL));
	CHECK(!passes(OTHER));
}

static void broadcast(void)
{
	by_mac();
	CHECK(passes(ALL));
	f.nomulti = true;
	CHECK(passes(ALL)); /* 5.1.6.5.1.1: not a multicast in this */
	f.nobcast = true;
	CHECK(!passes(ALL));
	f.allmulti = true;
	CHECK(!passes(ALL));
	/* Not even when it is listed as a group. */
	memcpy(f.multi[f.n_multi++], ALL, 6);
	CHECK(!passes(ALL));
}

static void suppressed(void)
{
	by_mac();
	f.nomulti = f.allmulti = true;
	CHECK(!passes(JOINED));
	CHECK(!passes(GROUP));
	CHECK(passes(OWN));
	by_mac();
	f.nouni = f.alluni = true;
	CHECK(!passes(OWN));
	CHECK(!passes(LISTED));
	CHECK(!passes(OTHER));
	CHECK(passes(JOINED));
	CHECK(passes(ALL));
}

static void promiscuous_overrides(void)
{
	by_mac();
	f.by_vlan = true;
	f.nouni = f.nomulti = f.nobcast = true;
	CHECK(!passes(OWN) && !passes(JOINED) && !passes(ALL));
	f.promisc = true;
	CHECK(passes(OWN));
	CHECK(passes(OTHER));
	CHECK(passes(GROUP));
	CHECK(passes(ALL));
	CHECK(tag_passes(OTHER, 0x8100, 99, 0x0800));
}

static void full_tables(void)
{
	u8 mac[6];

	by_mac();
	f.n_uni = f.n_multi = FILTER_MACS;
	for (unsigned i = 0; i < FILTER_MACS; i++) {
		memcpy(f.uni[i], (u8[6]){ 2, 1, 1, 1, 1, (u8)i }, 6);
		memcpy(f.multi[i], (u8[6]){ 3, 1, 1, 1, 1, (u8)i }, 6);
	}
	for (unsigned i = 0; i < 256; i++) {
		memcpy(mac, (u8[6]){ 2, 1, 1, 1, 1, (u8)i }, 6);
		CHECK_EQ(passes((char *)mac), i < FILTER_MACS);
		mac[0] |= 1;
		CHECK_EQ(passes((char *)mac), i < FILTER_MACS);
	}
	/* More than fit: every frame of that kind, and of no other. */
	f.n_uni = 0;
	f.all_uni = true;
	CHECK(passes(OTHER));
	CHECK(!passes(GROUP));
	f.n_multi = 0;
	f.all_multi = true;
	CHECK(passes(GROUP));
	f.nouni = f.nomulti = true;
	CHECK(!passes(OTHER));
	CHECK(!passes(GROUP));
}

static void vlans(void)
{
	filter_reset(&f, (const u8 *)OWN, false, true);
	CHECK(passes(OTHER)); /* untagged: not its business */
	CHECK(!tag_passes(OWN, 0x8100, 7, 0x0800));
	for (u16 id = 1; id < 4096; id++) {
		filter_vlan(&f, id, true);
		CHECK(tag_passes(OTHER, 0x8100, id, 0x0800));
		CHECK(tag_passes(OTHER, 0x8100, id | 0xf000, 0x0800)); /* priority is no part of it */
		CHECK(id == 4095 || !tag_passes(OTHER, 0x8100, id + 1, 0x0800));
	}
	for (u16 id = 4095; id; id--) {
		filter_vlan(&f, id, false);
		CHECK(!tag_passes(OTHER, 0x8100, id, 0x0800));
		CHECK(id == 1 || tag_passes(OTHER, 0x8100, id - 1, 0x0800));
	}
	filter_vlan(&f, 7, true);
	filter_vlan(&f, 7, true);
	filter_vlan(&f, 7, false);
	CHECK(!tag_passes(OTHER, 0x8100, 7, 0x0800));
}

/* IEEE 802.1Q: a tag with the null VLAN id makes no frame a member of any. */
static void priority_tags(void)
{
	filter_reset(&f, (const u8 *)OWN, false, true);
	CHECK(tag_passes(OWN, 0x8100, 0, 0x0800));
	CHECK(tag_passes(OWN, 0x8100, 0xe000, 0x0800));
	filter_vlan(&f, 0, true);
	filter_vlan(&f, 0, false);
	CHECK(tag_passes(OWN, 0x8100, 0, 0x0800));
}

/*
 * Drivers say which customer VLANs they want (Linux: NETIF_F_HW_VLAN_CTAG_FILTER)
 * and have no command for service tags: those are not for this filter.
 */
static void service_tags(void)
{
	filter_reset(&f, (const u8 *)OWN, false, true);
	CHECK(tag_passes(OWN, 0x88a8, 7, 0x8100));
	CHECK(tag_passes(OWN, 0x88a8, 7, 0x0800));
	/* Of two customer tags the outer counts. */
	filter_vlan(&f, 7, true);
	CHECK(tag_passes(OWN, 0x8100, 7, 0x8100));
	CHECK(!tag_passes(OWN, 0x8100, 8, 0x8100));
}

static void vlan_and_address(void)
{
	by_mac();
	f.by_vlan = true;
	filter_vlan(&f, 7, true);
	CHECK(tag_passes(OWN, 0x8100, 7, 0x0800));
	CHECK(!tag_passes(OTHER, 0x8100, 7, 0x0800));
	CHECK(!tag_passes(OWN, 0x8100, 8, 0x0800));
	CHECK(!tag_passes(GROUP, 0x8100, 7, 0x0800));
	CHECK(tag_passes(JOINED, 0x8100, 7, 0x0800));
	CHECK(tag_passes(ALL, 0x8100, 7, 0x0800));
}

/* No address, or no tag, that could be unwanted: and not a byte behind it is read. */
static void short_frames(void)
{
	by_mac();
	f.by_vlan = true;
	for (size_t n = 0; n <= FILTER_FRAME_HEAD; n++) {
		u8 *frame = malloc(n + !n); /* to the byte, for the sanitizer */

		CHECK(frame);
		for (size_t i = 0; i < n; i++)
			frame[i] = (u8)((i < 6 ? OTHER : "\x81\0\0\x07\x08\0")[i % 6]);
		CHECK_EQ(filter_accepts(&f, frame, n), n < 14);
		if (n >= 6)
			memcpy(frame, OWN, 6);
		CHECK_EQ(filter_accepts(&f, frame, n), n < 16);
		free(frame);
	}
}

static void reset_forgets(void)
{
	by_mac();
	f.nouni = f.nomulti = f.nobcast = f.allmulti = f.alluni = true;
	filter_vlan(&f, 9, true);
	filter_reset(&f, (const u8 *)OTHER, true, true);
	f.promisc = false;
	CHECK(passes(OTHER));
	CHECK(passes(ALL));
	CHECK(!passes(OWN) && !passes(LISTED) && !passes(JOINED) && !passes(GROUP));
	CHECK(!tag_passes(OTHER, 0x8100, 9, 0x0800));
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "without a filter feature every frame passes (5.1.6.5.3.1)", nothing_negotiated },
		{ "a driver that can filter gets everything until it says what it wants", promiscuous_at_first },
		{ "its own address and those listed pass, others do not (5.1.6.5.2)", unicast },
		{ "an address that it was given counts instead of its first", another_own_address },
		{ "groups that were joined pass, or all with allmulti (5.1.6.5.1)", multicast },
		{ "broadcasts pass unless suppressed, and are no multicasts (5.1.6.5.1.1)", broadcast },
		{ "suppressing multicasts or unicasts overrides all of them (5.1.6.5.1.1)", suppressed },
		{ "promiscuous mode overrides every other (5.1.6.5.1.1)", promiscuous_overrides },
		{ "tables are used to the last entry; more means all of a kind", full_tables },
		{ "tagged frames pass only in VLANs that were added (5.1.6.5.3.1)", vlans },
		{ "a tag with a priority and no VLAN passes", priority_tags },
		{ "service tags are not filtered, and of two tags the outer counts", service_tags },
		{ "VLAN and address must both be wanted", vlan_and_address },
		{ "frames too short to tell pass, read no further than they go", short_frames },
		{ "a reset forgets it all", reset_forgets },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
