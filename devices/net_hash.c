// SPDX-License-Identifier: MIT
/*
 * net_hash.c - which flow a frame belongs to.
 *
 * The hash is linear: each bit of the input that is set adds, by exclusive or,
 * the 32 bits of the key that begin at its position.  So a table of what each
 * byte adds makes it one look-up per byte, here and in the kernel's copy.
 */
#include "net_hash.h"

#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <string.h>

_Static_assert(HASH_INPUT + 4 == HASH_KEY, "the last bit needs 32 bits of the key");
_Static_assert(HASH_IPV4 == VIRTIO_NET_RSS_HASH_TYPE_IPv4 && HASH_UDPV6 == VIRTIO_NET_RSS_HASH_TYPE_UDPv6 &&
	       HASH_TYPES == 2 * HASH_UDPV6 - 1, "they are the specification's");

void hash_build(hash_table table, const u8 key[HASH_KEY])
{
	for (unsigned i = 0; i < HASH_INPUT; i++) {
		const u8 *k = key + i;
		u64 window = (u64)k[0] << 32 | (u64)k[1] << 24 | (u64)k[2] << 16 | (u64)k[3] << 8 | k[4];

		table[i][0] = 0;
		/* One bit more than a value that is there already. */
		for (unsigned v = 1; v < 256; v++)
			table[i][v] = table[i][v & (v - 1)] ^ (u32)(window >> (1 + __builtin_ctz(v)));
	}
}

u32 hash_bytes(const hash_table table, const u8 *input, size_t len)
{
	u32 hash = 0;

	for (size_t i = 0; i < len; i++)
		hash ^= table[i][input[i]];
	return hash;
}

static unsigned be16(const u8 *p)
{
	return p[0] << 8 | p[1];
}

/* Ports behind the addresses, if the packet has and the driver wants them. */
static bool add_ports(u32 wanted, u32 tcp, u32 udp, unsigned protocol, const u8 *frame, size_t len,
		      size_t at, u8 *to)
{
	if (!(protocol == IPPROTO_TCP && wanted & tcp) && !(protocol == IPPROTO_UDP && wanted & udp))
		return false;
	if (at > HASH_FRAME_HEAD - 4 || at + 4 > len)
		return false;
	memcpy(to, frame + at, 4);
	return true;
}

static u16 hash_ipv4(const hash_table table, u32 types, const u8 *frame, size_t len, size_t at, u32 *value)
{
	const u8 *h = frame + at;
	u8 input[12];
	size_t header;

	if (at + 20 > len)
		return VIRTIO_NET_HASH_REPORT_NONE;
	header = (h[0] & 0xf) * 4u;
	memcpy(input, h + 12, 8);
	/* Of a fragment only the first has ports: none of them is asked for any. */
	if (!(be16(h + 6) & 0x3fff) &&
	    add_ports(types, HASH_TCPV4, HASH_UDPV4, h[9], frame, len, at + header, input + 8)) {
		*value = hash_bytes(table, input, 12);
		return h[9] == IPPROTO_TCP ? VIRTIO_NET_HASH_REPORT_TCPv4 : VIRTIO_NET_HASH_REPORT_UDPv4;
	}
	if (!(types & HASH_IPV4))
		return VIRTIO_NET_HASH_REPORT_NONE;
	*value = hash_bytes(table, input, 8);
	return VIRTIO_NET_HASH_REPORT_IPv4;
}

/* Go past extension headers (5.1.6.4.3.4); the protocol behind them. */
static unsigned skip_extensions(const u8 *frame, size_t len, size_t *at, unsigned next)
{
	for (unsigned i = 0; i < HASH_EXTENSIONS; i++) {
		bool auth = next == IPPROTO_AH;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS && !auth)
			break; /* a fragment header among them: see hash_ipv4() */
		if (*at > HASH_FRAME_HEAD - 4 || *at + 2 > len)
			return IPPROTO_NONE;
		next = frame[*at];
		*at += auth ? (frame[*at + 1] + 2) * 4u : (frame[*at + 1] + 1) * 8u;
	}
	return next;
}

static u16 hash_ipv6(const hash_table table, u32 types, const u8 *frame, size_t len, size_t at, u32 *value)
{
	u8 input[HASH_INPUT];
	unsigned protocol;

	if (at + 40 > len)
		return VIRTIO_NET_HASH_REPORT_NONE;
	memcpy(input, frame + at + 8, 32);
	protocol = frame[at + 6];
	at += 40;
	protocol = skip_extensions(frame, len, &at, protocol);
	if (add_ports(types, HASH_TCPV6, HASH_UDPV6, protocol, frame, len, at, input + 32)) {
		*value = hash_bytes(table, input, 36);
		return protocol == IPPROTO_TCP ? VIRTIO_NET_HASH_REPORT_TCPv6 : VIRTIO_NET_HASH_REPORT_UDPv6;
	}
	if (!(types & HASH_IPV6))
		return VIRTIO_NET_HASH_REPORT_NONE;
	*value = hash_bytes(table, input, 32);
	return VIRTIO_NET_HASH_REPORT_IPv6;
}

u16 hash_frame(const hash_table table, u32 types, const u8 *frame, size_t len, u32 *value)
{
	size_t at = 12;
	unsigned type;

	*value = 0;
	for (unsigned tags = 0;; tags++) {
		if (at + 2 > len)
			return VIRTIO_NET_HASH_REPORT_NONE;
		type = be16(frame + at);
		if (tags == HASH_VLAN_TAGS || (type != ETH_P_8021Q && type != ETH_P_8021AD))
			break;
		at += 4;
	}
	if (type == ETH_P_IP)
		return hash_ipv4(table, types, frame, len, at + 2, value);
	if (type == ETH_P_IPV6)
		return hash_ipv6(table, types, frame, len, at + 2, value);
	return VIRTIO_NET_HASH_REPORT_NONE;
}
