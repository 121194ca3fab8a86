// SPDX-License-Identifier: MIT
/*
 * net_features.c - which features there are, what each is called, what it needs,
 * and which of them a guest is offered.
 */
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>

#include "net_worker.h"

#define F(name) VIRTIO_BIT(VIRTIO_NET_F_##name)
#define F_SPEED_DUPLEX VIRTIO_BIT(63)

/* The smallest ring in which half of the buffers hold the largest frame. */
#define GSO_QUEUE_SIZE 128

/* What of a frame Linux puts into one small buffer that may be one of several. */
#define LINUX_BUFFER 1500

/*
 * Every feature of the device: bit, the spec's name, and the switch that takes
 * it away from the guest (NULL: it cannot be).
 */
static const struct {
	u64 bit;
	const char *name, *off;
} features[] = {
	{ F(CSUM), "csum", "csum" },
	{ F(GUEST_CSUM), "guest_csum", "csum" },
	{ F(CTRL_GUEST_OFFLOADS), "ctrl_guest_offloads", "guest_offloads" },
	{ F(MTU), "mtu", "mtu_feature" },
	{ F(MAC), "mac", NULL },
	{ F(GUEST_TSO4), "guest_tso4", "tso" },
	{ F(GUEST_TSO6), "guest_tso6", "tso" },
	{ F(GUEST_ECN), "guest_ecn", "tso" },
	{ F(HOST_TSO4), "host_tso4", "tso" },
	{ F(HOST_TSO6), "host_tso6", "tso" },
	{ F(HOST_ECN), "host_ecn", "tso" },
	{ F(MRG_RXBUF), "mrg_rxbuf", "mrg_rxbuf" },
	{ F(STATUS), "status", "status" },
	{ F(CTRL_VQ), "ctrl_vq", "ctrl_vq" },
	{ F(CTRL_RX), "ctrl_rx", "ctrl_rx" },
	{ F(CTRL_VLAN), "ctrl_vlan", "ctrl_vlan" },
	{ F(CTRL_RX_EXTRA), "ctrl_rx_extra", "ctrl_rx" },
	{ F(GUEST_ANNOUNCE), "guest_announce", "announce" },
	{ F(MQ), "mq", "mq" },
	{ F(CTRL_MAC_ADDR), "ctrl_mac_addr", "ctrl_mac_addr" },
	{ VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC), "indirect_desc", "indirect" },
	{ VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX), "event_idx", "event_idx" },
	{ VIRTIO_BIT(VIRTIO_F_VERSION_1), "version_1", NULL },
	{ VIRTIO_BIT(VIRTIO_F_RING_RESET), "ring_reset", "ring_reset" },
	{ NET_F_VQ_NOTF_COAL, "vq_notf_coal", "notf_coal" },
	{ NET_F_NOTF_COAL, "notf_coal", "notf_coal" },
	{ NET_F_GUEST_USO4, "guest_uso4", "uso" },
	{ NET_F_GUEST_USO6, "guest_uso6", "uso" },
	{ NET_F_HOST_USO, "host_uso", "uso" },
	{ F(HASH_REPORT), "hash_report", "hash_report" },
	{ F(RSS), "rss", "rss" },
	{ F_SPEED_DUPLEX, "speed_duplex", "speed_duplex" },
};

/* 5.1.3.1: what needs what. */
static const struct dependency {
	u64 feature, needs_one_of;
	const char *sentence;
} dependencies[] = {
	{ F(GUEST_TSO4), F(GUEST_CSUM), "GUEST_TSO4 needs GUEST_CSUM" },
	{ F(GUEST_TSO6), F(GUEST_CSUM), "GUEST_TSO6 needs GUEST_CSUM" },
	{ F(GUEST_ECN), F(GUEST_TSO4) | F(GUEST_TSO6), "GUEST_ECN needs GUEST_TSO4 or GUEST_TSO6" },
	{ NET_F_GUEST_USO4, F(GUEST_CSUM), "GUEST_USO4 needs GUEST_CSUM" },
	{ NET_F_GUEST_USO6, F(GUEST_CSUM), "GUEST_USO6 needs GUEST_CSUM" },
	{ F(HOST_TSO4), F(CSUM), "HOST_TSO4 needs CSUM" },
	{ F(HOST_TSO6), F(CSUM), "HOST_TSO6 needs CSUM" },
	{ F(HOST_ECN), F(HOST_TSO4) | F(HOST_TSO6), "HOST_ECN needs HOST_TSO4 or HOST_TSO6" },
	{ NET_F_HOST_USO, F(CSUM), "HOST_USO needs CSUM" },
	{ F(CTRL_RX), F(CTRL_VQ), "CTRL_RX needs CTRL_VQ" },
	{ F(CTRL_VLAN), F(CTRL_VQ), "CTRL_VLAN needs CTRL_VQ" },
	{ F(CTRL_RX_EXTRA), F(CTRL_VQ), "CTRL_RX_EXTRA needs CTRL_VQ" },
	{ F(GUEST_ANNOUNCE), F(CTRL_VQ), "GUEST_ANNOUNCE needs CTRL_VQ" },
	{ F(MQ), F(CTRL_VQ), "MQ needs CTRL_VQ" },
	{ F(CTRL_MAC_ADDR), F(CTRL_VQ), "CTRL_MAC_ADDR needs CTRL_VQ" },
	{ F(CTRL_GUEST_OFFLOADS), F(CTRL_VQ), "CTRL_GUEST_OFFLOADS needs CTRL_VQ" },
	{ F(RSS), F(CTRL_VQ), "RSS needs CTRL_VQ" },
	{ F(HASH_REPORT), F(CTRL_VQ), "HASH_REPORT needs CTRL_VQ" },
	{ NET_F_NOTF_COAL, F(CTRL_VQ), "NOTF_COAL needs CTRL_VQ" },
	{ NET_F_VQ_NOTF_COAL, F(CTRL_VQ), "VQ_NOTF_COAL needs CTRL_VQ" },
};

const char *net_feature_names(u64 mask, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		if (mask & features[i].bit && n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? "," : "", features[i].name);
	return buf[0] ? buf : "none";
}

u64 net_feature_bits(const char *name)
{
	u64 mask = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		if (features[i].off && !strcmp(features[i].off, name))
			mask |= features[i].bit;
	return mask;
}

const char *net_feature_switch(unsigned i)
{
	/* Several features share a switch: the first of them speaks. */
	for (unsigned k = 0; k < ARRAY_SIZE(features); k++) {
		bool first = features[k].off;

		for (unsigned j = 0; first && j < k; j++)
			first = !features[j].off || strcmp(features[j].off, features[k].off);
		if (first && !i--)
			return features[k].off;
	}
	return NULL;
}

/*
 * Drivers take all that is offered.  With HASH_REPORT every frame received
 * costs a look at it, a hash and 8 bytes more, for a number that most guests
 * can work out when they need it.  With RSS Linux gives up that a flow is
 * received where it is sent: since 6.1 it sets a table as soon as it can.
 */
u64 net_features_on_demand(void)
{
	return F(HASH_REPORT) | F(RSS);
}

/* The first of `bits` that lacks what it needs; NULL: none does. */
static const struct dependency *unmet(u64 bits)
{
	for (unsigned i = 0; i < ARRAY_SIZE(dependencies); i++)
		if (bits & dependencies[i].feature && !(bits & dependencies[i].needs_one_of))
			return &dependencies[i];
	return NULL;
}

const char *net_features_missing(u64 accepted)
{
	const struct dependency *d = unmet(accepted);

	return d ? d->sentence : NULL;
}

/* What is left when some are not to be offered: what depends on them goes too. */
static u64 without_dependents(u64 wanted)
{
	const struct dependency *d;

	while ((d = unmet(wanted)))
		wanted &= ~d->feature;
	return wanted;
}

u64 net_features_offered(const struct net_params *p)
{
	u64 all = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		all |= features[i].bit;
	if (p->pairs == 1 || p->declined & F(MQ))
		all &= ~(F(MQ) | F(RSS)); /* with one pair there is nothing to choose */
	if (!p->steering)
		all &= ~F(RSS);
	/*
	 * Linux posts new receive buffers when more than half of a small ring
	 * is used up: what it leaves there may not hold a frame of 64 KiB, and
	 * the two of us would wait for each other.
	 */
	if (p->queue_size < GSO_QUEUE_SIZE)
		all &= ~(F(GUEST_TSO4) | F(GUEST_TSO6) | NET_F_GUEST_USO);
	/* The same of a large MTU: without this each of its buffers holds a whole frame. */
	if (p->mtu > p->queue_size / 2u * LINUX_BUFFER)
		all &= ~F(MRG_RXBUF);
	if (!p->tap_uso)
		all &= ~(NET_F_GUEST_USO | NET_F_HOST_USO);
	return without_dependents(all & ~p->declined);
}
