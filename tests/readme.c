// SPDX-License-Identifier: MIT
/*
 * readme.c - the README's list of what to read, in which order, is all there
 * is and nothing that is not.  A header called as its source file is read with
 * that.
 */
#include <fnmatch.h>
#include <glob.h>

#include "check.h"

#define MAX_ENTRIES 400

static char text[65536];
static const char *entry[MAX_ENTRIES]; /* what stands between `` in the table */
static unsigned n_entries;

/* The section without its heading, cut into its entries. */
static void read_list(void)
{
	FILE *f = fopen("README.md", "re");
	char *s, *end;

	CHECK(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	s = strstr(text, "\n## Reading it\n");
	CHECK(s);
	s = strstr(s, "\n|");
	CHECK(s);
	end = strstr(s, "\n\n");
	CHECK(end);
	*end = '\0';
	for (n_entries = 0; (s = strchr(s, '`')) && (end = strchr(s + 1, '`')); s = end + 1) {
		CHECK(n_entries < MAX_ENTRIES);
		*end = '\0';
		entry[n_entries++] = s + 1;
	}
	CHECK(n_entries > 50);
}

static unsigned times_listed(const char *file)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_entries; i++)
		n += !fnmatch(entry[i], file, FNM_PATHNAME);
	return n;
}

/* "include/tap.h" for "devices/tap.c": same name, wherever that is. */
static bool source_is_listed(const char *header)
{
	static const char *const where[] = { "vmm", "devices", "virtio", "guest" };
	const char *name = strrchr(header, '/') + 1;
	char source[128];

	for (unsigned i = 0; i < ARRAY_SIZE(where); i++) {
		snprintf(source, sizeof(source), "%s/%.*s.c", where[i], (int)strlen(name) - 2, name);
		if (times_listed(source))
			return true;
	}
	return false;
}

static void all_is_listed(void)
{
	glob_t g;
	unsigned missing = 0;

	read_list();
	CHECK(!glob("{vmm,devices,virtio,guest,include}/*.{c,h,S,lds}", GLOB_BRACE, NULL, &g));
	CHECK(g.gl_pathc > 150);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		const char *file = g.gl_pathv[i];
		bool header = !strcmp(file + strlen(file) - 2, ".h");
		unsigned n = times_listed(file);

		if (n == 1 || (header && !n && source_is_listed(file)))
			continue;
		printf("# %s is listed %u times\n", file, n);
		missing++;
	}
	globfree(&g);
	CHECK_EQ(missing, 0);
}

static void all_that_is_listed_exists(void)
{
	glob_t g;

	read_list();
	for (unsigned i = 0; i < n_entries; i++) {
		if (glob(entry[i], 0, NULL, &g)) {
			printf("# %s is listed\n", entry[i]);
			CHECK(!"and exists");
		}
		globfree(&g);
	}
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "every source file is in the reading list, once", all_is_listed },
		{ "and what is in it exists", all_that_is_listed_exists },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
