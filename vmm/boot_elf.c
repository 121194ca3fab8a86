// SPDX-License-Identifier: MIT
/*
 * boot_elf.c - reads the headers of an x86-64 ELF kernel and plans how to
 * start it: as PVH when a note gives the address for that, else at e_entry,
 * which Linux makes the physical address of startup_64.  Knows nothing of
 * guest memory.
 *
 * Most ELF files are programs, libraries and modules.  They would load well
 * and then run into nothing, so they are told apart here.
 */
#include "boot_internal.h"

#include <elf.h>
#include <string.h>

#include "layout.h"

#define MAX_HEADERS 64
#define MAX_NOTES (64 * KiB) /* bytes read of one PT_NOTE; Linux has less than one */
#define NOTE_PVH_ENTRY 18    /* XEN_ELFNOTE_PHYS32_ENTRY, name "Xen" */
#define LINUX_CMDLINE_MAX 2047 /* COMMAND_LINE_SIZE - 1; longer is cut silently */

/* What the program headers told. */
struct elf_facts {
	bool program; /* made to run under Linux, not to be it */
	bool has_pvh;
	u64 pvh_entry;
};

bool boot_is_elf(const struct boot_file *f)
{
	return !memcmp(f->head, ELFMAG, SELFMAG);
}

static const char *machine_name(u16 machine)
{
	static const struct {
		u16 machine;
		const char *name;
	} names[] = {
		{ EM_386, "32-bit x86" },     { EM_ARM, "32-bit ARM" },
		{ EM_AARCH64, "64-bit ARM" }, { EM_RISCV, "RISC-V" },
		{ EM_PPC, "32-bit PowerPC" }, { EM_PPC64, "64-bit PowerPC" },
		{ EM_S390, "s390" },	      { EM_MIPS, "MIPS" },
		{ EM_SPARC, "SPARC" },	      { EM_SPARCV9, "64-bit SPARC" },
		{ EM_IA_64, "Itanium" },      { EM_BPF, "BPF" },
		{ EM_68K, "m68k" },	      { EM_PARISC, "PA-RISC" },
		{ 258, "LoongArch" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].machine == machine)
			return names[i].name;
	return NULL;
}

static int refuse_machine(const struct boot_file *f, const Elf64_Ehdr *eh)
{
	bool big = eh->e_ident[EI_DATA] == ELFDATA2MSB;
	u16 machine = big ? __builtin_bswap16(eh->e_machine) : eh->e_machine;
	const char *name = machine_name(machine);

	if (name)
		return boot_fail(f, "it is an ELF file for %s; take the x86-64 (amd64) build", name);
	if (machine != EM_X86_64)
		return boot_fail(f, "it is an ELF file for another machine (number %u); take the x86-64 "
				    "(amd64) build", machine);
	if (big || eh->e_ident[EI_CLASS] != ELFCLASS64)
		return boot_fail(f, "it is %s ELF file; take a 64-bit x86-64 (amd64) build",
				 big ? "a big-endian" : "a 32-bit (x32)");
	return 0;
}

static int refuse_type(const struct boot_file *f, u16 type, bool program)
{
	switch (type) {
	case ET_EXEC:
		if (!program)
			return 0;
		return boot_fail(f, "it is a program to run under Linux, not a kernel; " BOOT_WORKS
				    " would work");
	case ET_REL:
		return boot_fail(f, "it is a kernel module or another object file, not a kernel; "
				    BOOT_WORKS " would work");
	case ET_DYN:
		return boot_fail(f, "it is a %s, not a kernel; " BOOT_WORKS " would work",
				 program ? "program to run under Linux" : "shared library");
	case ET_CORE:
		return boot_fail(f, "it is a core dump, not a kernel; " BOOT_WORKS " would work");
	default:
		return boot_fail(f, "it is an ELF file of no known type (%u), so it is damaged; copy, "
				    "build or download it again", type);
	}
}

static int within_file(const struct boot_file *f, u64 offset, u64 len)
{
	if (len > UINT64_MAX - offset)
		return boot_truncated(f, UINT64_MAX);
	if (offset + len > f->size)
		return boot_truncated(f, offset + len);
	return 0;
}

static int read_notes(const struct boot_file *f, const Elf64_Phdr *ph, struct elf_facts *facts)
{
	u64 align = ph->p_align == 8 ? 8 : 4;
	u64 end = MIN(ph->p_filesz, MAX_NOTES);
	u64 at = 0;

	while (at < end && end - at >= sizeof(Elf64_Nhdr)) {
		struct {
			Elf64_Nhdr h;
			char name[4];
		} note = { 0 };
		u64 desc, next, value = 0;

		if (boot_read(f, ph->p_offset + at, &note, MIN(sizeof(note), end - at)))
			return -1;
		/* 32-bit sizes in 64-bit sums: nothing can wrap. */
		desc = ALIGN_UP(at + sizeof(note.h) + note.h.n_namesz, align);
		next = ALIGN_UP(desc + note.h.n_descsz, align);
		if (desc > end || note.h.n_descsz > end - desc)
			return 0;
		if (note.h.n_namesz == 4 && !memcmp(note.name, "GNU", 4) &&
		    note.h.n_type == NT_GNU_ABI_TAG)
			facts->program = true;
		if (note.h.n_namesz == 4 && !memcmp(note.name, "Xen", 4) &&
		    note.h.n_type == NOTE_PVH_ENTRY) {
			if (note.h.n_descsz != 4 && note.h.n_descsz != 8)
				return boot_fail(f, "its PVH note has %u bytes instead of 4 or 8, so it is "
						    "damaged; build it again", note.h.n_descsz);
			if (boot_read(f, ph->p_offset + desc, &value, note.h.n_descsz))
				return -1;
			facts->has_pvh = true;
			facts->pvh_entry = value;
		}
		at = next;
	}
	return 0;
}

static int add_segment(const struct boot_file *f, struct boot_kernel *k, const Elf64_Phdr *ph)
{
	if (!ph->p_memsz)
		return 0;
	if (ph->p_filesz > ph->p_memsz || k->nsegments == BOOT_MAX_SEGMENTS)
		return boot_fail(f, "its segments make no sense, so it is damaged or no kernel; build it "
				    "again, or give " BOOT_WORKS);
	if (ph->p_paddr < LAYOUT_KERNEL)
		return boot_fail(f, "it wants to be loaded at %#llx, but below 1 MiB ringlet keeps the "
				    "boot tables; link it to physical addresses from 1 MiB on",
				 (unsigned long long)ph->p_paddr);
	if (ph->p_paddr > LAYOUT_LOW_END || ph->p_memsz > LAYOUT_LOW_END - ph->p_paddr)
		return boot_fail(f, "it wants to be loaded at %#llx with %#llx bytes, but a kernel has to "
				    "fit below %#llx; link it to physical addresses there",
				 (unsigned long long)ph->p_paddr, (unsigned long long)ph->p_memsz,
				 LAYOUT_LOW_END);
	k->segment[k->nsegments++] = (struct boot_segment){
		.offset = ph->p_offset,
		.file_size = ph->p_filesz,
		.gpa = ph->p_paddr,
		.mem_size = ph->p_memsz,
	};
	k->start = MIN(k->start, ph->p_paddr);
	k->end = MAX(k->end, ph->p_paddr + ph->p_memsz);
	return 0;
}

static int read_headers(const struct boot_file *f, const Elf64_Ehdr *eh, struct boot_kernel *k,
			struct elf_facts *facts)
{
	Elf64_Phdr ph[MAX_HEADERS];

	if (eh->e_phentsize != sizeof(ph[0]) || !eh->e_phnum || eh->e_phnum > MAX_HEADERS)
		return boot_fail(f, "it is an ELF file with %u program headers of %u bytes, so it is "
				    "damaged or no kernel; build it again, or give " BOOT_WORKS,
				 eh->e_phnum, eh->e_phentsize);
	if (within_file(f, eh->e_phoff, eh->e_phnum * sizeof(ph[0])) ||
	    boot_read(f, eh->e_phoff, ph, eh->e_phnum * sizeof(ph[0])))
		return -1;

	/* First what it is: a program's segments are no news to its user. */
	for (unsigned i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_INTERP)
			facts->program = true;
		if (ph[i].p_type != PT_LOAD && ph[i].p_type != PT_NOTE)
			continue;
		if (within_file(f, ph[i].p_offset, ph[i].p_filesz))
			return -1;
		if (ph[i].p_type == PT_NOTE && read_notes(f, &ph[i], facts))
			return -1;
	}
	if (refuse_type(f, eh->e_type, facts->program))
		return -1;
	for (unsigned i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && add_segment(f, k, &ph[i]))
			return -1;
	return 0;
}

/* The first instruction has to come from the file: zeroes are no code. */
static bool is_code(const struct boot_kernel *k, u64 entry)
{
	for (unsigned i = 0; i < k->nsegments; i++)
		if (entry >= k->segment[i].gpa && entry - k->segment[i].gpa < k->segment[i].file_size)
			return true;
	return false;
}

int boot_plan_elf(const struct boot_file *f, struct boot_kernel *k)
{
	struct setup_header *h = &k->zero_page.hdr;
	struct elf_facts facts = { 0 };
	Elf64_Ehdr eh;

	if (f->size < sizeof(eh))
		return boot_truncated(f, sizeof(eh));
	memcpy(&eh, f->head, sizeof(eh));
	/* These have no program headers to look at. */
	if (refuse_machine(f, &eh) || (eh.e_type == ET_REL && refuse_type(f, ET_REL, false)))
		return -1;
	k->start = UINT64_MAX;
	if (read_headers(f, &eh, k, &facts))
		return -1;

	k->protocol = facts.has_pvh ? BOOT_PVH : BOOT_LINUX64;
	k->kind = facts.has_pvh ? "ELF64 vmlinux (PVH)" : "ELF64 vmlinux";
	k->entry = facts.has_pvh ? facts.pvh_entry : eh.e_entry;
	if (!is_code(k, k->entry))
		return boot_fail(f, "its %s (%#llx) lies outside what it loads; the entry has to be a "
				    "physical address", facts.has_pvh ? "PVH entry" : "entry point",
				 (unsigned long long)k->entry);
	k->initrd_limit = LAYOUT_LOW_END;
	k->cmdline_max = LINUX_CMDLINE_MAX;

	/* An ELF file brings no setup header; this much the kernel looks for. */
	h->boot_flag = 0xaa55;
	memcpy(&h->header, "HdrS", 4);
	h->version = 0x20c;
	h->type_of_loader = 0xff;
	h->loadflags = LOADED_HIGH;
	h->cmdline_size = k->cmdline_max;
	h->initrd_addr_max = (u32)(k->initrd_limit - 1);
	return 0;
}
