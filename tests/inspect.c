// SPDX-License-Identifier: MIT
/*
 * inspect.c - a look at the rings and at memory: what is said of rings as they
 * should be, and that rings full of nonsense are looked at and not believed.
 */
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <unistd.h>

#include "check.h"
#include "driver.h"
#include "inspect.h"
#include "stats.h"
#include "vm.h"

#define TX 1

static struct guest g;
static struct ring r;
static struct vm vm;
static struct virtio_dev dev;
static struct stats stats = { .vm = &vm };
static u32 page[1024];
static u64 seed = 1;
static char text[1 << 20];

static const char *say(bool (*command)(const char *, FILE *), const char *argument, bool good)
{
	FILE *f = fmemopen(text, sizeof(text), "w");

	CHECK(f);
	CHECK_EQ(command(argument, f), good);
	CHECK(ftell(f) < (long)sizeof(text) - 1);
	fclose(f);
	return text;
}

/* A device with one queue in use, to transmit; the device has done nothing yet. */
static void fresh(bool event_idx)
{
	const char *why;

	g.next[0] = GUEST_LOW;
	ring_init(&r, &g, 8, event_idx, true);
	memset(&vm, 0, sizeof(vm));
	memset(&dev, 0, sizeof(dev));
	memset(page, 0, sizeof(page));
	pthread_mutex_init(&vm.park_lock, NULL);
	pthread_cond_init(&vm.go_on, NULL);
	vm.mem = g.mem;
	vm.nvirtio = 1;
	vm.virtio[0] = &dev;
	dev.mem = &vm.mem;
	dev.name = "net";
	dev.id = VIRTIO_ID_NET;
	dev.nvq = 3;
	dev.page = page;
	dev.accepted = event_idx ? VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) : 0;
	page[(VIRTIO_MMIO_STATUS - VIRTIO_PAGE_START) / 4] = 0xf;
	dev.queue[TX].want = r.where;
	dev.queue[TX].ready = true;
	CHECK_EQ(virtq_init(&dev.vq[TX], &g.mem, &r.where, event_idx, true, &why), 0);
	inspect_open(&stats);
}

/* A frame to be sent, cut into segments of so many bytes. */
static void transmit(u32 cut)
{
	struct virtio_net_hdr_v1 h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54, .gso_size = 1448, .csum_start = 34, .csum_offset = 16,
	};
	static const u8 ethernet[14] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0 };
	u64 gpa = guest_alloc(&g, 0, 100, 16);
	struct segment s[100];
	unsigned n = 0;

	memcpy(guest_at(&g, gpa), &h, sizeof(h));
	memcpy((u8 *)guest_at(&g, gpa) + sizeof(h), ethernet, sizeof(ethernet));
	for (u32 at = 0; at < 100; at += cut)
		s[n++] = (struct segment){ gpa + at, MIN(cut, 100 - at), false };
	CHECK(ring_add(&r, s, n) >= 0);
	ring_show(&r);
}

static void take_one(void)
{
	struct iovec iov[VIRTQ_MAX_SIZE];
	struct virtq_chain c;

	CHECK_EQ(virtq_pop(&dev.vq[TX], &c, iov), VIRTQ_CHAIN);
}

static void overview(void)
{
	fresh(true);
	transmit(100);
	transmit(100);
	take_one();
	say(inspect_vq, "", true);
	CHECK_HAS(text, "net: status 0xf acknowledge driver driver_ok features_ok;");
	CHECK_HAS(text, "net queue 0 (receive 0): not in use\n");
	CHECK_HAS(text, "net queue 1 (transmit 0): event_idx, 8 entries; descriptors 0x");
	CHECK_HAS(text, "available: the driver's index 2, the device took 1, 1 wait; flags 0, used_event 0\n");
	CHECK_HAS(text, "used: index 0, the device has 1 in its hands; flags 0, avail_event");
	CHECK_HAS(text, "net queue 2 (control): not in use\n");
	CHECK_EQ(vm.pauses, 0);
}

static void in_flight(void)
{
	static const char header[] = "header: flags 0x1 needs_csum, gso TCPv4, hdr_len 54, gso_size 1448, "
				     "csum_start 34, csum_offset 16, num_buffers 0\n";
	static const char frame[] = "frame: 02:00:00:00:00:02 > 02:00:00:00:00:01, type 0800, 88 bytes\n";
	char *second;

	fresh(false);
	transmit(100);
	transmit(7); /* a header in pieces, in a table of its own */
	take_one();
	say(inspect_vq, "1", true);
	CHECK_HAS(text, "available 0: head 0, taken\n");
	CHECK_HAS(text, header);
	CHECK_HAS(text, frame);
	second = strstr(text, "available 1: ");
	CHECK(second);
	CHECK_HAS(second, ", waiting\n");
	CHECK_HAS(second, ", a table\n");
	CHECK_HAS(second, header);
	CHECK_HAS(second, frame);
	say(inspect_vq, "0.1", true);
	CHECK_HAS(text, header);
	virtq_add_used(&dev.vq[TX], 0, 0);
	virtq_publish(&dev.vq[TX]);
	say(inspect_vq, "1", true);
	CHECK(!strstr(text, "available 0:"));
	CHECK_HAS(text, "used 0: head 0, 0 bytes written\n");
}

/* The same queue, to receive: what came is what its buffer has. */
static void received(void)
{
	u64 gpa;
	struct segment s;

	fresh(false);
	gpa = guest_alloc(&g, 0, 2048, 16);
	s = (struct segment){ gpa, 2048, true };
	dev.queue[0] = dev.queue[TX];
	dev.vq[0] = dev.vq[TX];
	CHECK(ring_add(&r, &s, 1) == 0);
	ring_show(&r);
	dev.vq[0].last_avail = dev.vq[0].outstanding = 1;
	*(struct virtio_net_hdr_v1 *)guest_at(&g, gpa) =
		(struct virtio_net_hdr_v1){ .flags = VIRTIO_NET_HDR_F_DATA_VALID, .num_buffers = 1 };
	memcpy((u8 *)guest_at(&g, gpa) + 12, "\2\0\0\0\0\1\2\0\0\0\0\2\x86\xdd", 14);
	virtq_add_used(&dev.vq[0], 0, 12 + 60);
	virtq_publish(&dev.vq[0]);
	say(inspect_vq, "0", true);
	CHECK_HAS(text, "used 0: head 0, 72 bytes written\n      header: flags 0x2 data_valid, gso none, num_buffers 1\n");
	CHECK_HAS(text, "frame: 02:00:00:00:00:02 > 02:00:00:00:00:01, type 86dd, 60 bytes\n");
	r.used->ring[0].id = ~0u; /* the guest's own doing */
	say(inspect_vq, "0", true);
	r.used->ring[0].id = 0;
	r.desc[0].addr = ~0ULL;
	say(inspect_vq, "0", true);
}

static void wrong_rings(void)
{
	fresh(false);
	transmit(100);
	r.desc[0].flags = VRING_DESC_F_NEXT;
	r.desc[0].next = 0;
	CHECK_HAS(say(inspect_vq, "1", true), "the chain does not end");
	r.desc[0].next = 999;
	CHECK_HAS(say(inspect_vq, "1", true), "999: there is no such descriptor");
	r.desc[0] = (struct vring_desc){ .addr = ~0ULL, .len = ~0u };
	CHECK_HAS(say(inspect_vq, "1", true), "0xffffffffffffffff, 4294967295 bytes, to read, not in memory");
	CHECK_HAS(text, "no whole header");
	r.desc[0] = (struct vring_desc){ .addr = r.where.desc, .len = 16, .flags = VRING_DESC_F_INDIRECT };
	say(inspect_vq, "1", true); /* a table in itself */
	r.avail->idx = 5000;
	CHECK_HAS(say(inspect_vq, "1", true), "5000 wait;");
	CHECK_HAS(text, "the driver's index is wrong");
	CHECK(!strstr(text, "head "));
	virtq_break(&dev.vq[TX], "some rule");
	CHECK_HAS(say(inspect_vq, "1", true), "broken: some rule");
	dev.queue[TX].want.size = 6;
	CHECK_HAS(say(inspect_vq, "1", true), "not in use");
	dev.queue[TX].want = (struct virtq_layout){ 8, r.where.desc, r.where.avail, ~0ULL - 3 };
	CHECK_HAS(say(inspect_vq, "1", true), "not in use");
}

static void nonsense(void)
{
	unsigned chains = 0;

	for (unsigned i = 0; i < 20000; i++) {
		if (i % 100 == 0)
			fresh(i / 100 % 2);
		for (unsigned k = 0; k < 8; k++) {
			struct vring_desc *table = guest_at(&g, r.tables);
			struct vring_desc d = {
				.addr = random_next(&seed) % 2 ? r.tables + 16 * (random_next(&seed) % 16) : random_next(&seed),
				.len = random_next(&seed) % 2 ? random_next(&seed) % 300 : (u32)random_next(&seed),
				.flags = random_next(&seed) % 8, .next = random_next(&seed) % 10,
			};

			table[random_next(&seed) % 16] = d;
			r.desc[random_next(&seed) % 8] = d;
		}
		r.avail->ring[random_next(&seed) % 8] = random_next(&seed) % 12;
		r.avail->idx = (u16)(dev.vq[TX].published + random_next(&seed) % 10);
		say(inspect_vq, "1", true);
		chains += !!strstr(text, "head ");
	}
	CHECK(chains > 1000);
}

static void arguments(void)
{
	static const char *const bad[] = { "x", "3", "-1", "0.9", "1.0", "1x", "0.", ".", "99999999999999999999" };

	fresh(false);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_STR(say(inspect_vq, bad[i], false), "there is no such queue; write it like: vq 1, or vq 0.1\n");
}

static void physical(void)
{
	static const char *const bad[] = {
		"0x100020=", "0x100020=1", "0x100020=0x1", "0x100020=zz", "0x100020=00 1", "0x100020=-1", "=00", "0x100020 4=00",
	};

	fresh(false);
	memcpy(guest_at(&g, GUEST_LOW + 32), "physical\n", 9);
	CHECK_STR(say(inspect_phys, "0x100020 9", true),
		  "000000100020  70 68 79 73 69 63 61 6c 0a                       physical.\n");
	say(inspect_phys, "0x100020", true);
	CHECK_EQ(strlen(text), 4 * (12 + 1 + 16 * 3 + 2 + 16 + 1));
	CHECK_HAS(say(inspect_phys, "0", false), "there is no memory at 0");
	CHECK_HAS(say(inspect_phys, "0xffffffffffffffff 2", false), "there is no memory at 0xffffffffffffffff");
	CHECK_HAS(say(inspect_phys, "", false), "write it like");
	CHECK_HAS(say(inspect_phys, "0x100000 0", false), "write it like");
	CHECK_HAS(say(inspect_phys, "0x100000 65537", false), "write it like");
	CHECK_HAS(say(inspect_phys, "0x100000 1 2", false), "write it like");
	CHECK_HAS(say(inspect_phys, "-1", false), "write it like");
	/* What is printed can be written. */
	CHECK_STR(say(inspect_phys, "0x100021=4f 4b0a", true),
		  "000000100021  4f 4b 0a                                         OK.\n");
	CHECK(!memcmp(guest_at(&g, GUEST_LOW + 32), "pOK\nical\n", 9));
	CHECK_EQ(vm.pauses, 0);
	say(inspect_phys, "0x100020 = 50", true);
	CHECK_EQ(*(u8 *)guest_at(&g, GUEST_LOW + 32), 'P');
	CHECK_HAS(say(inspect_phys, "0=00", false), "there is no memory at 0");
	CHECK_HAS(say(inspect_phys, "0x13ffff=0000", false), "there is no memory at 0x13ffff, or not so much");
	CHECK_EQ(*(u8 *)guest_at(&g, GUEST_LOW + 0x3ffff), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_HAS(say(inspect_phys, bad[i], false), "write it like");
	CHECK(!memcmp(guest_at(&g, GUEST_LOW + 32), "POK\nical\n", 9));
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "the rings at a glance", overview },
		{ "what is in flight, with headers, in pieces and in tables", in_flight },
		{ "what was received, with headers", received },
		{ "rings that are wrong are said to be", wrong_rings },
		{ "rings full of nonsense", nonsense },
		{ "which queue, in both ways to say it", arguments },
		{ "physical memory", physical },
	};

	alarm(100);
	guest_open(&g, 256 * KiB, 0);
	return check_run(tests, ARRAY_SIZE(tests));
}
