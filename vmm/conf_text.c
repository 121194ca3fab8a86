// SPDX-License-Identifier: MIT
/*
 * conf_text.c - the way back: a struct conf as the command line that would
 * make it, as the guest's kernel command line, and the help text.
 *
 * Parsing what conf_to_command() writes gives the same configuration again;
 * nothing is left to a default, so that the line still means the same when a
 * default changes.  Of the feature switches those are written that are not
 * as they are when nothing is said of them.
 */
#include "conf.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pasta.h"
#include "session.h"
#include "trace.h"

/*
 * The console we have, and no waiting after a panic: the guest is to be gone
 * at once, so that its end is noticed.  And that by the reset register: where
 * ACPI is hardware-reduced Linux would go back to real mode, and the registers
 * with which it panicked would be gone.
 */
#define DEFAULT_PARAMS "console=ttyS0 panic=-1 reboot=acpi"
#define SESSION_PARAMS " rdinit=" SESSION_INIT

static FILE *text_open(char **text, size_t *size)
{
	FILE *f = open_memstream(text, size);

	if (!f)
		die("out of memory while writing a command line");
	return f;
}

static void text_close(FILE *f)
{
	if (fclose(f))
		die("out of memory while writing a command line");
}

/* As a POSIX shell will read it back as one word. */
static void put_quoted(FILE *f, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_./:=,+@%-";

	if (*s && !s[strspn(s, plain)]) {
		fputs(s, f);
		return;
	}
	putc('\'', f);
	for (; *s; s++)
		if (*s == '\'')
			fputs("'\\''", f);
		else
			putc(*s, f);
	putc('\'', f);
}

static void put_option(FILE *f, const char *option, const char *value)
{
	if (!value || !*value)
		return;
	fprintf(f, " %s ", option);
	put_quoted(f, value);
}

static void put_options(FILE *f, const char *option, char *const *values)
{
	for (; values && *values; values++)
		put_option(f, option, *values);
}

static void put_cpus(FILE *f, const char *before, const struct conf_cpus *cpus, char separator)
{
	if (!cpus->n)
		return;
	fputs(before, f);
	for (unsigned i = 0; i < cpus->n; i++) {
		if (i)
			putc(separator, f);
		fprintf(f, "%u", cpus->cpu[i]);
	}
}

static const char *ip_text(u32 ip, char text[INET_ADDRSTRLEN])
{
	return inet_ntop(AF_INET, &ip, text, INET_ADDRSTRLEN);
}

const char *conf_mac_text(const u8 m[6], char buf[CONF_MAC_TEXT])
{
	snprintf(buf, CONF_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	return buf;
}

/* A time there is only with a policy that has one. */
static void put_irq(FILE *f, const struct conf_net *net)
{
	fprintf(f, ",irq=%s", conf_irq_name(net->irq));
	if (net->irq_usecs)
		fprintf(f, ":%u", net->irq_usecs);
}

/* Those that are not as they are when nothing is said of them. */
static void put_declined(FILE *f, u64 declined)
{
	u64 changed = declined ^ net_features_on_demand();
	const char *name;

	for (unsigned i = 0; (name = net_feature_switch(i)); i++)
		if (changed & net_feature_bits(name))
			fprintf(f, ",%s=%s", name, declined & net_feature_bits(name) ? "off" : "on");
}

static void put_capture(FILE *f, const struct conf_net *net)
{
	if (net->pcap) {
		fputs(",pcap=", f);
		put_quoted(f, net->pcap);
	}
	if (net->snaplen)
		fprintf(f, ",snaplen=%u", net->snaplen);
	if (net->pcap_max)
		fprintf(f, ",pcap_max=%llu", (unsigned long long)net->pcap_max);
}

static void put_net(FILE *f, const struct conf_net *net)
{
	char ip[INET_ADDRSTRLEN], mac[CONF_MAC_TEXT];

	if (net->mode == NET_NONE) {
		fputs(" --net none", f);
		return;
	}
	fprintf(f, " --net mode=%s", conf_net_mode_name(net->mode));
	if (net->tap[0]) {
		fputs(",tap=", f);
		put_quoted(f, net->tap);
	}
	if (net->fd >= 0)
		fprintf(f, ",fd=%d", net->fd);
	fprintf(f, ",mac=%s", conf_mac_text(net->mac, mac));
	if (net->host_ip)
		fprintf(f, ",ip=%s/%u", ip_text(net->host_ip, ip), net->prefix);
	if (net->guest_ip)
		fprintf(f, ",guest_ip=%s", ip_text(net->guest_ip, ip));
	if (net->mtu)
		fprintf(f, ",mtu=%u", net->mtu);
	fprintf(f, ",queue_size=%u,queues=%u", net->queue_size, net->queues);
	put_irq(f, net);
	fprintf(f, ",spin=%s,io=%s", net->spin ? "on" : "off", net->io == IO_POLL ? "poll" : "uring");
	put_cpus(f, ",cpus=", &net->cpus, ':');
	put_capture(f, net);
	put_declined(f, net->declined);
}

static void put_stats(FILE *f, const struct conf_stats *s)
{
	if (!s->on)
		return;
	fprintf(f, " --stats=%s", report_format_name(s->format));
	if (!s->file)
		return;
	putc(':', f);
	put_quoted(f, s->file);
}

static void put_trace(FILE *f, const struct conf_trace_to *t)
{
	const char *separator = " --trace ", *name;

	for (unsigned i = 0; (name = trace_class_name(i)); i++)
		if (t->classes & 1u << i) {
			fprintf(f, "%s%s", separator, name);
			separator = ",";
		}
	if (!t->classes)
		return;
	putc(':', f);
	put_quoted(f, t->file);
}

static void put_gdb(FILE *f, const struct conf_gdb *g)
{
	char ip[INET_ADDRSTRLEN];

	if (g->on && g->path) {
		fputs(" --gdb unix:", f);
		put_quoted(f, g->path);
	} else if (g->on) {
		fprintf(f, " --gdb tcp:%s:%u", ip_text(g->address, ip), g->port);
	}
	fputs(g->stopped ? " -S" : "", f);
}

char *conf_to_command(const struct conf *c)
{
	bool gib = !(c->mem % GiB);
	char *text;
	size_t size;
	FILE *f = text_open(&text, &size);

	fputs("ringlet run", f);
	put_option(f, "--kernel", c->kernel);
	put_option(f, "--initrd", c->initrd);
	put_option(f, "--params", c->params);
	fprintf(f, " --mem %llu%c", (unsigned long long)(c->mem / (gib ? GiB : MiB)),
		gib ? 'G' : 'M');
	fprintf(f, " --cpus %u", c->cpus);
	put_net(f, &c->net);
	put_cpus(f, " --pin ", &c->pin, ',');
	if (c->timeout)
		fprintf(f, " --timeout %u", c->timeout);
	put_option(f, "--user", c->user);
	put_option(f, "--name", c->name);
	put_option(f, "--sock", c->sock);
	put_gdb(f, &c->gdb);
	put_stats(f, &c->stats);
	put_trace(f, &c->trace);
	put_option(f, "--dump-on-panic", c->dump_on_panic);
	put_option(f, "--symbols", c->symbols);
	if (c->watchdog)
		fprintf(f, " --watchdog %u%s", c->watchdog, c->watchdog_ends ? ":end" : "");
	put_option(f, "--ns-exec", c->ns_exec);
	put_options(f, "--copy", c->copies);
	put_options(f, "--env", c->environ);
	put_option(f, "--cwd", c->cwd);
	put_option(f, "--out", c->out);
	put_option(f, "--save-initrd", c->save_initrd);
	if (c->net.chaos.on) {
		fputs(" --chaos ", f);
		conf_chaos_print(&c->net.chaos, f);
	}
	fputs(c->net.mmio_strict ? " --mmio-strict" : "", f);
	fputs(c->dry_run ? " --dry-run" : "", f);
	fputs(c->verbose ? " --verbose" : "", f);
	fputs(c->command ? " --" : "", f);
	for (char **word = c->command; word && *word; word++) {
		putc(' ', f);
		put_quoted(f, *word);
	}
	text_close(f);
	return text;
}

/* Whether it is among the words of the command line. */
static bool has_param(const char *params, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = params; (p = strstr(p, word)); p += len)
		if ((p == params || p[-1] == ' ') && (!p[len] || p[len] == ' '))
			return true;
	return false;
}

char *conf_guest_cmdline(const struct conf *c)
{
	const struct conf_net *net = &c->net;
	char guest[INET_ADDRSTRLEN], host[INET_ADDRSTRLEN] = "", mask[INET_ADDRSTRLEN];
	char *text;
	size_t size;
	FILE *f = text_open(&text, &size);

	fputs(DEFAULT_PARAMS, f);
	if (c->session)
		fputs(c->verbose ? SESSION_PARAMS : SESSION_PARAMS " quiet", f);
	/* So that the addresses are those of the symbol table. */
	if (c->gdb.on && !has_param(c->params, "nokaslr") && !has_param(c->params, "kaslr"))
		fputs(" nokaslr", f);
	if (net->guest_ip) {
		if (net->host_ip)
			ip_text(net->host_ip, host);
		ip_text(conf_netmask(net->prefix), mask);
		fprintf(f, " ip=%s::%s:%s::eth0:off%s", ip_text(net->guest_ip, guest), host, mask,
			net->mode == NET_USER ? ":" PASTA_DNS : "");
	}
	if (c->params[0])
		fprintf(f, " %s", c->params);
	text_close(f);
	return text;
}

static const char help[] =
	"usage: ringlet [run] [OPTIONS] [KERNEL] [-- COMMAND ARGUMENTS...]\n"
	"       ringlet list [--json]\n"
	"       ringlet stat [-i SECS] [-c COUNT] [--json] [GUEST]\n"
	"       ringlet trace [--json|--latency] FILE\n"
	"       ringlet ctl GUEST REQUEST...\n"
	"       ringlet dump [--consistent] GUEST FILE\n"
	"       ringlet probe [--json] | ringlet version | ringlet help\n"
	"\n"
	"Boots a Linux kernel (bzImage or ELF64 vmlinux) in a KVM guest.  With no KERNEL:\n"
	"./arch/x86/boot/bzImage, ./bzImage, ./vmlinux, or the host's own.  KERNEL may be\n"
	"one of ringlet's own small guests: guest:hello, guest:irq, guest:netecho or\n"
	"guest:hostile.  Linux runs COMMAND; its streams and status are ringlet's.\n"
	"\n"
	"probe says what this host offers, and what would help where something is\n"
	"missing; its status is 0 if a Linux guest can run.\n"
	"\n"
	"Boot:\n"
	"  -k, --kernel FILE    the kernel, instead of the word KERNEL\n"
	"  -i, --initrd FILE    its initial RAM disk\n"
	"  -p, --params STR     add to the guest's command line; may be repeated\n"
	"  -m, --mem SIZE       memory: MiB, or with K, M, G, T; 64M to 1T (512M)\n"
	"  -c, --cpus N         virtual processors, 1 to 32 (1)\n"
	"\n"
	"Command (without one, and at a terminal: a shell):\n"
	"  --copy SRC[:DST]     a file or directory of the host for the guest; repeatable\n"
	"  --env NAME=VALUE     for the command's environment; may be repeated\n"
	"  --cwd DIR            the guest's directory to run it in (/)\n"
	"  --out DIR            what the command leaves in the guest's /out comes here\n"
	"  --save-initrd FILE   keep a copy of the initramfs that is made for it\n"
	"\n"
	"Network:\n"
	"  -n, --net KEY=VAL,...\n"
	"      mode=tap|ns|user|none\n"
	"                       or the bare word; any other key means tap, or without the\n"
	"                       right to it ns: a network namespace of its own; user: the\n"
	"                       same, and the outside network by pasta (none)\n"
	"      tap=NAME         interface to use or create (ringlet0, ringlet1, ...)\n"
	"      fd=N             a tap that is open already, instead of tap=\n"
	"      ip=HOST/LEN      address to give to the tap\n"
	"      guest_ip=ADDR    address for the guest, by ip= on its command line\n"
	"      mac=ADDR         the guest's MAC address (random)\n"
	"      mtu=N            68 to 65521 (the tap's own)\n"
	"      queue_size=N     ring entries, a power of two, 32 to 1024 (1024)\n"
	"      queues=N         pairs of queues, each with its own thread, 1 to 16 (1)\n"
	"      irq=POLICY       when to interrupt for packets received: packet, drain,\n"
	"                       delay:USEC, pending:USEC, adaptive (adaptive)\n"
	"      spin=on|off      look for more for a moment before sleeping (on)\n"
	"      io=uring|poll    how the tap is read and written (uring)\n"
	"      cpus=LIST        processors for the device threads, like 1-2 or 1:3\n"
	"      pcap=FILE        capture its packets, as pcapng; a dash is standard output\n"
	"      snaplen=N        keep so many bytes of each (all)\n"
	"      pcap_max=SIZE    bytes of a file; then FILE.1 to FILE.3, and FILE again\n"
	"      FEATURE=on|off   offer it to the guest (on, the last two off): csum, tso,\n"
	"                       uso, mrg_rxbuf, indirect, event_idx, ctrl_vq, ctrl_rx,\n"
	"                       ctrl_vlan, ctrl_mac_addr, guest_offloads, announce, mq,\n"
	"                       notf_coal, ring_reset, status, speed_duplex,\n"
	"                       mtu_feature, rss, hash_report\n"
	"  --ns-exec CMD        with mode=ns or user: a shell command at the other end\n"
	"  --mmio-strict        virtio InterruptStatus exactly as specified, slower\n"
	"  --chaos KIND:P,...   UNSAFE, to test a driver: the device lies to it with\n"
	"                       probability P, like 0.01: delay, drop, dup, reorder,\n"
	"                       badid, len, spurious-irq; seed:N: the same way again\n"
	"\n"
	"Running:\n"
	"  --pin LIST           processors for the virtual ones, in turn, like 1,3-5\n"
	"  --timeout SECS       end the guest after so long\n"
	"  --user NAME          as root: become this user once all is open (nobody)\n"
	"  --name NAME          what the guest is called (guest-PID)\n"
	"  --sock PATH          its control socket (in a directory of the user's)\n"
	"  --stats[=FORMAT[:FILE]]\n"
	"                       report all counters at the end, and on SIGUSR1; FORMAT is\n"
	"                       text, json or flat (text), FILE else standard error\n"
	"  --trace EVENTS[:FILE]\n"
	"                       record when what happened (ringlet.trace): some of exits,\n"
	"                       mmio, vq, irq, net, separated by commas, or all\n"
	"  --dump-on-panic FILE the guest's memory, if its kernel panics or crashes\n"
	"  --symbols FILE       its System.map or vmlinux, for names in what is said then\n"
	"  --watchdog SECS[:end]\n"
	"                       say when the guest has hung for so long, or end it, too\n"
	"  -s                   let gdb connect, as by --gdb tcp:127.0.0.1:1234\n"
	"  --gdb WHERE          where it can: tcp:[ADDRESS:]PORT or unix:PATH\n"
	"  -S                   with one of these: wait for gdb to start the guest\n"
	"  --dry-run            print command line, memory map and devices, and exit\n"
	"  -v, --verbose        say what is done and what was negotiated\n"
	"  -h, --help           this text; --version prints the version\n"
	"\n"
	"Watching: list shows the guests that run; stat what one of them does, a line\n"
	"each SECS seconds (1), COUNT times, with --json all there is.  GUEST is a name\n"
	"or a process, and need not be given where there is but one.\n"
	"\n"
	"Tracing: trace prints what --trace recorded, with --json for Perfetto, with\n"
	"--latency how long each batch of packets took to where.\n"
	"\n"
	"ctl has a guest do something: pause, resume, stop, reset, nmi [N], sysrq KEY,\n"
	"link up|down, irq POLICY, stats [FORMAT], info [FORMAT]; help lists it all.\n"
	"dump writes its memory and registers to FILE, for gdb and crash.\n"
	"\n"
	"Understood as well: -kernel, -initrd, -append, --append (--params), -smp, --smp\n"
	"(--cpus), -gdb (--gdb), -nographic, --nographic (always so); in --net tapif\n"
	"(tap), guest_mac (mac), host_ip (ip).  Console: Ctrl-A h lists the keys,\n"
	"Ctrl-A x quits.\n"
	"\n"
	"Examples:\n"
	"  ringlet bzImage\n"
	"  ringlet -m 1G -c 2 -i initrd.img -p 'quiet rdinit=/bin/sh' bzImage\n"
	"  ringlet -n ip=10.0.0.1/24,guest_ip=10.0.0.2 -i initrd.img vmlinux\n"
	"  ringlet -n ip=10.0.0.1/24,guest_ip=10.0.0.2 guest:netecho\n"
	"  ringlet vmlinuz -- id\n"
	"\n"
	"Exit status:\n"
	"  0   the guest powered off       34  its kernel panicked\n"
	"  32  it reset                    35  bad arguments\n"
	"  33  triple fault or KVM error   36  --timeout passed\n"
	"  37  it hung (--watchdog)        125 the host could not do what is needed\n"
	"With a COMMAND its own status, and then no line of ringlet's on stderr.\n";

void conf_help(void)
{
	fputs(help, stdout);
}
