/* SPDX-License-Identifier: MIT */
/*
 * vm.h - the virtual machine: KVM's file descriptors, the bus that turns an
 * exit into a device access, the interrupt lines, and how it all ends.
 *
 * Main builds everything, then starts the vCPU threads; from then on the
 * tables here do not change.  What vCPU threads share has its own lock: each
 * virtio device, the serial port, and ioapic_lock for the I/O APIC.
 */
#ifndef RINGLET_VM_H
#define RINGLET_VM_H

#include <pthread.h>

#include "base.h"
#include "ioapic.h"
#include "layout.h"
#include "mem.h"

struct boot_entry;
struct kvm_run;
struct kvm_stats;
struct serial;
struct trace;
struct virtio_dev;
struct vm;

/* Why the guest ended: the first reason given is the one that counts. */
enum vm_end {
	VM_RUNNING,
	VM_POWEROFF,
	VM_RESET,
	VM_CRASH,    /* triple fault, KVM internal error */
	VM_TIMEOUT,
	VM_QUIT,     /* the user typed Ctrl-A x */
	VM_SIGNAL,   /* SIGINT, SIGTERM, SIGHUP */
	VM_HANG,     /* --watchdog, which was to end it */
	VM_EXIT,     /* the command that it was to run ended */
};

/*
 * Why a vCPU came back to us, how often, and how long that took, in ns; which
 * registers it was for.  Names are in exits.c.  Its thread's own, see counter.h.
 */
#define EXIT_REASONS 11
#define EXIT_REGISTERS 33
struct exit_counters {
	u64 exits[EXIT_REASONS], ns[EXIT_REASONS];
	u64 reads[EXIT_REGISTERS], writes[EXIT_REGISTERS];
};

/* Aligned: no two processors count in one cache line. */
struct vcpu {
	struct vm *vm;
	unsigned index;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	bool started;
	/* All under park_lock. */
	bool parked;  /* it stands still, see vm_pause() */
	bool exempt;  /* from one of the pauses, see vm_release() */
	bool trapped; /* by KVM_EXIT_DEBUG: it stands still until vcpu_untrap() */
	int cpu; /* host processor to run on, -1: any */
	struct kvm_stats *stats; /* main's; NULL: this KVM has none */
	struct trace *trace; /* its thread's, or NULL; constant while it runs */
	struct exit_counters count;
} __attribute__((aligned(64)));

struct vm {
	int kvm_fd, fd;
	struct kvm_stats *stats; /* NULL: this KVM has none */
	struct mem mem;

	unsigned ncpus;
	struct vcpu vcpu[MAX_CPUS];

	pthread_mutex_t ioapic_lock;
	struct ioapic ioapic;
	int line[IOAPIC_PINS]; /* the eventfd behind each GSI, or -1 */

	struct serial *serial;
	int serial_irq;

	unsigned nvirtio;
	struct virtio_dev *virtio[MAX_VIRTIO];
	bool keeps_acks; /* set by main before there is a device: */
	int ack_fd;	 /* for the first device's acknowledgements that KVM takes; or -1 */

	int wake_fd;  /* eventfd: main should look (end, serial) */
	bool stopping; /* atomic: vCPU threads leave their loops */
	pthread_mutex_t park_lock;
	pthread_cond_t parked, go_on;
	unsigned pauses; /* under park_lock: how many want the vCPUs to stand still */
	int debug_fd; /* eventfd: a vCPU trapped; -1: there is no debugger */
	int end;      /* atomic, enum vm_end */
	char why[300]; /* the sentence that goes with it, set before end */
	pthread_mutex_t end_lock;
	bool panicked; /* atomic: pvpanic was written */
};

/* What to say where a guest's kernel is emulated. */
#define SOFTWARE_KVM_ADVICE \
	"a software KVM cannot run stock kernels; use a host with hardware KVM, or the lab (tests/lab/lab)"

/* Main thread.  They die() with one sentence: a VM that cannot be had ends it. */
void vm_open(struct vm *vm, unsigned ncpus);
void vm_add_memory(struct vm *vm, u64 size);
void vm_add_serial(struct vm *vm);
/* The next virtio window and GSI; eventfds and pages are wired here. */
void vm_add_virtio(struct vm *vm, struct virtio_dev *dev);
/* Registers and CPUID of every vCPU; the first starts at entry. */
void vm_set_entry(struct vm *vm, const struct boot_entry *entry);
/* cpus[i % n] is for vCPU i; n = 0: any. */
void vm_start(struct vm *vm, const u16 *cpus, unsigned n);
/* Stop and join every vCPU thread.  Safe when they were never started. */
void vm_stop(struct vm *vm);
void vm_close(struct vm *vm);

/*
 * Main thread, until vm_stop(): have every vCPU stand still, and on again.
 * Calls nest.  In between main may use the vCPUs' descriptors: no access of
 * the guest's is half done, registers can be read and set.  Device threads go
 * on.  A pause before vm_start(): that is how they start.
 */
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);
/*
 * Main thread, a debugger's in a pause of its own: let those vCPUs, bit i for
 * vCPU i, go on while the others stand, unless somebody else has a pause, too;
 * and have them stand again.
 */
void vm_release(struct vm *vm, u32 which);
void vm_recall(struct vm *vm);

/* Any thread: the guest has ended.  Only the first call counts. */
void vm_end(struct vm *vm, enum vm_end how, const char *fmt, ...) PRINTF(3, 4);

/* Any thread: make main look. */
void vm_wake(struct vm *vm);

/* vCPU threads: an access to a port or a physical address without RAM. */
void vm_io(struct vm *vm, u16 port, bool write, void *data, unsigned len);
void vm_mmio(struct vm *vm, u64 gpa, bool write, void *data, unsigned len);

/* vcpu.c; main thread. */
void vcpu_open(struct vm *vm, unsigned index);
void vcpu_start(struct vcpu *c);
/* Make KVM_RUN return, now or when it is called next. */
void vcpu_kick(struct vcpu *c);
void vcpu_join(struct vcpu *c);
/*
 * A debugger's: whether it stopped by KVM_EXIT_DEBUG, of which c->run->debug
 * tells more until it goes on; vm->debug_fd says that one did.  untrap lets it
 * go on, unless it is paused.
 */
bool vcpu_trapped(struct vcpu *c);
void vcpu_untrap(struct vcpu *c);
void vcpu_close(struct vcpu *c);

/*
 * exits.c: rows of struct exit_counters, for an exit reason of KVM's and for
 * an address where so many virtio devices are; and their names, NULL behind
 * the last.
 */
unsigned exit_reason(u32 reason);
unsigned exit_register(unsigned nvirtio, u64 gpa);
const char *exit_reason_name(unsigned i);
const char *exit_register_name(unsigned i);

/* x86.c; main thread, before the vCPU runs. */
void x86_set_cpuid(struct vm *vm, struct vcpu *c);
void x86_set_entry(struct vcpu *c, const struct boot_entry *entry);
/* The host's processors cannot virtualise: KVM is a software one. */
bool x86_kvm_is_software(void);

#endif
