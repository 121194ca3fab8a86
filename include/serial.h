/* SPDX-License-Identifier: MIT */
/*
 * serial.h - a 16550A at COM1, the guest's console.
 *
 * vCPU threads access registers, the main thread drains what the guest wrote
 * and feeds what the user typed; one lock inside serialises them.  A guest
 * that writes faster than the main thread drains sees a transmitter that is
 * not empty, as on real hardware: no vCPU thread ever waits for a terminal.
 */
#ifndef RINGLET_SERIAL_H
#define RINGLET_SERIAL_H

#include "base.h"

struct serial;

struct serial_ops {
	/* Raise the (edge-triggered) interrupt.  Any thread, no lock held. */
	void (*irq)(void *opaque);
	/*
	 * Output is waiting that was not a moment ago, or the receiver has
	 * room again after serial_input() took less than it was given: the
	 * main thread should look.  vCPU threads, no lock held.
	 */
	void (*wake)(void *opaque);
};

/* NULL when memory is short. */
struct serial *serial_new(const struct serial_ops *ops, void *opaque);
void serial_free(struct serial *s);

/* vCPU threads: registers 0 to 7. */
u8 serial_read(struct serial *s, unsigned reg);
void serial_write(struct serial *s, unsigned reg, u8 value);

/* What the guest may have written before it must wait, in bytes. */
#define SERIAL_OUT (16 * 1024)
/*
 * Main thread: take up to size bytes that the guest wrote.  There is no wake()
 * for what is left behind; with SERIAL_OUT there is nothing left.
 */
size_t serial_drain(struct serial *s, u8 *buf, size_t size);
/*
 * Main thread: give the guest up to len bytes; returns how many it took.  The
 * guest sees them once it has raised RTS, as every driver does on opening.
 */
size_t serial_input(struct serial *s, const u8 *buf, size_t len);
/* Main thread: a BREAK condition, which Linux takes as the SysRq prefix. */
void serial_break(struct serial *s);
/* The same, and the key behind it, which must come within five seconds. */
void serial_sysrq(struct serial *s, u8 key);

#endif
