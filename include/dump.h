/* SPDX-License-Identifier: MIT */
/*
 * dump.h - when a guest's memory is written to a file, and who waits for it.
 * Main thread only.
 */
#ifndef RINGLET_DUMP_H
#define RINGLET_DUMP_H

#include <stdio.h>

#include "base.h"

struct vm;

/* After vm_open(), while single: have console_run() see dumps through. */
void dump_init(struct vm *vm);

/*
 * A row of ctl.h's table: write into the file that came with the request.  The
 * guest stands still while registers are read, with "consistent" all the time;
 * the answer says how long that was.
 */
bool ctl_dump(const char *argument, FILE *answer);

/*
 * Write at once, the guest standing still or gone, to a descriptor or to a file
 * that is made with ringlet's own rights, and not left behind in part.  0, or
 * -1 and one sentence.
 */
int dump_to(int fd, char *err, size_t err_size) MUST_CHECK;
int dump_file(const char *path, char *err, size_t err_size) MUST_CHECK;

/*
 * For the guest's last moment: make the file while the rights are the user's,
 * or die; then, when it ended, fill it or (panicked false) remove it if that
 * may be done.  Says what it did.
 */
void dump_prepare(const char *path);
void dump_panicked(bool panicked);

/* After vm_stop(): a dump that is being written ends here, unanswered. */
void dump_close(void);

#endif
