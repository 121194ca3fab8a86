/* SPDX-License-Identifier: MIT */
/*
 * gdb-fake.h - a guest of two processors for the gdb stub, without KVM: its
 * registers are here, and so is what KVM was told last.  Linear addresses from
 * BASE on are all of low memory but for a hole of a page at HOLE.
 */
#ifndef RINGLET_TESTS_GDB_FAKE_H
#define RINGLET_TESTS_GDB_FAKE_H

#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "check.h"
#include "ctl.h"
#include "ctl_guest.h"
#include "driver.h"
#include "inspect.h"
#include "stats.h"
#include "../vmm/gdb_internal.h"

#define CPUS 2
#define BASE 0xffffffff80000000ULL
#define HOLE (BASE + 0x20000)
#define DATA (BASE + 0x40000) /* of no other use */

static struct fake {
	struct gdb_state state;
	struct kvm_guest_debug debug;
	struct kvm_run *run;
	unsigned injected[4]; /* by vector */
	bool refuses;
} fake[CPUS];
static struct guest ram;
static struct vm vm;
static struct gdb g;

/* vCPU i has the descriptor 1000 + i. */
int ioctl(int fd, unsigned long request, ...)
{
	struct fake *f = &fake[(unsigned)(fd - 1000) % CPUS];
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fd < 1000 || f->refuses) {
		errno = EINVAL;
		return request == KVM_CHECK_EXTENSION ? KVM_GUESTDBG_BLOCKIRQ : -1;
	}
	switch (request) {
	case KVM_GET_REGS:
		memcpy(arg, &f->state.regs, sizeof(f->state.regs));
		return 0;
	case KVM_SET_REGS:
		memcpy(&f->state.regs, arg, sizeof(f->state.regs));
		return 0;
	case KVM_GET_SREGS:
		memcpy(arg, &f->state.sregs, sizeof(f->state.sregs));
		return 0;
	case KVM_SET_SREGS:
		memcpy(&f->state.sregs, arg, sizeof(f->state.sregs));
		return 0;
	case KVM_GET_XSAVE:
		memcpy(arg, &f->state.xsave, sizeof(f->state.xsave));
		return 0;
	case KVM_SET_XSAVE:
		memcpy(&f->state.xsave, arg, sizeof(f->state.xsave));
		return 0;
	case KVM_GET_MSRS:
		((struct kvm_msrs *)arg)->entries[0].data = f->state.kernel_gs_base;
		return 1;
	case KVM_SET_MSRS:
		f->state.kernel_gs_base = ((struct kvm_msrs *)arg)->entries[0].data;
		return 1;
	case KVM_GET_CPUID2:
		((struct kvm_cpuid2 *)arg)->nent = 1;
		((struct kvm_cpuid2 *)arg)->entries[0] =
			(struct kvm_cpuid_entry2){ .function = 0xd, .index = 2, .eax = 256, .ebx = 576 };
		return 0;
	case KVM_GET_MP_STATE:
		((struct kvm_mp_state *)arg)->mp_state = KVM_MP_STATE_HALTED;
		return 0;
	case KVM_SET_GUEST_DEBUG:
		memcpy(&f->debug, arg, sizeof(f->debug));
		f->injected[3] += !!(f->debug.control & KVM_GUESTDBG_INJECT_BP);
		f->injected[1] += !!(f->debug.control & KVM_GUESTDBG_INJECT_DB);
		return 0;
	}
	errno = ENOTTY;
	return -1;
}

static void fake_tables(void)
{
	u64 pml4 = guest_alloc(&ram, 0, 4096, 4096), pdpt = guest_alloc(&ram, 0, 4096, 4096);
	u64 pd = guest_alloc(&ram, 0, 4096, 4096), pt = guest_alloc(&ram, 0, 4096, 4096);

	memset(guest_at(&ram, GUEST_LOW), 0, 1 * MiB);
	((u64 *)guest_at(&ram, pml4))[511] = pdpt | 3;
	((u64 *)guest_at(&ram, pdpt))[510] = pd | 3;
	((u64 *)guest_at(&ram, pd))[0] = pt | 3;
	for (unsigned i = 0; i < 256; i++) /* read-only */
		((u64 *)guest_at(&ram, pt))[i] = (GUEST_LOW + i * 4096) | 1;
	((u64 *)guest_at(&ram, pt))[(HOLE - BASE) / 4096] = 0;
	for (unsigned i = 0; i < CPUS; i++) {
		fake[i].state.sregs.cr0 = 1u << 31 | 1;
		fake[i].state.sregs.cr3 = pml4;
		fake[i].state.sregs.cr4 = 1u << 5;
		fake[i].state.sregs.efer = 1u << 10;
	}
}

static inline bool say_hello(const char *argument, FILE *answer)
{
	fprintf(answer, "hello %s\n", argument);
	return true;
}

static inline bool say_much(const char *argument, FILE *answer)
{
	(void)argument;
	for (unsigned i = 0; i < 5000; i++)
		fprintf(answer, "%09u\n", i);
	return true;
}

static const struct ctl_command fake_commands[] = {
	{ "hello", "says so", say_hello },
	{ "much", "much", say_much },
	{ NULL },
};

static const struct conf fake_conf = { .kernel = "fake" };
static const struct stats fake_stats = { .conf = &fake_conf, .name = "fake", .vm = &vm };

static inline void *fake_at(u64 va)
{
	return guest_at(&ram, va - BASE + GUEST_LOW);
}

/* A guest that runs, and nobody there. */
static inline void fake_fresh(void)
{
	static struct kvm_run run[CPUS];

	if (!ram.mem.n)
		guest_open(&ram, 1 * MiB, 0);
	free(g.out);
	memset(&g, 0, sizeof(g));
	memset(&vm, 0, sizeof(vm));
	memset(fake, 0, sizeof(fake));
	pthread_mutex_init(&vm.park_lock, NULL);
	pthread_mutex_init(&vm.end_lock, NULL);
	pthread_cond_init(&vm.parked, NULL);
	pthread_cond_init(&vm.go_on, NULL);
	vm.kvm_fd = vm.wake_fd = vm.debug_fd = -1;
	vm.mem = ram.mem;
	vm.ncpus = CPUS;
	for (unsigned i = 0; i < CPUS; i++) {
		memset(&run[i], 0, sizeof(run[i]));
		vm.vcpu[i] = (struct vcpu){ .vm = &vm, .index = i, .fd = 1000 + (int)i, .run = &run[i] };
	}
	ram.next[0] = GUEST_LOW;
	fake_tables();
	g.vm = &vm;
	g.commands = fake_commands;
	ctl_guest_init(&vm, NULL);
	stats_open(&fake_stats);
	inspect_open(&fake_stats);
}

#endif
