/* SPDX-License-Identifier: MIT */
/*
 * ctl_guest.h - what may be done to a guest that runs, by the control socket:
 * functions for rows of ctl.h's table.  Main thread, as all of that.
 */
#ifndef RINGLET_CTL_GUEST_H
#define RINGLET_CTL_GUEST_H

#include <stdio.h>

#include "base.h"

struct net;
struct vm;

/* Before the first request; net may be NULL.  Both outlive the socket. */
void ctl_guest_init(struct vm *vm, struct net *net);

/* Whether the user had it stand still. */
bool ctl_guest_is_paused(void);

bool ctl_pause(const char *argument, FILE *answer);
bool ctl_resume(const char *argument, FILE *answer);
bool ctl_stop(const char *argument, FILE *answer);
bool ctl_reset(const char *argument, FILE *answer);
bool ctl_nmi(const char *argument, FILE *answer);
bool ctl_sysrq(const char *argument, FILE *answer);
bool ctl_link(const char *argument, FILE *answer);
bool ctl_irq(const char *argument, FILE *answer);

#endif
