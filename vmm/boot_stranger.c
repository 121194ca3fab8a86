// SPDX-License-Identifier: MIT
/*
 * boot_stranger.c - the user gave a file that is no kernel for this machine.
 * Say what it looks like and what would work instead; nobody is helped by
 * "invalid format".  Goes by content alone, never by the file's name.
 *
 * It only ever looks at the bytes boot_open() put into head, which reads as
 * zeroes behind the end of the file, so that no check here needs a length.
 */
#include "boot_internal.h"

#include <ctype.h>
#include <string.h>

#define OTHER_CPU "take the x86-64 (amd64) build, a bzImage"
#define DISK "ringlet boots a kernel and not a disk; take the kernel (vmlinuz) from inside it"

struct magic {
	u16 at;
	u8 len;
	const char *bytes;
	const char *what;
	const char *advice;
};
#define M(at, bytes, what, advice) { at, sizeof(bytes) - 1, bytes, what, advice }

/* The surest first: a match further down may be chance in a file above it. */
static const struct magic magics[] = {
	M(0x38, "ARM\x64", "a kernel for 64-bit ARM (arm64 Image)", OTHER_CPU),
	M(0x38, "RSC\x05", "a kernel for RISC-V (Image)", OTHER_CPU),
	M(0x24, "\x18\x28\x6f\x01", "a kernel for 32-bit ARM (zImage)", OTHER_CPU),
	M(0, "MZ\0\0zimg", "a compressed EFI kernel (zboot) for another processor", OTHER_CPU),
	M(0, "\x27\x05\x19\x56", "a U-Boot image (uImage)", "give " BOOT_WORKS),
	M(0, "\xd0\x0d\xfe\xed", "a device tree or U-Boot FIT image", "give " BOOT_WORKS),
	M(0, "070701", "a cpio archive, which is an initrd and not a kernel",
	  "give it with -i, and the kernel with -k"),
	M(0, "070702", "a cpio archive, which is an initrd and not a kernel",
	  "give it with -i, and the kernel with -k"),
	M(0, "070707", "a cpio archive in the old portable format, and not a kernel",
	  "give " BOOT_WORKS ", and an initrd in the newc format (cpio -H newc) with -i"),
	M(0, "\xc7\x71", "a cpio archive in the old binary format, and not a kernel",
	  "give " BOOT_WORKS ", and an initrd in the newc format (cpio -H newc) with -i"),
	M(0, "!<arch>\n", "a Debian package or a static library",
	  "if a package, unpack it (dpkg -x FILE DIRECTORY) and give the boot/vmlinuz-* inside"),
	M(0, "\xed\xab\xee\xdb", "an RPM package",
	  "unpack it (rpm2cpio FILE | cpio -id) and give the vmlinuz inside"),
	M(0, "PK\x03\x04", "a zip archive", "unpack it (unzip) and give the kernel inside"),
	M(257, "ustar", "a tar archive", "unpack it (tar -xf) and give the kernel inside"),
	M(0, "hsqs", "a squashfs file system", DISK),
	M(0, "QFI\xfb", "a qcow2 disk image", DISK),
	M(0, "KDMV", "a VMDK disk image", DISK),
	M(512, "EFI PART", "a disk image (GPT)", DISK),
	M(0x438, "\x53\xef", "an ext2, ext3 or ext4 file system", DISK),
	M(0, "#!", "a script", "give " BOOT_WORKS),
	M(0x1fe, "\x55\xaa", "a boot sector or disk image", DISK),
};

/* A compressed file can hide anything, so the advice is the same for all. */
static const struct magic compressed[] = {
	M(0, "\x1f\x8b", "a gzip", "gunzip"),
	M(0, "\xfd" "7zXZ\0", "an xz", "unxz"),
	M(0, "\x28\xb5\x2f\xfd", "a zstd", "unzstd"),
	M(0, "BZh", "a bzip2", "bunzip2"),
	M(0, "\x04\x22\x4d\x18", "an lz4", "unlz4"),
	M(0, "\x02\x21\x4c\x18", "an lz4", "unlz4"),
	M(0, "\x89LZO\0", "an lzop", "lzop -d"),
	M(0, "\x5d\0\0", "an lzma", "unlzma"),
};

static bool matches(const struct boot_file *f, const struct magic *m)
{
	return !memcmp(f->head + m->at, m->bytes, m->len);
}

/* systemd-stub's way to put a kernel, its initrd and its parameters into one. */
static bool is_unified(const struct boot_file *f, u32 pe)
{
	u16 n, optional;
	u64 at;

	memcpy(&n, f->head + pe + 6, sizeof(n));
	memcpy(&optional, f->head + pe + 20, sizeof(optional));
	at = pe + 24ULL + optional;
	for (unsigned i = 0; i < n && at + 40 <= sizeof(f->head); i++, at += 40)
		if (!memcmp(f->head + at, ".linux\0\0", 8))
			return true;
	return false;
}

static int pe_file(const struct boot_file *f)
{
	static const struct {
		u16 machine;
		const char *name;
	} machines[] = {
		{ 0x8664, "x86-64" },	     { 0x14c, "32-bit x86" }, { 0xaa64, "64-bit ARM" },
		{ 0x5064, "64-bit RISC-V" }, { 0x6264, "LoongArch" }, { 0x1c2, "32-bit ARM" },
	};
	const char *name = "an unknown processor";
	u16 machine;
	u32 pe;

	memcpy(&pe, f->head + 0x3c, sizeof(pe));
	if (pe > sizeof(f->head) - 24 || memcmp(f->head + pe, "PE\0\0", 4))
		return boot_fail(f, "it is a DOS program, or the beginning of something else; give "
				    BOOT_WORKS);
	memcpy(&machine, f->head + pe + 4, sizeof(machine));
	for (unsigned i = 0; i < ARRAY_SIZE(machines); i++)
		if (machines[i].machine == machine)
			name = machines[i].name;
	if (is_unified(f, pe))
		return boot_fail(f, "it is a unified kernel image (UKI) for %s; take the kernel out of it "
				    "with objcopy -O binary --only-section=.linux '%s' vmlinuz",
				 name, f->name);
	return boot_fail(f, "it is a program for EFI or Windows (PE) on %s, without a Linux boot header; "
			    BOOT_WORKS " would work", name);
}

/* ISO 9660 says what it is only behind 32 KiB. */
static bool is_iso(const struct boot_file *f)
{
	char id[5] = { 0 };

	return f->size >= 0x8006 && !boot_read(f, 0x8001, id, sizeof(id)) &&
	       !memcmp(id, "CD001", sizeof(id));
}

static bool is_text(const u8 *p, u64 len)
{
	for (u64 i = 0; i < len; i++)
		if (p[i] < 0x80 && !isprint(p[i]) && !isspace(p[i]) && p[i] != 0x1b)
			return false;
	return true;
}

int boot_stranger(const struct boot_file *f)
{
	u64 len = MIN(f->size, sizeof(f->head));

	if (is_iso(f))
		return boot_fail(f, "it is a CD image (ISO 9660); " DISK);
	for (unsigned i = 0; i < ARRAY_SIZE(compressed); i++)
		if (matches(f, &compressed[i]))
			return boot_fail(f,
					 "it is %s file, not a kernel; unpack it (%s) if a vmlinux is "
					 "inside, give it with -i if it is an initrd, or take the bzImage "
					 "(vmlinuz) of a kernel package",
					 compressed[i].what, compressed[i].advice);
	for (unsigned i = 0; i < ARRAY_SIZE(magics); i++)
		if (matches(f, &magics[i]))
			return boot_fail(f, "it is %s; %s", magics[i].what, magics[i].advice);
	if (!memcmp(f->head, "MZ", 2))
		return pe_file(f);
	if (!strncasecmp((const char *)f->head, "<!DOCTYPE", 9) ||
	    !strncasecmp((const char *)f->head, "<html", 5))
		return boot_fail(f, "it is a web page, so the download went wrong; download it again");
	if (is_text(f->head, len))
		return boot_fail(f, "it is a text file; give " BOOT_WORKS);
	if (!f->head[0] && !memcmp(f->head, f->head + 1, len - 1))
		return boot_fail(f, "it begins with nothing but zeroes, so the copy or download went "
				    "wrong; do it again");
	return boot_fail(f, "it is in no format that ringlet knows; " BOOT_WORKS " would work");
}
