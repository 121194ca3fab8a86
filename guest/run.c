// SPDX-License-Identifier: MIT
/*
 * run.c - the first program of a guest that runs a command: it mounts what
 * programs expect, loads the modules, takes the address that the kernel's
 * command line speaks of, starts the command, and carries its three streams
 * between pipes (or a terminal of its own) and the ports of the virtio
 * console.  At last it says how the command ended.
 *
 * Pipes and not the ports themselves, although a port is a file: a port can be
 * opened once only, so that /dev/stderr, for one, would not work.
 *
 * Freestanding, see sys.h.  It is process 1: an error that leaves nothing to
 * do goes to the console, and the machine is switched off.
 */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "../include/session.h"

#define BUSYBOX "/bin/busybox"
#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define MAX_WORDS 4096	   /* of the command, and of its environment */
#define CHUNK 32768	   /* the most that a port takes in one piece */
#define PIPE_SIZE (256 * 1024)
#define WAIT_MS 10000	   /* for the ports to appear */

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

static struct {
	const char *argv[MAX_WORDS], *envp[MAX_WORDS];
	unsigned argc, envc;
	const char *program, *directory;
	const char *terminal; /* its size; NULL: pipes */
	int out;
} job;

static int port[SESSION_PORTS];

static void say(int fd, const char *a, const char *b, const char *c)
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

static _Noreturn void give_up(const char *why, const char *what)
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

/* A whole file in memory of its own, ended by a 0; NULL if it cannot be read. */
static char *read_file(const char *name, size_t *size)
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

/* "a.b.c.d", network byte order; 0 if it is none.  *s is moved behind it. */
static unsigned address(const char **s)
{
	unsigned ip = 0;

	for (unsigned i = 0; i < 4; i++) {
		ip |= (unsigned)number(s) << (8 * i);
		if (i < 3 && *(*s)++ != '.')
			return 0;
	}
	return ip;
}

/* A field of ip= and the colon behind it. */
static unsigned next_address(const char **s)
{
	unsigned ip = **s == ':' ? 0 : address(s);

	if (**s == ':')
		++*s;
	return ip;
}

static void set_up(long s, const char *name, unsigned ip, unsigned mask)
{
	struct ifreq r = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&r.ifr_addr;

	memcpy(r.ifr_name, name, text_len(name));
	in->sin_family = AF_INET;
	if (ip) {
		in->sin_addr.s_addr = ip;
		SYS3(ioctl, s, SIOCSIFADDR, &r);
		in->sin_addr.s_addr = mask;
		SYS3(ioctl, s, SIOCSIFNETMASK, &r);
	}
	r.ifr_flags = IFF_UP;
	SYS3(ioctl, s, SIOCSIFFLAGS, &r);
}

static void set_gateway(long s, unsigned ip)
{
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
	struct sockaddr_in *gateway = (struct sockaddr_in *)&route.rt_gateway;

	route.rt_dst.sa_family = route.rt_genmask.sa_family = AF_INET;
	gateway->sin_family = AF_INET;
	gateway->sin_addr.s_addr = ip;
	SYS3(ioctl, s, SIOCADDRT, &route);
}

/* What ip=GUEST::HOST:MASK::eth0:off says; many kernels leave it to programs. */
static void configure_net(void)
{
	long s = SYS3(socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t size;
	const char *line = read_file("/proc/cmdline", &size), *ip = NULL;
	unsigned guest, host, mask;

	set_up(s, "lo", 0, 0);
	for (const char *p = line; p && *p; p++)
		if ((p == line || p[-1] == ' ') && text_after(p, "ip="))
			ip = p + 3; /* the last one counts */
	if (ip && (guest = next_address(&ip))) {
		next_address(&ip); /* a server of boot files */
		host = next_address(&ip);
		mask = next_address(&ip);
		set_up(s, "eth0", guest, mask);
		if (host)
			set_gateway(s, host);
	}
	SYS1(close, s);
}

/* --- ports ------------------------------------------------------------------ */

static long poll_one(int fd, short events, int ms)
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

/* All of it, however long it takes; what nobody wants any more is lost. */
static void put(int fd, const char *data, size_t len)
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

/* --- the command ------------------------------------------------------------ */

static const char *environ_value(const char *name)
{
	const char *value;

	for (unsigned i = 0; i < job.envc; i++)
		if ((value = text_after(job.envp[i], name)) && *value == '=')
			return value + 1;
	return NULL;
}

static void set_default(const char *name_and_value)
{
	char name[16] = "";

	for (unsigned i = 0; name_and_value[i] != '='; i++)
		name[i] = name_and_value[i];
	if (!environ_value(name) && job.envc < MAX_WORDS - 1)
		job.envp[job.envc++] = name_and_value;
}

/* 0 if somebody has executed it by now; else -errno. */
static long execute(const char *program)
{
	return SYS3(execve, program, job.argv, job.envp);
}

static _Noreturn void start_command(void)
{
	const char *name = job.argv[0], *path = environ_value("PATH");
	long err = -ENOENT;

	if (job.directory && SYS1(chdir, job.directory) < 0) {
		say(2, "ringlet: there is no directory ", job.directory, " in the guest\n");
		SYS1(exit_group, 126);
	}
	if (job.program)
		err = execute(job.program);
	for (const char *s = name; !job.program && *s; s++)
		if (*s == '/')
			err = execute(job.program = name);
	while (!job.program && path) {
		char file[4096];
		size_t n = 0;
		long r;

		while (*path && *path != ':' && n < sizeof(file) - 258)
			file[n++] = *path++;
		file[n++] = '/';
		for (size_t i = 0; name[i] && i < 256; i++)
			file[n++] = name[i];
		file[n] = 0;
		r = execute(file);
		if (r != -ENOENT && r != -ENOTDIR)
			err = r;
		path = *path ? path + 1 : NULL;
	}
	/* Of busybox's applets not every one has a name in the file system. */
	if (err == -ENOENT && !job.program)
		execute(BUSYBOX);
	say(2, "ringlet: ", name, err == -ENOENT ? ": there is no such program in the guest\n" :
						    ": the guest cannot execute it\n");
	SYS1(exit_group, err == -ENOENT ? 127 : 126);
	__builtin_unreachable();
}

static void set_size(int terminal, const char *size)
{
	struct winsize w = { .ws_row = (unsigned short)number(&size) };

	size += *size == ' ';
	w.ws_col = (unsigned short)number(&size);
	SYS3(ioctl, terminal, TIOCSWINSZ, &w);
}

static int open_terminal(char slave[24])
{
	int master = (int)SYS2(open, "/dev/pts/ptmx", O_RDWR | O_NONBLOCK | O_CLOEXEC), unlock = 0;
	unsigned n = 0;

	if (master < 0)
		give_up("the guest's kernel has no terminals (CONFIG_UNIX98_PTYS)", "");
	SYS3(ioctl, master, TIOCSPTLCK, &unlock);
	SYS3(ioctl, master, TIOCGPTN, &n);
	memcpy(slave, "/dev/pts/", 10);
	slave[9] = (char)('0' + n % 10); /* the first of this guest */
	slave[10] = 0;
	set_size(master, job.terminal);
	return master;
}

/*
 * What is read from one and is to be written to the other.  -1: that end is
 * gone; then so is the other as soon as nothing is left in between.
 */
struct pump {
	int from, to;
	size_t len, done;
	char *buf;
};

static void pump_close(struct pump *p)
{
	if (p->from >= 0)
		SYS1(close, p->from);
	if (p->to >= 0)
		SYS1(close, p->to);
	p->from = p->to = -1;
	p->len = p->done = 0;
}

static void pump_move(struct pump *p)
{
	long n;

	if (p->from < 0)
		return;
	if (p->done == p->len) {
		n = SYS3(read, p->from, p->buf, CHUNK);
		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n <= 0) { /* a terminal that nobody has open any more says EIO */
			pump_close(p);
			return;
		}
		p->len = (size_t)n;
		p->done = 0;
	}
	n = SYS3(write, p->to, p->buf + p->done, p->len - p->done);
	if (n > 0)
		p->done += (size_t)n;
	else if (n != -EAGAIN && n != -EINTR)
		pump_close(p);
}

/* What it waits for. */
static void pump_poll(const struct pump *p, struct pollfd *fds)
{
	int empty = p->done == p->len;

	fds[0] = (struct pollfd){ .fd = empty ? p->from : -1, .events = POLLIN };
	/* An output that is gone shows without being asked. */
	fds[1] = (struct pollfd){ .fd = p->to, .events = empty ? 0 : POLLOUT };
}

static int has(const struct pollfd *p, int events)
{
	return p->fd >= 0 && p->revents & events;
}

static void pump_heed(struct pump *p, const struct pollfd *fds)
{
	if (has(&fds[0], POLLIN | POLLHUP | POLLERR) || has(&fds[1], POLLOUT))
		pump_move(p);
	else if (has(&fds[1], POLLHUP | POLLERR))
		pump_close(p);
}

static char buffer[3][CHUNK];
static struct pump pump[3] = {
	{ -1, -1, 0, 0, buffer[0] }, { -1, -1, 0, 0, buffer[1] }, { -1, -1, 0, 0, buffer[2] },
};
static int terminal = -1;
static long command; /* its process */

static void make_pipe(int fd[2])
{
	if (SYS2(pipe2, fd, O_CLOEXEC) < 0)
		give_up("no pipe", "");
	SYS3(fcntl, fd[0], F_SETPIPE_SZ, PIPE_SIZE);
}

static void not_blocking(int fd)
{
	SYS3(fcntl, fd, F_SETFL, O_NONBLOCK);
}

static void become_command(const int fd[3], const char *slave)
{
	unsigned long none = 0;
	long tty;

	SYS0(setsid);
	if (slave) {
		tty = SYS2(open, slave, O_RDWR);
		SYS3(ioctl, tty, TIOCSCTTY, 0);
		for (int i = 0; i < 3; i++)
			SYS2(dup2, tty, i);
		SYS1(close, tty);
	}
	for (int i = 0; !slave && i < 3; i++)
		SYS2(dup2, fd[i], i);
	SYS4(rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof(none));
	start_command();
}

static void start(void)
{
	int fd[3][2];
	char slave[24];

	set_default(PATH_DEFAULT);
	set_default("HOME=/root");
	set_default("USER=root");
	set_default("LOGNAME=root");
	if (job.terminal) {
		terminal = open_terminal(slave);
		pump[0].from = port[SESSION_STDIN];
		pump[0].to = terminal;
		pump[1].from = (int)SYS3(fcntl, terminal, F_DUPFD_CLOEXEC, 3);
		pump[1].to = port[SESSION_STDOUT];
	} else {
		for (int i = 0; i < 3; i++) {
			make_pipe(fd[i]);
			not_blocking(fd[i][!i]);
			pump[i].from = i ? fd[i][0] : port[SESSION_STDIN];
			pump[i].to = i ? port[SESSION_STDIN + i] : fd[i][1];
		}
	}
	command = SYS0(fork);
	if (!command)
		become_command((int[]){ fd[0][0], fd[1][1], fd[2][1] }, job.terminal ? slave : NULL);
	if (command < 0)
		give_up("no process for the command", "");
	if (!job.terminal) {
		SYS1(close, fd[0][0]);
		SYS1(close, fd[1][1]);
		SYS1(close, fd[2][1]);
	}
}

/* "size ROWS COLUMNS", "signal N" */
static void heed_line(const char *line)
{
	const char *rest;

	if ((rest = text_after(line, "size ")) && terminal >= 0)
		set_size(terminal, rest);
	else if ((rest = text_after(line, "signal ")))
		SYS2(kill, -command, number(&rest));
}

static void heed_control(void)
{
	static char line[SESSION_LINE];
	static size_t n;
	char c;

	while (SYS3(read, port[SESSION_CONTROL], &c, 1) == 1) {
		if (c == '\n') {
			line[n] = 0;
			heed_line(line);
			n = 0;
		} else if (n < sizeof(line) - 1) {
			line[n++] = c;
		}
	}
}

/* Every process that nobody else waits for ends here; true: the command did. */
static int reap(int *status)
{
	int s, ended = 0;
	long pid;

	while ((pid = SYS4(wait4, -1, &s, WNOHANG, 0)) > 0)
		if (pid == command) {
			*status = WIFEXITED(s) ? WEXITSTATUS(s) : 128 + WTERMSIG(s);
			ended = 1;
		}
	return ended;
}

/*
 * What the command left in its pipe.  Others may hold that open and write on
 * for ever: no more than fits into it.
 */
static void drain(struct pump *p)
{
	size_t left = PIPE_SIZE + CHUNK;

	while (p->from >= 0) {
		if (p->done == p->len && (!left || !(poll_one(p->from, POLLIN, 0) & POLLIN)))
			return;
		if (p->done < p->len && poll_one(p->to, POLLOUT, -1) & (POLLHUP | POLLERR))
			return;
		if (p->done == p->len)
			left -= left < CHUNK ? left : CHUNK;
		pump_move(p);
	}
}

static int carry(int children)
{
	struct pollfd fds[8];
	char infos[sizeof(struct signalfd_siginfo) * 4];
	int status = 0;

	for (;;) {
		fds[0] = (struct pollfd){ .fd = children, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = port[SESSION_CONTROL], .events = POLLIN };
		for (int i = 0; i < 3; i++)
			pump_poll(&pump[i], &fds[2 + 2 * i]);
		SYS3(poll, fds, 8, -1);
		if (fds[1].revents & POLLIN)
			heed_control();
		for (int i = 0; i < 3; i++)
			pump_heed(&pump[i], &fds[2 + 2 * i]);
		if (fds[0].revents & POLLIN) {
			SYS3(read, children, infos, sizeof(infos));
			if (reap(&status))
				break;
		}
	}
	drain(&pump[1]);
	drain(&pump[2]);
	return status;
}

/* --- files to be sent back --------------------------------------------------- */

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
	char *buf = buffer[0];
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

static void put_files(void)
{
	memcpy(path, SESSION_OUT, sizeof(SESSION_OUT));
	put_directory(path_start - 1);
	put_header("TRAILER!!!", 0, 0);
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
