// SPDX-License-Identifier: MIT
/*
 * vm.c - the machine around the processors: memory slots, a split irqchip
 * (local APICs in KVM, the I/O APIC ours), eventfds wired to both ends of the
 * virtio device, and the map from an address to a device.
 *
 * After vm_start() nothing here opens, maps or registers anything but MSI
 * routes.
 */
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "barrier.h"
#include "kvm_stats.h"
#include "log.h"
#include "serial.h"
#include "virtio.h"

#define SLOT_RAM 0    /* and 1 */
#define SLOT_VIRTIO 2 /* one per device: its read-only page */

static const struct {
	int cap;
	const char *name;
} needed_caps[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
	{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
	{ KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI" },
	{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

static void signal_fd(int fd)
{
	u64 one = 1;

	/* EAGAIN only: then it is signalled anyway. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		die("cannot make an eventfd: %s", strerror(errno));
	return fd;
}

/* Called with ioapic_lock held, by the vCPU thread that wrote an entry. */
static void commit_routes(void *opaque, const struct ioapic_msi route[IOAPIC_PINS], u32 unmasked)
{
	struct vm *vm = opaque;
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[IOAPIC_PINS];
	} table = { .head.nr = 0 };

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if (!(unmasked & 1u << pin))
			continue;
		table.entry[table.head.nr++] = (struct kvm_irq_routing_entry){
			.gsi = pin,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi.address_lo = (u32)route[pin].address,
			.u.msi.address_hi = (u32)(route[pin].address >> 32),
			.u.msi.data = route[pin].data,
		};
	}
	if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table))
		guest_warn("KVM refuses the guest's interrupt routes: %s", strerror(errno));
}

static void line_unmasked(void *opaque, unsigned pin)
{
	struct vm *vm = opaque;

	if (vm->line[pin] >= 0)
		signal_fd(vm->line[pin]);
}

static const struct ioapic_ops ioapic_ops = {
	.commit = commit_routes,
	.unmasked = line_unmasked,
};

static int open_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int version;

	if (fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV))
		die("there is no /dev/kvm: switch virtualisation on in the firmware and load kvm_intel or kvm_amd; in a virtual machine, have nesting enabled");
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		die("no right to open /dev/kvm: run as root, or join its group (usually: adduser $USER kvm)");
	if (fd < 0)
		die("cannot open /dev/kvm: %s", strerror(errno));
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version < 0)
		die("/dev/kvm is not KVM's device: make it anew (mknod /dev/kvm c 10 232), or pass the host's into the container");
	if (version != KVM_API_VERSION)
		die("/dev/kvm speaks API version %d, not %d", version, KVM_API_VERSION);
	for (unsigned i = 0; i < ARRAY_SIZE(needed_caps); i++)
		if (ioctl(fd, KVM_CHECK_EXTENSION, needed_caps[i].cap) <= 0)
			die("this host's KVM lacks %s, which ringlet needs", needed_caps[i].name);
	return fd;
}

void vm_open(struct vm *vm, unsigned ncpus)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IOAPIC_PINS } };
	u64 identity = LAYOUT_IDENTITY_MAP;

	memset(vm, 0, sizeof(*vm));
	pthread_mutex_init(&vm->ioapic_lock, NULL);
	pthread_mutex_init(&vm->end_lock, NULL);
	pthread_mutex_init(&vm->park_lock, NULL);
	pthread_cond_init(&vm->parked, NULL);
	pthread_cond_init(&vm->go_on, NULL);
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		vm->line[i] = -1;
	vm->serial_irq = vm->ack_fd = vm->debug_fd = -1;
	vm->wake_fd = new_eventfd();
	vm->kvm_fd = open_kvm();
	do
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		die("cannot create a virtual machine: %s%s", strerror(errno),
		    errno == EBUSY ? " (another hypervisor has the processor's virtualisation)" : "");
	/* Only Intel processors without unrestricted guest mode use the two. */
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) ||
	    ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)LAYOUT_TSS))
		die("KVM refuses its private pages at %#llx: %s", LAYOUT_IDENTITY_MAP, strerror(errno));
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &split))
		die("KVM refuses a split irqchip: %s", strerror(errno));
	ioapic_init(&vm->ioapic, &ioapic_ops, vm);
	vm->stats = kvm_stats_open(vm->fd);
	vm->ncpus = ncpus;
	for (unsigned i = 0; i < ncpus; i++)
		vcpu_open(vm, i);
}

static int set_slot(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size, void *hva)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (u64)(uintptr_t)hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r) ? -errno : 0;
}

void vm_add_memory(struct vm *vm, u64 size)
{
	int err = mem_init(&vm->mem, size);

	if (err)
		die("cannot map %llu MiB of guest memory: %s; ask for less with --mem",
		    (unsigned long long)(size / MiB), strerror(-err));
	for (unsigned i = 0; i < vm->mem.n; i++) {
		const struct mem_region *r = &vm->mem.region[i];

		err = set_slot(vm, SLOT_RAM + i, 0, r->gpa, r->size, r->hva);
		if (err)
			die("KVM refuses %llu MiB of guest memory: %s",
			    (unsigned long long)(r->size / MiB), strerror(-err));
	}
}

static void add_irqfd(struct vm *vm, int fd, u32 gsi)
{
	struct kvm_irqfd irqfd = { .fd = (u32)fd, .gsi = gsi };

	if (ioctl(vm->fd, KVM_IRQFD, &irqfd))
		die("KVM refuses an irqfd for line %u: %s", gsi, strerror(errno));
	vm->line[gsi] = fd;
}

static void serial_irq(void *opaque)
{
	signal_fd(((struct vm *)opaque)->serial_irq);
}

static void serial_wake(void *opaque)
{
	vm_wake(opaque);
}

void vm_add_serial(struct vm *vm)
{
	static const struct serial_ops ops = { .irq = serial_irq, .wake = serial_wake };

	vm->serial_irq = new_eventfd();
	vm->serial = serial_new(&ops, vm);
	if (!vm->serial)
		die("out of memory");
	add_irqfd(vm, vm->serial_irq, GSI_SERIAL);
}

/*
 * Where one thread serves all queues it need not know which was kicked: an
 * ioeventfd of length 0 takes a write of any length and value and, where KVM
 * can, the instruction is not even decoded.  Else the value picks the thread.
 */
static void add_kicks(struct vm *vm, struct virtio_dev *dev, u64 gpa)
{
	struct kvm_ioeventfd kick = { .addr = gpa };
	bool one = true;

	for (unsigned i = 1; i < dev->nvq; i++)
		one &= dev->kick_fd[i] == dev->kick_fd[0];
	if (!one) {
		kick.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
		kick.len = 4;
	} else if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD_ANY_LENGTH) <= 0) {
		kick.len = 4;
	}
	for (unsigned i = 0; i < (one ? 1 : dev->nvq); i++) {
		kick.fd = dev->kick_fd[i];
		kick.datamatch = one ? 0 : i;
		if (ioctl(vm->fd, KVM_IOEVENTFD, &kick))
			die("KVM refuses an ioeventfd for QueueNotify: %s", strerror(errno));
	}
}

void vm_add_virtio(struct vm *vm, struct virtio_dev *dev)
{
	u64 base = LAYOUT_VIRTIO_WINDOW(vm->nvirtio);
	struct kvm_ioeventfd ack = {
		.addr = base + VIRTIO_MMIO_INTERRUPT_ACK,
		.len = 4,
		.datamatch = VIRTIO_MMIO_INT_VRING,
		.fd = -1,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};
	int err;

	add_irqfd(vm, dev->irq_fd, GSI_VIRTIO + vm->nvirtio);
	add_kicks(vm, dev, base + VIRTIO_MMIO_QUEUE_NOTIFY);
	vm->virtio[vm->nvirtio] = dev;

	if (!dev->strict && ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) <= 0)
		dev->strict = true;
	if (!dev->strict) {
		/*
		 * Reading the page costs no exit, and the acknowledgement of a
		 * ring interrupt ends in an eventfd that nobody reads.
		 */
		err = set_slot(vm, SLOT_VIRTIO + vm->nvirtio, KVM_MEM_READONLY,
			       base + VIRTIO_PAGE_START, GUEST_PAGE, dev->page);
		if (err)
			die("KVM refuses a read-only page of registers: %s; --mmio-strict does without",
			    strerror(-err));
		ack.fd = new_eventfd();
		if (ioctl(vm->fd, KVM_IOEVENTFD, &ack))
			die("KVM refuses an ioeventfd for InterruptACK: %s", strerror(errno));
		if (vm->keeps_acks && !vm->nvirtio)
			vm->ack_fd = ack.fd;
		else
			close(ack.fd); /* KVM holds it */
	}
	vm->nvirtio++;
}

void vm_set_entry(struct vm *vm, const struct boot_entry *entry)
{
	for (unsigned i = 0; i < vm->ncpus; i++)
		x86_set_cpuid(vm, &vm->vcpu[i]);
	x86_set_entry(&vm->vcpu[0], entry);
}

void vm_start(struct vm *vm, const u16 *cpus, unsigned n)
{
	for (unsigned i = 0; i < vm->ncpus; i++) {
		vm->vcpu[i].cpu = n ? cpus[i % n] : -1;
		vcpu_start(&vm->vcpu[i]);
	}
}

void vm_stop(struct vm *vm)
{
	STORE_ONCE(&vm->stopping, true);
	pthread_mutex_lock(&vm->park_lock);
	for (unsigned i = 0; i < vm->ncpus; i++)
		vcpu_kick(&vm->vcpu[i]);
	pthread_cond_broadcast(&vm->go_on);
	pthread_mutex_unlock(&vm->park_lock);
	for (unsigned i = 0; i < vm->ncpus; i++)
		vcpu_join(&vm->vcpu[i]);
}

/* Call them, and wait until each stands that is to; park_lock is held. */
static void wait_parked(struct vm *vm)
{
	for (unsigned i = 0; i < vm->ncpus; i++)
		vcpu_kick(&vm->vcpu[i]);
	for (unsigned i = 0; i < vm->ncpus; i++)
		while (vm->vcpu[i].started && !vm->vcpu[i].parked && vm->pauses > vm->vcpu[i].exempt)
			pthread_cond_wait(&vm->parked, &vm->park_lock);
}

void vm_pause(struct vm *vm)
{
	pthread_mutex_lock(&vm->park_lock);
	vm->pauses++;
	wait_parked(vm);
	pthread_mutex_unlock(&vm->park_lock);
}

void vm_resume(struct vm *vm)
{
	pthread_mutex_lock(&vm->park_lock);
	vm->pauses--;
	pthread_cond_broadcast(&vm->go_on);
	pthread_mutex_unlock(&vm->park_lock);
}

void vm_release(struct vm *vm, u32 which)
{
	pthread_mutex_lock(&vm->park_lock);
	for (unsigned i = 0; i < vm->ncpus; i++)
		vm->vcpu[i].exempt = which >> i & 1;
	pthread_cond_broadcast(&vm->go_on);
	pthread_mutex_unlock(&vm->park_lock);
}

void vm_recall(struct vm *vm)
{
	pthread_mutex_lock(&vm->park_lock);
	for (unsigned i = 0; i < vm->ncpus; i++)
		vm->vcpu[i].exempt = false;
	wait_parked(vm);
	pthread_mutex_unlock(&vm->park_lock);
}

void vm_close(struct vm *vm)
{
	for (unsigned i = 0; i < vm->ncpus; i++)
		vcpu_close(&vm->vcpu[i]);
	kvm_stats_free(vm->stats);
	if (vm->fd > 0)
		close(vm->fd);
	if (vm->kvm_fd > 0)
		close(vm->kvm_fd);
	if (vm->serial)
		serial_free(vm->serial);
	if (vm->serial_irq >= 0)
		close(vm->serial_irq);
	close(vm->wake_fd);
	if (vm->ack_fd >= 0)
		close(vm->ack_fd);
	mem_fini(&vm->mem);
}

void vm_wake(struct vm *vm)
{
	signal_fd(vm->wake_fd);
}

void vm_end(struct vm *vm, enum vm_end how, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&vm->end_lock);
	if (LOAD_ONCE(&vm->end) == VM_RUNNING) {
		va_start(ap, fmt);
		vsnprintf(vm->why, sizeof(vm->why), fmt, ap);
		va_end(ap);
		STORE_RELEASE(&vm->end, (int)how);
	}
	pthread_mutex_unlock(&vm->end_lock);
	/* No vCPU need run on; main does the joining. */
	STORE_ONCE(&vm->stopping, true);
	vm_wake(vm);
}

#define SLEEP_ENABLE 0x20
#define SLEEP_TYPE(v) (((v) >> 2) & 7)

static void port_write(struct vm *vm, u16 port, u8 v)
{
	switch (port) {
	case PORT_SERIAL ... PORT_SERIAL + 7:
		serial_write(vm->serial, port - PORT_SERIAL, v);
		break;
	case PORT_PVPANIC:
		if (v & 1) {
			STORE_ONCE(&vm->panicked, true);
			vm_wake(vm);
		}
		break;
	case PORT_ACPI_SLEEP:
		if ((v & SLEEP_ENABLE) && SLEEP_TYPE(v) == ACPI_S5_TYPE)
			vm_end(vm, VM_POWEROFF, "the guest powered off");
		break;
	case PORT_ACPI_RESET:
		if (v == ACPI_RESET_VALUE)
			vm_end(vm, VM_RESET, "the guest reset the machine");
		break;
	case 0x64: /* keyboard controller: pulse the reset line */
		if (v == 0xfe)
			vm_end(vm, VM_RESET, "the guest reset the machine (keyboard controller)");
		break;
	}
}

static u8 port_read(struct vm *vm, u16 port)
{
	switch (port) {
	case PORT_SERIAL ... PORT_SERIAL + 7:
		return serial_read(vm->serial, port - PORT_SERIAL);
	case PORT_PVPANIC:
		return 1; /* the events that we take: panicked */
	case 0x64:
		/*
		 * Nobody home either, but for "input buffer full": who resets
		 * by this controller (reboot=k) first waits for that to go.
		 */
		return 0xfd;
	case PORT_ACPI_SLEEP:
	case PORT_ACPI_SLEEP + 1:
		return 0;
	default:
		return 0xff; /* nobody home: also what makes Linux see no PIC */
	}
}

void vm_io(struct vm *vm, u16 port, bool write, void *data, unsigned len)
{
	u8 *b = data;

	/* A wider write to 0xcf8 is a look for PCI, one byte to 0xcf9 a reset. */
	if (port == 0xcf9 && write && len == 1 && b[0] & 4)
		vm_end(vm, VM_RESET, "the guest reset the machine (port 0xcf9)");
	/* The devices are all byte-wide; a wider access takes ports in turn. */
	for (unsigned i = 0; i < len; i++) {
		if (write)
			port_write(vm, (u16)(port + i), b[i]);
		else
			b[i] = port_read(vm, (u16)(port + i));
	}
}

void vm_mmio(struct vm *vm, u64 gpa, bool write, void *data, unsigned len)
{
	u64 in_windows = gpa - LAYOUT_VIRTIO, offset = in_windows % LAYOUT_VIRTIO_STRIDE;
	u64 device = in_windows / LAYOUT_VIRTIO_STRIDE;
	u32 v = 0;

	if (gpa >= LAYOUT_VIRTIO && device < vm->nvirtio && offset < LAYOUT_VIRTIO_SIZE) {
		if (write)
			virtio_mmio_write(vm->virtio[device], offset, data, len);
		else
			virtio_mmio_read(vm->virtio[device], offset, data, len);
		return;
	}
	if (gpa >= LAYOUT_IOAPIC && gpa < LAYOUT_IOAPIC + GUEST_PAGE && len <= 4) {
		pthread_mutex_lock(&vm->ioapic_lock);
		if (write) {
			memcpy(&v, data, len);
			ioapic_write(&vm->ioapic, gpa - LAYOUT_IOAPIC, len, v);
		} else {
			v = ioapic_read(&vm->ioapic, gpa - LAYOUT_IOAPIC, len);
			memcpy(data, &v, len);
		}
		pthread_mutex_unlock(&vm->ioapic_lock);
		return;
	}
	if (!write)
		memset(data, 0xff, len);
}
