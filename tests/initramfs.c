// SPDX-License-Identifier: MIT
/*
 * initramfs.c - the archive that is made for a command's guest, read back by
 * cpio(1); what programs need, compared with what the host's loader lists; and
 * a kernel's modules, from lists and files made here.
 */
#include "initramfs.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char dir[] = "/tmp/ringlet-initramfs.XXXXXX";
static char err[512];

/* A shell command in the directory; what it prints, without the last line feed. */
static const char *shell(const char *command)
{
	static char text[1 << 16];
	size_t n;
	FILE *f;

	fflush(stdout);
	CHECK(!chdir(dir));
	f = popen(command, "r");
	CHECK(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	if (n && text[n - 1] == '\n')
		text[n - 1] = '\0';
	CHECK_EQ(pclose(f), 0);
	return text;
}

/* Written to the file "archive", with bytes behind it that must stay. */
static void save(struct initramfs *fs)
{
	u64 size = initramfs_size(fs);
	u8 *p = malloc(size + 64);
	FILE *f;

	memset(p, 0x55, size + 64);
	CHECK_EQ(initramfs_write(fs, p, err, sizeof(err)), 0);
	for (unsigned i = 0; i < 64; i++)
		CHECK_EQ(p[size + i], 0x55);
	CHECK_EQ(size % 4, 0);
	CHECK(!chdir(dir));
	f = fopen("archive", "we");
	CHECK_EQ(fwrite(p, 1, size, f), size);
	fclose(f);
	free(p);
	initramfs_free(fs);
}

static void cpio_reads_it(void)
{
	struct initramfs *fs = initramfs_new();

	shell("echo hello >file; chmod 640 file");
	CHECK(initramfs_add_data(fs, "/etc/text", 0644, strdup("abcde"), 5));
	CHECK(initramfs_add_link(fs, "/bin/sh", "busybox"));
	CHECK(initramfs_add_dir(fs, "/tmp", 01777));
	CHECK(initramfs_add_file(fs, "/a/b/c", 04755, "file", 6));
	CHECK(initramfs_add_data(fs, "/empty", 0600, strdup(""), 0));
	save(fs);
	CHECK_STR(shell("cpio -itv --quiet <archive | awk '{ print $1, $3, $4, $5, $9, $10, $11 }'"),
		  "drwxr-xr-x root root 0 etc  \n"
		  "-rw-r--r-- root root 5 etc/text  \n"
		  "drwxr-xr-x root root 0 bin  \n"
		  "lrwxrwxrwx root root 7 bin/sh -> busybox\n"
		  "drwxrwxrwt root root 0 tmp  \n"
		  "drwxr-xr-x root root 0 a  \n"
		  "drwxr-xr-x root root 0 a/b  \n"
		  "-rwsr-xr-x root root 6 a/b/c  \n"
		  "-rw------- root root 0 empty  ");
	CHECK_STR(shell("mkdir x; cd x; cpio -id --quiet --no-absolute-filenames <../archive; cat etc/text a/b/c"),
		  "abcdehello");
}

static void the_first_stays(void)
{
	struct initramfs *fs = initramfs_new();

	CHECK(initramfs_add_data(fs, "/f", 0644, strdup("first"), 5));
	CHECK(!initramfs_add_data(fs, "//f", 0644, strdup("second"), 6));
	CHECK(!initramfs_add_link(fs, "/f", "x"));
	CHECK(!initramfs_add_dir(fs, "/", 0755));
	save(fs);
	CHECK_STR(shell("cpio -i --to-stdout --quiet f <archive"), "first");
}

static void directories_are_copied(void)
{
	struct initramfs *fs = initramfs_new();

	shell("mkdir -p src/deep; echo 1 >src/one; chmod 751 src/one; ln -s one src/link; mkfifo src/pipe;"
	      "echo 2 >src/deep/two; chmod 700 src/deep");
	CHECK_EQ(initramfs_copy(fs, "src", "/there/it/is", err, sizeof(err)), 0);
	CHECK_EQ(initramfs_copy(fs, "file", "/named", err, sizeof(err)), 0);
	save(fs);
	CHECK_STR(shell("cpio -itv --quiet <archive | awk '{ print $1, $9, $10, $11 }' | sort -k 2"),
		  "-rw-r----- named  \n"
		  "drwxr-xr-x there  \n"
		  "drwxr-xr-x there/it  \n"
		  "drwxr-xr-x there/it/is  \n"
		  "drwx------ there/it/is/deep  \n"
		  "-rw-r--r-- there/it/is/deep/two  \n"
		  "lrwxrwxrwx there/it/is/link -> one\n"
		  "-rwxr-x--x there/it/is/one  ");
}

static void what_cannot_be_copied(void)
{
	struct initramfs *fs = initramfs_new();
	u8 buf[512];

	CHECK_EQ(initramfs_copy(fs, "nothing", "/x", err, sizeof(err)), -1);
	CHECK_HAS(err, "cannot copy nothing");
	CHECK_EQ(initramfs_copy(fs, "src/pipe", "/x", err, sizeof(err)), -1);
	CHECK_HAS(err, "neither a file nor a directory");
	/* One that shrinks after it was listed. */
	CHECK(initramfs_add_file(fs, "/f", 0644, "file", 60));
	CHECK(initramfs_size(fs) < sizeof(buf));
	CHECK_EQ(initramfs_write(fs, buf, err, sizeof(err)), -1);
	CHECK_HAS(err, "became shorter");
	initramfs_free(fs);
}

/* --- programs ------------------------------------------------------------------- */

static void libraries_are_those_of_the_loader(void)
{
	static const char *const programs[] = { "/bin/ls", "/usr/bin/perl", "/usr/bin/ip" };

	for (unsigned i = 0; i < ARRAY_SIZE(programs); i++) {
		struct initramfs *fs = initramfs_new();
		char command[512], *want;

		initramfs_add_program(fs, programs[i]);
		save(fs);
		snprintf(command, sizeof(command),
			 "{ readlink -f %s; LD_TRACE_LOADED_OBJECTS=1 %s | sed -n 's/^.*\\(=>\\|^\\t\\) *\\(\\/[^ ]*\\).*/\\2/p;s/^\\t\\(\\/[^ ]*\\).*/\\1/p'"
			 " | xargs readlink -f; } | sort -u",
			 programs[i], programs[i]);
		want = strdup(shell(command));
		CHECK(strlen(want) > 20);
		CHECK_STR(shell("cpio -it --quiet <archive | grep -v ld.so.cache | sed 's,^,/,' | while read -r f; do"
				"  [ -d \"$f\" ] || readlink -f \"$f\"; done | sort -u"),
			  want);
		free(want);
	}
}

static void scripts_need_their_interpreter(void)
{
	struct initramfs *fs = initramfs_new();
	char path[64];

	shell("printf '#! /bin/sh -e\\n' >one; printf '#!/usr/bin/env -S A=1 perl\\n' >two;"
	      "printf 'no more than text' >three; chmod 755 one two three");
	for (const char *const *f = (const char *const[]){ "one", "two", "three", NULL }; *f; f++) {
		snprintf(path, sizeof(path), "%s/%s", dir, *f);
		initramfs_add_program(fs, path);
	}
	save(fs);
	CHECK_HAS(shell("cpio -it --quiet <archive"), "bin/sh");
	CHECK_HAS(shell("cpio -it --quiet <archive"), "usr/bin/env");
	CHECK_HAS(shell("cpio -it --quiet <archive | grep -E 'bin/perl|three$' | sed 's,.*/,,' | sort | tr '\\n' ' '"), "perl three ");
}

static void paths_in_the_program(void)
{
	struct initramfs *fs = initramfs_new();
	char path[64];

	shell("mkdir -p prog/lib; echo 'int f(void){return 1;}' >f.c; echo 'int f(void);int main(void){return f();}' >m.c;"
	      "cc -shared -fPIC -o prog/lib/libours.so f.c && cc -o prog/m m.c -Lprog/lib -lours -Wl,-rpath,'$ORIGIN/lib'");
	snprintf(path, sizeof(path), "%s/prog/m", dir);
	initramfs_add_program(fs, path);
	save(fs);
	CHECK_HAS(shell("cpio -it --quiet <archive"), "prog/lib/libours.so");
}

/* Headers that contradict themselves need nothing, and harm nobody. */
static void damaged_programs(void)
{
	char path[64];
	u64 state = 1;

	snprintf(path, sizeof(path), "%s/bad", dir);
	shell("cp /bin/ls good");
	for (unsigned i = 0; i < 300; i++) {
		struct initramfs *fs = initramfs_new();
		Elf64_Ehdr e;
		u8 head[2048];
		int from, to;

		CHECK(!chdir(dir));
		from = open("good", O_RDONLY);
		to = open("bad", O_WRONLY | O_CREAT | O_TRUNC, 0755);
		CHECK(from >= 0 && to >= 0);
		CHECK_EQ(read(from, head, sizeof(head)), sizeof(head));
		for (unsigned k = 0; k < 1 + i % 5; k++) {
			state = state * 6364136223846793005ULL + 1442695040888963407ULL;
			/* Behind what says that it is ELF, mostly in the program headers. */
			head[18 + (state >> 33) % (sizeof(e) + 13 * sizeof(Elf64_Phdr) - 18)] = (u8)(state >> 56);
		}
		CHECK_EQ(write(to, head, sizeof(head)), sizeof(head));
		for (ssize_t n; i % 2 && (n = read(from, head, sizeof(head))) > 0;)
			CHECK_EQ(write(to, head, (size_t)n), n);
		close(from);
		close(to);
		initramfs_add_program(fs, path);
		CHECK(initramfs_size(fs) > 0);
		initramfs_free(fs);
	}
}

static void programs_are_found(void)
{
	char *found, path[64];

	shell("mkdir -p p; cp /bin/ls p/tool; touch p/text");
	CHECK(!chdir(dir));
	snprintf(path, sizeof(path), "%s/p", dir);
	setenv("PATH", path, 1);
	found = program_find("tool");
	CHECK(found);
	CHECK(strstr(found, "/p/tool"));
	free(found);
	CHECK(!program_find("text"));
	CHECK(!program_find("nowhere"));
	found = program_find("./p/../p/tool");
	CHECK(found);
	snprintf(path, sizeof(path), "%s/p/tool", dir);
	CHECK_STR(found, path);
	free(found);
	CHECK(!program_find("./p/nothing"));
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", 1);
}

/* --- modules -------------------------------------------------------------------- */

static void make_modules(void)
{
	shell("mkdir -p lib/modules/1.2.3/kernel/net boot; cd lib/modules/1.2.3; touch ../../../boot/vmlinuz;"
	      "echo base >kernel/base.ko; echo virtio-net >kernel/net/virtio-net.ko; echo third | xz >kernel/third.ko.xz;"
	      "echo fourth | zstd -q >kernel/fourth.ko.zst; echo broken >kernel/fifth.ko.xz;"
	      "echo kernel/fs/inside.ko >modules.builtin;"
	      "printf '%s\\n' 'kernel/base.ko:' 'kernel/net/virtio-net.ko: kernel/third.ko.xz kernel/base.ko'"
	      " 'kernel/third.ko.xz: kernel/base.ko' 'kernel/fourth.ko.zst:' 'kernel/fifth.ko.xz:' 'kernel/gone.ko:' >modules.dep");
}

static void modules_with_what_they_need(void)
{
	struct initramfs *fs = initramfs_new();
	char *text, *found, kernel[64];
	size_t size;
	FILE *order = open_memstream(&text, &size);

	make_modules();
	snprintf(kernel, sizeof(kernel), "%s/boot/vmlinuz", dir);
	found = modules_find(kernel, "1.2.3");
	CHECK(found);
	CHECK(!modules_find(kernel, "0.0.0-none"));
	CHECK_EQ(modules_add(fs, found, "inside", order, err, sizeof(err)), 0);
	CHECK_EQ(modules_add(fs, found, "virtio_net", order, err, sizeof(err)), 0);
	CHECK_EQ(modules_add(fs, found, "third", order, err, sizeof(err)), 0);
	CHECK_EQ(modules_add(fs, found, "fourth", order, err, sizeof(err)), 0);
	fclose(order);
	for (size_t i = 0; i < size; i++)
		text[i] = text[i] ? text[i] : '\n';
	CHECK_STR(text, "m/.ringlet/base.ko\nm/.ringlet/third.ko\nm/.ringlet/virtio-net.ko\nm/.ringlet/fourth.ko\n");
	save(fs);
	CHECK_STR(shell("cpio -i --to-stdout --quiet <archive"), "base\nthird\nvirtio-net\nfourth");
	free(text);
	free(found);
}

static void modules_that_are_missing(void)
{
	struct initramfs *fs = initramfs_new();
	char *found, kernel[64];
	FILE *order = fopen("/dev/null", "we");

	make_modules();
	snprintf(kernel, sizeof(kernel), "%s/boot/vmlinuz", dir);
	found = modules_find(kernel, "1.2.3");
	CHECK_EQ(modules_add(fs, found, "virtio_console", order, err, sizeof(err)), -1);
	CHECK_HAS(err, "this kernel has no virtio_console: it is neither built in nor among the modules in");
	CHECK_EQ(modules_add(fs, found, "gone", order, err, sizeof(err)), -1);
	CHECK_HAS(err, "gone.ko is missing");
	CHECK_EQ(modules_add(fs, found, "fifth", order, err, sizeof(err)), -1);
	CHECK_HAS(err, "xz says that it is damaged");
	setenv("PATH", "/nowhere", 1);
	CHECK_EQ(modules_add(fs, found, "fourth", order, err, sizeof(err)), -1);
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", 1);
	CHECK_HAS(err, "zstd is missing; apt-get install zstd");
	initramfs_free(fs);
	free(found);
	fclose(order);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "cpio reads names, permissions, sizes and contents", cpio_reads_it },
		{ "of two with one name the first stays", the_first_stays },
		{ "a directory is copied with its permissions and links", directories_are_copied },
		{ "what cannot be copied is a sentence", what_cannot_be_copied },
		{ "a program's libraries are those that the host's loader takes", libraries_are_those_of_the_loader },
		{ "a script brings its interpreter", scripts_need_their_interpreter },
		{ "a library is found by the path in the program", paths_in_the_program },
		{ "damaged programs do no harm", damaged_programs },
		{ "programs are found as the shell does", programs_are_found },
		{ "modules come with those they need, in order, unpacked", modules_with_what_they_need },
		{ "a module that is missing is a sentence", modules_that_are_missing },
	};
	char command[80];
	int status;

	if (!mkdtemp(dir))
		return 1;
	status = check_run(tests, ARRAY_SIZE(tests));
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) || status;
}
