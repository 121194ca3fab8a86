// SPDX-License-Identifier: MIT
/*
 * initramfs.c - a cpio archive in the kernel's format ("newc",
 * Documentation/driver-api/early-userspace/buffer-format.rst) without a file
 * of its own: what is in it is known by name and size, and read from the host
 * straight into guest memory.
 */
#include "initramfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

#define HEADER 110 /* bytes: magic and 13 numbers of 8 hexadecimal digits */
#define TRAILER "TRAILER!!!"
#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)

struct piece {
	char *path; /* without the slash in front */
	unsigned mode;
	u64 size;
	char *data; /* or, if NULL, */
	char *host; /* the file that it is in */
	struct piece *next;
};

struct initramfs {
	struct piece *first, **last;
	void *by_path; /* tsearch() */
	u64 size;
};

static void *need(void *p)
{
	if (!p)
		die("out of memory while making the initramfs");
	return p;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct piece *)a)->path, ((const struct piece *)b)->path);
}

static u64 stored(const char *path, u64 size)
{
	return ALIGN_UP(HEADER + strlen(path) + 1, 4) + ALIGN_UP(size, 4);
}

struct initramfs *initramfs_new(void)
{
	struct initramfs *fs = need(calloc(1, sizeof(*fs)));

	fs->last = &fs->first;
	fs->size = stored(TRAILER, 0);
	return fs;
}

void initramfs_free(struct initramfs *fs)
{
	for (struct piece *e = fs->first, *next; e; e = next) {
		next = e->next;
		tdelete(e, &fs->by_path, compare);
		free(e->path);
		free(e->data);
		free(e->host);
		free(e);
	}
	free(fs);
}

static bool is_there(const struct initramfs *fs, const char *path)
{
	struct piece key = { .path = (char *)path };

	return tfind(&key, &fs->by_path, compare);
}

/* Takes over data and host. */
static bool add(struct initramfs *fs, const char *path, unsigned mode, u64 size, char *data, char *host)
{
	struct piece *e;

	path += strspn(path, "/");
	if (!*path || is_there(fs, path)) {
		free(data);
		free(host);
		return false;
	}
	for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
		char *dir = need(strndup(path, (size_t)(slash - path)));

		if (!is_there(fs, dir))
			add(fs, dir, S_IFDIR | 0755, 0, NULL, NULL);
		free(dir);
	}
	e = need(calloc(1, sizeof(*e)));
	*e = (struct piece){ .path = need(strdup(path)), .mode = mode, .size = size, .data = data, .host = host };
	need(tsearch(e, &fs->by_path, compare));
	*fs->last = e;
	fs->last = &e->next;
	fs->size += stored(path, size);
	return true;
}

bool initramfs_add_dir(struct initramfs *fs, const char *path, unsigned mode)
{
	return add(fs, path, S_IFDIR | (mode & 07777), 0, NULL, NULL);
}

bool initramfs_add_link(struct initramfs *fs, const char *path, const char *target)
{
	return add(fs, path, S_IFLNK | 0777, strlen(target), need(strdup(target)), NULL);
}

bool initramfs_add_data(struct initramfs *fs, const char *path, unsigned mode, void *data, u64 size)
{
	return add(fs, path, S_IFREG | (mode & 07777), size, data, NULL);
}

bool initramfs_add_file(struct initramfs *fs, const char *path, unsigned mode, const char *host, u64 size)
{
	return add(fs, path, S_IFREG | (mode & 07777), size, NULL, need(strdup(host)));
}

static int copy_dir(struct initramfs *fs, const char *host, const char *path, char *err, size_t err_size);

/* One of these; what is neither file, directory nor link is left out. */
static int copy_one(struct initramfs *fs, const char *host, const char *path, const struct stat *st,
		    char *err, size_t err_size)
{
	char target[PATH_MAX];
	ssize_t n;

	/* A cpio archive has 32 bits for a size. */
	if (S_ISREG(st->st_mode) && st->st_size > UINT32_MAX)
		return FAIL("%s has more than the 4 GiB that fit into an initramfs", host);
	if (S_ISREG(st->st_mode)) {
		initramfs_add_file(fs, path, st->st_mode, host, (u64)st->st_size);
	} else if (S_ISLNK(st->st_mode)) {
		n = readlink(host, target, sizeof(target) - 1);
		if (n < 0)
			return FAIL("cannot read the link %s: %s", host, strerror(errno));
		target[n] = '\0';
		initramfs_add_link(fs, path, target);
	} else if (S_ISDIR(st->st_mode)) {
		initramfs_add_dir(fs, path, st->st_mode);
		return copy_dir(fs, host, path, err, err_size);
	}
	return 0;
}

static int copy_dir(struct initramfs *fs, const char *host, const char *path, char *err, size_t err_size)
{
	DIR *dir = opendir(host);
	const struct dirent *d;
	struct stat st;
	int ret = 0;

	if (!dir)
		return FAIL("cannot read the directory %s: %s", host, strerror(errno));
	while (!ret && (d = readdir(dir))) {
		char *from, *to;

		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		if (asprintf(&from, "%s/%s", host, d->d_name) < 0 || asprintf(&to, "%s/%s", path, d->d_name) < 0)
			need(NULL);
		/* Gone already: then it was not there. */
		if (!lstat(from, &st))
			ret = copy_one(fs, from, to, &st, err, err_size);
		free(from);
		free(to);
	}
	closedir(dir);
	return ret;
}

int initramfs_copy(struct initramfs *fs, const char *host, const char *path, char *err, size_t err_size)
{
	struct stat st;

	if (stat(host, &st))
		return FAIL("cannot copy %s: %s", host, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return FAIL("cannot copy %s: it is neither a file nor a directory", host);
	return copy_one(fs, host, path, &st, err, err_size);
}

u64 initramfs_size(const struct initramfs *fs)
{
	return fs->size;
}

static int read_host(const struct piece *e, u8 *to, char *err, size_t err_size)
{
	int fd = open(e->host, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = 1;
	u64 done = 0;

	while (fd >= 0 && done < e->size && n > 0) {
		n = read(fd, to + done, e->size - done);
		done += n > 0 ? (u64)n : 0;
	}
	if (fd < 0 || n < 0)
		snprintf(err, err_size, "cannot read %s for the guest: %s", e->host, strerror(errno));
	else if (done < e->size)
		snprintf(err, err_size, "%s became shorter while it was read; try again when nobody writes to it",
			 e->host);
	if (fd >= 0)
		close(fd);
	return done < e->size || fd < 0 ? -1 : 0;
}

/* The header, the name, and what is between them and the data; returns that. */
static u8 *put_header(u8 *to, unsigned ino, const char *path, unsigned mode, u64 size)
{
	size_t len = strlen(path) + 1, room = ALIGN_UP(HEADER + len, 4);
	char text[HEADER + 1];

	/* ino, mode, uid, gid, nlink, mtime, size, dev, rdev, length of the name, checksum */
	snprintf(text, sizeof(text), "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ino, mode,
		 0, 0, 1, 0, (unsigned)size, 0, 0, 0, 0, (unsigned)len, 0);
	memset(to, 0, room);
	memcpy(to, text, HEADER);
	memcpy(to + HEADER, path, len);
	return to + room;
}

int initramfs_write(const struct initramfs *fs, void *buf, char *err, size_t err_size)
{
	unsigned ino = 1;
	u8 *to = buf;

	for (const struct piece *e = fs->first; e; e = e->next) {
		to = put_header(to, ino++, e->path, e->mode, e->size);
		if (e->data)
			memcpy(to, e->data, e->size);
		else if (e->host && read_host(e, to, err, err_size))
			return -1;
		to += e->size;
		for (u64 size = e->size; size % 4; size++)
			*to++ = 0;
	}
	put_header(to, 0, TRAILER, 0, 0);
	return 0;
}
