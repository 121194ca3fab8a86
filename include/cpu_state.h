/* SPDX-License-Identifier: MIT */
/*
 * cpu_state.h - what a virtual processor knows, for those who look at a guest
 * from outside: its registers, and which memory is behind its addresses.
 */
#ifndef RINGLET_CPU_STATE_H
#define RINGLET_CPU_STATE_H

#include <linux/kvm.h>

#include "base.h"

struct mem;
struct vcpu;
struct vm;

struct cpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	u64 lstar; /* where system calls enter; 0: not known */
	u64 kernel_gs_base;
	bool halted, started; /* in HLT; not waiting for its first start */
};

/* Main thread, while the vCPU stands still or is gone.  What KVM does not say is 0. */
void cpu_state_read(struct vcpu *c, struct cpu_state *s);

/* Main thread, the same: of all processors. */
void cpu_states_read(struct vm *vm, struct cpu_state *s);
/*
 * Main thread: how they are at the end, which goes with what is in memory then;
 * but of one that has left protected mode by then, as some kernels do to reset
 * the machine and a triple fault does, how it was when that was last kept.
 */
void cpu_states_keep(struct vm *vm);
void cpu_states_at_end(struct vm *vm, struct cpu_state *s);

/*
 * Any thread: the physical address behind a linear one, by the guest's own page
 * tables; *left is how many bytes of the page begin there.  false: nothing is
 * mapped there.
 */
bool cpu_translate(const struct mem *m, const struct cpu_state *s, u64 linear, u64 *gpa, u64 *left);

/* Copy n bytes from a linear address; how many could be had. */
size_t cpu_read(const struct mem *m, const struct cpu_state *s, u64 linear, void *to, size_t n);

#endif
