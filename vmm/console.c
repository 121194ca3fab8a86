// SPDX-License-Identifier: MIT
/*
 * console.c - the terminal: raw mode, the Ctrl-A keys, and an eye on what the
 * guest prints, because a stock kernel without a pvpanic driver says that it
 * panicked nowhere else.
 *
 * Output is collected for a moment before it is written, so that a boot log
 * costs a wake-up and a write per handful of lines and not per character.  Main
 * has other business, too, and never waits for who reads it: what is not taken
 * stays here and in the serial port, and there the guest waits.
 */
#include "console.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "barrier.h"
#include "clock.h"
#include "log.h"
#include "serial.h"
#include "std_stream.h"
#include "vm.h"

#define CTRL_A 1
#define COLLECT_MS 2
#define MAX_WATCHES 16
#define KEPT_LINES 50
/* After "Kernel panic": the guest resets at once unless told not to. */
#define PANIC_GRACE_MS 3000
/* Nobody tells a program that it is in the foreground again. */
#define BACKGROUND_MS 250

static const char panic_text[] = "Kernel panic - not syncing";
static const char panic_end[] = "---[ end Kernel panic";

static struct {
	bool raw, put_off; /* until we are in the foreground */
	struct termios saved;
	bool escape; /* Ctrl-A was typed */
	bool eof;    /* no more input */
	bool out_broken;
	struct std_stream to;
	u8 out[SERIAL_OUT]; /* printed, not yet written */
	size_t out_from, out_to;
	u8 input[256]; /* typed, not yet taken by the guest */
	size_t n_input;
	char line[128]; /* start of the line that the guest is printing */
	size_t n_line;
	bool panicked, panic_sure, panic_complete;
	char panic_line[128]; /* how it said so */
	sigset_t signals;
	void (*asked)(void); /* by SIGUSR1 */
	void (*on_panic)(void); /* NULL: none, or it was called */
	int signal;
	struct {
		int fd;
		bool terminal;
		short events;
		void (*call)(void);
	} watch[MAX_WATCHES]; /* somebody else's; no call: none */
	bool detached, show;
	bool to_stderr;
	bool (*on_signal)(int signo);
	char kept[8192]; /* the last that the guest printed, a ring */
	size_t n_kept;	 /* all that it ever printed */
} con;

/* Where reading from the terminal, or changing it, would stop us. */
static bool in_background(void)
{
	pid_t front = tcgetpgrp(STDIN_FILENO); /* -1: it does not stop us */

	return front >= 0 && front != getpgrp();
}

static void restore_terminal(void)
{
	if (!con.raw)
		return;
	if (!in_background()) /* else the shell has done it */
		tcsetattr(STDIN_FILENO, TCSANOW, &con.saved);
	con.raw = false;
	log_raw_terminal(false);
}

void console_open(void)
{
	struct termios t;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &con.saved))
		return;
	con.put_off = in_background();
	if (con.put_off)
		return;
	atexit(restore_terminal);
	t = con.saved;
	cfmakeraw(&t);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &t))
		return;
	con.raw = true;
	log_raw_terminal(true);
}

void console_close(void)
{
	restore_terminal();
}

void console_block_signals(void (*asked)(void))
{
	con.asked = asked;
	sigemptyset(&con.signals);
	sigaddset(&con.signals, SIGINT);
	sigaddset(&con.signals, SIGTERM);
	sigaddset(&con.signals, SIGHUP);
	sigaddset(&con.signals, SIGQUIT);
	sigaddset(&con.signals, SIGUSR1);
	if (con.on_signal)
		sigaddset(&con.signals, SIGWINCH);
	sigprocmask(SIG_BLOCK, &con.signals, NULL);
	signal(SIGUSR1, SIG_DFL); /* what is ignored is not even pending */
	signal(SIGPIPE, SIG_IGN);
}

unsigned console_watch(int fd, void (*call)(void))
{
	unsigned i = 0;

	while (con.watch[i].call)
		assert(++i < MAX_WATCHES);
	con.watch[i].fd = fd;
	con.watch[i].terminal = isatty(fd);
	con.watch[i].events = POLLIN;
	con.watch[i].call = call;
	return i;
}

void console_want(unsigned i, short events)
{
	con.watch[i].events = events;
}

void console_detach(bool show, bool (*on_signal)(int signo))
{
	con.detached = true;
	con.show = show;
	con.on_signal = on_signal;
}

void console_to_stderr(void)
{
	con.to_stderr = true;
}

void console_open_output(void)
{
	std_open(&con.to, con.detached || con.to_stderr ? STDERR_FILENO : STDOUT_FILENO, O_WRONLY);
}

void console_on_panic(void (*call)(void))
{
	con.on_panic = call;
}

static void notice_panic(void)
{
	void (*call)(void) = con.on_panic;

	con.panicked = true;
	con.on_panic = NULL;
	if (call)
		call();
}

bool console_saw_panic(void)
{
	return con.panicked;
}

int console_signal(void)
{
	return con.signal;
}

/* Behind "[...]" and blanks, if nothing else is in the brackets; else where it was. */
static const char *skip_brackets(const char *p, const char *inside)
{
	const char *end = *p == '[' ? p + 1 + strspn(p + 1, inside) : p;

	return *end == ']' ? end + 1 + strspn(end + 1, " ") : p;
}

/*
 * A kernel's line starts with its time stamp and, with some, the task or CPU
 * that it comes from; or, if it is told so, with the text itself.  A program in
 * the guest can print the same.  Without a time stamp it is not believed at
 * once: then the guest's next reset counts as a panic, or the end of the
 * message.  Who prints it with a time stamp is taken for the kernel.
 */
static void look_at_line(void)
{
	const char *p = con.line;

	con.line[con.n_line] = '\0';
	p = skip_brackets(p, " .0123456789");
	p = skip_brackets(p, " CT0123456789");
	if (!strncmp(p, panic_text, strlen(panic_text))) {
		notice_panic();
		con.panic_sure |= p != con.line;
		if (!*con.panic_line)
			strcpy(con.panic_line, con.line);
	}
	if (con.panicked && !strncmp(p, panic_end, strlen(panic_end)))
		con.panic_complete = true;
}

static void watch(const u8 *buf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (buf[i] == '\n') {
			look_at_line();
			con.n_line = 0;
		} else if (buf[i] != '\r' && con.n_line < sizeof(con.line) - 1) {
			con.line[con.n_line++] = (char)buf[i];
		}
	}
}

/* How much of it was taken, without waiting. */
static size_t put_some(const u8 *buf, size_t n)
{
	const struct iovec iov = { (void *)buf, n };
	ssize_t r = con.out_broken ? (ssize_t)n : std_write(&con.to, &iov, 1);

	if (r >= 0)
		return (size_t)r;
	con.out_broken = errno != EAGAIN;
	/* The reader is gone: so be it. */
	if (con.out_broken && errno != EPIPE)
		warn("cannot write what the guest prints: %s", strerror(errno));
	return 0;
}

/* Our own words; they are patient, not for ever. */
static void put(const void *buf, size_t n)
{
	std_write_all(&con.to, buf, n, STD_PATIENCE_MS);
}

static void keep(const u8 *buf, size_t n)
{
	for (size_t i = 0; i < n; i++)
		con.kept[con.n_kept++ % sizeof(con.kept)] = (char)buf[i];
}

/* Where the last lines begin, as far as they were kept. */
static size_t last_lines(unsigned most)
{
	size_t from = con.n_kept, oldest = con.n_kept - MIN(con.n_kept, sizeof(con.kept));
	unsigned lines = 0;

	while (from > oldest && (con.kept[(from - 1) % sizeof(con.kept)] != '\n' || lines++ < most))
		from--;
	return from;
}

void console_say_last(void)
{
	char text[sizeof(con.kept)];
	size_t n = 0;

	if (con.show)
		return; /* it was seen */
	/* What counts most, and may be too far back. */
	if (*con.panic_line) {
		put(con.panic_line, strlen(con.panic_line));
		put("\n...\n", 5);
	}
	for (size_t from = last_lines(KEPT_LINES); from < con.n_kept; from++)
		text[n++] = con.kept[from % sizeof(con.kept)];
	put(text, n);
}

void console_recall(FILE *f, unsigned lines)
{
	struct stat out, err;
	char last = '\n';

	/* A session has said them by then, or shows them all. */
	if (con.detached || con.to_stderr || fstat(STDOUT_FILENO, &out) || fstat(STDERR_FILENO, &err) ||
	    (out.st_ino == err.st_ino && out.st_dev == err.st_dev))
		return;
	for (size_t from = last_lines(lines); from < con.n_kept; from++) {
		last = con.kept[from % sizeof(con.kept)];
		if (last != '\r')
			putc(last, f);
	}
	if (last != '\n')
		putc('\n', f);
}

/*
 * What the guest printed, as far as nobody has to wait for it.  True: there is
 * or may be more, when it can be written.
 */
static bool move_output(struct vm *vm)
{
	if (con.out_from == con.out_to) {
		con.out_from = 0;
		con.out_to = serial_drain(vm->serial, con.out, sizeof(con.out));
		watch(con.out, con.out_to);
		keep(con.out, con.out_to);
		if (con.out_broken || (con.detached && !con.show))
			con.out_to = 0;
	}
	if (con.out_from == con.out_to)
		return false;
	con.out_from += put_some(con.out + con.out_from, con.out_to - con.out_from);
	return true;
}

/* False: it cannot be written to in that time (-1: for ever), or a signal came. */
static bool wait_to_write(int fd, int sigfd, int wait_ms)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLOUT }, { .fd = sigfd, .events = POLLIN } };

	return poll(p, ARRAY_SIZE(p), wait_ms) > 0 && !p[1].revents;
}

void console_flush(struct vm *vm)
{
	int how = LOAD_ACQUIRE(&vm->end);
	bool hurry = how == VM_TIMEOUT || how == VM_QUIT || how == VM_SIGNAL;
	int sigfd = signalfd(-1, &con.signals, SFD_CLOEXEC | SFD_NONBLOCK);
	int wait_ms = hurry ? STD_PATIENCE_MS : -1;
	bool reader = true;

	/* Somebody may be reading it page by page; a signal says that nobody is. */
	while (reader && move_output(vm))
		reader = wait_to_write(con.to.fd, sigfd, wait_ms);
	/* The page is followed by why the guest ended. */
	if (reader && !hurry)
		wait_to_write(log_fd(), sigfd, -1);
	close(sigfd);
}

static const char keys[] = "\r\nCtrl-A h  this help\r\n"
			   "Ctrl-A x  quit ringlet\r\n"
			   "Ctrl-A b  send a break (Linux: the SysRq prefix)\r\n"
			   "Ctrl-A Ctrl-A  send Ctrl-A\r\n";

/* True if it is for the guest. */
static bool typed(struct vm *vm, u8 c)
{
	if (!con.escape) {
		con.escape = c == CTRL_A && con.raw;
		return !con.escape;
	}
	con.escape = false;
	switch (c) {
	case 'x':
		vm_end(vm, VM_QUIT, "the user quit");
		break;
	case 'h':
	case '?':
		put(keys, sizeof(keys) - 1);
		break;
	case 'b':
		serial_break(vm->serial);
		break;
	case CTRL_A:
		return true;
	}
	return false;
}

size_t console_typed(struct vm *vm, u8 *buf, size_t n)
{
	size_t left = 0;

	for (size_t i = 0; i < n; i++)
		if (typed(vm, buf[i]))
			buf[left++] = buf[i];
	return left;
}

static void give_input(struct vm *vm)
{
	size_t n;

	if (!con.n_input)
		return;
	n = serial_input(vm->serial, con.input, con.n_input);
	con.n_input -= n;
	memmove(con.input, con.input + n, con.n_input);
}

static void read_input(struct vm *vm)
{
	u8 buf[64];
	ssize_t n = read(STDIN_FILENO, buf, MIN(sizeof(buf), sizeof(con.input) - con.n_input));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		con.eof = true;
	if (n > 0) {
		n = (ssize_t)console_typed(vm, buf, (size_t)n);
		memcpy(con.input + con.n_input, buf, (size_t)n);
		con.n_input += (size_t)n;
	}
	give_input(vm);
}

static void read_signal(struct vm *vm, int fd)
{
	struct signalfd_siginfo si;

	if (read(fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo == SIGUSR1) {
		if (con.asked)
			con.asked();
		return;
	}
	if (con.on_signal && con.on_signal((int)si.ssi_signo))
		return;
	con.signal = (int)si.ssi_signo;
	vm_end(vm, VM_SIGNAL, "ended by signal %d (%s)", con.signal, strsignal(con.signal));
}

static s64 now_ms(void)
{
	return (s64)(clock_ns() / 1000000);
}

/* Milliseconds until the earlier of two deadlines (0: none), for poll(). */
static int until(s64 a, s64 b)
{
	s64 t = !a ? b : !b ? a : MIN(a, b), left = t - now_ms();

	return !t ? -1 : left < 0 ? 0 : (int)MIN(left, 1000000);
}

void console_run(struct vm *vm, unsigned timeout)
{
	s64 deadline = timeout ? now_ms() + timeout * 1000LL : 0, panic_deadline = 0;
	int sigfd = signalfd(-1, &con.signals, SFD_CLOEXEC | SFD_NONBLOCK);
	struct timespec collect = { .tv_nsec = COLLECT_MS * 1000000 };
	bool more = false;
	u64 count;

	while (LOAD_ACQUIRE(&vm->end) == VM_RUNNING) {
		bool background = in_background();
		bool room = !con.eof && !con.detached && !background && con.n_input < sizeof(con.input);
		int wait = until(deadline, panic_deadline);
		struct pollfd fds[4 + MAX_WATCHES] = {
			{ .fd = vm->wake_fd, .events = POLLIN },
			{ .fd = sigfd, .events = POLLIN },
			{ .fd = room ? STDIN_FILENO : -1, .events = POLLIN },
			{ .fd = more ? con.to.fd : -1, .events = POLLOUT },
		};

		if (con.put_off && !background)
			console_open();
		/* A stream that hangs up shows even if nothing is asked of it. */
		for (unsigned i = 0; i < MAX_WATCHES; i++) {
			bool rest = background && con.watch[i].terminal && con.watch[i].events & POLLIN;

			fds[4 + i].fd = con.watch[i].events && !rest ? con.watch[i].fd : -1;
			fds[4 + i].events = con.watch[i].events;
		}
		if (background && (wait < 0 || wait > BACKGROUND_MS))
			wait = BACKGROUND_MS;
		if (poll(fds, ARRAY_SIZE(fds), wait) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		if (fds[0].revents && read(vm->wake_fd, &count, sizeof(count)) > 0) {
			if (LOAD_ACQUIRE(&vm->end) == VM_RUNNING)
				nanosleep(&collect, NULL);
			more = move_output(vm);
			give_input(vm);
		} else if (fds[3].revents) {
			more = move_output(vm);
		}
		if (fds[1].revents)
			read_signal(vm, sigfd);
		if (fds[2].revents)
			read_input(vm);
		for (unsigned i = 0; i < MAX_WATCHES; i++)
			if (fds[4 + i].revents)
				con.watch[i].call();
		if (LOAD_ONCE(&vm->panicked)) {
			con.panic_sure = true;
			if (!con.panicked)
				notice_panic();
		}
		if (con.panic_sure && !panic_deadline)
			panic_deadline = now_ms() + PANIC_GRACE_MS;
		if (con.panic_complete || (panic_deadline && now_ms() >= panic_deadline))
			vm_end(vm, VM_CRASH, "the guest's kernel panicked");
		else if (deadline && now_ms() >= deadline)
			vm_end(vm, VM_TIMEOUT, "the guest was still running after %u s", timeout);
	}
	close(sigfd);
}
