/* SPDX-License-Identifier: MIT */
/*
 * sandbox.h - giving up every right that is not needed any more.
 */
#ifndef RINGLET_SANDBOX_H
#define RINGLET_SANDBOX_H

#include <sys/types.h>

/*
 * Who we are going to be: as root that user (NULL: nobody), else who we are.
 * die_args() where that cannot be.
 */
uid_t sandbox_uid(const char *user);

/*
 * Main thread, once, after everything that needs rights is open and before
 * any other thread exists: drop every capability, the bounding set included,
 * set no_new_privs, and as root become user (NULL: nobody), whom sandbox_uid()
 * has found possible.  Verified; dies when any of it fails.
 */
void sandbox_enter(const char *user);

#endif
