// SPDX-License-Identifier: MIT
/*
 * boot.c - from file names to a guest that is ready for its first instruction:
 * ask a planner what the kernel wants, find room for it and the initrd in low
 * RAM, read both straight into their places, write the tables.
 *
 * The kernel file may be damaged or hostile.  What the planners promise about
 * its headers keeps the arithmetic here from wrapping; what keeps a write
 * inside guest RAM is mem_at(), which every copy goes through.
 */
#include "boot_internal.h"

#include <string.h>
#include <sys/mman.h>

#include "layout.h"
#include "mem.h"

static int plan_kernel(const struct boot_file *f, struct boot_kernel *k)
{
	memset(k, 0, sizeof(*k));
	if (boot_is_bzimage(f))
		return boot_plan_bzimage(f, k);
	if (boot_is_elf(f))
		return boot_plan_elf(f, k);
	return boot_stranger(f);
}

/*
 * Bytes as whole MiB, never too few.  Not the ALIGN_UP() of a sparse file's
 * size, which may be next to 2^63.
 */
static unsigned long long in_mib(u64 bytes)
{
	return bytes / MiB + !!(bytes % MiB);
}

static int too_small(const struct boot_file *f, u64 have, u64 need, bool initrd)
{
	return boot_fail(f,
			 "%llu MiB of memory are too few for the kernel%s; it takes -m %lluM at the "
			 "least, and more to do some work",
			 in_mib(have), initrd ? " and its initrd" : "",
			 MAX(in_mib(need), LAYOUT_RAM_MIN / MiB));
}

/*
 * Find room for the initrd: as high as the kernel allows, as the boot
 * protocol advises.  Below the kernel is the second choice, which matters to
 * guests of less than about 100 MiB.
 */
static int place(const struct mem *m, const struct boot_file *kernel, const struct boot_kernel *k,
		 const struct boot_file *initrd, u64 size, struct boot_entry *entry)
{
	u64 low = m->region[0].size;
	u64 bottom = ALIGN_UP(k->end, GUEST_PAGE);
	u64 need = bottom + ALIGN_UP(size, GUEST_PAGE);
	u64 top = MIN(low, k->initrd_limit) & ~(GUEST_PAGE - 1);
	u64 most = MIN(LAYOUT_LOW_END, k->initrd_limit);
	u64 below = size <= k->start - LAYOUT_KERNEL ? (k->start - size) & ~(GUEST_PAGE - 1) : 0;

	if (k->end > LAYOUT_LOW_END)
		return boot_fail(kernel,
				 "it wants %llu MiB from %#llx on, but a kernel has to fit below %#llx; "
				 "build it with another CONFIG_PHYSICAL_START",
				 in_mib(k->end - k->start), (unsigned long long)k->start,
				 LAYOUT_LOW_END);
	if (below + size > k->initrd_limit)
		below = 0;
	if (!below && size && need > most)
		return boot_fail(initrd,
				 "it has %llu MiB, and this kernel takes %llu MiB at the most; leave out "
				 "what the guest does not need",
				 in_mib(size), most > bottom ? (most - bottom) / MiB : 0ULL);
	if (k->end > low)
		return too_small(kernel, m->size, below ? bottom : need, size && !below);

	entry->kernel = k->start;
	entry->kernel_end = k->end;
	entry->initrd = entry->initrd_end = 0;
	if (!size)
		return 0;
	if (top > bottom && size <= top - bottom)
		entry->initrd = (top - size) & ~(GUEST_PAGE - 1);
	else if (below)
		entry->initrd = below;
	else
		return too_small(kernel, m->size, need, true);
	entry->initrd_end = entry->initrd + size;
	return 0;
}

/*
 * RAM that was never touched reads as zero without being allocated; to write
 * zeroes over it would cost the host every page of a large .bss.
 */
static void clear(u8 *p, u64 len)
{
	while (len) {
		u64 n = MIN(len, GUEST_PAGE);

		if (p[0] || memcmp(p, p + 1, n - 1))
			memset(p, 0, n);
		p += n;
		len -= n;
	}
}

static int load_stretch(const struct mem *m, const struct boot_file *f, const struct boot_segment *s)
{
	u8 *p = mem_at(m, s->gpa, s->mem_size);

	if (!p || s->file_size > s->mem_size)
		return boot_fail(f, "it would have to be loaded outside of memory, at %#llx",
				 (unsigned long long)s->gpa);
	if (boot_read(f, s->offset, p, s->file_size))
		return -1;
	clear(p + s->file_size, s->mem_size - s->file_size);
	return 0;
}

/*
 * The file and behind it what is made: the kernel takes archives in a row, each
 * beginning at a multiple of 4, and of two files with one name the later one.
 */
static int load_initrd(const struct mem *m, const struct boot_request *req, const struct boot_file *initrd,
		       const struct boot_entry *entry)
{
	u64 room = entry->initrd_end - entry->initrd - (req->made ? req->made->size : 0);
	struct boot_segment file = { .gpa = entry->initrd, .mem_size = room };
	u8 *to;

	if (req->initrd) {
		file.file_size = initrd->size;
		if (load_stretch(m, initrd, &file))
			return -1;
	}
	if (!req->made)
		return 0;
	to = mem_at(m, entry->initrd + room, req->made->size);
	if (!to)
		return boot_fail(initrd, "it would have to be loaded outside of memory");
	return req->made->write(req->made->opaque, to, initrd->err, initrd->err_size);
}

/* What can be refused before anything is written. */
static int plan_all(const struct mem *m, const struct boot_request *req,
		    const struct boot_file *kernel, const struct boot_kernel *k,
		    const struct boot_file *initrd, struct boot_entry *entry)
{
	u64 cmdline_max = MIN(k->cmdline_max, LAYOUT_CMDLINE_MAX - 1);
	u64 size = req->made ? req->made->size : 0;

	if (strlen(req->cmdline) > cmdline_max)
		return boot_fail(kernel,
				 "the guest's command line has %zu characters and this kernel takes "
				 "%llu at the most; shorten -p",
				 strlen(req->cmdline), (unsigned long long)cmdline_max);
	if (req->initrd)
		size += req->made ? ALIGN_UP(initrd->size, 4) : initrd->size;
	return place(m, kernel, k, initrd, size, entry);
}

static int load_all(const struct mem *m, const struct boot_request *req,
		    const struct boot_file *kernel, const struct boot_kernel *k,
		    const struct boot_file *initrd, struct boot_entry *entry)
{
	for (unsigned i = 0; i < k->nsegments; i++)
		if (load_stretch(m, kernel, &k->segment[i]))
			return -1;
	if (entry->initrd_end && load_initrd(m, req, initrd, entry))
		return -1;
	entry->protocol = k->protocol;
	entry->kind = k->kind;
	entry->rip = k->entry;
	entry->info = k->protocol == BOOT_PVH ? LAYOUT_START_INFO : LAYOUT_ZERO_PAGE;
	entry->page_table = k->protocol == BOOT_PVH ? 0 : LAYOUT_PAGE_TABLES;
	boot_write_tables(m, req, entry, &k->zero_page);
	return 0;
}

static int plan_and_load(const struct mem *m, const struct boot_request *req, bool load,
			 struct boot_entry *entry, char *err, size_t err_size)
{
	struct boot_file kernel = {
		.trouble = "cannot boot", .name = req->kernel, .err = err, .err_size = err_size
	};
	struct boot_file initrd = {
		.trouble = "cannot load the initrd", .name = req->initrd ? req->initrd : "made for the command",
		.err = err, .err_size = err_size
	};
	struct boot_kernel k;
	int ret = -1;

	if (boot_open(&kernel))
		return -1;
	if (plan_kernel(&kernel, &k))
		goto close_kernel;
	if (req->initrd && boot_open(&initrd))
		goto close_kernel;
	ret = plan_all(m, req, &kernel, &k, &initrd, entry);
	if (!ret && load)
		ret = load_all(m, req, &kernel, &k, &initrd, entry);
	if (req->initrd)
		boot_close(&initrd);
close_kernel:
	boot_close(&kernel);
	return ret;
}

int boot_load(const struct mem *m, const struct boot_request *req, struct boot_entry *entry,
	      char *err, size_t err_size)
{
	return plan_and_load(m, req, true, entry, err, err_size);
}

int boot_check(const struct mem *m, const struct boot_request *req, char *err, size_t err_size)
{
	struct boot_entry entry;

	return plan_and_load(m, req, false, &entry, err, err_size);
}

int boot_probe(const char *kernel, char *err, size_t err_size)
{
	struct boot_file f = {
		.trouble = "cannot boot", .name = kernel, .err = err, .err_size = err_size
	};
	struct boot_kernel k;
	int ret;

	if (boot_open(&f))
		return -1;
	ret = plan_kernel(&f, &k);
	boot_close(&f);
	return ret;
}

/* As far as the first blank, if that is a version's length. */
static bool take_version(const char *text, size_t size, char version[BOOT_VERSION])
{
	size_t len = 0;

	while (len < size && text[len] > ' ' && text[len] != '/')
		len++;
	if (!len || len == size || len >= BOOT_VERSION)
		return false;
	memcpy(version, text, len);
	version[len] = '\0';
	return true;
}

/* What the kernel prints first; the text before it is also in tools' formats. */
static bool find_version(const struct boot_file *f, char version[BOOT_VERSION])
{
	static const char banner[] = "Linux version ";
	const char *start = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, f->fd, 0), *p = start;
	bool found = false;

	if (start == MAP_FAILED)
		return false;
	while (!found && (p = memmem(p, f->size - (size_t)(p - start), banner, strlen(banner)))) {
		p += strlen(banner);
		found = p < start + f->size && *p >= '0' && *p <= '9' &&
			take_version(p, f->size - (size_t)(p - start), version);
	}
	munmap((void *)start, f->size);
	return found;
}

bool boot_version(const char *kernel, char version[BOOT_VERSION])
{
	char err[512], text[BOOT_VERSION + 1];
	struct boot_file f = { .trouble = "", .name = kernel, .err = err, .err_size = sizeof(err) };
	u16 offset;
	bool found;

	if (boot_open(&f))
		return false;
	if (boot_is_bzimage(&f)) {
		memcpy(&offset, f.head + 0x20e, sizeof(offset));
		found = offset && !boot_read(&f, 0x200ULL + offset, text, sizeof(text)) &&
			take_version(text, sizeof(text), version);
	} else {
		found = find_version(&f, version);
	}
	boot_close(&f);
	return found;
}
