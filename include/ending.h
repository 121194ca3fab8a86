/* SPDX-License-Identifier: MIT */
/*
 * ending.h - how a guest ended: in words, and as ringlet's exit status.
 * Main thread, when vm->end says that it has.
 */
#ifndef RINGLET_ENDING_H
#define RINGLET_ENDING_H

#include "base.h"

struct conf;
struct symbols;
struct vm;

/* Not as guests do: it crashed, it hung, or its kernel panicked. */
bool ending_is_bad(const struct vm *vm);

/*
 * Say on standard error how and why.  symbols may be NULL.  The exit status,
 * which is the command's if it was its end.
 */
int ending_say(const struct conf *c, struct vm *vm, const struct symbols *symbols);

/* Does not return if a signal ended it: that ends us, too, and the shell shows it. */
void ending_by_signal(const struct vm *vm);

#endif
