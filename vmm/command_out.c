// SPDX-License-Identifier: MIT
/*
 * command_out.c - the files that a command left behind, as they come: a cpio
 * archive ("newc") taken apart byte by byte.
 *
 * It is the guest's and means no good.  A name is followed one directory at a
 * time, never through a link and never upwards; a file is always a new one;
 * links, devices and rights beyond rwx are not made; and there is an end to
 * the number of bytes.  After the first broken rule nothing more is taken.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "command.h"
#include "log.h"

#define HEADER 110
#define TRAILER "TRAILER!!!"
#define FIELD(i) (6 + 8 * (i)) /* the i-th number in a header */
#define MODE 1
#define SIZE 6
#define NAME_SIZE 11
#define MAX_FILES 100000

enum state { OUT_OFF, OUT_HEADER, OUT_NAME, OUT_DATA, OUT_PADDING };

static struct {
	enum state state;
	int dir;      /* under which all is put */
	u64 left;     /* bytes that may still come */
	unsigned files;
	char buf[HEADER + PATH_MAX];
	size_t have, want; /* of it; of the data and the padding nothing is kept */
	u32 mode, size;
	int fd; /* the file at hand, -1: what comes is not kept */
	bool failed; /* something that came is not here, and not by the guest's fault */
} out = { .dir = -1, .fd = -1 };

int out_open(const char *dir, uid_t user, char *err, size_t err_size)
{
	bool made = !mkdir(dir, 0777);
	int fd;

	if (!made && errno != EEXIST) {
		snprintf(err, err_size, "--out %s: cannot make it: %s", dir, strerror(errno));
		return -1;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		snprintf(err, err_size, "--out %s: cannot open it: %s", dir, strerror(errno));
	else if (made && fchown(fd, user, (gid_t)-1))
		info("--out %s: cannot give it away: %s", dir, strerror(errno));
	return fd;
}

static void wait_for(enum state state, size_t want)
{
	out.state = state;
	out.have = 0;
	out.want = want;
}

void out_start(int dir, u64 limit)
{
	out.dir = dir;
	out.left = limit;
	wait_for(OUT_HEADER, HEADER);
}

static void fail(const char *what, const char *name)
{
	guest_warn("--out: cannot %s %s: %s", what, name, strerror(errno));
	out.failed = true;
}

bool out_failed(void)
{
	return out.failed;
}

/* Its name is in out.buf, until the next one comes. */
static void close_file(void)
{
	if (out.fd >= 0 && close(out.fd))
		fail("write", out.buf);
	out.fd = -1;
}

static void refuse(const char *why)
{
	guest_warn("--out: %s; nothing more is taken", why);
	close_file();
	wait_for(OUT_OFF, 0);
}

void out_close(void)
{
	if (out.state != OUT_OFF && (out.state != OUT_HEADER || out.have))
		warn("--out: the guest was gone before all its files had come");
	close_file();
	if (out.dir >= 0)
		close(out.dir);
	out.dir = -1;
	out.state = OUT_OFF;
}

static bool is_plain(const char *part, size_t len)
{
	return len && len <= NAME_MAX && !(len == 1 && *part == '.') && !(len == 2 && !memcmp(part, "..", 2));
}

/* The directory that the name's last part is in; what is missing is made. */
static int open_parent(const char *name, const char **last)
{
	int dir = dup(out.dir), next;
	const char *slash;
	char part[NAME_MAX + 1];

	while (dir >= 0 && (slash = strchr(name, '/'))) {
		if (!is_plain(name, (size_t)(slash - name))) {
			close(dir);
			errno = EINVAL;
			return -1;
		}
		snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
		mkdirat(dir, part, 0777);
		next = openat(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(dir);
		dir = next;
		name = slash + 1;
	}
	if (dir >= 0 && !is_plain(name, strlen(name))) {
		close(dir);
		errno = EINVAL;
		return -1;
	}
	*last = name;
	return dir;
}

/* The name is known: make what it is the name of. */
static void open_entry(const char *name)
{
	const char *last;
	int dir = open_parent(name, &last);

	if (dir < 0 && errno == EINVAL) {
		refuse("the guest sent a name that leads out of the directory");
		return;
	}
	if (dir >= 0 && S_ISDIR(out.mode)) {
		mkdirat(dir, last, out.mode & 0777);
	} else if (dir >= 0 && S_ISREG(out.mode)) {
		unlinkat(dir, last, 0);
		out.fd = openat(dir, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, out.mode & 0777);
	}
	if (dir < 0 || (S_ISREG(out.mode) && out.fd < 0))
		fail("make", name);
	if (!S_ISDIR(out.mode) && !S_ISREG(out.mode))
		guest_warn("--out: %s is neither a file nor a directory and is left out", name);
	if (dir >= 0)
		close(dir);
}

static u32 field(unsigned i)
{
	char digits[9];

	snprintf(digits, sizeof(digits), "%.8s", out.buf + FIELD(i));
	return (u32)strtoul(digits, NULL, 16);
}

static void header_done(void)
{
	u32 name = field(NAME_SIZE);

	out.buf[HEADER] = '\0';
	if (memcmp(out.buf, "070701", 6) || strspn(out.buf + 6, "0123456789abcdefABCDEF") != HEADER - 6)
		refuse("what the guest sent is no archive");
	else if (!name || name > PATH_MAX)
		refuse("the guest sent a name that is too long");
	else if (out.files++ == MAX_FILES)
		refuse("the guest sent too many files");
	else {
		out.mode = field(MODE);
		out.size = field(SIZE);
		/* The header's own 110 bytes count for the alignment. */
		wait_for(OUT_NAME, ALIGN_UP(HEADER + (size_t)name, 4) - HEADER);
	}
}

static void name_done(void)
{
	out.buf[out.want - 1] = '\0';
	if (!strcmp(out.buf, TRAILER)) {
		wait_for(OUT_OFF, 0);
		return;
	}
	open_entry(out.buf);
	if (out.state != OUT_OFF)
		wait_for(out.size ? OUT_DATA : OUT_HEADER, out.size ? out.size : HEADER);
	if (out.state == OUT_HEADER)
		close_file();
}

/* What was waited for is there. */
static void part_done(void)
{
	switch (out.state) {
	case OUT_HEADER:
		header_done();
		break;
	case OUT_NAME:
		name_done();
		break;
	case OUT_DATA:
		close_file();
		if (out.size % 4) {
			wait_for(OUT_PADDING, 4 - out.size % 4);
			break;
		}
		/* fall through */
	case OUT_PADDING:
		wait_for(OUT_HEADER, HEADER);
		break;
	case OUT_OFF:
		break;
	}
}

/* Half a file is worse than none. */
static void give_up_file(void)
{
	const char *last;
	int dir;

	fail("write", out.buf);
	close(out.fd);
	out.fd = -1;
	dir = open_parent(out.buf, &last);
	if (dir < 0)
		return;
	unlinkat(dir, last, 0);
	close(dir);
}

static void keep(const char *data, size_t n)
{
	if (out.state == OUT_HEADER || out.state == OUT_NAME)
		memcpy(out.buf + out.have, data, n);
	while (out.state == OUT_DATA && out.fd >= 0 && n) {
		ssize_t did = write(out.fd, data, n);

		if (did < 0 && errno != EINTR)
			give_up_file();
		data += MAX(did, 0);
		n -= (size_t)MAX(did, 0);
	}
}

void out_take(const struct iovec *iov, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const char *data = iov[i].iov_base;
		size_t len = iov[i].iov_len, part;

		for (; len && out.state != OUT_OFF; data += part, len -= part) {
			part = MIN(len, out.want - out.have);
			if (part > out.left) {
				refuse("the guest sent more than it has memory");
				return;
			}
			out.left -= part;
			keep(data, part);
			out.have += part;
			if (out.have == out.want)
				part_done();
		}
	}
}
