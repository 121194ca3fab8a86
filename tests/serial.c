// SPDX-License-Identifier: MIT
/*
 * serial.c - the 16550A as Linux's 8250 driver meets it: registers, the tests
 * by which the driver finds out what it has, modem lines, loop mode, and
 * output with its interrupt.
 */
#include "serial-guest.h"

/* --- registers ------------------------------------------------------------ */

static void reset_state(void)
{
	start();
	CHECK_EQ(in(UART_IER), 0);
	CHECK_EQ(in(UART_IIR), UART_IIR_NO_INT);
	CHECK_EQ(in(UART_LCR), 0);
	CHECK_EQ(in(UART_MCR), 0);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
	CHECK_EQ(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	CHECK_EQ(in(UART_SCR), 0);
	CHECK_EQ(in(UART_RX), 0);
	CHECK_IRQS(0);
	CHECK_WAKES(0);
}

static void registers_keep_their_bits(void)
{
	start();
	for (unsigned v = 0; v < 256; v++) {
		out(UART_SCR, v);
		CHECK_EQ(in(UART_SCR), v);
		out(UART_LCR, v);
		CHECK_EQ(in(UART_LCR), v);
		out(UART_LCR, 0);
		out(UART_MCR, v);
		CHECK_EQ(in(UART_MCR), v & 0x1f);
		out(UART_IER, v);
		CHECK_EQ(in(UART_IER), v & 0x0f);
		out(UART_LSR, v); /* read-only */
		out(UART_MSR, v);
	}
	out(UART_MCR, 0);
	in(UART_MSR);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
	CHECK_EQ(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	CHECK_EQ(in(8), 0);
	out(8, 1);
}

static void dlab_hides_data_and_ier(void)
{
	start();
	out(UART_IER, UART_IER_MSI);
	out(UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	out(UART_DLL, 0x0c);
	out(UART_DLM, 0xff);
	CHECK_EQ(in(UART_DLL), 0x0c);
	CHECK_EQ(in(UART_DLM), 0xff);
	out(UART_LCR, UART_LCR_WLEN8);
	CHECK_EQ(in(UART_IER), UART_IER_MSI);
	CHECK_STR(drained(), "");
	CHECK_WAKES(0);
	out(UART_LCR, UART_LCR_DLAB);
	CHECK_EQ(in(UART_DLL), 0x0c);
}

static void iir_shows_the_fifo(void)
{
	start();
	CHECK_EQ(in(UART_IIR), UART_IIR_NO_INT);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_NO_INT);
	out(UART_FCR, UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	CHECK_EQ(in(UART_IIR), UART_IIR_NO_INT);
}

/* --- how Linux finds out what we are --------------------------------------- */

static void autoconfig_finds_a_16550a(void)
{
	u8 ier, mcr, lcr;
	unsigned n;

	start();
	/* Is there anything? */
	ier = in(UART_IER);
	out(UART_IER, 0);
	CHECK_EQ(in(UART_IER) & 0x0f, 0);
	out(UART_IER, 0x0f);
	CHECK_EQ(in(UART_IER) & 0x0f, 0x0f);
	out(UART_IER, ier);
	/* Is it a UART? */
	mcr = in(UART_MCR);
	lcr = in(UART_LCR);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	CHECK_EQ(in(UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(UART_MCR, mcr);
	/* Has it a working FIFO? */
	out(UART_LCR, UART_LCR_CONF_MODE_B);
	out(UART_EFR, 0);
	out(UART_LCR, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	CHECK_EQ(in(UART_IIR) >> 6, 3);
	/* No 16650, 16850 or the like: no EFR in either place. */
	out(UART_LCR, UART_LCR_CONF_MODE_A);
	CHECK(in(UART_EFR) != 0);
	out(UART_LCR, UART_LCR_CONF_MODE_B);
	CHECK(in(UART_EFR) != 0);
	/* No National Semiconductor: no second bank with a copy of LOOP. */
	out(UART_LCR, 0);
	out(UART_MCR, mcr ^ UART_MCR_LOOP);
	out(UART_LCR, 0xe0);
	CHECK_EQ(in(0x02) & UART_MCR_LOOP, 0);
	out(UART_LCR, 0);
	out(UART_MCR, mcr);
	/* No 16750: FCR's 64-byte bit does not show. */
	out(UART_LCR, UART_LCR_CONF_MODE_A);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	CHECK_EQ(in(UART_IIR) >> 5, 6);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_LCR, 0);
	/* No XScale. */
	out(UART_IER, UART_IER_UUE);
	CHECK_EQ(in(UART_IER), 0);
	/* How deep is the FIFO? */
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	out(UART_MCR, UART_MCR_LOOP);
	for (unsigned i = 0; i < 256; i++)
		out(UART_TX, i);
	for (n = 0; in(UART_LSR) & UART_LSR_DR && n < 256; n++)
		CHECK_EQ(in(UART_RX), n);
	CHECK_EQ(n, FIFO);
	out(UART_MCR, mcr);
	out(UART_LCR, lcr);
	CHECK_STR(drained(), ""); /* nothing of it went out */
	CHECK_WAKES(0);
}

static void startup_finds_no_bugs(void)
{
	start();
	/* Clear the FIFOs, leave them off. */
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	out(UART_FCR, 0);
	in(UART_LSR);
	in(UART_RX);
	in(UART_IIR);
	in(UART_MSR);
	CHECK(in(UART_LSR) != 0xff);
	/* UART_BUG_THRE: is the interrupt raised again when enabled again? */
	CHECK(in(UART_LSR) & UART_LSR_THRE);
	out(UART_IER, UART_IER_THRI);
	CHECK_EQ(in(UART_IIR), UART_IIR_THRI);
	out(UART_IER, 0);
	out(UART_IER, UART_IER_THRI);
	CHECK_EQ(in(UART_IIR), UART_IIR_THRI);
	out(UART_IER, 0);
	/* UART_BUG_TXEN: is there an interrupt when it is enabled at all? */
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_IER, UART_IER_THRI);
	CHECK(in(UART_LSR) & UART_LSR_TEMT);
	CHECK_EQ(in(UART_IIR) & UART_IIR_NO_INT, 0);
	out(UART_IER, 0);
	CHECK_IRQS(3);
}

/* --- modem lines ---------------------------------------------------------- */

static void loop_mirrors_the_outputs(void)
{
	start();
	for (unsigned v = 0; v < 16; v++) {
		unsigned want = 0;

		want |= v & UART_MCR_RTS ? UART_MSR_CTS : 0;
		want |= v & UART_MCR_DTR ? UART_MSR_DSR : 0;
		want |= v & UART_MCR_OUT1 ? UART_MSR_RI : 0;
		want |= v & UART_MCR_OUT2 ? UART_MSR_DCD : 0;
		out(UART_MCR, UART_MCR_LOOP | v);
		CHECK_EQ(in(UART_MSR) & 0xf0, want);
		out(UART_MCR, v);
		CHECK_EQ(in(UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	}
}

static void changes_of_modem_lines_are_told_once(void)
{
	start();
	out(UART_IER, UART_IER_MSI);
	CHECK_IRQS(0);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_DTR | UART_MCR_OUT2);
	CHECK_IRQS(1);
	CHECK_EQ(in(UART_IIR), UART_IIR_MSI);
	CHECK_EQ(in(UART_IIR), UART_IIR_MSI); /* MSR serves it, IIR does not */
	CHECK_EQ(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_DCTS);
	CHECK_EQ(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR);
	CHECK_EQ(in(UART_IIR), UART_IIR_NO_INT);
	/* The ring indicator is told when it ends. */
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_DTR | UART_MCR_OUT2 | UART_MCR_OUT1);
	CHECK_EQ(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_RI);
	CHECK_IRQS(0);
	out(UART_MCR, UART_MCR_LOOP);
	CHECK_EQ(in(UART_MSR), UART_MSR_DDCD | UART_MSR_DDSR | UART_MSR_TERI);
	CHECK_IRQS(1);
}

/* --- loop ------------------------------------------------------------------ */

static void loop_overruns_after_16_bytes(void)
{
	open_port();
	out(UART_MCR, UART_MCR_LOOP);
	out(UART_IER, UART_IER_RLSI);
	for (unsigned i = 0; i < FIFO; i++)
		out(UART_TX, 'a' + i);
	CHECK_IRQS(0);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY | UART_LSR_DR);
	out(UART_TX, '!');
	CHECK_IRQS(1);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_RLSI);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY | UART_LSR_DR | UART_LSR_OE);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY | UART_LSR_DR); /* read once */
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_NO_INT);
	for (unsigned i = 0; i < FIFO; i++)
		CHECK_EQ(in(UART_RX), 'a' + i);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
}

static void loop_without_fifo_keeps_the_last_byte(void)
{
	start();
	out(UART_MCR, UART_MCR_LOOP);
	out(UART_TX, 'a');
	CHECK_EQ(in(UART_LSR), LSR_EMPTY | UART_LSR_DR);
	out(UART_TX, 'b');
	CHECK_EQ(in(UART_LSR), LSR_EMPTY | UART_LSR_DR | UART_LSR_OE);
	CHECK_EQ(in(UART_RX), 'b');
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
}

static void loop_disconnects_the_user(void)
{
	open_port();
	out(UART_MCR, CONSOLE_MCR | UART_MCR_LOOP);
	CHECK_EQ(feed("x"), 1);
	CHECK_EQ(in(UART_LSR) & UART_LSR_DR, 0);
	out(UART_MCR, CONSOLE_MCR);
	CHECK_EQ(in(UART_LSR) & UART_LSR_DR, UART_LSR_DR);
	CHECK_EQ(in(UART_RX), 'x');
}

/* --- output ---------------------------------------------------------------- */

static void output_comes_out_in_order(void)
{
	u8 buf[4];

	open_port();
	for (const char *p = "hello"; *p; p++) {
		CHECK_EQ(in(UART_LSR), LSR_EMPTY);
		out(UART_TX, *p);
	}
	CHECK_EQ(serial_drain(s, buf, sizeof(buf)), 4);
	CHECK(!memcmp(buf, "hell", 4));
	CHECK_STR(drained(), "o");
	CHECK_STR(drained(), "");
	CHECK_IRQS(0);
}

static void wake_only_when_it_was_empty(void)
{
	open_port();
	out(UART_TX, 'a');
	CHECK_WAKES(1);
	out(UART_TX, 'b');
	out(UART_TX, '\n');
	CHECK_WAKES(0);
	drained();
	CHECK_WAKES(0);
	out(UART_TX, 'c');
	CHECK_WAKES(1);
}

static void full_output_stops_the_transmitter(void)
{
	unsigned n;
	u8 buf[OUT_SIZE + 64];

	open_port();
	n = fill();
	/* THRE promises 16 bytes: so it goes while there is still room for less. */
	CHECK_EQ(n, OUT_SIZE - FIFO + 1);
	CHECK_EQ(in(UART_LSR), 0);
	for (unsigned i = 0; i < 64; i++)
		out(UART_TX, n + i); /* without asking: some are lost, no more */
	CHECK_EQ(serial_drain(s, buf, sizeof(buf)), OUT_SIZE);
	for (unsigned i = 0; i < OUT_SIZE; i++)
		CHECK_EQ(buf[i], (u8)i);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
	CHECK_WAKES(1);
	CHECK_IRQS(0);
}

static void a_fifo_load_after_thre_is_never_lost(void)
{
	unsigned total = 0;
	u8 buf[OUT_SIZE];

	open_port();
	while (in(UART_LSR) & UART_LSR_THRE)
		for (unsigned i = 0; i < FIFO; i++)
			out(UART_TX, total++);
	CHECK_EQ(serial_drain(s, buf, sizeof(buf)), total);
	for (unsigned i = 0; i < total; i++)
		CHECK_EQ(buf[i], (u8)i);
}

static void drain_raises_the_interrupt_of_a_full_transmitter(void)
{
	u8 buf[OUT_SIZE];

	open_port();
	fill();
	out(UART_IER, UART_IER_THRI);
	CHECK_IRQS(0); /* nothing is empty */
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_NO_INT);
	serial_drain(s, buf, 1);
	CHECK_IRQS(1);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_THRI);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
	serial_drain(s, buf, sizeof(buf)); /* it was empty already */
	CHECK_IRQS(0);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_NO_INT);
}

static void drain_without_thri_is_silent(void)
{
	open_port();
	fill();
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	drained();
	CHECK_IRQS(0);
	out(UART_IER, UART_IER_THRI);
	CHECK_IRQS(1);
}

/* --- the transmitter's interrupt -------------------------------------------- */

static void thri_is_served_by_reading_iir(void)
{
	open_port();
	out(UART_IER, UART_IER_THRI);
	CHECK_IRQS(1);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_THRI);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_NO_INT);
	out(UART_IER, UART_IER_THRI); /* it was on: no news */
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_NO_INT);
	CHECK_IRQS(0);
	in(UART_LSR);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_NO_INT);
	out(UART_TX, 'a'); /* sent, so empty again */
	CHECK_IRQS(1);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_THRI);
}

static void thri_is_served_by_filling_up(void)
{
	open_port();
	out(UART_IER, UART_IER_THRI);
	fill(); /* IIR never read */
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_NO_INT);
}

/* The handler writes a load, looks again, writes ... and turns THRI off. */
static void thri_comes_once_per_fifo_load(void)
{
	const unsigned loads = 10;

	open_port();
	out(UART_IER, UART_IER_THRI);
	CHECK_IRQS(1);
	for (unsigned l = 0; l < loads; l++) {
		CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_THRI);
		CHECK(in(UART_LSR) & UART_LSR_THRE);
		for (unsigned i = 0; i < FIFO; i++)
			out(UART_TX, 'x');
	}
	out(UART_IER, 0);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_NO_INT);
	CHECK_IRQS(loads);
	CHECK_WAKES(1);
	CHECK_EQ(strlen(drained()), loads * FIFO);
}

/* A handler that gives up in the middle is called again. */
static void a_handler_that_leaves_early_is_called_again(void)
{
	open_port();
	out(UART_IER, UART_IER_THRI);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_THRI);
	irqs = 0;
	out(UART_TX, 'x');
	CHECK_IRQS(1);
}

static void console_output_under_saved_ier(void)
{
	open_port();
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	/* printk: interrupts off, wait, write, wait, interrupts on. */
	out(UART_IER, 0);
	for (const char *p = "panic\n"; *p; p++) {
		CHECK_EQ(in(UART_LSR) & LSR_EMPTY, LSR_EMPTY);
		out(UART_TX, *p);
	}
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	CHECK_IRQS(0);
	CHECK_STR(drained(), "panic\n");
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "after reset it is idle", reset_state },
		{ "registers keep the bits that exist", registers_keep_their_bits },
		{ "DLAB puts the divisor over data and IER", dlab_hides_data_and_ier },
		{ "IIR says whether the FIFOs are on", iir_shows_the_fifo },
		{ "Linux's autoconfig finds a 16550A with 16 bytes", autoconfig_finds_a_16550a },
		{ "Linux's startup finds none of the bugs it looks for", startup_finds_no_bugs },
		{ "in loop mode MSR mirrors MCR", loop_mirrors_the_outputs },
		{ "changes of modem lines interrupt and are told once", changes_of_modem_lines_are_told_once },
		{ "in loop mode the 17th byte overruns", loop_overruns_after_16_bytes },
		{ "in loop mode without FIFO the last byte stays", loop_without_fifo_keeps_the_last_byte },
		{ "in loop mode nothing typed arrives until it ends", loop_disconnects_the_user },
		{ "output comes out in order", output_comes_out_in_order },
		{ "the main thread is woken only when there was no output", wake_only_when_it_was_empty },
		{ "a full ring clears THRE and TEMT and loses only what is written regardless",
		  full_output_stops_the_transmitter },
		{ "16 bytes after THRE always have room", a_fifo_load_after_thre_is_never_lost },
		{ "draining a full ring raises THRI", drain_raises_the_interrupt_of_a_full_transmitter },
		{ "draining is silent when THRI is off", drain_without_thri_is_silent },
		{ "THRI is served by reading IIR and comes back after a byte", thri_is_served_by_reading_iir },
		{ "THRI is served by filling the transmitter", thri_is_served_by_filling_up },
		{ "a handler's output takes one interrupt per FIFO load", thri_comes_once_per_fifo_load },
		{ "a handler that leaves early is called again", a_handler_that_leaves_early_is_called_again },
		{ "polled console output causes no interrupt", console_output_under_saved_ier },
	};
	int ret = check_run(tests, ARRAY_SIZE(tests));

	serial_free(s);
	return ret;
}
