// SPDX-License-Identifier: MIT
/*
 * command-out.c - archives from a guest: what cpio(1) writes arrives as it is,
 * in portions of any size; and what a hostile one writes does not get out of
 * the directory, nor make anything but files and directories.
 */
#include "command.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "driver.h"

static char top[] = "/tmp/ringlet-out.XXXXXX";
static char said[1 << 16];
static u8 archive[1 << 20];
static size_t len;

static void shell(const char *command)
{
	fflush(stdout);
	CHECK(!chdir(top));
	CHECK_EQ(system(command), 0);
}

/* Into the fresh directory "out", in such portions; what was said is in said. */
static void take(size_t portion, u64 limit)
{
	char err[200];
	int dir;

	shell("chmod -R u+rwx out 2>/dev/null; rm -rf out; ln -sfn ../elsewhere link; mkdir -p elsewhere");
	dir = out_open("out", getuid(), err, sizeof(err));
	CHECK(dir >= 0);
	shell("ln -s ../elsewhere out/link; ln -s ../elsewhere/file out/filelink");
	stderr_capture();
	out_start(dir, limit);
	for (size_t i = 0; i < len; i += portion) {
		struct iovec iov = { archive + i, MIN(portion, len - i) };

		out_take(&iov, 1);
	}
	out_close();
	stderr_release(said, sizeof(said));
}

static void add(const char *name, unsigned mode, const char *data)
{
	size_t n = strlen(name) + 1, size = strlen(data);

	len += (size_t)sprintf((char *)archive + len,
			       "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", 0, mode, 0, 0, 1, 0,
			       size, 0, 0, 0, 0, n, 0);
	memcpy(archive + len, name, n);
	len = ALIGN_UP(len + n, 4);
	memcpy(archive + len, data, size);
	len = ALIGN_UP(len + size, 4);
}

static void begin(void)
{
	memset(archive, 0, sizeof(archive));
	len = 0;
}

static void end(void)
{
	add("TRAILER!!!", 0, "");
}

static void what_cpio_writes_arrives(void)
{
	static const size_t portions[] = { 1, 3, 109, 4096, 1 << 20 };
	FILE *f;

	shell("mkdir -p in/a/b; echo one >in/a/b/one; head -c 100001 /dev/urandom >in/a/big; chmod 750 in/a/big;"
	      "touch in/empty; (cd in; find . -mindepth 1 -printf '%P\\n' | cpio -o -H newc --quiet) >archive");
	f = fopen("archive", "re");
	len = fread(archive, 1, sizeof(archive), f);
	fclose(f);
	for (unsigned i = 0; i < ARRAY_SIZE(portions); i++) {
		take(portions[i], 1 << 20);
		CHECK_STR(said, "");
		shell("rm out/link out/filelink; diff -r in out; test $(stat -c %a out/a/big) = 750");
	}
}

static void names_stay_inside(void)
{
	static const char *const names[] = {
		"../escaped", "/escaped", "a/../../escaped", "a//b", "", ".", "..", "a/.", "./a", "a/", "a/..",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		begin();
		add(names[i], S_IFREG | 0644, "x");
		add("after", S_IFREG | 0644, "x");
		end();
		take(1000, 1 << 20);
		CHECK_HAS(said, "a name that leads out of the directory");
		shell("test ! -e escaped; test ! -e out/after; test ! -e /escaped");
	}
}

static void links_are_not_followed(void)
{
	begin();
	add("link/through", S_IFREG | 0644, "x");
	add("filelink", S_IFREG | 0644, "new");
	end();
	take(7, 1 << 20);
	CHECK_HAS(said, "cannot make link/through");
	shell("test -z \"$(ls elsewhere)\"; test ! -L out/filelink; test $(cat out/filelink) = new");
}

static void only_files_and_directories(void)
{
	begin();
	add("symlink", S_IFLNK | 0777, "/etc/passwd");
	add("device", S_IFCHR | 0666, "");
	add("pipe", S_IFIFO | 0666, "");
	add("setuid", S_IFREG | 06755, "x");
	add("secret", S_IFDIR | 07700, "");
	end();
	take(10, 1 << 20);
	CHECK_HAS(said, "symlink is neither a file nor a directory and is left out");
	shell("rm out/link out/filelink; test \"$(ls out)\" = \"$(printf 'secret\\nsetuid')\";"
	      "test $(stat -c %a out/setuid) = 755; test $(stat -c %a out/secret) = 700");
}

static void there_is_an_end(void)
{
	char *big = malloc(50001);

	memset(big, 'x', 50000);
	big[50000] = '\0';
	begin();
	for (unsigned i = 0; i < 5; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%u", i);
		add(name, S_IFREG | 0644, big);
	}
	end();
	take(999, 120000);
	CHECK_HAS(said, "sent more than it has memory");
	shell("test -e out/f1; test ! -e out/f3");
	/* And one that is gone in the middle. */
	len = 60000;
	take(999, 1 << 20);
	CHECK_HAS(said, "gone before all its files had come");
	free(big);
}

static void nonsense_is_refused(void)
{
	u64 state = 3;

	begin();
	memcpy(archive, "rubbish", 7);
	len = 5000;
	take(1000, 1 << 20);
	CHECK_HAS(said, "no archive");
	/* Good ones with bytes that are not: whatever comes of it stays inside. */
	for (unsigned i = 0; i < 100; i++) {
		begin();
		add("d", S_IFDIR | 0755, "");
		add("d/one", S_IFREG | 0644, "some data");
		add("two", S_IFREG | 0644, "other data");
		end();
		for (unsigned k = 0; k < 1 + i % 4; k++)
			archive[random_next(&state) % len] = (u8)(random_next(&state) >> 40);
		take(1 + i, 1 << 20);
		shell("test -z \"$(ls elsewhere)\"; test \"$(ls | tr '\\n' ' ')\" = 'archive elsewhere in link out '");
	}
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "what cpio writes arrives as it is", what_cpio_writes_arrives },
		{ "names that lead elsewhere end it", names_stay_inside },
		{ "links that are there are not followed", links_are_not_followed },
		{ "only files and directories are made, with no rights but rwx", only_files_and_directories },
		{ "there is an end to what is taken", there_is_an_end },
		{ "what is no archive is refused", nonsense_is_refused },
	};
	char command[80];
	int status;

	umask(022);
	if (!mkdtemp(top))
		return 1;
	status = check_run(tests, ARRAY_SIZE(tests));
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command) || status;
}
