/* SPDX-License-Identifier: MIT */
/*
 * run.h - what the parts of run, the guest's first program, have of each other.
 * One thread, one process; nothing that is taken is given back.
 */
#ifndef GUEST_RUN_H
#define GUEST_RUN_H

#include "sys.h"

#include "../include/session.h"

#define MAX_WORDS 4096 /* of the command, and of its environment */
#define CHUNK 32768    /* the most that a port takes in one piece */

/* What is to be done, as ringlet wrote it down. */
struct job {
	const char *argv[MAX_WORDS], *envp[MAX_WORDS];
	unsigned argc, envc;
	const char *program, *directory;
	const char *terminal; /* its size; NULL: pipes */
	int out;
};

extern struct job job;
extern int port[SESSION_PORTS];

/* To a descriptor: the three, in one piece. */
void say(int fd, const char *a, const char *b, const char *c);
/* The same to the console, and the machine is switched off. */
_Noreturn void give_up(const char *why, const char *what);
/* A whole file in memory of its own, ended by a 0; NULL if it cannot be read. */
char *read_file(const char *name, size_t *size);
/* What comes of poll() for one descriptor: 0, an error, or its events. */
long poll_one(int fd, short events, int ms);
/* To a port all of it, however long it takes; what nobody wants any more is lost. */
void put(int fd, const char *data, size_t len);

/* run_net.c: what ip=GUEST::HOST:MASK::eth0:off says; many kernels leave it to programs. */
void configure_net(void);

/*
 * run_command.c: start the job's command; then carry its streams until it ends,
 * where children tells of that (signalfd), and return its status.
 */
void start(void);
int carry(int children);

/* run_files.c: send what is in SESSION_OUT, as a cpio archive. */
void put_files(void);

#endif
