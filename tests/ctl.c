// SPDX-License-Identifier: MIT
/*
 * ctl.c - the control socket and those who connect to it: friends, the
 * impatient, the silent, and who sends whatever comes to mind.  Server and
 * clients take turns in one thread, so nothing here depends on time.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "console.h"
#include "ctl.h"
#include "driver.h"

#define BIG (2 * MiB)
#define TURNS 20000

static char dir[] = "/tmp/ringlet-ctl.XXXXXX", path[200], err[512];
static int watched = -1;
static void (*served)(void);

/* Stands in for the console's: main's loop is turns(), below. */
unsigned console_watch(int fd, void (*call)(void))
{
	watched = fd;
	served = call;
	return 0;
}

/* --- a server with a few commands -------------------------------------------------- */

static unsigned asked;

static bool echo(const char *argument, FILE *f)
{
	asked++;
	fprintf(f, "<%s>", argument);
	return true;
}

static bool refuse(const char *argument, FILE *f)
{
	fprintf(f, "not '%s'\n", argument);
	return false;
}

static bool big(const char *argument, FILE *f)
{
	(void)argument;
	for (unsigned i = 0; i < BIG / 16; i++)
		fprintf(f, "%015u\n", i);
	return true;
}

static bool too_big(const char *argument, FILE *f)
{
	(void)argument;
	for (unsigned i = 0; i <= CTL_ANSWER / 16; i++)
		fprintf(f, "%015u\n", i);
	return true;
}

static u64 ticket, gone_ticket;

static void client_gone(u64 t)
{
	gone_ticket = t;
}

static bool later(const char *argument, FILE *f)
{
	ticket = ctl_defer(client_gone);
	fprintf(f, "this is not said: %s", argument);
	return false;
}

/* The size of the file that came along. */
static bool size_of(const char *argument, FILE *f)
{
	int fd = ctl_take_fd();
	struct stat st;

	(void)argument;
	if (fd < 0) {
		fprintf(f, "no file");
		return false;
	}
	fprintf(f, "%lld", fstat(fd, &st) ? -1LL : (long long)st.st_size);
	fcntl(fd, F_GETFD) & FD_CLOEXEC ? 0 : fprintf(f, ", and inherited");
	close(fd);
	return true;
}

static const struct ctl_command commands[] = {
	{ "echo", "says it back", echo },
	{ "later", "says it later", later },
	{ "size", "of a file", size_of },
	{ "refuse", "does not", refuse },
	{ "big", "says a lot", big },
	{ "too_big", "says too much", too_big },
	{ NULL },
};

/* What the main loop does when the socket has something, as long as it has. */
static void turns(void)
{
	struct pollfd p = { .fd = watched, .events = POLLIN };

	for (unsigned i = 0; i < TURNS && poll(&p, 1, 0) == 1; i++)
		served();
}

static void open_server(void)
{
	ctl_close();
	CHECK_EQ(ctl_open("web", NULL, getuid(), err, sizeof(err)), 0);
	ctl_serve(commands);
	CHECK(watched >= 0);
	asked = 0;
}

/* --- clients ------------------------------------------------------------------------- */

static int connect_to(const char *where)
{
	struct sockaddr_un a;
	int fd;

	CHECK(ctl_address(&a, NULL, where));
	fd = ctl_connect(&a);
	CHECK(fd >= 0);
	return fd;
}

static int client(void)
{
	int fd = connect_to(path);

	turns();
	return fd;
}

static void say(int fd, const char *what)
{
	CHECK_EQ(send(fd, what, strlen(what), MSG_NOSIGNAL), strlen(what));
	turns();
}

/* What there is to read now. */
static const char *heard(int fd)
{
	static char text[4096];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[MAX(n, 0)] = '\0';
	return text;
}

static bool is_closed(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	return !n || (n < 0 && errno == ECONNRESET);
}

/* --- requests and answers -------------------------------------------------------------- */

static void a_line_and_its_answer(void)
{
	int fd;

	open_server();
	fd = client();
	say(fd, "echo hello you\n");
	CHECK_STR(heard(fd), "ringlet/1 ok 11\n<hello you>");
	say(fd, "echo\r\n");
	CHECK_STR(heard(fd), "ringlet/1 ok 2\n<>");
	say(fd, "refuse me\n");
	CHECK_STR(heard(fd), "ringlet/1 error 9\nnot 'me'\n");
	say(fd, "\n");
	CHECK_HAS(heard(fd), "ringlet/1 error ");
	say(fd, "ech\n");
	CHECK_HAS(heard(fd), "unknown command; there are echo, later, size, refuse, big, too_big, help\n");
	say(fd, "help\n");
	CHECK_HAS(heard(fd), "echo\tsays it back\nlater\t");
	close(fd);
	turns();
}

static void pieces_and_several(void)
{
	int fd, half;

	open_server();
	fd = client();
	for (const char *s = "echo abc"; *s; s++) {
		say(fd, (char[]){ *s, 0 });
		CHECK_STR(heard(fd), "");
	}
	say(fd, "\necho d\nec");
	CHECK_STR(heard(fd), "ringlet/1 ok 5\n<abc>ringlet/1 ok 3\n<d>");
	say(fd, "ho e\n");
	CHECK_STR(heard(fd), "ringlet/1 ok 3\n<e>");
	close(fd);
	/* Who has said all there is to say still gets the answers. */
	half = connect_to(path);
	CHECK_EQ(send(half, "echo 1\necho 2\n", 14, 0), 14);
	shutdown(half, SHUT_WR);
	turns();
	CHECK_STR(heard(half), "ringlet/1 ok 3\n<1>ringlet/1 ok 3\n<2>");
	CHECK(is_closed(half));
	close(half);
}

static void lines_have_an_end(void)
{
	char line[CTL_LINE + 2];
	int fd;

	open_server();
	memset(line, 'x', sizeof(line));
	fd = client();
	line[CTL_LINE - 1] = '\n';
	line[CTL_LINE] = '\0';
	say(fd, line);
	CHECK_HAS(heard(fd), "unknown command");
	line[CTL_LINE - 1] = 'x';
	say(fd, line);
	CHECK(is_closed(fd));
	close(fd);
	/* A byte of zero is one of a line's, and no end of it. */
	fd = client();
	CHECK_EQ(send(fd, "echo a\0b\n", 9, 0), 9);
	turns();
	CHECK_STR(heard(fd), "ringlet/1 ok 3\n<a>");
	close(fd);
}

/* --- answers that come later, and files that come along ------------------------------- */

static void an_answer_comes_later(void)
{
	int fd, other;

	open_server();
	ticket = gone_ticket = 0;
	fd = client();
	say(fd, "later x\necho behind it\n");
	CHECK(ticket);
	CHECK_STR(heard(fd), "");
	/* Others are not kept waiting, and it is not forgotten among them. */
	other = client();
	say(other, "echo b\n");
	CHECK_STR(heard(other), "ringlet/1 ok 3\n<b>");
	say(fd, "echo too\n");
	CHECK_STR(heard(fd), "");
	ctl_answer(ticket + 1, true, "nobody's");
	CHECK_STR(heard(fd), "");
	ctl_answer(ticket, false, "sorry\n");
	turns();
	CHECK_STR(heard(fd), "ringlet/1 error 6\nsorry\nringlet/1 ok 11\n<behind it>ringlet/1 ok 5\n<too>");
	CHECK_EQ(gone_ticket, 0);
	ctl_answer(ticket, true, "twice");
	CHECK_STR(heard(fd), "");
	/* Who said all there is to say still waits for it; who hung up does not. */
	say(fd, "later\n");
	shutdown(fd, SHUT_WR);
	turns();
	CHECK_EQ(gone_ticket, 0);
	ctl_answer(ticket, true, "at last");
	turns();
	CHECK_STR(heard(fd), "ringlet/1 ok 7\nat last");
	CHECK(is_closed(fd));
	close(fd);
	say(other, "later\n");
	close(other);
	turns();
	CHECK_EQ(gone_ticket, ticket);
	ctl_answer(ticket, true, "nobody's");
	/* Nor is one answered when the guest ends. */
	other = client();
	say(other, "later\n");
	ctl_close();
	CHECK_EQ(gone_ticket, ticket);
	CHECK(is_closed(other));
	close(other);
}

/* Say it with so many descriptors of this file. */
static void say_with(int fd, const char *what, int file, unsigned n)
{
	struct iovec iov = { .iov_base = (char *)what, .iov_len = strlen(what) };
	union {
		struct cmsghdr head;
		u8 space[CMSG_SPACE(200 * sizeof(int))];
	} control = { .head = { CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int)),
	};

	for (unsigned i = 0; i < n; i++)
		memcpy(CMSG_DATA(&control.head) + i * sizeof(int), &file, sizeof(file));
	CHECK_EQ(sendmsg(fd, &m, MSG_NOSIGNAL), iov.iov_len);
	turns();
}

static unsigned open_descriptors(void)
{
	unsigned n = 0;

	for (int i = 0; i < 1024; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static void a_file_comes_along(void)
{
	int file = memfd_create("file", MFD_CLOEXEC), fd;
	unsigned before;

	open_server();
	CHECK_EQ(ftruncate(file, 12345), 0);
	fd = client();
	before = open_descriptors();
	say(fd, "size\n");
	CHECK_STR(heard(fd), "ringlet/1 error 7\nno file");
	say_with(fd, "size\n", file, 1);
	CHECK_STR(heard(fd), "ringlet/1 ok 5\n12345");
	/* In pieces, and one that replaces another. */
	say_with(fd, "si", file, 1);
	say_with(fd, "ze", file, 1);
	say(fd, "\n");
	CHECK_STR(heard(fd), "ringlet/1 ok 5\n12345");
	/* What nobody wants, or too many at once, is closed. */
	say_with(fd, "echo x\n", file, 1);
	CHECK_STR(heard(fd), "ringlet/1 ok 3\n<x>");
	say(fd, "size\n");
	CHECK_HAS(heard(fd), "error");
	say_with(fd, "echo x\n", file, 200);
	CHECK_STR(heard(fd), "ringlet/1 ok 3\n<x>");
	CHECK_EQ(open_descriptors(), before);
	say_with(fd, "si", file, 1);
	close(fd);
	turns();
	CHECK_EQ(open_descriptors(), before - 2);
	close(file);
}

/* --- who harms nobody --------------------------------------------------------------------- */

static void read_big(int fd)
{
	static const char head[] = "ringlet/1 ok 2097152\n";
	static char text[sizeof(head) - 1 + BIG];
	size_t n = 0;

	for (unsigned i = 0; n < sizeof(text) && i < TURNS; i++) {
		ssize_t r = recv(fd, text + n, sizeof(text) - n, MSG_DONTWAIT);

		n += (size_t)MAX(r, 0);
		turns();
	}
	CHECK_EQ(n, sizeof(text));
	CHECK(!memcmp(text, head, strlen(head)));
	CHECK(!memcmp(text + n - 16, "000000000131071\n", 16));
}

static void a_client_that_does_not_read(void)
{
	int slow, other;

	open_server();
	slow = client();
	say(slow, "big\necho after\n");
	/* It keeps nobody waiting. */
	other = client();
	for (unsigned i = 0; i < 10; i++) {
		say(other, "echo x\n");
		CHECK_STR(heard(other), "ringlet/1 ok 3\n<x>");
	}
	CHECK_EQ(asked, 10);
	read_big(slow);
	CHECK_EQ(asked, 11);
	CHECK_STR(heard(slow), "ringlet/1 ok 7\n<after>");
	/* Nor when it goes in the middle. */
	say(slow, "big\n");
	close(slow);
	say(other, "echo y\n");
	CHECK_STR(heard(other), "ringlet/1 ok 3\n<y>");
	close(other);
	turns();
}

static void an_answer_that_is_too_long(void)
{
	int fd;

	open_server();
	fd = client();
	say(fd, "too_big\n");
	CHECK(is_closed(fd));
	close(fd);
}

static void the_silent_make_room(void)
{
	int fd[CTL_CLIENTS], more[3];

	open_server();
	for (unsigned i = 0; i < CTL_CLIENTS; i++)
		fd[i] = client();
	say(fd[0], "echo x\n"); /* the oldest, but not the most silent */
	CHECK_STR(heard(fd[0]), "ringlet/1 ok 3\n<x>");
	for (unsigned i = 0; i < 3; i++)
		more[i] = client();
	for (unsigned i = 0; i < CTL_CLIENTS; i++)
		CHECK_EQ(is_closed(fd[i]), i >= 1 && i <= 3);
	for (unsigned i = 0; i < 3; i++) {
		say(more[i], "echo m\n");
		CHECK_STR(heard(more[i]), "ringlet/1 ok 3\n<m>");
		close(more[i]);
	}
	for (unsigned i = 0; i < CTL_CLIENTS; i++)
		close(fd[i]);
	turns();
}

/* Clients that come, say anything, half of it true, and go. */
static void anything(void)
{
	static const char *const words[] = { "echo ", "big\n", "help\n", "refuse", "\n", "\r\n", "echo a\n", " ",
					     "later\n", "size\n", "too_big\n" };
	int fd[2 * CTL_CLIENTS], good;
	u64 seed = 20261122;

	open_server();
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = -1;
	for (unsigned n = 0; n < 4000; n++) {
		int *c = &fd[random_next(&seed) % ARRAY_SIZE(fd)];
		u8 bytes[600];
		size_t len = random_next(&seed) % sizeof(bytes);
		const char *word = words[random_next(&seed) % (ARRAY_SIZE(words) - !!(n % 50))];
		struct sockaddr_un a;

		if (*c < 0) {
			CHECK(ctl_address(&a, NULL, path));
			*c = ctl_connect(&a);
			CHECK(*c >= 0 || errno == EAGAIN);
		}
		switch (*c < 0 ? 5 : random_next(&seed) % 6) {
		case 0:
			close(*c);
			*c = -1;
			break;
		case 1:
			random_fill(bytes, len, seed);
			send(*c, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
			break;
		case 2:
			recv(*c, bytes, len, MSG_DONTWAIT);
			break;
		case 3:
			shutdown(*c, random_next(&seed) % 2 ? SHUT_WR : SHUT_RD);
			break;
		default:
			if (*c >= 0)
				send(*c, word, strlen(word), MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		if (n % 7 == 0)
			ctl_answer(ticket, n % 2, "later");
		if (random_next(&seed) % 3)
			turns();
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	turns();
	good = client();
	say(good, "echo fine\n");
	CHECK_STR(heard(good), "ringlet/1 ok 6\n<fine>");
	close(good);
	turns();
}

/* --- names and directories --------------------------------------------------------------- */

static void only_the_user_may(void)
{
	struct stat st;

	open_server();
	CHECK_EQ(stat(path, &st), 0);
	CHECK(S_ISSOCK(st.st_mode));
	CHECK_EQ(st.st_mode & 0777, 0600);
	snprintf(path, sizeof(path), "%s/ringlet", dir);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 077, getuid() ? 0 : 011);
	snprintf(path, sizeof(path), "%s/ringlet/web.sock", dir);
	ctl_close();
	CHECK_EQ(stat(path, &st), -1);
	CHECK_EQ(errno, ENOENT);
}

static char found[256];

static bool note(const struct ctl_found *g, int fd, void *arg)
{
	(void)arg;
	close(fd);
	snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s ", g->name);
	return true;
}

static const char *names(void)
{
	*found = '\0';
	ctl_dir_each(note, NULL);
	return found;
}

/* A socket whose owner is gone, as after a SIGKILL. */
static void leave_stale(const char *where)
{
	struct sockaddr_un a;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(ctl_address(&a, NULL, where));
	CHECK_EQ(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	CHECK_EQ(listen(fd, 1), 0);
	close(fd);
}

static void the_dead_are_cleared_away(void)
{
	char stale[256], other[256];
	struct stat st;
	int fd;

	ctl_close();
	snprintf(stale, sizeof(stale), "%s/ringlet/old.sock", dir);
	leave_stale(stale);
	leave_stale(path); /* of the very name that is wanted */
	open_server();
	CHECK_STR(names(), "web ");
	CHECK_EQ(stat(stale, &st), -1);
	/* Nor does anybody see a name that is more than a name. */
	snprintf(other, sizeof(other), "%s/ringlet/w\033[2Jeb.sock", dir);
	CHECK_EQ(link(path, other), 0);
	CHECK_STR(names(), "web ");
	unlink(other);
	/* What is no socket is nobody's guest, and stays. */
	snprintf(other, sizeof(other), "%s/ringlet/note.sock", dir);
	fd = open(other, O_CREAT | O_WRONLY, 0600);
	close(fd);
	CHECK_STR(names(), "web ");
	CHECK_EQ(stat(other, &st), 0);
	ctl_close();
	CHECK_EQ(ctl_open("note", NULL, getuid(), err, sizeof(err)), -1);
	CHECK_HAS(err, "cannot make the control socket");
	CHECK_EQ(stat(other, &st), 0);
	unlink(other);
}

/* Another process has the name. */
static void names_are_taken_once(void)
{
	int go[2], done[2];
	char byte;
	pid_t pid;

	ctl_close();
	CHECK(!pipe(go) && !pipe(done));
	pid = fork();
	if (!pid) {
		byte = ctl_open("web", NULL, getuid(), err, sizeof(err)) ? 'n' : 'y';
		if (write(done[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(1);
		_exit(0); /* without a word, and without ctl_close() */
	}
	CHECK_EQ(read(done[0], &byte, 1), 1);
	CHECK_EQ(byte, 'y');
	CHECK_EQ(ctl_open("web", NULL, getuid(), err, sizeof(err)), -1);
	CHECK_STR(err, "a guest called web is running: choose another --name");
	CHECK_EQ(ctl_open("other", path, getuid(), err, sizeof(err)), -1);
	CHECK_HAS(err, "is running (");
	CHECK_EQ(ctl_open("webb", NULL, getuid(), err, sizeof(err)), 0);
	CHECK_STR(names(), strcmp(names(), "web webb ") ? "webb web " : "web webb ");
	ctl_close();
	CHECK_STR(names(), "web ");
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	open_server(); /* it left its socket behind */
	CHECK_STR(names(), "web ");
}

static void a_socket_of_ones_own(void)
{
	char own[256], long_path[300];
	struct stat st;
	int fd;

	ctl_close();
	snprintf(own, sizeof(own), "%s/own.sock", dir);
	CHECK_EQ(ctl_open("web", own, getuid(), err, sizeof(err)), 0);
	CHECK_EQ(stat(own, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK_STR(names(), ""); /* it is not where list looks */
	/* Taken away and made by somebody else: not ours to remove. */
	unlink(own);
	fd = open(own, O_CREAT | O_WRONLY, 0600);
	close(fd);
	ctl_close();
	CHECK_EQ(stat(own, &st), 0);
	unlink(own);
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	CHECK_EQ(ctl_open("web", long_path, getuid(), err, sizeof(err)), -1);
	CHECK_HAS(err, "the path is too long for a socket; at most 107 bytes");
	snprintf(own, sizeof(own), "%s/nowhere/own.sock", dir);
	CHECK_EQ(ctl_open("web", own, getuid(), err, sizeof(err)), -1);
	CHECK_HAS(err, "No such file or directory");
}

/* A directory that others can write, or that leads elsewhere, is not used. */
static void directories_are_looked_at(void)
{
	char sockets[256], elsewhere[256];

	ctl_close();
	snprintf(sockets, sizeof(sockets), "%s/ringlet", dir);
	snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", dir);
	CHECK_EQ(chmod(sockets, 0777), 0);
	CHECK_EQ(ctl_open("web", NULL, getuid(), err, sizeof(err)), -1);
	CHECK_HAS(err, "not a directory of yours that nobody else can write");
	CHECK_EQ(rmdir(sockets), 0);
	CHECK_EQ(mkdir(elsewhere, 0700), 0);
	CHECK_EQ(symlink(elsewhere, sockets), 0);
	CHECK_EQ(ctl_open("web", NULL, getuid(), err, sizeof(err)), -1);
	CHECK_HAS(err, "cannot use ");
	CHECK_STR(names(), "");
	unlink(sockets);
	rmdir(elsewhere);
	if (!getuid()) {
		CHECK_EQ(mkdir(sockets, 0700), 0);
		CHECK_EQ(chown(sockets, 12345, 12345), 0);
		CHECK_EQ(ctl_open("web", NULL, getuid(), err, sizeof(err)), -1);
		CHECK_STR(names(), "");
		rmdir(sockets);
	}
	open_server();
}

/* Root's ringlet becomes somebody else, who can remove the socket all the same. */
static void in_anothers_directory(void)
{
	char below[256];
	struct stat st;
	pid_t pid;
	int status;

	if (getuid())
		SKIP("only root becomes another user");
	ctl_close();
	CHECK_EQ(chmod(dir, 0711), 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (ctl_open("web", NULL, 12345, err, sizeof(err)) || setgid(12345) || setuid(12345))
			_exit(1);
		ctl_close();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	snprintf(below, sizeof(below), "%s/ringlet/12345", dir);
	CHECK_EQ(stat(below, &st), 0);
	CHECK_EQ(st.st_uid, 12345);
	CHECK_EQ(st.st_mode & 077, 0);
	CHECK_EQ(rmdir(below), 0); /* it is empty */
	CHECK_EQ(ctl_open("web", NULL, 12345, err, sizeof(err)), 0);
	CHECK_STR(names(), "web ");
	ctl_close();
	CHECK_EQ(rmdir(below), 0);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "a line is a request, and has an answer", a_line_and_its_answer },
		{ "lines come in pieces, and several at once", pieces_and_several },
		{ "a line that does not end is the client's end", lines_have_an_end },
		{ "an answer may come later, and only to who asked", an_answer_comes_later },
		{ "a file may come along, and none is left open", a_file_comes_along },
		{ "a client that does not read keeps nobody waiting", a_client_that_does_not_read },
		{ "an answer that is too long is none", an_answer_that_is_too_long },
		{ "when all places are taken, who was silent longest makes room", the_silent_make_room },
		{ "whatever clients send, in whatever order, the next one is served", anything },
		{ "only the user may connect, and at the end the socket is gone", only_the_user_may },
		{ "sockets of the dead are cleared away, and nothing else", the_dead_are_cleared_away },
		{ "a name is taken once, until its guest is gone", names_are_taken_once },
		{ "a path of one's own is used as it is", a_socket_of_ones_own },
		{ "directories that others can write are not used", directories_are_looked_at },
		{ "root's guests have theirs where they can remove them", in_anothers_directory },
	};
	char sockets[256];
	int status;

	if (!mkdtemp(dir))
		return 1;
	setenv("XDG_RUNTIME_DIR", dir, 1);
	snprintf(path, sizeof(path), "%s/ringlet/web.sock", dir);
	status = check_run(tests, ARRAY_SIZE(tests));
	ctl_close();
	snprintf(sockets, sizeof(sockets), "%s/ringlet", dir);
	rmdir(sockets);
	rmdir(dir);
	return status;
}
