// SPDX-License-Identifier: MIT
/*
 * guest-sh [-w SECS] [-t SECS] ADDRESS COMMAND... - run shell commands in a
 * guest that booted build/guest/.../initrd (guest/agent.c is the other end).  Their
 * output, both streams, comes here as it appears, and their exit status is ours.
 *
 *	-w SECS		wait so long for the guest to come up (30)
 *	-t SECS		and so long for the command to end (120)
 *
 * 255: the guest did not answer, died, or ran out of time.
 *
 * A program, because where processors are emulated an interpreter takes longer to
 * start than most of these commands take to run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT 2323

static const char *address;

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "guest-sh: %s: ", address);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(255);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Whether there is something to read (or to write), before `until`. */
static bool ready(int s, short events, int64_t until)
{
	struct pollfd p = { .fd = s, .events = events };
	int64_t left = until - now_ms();

	return left > 0 && poll(&p, 1, (int)left) > 0;
}

/* A guest that is not there yet may refuse, or say nothing for long: ask again. */
static int call(const struct sockaddr_in *to, int64_t secs)
{
	int64_t until = now_ms() + secs * 1000;
	int error = ETIMEDOUT;

	do {
		int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		int64_t patience = now_ms() + 2000;
		socklen_t size = sizeof(error);

		if (s < 0)
			fail("%s", strerror(errno));
		error = connect(s, (const struct sockaddr *)to, sizeof(*to)) ? errno : 0;
		if (error == EINPROGRESS) {
			error = ETIMEDOUT;
			if (ready(s, POLLOUT, patience))
				getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &size);
			/* Is it there?  Asked again, it says so. */
			if (!error && connect(s, (const struct sockaddr *)to, sizeof(*to)) && errno != EISCONN)
				error = errno;
		}
		if (!error) {
			fcntl(s, F_SETFL, 0);
			return s;
		}
		close(s);
		usleep(100000);
	} while (now_ms() < until);
	fail("no answer within %lld s (%s)", (long long)secs, strerror(error));
}

static void encode(FILE *to, const char *s, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		unsigned bits = 0;

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (i + k < n ? (unsigned char)s[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			fputc(i + k > n ? '=' : digits[bits >> (18 - 6 * k) & 63], to);
	}
}

/* The command's words, as a shell would join them. */
static char *join(char **words)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (; *words; words++)
		fprintf(f, "%s%c", *words, words[1] ? ' ' : '\n');
	fclose(f);
	return text;
}

static void put(const char *s, size_t n)
{
	while (n) {
		ssize_t did = write(STDOUT_FILENO, s, n);

		if (did < 0)
			exit(255); /* nobody wants it */
		s += did;
		n -= (size_t)did;
	}
}

/*
 * Print what comes until the token, then a status and the end of the line: that is
 * returned.  What may be a piece of that is held back.  -1: nothing came.
 */
static int listen_to(int s, const char *token, int64_t secs)
{
	int64_t until = now_ms() + secs * 1000;
	static char text[65536 + 1];
	bool came = false;
	size_t n = 0;

	for (;;) {
		size_t mine = n < strlen(token) ? 0 : n - strlen(token);
		char *end = memmem(text, n, token, strlen(token));
		ssize_t did;

		if (end)
			mine = (size_t)(end - text);
		put(text, mine);
		n -= mine;
		memmove(text, text + mine, n);
		text[n] = '\0';
		if (end && strchr(text, '\n'))
			return atoi(text + strlen(token));
		if (!ready(s, POLLIN, until)) {
			put(text, n);
			fail("not done after %lld s", (long long)secs);
		}
		did = read(s, text + n, sizeof(text) - 1 - n);
		if (did <= 0 && !came)
			return -1;
		if (did <= 0) {
			put(text, n);
			fail("the connection ended before the command did");
		}
		n += (size_t)did;
		came = true;
	}
}

static void say(int s, const char *token, const char *command)
{
	FILE *f = fdopen(dup(s), "w");

	fprintf(f, "%s ", token);
	encode(f, command, strlen(command));
	fputc('\n', f);
	fclose(f);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int64_t wait = 30, time = 120;
	char token[24], *command;
	uint64_t chance;
	int s, c, status;

	while ((c = getopt(argc, argv, "+w:t:")) != -1) {
		if (c == 'w')
			wait = atoi(optarg);
		else if (c == 't')
			time = atoi(optarg);
		else
			return 2;
	}
	if (argc - optind < 2 || inet_pton(AF_INET, argv[optind], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: guest-sh [-w SECS] [-t SECS] ADDRESS COMMAND...\n");
		return 2;
	}
	address = argv[optind];
	signal(SIGPIPE, SIG_IGN); /* a guest that hangs up while we speak: it is seen when we listen */
	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		fail("getrandom: %s", strerror(errno));
	snprintf(token, sizeof(token), "end-%016llx", (unsigned long long)chance);
	command = join(argv + optind + 1);
	/* A guest that is just coming up may hang up on its first caller. */
	for (int again = 0; again < 2; again++) {
		s = call(&to, wait);
		say(s, token, command);
		status = listen_to(s, token, time);
		if (status >= 0)
			return status;
		close(s);
	}
	fail("the connection ended before the command did");
}
