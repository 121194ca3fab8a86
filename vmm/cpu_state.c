// SPDX-License-Identifier: MIT
/*
 * cpu_state.c - a processor seen from outside.
 */
#include "cpu_state.h"

#include <string.h>
#include <sys/ioctl.h>

#include "guest_memory.h"
#include "vm.h"

#define CR0_PE 1u
#define MSR_LSTAR 0xc0000082
#define MSR_KERNEL_GS_BASE 0xc0000102

static u64 read_msr(int fd, u32 index)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = { .head.nmsrs = 1, .entry.index = index };

	return ioctl(fd, KVM_GET_MSRS, &m) == 1 ? m.entry.data : 0;
}

void cpu_state_read(struct vcpu *c, struct cpu_state *s)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

	memset(s, 0, sizeof(*s));
	if (ioctl(c->fd, KVM_GET_REGS, &s->regs))
		memset(&s->regs, 0, sizeof(s->regs));
	if (ioctl(c->fd, KVM_GET_SREGS, &s->sregs))
		memset(&s->sregs, 0, sizeof(s->sregs));
	ioctl(c->fd, KVM_GET_MP_STATE, &mp);
	s->halted = mp.mp_state == KVM_MP_STATE_HALTED;
	s->started = s->halted || mp.mp_state == KVM_MP_STATE_RUNNABLE;
	s->lstar = read_msr(c->fd, MSR_LSTAR);
	s->kernel_gs_base = read_msr(c->fd, MSR_KERNEL_GS_BASE);
}

static struct cpu_state kept[MAX_CPUS];
static bool are_kept;

void cpu_states_read(struct vm *vm, struct cpu_state *s)
{
	for (unsigned i = 0; i < vm->ncpus; i++)
		cpu_state_read(&vm->vcpu[i], &s[i]);
}

void cpu_states_keep(struct vm *vm)
{
	cpu_states_read(vm, kept);
	are_kept = true;
}

void cpu_states_at_end(struct vm *vm, struct cpu_state *s)
{
	cpu_states_read(vm, s);
	for (unsigned i = 0; are_kept && i < vm->ncpus; i++)
		if (!(s[i].sregs.cr0 & CR0_PE))
			s[i] = kept[i];
}

static struct paging paging_of(const struct cpu_state *s)
{
	return (struct paging){ s->sregs.cr0, s->sregs.cr3, s->sregs.cr4, s->sregs.efer };
}

bool cpu_translate(const struct mem *m, const struct cpu_state *s, u64 linear, u64 *gpa, u64 *left)
{
	const struct paging p = paging_of(s);
	struct guest_page page;

	if (!guest_translate(m, &p, linear, &page))
		return false;
	*gpa = page.gpa + (linear - page.va);
	*left = page.size - (linear - page.va);
	return true;
}

size_t cpu_read(const struct mem *m, const struct cpu_state *s, u64 linear, void *to, size_t n)
{
	const struct paging p = paging_of(s);

	return guest_read(m, &p, linear, to, n);
}
