/* SPDX-License-Identifier: MIT */
/*
 * console.h - the user's side of the serial port: what the main thread does
 * while the guest runs.
 */
#ifndef RINGLET_CONSOLE_H
#define RINGLET_CONSOLE_H

#include <stdio.h>

#include "base.h"

struct vm;

/*
 * Main thread: raw mode if stdin is a terminal, as soon as we are in its
 * foreground; it is restored by console_close() and by exit().
 */
void console_open(void);
void console_close(void);

/*
 * Main thread, while single: signals that end us come to console_run(); so
 * does SIGUSR1, which calls asked, if that is not NULL.
 */
void console_block_signals(void (*asked)(void));

/*
 * Main thread: have console_run() call back while fd is readable, or whatever
 * else of poll()'s events console_want() names later (0: not for now).  Sixteen
 * can; returns which it is.
 */
unsigned console_watch(int fd, void (*call)(void));
void console_want(unsigned watch, short events);

/*
 * Main thread, before console_block_signals(): standard input and output are
 * somebody else's.  What comes by the serial port is kept, only its last lines,
 * or with show also written to standard error.  on_signal may take a signal
 * (true) before it ends us.
 */
void console_detach(bool show, bool (*on_signal)(int signo));
/* Main thread: what comes by the serial port goes to standard error. */
void console_to_stderr(void);
/* Main thread, after these two and before privileges go. */
void console_open_output(void);
/* What was kept, on standard error. */
void console_say_last(void);
/*
 * The last lines that came by the serial port, of which 8 KiB are kept; nothing
 * if standard error is where they went already.
 */
void console_recall(FILE *f, unsigned lines);
/*
 * What the user typed, without what is said to ringlet (the Ctrl-A keys, if the
 * terminal is raw); in place, returns how much is left.
 */
size_t console_typed(struct vm *vm, u8 *buf, size_t n);

/*
 * Main thread: carry characters between the terminal and the guest until the
 * guest has ended, the user quits, a signal comes, or timeout seconds (0: no
 * limit) have passed.  vm->end says which.
 */
void console_run(struct vm *vm, unsigned timeout);

/*
 * Main thread, when the vCPUs are gone: the last output.  It waits for its reader
 * until a signal comes; where the guest was ended by somebody, for a second.
 */
void console_flush(struct vm *vm);

/*
 * Main thread: call once, from console_run(), as soon as the guest's kernel is
 * seen to panic; it may be about to reset.
 */
void console_on_panic(void (*call)(void));

/* Whether the guest's kernel said that it panicked. */
bool console_saw_panic(void);

/* The signal behind VM_SIGNAL. */
int console_signal(void);

#endif
