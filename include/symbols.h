/* SPDX-License-Identifier: MIT */
/*
 * symbols.h - names for a kernel's addresses: of its functions only.
 */
#ifndef RINGLET_SYMBOLS_H
#define RINGLET_SYMBOLS_H

#include "base.h"

struct symbols;

/*
 * Main thread: from a System.map or what a guest has in /proc/kallsyms, or from
 * an ELF64 vmlinux that was not stripped.  NULL, and one sentence in err.
 */
struct symbols *symbols_open(const char *path, char *err, size_t err_size);
void symbols_free(struct symbols *s); /* or NULL */

/* Any thread: the function that an address is in, and how far; NULL: none. */
const char *symbols_at(const struct symbols *s, u64 address, u64 *offset);
/* Where a function begins; 0: there is none of that name. */
u64 symbols_find(const struct symbols *s, const char *name);

#endif
