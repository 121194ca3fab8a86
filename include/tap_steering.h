/* SPDX-License-Identifier: MIT */
/*
 * tap_steering.h - receive-side scaling: a program in the kernel that says
 * which of a tap's queues a frame goes to, and the memory that it reads.
 */
#ifndef RINGLET_TAP_STEERING_H
#define RINGLET_TAP_STEERING_H

#include "net_hash.h"

#define STEERING_TABLE 128 /* entries of the indirection table at most */

/* Where frames go (5.1.6.5.7), in queue pairs. */
struct steering_rules {
	struct hash_config hash;
	u16 unclassified; /* for frames without a hash */
	u16 n;		  /* entries: a power of two, at most STEERING_TABLE */
	u16 pair[STEERING_TABLE];
};

/* Shared with the program, which only reads it. */
struct steering_map {
	u32 types, mask, unclassified;
	u32 pair[STEERING_TABLE];
	hash_table table;
};

struct steering {
	int program;
	struct steering_map *map;
};

/*
 * Main thread, while privileged: load the program, which is in no tap yet, see
 * tap_steer().  0, or -1 with the reason in err.
 */
int steering_open(struct steering *s, char *err, size_t err_size) MUST_CHECK;
void steering_close(struct steering *s);

/*
 * One thread at a time, no privilege needed.  Frames that pass meanwhile may
 * go to any pair.
 */
void steering_set(struct steering *s, const struct steering_rules *r);

#endif
