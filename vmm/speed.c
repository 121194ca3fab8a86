// SPDX-License-Identifier: MIT
/*
 * speed.c - how fast this KVM is, by a guest of a few instructions.  A KVM in
 * software shows by nothing else.
 */
#include "speed.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "boot.h"
#include "clock.h"
#include "layout.h"
#include "log.h"
#include "vm.h"

/* From 1 MiB on, 32 bits: count ECX down, tell; at CODE_EXIT: only tell. */
static const u8 code[] = {
	0x49,	    /* dec %ecx */
	0x75, 0xfd, /* jnz to it */
	0xe6, 0x80, /* out %al, $0x80 */
	0xeb, 0xf9, /* jmp to the beginning */
	0xe6, 0x80, /* out %al, $0x80 */
	0xeb, 0xfc, /* jmp to that */
};
#define CODE_EXIT 7
#define EXITS 200

static void enter(struct vcpu *c)
{
	if (ioctl(c->fd, KVM_RUN, 0))
		die("KVM does not run a processor: %s", strerror(errno));
	if (c->run->exit_reason != KVM_EXIT_IO)
		die("KVM does not run three instructions (exit %u)", c->run->exit_reason);
}

/* How long it is in the guest until it tells, ns. */
static u64 run_from(struct vcpu *c, u64 rip, u64 count)
{
	struct kvm_regs regs;
	u64 start;

	/* What it told before is finished by the next entry, before the registers count. */
	c->run->immediate_exit = 1;
	ioctl(c->fd, KVM_RUN, 0);
	c->run->immediate_exit = 0;
	if (ioctl(c->fd, KVM_GET_REGS, &regs))
		die("KVM does not tell a processor's registers: %s", strerror(errno));
	regs.rip = rip;
	regs.rcx = count;
	if (ioctl(c->fd, KVM_SET_REGS, &regs))
		die("KVM does not take a processor's registers: %s", strerror(errno));
	start = clock_ns();
	enter(c);
	return clock_ns() - start;
}

void speed_measure(void *arg)
{
	const struct boot_entry entry = { .protocol = BOOT_PVH, .rip = LAYOUT_KERNEL };
	struct speed *s = arg;
	struct vcpu *c;
	struct vm vm;
	u64 n = 1000, took, again;

	vm_open(&vm, 1);
	vm_add_memory(&vm, LAYOUT_RAM_MIN);
	vm_set_entry(&vm, &entry);
	c = &vm.vcpu[0];
	memcpy((u8 *)vm.mem.region[0].hva + LAYOUT_KERNEL, code, sizeof(code));
	do {
		n *= 4;
		took = run_from(c, LAYOUT_KERNEL, n);
	} while (took < 10000000 && n < 1 << 28);
	/* Others want the processor, too: the best of some. */
	for (unsigned i = 0; i < 5; i++) {
		again = run_from(c, LAYOUT_KERNEL, n);
		took = MIN(took, again);
	}
	s->per_second = 2e9 * (double)n / (double)took;

	run_from(c, LAYOUT_KERNEL + CODE_EXIT, 0);
	took = clock_ns();
	for (unsigned i = 0; i < EXITS; i++)
		enter(c);
	s->exit_us = (double)(clock_ns() - took) / EXITS / 1e3;
	vm_close(&vm);
}
