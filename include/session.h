/* SPDX-License-Identifier: MIT */
/*
 * session.h - what ringlet and its init in the guest (guest/run.c) say to each
 * other when a command is run.
 *
 * Before: /.ringlet/job in the initramfs, a sequence of words, each ended by
 * a 0, each beginning with a letter that says what it is (JOB_*).
 *
 * Meanwhile: one port of the virtio console for each stream, in this order.
 * On SESSION_CONTROL lines of text: the guest says "up" once when all is open,
 * and at last "exit N"; ringlet says "size ROWS COLUMNS" and "signal N".
 */
#ifndef RINGLET_SESSION_H
#define RINGLET_SESSION_H

enum session_port {
	SESSION_CONTROL = 1, /* the first is by custom a terminal's: not used */
	SESSION_STDIN,  /* to the guest */
	SESSION_STDOUT, /* from the guest, like the others */
	SESSION_STDERR,
	SESSION_FILES, /* what is in SESSION_OUT at the end, as a cpio archive */
	SESSION_PORTS,
};

#define SESSION_HOME "/.ringlet"
#define SESSION_INIT SESSION_HOME "/init"
#define SESSION_JOB SESSION_HOME "/job"
#define SESSION_OUT "/out"

#define JOB_MODULE 'm'	 /* a kernel module's file name; in the order of loading */
#define JOB_PROGRAM 'x'	 /* the file to execute; without it the first argument is looked for */
#define JOB_ARGUMENT 'a' /* of the command, its name first */
#define JOB_ENVIRON 'e'	 /* NAME=VALUE */
#define JOB_DIRECTORY 'd' /* to run it in */
#define JOB_TERMINAL 't' /* "ROWS COLUMNS": it has one */
#define JOB_OUT 'o'	 /* send back what is in SESSION_OUT */

/* The longest line of SESSION_CONTROL, line feed included. */
#define SESSION_LINE 64

#endif
