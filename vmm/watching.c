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
#include "virtio.h"

void watching_check(const struct conf *c)
{
	if (c->dry_run || !c->net.pcap || strcmp(c->net.pcap, "-"))
		return;
	if (c->session)
		die_args("--net pcap=-: standard output is the command's; name a file or a FIFO");
	if (isatty(STDOUT_FILENO))
		die_args("--net pcap=-: standard output is a terminal; write '| tshark -r -' behind it, or name a file");
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

void watching_begin(const struct conf *c)
{
	char err[512];

	if (c->net.pcap && pcap_begin(err, sizeof(err)))
		die("%s", err);
}

void watching_end(struct net *net)
{
	/* What is reported afterwards is then what they have. */
	if (pcap_is_on())
		virtio_quiesce(net_virtio(net));
	pcap_stop();
}
