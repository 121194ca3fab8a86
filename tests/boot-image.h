/* SPDX-License-Identifier: MIT */
/*
 * boot-image.h (test) - kernels of a few kilobytes, made from nothing with
 * known contents, and the means to load them into guest memory and to read
 * that as a kernel would.
 *
 * The files are memfds, named by /proc/self/fd, so that nothing is left
 * behind even by a test that dies.
 */
#ifndef RINGLET_BOOT_IMAGE_H
#define RINGLET_BOOT_IMAGE_H

#include <asm/bootparam.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot.h"
#include "check.h"
#include "layout.h"
#include "mem.h"

#define RSDP 0xe1230ULL
#define CMDLINE "console=ttyS0 quiet"

struct image {
	size_t len;
	u8 at[16 * KiB];
};

static struct mem mem;
static struct boot_entry entry;
static char err[600];
static const char *cmdline = CMDLINE;
static const char *initrd_name;

static inline u8 *guest(u64 gpa, u64 len)
{
	u8 *p = mem_at(&mem, gpa, len);

	CHECK(p);
	return p;
}

static inline u64 guest64(u64 gpa)
{
	u64 v;

	memcpy(&v, guest(gpa, 8), 8);
	return v;
}

static inline void fresh_memory(u64 size)
{
	mem_fini(&mem);
	CHECK_EQ(mem_init(&mem, size), 0);
}

/* A file with these contents that is gone with its descriptor. */
static inline int make_file(const void *data, size_t len, u64 size, char name[64])
{
	int fd = memfd_create("boot", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(pwrite(fd, data, len, 0), len);
	CHECK_EQ(ftruncate(fd, (off_t)size), 0);
	snprintf(name, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static inline int load_name(const char *kernel)
{
	struct boot_request req = {
		.kernel = kernel, .initrd = initrd_name, .cmdline = cmdline, .rsdp = RSDP
	};

	err[0] = 0;
	memset(&entry, 0x77, sizeof(entry));
	return boot_load(&mem, &req, &entry, err, sizeof(err));
}

static inline int load(const struct image *i)
{
	char name[64];
	int fd = make_file(i->at, i->len, i->len, name), ret = load_name(name);

	close(fd);
	return ret;
}

/* With an initrd whose every page begins with its number. */
static inline int load_with_initrd(const struct image *i, u64 size)
{
	static u8 pages[64 * KiB];
	char name[64];
	int fd, ret;

	for (u64 at = 0; at < sizeof(pages); at += GUEST_PAGE)
		pages[at] = (u8)(1 + at / GUEST_PAGE);
	fd = make_file(pages, MIN(size, sizeof(pages)), size, name);
	initrd_name = name;
	ret = load(i);
	initrd_name = NULL;
	close(fd);
	return ret;
}

static inline u8 pattern(u64 n)
{
	return (u8)(n * 7 + n / 256 + 1);
}

#define BZ_SETUP 1024
#define BZ_CODE 4096

static inline struct setup_header *bz_header(struct image *i)
{
	return (void *)(i->at + 0x1f1);
}

/* What a kernel of today looks like, as small as it gets. */
static inline struct image *bzimage(void)
{
	static struct image i;
	struct setup_header *h = bz_header(&i);

	memset(&i, 0, sizeof(i));
	memset(i.at, 0xcc, 0x1f1); /* boot sector, the sentinel's byte included */
	memcpy(i.at, "MZ", 2);
	*h = (struct setup_header){
		.setup_sects = 1,
		.syssize = BZ_CODE / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb, /* the header ends at 0x26c */
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH | CAN_USE_HEAP,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 2 * MiB,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.payload_offset = 64,
		.payload_length = 1024,
		.pref_address = 16 * MiB,
		.init_size = 8 * MiB,
		.kernel_info_offset = 0x1234,
	};
	memset(i.at + 0x26c, 0xcc, BZ_SETUP - 0x26c);
	for (u64 n = 0; n < BZ_CODE; n++)
		i.at[BZ_SETUP + n] = pattern(n);
	i.len = BZ_SETUP + BZ_CODE;
	return &i;
}

#define ELF_TEXT (16 * MiB)
#define ELF_DATA (18 * MiB + 0x100)
#define ELF_BSS_END (ELF_DATA + 0x5000)
#define ELF_PVH 0x40 /* the PVH entry, from ELF_TEXT */

static inline Elf64_Ehdr *elf_header(struct image *i)
{
	return (void *)i->at;
}

static inline Elf64_Phdr *elf_segment(struct image *i, unsigned n)
{
	return (Elf64_Phdr *)(i->at + sizeof(Elf64_Ehdr)) + n;
}

static inline void put_note(struct image *i, u64 *at, const char *name, u32 type, u64 value, u32 size)
{
	Elf64_Nhdr h = { .n_namesz = (u32)strlen(name) + 1, .n_descsz = size, .n_type = type };

	memcpy(i->at + *at, &h, sizeof(h));
	memcpy(i->at + *at + 12, name, h.n_namesz);
	*at += 12 + ALIGN_UP(h.n_namesz, 4);
	memcpy(i->at + *at, &value, size);
	*at += ALIGN_UP(size, 4);
}

/* Text, data with .bss, and notes, of which the last is PVH's if wanted. */
static inline struct image *elf(u32 pvh_size)
{
	static struct image i;
	Elf64_Ehdr *eh = elf_header(&i);
	u64 notes = 0x400;

	memset(&i, 0, sizeof(i));
	memcpy(eh->e_ident, ELFMAG, SELFMAG);
	eh->e_ident[EI_CLASS] = ELFCLASS64;
	eh->e_ident[EI_DATA] = ELFDATA2LSB;
	eh->e_ident[EI_VERSION] = EV_CURRENT;
	eh->e_type = ET_EXEC;
	eh->e_machine = EM_X86_64;
	eh->e_version = EV_CURRENT;
	eh->e_entry = ELF_TEXT + 0x10;
	eh->e_phoff = sizeof(*eh);
	eh->e_ehsize = sizeof(*eh);
	eh->e_phentsize = sizeof(Elf64_Phdr);
	eh->e_phnum = 3;
	*elf_segment(&i, 0) = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = 0x1000,
					    .p_vaddr = 0xffffffff81000000, .p_paddr = ELF_TEXT,
					    .p_filesz = 0x800, .p_memsz = 0x800 };
	*elf_segment(&i, 1) = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = 0x1800,
					    .p_vaddr = 0xffffffff81200100, .p_paddr = ELF_DATA,
					    .p_filesz = 0x300, .p_memsz = 0x5000 };
	put_note(&i, &notes, "Linux", 257, 0, 4);
	put_note(&i, &notes, "GNU", NT_GNU_BUILD_ID, 0x1111, 7);
	put_note(&i, &notes, "Xen", 17, 0x2222, 8);
	if (pvh_size)
		put_note(&i, &notes, "Xen", 18, ELF_TEXT + ELF_PVH, pvh_size);
	*elf_segment(&i, 2) = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = 0x400, .p_align = 4,
					    .p_filesz = notes - 0x400, .p_memsz = notes - 0x400 };
	for (u64 n = 0; n < 0xb00; n++)
		i.at[0x1000 + n] = pattern(n);
	i.len = 0x1b00;
	return &i;
}

#endif
