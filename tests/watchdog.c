// SPDX-License-Identifier: MIT
/*
 * watchdog.c - which processors hang: one that spins with interrupts off; not
 * one that is idle, busy, polls a device, or was not given a processor.
 */
#include "watchdog.h"

#include "check.h"

static struct watchdog_cpu w;
static struct watchdog_look look;

static void start(void)
{
	w = (struct watchdog_cpu){ 0 };
	look = (struct watchdog_look){ .rip = 0xffffffff81001000, .started = true };
}

/* So many looks later. */
static enum watchdog_state after(unsigned n)
{
	enum watchdog_state s = CPU_GOES_ON;

	while (n--) {
		look.ran_ns += 100000000;
		s = watchdog_look(&w, &look);
	}
	return s;
}

static void spinning(void)
{
	start();
	CHECK_EQ(after(WATCHDOG_LOOKS), CPU_GOES_ON);
	CHECK_EQ(after(1), CPU_HANGS);
	CHECK_EQ(after(100), CPU_HANGS);
	/* Somewhere else: it had not hung, or does no more. */
	look.rip += 0x10000;
	CHECK_EQ(after(1), CPU_GOES_ON);
	CHECK_EQ(after(WATCHDOG_LOOKS - 1), CPU_GOES_ON);
	CHECK_EQ(after(1), CPU_HANGS);
	/* In a loop with a function in it. */
	start();
	for (unsigned i = 0; i < 2 * WATCHDOG_LOOKS; i++) {
		look.rip = 0xffffffff81001000 + i % 3 * 0x300;
		CHECK_EQ(after(1), i < WATCHDOG_LOOKS ? CPU_GOES_ON : CPU_HANGS);
	}
	/* A little further each time is not on the spot. */
	start();
	for (unsigned i = 0; i < 10 * WATCHDOG_LOOKS; i++) {
		look.rip += 0x300;
		CHECK_EQ(after(1), CPU_GOES_ON);
	}
}

static void idle_or_busy(void)
{
	start();
	look.halted = look.interrupts = true;
	CHECK_EQ(after(100), CPU_GOES_ON);
	start();
	look.interrupts = true; /* busy; a guest's own watchdog may see to it */
	CHECK_EQ(after(100), CPU_GOES_ON);
	/* Interrupts on, off, on. */
	start();
	for (unsigned i = 0; i < 100; i++) {
		look.interrupts = !(i % WATCHDOG_LOOKS);
		CHECK_EQ(after(1), CPU_GOES_ON);
	}
	/* Polling the serial port. */
	start();
	for (unsigned i = 0; i < 100; i++) {
		look.exits++;
		CHECK_EQ(after(1), CPU_GOES_ON);
	}
}

static void starved(void)
{
	start();
	after(3);
	for (unsigned i = 0; i < 100; i++) {
		look.ran_ns += 1000; /* of the host's processors it got nothing */
		CHECK_EQ(watchdog_look(&w, &look), CPU_GOES_ON);
	}
	CHECK_EQ(after(WATCHDOG_LOOKS - 2), CPU_HANGS);
	/* Nor does one that hangs do anything when it does not run. */
	CHECK_EQ(watchdog_look(&w, &look), CPU_HANGS);
}

static void sleeping(void)
{
	start();
	look.halted = true;
	CHECK_EQ(after(100), CPU_SLEEPS);
	look.halted = false; /* woken by an NMI, say */
	CHECK_EQ(after(1), CPU_GOES_ON);
	start();
	look.started = false;
	CHECK_EQ(after(100), CPU_GOES_ON);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "spinning with interrupts off is a hang, after so many looks", spinning },
		{ "being idle, busy, or polling a device is none", idle_or_busy },
		{ "nor is waiting for one of the host's processors", starved },
		{ "who halted with interrupts off sleeps, who was not started does nothing", sleeping },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
