// SPDX-License-Identifier: MIT
/*
 * gdb_query.c - what gdb asks: what we can do, which threads there are, what
 * the registers are called; and `monitor`, whose commands are those of the
 * control socket.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "ctl.h"
#include "ctl_guest.h"
#include "dump.h"
#include "gdb_internal.h"
#include "inspect.h"
#include "stats.h"

/* Bytes of a monitor command's text in one packet. */
#define OUTPUT_PIECE (GDB_PACKET / 2 - 1)

static const char *doing(struct vcpu *c)
{
	struct kvm_mp_state s;

	if (ioctl(c->fd, KVM_GET_MP_STATE, &s))
		return "unknown";
	switch (s.mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		return "running";
	case KVM_MP_STATE_HALTED:
		return "halted";
	default:
		return "not started";
	}
}

static void list_threads(struct gdb *g)
{
	char id[16];

	for (unsigned i = 0; i < g->vm->ncpus; i++) {
		snprintf(id, sizeof(id), "%c%x", i ? ',' : 'm', i + 1);
		gdb_put(&g->reply, id);
	}
}

/* "qThreadExtraInfo,ID": text for `info threads`. */
static void about_thread(struct gdb *g, const char *p)
{
	char text[64];
	int vcpu;

	if (!gdb_thread(g, &p, &vcpu) || vcpu < 0) {
		gdb_put(&g->reply, "E16");
		return;
	}
	snprintf(text, sizeof(text), "vCPU %d, %s", vcpu, doing(&g->vm->vcpu[vcpu]));
	gdb_put_bytes(&g->reply, text, strlen(text));
}

/* "OBJECT:read:ANNEX:OFFSET,LENGTH" */
static void transfer(struct gdb *g, const char *p)
{
	char threads[128 * MAX_CPUS] = "<?xml version=\"1.0\"?><threads>";
	const char *document = NULL;
	size_t n = strlen(threads);
	u64 from, len;

	if (!strncmp(p, "features:read:target.xml:", 25)) {
		document = gdb_target_description(&g->vm->vcpu[0]);
		p += 25;
	} else if (!strncmp(p, "threads:read::", 14)) {
		for (unsigned i = 0; i < g->vm->ncpus; i++)
			n += (size_t)snprintf(threads + n, sizeof(threads) - n,
					      "<thread id=\"%x\" core=\"%u\" name=\"vCPU %u\">%s</thread>", i + 1, i,
					      i, doing(&g->vm->vcpu[i]));
		snprintf(threads + n, sizeof(threads) - n, "</threads>");
		document = threads;
		p += 14;
	}
	if (!document)
		gdb_put(&g->reply, "E00"); /* there is no such annex */
	else if (!gdb_number(&p, &from) || !gdb_expect(&p, ',') || !gdb_number(&p, &len) || *p)
		gdb_put(&g->reply, "E16");
	else
		gdb_put_part(&g->reply, document, from, len);
}

/* --- monitor ------------------------------------------------------------------------ */

/* gdb has no file to send along: main writes it, and what it cannot write it says. */
static bool dump(const char *argument, FILE *f)
{
	char err[512];

	if (!*argument)
		fprintf(f, "dump: the name of a file is expected behind it\n");
	else if (dump_file(argument, err, sizeof(err)))
		fprintf(f, "%s\n", err);
	else
		fprintf(f, "the guest's memory is in %s\n", argument);
	return true;
}

/* Who types it reads it, too. */
static bool stats(const char *argument, FILE *f)
{
	return ctl_stats(*argument ? argument : "text", f);
}

/* Without a policy to set it is a question. */
static bool irq(const char *argument, FILE *f)
{
	return *argument ? ctl_irq(argument, f) : inspect_interrupts(argument, f);
}

/* What is another thing here than on the control socket, or has another name. */
static const struct ctl_command own[] = {
	{ "dump", "FILE  the guest's memory and registers, as an ELF core", dump },
	{ "quit", "end the guest, as Ctrl-A x does", ctl_stop },
	{ "stats", "[text|json|flat]  all that is counted", stats },
	{ "irq", "[POLICY]  when to interrupt for packets, as in --net; or like interrupts", irq },
	{ NULL },
};

static void help(const struct gdb *g, FILE *f)
{
	for (const struct ctl_command *k = own; k->name; k++)
		fprintf(f, "%-10s %s\n", k->name, k->help);
	for (const struct ctl_command *k = g->commands; k->name; k++)
		if (!ctl_find(own, k->name, strlen(k->name)))
			fprintf(f, "%-10s %s\n", k->name, k->help);
}

/* "NAME ARGUMENT", or "info NAME", as it is said elsewhere. */
static void carry_out(struct gdb *g, const char *line, FILE *f)
{
	const char *name = line + strspn(line, " "), *argument, *rest;
	const struct ctl_command *k;

	if (!strncmp(name, "info ", 5)) {
		rest = name + 5 + strspn(name + 5, " ");
		if (ctl_find(g->commands, rest, strcspn(rest, " ")))
			name = rest;
	}
	argument = name + strcspn(name, " ");
	k = ctl_find(own, name, (size_t)(argument - name));
	if (!k)
		k = ctl_find(g->commands, name, (size_t)(argument - name));
	argument += strspn(argument, " ");
	if (k)
		k->run(argument, f);
	else if (!strcmp(name, "help"))
		help(g, f);
	else
		fprintf(f, "unknown command; 'monitor help' lists them all\n");
}

static void monitor(struct gdb *g, const char *digits)
{
	char line[CTL_LINE], *text = NULL;
	size_t n = strlen(digits), len, at = 0;
	FILE *f;

	if (n / 2 >= sizeof(line) || !gdb_bytes(digits, n, (u8 *)line)) {
		gdb_put(&g->reply, "E16");
		return;
	}
	line[n / 2] = '\0';
	f = open_memstream(&text, &len);
	if (!f) {
		gdb_put(&g->reply, "E0c");
		return;
	}
	carry_out(g, line, f);
	if (fclose(f))
		len = 0;
	for (; at < len; at += MIN(len - at, OUTPUT_PIECE)) {
		gdb_put(&g->reply, "O");
		gdb_put_bytes(&g->reply, text + at, MIN(len - at, OUTPUT_PIECE));
		gdb_send(g);
	}
	free(text);
	gdb_put(&g->reply, "OK");
}

/* --- all of them --------------------------------------------------------------------- */

static void features(struct gdb *g, const char *offered)
{
	char text[160];

	g->knows_swbreak = strstr(offered, "swbreak+");
	g->knows_hwbreak = strstr(offered, "hwbreak+");
	snprintf(text, sizeof(text),
		 "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;"
		 "swbreak+;hwbreak+;vContSupported+", GDB_PACKET);
	gdb_put(&g->reply, text);
}

/* "0" or "1": by which addresses memory is read and written; QEMU's name for it, which users know. */
static void set_physical(struct gdb *g, const char *p)
{
	bool good = (*p == '0' || *p == '1') && !p[1];

	if (good)
		g->physical = *p == '1';
	gdb_put(&g->reply, good ? "OK" : "E16");
}

void gdb_query(struct gdb *g, const char *packet)
{
	char id[16];

	if (!strncmp(packet, "qSupported", 10)) {
		features(g, packet + 10);
	} else if (!strcmp(packet, "QStartNoAckMode")) {
		g->no_ack = true;
		gdb_put(&g->reply, "OK");
	} else if (!strncmp(packet, "qXfer:", 6)) {
		transfer(g, packet + 6);
	} else if (!strcmp(packet, "qfThreadInfo")) {
		list_threads(g);
	} else if (!strcmp(packet, "qsThreadInfo")) {
		gdb_put(&g->reply, "l");
	} else if (!strncmp(packet, "qThreadExtraInfo,", 17)) {
		about_thread(g, packet + 17);
	} else if (!strcmp(packet, "qC")) {
		snprintf(id, sizeof(id), "QC%x", g->current + 1);
		gdb_put(&g->reply, id);
	} else if (!strncmp(packet, "qAttached", 9)) {
		gdb_put(&g->reply, "1"); /* so gdb's `quit` lets the guest go on */
	} else if (!strncmp(packet, "Qqemu.PhyMemMode:", 17)) {
		set_physical(g, packet + 17);
	} else if (!strcmp(packet, "qqemu.PhyMemMode")) {
		gdb_put(&g->reply, g->physical ? "1" : "0");
	} else if (!strncmp(packet, "qRcmd,", 6)) {
		monitor(g, packet + 6);
	}
}
