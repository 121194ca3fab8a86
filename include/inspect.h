/* SPDX-License-Identifier: MIT */
/*
 * inspect.h - a look at the running guest: commands of the control socket and
 * of gdb's `monitor`, see struct ctl_command.
 *
 * Main thread.  Where the vCPUs must stand still for it they do so by
 * themselves, for a moment; no thread of a device is ever stopped.
 */
#ifndef RINGLET_INSPECT_H
#define RINGLET_INSPECT_H

#include <stdio.h>

#include "base.h"

struct stats;
struct vm;

/* Before any of the others: what there is to look at. */
void inspect_open(const struct stats *s);

bool inspect_registers(const char *argument, FILE *answer);
bool inspect_mem(const char *argument, FILE *answer);
bool inspect_phys(const char *argument, FILE *answer);
bool inspect_net(const char *argument, FILE *answer);
bool inspect_interrupts(const char *argument, FILE *answer);
bool inspect_exits(const char *argument, FILE *answer);
/*
 * inspect_vq.c: the rings of all virtio devices, or of one queue with what is
 * in flight.  They are read as the guest's, which may write them meanwhile;
 * the device's own indices as its counters are.
 */
bool inspect_vq(const char *argument, FILE *answer);
/* The guest that inspect_open() named; NULL: none. */
struct vm *inspect_vm(void);

#endif
