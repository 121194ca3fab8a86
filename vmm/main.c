// SPDX-License-Identifier: MIT
/*
 * main.c - the wiring, in order: what needs rights, the machine, its devices,
 * then without rights the threads; wait; the same list backwards.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acpi.h"
#include "boot.h"
#include "clock.h"
#include "command.h"
#include "conf.h"
#include "console.h"
#include "cpu_state.h"
#include "ctl.h"
#include "ctl_guest.h"
#include "dry_run.h"
#include "dump.h"
#include "ending.h"
#include "gdb.h"
#include "initramfs.h"
#include "inspect.h"
#include "link.h"
#include "log.h"
#include "net.h"
#include "netns.h"
#include "pasta.h"
#include "pcap.h"
#include "probe.h"
#include "sandbox.h"
#include "stats.h"
#include "symbols.h"
#include "tap.h"
#include "tap_steering.h"
#include "tracer.h"
#include "vm.h"
#include "watchdog.h"
#include "watching.h"

static struct conf conf;
static struct vm vm;
static struct tap tap;
static struct steering steering = { .program = -1 };
static struct net *net;
static struct stats stats = { .conf = &conf, .vm = &vm, .tap = &tap };
static struct symbols *symbols; /* of the guest's kernel, or NULL */
static bool terminal; /* the command's streams are one */

/* Asked first: what is opened after it may get that very number. */
static void check_inherited(void)
{
	int fd = conf.net.fd;

	if (fd >= 0 && fcntl(fd, F_GETFD) < 0)
		die("descriptor %d is not open: pass a tap as in '%d<>/dev/tapN'", fd, fd);
}

static void open_net(void)
{
	const struct conf_net *n = &conf.net;
	struct net_params p = {
		.queue_size = n->queue_size,
		.pairs = n->queues,
		.declined = n->declined,
		.irq = n->irq,
		.irq_usecs = n->irq_usecs,
		.spin = n->spin,
		.chaos = n->chaos.on ? &n->chaos : NULL,
		.poll_engine = n->io == IO_POLL,
		.strict = n->mmio_strict,
		.cpus = n->cpus.cpu,
		.n_cpus = n->cpus.n,
	};
	char err[512], mac[CONF_MAC_TEXT];
	unsigned mtu;

	if (n->fd >= 0 ? tap_adopt(&tap, n->fd, err, sizeof(err)) : tap_open(&tap, n->tap, n->queues, err, sizeof(err)))
		die("%s", err);
	if (tap_configure(&tap, n->host_ip, n->prefix, n->mtu, &mtu, err, sizeof(err)))
		die("%s", err);
	memcpy(p.mac, n->mac, sizeof(p.mac));
	p.mtu = (u16)mtu;
	p.tap_fd = tap.fd;
	p.tap_uso = tap.uso;
	p.tap_name = tap.name;
	if (!(n->declined & net_feature_bits("rss"))) {
		if (n->queues == 1 || n->declined & net_feature_bits("mq"))
			warn("rss=on: with one pair of queues there is nothing to choose; use queues=N");
		else if (steering_open(&steering, err, sizeof(err)))
			warn("rss=on: %s", err);
		else
			p.steering = &steering;
	}
	net = net_new(&p, &vm.mem, err, sizeof(err));
	if (!net)
		die("%s", err);
	if (n->chaos.on)
		warn("--chaos: the network device lies to its driver on purpose, seed %llu",
		     (unsigned long long)n->chaos.seed);
	vm_add_virtio(&vm, net_virtio(net));
	info("net: tap %s%s, mac %s, mtu %u, engine %s", tap.name, tap.created ? " (made)" : "",
	     conf_mac_text(n->mac, mac), mtu, net_engine_name(net));
}

static void load_guest(const char *cmdline, const struct boot_made *made)
{
	struct acpi_device dev[MAX_VIRTIO];
	struct acpi_config acpi = { .ncpus = conf.cpus, .virtio = dev, .nvirtio = vm.nvirtio };
	struct boot_request req = { .kernel = conf.kernel, .initrd = conf.initrd, .cmdline = cmdline, .made = made };
	struct boot_entry entry;
	char err[512];

	for (unsigned i = 0; i < vm.nvirtio; i++)
		dev[i] = (struct acpi_device){ LAYOUT_VIRTIO_WINDOW(i), LAYOUT_VIRTIO_SIZE, GSI_VIRTIO + i };
	req.rsdp = acpi_build(&vm.mem, &acpi);
	if (boot_load(&vm.mem, &req, &entry, err, sizeof(err)))
		die_args("%s", err);
	vm_set_entry(&vm, &entry);
	info("%s: %s, %#llx-%#llx, entry %#llx; command line: %s", conf.kernel, entry.kind,
	     (unsigned long long)entry.kernel, (unsigned long long)entry.kernel_end,
	     (unsigned long long)entry.rip, cmdline);
}

static void open_symbols(void)
{
	char err[512];

	if (conf.symbols && !(symbols = symbols_open(conf.symbols, err, sizeof(err))))
		die_args("%s", err);
}

static const struct ctl_command commands[] = {
	{ "stats", "[json|text|flat]  all that is counted", ctl_stats },
	{ "info", "[json|text|flat]  what guest this is", ctl_info },
	{ "pcap", "start FILE|stop  capture packets", pcap_command },
	{ "pause", "have all processors stand still", ctl_pause },
	{ "resume", "have them go on", ctl_resume },
	{ "stop", "end the guest, as Ctrl-A x does", ctl_stop },
	{ "reset", "end it as if it had reset the machine", ctl_reset },
	{ "nmi", "[N]  a non-maskable interrupt, for processor N or all", ctl_nmi },
	{ "sysrq", "KEY  a break and this key on the serial line", ctl_sysrq },
	{ "link", "up|down  the network's carrier", ctl_link },
	{ "dump", "[consistent]  the guest's memory, into the file that comes along", ctl_dump },
	{ "irq", "POLICY  when to interrupt for packets, as in --net", ctl_irq },
	{ "vq", "[[DEVICE.]QUEUE]  the rings", inspect_vq },
	{ "net", "what the network device has counted and negotiated", inspect_net },
	{ "interrupts", "the I/O APIC and the local APICs", inspect_interrupts },
	{ "exits", "why the processors left the guest", inspect_exits },
	{ "registers", "[VCPU]  the processors' registers", inspect_registers },
	{ "mem", "[VCPU]  which addresses its page tables map", inspect_mem },
	{ "phys", "ADDRESS [COUNT]  bytes of guest-physical memory, or ADDRESS=BYTES to change them", inspect_phys },
	{ NULL },
};

static void open_gdb(void)
{
	char err[512];

	if (conf.gdb.on && gdb_open(&conf.gdb, err, sizeof(err)))
		die_args("%s", err);
}

/* One that nobody asked for need not be had. */
static void open_ctl(void)
{
	static char name[CTL_NAME];
	char err[512];

	snprintf(name, sizeof(name), "guest-%d", getpid());
	stats.name = conf.name ? conf.name : name;
	if (!ctl_open(stats.name, conf.sock, sandbox_uid(conf.user), err, sizeof(err)))
		return;
	if (conf.name || conf.sock)
		die_args("%s", err);
	info("no control socket: %s", err);
}

/* Main thread, from console_run(). */
static void look_at_panic(void)
{
	vm_pause(&vm);
	cpu_states_keep(&vm);
	vm_resume(&vm);
}

/*
 * Without rights a network is one of our own, with nobody in it but what
 * --ns-exec starts; who wants another says mode=tap, or names a tap.
 */
static void choose_network(void)
{
	char err[512];

	if (conf.net.may_be_ns && conf.net.mode == NET_TAP && !netns_may_configure()) {
		conf_net_in_namespace(&conf.net);
		warn("no right to make a tap: the guest's network is a namespace of its own (mode=ns)");
	}
	if (!conf_net_has_namespace(&conf.net)) {
		if (conf.ns_exec)
			die_args("--ns-exec %s: there is no namespace to run it in; write --net ns", conf.ns_exec);
		return;
	}
	if (conf.dry_run)
		return;
	if (conf.net.mode == NET_USER && pasta_prepare(err, sizeof(err)))
		die("%s", err);
	if (netns_enter(conf.net.mode == NET_USER, err, sizeof(err)) ||
	    (conf.net.mode == NET_USER && pasta_start(err, sizeof(err))))
		die("%s", err);
	/* Now: its keeper would keep what is opened later, the tap and the guest's memory. */
	if (conf.ns_exec)
		netns_prepare_peer(conf.ns_exec);
}

/* They would do nothing, and leave one wondering where the files are. */
static void refuse_session_options(void)
{
	const struct {
		const void *given;
		const char *name;
	} option[] = {
		{ conf.out, "--out" }, { conf.copies, "--copy" },	      { conf.environ, "--env" },
		{ conf.cwd, "--cwd" }, { conf.save_initrd, "--save-initrd" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(option); i++)
		if (option[i].given)
			die_args("%s is for a command in the guest, and there is none: write -- COMMAND", option[i].name);
}

/* Linux without a command and an initrd has nothing to do but for a user who types. */
static void choose_session(void)
{
	bool streams = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	char version[BOOT_VERSION];

	conf.session = conf.command || (streams && !conf.initrd && boot_version(conf.kernel, version));
	terminal = conf.session && streams;
	if (!conf.session)
		refuse_session_options();
}

/* Whatever takes rights; the guest's memory is filled at the end of it. */
static void open_all(const char *cmdline, const struct boot_made *made)
{
	check_inherited();
	stats_open(&stats);
	if (conf.dump_on_panic)
		dump_prepare(conf.dump_on_panic);
	open_symbols();
	open_ctl();
	open_gdb();
	vm_open(&vm, conf.cpus);
	vm_add_memory(&vm, conf.mem);
	vm_add_serial(&vm);
	dump_init(&vm);
	watching_open(&conf, &vm);
	if (conf.net.mode != NET_NONE) {
		open_net();
		watching_open_net(&conf, net, &tap);
	}
	if (conf.session)
		vm_add_virtio(&vm, command_open(&vm, &conf, terminal, netns_start_peer));
	load_guest(cmdline, made);
	console_open_output();
	log_open();
	if (net)
		link_open(net, &tap);
}

/* The threads, of which the guest's are the last. */
static void start(void)
{
	if (conf.session)
		command_start(&conf);
	console_block_signals(stats_say);
	if (!conf.session || terminal)
		console_open();
	watching_begin(&conf, net);
	if (net && net_start(net))
		die("cannot start the network device's thread");
	if (conf.watchdog)
		watchdog_open(&vm, conf.watchdog, conf.watchdog_ends, symbols);
	stats.net = net;
	stats.started = clock_ns();
	inspect_open(&stats);
	if (conf.gdb.on)
		gdb_serve(&vm, commands, conf.gdb.stopped);
	vm_start(&vm, conf.pin.cpu, conf.pin.n);
	ctl_guest_init(&vm, net);
	ctl_serve(commands);
	if (!conf.session)
		netns_start_peer();
}

/* The same backwards; the exit status. */
static int stop(void)
{
	int status;

	vm_stop(&vm);
	dump_close();
	console_flush(&vm);
	console_close();
	ctl_close();
	gdb_close();
	netns_end_peer();
	watching_end(net);
	stats_close();
	if (net)
		net_free(net);
	watching_close();
	if (conf.session)
		command_close();
	steering_close(&steering);
	tap_close(&tap);
	dump_panicked(ending_is_bad(&vm));
	status = ending_say(&conf, &vm, symbols);
	symbols_free(symbols);
	vm_close(&vm);
	return status;
}

static void check_kernel(void)
{
	char err[512];

	if (conf.kernel_is_found)
		warn("no kernel given: taking %s", conf.kernel);
	if (boot_probe(conf.kernel, err, sizeof(err)))
		die_args("%s", err);
}

static int run(void)
{
	struct initramfs *files = NULL;
	struct boot_made made;
	char *cmdline, *command;
	int status;

	check_kernel(); /* before all of a file that is none is searched */
	choose_session();
	choose_network();
	watching_check(&conf);
	cmdline = conf_guest_cmdline(&conf);
	command = conf_to_command(&conf);
	if (conf.session) {
		files = command_files(&conf, terminal);
		made = command_initrd(files);
	}
	if (conf.save_initrd && files)
		command_save(files, conf.save_initrd);
	if (conf.dry_run) {
		dry_run(&conf, cmdline, files ? &made : NULL);
		return 0;
	}
	info("%s", command);

	open_all(cmdline, files ? &made : NULL);
	if (files)
		initramfs_free(files);
	sandbox_enter(conf.user);
	start();
	console_on_panic(look_at_panic);
	console_run(&vm, conf.timeout);
	console_on_panic(NULL);
	status = stop();

	free(cmdline);
	free(command);
	return status;
}

/*
 * Where a standard stream is closed, the next thing opened takes its number:
 * the guest's console must not be written into an eventfd or a tap.
 */
static void open_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	int status = 0;

	open_streams();
	conf_parse(&conf, argc, argv);
	log_verbose = conf.verbose;
	switch (conf.verb) {
	case VERB_VERSION:
		printf("ringlet %s\n", RINGLET_VERSION);
		break;
	case VERB_HELP:
		conf_help();
		break;
	case VERB_LIST:
		status = ctl_list(&conf.client);
		break;
	case VERB_STAT:
		status = ctl_stat(&conf.client);
		break;
	case VERB_TRACE:
		status = trace_show(&conf.trace_show);
		break;
	case VERB_CTL:
		status = ctl_request(&conf.client);
		break;
	case VERB_PROBE:
		status = !probe_host(conf.client.json);
		break;
	case VERB_RUN:
		signal(SIGUSR1, SIG_IGN); /* until there is something to report */
		status = run();
		break;
	}
	conf_free(&conf);
	if (fflush(stdout) || ferror(stdout))
		die("standard output could not be written: is its disk full?");
	ending_by_signal(&vm);
	return status;
}
