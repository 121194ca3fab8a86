// SPDX-License-Identifier: MIT
/*
 * watchdog.c - looks at the processors now and then, for which they stand
 * still for an instant.
 */
#include "watchdog.h"

#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "autopsy.h"
#include "barrier.h"
#include "clock.h"
#include "console.h"
#include "cpu_state.h"
#include "log.h"
#include "symbols.h"
#include "vm.h"

/* Bytes; who spins does so in a loop of its own and perhaps a function called there. */
#define SPIN_MOST 4096
/* Less in the time between two looks, and it had no processor to show anything. */
#define RAN_LEAST_NS 1000000
#define RFLAGS_IF (1u << 9)

static struct {
	struct vm *vm;
	const struct symbols *symbols;
	int fd;
	unsigned seconds;
	bool ends;
	bool told; /* that all sleep */
	struct watchdog_cpu cpu[MAX_CPUS];
} dog;

enum watchdog_state watchdog_look(struct watchdog_cpu *w, const struct watchdog_look *look)
{
	bool first = !w->last.started, stuck;

	if (look->started && look->halted && !look->interrupts) {
		w->last = *look;
		w->looks = 0;
		w->told = false;
		return CPU_SLEEPS;
	}
	stuck = look->started && !first && !look->halted && !look->interrupts && !w->last.interrupts &&
		look->exits == w->last.exits &&
		MAX(w->high, look->rip) - MIN(w->low, look->rip) < SPIN_MOST;
	if (stuck && look->ran_ns - w->last.ran_ns < RAN_LEAST_NS) {
		/* It did not run: this look says nothing, the next may. */
		return w->looks >= WATCHDOG_LOOKS ? CPU_HANGS : CPU_GOES_ON;
	}
	w->last = *look;
	if (!stuck) {
		w->low = w->high = look->rip;
		w->looks = 0;
		w->told = false;
		return CPU_GOES_ON;
	}
	w->low = MIN(w->low, look->rip);
	w->high = MAX(w->high, look->rip);
	w->looks++;
	return w->looks >= WATCHDOG_LOOKS ? CPU_HANGS : CPU_GOES_ON;
}

static u64 ran_ns(const struct vcpu *c)
{
	clockid_t clock;

	return !c->started || pthread_getcpuclockid(c->thread, &clock) ? 0 : clock_of(clock);
}

/* Those that a guest which does something causes; not those for a signal, which are ours. */
static u64 count_exits(const struct vcpu *c)
{
	return LOAD_ONCE(&c->count.exits[exit_reason(KVM_EXIT_IO)]) +
	       LOAD_ONCE(&c->count.exits[exit_reason(KVM_EXIT_MMIO)]);
}

static void take_look(struct vcpu *c, struct watchdog_look *look)
{
	struct cpu_state s;

	cpu_state_read(c, &s);
	*look = (struct watchdog_look){
		.rip = s.regs.rip,
		.started = s.started,
		.halted = s.halted,
		.interrupts = s.regs.rflags & RFLAGS_IF,
		.exits = count_exits(c),
		.ran_ns = ran_ns(c),
	};
}

static void write_where_all_are(FILE *f, const void *arg)
{
	(void)arg;
	autopsy_write(f, dog.vm, dog.symbols, true);
}

/* Who is ended is looked at when it has. */
static void tell(const char *what)
{
	if (dog.ends) {
		vm_end(dog.vm, VM_HANG, "%s", what);
		return;
	}
	log_document(write_where_all_are, NULL);
	warn("%s", what);
}

static void tell_of_one(unsigned i)
{
	char what[200];

	if (dog.cpu[i].told)
		return;
	dog.cpu[i].told = true;
	snprintf(what, sizeof(what), "the guest hangs: vCPU %u has spun at %#llx with interrupts off for %u s", i,
		 (unsigned long long)dog.cpu[i].last.rip, dog.seconds);
	tell(what);
}

static void tell_of_all(void)
{
	if (!dog.told)
		tell("the guest hangs: every processor has halted with interrupts off");
	dog.told = true;
}

/* Main thread, from console_run(). */
static void look_around(void)
{
	struct watchdog_look look[MAX_CPUS];
	unsigned sleep = 0, there = 0;
	struct vm *vm = dog.vm;
	u64 n;

	/* One that somebody has stand still does not run, and so does not hang. */
	if (read(dog.fd, &n, sizeof(n)) != sizeof(n))
		return;
	vm_pause(vm);
	for (unsigned i = 0; i < vm->ncpus; i++)
		take_look(&vm->vcpu[i], &look[i]);
	for (unsigned i = 0; i < vm->ncpus; i++) {
		enum watchdog_state state = watchdog_look(&dog.cpu[i], &look[i]);

		there += look[i].started;
		sleep += state == CPU_SLEEPS;
		if (state == CPU_HANGS)
			tell_of_one(i);
	}
	if (there && sleep == there)
		tell_of_all();
	else
		dog.told = false;
	vm_resume(vm);
}

void watchdog_open(struct vm *vm, unsigned seconds, bool ends, const struct symbols *symbols)
{
	const u64 ns = seconds * 1000000000ULL / WATCHDOG_LOOKS;
	struct itimerspec every = { 0 };

	every.it_interval.tv_sec = every.it_value.tv_sec = (time_t)(ns / 1000000000);
	every.it_interval.tv_nsec = every.it_value.tv_nsec = (long)(ns % 1000000000);
	dog.vm = vm;
	dog.symbols = symbols;
	dog.seconds = seconds;
	dog.ends = ends;
	dog.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (dog.fd < 0 || timerfd_settime(dog.fd, 0, &every, NULL))
		die("--watchdog: cannot set a timer");
	console_watch(dog.fd, look_around);
}
