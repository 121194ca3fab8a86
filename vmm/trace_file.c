// SPDX-License-Identifier: MIT
/*
 * trace_file.c - a trace read back.  The file may be anybody's: what is not as
 * it should be is refused or left out, and no number in it is used unchecked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tracer.h"

#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)

/* As much of it as there is; -1 and errno. */
static ssize_t read_all(int fd, void *to, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t r = read(fd, (u8 *)to + have, n - have);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (!r)
			break;
		have += (size_t)r;
	}
	return (ssize_t)have;
}

static int by_time(const void *a, const void *b)
{
	const struct trace_event *x = a, *y = b;

	/* Of one time: what begins with others in it comes first, else as in the file. */
	if (x->ns != y->ns)
		return x->ns < y->ns ? -1 : 1;
	if (x->took != y->took)
		return x->took > y->took ? -1 : 1;
	return x->bytes < y->bytes ? -1 : 1;
}

static bool is_event(const struct trace_file *t, const struct trace_event *e)
{
	return e->bytes == sizeof(*e) && e->type > 0 && e->type < TRACE_TYPES && e->thread < t->head.threads;
}

/* The next thing in the file: keep it if it is an event. */
static void sift(struct trace_file *t, const struct trace_event *e, u64 place, u64 lost[TRACE_MAX_THREADS])
{
	if (!is_event(t, e))
		return;
	if (e->type == TRACE_END) {
		t->complete = e->a == place;
		return;
	}
	if (e->type == TRACE_LOST) {
		t->lost += e->a - lost[e->thread];
		lost[e->thread] = e->a;
	}
	t->event[t->n] = *e;
	/* Their sizes are known: they can keep the order for a sort that does not. */
	t->event[t->n].bytes = (u32)t->n;
	t->n++;
}

/* There is room for all that may be, of which what is no event takes none. */
static int read_events(struct trace_file *t, int fd, const char *file, u64 most, char *err, size_t err_size)
{
	u64 lost[TRACE_MAX_THREADS] = { 0 }, place = 0;
	struct trace_event part[1024];
	size_t n;

	t->event = malloc(MAX(most, 1) * sizeof(*t->event));
	if (!t->event)
		return FAIL("%s is too large for this machine's memory", file);
	do {
		ssize_t r = read_all(fd, part, MIN(most - place, ARRAY_SIZE(part)) * sizeof(*part));

		if (r < 0)
			return FAIL("cannot read %s: %s", file, strerror(errno));
		n = (size_t)r / sizeof(*part);
		for (size_t i = 0; i < n && !t->complete; i++)
			sift(t, &part[i], place++, lost);
	} while (n && !t->complete);
	/* Mostly in order already. */
	qsort(t->event, t->n, sizeof(*t->event), by_time);
	return 0;
}

static int read_head(struct trace_file *t, int fd, const char *file, char *err, size_t err_size)
{
	struct trace_header *h = &t->head;
	ssize_t n = read_all(fd, h, sizeof(*h)), names;

	if (n < 0)
		return FAIL("cannot read %s: %s", file, strerror(errno));
	if (n < (ssize_t)sizeof(*h) || memcmp(h->magic, TRACE_MAGIC, sizeof(h->magic)))
		return FAIL("%s is no trace of ringlet's", file);
	if (h->version != TRACE_VERSION || h->event_bytes != sizeof(struct trace_event))
		return FAIL("%s is a trace of version %u, and this ringlet reads version %u; use the one that wrote it",
			    file, h->version, TRACE_VERSION);
	if (!h->threads || h->threads > TRACE_MAX_THREADS)
		return FAIL("%s is damaged: a trace of %u threads", file, h->threads);
	t->name = calloc(h->threads, TRACE_NAME);
	if (!t->name)
		return FAIL("out of memory");
	names = read_all(fd, t->name, h->threads * TRACE_NAME);
	if (names != (ssize_t)(h->threads * TRACE_NAME))
		return FAIL("%s is cut short: it ends before the first event", file);
	for (unsigned i = 0; i < h->threads; i++) {
		t->name[i][TRACE_NAME - 1] = '\0';
		for (char *c = t->name[i]; *c; c++)
			if (*c < '!' || *c > '~' || *c == '"' || *c == '\\')
				*c = '?'; /* it goes to a terminal, and into JSON */
	}
	return 0;
}

int trace_read(struct trace_file *t, const char *file, char *err, size_t err_size)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = -1;
	struct stat st;
	u64 head;

	memset(t, 0, sizeof(*t));
	if (fd < 0 || fstat(fd, &st))
		r = FAIL("cannot read %s: %s", file, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		r = FAIL("%s is no file", file);
	else
		r = read_head(t, fd, file, err, err_size);
	head = sizeof(t->head) + (u64)t->head.threads * TRACE_NAME;
	if (!r)
		r = read_events(t, fd, file, (u64)st.st_size > head ? ((u64)st.st_size - head) / sizeof(*t->event) : 0, err,
				err_size);
	if (fd >= 0)
		close(fd);
	if (r)
		trace_free(t);
	return r;
}

void trace_free(struct trace_file *t)
{
	free(t->name);
	free(t->event);
	memset(t, 0, sizeof(*t));
}

u64 trace_took(const struct trace_event *e)
{
	return e->type == TRACE_SLEEP && e->took == UINT32_MAX ? MAX(e->a, e->took) : e->took;
}
