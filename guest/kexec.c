// SPDX-License-Identifier: MIT
/*
 * kexec - go on with another kernel, as if the machine had been reset.
 *
 *	kexec KERNEL INITRD COMMAND-LINE
 *
 * KERNEL is a bzImage.  Nothing that runs is told to end, no interface is
 * taken down: what the devices are doing, the new kernel will have to cope
 * with.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int kernel, initrd;

	if (argc != 4) {
		printf("kexec KERNEL INITRD COMMAND-LINE\n");
		return 2;
	}
	kernel = open(argv[1], O_RDONLY | O_CLOEXEC);
	initrd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (kernel < 0 || initrd < 0) {
		printf("kexec: cannot open %s: %s\n", argv[kernel < 0 ? 1 : 2], strerror(errno));
		return 1;
	}
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1, argv[3], 0UL)) {
		printf("kexec: cannot load %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	reboot(LINUX_REBOOT_CMD_KEXEC);
	printf("kexec: %s\n", strerror(errno));
	return 1;
}
