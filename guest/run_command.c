// SPDX-License-Identifier: MIT
/*
 * run_command.c - the command, and its streams between pipes, or a terminal of
 * its own, and the ports.
 *
 * Pipes and not the ports themselves, although a port is a file: a port can be
 * opened once only, so that /dev/stderr, for one, would not work.
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define BUSYBOX "/bin/busybox"
#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PIPE_SIZE (256 * 1024)

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

void start(void)
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

int carry(int children)
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
