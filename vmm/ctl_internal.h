/* SPDX-License-Identifier: MIT */
/*
 * ctl_internal.h - what the commands that ask a guest share.  Times are those of
 * clock_ns().
 */
#ifndef RINGLET_CTL_INTERNAL_H
#define RINGLET_CTL_INTERNAL_H

#include "base.h"

/* The connection to the guest of that name (NULL: the only one), the caller's; or die_args(). */
int ctl_find_guest(const char *name);

/* Until when an answer that is asked for now may take. */
u64 ctl_patience(void);
bool ctl_send(int fd, const char *what, u64 until);
/* The answer, malloc'ed, and whether it says ok; NULL: none that we understand, or the guest is gone. */
char *ctl_receive(int fd, u64 until, bool *ok);
/* Both, for a request that no guest refuses. */
char *ctl_ask(int fd, const char *request);

/* Of a flat document the number of that name; 0: it is not there. */
u64 ctl_number(const char *flat, const char *name);

#endif
