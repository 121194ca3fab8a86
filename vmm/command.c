// SPDX-License-Identifier: MIT
/*
 * command.c - the streams of a command in the guest, joined to ours.
 *
 * All that moves is moved by main, from console_run(): a port of the virtio
 * console asks for bytes or has some, and a stream of ours has some or takes
 * some.  Whichever side is not ready makes the other one wait where its bytes
 * are; there is no buffer in between, and nothing here blocks.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "conf.h"
#include "console.h"
#include "log.h"
#include "sandbox.h"
#include "session.h"
#include "std_stream.h"
#include "vconsole.h"
#include "virtio.h"
#include "vm.h"

/* One of our standard streams. */
struct stream {
	struct std_stream std;
	unsigned watch;
	bool ready; /* input: poll() said so */
	bool stuck; /* output: it takes nothing at the moment */
};

static struct {
	struct vm *vm;
	struct vconsole *vc;
	struct stream in, out, err;
	bool terminal;
	int out_dir;
	void (*on_up)(void);
	bool up;	      /* the guest's init listens */
	int status;	      /* of the command, -1 while it runs */
	bool lost;	      /* something that it wrote */
	int signal;	      /* to be passed on */
	bool interrupted;     /* once already */
	bool resized;	      /* the terminal was */
	char line[SESSION_LINE]; /* that the guest's init is saying */
	size_t n_line;
} cmd = { .out_dir = -1, .status = -1 };

/* To our standard output or error; nobody reads there any more: nor need the command. */
static ssize_t put(struct stream *s, const struct iovec *iov, unsigned n)
{
	ssize_t r = std_write(&s->std, iov, n);

	s->stuck = r < 0 && errno == EAGAIN;
	if (r < 0 && !s->stuck && errno != EPIPE) {
		warn("cannot write standard %s: %s", s == &cmd.out ? "output" : "error", strerror(errno));
		cmd.lost = true;
	}
	console_want(s->watch, s->stuck ? POLLOUT : 0);
	return s->stuck ? 0 : r <= 0 ? -1 : r;
}

/* What is typed goes through the console's Ctrl-A keys. */
static ssize_t get_typed(const struct iovec *iov)
{
	u8 buf[256];
	struct iovec here = { buf, MIN(sizeof(buf), iov->iov_len) };
	ssize_t r = std_read(&cmd.in.std, &here, 1);
	size_t n;

	if (r <= 0)
		return r;
	n = console_typed(cmd.vm, buf, (size_t)r);
	memcpy(iov->iov_base, buf, n);
	if (!n)
		errno = EAGAIN;
	return n ? (ssize_t)n : -1;
}

/* From our standard input, once the guest is there to see how it ends. */
static ssize_t get(const struct iovec *iov, unsigned n)
{
	ssize_t r = -1;

	if (!cmd.up)
		return 0;
	errno = EAGAIN;
	if (cmd.in.ready)
		r = cmd.terminal ? get_typed(iov) : std_read(&cmd.in.std, iov, n);
	cmd.in.ready = false;
	if (r < 0 && errno == EAGAIN) {
		console_want(cmd.in.watch, POLLIN);
		return 0;
	}
	return r > 0 ? r : -1;
}

static void heed_line(const char *line)
{
	int status;

	if (!strcmp(line, "up")) {
		if (!cmd.up)
			cmd.on_up();
		cmd.up = true;
	} else if (sscanf(line, "exit %d", &status) == 1 && status >= 0 && status <= 255 && cmd.status < 0) {
		cmd.status = status;
	}
}

static ssize_t heed(const struct iovec *iov, unsigned n)
{
	ssize_t taken = 0;

	for (unsigned i = 0; i < n; i++) {
		for (size_t k = 0; k < iov[i].iov_len; k++) {
			char c = ((const char *)iov[i].iov_base)[k];

			if (c == '\n') {
				cmd.line[cmd.n_line] = '\0';
				heed_line(cmd.line);
				cmd.n_line = 0;
			} else if (cmd.n_line < sizeof(cmd.line) - 1) {
				cmd.line[cmd.n_line++] = c;
			}
		}
		taken += (ssize_t)iov[i].iov_len;
	}
	return taken;
}

/* One line for the guest's init; a buffer too small for it is a guest's joke. */
static ssize_t tell(const struct iovec *iov)
{
	char line[SESSION_LINE];
	struct winsize size;
	int n = 0;

	if (cmd.signal) {
		n = snprintf(line, sizeof(line), "signal %d\n", cmd.signal);
		cmd.signal = 0;
	} else if (cmd.resized) {
		cmd.resized = false;
		if (!ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
			n = snprintf(line, sizeof(line), "size %u %u\n", size.ws_row, size.ws_col);
	}
	n = (int)MIN((size_t)n, iov->iov_len);
	memcpy(iov->iov_base, line, (size_t)n);
	return n;
}

static ssize_t take(void *opaque, unsigned port, const struct iovec *iov, unsigned n)
{
	size_t all = 0;

	(void)opaque;
	for (unsigned i = 0; i < n; i++)
		all += iov[i].iov_len;
	switch (port) {
	case SESSION_CONTROL:
		return heed(iov, n);
	case SESSION_STDOUT:
		return put(&cmd.out, iov, n);
	case SESSION_STDERR:
		return put(&cmd.err, iov, n);
	case SESSION_FILES:
		out_take(iov, n);
		break;
	}
	return (ssize_t)all;
}

static ssize_t give(void *opaque, unsigned port, const struct iovec *iov, unsigned n)
{
	(void)opaque;
	if (port == SESSION_CONTROL)
		return tell(iov);
	return port == SESSION_STDIN ? get(iov, n) : 0;
}

static const struct vconsole_ops ops = { .take = take, .give = give };

/* Main thread, from console_run(): the guest, or one of our streams, has something. */
static void serve(void)
{
	u64 one = 1;

	/* More than a round: main looks at its other business in between. */
	if (vconsole_serve(cmd.vc)) {
		if (write(vconsole_kick_fd(cmd.vc), &one, sizeof(one)) < 0)
			return;
	} else if (cmd.status >= 0 && !cmd.out.stuck && !cmd.err.stuck) {
		/* All that was sent before it said so has been written. */
		vm_end(cmd.vm, VM_EXIT, "the command ended with status %d", cmd.status);
	}
}

static void input_ready(void)
{
	console_want(cmd.in.watch, 0);
	cmd.in.ready = true;
	serve();
}

static void output_ready(void)
{
	serve();
}

/*
 * The first Ctrl-C is the command's, the second one ours; so it is if nobody in
 * the guest listens yet.  From a raw terminal it comes as a character.
 */
static bool on_signal(int signo)
{
	if (signo == SIGWINCH) {
		cmd.resized = cmd.terminal;
	} else if (signo == SIGINT && cmd.up && !cmd.interrupted) {
		cmd.interrupted = true;
		cmd.signal = signo;
	} else {
		return false;
	}
	serve();
	return true;
}

struct virtio_dev *command_open(struct vm *vm, const struct conf *c, bool terminal, void (*up)(void))
{
	static const char *const names[SESSION_PORTS] = {
		[SESSION_CONTROL] = "ringlet.control", [SESSION_STDIN] = "ringlet.stdin",
		[SESSION_STDOUT] = "ringlet.stdout",   [SESSION_STDERR] = "ringlet.stderr",
		[SESSION_FILES] = "ringlet.files",
	};
	char err[512];

	cmd.vm = vm;
	cmd.terminal = terminal;
	cmd.on_up = up;
	cmd.vc = vconsole_new(&vm->mem, names, SESSION_PORTS, c->net.mmio_strict, &ops, NULL);
	if (!cmd.vc)
		die("out of memory or descriptors for the guest's console");
	if (c->out && (cmd.out_dir = out_open(c->out, sandbox_uid(c->user), err, sizeof(err))) < 0)
		die_args("%s", err);
	std_open(&cmd.in.std, STDIN_FILENO, O_RDONLY);
	std_open(&cmd.out.std, STDOUT_FILENO, O_WRONLY);
	std_open(&cmd.err.std, STDERR_FILENO, O_WRONLY);
	console_watch(vconsole_kick_fd(cmd.vc), serve);
	cmd.in.watch = console_watch(cmd.in.std.fd, input_ready);
	cmd.out.watch = console_watch(cmd.out.std.fd, output_ready);
	cmd.err.watch = console_watch(cmd.err.std.fd, output_ready);
	console_want(cmd.in.watch, 0);
	console_want(cmd.out.watch, 0);
	console_want(cmd.err.watch, 0);
	console_detach(c->verbose, on_signal);
	return vconsole_virtio(cmd.vc);
}

void command_start(const struct conf *c)
{
	if (cmd.out_dir < 0)
		return;
	if (faccessat(cmd.out_dir, ".", W_OK | X_OK, AT_EACCESS))
		die_args("--out %s: %s cannot write there; make the directory that user's, or name its owner with --user",
			 c->out, geteuid() ? c->user ? c->user : "user nobody" : "root without rights");
	out_start(cmd.out_dir, c->mem);
}

void command_close(void)
{
	out_close();
	vconsole_free(cmd.vc);
}

bool command_is_up(void)
{
	return cmd.up;
}

int command_status(void)
{
	return cmd.lost || out_failed() ? EXIT_HOST_ERROR : cmd.status;
}
