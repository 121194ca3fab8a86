/* SPDX-License-Identifier: MIT */
/*
 * console.h - the user's side of the serial port: what the main thread does
 * while the guest runs.
 */
#ifndef RINGLET_CONSOLE_H
#define RINGLET_CONSOLE_H

#include "base.h"

struct vm;

/*
 * Main thread: before privileges go.  Raw mode if stdin is a terminal; the
 * terminal is restored by console_close() and by exit().
 */
void console_open(void);
void console_close(void);

/*
 * Main thread, while single: signals that end us come to console_run(); so
 * does SIGUSR1, which calls asked, if that is not NULL.
 */
void console_block_signals(void (*asked)(void));

/* Main thread: have console_run() call back while fd is readable; three can. */
void console_watch(int fd, void (*call)(void));

/*
 * Main thread: carry characters between the terminal and the guest until the
 * guest has ended, the user quits, a signal comes, or timeout seconds (0: no
 * limit) have passed.  vm->end says which.
 */
void console_run(struct vm *vm, unsigned timeout);

/* Main thread, when the vCPUs are gone: the last output. */
void console_flush(struct vm *vm);

/* Whether the guest's kernel said that it panicked. */
bool console_saw_panic(void);

/* The signal behind VM_SIGNAL. */
int console_signal(void);

#endif
