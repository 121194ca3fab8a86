// SPDX-License-Identifier: MIT
/*
 * report.c - a document written as JSON, as text, or as flat lines.  Who
 * describes it need not know which.
 */
#include "report.h"

#include <assert.h>
#include <string.h>

static const char *const formats[REPORT_FORMATS] = { "json", "text", "flat" };

int report_format(const char *word)
{
	for (int i = 0; i < REPORT_FORMATS; i++)
		if (!strcmp(formats[i], word))
			return i;
	return -1;
}

const char *report_format_name(enum report_format f)
{
	return f < REPORT_FORMATS ? formats[f] : NULL;
}

/* Bytes of the UTF-8 character at s; 0: it is none. */
static unsigned utf8_length(const u8 *s)
{
	unsigned n = *s < 0x80 ? 1 : *s >> 5 == 6 ? 2 : *s >> 4 == 14 ? 3 : *s >> 3 == 30 ? 4 : 0;
	u32 c = n == 1 ? *s : *s & (0x7fu >> n);

	for (unsigned i = 1; i < n; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	/* Too long for what it says, a surrogate, or beyond the last. */
	if ((n == 2 && c < 0x80) || (n == 3 && c < 0x800) || (n == 4 && c < 0x10000) ||
	    (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		return 0;
	return n;
}

static void put_json_string(FILE *f, const char *text)
{
	const u8 *s = (const u8 *)text;

	putc('"', f);
	while (*s) {
		unsigned n = utf8_length(s);

		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if (*s < 0x20 || *s == 0x7f || !n)
			fprintf(f, "\\u%04x", *s);
		else
			fwrite(s, 1, n, f);
		s += MAX(n, 1u);
	}
	putc('"', f);
}

/* Text goes to terminals: nothing in it may move a cursor or end a line. */
static void put_plain_string(FILE *f, const char *s)
{
	for (; *s; s++)
		putc((u8)*s < 0x20 || *s == 0x7f ? '?' : *s, f);
}

static void put_path(const struct report *r, char separator)
{
	for (unsigned i = 1; i < r->depth; i++)
		fprintf(r->to, "%s%.*s", r->path[i], i < r->depth - 1, &separator);
}

/* What stands in front of a value: separators, and its name. */
static void start(struct report *r, const char *name)
{
	unsigned d = r->depth - 1, i = r->n[d]++;

	switch (r->format) {
	case REPORT_JSON:
		if (i)
			putc(',', r->to);
		if (!r->array[d]) {
			put_json_string(r->to, name);
			putc(':', r->to);
		}
		break;
	case REPORT_TEXT:
		if (i) {
			fputs(", ", r->to);
		} else {
			put_path(r, ' ');
			fputs(r->depth > 1 ? ": " : "", r->to);
		}
		if (name)
			fprintf(r->to, "%s ", name);
		break;
	default:
		put_path(r, '.');
		fputs(r->depth > 1 ? "." : "", r->to);
		if (name)
			fprintf(r->to, "%s ", name);
		else
			fprintf(r->to, "%u ", i);
	}
}

static void finish(struct report *r)
{
	if (r->format == REPORT_FLAT)
		putc('\n', r->to);
}

/* A group's line of text ends where a group begins within it. */
static void end_line(struct report *r)
{
	if (r->format != REPORT_TEXT || !r->depth || !r->n[r->depth - 1])
		return;
	putc('\n', r->to);
	r->n[r->depth - 1] = 0;
}

static void descend(struct report *r, const char *name, bool array)
{
	char number[16];

	assert(r->depth < REPORT_DEPTH);
	if (r->depth) {
		snprintf(number, sizeof(number), "%u", r->n[r->depth - 1]);
		if (r->format == REPORT_JSON)
			start(r, name);
		else if (r->array[r->depth - 1])
			r->n[r->depth - 1]++;
		if (!name)
			name = number;
		if (!r->array[r->depth - 1])
			end_line(r);
		snprintf(r->path[r->depth], sizeof(r->path[0]), "%s", name);
	}
	r->array[r->depth] = array;
	r->n[r->depth++] = 0;
	if (r->format == REPORT_JSON)
		putc(array ? '[' : '{', r->to);
}

void report_group(struct report *r, const char *name)
{
	descend(r, name, false);
}

void report_array(struct report *r, const char *name)
{
	descend(r, name, true);
}

void report_close(struct report *r)
{
	if (r->format == REPORT_JSON)
		putc(r->array[r->depth - 1] ? ']' : '}', r->to);
	if (!r->array[r->depth - 1])
		end_line(r);
	r->depth--;
}

void report_begin(struct report *r, FILE *to, enum report_format f)
{
	*r = (struct report){ .to = to, .format = f };
	report_group(r, NULL);
}

void report_end(struct report *r)
{
	report_close(r);
	assert(!r->depth);
	if (r->format == REPORT_JSON)
		putc('\n', r->to);
}

void report_number(struct report *r, const char *name, u64 n)
{
	if (!n && r->format == REPORT_TEXT)
		return;
	start(r, name);
	fprintf(r->to, "%llu", (unsigned long long)n);
	finish(r);
}

void report_string(struct report *r, const char *name, const char *s)
{
	start(r, name);
	if (r->format == REPORT_JSON)
		put_json_string(r->to, s);
	else
		put_plain_string(r->to, s);
	finish(r);
}

void report_null(struct report *r, const char *name)
{
	start(r, name);
	fputs(r->format == REPORT_JSON ? "null" : "-", r->to);
	finish(r);
}

/* In text "5/0/2", up to the last that is not zero. */
static void text_numbers(struct report *r, const char *name, const u64 *v, unsigned n)
{
	while (n && !v[n - 1])
		n--;
	if (n)
		start(r, name);
	for (unsigned i = 0; i < n; i++)
		fprintf(r->to, "%s%llu", i ? "/" : "", (unsigned long long)v[i]);
}

void report_numbers(struct report *r, const char *name, const u64 *v, unsigned n)
{
	if (n == 1) {
		report_number(r, name, v[0]);
		return;
	}
	if (r->format == REPORT_TEXT) {
		text_numbers(r, name, v, n);
		return;
	}
	report_array(r, name);
	for (unsigned i = 0; i < n; i++)
		report_number(r, NULL, v[i]);
	report_close(r);
}

void report_list(struct report *r, const char *name, const char *list)
{
	char word[128];

	if (r->format != REPORT_JSON) {
		report_string(r, name, *list ? list : "none");
		return;
	}
	report_array(r, name);
	while (*list) {
		size_t len = strcspn(list, ",");

		snprintf(word, sizeof(word), "%.*s", (int)len, list);
		report_string(r, NULL, word);
		list += len + !!list[len];
	}
	report_close(r);
}

void report_counters(struct report *r, const struct counter_table *t, const void *from, unsigned of)
{
	for (unsigned i = 0; i < t->n; i++) {
		const struct counter *c = &t->counter[i];

		if (!of || c->of & of)
			report_numbers(r, c->name, (const u64 *)from + c->at, c->n);
	}
}
