// SPDX-License-Identifier: MIT
/*
 * core.c - a guest in an ELF core: the file says where everything is, what is
 * there is what was in memory, zeroes take no room, and whatever a guest has in
 * its page tables and in the place of Linux's notes, it is only read.
 */
#include "core.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <unistd.h>

#include "check.h"
#include "cpu_state.h"
#include "driver.h"
#include "layout.h"

#define LOW (8 * MiB)
#define HIGH (4 * MiB)
#define DIRECT 0xffff8ac000000000ULL /* where this kernel chose to have it */
#define TEXT 0xffffffff80000000ULL
#define STACK 0xffffc90000390000ULL

#define CR0_PG (1u << 31)
#define CR4_LA57 (1u << 12)
#define EFER_LMA (1u << 10)

static struct guest g;
static struct cpu_state cpu[2];
static char path[] = "/tmp/ringlet-core.XXXXXX", err[256];
static int file = -1;

static void start(void)
{
	if (g.mem.n)
		guest_close(&g);
	guest_open(&g, LOW, HIGH);
	memset(cpu, 0, sizeof(cpu));
	if (file >= 0)
		close(file);
	strcpy(path, "/tmp/ringlet-core.XXXXXX");
	file = mkstemp(path);
	CHECK(file >= 0);
	unlink(path);
}

static int dump(void)
{
	const struct core_source s = { .mem = &g.mem, .cpu = cpu, .ncpus = ARRAY_SIZE(cpu) };

	return core_write(&s, file, NULL, err, sizeof(err));
}

static u64 word(u64 gpa)
{
	return *(u64 *)guest_at(&g, gpa);
}

static void set_word(u64 gpa, u64 v)
{
	*(u64 *)guest_at(&g, gpa) = v;
}

/* --- page tables ---------------------------------------------------------------------- */

/* Map size (1 GiB, 2 MiB or 4 KiB) bytes at linear. */
static void map(u64 linear, u64 gpa, u64 size)
{
	u64 table = cpu->sregs.cr3;

	for (unsigned shift = 39;; shift -= 9) {
		u64 slot = table + (linear >> shift & 511) * 8;

		if (size == 1ULL << shift) {
			set_word(slot, gpa | 1 | (shift > 12 ? 0x80 : 0));
			return;
		}
		if (!word(slot))
			set_word(slot, guest_alloc(&g, 0, GUEST_PAGE, GUEST_PAGE) | 1);
		table = word(slot) & ~0xfffULL;
	}
}

static void paging_on(void)
{
	cpu[0].sregs.cr3 = guest_alloc(&g, 0, GUEST_PAGE, GUEST_PAGE);
	cpu[0].sregs.cr0 = CR0_PG;
	cpu[0].sregs.efer = EFER_LMA;
}

static void addresses(void)
{
	u64 gpa, left;
	u8 bytes[64];

	start();
	/* Before paging they are what they are. */
	CHECK(cpu_translate(&g.mem, cpu, 0x123456, &gpa, &left));
	CHECK_EQ(gpa, 0x123456);
	CHECK_EQ(left, 0x1000 - 0x456);
	paging_on();
	CHECK(!cpu_translate(&g.mem, cpu, 0x123456, &gpa, &left));
	map(DIRECT, 0, GiB);
	map(TEXT, 2 * MiB, 2 * MiB);
	map(0x400000, 0x300000, 4096);
	CHECK(cpu_translate(&g.mem, cpu, DIRECT + 0x123456, &gpa, &left));
	CHECK_EQ(gpa, 0x123456);
	CHECK_EQ(left, GiB - 0x123456);
	CHECK(cpu_translate(&g.mem, cpu, TEXT + 0x1234, &gpa, &left));
	CHECK_EQ(gpa, 0x201234);
	CHECK(cpu_translate(&g.mem, cpu, 0x400fff, &gpa, &left));
	CHECK_EQ(gpa, 0x300fff);
	CHECK_EQ(left, 1);
	CHECK(!cpu_translate(&g.mem, cpu, 0x401000, &gpa, &left));
	/* Not canonical. */
	CHECK(!cpu_translate(&g.mem, cpu, DIRECT & ~(1ULL << 63), &gpa, &left));
	CHECK(!cpu_translate(&g.mem, cpu, 0x0000800000000000ULL, &gpa, &left));
	/* Across pages, as far as there are any. */
	memset(guest_at(&g, 0x300000), 'x', 0x1000);
	CHECK_EQ(cpu_read(&g.mem, cpu, 0x400ff0, bytes, sizeof(bytes)), 16);
	CHECK_EQ(bytes[15], 'x');
	map(0x401000, 0x300000, 4096);
	CHECK_EQ(cpu_read(&g.mem, cpu, 0x400ff0, bytes, sizeof(bytes)), sizeof(bytes));
	/* Mapped, but to nowhere. */
	map(0x402000, 0x7f000000, 4096);
	CHECK_EQ(cpu_read(&g.mem, cpu, 0x402000, bytes, sizeof(bytes)), 0);
	/* In 32-bit mode the same tables say something else. */
	cpu[0].sregs.efer = 0;
	CHECK(!cpu_translate(&g.mem, cpu, 0x400000, &gpa, &left));
}

static void five_levels(void)
{
	u64 gpa, left, top;

	start();
	paging_on();
	map(0xffffffff80000000, 0, GiB);
	top = guest_alloc(&g, 0, GUEST_PAGE, GUEST_PAGE);
	set_word(top + 511 * 8, cpu[0].sregs.cr3 | 1);
	cpu[0].sregs.cr3 = top;
	cpu[0].sregs.cr4 = CR4_LA57;
	CHECK(cpu_translate(&g.mem, cpu, 0xffffffff80001234, &gpa, &left));
	CHECK_EQ(gpa, 0x1234);
	CHECK(!cpu_translate(&g.mem, cpu, 0xff11000000000000, &gpa, &left)); /* canonical here, not mapped */
	CHECK(!cpu_translate(&g.mem, cpu, 0xfe11000000000000, &gpa, &left));
}

static void tables_of_anything(void)
{
	u64 seed = 20261122, gpa, left;
	u8 bytes[256];

	start();
	for (unsigned i = 0; i < 20000; i++) {
		paging_on();
		cpu[0].sregs.cr3 = GUEST_LOW + random_next(&seed) % (LOW / GUEST_PAGE) * GUEST_PAGE;
		cpu[0].sregs.cr4 = i % 2 ? CR4_LA57 : 0;
		g.next[0] = GUEST_LOW; /* paging_on() takes a page each time */
		if (i % 100 == 0)
			random_fill(guest_at(&g, GUEST_LOW), LOW, seed);
		/* Tables that lead back to themselves. */
		set_word(cpu[0].sregs.cr3 + random_next(&seed) % 512 * 8, cpu[0].sregs.cr3 | 1);
		if (cpu_translate(&g.mem, cpu, random_next(&seed), &gpa, &left))
			CHECK(left && left <= GiB);
		cpu_read(&g.mem, cpu, random_next(&seed), bytes, sizeof(bytes));
	}
}

/* --- the file ------------------------------------------------------------------------- */

static const u8 *core;
static size_t core_size;
static const Elf64_Phdr *ph;
static unsigned n_ph;

static void open_core(void)
{
	const Elf64_Ehdr *eh;
	struct stat st;

	CHECK_EQ(fstat(file, &st), 0);
	core_size = (size_t)st.st_size;
	core = mmap(NULL, core_size, PROT_READ, MAP_SHARED, file, 0);
	CHECK(core != MAP_FAILED);
	eh = (const void *)core;
	CHECK(!memcmp(eh->e_ident, ELFMAG, SELFMAG));
	CHECK_EQ(eh->e_type, ET_CORE);
	CHECK_EQ(eh->e_machine, EM_X86_64);
	CHECK_EQ(eh->e_phentsize, sizeof(*ph));
	ph = (const void *)(core + eh->e_phoff);
	n_ph = eh->e_phnum;
	for (unsigned i = 0; i < n_ph; i++)
		CHECK(ph[i].p_offset <= core_size && ph[i].p_filesz <= core_size - ph[i].p_offset);
}

/* The i-th note of that name. */
static const void *note(const char *name, unsigned i, size_t *size)
{
	const u8 *at = core + ph[0].p_offset, *end = at + ph[0].p_filesz;

	CHECK_EQ(ph[0].p_type, PT_NOTE);
	while (at < end) {
		const Elf64_Nhdr *h = (const void *)at;
		const char *this = (const char *)(h + 1);
		const u8 *desc = (const u8 *)this + ALIGN_UP(h->n_namesz, 4);

		CHECK_EQ(strlen(this) + 1, h->n_namesz);
		at = desc + ALIGN_UP(h->n_descsz, 4);
		CHECK(at <= end);
		if (!strcmp(this, name) && !i--) {
			*size = h->n_descsz;
			return desc;
		}
	}
	return NULL;
}

static void memory_and_registers(void)
{
	const struct elf_prstatus *status;
	struct user_regs_struct regs;
	struct stat st;
	size_t size;

	start();
	random_fill(guest_at(&g, GUEST_LOW + 5 * GUEST_PAGE), 3 * GUEST_PAGE, 1);
	set_word(GUEST_LOW + LOW - 8, 7);
	set_word(GUEST_HIGH + 2 * MiB, 8);
	cpu[1].regs = (struct kvm_regs){ .rip = 0x1234, .rsp = 0x5678, .rax = 1, .r15 = 15, .rflags = 2 };
	cpu[1].sregs.cs.selector = 0x10;
	cpu[1].sregs.cr3 = 0xabc000;
	CHECK_EQ(dump(), 0);
	open_core();
	CHECK_EQ(n_ph, 3);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(ph[1 + i].p_type, PT_LOAD);
		CHECK_EQ(ph[1 + i].p_paddr, g.mem.region[i].gpa);
		CHECK_EQ(ph[1 + i].p_vaddr, g.mem.region[i].gpa);
		CHECK_EQ(ph[1 + i].p_filesz, g.mem.region[i].size);
		CHECK_EQ(ph[1 + i].p_memsz, g.mem.region[i].size);
		CHECK_EQ(ph[1 + i].p_offset % GUEST_PAGE, 0);
		CHECK_EQ(ph[1 + i].p_align, 0); /* else crash takes it for a netdump, and dies of it */
		CHECK(!memcmp(core + ph[1 + i].p_offset, g.view[i], g.mem.region[i].size));
	}
	status = note("CORE", 1, &size);
	CHECK(status);
	CHECK_EQ(size, sizeof(*status));
	CHECK_EQ(status->pr_pid, 2);
	memcpy(&regs, &status->pr_reg, sizeof(regs));
	CHECK_EQ(regs.rip, 0x1234);
	CHECK_EQ(regs.rsp, 0x5678);
	CHECK_EQ(regs.r15, 15);
	CHECK_EQ(regs.cs, 0x10);
	CHECK(!note("CORE", 2, &size));
	CHECK(note("QEMU", 1, &size));
	CHECK_EQ(size, 440);
	CHECK(!note("VMCOREINFO", 0, &size));
	/* 5 pages with something in them, of 12 MiB. */
	CHECK_EQ(fstat(file, &st), 0);
	CHECK(st.st_size >= (off_t)(LOW + HIGH));
	CHECK(st.st_blocks * 512 < 256 * 1024);
}

static const char info[] = "OSRELEASE=6.1.0\nPAGESIZE=4096\nNUMBER(phys_base)=-4194304\nKERNELOFFSET=1e00000\n";

/* As Linux has it. */
static void put_info(u64 gpa, const char *text)
{
	Elf64_Nhdr h = { .n_namesz = 11, .n_descsz = (u32)strlen(text) };
	u8 *p = guest_at(&g, gpa);

	memcpy(p, &h, sizeof(h));
	memcpy(p + sizeof(h), "VMCOREINFO\0", 12);
	memcpy(p + sizeof(h) + 12, text, strlen(text));
}

static void as_linux_has_it(void)
{
	size_t size;
	const char *text;

	start();
	put_info(GUEST_HIGH + 17 * GUEST_PAGE, info);
	/* A processor in a program, without the kernel's tables, and one with them. */
	paging_on();
	map(0x400000, 0, 4096);
	cpu[1] = cpu[0];
	paging_on();
	map(DIRECT, 0, GiB);
	set_word(GUEST_LOW + 0x123000, 0x11223344);
	/* Its stack is somewhere of its own, and has three pages; the other's is in the direct map. */
	for (unsigned i = 1; i < 4; i++)
		map(STACK + i * GUEST_PAGE, GUEST_HIGH + (9 - i) * GUEST_PAGE, GUEST_PAGE);
	cpu[0].regs.rsp = STACK + 0x2f00;
	set_word(GUEST_HIGH + 7 * GUEST_PAGE + 0xf00, 0x55667788);
	cpu[1].regs.rsp = DIRECT + 0x200000;
	CHECK_EQ(dump(), 0);
	open_core();
	text = note("VMCOREINFO", 0, &size);
	CHECK(text);
	CHECK_EQ(size, strlen(info));
	CHECK(!memcmp(text, info, size));
	CHECK_EQ(n_ph, 7);
	CHECK_EQ(ph[5].p_vaddr, STACK + 0x2000);
	CHECK_EQ(ph[5].p_paddr, GUEST_HIGH + 7 * GUEST_PAGE);
	CHECK_EQ(ph[5].p_filesz, GUEST_PAGE);
	CHECK_EQ(*(const u64 *)(core + ph[5].p_offset + 0xf00), 0x55667788);
	CHECK_EQ(ph[1].p_vaddr, DIRECT + GUEST_LOW);
	CHECK_EQ(ph[2].p_vaddr, DIRECT + GUEST_HIGH);
	/* With a phys_base of -4 MiB, what is at 1 MiB is 5 MiB further on. */
	CHECK_EQ(ph[3].p_paddr - ph[3].p_vaddr, -4 * MiB - TEXT);
	CHECK_EQ(ph[3].p_paddr, GUEST_LOW);
	CHECK_EQ(ph[3].p_paddr + ph[3].p_filesz, GUEST_LOW + LOW);
	CHECK_EQ(*(const u64 *)(core + ph[3].p_offset + GUEST_LOW + 0x123000 - ph[3].p_paddr), 0x11223344);
}

static void notes_of_anything(void)
{
	static struct vmcoreinfo v;
	u64 n, seed = 7, at = GUEST_LOW + 9 * GUEST_PAGE;
	Elf64_Nhdr *h;

	start();
	vmcoreinfo_find(&g.mem, &v);
	CHECK_EQ(v.len, 0);
	put_info(at, info);
	h = guest_at(&g, at);
	vmcoreinfo_find(&g.mem, &v);
	CHECK_STR(v.text, info);
	CHECK(vmcoreinfo_number(&v, "PAGESIZE", 10, &n));
	CHECK_EQ(n, 4096);
	CHECK(vmcoreinfo_number(&v, "KERNELOFFSET", 16, &n));
	CHECK_EQ(n, 0x1e00000);
	CHECK(vmcoreinfo_number(&v, "NUMBER(phys_base)", 10, &n));
	CHECK_EQ(n, -4194304);
	CHECK(!vmcoreinfo_number(&v, "OSRELEASE", 10, &n));
	CHECK(!vmcoreinfo_number(&v, "PAGE", 10, &n));
	CHECK(!vmcoreinfo_number(&v, "SIZE", 10, &n));
	/* A length that lies, or leads out of memory, or what is no text. */
	h->n_descsz = VMCOREINFO_MOST + 1;
	vmcoreinfo_find(&g.mem, &v);
	CHECK_EQ(v.len, 0);
	h->n_descsz = 0;
	vmcoreinfo_find(&g.mem, &v);
	CHECK_EQ(v.len, 0);
	put_info(at, "OSRELEASE=\033[2J\n");
	vmcoreinfo_find(&g.mem, &v);
	CHECK_EQ(v.len, 0);
	at = GUEST_LOW + LOW - GUEST_PAGE;
	put_info(at, info);
	h = guest_at(&g, at);
	h->n_descsz = VMCOREINFO_MOST;
	vmcoreinfo_find(&g.mem, &v);
	CHECK_EQ(v.len, 0);
	for (unsigned i = 0; i < 2000; i++) {
		put_info(at, info);
		for (unsigned k = 0; k < 4; k++)
			((u8 *)h)[random_next(&seed) % 128] = (u8)random_next(&seed);
		vmcoreinfo_find(&g.mem, &v);
		CHECK(v.len <= VMCOREINFO_MOST && strlen(v.text) >= v.len);
		vmcoreinfo_number(&v, "NUMBER(phys_base)", 10, &n);
		if (i % 20 == 0)
			CHECK_EQ(dump(), 0);
	}
}

static void failures(void)
{
	struct rlimit was, less = { .rlim_cur = 64 * KiB };
	const struct core_source s = { .mem = &g.mem, .cpu = cpu, .ncpus = 1 };
	const bool yes = true;

	start();
	CHECK_EQ(core_write(&s, file, &yes, err, sizeof(err)), -1);
	CHECK_STR(err, "the dump was cancelled");
	signal(SIGXFSZ, SIG_IGN);
	CHECK_EQ(ftruncate(file, 0), 0);
	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &was), 0);
	less.rlim_max = was.rlim_max;
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &less), 0);
	CHECK_EQ(dump(), -1);
	CHECK_STR(err, "cannot write the dump: File too large");
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &was), 0);
	close(file);
	file = open("/dev/null", O_RDONLY);
	CHECK_EQ(dump(), -1);
	CHECK_HAS(err, "cannot write the dump: ");
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "an address is translated by the guest's tables", addresses },
		{ "with five levels, too", five_levels },
		{ "tables of anything lead nowhere but into memory", tables_of_anything },
		{ "a core has all memory and registers, and zeroes take no room", memory_and_registers },
		{ "of a Linux it has what that says of itself, and its own addresses", as_linux_has_it },
		{ "a note of anything is taken for one, or not", notes_of_anything },
		{ "what cannot be written is one sentence", failures },
	};
	int r = check_run(tests, ARRAY_SIZE(tests));

	guest_close(&g);
	return r;
}
