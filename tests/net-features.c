// SPDX-License-Identifier: MIT
/*
 * net-features.c - what is offered when some of it is switched off, and that a
 * driver gets what it accepted and nothing else, whichever features and in
 * whatever order.  Clauses are those of virtio 1.3.
 */
#include "control.h"

/* 5.1.3.1: each needs one of those behind it. */
static const struct { u64 feature, needs; } needs[] = {
	{ F(GUEST_TSO4), F(GUEST_CSUM) }, { F(GUEST_TSO6), F(GUEST_CSUM) },
	{ F(GUEST_ECN), F(GUEST_TSO4) | F(GUEST_TSO6) },
	{ NET_F_GUEST_USO4, F(GUEST_CSUM) }, { NET_F_GUEST_USO6, F(GUEST_CSUM) },
	{ F(HOST_TSO4), F(CSUM) }, { F(HOST_TSO6), F(CSUM) }, { NET_F_HOST_USO, F(CSUM) },
	{ F(HOST_ECN), F(HOST_TSO4) | F(HOST_TSO6) },
	{ F(CTRL_RX), F(CTRL_VQ) }, { F(CTRL_VLAN), F(CTRL_VQ) }, { F(CTRL_RX_EXTRA), F(CTRL_VQ) },
	{ F(GUEST_ANNOUNCE), F(CTRL_VQ) }, { F(MQ), F(CTRL_VQ) }, { F(CTRL_MAC_ADDR), F(CTRL_VQ) },
	{ F(CTRL_GUEST_OFFLOADS), F(CTRL_VQ) }, { NET_F_NOTF_COAL, F(CTRL_VQ) },
	{ NET_F_VQ_NOTF_COAL, F(CTRL_VQ) }, { F(HASH_REPORT), F(CTRL_VQ) }, { F(RSS), F(CTRL_VQ) },
};

/* What is left without those whose needs are not met. */
static u64 closed(u64 features)
{
	for (unsigned again = 0; again < 3; again++)
		for (unsigned i = 0; i < ARRAY_SIZE(needs); i++)
			if (!(features & needs[i].needs))
				features &= ~needs[i].feature;
	return features;
}

/* Linux refills a ring that is more than half used up, in buffers of 1526 bytes at first. */
static void small_rings(void)
{
	struct net_params p = { .pairs = 1, .queue_size = 64, .mtu = 65535 };

	CHECK(!(net_features_offered(&p) & F(MRG_RXBUF)));
	p.mtu = 48000;
	CHECK(net_features_offered(&p) & F(MRG_RXBUF));
	p.queue_size = 128;
	p.mtu = 65535;
	CHECK(net_features_offered(&p) & F(MRG_RXBUF));
}

static void switches(void)
{
	const u64 everything = OFFERED | F(MQ) | F(RSS) | USO;
	struct steering steering = { .program = -1 };
	const char *name;
	u64 seed = 5;
	unsigned n = 0;

	while (net_feature_switch(n))
		n++;
	CHECK(n > 10);
	for (unsigned i = 0; i < n + 100; i++) {
		u64 declined = 0;

		/* Each by its name, then some together. */
		for (unsigned k = 0; k < n; k++)
			if (i < n ? k == i : random_next(&seed) % 4 == 0)
				declined |= net_feature_bits(net_feature_switch(k));
		CHECK(i >= n || declined);
		bench_open((struct bench_setup){ .kind = POLL, .pairs = 2, .uso = true, .declined = declined,
						   .steering = &steering });
		/* Not a rule of the specification: who declines one means both. */
		if (declined & F(MQ))
			declined |= F(RSS);
		CHECK_EQ(reg_read_features(b.dev), closed(everything & ~declined));
		/* And all of that may be accepted. */
		CHECK(driver_negotiate(b.dev, reg_read_features(b.dev)));
	}
	/* The names, and that they mean what they say. */
	for (unsigned i = 0; (name = net_feature_switch(i)); i++)
		for (unsigned k = 0; k < i; k++)
			CHECK(strcmp(name, net_feature_switch(k)));
	CHECK_EQ(net_feature_bits("event_idx"), EVENT);
	CHECK_EQ(net_feature_bits("indirect"), INDIRECT);
	CHECK_EQ(net_feature_bits("mrg_rxbuf"), F(MRG_RXBUF));
	CHECK_EQ(net_feature_bits("csum"), F(CSUM) | F(GUEST_CSUM));
	CHECK_EQ(net_feature_bits("tso"), OFFLOADS & ~(F(CSUM) | F(GUEST_CSUM)));
	CHECK_EQ(net_feature_bits("uso"), USO);
	CHECK_EQ(net_feature_bits("notf_coal"), NET_F_NOTF_COAL | NET_F_VQ_NOTF_COAL);
	CHECK_EQ(net_feature_bits("ring_reset"), RING_RESET);
	CHECK_EQ(net_feature_bits("rss"), F(RSS));
	CHECK_EQ(net_feature_bits("hash_report"), F(HASH_REPORT));
	CHECK_EQ(net_feature_bits("version_1"), 0);
	CHECK_EQ(net_feature_bits(""), 0);
	/* A tap without UDP segmentation, one pair. */
	bench_open((struct bench_setup){ .kind = POLL });
	CHECK_EQ(reg_read_features(b.dev), OFFERED);
}

/* The words of the features in any order, the last written counts. */
static bool negotiate(u64 features, unsigned order)
{
	const u32 word[2] = { (u32)features, (u32)(features >> 32) };
	u32 status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	reg_write(b.dev, VIRTIO_MMIO_STATUS, 0);
	reg_write(b.dev, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	reg_write(b.dev, VIRTIO_MMIO_STATUS, status);
	for (unsigned i = 0; i < 4; i++) {
		u32 which = (i ^ order) & 1;

		reg_write(b.dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, which);
		reg_write(b.dev, VIRTIO_MMIO_DRIVER_FEATURES, i < 2 && order & 2 ? ~0u : word[which]);
	}
	reg_write(b.dev, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_FEATURES_OK);
	return reg_read(b.dev, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void any_features(enum kind kind)
{
	const struct { u8 flags, gso; u64 needs; } t[] = {
		{ 0, 0, V1 },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, F(GUEST_CSUM) },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, F(GUEST_TSO4) },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV6, F(GUEST_TSO6) },
		{ VIRTIO_NET_HDR_F_NEEDS_CSUM, NET_HDR_GSO_UDP_L4, NET_F_GUEST_USO },
	};
	static u8 frame[HEADER + LARGEST + 8192];
	u64 seed = kind + 1, offered;

	bench_open((struct bench_setup){ .kind = kind, .pairs = 2, .uso = true, .features = V1 | INDIRECT });
	offered = b.dev->offered & ~F(HASH_REPORT); /* another header: net-rss.c */
	for (unsigned round = 0; round < 150; round++) {
		u64 f = V1 | (offered & random_next(&seed) & (round % 3 ? ~0ULL : random_next(&seed)));
		u32 expected = 0, declined = 0;
		u64 before;
		bool fine = f == closed(f);

		stderr_capture();
		CHECK_EQ(negotiate(f, round), fine);
		f = closed(f);
		CHECK(negotiate(f, round));
		stderr_release((char[1000]){ 0 }, 1000);
		b.setup.features = f;
		for (unsigned i = 0; i < 2; i++) {
			bench_pair(i);
			b.rx.event_idx = b.tx.event_idx = b.control.event_idx = f & EVENT;
			b.rx.indirect = b.tx.indirect = b.control.indirect = f & INDIRECT;
		}
		bench_queues();
		before = counters().rx.drop_declined;
		if (f & F(GUEST_CSUM))
			expected = TUN_F_CSUM | (f & F(GUEST_TSO4) ? TUN_F_TSO4 : 0) |
				   (f & F(GUEST_TSO6) ? TUN_F_TSO6 : 0) | (f & F(GUEST_ECN) ? TUN_F_TSO_ECN : 0) |
				   ((f & NET_F_GUEST_USO) == NET_F_GUEST_USO ? 0x60 : 0);
		CHECK_EQ(LOAD_ONCE(&tap.offloads), expected);
		rx_post_all();
		for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
			struct virtio_net_hdr_v1 h = { .flags = t[i].flags, .gso_type = t[i].gso, .gso_size = 500 }, got;
			u32 total;

			CHECK(wire_try_send(i, 1000, &h));
			if (!(f & t[i].needs)) {
				declined++;
				continue;
			}
			CHECK(wait_used(&b.rx, 1));
			CHECK(rx_take(frame, &total, &got));
			CHECK_EQ(total, HEADER + 1000);
			CHECK_EQ(got.flags, t[i].flags);
			CHECK_EQ(got.gso_type, t[i].gso);
			CHECK_EQ(got.num_buffers, 1);
		}
		CHECK(wait_count(&b.net->worker[0]->count.rx.drop_declined, before + declined));
		CHECK(tx_add(round, 100, NULL));
		tx_show();
		wire_expect(round, 100);
		if (f & F(CTRL_VQ))
			CHECK_EQ(rx_mode(0, 1), f & F(CTRL_RX) ? OK : ERR);
	}
}

EACH(any_features)

int main(void)
{
	static const struct check_test tests[] = {
		{ "buffers that may be one of several only if half a ring of them holds any frame", small_rings },
		{ "each switch takes its features away, with those that need them", switches },
		ROWS("any features that go together, in any order, do what they say", any_features),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
