// SPDX-License-Identifier: MIT
/*
 * ctl.c - the control socket, served by main between two looks at the console.
 *
 * Nothing here waits: a client that stalls keeps what it has asked for waiting
 * in its own buffer, one that sends nonsense is told so or dropped, and when
 * all places are taken the one that was silent longest makes room.  What takes
 * long is answered later, and its client waits alone.  No other thread knows
 * that there are clients.
 */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console.h"
#include "log.h"

#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)

struct client {
	int fd;
	u64 spoke; /* the turn in which something came or went last; 0: there is no client */
	char in[CTL_LINE];
	size_t n_in;
	int passed; /* the descriptor that came last, -1: none, or it was taken */
	char *out; /* the answer that is being sent, or NULL */
	size_t out_len, out_at;
	u64 ticket; /* of the answer that is to come; 0: none is */
	void (*gone)(u64 ticket);
};

static struct {
	int listener, dir, epoll;
	struct sockaddr_un address;
	char base[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* in dir */
	struct stat st; /* the socket is ours as long as it is this one */
	uid_t owner;	/* who may connect, besides root */
	const struct ctl_command *commands;
	struct client client[CTL_CLIENTS];
	struct client *asking; /* whose request is being carried out */
	u64 turn, tickets;
} ctl = { .listener = -1, .dir = -1, .epoll = -1 };

/* --- the socket's name ------------------------------------------------------------ */

struct search {
	const char *name;
	bool found;
};

static bool is_it(const struct ctl_found *g, int fd, void *arg)
{
	struct search *s = arg;

	close(fd);
	s->found = !strcmp(g->name, s->name);
	return !s->found;
}

/* Bind; a socket that nobody listens to any more is replaced. */
static int bind_or_replace(const char *name, char *err, size_t err_size)
{
	const struct sockaddr *address = (const struct sockaddr *)&ctl.address;
	mode_t mask = umask(0177);
	int r = bind(ctl.listener, address, sizeof(ctl.address)), fd;
	struct stat st;

	if (r && errno == EADDRINUSE) {
		fd = ctl_connect(&ctl.address);
		if (fd >= 0 || errno == EAGAIN) {
			close(fd);
			umask(mask);
			return FAIL("a guest called %s is running (%s): choose another --name or --sock", name,
				    ctl.address.sun_path);
		}
		errno = EADDRINUSE;
		if (!fstatat(ctl.dir, ctl.base, &st, AT_SYMLINK_NOFOLLOW) && S_ISSOCK(st.st_mode) &&
		    !unlinkat(ctl.dir, ctl.base, 0))
			r = bind(ctl.listener, address, sizeof(ctl.address));
	}
	umask(mask);
	if (r || fstatat(ctl.dir, ctl.base, &ctl.st, AT_SYMLINK_NOFOLLOW))
		return FAIL("cannot make the control socket %s: %s", ctl.address.sun_path, strerror(errno));
	return 0;
}

static int open_dir_of(const char *path, char *err, size_t err_size)
{
	const char *slash = strrchr(path, '/');
	char dir[sizeof(ctl.address.sun_path)];

	if (!ctl_address(&ctl.address, NULL, path))
		return FAIL("--sock %s: the path is too long for a socket; at most %zu bytes", path,
			    sizeof(ctl.address.sun_path) - 1);
	snprintf(ctl.base, sizeof(ctl.base), "%s", slash ? slash + 1 : path);
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	ctl.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return ctl.dir < 0 ? FAIL("--sock %s: %s: %s", path, dir, strerror(errno)) : 0;
}

static int open_dir_for(const char *name, uid_t uid, int *lock, char *err, size_t err_size)
{
	struct search s = { .name = name };
	char dir[256];

	ctl_dir_each(is_it, &s);
	if (s.found)
		return FAIL("a guest called %s is running: choose another --name", name);
	ctl.dir = ctl_dir_open(uid, lock, dir, sizeof(dir), err, err_size);
	if (ctl.dir < 0)
		return -1;
	snprintf(ctl.base, sizeof(ctl.base), "%s.sock", name);
	if (!ctl_address(&ctl.address, dir, name))
		return FAIL("%s/%s.sock: the path is too long for a socket; use --sock", dir, name);
	return 0;
}

int ctl_open(const char *name, const char *path, uid_t uid, char *err, size_t err_size)
{
	static bool registered;
	int r, lock = -1;

	r = path ? open_dir_of(path, err, err_size) : open_dir_for(name, uid, &lock, err, err_size);
	if (!r) {
		ctl.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		ctl.epoll = epoll_create1(EPOLL_CLOEXEC);
		ctl.owner = getuid();
		r = ctl.listener < 0 || ctl.epoll < 0 ? FAIL("cannot make a control socket: %s", strerror(errno)) :
							bind_or_replace(name, err, err_size);
	}
	if (!r && listen(ctl.listener, CTL_CLIENTS))
		r = FAIL("cannot listen on the control socket %s: %s", ctl.address.sun_path, strerror(errno));
	if (lock >= 0) {
		flock(lock, LOCK_UN); /* ctl.dir may be the same open file */
		close(lock);
	}
	if (r)
		ctl_close();
	else if (!registered)
		registered = !atexit(ctl_close); /* die() comes by there, too */
	return r;
}

/* --- clients ------------------------------------------------------------------------ */

static void drop_passed(struct client *c)
{
	if (c->passed >= 0)
		close(c->passed);
	c->passed = -1;
}

static void drop(struct client *c)
{
	u64 ticket = c->ticket;
	void (*gone)(u64 ticket) = c->gone;

	close(c->fd);
	drop_passed(c);
	free(c->out);
	memset(c, 0, sizeof(*c));
	if (ticket)
		gone(ticket);
}

/*
 * Tell epoll what to wait for: an answer to go, or a request to come.  Who
 * waits for an answer that is not there yet can only hang up.
 */
static void wait_for(struct client *c, int op)
{
	struct epoll_event e = { .events = c->out ? EPOLLOUT : c->ticket ? 0 : EPOLLIN, .data.ptr = c };

	if (epoll_ctl(ctl.epoll, op, c->fd, &e))
		drop(c);
}

static struct client *place_for_one(void)
{
	struct client *longest = &ctl.client[0];

	for (unsigned i = 0; i < CTL_CLIENTS; i++) {
		if (!ctl.client[i].spoke)
			return &ctl.client[i];
		if (ctl.client[i].spoke < longest->spoke)
			longest = &ctl.client[i];
	}
	drop(longest);
	return longest;
}

static void take_client(void)
{
	int fd = accept4(ctl.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct client *c;

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || (peer.uid && peer.uid != ctl.owner)) {
		close(fd);
		return;
	}
	c = place_for_one();
	c->fd = fd;
	c->passed = -1;
	c->spoke = ++ctl.turn;
	wait_for(c, EPOLL_CTL_ADD);
}

const struct ctl_command *ctl_find(const struct ctl_command *table, const char *name, size_t len)
{
	for (; table->name; table++)
		if (strlen(table->name) == len && !memcmp(table->name, name, len))
			return table;
	return NULL;
}

static bool say_help(FILE *f)
{
	for (const struct ctl_command *k = ctl.commands; k->name; k++)
		fprintf(f, "%s\t%s\n", k->name, k->help);
	return true;
}

/* Do what a line says; what is said of it. */
static bool carry_out(char *line, FILE *f)
{
	char *argument = strchr(line, ' ');
	const struct ctl_command *k;

	if (argument)
		*argument++ = '\0';
	if (!strcmp(line, "help"))
		return say_help(f);
	k = ctl_find(ctl.commands, line, strlen(line));
	if (k)
		return k->run(argument ? argument : "", f);
	fprintf(f, "unknown command; there are ");
	for (k = ctl.commands; k->name; k++)
		fprintf(f, "%s, ", k->name);
	fprintf(f, "help\n");
	return false;
}

/* An answer, ready to go; false: there is no memory for it. */
static bool put_answer(struct client *c, bool ok, const char *body, size_t len)
{
	size_t whole;
	FILE *out = open_memstream(&c->out, &whole);

	if (!out)
		return false;
	fprintf(out, "%s %s %zu\n", CTL_HELLO, ok ? "ok" : "error", len);
	fwrite(body, 1, len, out);
	if (fclose(out))
		return false;
	c->out_len = whole;
	c->out_at = 0;
	return c->out;
}

/* The answer to a line, unless it comes later; false: there can be none. */
static bool answer(struct client *c, char *line)
{
	char *body = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&body, &len);
	bool ok;

	if (!f)
		return false;
	ctl.asking = c;
	ok = carry_out(line, f);
	ctl.asking = NULL;
	drop_passed(c); /* nobody wanted it */
	if (fclose(f) || !body || len > CTL_ANSWER) {
		free(body);
		return false;
	}
	ok = c->ticket || put_answer(c, ok, body, len);
	free(body);
	return ok;
}

/* false: it is gone. */
static bool send_some(struct client *c)
{
	while (c->out_at < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->out_at += (size_t)n;
		c->spoke = ++ctl.turn;
	}
	free(c->out);
	c->out = NULL;
	return true;
}

/* Answer the lines that are there, as far as the answers can be sent. */
static bool serve_lines(struct client *c)
{
	char *end;

	while (!c->out && !c->ticket && (end = memchr(c->in, '\n', c->n_in))) {
		char line[CTL_LINE];
		size_t n = (size_t)(end - c->in);

		memcpy(line, c->in, n);
		line[n] = '\0';
		if (n && line[n - 1] == '\r')
			line[n - 1] = '\0';
		c->n_in -= n + 1;
		memmove(c->in, end + 1, c->n_in);
		if (!answer(c, line) || !send_some(c))
			return false;
	}
	/* A line that does not end is none of ours. */
	return c->out || c->ticket || c->n_in < sizeof(c->in);
}

/* Of the descriptors that came along, the last. */
static void take_passed(struct client *c, struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			drop_passed(c);
			memcpy(&c->passed, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
		}
	}
}

static bool receive(struct client *c)
{
	struct iovec iov = { .iov_base = c->in + c->n_in, .iov_len = sizeof(c->in) - c->n_in };
	union {
		struct cmsghdr head;
		u8 space[CMSG_SPACE(sizeof(int))];
	} control; /* of more descriptors than one the kernel closes the others */
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);

	if (n > 0)
		take_passed(c, &m);
	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	c->n_in += (size_t)n;
	c->spoke = ++ctl.turn;
	return serve_lines(c);
}

int ctl_take_fd(void)
{
	int fd = ctl.asking ? ctl.asking->passed : -1;

	if (fd >= 0)
		ctl.asking->passed = -1;
	return fd;
}

u64 ctl_defer(void (*gone)(u64 ticket))
{
	ctl.asking->gone = gone;
	ctl.asking->ticket = ++ctl.tickets;
	return ctl.tickets;
}

void ctl_answer(u64 ticket, bool ok, const char *text)
{
	struct client *c = ctl.client;

	while (c < ctl.client + CTL_CLIENTS && c->ticket != ticket)
		c++;
	if (c == ctl.client + CTL_CLIENTS)
		return;
	c->ticket = 0;
	if (put_answer(c, ok, text, strlen(text)) && send_some(c) && serve_lines(c))
		wait_for(c, EPOLL_CTL_MOD);
	else
		drop(c);
}

static void serve_client(struct client *c, u32 events)
{
	bool here = !(events & (EPOLLERR | (c->out || c->ticket ? EPOLLHUP : 0)));

	if (!c->spoke) /* made room for another in this very turn */
		return;
	if (here && c->out)
		here = send_some(c) && serve_lines(c);
	else if (here && !c->ticket)
		here = receive(c);
	if (here)
		wait_for(c, EPOLL_CTL_MOD);
	else
		drop(c);
}

/* Main thread, from console_run(). */
static void serve(void)
{
	struct epoll_event e[CTL_CLIENTS + 1];
	int n = epoll_wait(ctl.epoll, e, CTL_CLIENTS + 1, 0);

	for (int i = 0; i < n; i++)
		if (e[i].data.ptr)
			serve_client(e[i].data.ptr, e[i].events);
	/* New ones last: none of those above is somebody else by then. */
	for (int i = 0; i < n; i++)
		if (!e[i].data.ptr)
			take_client();
}

void ctl_serve(const struct ctl_command *commands)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };

	if (ctl.listener < 0)
		return;
	ctl.commands = commands;
	if (!epoll_ctl(ctl.epoll, EPOLL_CTL_ADD, ctl.listener, &e))
		console_watch(ctl.epoll, serve);
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void ctl_close(void)
{
	struct stat st;

	for (unsigned i = 0; i < CTL_CLIENTS; i++)
		if (ctl.client[i].spoke)
			drop(&ctl.client[i]);
	if (ctl.st.st_ino && !fstatat(ctl.dir, ctl.base, &st, AT_SYMLINK_NOFOLLOW) &&
	    st.st_ino == ctl.st.st_ino && st.st_dev == ctl.st.st_dev)
		unlinkat(ctl.dir, ctl.base, 0);
	memset(&ctl.st, 0, sizeof(ctl.st));
	close_one(&ctl.listener);
	close_one(&ctl.epoll);
	close_one(&ctl.dir);
}
