// SPDX-License-Identifier: MIT
/*
 * boot_bzimage.c - reads the header of a Linux bzImage (Documentation/arch/x86/
 * boot.rst in the kernel's sources) and plans how to start it by the 64-bit
 * boot protocol.  Knows nothing of guest memory.
 *
 * Of the file's two parts only the second, the "protected-mode" part, is
 * loaded; the first is real-mode code, of which we take nothing but the header.
 */
#include "boot_internal.h"

#include <string.h>

#include "layout.h"

#define HDR_AT offsetof(struct boot_params, hdr)
#define HDR_END 0x290 /* nothing of the header ever lies behind this */
#define VERSION_64BIT 0x20c
#define ENTRY_64BIT 0x200 /* startup_64, counted from where the kernel is loaded */
#define SECTOR 512ULL

_Static_assert(offsetof(struct boot_params, hdr) == 0x1f1, "the header is where the file has it");
_Static_assert(sizeof(struct boot_params) == GUEST_PAGE, "the zero page is a page");

bool boot_is_bzimage(const struct boot_file *f)
{
	return !memcmp(f->head + 0x202, "HdrS", 4);
}

/* Reasons for which a genuine Linux image cannot be started by us. */
static int refuse_kind(const struct boot_file *f, const struct setup_header *h)
{
	if (h->boot_flag != 0xaa55)
		return boot_fail(f, "it has a Linux header without the 0xaa55 before it, so it is "
				    "damaged; copy, build or download it again");
	if (h->version < 0x200 || !(h->loadflags & LOADED_HIGH))
		return boot_fail(f, "it is an old zImage, for memory below 1 MiB; build a bzImage, or "
				    "take Linux 3.8 or newer");
	if (h->version < VERSION_64BIT)
		return boot_fail(f,
				 "it is a Linux kernel with boot protocol %u.%02u, and ringlet needs "
				 "2.12; take Linux 3.8 or newer",
				 h->version >> 8, h->version & 0xffu);
	if (!(h->xloadflags & XLF_KERNEL_64))
		return boot_fail(f, "it is a 32-bit Linux kernel; take a 64-bit one (package "
				    "architecture amd64, CONFIG_64BIT=y)");
	return 0;
}

int boot_plan_bzimage(const struct boot_file *f, struct boot_kernel *k)
{
	struct setup_header *h = &k->zero_page.hdr;
	u64 hdr_end = 0x202ULL + f->head[0x201];
	u64 setup, size, align;

	if (f->size < hdr_end)
		return boot_truncated(f, hdr_end);
	/*
	 * Only as much as the kernel says is header: code follows it, and
	 * what an older kernel does not know has to read as zero.  A newer
	 * kernel's fields that we do not know are its own defaults.
	 */
	memcpy((u8 *)&k->zero_page + HDR_AT, f->head + HDR_AT, MIN(hdr_end, HDR_END) - HDR_AT);
	if (refuse_kind(f, h))
		return -1;

	setup = ((h->setup_sects ? h->setup_sects : 4) + 1) * SECTOR;
	size = h->syssize * 16ULL;
	if (f->size < setup + size)
		return boot_truncated(f, setup + size);
	if (size <= ENTRY_64BIT || (u64)h->payload_offset + h->payload_length > size)
		return boot_fail(f, "its header contradicts itself (%llu bytes of code), so it is "
				    "damaged; copy, build or download it again",
				 (unsigned long long)size);

	/*
	 * A relocatable kernel that is loaded below pref_address moves itself
	 * up to it, so lower saves nothing, and RAM being one stretch up to
	 * its end, higher never fits when this does not.
	 */
	align = h->relocatable_kernel ? h->kernel_alignment : 1;
	if (!align || (align & (align - 1)))
		return boot_fail(f, "it asks for an alignment of %#llx, so it is damaged; copy, build "
				    "or download it again",
				 (unsigned long long)align);
	if (h->pref_address >= LAYOUT_LOW_END ||
	    (!h->relocatable_kernel && h->pref_address < LAYOUT_KERNEL))
		return boot_fail(f, "it wants to be at %#llx, where this machine has no room for a "
				    "kernel; build it with another CONFIG_PHYSICAL_START",
				 (unsigned long long)h->pref_address);
	k->start = ALIGN_UP(MAX((u64)h->pref_address, LAYOUT_KERNEL), align);
	k->end = k->start + MAX((u64)h->init_size, size);
	k->entry = k->start + ENTRY_64BIT;
	k->protocol = BOOT_LINUX64;
	k->kind = "bzImage";
	k->segment[k->nsegments++] = (struct boot_segment){
		.offset = setup,
		.file_size = size,
		.gpa = k->start,
		.mem_size = size,
	};
	k->initrd_limit = h->initrd_addr_max + 1ULL;
	k->cmdline_max = h->cmdline_size;

	/* What the boot loader has to write; the addresses come later. */
	h->type_of_loader = 0xff; /* none of the registered ones */
	h->loadflags &= (u8)~CAN_USE_HEAP; /* real-mode code's, which never runs */
	h->code32_start = (u32)k->start;
	h->setup_data = 0;
	return 0;
}
