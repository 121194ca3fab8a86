// SPDX-License-Identifier: MIT
/*
 * conf_client.c - the words behind `ringlet stat`, `list` and `ctl`, which have
 * a meaning of their own: nothing is booted here.
 */
#include "conf_internal.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"

#define INTERVAL_MAX 86400 /* seconds */

static const char *const names_of_stat[] = { "-i", "-c", "--json", "-h", "--help", NULL };
static const char *const names_of_list[] = { "--json", "-h", "--help", NULL };

static const char *name_of_stat(unsigned i)
{
	return names_of_stat[i];
}

static const char *name_of_list(unsigned i)
{
	return names_of_list[i];
}

/* Seconds, with up to three places behind the point; in ms. */
static unsigned parse_interval(const char *value)
{
	size_t whole = strspn(value, "0123456789"), part = 0;
	double seconds = atof(value);

	if (value[whole] == '.')
		part = strspn(value + whole + 1, "0123456789") + 1;
	if (!whole || value[whole + part] || part == 1 || part > 4 || seconds < 0.01 || seconds > INTERVAL_MAX)
		die_args("-i %s: not a number of seconds from 0.01 to %d", value, INTERVAL_MAX);
	return (unsigned)(seconds * 1000 + 0.5);
}

static _Noreturn void refuse(bool stat, const char *word)
{
	const char *near = suggest_nearest(word, stat ? name_of_stat : name_of_list);

	if (near)
		die_args("unknown option '%s' of ringlet %s; did you mean '%s'?", word,
			 stat ? "stat" : "list", near);
	die_args("unknown option '%s' of ringlet %s; 'ringlet help' lists them all", word,
		 stat ? "stat" : "list");
}

/* "-i 2" or "-i2"; NULL: this is another option. */
static const char *value_of(const char *option, int argc, char **argv, int *i)
{
	const char *value = argv[*i] + 2;

	if (strncmp(argv[*i], option, 2))
		return NULL;
	if (!*value)
		value = *i + 1 < argc ? argv[++*i] : "";
	if (!*value)
		die_args("option '%s' needs a value, like: %s 5", option, option);
	return value;
}

/* dump [--consistent] GUEST FILE: one of the requests of ctl. */
static void parse_dump(struct conf *c, int argc, char **argv)
{
	static char *words[4] = { (char *)"dump" };
	int i = 2, n = 1;

	if (argc > 2 && (!strcmp(argv[2], "-h") || !strcmp(argv[2], "--help"))) {
		c->verb = VERB_HELP;
		return;
	}
	if (i < argc && !strcmp(argv[i], "--consistent")) {
		words[n++] = (char *)"consistent";
		i++;
	}
	if (i < argc && *argv[i] == '-')
		die_args("unknown option '%s' of ringlet dump; there is only --consistent", argv[i]);
	if (argc != i + 2)
		die_args("ringlet dump wants a guest and a file, like: ringlet dump %s core",
			 i < argc ? argv[i] : "web");
	c->client.guest = argv[i];
	words[n++] = argv[i + 1];
	words[n] = NULL;
	c->client.words = words;
}

/* What a request may be is the guest's to know. */
static void parse_ctl(struct conf *c, int argc, char **argv)
{
	if (argc > 2 && (!strcmp(argv[2], "-h") || !strcmp(argv[2], "--help"))) {
		c->verb = VERB_HELP;
		return;
	}
	if (argc > 2 && *argv[2] == '-')
		die_args("unknown option '%s' of ringlet ctl; a guest's name is expected", argv[2]);
	if (argc < 4)
		die_args("ringlet ctl wants a guest and what to do, like: ringlet ctl %s help",
			 argc > 2 ? argv[2] : "web");
	c->client.guest = argv[2];
	c->client.words = argv + 3;
}

void conf_client_parse(struct conf *c, int argc, char **argv)
{
	bool stat = c->verb == VERB_STAT;
	struct conf_client *client = &c->client;

	if (c->verb == VERB_CTL && !strcmp(argv[1], "dump"))
		parse_dump(c, argc, argv);
	else if (c->verb == VERB_CTL)
		parse_ctl(c, argc, argv);
	if (c->verb == VERB_CTL || c->verb == VERB_HELP)
		return;
	client->interval_ms = 1000;
	for (int i = 2; i < argc; i++) {
		const char *word = argv[i], *value;

		if (!strcmp(word, "-h") || !strcmp(word, "--help")) {
			c->verb = VERB_HELP;
			return;
		}
		if (!strcmp(word, "--json")) {
			client->json = true;
		} else if (stat && (value = value_of("-i", argc, argv, &i))) {
			client->interval_ms = parse_interval(value);
		} else if (stat && (value = value_of("-c", argc, argv, &i))) {
			client->count = (unsigned)conf_number("-c ", value, 1, 1000000000);
		} else if (*word == '-') {
			refuse(stat, word);
		} else if (!stat) {
			die_args("'%s': ringlet list shows all guests, and takes no name; ringlet stat does", word);
		} else if (client->guest || !*word) {
			die_args("'%s': ringlet stat watches one guest", word);
		} else {
			client->guest = word;
		}
	}
}
