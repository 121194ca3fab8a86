// SPDX-License-Identifier: MIT
/*
 * inspect.c - what there is to see of a guest besides its counters: registers,
 * page tables, physical memory, interrupt controllers.
 */
#include "inspect.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "barrier.h"
#include "counter.h"
#include "ctl.h"
#include "guest_memory.h"
#include "stats.h"
#include "vm.h"

#define PHYS_USUAL 64
#define PHYS_MOST (64 * KiB)
#define RANGES_MOST 4096

static const struct stats *all;

void inspect_open(const struct stats *s)
{
	all = s;
}

struct vm *inspect_vm(void)
{
	return all ? all->vm : NULL;
}

/* --- arguments ---------------------------------------------------------------------- */

/* A number in the C way; what follows is at *s.  If there is none it stays as it is. */
static bool number(const char **s, u64 *n)
{
	char *end;
	u64 v;

	*s += strspn(*s, " ");
	if (!**s)
		return true;
	errno = 0;
	v = strtoull(*s, &end, 0);
	if (end == *s || errno || **s == '-')
		return false;
	*n = v;
	*s = end;
	return true;
}

/* The vCPU that the argument names, or the first; NULL and a sentence: there is none. */
static struct vcpu *vcpu_of(const char *argument, FILE *f)
{
	u64 n = 0;

	if (number(&argument, &n) && !*argument && n < all->vm->ncpus)
		return &all->vm->vcpu[n];
	fprintf(f, "not a processor's number, 0 to %u\n", all->vm->ncpus - 1);
	return NULL;
}

/* --- registers ---------------------------------------------------------------------- */

static void segment(FILE *f, const char *name, const struct kvm_segment *s)
{
	fprintf(f, "  %-4s %04x base %016llx limit %08x type %x dpl %u%s%s%s\n", name, s->selector,
		(unsigned long long)s->base, s->limit, s->type, s->dpl, s->l ? " 64-bit" : "", s->db ? " 32-bit" : "",
		s->unusable ? " unusable" : "");
}

static void registers_of(struct vcpu *c, FILE *f)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	if (ioctl(c->fd, KVM_GET_REGS, &r) || ioctl(c->fd, KVM_GET_SREGS, &s)) {
		fprintf(f, "vCPU %u: KVM does not tell: %s\n", c->index, strerror(errno));
		return;
	}
	const struct {
		const char *name;
		u64 value;
	} rows[] = {
		{ "rax", r.rax }, { "rbx", r.rbx }, { "rcx", r.rcx }, { "rdx", r.rdx }, { "rsi", r.rsi },
		{ "rdi", r.rdi }, { "rbp", r.rbp }, { "rsp", r.rsp }, { "r8", r.r8 }, { "r9", r.r9 },
		{ "r10", r.r10 }, { "r11", r.r11 }, { "r12", r.r12 }, { "r13", r.r13 }, { "r14", r.r14 },
		{ "r15", r.r15 }, { "rip", r.rip }, { "flags", r.rflags }, { "cr0", s.cr0 }, { "cr2", s.cr2 },
		{ "cr3", s.cr3 }, { "cr4", s.cr4 }, { "cr8", s.cr8 }, { "efer", s.efer }, { "apic", s.apic_base },
	};

	fprintf(f, "vCPU %u\n", c->index);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		fprintf(f, "  %-5s %016llx%s", rows[i].name, (unsigned long long)rows[i].value,
			i % 3 == 2 || i + 1 == ARRAY_SIZE(rows) ? "\n" : "");
	segment(f, "cs", &s.cs);
	segment(f, "ss", &s.ss);
	segment(f, "ds", &s.ds);
	segment(f, "es", &s.es);
	segment(f, "fs", &s.fs);
	segment(f, "gs", &s.gs);
	segment(f, "tr", &s.tr);
	segment(f, "ldt", &s.ldt);
	fprintf(f, "  gdt  %016llx limit %x\n  idt  %016llx limit %x\n", (unsigned long long)s.gdt.base, s.gdt.limit,
		(unsigned long long)s.idt.base, s.idt.limit);
}

bool inspect_registers(const char *argument, FILE *f)
{
	struct vcpu *one = *argument ? vcpu_of(argument, f) : NULL;

	if (*argument && !one)
		return false;
	vm_pause(all->vm);
	for (unsigned i = 0; i < all->vm->ncpus; i++)
		if (!one || one == &all->vm->vcpu[i])
			registers_of(&all->vm->vcpu[i], f);
	vm_resume(all->vm);
	return true;
}

/* --- memory ------------------------------------------------------------------------- */

struct ranges {
	FILE *to;
	struct guest_page now; /* pages that follow each other, as one */
	unsigned n;
};

static void end_range(struct ranges *r)
{
	const struct guest_page *p = &r->now;

	if (p->size)
		fprintf(r->to, "%016llx-%016llx -> %012llx r%c%c%c\n", (unsigned long long)p->va,
			(unsigned long long)(p->va + p->size - 1), (unsigned long long)p->gpa,
			p->flags & PAGE_WRITABLE ? 'w' : '-', p->flags & PAGE_NO_EXECUTE ? '-' : 'x',
			p->flags & PAGE_USER ? 'u' : '-');
	r->now.size = 0;
}

static bool add_page(const struct guest_page *page, void *arg)
{
	struct ranges *r = arg;
	struct guest_page *p = &r->now;

	if (p->size && page->va == p->va + p->size && page->gpa == p->gpa + p->size && page->flags == p->flags) {
		p->size += page->size;
		return true;
	}
	end_range(r);
	*p = *page;
	return ++r->n <= RANGES_MOST;
}

bool inspect_mem(const char *argument, FILE *f)
{
	struct vcpu *c = vcpu_of(argument, f);
	struct ranges r = { .to = f };
	struct kvm_sregs s;
	bool whole;

	if (!c)
		return false;
	vm_pause(all->vm);
	if (ioctl(c->fd, KVM_GET_SREGS, &s)) {
		fprintf(f, "KVM does not tell: %s\n", strerror(errno));
		whole = true;
	} else {
		const struct paging p = { s.cr0, s.cr3, s.cr4, s.efer };

		whole = guest_each_page(&all->vm->mem, &p, add_page, &r);
		if (r.n <= RANGES_MOST)
			end_range(&r);
	}
	vm_resume(all->vm);
	if (!whole)
		fprintf(f, "... and more\n");
	return true;
}

static void line_of_bytes(FILE *f, u64 gpa, const u8 *p, u64 n)
{
	fprintf(f, "%012llx ", (unsigned long long)gpa);
	for (u64 i = 0; i < 16; i++)
		if (i < n)
			fprintf(f, " %02x", p[i]);
		else
			fputs("   ", f);
	fputs("  ", f);
	for (u64 i = 0; i < n; i++)
		putc(p[i] >= ' ' && p[i] < 127 ? p[i] : '.', f);
	putc('\n', f);
}

/* Bytes as phys prints them, "90 cc" or "90cc", at most CTL_LINE of them; how many, 0: they are not. */
static u64 hex_bytes(const char *s, u8 *to)
{
	u64 n = 0;

	while (*(s += strspn(s, " "))) {
		char byte[3] = { s[0], s[1] };

		if (n == CTL_LINE || strspn(byte, "0123456789abcdefABCDEF") != 2)
			return 0;
		to[n++] = (u8)strtoul(byte, NULL, 16);
		s += 2;
	}
	return n;
}

bool inspect_phys(const char *argument, FILE *f)
{
	u64 gpa = ~0ULL, count = PHYS_USUAL;
	u8 bytes[CTL_LINE];
	bool change = false, good;
	u8 *p;

	good = *argument && number(&argument, &gpa);
	argument += strspn(argument, " ");
	if (good && (change = *argument == '='))
		count = hex_bytes(argument + 1, bytes);
	else if (good)
		good = number(&argument, &count) && !*argument;
	if (!good || !count || count > PHYS_MOST) {
		fprintf(f, "write it like: phys 0x1000 64; at most %llu bytes; or, to change them: phys 0x1000=90 cc\n",
			PHYS_MOST);
		return false;
	}
	p = mem_at(&all->vm->mem, gpa, count);
	if (!p) {
		fprintf(f, "there is no memory at %#llx, or not so much\n", (unsigned long long)gpa);
		return false;
	}
	if (change) {
		vm_pause(all->vm);
		memcpy(p, bytes, count);
		vm_resume(all->vm);
	}
	for (u64 at = 0; at < count; at += 16) {
		u8 copy[16];

		memcpy(copy, p + at, MIN(count - at, sizeof(copy)));
		line_of_bytes(f, gpa + at, copy, MIN(count - at, sizeof(copy)));
	}
	return true;
}

/* --- interrupts, exits, the network ------------------------------------------------------ */

static void vectors(FILE *f, const char *name, const char *regs, unsigned at)
{
	fprintf(f, " %s", name);
	for (unsigned v = 0; v < 256; v++)
		if (((const u8 *)regs)[at + v / 32 * 16 + v / 8 % 4] >> v % 8 & 1)
			fprintf(f, " %02x", v);
}

bool inspect_interrupts(const char *argument, FILE *f)
{
	struct vm *vm = all->vm;
	struct kvm_lapic_state s;

	(void)argument;
	vm_pause(vm);
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		u64 e = vm->ioapic.entry[i];

		if (!(e >> 16 & 1))
			fprintf(f, "line %-2u vector %02x, destination %02x%s, %s\n", i, (unsigned)(e & 0xff),
				(unsigned)(e >> 56), e >> 11 & 1 ? " (logical)" : "", e >> 15 & 1 ? "level" : "edge");
	}
	for (unsigned i = 0; i < vm->ncpus; i++) {
		if (ioctl(vm->vcpu[i].fd, KVM_GET_LAPIC, &s))
			continue;
		fprintf(f, "vCPU %u: task priority %02x;", i, (u8)s.regs[0x80]);
		vectors(f, "in service", s.regs, 0x100);
		vectors(f, "; requested", s.regs, 0x200);
		fputs("\n", f);
	}
	vm_resume(vm);
	return true;
}

bool inspect_exits(const char *argument, FILE *f)
{
	struct exit_counters c;

	(void)argument;
	for (unsigned i = 0; i < all->vm->ncpus; i++) {
		counters_read(&c, &all->vm->vcpu[i].count, sizeof(c));
		fprintf(f, "vCPU %u:", i);
		for (unsigned k = 0; exit_reason_name(k); k++)
			if (c.exits[k])
				fprintf(f, " %s %llu (%llu us)", exit_reason_name(k), (unsigned long long)c.exits[k],
					(unsigned long long)(c.ns[k] / 1000));
		fputs("\n", f);
	}
	return true;
}

bool inspect_net(const char *argument, FILE *f)
{
	(void)argument;
	if (!all->net) {
		fprintf(f, "there is no network device\n");
		return false;
	}
	stats_write_net(all, f);
	return true;
}
