// SPDX-License-Identifier: MIT
/*
 * lib.c - the machine, as far as guests here need one.  It is found by ACPI
 * alone, so that the same file runs under ringlet and under QEMU's microvm,
 * whose devices are elsewhere.
 */
#include "lib.h"

#include <stdarg.h>

#include "layout.h" /* only for the ports that all PCs share */

#define SERIAL_DATA PORT_SERIAL
#define SERIAL_FIFO (PORT_SERIAL + 2)
#define SERIAL_STATUS (PORT_SERIAL + 5)
#define FIFO_ENABLE 0x07
#define FIFO_SIZE 16
#define STATUS_EMPTY 0x20

#define MSR_APIC_BASE 0x1b
#define APIC_X2 0xc00 /* enabled, as an x2APIC */
#define MSR_X2APIC_SPURIOUS 0x80f
#define SPURIOUS_ENABLE 0x1ff
#define MSR_KVM_CLOCK 0x4b564d01

#define CODE_SEGMENT 8
#define GATE_INTERRUPT 0x8e
#define EXCEPTIONS 32
#define VECTOR EXCEPTIONS /* the one device interrupt */

/* PVH's letter; only what is used of it. */
struct start_info {
	u32 magic, version, flags, modules;
	u64 modlist, cmdline, rsdp;
};

struct gate {
	u16 low, segment;
	u8 stack, type;
	u16 middle;
	u32 high, reserved;
};

/* What KVM writes for its clock; even version: consistent. */
struct kvm_clock {
	u32 version, pad;
	u64 tsc, ns;
	u32 multiplier;
	signed char shift;
	u8 flags, pad2[2];
};

static const char *cmdline;
static const u8 *xsdt, *fadt, *madt, *dsdt;
static struct gate idt[VECTOR + 1];
static volatile struct kvm_clock kvm_clock __attribute__((aligned(32)));

/* entry.S */
extern u8 exceptions[EXCEPTIONS][16];
_Noreturn void start_guest(const struct start_info *info);
_Noreturn void exception(const u64 *stack);

/* The compiler calls these by itself. */
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
	return to;
}

void *memset(void *to, int c, size_t n)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(c) : "memory");
	return to;
}

static void write_msr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static u64 read_msr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (u64)high << 32 | low;
}

/* --- words --- */

static void put(char c)
{
	static unsigned room; /* in the FIFO, so that it is asked once for many */

	if (!room) {
		while (!(in8(SERIAL_STATUS) & STATUS_EMPTY))
			;
		room = FIFO_SIZE;
	}
	out8(SERIAL_DATA, (u8)c);
	room--;
}

static void put_number(u64 n, unsigned base)
{
	char digits[20];
	unsigned len = 0;

	do
		digits[len++] = "0123456789abcdef"[n % base];
	while (n /= base);
	while (len)
		put(digits[--len]);
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		switch (*++fmt) {
		case 's':
			for (const char *s = va_arg(ap, const char *); *s; s++)
				put(*s);
			break;
		case 'u':
			put_number(va_arg(ap, u64), 10);
			break;
		case 'x':
			put_number(va_arg(ap, u64), 16);
			break;
		default:
			put(*fmt);
		}
	}
	va_end(ap);
}

/* --- the command line --- */

const char *param(const char *name)
{
	for (const char *at = cmdline; *at;) {
		const char *n = name;

		while (*n && *n == *at)
			n++, at++;
		if (!*n && *at == '=')
			return at + 1;
		while (*at && *at != ' ')
			at++;
		while (*at == ' ')
			at++;
	}
	return NULL;
}

bool param_is(const char *name, const char *value)
{
	const char *at = param(name);

	while (at && *value && *at == *value)
		at++, value++;
	return at && !*value && (!*at || *at == ' ');
}

u64 param_number(const char *name, u64 otherwise)
{
	const char *at = param(name);
	u64 n = 0;

	if (!at)
		return otherwise;
	for (; *at >= '0' && *at <= '9'; at++)
		n = n * 10 + (u64)(*at - '0');
	if (*at && *at != ' ')
		fail("a parameter is to be a number, and is none");
	return n;
}

u32 param_ip(unsigned i)
{
	const char *at = param("ip");
	u32 ip = 0, part = 0;

	for (; at && i; at++) {
		if (!*at || *at == ' ')
			return 0;
		i -= *at == ':';
	}
	for (unsigned shift = 0; at; at++) {
		if (*at >= '0' && *at <= '9') {
			part = part * 10 + (u32)(*at - '0');
			continue;
		}
		ip |= part << shift;
		part = 0;
		shift += 8;
		if (*at != '.')
			break;
	}
	return ip;
}

/* --- ACPI --- */

static u32 at32(const u8 *p)
{
	return *(const u32 *)p;
}

static u64 at64(const u8 *p)
{
	return *(const u64 *)p;
}

#define NAME(a, b, c, d) ((u32)(a) | (u32)(b) << 8 | (u32)(c) << 16 | (u32)(d) << 24)

/* All tables have their length in bytes 4 to 7 and their substance behind 36. */
static const u8 *acpi_table(u32 name)
{
	for (const u8 *entry = xsdt + 36; entry < xsdt + at32(xsdt + 4); entry += 8)
		if (at32((const u8 *)at64(entry)) == name)
			return (const u8 *)at64(entry);
	fail("an ACPI table is missing");
}

static void read_acpi(u64 rsdp)
{
	/* A loader that does not say where: the BIOS area, 16 bytes apart. */
	for (u64 p = 0xe0000; !rsdp && p < 0x100000; p += 16)
		if (at64((const u8 *)p) == (NAME('R', 'S', 'D', ' ') | (u64)NAME('P', 'T', 'R', ' ') << 32))
			rsdp = p;
	if (!rsdp || !at64((const u8 *)rsdp + 24))
		fail("there is no ACPI");
	xsdt = (const u8 *)at64((const u8 *)rsdp + 24);
	fadt = acpi_table(NAME('F', 'A', 'C', 'P'));
	madt = acpi_table(NAME('A', 'P', 'I', 'C'));
	dsdt = (const u8 *)(at64(fadt + 140) ? at64(fadt + 140) : at32(fadt + 40));
}

/*
 * There is no interpreter here: behind a device's name we look for the two
 * descriptors of its resources, as both hypervisors write them.
 */
static bool read_resources(const u8 *p, const u8 *end, struct device *d)
{
	d->base = 0;
	for (; p + 9 <= end; p++) {
		if (!d->base && p[0] == 0x86 && p[1] == 9 && !p[2]) { /* 32-bit fixed memory */
			d->base = at32(p + 4);
			p += 11;
		} else if (d->base && p[0] == 0x89 && p[1] == 6 && !p[2]) { /* extended interrupt */
			d->level = !(p[3] & 2);
			d->gsi = at32(p + 5);
			return true;
		}
	}
	return false;
}

#define VIRTIO_DEVICE_ID 0x008

bool find_virtio(u32 id, struct device *d)
{
	const u8 *end = dsdt + at32(dsdt + 4);

	for (const u8 *p = dsdt + 36; p + 8 <= end; p++)
		if (at64(p) == (NAME('L', 'N', 'R', 'O') | (u64)NAME('0', '0', '0', '5') << 32) &&
		    read_resources(p, end, d) && read32(d->base + VIRTIO_DEVICE_ID) == id)
			return true;
	return false;
}

/* --- interrupts --- */

static void set_gate(unsigned vector, u64 handler)
{
	idt[vector] = (struct gate){
		.low = (u16)handler,
		.segment = CODE_SEGMENT,
		.type = GATE_INTERRUPT,
		.middle = (u16)(handler >> 16),
		.high = (u32)(handler >> 32),
	};
}

static void set_exceptions(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (u64)idt };

	for (unsigned i = 0; i < EXCEPTIONS; i++)
		set_gate(i, (u64)exceptions[i]);
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

void route_interrupt(const struct device *d, void (*handler)(struct frame *))
{
	u64 ioapic = 0;
	u32 first = 0, pin;

	/* Of the I/O APICs the one that has this line. */
	for (const u8 *e = madt + 44; e < madt + at32(madt + 4); e += e[1])
		if (e[0] == 1 && at32(e + 8) <= d->gsi && (!ioapic || at32(e + 8) > first)) {
			ioapic = at32(e + 4);
			first = at32(e + 8);
		}
	if (!ioapic)
		fail("there is no I/O APIC");
	set_gate(VECTOR, (u64)handler);
	write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | APIC_X2);
	write_msr(MSR_X2APIC_SPURIOUS, SPURIOUS_ENABLE);
	pin = d->gsi - first;
	write32(ioapic, 0x11 + 2 * pin);
	write32(ioapic + 0x10, 0); /* to processor 0 */
	write32(ioapic, 0x10 + 2 * pin);
	write32(ioapic + 0x10, VECTOR | (d->level ? 1u << 15 : 0));
}

/* --- time --- */

u64 clock_ns(void)
{
	u64 delta, ns;
	u32 version;

	if (!kvm_clock.multiplier)
		write_msr(MSR_KVM_CLOCK, (u64)&kvm_clock | 1);
	do {
		version = kvm_clock.version;
		delta = read_tsc() - kvm_clock.tsc;
		delta = kvm_clock.shift < 0 ? delta >> -kvm_clock.shift : delta << kvm_clock.shift;
		ns = kvm_clock.ns + (u64)((unsigned __int128)delta * kvm_clock.multiplier >> 32);
	} while (version & 1 || version != kvm_clock.version);
	return ns;
}

/* --- the beginning and the end --- */

void power_off(void)
{
	const u8 *gas = fadt + 244; /* the sleep control register */
	const u8 sleep = 0x20 | ACPI_S5_TYPE << 2;

	if (gas[0] == 1)
		out8((u16)at64(gas + 4), sleep);
	else
		*(volatile u8 *)at64(gas + 4) = sleep;
	/* It may take the hypervisor a while to notice. */
	for (;;)
		__asm__ volatile("cli; hlt");
}

static _Noreturn void crash(void)
{
	static const struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none = { 0, 0 };

	out8(PORT_PVPANIC, 1);
	for (;;)
		__asm__ volatile("lidt %0; ud2" : : "m"(none)); /* a triple fault */
}

void fail(const char *why)
{
	print("failed: %s\n", why);
	crash();
}

void exception(const u64 *stack)
{
	print("exception=%u error=%x rip=%x\n", stack[0], stack[1], stack[2]);
	crash();
}

void start_guest(const struct start_info *info)
{
	set_exceptions();
	out8(SERIAL_FIFO, FIFO_ENABLE);
	cmdline = info->cmdline ? (const char *)info->cmdline : "";
	read_acpi(info->rsdp);
	main();
	power_off();
}
