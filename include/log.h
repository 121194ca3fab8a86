/* SPDX-License-Identifier: MIT */
/*
 * log.h - everything ringlet says about itself, on stderr, one line each,
 * prefixed "ringlet: ".
 *
 * Three kinds of failure, three words.  The host cannot do what we need:
 * die(), from the main thread during set-up only.  The guest broke a rule:
 * the device asks for a reset and guest_warn() says which rule, at a
 * bounded rate, so that a guest cannot flood the log.  We broke our own
 * invariant: assert(), compiled in always.
 */
#ifndef RINGLET_LOG_H
#define RINGLET_LOG_H

#include <stdio.h>

#include "base.h"

/* ringlet's exit status (crosvm's numbers, so that scripts can be shared). */
enum exit_status {
	EXIT_POWEROFF = 0,
	EXIT_GUEST_RESET = 32,
	EXIT_GUEST_CRASH = 33, /* triple fault or KVM internal error */
	EXIT_GUEST_PANIC = 34,
	EXIT_BAD_ARGS = 35,
	EXIT_TIMEOUT = 36,
	EXIT_GUEST_HANG = 37, /* seen by --watchdog, which was to end it */
	EXIT_HOST_ERROR = 125,
};

/*
 * Main thread, before privileges go and before any other thread starts: from here
 * on nobody waits for a stderr that is not read for longer than a second; what is
 * lost is counted, and the next message says so.
 */
void log_open(void);
/* What is written to, for poll(). */
int log_fd(void);

/* Whether info() prints.  Set once by main before any thread starts. */
extern bool log_verbose;

/* Any thread.  A '\r' is added to the newline while the terminal is raw. */
void warn(const char *fmt, ...) PRINTF(1, 2);
void info(const char *fmt, ...) PRINTF(1, 2); /* only with -v */

/*
 * Main thread: several lines as write_it writes them, without a prefix; or with
 * -v, each as info() would say it.  Without memory nothing is said.
 */
void log_document(void (*write_it)(FILE *f, const void *arg), const void *arg);
void info_document(void (*write_it)(FILE *f, const void *arg), const void *arg);

/* The guest did something it must not: same line format as warn(). */
void guest_warn(const char *fmt, ...) PRINTF(1, 2);

/*
 * Main thread, set-up only.  die() exits with EXIT_HOST_ERROR, die_args()
 * with EXIT_BAD_ARGS; exit handlers (terminal) run.
 */
_Noreturn void die(const char *fmt, ...) PRINTF(1, 2);
_Noreturn void die_args(const char *fmt, ...) PRINTF(1, 2);

/* Main thread: the terminal is in raw mode and lines need "\r\n". */
void log_raw_terminal(bool raw);

#endif
