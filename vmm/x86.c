// SPDX-License-Identifier: MIT
/*
 * x86.c - what a processor is like before its first instruction: CPUID, the
 * registers that the boot protocols ask for, and nothing that needs a timer
 * calibrated (kvm-clock and the TSC deadline timer; there is no PIT).
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "boot.h"
#include "log.h"
#include "vm.h"

#define MAX_CPUID 256

#define CR0_PE (1u << 0)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_PG (1u << 31)
#define CR4_PAE (1u << 5)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

#define MSR_IA32_MISC_ENABLE 0x1a0
#define MISC_ENABLE_FAST_STRING 1
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLED_WRITE_BACK 0x806

bool x86_kvm_is_software(void)
{
	return access("/sys/module/kvm_intel", F_OK) && access("/sys/module/kvm_amd", F_OK);
}

/* Bits needed for n values. */
static u32 bits_for(u32 n)
{
	return n > 1 ? 32 - (u32)__builtin_clz(n - 1) : 0;
}

/*
 * One package of ncpus cores, one thread each, whatever the host's topology:
 * a guest that believes in siblings schedules around them.
 */
static void set_topology(struct kvm_cpuid_entry2 *e, u32 index, u32 ncpus)
{
	u32 shift = bits_for(ncpus);

	switch (e->function) {
	case 1:
		e->ebx = (e->ebx & 0xffff) | ncpus << 16 | index << 24;
		e->edx = ncpus > 1 ? e->edx | 1u << 28 : e->edx & ~(1u << 28);
		break;
	case 4: /* deterministic cache parameters */
		if (!(e->eax & 0x1f))
			break;
		/* Caches up to level 2 are a core's own, level 3 is shared. */
		e->eax = (e->eax & 0x3fff) | ((1u << shift) - 1) << 26;
		if (((e->eax >> 5) & 7) >= 3)
			e->eax |= (ncpus - 1) << 14;
		break;
	case 0xb:
	case 0x1f:
		e->edx = index;
		e->ecx = e->index;
		if (e->index == 0) {
			e->eax = 0;
			e->ebx = 1;
			e->ecx |= 1 << 8; /* threads */
		} else if (e->index == 1) {
			e->eax = shift;
			e->ebx = ncpus;
			e->ecx |= 2 << 8; /* cores */
		} else {
			e->eax = e->ebx = 0;
		}
		break;
	case 0x80000008:
		e->ecx = (e->ecx & ~0xf0ffu) | shift << 12 | (ncpus - 1);
		break;
	case 0x8000001e:
		e->eax = index;
		e->ebx = index; /* core id, one thread per core */
		e->ecx = 0;
		break;
	}
}

static void set_features(struct vm *vm, struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 1:
		e->ecx |= 1u << 31; /* a hypervisor is present */
		/* KVM has it and does not say so; without it 100 ms are calibrated away. */
		if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
			e->ecx |= 1u << 24;
		break;
	case 6:
		e->eax |= 1u << 2; /* the APIC timer never stops */
		break;
	case 0xa:
		/* No performance counters: Linux would hang a watchdog on them. */
		e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	}
}

void x86_set_cpuid(struct vm *vm, struct vcpu *c)
{
	struct kvm_cpuid2 *id = calloc(1, sizeof(*id) + MAX_CPUID * sizeof(id->entries[0]));

	if (!id)
		die("out of memory");
	id->nent = MAX_CPUID;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, id))
		die("KVM does not say which processor features it has: %s", strerror(errno));
	for (u32 i = 0; i < id->nent; i++) {
		set_features(vm, &id->entries[i]);
		set_topology(&id->entries[i], c->index, vm->ncpus);
	}
	if (ioctl(c->fd, KVM_SET_CPUID2, id))
		die("KVM refuses the processor features of vCPU %u: %s", c->index, strerror(errno));
	free(id);
}

static struct kvm_segment segment(u16 selector, u8 type, bool code, bool is64)
{
	return (struct kvm_segment){
		.base = 0,
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.db = !is64,
		.l = code && is64,
		.g = 1,
	};
}

static void set_msrs(struct vcpu *c)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[2];
	} msrs = {
		.head.nmsrs = 2,
		.entry = {
			{ .index = MSR_IA32_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING },
			/* Linux leaves PAT alone where MTRRs are off. */
			{ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WRITE_BACK },
		},
	};

	/* Both are comforts: a KVM without them boots all the same. */
	if (ioctl(c->fd, KVM_SET_MSRS, &msrs) != 2)
		info("KVM did not take MISC_ENABLE and MTRR settings");
}

void x86_set_entry(struct vcpu *c, const struct boot_entry *entry)
{
	bool is64 = entry->protocol == BOOT_LINUX64;
	struct kvm_segment code = segment(is64 ? BOOT_CS64 : BOOT_CS32, 0xb, true, is64);
	struct kvm_segment data = segment(BOOT_DS, 3, false, false);
	struct kvm_regs regs = { .rip = entry->rip, .rflags = 2, .rsp = LAYOUT_BOOT_STACK };
	struct kvm_sregs s;

	if (ioctl(c->fd, KVM_GET_SREGS, &s))
		die("cannot read vCPU %u's registers: %s", c->index, strerror(errno));
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.tr = (struct kvm_segment){ .selector = BOOT_TSS, .limit = 0x67, .type = 0xb, .present = 1 };
	s.ldt = (struct kvm_segment){ .unusable = 1 };
	s.gdt.base = LAYOUT_GDT;
	s.gdt.limit = BOOT_GDT_LIMIT;
	s.idt.base = 0;
	s.idt.limit = 0;
	s.cr0 = CR0_PE | CR0_ET | CR0_NE;
	s.cr4 = 0;
	s.efer = 0;
	if (is64) {
		s.cr0 |= CR0_PG;
		s.cr3 = entry->page_table;
		s.cr4 = CR4_PAE;
		s.efer = EFER_LME | EFER_LMA;
		regs.rsi = entry->info;
	} else {
		regs.rbx = entry->info;
	}
	if (ioctl(c->fd, KVM_SET_SREGS, &s) || ioctl(c->fd, KVM_SET_REGS, &regs))
		die("KVM refuses vCPU %u's first registers: %s", c->index, strerror(errno));
	set_msrs(c);
}
