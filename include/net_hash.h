/* SPDX-License-Identifier: MIT */
/*
 * net_hash.h - a number per flow (virtio 1.3, 5.1.6.4.3): the Toeplitz hash of
 * a packet's addresses and ports, which spreads flows over receive queues and
 * is reported to drivers that ask for it.  Pure functions over a table.
 */
#ifndef RINGLET_NET_HASH_H
#define RINGLET_NET_HASH_H

#include "base.h"

#define HASH_KEY 40   /* bytes: what the longest input needs */
#define HASH_INPUT 36 /* bytes hashed at most: two IPv6 addresses, two ports */

/* Packets that can be told apart, as in supported_hash_types (5.1.4). */
#define HASH_IPV4 (1u << 0)
#define HASH_TCPV4 (1u << 1)
#define HASH_UDPV4 (1u << 2)
#define HASH_IPV6 (1u << 3)
#define HASH_TCPV6 (1u << 4)
#define HASH_UDPV6 (1u << 5)
#define HASH_TYPES 0x3fu

/*
 * What is looked at.  Both who parse frames, net_hash.c and the program in
 * tap_steering.c, stop at the same places, or they would tell flows apart
 * differently.
 */
#define HASH_FRAME_HEAD 256 /* bytes from the frame's start */
#define HASH_VLAN_TAGS 2
#define HASH_EXTENSIONS 4 /* IPv6 extension headers */

/* What the driver sets.  Bytes that a shorter key lacks are 0. */
struct hash_config {
	u32 types; /* HASH_* */
	u8 key[HASH_KEY];
};

/* What a byte of the input adds to the hash, by its position and value. */
typedef u32 hash_table[HASH_INPUT][256];

void hash_build(hash_table table, const u8 key[HASH_KEY]);
u32 hash_bytes(const hash_table table, const u8 *input, size_t len);

/*
 * The frame starts with these len bytes (an Ethernet header, no virtio one).
 * Returns VIRTIO_NET_HASH_REPORT_*; *value is 0 where that is NONE.
 */
u16 hash_frame(const hash_table table, u32 types, const u8 *frame, size_t len, u32 *value);

#endif
