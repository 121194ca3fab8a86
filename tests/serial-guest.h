/* SPDX-License-Identifier: MIT */
/*
 * serial-guest.h - the guest and the main thread of the serial tests, in one
 * thread: a port, register accesses as short as a driver writes them, and
 * counters for the interrupts and wake-ups that they cause.
 */
#ifndef RINGLET_SERIAL_GUEST_H
#define RINGLET_SERIAL_GUEST_H

#include "serial.h"

#include <linux/serial_reg.h>

#include "check.h"

#define IIR_FIFO 0xc0
#define LSR_EMPTY (UART_LSR_THRE | UART_LSR_TEMT)
#define CONSOLE_MCR (UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2)
#define OUT_SIZE 16384
#define FIFO 16

static struct serial *s;
static unsigned irqs, wakes; /* since start(), or since they were checked */

static void count_irq(void *opaque)
{
	(*(unsigned *)opaque)++;
}

static void count_wake(void *opaque)
{
	(void)opaque;
	wakes++;
}

static const struct serial_ops counting = { count_irq, count_wake };

static inline void start(void)
{
	serial_free(s);
	s = serial_new(&counting, &irqs);
	CHECK(s);
	irqs = wakes = 0;
}

static inline u8 in(unsigned reg)
{
	return serial_read(s, reg);
}

static inline void out(unsigned reg, u8 value)
{
	serial_write(s, reg, value);
}

/* As a driver leaves it when the port is open: FIFO on, RTS, no interrupts. */
static inline void open_port(void)
{
	start();
	out(UART_LCR, UART_LCR_WLEN8);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_MCR, CONSOLE_MCR);
	in(UART_MSR);
	irqs = wakes = 0;
}

static inline size_t feed(const char *text)
{
	return serial_input(s, (const u8 *)text, strlen(text));
}

/* Everything that is waiting to be drained, as a string. */
static inline const char *drained(void)
{
	static char buf[OUT_SIZE + 1];

	buf[serial_drain(s, (u8 *)buf, OUT_SIZE)] = 0;
	return buf;
}

/* Until the transmitter is not empty; returns how many bytes that took. */
static inline unsigned fill(void)
{
	unsigned n = 0;

	while (in(UART_LSR) & UART_LSR_THRE) {
		CHECK(n < 2 * OUT_SIZE);
		out(UART_TX, n++);
	}
	return n;
}

#define CHECK_IRQS(n)             \
	do {                      \
		CHECK_EQ(irqs, n); \
		irqs = 0;         \
	} while (0)
#define CHECK_WAKES(n)             \
	do {                       \
		CHECK_EQ(wakes, n); \
		wakes = 0;         \
	} while (0)

#endif
