// SPDX-License-Identifier: MIT
/*
 * run.c - the first program of a guest that runs a command: it mounts what
 * programs expect, loads the modules, takes the address that the kernel's
 * command line speaks of, starts the command, and carries its three streams
 * between pipes (or a terminal of its own) and the ports of the virtio
 * console.  At last it says how the command ended.
 *
 * Freestanding, see sys.h.  It is process 1: an error that leaves nothing to
 * do goes to the console, and the machine is switched off.
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <time.h>

#define WAIT_MS 10000 /* for the ports to appear */

void *memcpy(void *to, const void *from, size_t n)
{
	void *start = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	return start;
}

void *memset(void *to, int c, size_t n)
{
	void *start = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
	return start;
}

struct job job;
int port[SESSION_PORTS];

void say(int fd, const char *a, const char *b, const char *c)
{
	char line[512];
	const char *part[] = { a, b, c };
	size_t n = 0;

	for (unsigned i = 0; i < 3; i++)
		for (const char *s = part[i]; *s && n < sizeof(line); s++)
			line[n++] = *s;
	SYS3(write, fd, line, n);
}

static _Noreturn void power_off(void)
{
	SYS4(reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, 0);
	for (;;)
		SYS0(pause);
}

_Noreturn void give_up(const char *why, const char *what)
{
	say(2, "ringlet: ", why, what);
	say(2, "\n", "", "");
	power_off();
}

static void sleep_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	SYS2(nanosleep, &t, 0);
}

/* --- the job ---------------------------------------------------------------- */

char *read_file(const char *name, size_t *size)
{
	static char *room;
	static size_t left;
	long fd = SYS2(open, name, O_RDONLY | O_CLOEXEC), n;
	char *text;
	size_t len = 0;

	if (fd < 0)
		return NULL;
	if (!room) {
		left = 64UL << 20; /* of addresses; the pages come with their use */
		room = (char *)sys6(__NR_mmap, 0, (long)left, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	}
	text = room;
	while ((n = SYS3(read, fd, text + len, left - len - 1)) > 0)
		len += (size_t)n;
	SYS1(close, fd);
	room += len + 1;
	left -= len + 1;
	*size = len;
	return text;
}

static void load_module(const char *name)
{
	long fd = SYS2(open, name, O_RDONLY | O_CLOEXEC), r;

	r = fd < 0 ? fd : SYS3(finit_module, fd, "", 0);
	if (r < 0 && r != -EEXIST)
		say(2, "ringlet: the guest's kernel does not take the module ", name, "\n");
	SYS1(close, fd);
}

static void take_word(char *word)
{
	char *value = word + 1;

	switch (*word) {
	case JOB_MODULE:
		load_module(value);
		break;
	case JOB_PROGRAM:
		job.program = value;
		break;
	case JOB_ARGUMENT:
		if (job.argc < MAX_WORDS - 1)
			job.argv[job.argc++] = value;
		break;
	case JOB_ENVIRON:
		if (job.envc < MAX_WORDS - 1)
			job.envp[job.envc++] = value;
		break;
	case JOB_DIRECTORY:
		job.directory = value;
		break;
	case JOB_TERMINAL:
		job.terminal = value;
		break;
	case JOB_OUT:
		job.out = 1;
		break;
	}
}

static void read_job(void)
{
	size_t size;
	char *word = read_file(SESSION_JOB, &size), *end;

	if (!word)
		give_up("there is no ", SESSION_JOB);
	for (end = word + size; word < end; word += text_len(word) + 1)
		take_word(word);
}

/* --- the machine ------------------------------------------------------------ */

static void mount_all(void)
{
	static const struct {
		const char *dir, *type, *options;
	} mounts[] = {
		{ "/proc", "proc", "" },
		{ "/sys", "sysfs", "" },
		{ "/dev", "devtmpfs", "" },
		{ "/dev/pts", "devpts", "gid=5,mode=620,ptmxmode=666" },
		{ "/dev/shm", "tmpfs", "mode=1777" },
	};

	for (unsigned i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
		SYS2(mkdir, mounts[i].dir, 0755);
		SYS5(mount, mounts[i].type, mounts[i].dir, mounts[i].type, 0, mounts[i].options);
	}
	SYS2(symlink, "/proc/self/fd", "/dev/fd");
	SYS2(symlink, "/proc/self/fd/0", "/dev/stdin");
	SYS2(symlink, "/proc/self/fd/1", "/dev/stdout");
	SYS2(symlink, "/proc/self/fd/2", "/dev/stderr");
	/* All in memory already; and a file that was copied to /tmp is to be seen there. */
	SYS2(mkdir, "/tmp", 0777);
	SYS2(chmod, "/tmp", 01777);
	SYS2(mkdir, "/run", 0755);
	SYS2(mkdir, "/root", 0700);
	SYS2(mkdir, SESSION_OUT, 0777);
	SYS2(sethostname, "ringlet", 7);
}

/* --- ports ------------------------------------------------------------------ */

long poll_one(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	long n = SYS3(poll, &p, 1, ms);

	return n > 0 ? p.revents : n;
}

/* Which of the virtio devices the console is, the network being another. */
static int open_port(unsigned i)
{
	char name[] = "/dev/vport0p0";
	long fd = -1;

	name[sizeof(name) - 2] = (char)('0' + i);
	for (char device = '0'; device <= '9' && fd < 0; device++) {
		name[sizeof("/dev/vport") - 1] = device;
		fd = SYS2(open, name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	}
	return (int)fd;
}

/* Each appears by and by, and is connected a moment later. */
static void open_ports(void)
{
	int patience = WAIT_MS;

	for (unsigned i = SESSION_CONTROL; i < SESSION_PORTS; i++)
		while ((port[i] = open_port(i)) < 0) {
			if (!patience--)
				give_up("the guest has no virtio console", "");
			sleep_ms(1);
		}
	for (unsigned i = SESSION_CONTROL; i < SESSION_PORTS; i++)
		while (poll_one(port[i], 0, 0) & POLLHUP) {
			if (!patience--)
				give_up("nobody is at the other end of the virtio console", "");
			sleep_ms(1);
		}
}

void put(int fd, const char *data, size_t len)
{
	long n;

	while (len) {
		n = SYS3(write, fd, data, len < CHUNK ? len : CHUNK);
		if (n == -EAGAIN) {
			if (poll_one(fd, POLLOUT, -1) & (POLLHUP | POLLERR))
				return;
			continue;
		}
		if (n < 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static void say_exit(int status)
{
	char text[] = "exit 000\n";

	for (int i = 7; i >= 5; i--, status /= 10)
		text[i] = (char)('0' + status % 10);
	put(port[SESSION_CONTROL], text, sizeof(text) - 1);
}

static _Noreturn __attribute__((used)) void run(void)
{
	unsigned long child = 1UL << (SIGCHLD - 1);
	int children, status;

	mount_all();
	read_job();
	configure_net();
	SYS4(rt_sigprocmask, SIG_BLOCK, &child, 0, sizeof(child));
	children = (int)SYS4(signalfd4, -1, &child, sizeof(child), O_CLOEXEC | O_NONBLOCK);
	open_ports();
	put(port[SESSION_CONTROL], "up\n", 3);
	start();
	status = carry(children);
	if (job.out)
		put_files();
	say_exit(status);
	/* ringlet ends the machine now; if nobody is there, nobody waits either. */
	sleep_ms(WAIT_MS);
	power_off();
}

/* The kernel enters with the stack aligned to 16; a function expects 8 more. */
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tcall run\n");
