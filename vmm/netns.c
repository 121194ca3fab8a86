// SPDX-License-Identifier: MIT
/*
 * netns.c - a network without rights: in a user namespace of his own everybody
 * may do what root may do, to what belongs to that namespace.
 */
#include "netns.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper.h"
#include "log.h"

static pid_t keeper; /* of --ns-exec's command */
static int go = -1;  /* what is written there starts it */

static bool have(unsigned capability)
{
	capng_get_caps_process();
	return capng_have_capability(CAPNG_EFFECTIVE, capability);
}

bool netns_may_configure(void)
{
	return have(CAP_NET_ADMIN);
}

bool netns_write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* What to do where they are forbidden depends on who forbids them. */
static const char *remedy(int e)
{
	if (!access("/proc/sys/kernel/unprivileged_userns_clone", F_OK) && e == EPERM)
		return "sysctl -w kernel.unprivileged_userns_clone=1";
	if (!access("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", F_OK) && e != ENOSPC)
		return "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
	return "sysctl -w user.max_user_namespaces=10000";
}

static void lo_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s >= 0 && ioctl(s, SIOCSIFFLAGS, &ifr))
		info("cannot bring lo up: %s", strerror(errno));
	close(s);
}

int netns_enter(bool own_users, char *err, size_t err_size)
{
	char uid[64], gid[64];
	bool root = have(CAP_SYS_ADMIN), users = own_users || !root;
	int e;

	/* Everybody remains who he is: files are made by the user as ever. */
	snprintf(uid, sizeof(uid), "%u %u 1", geteuid(), geteuid());
	snprintf(gid, sizeof(gid), "%u %u 1", getegid(), getegid());
	if (unshare(users ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET) ||
	    (!root && (!netns_write_file("/proc/self/setgroups", "deny") ||
		       !netns_write_file("/proc/self/uid_map", uid) ||
		       !netns_write_file("/proc/self/gid_map", gid)))) {
		e = errno;
		snprintf(err, err_size, "no network namespace of our own: %s; this host forbids user namespaces: '%s' allows them, or name a tap of yours with --net tap=",
			 strerror(e), remedy(e));
		return -1;
	}
	lo_up();
	return 0;
}

static _Noreturn void run_peer(const char *command)
{
	/* In a user namespace an ordinary user's rights end with exec, unless ambient. */
	capng_get_caps_process();
	if (geteuid()) {
		capng_updatev(CAPNG_ADD, CAPNG_INHERITABLE | CAPNG_AMBIENT, CAP_NET_ADMIN, CAP_NET_RAW, -1);
		capng_apply(CAPNG_SELECT_ALL);
	}
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

/* The shell may end, and what it left in the background go on. */
static _Noreturn void keep(const char *command, int fd)
{
	pid_t shell;
	char c;

	if (read(fd, &c, 1) != 1)
		_exit(0);
	shell = keeper_fork();
	if (!shell)
		run_peer(command);
	if (shell > 0 && !read(fd, &c, 1))
		keeper_end(shell);
	_exit(0);
}

void netns_prepare_peer(const char *command)
{
	int fd;

	keeper = keeper_start(&fd);
	if (keeper < 0)
		die("cannot start --ns-exec: %s", strerror(errno));
	if (!keeper)
		keep(command, fd);
	go = fd;
}

void netns_start_peer(void)
{
	if (go >= 0 && write(go, "", 1) != 1)
		warn("--ns-exec: it is gone");
}

/* We are nobody by now, and may not end what was started as root: the keeper may. */
void netns_end_peer(void)
{
	if (keeper <= 0)
		return;
	close(go);
	waitpid(keeper, NULL, 0);
}
