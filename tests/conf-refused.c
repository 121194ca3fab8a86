// SPDX-License-Identifier: MIT
/*
 * conf-refused.c - what the command line refuses, and the whole sentence for
 * each: what is wrong, in the user's own words, and what would be right.
 */
#include "conf-words.h"

#define SIZE_WORDS "write a number of MiB, or one with K, M, G or T, like 512 or 2G"

static void unknown_options(void)
{
	refused("--memory 1G", "unknown option '--memory'; did you mean '--mem'?");
	refused("--memory=1G", "unknown option '--memory'; did you mean '--mem'?");
	refused("-mem 1G", "unknown option '-mem'; did you mean '--mem'?");
	refused("--kernle x", "unknown option '--kernle'; did you mean '--kernel'?");
	refused("-kernle x", "unknown option '-kernle'; did you mean '--kernel'?");
	refused("-pin=1", "unknown option '-pin'; did you mean '--pin'?");
	refused("--INITRD x", "unknown option '--INITRD'; did you mean '--initrd'?");
	refused("--dryrun", "unknown option '--dryrun'; did you mean '--dry-run'?");
	refused("-machine q35", "unknown option '-machine'; 'ringlet help' lists them all");
	refused("-x", "unknown option '-x'; 'ringlet help' lists them all");
	refused("--disk a.img", "unknown option '--disk'; 'ringlet help' lists them all");
	refused("-", "unknown option '-'; 'ringlet help' lists them all");
}

static void missing_values(void)
{
	refused("--mem", "option '--mem' needs a value, like: --mem 512M");
	refused("-n", "option '-n' needs a value, like: -n tap,ip=10.0.0.1/24");
	refused("--mem=", "option '--mem' has an empty value; write it like: --mem 512M");
	refused("--dry-run=yes", "option '--dry-run' takes no value; leave '=yes' away");
}

static void guests_run_no_commands(void)
{
	struct words w;

	split(&w, "guest:hello -- true");
	refused_words(&w, "ringlet: guest:hello runs no commands; name a Linux kernel\n");
}

static void kernels_more_than_one(void)
{
	refused("bzImage", "only one kernel can be booted, and both 'vmlinux' and 'bzImage' are "
			   "named; the guest's parameters go behind --params");
	refused("-k bzImage", "only one kernel can be booted, and both 'vmlinux' and 'bzImage' are "
			      "named; the guest's parameters go behind --params");
	refused("-v x", "only one kernel can be booted, and both 'vmlinux' and 'x' are "
			 "named; the guest's parameters go behind --params");
}

static void bad_sizes(void)
{
	refused("-m 12Q", "-m 12Q: not a size; " SIZE_WORDS);
	refused("--mem 512MB", "--mem 512MB: not a size; " SIZE_WORDS);
	refused("--mem=G", "--mem G: not a size; " SIZE_WORDS);
	refused("-m -512", "-m -512: not a size; " SIZE_WORDS);
	refused("-m 1.5G", "-m 1.5G: not a size; " SIZE_WORDS);
	refused("-m 0", "-m 0: too little memory; the least is 64M");
	refused("-m 63", "-m 63: too little memory; the least is 64M");
	refused("-m 2T", "-m 2T: more than the 1T a guest can have");
	refused("-m 1025G", "-m 1025G: more than the 1T a guest can have");
	refused("-m 536870912", "-m 536870912: more than the 1T a guest can have; a number without "
				"K, M, G or T counts MiB");
	/* 2^64 + 512 MiB in bytes, KiB and MiB: nothing may wrap. */
	refused("-m 18446744073709552128", "-m 18446744073709552128: more than the 1T a guest can "
					   "have; a number without K, M, G or T counts MiB");
	refused("-m 18014398509482496K", "-m 18014398509482496K: more than the 1T a guest can have");
	refused("-m 17592186044928M", "-m 17592186044928M: more than the 1T a guest can have");
	refused("-m 65537K", "-m 65537K: not a whole number of MiB; write 64M or 65M");
}

static void bad_numbers(void)
{
	refused("-c 0", "-c 0: not a number from 1 to 32");
	refused("-smp 33", "-smp 33: not a number from 1 to 32");
	refused("-smp cpus=2", "-smp cpus=2: not a number from 1 to 32");
	refused("--cpus 2,sockets=1", "--cpus 2,sockets=1: not a number from 1 to 32");
	refused("--timeout 0", "--timeout 0: not a number from 1 to 315360000");
	refused("--timeout 10s", "--timeout 10s: not a number from 1 to 315360000");
	refused("--timeout 18446744073709551617",
		"--timeout 18446744073709551617: not a number from 1 to 315360000");
	refused("--pin 1,", "--pin 1,: '' is not a processor's number; write a list like 1,3-5");
	refused("--pin one", "--pin one: 'one' is not a processor's number; write a list like 1,3-5");
	refused("--pin 1,+2", "--pin 1,+2: '+2' is not a processor's number; write a list like 1,3-5");
	refused("--pin 1-2-3",
		"--pin 1-2-3: '1-2-3' is not a processor's number; write a list like 1,3-5");
	refused("--pin 5-3", "--pin 5-3: '5-3' runs backwards; write 3-5");
	refused("--pin 4096", "--pin 4096: no processor has a number above 4095");
	refused("--pin 0-99999999999999999999",
		"--pin 0-99999999999999999999: no processor has a number above 4095");
	refused("--pin 0-63,1", "--pin 0-63,1: more than the 64 processors that a list can have");
}

static void control_characters(void)
{
	struct words w;

	split_at(&w, "vmlinux|-p|quiet\ninit=/x", "|");
	refused_words(&w, "ringlet: argument 3 has a control character (0x0a) in it; write it on "
			  "one line, without tabs\n");
	/* Behind a value that looks like the end of the options, too. */
	split_at(&w, "vmlinux|-p|--|-p|init=/x\ninit=/y", "|");
	refused_words(&w, "ringlet: argument 5 has a control character (0x0a) in it; write it on "
			  "one line, without tabs\n");
	split_at(&w, "probe|a\nb", "|");
	refused_words(&w, "ringlet: argument 2 has a control character (0x0a) in it; write it on "
			  "one line, without tabs\n");
	split_at(&w, "", "|");
	refused_words(&w, "ringlet: argument 1 is empty; a kernel's file name is expected\n");
}

static void captures(void)
{
	const char *size = "--net pcap_max=%s: not a size; write a number of bytes, or one with K, M or G, like 100M";
	const char *range = "--net pcap_max=%s: a file can have from 1M to 1024G";
	const struct {
		const char *value, *sentence;
	} t[] = {
		{ "x", size }, { "1T", size }, { "1MM", size }, { "-1", size }, { "1.5M", size },
		{ "0", range }, { "1023K", range }, { "1048575", range }, { "1025G", range },
		{ "99999999999999999999", range }, { "18014398509481984K", range },
	};
	char line[64], sentence[200];

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		snprintf(line, sizeof(line), "-n pcap_max=%s", t[i].value);
		snprintf(sentence, sizeof(sentence), t[i].sentence, t[i].value);
		refused(line, sentence);
	}
	refused("-n snaplen=0", "--net snaplen=0: not a number from 1 to 262144");
	refused("-n snaplen=262145", "--net snaplen=262145: not a number from 1 to 262144");
	refused("-n pcap=", "key 'pcap' in --net has no value behind the =");
	refused("-n pcap=a,pcap=b", "key 'pcap' in --net is given twice");
	refused("-n none,pcap=a", "--net none,pcap=a: mode none means no device; leave the other keys away");
}

static void unknown_keys(void)
{
	refused("-n macc=1", "unknown key 'macc' in --net; did you mean 'mac'?");
	refused("-n tap,hostip=1", "unknown key 'hostip' in --net; did you mean 'ip'?");
	refused("-n queue=256", "unknown key 'queue' in --net; did you mean 'queue_size'?");
	refused("--net vhost=1", "unknown key 'vhost' in --net; the keys are mode, tap, fd, mac, ip, "
				 "guest_ip, mtu, queue_size, queues, irq, spin, io, cpus, pcap, "
				 "snaplen, pcap_max, and the features that 'ringlet help' lists");
	refused("-n quueues=2", "unknown key 'quueues' in --net; did you mean 'queues'?");
	refused("-n tso4=off", "unknown key 'tso4' in --net; did you mean 'tso'?");
	refused("-n eventidx=off", "unknown key 'eventidx' in --net; did you mean 'event_idx'?");
	refused("-n indirect_desc=off",
		"unknown key 'indirect_desc' in --net; did you mean 'indirect'?");
	refused("-n notf_caol=off", "unknown key 'notf_caol' in --net; did you mean 'notf_coal'?");
	refused("-n csum", "unknown word 'csum' in --net; did you mean 'csum=...'?");
	refused("--copy a:b", "--copy a:b: a directory of the guest's begins with a slash");
	refused("--cwd a", "--cwd a: a directory of the guest's begins with a slash");
	refused("--env =a", "--env =a: not NAME=VALUE; write it like LANG=C");
	refused("--env a", "--env a: not NAME=VALUE; write it like LANG=C");
	refused("--ns-exec a", "--ns-exec a: there is no namespace to run it in; write --net ns");
	refused("-n ns,fd=5", "--net ns,fd=5: the tap of fd= is in a namespace already; leave mode ns away");
	refused("--net bridge", "unknown word 'bridge' in --net; write tap, ns, user, none, or KEY=VALUE");
	refused("--net tpa", "unknown word 'tpa' in --net; did you mean 'tap'?");
	refused("--net tap,mtu", "unknown word 'mtu' in --net; did you mean 'mtu=...'?");
	refused("--net mode=tapp", "--net mode=tapp: not known; did you mean 'tap'?");
	refused("--net mode=bridge", "--net mode=bridge: not known; write none, tap, ns or user");
	refused("-n user,ip=10.0.0.1", "--net user,ip=10.0.0.1: mode user needs both addresses, as in "
		"ip=10.0.0.1/24,guest_ip=10.0.0.2, or neither");
	refused("-n user,ip=10.0.2.1/28,guest_ip=10.0.2.2", "--net user,ip=10.0.2.1/28,guest_ip=10.0.2.2: with "
		"mode user 10.0.2.0/24 is pasta's; take other addresses");
	refused("-n user,ip=10.0.0.1/8,guest_ip=10.0.0.2", "--net user,ip=10.0.0.1/8,guest_ip=10.0.0.2: with "
		"mode user 10.0.2.0/24 is pasta's; take other addresses");
	refused("-n user,fd=5", "--net user,fd=5: the tap of fd= is in a namespace already; leave mode user away");
	refused("--net io=urring", "--net io=urring: not known; did you mean 'uring'?");
	refused("--net io=aio", "--net io=aio: not known; write uring or poll");
	refused("--net tap,,mtu=1500", "an entry of --net is empty; put exactly one comma between "
				       "two KEY=VALUE");
	refused("--net tap,", "an entry of --net is empty; put exactly one comma between two "
			      "KEY=VALUE");
	refused("--net mac=", "key 'mac' in --net has no value behind the =");
}

static void keys_that_clash(void)
{
	refused("-n mtu=1500,mtu=1500", "key 'mtu' in --net is given twice");
	refused("-n tap,mode=none", "key 'mode' in --net is given twice");
	refused("-n mac=02:00:00:00:00:01,guest_mac=02:00:00:00:00:01",
		"key 'guest_mac' in --net is given twice; it is another word for mac");
	refused("-n tap=t,fd=3", "--net tap=t,fd=3: tap= and fd= both name the tap; keep one of "
				 "them");
	refused("-n none,mtu=1500", "--net none,mtu=1500: mode none means no device; leave the "
				    "other keys away");
	refused("-n tap=a -n tap=b", "-n tap=b: a guest has one network device at most; put all "
				     "keys into one --net");
}

static void bad_policies(void)
{
	refused("-n irq=drian", "--net irq=drian: not known; did you mean 'drain'?");
	refused("-n irq=adapt", "--net irq=adapt: not known; did you mean 'adaptive'?");
	refused("-n irq=dely:50", "--net irq=dely:50: not known; did you mean 'delay:USEC'?");
	refused("-n irq=0", "--net irq=0: not known; write packet, drain, delay:USEC, pending:USEC "
			    "or adaptive");
	refused("-n irq=:50", "--net irq=:50: not known; write packet, drain, delay:USEC, "
			      "pending:USEC or adaptive");
	refused("-n irq=draindraindraindraindraindraindrain",
		"--net irq=draindraindraindraindraindraindrain: not known; did you mean 'drain'?");
	refused("-n irq=xdrainxdrainxdrainxdrainxdrainxdrain:1",
		"--net irq=xdrainxdrainxdrainxdrainxdrainxdrain:1: not known; write packet, drain, "
		"delay:USEC, pending:USEC or adaptive");
	refused("-n irq=delay", "--net irq=delay: needs a time in microseconds, like delay:50");
	refused("-n irq=pending:", "--net irq=pending:: needs a time in microseconds, like "
				   "pending:50");
	refused("-n irq=delay:0", "--net irq=delay:0: not a number from 1 to 1000000");
	refused("-n irq=delay:1000001", "--net irq=delay:1000001: not a number from 1 to 1000000");
	refused("-n irq=delay:50us", "--net irq=delay:50us: not a number from 1 to 1000000");
	refused("-n irq=pending:4294967346",
		"--net irq=pending:4294967346: not a number from 1 to 1000000");
	refused("-n irq=drain:50", "--net irq=drain:50: drain waits for no set time; leave ':50' "
				   "away");
	refused("-n irq=packet:", "--net irq=packet:: packet waits for no set time; leave ':' away");
	refused("-n irq=delay:", "--net irq=delay:: needs a time in microseconds, like delay:50");
	refused("-n irq=drain,irq=packet", "key 'irq' in --net is given twice");
}

static void bad_features(void)
{
	char line[64], said[128];
	const char *name;

	refused("-n tso=no", "--net tso=no: not known; write on or off");
	refused("-n tso=of", "--net tso=of: not known; write on or off");
	refused("-n csum=OFF", "--net csum=OFF: not known; write on or off");
	refused("-n status=", "key 'status' in --net has no value behind the =");
	refused("-n mq=4", "--net mq=4: not known; write on or off, and how many pairs of queues "
			   "with queues=");
	refused("-n none,tso=on", "--net none,tso=on: mode none means no device; leave the other "
				  "keys away");
	for (unsigned i = 0; (name = net_feature_switch(i)); i++) {
		snprintf(line, sizeof(line), "-n %s=on,%s=off", name, name);
		snprintf(said, sizeof(said), "key '%s' in --net is given twice", name);
		refused(line, said);
	}
}

static void bad_queues(void)
{
	refused("-n queues=0", "--net queues=0: not a number from 1 to 16");
	refused("-n queues=17", "--net queues=17: not a number from 1 to 16");
	refused("-n queues=257", "--net queues=257: not a number from 1 to 16");
	refused("-n queues=2,fd=3", "--net queues=2,fd=3: the descriptor of fd= is one queue of a "
				    "tap; leave queues= away, or name the tap by tap=");
}

static void bad_key_values(void)
{
	refused("-n tap=0123456789abcdef", "--net tap=0123456789abcdef: a network interface's name "
					   "has 15 characters at most");
	refused("-n tap=a/b", "--net tap=a/b: not a network interface's name; it cannot be . or .., "
			      "nor have a slash, colon, % or blank in it");
	refused("-n tap=..", "--net tap=..: not a network interface's name; it cannot be . or .., "
			     "nor have a slash, colon, % or blank in it");
	refused("-n fd=2", "--net fd=2: not a number from 3 to 2147483647");
	refused("-n fd=2147483648", "--net fd=2147483648: not a number from 3 to 2147483647");
	refused("-n mtu=67", "--net mtu=67: not a number from 68 to 65521");
	refused("-n mtu=65522", "--net mtu=65522: not a number from 68 to 65521");
	refused("-n queue_size=16", "--net queue_size=16: not a number from 32 to 1024");
	refused("-n queue_size=2048", "--net queue_size=2048: not a number from 32 to 1024");
	refused("-n queue_size=48", "--net queue_size=48: not a power of two; write 256, 512 or "
				    "1024");
	refused("-n cpus=1,2x", "unknown word '2x' in --net; write tap, ns, user, none, or KEY=VALUE");
	refused("-n cpus=1,x-2", "unknown word 'x-2' in --net; write tap, ns, user, none, or KEY=VALUE");
	refused("-n cpus=1::2", "--net cpus=1::2: '' is not a processor's number; write a list like "
				"1,3-5");
}

static void bad_macs(void)
{
	static const char *const odd[] = {
		"02:00:00:00:00", "02:00:00:00:00:01:02", "02:00:00:00:00:100", "020000000001",
		"02:00:00:00:00:0x", "02-00-00-00-00-01", ":::::", "02:00:00:00:00: 1",
		"0x2:0:0:0:0:1", "-2:0:0:0:0:1",
	};
	char line[128], said[256];
	struct words w;

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		snprintf(line, sizeof(line), "vmlinux|--net|mac=%s", odd[i]);
		split_at(&w, line, "|");
		snprintf(said, sizeof(said), "ringlet: --net mac=%s: not a MAC address; write six "
			 "octets, like 02:12:34:56:78:9a\n", odd[i]);
		refused_words(&w, said);
	}
	refused("-n mac=00:00:00:00:00:00", "--net mac=00:00:00:00:00:00: all zero is nobody's "
					    "address; leave the key away for a random one");
	refused("-n mac=03:00:00:00:00:01", "--net mac=03:00:00:00:00:01: a multicast address; the "
					    "first octet of a device's own must be even, like 02");
}

static void bad_addresses(void)
{
	refused("-n ip=10.0.0", "--net ip=10.0.0: not an IPv4 address; write it like 10.0.0.1");
	refused("-n ip=fe80::1/64", "--net ip=fe80::1/64: not an IPv4 address; write it like "
				    "10.0.0.1");
	refused("-n ip=10.0.0.1000000000000/24", "--net ip=10.0.0.1000000000000/24: not an IPv4 "
						 "address; write it like 10.0.0.1");
	refused("-n ip=100.100.100.1000", "--net ip=100.100.100.1000: not an IPv4 address; write "
					  "it like 10.0.0.1");
	refused("-n ip=10.0.0.1/", "--net ip=10.0.0.1/: not a number from 1 to 30");
	refused("-n ip=10.0.0.1/31", "--net ip=10.0.0.1/31: not a number from 1 to 30");
	refused("-n host_ip=10.0.0.1/0", "--net host_ip=10.0.0.1/0: not a number from 1 to 30");
	refused("-n ip=127.0.0.1/8", "--net ip=127.0.0.1/8: no interface can have that address; "
				     "take a private one, like 10.0.0.1");
	refused("-n ip=0.0.0.1", "--net ip=0.0.0.1: no interface can have that address; take a "
				 "private one, like 10.0.0.1");
	refused("-n guest_ip=224.0.0.1", "--net guest_ip=224.0.0.1: no interface can have that "
					 "address; take a private one, like 10.0.0.1");
	refused("-n ip=10.0.0.0/24", "--net ip=10.0.0.0: the network address of its network, which "
				     "has /24; take one between the first and the last");
	refused("-n guest_ip=10.0.0.255", "--net guest_ip=10.0.0.255: the broadcast address of its "
					  "network, which has /24; take one between the first and "
					  "the last");
	refused("-n guest_ip=10.0.0.127,ip=10.0.0.1/25",
		"--net guest_ip=10.0.0.127: the broadcast address of its network, which has /25; "
		"take one between the first and the last");
	refused("-n guest_ip=10.0.0.2/24", "--net guest_ip=10.0.0.2/24: the guest's network is that "
					   "of ip=; leave the / and what follows away");
	refused("-n ip=10.0.0.1,guest_ip=10.0.0.1", "--net guest_ip=10.0.0.1: the same as ip=; host "
						    "and guest need an address each");
	refused("-n guest_ip=10.0.1.2,ip=10.0.0.1/24",
		"--net guest_ip=10.0.1.2: not in the host's network 10.0.0.1/24; they could not "
		"reach each other");
}

/* The line is what follows "ringlet". */
static void refused_whole(const char *line, const char *sentence)
{
	char said[1024];
	struct words w;

	snprintf(said, sizeof(said), "ringlet: %s\n", sentence);
	split(&w, line);
	refused_words(&w, said);
}

static void traces(void)
{
	refused("--trace vqs", "--trace vqs: 'vqs' is not known; did you mean 'vq'?");
	refused("--trace vq,bogus:t", "--trace vq,bogus:t: 'bogus' is not known; write some of exits, mmio, vq, irq "
		"and net, or all");
	refused("--trace=vq:", "--trace vq:: there is no file behind the colon");
	refused("--trace vq,,net", "--trace vq,,net: '' is not known; write some of exits, mmio, vq, irq and net, or all");
	refused_whole("trace", "ringlet trace needs the file to show, like: ringlet trace ringlet.trace");
	refused_whole("trace a b", "'b': ringlet trace shows one file");
	refused_whole("trace --latncy a", "unknown option '--latncy' of ringlet trace; did you mean '--latency'?");
	refused_whole("trace --frobnicate a", "unknown option '--frobnicate' of ringlet trace; 'ringlet help' lists them all");
}

static void bad_reports(void)
{
	static const char form[] = "not json, text or flat, perhaps with a file behind it, like json:FILE";
	static const char name[] = "not a name of at most 48 letters, digits, '.', '_' and '-', with a letter in it";
	char line[64], said[256];

	refused("--stats=", "option '--stats' has an empty value; write it like: --stats=json");
	for (const char *const *s = (const char *const[]){ "xml", "json:", "jsonx", ":x", "averylongformat:x", NULL }; *s; s++) {
		snprintf(line, sizeof(line), "--stats=%s", *s);
		snprintf(said, sizeof(said), "%s: %s", line, form);
		refused(line, said);
	}
	for (const char *const *s = (const char *const[]){ "17", "a/b", ".", "..", "-x", "a!", NULL }; *s; s++) {
		snprintf(line, sizeof(line), "--name %s", *s);
		snprintf(said, sizeof(said), "%s: %s", line, name);
		refused(line, said);
	}
	refused("--name", "option '--name' needs a value, like: --name web");
	refused("--stat", "unknown option '--stat'; did you mean '--stats'?");
}

static void bad_watching(void)
{
	static const char seconds[] = "not a number of seconds from 0.01 to 86400";
	char line[64], said[256];

	for (const char *const *s = (const char *const[]){ "0", "x", "1.", ".5", "1.2345", "-1", "1e3", "90000", "0.001", NULL }; *s; s++) {
		snprintf(line, sizeof(line), "stat -i %s", *s);
		snprintf(said, sizeof(said), "-i %s: %s", *s, seconds);
		refused_whole(line, said);
	}
	refused_whole("stat -c 0", "-c 0: not a number from 1 to 1000000000");
	refused_whole("stat -i", "option '-i' needs a value, like: -i 5");
	refused_whole("stat --jsno", "unknown option '--jsno' of ringlet stat; did you mean '--json'?");
	refused_whole("stat -x", "unknown option '-x' of ringlet stat; 'ringlet help' lists them all");
	refused_whole("stat a b", "'b': ringlet stat watches one guest");
	refused_whole("list -i 3", "unknown option '-i' of ringlet list; 'ringlet help' lists them all");
	refused_whole("list web", "'web': ringlet list shows all guests, and takes no name; ringlet stat does");
	refused_whole("ctl", "ringlet ctl wants a guest and what to do, like: ringlet ctl web help");
	refused_whole("ctl db", "ringlet ctl wants a guest and what to do, like: ringlet ctl db help");
	refused("--chaos dorp:0.1", "--chaos dorp: not known; did you mean 'drop'?");
	refused("--chaos frobnicate:0.1", "--chaos frobnicate: not known; there are delay, drop, dup, reorder, badid, len, spurious-irq and seed");
	refused("--chaos drop", "--chaos drop: how often is missing; write it like drop:0.01");
	refused("--chaos drop:", "--chaos drop:: how often is missing; write it like drop:0.01");
	refused("--chaos dup:0.1,drop:1.5", "--chaos drop:1.5: not a probability; the most is 1");
	for (const char *const *p = (const char *const[]){ "2", "x", "-1", ".5", "1.", "0.0000001", "1e3", "01", "0.5x", NULL }; *p; p++) {
		snprintf(line, sizeof(line), "--chaos drop:%s", *p);
		snprintf(said, sizeof(said), "--chaos drop:%s: not a probability; write 0.01, from 0 to 1 with six places at most", *p);
		refused(line, said);
	}
	refused("--chaos seed:-1", "--chaos seed:-1: not a number from 0 to 4294967295");
	refused("--chaos drop:0.1,,dup:1", "--chaos: an entry is empty; put exactly one comma between two");
	refused("--watchdog 0", "--watchdog 0: not a number from 1 to 86400");
	refused("--watchdog x:end", "--watchdog x: not a number from 1 to 86400");
	refused("--watchdog 5:stop", "--watchdog 5:stop: only 'end' can be behind the colon: to end a guest that hangs");
	refused("--watchdog 5:", "--watchdog 5:: only 'end' can be behind the colon: to end a guest that hangs");
	refused("--watchdog :end", "--watchdog :end: not a number from 1 to 86400");
	refused("--watchdog 99999999999999999999", "--watchdog 99999999999999999999: not a number from 1 to 86400");
	/* None of the digits is too far back to count. */
	refused("--watchdog 0000000000000010x", "--watchdog 0000000000000010x: not a number from 1 to 86400");
	refused("--watchdog 000000000000086401", "--watchdog 000000000000086401: not a number from 1 to 86400");
	refused_whole("dump", "ringlet dump wants a guest and a file, like: ringlet dump web core");
	refused_whole("dump db", "ringlet dump wants a guest and a file, like: ringlet dump db core");
	refused_whole("dump --consistent db a b", "ringlet dump wants a guest and a file, like: ringlet dump db core");
	refused_whole("dump --all db a", "unknown option '--all' of ringlet dump; there is only --consistent");
	refused_whole("version --bogus", "version: '--bogus': it takes nothing");
	refused_whole("help foo", "help: 'foo': it takes nothing");
	refused_whole("probe --jsno", "probe: '--jsno': it takes nothing but --json");
	refused_whole("ctl -x db help", "unknown option '-x' of ringlet ctl; a guest's name is expected");
}

static void bad_debugging(void)
{
	refused("--gdb 1234", "--gdb 1234: not tcp:[ADDRESS:]PORT or unix:PATH, like tcp:1234");
	refused("--gdb unix:", "--gdb unix:: not tcp:[ADDRESS:]PORT or unix:PATH, like tcp:1234");
	refused("--gdb tcp:", "--gdb tcp:: '' is not a port, 0 to 65535; write it like tcp:1234");
	refused("--gdb tcp:65536", "--gdb tcp:65536: '65536' is not a port, 0 to 65535; write it like tcp:1234");
	refused("--gdb tcp:1.2.3:5", "--gdb tcp:1.2.3:5: '1.2.3' is not an IPv4 address; write it like tcp:127.0.0.1:1234");
	refused("--gdb tcp:1.2.3.4.5.6.7.8.9.0:5",
		"--gdb tcp:1.2.3.4.5.6.7.8.9.0:5: '1.2.3.4.5.6.7.8.9.0' is not an IPv4 address; "
		"write it like tcp:127.0.0.1:1234");
	refused("-S", "-S: without gdb nobody could start the guest; write -s -S");
	refused("-s=1", "option '-s' takes no value; leave '=1' away");
}

/*
 * Good command lines with a few letters changed: they are taken, or refused
 * with one line and the right status; a sanitizer watches for the rest.
 */
static void scribbled(void)
{
	static const char *const lines[] = {
		"run vmlinux -m 1G -c2 --pin 1,3-5 --timeout=10 --user x --dry-run -pquiet",
		"vmlinux --net mode=tap,tap=t0,mac=02:00:00:00:00:01,ip=10.0.0.1/24,cpus=1,2-3",
		"vmlinux -n guest_ip=10.0.0.2,mtu=1500,queue_size=256,io=poll,fd=7 -append x=y",
		"vmlinux --name web --sock /run/web --stats=json:out --stats",
		"vmlinux -s -S --gdb tcp:127.0.0.1:99 --gdb unix:x",
		"stat -i 2 web -c 3 --json",
		"vmlinux -n queues=4,irq=delay:50,tso=off,mq=on,event_idx=off,cpus=1,2,uso=on",
	};
	static const char letters[] = "-=,:./019azkMGT \x01\xff";
	unsigned good = 0, bad = 0;

	for (int i = 0; i < 300; i++) {
		char line[256];
		struct outcome o;
		struct words w;

		snprintf(line, sizeof(line), "%s", lines[i % ARRAY_SIZE(lines)]);
		for (unsigned n = 1 + below(3); n; n--)
			line[8 + below(strlen(line) - 8)] = letters[below(sizeof(letters) - 1)];
		split(&w, line);
		o = in_child(parse_and_free, &w);
		if (!o.status) {
			CHECK_STR(o.text, "");
			good++;
			continue;
		}
		CHECK_EQ(o.status, EXIT_BAD_ARGS);
		CHECK(!strncmp(o.text, "ringlet: ", 9));
		CHECK(strchr(o.text, '\n') == o.text + strlen(o.text) - 1);
		bad++;
	}
	CHECK(good > 10 && bad > 10);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "an unknown option is named, with the nearest one", unknown_options },
		{ "a missing or superfluous value is named, with an example", missing_values },
		{ "a second kernel is refused", kernels_more_than_one },
		{ "a command for one of ringlet's own guests is refused", guests_run_no_commands },
		{ "a wrong size is refused with the right one", bad_sizes },
		{ "a wrong number or list is refused with its limits", bad_numbers },
		{ "control characters and empty words are refused", control_characters },
		{ "an unknown key or word of --net is named, with the nearest one", unknown_keys },
		{ "a size or length of captures out of range is refused", captures },
		{ "traces of what there is not, or to nowhere", traces },
		{ "keys that contradict each other are refused", keys_that_clash },
		{ "a wrong interrupt policy is refused with what is possible", bad_policies },
		{ "a feature takes on or off, and that once", bad_features },
		{ "a number of queues that cannot be is refused", bad_queues },
		{ "a wrong value of a key is refused with what is possible", bad_key_values },
		{ "what is not a unicast MAC address is refused", bad_macs },
		{ "addresses that cannot work are refused", bad_addresses },
		{ "a wrong format or name is refused with what is possible", bad_reports },
		{ "where gdb cannot connect is refused", bad_debugging },
		{ "what stat, list and ctl do not know is refused", bad_watching },
		{ "scribbled command lines are taken, or refused with one line", scribbled },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
