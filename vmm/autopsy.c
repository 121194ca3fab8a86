// SPDX-License-Identifier: MIT
/*
 * autopsy.c - a look at the dead, or at who seems to be.
 *
 * Stock kernels keep no frame pointers, and their own tables for unwinding are
 * out of reach.  So the stack is searched for what can be a return address: in
 * the kernel's text, and right behind a call.  What was left there by calls
 * that have returned is found, too; each such line ends in a question mark.
 */
#include "autopsy.h"

#include <string.h>

#include "cpu_state.h"
#include "mem.h"
#include "symbols.h"
#include "vm.h"

#define CODE_BEFORE 16
#define CODE_BYTES 32
#define STACK_SIZE (16 * KiB) /* Linux's, aligned to itself */
#define CALLERS_MOST 64
#define TEXT_START 0xffffffff80000000ULL /* of Linux and its modules */
#define TEXT_END 0xffffffffff000000ULL
#define RFLAGS_IF (1u << 9)

u64 autopsy_slide(const struct symbols *s, const struct cpu_state *cpu, unsigned ncpus)
{
	u64 entry = s ? symbols_find(s, "entry_SYSCALL_64") : 0, slide;

	for (unsigned i = 0; entry && i < ncpus; i++) {
		slide = cpu[i].lstar - entry;
		/* A kernel is moved by whole steps of 2 MiB, and stays in its half GiB. */
		if (cpu[i].lstar >= TEXT_START && !(slide % (2 * MiB)) && slide < GiB)
			return slide;
	}
	return 0;
}

const char *autopsy_name(const struct symbols *s, u64 slide, u64 address, char *buf, size_t size)
{
	u64 offset;
	const char *name = s ? symbols_at(s, address - slide, &offset) : NULL;

	if (name)
		snprintf(buf, size, "%s+%#llx", name, (unsigned long long)offset);
	else
		snprintf(buf, size, "%#llx", (unsigned long long)address);
	return buf;
}

/* A call of 2 to 7 bytes that ends here: e8, or ff /2 with what is behind it. */
static bool is_behind_call(const struct mem *m, const struct cpu_state *c, u64 address)
{
	u8 b[7];

	if (cpu_read(m, c, address - sizeof(b), b, sizeof(b)) != sizeof(b))
		return false;
	if (b[2] == 0xe8)
		return true;
	for (unsigned i = 0; i < sizeof(b) - 1; i++)
		if (b[i] == 0xff && (b[i + 1] >> 3 & 7) == 2)
			return true;
	return false;
}

/* Each function of a kernel with mitigations returns by way of one: they are everywhere. */
static bool is_thunk(const struct symbols *s, u64 address)
{
	u64 offset;
	const char *name = s ? symbols_at(s, address, &offset) : NULL;

	return name && strstr(name, "return_thunk");
}

static void write_callers(FILE *f, const struct mem *m, const struct cpu_state *c, const struct symbols *s, u64 slide)
{
	u64 at = c->regs.rsp & ~7ULL, end = (at | (STACK_SIZE - 1)) + 1, word;
	unsigned n = 0;
	char name[256];

	for (; at < end && n < CALLERS_MOST && cpu_read(m, c, at, &word, sizeof(word)) == sizeof(word); at += 8) {
		u64 offset;

		if (word < TEXT_START || word >= TEXT_END || (s && !symbols_at(s, word - slide, &offset)) ||
		    is_thunk(s, word - slide) || !is_behind_call(m, c, word))
			continue;
		if (!n++)
			fprintf(f, "  called from, as far as the stack tells:\n");
		fprintf(f, "    %s ?\n", autopsy_name(s, slide, word, name, sizeof(name)));
	}
}

/* The bytes around RIP, that one in angle brackets. */
static void write_code(FILE *f, const struct mem *m, const struct cpu_state *c)
{
	u64 from = c->regs.rip - CODE_BEFORE;
	u8 byte;

	fprintf(f, "  code");
	for (unsigned i = 0; i < CODE_BEFORE + CODE_BYTES; i++) {
		if (cpu_read(m, c, from + i, &byte, 1) != 1)
			fprintf(f, i == CODE_BEFORE ? " <-->" : " --");
		else
			fprintf(f, i == CODE_BEFORE ? " <%02x>" : " %02x", byte);
	}
	putc('\n', f);
}

static void write_registers(FILE *f, const struct cpu_state *c)
{
	const struct kvm_regs *r = &c->regs;
	const struct kvm_sregs *s = &c->sregs;
	const struct {
		const char *name;
		u64 v;
	} regs[] = {
		{ "RAX", r->rax }, { "RBX", r->rbx }, { "RCX", r->rcx }, { "RDX", r->rdx },
		{ "RSI", r->rsi }, { "RDI", r->rdi }, { "RBP", r->rbp }, { "RSP", r->rsp },
		{ "R8 ", r->r8 },  { "R9 ", r->r9 },  { "R10", r->r10 }, { "R11", r->r11 },
		{ "R12", r->r12 }, { "R13", r->r13 }, { "R14", r->r14 }, { "R15", r->r15 },
		{ "CR0", s->cr0 }, { "CR2", s->cr2 }, { "CR3", s->cr3 }, { "CR4", s->cr4 },
		{ "FS ", s->fs.base }, { "GS ", s->gs.base }, { "KGS", c->kernel_gs_base }, { "EFE", s->efer },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		fprintf(f, "%s%s %016llx%s", i % 4 ? " " : "  ", regs[i].name, (unsigned long long)regs[i].v,
			i % 4 == 3 ? "\n" : "");
}

static bool is_user(const struct cpu_state *c)
{
	return c->sregs.cs.dpl == 3;
}

static void write_where(FILE *f, const struct cpu_state *c, unsigned index, const struct symbols *s, u64 slide)
{
	char name[256];

	fprintf(f, "vCPU %u: ", index);
	if (!c->started) {
		fprintf(f, "not started\n");
		return;
	}
	fprintf(f, "RIP %04x:%016llx", c->sregs.cs.selector, (unsigned long long)c->regs.rip);
	if (s && !is_user(c))
		fprintf(f, " %s", autopsy_name(s, slide, c->regs.rip, name, sizeof(name)));
	fprintf(f, ", RFLAGS %08llx, interrupts %s%s%s\n", (unsigned long long)c->regs.rflags,
		c->regs.rflags & RFLAGS_IF ? "on" : "off", c->halted ? ", halted" : "",
		is_user(c) ? ", in a program" : "");
}

void autopsy_cpu(FILE *f, const struct mem *m, const struct cpu_state *c, unsigned index, const struct symbols *s,
		 u64 slide)
{
	write_where(f, c, index, s, slide);
	if (!c->started)
		return;
	write_registers(f, c);
	write_code(f, m, c);
	if (!is_user(c))
		write_callers(f, m, c, s, slide);
}

void autopsy_write(FILE *f, struct vm *vm, const struct symbols *s, bool brief)
{
	struct cpu_state cpu[MAX_CPUS];
	u64 slide;

	if (brief)
		cpu_states_read(vm, cpu);
	else
		cpu_states_at_end(vm, cpu);
	slide = autopsy_slide(s, cpu, vm->ncpus);
	for (unsigned i = 0; i < vm->ncpus; i++) {
		/* One that waits for work, or for nothing any more, has no more to tell. */
		if (brief || cpu[i].halted)
			write_where(f, &cpu[i], i, s, slide);
		else
			autopsy_cpu(f, &vm->mem, &cpu[i], i, s, slide);
	}
}
