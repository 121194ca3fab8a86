/* SPDX-License-Identifier: MIT */
/*
 * autopsy.h - what there is to see of a guest that crashed or hangs: its
 * processors' registers, the instructions they are at, and how they got there.
 */
#ifndef RINGLET_AUTOPSY_H
#define RINGLET_AUTOPSY_H

#include <stdio.h>

#include "base.h"

struct cpu_state;
struct mem;
struct symbols;
struct vm;

/*
 * How far the kernel was moved from where the symbols have it (KASLR): by the
 * entry for system calls, whose address a processor knows.  0 without one.
 */
u64 autopsy_slide(const struct symbols *s, const struct cpu_state *cpu, unsigned ncpus);

/* An address as "name+0x12", or in hexadecimal; s may be NULL. */
const char *autopsy_name(const struct symbols *s, u64 slide, u64 address, char *buf, size_t size);

/* One processor, in several lines. */
void autopsy_cpu(FILE *f, const struct mem *m, const struct cpu_state *c, unsigned index, const struct symbols *s,
		 u64 slide);

/*
 * Main thread: all of them, when they have ended; or brief, while they stand
 * still: only where they are, a line each.
 */
void autopsy_write(FILE *f, struct vm *vm, const struct symbols *s, bool brief);

#endif
