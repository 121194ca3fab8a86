// SPDX-License-Identifier: MIT
/*
 * serial-threads.c - a guest and a main thread that work the 16550A against
 * each other, each asleep until the other one wakes it, as in the real
 * machine.  Made for the thread sanitizer, but a lost wake-up shows without.
 */
#include "serial-guest.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#define LOAD 200000 /* bytes each way */
#define PATIENCE 60 /* seconds until a lost wake-up is called one */

static struct {
	sem_t irq, wake;
	unsigned sent, received, bad; /* the guest's */
} duel;

static void post_irq(void *opaque)
{
	(void)opaque;
	sem_post(&duel.irq);
}

static void post_wake(void *opaque)
{
	(void)opaque;
	sem_post(&duel.wake);
}

static const struct serial_ops posting = { post_irq, post_wake };

static u8 pattern(unsigned i)
{
	return i * 31 + (i >> 8);
}

/* One interrupt, the way Linux serves it. */
static void guest_interrupt(void)
{
	/* It gives up after a while, so that the device must call again. */
	for (unsigned pass = 0; pass < 8; pass++) {
		u8 lsr;

		if (in(UART_IIR) & UART_IIR_NO_INT)
			return;
		lsr = in(UART_LSR);
		for (unsigned n = 0; n < 256 && lsr & UART_LSR_DR; n++) {
			duel.bad += in(UART_RX) != pattern(duel.received++);
			lsr = in(UART_LSR);
		}
		if (!(lsr & UART_LSR_THRE))
			continue;
		for (unsigned n = 0; n < FIFO && duel.sent < LOAD; n++)
			out(UART_TX, pattern(duel.sent++));
		if (duel.sent == LOAD)
			out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	}
}

static void *guest_thread(void *arg)
{
	(void)arg;
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_MCR, CONSOLE_MCR);
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI | UART_IER_THRI);
	while (duel.sent < LOAD || duel.received < LOAD) {
		sem_wait(&duel.irq);
		guest_interrupt();
	}
	return NULL;
}

static void nothing_is_lost_between_two_threads(void)
{
	unsigned given = 0, taken = 0, bad = 0;
	pthread_t guest;

	serial_free(s);
	s = serial_new(&posting, NULL);
	CHECK(s);
	memset(&duel, 0, sizeof(duel));
	CHECK(!sem_init(&duel.irq, 0, 0) && !sem_init(&duel.wake, 0, 1));
	alarm(PATIENCE); /* whoever waits in vain ends the program */
	CHECK(!pthread_create(&guest, NULL, guest_thread, NULL));
	while (taken < LOAD || given < LOAD) {
		u8 buf[1000];
		size_t n, took;

		sem_wait(&duel.wake);
		/* Nothing says that more is waiting: until it is empty. */
		while ((n = serial_drain(s, buf, sizeof(buf))))
			for (size_t i = 0; i < n; i++)
				bad += buf[i] != pattern(taken++);
		/* If less is taken, there will be a wake-up. */
		do {
			for (n = 0; n < sizeof(buf) && given + n < LOAD; n++)
				buf[n] = pattern(given + n);
			took = serial_input(s, buf, n);
			given += took;
		} while (n && took == n);
	}
	pthread_join(guest, NULL);
	alarm(0);
	CHECK_EQ(taken, LOAD);
	CHECK_EQ(duel.received, LOAD);
	CHECK_EQ(bad, 0);
	CHECK_EQ(duel.bad, 0);
	sem_destroy(&duel.irq);
	sem_destroy(&duel.wake);
}

static void *random_guest(void *arg)
{
	u32 seed = (uintptr_t)arg;

	for (unsigned i = 0; i < 100000; i++) {
		seed = seed * 1664525 + 1013904223;
		if (seed & 0x8000)
			out(seed >> 24 & 7, seed >> 16);
		else
			in(seed >> 24 & 7);
	}
	return NULL;
}

/* Two vCPUs that write nonsense, and a main thread that works. */
static void nonsense_from_two_cpus_does_no_harm(void)
{
	pthread_t cpu[2];
	u8 buf[100] = { 0 };

	serial_free(s);
	s = serial_new(&posting, NULL);
	CHECK(s);
	CHECK(!sem_init(&duel.irq, 0, 0) && !sem_init(&duel.wake, 0, 0));
	for (unsigned i = 0; i < 2; i++)
		CHECK(!pthread_create(&cpu[i], NULL, random_guest, (void *)(uintptr_t)(i + 1)));
	for (unsigned i = 0; i < 20000; i++) {
		CHECK(serial_input(s, buf, i % sizeof(buf)) <= sizeof(buf));
		CHECK(serial_drain(s, buf, sizeof(buf)) <= sizeof(buf));
		if (i % 16 == 0)
			serial_break(s);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(cpu[i], NULL);
	sem_destroy(&duel.irq);
	sem_destroy(&duel.wake);
	/* And afterwards it is a UART like any other. */
	out(UART_LCR, 0);
	out(UART_IER, 0);
	out(UART_MCR, UART_MCR_LOOP);
	out(UART_FCR, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	while (serial_drain(s, buf, sizeof(buf)))
		continue;
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
	out(UART_TX, 'a');
	CHECK_EQ(in(UART_RX), 'a');
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "two threads that sleep until woken lose no byte either way",
		  nothing_is_lost_between_two_threads },
		{ "nonsense from two processors does no harm", nonsense_from_two_cpus_does_no_harm },
	};
	int ret = check_run(tests, ARRAY_SIZE(tests));

	serial_free(s);
	return ret;
}
