/* SPDX-License-Identifier: MIT */
/*
 * command.h - a command in a guest: what it takes to run there, and its
 * streams joined to ours.  Main thread only.
 *
 * Nothing that belongs to the guest is ever executed or trusted here; what it
 * sends is bytes for our standard output and error, a status, and files whose
 * names are checked.
 */
#ifndef RINGLET_COMMAND_H
#define RINGLET_COMMAND_H

#include <sys/types.h>

#include "base.h"

struct boot_made;
struct conf;
struct initramfs;
struct mem;
struct virtio_dev;
struct vm;

/*
 * command_files.c: the file system in which the command of c runs, for this
 * kernel.  die_args() with a sentence when something of it cannot be had.
 */
struct initramfs *command_files(const struct conf *c, bool terminal);

/* A copy in a file of the host; die_args() if it cannot be written. */
void command_save(const struct initramfs *fs, const char *file);

/* The same as boot_load() wants it. */
struct boot_made command_initrd(const struct initramfs *fs);

/* Why a guest may be unable to take a command; NULL: no idea. */
const char *command_doubts(void);
/* Why a program that the command calls may not be there; NULL: it is not our fault. */
const char *command_lacks(void);

/*
 * command.c: while privileged; the device is for vm_add_virtio().  terminal:
 * standard input and output are one, and the command is to have one, too.
 * up() is called when the guest is about to start it.
 */
struct virtio_dev *command_open(struct vm *vm, const struct conf *c, bool terminal, void (*up)(void));
/* When privileges are gone. */
void command_start(const struct conf *c);
/* When no vCPU runs. */
void command_close(void);

/* Whether the command was started, and the status with which it ended (-1: it did not). */
bool command_is_up(void);
int command_status(void);

/*
 * command_out.c: files that come as a cpio archive, put below a directory.
 * The archive is the guest's: names lead nowhere else, and more than limit
 * bytes, or anything but files and directories, is not taken.
 */
struct iovec;
/* Makes it, for that user, if there is none.  A descriptor, or -1 and a sentence. */
int out_open(const char *dir, uid_t user, char *err, size_t err_size);
void out_start(int dir, u64 limit);
void out_take(const struct iovec *iov, unsigned n);
void out_close(void);
/* Whether a file could not be written here; that was said. */
bool out_failed(void);

#endif
