/* SPDX-License-Identifier: MIT */
/*
 * report.h - a document of names and values, written in one of three ways:
 *
 *	json	one line, for programs
 *	text	for people: a line per group that has something in it, zeroes
 *		left out ("net rx: packets 12, bytes 840")
 *	flat	for shell scripts, and for ourselves: "net.rx.packets 12"
 *
 * The document is the same each time.  Strings may hold any bytes: what is not
 * UTF-8 is taken for Latin-1.
 */
#ifndef RINGLET_REPORT_H
#define RINGLET_REPORT_H

#include <stdio.h>

#include "base.h"
#include "counter.h"

enum report_format { REPORT_JSON, REPORT_TEXT, REPORT_FLAT, REPORT_FORMATS };

#define REPORT_DEPTH 8

struct report {
	FILE *to;
	enum report_format format;
	unsigned depth;
	char path[REPORT_DEPTH][64]; /* names on the way down */
	bool array[REPORT_DEPTH];
	unsigned n[REPORT_DEPTH]; /* entries so far */
};

/* "json", "text" or "flat"; -1: none of them. */
int report_format(const char *word);
const char *report_format_name(enum report_format f);

void report_begin(struct report *r, FILE *to, enum report_format f);
void report_end(struct report *r);

/*
 * A group within.  name is NULL for an element of an array, which is known by
 * its number.
 */
void report_group(struct report *r, const char *name);
void report_array(struct report *r, const char *name);
void report_close(struct report *r);

void report_number(struct report *r, const char *name, u64 n);
void report_string(struct report *r, const char *name, const char *s);
void report_null(struct report *r, const char *name);
/* Of one value a number, of several an array of them. */
void report_numbers(struct report *r, const char *name, const u64 *v, unsigned n);
/* A comma-separated list as an array of strings. */
void report_list(struct report *r, const char *name, const char *list);
/* All counters of a struct that things of that kind have; of 0: of any kind. */
void report_counters(struct report *r, const struct counter_table *t, const void *from, unsigned of);

#endif
