// SPDX-License-Identifier: MIT
/*
 * watching.c - what main does so that one can watch a guest closely.
 */
#include "watching.h"

#include <string.h>
#include <unistd.h>

#include "console.h"
#include "log.h"
#include "pcap.h"
#include "tap.h"
#include "tracer.h"
#include "virtio.h"
#include "vm.h"

static struct vm *vm;

void watching_check(const struct conf *c)
{
	if (c->dry_run || !c->net.pcap || strcmp(c->net.pcap, "-"))
		return;
	if (c->session)
		die_args("--net pcap=-: standard output is the command's; name a file or a FIFO");
	if (isatty(STDOUT_FILENO))
		die_args("--net pcap=-: standard output is a terminal; write '| tshark -r -' behind it, or name a file");
}

void watching_open(const struct conf *c, struct vm *machine)
{
	char err[512];

	vm = machine;
	if (c->trace.classes && tracer_open(c->trace.file, err, sizeof(err)))
		die_args("--trace: %s", err);
	vm->keeps_acks = c->trace.classes & TRACE_IRQ && c->net.mode != NET_NONE;
}

static void watch_end_of_capture(int ended)
{
	console_watch(ended, pcap_stop);
}

void watching_open_net(const struct conf *c, struct net *net, const struct tap *tap)
{
	struct pcap_setup s = {
		.net = net,
		.interface = tap->name,
		.snaplen = c->net.snaplen,
		.max = c->net.pcap_max,
		.ended = watch_end_of_capture,
	};
	char err[512];

	memcpy(s.mac, c->net.mac, sizeof(s.mac));
	pcap_init(&s);
	if (!c->net.pcap)
		return;
	if (!strcmp(c->net.pcap, "-"))
		console_to_stderr();
	if (pcap_open(c->net.pcap, true, err, sizeof(err)))
		die_args("--net pcap=%s: %s", c->net.pcap, err);
}

/* Main thread, from console_run(): the guest wrote InterruptACK. */
static void acknowledged(void)
{
	u64 n;

	if (read(vm->ack_fd, &n, sizeof(n)) == sizeof(n))
		trace_put(tracer_of_main(), TRACE_ACK, 0, n, 0, 0);
}

static void begin_trace(const struct conf *c, struct net *net)
{
	unsigned pairs = net ? net_pairs(net) : 0;
	char err[512];

	if (tracer_begin(c->trace.classes, c->cpus, pairs, err, sizeof(err)))
		die("%s", err);
	for (unsigned i = 0; i < c->cpus; i++)
		vm->vcpu[i].trace = tracer_of_vcpu(i);
	for (unsigned i = 0; i < pairs; i++)
		net_trace(net, i, tracer_of_pair(i));
	if (vm->ack_fd >= 0)
		console_watch(vm->ack_fd, acknowledged);
}

void watching_begin(const struct conf *c, struct net *net)
{
	char err[512];

	if (c->trace.classes)
		begin_trace(c, net);
	if (c->net.pcap && pcap_begin(err, sizeof(err)))
		die("%s", err);
}

void watching_end(struct net *net)
{
	/* What is reported afterwards is then what they have. */
	if (net && (pcap_is_on() || tracer_of_main()))
		virtio_quiesce(net_virtio(net));
	pcap_stop();
	tracer_end();
}

void watching_close(void)
{
	tracer_close();
}
