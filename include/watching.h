/* SPDX-License-Identifier: MIT */
/*
 * watching.h - captures as the command line asks for them: what main does for
 * them, in the order of a run.
 */
#ifndef RINGLET_WATCHING_H
#define RINGLET_WATCHING_H

#include "conf.h"

struct net;
struct tap;

/* Before anything is done: is standard output free? */
void watching_check(const struct conf *c);
/* While privileged, when there is net. */
void watching_open_net(const struct conf *c, struct net *net, const struct tap *tap);
/* Before there are any threads. */
void watching_begin(const struct conf *c);
/* When no vCPU runs: from now on the device moves nothing more, and all is written. */
void watching_end(struct net *net);

#endif
