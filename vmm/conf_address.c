// SPDX-License-Identifier: MIT
/*
 * conf_address.c - the addresses at the two ends of the guest's network: what may
 * be one, and which go together.
 */
#include "conf_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"
#include "pasta.h"

#define DEFAULT_PREFIX 24 /* of an address written without /LEN */

void conf_parse_mac(const char *where, const char *value, u8 mac[6])
{
	const char *s = value;
	u8 any = 0;

	for (int i = 0; i < 6; i++) {
		char *end;
		unsigned long octet = strtoul(s, &end, 16);

		if (!isxdigit((u8)*s) || end > s + 2 || *end != (i < 5 ? ':' : 0))
			die_args("%s%s: not a MAC address; write six octets, like "
				 "02:12:34:56:78:9a", where, value);
		mac[i] = octet;
		any |= octet;
		s = end + 1;
	}
	if (!any)
		die_args("%s%s: all zero is nobody's address; leave the key away for a random one",
			 where, value);
	if (mac[0] & 1)
		die_args("%s%s: a multicast address; the first octet of a device's own must be "
			 "even, like %02x", where, value, mac[0] ^ 1u);
}

/* Taken apart: the address, and where "/LEN" begins or the string ends. */
static const char *parse_ip(const char *where, const char *value, u32 *ip)
{
	const char *slash = strchrnul(value, '/');
	char text[INET_ADDRSTRLEN];
	struct in_addr in;
	u8 first;

	snprintf(text, sizeof(text), "%.*s", (int)MIN(slash - value, INT_MAX), value);
	if (strlen(text) != (size_t)(slash - value) || inet_pton(AF_INET, text, &in) != 1)
		die_args("%s%s: not an IPv4 address; write it like 10.0.0.1", where, value);
	first = ntohl(in.s_addr) >> 24;
	if (!first || first == 127 || first >= 224)
		die_args("%s%s: no interface can have that address; take a private one, like "
			 "10.0.0.1", where, value);
	*ip = in.s_addr;
	return slash;
}

u32 conf_netmask(unsigned prefix)
{
	return htonl(UINT32_MAX << (32 - prefix));
}

/* Of the addresses in a network the first and the last are nobody's. */
static void check_is_host(const char *what, u32 ip, unsigned prefix)
{
	u32 host = ip & ~conf_netmask(prefix);
	char text[INET_ADDRSTRLEN];

	if (host && host != (u32)~conf_netmask(prefix))
		return;
	inet_ntop(AF_INET, &ip, text, sizeof(text));
	die_args("--net %s=%s: the %s address of its network, which has /%u; take one between the "
		 "first and the last", what, text, host ? "broadcast" : "network", prefix);
}

void conf_parse_host_ip(const char *where, const char *value, struct conf_net *net)
{
	const char *slash = parse_ip(where, value, &net->host_ip);
	char upto[64];

	net->prefix = DEFAULT_PREFIX;
	if (*slash) {
		snprintf(upto, sizeof(upto), "%s%.*s/", where, (int)(slash - value), value);
		net->prefix = conf_number(upto, slash + 1, 1, 30);
	}
}

void conf_parse_guest_ip(const char *where, const char *value, struct conf_net *net)
{
	if (*parse_ip(where, value, &net->guest_ip))
		die_args("%s%s: the guest's network is that of ip=; leave the / and what follows "
			 "away", where, value);
}

void conf_check_addresses(struct conf_net *net)
{
	char host[INET_ADDRSTRLEN], guest[INET_ADDRSTRLEN];

	if (net->guest_ip && !net->host_ip)
		net->prefix = DEFAULT_PREFIX;
	if (net->host_ip)
		check_is_host("ip", net->host_ip, net->prefix);
	if (net->guest_ip)
		check_is_host("guest_ip", net->guest_ip, net->prefix);
	if (!net->guest_ip || !net->host_ip)
		return;
	inet_ntop(AF_INET, &net->host_ip, host, sizeof(host));
	inet_ntop(AF_INET, &net->guest_ip, guest, sizeof(guest));
	if (net->guest_ip == net->host_ip)
		die_args("--net guest_ip=%s: the same as ip=; host and guest need an address each",
			 guest);
	if ((net->guest_ip ^ net->host_ip) & conf_netmask(net->prefix))
		die_args("--net guest_ip=%s: not in the host's network %s/%u; they could not reach "
			 "each other", guest, host, net->prefix);
}

/* In the range that is free for everybody: 02 says "locally administered". */
void conf_random_mac(u8 mac[6])
{
	if (getrandom(mac, 6, 0) != 6)
		die("cannot get six random bytes for a MAC address: %s", strerror(errno));
	mac[0] = 0x02;
}

/* Nobody else is in that network, so any addresses do; they are the README's. */
void conf_net_in_namespace(struct conf_net *net)
{
	if (net->mode != NET_USER)
		net->mode = NET_NS;
	net->may_be_ns = false;
	if (net->host_ip || net->guest_ip)
		return;
	net->host_ip = inet_addr("192.168.77.1");
	net->guest_ip = inet_addr("192.168.77.2");
	net->prefix = DEFAULT_PREFIX;
}

void conf_check_beside_pasta(const struct conf_net *net, const char *list)
{
	u32 mask = conf_netmask(MIN(net->prefix, PASTA_PREFIX));

	if (!net->host_ip || !net->guest_ip)
		die_args("--net %s: mode user needs both addresses, as in ip=10.0.0.1/24,guest_ip=10.0.0.2, or neither",
			 list);
	if (!((net->host_ip ^ inet_addr(PASTA_NETWORK)) & mask))
		die_args("--net %s: with mode user " PASTA_NETWORK "/%u is pasta's; take other addresses", list,
			 PASTA_PREFIX);
}
