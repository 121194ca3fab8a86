/* SPDX-License-Identifier: MIT */
/*
 * stats.h - everything that is counted, as one document, while the guest runs
 * or when it is gone; and what it tells of itself in a line of `ringlet list`.
 */
#ifndef RINGLET_STATS_H
#define RINGLET_STATS_H

#include <stdio.h>

#include "conf.h"
#include "report.h"

struct net;
struct tap;
struct vm;

/* What readers of the JSON rely on; the manual page says what may change. */
#define STATS_SCHEMA "ringlet-stats/1"
#define INFO_SCHEMA "ringlet-info/1"

/* Where it comes from; main's, all of it outlives the reports. */
struct stats {
	const struct conf *conf;
	const char *name; /* of the guest */
	struct vm *vm;
	struct net *net; /* or NULL */
	const struct tap *tap;
	u64 started; /* CLOCK_MONOTONIC, ns */
};

/* Main thread.  No thread is stopped, and each figure is read once, whole. */
void stats_write(const struct stats *s, FILE *to, enum report_format f);
/* The network device's part of it alone, as text. */
void stats_write_net(const struct stats *s, FILE *to);
/* Name, process, kernel, uptime, processors, memory. */
void stats_write_info(const struct stats *s, FILE *to, enum report_format f);

/* --- stats_out.c: whom they are told to.  Main thread ------------------------------ */

/* While the rights are the user's: the file of --stats; die_args() if it cannot be written. */
void stats_open(const struct stats *s);
/* What --stats asks for, now. */
void stats_say(void);
/* What it asks for at the end, and with -v the network device's figures. */
void stats_close(void);

/* Rows of ctl.h's table. */
bool ctl_stats(const char *argument, FILE *answer);
bool ctl_info(const char *argument, FILE *answer);

#endif
