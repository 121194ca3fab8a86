// SPDX-License-Identifier: MIT
/*
 * probe.c - "why does it not run here?", asked before it is run: one row for
 * each thing that a run needs or would like, what was found, and what helps.
 *
 * What is found is what happens when it is done: the machine is made, a tap is
 * opened, a ring is set up, by the functions that a run calls.  Some of them
 * end the process with a sentence, some would show on the host; so these are
 * called in a child, in a network namespace of its own where it may, and the
 * child's last words are the row.
 */
#include "probe.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <liburing.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot.h"
#include "conf.h"
#include "engine.h"
#include "initramfs.h"
#include "log.h"
#include "speed.h"
#include "tap.h"
#include "vm.h"

enum state { OK, WARN, NO, UNKNOWN };

struct row {
	const char *name;
	enum state state;
	char found[200], advice[250];
};

#define MAX_ROWS 16
static struct row rows[MAX_ROWS];
static unsigned n_rows;

static void PRINTF(3, 4) add_row(const char *name, enum state state, const char *found, ...)
{
	struct row *r = &rows[n_rows++];
	va_list ap;

	*r = (struct row){ .name = name, .state = state };
	va_start(ap, found);
	vsnprintf(r->found, sizeof(r->found), found, ap);
	va_end(ap);
}

/* What would help, of the last row. */
static void PRINTF(1, 2) advise(const char *advice, ...)
{
	va_list ap;

	va_start(ap, advice);
	vsnprintf(rows[n_rows - 1].advice, sizeof(rows[0].advice), advice, ap);
	va_end(ap);
}

/* ringlet's sentences are "what is wrong: what would help". */
static void add_sentence(const char *name, enum state state, const char *sentence)
{
	const char *colon = strstr(sentence, ": ");

	add_row(name, state, "%.*s", colon ? (int)(colon - sentence) : (int)strlen(sentence), sentence);
	if (colon)
		advise("%s", colon + 2);
}

static bool all_is_well(void)
{
	for (unsigned i = 0; i < n_rows; i++)
		if (rows[i].state == NO)
			return false;
	return true;
}

/* The first line of a file, without its end; "" if it cannot be read. */
static const char *line_of(const char *path, char line[256])
{
	FILE *f = fopen(path, "re");

	line[0] = '\0';
	if (f && fgets(line, 256, f))
		line[strcspn(line, "\n")] = '\0';
	if (f)
		fclose(f);
	return line;
}

/* --- children --- */

#define CHILD_SECONDS 10

/*
 * what(arg) in a child; arg is shared with it.  Its exit status, or -1 if it
 * had to be ended; said: what it printed on stderr, less ringlet's name.
 */
static int in_child(void (*what)(void *arg), void *arg, char *said, size_t size)
{
	size_t len = 0;
	int fd[2], status = -1;
	ssize_t n;
	pid_t pid;

	said[0] = '\0';
	if (pipe2(fd, O_CLOEXEC))
		die("cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		die("cannot start a process: %s", strerror(errno));
	if (!pid) {
		dup2(fd[1], STDERR_FILENO);
		alarm(CHILD_SECONDS);
		what(arg);
		_exit(0);
	}
	close(fd[1]);
	while (len < size - 1 && (n = read(fd[0], said + len, size - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(fd[0]);
	waitpid(pid, &status, 0);
	said[strcspn(said, "\n")] = '\0';
	if (!strncmp(said, "ringlet: ", 9))
		memmove(said, said + 9, strlen(said + 9) + 1);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("out of memory");
	return p;
}

/* --- KVM --- */

/* A stock kernel would take minutes to its first words with less. */
#define SOFTWARE_MOST 20e6 /* instructions per second */

/* The module behind /dev/kvm: its name says whose processors it is for. */
static const char *kvm_module(char name[64])
{
	glob_t g;

	snprintf(name, 64, "built in");
	if (!glob("/sys/module/kvm_*", 0, NULL, &g) && g.gl_pathc)
		snprintf(name, 64, "%s", strrchr(g.gl_pathv[0], '/') + 1);
	globfree(&g);
	return name;
}

static bool in_virtual_machine(void)
{
	char line[4096];
	bool found = false;
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, "flags", 5) && strstr(line, " hypervisor");
	if (f)
		fclose(f);
	return found;
}

/* A guest was made, so there are all that ringlet cannot do without. */
static void probe_capabilities(void)
{
	static const struct {
		int cap;
		const char *without;
	} helpful[] = {
		{ KVM_CAP_IOEVENTFD_ANY_LENGTH, "each kick's instruction is decoded" },
		{ KVM_CAP_READONLY_MEM, "each interrupt leaves the guest (as with --mmio-strict)" },
		{ KVM_CAP_TSC_DEADLINE_TIMER, "guests calibrate their timer for 100 ms" },
	};
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	for (unsigned i = 0; i < ARRAY_SIZE(helpful); i++)
		if (ioctl(fd, KVM_CHECK_EXTENSION, helpful[i].cap) <= 0) {
			add_row("KVM capabilities", WARN, "all that are needed; one is missing that helps");
			advise("%s; a newer kernel has it", helpful[i].without);
			goto out;
		}
	add_row("KVM capabilities", OK, "all that are needed, and all that help");
out:
	close(fd);
}

static void probe_kvm(void)
{
	struct speed *s = shared(sizeof(*s));
	char said[512], module[64];
	int status = in_child(speed_measure, s, said, sizeof(said));

	if (s->per_second == 0) {
		if (status < 0)
			snprintf(said, sizeof(said), "a guest of three instructions does not end");
		add_sentence("/dev/kvm", NO, *said ? said : "a guest cannot be made");
		add_row("KVM capabilities", UNKNOWN, "not looked at");
		add_row("kind of KVM", UNKNOWN, "not looked at");
		return;
	}
	add_row("/dev/kvm", OK, "may be read and written, and makes guests");
	probe_capabilities();
	kvm_module(module);
	if (s->per_second < SOFTWARE_MOST)
		add_row("kind of KVM", NO, "software (%s): %.1f million instructions/s, %.1f us to ringlet and back",
			module, s->per_second / 1e6, s->exit_us);
	else
		add_row("kind of KVM", OK, "%s (%s): %.0f million instructions/s, %.1f us to ringlet and back",
			in_virtual_machine() ? "nested" : "hardware", module, s->per_second / 1e6, s->exit_us);
	if (s->per_second < SOFTWARE_MOST)
		advise(SOFTWARE_KVM_ADVICE);
	munmap(s, sizeof(*s));
}

/* --- the network --- */

struct tap_try {
	bool made, uso;
};

/* In a network of its own: as root, or as root of a user namespace. */
static void try_tap(void *arg)
{
	struct tap_try *t = arg;
	struct tap tap;
	char err[400];

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return;
	if (tap_open(&tap, "", 1, err, sizeof(err))) {
		warn("%s", err);
		return;
	}
	t->made = true;
	t->uso = tap.uso;
	tap_close(&tap);
}

static void probe_tap(void)
{
	struct tap_try *t = shared(sizeof(*t));
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	unsigned flags = 0;
	char said[512];

	in_child(try_tap, t, said, sizeof(said));
	if (fd < 0) {
		add_row("taps", WARN, "/dev/net/tun cannot be opened: %s", strerror(errno));
		advise(errno == ENOENT || errno == ENODEV ? "modprobe tun; without it guests have no network" :
				       "run as root, or make it writable (chmod 666 /dev/net/tun, as usual)");
		add_row("tap offloads", UNKNOWN, "not looked at");
		goto out;
	}
	capng_get_caps_process();
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN)) {
		add_row("taps", OK, "may be made");
	} else {
		add_row("taps", WARN, "may be used, not made");
		advise("have one made: ip tuntap add mode tap vnet_hdr user $USER name tap0; ip link set tap0 up");
	}
	if (ioctl(fd, TUNGETFEATURES, &flags) || !(flags & IFF_VNET_HDR)) {
		add_row("tap offloads", WARN, "taps have no virtio-net header (IFF_VNET_HDR)");
		advise("a newer kernel has it");
	} else if (t->made) {
		add_row("tap offloads", t->uso ? OK : WARN, "headers, checksums, TCP segmentation%s%s",
			t->uso ? ", UDP segmentation" : "", flags & IFF_MULTI_QUEUE ? ", several queues" : "");
		if (!t->uso)
			advise("UDP segmentation takes Linux 6.2");
	} else {
		add_row("tap offloads", UNKNOWN, "headers%s; more is not known without a tap",
			flags & IFF_MULTI_QUEUE ? ", several queues" : "");
	}
out:
	if (fd >= 0)
		close(fd);
	munmap(t, sizeof(*t));
}

static void probe_uring(void)
{
	static const struct {
		int op;
		const char *name;
	} ops[] = {
		{ IORING_OP_READV, "readv" },
		{ IORING_OP_WRITEV, "writev" },
		{ IORING_OP_POLL_ADD, "poll" },
		{ IORING_OP_ASYNC_CANCEL, "cancel" },
	};
	struct engine_fds fds = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
	struct engine *e = engine_uring_new(&fds);
	struct io_uring_probe *p;
	const char *lacks = NULL;
	char line[256];

	if (!e) {
		add_row("io_uring", WARN, "cannot be set up: %s", strerror(errno));
		line_of("/proc/sys/kernel/io_uring_disabled", line);
		if (*line && *line != '0')
			advise("sysctl kernel.io_uring_disabled=0 (it is %s); else io=poll is taken", line);
		else
			advise(errno == EINVAL ? "Linux 6.1 is needed; else io=poll is taken" :
						 "a container's filter may forbid it; else io=poll is taken");
		goto out;
	}
	e->ops->free(e);
	p = io_uring_get_probe();
	for (unsigned i = 0; i < ARRAY_SIZE(ops) && !lacks; i++)
		if (!p || !io_uring_opcode_supported(p, ops[i].op))
			lacks = ops[i].name;
	io_uring_free_probe(p);
	if (lacks)
		add_row("io_uring", WARN, "lacks the operation %s", lacks);
	else
		add_row("io_uring", OK, "readv, writev, poll and cancel");
	if (lacks)
		advise("use io=poll");
out:
	close(fds.tap);
	close(fds.kick);
	close(fds.control);
}

/* As an ordinary user, whoever asks. */
static void try_user_namespace(void *arg)
{
	struct tap_try *t = arg;

	/* In a container there may be nobody else to become. */
	if (geteuid() == 0 && !setgid(65534) && setuid(65534))
		die("cannot be tried: %s", strerror(errno));
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		die("%s", strerror(errno));
	/* Some let it be made and then give it no rights. */
	capng_get_caps_process();
	if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN))
		die("they come without rights");
	t->made = true;
}

static void probe_user_namespaces(void)
{
	static const struct {
		const char *file, *bad, *sysctl;
	} switches[] = {
		{ "/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1" },
		{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
		  "kernel.apparmor_restrict_unprivileged_userns=0" },
		{ "/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=10000" },
	};
	struct tap_try *t = shared(sizeof(*t));
	char said[512], line[256];

	in_child(try_user_namespace, t, said, sizeof(said));
	if (t->made)
		add_row("user namespaces", OK, "ordinary users may make networks of their own");
	else
		add_row("user namespaces", WARN, "not for ordinary users: %s", said);
	for (unsigned i = 0; i < ARRAY_SIZE(switches) && !t->made; i++)
		if (!strcmp(line_of(switches[i].file, line), switches[i].bad))
			advise("sysctl %s", switches[i].sysctl);
	munmap(t, sizeof(*t));
}

/* --- the rest --- */

static void probe_hugepages(void)
{
	char line[256], *mode;

	line_of("/sys/kernel/mm/transparent_hugepage/enabled", line);
	mode = strchr(line, '[');
	if (mode)
		mode[strcspn(mode, "]")] = '\0';
	if (mode && strcmp(mode + 1, "never")) {
		add_row("hugepages", OK, "transparent ones, by %s", mode + 1);
		return;
	}
	add_row("hugepages", WARN, "no transparent ones");
	advise("echo madvise >/sys/kernel/mm/transparent_hugepage/enabled");
}

static void probe_program(const char *package, const char *name, const char *what_for)
{
	char *program = program_find(name);

	if (program) {
		add_row(package, OK, "%s", program);
	} else {
		add_row(package, WARN, "not installed");
		advise("apt-get install %s, for %s", package, what_for);
	}
	free(program);
}

static void probe_kernel(void)
{
	char err[600], *kernel = conf_find_kernel();

	if (!kernel) {
		add_row("kernel", WARN, "none where one is looked for");
		advise("name one: ringlet FILE");
	} else if (boot_probe(kernel, err, sizeof(err))) {
		add_sentence("kernel", WARN, err);
	} else {
		add_row("kernel", OK, "%s", kernel);
	}
	free(kernel);
}

/* --- what is printed --- */

static const char *const words[] = { [OK] = "ok", [WARN] = "warn", [NO] = "NO", [UNKNOWN] = "-" };

static void print_table(void)
{
	for (const struct row *r = rows; r < rows + n_rows; r++) {
		printf("%-17s %-5s %s\n", r->name, words[r->state], r->found);
		if (r->advice[0])
			printf("%24s%s\n", "", r->advice);
	}
	printf("\n%s\n", all_is_well() ? "A Linux guest can run here." : "No Linux guest can run here.");
}

static void print_string(const char *key, const char *s)
{
	printf("\"%s\": \"", key);
	for (; *s; s++)
		if ((u8)*s >= ' ')
			printf("%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
	printf("\"");
}

static void print_json(void)
{
	printf("{\n  \"linux\": %s,\n  \"rows\": [\n", all_is_well() ? "true" : "false");
	for (const struct row *r = rows; r < rows + n_rows; r++) {
		printf("    { ");
		print_string("name", r->name);
		printf(", ");
		print_string("state", r->state == NO ? "no" : r->state == UNKNOWN ? "unknown" : words[r->state]);
		printf(", ");
		print_string("found", r->found);
		printf(", ");
		print_string("advice", r->advice);
		printf(" }%s\n", r + 1 < rows + n_rows ? "," : "");
	}
	printf("  ]\n}\n");
}

bool probe_host(bool json)
{
	probe_kvm();
	probe_tap();
	probe_uring();
	probe_user_namespaces();
	probe_hugepages();
	probe_program("passt", "pasta", "the outside network without rights (--net user)");
	probe_program("busybox-static", "busybox", "a shell in a guest, and what scripts call (ringlet KERNEL -- COMMAND)");
	probe_kernel();
	if (json)
		print_json();
	else
		print_table();
	return all_is_well();
}
