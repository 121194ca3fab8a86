// SPDX-License-Identifier: MIT
/*
 * modules.c - the modules that a kernel needs to see ringlet's devices: found
 * by the lists that depmod(8) made, with those they depend on, and unpacked,
 * because a kernel that can unpack them itself is rare.
 *
 * Unpacking is the business of xz, zstd and gzip: a distribution that
 * compresses its modules has the program, and three libraries would be linked
 * for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "initramfs.h"
#include "log.h"
#include "session.h"

#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)
#define MODULE_MAX (64 * MiB) /* unpacked */

extern char **environ;

static const struct packing {
	const char *suffix, *program, *package;
} packings[] = {
	{ ".ko.xz", "xz", "xz-utils" },
	{ ".ko.zst", "zstd", "zstd" },
	{ ".ko.gz", "gzip", "gzip" },
};

static bool ends_with(const char *s, const char *end)
{
	return strlen(s) >= strlen(end) && !strcmp(s + strlen(s) - strlen(end), end);
}

/* Whether the file, "kernel/drivers/net/virtio_net.ko.xz", is that module. */
static bool is_module(const char *file, size_t len, const char *name)
{
	const char *base = memrchr(file, '/', len);

	base = base ? base + 1 : file;
	len -= (size_t)(base - file);
	for (size_t i = 0; name[i]; i++, base++, len--)
		if (!len || (*base == '-' ? '_' : *base) != name[i])
			return false;
	return len >= 3 && !strncmp(base, ".ko", 3);
}

/* The line that begins with the module, without its line feed; malloc'ed or NULL. */
static char *find_line(const char *dir, const char *list, const char *name)
{
	char path[PATH_MAX], *line = NULL;
	size_t size = 0;
	ssize_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, list);
	f = fopen(path, "re");
	while (f && (n = getline(&line, &size, f)) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (is_module(line, strcspn(line, ": "), name)) {
			fclose(f);
			return line;
		}
	}
	if (f)
		fclose(f);
	free(line);
	return NULL;
}

/* What the program writes when it unpacks the file; malloc'ed. */
static int unpack(const char *file, const struct packing *p, char **data, u64 *size, char *err, size_t err_size)
{
	char *argv[] = { (char *)p->program, (char *)"-dc", (char *)file, NULL };
	posix_spawn_file_actions_t actions;
	int fd[2], status = 0, failed;
	ssize_t n = 1;
	pid_t pid;

	*size = 0;
	*data = malloc(MODULE_MAX);
	if (!*data || pipe2(fd, O_CLOEXEC))
		return FAIL("cannot unpack %s: %s", file, strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd[1], STDOUT_FILENO);
	/* What it has to say is said by us. */
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	failed = posix_spawnp(&pid, p->program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fd[1]);
	while (!failed && *size < MODULE_MAX && n > 0) {
		n = read(fd[0], *data + *size, MODULE_MAX - *size);
		*size += n > 0 ? (u64)n : 0;
	}
	close(fd[0]);
	if (failed)
		return FAIL("cannot unpack %s: %s is missing; apt-get install %s", file, p->program, p->package);
	waitpid(pid, &status, 0);
	if (status || !*size)
		return FAIL("cannot unpack %s: %s says that it is damaged", file, p->program);
	*data = realloc(*data, *size);
	return 0;
}

static int add_module(struct initramfs *fs, const char *dir, const char *file, size_t len, FILE *order,
		      char *err, size_t err_size)
{
	const struct packing *packing = NULL;
	char host[PATH_MAX], guest[PATH_MAX], *data = NULL;
	struct stat st;
	bool added;
	u64 size;

	if (*file == '/') /* as depmod writes it for one outside of its directory */
		snprintf(host, sizeof(host), "%.*s", (int)len, file);
	else
		snprintf(host, sizeof(host), "%s/%.*s", dir, (int)len, file);
	for (size_t i = 0; i < ARRAY_SIZE(packings); i++)
		if (ends_with(host, packings[i].suffix))
			packing = &packings[i];
	snprintf(guest, sizeof(guest), SESSION_HOME "/%s", strrchr(host, '/') + 1);
	*(strstr(strrchr(guest, '/'), ".ko") + 3) = '\0';
	if (stat(host, &st))
		return FAIL("the kernel's module %s is missing: %s", host, strerror(errno));
	if (packing && unpack(host, packing, &data, &size, err, err_size)) {
		free(data);
		return -1;
	}
	if (packing)
		added = initramfs_add_data(fs, guest, 0644, data, size);
	else
		added = initramfs_add_file(fs, guest, 0644, host, (u64)st.st_size);
	if (added)
		fprintf(order, "%c%s%c", JOB_MODULE, guest, 0);
	return 0;
}

int modules_add(struct initramfs *fs, const char *dir, const char *name, FILE *order, char *err,
		size_t err_size)
{
	char *line = find_line(dir, "modules.builtin", name), *last;
	int ret = 0;

	if (line) {
		free(line);
		return 0;
	}
	line = find_line(dir, "modules.dep", name);
	if (!line)
		return FAIL("this kernel has no %s: it is neither built in nor among the modules in %s", name, dir);
	/* "MODULE: NEEDED NEEDED...", what is needed first being last. */
	while (!ret && (last = strrchr(line, ' '))) {
		*last = '\0';
		ret = add_module(fs, dir, last + 1, strlen(last + 1), order, err, err_size);
	}
	if (!ret)
		ret = add_module(fs, dir, line, strcspn(line, ":"), order, err, err_size);
	free(line);
	return ret;
}

char *modules_find(const char *kernel, const char *version)
{
	char *real = realpath(kernel, NULL), *slash = real ? strrchr(real, '/') : NULL, *dir;
	const char *const places[] = { "../lib/modules", "lib/modules", "../usr/lib/modules" };

	if (slash)
		*slash = '\0';
	for (size_t i = 0; slash && i <= ARRAY_SIZE(places); i++) {
		if ((i < ARRAY_SIZE(places) ? asprintf(&dir, "%s/%s/%s", real, places[i], version) :
					      asprintf(&dir, "/lib/modules/%s", version)) < 0)
			die("out of memory while looking for modules");
		if (!access(dir, X_OK)) {
			free(real);
			return dir;
		}
		free(dir);
	}
	free(real);
	return NULL;
}
