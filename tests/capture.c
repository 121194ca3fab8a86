// SPDX-License-Identifier: MIT
/*
 * capture.c - what a test may do to its own program: put the clock forward,
 * and read what is written to stderr.
 *
 * A file of its own because the clock here costs a system call, which those
 * who measure with driver.c must not pay.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

static time_t clock_skew;

void clock_advance(unsigned seconds)
{
	__atomic_fetch_add(&clock_skew, (time_t)seconds, __ATOMIC_RELAXED);
}

/* Stands in for libc's, in the code under test as well. */
int clock_gettime(clockid_t id, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, id, t);

	if (!r && id == CLOCK_MONOTONIC)
		t->tv_sec += __atomic_load_n(&clock_skew, __ATOMIC_RELAXED);
	return r;
}

/* Where a sanitizer, if there is one, writes its reports. */
void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

static int saved_stderr = -1, captured = -1;

void stderr_capture(void)
{
	char nothing[1];

	if (captured >= 0) /* a test that failed left it so */
		stderr_release(nothing, sizeof(nothing));
	clock_advance(3600);
	fflush(stderr);
	saved_stderr = dup(STDERR_FILENO);
	captured = memfd_create("stderr", MFD_CLOEXEC);
	if (saved_stderr < 0 || captured < 0 || dup2(captured, STDERR_FILENO) < 0) {
		printf("# the machine is out of something: stderr cannot be captured\n");
		abort();
	}
	if (__sanitizer_set_report_fd)
		__sanitizer_set_report_fd((void *)(long)saved_stderr);
}

size_t stderr_release(char *buf, size_t size)
{
	ssize_t n = pread(captured, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	dup2(saved_stderr, STDERR_FILENO);
	if (__sanitizer_set_report_fd)
		__sanitizer_set_report_fd((void *)(long)STDERR_FILENO);
	close(saved_stderr);
	close(captured);
	saved_stderr = captured = -1;
	return n > 0 ? (size_t)n : 0;
}
