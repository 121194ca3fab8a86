// SPDX-License-Identifier: MIT
/*
 * boot.c (test) - what a kernel finds when it starts: itself, its initrd, its
 * command line and the tables, where they are said to be.  Nothing is run, so
 * neither KVM nor any right is needed.  What is refused: boot-bad.c.
 */
#include "boot-image.h"

#include "guests.h"

static const struct boot_params *zero_page(void)
{
	return (const void *)guest(LAYOUT_ZERO_PAGE, sizeof(struct boot_params));
}

static void bzimage_is_loaded(void)
{
	const struct boot_params *zp;
	struct boot_range map[BOOT_MAX_RANGES];

	fresh_memory(64 * MiB);
	CHECK_EQ(load(bzimage()), 0);
	CHECK_EQ(entry.protocol, BOOT_LINUX64);
	CHECK_STR(entry.kind, "bzImage");
	CHECK_EQ(entry.rip, 16 * MiB + 0x200);
	CHECK_EQ(entry.kernel, 16 * MiB);
	CHECK_EQ(entry.kernel_end, 24 * MiB);
	CHECK_EQ(entry.info, LAYOUT_ZERO_PAGE);
	CHECK_EQ(entry.page_table, LAYOUT_PAGE_TABLES);
	CHECK_EQ(entry.initrd_end - entry.initrd, 0);
	for (u64 n = 0; n < BZ_CODE; n++)
		CHECK_EQ(*guest(16 * MiB + n, 1), pattern(n));
	CHECK_EQ(*guest(16 * MiB + BZ_CODE, 1), 0);

	zp = zero_page();
	CHECK_EQ(zp->sentinel, 0);
	CHECK_EQ(zp->screen_info.orig_video_isVGA, 0);
	CHECK_EQ(zp->hdr.header, 0x53726448);
	CHECK_EQ(zp->hdr.boot_flag, 0xaa55);
	CHECK_EQ(zp->hdr.version, 0x20f);
	CHECK_EQ(zp->hdr.init_size, 8 * MiB);
	CHECK_EQ(zp->hdr.kernel_info_offset, 0x1234);
	CHECK_EQ(zp->_pad7[0], 0); /* behind the header there is code in the file */
	CHECK_EQ(zp->hdr.type_of_loader, 0xff);
	CHECK_EQ(zp->hdr.loadflags, LOADED_HIGH);
	CHECK_EQ(zp->hdr.code32_start, 16 * MiB);
	CHECK_EQ(zp->hdr.ramdisk_size, 0);
	CHECK_EQ(zp->acpi_rsdp_addr, RSDP);
	CHECK_EQ(zp->hdr.cmd_line_ptr, LAYOUT_CMDLINE);
	CHECK_EQ(zp->ext_cmd_line_ptr, 0);
	CHECK_STR((char *)guest(zp->hdr.cmd_line_ptr, 64), CMDLINE);
	CHECK_EQ(zp->e820_entries, boot_memory_map(&mem, map));
	for (unsigned i = 0; i < zp->e820_entries; i++) {
		CHECK_EQ(zp->e820_table[i].addr, map[i].start);
		CHECK_EQ(zp->e820_table[i].size, map[i].size);
		CHECK_EQ(zp->e820_table[i].type, map[i].type);
	}
}

static void bios_resets(void)
{
	const u8 *code;

	fresh_memory(64 * MiB);
	CHECK_EQ(load(bzimage()), 0);
	code = guest(0xffff0, 9);
	CHECK(code[0] == 0xba && code[1] + 256 * code[2] == PORT_ACPI_RESET); /* mov to %dx */
	CHECK(code[3] == 0xb0 && code[4] == ACPI_RESET_VALUE);		      /* mov to %al */
	CHECK(code[5] == 0xee && code[6] == 0xf4 && code[7] == 0xeb && code[8] == 0xfd);
}

static void bzimage_finds_its_address(void)
{
	struct image *i = bzimage();

	/* In a real kernel pref_address can be less aligned than it asks for. */
	fresh_memory(64 * MiB);
	bz_header(i)->pref_address = 17 * MiB;
	CHECK_EQ(load(i), 0);
	CHECK_EQ(entry.kernel, 18 * MiB);
	bz_header(i)->pref_address = 0;
	CHECK_EQ(load(i), 0);
	CHECK_EQ(entry.kernel, 2 * MiB);
	bz_header(i)->relocatable_kernel = 0;
	bz_header(i)->pref_address = 17 * MiB;
	CHECK_EQ(load(i), 0);
	CHECK_EQ(entry.kernel, 17 * MiB);
	bz_header(i)->pref_address = 0x10000;
	CHECK_EQ(load(i), -1);
	CHECK_HAS(err, "it wants to be at 0x10000, where this machine has no room");

	/* A small init_size does not let the initrd lie upon the code. */
	i = bzimage();
	bz_header(i)->init_size = 0;
	CHECK_EQ(load(i), 0);
	CHECK_EQ(entry.kernel_end, 16 * MiB + BZ_CODE);

	/* A signed kernel has more behind its code; it is not loaded. */
	i = bzimage();
	memset(i->at + i->len, 0x99, 64);
	i->len += 64;
	fresh_memory(64 * MiB);
	CHECK_EQ(load(i), 0);
	CHECK_EQ(*guest(16 * MiB + BZ_CODE, 1), 0);

	/* A short header: what lies behind it in the file is code. */
	i = bzimage();
	i->at[0x201] = 0x264 - 0x202; /* ends before handover_offset */
	bz_header(i)->handover_offset = 0x5555;
	CHECK_EQ(load(i), 0);
	CHECK_EQ(zero_page()->hdr.init_size, 8 * MiB);
	CHECK_EQ(zero_page()->hdr.handover_offset, 0);
}

static void elf_is_loaded(void)
{
	const struct boot_params *zp;

	fresh_memory(64 * MiB);
	memset(guest(ELF_DATA - 0x100, 0x6000), 0xee, 0x6000);
	CHECK_EQ(load(elf(0)), 0);
	CHECK_EQ(entry.protocol, BOOT_LINUX64);
	CHECK_STR(entry.kind, "ELF64 vmlinux");
	CHECK_EQ(entry.rip, ELF_TEXT + 0x10);
	CHECK_EQ(entry.info, LAYOUT_ZERO_PAGE);
	CHECK_EQ(entry.page_table, LAYOUT_PAGE_TABLES);
	CHECK_EQ(entry.kernel, ELF_TEXT);
	CHECK_EQ(entry.kernel_end, ELF_BSS_END);
	for (u64 n = 0; n < 0x800; n++)
		CHECK_EQ(*guest(ELF_TEXT + n, 1), pattern(n));
	CHECK_EQ(*guest(ELF_DATA - 1, 1), 0xee);
	for (u64 n = 0; n < 0x300; n++)
		CHECK_EQ(*guest(ELF_DATA + n, 1), pattern(0x800 + n));
	for (u64 n = 0x300; n < 0x5000; n++)
		CHECK_EQ(*guest(ELF_DATA + n, 1), 0);
	CHECK_EQ(*guest(ELF_BSS_END, 1), 0xee);

	zp = zero_page();
	CHECK_EQ(zp->hdr.header, 0x53726448);
	CHECK_EQ(zp->hdr.boot_flag, 0xaa55);
	CHECK(zp->hdr.version >= 0x20c);
	CHECK_EQ(zp->hdr.type_of_loader, 0xff);
	CHECK_EQ(zp->hdr.loadflags & LOADED_HIGH, LOADED_HIGH);
	CHECK_EQ(zp->hdr.cmd_line_ptr, LAYOUT_CMDLINE);
	CHECK_EQ(zp->acpi_rsdp_addr, RSDP);
	CHECK(zp->e820_entries > 3);
}

static void pvh_is_loaded(void)
{
	struct boot_range map[BOOT_MAX_RANGES];
	unsigned n;
	u64 at;

	for (u32 size = 4; size <= 8; size += 4) {
		fresh_memory(5 * GiB);
		CHECK_EQ(load_with_initrd(elf(size), 5000), 0);
		CHECK_EQ(entry.protocol, BOOT_PVH);
		CHECK_STR(entry.kind, "ELF64 vmlinux (PVH)");
		CHECK_EQ(entry.rip, ELF_TEXT + ELF_PVH);
		CHECK_EQ(entry.info, LAYOUT_START_INFO);
	}
	at = entry.info;
	CHECK_EQ(guest64(at), 0x1336ec578);		  /* magic, version 1 */
	CHECK_EQ(guest64(at + 8), 1ULL << 32);		  /* no flags, one module */
	CHECK_STR((char *)guest(guest64(at + 24), 64), CMDLINE);
	CHECK_EQ(guest64(at + 32), RSDP);
	CHECK_EQ(guest64(guest64(at + 16)), entry.initrd);
	CHECK_EQ(guest64(guest64(at + 16) + 8), 5000);
	CHECK_EQ(guest64(guest64(at + 16) + 16), 0);
	n = boot_memory_map(&mem, map);
	CHECK_EQ(guest64(at + 48), n);
	for (unsigned i = 0; i < n; i++) {
		u64 e = guest64(at + 40) + i * 24;

		CHECK_EQ(guest64(e), map[i].start);
		CHECK_EQ(guest64(e + 8), map[i].size);
		CHECK_EQ(guest64(e + 16), map[i].type);
	}
	CHECK_EQ(load(elf(4)), 0);
	CHECK_EQ(guest64(at + 8), 0);
	CHECK_EQ(guest64(at + 16), 0);
}

static void damaged_notes_are_not_believed(void)
{
	struct image *i = elf(8);
	Elf64_Phdr *notes = elf_segment(i, 2);
	u64 at = 0x500;

	/* The PVH note comes last: without its last byte it is none. */
	fresh_memory(64 * MiB);
	notes->p_filesz--;
	CHECK_EQ(load(i), 0);
	CHECK_EQ(entry.protocol, BOOT_LINUX64);
	CHECK_EQ(entry.rip, ELF_TEXT + 0x10);
	notes->p_filesz++;
	CHECK_EQ(load(i), 0);
	CHECK_EQ(entry.protocol, BOOT_PVH);

	/* A name of the right beginning, or the right number of another's. */
	notes->p_offset = at;
	put_note(i, &at, "Xenon", 18, ELF_TEXT, 8);
	put_note(i, &at, "GNU", 18, ELF_TEXT, 8);
	notes->p_filesz = at - 0x500;
	CHECK_EQ(load(i), 0);
	CHECK_EQ(entry.protocol, BOOT_LINUX64);

	/* Notes aligned to 8: after "Linux" the contents begin four bytes later. */
	i = elf(0);
	notes = elf_segment(i, 2);
	at = notes->p_offset = 0x500;
	put_note(i, &at, "Linux", 1, 0, 4);
	at = 0x500 + 24 + 8;
	put_note(i, &at, "Xen", 18, ELF_TEXT + ELF_PVH, 8);
	notes->p_filesz = at - 0x500;
	notes->p_align = 8;
	CHECK_EQ(load(i), 0);
	CHECK_EQ(entry.protocol, BOOT_PVH);
	CHECK_EQ(entry.rip, ELF_TEXT + ELF_PVH);
}

/* As the processor would do it. */
static u64 walk(u64 pml4, u64 address)
{
	u64 e = guest64(pml4 + 8 * (address >> 39 & 511));

	CHECK_EQ(e & 0xfff, 3);
	e = guest64((e & ~0xfffULL) + 8 * (address >> 30 & 511));
	if (!(e & 1))
		return UINT64_MAX;
	e = guest64((e & ~0xfffULL) + 8 * (address >> 21 & 511));
	CHECK_EQ(e & 0xfff, 0x83);
	return (e & ~0x1fffffULL) | (address & 0x1fffff);
}

static void tables_map_4g(void)
{
	fresh_memory(64 * MiB);
	memset(guest(0, LAYOUT_CMDLINE), 0xee, LAYOUT_CMDLINE);
	CHECK_EQ(load(bzimage()), 0);
	for (u64 a = 0x123; a < 4 * GiB; a += 2 * MiB)
		CHECK_EQ(walk(entry.page_table, a), a);
	CHECK_EQ(walk(entry.page_table, 4 * GiB), UINT64_MAX);
	CHECK_EQ(guest64(LAYOUT_PAGE_TABLES + 8), 0);

	CHECK_EQ(guest64(LAYOUT_GDT), 0);
	CHECK_EQ(guest64(LAYOUT_GDT + BOOT_CS64), 0x00af9b000000ffff);
	CHECK_EQ(guest64(LAYOUT_GDT + BOOT_DS), 0x00cf93000000ffff);
	CHECK_EQ(guest64(LAYOUT_GDT + BOOT_CS32), 0x00cf9b000000ffff);
	CHECK_EQ(guest64(LAYOUT_GDT + BOOT_TSS), 0x00008b0000000067);
	CHECK_EQ(guest64(LAYOUT_GDT + BOOT_TSS + 8), 0);
	CHECK_EQ(BOOT_CS64, 0x10); /* Linux's boot protocol wants these two */
	CHECK_EQ(BOOT_DS, 0x18);
	CHECK_EQ(BOOT_GDT_LIMIT + 1, BOOT_TSS + 16);
}

static void memory_map_fits(void)
{
	static const struct {
		u64 size, low, high;
	} cases[] = {
		{ 64 * MiB, 64 * MiB, 0 },
		{ 3 * GiB - 4096, 3 * GiB - 4096, 0 },
		{ 3 * GiB, 3 * GiB, 0 },
		{ 3 * GiB + 4096, 3 * GiB, 4096 },
		{ 5 * GiB, 3 * GiB, 2 * GiB },
	};

	for (unsigned c = 0; c < ARRAY_SIZE(cases); c++) {
		struct boot_range map[BOOT_MAX_RANGES];
		u64 ram = 0, last = 0;
		unsigned n;

		fresh_memory(cases[c].size);
		n = boot_memory_map(&mem, map);
		CHECK_EQ(n, cases[c].high ? 6 : 5);
		for (unsigned i = 0; i < n; i++) {
			CHECK(map[i].size);
			CHECK(map[i].start >= last); /* sorted, no overlap */
			last = map[i].start + map[i].size;
			if (map[i].type != 1) {
				CHECK_EQ(map[i].type, 2);
				continue;
			}
			ram += map[i].size;
			CHECK(mem_at(&mem, map[i].start, map[i].size));
			/* No device and no table of ours is offered as RAM. */
			CHECK(last <= LAYOUT_EBDA || map[i].start >= LAYOUT_ACPI_END);
			CHECK(last <= LAYOUT_LOW_END || map[i].start >= LAYOUT_HIGH);
		}
		CHECK_EQ(ram, cases[c].size - (LAYOUT_KERNEL - LAYOUT_EBDA));
		CHECK_EQ(map[2].start, LAYOUT_ACPI);
		CHECK_EQ(map[2].start + map[2].size, LAYOUT_ACPI_END);
		CHECK_EQ(map[3].start, 1 * MiB);
		CHECK_EQ(map[3].start + map[3].size, cases[c].low);
		CHECK_EQ(map[4].start, LAYOUT_IDENTITY_MAP);
		CHECK_EQ(map[4].size, 4 * 4096);
		if (cases[c].high) {
			CHECK_EQ(map[5].start, 4 * GiB);
			CHECK_EQ(map[5].size, cases[c].high);
		}
	}
}

static void check_initrd(u64 start, u64 size)
{
	const struct boot_params *zp = zero_page();

	CHECK_EQ(entry.initrd, start);
	CHECK_EQ(entry.initrd_end, start + size);
	CHECK_EQ(zp->hdr.ramdisk_image, start);
	CHECK_EQ(zp->hdr.ramdisk_size, size);
	CHECK_EQ(zp->ext_ramdisk_image, 0);
	CHECK_EQ(zp->ext_ramdisk_size, 0);
	for (u64 at = 0; at < MIN(size, 64 * KiB); at += GUEST_PAGE)
		CHECK_EQ(*guest(start + at, 1), 1 + at / GUEST_PAGE);
}

static void initrd_is_placed(void)
{
	struct image *i = bzimage();

	fresh_memory(64 * MiB);
	CHECK_EQ(load_with_initrd(i, 9000), 0);
	check_initrd(64 * MiB - 3 * 4096, 9000);
	CHECK_EQ(load_with_initrd(i, 40 * MiB), 0); /* as large as fits above the kernel */
	check_initrd(24 * MiB, 40 * MiB);
	CHECK_EQ(load_with_initrd(i, 40 * MiB + 1), -1);
	CHECK_HAS(err, "too few for the kernel and its initrd; it takes -m 65M");
	bz_header(i)->init_size = 47 * MiB; /* leaves less above than below */
	CHECK_EQ(load_with_initrd(i, 15 * MiB), 0);
	check_initrd(1 * MiB, 15 * MiB);
	CHECK_EQ(load_with_initrd(i, 15 * MiB + 1), -1);
	CHECK_HAS(err, "it takes -m 79M");

	i = bzimage();
	fresh_memory(5 * GiB);
	CHECK_EQ(load_with_initrd(i, 20000), 0);
	check_initrd(2 * GiB - 5 * 4096, 20000); /* initrd_addr_max */
	bz_header(i)->initrd_addr_max = 0xffffffff;
	CHECK_EQ(load_with_initrd(i, 4096), 0);
	check_initrd(3 * GiB - 4096, 4096);
	bz_header(i)->initrd_addr_max = 0x37ffffff;
	CHECK_EQ(load_with_initrd(i, 1 * GiB), -1);
	CHECK_HAS(err, "cannot load the initrd '/proc/self/fd/");
	CHECK_HAS(err, "it has 1024 MiB, and this kernel takes 872 MiB at the most");
	CHECK_EQ(load_with_initrd(elf(0), 4097), 0);
	check_initrd(3 * GiB - 2 * 4096, 4097);
	CHECK_EQ(load_with_initrd(elf(0), INT64_MAX), -1);
	CHECK_HAS(err, "at the most");
}

static void cmdline_is_limited(void)
{
	static char text[70000];
	struct image *i = bzimage();
	int ok, not_ok;

	fresh_memory(64 * MiB);
	cmdline = text;
	memset(text, 'x', 2047);
	ok = load(i);
	text[2047] = 'x';
	not_ok = load(i);
	cmdline = CMDLINE;
	CHECK_EQ(ok, 0);
	CHECK_EQ(not_ok, -1);
	CHECK_HAS(err, "command line has 2048 characters and this kernel takes 2047");

	cmdline = text;
	bz_header(i)->cmdline_size = 0xffffffff;
	memset(text, 'x', 65535);
	ok = load(i);
	text[65535] = 'x';
	not_ok = load(i);
	cmdline = CMDLINE;
	CHECK_EQ(ok, 0);
	CHECK_EQ(*guest(LAYOUT_CMDLINE + 65534, 1), 'x');
	CHECK_EQ(*guest(LAYOUT_CMDLINE + 65535, 1), 0);
	CHECK_EQ(not_ok, -1);
	CHECK_HAS(err, "takes 65535 at the most");
}

static void small_memory_is_said(void)
{
	struct image *i = bzimage();

	fresh_memory(64 * MiB);
	bz_header(i)->init_size = 60 * MiB + 1;
	CHECK_EQ(load(i), -1);
	CHECK_HAS(err, "64 MiB of memory are too few for the kernel; it takes -m 77M at the least");
	fresh_memory(77 * MiB);
	CHECK_EQ(load(i), 0);
	fresh_memory(76 * MiB);
	CHECK_EQ(load_with_initrd(i, 10 * MiB), -1);
	CHECK_HAS(err, "for the kernel; it takes -m 77M"); /* the initrd goes below */
	CHECK_EQ(load_with_initrd(i, 16 * MiB), -1);
	CHECK_HAS(err, "for the kernel and its initrd; it takes -m 93M");
	fresh_memory(77 * MiB);
	CHECK_EQ(load_with_initrd(i, 10 * MiB), 0);
	CHECK_EQ(load_with_initrd(i, 16 * MiB), -1);
	fresh_memory(93 * MiB);
	CHECK_EQ(load_with_initrd(i, 16 * MiB), 0);

	bz_header(i)->init_size = 0xffffffff;
	CHECK_EQ(load(i), -1);
	CHECK_HAS(err, "a kernel has to fit below 0xc0000000");
	i = elf(0);
	elf_segment(i, 1)->p_memsz = 300 * MiB;
	CHECK_EQ(load(i), -1);
	CHECK_HAS(err, "it takes -m 319M at the least");
	fresh_memory(319 * MiB);
	CHECK_EQ(load(i), 0);
}

static void guests_are_loaded(void)
{
	char name[64];
	u64 size;

	fresh_memory(LAYOUT_RAM_MIN);
	for (unsigned i = 0; guest_name(i); i++) {
		snprintf(name, sizeof(name), GUEST_PREFIX "%s", guest_name(i));
		CHECK_EQ(boot_probe(name, err, sizeof(err)), 0);
		CHECK_EQ(load_name(name), 0);
		CHECK_EQ(entry.protocol, BOOT_PVH);
		CHECK_EQ(entry.kernel, LAYOUT_KERNEL);
		/* A part of the file that is no header, where it belongs. */
		CHECK(!memcmp(guest(LAYOUT_KERNEL, 4096), guest_image(name, &size) + 4096, 4096));
		CHECK(size > 8192);
	}
	CHECK(!guest_image("guest:", &size) && !guest_image("guest:hell", &size) &&
	      !guest_image("guest:hello ", &size) && !guest_image("hello", &size));
	CHECK_EQ(load_name("guest:nobody"), -1);
	CHECK_HAS(err, "there is no such file");
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "a jump to the BIOS, as Linux's last way to reboot, writes the reset port", bios_resets },
		{ "a bzImage lies at its preferred address and its zero page is right", bzimage_is_loaded },
		{ "a bzImage's address is aligned, its signature not loaded", bzimage_finds_its_address },
		{ "an ELF kernel starts at its 64-bit entry, .bss zero over old contents", elf_is_loaded },
		{ "an ELF kernel with a PVH note starts there, with a start info", pvh_is_loaded },
		{ "a PVH note counts only if it is whole and Xen's own", damaged_notes_are_not_believed },
		{ "page tables map the first 4 GiB; the GDT has what Linux wants", tables_map_4g },
		{ "the memory map offers all RAM and nothing else, around the hole", memory_map_fits },
		{ "an initrd lies as high as allowed, and never upon the kernel", initrd_is_placed },
		{ "a command line too long for the kernel is refused", cmdline_is_limited },
		{ "memory too small is said with the size that suffices", small_memory_is_said },
		{ "our own guests are loaded from inside the program", guests_are_loaded },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
