// SPDX-License-Identifier: MIT
/*
 * boot-bad.c (test) - everything a user can give by mistake gets a sentence
 * that says what it is and what would work, and no file whatever makes the
 * loader write outside guest memory.
 */
#include "boot-image.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Load it, see that it is refused by boot_probe() in the same words. */
static const char *refused(const struct image *i)
{
	char probe[sizeof(err)], name[64];
	int fd = make_file(i->at, i->len, i->len, name), loaded, probed;

	loaded = load_name(name);
	probed = boot_probe(name, probe, sizeof(probe));
	close(fd);
	CHECK_EQ(loaded, -1);
	CHECK_EQ(probed, -1);
	CHECK_STR(err, probe);
	CHECK_HAS(err, "cannot boot '/proc/self/fd/");
	CHECK(!strchr(err, '\n') && strlen(err) < 400);
	return err;
}

static void put_file(int dir, const char *name, const void *data, size_t len, mode_t mode)
{
	int fd = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, mode);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, data, len), len);
	close(fd);
}

static void names_are_judged(void)
{
	static const struct {
		const char *name, *said;
	} cases[] = {
		{ "missing", "missing': there is no such file" },
		{ "text/below", "a part of the path is not a directory" },
		{ "empty", "it is empty" },
		{ "secret", "no permission to read it; run ringlet as a user who may" },
		{ "tree", "it is a directory; perhaps '" },
		{ "tree", "/tree/bzImage' is meant" },
		{ "fifo", "it is a pipe, not a regular file" },
		{ "../../dev/null", "it is a character device, not a regular file" },
		{ "../..", "it is a directory; give a file" },
	};
	static char said[ARRAY_SIZE(cases)][2][sizeof(err)];
	char dir[] = "/tmp/ringlet-boot-XXXXXX", path[100], kernel[100];
	const struct image *good = bzimage();
	int d;

	fresh_memory(64 * MiB);
	CHECK(mkdtemp(dir));
	CHECK_EQ(chmod(dir, 0755), 0);
	d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_EQ(mkdirat(d, "tree", 0755), 0);
	CHECK_EQ(mkfifoat(d, "fifo", 0644), 0);
	put_file(d, "tree/bzImage", "x", 1, 0644);
	put_file(d, "text", "x", 1, 0644);
	put_file(d, "empty", "", 0, 0644);
	put_file(d, "secret", good->at, good->len, 0);
	put_file(d, "kernel", good->at, good->len, 0644);
	snprintf(kernel, sizeof(kernel), "%s/kernel", dir);

	/* Root may read everything, so be somebody else. */
	if (!getuid())
		CHECK_EQ(seteuid(65534), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, cases[i].name);
		if (load_name(path) == -1)
			strcpy(said[i][0], err);
		initrd_name = path;
		if (load_name(kernel) == -1)
			strcpy(said[i][1], err);
		initrd_name = NULL;
	}
	if (!getuid())
		CHECK_EQ(seteuid(0), 0);

	unlinkat(d, "tree/bzImage", 0);
	unlinkat(d, "tree", AT_REMOVEDIR);
	unlinkat(d, "fifo", 0);
	unlinkat(d, "text", 0);
	unlinkat(d, "empty", 0);
	unlinkat(d, "secret", 0);
	unlinkat(d, "kernel", 0);
	close(d);
	CHECK_EQ(rmdir(dir), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_HAS(said[i][0], "cannot boot '/tmp/");
		CHECK_HAS(said[i][0], cases[i].said);
		CHECK_HAS(said[i][1], "cannot load the initrd '/tmp/");
		CHECK_HAS(said[i][1], cases[i].said);
	}
}

static void strangers_are_named(void)
{
#define S(at, bytes, said) { at, sizeof(bytes) - 1, bytes, said }
	static const struct {
		unsigned at, len;
		const char *bytes, *said;
	} cases[] = {
		S(0, "\x1f\x8b\x08\0\0\0", "it is a gzip file, not a kernel; unpack it (gunzip)"),
		S(0, "\xfd" "7zXZ\0\0\4", "it is an xz file, not a kernel; unpack it (unxz)"),
		S(0, "\x28\xb5\x2f\xfd\4", "it is a zstd file, not a kernel; unpack it (unzstd)"),
		S(0, "BZh91AY", "it is a bzip2 file, not a kernel; unpack it (bunzip2)"),
		S(0, "\x04\x22\x4d\x18\x64", "it is an lz4 file, not a kernel; unpack it (unlz4)"),
		S(0, "\x02\x21\x4c\x18\x64", "it is an lz4 file"),
		S(0, "\x5d\0\0\x80\0", "it is an lzma file"),
		S(0x38, "ARM\x64", "a kernel for 64-bit ARM (arm64 Image); take the x86-64 (amd64)"),
		S(0x30, "RISCV\0\0\0RSC\x05", "a kernel for RISC-V (Image); take the x86-64"),
		S(0x24, "\x18\x28\x6f\x01", "a kernel for 32-bit ARM"),
		S(0, "MZ\0\0zimg", "a compressed EFI kernel"),
		S(0, "\x27\x05\x19\x56", "a U-Boot image"),
		S(0, "\xd0\x0d\xfe\xed", "a device tree"),
		S(0, "070701000102", "a cpio archive, which is an initrd and not a kernel; give it with -i"),
		S(0, "070707000102", "a cpio archive in the old portable format"),
		S(0, "!<arch>\ndebian-binary", "a Debian package"),
		S(0, "\xed\xab\xee\xdb\3", "an RPM package"),
		S(0, "PK\3\4", "a zip archive"),
		S(257, "ustar", "a tar archive"),
		S(0, "hsqs\1", "a squashfs file system; ringlet boots a kernel and not a disk"),
		S(0, "QFI\xfb", "a qcow2 disk image"),
		S(0x8001, "CD001", "a CD image (ISO 9660)"),
		S(512, "EFI PART", "a disk image (GPT)"),
		S(0x1fe, "\x55\xaa", "a boot sector or disk image"),
		S(0x438, "\x53\xef", "an ext2, ext3 or ext4 file system"),
		S(0, "#!/bin/sh\n", "a script"),
		S(0, "<!doctype HTML>", "a web page, so the download went wrong"),
		S(0, "CONFIG_X86=y\n", "a text file; give a Linux bzImage"),
		S(0, "MZ\x90\0", "a DOS program"),
		S(0x100, "\0", "it begins with nothing but zeroes"),
		S(0, "\0", "it begins with nothing but zeroes"),
		S(0, "\1\2\3\4", "it is in no format that ringlet knows; a Linux bzImage (vmlinuz) or"),
		S(0, "\x7f", "it is in no format that ringlet knows"),
		S(0, "\x7f" "ELF", "it is truncated (4 bytes, its header speaks of 64)"),
	};
	static struct image i;

	fresh_memory(64 * MiB);
	for (unsigned c = 0; c < ARRAY_SIZE(cases); c++) {
		memset(&i, 0, sizeof(i));
		i.len = cases[c].at + cases[c].len;
		if (i.len <= sizeof(i.at)) {
			memcpy(i.at + cases[c].at, cases[c].bytes, cases[c].len);
			CHECK_HAS(refused(&i), cases[c].said);
		} else {
			char name[64];
			int fd = make_file("", 1, 64 * KiB, name);

			CHECK_EQ(pwrite(fd, cases[c].bytes, cases[c].len, cases[c].at), cases[c].len);
			CHECK_EQ(load_name(name), -1);
			CHECK_HAS(err, cases[c].said);
			close(fd);
		}
	}
}

static void pe_files_are_named(void)
{
	static struct image i;

	fresh_memory(64 * MiB);
	memset(&i, 0, sizeof(i));
	i.len = 1024;
	memcpy(i.at, "MZ", 2);
	i.at[0x3c] = 0x80;
	memcpy(i.at + 0x80, "PE\0\0\x64\x86\2\0", 8); /* x86-64, two sections */
	i.at[0x80 + 20] = 0x70;
	CHECK_HAS(refused(&i), "a program for EFI or Windows (PE) on x86-64, without a Linux boot header");
	memcpy(i.at + 0x84, "\x64\xaa", 2);
	CHECK_HAS(refused(&i), "(PE) on 64-bit ARM");
	memcpy(i.at + 0x80 + 24 + 0x70 + 40, ".linux\0\0", 8);
	CHECK_HAS(refused(&i), "a unified kernel image (UKI) for 64-bit ARM; take the kernel out");
	memset(i.at + 0x3c, 0xff, 4);
	CHECK_HAS(refused(&i), "a DOS program");
}

#define TRY(change, said)              \
	do {                           \
		change;                \
		CHECK_HAS(refused(i), said); \
	} while (0)
#define TRY_BZ(change, said)                        \
	do {                                        \
		struct image *i = bzimage();        \
		struct setup_header *h = bz_header(i); \
		(void)h;                            \
		TRY(change, said);                  \
	} while (0)
#define TRY_ELF(change, said)                             \
	do {                                              \
		struct image *i = elf(8);                 \
		Elf64_Ehdr *h = elf_header(i);            \
		Elf64_Phdr *text = elf_segment(i, 0), *data = text + 1, *notes = data + 1; \
		(void)h, (void)text, (void)data, (void)notes; \
		TRY(change, said);                        \
	} while (0)

static void bad_bzimages_are_refused(void)
{
	fresh_memory(64 * MiB);
	TRY_BZ(i->len--, "it is truncated (5119 bytes, its header speaks of 5120)");
	TRY_BZ(i->len = BZ_SETUP, "it is truncated (1024 bytes, its header speaks of 5120)");
	TRY_BZ(i->len = 0x210, "it is truncated (528 bytes, its header speaks of 620)");
	TRY_BZ(h->setup_sects = 0, "its header speaks of 6656"); /* 0 means 4 */
	TRY_BZ(h->loadflags = 0, "it is an old zImage");
	TRY_BZ(h->version = 0x20b, "boot protocol 2.11, and ringlet needs 2.12; take Linux 3.8 or newer");
	TRY_BZ(h->xloadflags = 0, "it is a 32-bit Linux kernel; take a 64-bit one");
	TRY_BZ(h->boot_flag = 0, "without the 0xaa55 before it, so it is damaged");
	TRY_BZ(h->syssize = 0, "its header contradicts itself");
	TRY_BZ(h->payload_length = 4096, "its header contradicts itself");
	TRY_BZ(h->payload_offset = 0xffffffff, "its header contradicts itself");
	TRY_BZ(h->kernel_alignment = 0, "an alignment of 0, so it is damaged");
	TRY_BZ(h->kernel_alignment = 0x300000, "an alignment of 0x300000, so it is damaged");
	TRY_BZ(h->pref_address = UINT64_MAX, "it wants to be at 0xffffffffffffffff");
	TRY_BZ(h->pref_address = 3 * GiB, "it wants to be at 0xc0000000");
}

static void bad_elf_files_are_refused(void)
{
	fresh_memory(64 * MiB);
	TRY_ELF(i->len = 63, "it is truncated (63 bytes");
	TRY_ELF(i->len = 100, "it is truncated (100 bytes, its header speaks of 232)");
	TRY_ELF(i->len--, "it is truncated (6911 bytes, its header speaks of 6912)");
	TRY_ELF(h->e_phoff = UINT64_MAX, "it is truncated");
	TRY_ELF(text->p_offset = UINT64_MAX - 1, "it is truncated");
	TRY_ELF(notes->p_filesz = UINT64_MAX, "it is truncated");
	TRY_ELF(h->e_phnum = 0, "an ELF file with 0 program headers");
	TRY_ELF(h->e_phnum = 65, "an ELF file with 65 program headers");
	TRY_ELF(h->e_phentsize = 32, "program headers of 32 bytes");
	TRY_ELF(h->e_machine = EM_AARCH64, "an ELF file for 64-bit ARM; take the x86-64 (amd64) build");
	TRY_ELF(h->e_machine = EM_RISCV, "an ELF file for RISC-V");
	TRY_ELF(h->e_machine = 12345, "an ELF file for another machine (number 12345)");
	TRY_ELF((h->e_machine = EM_386, h->e_ident[EI_CLASS] = ELFCLASS32), "for 32-bit x86");
	TRY_ELF(h->e_ident[EI_CLASS] = ELFCLASS32, "a 32-bit (x32) ELF file");
	TRY_ELF((h->e_ident[EI_DATA] = ELFDATA2MSB, h->e_machine = __builtin_bswap16(EM_PPC64)),
		"for 64-bit PowerPC");
	TRY_ELF((h->e_type = ET_REL, h->e_phnum = 0), "a kernel module or another object file");
	TRY_ELF(h->e_type = ET_DYN, "a shared library, not a kernel");
	TRY_ELF((h->e_type = ET_DYN, notes->p_type = PT_INTERP), "a program to run under Linux");
	TRY_ELF(notes->p_type = PT_INTERP, "a program to run under Linux, not a kernel");
	TRY_ELF(i->at[0x400 + 20 + 4 + 8] = NT_GNU_ABI_TAG, "a program to run under Linux");
	TRY_ELF(h->e_type = ET_CORE, "a core dump");
	TRY_ELF(h->e_type = 77, "of no known type (77)");
	TRY_ELF(text->p_paddr = 0xfffff, "to be loaded at 0xfffff, but below 1 MiB");
	TRY_ELF(text->p_paddr = LAYOUT_ACPI, "but below 1 MiB");
	TRY_ELF(text->p_paddr = UINT64_MAX, "but a kernel has to fit below 0xc0000000");
	TRY_ELF(text->p_paddr = 4 * GiB, "but a kernel has to fit below 0xc0000000");
	TRY_ELF(data->p_memsz = UINT64_MAX, "but a kernel has to fit below");
	TRY_ELF(data->p_memsz = 0x200, "its segments make no sense");
	TRY_ELF((text->p_type = 0, data->p_type = 0), "its PVH entry (0x1000040) lies outside");
	TRY_ELF((notes->p_type = 0, h->e_entry = ELF_TEXT + 0x800), "its entry point (0x1000800) lies");
	TRY_ELF((notes->p_type = 0, h->e_entry = ELF_DATA + 0x4000), "lies outside");
	TRY_ELF((notes->p_type = 0, h->e_entry = 0xffffffff81000000), "has to be a physical address");
	CHECK_HAS(refused(elf(2)), "its PVH note has 2 bytes instead of 4 or 8");
}

/* A sysfs file claims a page and has less: just as if it had been cut meanwhile. */
static void shrinking_file_is_noticed(void)
{
	static const char shrinks[] = "/sys/devices/system/cpu/online";
	struct stat st;

	if (stat(shrinks, &st) || st.st_size < 64)
		SKIP("no sysfs file whose size is larger than its contents");
	fresh_memory(64 * MiB);
	CHECK_EQ(load_name(shrinks), -1);
	CHECK_HAS(err, "it became shorter while it was read");
	initrd_name = shrinks;
	CHECK_EQ(load(bzimage()), -1);
	initrd_name = NULL;
	CHECK_HAS(err, "cannot load the initrd '/sys/");
	CHECK_HAS(err, "it became shorter while it was read");
}

static void long_names_do_not_overflow(void)
{
	static char name[1000];
	char small[40];

	memset(name, 'n', sizeof(name) - 1);
	memset(small, '!', sizeof(small));
	CHECK_EQ(boot_probe(name, small, 20), -1);
	CHECK_EQ(small[19], 0);
	CHECK_EQ(small[20], '!');
	CHECK_EQ(boot_probe(name, err, sizeof(err)), -1);
	CHECK_HAS(err, "nnn': cannot open it: File name too long");
}

static void a_version_ends_with_the_file(void)
{
	static const char banner[] = "Linux version 6";
	char page[GUEST_PAGE] = "", name[64], version[BOOT_VERSION];

	/* What is mapped ends there: with the banner, and in the version. */
	for (size_t len = sizeof(banner) - 2; len < sizeof(banner); len++) {
		memcpy(page + sizeof(page) - len, banner, len);
		int fd = make_file(page, sizeof(page), sizeof(page), name);

		CHECK(!boot_version(name, version));
		close(fd);
	}
}

static u32 random_state = 12345;

static u32 random32(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

/* Overwrite a field somewhere in [0, size) with what arithmetic trips over. */
static void corrupt(struct image *i, unsigned from, unsigned size)
{
	static const u64 nasty[] = { 0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff, UINT64_MAX, 1ULL << 63,
				     LAYOUT_ACPI, LAYOUT_LOW_END, LAYOUT_LOW_END - 1, 64 * MiB, 4 * GiB };
	u64 v = nasty[random32() % ARRAY_SIZE(nasty)];
	unsigned width = 1u << random32() % 4;

	if (random32() & 1)
		v = random32() | (u64)random32() << 32;
	if (random32() & 1)
		v >>= random32() % 64;
	memcpy(i->at + from + random32() % size, &v, width);
}

/*
 * Guest RAM lies in the middle of nothing, so that a write outside it ends
 * the test; its lowest MiB shows a write outside the places meant for tables.
 */
static void corrupt_headers_do_no_harm(void)
{
	const u64 nothing = 16 * GiB, ram = 64 * MiB;
	static u8 acpi[LAYOUT_RESET_VECTOR - LAYOUT_EBDA];
	unsigned loaded = 0, rejected = 0;
	u8 *p = mmap(NULL, nothing, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char name[64];
	int fd = make_file("", 1, 1, name);

	CHECK(p != MAP_FAILED);
	CHECK_EQ(mprotect(p + nothing / 2, ram, PROT_READ | PROT_WRITE), 0);
	mem_fini(&mem);
	mem = (struct mem){ .region[0] = { 0, ram, p + nothing / 2 }, .n = 1, .size = ram };
	memset(acpi, 0x5a, sizeof(acpi));
	memcpy(guest(LAYOUT_EBDA, sizeof(acpi)), acpi, sizeof(acpi));

	for (unsigned round = 0; round < 9000; round++) {
		struct image *i = round % 3 ? elf(round % 3 == 1 ? 0 : 8) : bzimage();
		int ret;

		for (unsigned n = 1 + random32() % 3; n; n--) {
			if (round % 3 == 0)
				corrupt(i, 0x1f1, 0x7b);
			else if (random32() % 4)
				corrupt(i, 16, sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr) - 16);
			else
				corrupt(i, 0x400, 0x60);
		}
		if (random32() % 8 == 0)
			i->len = 1 + random32() % i->len;
		CHECK_EQ(ftruncate(fd, 0), 0);
		CHECK_EQ(pwrite(fd, i->at, i->len, 0), i->len);
		ret = load_name(name);
		CHECK(ret == 0 || ret == -1);
		CHECK_EQ(!ret, !err[0]);
		if (ret) {
			rejected++;
			continue;
		}
		loaded++;
		CHECK(entry.kernel >= LAYOUT_KERNEL && entry.kernel < entry.kernel_end);
		CHECK(entry.kernel_end <= ram);
		CHECK(entry.rip >= entry.kernel && entry.rip < entry.kernel_end);
		CHECK_EQ(memcmp(guest(LAYOUT_EBDA, sizeof(acpi)), acpi, sizeof(acpi)), 0);
	}
	close(fd);
	memset(&mem, 0, sizeof(mem));
	munmap(p, nothing);
	CHECK(loaded > 500 && rejected > 500); /* or it tested nothing */
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "a name that is no readable file gets a sentence, as kernel and as initrd",
		  names_are_judged },
		{ "a file that is no kernel is told what it looks like", strangers_are_named },
		{ "EFI programs and unified images are told apart", pe_files_are_named },
		{ "a bzImage that is damaged, old or 32-bit is told so", bad_bzimages_are_refused },
		{ "an ELF file that is no x86-64 kernel is told what it is", bad_elf_files_are_refused },
		{ "a file that shrinks while it is read is noticed", shrinking_file_is_noticed },
		{ "a sentence never overflows its place", long_names_do_not_overflow },
		{ "a version is looked for as far as the file goes", a_version_ends_with_the_file },
		{ "thousands of corrupt headers are refused or loaded inside RAM",
		  corrupt_headers_do_no_harm },
	};

	alarm(120); /* opening a pipe by mistake would wait for ever */
	return check_run(tests, ARRAY_SIZE(tests));
}
