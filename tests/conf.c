// SPDX-License-Identifier: MIT
/*
 * conf.c - what the command line accepts and what comes of it: options in all
 * their spellings, the keys of --net, and the kernel that nobody named.
 */
#include "conf-words.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>

static void defaults(void)
{
	struct conf c;

	parse(&c, "some/kernel");
	CHECK_EQ(c.verb, VERB_RUN);
	CHECK_STR(c.kernel, "some/kernel");
	CHECK(!c.kernel_is_found);
	CHECK(!c.initrd);
	CHECK_STR(c.params, "");
	CHECK_EQ(c.mem, 512 * MiB);
	CHECK_EQ(c.cpus, 1);
	CHECK_EQ(c.net.mode, NET_NONE);
	CHECK_EQ(c.net.fd, -1);
	CHECK_EQ(c.net.queues, 1);
	CHECK_EQ(c.net.irq, NET_IRQ_ADAPTIVE);
	CHECK_EQ(c.net.declined, net_features_on_demand());
	CHECK_EQ(c.pin.n, 0);
	CHECK_EQ(c.timeout, 0);
	CHECK(!c.user);
	CHECK(!c.dry_run && !c.verbose && !c.net.mmio_strict);
	conf_free(&c);
}

static void every_option_arrives(void)
{
	struct conf c;

	parse(&c, "run -i rd -p one -m 1G -c 4 --pin 3,1-2 --timeout 60 --user alice "
		  "--mmio-strict --dry-run -v -p two --nographic -k -kernel-");
	CHECK_STR(c.kernel, "-kernel-");
	CHECK_STR(c.initrd, "rd");
	CHECK_STR(c.params, "one two");
	CHECK_EQ(c.mem, GiB);
	CHECK_EQ(c.cpus, 4);
	CHECK_EQ(c.pin.n, 3);
	CHECK_EQ(c.pin.cpu[0], 3);
	CHECK_EQ(c.pin.cpu[1], 1);
	CHECK_EQ(c.pin.cpu[2], 2);
	CHECK_EQ(c.timeout, 60);
	CHECK_STR(c.user, "alice");
	CHECK(c.net.mmio_strict && c.dry_run && c.verbose);
	conf_free(&c);
}

static void commands(void)
{
	char *text;
	struct words w;
	struct conf c;

	/* What is behind "--" may be anything. */
	split_at(&w, "vmlinux|--|sh|-c|a\nb|--", "|");
	parse_words(&c, &w);
	CHECK_STR(c.kernel, "vmlinux");
	CHECK_STR(c.command[0], "sh");
	CHECK_STR(c.command[1], "-c");
	CHECK_STR(c.command[2], "a\nb");
	CHECK_STR(c.command[3], "--");
	CHECK(!c.command[4]);
	conf_free(&c);

	parse(&c, "--copy a:/b --copy c --env X= --cwd /d --out e --save-initrd f -n ns --ns-exec g vmlinux --");
	CHECK(c.command && !c.command[0]);
	CHECK_STR(c.copies[0], "a:/b");
	CHECK_STR(c.copies[1], "c");
	CHECK(!c.copies[2]);
	CHECK_STR(c.environ[0], "X=");
	CHECK_STR(c.cwd, "/d");
	CHECK_STR(c.out, "e");
	CHECK_STR(c.save_initrd, "f");
	CHECK_STR(c.ns_exec, "g");
	CHECK_EQ(c.net.mode, NET_NS);
	CHECK_EQ(c.net.host_ip, inet_addr("192.168.77.1"));
	CHECK_EQ(c.net.guest_ip, inet_addr("192.168.77.2"));
	conf_free(&c);

	parse(&c, "vmlinux -n user");
	CHECK_EQ(c.net.mode, NET_USER);
	CHECK(!c.net.may_be_ns && conf_net_has_namespace(&c.net));
	CHECK_EQ(c.net.guest_ip, inet_addr("192.168.77.2"));
	text = conf_guest_cmdline(&c);
	CHECK(strstr(text, " ip=192.168.77.2::192.168.77.1:255.255.255.0::eth0:off:10.0.2.3"));
	free(text);
	conf_free(&c);

	parse(&c, "vmlinux -n mtu=1400");
	CHECK(!c.command && c.net.may_be_ns);
	conf_free(&c);
	parse(&c, "vmlinux -n tap,mtu=1400");
	CHECK(!c.net.may_be_ns);
	conf_free(&c);
}

static void spellings_agree(void)
{
	static const char *const lines[] = {
		"vmlinux -i rd -p quiet -m 1024 -c 2 -n none -v",
		"run vmlinux --initrd rd --params quiet --mem 1024 --cpus 2 --net none --verbose",
		"--initrd=rd --params=quiet --mem=1024 --cpus=2 --net=none --verbose --kernel=vmlinux",
		"-kernel vmlinux -initrd rd -append quiet -m 1024 -smp 2 -nographic -v",
		"--kernel vmlinux --append quiet --smp=2 -m1G -ird -n none -v",
		"-kvmlinux -ird -pquiet -m1024M -c2 -nnone -v",
		"run -k=vmlinux -i=rd -p=quiet -m=1048576k -c=2 -n=mode=none -v",
		"-m 64 -c 1 -i other -k other -m 1g -c 2 -i rd -k vmlinux -p quiet -v",
	};
	struct conf first, other;

	parse(&first, lines[0]);
	CHECK_STR(first.kernel, "vmlinux");
	CHECK_STR(first.initrd, "rd");
	for (size_t i = 1; i < ARRAY_SIZE(lines); i++) {
		parse(&other, lines[i]);
		check_same(&first, &other);
		conf_free(&other);
	}
	conf_free(&first);
}

static void attached_parameters(void)
{
	struct conf c;

	/* The nearest traps: --pin is one letter away, and a prefix. */
	parse(&c, "vmlinux -pinit=/bin/sh -p= -pro");
	CHECK_STR(c.params, "init=/bin/sh ro");
	conf_free(&c);
}

static void sizes(void)
{
	static const struct {
		const char *text;
		u64 bytes;
	} good[] = {
		{ "64", 64 * MiB },	    { "65536K", 64 * MiB }, { "65536k", 64 * MiB },
		{ "512M", 512 * MiB },	    { "2g", 2 * GiB },	    { "1T", 1024 * GiB },
		{ "1048576", 1024 * GiB },  { "5120m", 5 * GiB },   { "00512", 512 * MiB },
	};
	char line[64];
	struct conf c;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(line, sizeof(line), "vmlinux -m %s", good[i].text);
		parse(&c, line);
		CHECK_EQ(c.mem, good[i].bytes);
		conf_free(&c);
	}
}

static void verbs(void)
{
	static const struct {
		const char *line;
		enum conf_verb verb;
	} good[] = {
		{ "probe", VERB_PROBE },     { "probe --json", VERB_PROBE },
		{ "version", VERB_VERSION }, { "--version", VERB_VERSION },
		{ "help", VERB_HELP },	     { "--help", VERB_HELP },
		{ "-h", VERB_HELP },	     { "run -m 512 --help", VERB_HELP },
		{ "run vmlinux", VERB_RUN }, { "./help", VERB_RUN },
		{ "list", VERB_LIST },	     { "list --json", VERB_LIST },
		{ "list -h", VERB_HELP },    { "stat", VERB_STAT },
		{ "stat x --help", VERB_HELP }, { "ctl -h", VERB_HELP },
		{ "ctl --help", VERB_HELP }, { "dump -h", VERB_HELP }, { "./ctl", VERB_RUN },
		{ "./stat", VERB_RUN },	     { "probe -h", VERB_HELP },
		{ "version --help", VERB_HELP }, { "help -h", VERB_HELP },
	};
	struct conf c;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		parse(&c, good[i].line);
		CHECK_EQ(c.verb, good[i].verb);
		conf_free(&c);
	}
}

static void watching(void)
{
	struct words w;
	struct conf c;

	split(&w, "stat");
	parse_words(&c, &w);
	CHECK(!c.client.guest && !c.client.json);
	CHECK_EQ(c.client.interval_ms, 1000);
	CHECK_EQ(c.client.count, 0);
	conf_free(&c);
	split(&w, "stat -i 0.25 web -c7 --json");
	parse_words(&c, &w);
	CHECK_STR(c.client.guest, "web");
	CHECK_EQ(c.client.interval_ms, 250);
	CHECK_EQ(c.client.count, 7);
	CHECK(c.client.json);
	conf_free(&c);
}

static void requests(void)
{
	struct words w;
	struct conf c;

	split(&w, "ctl web link down");
	parse_words(&c, &w);
	CHECK_EQ(c.verb, VERB_CTL);
	CHECK_STR(c.client.guest, "web");
	CHECK_STR(c.client.words[0], "link");
	CHECK_STR(c.client.words[1], "down");
	CHECK(!c.client.words[2]);
	conf_free(&c);
	split(&w, "dump --consistent web core");
	parse_words(&c, &w);
	CHECK_EQ(c.verb, VERB_CTL);
	CHECK_STR(c.client.guest, "web");
	CHECK_STR(c.client.words[0], "dump");
	CHECK_STR(c.client.words[1], "consistent");
	CHECK_STR(c.client.words[2], "core");
	CHECK(!c.client.words[3]);
	conf_free(&c);
	/* Behind the name everything is the guest's to judge. */
	split(&w, "ctl 123 --help -v");
	parse_words(&c, &w);
	CHECK_STR(c.client.words[1], "-v");
	conf_free(&c);
}

static void lies(void)
{
	struct conf c;

	parse(&c, "vmlinux");
	CHECK(!c.net.chaos.on);
	conf_free(&c);
	parse(&c, "vmlinux --chaos badid:0.000001,delay:1,spurious-irq:0.25,len:1.0,drop:0,seed:4294967295");
	CHECK(c.net.chaos.on);
	CHECK_EQ(c.net.chaos.millionth[CHAOS_BADID], 1);
	CHECK_EQ(c.net.chaos.millionth[CHAOS_DELAY], CHAOS_ALWAYS);
	CHECK_EQ(c.net.chaos.millionth[CHAOS_IRQ], 250000);
	CHECK_EQ(c.net.chaos.millionth[CHAOS_LEN], CHAOS_ALWAYS);
	CHECK_EQ(c.net.chaos.millionth[CHAOS_DROP], 0);
	CHECK_EQ(c.net.chaos.seed, 4294967295);
	conf_free(&c);
}

static void reports(void)
{
	static const struct {
		const char *line;
		enum report_format format;
		const char *file;
	} good[] = {
		{ "--stats vmlinux", REPORT_TEXT, NULL }, /* the next word is no value */
		{ "vmlinux --stats=json", REPORT_JSON, NULL },
		{ "vmlinux --stats=flat:-", REPORT_FLAT, "-" },
		{ "vmlinux --stats=json:a:b", REPORT_JSON, "a:b" },
		{ "vmlinux --stats=json:x --stats", REPORT_TEXT, NULL },
	};
	struct conf c;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		parse(&c, good[i].line);
		CHECK(c.stats.on);
		CHECK_STR(c.kernel, "vmlinux");
		CHECK_EQ(c.stats.format, good[i].format);
		CHECK(same_text(c.stats.file, good[i].file));
		conf_free(&c);
	}
	parse(&c, "vmlinux --name web-1.b_c --sock /run/web");
	CHECK(!c.stats.on);
	CHECK_STR(c.name, "web-1.b_c");
	CHECK_STR(c.sock, "/run/web");
	conf_free(&c);
}

static void traces(void)
{
	struct conf c;

	parse(&c, "vmlinux");
	CHECK(!c.trace.classes && !c.trace.file);
	conf_free(&c);
	parse(&c, "vmlinux --trace vq,irq");
	CHECK_EQ(c.trace.classes, 4 | 8);
	CHECK_STR(c.trace.file, "ringlet.trace");
	conf_free(&c);
	parse(&c, "vmlinux --trace exits:/tmp/a:b,c --trace=all:t");
	CHECK_EQ(c.trace.classes, 31);
	CHECK_STR(c.trace.file, "t");
	conf_free(&c);
	parse(&c, "vmlinux --trace exits,mmio,net:/tmp/a:b,c");
	CHECK_EQ(c.trace.classes, 1 | 2 | 16);
	CHECK_STR(c.trace.file, "/tmp/a:b,c");
	conf_free(&c);
	parse(&c, "trace t");
	CHECK_EQ(c.verb, VERB_TRACE);
	CHECK_STR(c.trace_show.file, "t");
	CHECK_EQ(c.trace_show.form, TRACE_AS_TEXT);
	conf_free(&c);
	parse(&c, "trace --json t");
	CHECK_EQ(c.trace_show.form, TRACE_AS_JSON);
	conf_free(&c);
	parse(&c, "trace t --latency");
	CHECK_EQ(c.trace_show.form, TRACE_AS_LATENCY);
	conf_free(&c);
}

static void captures(void)
{
	struct conf c;

	parse(&c, "vmlinux -n tap");
	CHECK(!c.net.pcap);
	CHECK(!c.net.snaplen && !c.net.pcap_max);
	conf_free(&c);
	parse(&c, "vmlinux -n pcap=-,snaplen=128,pcap_max=1M");
	CHECK_EQ(c.net.mode, NET_TAP);
	CHECK_STR(c.net.pcap, "-");
	CHECK_EQ(c.net.snaplen, 128);
	CHECK_EQ(c.net.pcap_max, MiB);
	conf_free(&c);
	parse(&c, "vmlinux -n pcap=/tmp/a.pcapng,pcap_max=2000000");
	CHECK_STR(c.net.pcap, "/tmp/a.pcapng");
	CHECK_EQ(c.net.pcap_max, 2000000);
	conf_free(&c);
	parse(&c, "vmlinux -n pcap_max=1024g");
	CHECK_EQ(c.net.pcap_max, 1024 * GiB);
	conf_free(&c);
}

static void debugging(void)
{
	static const struct {
		const char *line, *path, *address;
		u16 port;
	} good[] = {
		{ "vmlinux -s", NULL, "127.0.0.1", 1234 },
		{ "vmlinux --gdb tcp:77", NULL, "127.0.0.1", 77 },
		{ "vmlinux --gdb=tcp:0", NULL, "127.0.0.1", 0 },
		{ "vmlinux -gdb tcp::1234", NULL, "127.0.0.1", 1234 },
		{ "vmlinux --gdb tcp:localhost:65535", NULL, "127.0.0.1", 65535 },
		{ "vmlinux --gdb tcp:0.0.0.0:9", NULL, "0.0.0.0", 9 },
		{ "vmlinux -s --gdb unix:/run/x:y", "/run/x:y", NULL, 1234 },
		{ "vmlinux --gdb unix:a --gdb tcp:1", NULL, "127.0.0.1", 1 },
	};
	struct conf c;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		parse(&c, good[i].line);
		CHECK(c.gdb.on && !c.gdb.stopped);
		CHECK(same_text(c.gdb.path, good[i].path));
		if (!good[i].path) {
			CHECK_EQ(c.gdb.address, inet_addr(good[i].address));
			CHECK_EQ(c.gdb.port, good[i].port);
		}
		conf_free(&c);
	}
	parse(&c, "-S vmlinux -s");
	CHECK(c.gdb.stopped);
	conf_free(&c);
	parse(&c, "vmlinux");
	CHECK(!c.gdb.on);
	conf_free(&c);
}

static void net_keys(void)
{
	static const u8 mac[6] = { 0x02, 0x12, 0x34, 0x56, 0x78, 0x9a };
	struct conf c, lkvm;

	parse(&c, "vmlinux -n mode=tap,tap=tap0,mac=02:12:34:56:78:9A,ip=10.1.2.1/28,"
		  "guest_ip=10.1.2.14,mtu=9000,queue_size=256,queues=4,irq=pending:200,io=poll,"
		  "cpus=1:3-4,tso=off,csum=on");
	CHECK_EQ(c.net.mode, NET_TAP);
	CHECK_STR(c.net.tap, "tap0");
	CHECK_EQ(c.net.fd, -1);
	CHECK(!memcmp(c.net.mac, mac, 6));
	CHECK_EQ(c.net.host_ip, ip("10.1.2.1"));
	CHECK_EQ(c.net.prefix, 28);
	CHECK_EQ(c.net.guest_ip, ip("10.1.2.14"));
	CHECK_EQ(c.net.mtu, 9000);
	CHECK_EQ(c.net.queue_size, 256);
	CHECK_EQ(c.net.queues, 4);
	CHECK_EQ(c.net.irq, NET_IRQ_PENDING);
	CHECK_EQ(c.net.irq_usecs, 200);
	CHECK(c.net.declined);
	CHECK_EQ(c.net.declined, net_feature_bits("tso") | net_features_on_demand());
	CHECK_EQ(c.net.io, IO_POLL);
	CHECK_EQ(c.net.cpus.n, 3);
	CHECK_EQ(c.net.cpus.cpu[0], 1);
	CHECK_EQ(c.net.cpus.cpu[2], 4);

	parse(&lkvm, "vmlinux -n guest_mac=2:12:34:56:78:9a,queue_size=256,cpus=1,3,4,tapif=tap0,"
		     "host_ip=10.1.2.1/28,guest_ip=10.1.2.14,mtu=9000,io=poll,queues=4,tso=off,"
		     "irq=pending:200");
	check_same(&c, &lkvm);
	conf_free(&lkvm);
	conf_free(&c);
}

static void irq_policies(void)
{
	static const struct {
		const char *text;
		enum net_irq_policy irq;
		u32 usecs;
	} good[] = {
		{ "packet", NET_IRQ_PACKET, 0 },	 { "drain", NET_IRQ_DRAIN, 0 },
		{ "delay:1", NET_IRQ_DELAY, 1 },	 { "delay:1000000", NET_IRQ_DELAY, 1000000 },
		{ "pending:050", NET_IRQ_PENDING, 50 },	 { "adaptive", NET_IRQ_ADAPTIVE, 0 },
	};
	char line[64];
	struct conf c;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(line, sizeof(line), "vmlinux -n irq=%s", good[i].text);
		parse(&c, line);
		CHECK_EQ(c.net.irq, good[i].irq);
		CHECK_EQ(c.net.irq_usecs, good[i].usecs);
		conf_free(&c);
	}
}

/* While a guest runs a wrong one is refused, and ends nothing. */
static void irq_policies_live(void)
{
	static const char *const bad[] = {
		"", ":", "delay", "delay:", "delay:0", "delay:1000001", "delay:99999999999999999999", "delay:-1",
		"delay: 1", "delay:1x", "delay:1:1", "drain:", "drain:1", "drai", "drainx", "DRAIN", " drain", "drain ",
	};
	enum net_irq_policy irq;
	u32 usecs;

	CHECK(conf_irq_parse("pending:1000000", &irq, &usecs));
	CHECK_EQ(irq, NET_IRQ_PENDING);
	CHECK_EQ(usecs, 1000000);
	CHECK(conf_irq_parse("delay:000000050", &irq, &usecs));
	CHECK_EQ(usecs, 50);
	CHECK(conf_irq_parse("adaptive", &irq, &usecs));
	CHECK_EQ(irq, NET_IRQ_ADAPTIVE);
	CHECK_EQ(usecs, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(!conf_irq_parse(bad[i], &irq, &usecs) && irq == NET_IRQ_ADAPTIVE && !usecs);
}

/* Each by itself, and then all of them at once. */
static void feature_switches(void)
{
	char line[64], all[1024] = "vmlinux -n tap";
	u64 bits, sum = 0;
	const char *name;
	struct conf c;

	for (unsigned i = 0; (name = net_feature_switch(i)); i++) {
		snprintf(line, sizeof(line), "vmlinux -n %s=off", name);
		parse(&c, line);
		bits = net_feature_bits(name);
		CHECK(bits && !(bits & sum));
		CHECK_EQ(c.net.declined, bits | net_features_on_demand());
		conf_free(&c);
		snprintf(line, sizeof(line), "vmlinux -n %s=on", name);
		parse(&c, line);
		CHECK_EQ(c.net.declined, net_features_on_demand() & ~bits);
		conf_free(&c);
		snprintf(all + strlen(all), sizeof(all) - strlen(all), ",%s=off", name);
		sum |= bits;
	}
	parse(&c, all);
	CHECK_EQ(c.net.declined, sum);
	conf_free(&c);
}

static void queue_pairs(void)
{
	static const char *const lines[] = { "queues=16", "queues=16,mq=off", "queues=16,mq=on" };
	char line[64];
	struct conf c;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		snprintf(line, sizeof(line), "vmlinux -n %s", lines[i]);
		parse(&c, line);
		CHECK_EQ(c.net.queues, 16);
		conf_free(&c);
	}
	/* One descriptor is enough for one pair. */
	parse(&c, "vmlinux -n mq=on,queues=1,fd=3");
	CHECK_EQ(c.net.queues, 1);
	CHECK_EQ(c.net.fd, 3);
	conf_free(&c);
}

static void tap_is_implied(void)
{
	static const char *const lines[] = {
		"tap", "mode=tap", "tap=t", "fd=3", "ip=10.0.0.1", "mtu=1500", "cpus=0", "io=uring",
		"mac=02:00:00:00:00:01", "guest_ip=10.0.0.2", "tap,queue_size=32",
		"queues=1", "irq=drain", "spin=on", "status=on",
	};
	char line[128];
	struct conf c;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		snprintf(line, sizeof(line), "vmlinux -n %s", lines[i]);
		parse(&c, line);
		CHECK_EQ(c.net.mode, NET_TAP);
		CHECK_EQ(c.net.mac[0], 0x02);
		conf_free(&c);
	}
	parse(&c, "vmlinux -n tap");
	CHECK_STR(c.net.tap, "");
	CHECK_EQ(c.net.queue_size, 1024);
	CHECK_EQ(c.net.queues, 1);
	CHECK_EQ(c.net.irq, NET_IRQ_ADAPTIVE);
	CHECK_EQ(c.net.irq_usecs, 0);
	CHECK_EQ(c.net.declined, net_features_on_demand());
	CHECK_EQ(c.net.io, IO_URING);
	CHECK_EQ(c.net.mtu, 0);
	CHECK_EQ(c.net.prefix, 0);
	conf_free(&c);
	parse(&c, "vmlinux -n ip=10.0.0.1");
	CHECK_EQ(c.net.prefix, 24);
	conf_free(&c);
	parse(&c, "vmlinux -n none");
	CHECK_EQ(c.net.mode, NET_NONE);
	conf_free(&c);
}

static void random_macs(void)
{
	u8 mac[3][6];
	struct conf c;

	for (int i = 0; i < 3; i++) {
		parse(&c, "vmlinux -n tap");
		memcpy(mac[i], c.net.mac, 6);
		CHECK_EQ(mac[i][0], 0x02);
		conf_free(&c);
	}
	CHECK(memcmp(mac[0], mac[1], 6) && memcmp(mac[1], mac[2], 6) && memcmp(mac[0], mac[2], 6));
}

static void cpu_lists(void)
{
	struct conf c;

	parse(&c, "vmlinux --pin 0-63");
	CHECK_EQ(c.pin.n, CONF_MAX_PINS);
	CHECK_EQ(c.pin.cpu[63], 63);
	conf_free(&c);
	parse(&c, "vmlinux --pin 4095,7,7:2-2");
	CHECK_EQ(c.pin.n, 4);
	CHECK_EQ(c.pin.cpu[0], 4095);
	CHECK_EQ(c.pin.cpu[2], 7);
	CHECK_EQ(c.pin.cpu[3], 2);
	conf_free(&c);
	/* The comma ends the list where a key follows. */
	parse(&c, "vmlinux -n cpus=1-2,4,mtu=1500");
	CHECK_EQ(c.net.cpus.n, 3);
	CHECK_EQ(c.net.cpus.cpu[2], 4);
	CHECK_EQ(c.net.mtu, 1500);
	conf_free(&c);
}

static void parse_and_tell(void *arg)
{
	struct words w;
	struct conf c;

	split(&w, "-m 128");
	if (chdir(arg))
		_exit(1);
	conf_parse(&c, w.n, w.word);
	printf("%s %d\n", c.kernel, c.kernel_is_found);
	conf_free(&c);
}

static void make(int dir, const char *name)
{
	int fd = openat(dir, name, O_CREAT | O_WRONLY, 0644);

	CHECK(fd >= 0);
	close(fd);
}

/*
 * First in an empty directory, then with more and more in it, from the last
 * place looked at to the first; a directory of the right name is no kernel.
 */
static void look_for_kernels(const char *path, int dir, struct outcome found[5])
{
	found[0] = in_child(parse_and_tell, (char *)path);
	make(dir, "vmlinux");
	found[1] = in_child(parse_and_tell, (char *)path);
	CHECK(!mkdirat(dir, "bzImage", 0755));
	found[2] = in_child(parse_and_tell, (char *)path);
	CHECK(!unlinkat(dir, "bzImage", AT_REMOVEDIR));
	CHECK(!symlinkat("vmlinux", dir, "bzImage"));
	found[3] = in_child(parse_and_tell, (char *)path);
	CHECK(!mkdirat(dir, "arch", 0755) && !mkdirat(dir, "arch/x86", 0755) &&
	      !mkdirat(dir, "arch/x86/boot", 0755));
	make(dir, "arch/x86/boot/bzImage");
	found[4] = in_child(parse_and_tell, (char *)path);
}

static void kernels_are_found(void)
{
	static const char *const litter[] = { "arch/x86/boot/bzImage", "arch/x86/boot", "arch/x86",
					      "arch", "bzImage", "vmlinux" };
	char path[] = "/tmp/ringlet-conf-XXXXXX", own[256], expected[1024];
	struct outcome found[5] = { 0 };
	struct utsname host;
	struct stat st;
	int dir;

	CHECK(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY);
	CHECK(dir >= 0);
	look_for_kernels(path, dir, found);
	for (size_t i = 0; i < ARRAY_SIZE(litter); i++)
		if (unlinkat(dir, litter[i], 0))
			unlinkat(dir, litter[i], AT_REMOVEDIR);
	close(dir);
	CHECK(!rmdir(path));

	CHECK(!uname(&host));
	snprintf(own, sizeof(own), "/boot/vmlinuz-%s", host.release);
	if (!stat(own, &st) && S_ISREG(st.st_mode)) {
		snprintf(expected, sizeof(expected), "%s 1\n", own);
		CHECK_EQ(found[0].status, 0);
	} else {
		snprintf(expected, sizeof(expected),
			 "ringlet: no kernel is named and there is none at ./arch/x86/boot/bzImage, "
			 "./bzImage, ./vmlinux or %s; write 'ringlet FILE'\n", own);
		CHECK_EQ(found[0].status, EXIT_BAD_ARGS);
	}
	CHECK_STR(found[0].text, expected);
	CHECK_STR(found[1].text, "./vmlinux 1\n");
	CHECK_STR(found[2].text, "./vmlinux 1\n");
	CHECK_STR(found[3].text, "./bzImage 1\n");
	CHECK_STR(found[4].text, "./arch/x86/boot/bzImage 1\n");
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "without options there are defaults", defaults },
		{ "every option arrives in the configuration", every_option_arrives },
		{ "a command and what belongs to it", commands },
		{ "all spellings of a command line mean the same", spellings_agree },
		{ "parameters may follow -p directly", attached_parameters },
		{ "a size has a suffix or counts MiB", sizes },
		{ "run, list, stat, version and help are verbs, and --help works anywhere", verbs },
		{ "stat and list have options of their own", watching },
		{ "ctl takes a guest and a request, whatever that is", requests },
		{ "chaos takes probabilities and a seed", lies },
		{ "reports have a format and a file, guests a name and a socket", reports },
		{ "gdb can connect to a port or a path", debugging },
		{ "every key of --net arrives, and so do kvmtool's spellings", net_keys },
		{ "where packets are captured to, how much of them, and in files of what size", captures },
		{ "what is traced and where to, and how it is shown", traces },
		{ "an interrupt policy is a word, and a time where it has one", irq_policies },
		{ "and in a request to a running guest", irq_policies_live },
		{ "every feature of the device can be switched off, and only it goes",
		  feature_switches },
		{ "there are up to 16 pairs of queues, with mq on or off", queue_pairs },
		{ "any key of --net implies a tap", tap_is_implied },
		{ "a MAC address not given is random, local and unicast", random_macs },
		{ "processor lists have ranges, commas and colons", cpu_lists },
		{ "a kernel not named is found where kernels are built", kernels_are_found },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
