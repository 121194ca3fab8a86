// SPDX-License-Identifier: MIT
/*
 * ending.c - the guest's last moments, and the last line: why it ended.  Of
 * several reasons the first is the one; a panic explains the reset after it.
 */
#include "ending.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "autopsy.h"
#include "barrier.h"
#include "command.h"
#include "conf.h"
#include "console.h"
#include "guests.h"
#include "log.h"
#include "vm.h"

/* Of the console, when a guest did not end as guests do. */
#define LAST_LINES 12
/* How a shell ends that did not find a program. */
#define STATUS_NOT_FOUND 127

static bool panicked(const struct vm *vm)
{
	return (console_saw_panic() || LOAD_ONCE(&vm->panicked)) && (vm->end == VM_RESET || vm->end == VM_CRASH);
}

bool ending_is_bad(const struct vm *vm)
{
	return panicked(vm) || vm->end == VM_CRASH || vm->end == VM_HANG;
}

struct last_moments {
	struct vm *vm;
	const struct symbols *symbols;
};

/* What it said last, and where its processors are. */
static void write_last_moments(FILE *f, const void *arg)
{
	const struct last_moments *l = arg;

	console_recall(f, LAST_LINES);
	autopsy_write(f, l->vm, l->symbols, false);
}

/* Our own guests say themselves what was wrong. */
static bool is_ours(const struct conf *c)
{
	return !strncmp(c->kernel, GUEST_PREFIX, strlen(GUEST_PREFIX));
}

static int status_of(const struct vm *vm)
{
	if (panicked(vm))
		return EXIT_GUEST_PANIC;
	switch ((enum vm_end)vm->end) {
	case VM_RESET:
		return EXIT_GUEST_RESET;
	case VM_CRASH:
		return EXIT_GUEST_CRASH;
	case VM_TIMEOUT:
		return EXIT_TIMEOUT;
	case VM_HANG:
		return EXIT_GUEST_HANG;
	default:
		return EXIT_POWEROFF;
	}
}

int ending_say(const struct conf *c, struct vm *vm, const struct symbols *symbols)
{
	const struct last_moments last = { vm, symbols };

	if (vm->end == VM_EXIT) {
		if (command_status() == STATUS_NOT_FOUND && command_lacks())
			warn("%s", command_lacks());
		return command_status();
	}
	if (c->session && vm->end != VM_SIGNAL && vm->end != VM_QUIT)
		console_say_last();
	if (c->session && vm->end == VM_POWEROFF && !command_is_up()) {
		warn("the guest could not run the command%s%s", command_doubts() ? ": " : "",
		     command_doubts() ? command_doubts() : "");
		return EXIT_HOST_ERROR;
	}
	if (ending_is_bad(vm) && !is_ours(c))
		log_document(write_last_moments, &last);
	warn("%s", panicked(vm) ? "the guest's kernel panicked" : vm->why);
	return status_of(vm);
}

void ending_by_signal(const struct vm *vm)
{
	sigset_t all;

	if (vm->end != VM_SIGNAL)
		return;
	signal(console_signal(), SIG_DFL);
	sigfillset(&all);
	raise(console_signal());
	sigprocmask(SIG_UNBLOCK, &all, NULL);
}
