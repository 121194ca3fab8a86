// SPDX-License-Identifier: MIT
/*
 * suggest.c - "did you mean": the nearest of a list of names.
 *
 * Nearness counts the letters inserted, dropped, changed, or swapped with
 * their neighbour; dashes in front and letter case do not count.  Knows
 * nothing of options: whoever asks brings the list.  A suggestion that is
 * not what was meant is worse than none, so at most one letter in three may
 * differ.
 */
#include "conf_internal.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 31 /* longer words are near to none of our names */

static const char *without_dashes(const char *s)
{
	return s + strspn(s, "-");
}

static unsigned distance(const char *a, const char *b)
{
	unsigned row[3][WORD_MAX + 1]; /* this one, the one above, the one above that */
	unsigned *now = row[0], *above = row[1], *above2 = row[2], *spare;
	size_t na = strlen(a), nb = strlen(b);

	for (size_t j = 0; j <= nb; j++)
		now[j] = j;
	for (size_t i = 1; i <= na; i++) {
		spare = above2;
		above2 = above;
		above = now;
		now = spare;
		now[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			int ca = tolower((u8)a[i - 1]), cb = tolower((u8)b[j - 1]);
			unsigned best = above[j - 1] + (ca != cb);

			best = MIN(best, above[j] + 1);
			best = MIN(best, now[j - 1] + 1);
			if (i > 1 && j > 1 && ca == tolower((u8)b[j - 2]) &&
			    cb == tolower((u8)a[i - 2]))
				best = MIN(best, above2[j - 2] + 1);
			now[j] = best;
		}
	}
	return now[nb];
}

/*
 * "memory" for "mem" and "init" for "initrd" are abbreviations, not slips:
 * as near as one wrong letter, however long the rest.
 */
static bool abbreviates(const char *a, const char *b)
{
	size_t n = MIN(strlen(a), strlen(b));

	return n >= 3 && !strncasecmp(a, b, n) && !strchr(a, '=');
}

const char *suggest_nearest(const char *word, const char *(*name)(unsigned i))
{
	const char *said = without_dashes(word), *candidate, *nearest = NULL;
	size_t len = strlen(said);
	unsigned limit = MAX(len / 3, 1), best = limit + 1;

	/* One letter is near to every other letter. */
	if (len < 2 || len > WORD_MAX)
		return NULL;
	for (unsigned i = 0; (candidate = name(i)); i++) {
		const char *bare = without_dashes(candidate);
		unsigned d;

		if (strlen(bare) < 2 || strlen(bare) > WORD_MAX)
			continue;
		d = distance(said, bare);
		if (abbreviates(said, bare))
			d = MIN(d, 1u);
		if (d < best) {
			best = d;
			nearest = candidate;
		}
	}
	return nearest;
}
