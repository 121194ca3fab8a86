/* SPDX-License-Identifier: MIT */
/*
 * core.h - a guest as an ELF core file: its memory, by physical address, and
 * the registers of its processors.  gdb, crash and makedumpfile read it.
 */
#ifndef RINGLET_CORE_H
#define RINGLET_CORE_H

#include "base.h"

struct cpu_state;
struct mem;

/* What Linux says about itself, see vmcoreinfo_find(). */
#define VMCOREINFO_MOST 4096
struct vmcoreinfo {
	size_t len; /* 0: none was found */
	char text[VMCOREINFO_MOST + 1]; /* lines of NAME=VALUE */
};

struct core_source {
	const struct mem *mem;
	const struct cpu_state *cpu; /* ncpus of them */
	unsigned ncpus;
};

/*
 * Any thread; the guest may run.  fd: an empty file that can have holes, where
 * pages of zeroes will be.  *cancel, if not NULL, may become true at any time.  0, or
 * -1 and one sentence; then what is in the file is of no use.
 */
int core_write(const struct core_source *s, int fd, const bool *cancel, char *err, size_t err_size) MUST_CHECK;

/*
 * Any thread: look for the note that Linux keeps for its own crash dumps: the
 * first page that begins with one.
 */
void vmcoreinfo_find(const struct mem *m, struct vmcoreinfo *v);
/* The number behind "NAME=", in that base; false: there is none of that name. */
bool vmcoreinfo_number(const struct vmcoreinfo *v, const char *name, int base, u64 *n);

#endif
