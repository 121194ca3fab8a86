// SPDX-License-Identifier: MIT
/*
 * ctl_guest.c - the commands that change how a guest runs, or end it.  Each is
 * done when it is answered, and says what it did.
 */
#include "ctl_guest.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "conf.h"
#include "link.h"
#include "net.h"
#include "serial.h"
#include "vm.h"

static struct {
	struct vm *vm;
	struct net *net;
	bool paused; /* by the user; others may pause it for a moment as well */
} guest;

void ctl_guest_init(struct vm *vm, struct net *net)
{
	guest.vm = vm;
	guest.net = net;
}

bool ctl_guest_is_paused(void)
{
	return guest.paused;
}

static bool takes_nothing(const char *argument, FILE *f)
{
	if (*argument)
		fprintf(f, "'%s': nothing is expected here\n", argument);
	return !*argument;
}

bool ctl_pause(const char *argument, FILE *f)
{
	if (!takes_nothing(argument, f))
		return false;
	if (!guest.paused)
		vm_pause(guest.vm);
	fputs(guest.paused ? "paused already\n" : "paused\n", f);
	guest.paused = true;
	return true;
}

bool ctl_resume(const char *argument, FILE *f)
{
	if (!takes_nothing(argument, f))
		return false;
	if (!guest.paused) {
		fputs("running already\n", f);
		return true;
	}
	/* A Linux that is told does not take the gap for a lockup of its own. */
	for (unsigned i = 0; i < guest.vm->ncpus; i++)
		ioctl(guest.vm->vcpu[i].fd, KVM_KVMCLOCK_CTRL, 0);
	vm_resume(guest.vm);
	guest.paused = false;
	fputs("running\n", f);
	return true;
}

static bool end(const char *argument, FILE *f, enum vm_end how, const char *done)
{
	if (!takes_nothing(argument, f))
		return false;
	vm_end(guest.vm, how, "%s by ringlet ctl", done);
	fprintf(f, "%s\n", done);
	return true;
}

bool ctl_stop(const char *argument, FILE *f)
{
	return end(argument, f, VM_QUIT, "stopped");
}

bool ctl_reset(const char *argument, FILE *f)
{
	return end(argument, f, VM_RESET, "reset");
}

/* A number below limit, or "" for all of them (-1); -2: neither. */
static int which(const char *argument, unsigned limit)
{
	char *end;
	unsigned long n = strtoul(argument, &end, 10);

	if (!*argument)
		return -1;
	return *argument < '0' || *argument > '9' || *end || n >= limit ? -2 : (int)n;
}

bool ctl_nmi(const char *argument, FILE *f)
{
	int only = which(argument, guest.vm->ncpus), err = 0;

	if (only == -2) {
		fprintf(f, "'%s': not one of the processors 0 to %u\n", argument, guest.vm->ncpus - 1);
		return false;
	}
	/* A vCPU's descriptor is its thread's as long as that is in the guest. */
	vm_pause(guest.vm);
	for (unsigned i = 0; i < guest.vm->ncpus; i++)
		if ((only < 0 || (unsigned)only == i) && ioctl(guest.vm->vcpu[i].fd, KVM_NMI, 0))
			err = errno;
	vm_resume(guest.vm);
	if (err)
		fprintf(f, "KVM refuses an NMI: %s\n", strerror(err));
	else if (only < 0)
		fprintf(f, "an NMI for every processor\n");
	else
		fprintf(f, "an NMI for processor %d\n", only);
	return !err;
}

bool ctl_sysrq(const char *argument, FILE *f)
{
	if (strlen(argument) != 1 || *argument <= ' ' || *argument > '~') {
		fprintf(f, "'%s': not a key; like h, which has Linux list them on its console\n", argument);
		return false;
	}
	serial_sysrq(guest.vm->serial, (u8)*argument);
	fprintf(f, "a break and '%s' on the serial line\n", argument);
	return true;
}

bool ctl_link(const char *argument, FILE *f)
{
	bool up = !strcmp(argument, "up");

	if (!guest.net) {
		fprintf(f, "this guest has no network device\n");
		return false;
	}
	if (!up && strcmp(argument, "down")) {
		fprintf(f, "'%s': not known; write up or down\n", argument);
		return false;
	}
	if (link_want(up) == up)
		fprintf(f, "link %s\n", argument);
	else
		fprintf(f, "link up as soon as the tap is; ip link set it up\n");
	return true;
}

bool ctl_irq(const char *argument, FILE *f)
{
	enum net_irq_policy policy;
	u32 usecs;

	if (!guest.net) {
		fprintf(f, "this guest has no network device\n");
		return false;
	}
	if (!conf_irq_parse(argument, &policy, &usecs)) {
		fprintf(f, "'%s': not a policy; write packet, drain, delay:USEC, pending:USEC or adaptive, with 1 to 1000000 microseconds\n",
			argument);
		return false;
	}
	net_set_irq(guest.net, policy, usecs);
	fprintf(f, "irq=%s\n", argument);
	return true;
}
