// SPDX-License-Identifier: MIT
/*
 * net-settings.c - what the commands of the control queue do to the frames
 * that come after them: filters, addresses, offloads; and the link, which is
 * told the other way.  Clauses are those of virtio 1.3.
 */
#include "control.h"

static void start(enum kind kind, u64 features)
{
	bench_start((struct bench_setup){ .kind = kind, .features = features });
	rx_post_all();
}

static void filters_drop_frames(enum kind kind)
{
	start(kind, FULL);
	/* Until it is told otherwise: all of them. */
	wire_number(other, NO_VLAN, 1);
	CHECK_EQ(rx_number(), 1);
	CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	for (u32 i = 0; i < 50; i++) {
		wire_number(other, NO_VLAN, 100);
		wire_number(group, NO_VLAN, 100);
		wire_number(own, 7, 100);
		wire_number(i & 1 ? own : all, NO_VLAN, i);
		CHECK_EQ(rx_number(), i);
		rx_post_all();
	}
	CHECK_EQ(counters().rx.filtered, 150);
	CHECK_EQ(counters().rx.packets, 51);
	CHECK_EQ(command_u16(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 7), OK);
	CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_ALLMULTI, 1), OK);
	wire_number(own, 7, 2);
	wire_number(other, 7, 100);
	wire_number(own, 8, 100);
	wire_number(group, NO_VLAN, 3);
	CHECK_EQ(rx_number(), 2);
	CHECK_EQ(rx_number(), 3);
	CHECK_EQ(counters().rx.filtered, 152);
	CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_NOBCAST, 1), OK);
	CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_ALLUNI, 1), OK);
	wire_number(all, NO_VLAN, 100);
	wire_number(other, NO_VLAN, 4);
	CHECK_EQ(rx_number(), 4);
	CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 1), OK);
	wire_number(all, 9, 5);
	CHECK_EQ(rx_number(), 5);
	CHECK_EQ(counters().rx.filtered, 153);
}

/* A frame that is filtered costs no buffer and no interrupt. */
static void filtered_is_free(enum kind kind)
{
	start(kind, FULL & ~EVENT);
	CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	interrupts();
	for (u32 i = 0; i < 1000; i++) {
		wire_number(other, NO_VLAN, i);
		if (i % 100 == 99)
			CHECK(wait_count(COUNTER(rx.filtered), i + 1));
	}
	poll(NULL, 0, 5);
	CHECK_EQ(interrupts(), 0);
	CHECK_EQ(ring_waiting(&b.rx), 0);
	/* All 256 buffers are still there. */
	for (u32 i = 0; i < 256; i++) {
		wire_number(own, NO_VLAN, i);
		CHECK_EQ(rx_number(), i);
	}
}

static void read_mac(u8 mac[6])
{
	for (unsigned i = 0; i < 6; i++)
		virtio_mmio_read(b.dev, VIRTIO_MMIO_CONFIG + i, mac + i, 1);
}

static void another_mac(enum kind kind)
{
	u8 mac[6];

	start(kind, FULL);
	CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6), OK);
	read_mac(mac);
	CHECK(!memcmp(mac, other, 6));
	wire_number(own, NO_VLAN, 1);
	wire_number(other, NO_VLAN, 2);
	CHECK_EQ(rx_number(), 2);
	/* The next driver reads it before it says DRIVER_OK, and it is not the last one's. */
	bench_reset();
	read_mac(mac);
	CHECK(!memcmp(mac, own, 6));
	bench_up();
	rx_post_all();
	CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	wire_number(other, NO_VLAN, 1);
	wire_number(own, NO_VLAN, 2);
	CHECK_EQ(rx_number(), 2);
}

static void a_reset_forgets_settings(enum kind kind)
{
	struct coal coal;

	start(kind, FULL);
	for (u8 cmd = 0; cmd <= 5; cmd++)
		CHECK_EQ(rx_mode(cmd, cmd > 2), OK);
	CHECK_EQ(command_u16(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 7), OK);
	CHECK_EQ(set_coal(RX_SET, 10, 20), OK);
	CHECK_EQ(set_coal(TX_SET, 30, 40), OK);
	CHECK_EQ(set_coal_of(0, 50, 60), OK);
	CHECK_EQ(set_offloads(0), OK);
	CHECK_EQ(LOAD_ONCE(&tap.offloads), 0);
	bench_reset();
	bench_up();
	rx_post_all();
	CHECK_EQ(LOAD_ONCE(&tap.offloads), TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN);
	for (u16 q = 0; q < 2; q++) {
		CHECK_EQ(get_coal(q, &coal), OK);
		CHECK_EQ(coal.max_packets, 0);
		CHECK_EQ(coal.max_usecs, 0);
	}
	wire_number(group, 9, 1);
	CHECK_EQ(rx_number(), 1);
	CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	wire_number(all, NO_VLAN, 2);
	wire_number(group, NO_VLAN, 100);
	wire_number(own, 7, 100);
	wire_number(own, NO_VLAN, 3);
	CHECK_EQ(rx_number(), 2);
	CHECK_EQ(rx_number(), 3);
}

/* A frame with that header; true if it came. */
static bool gso_comes(u8 flags, u8 type, u32 number)
{
	static u8 frame[HEADER + LARGEST + 8192];
	const struct virtio_net_hdr_v1 h = { .flags = flags, .gso_type = type, .hdr_len = 54, .gso_size = 500 };
	u64 declined = counters().rx.drop_declined;
	struct virtio_net_hdr_v1 got;
	u32 total;

	CHECK(wire_try_send(number, 1000, &h));
	wire_send(number, 200);
	CHECK(wait_used(&b.rx, 1));
	CHECK(rx_take(frame, &total, &got));
	if (total == HEADER + 1000) {
		CHECK_EQ(got.flags, flags);
		CHECK_EQ(got.gso_type, type);
		rx_expect(number, 200);
		CHECK_EQ(counters().rx.drop_declined, declined);
		return true;
	}
	CHECK_EQ(total, HEADER + 200);
	CHECK_EQ(counters().rx.drop_declined, declined + 1);
	return false;
}

static void offloads_live(enum kind kind)
{
	const struct { u64 on; unsigned tun; bool csum, tso4, tso6, ecn, uso; } t[] = {
		{ 0, 0, false, false, false, false, false },
		{ F(GUEST_CSUM), TUN_F_CSUM, true, false, false, false, false },
		{ F(GUEST_CSUM) | F(GUEST_TSO4), TUN_F_CSUM | TUN_F_TSO4, true, true, false, false, false },
		{ F(GUEST_CSUM) | F(GUEST_TSO6), TUN_F_CSUM | TUN_F_TSO6, true, false, true, false, false },
		{ F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_ECN), TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN,
		  true, true, false, true, false },
		{ F(GUEST_CSUM) | NET_F_GUEST_USO, TUN_F_CSUM | 0x60, true, false, false, false, true },
		{ F(GUEST_TSO4), 0, false, false, false, false, false }, /* needs the other */
	};
	const u8 csum = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	u32 n = 0;

	bench_start((struct bench_setup){ .kind = kind, .features = FULL | USO, .uso = true });
	CHECK(b.setup.features & NET_F_GUEST_USO6);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
			rx_post_all();
			CHECK_EQ(set_offloads(t[i].on), OK);
			CHECK_EQ(LOAD_ONCE(&tap.offloads), t[i].tun);
			CHECK_EQ(gso_comes(csum, 0, n++), t[i].csum);
			CHECK_EQ(gso_comes(csum, VIRTIO_NET_HDR_GSO_TCPV4, n++), t[i].tso4);
			CHECK_EQ(gso_comes(csum, VIRTIO_NET_HDR_GSO_TCPV6, n++), t[i].tso6);
			CHECK_EQ(gso_comes(csum, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, n++), t[i].ecn);
			CHECK_EQ(gso_comes(csum, NET_HDR_GSO_UDP_L4, n++), t[i].uso);
		}
	/* A tap that refuses: the command fails, and all is as it was. */
	/* Nothing would have a use for ECN then, and tun says no to that. */
	CHECK_EQ(set_offloads(F(GUEST_CSUM) | F(GUEST_ECN)), OK);
	CHECK_EQ(LOAD_ONCE(&tap.offloads), TUN_F_CSUM);
	CHECK_EQ(set_offloads(F(GUEST_CSUM)), OK);
	stderr_capture();
	STORE_ONCE(&tap.refuses, true);
	CHECK_EQ(set_offloads(F(GUEST_CSUM) | F(GUEST_TSO4)), ERR);
	STORE_ONCE(&tap.refuses, false);
	stderr_release((char[100]){ 0 }, 100);
	CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_ALLMULTI, 0), OK);
	CHECK(!gso_comes(csum, VIRTIO_NET_HDR_GSO_TCPV4, n++));
	CHECK(gso_comes(csum, 0, n++));
}

/*
 * 5.1.6.4.1: without GUEST_CSUM flags are 0.  A tap says "the checksum is
 * good" of its own accord.
 */
static void flags_are_cleared(enum kind kind)
{
	static u8 frame[HEADER + LARGEST + 8192];
	const struct virtio_net_hdr_v1 h = { .flags = VIRTIO_NET_HDR_F_DATA_VALID };
	struct virtio_net_hdr_v1 got;
	u32 total;

	for (unsigned i = 0; i < 6; i++) {
		/* Also in a header in crumbs, and one that was withdrawn. */
		bench_start((struct bench_setup){
			.kind = kind, .features = i % 2 ? FULL : V1 | F(MRG_RXBUF),
			.rx_parts = i < 4 ? 1 : 20, .rx_len = i < 2 ? 1526 : 200,
		});
		rx_post_all();
		for (unsigned off = 0; off <= i % 2; off++) {
			if (off)
				CHECK_EQ(set_offloads(0), OK);
			CHECK(wire_try_send(1, 1000, &h));
			CHECK(wait_used(&b.rx, 1));
			CHECK(rx_take(frame, &total, &got));
			CHECK_EQ(total, HEADER + 1000);
			CHECK_EQ(got.flags, i % 2 && !off ? VIRTIO_NET_HDR_F_DATA_VALID : 0);
		}
	}
}

static u16 config_status(void)
{
	u16 s;

	virtio_mmio_read(b.dev, VIRTIO_MMIO_CONFIG + offsetof(struct virtio_net_config, status), &s, 2);
	return s;
}

static void link_changes(enum kind kind)
{
	const u16 up = VIRTIO_NET_S_LINK_UP, announce = VIRTIO_NET_S_ANNOUNCE;
	u32 generation;

	start(kind, FULL);
	stderr_capture(); /* it says so each time */
	for (unsigned i = 0; i < 5; i++) {
		reg_write(b.dev, VIRTIO_MMIO_INTERRUPT_ACK, 3);
		interrupts();
		generation = reg_read(b.dev, VIRTIO_MMIO_CONFIG_GENERATION);
		CHECK_EQ(config_status(), up);
		net_set_link(b.net, false);
		CHECK_EQ(config_status(), 0);
		CHECK_EQ(interrupts(), 1);
		CHECK(reg_read(b.dev, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
		CHECK(reg_read(b.dev, VIRTIO_MMIO_CONFIG_GENERATION) != generation);
		generation = reg_read(b.dev, VIRTIO_MMIO_CONFIG_GENERATION);
		reg_write(b.dev, VIRTIO_MMIO_INTERRUPT_ACK, 2);
		net_set_link(b.net, true);
		CHECK_EQ(config_status(), up); /* to announce is asked later: the driver must be up */
		CHECK_EQ(interrupts(), 1);
		reg_write(b.dev, VIRTIO_MMIO_INTERRUPT_ACK, 2);
		generation = reg_read(b.dev, VIRTIO_MMIO_CONFIG_GENERATION);
		net_announce(b.net);
		CHECK_EQ(config_status(), up | announce);
		CHECK_EQ(interrupts(), 1);
		CHECK(reg_read(b.dev, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
		CHECK(reg_read(b.dev, VIRTIO_MMIO_CONFIG_GENERATION) != generation);
		CHECK_EQ(command(VIRTIO_NET_CTRL_ANNOUNCE, 0, NULL, 0), OK);
		CHECK_EQ(config_status(), up);
	}
	/* An announcement that was not made is not the next driver's. */
	net_announce(b.net);
	CHECK_EQ(config_status(), up | announce);
	bench_reset();
	CHECK_EQ(config_status(), up);
	net_announce(b.net);
	CHECK_EQ(config_status(), up);
	/* The link is the wire's, not the driver's: a reset leaves it down. */
	net_set_link(b.net, false);
	interrupts();
	bench_up();
	CHECK_EQ(config_status(), 0);
	bench_reset();
	CHECK_EQ(config_status(), 0);
	/* Without a driver nobody is told; one that did not ask announces nothing. */
	CHECK_EQ(interrupts(), 0);
	net_set_link(b.net, true);
	CHECK_EQ(interrupts(), 0);
	b.setup.features &= ~F(GUEST_ANNOUNCE);
	bench_up();
	net_set_link(b.net, false);
	net_set_link(b.net, true);
	interrupts();
	net_announce(b.net);
	CHECK_EQ(config_status(), up);
	CHECK_EQ(interrupts(), 0);
	stderr_release((char[4096]){ 0 }, 4096);
}

EACH(filters_drop_frames)
EACH(filtered_is_free)
EACH(another_mac)
EACH(a_reset_forgets_settings)
EACH(offloads_live)
EACH(flags_are_cleared)
EACH(link_changes)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("frames that are not wanted do not arrive, and are counted (5.1.6.5.1)", filters_drop_frames),
		ROWS("a filtered frame costs no interrupt and no buffer", filtered_is_free),
		ROWS("another address counts, is shown, and goes with a reset (5.1.6.5.2.1)", another_mac),
		ROWS("a reset forgets all settings", a_reset_forgets_settings),
		ROWS("receive offloads change live, in the tap and here (5.1.6.5.7)", offloads_live),
		ROWS("header flags are cleared while checksums are not offloaded (5.1.6.4.1)", flags_are_cleared),
		ROWS("the link goes up and down, and that the guest is there can be announced (5.1.6.5.4)", link_changes),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
