/* SPDX-License-Identifier: MIT */
#ifndef RINGLET_DRY_RUN_H
#define RINGLET_DRY_RUN_H

struct boot_made;
struct conf;

/*
 * Main thread: print what the guest would get, or die_args() as the run would.
 * Nothing of the host is changed.  made: the initrd for a command, or NULL.
 */
void dry_run(const struct conf *c, const char *cmdline, const struct boot_made *made);

#endif
