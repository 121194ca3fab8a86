/* SPDX-License-Identifier: MIT */
/*
 * conf_internal.h - what the files of the command line share among themselves.
 * Main thread only, like all of conf.h.
 */
#ifndef RINGLET_CONF_INTERNAL_H
#define RINGLET_CONF_INTERNAL_H

#include "conf.h"

/*
 * The name nearest to a mistyped word, or NULL when none is near enough to be
 * what was meant.  name(i) lists the candidates, NULL behind the last.
 */
const char *suggest_nearest(const char *word, const char *(*name)(unsigned i));

/* A copy, malloc'ed; or one in the place of what was there.  die() without memory. */
char *conf_copy(const char *s);
void conf_set_string(const char **field, const char *value);

/*
 * In what follows, `where` is what stands before the value on the command
 * line, separator included ("--mem ", "--net mtu="): messages quote the two
 * together, as the user wrote them.
 */

/* A decimal number from min to max, or die_args(). */
u64 conf_number(const char *where, const char *value, u64 min, u64 max);

/*
 * A number of bytes: with one of the units (capitals, each 1024 times the one
 * before it, the first is KiB), or by itself shifted by so many bits.  The most
 * there is, if it is more.  False: it is none.
 */
bool conf_bytes(const char *value, const char *units, unsigned shift, u64 *bytes);

/* "1,3-5"; a colon separates as well as a comma does. */
void conf_cpu_list(const char *where, const char *value, struct conf_cpus *cpus);

/* What --mem, --stats, --name and --watchdog take. */
u64 conf_size(const char *where, const char *value);
void conf_stats_parse(const char *where, const char *value, struct conf_stats *s);
void conf_check_name(const char *where, const char *name);
void conf_watchdog_parse(const char *where, const char *value, struct conf *c);

/* Find a kernel if none is named; die_args() if there is none, or none of ours with that name. */
void conf_choose_kernel(struct conf *c);

/* No device: what holds without --net. */
void conf_net_init(struct conf_net *net);

/* What follows "stat", "list" or "ctl". */
void conf_client_parse(struct conf *c, int argc, char **argv);

/* What follows "trace"; and the words of --trace. */
void conf_trace_parse(struct conf *c, int argc, char **argv);
void conf_trace_words(const char *where, const char *value, struct conf_trace_to *t);

/* The KIND:PROBABILITY,... of --chaos. */
void conf_chaos_parse(struct chaos_config *c, const char *list);

/* The tcp:... or unix:... of --gdb. */
void conf_gdb_parse(const char *where, const char *value, struct conf_gdb *g);

/* The KEY=VAL,... of --net. */
void conf_net_parse(struct conf_net *net, const char *list);

/* Of these, the addresses; in the range that is free for everybody one at random. */
void conf_parse_mac(const char *where, const char *value, u8 mac[6]);
void conf_random_mac(u8 mac[6]);
void conf_parse_host_ip(const char *where, const char *value, struct conf_net *net);
void conf_parse_guest_ip(const char *where, const char *value, struct conf_net *net);
/* Do they go together, when all are known?  And with pasta, whose network must be another? */
void conf_check_addresses(struct conf_net *net);
void conf_check_beside_pasta(const struct conf_net *net, const char *list);

#endif
