// SPDX-License-Identifier: MIT
/*
 * cpu_state.c - a processor seen from outside.  Page tables are the guest's
 * own, and may be anything: each entry is read once, and each step goes through
 * mem_at().
 */
#include "cpu_state.h"

#include <string.h>
#include <sys/ioctl.h>

#include "barrier.h"
#include "layout.h"
#include "mem.h"
#include "vm.h"

#define CR0_PG (1u << 31)
#define CR4_PAE (1u << 5)
#define CR4_LA57 (1u << 12)
#define EFER_LMA (1u << 10)

#define ENTRY_PRESENT 1
#define ENTRY_LARGE 0x80
#define ENTRY_ADDRESS 0x000ffffffffff000ULL

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
	if (are_kept)
		memcpy(s, kept, vm->ncpus * sizeof(*s));
	else
		cpu_states_read(vm, s);
}

bool cpu_translate(const struct mem *m, const struct cpu_state *s, u64 linear, u64 *gpa, u64 *left)
{
	unsigned top = s->sregs.cr4 & CR4_LA57 ? 48 : 39;
	u64 table = s->sregs.cr3 & ENTRY_ADDRESS;

	if (!(s->sregs.cr0 & CR0_PG)) {
		*gpa = linear;
		*left = GUEST_PAGE - linear % GUEST_PAGE;
		return true;
	}
	if (!(s->sregs.efer & EFER_LMA))
		return false;
	/* Canonical: the bits above those that are translated are all alike. */
	if ((u64)((s64)(linear << (55 - top)) >> (55 - top)) != linear)
		return false;
	for (unsigned shift = top;; shift -= 9) {
		const u64 *p = mem_at(m, table + ((linear >> shift) & 511) * 8, 8);
		u64 entry = p ? LOAD_ONCE(p) : 0, size = 1ULL << shift;

		if (!(entry & ENTRY_PRESENT))
			return false;
		if (shift == 12 || (shift <= 30 && entry & ENTRY_LARGE)) {
			*gpa = (entry & ENTRY_ADDRESS & ~(size - 1)) | (linear & (size - 1));
			*left = size - (linear & (size - 1));
			return true;
		}
		table = entry & ENTRY_ADDRESS;
	}
}

size_t cpu_read(const struct mem *m, const struct cpu_state *s, u64 linear, void *to, size_t n)
{
	u64 gpa, left;
	size_t done = 0;

	while (done < n && cpu_translate(m, s, linear + done, &gpa, &left)) {
		size_t part = MIN(left, n - done);
		const void *p = mem_at(m, gpa, part);

		if (!p)
			break;
		memcpy((u8 *)to + done, p, part);
		done += part;
	}
	return done;
}
