/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the programs that try nonsense share: where the numbers come
 * from, and for how long.
 *
 * FUZZ_SEED=n takes another path, FUZZ_SECONDS=n a longer one.
 */
#ifndef RINGLET_TESTS_FUZZ_H
#define RINGLET_TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base.h"
#include "clock.h"
#include "driver.h"

static u64 fuzz_seed;

static inline u64 fuzz_setting(const char *variable, u64 otherwise)
{
	const char *s = getenv(variable);

	return s ? strtoull(s, NULL, 0) : otherwise;
}

/* First in main(); each_seconds: what is done at most for one of FUZZ_SECONDS. */
static inline void fuzz_begin(unsigned each_seconds)
{
	alarm(60 + each_seconds * (unsigned)fuzz_setting("FUZZ_SECONDS", 1));
	fuzz_seed = fuzz_setting("FUZZ_SEED", 1);
	printf("# FUZZ_SEED=%llu\n", (unsigned long long)fuzz_seed);
}

static inline u64 rnd_any(void)
{
	return random_next(&fuzz_seed);
}

static inline u64 rnd(u64 below)
{
	return rnd_any() % below;
}

/*
 * A test of nonsense: while (fuzz_goes_on(&t)) with t all 0.  It ends when its
 * time is over, but not before FUZZ_ROUNDS of it: by them its claims can count,
 * however busy the machine is.  The clock is one that clock_advance() leaves alone.
 */
#define FUZZ_ROUNDS 6

struct fuzz_time {
	u64 end;
	unsigned rounds;
};

static inline bool fuzz_goes_on(struct fuzz_time *t)
{
	u64 now = clock_of(CLOCK_MONOTONIC_RAW);

	if (!t->end)
		t->end = now + 1000000000 * fuzz_setting("FUZZ_SECONDS", 1);
	return t->rounds++ < FUZZ_ROUNDS || now < t->end;
}

#endif
