// SPDX-License-Identifier: MIT
/*
 * keeper.c - a program beside us, and how it ends with us.
 *
 * We become nobody, may be killed, and then can end nothing.  So a process of
 * ours, with the rights we began with, stays with the program and has one end of
 * a socket pair: the end of file, which the kernel sees to whatever becomes of
 * us, tells it that we are gone.
 */
#include "keeper.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 2000

static sigset_t before; /* the signals that were blocked, as the program is to have them */

pid_t keeper_start(int *fd)
{
	sigset_t all;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	pid = fork();
	*fd = pair[!pid];
	close(pair[!!pid]);
	if (pid < 0)
		close(*fd);
	if (pid)
		return pid;
	/* A Ctrl-C or "killall ringlet" is for ringlet, whose end is ours. */
	setpgid(0, 0);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	/* What the program leaves in the background is then our child, too. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return 0;
}

pid_t keeper_fork(void)
{
	pid_t pid = fork();

	/* Both of us: whoever is first, it is done before it matters. */
	setpgid(pid, pid);
	if (!pid)
		sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static bool somebody_left(pid_t group)
{
	pid_t pid;

	do
		pid = waitpid(-group, NULL, WNOHANG);
	while (pid > 0);
	return !pid;
}

static bool end_by(int signo, pid_t group)
{
	kill(-group, signo);
	for (unsigned ms = 0; somebody_left(group); ms++) {
		if (ms == PATIENCE_MS)
			return false;
		usleep(1000);
	}
	return true;
}

void keeper_end(pid_t group)
{
	if (!end_by(SIGTERM, group))
		end_by(SIGKILL, group);
}
