/* SPDX-License-Identifier: MIT */
/*
 * ctl.h - the control socket of a running guest, and where to look for those
 * of others.
 *
 * A request is a line: a command and perhaps its argument ("stats json").  The
 * answer is a line, "ringlet/1 ok LENGTH" or "ringlet/1 error LENGTH", and so
 * many bytes.  Then the next request may come.  Whoever connects must be root
 * or the user who started the guest.
 *
 * A request that writes a file comes with the file, opened by the client: a
 * name would be looked up with ringlet's rights, in ringlet's directory.
 *
 * Sockets are called NAME.sock.  They are in $XDG_RUNTIME_DIR/ringlet, without
 * that in /run/ringlet (root) or /tmp/ringlet-UID; where root's ringlet becomes
 * another user, in a directory of that one's in there, so that it can still
 * remove the socket at the end.
 */
#ifndef RINGLET_CTL_H
#define RINGLET_CTL_H

#include <stdio.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base.h"

#define CTL_HELLO "ringlet/1"
#define CTL_LINE 256	/* bytes of a request at most */
#define CTL_CLIENTS 16	/* at a time; one more takes the place of who was silent longest */
#define CTL_ANSWER (8 * MiB) /* bytes of an answer at most */
#define CTL_NAME 64	/* of a guest, with its end */

/*
 * What a command does with its argument ("": none): writes the answer.  false:
 * what it wrote is a sentence that says what was wrong.
 */
struct ctl_command {
	const char *name, *help;
	bool (*run)(const char *argument, FILE *answer);
};

/* The row of that name, len bytes, in a table that ends with a name of NULL; NULL: there is none. */
const struct ctl_command *ctl_find(const struct ctl_command *table, const char *name, size_t len);

/*
 * Main thread, from run(): the descriptor that the client passed with its
 * request, which is the caller's from now on; -1: there is none.
 */
int ctl_take_fd(void);
/*
 * Main thread, from run(): the answer comes later, by ctl_answer() with this
 * ticket; what run() writes and returns does not count.  gone is called if the
 * client does not wait for it any more.
 */
u64 ctl_defer(void (*gone)(u64 ticket));
/* Main thread.  Of no effect when the client is gone. */
void ctl_answer(u64 ticket, bool ok, const char *text);

/*
 * Main thread, while privileged.  name: of the guest.  path: where the socket is to
 * be, NULL: in its directory.  uid: who we are going to be.  0, or -1 with a
 * sentence in err: among other things, that a guest of that name runs.
 */
int ctl_open(const char *name, const char *path, uid_t uid, char *err, size_t err_size) MUST_CHECK;
/*
 * Main thread: have console_run() serve the socket.  The table ends with a
 * name of NULL and must outlive the socket.
 */
void ctl_serve(const struct ctl_command *commands);
/* Main thread: removes the socket. */
void ctl_close(void);

/*
 * ctl_client.c, ctl_stat.c, ctl_request.c: what `ringlet list`, `stat` and `ctl`
 * do; their exit status.
 */
struct conf_client;
int ctl_list(const struct conf_client *c);
int ctl_stat(const struct conf_client *c);
int ctl_request(const struct conf_client *c);

/* --- ctl_dir.c: the directories ------------------------------------------------ */

/* A guest's socket as it was found. */
struct ctl_found {
	char name[CTL_NAME];
	struct sockaddr_un address;
};

/*
 * A directory for the sockets of a process that will be uid, opened, made if
 * need be, looked at that nobody else can write it; path is its name.  Others
 * who want one wait until lock is unlocked.  -1 and a sentence.
 */
int ctl_dir_open(uid_t uid, int *lock, char *path, size_t size, char *err, size_t err_size);

/*
 * Connect to each socket of this user's guests; those without a listener are
 * removed.  call gets the connection and keeps it; false ends the search.  It
 * must not wait for anything: who wants to start a guest waits for it.
 */
void ctl_dir_each(bool (*call)(const struct ctl_found *g, int fd, void *arg), void *arg);

/* Connect without waiting; -1 and errno: ECONNREFUSED when nobody listens. */
int ctl_connect(const struct sockaddr_un *address);
/* An address for that path, or false: it is too long for one. */
bool ctl_address(struct sockaddr_un *address, const char *dir, const char *name);

#endif
