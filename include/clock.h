/* SPDX-License-Identifier: MIT */
#ifndef RINGLET_CLOCK_H
#define RINGLET_CLOCK_H

#include <time.h>

#include "base.h"

/* CLOCK_MONOTONIC, which costs no system call, ns. */
static inline u64 clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

#endif
