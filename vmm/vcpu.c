// SPDX-License-Identifier: MIT
/*
 * vcpu.c - why a processor ever comes back to us, and what we do then.  One
 * thread per vCPU; it handles registers and ports, never a packet.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "counter.h"
#include "kvm_stats.h"
#include "log.h"
#include "thread.h"
#include "trace.h"
#include "vm.h"

/* SIGUSR1 is the user's, see console.c. */
#define KICK_SIGNAL SIGUSR2

/* Nothing to do: its coming is what makes KVM_RUN return. */
static void kicked(int signo)
{
	(void)signo;
}

void vcpu_open(struct vm *vm, unsigned index)
{
	struct vcpu *c = &vm->vcpu[index];
	int size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	*c = (struct vcpu){ .vm = vm, .index = index, .cpu = -1 };
	c->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (c->fd < 0)
		die("cannot create vCPU %u: %s", index, strerror(errno));
	c->run_size = (size_t)size;
	c->run = mmap(NULL, c->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (c->run == MAP_FAILED)
		die("cannot map vCPU %u: %s", index, strerror(errno));
	c->stats = kvm_stats_open(c->fd);
}

/* A register was read or is to be written; the guest's own word for done is one of them. */
static void trace_mmio(struct vcpu *c, unsigned reg)
{
	const struct kvm_run *run = c->run;
	const char *name = exit_register_name(reg);
	u64 value = 0;

	memcpy(&value, run->mmio.data, MIN(run->mmio.len, sizeof(value)));
	if (c->trace->classes & TRACE_MMIO)
		trace_put(c->trace, run->mmio.is_write ? TRACE_WRITE : TRACE_READ, 0, value, run->mmio.len, (u8)reg);
	if (c->trace->classes & TRACE_IRQ && run->mmio.is_write && !strcmp(name, "interrupt_ack"))
		trace_put(c->trace, TRACE_ACK, 0, 1, 0, 0);
}

static void handle_mmio(struct vcpu *c)
{
	struct kvm_run *run = c->run;
	unsigned reg = exit_register(c->vm->nvirtio, run->mmio.phys_addr);

	if (run->mmio.is_write)
		COUNT(c->count.writes[reg], 1);
	else
		COUNT(c->count.reads[reg], 1);
	vm_mmio(c->vm, run->mmio.phys_addr, run->mmio.is_write, run->mmio.data, run->mmio.len);
	if (c->trace)
		trace_mmio(c, reg);
}

static void handle_io(struct vcpu *c)
{
	struct kvm_run *run = c->run;
	u8 *data = (u8 *)run + run->io.data_offset;

	for (u32 i = 0; i < run->io.count; i++, data += run->io.size)
		vm_io(c->vm, run->io.port, run->io.direction == KVM_EXIT_IO_OUT, data, run->io.size);
}

/*
 * The bytes at RIP, as " 0f 01"; "" if they cannot be had.  KVM says them with
 * some failures; else they are where the guest's own page tables have them.
 */
static void instruction_at(struct vcpu *c, u64 rip, char text[3 * 15 + 1])
{
	const struct kvm_run *run = c->run;
	struct kvm_translation tr = { .linear_address = rip };
	const u8 *p = NULL;
	unsigned n = 15;

	text[0] = '\0';
	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && run->emulation_failure.ndata >= 1 &&
	    run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
		p = run->emulation_failure.insn_bytes;
		n = MIN(run->emulation_failure.insn_size, n);
	} else if (!ioctl(c->fd, KVM_TRANSLATE, &tr) && tr.valid) {
		n = MIN(GUEST_PAGE - rip % GUEST_PAGE, n);
		p = mem_at(&c->vm->mem, tr.physical_address, n);
	}
	for (unsigned i = 0; p && i < n; i++)
		snprintf(text + 3 * i, 4, " %02x", LOAD_ONCE(&p[i]));
}

static void internal_error(struct vcpu *c)
{
	const struct kvm_run *run = c->run;
	struct kvm_regs regs = { 0 };
	char what[64] = "KVM cannot emulate the instruction", bytes[3 * 15 + 1];

	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION)
		snprintf(what, sizeof(what), "KVM internal error %u", run->internal.suberror);
	if (ioctl(c->fd, KVM_GET_REGS, &regs))
		regs.rip = 0;
	instruction_at(c, regs.rip, bytes);
	vm_end(c->vm, VM_CRASH, "%s at RIP %#llx%s%s%s", what, (unsigned long long)regs.rip,
	       *bytes ? ", bytes" : "", bytes,
	       x86_kvm_is_software() ? ": " SOFTWARE_KVM_ADVICE : "");
}

/*
 * Somebody called, or it trapped.  KVM_RUN has been entered and left since the
 * last exit was handled, or this one is KVM_EXIT_DEBUG: KVM has finished the
 * instruction which caused it.
 */
static void stand_still(struct vcpu *c)
{
	struct vm *vm = c->vm;

	pthread_mutex_lock(&vm->park_lock);
	while ((vm->pauses > c->exempt || c->trapped) && !LOAD_ONCE(&vm->stopping)) {
		c->parked = true;
		pthread_cond_signal(&vm->parked);
		pthread_cond_wait(&vm->go_on, &vm->park_lock);
	}
	c->parked = false;
	if (!LOAD_ONCE(&vm->stopping))
		STORE_ONCE(&c->run->immediate_exit, 0);
	pthread_mutex_unlock(&vm->park_lock);
}

/* Main, who has the debugger, is to look at it; it lets it go on. */
static void trap(struct vcpu *c)
{
	const u64 one = 1;

	pthread_mutex_lock(&c->vm->park_lock);
	c->trapped = true;
	pthread_mutex_unlock(&c->vm->park_lock);
	if (write(c->vm->debug_fd, &one, sizeof(one)) == sizeof(one))
		stand_still(c);
}

/* True to go on. */
static bool handle_exit(struct vcpu *c)
{
	struct kvm_run *run = c->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		handle_io(c);
		return true;
	case KVM_EXIT_MMIO:
		handle_mmio(c);
		return true;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IOAPIC_EOI: /* only level interrupts have one: none is ours */
	case KVM_EXIT_HLT:	  /* KVM's local APIC handles it; again if not */
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return true;
	case KVM_EXIT_DEBUG:
		trap(c);
		return true;
	case KVM_EXIT_SHUTDOWN:
		vm_end(c->vm, VM_CRASH, "triple fault on vCPU %u", c->index);
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		internal_error(c);
		return false;
	case KVM_EXIT_FAIL_ENTRY:
		vm_end(c->vm, VM_CRASH, "the processor refused vCPU %u's state (hardware reason %#llx)",
		       c->index, (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		return false;
	default:
		vm_end(c->vm, VM_CRASH, "vCPU %u left for a reason unknown to ringlet (%u)", c->index,
		       run->exit_reason);
		return false;
	}
}

/* The same, counted. */
static bool take_exit(struct vcpu *c)
{
	unsigned reason = exit_reason(c->run->exit_reason);
	u64 start = clock_ns();
	bool on = handle_exit(c);

	COUNT(c->count.exits[reason], 1);
	COUNT(c->count.ns[reason], clock_ns() - start);
	if (c->trace && c->trace->classes & TRACE_EXITS)
		trace_put_since(c->trace, TRACE_EXIT, start, reason, 0);
	return on;
}

static void *vcpu_main(void *arg)
{
	struct vcpu *c = arg;
	cpu_set_t set;

	if (c->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(c->cpu, &set);
		if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
			warn("cannot pin vCPU %u to processor %d: it is not there", c->index, c->cpu);
	}
	while (!LOAD_ONCE(&c->vm->stopping)) {
		if (ioctl(c->fd, KVM_RUN, 0) == 0) {
			if (!take_exit(c))
				break;
		} else if (errno == EINTR) {
			COUNT(c->count.exits[exit_reason(KVM_EXIT_INTR)], 1);
			if (c->trace && c->trace->classes & TRACE_EXITS)
				trace_put(c->trace, TRACE_EXIT, 0, exit_reason(KVM_EXIT_INTR), 0, 0);
			stand_still(c);
		} else if (errno != EAGAIN) {
			vm_end(c->vm, VM_CRASH, "vCPU %u cannot run: %s", c->index, strerror(errno));
			break;
		}
	}
	/* Whoever waits for it to stand still need not. */
	pthread_mutex_lock(&c->vm->park_lock);
	c->parked = true;
	pthread_cond_signal(&c->vm->parked);
	pthread_mutex_unlock(&c->vm->park_lock);
	return NULL;
}

void vcpu_start(struct vcpu *c)
{
	struct sigaction sa = { .sa_handler = kicked };
	char name[16];
	int err;

	sigaction(KICK_SIGNAL, &sa, NULL);
	STORE_ONCE(&c->run->immediate_exit, !!c->vm->pauses);
	snprintf(name, sizeof(name), "vcpu/%u", c->index);
	err = thread_start(&c->thread, name, vcpu_main, c, KICK_SIGNAL);
	if (err)
		die("cannot start the thread of vCPU %u: %s", c->index, strerror(err));
	c->started = true;
}

void vcpu_kick(struct vcpu *c)
{
	if (!c->started)
		return;
	/* Before or after it enters KVM_RUN: one of the two gets it out. */
	STORE_ONCE(&c->run->immediate_exit, 1);
	pthread_kill(c->thread, KICK_SIGNAL);
}

bool vcpu_trapped(struct vcpu *c)
{
	bool trapped;

	pthread_mutex_lock(&c->vm->park_lock);
	trapped = c->trapped;
	pthread_mutex_unlock(&c->vm->park_lock);
	return trapped;
}

void vcpu_untrap(struct vcpu *c)
{
	pthread_mutex_lock(&c->vm->park_lock);
	c->trapped = false;
	pthread_cond_broadcast(&c->vm->go_on);
	pthread_mutex_unlock(&c->vm->park_lock);
}

void vcpu_join(struct vcpu *c)
{
	if (!c->started)
		return;
	pthread_join(c->thread, NULL);
	c->started = false;
}

void vcpu_close(struct vcpu *c)
{
	kvm_stats_free(c->stats);
	if (c->run)
		munmap(c->run, c->run_size);
	if (c->fd > 0)
		close(c->fd);
}
