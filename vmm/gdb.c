// SPDX-License-Identifier: MIT
/*
 * gdb.c - the socket at which gdb is served, by main between two looks at the
 * console: one client at a time.
 *
 * A client counts from its first packet on: a connection alone stops nothing.
 * When it goes, in whatever way, its breakpoints go, and the guest goes on.
 * Nothing here waits for the client: what it does not read is kept for it, and
 * no more is taken from it meanwhile.
 */
#include "gdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "barrier.h"
#include "conf.h"
#include "console.h"
#include "ctl.h"
#include "gdb_internal.h"
#include "log.h"

#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)

enum source { LISTENER, CLIENT, TRAP };

static struct gdb g;
static struct {
	int listener, client, epoll;
	bool greeted; /* something came from the client */
	struct sockaddr_un path; /* of a Unix socket, or "" */
	struct stat st;		 /* ours as long as it is this one */
} net = { .listener = -1, .client = -1, .epoll = -1 };

/* --- the client ---------------------------------------------------------------------- */

static void drop(void)
{
	if (net.client < 0)
		return;
	close(net.client);
	net.client = -1;
	gdb_let_go(&g);
	free(g.out);
	g.out = NULL;
	g.n_out = g.out_at = g.size_out = g.n_last = 0;
	g.lost = false;
	memset(&g.in, 0, sizeof(g.in));
	info("gdb: gone");
}

/* Send what there is; true if the client is still there. */
static bool send_some(struct gdb *s)
{
	while (s->out_at < s->n_out) {
		ssize_t n = send(net.client, s->out + s->out_at, s->n_out - s->out_at, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		s->out_at += (size_t)n;
	}
	s->out_at = s->n_out = 0;
	return true;
}

static bool receive(struct gdb *s)
{
	u8 data[4096];
	ssize_t n = recv(net.client, data, sizeof(data), 0);

	/* A browser, say, that some page sent here: it cannot begin like gdb. */
	if (n > 0 && !net.greeted && !memchr("+-$\3", *data, 4))
		return false;
	net.greeted = true;
	if (n > 0)
		gdb_receive(s, data, (size_t)n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Requests are taken when all answers are gone. */
static void serve_client(u32 events)
{
	bool full = g.out_at < g.n_out;
	struct epoll_event e = { .data.u32 = CLIENT };

	if (events & EPOLLERR || (full && events & EPOLLHUP) || (!full && !receive(&g)) || g.lost || !send_some(&g)) {
		drop();
		return;
	}
	e.events = g.out_at < g.n_out ? EPOLLOUT : EPOLLIN;
	epoll_ctl(net.epoll, EPOLL_CTL_MOD, net.client, &e);
}

/* One at a time; another is sent away and can come back later. */
static void take_client(void)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = CLIENT };
	int fd = accept4(net.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), on = 1;

	if (fd < 0)
		return;
	if (net.client >= 0 || epoll_ctl(net.epoll, EPOLL_CTL_ADD, fd, &e)) {
		close(fd);
		return;
	}
	/* Where there is TCP: answers at once, and an end of those who vanish. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	net.client = fd;
	net.greeted = false;
}

/* Main thread, from console_run(). */
static void serve(void)
{
	struct epoll_event e[3];
	int n = epoll_wait(net.epoll, e, ARRAY_SIZE(e), 0);
	u64 count;

	for (int i = 0; i < n; i++)
		if (e[i].data.u32 == TRAP && read(g.vm->debug_fd, &count, sizeof(count)) == sizeof(count))
			gdb_trapped(&g);
	for (int i = 0; i < n; i++)
		if (e[i].data.u32 == CLIENT)
			serve_client(e[i].events);
	for (int i = 0; i < n; i++)
		if (e[i].data.u32 == LISTENER)
			take_client();
	/* What a trap or an end had to say goes out at once. */
	if (net.client >= 0 && g.out_at < g.n_out)
		serve_client(EPOLLOUT);
}

/* --- the socket ---------------------------------------------------------------------- */

static int open_path(const char *path, char *err, size_t err_size)
{
	const struct sockaddr *address = (const struct sockaddr *)&net.path;
	mode_t mask = umask(0177);
	struct stat st;
	int r, fd;

	if (!ctl_address(&net.path, NULL, path)) {
		umask(mask);
		return FAIL("--gdb unix:%s: the path is too long for a socket", path);
	}
	net.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = bind(net.listener, address, sizeof(net.path));
	/* One that nobody listens to was left behind. */
	if (r && errno == EADDRINUSE && !lstat(path, &st) && S_ISSOCK(st.st_mode)) {
		fd = ctl_connect(&net.path);
		if (fd < 0 && errno == ECONNREFUSED && !unlink(path))
			r = bind(net.listener, address, sizeof(net.path));
		else
			errno = EADDRINUSE;
		if (fd >= 0)
			close(fd);
	}
	umask(mask);
	if (r || lstat(path, &net.st))
		return FAIL("--gdb unix:%s: %s; choose another path", path, strerror(errno));
	return 0;
}

static int open_port(const struct conf_gdb *c, char *err, size_t err_size)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(c->port), .sin_addr.s_addr = c->address };
	char ip[INET_ADDRSTRLEN];
	int on = 1;

	inet_ntop(AF_INET, &a.sin_addr, ip, sizeof(ip));
	net.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(net.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!bind(net.listener, (const struct sockaddr *)&a, sizeof(a)))
		return 0;
	if (errno == EADDRINUSE)
		return FAIL("--gdb tcp:%s:%u: the port is in use; choose another, or --gdb tcp:0 for one that is free",
			    ip, c->port);
	return FAIL("--gdb tcp:%s:%u: %s", ip, c->port, strerror(errno));
}

/* What the user is to type. */
static void announce(const struct conf_gdb *c)
{
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);
	char ip[INET_ADDRSTRLEN];

	if (c->path) {
		warn("gdb: target remote %s", c->path);
		return;
	}
	getsockname(net.listener, (struct sockaddr *)&a, &len);
	inet_ntop(AF_INET, &a.sin_addr, ip, sizeof(ip));
	warn("gdb: target remote %s:%u", a.sin_addr.s_addr == INADDR_ANY ? "" : ip, ntohs(a.sin_port));
}

int gdb_open(const struct conf_gdb *c, char *err, size_t err_size)
{
	if (c->path ? open_path(c->path, err, err_size) : open_port(c, err, err_size))
		return -1;
	net.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (net.epoll < 0 || listen(net.listener, 1))
		return FAIL("--gdb: cannot listen: %s", strerror(errno));
	atexit(gdb_close); /* die() comes by there, too */
	announce(c);
	return 0;
}

void gdb_serve(struct vm *vm, const struct ctl_command *commands, bool stopped)
{
	struct epoll_event listener = { .events = EPOLLIN, .data.u32 = LISTENER };
	struct epoll_event trap = { .events = EPOLLIN, .data.u32 = TRAP };

	g.vm = vm;
	g.commands = commands;
	g.breaks.no_int3 = gdb_int3_is_lost();
	vm->debug_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->debug_fd < 0 || epoll_ctl(net.epoll, EPOLL_CTL_ADD, net.listener, &listener) ||
	    epoll_ctl(net.epoll, EPOLL_CTL_ADD, vm->debug_fd, &trap))
		die("cannot watch for gdb: %s", strerror(errno));
	console_watch(net.epoll, serve);
	if (stopped)
		gdb_stop(&g);
}

/* How the guest ended, as a process would. */
static const char *ending(const struct vm *vm)
{
	switch (LOAD_ACQUIRE(&vm->end)) {
	case VM_RESET:
		return "W20";
	case VM_CRASH:
		return "W21";
	case VM_TIMEOUT:
	case VM_SIGNAL:
		return "X0f";
	default:
		return "W00";
	}
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void gdb_close(void)
{
	struct stat st;

	if (net.client >= 0 && g.waiting) {
		gdb_put(&g.reply, ending(g.vm));
		gdb_send(&g);
		send_some(&g);
	}
	close_one(&net.client);
	close_one(&net.listener);
	close_one(&net.epoll);
	if (net.st.st_ino && !lstat(net.path.sun_path, &st) && st.st_ino == net.st.st_ino && st.st_dev == net.st.st_dev)
		unlink(net.path.sun_path);
	memset(&net.st, 0, sizeof(net.st));
	if (g.vm && g.vm->debug_fd >= 0)
		close_one(&g.vm->debug_fd);
	free(g.out);
	g.out = NULL;
}
