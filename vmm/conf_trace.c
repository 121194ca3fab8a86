// SPDX-License-Identifier: MIT
/*
 * conf_trace.c - what is to be traced, and the words behind `ringlet trace`.
 */
#include "conf_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "trace.h"

#define DEFAULT_FILE "ringlet.trace"

/* The classes' names, and one for all of them. */
static const char *class_name(unsigned i)
{
	const char *name = trace_class_name(i);

	return name ? name : i && trace_class_name(i - 1) ? "all" : NULL;
}

static unsigned class_bits(const char *where, const char *value, const char *word)
{
	const char *near = suggest_nearest(word, class_name);

	for (unsigned i = 0; class_name(i); i++)
		if (!strcmp(class_name(i), word))
			return trace_class_name(i) ? 1u << i : TRACE_ALL;
	if (near)
		die_args("%s%s: '%s' is not known; did you mean '%s'?", where, value, word, near);
	die_args("%s%s: '%s' is not known; write some of exits, mmio, vq, irq and net, or all", where, value, word);
}

void conf_trace_words(const char *where, const char *value, struct conf_trace_to *t)
{
	size_t len = strcspn(value, ":");
	char *words = conf_copy(value), *rest = words, *word;
	const char *file = value[len] ? value + len + 1 : DEFAULT_FILE;

	if (!*file)
		die_args("%s%s: there is no file behind the colon", where, value);
	words[len] = '\0';
	t->classes = 0;
	while ((word = strsep(&rest, ",")))
		t->classes |= class_bits(where, value, word);
	free(words);
	conf_set_string(&t->file, file);
}

static const char *option_name(unsigned i)
{
	static const char *const names[] = { "--json", "--latency", "--help", "-h" };

	return i < ARRAY_SIZE(names) ? names[i] : NULL;
}

void conf_trace_parse(struct conf *c, int argc, char **argv)
{
	struct conf_trace *t = &c->trace_show;
	const char *near;

	for (int i = 2; i < argc; i++) {
		const char *word = argv[i];

		if (!strcmp(word, "-h") || !strcmp(word, "--help")) {
			c->verb = VERB_HELP;
			return;
		}
		if (!strcmp(word, "--json")) {
			t->form = TRACE_AS_JSON;
		} else if (!strcmp(word, "--latency")) {
			t->form = TRACE_AS_LATENCY;
		} else if (*word == '-') {
			near = suggest_nearest(word, option_name);
			die_args("unknown option '%s' of ringlet trace%s%s%s", word, near ? "; did you mean '" : "",
				 near ? near : "; 'ringlet help' lists them all", near ? "'?" : "");
		} else if (t->file) {
			die_args("'%s': ringlet trace shows one file", word);
		} else {
			t->file = word;
		}
	}
	if (!t->file || !*t->file)
		die_args("ringlet trace needs the file to show, like: ringlet trace " DEFAULT_FILE);
}
