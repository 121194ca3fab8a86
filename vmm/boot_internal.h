/* SPDX-License-Identifier: MIT */
/*
 * boot_internal.h - what the parts of the boot loader say to each other.
 *
 * The loader works in three steps.  A planner (boot_bzimage.c, boot_elf.c)
 * reads the file's headers and turns them into a struct boot_kernel, which
 * says what goes where; it never sees guest memory.  boot.c finds room and
 * copies.  boot_tables.c writes what the kernel expects to be told.
 */
#ifndef RINGLET_BOOT_INTERNAL_H
#define RINGLET_BOOT_INTERNAL_H

#include <asm/bootparam.h>

#include "base.h"
#include "boot.h"
#include "log.h"

struct mem;

#define BOOT_HEAD 4096
#define BOOT_MAX_SEGMENTS 16
#define BOOT_WORKS "a Linux bzImage (vmlinuz) or an x86-64 ELF vmlinux"

/* An open kernel or initrd, and where the sentence about it goes. */
struct boot_file {
	const char *trouble; /* how its sentences begin: "cannot boot" */
	const char *name;
	char *err;
	size_t err_size;
	int fd;		 /* -1 for a guest of our own */
	const u8 *image; /* of that, else NULL */
	u64 size;
	u8 head[BOOT_HEAD]; /* how it begins; zeroes behind its end */
};

/* One stretch of the file, and how much of RAM it fills: zeroes follow. */
struct boot_segment {
	u64 offset, file_size;
	u64 gpa, mem_size;
};

/*
 * A kernel whose headers were found in order: every segment lies within the
 * file and within [start, end), which begins at 1 MiB at the lowest and does
 * not wrap.  Whether there is RAM for it is not known here.
 */
struct boot_kernel {
	enum boot_protocol protocol;
	const char *kind;
	u64 entry;
	u64 start, end;	  /* what it occupies until it manages memory itself */
	u64 initrd_limit; /* the initrd ends here at the latest */
	u32 cmdline_max;  /* characters, without the final 0 */
	unsigned nsegments;
	struct boot_segment segment[BOOT_MAX_SEGMENTS];
	struct boot_params zero_page; /* the kernel's own header filled in */
};

/* boot_file.c.  Each returns 0, or -1 with the sentence written. */
int boot_fail(const struct boot_file *f, const char *fmt, ...) PRINTF(2, 3);
int boot_open(struct boot_file *f) MUST_CHECK; /* trouble, name, err* set by the caller */
void boot_close(struct boot_file *f);
int boot_read(const struct boot_file *f, u64 offset, void *to, u64 len) MUST_CHECK;
int boot_truncated(const struct boot_file *f, u64 want_size);

/* boot_stranger.c: it is no kernel of ours; say what it is.  Returns -1. */
int boot_stranger(const struct boot_file *f);

bool boot_is_bzimage(const struct boot_file *f);
int boot_plan_bzimage(const struct boot_file *f, struct boot_kernel *k) MUST_CHECK;

bool boot_is_elf(const struct boot_file *f);
int boot_plan_elf(const struct boot_file *f, struct boot_kernel *k) MUST_CHECK;

/* boot_tables.c: everything below 1 MiB, for an entry that is complete. */
void boot_write_tables(const struct mem *m, const struct boot_request *req,
		       const struct boot_entry *entry, const struct boot_params *zero_page);

#endif
