// SPDX-License-Identifier: MIT
/*
 * ctl-corpus.c - all that a client of the control socket sends, in pieces (a
 * byte 0xff is where it pauses), and then it goes: the next one is served.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "console.h"
#include "corpus.h"
#include "ctl.h"

#define TURNS 1000
#define PAUSE 0xff

static int watched = -1;
static void (*served)(void);
static u64 ticket;

/* Stands in for the console's. */
unsigned console_watch(int fd, void (*call)(void))
{
	watched = fd;
	served = call;
	return 0;
}

static void turns(void)
{
	struct pollfd p = { .fd = watched, .events = POLLIN };

	for (unsigned i = 0; i < TURNS && poll(&p, 1, 0) == 1; i++)
		served();
}

static bool echo(const char *argument, FILE *f)
{
	fprintf(f, "<%s>", argument);
	return true;
}

static void gone(u64 t)
{
	MUST(t == ticket);
}

static bool later(const char *argument, FILE *f)
{
	(void)argument;
	(void)f;
	ticket = ctl_defer(gone);
	return true;
}

static bool file(const char *argument, FILE *f)
{
	(void)argument;
	fprintf(f, "%d", ctl_take_fd());
	return false;
}

static const struct ctl_command commands[] = {
	{ "echo", "", echo }, { "later", "", later }, { "file", "", file }, { NULL },
};

static void open_server(void)
{
	static char dir[] = "/tmp/ringlet-corpus.XXXXXX";
	char err[512];

	MUST(mkdtemp(dir) && !setenv("XDG_RUNTIME_DIR", dir, 1));
	MUST(!ctl_open("fuzz", NULL, getuid(), err, sizeof(err)));
	ctl_serve(commands);
}

static bool found(const struct ctl_found *guest, int fd, void *arg)
{
	(void)guest;
	*(int *)arg = fd;
	return false;
}

static int client(void)
{
	int fd = -1;

	ctl_dir_each(found, &fd);
	MUST(fd >= 0);
	turns();
	return fd;
}

static void say(int fd, const uint8_t *data, size_t size)
{
	char answer[4096];

	if (size)
		send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	turns();
	while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		turns();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char answer[64] = "";
	int fd;

	if (watched < 0)
		open_server();
	fd = client();
	for (const uint8_t *end; (end = memchr(data, PAUSE, size)); size -= (size_t)(end + 1 - data), data = end + 1)
		say(fd, data, (size_t)(end - data));
	say(fd, data, size);
	if (size % 2)
		ctl_answer(ticket, true, "at last\n");
	turns();
	close(fd);
	turns();
	fd = client();
	MUST(send(fd, "echo fine\n", 10, MSG_NOSIGNAL) == 10);
	turns();
	MUST(recv(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT) > 0 && !strcmp(answer, "ringlet/1 ok 6\n<fine>"));
	close(fd);
	turns();
	return 0;
}

#ifndef LIBFUZZER

static void replay(void)
{
	corpus_replay("ctl", 5);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "after what was once found to lead somewhere the next client is served", replay },
	};
	int r = check_run(tests, ARRAY_SIZE(tests));

	ctl_close();
	rmdir(getenv("XDG_RUNTIME_DIR") ? getenv("XDG_RUNTIME_DIR") : "");
	return r;
}

#endif
