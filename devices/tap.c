// SPDX-License-Identifier: MIT
/*
 * tap.c - open a tap, and when it does not open, say which of the many
 * reasons it was: the kernel answers most of them with EINVAL or EBUSY.
 */
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)

static int open_tun(char *err, size_t err_size)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return FAIL("there is no /dev/net/tun: load the module (modprobe tun), or use --net none");
	if (errno == EACCES || errno == EPERM)
		return FAIL("no right to open /dev/net/tun: run as root, or have an open tap handed over with --net fd=N");
	return FAIL("cannot open /dev/net/tun: %s", strerror(errno));
}

/*
 * What refuses an existing interface as a tap of ours with EINVAL.  Asked of
 * the interface itself: /sys/class/net may show another network namespace.
 */
static int say_what_it_is(const char *name, unsigned queues, char *err, size_t err_size)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr = { .ifr_data = (char *)&info };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (s < 0 || ioctl(s, SIOCETHTOOL, &ifr))
		info.driver[0] = '\0';
	close(s);
	if (strcmp(info.driver, "tun"))
		return FAIL("%s exists and is not a tap: choose another name for tap=", name);
	if (strcmp(info.bus_info, "tap"))
		return FAIL("%s is a tun, which carries no Ethernet: make it with 'ip tuntap add mode tap'", name);
	if (queues == 1)
		return FAIL("%s is a multi_queue tap: delete it and make it again without multi_queue, or use queues=", name);
	return FAIL("%s is not a multi_queue tap: delete it and make it again with multi_queue (ip tuntap add ... multi_queue)", name);
}

static int say_why(const char *name, unsigned queues, int e, char *err, size_t err_size)
{
	bool exists = *name && if_nametoindex(name);

	if (exists && e == EINVAL)
		return say_what_it_is(name, queues, err, err_size);
	if (e == EBUSY)
		return FAIL("%s is in use by another program: end that one or choose another name for tap=", name);
	if (e == EPERM && exists)
		return FAIL("no right to use %s: it belongs to another user; run as that one or as root", name);
	if (e == EPERM)
		return FAIL("no right to make a tap: run as root, or make one first (ip tuntap add mode tap user $USER name %s) and give it with tap=",
			    *name ? name : "tap0");
	return FAIL("cannot attach to tap '%s': %s", name, strerror(e));
}

/* What both ways of getting a tap share, for each queue. */
static int prepare(struct tap *t, int fd, char *err, size_t err_size)
{
	int one = 1, unlimited = INT_MAX;

	if (tap_set_header(fd, TAP_HEADER) || ioctl(fd, TUNSETVNETLE, &one))
		return FAIL("tap %s does not take %d-byte virtio-net headers: %s", t->name, TAP_HEADER,
			    strerror(errno));
	/* A tap begins so, a macvtap does not, and what that has no room for at the moment is lost. */
	ioctl(fd, TUNSETSNDBUF, &unlimited);
	tap_steer(fd, -1); /* whoever had it before may have left a program */
	t->uso = !tap_set_offload(fd, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6);
	if (tap_set_offload(fd, 0))
		return FAIL("cannot set the offloads of tap %s: %s", t->name, strerror(errno));
	return 0;
}

int tap_open(struct tap *t, const char *name, unsigned queues, char *err, size_t err_size)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	bool existed = *name && if_nametoindex(name);

	*t = (struct tap){ .queues = 0 };
	if (queues > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", *name ? name : "ringlet%d");
	for (unsigned i = 0; i < queues; i++) {
		int fd = open_tun(err, err_size);

		if (fd < 0)
			goto fail;
		t->fd[t->queues++] = fd;
		/* The first names the interface, the others join it. */
		if (ioctl(fd, TUNSETIFF, &ifr)) {
			say_why(i ? t->name : name, queues, errno, err, err_size);
			goto fail;
		}
		memcpy(t->name, ifr.ifr_name, sizeof(t->name));
		if (prepare(t, fd, err, err_size))
			goto fail;
	}
	t->created = !existed;
	return 0;
fail:
	tap_close(t);
	return -1;
}

int tap_adopt(struct tap *t, int fd, char *err, size_t err_size)
{
	struct ifreq ifr = { 0 };
	int flags;

	*t = (struct tap){ .queues = 0 };
	if (ioctl(fd, TUNGETIFF, &ifr))
		return FAIL("descriptor %d is not an attached tap", fd);
	memcpy(t->name, ifr.ifr_name, sizeof(t->name));
	if (!(ifr.ifr_flags & IFF_TAP) || !(ifr.ifr_flags & IFF_VNET_HDR) ||
	    !(ifr.ifr_flags & IFF_NO_PI))
		return FAIL("descriptor %d (%s) must be a tap with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR", fd,
			    t->name);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return FAIL("cannot make descriptor %d non-blocking: %s", fd, strerror(errno));
	t->fd[t->queues++] = fd;
	return prepare(t, fd, err, err_size);
}

void tap_close(struct tap *t)
{
	while (t->queues)
		close(t->fd[--t->queues]);
}

int tap_set_offload(int fd, unsigned offload)
{
	return ioctl(fd, TUNSETOFFLOAD, (unsigned long)offload) ? -errno : 0;
}

int tap_attach_queue(int fd, bool attach)
{
	struct ifreq ifr = { .ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	/* EINVAL: it is in that state already. */
	return ioctl(fd, TUNSETQUEUE, &ifr) && errno != EINVAL ? -errno : 0;
}

int tap_set_header(int fd, unsigned size)
{
	int bytes = (int)size;

	return ioctl(fd, TUNSETVNETHDRSZ, &bytes) ? -errno : 0;
}

int tap_steer(int fd, int program)
{
	return ioctl(fd, TUNSETSTEERINGEBPF, &program) ? -errno : 0;
}

int tap_watch(void)
{
	struct sockaddr_nl any = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any))) {
		close(fd);
		return -1;
	}
	return fd;
}

bool tap_is_up(int watch_fd, const struct tap *t)
{
	struct ifreq ifr = { 0 };
	char buf[4096];
	bool up = true;
	int s;

	/* What changed does not matter (and may be lost): ask for what is. */
	while (recv(watch_fd, buf, sizeof(buf), 0) > 0 || errno == ENOBUFS)
		;
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", t->name);
	if (s >= 0 && !ioctl(s, SIOCGIFFLAGS, &ifr))
		up = ifr.ifr_flags & IFF_UP;
	if (s >= 0)
		close(s);
	return up;
}

static struct sockaddr_in *as_in(struct sockaddr *sa)
{
	return (struct sockaddr_in *)sa;
}

static int set_address(int s, const char *name, u32 ip, unsigned prefix)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	/* An interface that has it already may belong to somebody else. */
	if (!ioctl(s, SIOCGIFADDR, &ifr) && as_in(&ifr.ifr_addr)->sin_addr.s_addr == ip)
		return 0;
	*as_in(&ifr.ifr_addr) = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = ip };
	if (ioctl(s, SIOCSIFADDR, &ifr))
		return -1;
	as_in(&ifr.ifr_netmask)->sin_addr.s_addr = htonl(prefix ? ~0u << (32 - prefix) : 0);
	return ioctl(s, SIOCSIFNETMASK, &ifr);
}

/* What helps who has no right to it, if that is why. */
#define DO_IT_FIRST(how) (errno == EPERM ? "; do it first (" how "), or run as root" : "")

int tap_configure(struct tap *t, u32 ip, unsigned prefix, unsigned mtu, unsigned *mtu_now,
		  char *err, size_t err_size)
{
	struct ifreq ifr = { 0 };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = -1;

	if (s < 0)
		return FAIL("cannot configure tap %s: %s", t->name, strerror(errno));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", t->name);
	if (ioctl(s, SIOCGIFMTU, &ifr)) {
		/* fd= may be a tap of another network namespace: leave it alone. */
		*mtu_now = 1500;
		if (ip || mtu)
			snprintf(err, err_size, "%s is not in this network namespace: set it up there", t->name);
		else
			r = 0;
		goto out;
	}
	*mtu_now = mtu ? mtu : (unsigned)ifr.ifr_mtu;
	if (ifr.ifr_mtu != (int)*mtu_now) {
		ifr.ifr_mtu = (int)mtu;
		if (ioctl(s, SIOCSIFMTU, &ifr)) {
			snprintf(err, err_size, "cannot set the MTU of %s to %u: %s%s", t->name, mtu, strerror(errno),
				 DO_IT_FIRST("ip link set mtu"));
			goto out;
		}
	}
	if (ip && set_address(s, t->name, ip, prefix)) {
		snprintf(err, err_size, "cannot give %s its address: %s%s", t->name, strerror(errno),
			 DO_IT_FIRST("ip addr add"));
		goto out;
	}
	r = 0;
	if (ioctl(s, SIOCGIFFLAGS, &ifr) || (ifr.ifr_flags & IFF_UP))
		goto out;
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &ifr)) {
		r = -1;
		snprintf(err, err_size, "cannot bring %s up: %s%s", t->name, strerror(errno),
			 DO_IT_FIRST("ip link set up"));
	}
out:
	close(s);
	return r;
}
