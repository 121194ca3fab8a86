/* SPDX-License-Identifier: MIT */
/*
 * watching.h - captures and traces as the command line asks for them: what main
 * does for them, in the order of a run.
 */
#ifndef RINGLET_WATCHING_H
#define RINGLET_WATCHING_H

#include "conf.h"

struct net;
struct tap;
struct vm;

/* Before anything is done: is standard output free? */
void watching_check(const struct conf *c);
/* While privileged: before there are devices, and when there is net (or NULL). */
void watching_open(const struct conf *c, struct vm *vm);
void watching_open_net(const struct conf *c, struct net *net, const struct tap *tap);
/* Before there are any threads. */
void watching_begin(const struct conf *c, struct net *net);
/* When no vCPU runs: from now on the device moves nothing more, and all is written. */
void watching_end(struct net *net);
/* When net is gone. */
void watching_close(void);

#endif
