// SPDX-License-Identifier: MIT
/*
 * boot_file.c - opening and reading what the user named, and finding one
 * sentence for each way in which that fails.  Knows nothing of formats.
 *
 * The file may change while it is read.  Nothing here trusts the size it had
 * when it was opened beyond reading that much and noticing when it is gone.
 */
#include "boot_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guests.h"

#define NAME_SHOWN 200

int boot_fail(const struct boot_file *f, const char *fmt, ...)
{
	va_list ap;
	/* However long the name is, the reason is told. */
	bool whole = strlen(f->name) <= NAME_SHOWN;
	int n = snprintf(f->err, f->err_size, "%s '%s%s': ", f->trouble, whole ? "" : "...",
			 whole ? f->name : f->name + strlen(f->name) - NAME_SHOWN);

	if (n >= 0 && (size_t)n < f->err_size) {
		va_start(ap, fmt);
		vsnprintf(f->err + n, f->err_size - (size_t)n, fmt, ap);
		va_end(ap);
	}
	return -1;
}

int boot_truncated(const struct boot_file *f, u64 want_size)
{
	return boot_fail(f,
			 "it is truncated (%llu bytes, its header speaks of %llu); copy, build or "
			 "download it again",
			 (unsigned long long)f->size, (unsigned long long)want_size);
}

static int cannot_open(const struct boot_file *f, int err)
{
	switch (err) {
	case ENOENT:
		return boot_fail(f, "there is no such file; check the name");
	case ENOTDIR:
		return boot_fail(f, "a part of the path is not a directory; check the name");
	case EACCES:
	case EPERM:
		return boot_fail(f, "no permission to read it; run ringlet as a user who may, or give "
				    "it a readable copy");
	case ENXIO:
		return boot_fail(f, "it is a socket or a device, not a regular file; copy what is "
				    "meant into a file");
	default:
		return boot_fail(f, "cannot open it: %s", strerror(err));
	}
}

static int not_regular(const struct boot_file *f, mode_t mode)
{
	static const char *const inside[] = { "arch/x86/boot/bzImage", "bzImage", "vmlinuz", "vmlinux" };

	if (!S_ISDIR(mode))
		return boot_fail(f, "it is a %s, not a regular file; copy what is meant into a file",
				 S_ISFIFO(mode) ? "pipe" :
				 S_ISBLK(mode)	? "block device" :
						  "character device");
	for (unsigned i = 0; i < ARRAY_SIZE(inside); i++)
		if (!faccessat(f->fd, inside[i], R_OK, 0))
			return boot_fail(f, "it is a directory; perhaps '%s/%s' is meant", f->name,
					 inside[i]);
	return boot_fail(f, "it is a directory; give a file");
}

int boot_open(struct boot_file *f)
{
	struct stat st;
	int ret = -1;

	memset(f->head, 0, sizeof(f->head));
	f->fd = -1;
	f->image = guest_image(f->name, &f->size);
	if (f->image)
		return boot_read(f, 0, f->head, MIN(f->size, sizeof(f->head)));
	/* Without O_NONBLOCK a pipe nobody writes to would hold us for ever. */
	f->fd = open(f->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (f->fd < 0)
		return cannot_open(f, errno);
	if (fstat(f->fd, &st)) {
		ret = boot_fail(f, "cannot look at it: %s", strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		ret = not_regular(f, st.st_mode);
	} else if (st.st_size <= 0) {
		ret = boot_fail(f, "it is empty; copy, build or download it again");
	} else {
		f->size = (u64)st.st_size;
		ret = boot_read(f, 0, f->head, MIN(f->size, sizeof(f->head)));
	}
	if (ret)
		boot_close(f);
	return ret;
}

void boot_close(struct boot_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

int boot_read(const struct boot_file *f, u64 offset, void *to, u64 len)
{
	u8 *p = to;

	if (f->image) {
		memcpy(to, f->image + offset, len);
		return 0;
	}
	while (len) {
		ssize_t n = pread(f->fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return boot_fail(f, "cannot read it: %s", strerror(errno));
		if (n == 0)
			return boot_fail(f, "it became shorter while it was read; try again when "
					    "nobody writes to it");
		p += n;
		offset += (u64)n;
		len -= (u64)n;
	}
	return 0;
}
