// SPDX-License-Identifier: MIT
/*
 * ctl_client.c - the other end of control sockets: `ringlet list`; `ringlet
 * stat`, which asks a guest for all its counters once an interval and shows
 * what became of the few that tell how it goes; and `ringlet ctl`, one request.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"
#include "conf_internal.h"
#include "ctl.h"
#include "log.h"
#include "stats.h"
#include "vm.h"

#define PATIENCE_MS 5000 /* for one answer: main may be writing to a slow terminal */
#define MAX_GUESTS 1024
#define SCREEN 20 /* lines between two headings */

/* --- one request ------------------------------------------------------------------- */

static bool wait_for(int fd, short events, u64 until)
{
	struct pollfd p = { .fd = fd, .events = events };
	u64 now = clock_ns();

	return now < until && poll(&p, 1, (int)((until - now) / 1000000 + 1)) > 0;
}

static bool send_all(int fd, const char *what, u64 until)
{
	size_t len = strlen(what);

	while (len) {
		ssize_t n = send(fd, what, len, MSG_NOSIGNAL);

		if (n < 0 && (errno != EAGAIN || !wait_for(fd, POLLOUT, until)))
			return false;
		n = MAX(n, 0);
		what += n;
		len -= (size_t)n;
	}
	return true;
}

static bool receive_all(int fd, char *to, size_t len, u64 until)
{
	while (len) {
		ssize_t n = recv(fd, to, len, 0);

		if (!n || (n < 0 && (errno != EAGAIN || !wait_for(fd, POLLIN, until))))
			return false;
		n = MAX(n, 0);
		to += n;
		len -= (size_t)n;
	}
	return true;
}

/* "ringlet/1 ok 123": 123, or -1; *ok is whether it says so. */
static s64 read_head(int fd, u64 until, bool *ok)
{
	char head[64], *end, *number;
	size_t n = 0;
	unsigned long long len;

	do
		if (n == sizeof(head) - 1 || !receive_all(fd, &head[n], 1, until))
			return -1;
	while (head[n++] != '\n');
	head[n] = '\0';
	*ok = !strncmp(head, CTL_HELLO " ok ", strlen(CTL_HELLO " ok "));
	if (!*ok && strncmp(head, CTL_HELLO " error ", strlen(CTL_HELLO " error ")))
		return -1;
	number = strrchr(head, ' ');
	len = strtoull(number, &end, 10);
	return *end == '\n' && len <= CTL_ANSWER ? (s64)len : -1;
}

/* The answer, malloc'ed; NULL: none that we understand, or the guest is gone. */
static char *receive_answer(int fd, u64 until, bool *ok)
{
	s64 len = read_head(fd, until, ok);
	char *text;

	text = len < 0 ? NULL : malloc((size_t)len + 1);
	if (!text)
		return NULL;
	text[len] = '\0';
	if (!receive_all(fd, text, (size_t)len, until)) {
		free(text);
		return NULL;
	}
	/* Who runs as another user's guest may be anybody: nothing for a terminal. */
	for (s64 i = 0; i < len; i++)
		if (((u8)text[i] < 0x20 && text[i] != '\n' && text[i] != '\t') || text[i] == 0x7f)
			text[i] = '?';
	return text;
}

/* The same, to a request that no guest refuses. */
static char *ask(int fd, const char *request)
{
	u64 until = clock_ns() + PATIENCE_MS * 1000000ULL;
	bool ok = false;
	char *text = send_all(fd, request, until) ? receive_answer(fd, until, &ok) : NULL;

	if (ok)
		return text;
	free(text);
	return NULL;
}

/* What stands behind the name in a flat document; "": it is not there. */
static void field(const char *flat, const char *name, char *to, size_t size)
{
	size_t len = strlen(name);

	*to = '\0';
	for (const char *s = flat; s; s = strchr(s, '\n')) {
		s += *s == '\n';
		if (!strncmp(s, name, len) && s[len] == ' ') {
			snprintf(to, size, "%.*s", (int)strcspn(s + len + 1, "\n"), s + len + 1);
			return;
		}
	}
}

static u64 number(const char *flat, const char *name)
{
	char text[32];

	field(flat, name, text, sizeof(text));
	return strtoull(text, NULL, 10);
}

/* --- the guests ---------------------------------------------------------------------- */

struct guest {
	char name[CTL_NAME];
	int fd;
	u64 pid;
	char *info; /* flat */
};

static struct guest guests[MAX_GUESTS];
static unsigned n_guests;

static bool note(const struct ctl_found *g, int fd, void *arg)
{
	(void)arg;
	guests[n_guests].fd = fd;
	snprintf(guests[n_guests].name, sizeof(guests[0].name), "%s", g->name);
	return ++n_guests < MAX_GUESTS;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct guest *)a)->name, ((const struct guest *)b)->name);
}

/* All that answer. */
static void find_guests(void)
{
	unsigned n = 0;

	ctl_dir_each(note, NULL);
	for (unsigned i = 0; i < n_guests; i++) {
		struct guest *g = &guests[i];

		g->info = ask(g->fd, "info flat\n");
		if (g->info) {
			g->pid = number(g->info, "pid");
			guests[n++] = *g;
		} else {
			close(g->fd);
		}
	}
	n_guests = n;
	qsort(guests, n, sizeof(guests[0]), by_name);
}

static void forget_guests(void)
{
	for (unsigned i = 0; i < n_guests; i++) {
		close(guests[i].fd);
		free(guests[i].info);
	}
	n_guests = 0;
}

static const char *guest_name(unsigned i)
{
	return i < n_guests ? guests[i].name : NULL;
}

static _Noreturn void refuse_guest(const char *name)
{
	const char *near = suggest_nearest(name, guest_name);

	if (near)
		die_args("no guest called '%s' is running; did you mean '%s'?", name, near);
	die_args("no guest called '%s' is running; 'ringlet list' shows those that are", name);
}

static _Noreturn void refuse_none(void)
{
	char names[400] = "";
	size_t n = 0;

	if (!n_guests)
		die_args("no guest is running");
	for (unsigned i = 0; i < n_guests && n < sizeof(names); i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i ? ", " : "", guests[i].name);
	die_args("%u guests are running; name one of them: %s", n_guests, names);
}

static int connect_by_path(const char *path)
{
	struct sockaddr_un address;
	int fd = -1;

	if (ctl_address(&address, NULL, path))
		fd = ctl_connect(&address);
	else
		errno = ENAMETOOLONG;
	if (fd < 0)
		die_args("cannot connect to %s: %s", path, strerror(errno));
	return fd;
}

/* The connection to that guest, which is the caller's. */
static int find_guest(const char *name)
{
	char *end = NULL;
	u64 pid = name ? strtoull(name, &end, 10) : 0;
	const struct guest *found = NULL;

	if (name && strchr(name, '/'))
		return connect_by_path(name);
	find_guests();
	if (!name && n_guests != 1)
		refuse_none();
	for (unsigned i = 0; i < n_guests; i++)
		if (!name || !strcmp(guests[i].name, name) || (!*end && guests[i].pid == pid))
			found = &guests[i];
	if (!found)
		refuse_guest(name);
	return dup(found->fd);
}

/* --- list -------------------------------------------------------------------------------- */

static void print_time(u64 seconds, char buf[32])
{
	if (seconds < 86400)
		snprintf(buf, 32, "%llu:%02llu:%02llu", (unsigned long long)(seconds / 3600),
			 (unsigned long long)(seconds / 60 % 60), (unsigned long long)(seconds % 60));
	else
		snprintf(buf, 32, "%llud%02lluh", (unsigned long long)(seconds / 86400),
			 (unsigned long long)(seconds / 3600 % 24));
}

static void print_guest(const struct guest *g)
{
	char kernel[256], up[32], *slash;

	field(g->info, "kernel", kernel, sizeof(kernel));
	slash = strrchr(kernel, '/');
	print_time(number(g->info, "uptime_ns") / 1000000000, up);
	printf("%-16s %7llu %-24s %10s %4llu %5lluM\n", g->name, (unsigned long long)g->pid,
	       slash ? slash + 1 : kernel, up, (unsigned long long)number(g->info, "cpus"),
	       (unsigned long long)(number(g->info, "memory_bytes") / MiB));
}

int ctl_list(const struct conf_client *c)
{
	find_guests();
	if (!c->json)
		printf("%-16s %7s %-24s %10s %4s %6s\n", "NAME", "PID", "KERNEL", "UPTIME", "CPUS", "MEM");
	for (unsigned i = 0; i < n_guests; i++) {
		char *json = c->json ? ask(guests[i].fd, "info json\n") : NULL;

		if (json)
			fputs(json, stdout);
		else if (!c->json)
			print_guest(&guests[i]);
		free(json);
	}
	forget_guests();
	return 0;
}

/* --- stat -------------------------------------------------------------------------------- */

/* The figures of which a line is made. */
struct sample {
	u64 ns, rx_packets, tx_packets, rx_bytes, tx_bytes;
	u64 interrupts, kicks, batches, spins, sleeps, exits;
};

/* Those that KVM counts, where it does; else those that reached ringlet. */
static u64 sum_exits(const char *flat)
{
	u64 cpus = number(flat, "cpus"), kvm = 0, ours = 0;
	const char *reason;
	char name[64];

	for (u64 i = 0; i < cpus; i++) {
		snprintf(name, sizeof(name), "vcpus.%llu.kvm.exits", (unsigned long long)i);
		kvm += number(flat, name);
		for (unsigned k = 0; (reason = exit_reason_name(k)); k++) {
			snprintf(name, sizeof(name), "vcpus.%llu.exits.%s", (unsigned long long)i, reason);
			ours += number(flat, name);
		}
	}
	return kvm ? kvm : ours;
}

static void take_sample(const char *flat, struct sample *s)
{
	s->ns = number(flat, "uptime_ns");
	s->rx_packets = number(flat, "net.rx.packets");
	s->tx_packets = number(flat, "net.tx.packets");
	s->rx_bytes = number(flat, "net.rx.bytes");
	s->tx_bytes = number(flat, "net.tx.bytes");
	s->interrupts = number(flat, "net.thread.interrupts");
	s->kicks = number(flat, "net.thread.kicks");
	s->batches = number(flat, "net.rx.batches") + number(flat, "net.tx.batches");
	s->spins = number(flat, "net.thread.spins");
	s->sleeps = number(flat, "net.thread.sleeps");
	s->exits = sum_exits(flat);
}

/* One number by another; "-" where there is nothing to divide by. */
static void put_ratio(u64 n, u64 by)
{
	if (by)
		printf(" %8.2f", (double)n / (double)by);
	else
		printf(" %8s", "-");
}

static void print_heading(void)
{
	printf("%9s %9s %9s %9s %8s %8s %8s %8s %8s %8s\n", "rx pkt/s", "rx Mb/s", "tx pkt/s", "tx Mb/s",
	       "pkt/irq", "kick/pkt", "exit/pkt", "batch", "spin/s", "sleep/s");
}

static void print_sample(const struct sample *was, const struct sample *is)
{
	double s = MAX((double)(is->ns - was->ns) / 1e9, 1e-9);
	u64 packets = is->rx_packets - was->rx_packets + is->tx_packets - was->tx_packets;

	printf("%9.0f %9.1f %9.0f %9.1f", (double)(is->rx_packets - was->rx_packets) / s,
	       (double)(is->rx_bytes - was->rx_bytes) * 8 / 1e6 / s,
	       (double)(is->tx_packets - was->tx_packets) / s,
	       (double)(is->tx_bytes - was->tx_bytes) * 8 / 1e6 / s);
	put_ratio(packets, is->interrupts - was->interrupts);
	put_ratio(is->kicks - was->kicks, packets);
	put_ratio(is->exits - was->exits, packets);
	put_ratio(packets, is->batches - was->batches);
	printf(" %8.0f %8.0f\n", (double)(is->spins - was->spins) / s, (double)(is->sleeps - was->sleeps) / s);
}

/* Until the next one is due; false: the guest is gone. */
static bool pause_for(int fd, unsigned ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	/* It says nothing unasked: what can be read is the end. */
	return poll(&p, 1, (int)ms) <= 0;
}

static int stat_json(const struct conf_client *c, int fd)
{
	char *json = ask(fd, "stats json\n");

	if (!json)
		die("the guest does not answer on its control socket");
	for (unsigned n = 1; json; n++) {
		fputs(json, stdout);
		fflush(stdout);
		free(json);
		if (n == c->count || !pause_for(fd, c->interval_ms))
			break;
		json = ask(fd, "stats json\n");
	}
	return 0;
}

static int stat_lines(const struct conf_client *c, int fd)
{
	bool terminal = isatty(STDOUT_FILENO);
	struct sample was, is;
	char *flat = ask(fd, "stats flat\n");

	if (!flat)
		die("the guest does not answer on its control socket");
	take_sample(flat, &was);
	for (unsigned n = 0; n < c->count || !c->count; n++, was = is) {
		free(flat);
		flat = pause_for(fd, c->interval_ms) ? ask(fd, "stats flat\n") : NULL;
		if (!flat)
			break;
		take_sample(flat, &is);
		if (!n || (terminal && !(n % SCREEN)))
			print_heading();
		print_sample(&was, &is);
		fflush(stdout);
	}
	free(flat);
	return 0;
}

int ctl_stat(const struct conf_client *c)
{
	int fd = find_guest(c->guest), status;

	forget_guests();
	status = c->json ? stat_json(c, fd) : stat_lines(c, fd);
	close(fd);
	return status;
}

/* --- ctl --------------------------------------------------------------------------------- */

/* What a request writes; removed unless all of it was written. */
static const char *partial;

static void remove_partial(void)
{
	if (partial)
		unlink(partial);
	partial = NULL;
}

static void killed(int signo)
{
	remove_partial();
	signal(signo, SIG_DFL);
	raise(signo);
}

/*
 * A file is this user's to make, here, not the guest's: which may have become
 * somebody else and be somewhere else.
 */
static int make_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;

	/* Who has made a FIFO waits for us, or comes. */
	if (fd < 0 && errno == EEXIST && !stat(name, &st) && S_ISFIFO(st.st_mode)) {
		fd = open(name, O_WRONLY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		errno = EPERM;
	}
	if (fd < 0 && errno == EEXIST)
		die_args("%s is there already: remove it, or choose another name", name);
	if (fd < 0)
		die_args("cannot make %s: %s", name, strerror(errno));
	partial = name;
	atexit(remove_partial);
	signal(SIGINT, killed);
	signal(SIGTERM, killed);
	signal(SIGHUP, killed);
	return fd;
}

static bool send_with_file(int fd, const char *line, int file)
{
	struct iovec iov = { .iov_base = (char *)line, .iov_len = strlen(line) };
	union {
		struct cmsghdr head;
		u8 space[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.head), &file, sizeof(file));
	return sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)iov.iov_len;
}

/* The last word of these is a file to be written. */
static bool writes_file(char *const *words)
{
	return !strcmp(words[0], "dump") || (!strcmp(words[0], "pcap") && words[1] && !strcmp(words[1], "start"));
}

/* The words as a line; without the file, which is *file. */
static void make_line(char *const *words, char line[CTL_LINE], const char **file)
{
	size_t n = 0;

	*file = NULL;
	for (unsigned i = 0; words[i]; i++) {
		if (i && !words[i + 1] && writes_file(words)) {
			*file = words[i];
			break;
		}
		n += (size_t)snprintf(line + n, CTL_LINE - n, "%s%s", i ? " " : "", words[i]);
		if (n >= CTL_LINE - 1)
			die_args("'%.20s...': no request is that long", words[0]);
	}
	if (writes_file(words) && !*file)
		die_args("%s%s: the name of a file is expected behind it", words[0], words[1] ? " start" : "");
	strcpy(line + n, "\n");
}

int ctl_request(const struct conf_client *c)
{
	int fd, file = -1;
	u64 until = clock_ns() + PATIENCE_MS * 1000000ULL;
	char line[CTL_LINE], *text;
	const char *name;
	bool ok = false, sent;

	make_line(c->words, line, &name);
	fd = find_guest(c->guest);
	forget_guests();
	if (name)
		file = make_file(name);
	sent = name ? send_with_file(fd, line, file) : send_all(fd, line, until);
	/* A file takes as long as it takes; if the guest goes, the connection does. */
	text = sent ? receive_answer(fd, name ? clock_ns() + 86400 * 1000000000ULL : until, &ok) : NULL;
	if (!text)
		die("the guest %s", name ? "ended before it had answered" : "does not answer on its control socket");
	if (ok) {
		partial = NULL;
		fputs(text, stdout);
	} else {
		text[strcspn(text, "\n")] = '\0';
		warn("%s", text);
	}
	free(text);
	close(fd);
	return !ok;
}
