// SPDX-License-Identifier: MIT
/*
 * ctl_dir.c - where control sockets are: a directory that only one user can
 * write, and in root's a directory for each user that its guests become.
 *
 * Such a user may put anything there, and root looks at it: so nothing is
 * followed that is a link, and what root removes it removes from the directory
 * that it looked at.
 */
#include "ctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"

#define SUFFIX ".sock"
#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)

/* The directory of this user, which need not be there. */
static void top_path(char *path, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	uid_t uid = getuid();

	/* Somebody else's, as su and sudo leave it behind, is of no use to us. */
	if (runtime && *runtime == '/' && !access(runtime, W_OK | X_OK))
		snprintf(path, size, "%s/ringlet", runtime);
	else if (!uid)
		snprintf(path, size, "/run/ringlet");
	else
		snprintf(path, size, "/tmp/ringlet-%u", uid);
}

/* Open it, and see that it is that user's alone; -1 and errno. */
static int open_own(int at, const char *path, uid_t uid)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && st.st_uid == uid && !(st.st_mode & 022))
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

static int make_own(int at, const char *path, uid_t uid, mode_t mode)
{
	int fd;

	if (!mkdirat(at, path, mode) && uid != geteuid() && fchownat(at, path, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW))
		return -1;
	fd = open_own(at, path, uid);
	if (fd >= 0 && !geteuid())
		fchmod(fd, mode); /* whatever the umask was */
	return fd;
}

int ctl_dir_open(uid_t uid, int *lock, char *path, size_t size, char *err, size_t err_size)
{
	bool become = uid != getuid();
	char top[200], sub[16];
	int in;

	top_path(top, sizeof(top));
	snprintf(path, size, "%s", top);
	/* Others may pass through; who could read it could keep it locked. */
	*lock = make_own(AT_FDCWD, top, getuid(), getuid() ? 0700 : 0711);
	if (*lock < 0)
		return FAIL("cannot use %s for control sockets: %s", top,
			    errno == EPERM ? "it is not a directory of yours that nobody else can write; remove it" :
					     strerror(errno));
	/* Two that start at once must not take each other's socket for a stale one. */
	flock(*lock, LOCK_EX);
	if (!become)
		return fcntl(*lock, F_DUPFD_CLOEXEC, 0);
	snprintf(sub, sizeof(sub), "%u", uid);
	snprintf(path, size, "%s/%s", top, sub);
	in = make_own(*lock, sub, uid, 0700);
	if (in >= 0)
		return in;
	close(*lock);
	return FAIL("cannot use %s for control sockets: %s", path, strerror(errno));
}

bool ctl_address(struct sockaddr_un *address, const char *dir, const char *name)
{
	int n;

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = dir ? snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s" SUFFIX, dir, name) :
		  snprintf(address->sun_path, sizeof(address->sun_path), "%s", name);
	return n >= 0 && (size_t)n < sizeof(address->sun_path);
}

int ctl_connect(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), saved;

	if (fd < 0 || !connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* One entry of the directory at; false: enough seen. */
static bool look_at(int at, const char *dir, const char *entry, bool (*call)(const struct ctl_found *, int, void *),
		    void *arg)
{
	size_t len = strlen(entry), suffix = strlen(SUFFIX);
	struct ctl_found g;
	struct stat st;
	int fd;

	/* A name is going to be printed: no letters but those that names have. */
	if (len <= suffix || strcmp(entry + len - suffix, SUFFIX) || len - suffix >= sizeof(g.name) ||
	    entry[strspn(entry, CONF_NAME_LETTERS)] || fstatat(at, entry, &st, AT_SYMLINK_NOFOLLOW) || !S_ISSOCK(st.st_mode))
		return true;
	snprintf(g.name, sizeof(g.name), "%.*s", (int)(len - suffix), entry);
	if (!ctl_address(&g.address, dir, g.name))
		return true;
	fd = ctl_connect(&g.address);
	if (fd >= 0)
		return call(&g, fd, arg);
	if (errno == ECONNREFUSED)
		unlinkat(at, entry, 0);
	return true;
}

/*
 * A directory and, in the upper one, those for other users, which are called
 * by their numbers.
 */
static bool each_in(int at, const char *path, bool upper, bool (*call)(const struct ctl_found *, int, void *),
		    void *arg)
{
	DIR *d = fdopendir(at); /* takes it */
	bool on = d;
	struct dirent *e;

	if (!d)
		close(at);
	while (on && (e = readdir(d))) {
		char below[512], *end;
		uid_t uid = (uid_t)strtoul(e->d_name, &end, 10);
		int in;

		if (!upper || *end || !uid) {
			on = look_at(dirfd(d), path, e->d_name, call, arg);
			continue;
		}
		in = open_own(dirfd(d), e->d_name, uid);
		snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		if (in < 0)
			continue;
		on = each_in(in, below, false, call, arg);
	}
	if (d)
		closedir(d);
	return on;
}

void ctl_dir_each(bool (*call)(const struct ctl_found *g, int fd, void *arg), void *arg)
{
	char top[200];
	int fd;

	top_path(top, sizeof(top));
	fd = open_own(AT_FDCWD, top, getuid());
	if (fd < 0)
		return;
	flock(fd, LOCK_EX);
	each_in(fd, top, true, call, arg);
}
