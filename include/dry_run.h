/* SPDX-License-Identifier: MIT */
#ifndef RINGLET_DRY_RUN_H
#define RINGLET_DRY_RUN_H

struct conf;

/* Main thread: print what the guest would get.  Nothing of the host is touched. */
void dry_run(const struct conf *c, const char *cmdline);

#endif
