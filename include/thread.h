/* SPDX-License-Identifier: MIT */
#ifndef RINGLET_THREAD_H
#define RINGLET_THREAD_H

#include <pthread.h>

#include "base.h"

/*
 * Main thread.  Start one of that name (15 characters at most) that runs
 * run(arg).  Signals are main's business: it gets none but the one given; 0:
 * none.  0 or an errno.
 */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg, int signo) MUST_CHECK;

#endif
