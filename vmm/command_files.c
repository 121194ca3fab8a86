// SPDX-License-Identifier: MIT
/*
 * command_files.c - the file system in which a command runs: our init and what
 * it is to do, the modules that this kernel lacks, and, unless there is an
 * initrd of the user's to run in, the command from the host, busybox if the
 * host has it, and the few files in /etc without which programs are lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "boot.h"
#include "command.h"
#include "conf.h"
#include "initramfs.h"
#include "log.h"
#include "pasta.h"
#include "session.h"

/* guest/run.c, built: a program for the guest, and data for us. */
__asm__(".pushsection .rodata\n"
	"guest_run: .incbin \"" GUEST_RUN "\"\n"
	"guest_run_end:\n"
	".popsection\n");
extern const char guest_run[], guest_run_end[];

#define BUSYBOX "/bin/busybox"

/*
 * Names for busybox's applets, so that scripts and other programs find them.
 * Its shell knows them all by itself; a whole list could be had only by
 * executing it.
 */
static const char applets[] =
	"[ ash awk basename cat chmod chown cmp cp cut date dd df diff dirname dmesg du echo env expr "
	"false find free grep gunzip gzip head hostname id ifconfig ip kill ln ls md5sum mkdir mknod "
	"mktemp mount mv nc nslookup od ping poweroff printf ps pwd readlink realpath reboot rm rmdir "
	"route sed seq sh sha256sum sleep sort stat stty sync tail tar tee test time timeout top touch "
	"tr traceroute true tty umount uname uniq uptime vi wc wget which whoami xargs xxd yes";

static char doubts[512];
static bool alone; /* no other programs come with the command */

static void add_text(struct initramfs *fs, const char *path, const char *text)
{
	char *data = strdup(text);

	if (!data)
		die("out of memory while making the initramfs");
	initramfs_add_data(fs, path, 0644, data, strlen(data));
}

static void add_busybox(struct initramfs *fs)
{
	char *host = program_find("busybox"), *names = strdup(applets), *rest, path[64];

	if (host && names) {
		initramfs_add_program(fs, host);
		initramfs_add_link(fs, BUSYBOX, host);
		for (char *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
			snprintf(path, sizeof(path), "/bin/%s", name);
			initramfs_add_link(fs, path, BUSYBOX);
		}
	}
	alone = !host;
	free(names);
	free(host);
}

/* Of the host's name servers, can the guest reach this one? */
static bool is_of_use(const char *line, const struct conf_net *net)
{
	return net->mode != NET_USER && strncmp(line, "nameserver 127.", 15) && strncmp(line, "nameserver ::1", 14);
}

/*
 * The host's name servers, but for one on the host itself: the guest reaches
 * that, if at all, at the address that the host has for it.  pasta asks them all.
 */
static void add_resolv_conf(struct initramfs *fs, const struct conf_net *net)
{
	FILE *host = fopen("/etc/resolv.conf", "re"), *guest;
	char line[256], ip[INET_ADDRSTRLEN], *text;
	bool any = false;
	size_t size;

	guest = open_memstream(&text, &size);
	if (!guest)
		die("out of memory while making the initramfs");
	while (host && fgets(line, sizeof(line), host)) {
		bool server = !strncmp(line, "nameserver ", 11);

		if (server && !is_of_use(line, net))
			continue;
		any |= server;
		fputs(line, guest);
	}
	if (net->mode == NET_USER)
		fputs("nameserver " PASTA_DNS "\n", guest);
	else if (!any && net->host_ip)
		fprintf(guest, "nameserver %s\n", inet_ntop(AF_INET, &net->host_ip, ip, sizeof(ip)));
	if (host)
		fclose(host);
	fclose(guest);
	initramfs_add_data(fs, "/etc/resolv.conf", 0644, text, size);
}

static void add_etc(struct initramfs *fs, const struct conf_net *net)
{
	add_text(fs, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n");
	add_text(fs, "/etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n");
	add_text(fs, "/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 ringlet\n");
	add_text(fs, "/etc/hostname", "ringlet\n");
	add_resolv_conf(fs, net);
}

/* SRC or SRC:DST; without DST it is at the same place as on the host. */
static void add_copy(struct initramfs *fs, const char *copy)
{
	size_t len = strcspn(copy, ":");
	char *src = strndup(copy, len), *real = src ? realpath(src, NULL) : NULL;
	char err[512];

	if (!real)
		die_args("--copy %s: there is no such file or directory on the host", copy);
	if (initramfs_copy(fs, src, copy[len] ? copy + len + 1 : real, err, sizeof(err)))
		die_args("--copy %s: %s", copy, err);
	free(src);
	free(real);
}

static void add_modules(struct initramfs *fs, const struct conf *c, FILE *job)
{
	static const char *const names[] = { "virtio_mmio", "virtio_console", "virtio_net" };
	char version[BOOT_VERSION], err[512], *dir;

	if (!boot_version(c->kernel, version)) {
		snprintf(doubts, sizeof(doubts), "its kernel does not say which version it is, so no modules were looked for; it needs virtio_mmio and virtio_console built in");
		return;
	}
	dir = modules_find(c->kernel, version);
	if (!dir) {
		snprintf(doubts, sizeof(doubts), "if virtio_mmio and virtio_console are not built into its kernel %s, their modules are needed, and there is no lib/modules/%s beside it, nor a /lib/modules/%s",
			 version, version, version);
		return;
	}
	for (unsigned i = 0; i < (c->net.mode == NET_NONE ? 2 : ARRAY_SIZE(names)); i++)
		if (modules_add(fs, dir, names[i], job, err, sizeof(err)))
			die_args("%s", err);
	free(dir);
}

static void put_word(FILE *job, char kind, const char *word)
{
	if (word)
		fprintf(job, "%c%s%c", kind, word, 0);
}

static void put_terminal(FILE *job, const struct conf *c)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	const char *term = getenv("TERM");

	ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
	fprintf(job, "%c%u %u%c", JOB_TERMINAL, size.ws_row, size.ws_col, 0);
	for (char **e = c->environ; e && *e; e++)
		if (!strncmp(*e, "TERM=", 5))
			return;
	fprintf(job, "%cTERM=%s%c", JOB_ENVIRON, term ? term : "linux", 0);
}

/* The words of the command, and the program if it is one of the host's. */
static void put_command(FILE *job, const struct conf *c, struct initramfs *fs)
{
	char *shell[] = { (char *)"sh", NULL }, **words = c->command && *c->command ? c->command : shell;
	char *program = c->initrd ? NULL : program_find(*words);

	/* A shell of busybox's, if there is one, knows all of its programs. */
	if (program && words == shell && program_find("busybox")) {
		free(program);
		program = NULL;
	}
	if (program)
		initramfs_add_program(fs, program);
	put_word(job, JOB_PROGRAM, program);
	free(program);
	for (; *words; words++)
		put_word(job, JOB_ARGUMENT, *words);
}

struct initramfs *command_files(const struct conf *c, bool terminal)
{
	struct initramfs *fs = initramfs_new();
	size_t size, init_size = (size_t)(guest_run_end - guest_run);
	char *text, *init = malloc(init_size);
	FILE *job = open_memstream(&text, &size);

	if (!job || !init)
		die("out of memory while making the initramfs");
	memcpy(init, guest_run, init_size);
	initramfs_add_data(fs, SESSION_INIT, 0755, init, init_size);
	for (char **copy = c->copies; copy && *copy; copy++)
		add_copy(fs, *copy);
	add_modules(fs, c, job);
	put_command(job, c, fs);
	for (char **e = c->environ; e && *e; e++)
		put_word(job, JOB_ENVIRON, *e);
	put_word(job, JOB_DIRECTORY, c->cwd);
	if (terminal)
		put_terminal(job, c);
	if (c->out)
		put_word(job, JOB_OUT, "");
	if (!c->initrd) {
		add_busybox(fs);
		add_etc(fs, &c->net);
	}
	if (alone && !(c->command && *c->command))
		warn("%s", command_lacks()); /* somebody is about to type their names */
	fclose(job);
	initramfs_add_data(fs, SESSION_JOB, 0600, text, size);
	return fs;
}

void command_save(const struct initramfs *fs, const char *file)
{
	size_t size = initramfs_size(fs);
	char *text = malloc(size), err[512];
	FILE *f = fopen(file, "we");

	if (!text)
		die("out of memory while making the initramfs");
	if (initramfs_write(fs, text, err, sizeof(err)))
		die_args("%s", err);
	if (!f || fwrite(text, 1, size, f) != size || fclose(f))
		die_args("--save-initrd %s: cannot write it: %s", file, strerror(errno));
	free(text);
}

static int write_files(const void *opaque, void *to, char *err, size_t err_size)
{
	return initramfs_write(opaque, to, err, err_size);
}

struct boot_made command_initrd(const struct initramfs *fs)
{
	return (struct boot_made){ .size = initramfs_size(fs), .write = write_files, .opaque = fs };
}

const char *command_doubts(void)
{
	return *doubts ? doubts : NULL;
}

const char *command_lacks(void)
{
	return alone ? "no other programs are in the guest, as this host has no busybox: apt-get install busybox-static, or name them with --copy" : NULL;
}
