// SPDX-License-Identifier: MIT
/*
 * conf_net.c - the KEY=VAL,... of --net: which tap, how fast, and which features
 * the guest is not to be offered; which addresses is conf_address.c's.
 *
 * Each key is read by itself; what two keys mean together is checked when all
 * are known, because their order is the user's.  Whether the tap exists, the
 * descriptor is one, or the processors are online is not known here: this
 * file looks at nothing but its argument.  Which features there are, and what
 * a feature needs, is the device's to know.
 */
#include "conf_internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pcap.h"

#define DEFAULT_QUEUE_SIZE 1024 /* room for a TCP window in small packets */
#define IRQ_USECS_MAX 1000000	/* a packet that waits for longer is lost to its sender */

/* What comes behind the last is KEY_SWITCH + i for net_feature_switch(i). */
enum net_key { KEY_MODE, KEY_TAP, KEY_FD, KEY_MAC, KEY_IP, KEY_GUEST_IP, KEY_MTU, KEY_QUEUE_SIZE,
	       KEY_QUEUES, KEY_IRQ, KEY_SPIN, KEY_IO, KEY_CPUS, KEY_PCAP, KEY_SNAPLEN, KEY_PCAP_MAX,
	       KEY_SWITCH };

#define SEEN(key) (1ULL << (key)) /* all keys fit: a test counts them */

/* First one of each, in the enum's order, then kvmtool's words for some of them. */
static const struct {
	const char *name;
	enum net_key key;
} key_names[] = {
	{ "mode", KEY_MODE },
	{ "tap", KEY_TAP },
	{ "fd", KEY_FD },
	{ "mac", KEY_MAC },
	{ "ip", KEY_IP },
	{ "guest_ip", KEY_GUEST_IP },
	{ "mtu", KEY_MTU },
	{ "queue_size", KEY_QUEUE_SIZE },
	{ "queues", KEY_QUEUES },
	{ "irq", KEY_IRQ },
	{ "spin", KEY_SPIN },
	{ "io", KEY_IO },
	{ "cpus", KEY_CPUS },
	{ "pcap", KEY_PCAP },
	{ "snaplen", KEY_SNAPLEN },
	{ "pcap_max", KEY_PCAP_MAX },
	{ "tapif", KEY_TAP },
	{ "guest_mac", KEY_MAC },
	{ "host_ip", KEY_IP },
};

static const char *const mode_names[] = { [NET_NONE] = "none", [NET_TAP] = "tap", [NET_NS] = "ns",
					 [NET_USER] = "user" };
static const char *const io_names[] = { [IO_URING] = "uring", [IO_POLL] = "poll" };
static const char *const irq_names[] = {
	[NET_IRQ_DRAIN] = "drain",     [NET_IRQ_PACKET] = "packet",	[NET_IRQ_DELAY] = "delay",
	[NET_IRQ_PENDING] = "pending", [NET_IRQ_ADAPTIVE] = "adaptive",
};

const char *conf_net_key_name(unsigned i)
{
	return i < ARRAY_SIZE(key_names) ? key_names[i].name :
					   net_feature_switch(i - ARRAY_SIZE(key_names));
}

const char *conf_irq_name(unsigned policy)
{
	return policy < ARRAY_SIZE(irq_names) ? irq_names[policy] : NULL;
}

const char *conf_net_mode_name(unsigned i)
{
	return i < ARRAY_SIZE(mode_names) ? mode_names[i] : NULL;
}

static const char *io_name(unsigned i)
{
	return i < ARRAY_SIZE(io_names) ? io_names[i] : NULL;
}

static unsigned parse_choice(const char *where, const char *value, const char *(*name)(unsigned i))
{
	const char *near;
	char all[64];
	size_t len = 0;
	unsigned i;

	for (i = 0; name(i); i++)
		if (!strcmp(name(i), value))
			return i;
	near = suggest_nearest(value, name);
	if (near)
		die_args("%s%s: not known; did you mean '%s'?", where, value, near);
	for (i = 0; name(i); i++)
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s",
					!i ? "" : name(i + 1) ? ", " : " or ", name(i));
	die_args("%s%s: not known; write %s", where, value, all);
}

static void parse_tap_name(const char *where, const char *value, char tap[16])
{
	size_t len = strlen(value);

	if (len > 15)
		die_args("%s%s: a network interface's name has 15 characters at most", where,
			 value);
	/* The kernel refuses these, and takes a % for a pattern. */
	if (strpbrk(value, "/:% ") || !strcmp(value, ".") || !strcmp(value, ".."))
		die_args("%s%s: not a network interface's name; it cannot be . or .., nor have "
			 "a slash, colon, %% or blank in it", where, value);
	memcpy(tap, value, len + 1);
}

static void parse_queue_size(const char *where, const char *value, struct conf_net *net)
{
	/* Linux wants room for a packet of 17 fragments, or sends one and no more. */
	net->queue_size = conf_number(where, value, 32, 1024);
	if (net->queue_size & (net->queue_size - 1))
		die_args("%s%s: not a power of two; write 256, 512 or 1024", where, value);
}

static bool irq_has_time(enum net_irq_policy policy)
{
	return policy == NET_IRQ_DELAY || policy == NET_IRQ_PENDING;
}

/* The policy that these characters name; without a name: none. */
static unsigned irq_named(const char *name, size_t len)
{
	unsigned i = 0;

	while (conf_irq_name(i) && (strlen(conf_irq_name(i)) != len || memcmp(conf_irq_name(i), name, len)))
		i++;
	return i;
}

bool conf_irq_parse(const char *value, enum net_irq_policy *policy, u32 *usecs)
{
	size_t len = strcspn(value, ":"), digits;
	unsigned i = irq_named(value, len);
	u64 n = 0;

	if (!conf_irq_name(i) || (value[len] == ':') != irq_has_time(i))
		return false;
	if (value[len]) {
		value += len + 1;
		digits = strspn(value, "0123456789");
		n = strtoull(value, NULL, 10);
		if (!digits || value[digits] || !n || n > IRQ_USECS_MAX)
			return false;
	}
	*policy = i;
	*usecs = (u32)n;
	return true;
}

static _Noreturn void refuse_policy(const char *where, const char *value, size_t len)
{
	const char *near;
	char name[32];
	unsigned i;

	/* Cut off, an overlong word is still none of ours. */
	snprintf(name, sizeof(name), "%.*s", (int)MIN(len, sizeof(name) - 1), value);
	near = suggest_nearest(name, conf_irq_name);
	if (near) {
		i = irq_named(near, strlen(near));
		die_args("%s%s: not known; did you mean '%s%s'?", where, value, near, irq_has_time(i) ? ":USEC" : "");
	}
	die_args("%s%s: not known; write packet, drain, delay:USEC, pending:USEC or adaptive",
		 where, value);
}

static void parse_irq(const char *where, const char *value, struct conf_net *net)
{
	size_t len = strcspn(value, ":");
	unsigned i = irq_named(value, len);
	const char *name = conf_irq_name(i);
	char upto[64];

	if (conf_irq_parse(value, &net->irq, &net->irq_usecs))
		return;
	if (!name)
		refuse_policy(where, value, len);
	if (!irq_has_time(i))
		die_args("%s%s: %s waits for no set time; leave '%s' away", where, value, name, value + len);
	if (!value[len] || !value[len + 1])
		die_args("%s%s: needs a time in microseconds, like %s:50", where, value, name);
	snprintf(upto, sizeof(upto), "%s%s:", where, name);
	conf_number(upto, value + len + 1, 1, IRQ_USECS_MAX); /* which it is not */
}

/*
 * The nearest to a word that is neither may be the opposite of what was meant
 * ("no" is "on" with its letters swapped): none is suggested.
 */
static bool parse_switch(const char *where, const char *value, const char *advice)
{
	if (strcmp(value, "on") && strcmp(value, "off"))
		die_args("%s%s: not known; write on or off%s", where, value, advice);
	return !strcmp(value, "on");
}

static void parse_feature(const char *where, const char *value, const char *name,
			  struct conf_net *net)
{
	u64 bits = net_feature_bits(name);

	if (parse_switch(where, value,
			 strcmp(name, "mq") ? "" : ", and how many pairs of queues with queues="))
		net->declined &= ~bits;
	else
		net->declined |= bits;
}

static void parse_pcap_max(const char *where, const char *value, struct conf_net *net)
{
	if (!conf_bytes(value, "KMG", 0, &net->pcap_max))
		die_args("%s%s: not a size; write a number of bytes, or one with K, M or G, like 100M", where, value);
	if (net->pcap_max > 1024 * GiB || net->pcap_max < PCAP_MAX_LEAST)
		die_args("%s%s: a file can have from 1M to 1024G", where, value);
}

static void take_key(struct conf_net *net, enum net_key key, const char *where, const char *value)
{
	switch (key) {
	case KEY_MODE:
		net->mode = parse_choice(where, value, conf_net_mode_name);
		break;
	case KEY_TAP:
		parse_tap_name(where, value, net->tap);
		break;
	case KEY_FD: /* 0 to 2 are the console's */
		net->fd = conf_number(where, value, 3, INT_MAX);
		break;
	case KEY_MAC:
		conf_parse_mac(where, value, net->mac);
		break;
	case KEY_IP:
		conf_parse_host_ip(where, value, net);
		break;
	case KEY_GUEST_IP:
		conf_parse_guest_ip(where, value, net);
		break;
	case KEY_MTU: /* the least IPv4 can do with, and the most a tap takes */
		net->mtu = conf_number(where, value, 68, 65521);
		break;
	case KEY_QUEUE_SIZE:
		parse_queue_size(where, value, net);
		break;
	case KEY_QUEUES:
		net->queues = conf_number(where, value, 1, NET_MAX_PAIRS);
		break;
	case KEY_IRQ:
		parse_irq(where, value, net);
		break;
	case KEY_SPIN:
		net->spin = parse_switch(where, value, "");
		break;
	case KEY_IO:
		net->io = parse_choice(where, value, io_name);
		break;
	case KEY_CPUS:
		conf_cpu_list(where, value, &net->cpus);
		break;
	case KEY_PCAP:
		net->pcap = conf_copy(value);
		break;
	case KEY_SNAPLEN:
		net->snaplen = (u32)conf_number(where, value, 1, PCAP_SNAPLEN_MAX);
		break;
	case KEY_PCAP_MAX:
		parse_pcap_max(where, value, net);
		break;
	case KEY_SWITCH: /* and behind: parse_feature()'s */
		break;
	}
}

/* The spelling that is listed first: what a key is called in messages. */
static const char *key_main_name(enum net_key key)
{
	return key < KEY_SWITCH ? key_names[key].name : net_feature_switch(key - KEY_SWITCH);
}

static enum net_key key_find(const char *name)
{
	const char *near, *feature;

	for (size_t i = 0; i < ARRAY_SIZE(key_names); i++)
		if (!strcmp(key_names[i].name, name))
			return key_names[i].key;
	for (unsigned i = 0; (feature = net_feature_switch(i)); i++)
		if (!strcmp(feature, name))
			return KEY_SWITCH + i;
	near = suggest_nearest(name, conf_net_key_name);
	if (near)
		die_args("unknown key '%s' in --net; did you mean '%s'?", name,
			 key_main_name(key_find(near)));
	die_args("unknown key '%s' in --net; the keys are mode, tap, fd, mac, ip, guest_ip, mtu, "
		 "queue_size, queues, irq, spin, io, cpus, pcap, snaplen, pcap_max, and the features that 'ringlet help' lists",
		 name);
}

static bool is_mode(const char *word)
{
	for (unsigned i = 0; conf_net_mode_name(i); i++)
		if (!strcmp(word, conf_net_mode_name(i)))
			return true;
	return false;
}

static _Noreturn void refuse_word(const char *word)
{
	const char *near = suggest_nearest(word, conf_net_mode_name);

	if (!near)
		near = suggest_nearest(word, conf_net_key_name);
	if (near)
		die_args("unknown word '%s' in --net; did you mean '%s%s'?", word, near,
			 is_mode(near) ? "" : "=...");
	die_args("unknown word '%s' in --net; write tap, ns, user, none, or KEY=VALUE", word);
}

/*
 * Where the entry that starts at s ends.  The comma separates entries, and
 * yet people write "cpus=1,2": what follows cpus= and has nothing in it but
 * numbers belongs to it.
 */
static char *entry_end(char *s)
{
	char *end = strchrnul(s, ',');

	if (strncmp(s, "cpus=", 5))
		return end;
	while (*end) {
		size_t more = strspn(end + 1, "0123456789-:");

		if (!more || (end[1 + more] && end[1 + more] != ','))
			break;
		end += 1 + more;
	}
	return end;
}

/* One KEY=VALUE, or a mode by itself. */
static void take_entry(struct conf_net *net, char *entry, u64 *seen)
{
	char *value = strchr(entry, '='), where[32];
	const char *name = "mode";
	enum net_key key = KEY_MODE;

	if (!*entry)
		die_args("an entry of --net is empty; put exactly one comma between two KEY=VALUE");
	if (value) {
		*value++ = 0;
		name = entry;
		key = key_find(name);
		if (!*value)
			die_args("key '%s' in --net has no value behind the =", name);
	} else {
		value = entry;
		if (!is_mode(value))
			refuse_word(value);
	}
	if (*seen & SEEN(key)) {
		bool alias = strcmp(name, key_main_name(key));

		die_args("key '%s' in --net is given twice%s%s", name,
			 alias ? "; it is another word for " : "",
			 alias ? key_main_name(key) : "");
	}
	*seen |= SEEN(key);
	snprintf(where, sizeof(where), "--net %s=", name);
	if (key < KEY_SWITCH)
		take_key(net, key, where, value);
	else
		parse_feature(where, value, name, net);
}

void conf_net_init(struct conf_net *net)
{
	memset(net, 0, sizeof(*net));
	net->fd = -1;
	net->queue_size = DEFAULT_QUEUE_SIZE;
	net->queues = 1;
	net->irq = NET_IRQ_ADAPTIVE;
	net->spin = true;
	net->declined = net_features_on_demand();
}

/* Which of them do not go together. */
static void check_keys(const struct conf_net *net, u64 seen, const char *list)
{
	if (net->mode == NET_NONE && seen != SEEN(KEY_MODE))
		die_args("--net %s: mode none means no device; leave the other keys away", list);
	if (seen & SEEN(KEY_TAP) && seen & SEEN(KEY_FD))
		die_args("--net %s: tap= and fd= both name the tap; keep one of them", list);
	if (net->fd >= 0 && net->queues > 1)
		die_args("--net %s: the descriptor of fd= is one queue of a tap; leave queues= away, "
			 "or name the tap by tap=", list);
	if (conf_net_has_namespace(net) && seen & SEEN(KEY_FD))
		die_args("--net %s: the tap of fd= is in a namespace already; leave mode %s away", list,
			 conf_net_mode_name(net->mode));
}

void conf_net_parse(struct conf_net *net, const char *list)
{
	char *text = conf_copy(list), *entry = text, *end;
	u64 seen = 0;
	bool more;

	net->mode = NET_TAP; /* unless a key says otherwise */
	do {
		end = entry_end(entry);
		more = *end;
		*end = 0;
		take_entry(net, entry, &seen);
		entry = end + 1;
	} while (more);
	free(text);

	check_keys(net, seen, list);
	if (net->mode == NET_NONE)
		return;
	conf_check_addresses(net);
	net->may_be_ns = !(seen & (SEEN(KEY_MODE) | SEEN(KEY_TAP) | SEEN(KEY_FD)));
	if (conf_net_has_namespace(net))
		conf_net_in_namespace(net);
	if (net->mode == NET_USER)
		conf_check_beside_pasta(net, list);
	if (!(seen & SEEN(KEY_MAC)))
		conf_random_mac(net->mac);
}
