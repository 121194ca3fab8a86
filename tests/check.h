/* SPDX-License-Identifier: MIT */
/*
 * check.h - a test is a claim with a name.  A test program lists its claims
 * in main() and speaks TAP, so that `prove` and tests/run can count them:
 *
 *	static void ring_wraps(void) { ... CHECK(x == 1); CHECK_EQ(a, b); }
 *	int main(void)
 *	{
 *		static const struct check_test tests[] = {
 *			{ "the ring wraps at 65536", ring_wraps },
 *		};
 *		return check_run(tests, ARRAY_SIZE(tests));
 *	}
 *
 * A failed CHECK ends its test and the program goes on with the next.  The
 * plan is printed first: a program that dies half way has failed.
 */
#ifndef RINGLET_CHECK_H
#define RINGLET_CHECK_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

struct check_test {
	const char *claim;
	void (*run)(void);
};

static jmp_buf check_out;
static const char *check_skip_reason = "";

#define CHECK(expr)                                                            \
	do {                                                                   \
		if (!(expr)) {                                                 \
			printf("# %s:%d: not so: %s\n", __FILE__, __LINE__, #expr); \
			longjmp(check_out, 1);                                 \
		}                                                              \
	} while (0)

#define CHECK_EQ(got, want)                                                    \
	do {                                                                   \
		long long g_ = (long long)(got), w_ = (long long)(want);       \
		if (g_ != w_) {                                                \
			printf("# %s:%d: %s is %lld (0x%llx), not %lld (0x%llx)\n", __FILE__, \
			       __LINE__, #got, g_, g_, w_, w_);                \
			longjmp(check_out, 1);                                 \
		}                                                              \
	} while (0)

#define CHECK_STR(got, want)                                                   \
	do {                                                                   \
		const char *g_ = (got), *w_ = (want);                          \
		if (strcmp(g_, w_)) {                                          \
			printf("# %s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #got, g_, w_); \
			longjmp(check_out, 1);                                 \
		}                                                              \
	} while (0)

/* The string contains the other: for messages. */
#define CHECK_HAS(got, part)                                                   \
	do {                                                                   \
		const char *g_ = (got), *p_ = (part);                          \
		if (!strstr(g_, p_)) {                                         \
			printf("# %s:%d: %s is \"%s\", without \"%s\"\n", __FILE__, __LINE__, #got, g_, p_); \
			longjmp(check_out, 1);                                 \
		}                                                              \
	} while (0)

/* Only for what this machine lacks and the project cannot install. */
#define SKIP(reason)                       \
	do {                               \
		check_skip_reason = (reason); \
		longjmp(check_out, 2);     \
	} while (0)

static inline int check_run(const struct check_test *t, size_t n)
{
	volatile int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%zu\n", n);
	for (volatile size_t i = 0; i < n; i++) {
		switch (setjmp(check_out)) {
		case 0:
			t[i].run();
			printf("ok %zu - %s\n", i + 1, t[i].claim);
			break;
		case 2:
			printf("ok %zu - %s # SKIP %s\n", i + 1, t[i].claim, check_skip_reason);
			break;
		default:
			printf("not ok %zu - %s\n", i + 1, t[i].claim);
			failed++;
		}
	}
	return failed ? 1 : 0;
}

#endif
