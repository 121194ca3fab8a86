// SPDX-License-Identifier: MIT
/*
 * conf_chaos.c - the KIND:PROBABILITY,... of --chaos, there and back.
 */
#include "conf_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* "1", "0.01", with six places at most: millionths. */
static u32 parse_probability(const char *where, const char *value)
{
	size_t whole = strspn(value, "0123456789"), places = 0;
	u32 n, unit = CHAOS_ALWAYS;

	if (value[whole] == '.')
		places = strspn(value + whole + 1, "0123456789");
	if (whole != 1 || *value > '1' || places > 6 || value[whole + !!places + places])
		die_args("%s%s: not a probability; write 0.01, from 0 to 1 with six places at most", where, value);
	n = *value == '1' ? CHAOS_ALWAYS : 0;
	for (size_t i = 0; i < places; i++)
		n += (u32)(value[whole + 1 + i] - '0') * (unit /= 10);
	if (n > CHAOS_ALWAYS)
		die_args("%s%s: not a probability; the most is 1", where, value);
	return n;
}

static _Noreturn void refuse(const char *name)
{
	const char *near = suggest_nearest(name, chaos_name);

	if (near)
		die_args("--chaos %s: not known; did you mean '%s'?", name, near);
	die_args("--chaos %s: not known; there are delay, drop, dup, reorder, badid, len, spurious-irq and seed", name);
}

static void take_entry(struct chaos_config *c, char *entry)
{
	char *value = strchr(entry, ':'), where[64];
	unsigned kind = 0;

	if (!*entry)
		die_args("--chaos: an entry is empty; put exactly one comma between two");
	if (!value || !value[1])
		die_args("--chaos %s: how often is missing; write it like %.*s:0.01", entry,
			 (int)strcspn(entry, ":"), entry);
	*value++ = '\0';
	snprintf(where, sizeof(where), "--chaos %s:", entry);
	if (!strcmp(entry, "seed")) {
		c->seed = conf_number(where, value, 0, UINT32_MAX);
		return;
	}
	while (chaos_name(kind) && strcmp(chaos_name(kind), entry))
		kind++;
	if (!chaos_name(kind))
		refuse(entry);
	c->millionth[kind] = parse_probability(where, value);
}

void conf_chaos_parse(struct chaos_config *c, const char *list)
{
	char *text = conf_copy(list), *rest = text, *entry;

	memset(c, 0, sizeof(*c));
	c->on = true;
	while ((entry = strsep(&rest, ",")))
		take_entry(c, entry);
	free(text);
}

void conf_chaos_print(const struct chaos_config *c, FILE *f)
{
	for (unsigned i = 0; chaos_name(i); i++)
		if (c->millionth[i])
			fprintf(f, "%s:%u.%06u,", chaos_name(i), c->millionth[i] / CHAOS_ALWAYS,
				c->millionth[i] % CHAOS_ALWAYS);
	fprintf(f, "seed:%llu", (unsigned long long)c->seed);
}
