// SPDX-License-Identifier: MIT
/*
 * run_net.c - the address that the kernel's command line speaks of.
 */
#include "run.h"

#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

/* "a.b.c.d", network byte order; 0 if it is none.  *s is moved behind it. */
static unsigned address(const char **s)
{
	unsigned ip = 0;

	for (unsigned i = 0; i < 4; i++) {
		ip |= (unsigned)number(s) << (8 * i);
		if (i < 3 && *(*s)++ != '.')
			return 0;
	}
	return ip;
}

/* A field of ip= and the colon behind it. */
static unsigned next_address(const char **s)
{
	unsigned ip = **s == ':' ? 0 : address(s);

	if (**s == ':')
		++*s;
	return ip;
}

static void set_up(long s, const char *name, unsigned ip, unsigned mask)
{
	struct ifreq r = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&r.ifr_addr;

	memcpy(r.ifr_name, name, text_len(name));
	in->sin_family = AF_INET;
	if (ip) {
		in->sin_addr.s_addr = ip;
		SYS3(ioctl, s, SIOCSIFADDR, &r);
		in->sin_addr.s_addr = mask;
		SYS3(ioctl, s, SIOCSIFNETMASK, &r);
	}
	r.ifr_flags = IFF_UP;
	SYS3(ioctl, s, SIOCSIFFLAGS, &r);
}

static void set_gateway(long s, unsigned ip)
{
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
	struct sockaddr_in *gateway = (struct sockaddr_in *)&route.rt_gateway;

	route.rt_dst.sa_family = route.rt_genmask.sa_family = AF_INET;
	gateway->sin_family = AF_INET;
	gateway->sin_addr.s_addr = ip;
	SYS3(ioctl, s, SIOCADDRT, &route);
}

void configure_net(void)
{
	long s = SYS3(socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t size;
	const char *line = read_file("/proc/cmdline", &size), *ip = NULL;
	unsigned guest, host, mask;

	set_up(s, "lo", 0, 0);
	for (const char *p = line; p && *p; p++)
		if ((p == line || p[-1] == ' ') && text_after(p, "ip="))
			ip = p + 3; /* the last one counts */
	if (ip && (guest = next_address(&ip))) {
		next_address(&ip); /* a server of boot files */
		host = next_address(&ip);
		mask = next_address(&ip);
		set_up(s, "eth0", guest, mask);
		if (host)
			set_gateway(s, host);
	}
	SYS1(close, s);
}
