// SPDX-License-Identifier: MIT
/*
 * run_files.c - what the command left in SESSION_OUT, sent back as an archive.
 */
#include "run.h"

#include <fcntl.h>
#include <sys/stat.h>

static void put_field(char *to, unsigned long n)
{
	for (int i = 7; i >= 0; i--, n >>= 4)
		to[i] = "0123456789abcdef"[n & 15];
}

/* A cpio header ("newc"), the name and its padding. */
static void put_header(const char *name, unsigned mode, unsigned long size)
{
	static const char zeroes[4];
	size_t len = text_len(name) + 1;
	char head[110];

	memset(head, '0', sizeof(head));
	memcpy(head, "070701", 6);
	put_field(head + 6 + 8 * 1, mode);
	put_field(head + 6 + 8 * 4, 1); /* links */
	put_field(head + 6 + 8 * 6, size);
	put_field(head + 6 + 8 * 11, len);
	put(port[SESSION_FILES], head, sizeof(head));
	put(port[SESSION_FILES], name, len);
	put(port[SESSION_FILES], zeroes, -(sizeof(head) + len) & 3);
}

/* size bytes and the padding, whatever becomes of the file meanwhile. */
static void put_contents(int fd, unsigned long size)
{
	unsigned long left = (size + 3) & ~3UL;
	static char buf[CHUNK];
	long n;

	while (left) {
		n = SYS3(read, fd, buf, left < CHUNK ? left : CHUNK);
		if (n <= 0) {
			n = left < CHUNK ? (long)left : CHUNK;
			memset(buf, 0, (size_t)n);
		}
		put(port[SESSION_FILES], buf, (size_t)n);
		left -= (unsigned long)n;
	}
}

static char path[4096]; /* of what is being sent; files are named from SESSION_OUT on */
static const size_t path_start = sizeof(SESSION_OUT);

static void put_directory(size_t len);

static void put_file(size_t len)
{
	int fd = (int)SYS3(open, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	struct stat st;

	/* Links and the like, which the other side would not make. */
	if (fd < 0)
		return;
	if (!SYS2(fstat, fd, &st) && S_ISDIR(st.st_mode)) {
		put_header(path + path_start, st.st_mode, 0);
		put_directory(len);
	} else if (S_ISREG(st.st_mode) && st.st_size < 1L << 32) {
		put_header(path + path_start, st.st_mode, (unsigned long)st.st_size);
		put_contents(fd, (unsigned long)st.st_size);
	}
	SYS1(close, fd);
}

/* What is in path, which has len characters. */
static void put_directory(size_t len)
{
	struct {
		unsigned long ino, off;
		unsigned short size;
		unsigned char type;
		char name[];
	} *d;
	char entries[2048] __attribute__((aligned(8)));
	int fd = (int)SYS2(open, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n;

	while (fd >= 0 && (n = SYS3(getdents64, fd, entries, sizeof(entries))) > 0)
		for (long at = 0; at < n; at += d->size) {
			size_t more;

			d = (void *)(entries + at);
			more = text_len(d->name);
			if (text_is(d->name, ".") || text_is(d->name, "..") || len + more + 2 > sizeof(path))
				continue;
			path[len] = '/';
			memcpy(path + len + 1, d->name, more + 1);
			put_file(len + 1 + more);
			path[len] = 0;
		}
	SYS1(close, fd);
}

void put_files(void)
{
	memcpy(path, SESSION_OUT, sizeof(SESSION_OUT));
	put_directory(path_start - 1);
	put_header("TRAILER!!!", 0, 0);
}
