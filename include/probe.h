/* SPDX-License-Identifier: MIT */
/*
 * probe.h - what this host offers to ringlet and its guests.
 */
#ifndef RINGLET_PROBE_H
#define RINGLET_PROBE_H

#include "base.h"

/*
 * Main thread, no other running: look at everything that a run could fail of,
 * and print it on stdout as a table, or as JSON.  Nothing of the host is
 * changed; a guest is run for some milliseconds.  True if a Linux guest can run.
 */
bool probe_host(bool json);

#endif
