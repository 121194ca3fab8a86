/* SPDX-License-Identifier: MIT */
#ifndef RINGLET_CLOCK_H
#define RINGLET_CLOCK_H

#include <time.h>

#include "base.h"

static inline u64 clock_of(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

/* CLOCK_MONOTONIC, which costs no system call, ns. */
static inline u64 clock_ns(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

/* Since 1970, ns: for those who read it elsewhere. */
static inline u64 clock_real_ns(void)
{
	return clock_of(CLOCK_REALTIME);
}

#endif
