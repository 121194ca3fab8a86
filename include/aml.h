/* SPDX-License-Identifier: MIT */
/*
 * aml.h - just enough of an assembler for ACPI machine language to describe
 * devices that do not move: scopes, devices, names, constants and resource
 * templates.  No methods, no operation regions.
 *
 * Everything is appended to a buffer of the caller's.  Blocks are opened and
 * closed in pairs; their lengths are filled in when they are closed.
 */
#ifndef RINGLET_AML_H
#define RINGLET_AML_H

#include "base.h"

#define AML_MAX_DEPTH 6

struct aml {
	u8 *buf;
	size_t len, size;
	size_t open[AML_MAX_DEPTH]; /* where the content of each open block starts */
	unsigned depth;
};

/*
 * Main thread, set-up only.  A buffer that is too small or a block left open
 * is our own mistake and ends in assert().  Names are one segment of exactly
 * four characters, padded with '_'.
 */
void aml_init(struct aml *a, void *buf, size_t size);
size_t aml_finish(const struct aml *a); /* nothing is open; returns the length */

void aml_scope(struct aml *a, const char *name); /* only at the top; close with aml_end() */
void aml_device(struct aml *a, const char *name); /* close with aml_end() */
void aml_end(struct aml *a);

/* A name and its value. */
void aml_name_integer(struct aml *a, const char *name, u64 value);
void aml_name_string(struct aml *a, const char *name, const char *value);
void aml_name_eisaid(struct aml *a, const char *name, const char *id); /* such as "PNP0501" */
void aml_name_package(struct aml *a, const char *name, const u64 *value, unsigned n);

/* _CRS: open it, add resources, close it. */
void aml_crs(struct aml *a);
void aml_crs_io(struct aml *a, u16 port, u8 len);
void aml_crs_memory(struct aml *a, u32 base, u32 size);
void aml_crs_edge_interrupt(struct aml *a, u32 gsi);
void aml_crs_end(struct aml *a);

#endif
