/* SPDX-License-Identifier: MIT */
/*
 * guests.h - the guests that ringlet brings along (guest/), by name, as kernels
 * called "guest:NAME".  They are inside the program: there is nothing to
 * install beside it, to be looked for, or to be of another version.
 */
#ifndef RINGLET_GUESTS_H
#define RINGLET_GUESTS_H

#include "base.h"

#define GUEST_PREFIX "guest:"

/* The i-th, without the prefix; NULL behind the last. */
const char *guest_name(unsigned i);

/* The ELF file behind "guest:NAME" and its size; NULL: that is none of ours. */
const u8 *guest_image(const char *kernel, u64 *size);

#endif
