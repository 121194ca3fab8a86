// SPDX-License-Identifier: MIT
/*
 * serial-input.c - what the user types, on its way through the 16550A to the
 * guest: interrupts, FIFO, the wait for RTS, breaks, and several causes of an
 * interrupt at once.
 */
#include "serial-guest.h"

/* --- input ----------------------------------------------------------------- */

static void input_interrupts_and_is_read(void)
{
	open_port();
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	CHECK_EQ(feed("a"), 1);
	CHECK_IRQS(1);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_RDI);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_RDI);
	CHECK_EQ(feed("b"), 1);
	CHECK_IRQS(0); /* the first one still stands */
	CHECK_EQ(in(UART_LSR), LSR_EMPTY | UART_LSR_DR);
	CHECK_EQ(in(UART_RX), 'a');
	CHECK_EQ(in(UART_RX), 'b');
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_NO_INT);
	CHECK_IRQS(0);
	CHECK_EQ(feed("c"), 1);
	CHECK_IRQS(1);
	CHECK_WAKES(0);
}

static void enabling_rdi_with_data_interrupts(void)
{
	open_port();
	feed("a");
	CHECK_IRQS(0);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_NO_INT);
	out(UART_IER, UART_IER_RDI);
	CHECK_IRQS(1);
}

static void input_waits_for_rts(void)
{
	start();
	CHECK_EQ(feed("poweroff\n"), 9);
	/* What Linux does on opening would throw away what has arrived. */
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	out(UART_FCR, 0);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
	CHECK_EQ(in(UART_RX), 0);
	out(UART_MCR, UART_MCR_OUT2 | UART_MCR_DTR);
	CHECK_EQ(in(UART_RX), 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_IER, UART_IER_RDI);
	CHECK_IRQS(0);
	out(UART_MCR, CONSOLE_MCR);
	CHECK_IRQS(1);
	for (const char *p = "poweroff\n"; *p; p++)
		CHECK_EQ(in(UART_RX), *p);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
}

static void clearing_the_fifo_drops_what_has_arrived(void)
{
	open_port();
	feed("0123456789abcdefghi");
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	CHECK_EQ(in(UART_RX), 'g'); /* what was still on the wire */
	out(UART_FCR, 0); /* switching it clears it, too */
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	feed("jk");
	out(UART_FCR, UART_FCR_ENABLE_FIFO); /* no change, no clearing */
	CHECK_EQ(in(UART_RX), 'j');
}

static void without_fifo_bytes_come_one_by_one(void)
{
	start();
	out(UART_MCR, CONSOLE_MCR);
	out(UART_IER, UART_IER_RDI);
	feed("abc");
	CHECK_IRQS(1);
	for (const char *p = "abc"; *p; p++) {
		CHECK_EQ(in(UART_LSR), LSR_EMPTY | UART_LSR_DR);
		CHECK_EQ(in(UART_RX), *p);
	}
	CHECK_IRQS(2); /* b and c arrived later than a */
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
}

/* A reader that stops after each FIFO load hears of the next. */
static void a_long_paste_interrupts_per_fifo_load(void)
{
	u8 text[100];

	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = i;
	open_port();
	out(UART_IER, UART_IER_RDI);
	CHECK_EQ(serial_input(s, text, sizeof(text)), sizeof(text));
	for (unsigned i = 0; i < sizeof(text); i++) {
		CHECK(in(UART_LSR) & UART_LSR_DR);
		CHECK_EQ(in(UART_RX), i);
	}
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
	CHECK_IRQS((sizeof(text) + FIFO - 1) / FIFO);
}

static void full_input_says_so_and_wakes_when_there_is_room(void)
{
	u8 text[1024];
	size_t took, total, next = 0;

	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = i * 7;
	open_port();
	took = serial_input(s, text, sizeof(text));
	CHECK(took >= 256 && took < 512);
	CHECK_EQ(serial_input(s, text + took, sizeof(text) - took), 0);
	CHECK_WAKES(0);
	for (total = took; total < sizeof(text); total += took) {
		while (!wakes) {
			CHECK(in(UART_LSR) & UART_LSR_DR);
			CHECK_EQ(in(UART_RX), text[next++]);
		}
		/* Once, however much more is read. */
		for (unsigned i = 0; i < 2 * FIFO; i++)
			CHECK_EQ(in(UART_RX), text[next++]);
		CHECK_WAKES(1);
		took = serial_input(s, text + total, sizeof(text) - total);
		CHECK(took > 0);
	}
	while (in(UART_LSR) & UART_LSR_DR)
		CHECK_EQ(in(UART_RX), text[next++]);
	CHECK_EQ(next, sizeof(text));
	CHECK_WAKES(0); /* all was taken: nobody waits for room */
}

/* --- break ----------------------------------------------------------------- */

static void break_is_told_with_its_nul(void)
{
	open_port();
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	serial_break(s);
	CHECK_IRQS(1);
	feed("h");
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_RLSI);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY | UART_LSR_DR | UART_LSR_BI);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY | UART_LSR_DR); /* told once */
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_RDI);
	CHECK_EQ(in(UART_RX), 0);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY | UART_LSR_DR);
	CHECK_EQ(in(UART_RX), 'h');
	CHECK_EQ(in(UART_LSR), LSR_EMPTY);
}

static void break_keeps_its_place_among_the_bytes(void)
{
	open_port();
	out(UART_IER, UART_IER_RLSI);
	feed("a");
	serial_break(s);
	feed("b");
	CHECK_IRQS(0); /* not at the head yet */
	CHECK_EQ(in(UART_LSR), LSR_EMPTY | UART_LSR_DR);
	CHECK_EQ(in(UART_RX), 'a');
	CHECK_IRQS(1);
	CHECK_EQ(in(UART_LSR), LSR_EMPTY | UART_LSR_DR | UART_LSR_BI);
	CHECK_EQ(in(UART_RX), 0);
	CHECK_EQ(in(UART_RX), 'b');
}

static void break_gets_through_full_input(void)
{
	u8 text[1024] = { 0 };
	unsigned breaks = 0, n = 0;
	size_t took;

	memset(text, 'x', sizeof(text));
	open_port();
	took = serial_input(s, text, sizeof(text));
	serial_break(s);
	for (u8 lsr; (lsr = in(UART_LSR)) & UART_LSR_DR; n++) {
		if (lsr & UART_LSR_BI)
			breaks++;
		CHECK_EQ(in(UART_RX), lsr & UART_LSR_BI ? 0 : 'x');
	}
	CHECK_EQ(breaks, 1);
	CHECK_EQ(n, took); /* it took the place of the last one */
}

/* SysRq: the two are together, wherever what was typed before them is. */
static void sysrq_is_a_break_and_its_key(void)
{
	u8 text[FIFO + 512], last = 0;
	unsigned breaks = 0;

	open_port();
	serial_sysrq(s, 'h');
	CHECK(in(UART_LSR) & UART_LSR_BI);
	CHECK_EQ(in(UART_RX), 0);
	CHECK(!(in(UART_LSR) & UART_LSR_BI));
	CHECK_EQ(in(UART_RX), 'h');
	CHECK(!(in(UART_LSR) & UART_LSR_DR));
	memset(text, 'x', sizeof(text));
	serial_input(s, text, sizeof(text));
	serial_sysrq(s, 'c');
	serial_sysrq(s, 'o'); /* in its place, for want of room */
	for (u8 lsr; (lsr = in(UART_LSR)) & UART_LSR_DR;) {
		breaks += !!(lsr & UART_LSR_BI);
		last = in(UART_RX);
	}
	CHECK_EQ(breaks, 1);
	CHECK_EQ(last, 'o');
}

/* --- several causes --------------------------------------------------------- */

static void causes_come_in_order_of_priority(void)
{
	open_port();
	out(UART_MCR, UART_MCR_LOOP); /* modem lines drop */
	out(UART_MCR, CONSOLE_MCR);
	serial_break(s);
	CHECK_IRQS(0);
	out(UART_IER, 0x0f);
	CHECK_IRQS(1);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_RLSI);
	in(UART_LSR);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_RDI);
	in(UART_RX);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_THRI);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_MSI);
	CHECK_IRQS(3); /* after each service another cause was left */
	in(UART_MSR);
	CHECK_EQ(in(UART_IIR), IIR_FIFO | UART_IIR_NO_INT);
	CHECK_IRQS(0);
}

static void a_new_cause_is_a_new_interrupt(void)
{
	open_port();
	out(UART_IER, UART_IER_RDI | UART_IER_THRI);
	CHECK_IRQS(1);
	feed("a");
	CHECK_IRQS(1);
	out(UART_IER, 0);
	CHECK_IRQS(0);
	out(UART_IER, UART_IER_RDI);
	CHECK_IRQS(1);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "input interrupts once until it is read", input_interrupts_and_is_read },
		{ "enabling RDI with data waiting interrupts", enabling_rdi_with_data_interrupts },
		{ "input from before the port is opened survives the opening", input_waits_for_rts },
		{ "clearing the FIFO drops what has arrived, not what waits",
		  clearing_the_fifo_drops_what_has_arrived },
		{ "without FIFO bytes come one by one", without_fifo_bytes_come_one_by_one },
		{ "a long paste interrupts once per FIFO load", a_long_paste_interrupts_per_fifo_load },
		{ "input that does not fit is refused, and there is a wake-up when it does",
		  full_input_says_so_and_wakes_when_there_is_room },
		{ "a break is BI with a NUL, told once", break_is_told_with_its_nul },
		{ "a break keeps its place among the bytes", break_keeps_its_place_among_the_bytes },
		{ "a break gets through when input is full", break_gets_through_full_input },
		{ "a SysRq key comes right behind its break", sysrq_is_a_break_and_its_key },
		{ "causes are told in order of priority, with an edge for each",
		  causes_come_in_order_of_priority },
		{ "a cause that is new is a new interrupt", a_new_cause_is_a_new_interrupt },
	};
	int ret = check_run(tests, ARRAY_SIZE(tests));

	serial_free(s);
	return ret;
}
