/* SPDX-License-Identifier: MIT */
/*
 * engines.h - one test for each of the engines.
 */
#ifndef RINGLET_TESTS_ENGINES_H
#define RINGLET_TESTS_ENGINES_H

/* The engines, and io_uring with a tap that does not know RWF_NOWAIT. */
enum kind { URING, URING_WAITING, POLL };

/* f(kind) becomes three rows of the table. */
#define EACH(f)                                             \
	static void f##_uring(void) { f(URING); }           \
	static void f##_waiting(void) { f(URING_WAITING); } \
	static void f##_poll(void) { f(POLL); }
#define ROWS(claim, f)                                                                     \
	{ "io_uring: " claim, f##_uring }, { "io_uring, no nowait: " claim, f##_waiting }, \
	{ "poll: " claim, f##_poll }

#endif
