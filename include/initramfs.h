/* SPDX-License-Identifier: MIT */
/*
 * initramfs.h - the guest's first file system, made here: a list of what is to
 * be in it, whose size is known before a byte is read, then a cpio archive
 * written straight into guest memory.  Main thread, before the guest runs.
 */
#ifndef RINGLET_INITRAMFS_H
#define RINGLET_INITRAMFS_H

#include <stdio.h>

#include "base.h"

struct initramfs;

struct initramfs *initramfs_new(void);
void initramfs_free(struct initramfs *fs);

/*
 * What is to be there.  path is absolute; the directories above it come by
 * themselves.  Of two with the same path the first stays; true if this was
 * it.  Permissions are those of mode; everything belongs to root.
 */
bool initramfs_add_dir(struct initramfs *fs, const char *path, unsigned mode);
bool initramfs_add_link(struct initramfs *fs, const char *path, const char *target);
/* data becomes the archive's: malloc'ed. */
bool initramfs_add_data(struct initramfs *fs, const char *path, unsigned mode, void *data, u64 size);
/* A regular file of the host, opened only when the archive is written. */
bool initramfs_add_file(struct initramfs *fs, const char *path, unsigned mode, const char *host, u64 size);

/*
 * A file or, with all that is in it, a directory of the host, permissions
 * kept.  0, or -1 and a sentence.
 */
int initramfs_copy(struct initramfs *fs, const char *host, const char *path, char *err,
		   size_t err_size) MUST_CHECK;

/*
 * program.c: a program of the host at its own place, with what it needs to
 * run: its interpreter and libraries, which its ELF headers or its #! name;
 * nothing is executed to find out.  What is not found is left out: then the
 * guest's loader says so as the host's would.
 */
void initramfs_add_program(struct initramfs *fs, const char *host);
/* Where the shell would find it; malloc'ed, absolute; NULL: nowhere. */
char *program_find(const char *name);

/*
 * modules.c: a module of this version of the kernel, and before it those it
 * depends on, unpacked; their paths in the guest are written to order, each
 * with 'm' before and 0 behind.  dir is where they are, of modules_find().
 * 0, also if it is built in; -1 and a sentence.
 */
int modules_add(struct initramfs *fs, const char *dir, const char *name, FILE *order, char *err,
		size_t err_size) MUST_CHECK;
/*
 * The directory with the modules of that version: beside the kernel (where a
 * package unpacked elsewhere has it) or the host's own; malloc'ed, NULL: there
 * is none.
 */
char *modules_find(const char *kernel, const char *version);

u64 initramfs_size(const struct initramfs *fs);
/* All of it, initramfs_size() bytes.  0, or -1 and a sentence. */
int initramfs_write(const struct initramfs *fs, void *to, char *err, size_t err_size) MUST_CHECK;

#endif
