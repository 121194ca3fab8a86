// SPDX-License-Identifier: MIT
/*
 * net_filter.c - a frame that the driver did not ask for does not cost it an
 * interrupt: the tap hands us whatever the host's bridge floods.
 */
#include "net_filter.h"

#include <string.h>

/*
 * Customer VLANs.  Service tags (0x88a8) are not filtered: drivers do not say
 * which they want.
 */
#define TYPE_VLAN 0x8100

static const u8 broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

void filter_reset(struct net_filter *f, const u8 mac[6], bool by_mac, bool by_vlan)
{
	memset(f, 0, sizeof(*f));
	f->by_mac = by_mac;
	f->by_vlan = by_vlan;
	f->promisc = by_mac;
	memcpy(f->mac, mac, sizeof(f->mac));
}

void filter_vlan(struct net_filter *f, u16 id, bool wanted)
{
	u8 bit = (u8)(1u << (id & 7));

	if (wanted)
		f->vlan[id / 8] |= bit;
	else
		f->vlan[id / 8] &= (u8)~bit;
}

static bool listed(const u8 table[][6], unsigned n, const u8 *mac)
{
	for (unsigned i = 0; i < n; i++)
		if (!memcmp(table[i], mac, 6))
			return true;
	return false;
}

static bool mac_is_wanted(const struct net_filter *f, const u8 *to)
{
	if (!memcmp(to, broadcast, 6))
		return !f->nobcast;
	if (to[0] & 1)
		return !f->nomulti && (f->allmulti || f->all_multi || listed(f->multi, f->n_multi, to));
	return !f->nouni &&
	       (f->alluni || f->all_uni || !memcmp(to, f->mac, 6) || listed(f->uni, f->n_uni, to));
}

bool filter_accepts(const struct net_filter *f, const u8 *frame, size_t len)
{
	unsigned type, id;

	if (f->promisc || len < 14)
		return true;
	if (f->by_vlan && len >= 16) {
		type = frame[12] << 8 | frame[13];
		id = (frame[14] << 8 | frame[15]) & 0xfff;
		/* Id 0 is a priority without a VLAN: to be in none is no reason. */
		if (type == TYPE_VLAN && id && !(f->vlan[id / 8] & 1u << (id & 7)))
			return false;
	}
	return !f->by_mac || mac_is_wanted(f, frame);
}
