// SPDX-License-Identifier: MIT
/*
 * core.c - a guest as an ELF core file.
 *
 *	ELF header, program headers
 *	notes: for each processor a prstatus, as in any core, and what QEMU
 *	       writes in its dumps, from which crash(8) learns what this file
 *	       is and where page tables are; Linux's own vmcoreinfo
 *	memory, as it is in the guest; pages of zeroes are holes
 *
 * Each region of memory has a segment by its physical address.  Its virtual
 * one is that of Linux's direct map where that is found, and there is a second
 * segment for the same bytes where the kernel's text is; else, as in guests
 * without an operating system, it is the physical one.  The stacks that the
 * processors are on have segments as well: Linux's are elsewhere.
 */
#include "core.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>
#include <unistd.h>

#include "barrier.h"
#include "cpu_state.h"
#include "layout.h"
#include "mem.h"

#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)

#define EFER_LMA (1u << 10)
#define CHUNK (2 * MiB) /* between two looks at *cancel */
#define KERNEL_MAP 0xffffffff80000000ULL /* Linux's text, physical address phys_base */
#define KERNEL_MAP_SIZE GiB
#define STACK_SIZE (16 * KiB) /* Linux's, aligned to itself */
/* Notes, low and high memory, the kernel's text, each page of a stack. */
#define MAX_SEGMENTS (4 + MAX_CPUS * (STACK_SIZE / GUEST_PAGE))

/* QEMU's note: fields and order are those of its version 1. */
struct qemu_segment {
	u32 selector, limit, flags, pad;
	u64 base;
};
struct qemu_cpu {
	u32 version, size;
	u64 rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	u64 r8, r9, r10, r11, r12, r13, r14, r15;
	u64 rip, rflags;
	struct qemu_segment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
	u64 cr[5];
	u64 kernel_gs_base;
};
_Static_assert(sizeof(struct qemu_cpu) == 440, "as its readers have it");

/* --- notes ------------------------------------------------------------------------- */

static void put_note(FILE *f, const char *name, u32 type, const void *desc, size_t size)
{
	static const u8 zeroes[4];
	Elf64_Nhdr h = { .n_namesz = (u32)strlen(name) + 1, .n_descsz = (u32)size, .n_type = type };

	fwrite(&h, sizeof(h), 1, f);
	fwrite(name, h.n_namesz, 1, f);
	fwrite(zeroes, 1, -h.n_namesz & 3, f);
	fwrite(desc, size, 1, f);
	fwrite(zeroes, 1, -size & 3, f);
}

static void put_prstatus(FILE *f, const struct cpu_state *c, unsigned i)
{
	const struct kvm_regs *r = &c->regs;
	const struct kvm_sregs *s = &c->sregs;
	const struct user_regs_struct regs = {
		.r15 = r->r15, .r14 = r->r14, .r13 = r->r13, .r12 = r->r12, .rbp = r->rbp, .rbx = r->rbx,
		.r11 = r->r11, .r10 = r->r10, .r9 = r->r9, .r8 = r->r8, .rax = r->rax, .rcx = r->rcx,
		.rdx = r->rdx, .rsi = r->rsi, .rdi = r->rdi, .orig_rax = ~0ULL, .rip = r->rip,
		.cs = s->cs.selector, .eflags = r->rflags, .rsp = r->rsp, .ss = s->ss.selector,
		.fs_base = s->fs.base, .gs_base = s->gs.base, .ds = s->ds.selector, .es = s->es.selector,
		.fs = s->fs.selector, .gs = s->gs.selector,
	};
	struct elf_prstatus status = { .pr_pid = (pid_t)i + 1 };

	_Static_assert(sizeof(regs) == sizeof(status.pr_reg), "registers as in any core");
	memcpy(&status.pr_reg, &regs, sizeof(regs));
	put_note(f, "CORE", NT_PRSTATUS, &status, sizeof(status));
}

static struct qemu_segment qemu_segment(const struct kvm_segment *s)
{
	return (struct qemu_segment){
		.selector = s->selector,
		.limit = s->limit,
		.flags = (u32)s->type << 8 | (u32)s->s << 12 | (u32)s->dpl << 13 | (u32)s->present << 15 |
			 (u32)s->avl << 20 | (u32)s->l << 21 | (u32)s->db << 22 | (u32)s->g << 23,
		.base = s->base,
	};
}

static void put_qemu(FILE *f, const struct cpu_state *c)
{
	const struct kvm_regs *r = &c->regs;
	const struct kvm_sregs *s = &c->sregs;
	const struct qemu_cpu q = {
		.version = 1, .size = sizeof(q),
		.rax = r->rax, .rbx = r->rbx, .rcx = r->rcx, .rdx = r->rdx,
		.rsi = r->rsi, .rdi = r->rdi, .rsp = r->rsp, .rbp = r->rbp,
		.r8 = r->r8, .r9 = r->r9, .r10 = r->r10, .r11 = r->r11,
		.r12 = r->r12, .r13 = r->r13, .r14 = r->r14, .r15 = r->r15,
		.rip = r->rip, .rflags = r->rflags,
		.cs = qemu_segment(&s->cs), .ds = qemu_segment(&s->ds), .es = qemu_segment(&s->es),
		.fs = qemu_segment(&s->fs), .gs = qemu_segment(&s->gs), .ss = qemu_segment(&s->ss),
		.ldt = qemu_segment(&s->ldt), .tr = qemu_segment(&s->tr),
		.gdt = { .base = s->gdt.base, .limit = s->gdt.limit },
		.idt = { .base = s->idt.base, .limit = s->idt.limit },
		.cr = { s->cr0, 0, s->cr2, s->cr3, s->cr4 },
		.kernel_gs_base = c->kernel_gs_base,
	};

	put_note(f, "QEMU", 0, &q, sizeof(q));
}

/* malloc'ed, a whole number of words; NULL: there is no memory. */
static char *make_notes(const struct core_source *s, const struct vmcoreinfo *v, size_t *size)
{
	char *notes = NULL;
	FILE *f = open_memstream(&notes, size);

	if (!f)
		return NULL;
	for (unsigned i = 0; i < s->ncpus; i++)
		put_prstatus(f, &s->cpu[i], i);
	for (unsigned i = 0; i < s->ncpus; i++)
		put_qemu(f, &s->cpu[i]);
	if (v->len)
		put_note(f, "VMCOREINFO", 0, v->text, v->len);
	if (!fclose(f))
		return notes;
	free(notes);
	return NULL;
}

/* --- segments ------------------------------------------------------------------------ */

/*
 * Where Linux has all physical memory in one piece: at a whole GiB of the upper
 * half, wherever the kernel chose.  0: nowhere.
 */
static u64 direct_map_of(const struct mem *m, const struct cpu_state *c)
{
	u64 gpa, left;

	for (u64 at = 0xffff800000000000ULL; at < KERNEL_MAP; at += GiB) {
		if (!cpu_translate(m, c, at + LAYOUT_KERNEL, &gpa, &left) || gpa != LAYOUT_KERNEL)
			continue;
		if (cpu_translate(m, c, at + LAYOUT_RAM_MIN - 1, &gpa, &left) && gpa == LAYOUT_RAM_MIN - 1)
			return at;
	}
	return 0;
}

/* A processor that runs a program may have page tables without the kernel's. */
static u64 find_direct_map(const struct core_source *s)
{
	u64 at = 0;

	for (unsigned i = 0; !at && i < s->ncpus; i++)
		if (s->cpu[i].sregs.efer & EFER_LMA)
			at = direct_map_of(s->mem, &s->cpu[i]);
	return at;
}

/* p_align is 0: by that crash takes a core for kdump's, and not for a netdump. */
static Elf64_Phdr load(u64 offset, u64 vaddr, u64 paddr, u64 size)
{
	return (Elf64_Phdr){
		.p_type = PT_LOAD, .p_flags = PF_R | PF_W | PF_X, .p_offset = offset, .p_vaddr = vaddr,
		.p_paddr = paddr, .p_filesz = size, .p_memsz = size,
	};
}

/* The kernel's text, as far as it is in low memory, which is all of it. */
static bool text_segment(const struct core_source *s, const struct vmcoreinfo *v, u64 offset, Elf64_Phdr *to)
{
	const struct mem_region *low = &s->mem->region[0];
	u64 phys_base, start, end;

	if (!vmcoreinfo_number(v, "NUMBER(phys_base)", 10, &phys_base) || phys_base % GUEST_PAGE)
		return false;
	/* With the kernel lower in memory than in the map, it is less than 0. */
	start = (s64)phys_base < (s64)low->gpa ? low->gpa : phys_base;
	end = MIN(phys_base + KERNEL_MAP_SIZE, low->gpa + low->size);
	if (start - phys_base >= KERNEL_MAP_SIZE || start >= end)
		return false;
	*to = load(offset + start - low->gpa, KERNEL_MAP + start - phys_base, start, end - start);
	return true;
}

/* A stack that Linux has mapped page by page; what the others have is there already. */
static u16 add_stack(const struct core_source *s, const struct cpu_state *c, u64 map, u64 offset, Elf64_Phdr *to)
{
	u64 at = c->regs.rsp & ~(STACK_SIZE - 1), gpa, left;
	u16 n = 0;

	for (u64 end = at + STACK_SIZE; at >= map && at < KERNEL_MAP && at < end; at += GUEST_PAGE) {
		u64 in_file = offset;

		if (!cpu_translate(s->mem, c, at, &gpa, &left) || gpa == at - map)
			continue;
		for (unsigned i = 0; i < s->mem->n; i++) {
			const struct mem_region *r = &s->mem->region[i];

			if (gpa >= r->gpa && gpa - r->gpa < r->size)
				to[n++] = load(in_file + gpa - r->gpa, at, gpa, GUEST_PAGE);
			in_file += r->size;
		}
	}
	return n;
}

/* --- the file ------------------------------------------------------------------------ */

static bool write_at(int fd, const void *from, size_t n, u64 at)
{
	while (n) {
		ssize_t r = pwrite(fd, from, n, (off_t)at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			errno = r ? errno : ENOSPC;
			return false;
		}
		from = (const u8 *)from + r;
		at += (u64)r;
		n -= (size_t)r;
	}
	return true;
}

/* The guest may write there meanwhile: then it is zero, or it is not. */
static bool is_zero(const u8 *page)
{
	const u64 *p = (const u64 *)page;
	u64 any = 0;

	for (unsigned i = 0; i < GUEST_PAGE / sizeof(u64); i += 8) {
		for (unsigned k = 0; k < 8; k++)
			any |= LOAD_ONCE(&p[i + k]);
		if (any)
			return false;
	}
	return true;
}

/* A chunk's pages, without those of zeroes. */
static bool write_chunk(int fd, const u8 *from, size_t size, u64 at)
{
	size_t start, end = 0;

	while (end < size) {
		for (start = end; start < size && is_zero(from + start); start += GUEST_PAGE)
			;
		for (end = start; end < size && !is_zero(from + end); end += GUEST_PAGE)
			;
		if (!write_at(fd, from + start, end - start, at + start))
			return false;
	}
	return true;
}

static int write_memory(const struct core_source *s, int fd, u64 at, const bool *cancel, char *err, size_t err_size)
{
	for (unsigned i = 0; i < s->mem->n; i++) {
		const struct mem_region *r = &s->mem->region[i];

		for (u64 done = 0; done < r->size; done += CHUNK) {
			if (cancel && LOAD_ONCE(cancel))
				return FAIL("the dump was cancelled");
			if (!write_chunk(fd, r->hva + done, MIN(r->size - done, CHUNK), at + done))
				return FAIL("cannot write the dump: %s", strerror(errno));
		}
		at += r->size;
	}
	return 0;
}

/* Everything in front of the memory; returns where that begins. */
static u64 make_head(const struct core_source *s, const struct vmcoreinfo *v, size_t notes_size, Elf64_Ehdr *eh,
		     Elf64_Phdr ph[MAX_SEGMENTS])
{
	u64 map = find_direct_map(s), notes_at = sizeof(*eh) + MAX_SEGMENTS * sizeof(*ph);
	u64 start = ALIGN_UP(notes_at + notes_size, GUEST_PAGE), at = start;
	u16 n = 0;

	ph[n++] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = notes_at, .p_filesz = notes_size, .p_align = 4 };
	for (unsigned i = 0; i < s->mem->n; i++) {
		const struct mem_region *r = &s->mem->region[i];

		ph[n++] = load(at, map + r->gpa, r->gpa, r->size);
		at += r->size;
	}
	if (map && text_segment(s, v, start, &ph[n]))
		n++;
	for (unsigned i = 0; map && i < s->ncpus; i++)
		n += add_stack(s, &s->cpu[i], map, start, &ph[n]);
	*eh = (Elf64_Ehdr){
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_phoff = sizeof(*eh),
		.e_ehsize = sizeof(*eh), .e_phentsize = sizeof(*ph), .e_phnum = n,
	};
	return start;
}

int core_write(const struct core_source *s, int fd, const bool *cancel, char *err, size_t err_size)
{
	Elf64_Phdr ph[MAX_SEGMENTS] = { 0 };
	struct vmcoreinfo v;
	Elf64_Ehdr eh;
	size_t notes_size;
	char *notes;
	u64 start;
	bool ok;

	vmcoreinfo_find(s->mem, &v);
	notes = make_notes(s, &v, &notes_size);
	if (!notes)
		return FAIL("no memory for the dump's notes");
	start = make_head(s, &v, notes_size, &eh, ph);
	/* As long as it will be at once: what is too long for the file system is known. */
	ok = !ftruncate(fd, (off_t)(start + s->mem->size)) && write_at(fd, &eh, sizeof(eh), 0) &&
	     write_at(fd, ph, sizeof(ph), sizeof(eh)) && write_at(fd, notes, notes_size, ph[0].p_offset);
	free(notes);
	return ok ? write_memory(s, fd, start, cancel, err, err_size) :
		    FAIL("cannot write the dump: %s", strerror(errno));
}
