/* SPDX-License-Identifier: MIT */
/*
 * counter.h - counters that cost a store: each has one writer, the thread that
 * owns what is counted, and is read by anybody at any time, whole, without
 * stopping it.
 *
 * The counters of one thing are a struct of u64 and a table that says what
 * each of them means, both made of one list, so that a new counter is one line
 * there.  What is shown, and what the manual page must say, follows the table:
 *
 *	#define PUMP_COUNTERS(ONE, MANY)                                  \
 *		ONE(strokes, ANY, "times it moved")                       \
 *		MANY(litres, 4, ANY, "strokes by what each brought")
 *	struct pump_counters { PUMP_COUNTERS(COUNTER_ONE, COUNTER_MANY) };
 */
#ifndef RINGLET_COUNTER_H
#define RINGLET_COUNTER_H

#include "barrier.h"
#include "base.h"

/*
 * Count without a locked instruction: one writer, whole words.  Built without,
 * only to see what it costs.
 */
#ifndef NO_COUNTERS
#define COUNT(counter, n) STORE_ONCE(&(counter), LOAD_ONCE(&(counter)) + (n))
#else
#define COUNT(counter, n) ((void)(counter), (void)(n))
#endif

/* One row: n words from the at-th of the struct on. */
struct counter {
	const char *name;
	u16 at, n;
	u16 of; /* kinds of things that have it: bits, whose meaning is the list's */
	const char *help;
};

struct counter_table {
	const struct counter *counter;
	unsigned n;
};

#define COUNTER_ONE(name, of, help) u64 name;
#define COUNTER_MANY(name, n, of, help) u64 name[n];

/* Rows of the table for a member list of a struct; type is defined around. */
#define COUNTER_ROW(type, name, n, of, help) { #name, offsetof(type, name) / sizeof(u64), n, of, help },

/* Sizes by powers of two: 1, 2-3, 4-7, ..., and in the last all that are larger. */
static inline unsigned counter_bucket(u32 size, unsigned buckets)
{
	return MIN(31u - (unsigned)__builtin_clz(size | 1), buckets - 1);
}

/* Any thread: a copy of n words, each of them whole. */
static inline void counters_read(void *to, const void *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(u64); i++)
		((u64 *)to)[i] = LOAD_ONCE(&((const u64 *)from)[i]);
}

static inline void counters_add(void *to, const void *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(u64); i++)
		((u64 *)to)[i] += ((const u64 *)from)[i];
}

#endif
