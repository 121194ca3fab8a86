// SPDX-License-Identifier: MIT
/*
 * dump.c - dumps of a guest that runs are written by a thread of their own,
 * one at a time, so that main still serves console and clients; the guest
 * stands still for its registers only, unless it is asked to for longer.
 * What the guest writes meanwhile may be in the dump, or not.
 */
#include "dump.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "barrier.h"
#include "clock.h"
#include "console.h"
#include "core.h"
#include "cpu_state.h"
#include "ctl.h"
#include "log.h"
#include "thread.h"
#include "vm.h"

#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)

static struct {
	struct vm *vm;
	int done_fd; /* eventfd: the thread is through */
	u64 ticket;  /* of who waits for it; 0: no dump is being written */
	bool consistent;
	u64 started, paused_ns; /* how long the guest stood still for it */

	/* The thread's as long as there is one. */
	pthread_t thread;
	struct cpu_state cpu[MAX_CPUS];
	int fd;
	struct stat st; /* the file's, when it is written */
	bool failed;
	char err[256];
	bool cancel; /* atomic */

	const char *last_path; /* for the guest's last moment, NULL: none */
	int last_fd;
} dump = { .done_fd = -1 };

static struct core_source source(const struct cpu_state *cpu)
{
	return (struct core_source){ .mem = &dump.vm->mem, .cpu = cpu, .ncpus = dump.vm->ncpus };
}

static void *dump_main(void *arg)
{
	const struct core_source s = source(dump.cpu);
	u64 one = 1;

	(void)arg;
	dump.failed = core_write(&s, dump.fd, &dump.cancel, dump.err, sizeof(dump.err));
	fstat(dump.fd, &dump.st);
	/* Some file systems say only now that they are full. */
	if (close(dump.fd) && !dump.failed) {
		dump.failed = true;
		snprintf(dump.err, sizeof(dump.err), "cannot write the dump: %s", strerror(errno));
	}
	if (write(dump.done_fd, &one, sizeof(one)) < 0)
		return NULL;
	return NULL;
}

static void go_on(void)
{
	vm_resume(dump.vm);
	dump.paused_ns = clock_ns() - dump.started;
}

static void finish(void)
{
	pthread_join(dump.thread, NULL);
	if (dump.consistent)
		go_on();
}

/* Main thread, from console_run(). */
static void written(void)
{
	u64 n, ticket = dump.ticket;
	char text[300];

	if (read(dump.done_fd, &n, sizeof(n)) != sizeof(n) || !ticket)
		return;
	finish();
	dump.ticket = 0;
	if (dump.failed)
		snprintf(text, sizeof(text), "%s\n", dump.err);
	else
		snprintf(text, sizeof(text),
			 "%llu MiB, %llu of them on disk, in %.1f s, for which the guest paused %.1f ms\n",
			 (unsigned long long)(dump.st.st_size / MiB), (unsigned long long)(dump.st.st_blocks * 512 / MiB),
			 (double)(clock_ns() - dump.started) / 1e9, (double)dump.paused_ns / 1e6);
	ctl_answer(ticket, !dump.failed, text);
}

/* Who asked for it has hung up, and removes the file. */
static void cancel(u64 ticket)
{
	if (ticket == dump.ticket)
		STORE_ONCE(&dump.cancel, true);
}

void dump_init(struct vm *vm)
{
	dump.vm = vm;
	dump.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dump.done_fd >= 0)
		console_watch(dump.done_fd, written);
}

/* Nothing that a write could wait in for ever, or that has no holes, or has something in them. */
static bool is_fit(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && !st.st_size && flags >= 0 && (flags & O_ACCMODE) != O_RDONLY &&
	       !(flags & O_APPEND);
}

bool ctl_dump(const char *argument, FILE *f)
{
	bool consistent = !strcmp(argument, "consistent");
	int fd, err;

	if (*argument && !consistent) {
		fprintf(f, "'%s': not known; write consistent, or nothing\n", argument);
		return false;
	}
	if (dump.ticket || dump.done_fd < 0) {
		fprintf(f, dump.ticket ? "another dump is being written\n" : "this guest cannot be dumped\n");
		return false;
	}
	fd = ctl_take_fd();
	if (fd < 0 || !is_fit(fd)) {
		fprintf(f, "a regular file, empty and open for writing, must come with the request\n");
		close(fd);
		return false;
	}
	dump.started = clock_ns();
	vm_pause(dump.vm);
	cpu_states_read(dump.vm, dump.cpu);
	dump.fd = fd;
	dump.cancel = false;
	dump.consistent = consistent;
	err = thread_start(&dump.thread, "dump", dump_main, NULL, 0);
	if (err || !consistent)
		go_on();
	if (err) {
		fprintf(f, "cannot start a thread to write the dump: %s\n", strerror(err));
		close(fd);
		return false;
	}
	dump.ticket = ctl_defer(cancel);
	return true;
}

int dump_to(int fd, char *err, size_t err_size)
{
	struct cpu_state cpu[MAX_CPUS];
	struct core_source s = source(cpu);

	cpu_states_read(dump.vm, cpu);
	return core_write(&s, fd, NULL, err, err_size);
}

int dump_file(const char *path, char *err, size_t err_size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r;

	if (fd < 0)
		return FAIL("cannot make %s: %s", path, strerror(errno));
	r = dump_to(fd, err, err_size);
	close(fd);
	if (r)
		unlink(path);
	return r;
}

/* die() comes by here: there is no guest yet, and nothing of it. */
static void remove_unused(void)
{
	if (dump.last_path)
		unlink(dump.last_path);
}

void dump_prepare(const char *path)
{
	struct stat st;

	dump.last_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (dump.last_fd < 0)
		die_args("--dump-on-panic %s: cannot make it: %s", path, strerror(errno));
	if (fstat(dump.last_fd, &st) || !S_ISREG(st.st_mode))
		die_args("--dump-on-panic %s: not a regular file", path);
	dump.last_path = path;
	atexit(remove_unused);
}

void dump_panicked(bool panicked)
{
	struct cpu_state cpu[MAX_CPUS];
	struct core_source s = source(cpu);
	char err[256];

	if (!dump.last_path)
		return;
	cpu_states_at_end(dump.vm, cpu);
	if (panicked && !core_write(&s, dump.last_fd, NULL, err, sizeof(err))) {
		warn("the guest's memory is in %s", dump.last_path);
	} else {
		if (panicked)
			warn("--dump-on-panic %s: %s", dump.last_path, err);
		/* As nobody we may not be allowed to; then it stays, and is empty. */
		if (unlink(dump.last_path) && ftruncate(dump.last_fd, 0))
			warn("--dump-on-panic %s: what is there is of no use", dump.last_path);
	}
	close(dump.last_fd);
	dump.last_path = NULL;
}

void dump_close(void)
{
	if (dump.ticket) {
		STORE_ONCE(&dump.cancel, true);
		dump.consistent = false; /* nobody is there to go on */
		finish();
		dump.ticket = 0;
	}
	if (dump.done_fd >= 0)
		close(dump.done_fd);
	dump.done_fd = -1;
}
