// SPDX-License-Identifier: MIT
/*
 * exits.c - the names by which exits are counted, and the file in which KVM
 * describes its own statistics.
 */
#include <linux/kvm.h>
#include <linux/virtio_mmio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "kvm_stats.h"
#include "vm.h"

static const char *name_of(u64 gpa)
{
	return exit_register_name(exit_register(1, gpa));
}

static void registers(void)
{
	CHECK_STR(name_of(LAYOUT_VIRTIO), "magic_value");
	CHECK_STR(name_of(LAYOUT_VIRTIO + VIRTIO_MMIO_QUEUE_NOTIFY), "queue_notify");
	CHECK_STR(name_of(LAYOUT_VIRTIO + VIRTIO_MMIO_INTERRUPT_ACK), "interrupt_ack");
	CHECK_STR(name_of(LAYOUT_VIRTIO + VIRTIO_MMIO_CONFIG), "config");
	CHECK_STR(name_of(LAYOUT_VIRTIO + VIRTIO_MMIO_CONFIG + 7), "config");
	CHECK_STR(name_of(LAYOUT_VIRTIO + LAYOUT_VIRTIO_SIZE - 1), "config");
	CHECK_STR(name_of(LAYOUT_VIRTIO + 0x18), "reserved");
	CHECK_STR(name_of(LAYOUT_VIRTIO + 1), "reserved");
	CHECK_STR(name_of(LAYOUT_VIRTIO + LAYOUT_VIRTIO_SIZE), "elsewhere");
	CHECK_STR(name_of(LAYOUT_VIRTIO + LAYOUT_VIRTIO_STRIDE), "elsewhere");
	CHECK_STR(exit_register_name(exit_register(2, LAYOUT_VIRTIO + LAYOUT_VIRTIO_STRIDE)), "magic_value");
	CHECK_STR(name_of(LAYOUT_VIRTIO - 1), "elsewhere");
	CHECK_STR(name_of(0), "elsewhere");
	CHECK_STR(name_of(~0ULL), "elsewhere");
	CHECK_STR(name_of(LAYOUT_IOAPIC), "ioapic");
	CHECK_STR(name_of(LAYOUT_IOAPIC + 0x10), "ioapic");
}

static void reasons(void)
{
	CHECK_STR(exit_reason_name(exit_reason(KVM_EXIT_IO)), "io");
	CHECK_STR(exit_reason_name(exit_reason(KVM_EXIT_MMIO)), "mmio");
	CHECK_STR(exit_reason_name(exit_reason(KVM_EXIT_INTR)), "intr");
	CHECK_STR(exit_reason_name(exit_reason(KVM_EXIT_FAIL_ENTRY)), "fail_entry");
	CHECK_STR(exit_reason_name(exit_reason(KVM_EXIT_DEBUG)), "debug");
	CHECK_STR(exit_reason_name(exit_reason(12345)), "other");
	CHECK_STR(exit_reason_name(exit_reason(~0u)), "other");
}

static void names_are_different(void)
{
	for (unsigned i = 0; exit_register_name(i); i++)
		for (unsigned k = 0; k < i; k++)
			CHECK(strcmp(exit_register_name(i), exit_register_name(k)));
	for (unsigned i = 0; exit_reason_name(i); i++)
		for (unsigned k = 0; k < i; k++)
			CHECK(strcmp(exit_reason_name(i), exit_reason_name(k)));
}

/* --- a file such as KVM's ------------------------------------------------------ */

#define NAME 48
struct file {
	struct kvm_stats_header head;
	char id[NAME];
	struct {
		struct kvm_stats_desc d;
		char name[NAME];
	} desc[3];
	u64 data[8];
};

static struct file a_file(void)
{
	struct file f = {
		.head = { .name_size = NAME, .num_desc = 3, .id_offset = offsetof(struct file, id),
			  .desc_offset = offsetof(struct file, desc), .data_offset = offsetof(struct file, data) },
		.desc = {
			{ { .size = 1, .offset = 0 }, "exits" },
			{ { .size = 4, .offset = 8, .flags = KVM_STATS_TYPE_LOG_HIST }, "halt_hist" },
			{ { .size = 1, .offset = 40 }, "halt_wait_ns" },
		},
		.data = { 7, 1, 2, 3, 4, ~0ULL },
	};

	return f;
}

static int file_of(const struct file *f, size_t size)
{
	int fd = memfd_create("stats", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, f, size), size);
	return fd;
}

static void kvm_describes_itself(void)
{
	struct file f = a_file();
	int fd = file_of(&f, sizeof(f));
	struct kvm_stats *s = kvm_stats_adopt(fd);
	const u64 *v;
	unsigned n;

	CHECK(s);
	CHECK_STR(kvm_stats_read(s, 0, &v, &n), "exits");
	CHECK_EQ(n, 1);
	CHECK_EQ(v[0], 7);
	CHECK_STR(kvm_stats_read(s, 1, &v, &n), "halt_hist");
	CHECK_EQ(n, 4);
	CHECK_EQ(v[3], 4);
	CHECK_STR(kvm_stats_read(s, 2, &v, &n), "halt_wait_ns");
	CHECK(v[0] == ~0ULL);
	CHECK(!kvm_stats_read(s, 3, &v, &n));
	/* Values are read anew each time. */
	f.data[0] = 8;
	CHECK_EQ(pwrite(fd, &f, sizeof(f), 0), sizeof(f));
	CHECK_STR(kvm_stats_read(s, 0, &v, &n), "exits");
	CHECK_EQ(v[0], 8);
	kvm_stats_free(s);
}

static void odd_files(void)
{
	struct file f = a_file();
	struct kvm_stats *s;
	const u64 *v;
	unsigned n;

	CHECK(!kvm_stats_adopt(file_of(&f, 10)));
	CHECK(!kvm_stats_adopt(file_of(&f, offsetof(struct file, desc) + 5)));
	f.head.num_desc = ~0u;
	CHECK(!kvm_stats_adopt(file_of(&f, sizeof(f))));
	f = a_file();
	f.head.name_size = 0;
	CHECK(!kvm_stats_adopt(file_of(&f, sizeof(f))));
	f.head.name_size = 1u << 31;
	CHECK(!kvm_stats_adopt(file_of(&f, sizeof(f))));
	f = a_file();
	f.desc[1].d.size = 65535;
	CHECK(!kvm_stats_adopt(file_of(&f, sizeof(f))));
	/* A name without an end, a value that is not there. */
	f = a_file();
	memset(f.desc[2].name, 'x', NAME);
	f.desc[2].d.offset = 4000;
	s = kvm_stats_adopt(file_of(&f, sizeof(f)));
	CHECK(s);
	CHECK_EQ(strlen(kvm_stats_read(s, 2, &v, &n)), NAME - 1);
	CHECK_EQ(n, 0);
	kvm_stats_free(s);
	CHECK(!kvm_stats_open(STDIN_FILENO));
	kvm_stats_free(NULL);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "an access is known by its register", registers },
		{ "an exit is known by KVM's reason", reasons },
		{ "no two have the same name", names_are_different },
		{ "KVM's statistics are read as it describes them", kvm_describes_itself },
		{ "a file that describes nonsense is not taken", odd_files },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
