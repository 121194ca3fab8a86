// SPDX-License-Identifier: MIT
#include "thread.h"

#include <signal.h>

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg, int signo)
{
	sigset_t all, old;
	int err;

	/* A thread begins with its maker's mask: there is no moment with another one. */
	sigfillset(&all);
	if (signo)
		sigdelset(&all, signo);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		pthread_setname_np(*thread, name);
	return err;
}
