/* SPDX-License-Identifier: MIT */
/*
 * pcapng.h - captured packets as blocks of the format that Wireshark reads
 * (draft-ietf-opsawg-pcapng): a section, one interface, its packets with what
 * the device knew of them as comments, its statistics.
 *
 * Each function appends a block at `to`, which must have room for it, and
 * returns its size.  No state, any thread.
 */
#ifndef RINGLET_PCAPNG_H
#define RINGLET_PCAPNG_H

#include "capture.h"

/* Room for any block but a packet's, and for a packet's without its data. */
#define PCAPNG_ROOM 1024

struct pcapng_section {
	const char *hardware, *os, *application; /* at most 200 bytes each */
};

struct pcapng_interface {
	const char *name;
	u8 mac[6];
	u64 speed;   /* bit/s */
	u32 snaplen; /* 0: all */
};

struct pcapng_statistics {
	u64 start, now; /* ns since 1970 */
	u64 seen;	/* packets, the dropped ones included */
	u64 dropped;
};

size_t pcapng_section(u8 *to, const struct pcapng_section *s);
size_t pcapng_interface(u8 *to, const struct pcapng_interface *i);
/* epoch: what to add to the record's time, for ns since 1970. */
size_t pcapng_packet(u8 *to, const struct capture_record *r, unsigned pair, u64 epoch);
size_t pcapng_statistics(u8 *to, const struct pcapng_statistics *s);

#endif
