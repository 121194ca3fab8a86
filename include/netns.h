/* SPDX-License-Identifier: MIT */
/*
 * netns.h - a network of our own, without anybody's leave: a network namespace
 * and, for ordinary users, the user namespace in which they may configure it.
 * Main thread, before there is another.
 */
#ifndef RINGLET_NETNS_H
#define RINGLET_NETNS_H

#include "base.h"

/* Whether this process may make taps and give them addresses. */
bool netns_may_configure(void);

/*
 * From here on this process is in a network that nobody else is in, may
 * configure it, and nothing more.  own_users: in a user namespace even as root,
 * who has yet to map its users.  0, or -1 and a sentence.
 */
int netns_enter(bool own_users, char *err, size_t err_size) MUST_CHECK;

/* Write a text to a file of /proc.  False and errno. */
bool netns_write_file(const char *name, const char *text);

/*
 * Have a shell ready to run the command there, with rights to that network;
 * it begins with netns_start_peer(), has our standard error for its output,
 * and is ended, with what it left in the background, by netns_end_peer() or when
 * we are gone.
 */
void netns_prepare_peer(const char *command);
void netns_start_peer(void);
void netns_end_peer(void);

#endif
