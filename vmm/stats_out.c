// SPDX-License-Identifier: MIT
/*
 * stats_out.c - whom the counters are told to: standard error or the file of
 * --stats, at the end and when SIGUSR1 asks; who has a connection to the control
 * socket; and with -v the user.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "stats.h"

static const struct stats *all;
static FILE *file; /* NULL: standard error */

void stats_open(const struct stats *s)
{
	const char *name = s->conf->stats.file;

	all = s;
	if (!name)
		return;
	file = fopen(name, "we");
	if (!file)
		die_args("--stats: cannot write %s: %s", name, strerror(errno));
	setvbuf(file, NULL, _IOLBF, 0);
}

static void write_all(FILE *f, const void *arg)
{
	const struct conf_stats *as = &all->conf->stats;

	(void)arg;
	stats_write(all, f, as->on ? as->format : REPORT_TEXT);
}

static void write_net(FILE *f, const void *arg)
{
	(void)arg;
	stats_write_net(all, f);
}

void stats_say(void)
{
	if (!file) {
		log_document(write_all, NULL);
		return;
	}
	clearerr(file);
	errno = 0;
	write_all(file, NULL);
	if (fflush(file) || ferror(file)) /* a line of it may have failed before */
		warn("--stats: cannot write %s: %s", all->conf->stats.file, strerror(errno));
}

void stats_close(void)
{
	if (all->net)
		info_document(write_net, NULL);
	if (all->conf->stats.on)
		stats_say();
	if (file)
		fclose(file);
	file = NULL;
}

/* --- the control socket ---------------------------------------------------------- */

static bool answer(const char *argument, FILE *f, void (*write_it)(const struct stats *, FILE *, enum report_format))
{
	int format = *argument ? report_format(argument) : REPORT_JSON;

	if (format < 0) {
		fprintf(f, "unknown format; json, text or flat\n");
		return false;
	}
	write_it(all, f, (enum report_format)format);
	return true;
}

bool ctl_stats(const char *argument, FILE *f)
{
	return answer(argument, f, stats_write);
}

bool ctl_info(const char *argument, FILE *f)
{
	return answer(argument, f, stats_write_info);
}
