// SPDX-License-Identifier: MIT
/*
 * stats.c - the document that shows all counters.  Their names come from the
 * tables beside them; what is here is only where in the document they stand.
 */
#include "stats.h"

#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "ctl_guest.h"
#include "kvm_stats.h"
#include "net.h"
#include "tap.h"
#include "virtio.h"
#include "vm.h"

/* --- the guest as a whole --------------------------------------------------------- */

static void head(const struct stats *s, struct report *r, const char *schema)
{
	report_string(r, "schema", schema);
	report_string(r, "version", RINGLET_VERSION);
	report_string(r, "name", s->name);
	report_number(r, "pid", (u64)getpid());
	report_string(r, "kernel", s->conf->kernel);
	report_number(r, "uptime_ns", s->started ? clock_ns() - s->started : 0);
	report_number(r, "cpus", s->conf->cpus);
	report_number(r, "memory_bytes", s->conf->mem);
	report_string(r, "state", ctl_guest_is_paused() ? "paused" : "running");
}

void stats_write_info(const struct stats *s, FILE *to, enum report_format f)
{
	struct report r;

	report_begin(&r, to, f);
	head(s, &r, INFO_SCHEMA);
	report_end(&r);
}

/* --- the network device ------------------------------------------------------------ */

static void features(const struct stats *s, struct report *r)
{
	u64 offered = net_virtio(s->net)->offered, accepted = net_negotiated(s->net);
	const struct {
		const char *name;
		u64 mask;
	} rows[] = {
		{ "offered", offered },
		{ "accepted", accepted },
		{ "refused", accepted ? offered & ~accepted : 0 },
	};
	char names[1024];

	report_group(r, "features");
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		report_list(r, rows[i].name, rows[i].mask ? net_feature_names(rows[i].mask, names, sizeof(names)) : "");
	report_close(r);
}

static void errors(const struct stats *s, struct report *r)
{
	struct virtio_errors e;

	virtio_read_errors(net_virtio(s->net), &e);
	report_array(r, "errors");
	for (unsigned i = 0; i < e.n; i++) {
		report_group(r, NULL);
		report_string(r, "rule", e.of[i].rule);
		report_number(r, "times", e.of[i].times);
		report_close(r);
	}
	report_close(r);
}

static void queue(struct report *r, const char *name, const struct net_queue_counters *c, unsigned of)
{
	report_group(r, name);
	report_counters(r, &net_queue_table, c, of);
	report_close(r);
}

static void net_counters(struct report *r, const struct net_counters *c)
{
	queue(r, "rx", &c->rx, NET_OF_RX);
	queue(r, "tx", &c->tx, NET_OF_TX);
	queue(r, "control", &c->control, NET_OF_CONTROL);
	report_group(r, "thread");
	report_counters(r, &net_thread_table, &c->thread, 0);
	report_close(r);
}

static void net_pair_counters(const struct stats *s, struct report *r)
{
	struct net_counters c;

	report_array(r, "pairs");
	for (unsigned i = 0; i < net_pairs(s->net); i++) {
		net_read_pair_counters(s->net, i, &c);
		report_group(r, NULL);
		net_counters(r, &c);
		report_close(r);
	}
	report_close(r);
}

static void irq_policy(const struct stats *s, struct report *r)
{
	char text[32];
	u32 usecs;
	const char *name = conf_irq_name(net_irq(s->net, &usecs));

	snprintf(text, sizeof(text), usecs ? "%s:%u" : "%s", name, usecs);
	report_string(r, "irq", text);
}

static void net_section(const struct stats *s, struct report *r)
{
	struct net_counters c;

	net_read_counters(s->net, &c);
	report_group(r, "net");
	report_string(r, "tap", s->tap->name);
	report_string(r, "engine", net_engine_name(s->net));
	irq_policy(s, r);
	report_number(r, "config_interrupts", LOAD_ONCE(&net_virtio(s->net)->config_interrupts));
	features(s, r);
	errors(s, r);
	net_counters(r, &c);
	/* With one pair they would be the same again; programs need not ask. */
	if (r->format == REPORT_JSON || net_pairs(s->net) > 1)
		net_pair_counters(s, r);
	report_close(r);
}

void stats_write_net(const struct stats *s, FILE *to)
{
	struct report r;

	report_begin(&r, to, REPORT_TEXT);
	if (s->net)
		net_section(s, &r);
	report_end(&r);
}

/* --- processors, and KVM ----------------------------------------------------------- */

static void kvm(struct report *r, struct kvm_stats *stats)
{
	const u64 *values;
	const char *name;
	unsigned n;

	if (!stats) {
		report_null(r, "kvm");
		return;
	}
	report_group(r, "kvm");
	for (unsigned i = 0; (name = kvm_stats_read(stats, i, &values, &n)); i++)
		if (n)
			report_numbers(r, name, values, n);
	report_close(r);
}

static void exits(struct report *r, const struct exit_counters *c)
{
	const char *name;

	report_group(r, "exits");
	for (unsigned i = 0; (name = exit_reason_name(i)); i++)
		report_number(r, name, c->exits[i]);
	report_close(r);
	report_group(r, "exit_ns");
	for (unsigned i = 0; (name = exit_reason_name(i)); i++)
		report_number(r, name, c->ns[i]);
	report_close(r);
	report_group(r, "mmio_reads");
	for (unsigned i = 0; (name = exit_register_name(i)); i++)
		report_number(r, name, c->reads[i]);
	report_close(r);
	report_group(r, "mmio_writes");
	for (unsigned i = 0; (name = exit_register_name(i)); i++)
		report_number(r, name, c->writes[i]);
	report_close(r);
}

static void processors(const struct stats *s, struct report *r)
{
	struct exit_counters c;

	report_array(r, "vcpus");
	for (unsigned i = 0; i < s->vm->ncpus; i++) {
		counters_read(&c, &s->vm->vcpu[i].count, sizeof(c));
		report_group(r, NULL);
		exits(r, &c);
		kvm(r, s->vm->vcpu[i].stats);
		report_close(r);
	}
	report_close(r);
}

void stats_write(const struct stats *s, FILE *to, enum report_format f)
{
	struct report r;

	report_begin(&r, to, f);
	head(s, &r, STATS_SCHEMA);
	if (s->net)
		net_section(s, &r);
	else
		report_null(&r, "net");
	processors(s, &r);
	kvm(&r, s->vm->stats);
	report_end(&r);
}
