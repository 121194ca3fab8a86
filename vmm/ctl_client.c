// SPDX-License-Identifier: MIT
/*
 * ctl_client.c - the other end of control sockets: how to ask one, which guests
 * there are, and `ringlet list`.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "conf_internal.h"
#include "ctl.h"
#include "ctl_internal.h"
#include "log.h"

#define PATIENCE_MS 5000 /* for one answer: main may be writing to a slow terminal */
#define MAX_GUESTS 1024

/* --- one request ------------------------------------------------------------------- */

static bool wait_for(int fd, short events, u64 until)
{
	struct pollfd p = { .fd = fd, .events = events };
	u64 now = clock_ns();

	return now < until && poll(&p, 1, (int)((until - now) / 1000000 + 1)) > 0;
}

u64 ctl_patience(void)
{
	return clock_ns() + PATIENCE_MS * 1000000ULL;
}

bool ctl_send(int fd, const char *what, u64 until)
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

char *ctl_receive(int fd, u64 until, bool *ok)
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

char *ctl_ask(int fd, const char *request)
{
	u64 until = ctl_patience();
	bool ok = false;
	char *text = ctl_send(fd, request, until) ? ctl_receive(fd, until, &ok) : NULL;

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

u64 ctl_number(const char *flat, const char *name)
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

		g->info = ctl_ask(g->fd, "info flat\n");
		if (g->info) {
			g->pid = ctl_number(g->info, "pid");
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

int ctl_find_guest(const char *name)
{
	char *end = NULL;
	u64 pid = name ? strtoull(name, &end, 10) : 0;
	const struct guest *found = NULL;
	int fd;

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
	fd = dup(found->fd);
	forget_guests();
	return fd;
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
	print_time(ctl_number(g->info, "uptime_ns") / 1000000000, up);
	printf("%-16s %7llu %-24s %10s %4llu %5lluM\n", g->name, (unsigned long long)g->pid,
	       slash ? slash + 1 : kernel, up, (unsigned long long)ctl_number(g->info, "cpus"),
	       (unsigned long long)(ctl_number(g->info, "memory_bytes") / MiB));
}

int ctl_list(const struct conf_client *c)
{
	find_guests();
	if (!c->json)
		printf("%-16s %7s %-24s %10s %4s %6s\n", "NAME", "PID", "KERNEL", "UPTIME", "CPUS", "MEM");
	for (unsigned i = 0; i < n_guests; i++) {
		char *json = c->json ? ctl_ask(guests[i].fd, "info json\n") : NULL;

		if (json)
			fputs(json, stdout);
		else if (!c->json)
			print_guest(&guests[i]);
		free(json);
	}
	forget_guests();
	return 0;
}
