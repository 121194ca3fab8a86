// SPDX-License-Identifier: MIT
/*
 * ctl_stat.c - `ringlet stat`, which asks a guest for all its counters once an
 * interval and shows what became of the few that tell how it goes.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf.h"
#include "ctl.h"
#include "ctl_internal.h"
#include "log.h"
#include "vm.h"

#define SCREEN 20 /* lines between two headings */

/* The figures of which a line is made. */
struct sample {
	u64 ns, rx_packets, tx_packets, rx_bytes, tx_bytes;
	u64 interrupts, kicks, batches, spins, sleeps, exits;
};

/* Those that KVM counts, where it does; else those that reached ringlet. */
static u64 sum_exits(const char *flat)
{
	u64 cpus = ctl_number(flat, "cpus"), kvm = 0, ours = 0;
	const char *reason;
	char name[64];

	for (u64 i = 0; i < cpus; i++) {
		snprintf(name, sizeof(name), "vcpus.%llu.kvm.exits", (unsigned long long)i);
		kvm += ctl_number(flat, name);
		for (unsigned k = 0; (reason = exit_reason_name(k)); k++) {
			snprintf(name, sizeof(name), "vcpus.%llu.exits.%s", (unsigned long long)i, reason);
			ours += ctl_number(flat, name);
		}
	}
	return kvm ? kvm : ours;
}

static void take_sample(const char *flat, struct sample *s)
{
	s->ns = ctl_number(flat, "uptime_ns");
	s->rx_packets = ctl_number(flat, "net.rx.packets");
	s->tx_packets = ctl_number(flat, "net.tx.packets");
	s->rx_bytes = ctl_number(flat, "net.rx.bytes");
	s->tx_bytes = ctl_number(flat, "net.tx.bytes");
	s->interrupts = ctl_number(flat, "net.thread.interrupts");
	s->kicks = ctl_number(flat, "net.thread.kicks");
	s->batches = ctl_number(flat, "net.rx.batches") + ctl_number(flat, "net.tx.batches");
	s->spins = ctl_number(flat, "net.thread.spins");
	s->sleeps = ctl_number(flat, "net.thread.sleeps");
	s->exits = sum_exits(flat);
}

/* One number by another; "-" where there is nothing to divide by. */
static void put_ratio(u64 n, u64 by)
{
	if (by)
		printf(" %8.2f", (double)n / (double)by);
	else
		printf(" %8s", "-");
}

static void print_heading(void)
{
	printf("%9s %9s %9s %9s %8s %8s %8s %8s %8s %8s\n", "rx pkt/s", "rx Mb/s", "tx pkt/s", "tx Mb/s",
	       "pkt/irq", "kick/pkt", "exit/pkt", "batch", "spin/s", "sleep/s");
}

static void print_sample(const struct sample *was, const struct sample *is)
{
	double s = MAX((double)(is->ns - was->ns) / 1e9, 1e-9);
	u64 packets = is->rx_packets - was->rx_packets + is->tx_packets - was->tx_packets;

	printf("%9.0f %9.1f %9.0f %9.1f", (double)(is->rx_packets - was->rx_packets) / s,
	       (double)(is->rx_bytes - was->rx_bytes) * 8 / 1e6 / s,
	       (double)(is->tx_packets - was->tx_packets) / s,
	       (double)(is->tx_bytes - was->tx_bytes) * 8 / 1e6 / s);
	put_ratio(packets, is->interrupts - was->interrupts);
	put_ratio(is->kicks - was->kicks, packets);
	put_ratio(is->exits - was->exits, packets);
	put_ratio(packets, is->batches - was->batches);
	printf(" %8.0f %8.0f\n", (double)(is->spins - was->spins) / s, (double)(is->sleeps - was->sleeps) / s);
}

/* Until the next one is due; false: the guest is gone. */
static bool pause_for(int fd, unsigned ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	/* It says nothing unasked: what can be read is the end. */
	return poll(&p, 1, (int)ms) <= 0;
}

static int stat_json(const struct conf_client *c, int fd)
{
	char *json = ctl_ask(fd, "stats json\n");

	if (!json)
		die("the guest does not answer on its control socket");
	for (unsigned n = 1; json; n++) {
		fputs(json, stdout);
		fflush(stdout);
		free(json);
		if (n == c->count || !pause_for(fd, c->interval_ms))
			break;
		json = ctl_ask(fd, "stats json\n");
	}
	return 0;
}

static int stat_lines(const struct conf_client *c, int fd)
{
	bool terminal = isatty(STDOUT_FILENO);
	struct sample was, is;
	char *flat = ctl_ask(fd, "stats flat\n");

	if (!flat)
		die("the guest does not answer on its control socket");
	take_sample(flat, &was);
	for (unsigned n = 0; n < c->count || !c->count; n++, was = is) {
		free(flat);
		flat = pause_for(fd, c->interval_ms) ? ctl_ask(fd, "stats flat\n") : NULL;
		if (!flat)
			break;
		take_sample(flat, &is);
		if (!n || (terminal && !(n % SCREEN)))
			print_heading();
		print_sample(&was, &is);
		fflush(stdout);
	}
	free(flat);
	return 0;
}

int ctl_stat(const struct conf_client *c)
{
	int fd = ctl_find_guest(c->guest);
	int status = c->json ? stat_json(c, fd) : stat_lines(c, fd);

	close(fd);
	return status;
}
