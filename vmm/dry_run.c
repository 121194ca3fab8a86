// SPDX-License-Identifier: MIT
/*
 * dry_run.c - what a run would have: the guest's command line, its memory map
 * as the boot code would make it, its devices and where they would be; or why
 * kernel, initrd, memory and user do not go together.
 */
#include "dry_run.h"

#include <stdio.h>

#include "boot.h"
#include "conf.h"
#include "layout.h"
#include "log.h"
#include "mem.h"
#include "sandbox.h"

static void print_memory_map(const struct mem *m)
{
	struct boot_range map[BOOT_MAX_RANGES];
	unsigned n = boot_memory_map(m, map);

	printf("memory map\n");
	for (unsigned i = 0; i < n; i++)
		printf("  %#014llx-%#014llx  %s\n", (unsigned long long)map[i].start,
		       (unsigned long long)(map[i].start + map[i].size - 1),
		       map[i].type == 1 ? "RAM" : "reserved");
}

static void print_virtio(const char *name, unsigned i)
{
	printf("  %-14s  %#llx-%#llx, line %u, ACPI LNRO0005", name, LAYOUT_VIRTIO_WINDOW(i),
	       LAYOUT_VIRTIO_WINDOW(i) + LAYOUT_VIRTIO_SIZE - 1, GSI_VIRTIO + i);
}

static void print_devices(const struct conf_net *net, bool console)
{
	char mac[CONF_MAC_TEXT];
	unsigned i = 0;

	printf("devices\n");
	printf("  serial          port %#x, line %u, ACPI PNP0501, ttyS0\n", PORT_SERIAL, GSI_SERIAL);
	printf("  pvpanic         port %#x, ACPI QEMU0001\n", PORT_PVPANIC);
	printf("  I/O APIC        %#llx, %u pins\n", LAYOUT_IOAPIC, IOAPIC_PINS);
	if (net->mode != NET_NONE) {
		print_virtio("virtio-net", i++);
		printf(", mac %s, io=%s, queue_size=%u\n", conf_mac_text(net->mac, mac),
		       net->io == IO_URING ? "uring" : "poll", net->queue_size);
	}
	if (console) {
		print_virtio("virtio-console", i);
		printf("\n");
	}
}

void dry_run(const struct conf *c, const char *cmdline, const struct boot_made *made)
{
	struct boot_request req = { .kernel = c->kernel, .initrd = c->initrd, .cmdline = cmdline, .made = made };
	struct mem m = { .size = c->mem };
	char err[512];

	/* Only the sizes matter here; nothing is mapped. */
	m.region[m.n++] = (struct mem_region){ .gpa = 0, .size = MIN(c->mem, LAYOUT_LOW_END) };
	if (c->mem > LAYOUT_LOW_END)
		m.region[m.n++] = (struct mem_region){ .gpa = LAYOUT_HIGH, .size = c->mem - LAYOUT_LOW_END };
	sandbox_uid(c->user);
	if (boot_check(&m, &req, err, sizeof(err)))
		die_args("%s", err);

	printf("kernel        %s\n", c->kernel);
	printf("initrd        %s%s%s\n", c->initrd ? c->initrd : made ? "" : "none",
	       c->initrd && made ? ", and what is " : "", made ? "made for the command" : "");
	printf("command line  %s\n", cmdline);
	printf("vCPUs         %u\n", c->cpus);
	print_memory_map(&m);
	print_devices(&c->net, c->session);
}
