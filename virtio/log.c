// SPDX-License-Identifier: MIT
/*
 * log.c - one line on stderr per message, written with one system call so
 * that lines of different threads do not mix.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"

bool log_verbose;
static bool terminal_is_raw;

void log_raw_terminal(bool raw)
{
	terminal_is_raw = raw;
}

static void say(const char *fmt, va_list ap)
{
	int saved = errno, len;
	char *text = NULL;

	len = vasprintf(&text, fmt, ap);
	struct iovec line[] = {
		{ (char *)"ringlet: ", strlen("ringlet: ") },
		{ len < 0 ? (char *)fmt : text, len < 0 ? strlen(fmt) : (size_t)len },
		{ (char *)"\r\n" + !terminal_is_raw, terminal_is_raw ? 2 : 1 },
	};
	if (writev(STDERR_FILENO, line, ARRAY_SIZE(line)) < 0)
		errno = 0; /* nobody left to tell */
	if (len >= 0)
		free(text);
	errno = saved;
}

static bool write_all(const char *s, size_t len)
{
	while (len) {
		ssize_t n = write(STDERR_FILENO, s, len);

		if (n < 0 && errno != EINTR)
			return false; /* nobody left to tell */
		n = MAX(n, 0);
		s += n;
		len -= (size_t)n;
	}
	return true;
}

static void write_document(const char *text)
{
	size_t len;

	if (!terminal_is_raw) {
		write_all(text, strlen(text));
		return;
	}
	for (; *text; text += len + 1) {
		len = strcspn(text, "\n");
		if (!write_all(text, len) || !write_all("\r\n", 2) || !text[len])
			return;
	}
}

/* What it writes, malloc'ed; NULL: there is no memory for it. */
static char *text_of(void (*write_it)(FILE *f, const void *arg), const void *arg)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	write_it(f, arg);
	fclose(f);
	return text;
}

void log_document(void (*write_it)(FILE *f, const void *arg), const void *arg)
{
	char *text = text_of(write_it, arg);

	if (text)
		write_document(text);
	free(text);
}

void info_document(void (*write_it)(FILE *f, const void *arg), const void *arg)
{
	char *text = log_verbose ? text_of(write_it, arg) : NULL, *rest = text, *line;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			info("%s", line);
	free(text);
}

#define SAY(fmt)                   \
	do {                       \
		va_list ap;        \
		va_start(ap, fmt); \
		say(fmt, ap);      \
		va_end(ap);        \
	} while (0)

void warn(const char *fmt, ...)
{
	SAY(fmt);
}

/*
 * A guest may make us complain as often as it likes (by resetting a device
 * and starting over): in each window of WINDOW_NS the first BURST lines are
 * printed.  Two threads at the window's edge may print one too many.
 */
#define BURST 20
#define WINDOW_NS 10000000000ULL

static bool guest_may_speak(void)
{
	static u64 window;
	static unsigned said;
	u64 start = __atomic_load_n(&window, __ATOMIC_RELAXED), now = clock_ns();

	if (!start || now - start >= WINDOW_NS) {
		__atomic_store_n(&window, now, __ATOMIC_RELAXED);
		__atomic_store_n(&said, 0, __ATOMIC_RELAXED);
	}
	return __atomic_fetch_add(&said, 1, __ATOMIC_RELAXED) < BURST;
}

void guest_warn(const char *fmt, ...)
{
	if (guest_may_speak())
		SAY(fmt);
}

void info(const char *fmt, ...)
{
	if (log_verbose)
		SAY(fmt);
}

void die(const char *fmt, ...)
{
	SAY(fmt);
	exit(EXIT_HOST_ERROR);
}

void die_args(const char *fmt, ...)
{
	SAY(fmt);
	exit(EXIT_BAD_ARGS);
}
