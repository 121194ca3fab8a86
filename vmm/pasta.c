// SPDX-License-Identifier: MIT
/*
 * pasta.c - pasta beside us, and how it ends with us.
 *
 * pasta must be started outside of the namespaces that it joins, and its own
 * change of namespaces takes away what would end it with its parent.  So its
 * keeper stays outside with it: a byte from us starts pasta, and the end of
 * file ends it.
 */
#include "pasta.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "initramfs.h"
#include "keeper.h"
#include "log.h"
#include "netns.h"

#define INTERFACE "outside0"
/* In PASTA_NETWORK: the interface's address, and pasta's. */
#define PASTA_ADDRESS "10.0.2.15"
#define PASTA_GATEWAY "10.0.2.2"
#define PATIENCE_MS 5000

static int outside = -1; /* our end */

static _Noreturn void run_pasta(const char *program, pid_t inside)
{
	char users[64], net[64], prefix[4];

	snprintf(users, sizeof(users), "/proc/%d/ns/user", inside);
	snprintf(net, sizeof(net), "/proc/%d/ns/net", inside);
	snprintf(prefix, sizeof(prefix), "%d", PASTA_PREFIX);
	/* Nothing comes in: no port is forwarded, and the gateway is not the host. */
	execl(program, "pasta", "--foreground", "--quiet", "--ipv4-only", "--config-net",
	      "--ns-ifname", INTERFACE, "--address", PASTA_ADDRESS, "--netmask", prefix,
	      "--gateway", PASTA_GATEWAY, "--dns-forward", PASTA_DNS, "--no-map-gw",
	      "-t", "none", "-u", "none", "-T", "none", "-U", "none",
	      "--userns", users, "--netns", net, geteuid() ? NULL : "--runas", "0", (char *)NULL);
	warn("cannot run %s: %s", program, strerror(errno));
	_exit(127);
}

/* Who was somebody here is the same one there; to write that for all takes an outsider. */
static void map_ids(pid_t inside, const char *map)
{
	unsigned first, there, count;
	char name[64], text[1024] = "";
	size_t len = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/self/%s", map);
	f = fopen(name, "re");
	while (f && len < sizeof(text) - 64 && fscanf(f, "%u %u %u", &first, &there, &count) == 3)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%u %u %u\n", first, first, count);
	if (f)
		fclose(f);
	snprintf(name, sizeof(name), "/proc/%d/%s", inside, map);
	if (!netns_write_file(name, text))
		warn("cannot write the guest's %s: %s", map, strerror(errno));
}

static _Noreturn void keep(const char *program, pid_t inside, int fd)
{
	struct pollfd wait_for[2] = { { .fd = fd, .events = POLLIN }, { .events = POLLIN } };
	pid_t pasta;
	char c;

	if (read(fd, &c, 1) != 1)
		_exit(0);
	if (!geteuid()) {
		map_ids(inside, "uid_map");
		map_ids(inside, "gid_map");
	}
	if (write(fd, &c, 1) != 1)
		_exit(0);
	pasta = keeper_fork();
	if (pasta < 0)
		_exit(1);
	if (!pasta)
		run_pasta(program, inside);
	wait_for[1].fd = pidfd_open(pasta, 0);
	while (poll(wait_for, ARRAY_SIZE(wait_for), -1) < 0 && errno == EINTR)
		;
	if (!wait_for[0].revents)
		warn("pasta ended: the guest has no outside network");
	keeper_end(pasta);
	_exit(1);
}

int pasta_prepare(char *err, size_t err_size)
{
	char *program = program_find("pasta");
	pid_t us = getpid(), keeper;
	int fd;

	if (!program) {
		snprintf(err, err_size, "mode=user: there is no pasta; it is in Debian's package passt (apt-get install passt)");
		return -1;
	}
	keeper = keeper_start(&fd);
	if (keeper < 0) {
		snprintf(err, err_size, "mode=user: cannot start pasta: %s", strerror(errno));
		return -1;
	}
	if (!keeper)
		keep(program, us, fd);
	free(program);
	outside = fd;
	return 0;
}

/* It brings its interface up with an address as the last thing but the route. */
static bool is_there(int s)
{
	struct ifreq ifr = { .ifr_name = INTERFACE };

	return !ioctl(s, SIOCGIFADDR, &ifr);
}

int pasta_start(char *err, size_t err_size)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd gone = { .fd = outside, .events = POLLIN };
	bool there = false;
	char c = 0;

	if (write(outside, &c, 1) != 1 || read(outside, &c, 1) != 1)
		goto out;
	if (!netns_write_file("/proc/sys/net/ipv4/ip_forward", "1")) {
		snprintf(err, err_size, "mode=user: cannot have packets handed on: /proc/sys/net/ipv4/ip_forward: %s; in a container, mount /proc/sys read-write",
			 strerror(errno));
		close(s);
		return -1;
	}
	for (int ms = 0; !there && ms < PATIENCE_MS; ms += 10) {
		if (poll(&gone, 1, 10))
			break;
		there = is_there(s);
	}
out:
	close(s);
	if (there)
		return 0;
	/* pasta has said why. */
	snprintf(err, err_size, "mode=user: pasta gave the guest no outside network; has this host one itself (ip route)?");
	return -1;
}
