/* SPDX-License-Identifier: MIT */
/*
 * net_filter.h - which frames a driver asked for (virtio 1.2, 5.1.6.5.1 to
 * 5.1.6.5.3): modes, a table of addresses, a set of VLANs.  Pure functions
 * over a struct; each device thread has a copy of its own.
 */
#ifndef RINGLET_NET_FILTER_H
#define RINGLET_NET_FILTER_H

#include "base.h"

#define FILTER_MACS 64	    /* of each kind; more: take every frame of that kind */
#define FILTER_FRAME_HEAD 18 /* bytes of a frame that are looked at, at most */

struct net_filter {
	/* What the driver can ask for at all: without, every frame passes. */
	bool by_mac, by_vlan;
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	u8 mac[6];
	u8 n_uni, n_multi;
	bool all_uni, all_multi; /* the table did not hold them all */
	u8 uni[FILTER_MACS][6], multi[FILTER_MACS][6];
	u8 vlan[4096 / 8];
};

/*
 * A new driver's filter.  With by_mac it is promiscuous until the driver says
 * what it wants; with by_vlan no tagged frame passes (5.1.6.5.3.1).
 */
void filter_reset(struct net_filter *f, const u8 mac[6], bool by_mac, bool by_vlan);

/* The frame starts with these len bytes (an Ethernet header, no virtio one). */
bool filter_accepts(const struct net_filter *f, const u8 *frame, size_t len);

void filter_vlan(struct net_filter *f, u16 id, bool wanted);

#endif
