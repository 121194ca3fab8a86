/* SPDX-License-Identifier: MIT */
/*
 * corpus.h - one input at a time for a target that tells what is wrong with it
 * by abort(): from libFuzzer (-DLIBFUZZER, `make fuzz`), which looks for new ones,
 * or, as a test, those that are kept in tests/corpus: to begin with, and by
 * which libFuzzer first came to a new place in the code.
 */
#ifndef RINGLET_TESTS_CORPUS_H
#define RINGLET_TESTS_CORPUS_H

#include <dirent.h>
#include <stdint.h>

#include "check.h"

#define CORPUS_MOST 65536 /* bytes of an input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is. */
#define MUST(expr)                                                                  \
	do {                                                                        \
		if (!(expr)) {                                                      \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #expr); \
			abort();                                                    \
		}                                                                   \
	} while (0)

#ifndef LIBFUZZER

/* Each file of tests/corpus/NAME; at least as many as that. */
static inline void corpus_replay(const char *name, unsigned least)
{
	static uint8_t data[CORPUS_MOST];
	char path[512], dir[64];
	const struct dirent *d;
	unsigned n = 0;
	DIR *all;
	FILE *f;

	snprintf(dir, sizeof(dir), "tests/corpus/%s", name);
	all = opendir(dir);
	CHECK(all);
	while ((d = readdir(all))) {
		if (*d->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, d->d_name);
		f = fopen(path, "re");
		CHECK(f);
		LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof(data), f));
		fclose(f);
		n++;
	}
	closedir(all);
	CHECK(n >= least);
}

#endif
#endif
