/* SPDX-License-Identifier: MIT */
/*
 * lib.h - the little that every guest here needs of a machine: words out, the
 * command line, interrupts, a clock and an end.  There is one processor, and
 * no memory but what a guest declares.
 *
 * These guests run on processors that are emulated at three million
 * instructions a second as well as on real ones: where it is cheap to leave an
 * instruction or an access to a device away, it is left away.
 */
#ifndef GUEST_LIB_H
#define GUEST_LIB_H

#include "barrier.h"
#include "base.h"

/* A guest begins here; when it returns the machine is switched off. */
void main(void);

static inline void out8(u16 port, u8 v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline u8 in8(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void write32(u64 address, u32 v)
{
	*(volatile u32 *)address = v;
}

static inline u32 read32(u64 address)
{
	return *(volatile u32 *)address;
}

static inline u64 read_tsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

/*
 * Interrupts are off but here: those that wait are served.  The port is
 * nobody's; an emulated processor looks for interrupts when it has left the
 * guest, and maybe not before.
 */
static inline void let_interrupts_in(void)
{
	__asm__ volatile("sti; nop; inb $0x80, %%al; nop; cli" ::: "memory", "rax");
}

/* The same, and sleep until there is one. */
static inline void wait_for_interrupt(void)
{
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}

/*
 * Onto the serial port: %s, %u (u64) and %x (u64), %% and no more.  What
 * scripts are to read is a line of KEY=VALUE.
 */
void print(const char *fmt, ...);

/* Power off. */
_Noreturn void power_off(void);
/* Say so and crash: ringlet's status will be that of a panic. */
_Noreturn void fail(const char *why);

/* The command line's "name=": what stands behind, up to a blank; NULL if there is none. */
const char *param(const char *name);
bool param_is(const char *name, const char *value);
u64 param_number(const char *name, u64 otherwise);
/* The i-th address of ip=GUEST:SERVER:GATEWAY:..., as in a packet; 0 if there is none. */
u32 param_ip(unsigned i);

/* Nanoseconds, by KVM's clock.  0 where there is none. */
u64 clock_ns(void);

/* What an interrupt handler is; it ends with end_of_interrupt(). */
struct frame;
#define INTERRUPT __attribute__((interrupt))

static inline void end_of_interrupt(void)
{
	__asm__ volatile("wrmsr" : : "c"(0x80b), "a"(0), "d"(0) : "memory"); /* x2APIC EOI */
}

/* A device that ACPI tells of. */
struct device {
	u64 base;
	u32 gsi;
	bool level; /* its line is level triggered */
};

/* The first virtio-mmio device of this type. */
bool find_virtio(u32 id, struct device *d);
/* From now on its interrupts end in this handler. */
void route_interrupt(const struct device *d, void (*handler)(struct frame *));

#endif
