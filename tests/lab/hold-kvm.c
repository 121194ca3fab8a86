// SPDX-License-Identifier: MIT
/*
 * hold-kvm - be a guest that never runs, for as long as the lab's machine does.
 *
 * With its first guest, and again without its last, KVM has the kernel patch the
 * scheduler (preempt_notifier_inc() in Linux's kvm_main.c).  An emulated processor
 * that is just passing there may die of it: seen once in some hundred runs, as an
 * oops in the middle of a jump in __schedule().  Held from the machine's beginning,
 * when nothing else goes on, it is patched there once.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR);

	if (kvm < 0 || ioctl(kvm, KVM_CREATE_VM, 0) < 0) {
		perror("hold-kvm");
		return 1;
	}
	if (daemon(0, 1))
		return 1;
	for (;;)
		pause();
}
