/* SPDX-License-Identifier: MIT */
/*
 * sys.h - Linux for a program without a C library: the system calls that
 * guest/run.c makes, as the kernel takes them.  All return what the kernel
 * does, -errno for an error.
 *
 * Without a library because the program is copied into every guest's memory
 * and unpacked there before anything else happens: 14 KiB instead of 680.
 */
#ifndef RINGLET_GUEST_SYS_H
#define RINGLET_GUEST_SYS_H

#include <asm/unistd.h>
#include <stddef.h>

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

/* Pointers and numbers alike become words. */
#define SYS_ARG(x) ((long)(x))
#define SYS0(nr) sys6(__NR_##nr, 0, 0, 0, 0, 0, 0)
#define SYS1(nr, a) sys6(__NR_##nr, SYS_ARG(a), 0, 0, 0, 0, 0)
#define SYS2(nr, a, b) sys6(__NR_##nr, SYS_ARG(a), SYS_ARG(b), 0, 0, 0, 0)
#define SYS3(nr, a, b, c) sys6(__NR_##nr, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), 0, 0, 0)
#define SYS4(nr, a, b, c, d) sys6(__NR_##nr, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), 0, 0)
#define SYS5(nr, a, b, c, d, e) \
	sys6(__NR_##nr, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), SYS_ARG(e), 0)

/* The compiler calls these by itself, too. */
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);

static inline size_t text_len(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

static inline int text_is(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* Whether s begins so; then what comes behind it, else NULL. */
static inline const char *text_after(const char *s, const char *head)
{
	while (*head)
		if (*s++ != *head++)
			return NULL;
	return s;
}

/* A decimal number; *s is moved behind it. */
static inline unsigned long number(const char **s)
{
	unsigned long n = 0;

	for (; **s >= '0' && **s <= '9'; ++*s)
		n = n * 10 + (unsigned long)(**s - '0');
	return n;
}

#endif
