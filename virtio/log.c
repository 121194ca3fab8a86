// SPDX-License-Identifier: MIT
/*
 * log.c - one line on stderr per message, written with one system call so
 * that lines of different threads do not mix.
 *
 * Where nobody reads stderr, words are lost and counted: who moves packets or
 * holds a lock cannot wait for a pager.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "std_stream.h"

bool log_verbose;
static bool terminal_is_raw;
static struct std_stream to = { .fd = STDERR_FILENO }; /* waits, before log_open() */
static unsigned lost;				       /* messages, or their ends, since one was written */

void log_open(void)
{
	std_open(&to, STDERR_FILENO, O_WRONLY);
}

int log_fd(void)
{
	return to.fd;
}

void log_raw_terminal(bool raw)
{
	terminal_is_raw = raw;
}

static bool write_all(const char *s, size_t len, int wait_ms)
{
	bool written = std_write_all(&to, s, len, wait_ms);

	__atomic_fetch_add(&lost, !written, __ATOMIC_RELAXED);
	return written;
}

/* Who is patient waits each time, others only for the first message that is lost. */
static void say(bool patient, const char *fmt, va_list ap)
{
	unsigned missing = __atomic_exchange_n(&lost, 0, __ATOMIC_RELAXED);
	int saved = errno, wait_ms = patient || !missing ? STD_PATIENCE_MS : 0;
	const char *end = terminal_is_raw ? "\r\n" : "\n";
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (f) {
		if (missing) /* the last of them perhaps not from its beginning */
			fprintf(f, "%sringlet: %u message%s lost here: nobody read standard error%s", end, missing,
				missing == 1 ? "" : "s", end);
		fputs("ringlet: ", f);
		vfprintf(f, fmt, ap);
		fputs(end, f);
		fclose(f);
	}
	if (!write_all(text ? text : fmt, text ? size : strlen(fmt), wait_ms))
		__atomic_fetch_add(&lost, missing, __ATOMIC_RELAXED);
	free(text);
	errno = saved;
}

static void write_document(const char *text)
{
	size_t len;

	if (!terminal_is_raw) {
		write_all(text, strlen(text), STD_PATIENCE_MS);
		return;
	}
	for (; *text; text += len + 1) {
		len = strcspn(text, "\n");
		if (!write_all(text, len, STD_PATIENCE_MS) || !write_all("\r\n", 2, STD_PATIENCE_MS) || !text[len])
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

#define SAY(patient, fmt)              \
	do {                           \
		va_list ap;            \
		va_start(ap, fmt);     \
		say(patient, fmt, ap); \
		va_end(ap);            \
	} while (0)

void warn(const char *fmt, ...)
{
	SAY(true, fmt);
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
		SAY(false, fmt);
}

void info(const char *fmt, ...)
{
	if (log_verbose)
		SAY(false, fmt);
}

void die(const char *fmt, ...)
{
	SAY(true, fmt);
	exit(EXIT_HOST_ERROR);
}

void die_args(const char *fmt, ...)
{
	SAY(true, fmt);
	exit(EXIT_BAD_ARGS);
}
