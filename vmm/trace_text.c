// SPDX-License-Identifier: MIT
/*
 * trace_text.c - a trace as lines for people, and what `ringlet trace` does.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "log.h"
#include "tracer.h"
#include "vm.h"

static const char *known(const char *name)
{
	return name ? name : "?";
}

static void write_event(const struct trace_event *e, FILE *to)
{
	const char *queue = trace_queue_name(e->queue);
	unsigned long long a = e->a;

	switch (e->type) {
	case TRACE_EXIT:
		fprintf(to, "exit %s, %u ns", known(exit_reason_name((unsigned)MIN(a, 255))), e->took);
		break;
	case TRACE_READ:
	case TRACE_WRITE:
		fprintf(to, "%s %s %#llx, %u bytes", e->type == TRACE_READ ? "read" : "write",
			known(exit_register_name(e->detail)), a, e->b);
		break;
	case TRACE_KICK:
		fprintf(to, "kick");
		break;
	case TRACE_BATCH:
		fprintf(to, "%s batch %llu of %u is shown", queue, a, e->b);
		break;
	case TRACE_SLEEP:
		fprintf(to, "slept %llu ns, until %s", (unsigned long long)trace_took(e), trace_wake_name(e->b));
		break;
	case TRACE_RAISED:
	case TRACE_SUPPRESSED:
	case TRACE_DEFERRED:
		fprintf(to, "%s up to batch %llu: interrupt %s", queue, a,
			e->type == TRACE_RAISED ? "raised" : e->type == TRACE_SUPPRESSED ? "suppressed" : "deferred");
		break;
	case TRACE_IRQ_SENT:
		fprintf(to, "interrupt");
		break;
	case TRACE_ACK:
		fprintf(to, "acknowledged, %llu", a);
		break;
	case TRACE_CAME:
		fprintf(to, "%llu came", a);
		break;
	case TRACE_RX:
	case TRACE_TX:
		fprintf(to, "%s packet of %llu at %u%s", queue, a, e->b, e->detail ? ", for several" : "");
		break;
	case TRACE_DROP:
		fprintf(to, "%s packet dropped", queue);
		break;
	case TRACE_TX_FAILED:
		fprintf(to, "tx packet not sent");
		break;
	case TRACE_LOST:
		fprintf(to, "%llu events lost so far", a);
		break;
	}
}

void trace_write_text(const struct trace_file *t, FILE *to)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct trace_event *e = &t->event[i];
		u64 ns = e->ns > t->head.start ? e->ns - t->head.start : 0;

		fprintf(to, "%6llu.%09llu %-8s ", (unsigned long long)(ns / 1000000000),
			(unsigned long long)(ns % 1000000000), t->name[e->thread]);
		write_event(e, to);
		putc('\n', to);
	}
}

int trace_show(const struct conf_trace *c)
{
	char err[PATH_MAX + 200];
	struct trace_file t;
	int r = 0;

	if (trace_read(&t, c->file, err, sizeof(err)))
		die_args("%s", err);
	if (c->form == TRACE_AS_JSON)
		r = trace_write_json(&t, stdout, err, sizeof(err));
	else if (c->form == TRACE_AS_LATENCY)
		r = trace_write_latency(&t, stdout, err, sizeof(err));
	else
		trace_write_text(&t, stdout);
	if (r)
		die_args("%s: %s", c->file, err);
	if (fflush(stdout) || ferror(stdout))
		die("cannot write the trace out");
	if (t.lost)
		warn("%s: %llu events are missing: they came faster than they could be written", c->file,
		     (unsigned long long)t.lost);
	if (!t.complete)
		warn("%s is cut short: its guest is still running, or its ringlet was killed, or the disk was full", c->file);
	r = t.complete ? 0 : EXIT_BAD_ARGS;
	trace_free(&t);
	return r;
}
