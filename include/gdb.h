/* SPDX-License-Identifier: MIT */
/*
 * gdb.h - the guest seen by gdb, which connects by its remote protocol.  It
 * shows processors as threads, all of which stop when one does.
 *
 * Main thread only.  Whoever can connect can read and write all of the guest,
 * and has no more rights on the host than that.  Nothing of it costs a guest
 * anything that was started without it.
 */
#ifndef RINGLET_GDB_H
#define RINGLET_GDB_H

#include "base.h"

struct conf_gdb;
struct ctl_command;
struct vm;

/*
 * While privileged: have the socket that c names and say on standard error how
 * gdb gets to it.  0, or -1 with a sentence in err.
 */
int gdb_open(const struct conf_gdb *c, char *err, size_t err_size) MUST_CHECK;
/*
 * Before vm_start(): have console_run() serve the socket.  stopped: the guest
 * does not run until gdb says so.  commands: what `monitor` knows, a table that
 * ends with a name of NULL.
 */
void gdb_serve(struct vm *vm, const struct ctl_command *commands, bool stopped);
/* The guest is gone: tell gdb so.  Removes the socket; of no effect without one. */
void gdb_close(void);

#endif
