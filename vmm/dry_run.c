// SPDX-License-Identifier: MIT
/*
 * dry_run.c - what a run would have: the guest's command line, its memory map
 * as the boot code would make it, its devices and where they would be.
 */
#include "dry_run.h"

#include <stdio.h>

#include "boot.h"
#include "conf.h"
#include "layout.h"
#include "mem.h"

static void print_memory_map(u64 size)
{
	struct boot_range map[BOOT_MAX_RANGES];
	struct mem m = { .size = size };
	unsigned n;

	/* Only the sizes matter here; nothing is mapped. */
	m.region[m.n++] = (struct mem_region){ .gpa = 0, .size = MIN(size, LAYOUT_LOW_END) };
	if (size > LAYOUT_LOW_END)
		m.region[m.n++] = (struct mem_region){ .gpa = LAYOUT_HIGH, .size = size - LAYOUT_LOW_END };
	n = boot_memory_map(&m, map);

	printf("memory map\n");
	for (unsigned i = 0; i < n; i++)
		printf("  %#014llx-%#014llx  %s\n", (unsigned long long)map[i].start,
		       (unsigned long long)(map[i].start + map[i].size - 1),
		       map[i].type == 1 ? "RAM" : "reserved");
}

static void print_devices(const struct conf_net *net)
{
	char mac[CONF_MAC_TEXT];

	printf("devices\n");
	printf("  serial        port %#x, line %u, ACPI PNP0501, ttyS0\n", PORT_SERIAL, GSI_SERIAL);
	printf("  pvpanic       port %#x, ACPI QEMU0001\n", PORT_PVPANIC);
	printf("  I/O APIC      %#llx, %u pins\n", LAYOUT_IOAPIC, IOAPIC_PINS);
	if (net->mode != NET_NONE)
		printf("  virtio-net    %#llx-%#llx, line %u, ACPI LNRO0005, mac %s, io=%s, queue_size=%u\n",
		       LAYOUT_VIRTIO_WINDOW(0), LAYOUT_VIRTIO_WINDOW(0) + LAYOUT_VIRTIO_SIZE - 1, GSI_VIRTIO,
		       conf_mac_text(net->mac, mac), net->io == IO_URING ? "uring" : "poll", net->queue_size);
}

void dry_run(const struct conf *c, const char *cmdline)
{
	printf("kernel        %s\n", c->kernel);
	printf("initrd        %s\n", c->initrd ? c->initrd : "none");
	printf("command line  %s\n", cmdline);
	printf("vCPUs         %u\n", c->cpus);
	print_memory_map(c->mem);
	print_devices(&c->net);
}
