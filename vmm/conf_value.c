// SPDX-License-Identifier: MIT
/*
 * conf_value.c - the values of the options that are more than a word: numbers,
 * sizes, lists of processors, and the few that are two things in one.  What is
 * wrong with one is said in the user's own words.
 */
#include "conf_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define MEM_MAX (1ULL << 40)
#define WATCHDOG_MAX 86400 /* seconds */
#define PIN_MAX 4095 /* the largest CONFIG_NR_CPUS, less one */

char *conf_copy(const char *s)
{
	char *c = strdup(s);

	if (!c)
		die("out of memory while reading the command line");
	return c;
}

void conf_set_string(const char **field, const char *value)
{
	free((char *)*field);
	*field = conf_copy(value);
}

u64 conf_number(const char *where, const char *value, u64 min, u64 max)
{
	size_t digits = strspn(value, "0123456789");
	u64 n = strtoull(value, NULL, 10); /* its most, if there are too many digits */

	if (!digits || value[digits] || n < min || n > max)
		die_args("%s%s: not a number from %llu to %llu", where, value,
			 (unsigned long long)min, (unsigned long long)max);
	return n;
}

bool conf_bytes(const char *value, const char *units, unsigned shift, u64 *bytes)
{
	size_t digits = strspn(value, "0123456789");
	const char *suffix = value + digits, *unit;
	u64 n = strtoull(value, NULL, 10);

	if (!digits)
		return false;
	if (*suffix) {
		unit = strchr(units, toupper((u8)*suffix));
		if (!unit || suffix[1])
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	*bytes = n > UINT64_MAX >> shift ? UINT64_MAX : n << shift;
	return true;
}

u64 conf_size(const char *where, const char *value)
{
	u64 size;

	if (!conf_bytes(value, "KMGT", 20, &size))
		die_args("%s%s: not a size; write a number of MiB, or one with K, M, G or T, "
			 "like 512 or 2G", where, value);
	if (size > MEM_MAX)
		die_args("%s%s: more than the 1T a guest can have%s", where, value,
			 value[strspn(value, "0123456789")] ? "" : "; a number without K, M, G or T counts MiB");
	if (size < LAYOUT_RAM_MIN)
		die_args("%s%s: too little memory; the least is %lluM", where, value,
			 LAYOUT_RAM_MIN / MiB);
	if (size % MiB)
		die_args("%s%s: not a whole number of MiB; write %lluM or %lluM", where, value,
			 (unsigned long long)(size / MiB), (unsigned long long)(size / MiB + 1));
	return size;
}

/* One "3" or "3-5", len characters of the value. */
static void cpu_range(const char *where, const char *value, const char *s, size_t len,
		      struct conf_cpus *cpus)
{
	unsigned long first, last;
	char *end;

	first = last = strtoul(s, &end, 10);
	if (*end == '-' && isdigit((u8)end[1]))
		last = strtoul(end + 1, &end, 10);
	/* strtoul() would have taken a sign or a blank in front. */
	if (!isdigit((u8)*s) || end != s + len)
		die_args("%s%s: '%.*s' is not a processor's number; write a list like 1,3-5", where,
			 value, (int)len, s);
	if (first > PIN_MAX || last > PIN_MAX)
		die_args("%s%s: no processor has a number above %u", where, value, PIN_MAX);
	if (last < first)
		die_args("%s%s: '%.*s' runs backwards; write %lu-%lu", where, value, (int)len, s,
			 last, first);
	for (unsigned long cpu = first; cpu <= last; cpu++) {
		if (cpus->n == CONF_MAX_PINS)
			die_args("%s%s: more than the %u processors that a list can have", where,
				 value, CONF_MAX_PINS);
		cpus->cpu[cpus->n++] = cpu;
	}
}

void conf_cpu_list(const char *where, const char *value, struct conf_cpus *cpus)
{
	const char *s = value;

	memset(cpus, 0, sizeof(*cpus));
	for (;;) {
		size_t len = strcspn(s, ",:");

		cpu_range(where, value, s, len, cpus);
		if (!s[len])
			return;
		s += len + 1;
	}
}

/* FORMAT[:FILE], or nothing. */
void conf_stats_parse(const char *where, const char *value, struct conf_stats *s)
{
	size_t len = strcspn(value, ":");
	char word[16];
	int format;

	snprintf(word, sizeof(word), "%.*s", (int)len, value);
	format = report_format(word);
	if (len >= sizeof(word) || format < 0 || (value[len] && !value[len + 1]))
		die_args("%s%s: not json, text or flat, perhaps with a file behind it, like json:FILE",
			 where, value);
	s->on = true;
	s->format = (enum report_format)format;
	free((char *)s->file);
	s->file = value[len] ? conf_copy(value + len + 1) : NULL;
}

/* It becomes a file's name, and must not look like a process's number or an option. */
void conf_check_name(const char *where, const char *name)
{
	size_t len = strspn(name, CONF_NAME_LETTERS);

	if (name[len] || len > CONF_MAX_NAME || strspn(name, "0123456789") == len || *name == '.' || *name == '-')
		die_args("%s%s: not a name of at most %u letters, digits, '.', '_' and '-', "
			 "with a letter in it", where, name, CONF_MAX_NAME);
}

/* SECS, or SECS:end. */
void conf_watchdog_parse(const char *where, const char *value, struct conf *c)
{
	size_t len = strcspn(value, ":");
	char *seconds = conf_copy(value);

	c->watchdog_ends = !strcmp(value + len, ":end");
	if (value[len] && !c->watchdog_ends)
		die_args("%s%s: only 'end' can be behind the colon: to end a guest that hangs", where, value);
	seconds[len] = '\0';
	c->watchdog = conf_number(where, len ? seconds : value, 1, WATCHDOG_MAX);
	free(seconds);
}
