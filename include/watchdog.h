/* SPDX-License-Identifier: MIT */
/*
 * watchdog.h - to notice a guest that will not go on by itself.
 *
 * A processor hangs if in each of several looks it ran with interrupts off, in
 * the same few instructions, and nothing came of it outside.  One that waits
 * for an interrupt is idle; one that waits with interrupts off was sent to
 * sleep, unless all were: then nothing can wake any of them.
 */
#ifndef RINGLET_WATCHDOG_H
#define RINGLET_WATCHDOG_H

#include "base.h"

#define WATCHDOG_LOOKS 8 /* within the time that is given */

/* What is seen of a processor in one look. */
struct watchdog_look {
	u64 rip;
	bool started, halted, interrupts;
	u64 exits;  /* to ringlet, for ports and registers */
	u64 ran_ns; /* processor time of its thread */
};

struct watchdog_cpu {
	struct watchdog_look last;
	u64 low, high;	/* the instructions that it was seen at */
	unsigned looks; /* without progress, in a row */
	bool told;
};

enum watchdog_state { CPU_GOES_ON, CPU_HANGS, CPU_SLEEPS };

/* Compare with the looks before; a struct of zeroes has seen nothing. */
enum watchdog_state watchdog_look(struct watchdog_cpu *w, const struct watchdog_look *look);

struct symbols;
struct vm;

/*
 * Main thread, while single: watch; seconds, at least 1.  What it notices is
 * told once, until there is progress.  ends: the guest is ended as well.
 */
void watchdog_open(struct vm *vm, unsigned seconds, bool ends, const struct symbols *symbols);

#endif
