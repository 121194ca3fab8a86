/* SPDX-License-Identifier: MIT */
/*
 * keeper.h - a process that ends a program of others' when we are gone.
 */
#ifndef RINGLET_KEEPER_H
#define RINGLET_KEEPER_H

#include <sys/types.h>

#include "base.h"

/*
 * Fork it, while there is but the main thread: its pid, in the keeper 0, or -1.
 * Each has an end of a stream in *fd; the keeper's shows end of file when the
 * other is closed, or its process gone.
 */
pid_t keeper_start(int *fd) MUST_CHECK;

/* In the keeper: fork the one that is to become the program, a process group of its own. */
pid_t keeper_fork(void) MUST_CHECK;

/* In the keeper: end that group; politely, then not.  It takes seconds at the most. */
void keeper_end(pid_t group);

#endif
