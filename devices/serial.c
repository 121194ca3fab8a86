// SPDX-License-Identifier: MIT
/*
 * serial.c - a 16550A: the smallest device, one exit, one byte.  Register
 * names and bits are the kernel's own (linux/serial_reg.h).  Knows nothing of
 * terminals, nor of how an interrupt reaches the guest.
 *
 * Towards the guest the transmitter is infinitely fast until the output ring
 * is nearly full.  Input waits "on the wire" until the guest raises RTS, as
 * it would behind a modem that honours it: what was typed or piped in before
 * the guest opened the port survives the FIFO resets of the opening.
 *
 * Invariant: when the lock is released, `raised` is causes(), and for each
 * cause that is in it the interrupt was raised after the cause appeared.
 * Both ops are called without the lock; the worst that can come of it is an
 * interrupt whose cause is already gone, which drivers know from shared lines.
 */
#include "serial.h"

#include <linux/serial_reg.h>
#include <pthread.h>
#include <stdlib.h>

#define FIFO_SIZE 16 /* bytes; what the guest takes THRE for, so never more */
#define WIRE_SIZE 256

#define BREAK 0x100 /* beside a received byte: it was a break */

#define IER_BITS 0x0f
#define MCR_BITS 0x1f
#define MSR_CONNECTED (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)
#define MSR_LEVELS 0xf0
#define LSR_EMPTY (UART_LSR_THRE | UART_LSR_TEMT)
#define DIVISOR_115200 1
#define IIR_16550A 0xc0 /* beside the cause: there are FIFOs, and they are on */

struct serial {
	const struct serial_ops *ops;
	void *opaque;

	pthread_mutex_t lock; /* protects everything below */
	u8 ier, fcr, lcr, mcr, scr;
	u8 msr; /* levels and, below them, what changed since it was read */
	u8 dll, dlm;
	bool overrun;
	bool thri;   /* the transmitter became empty and nobody was told */
	u8 raised;   /* causes, as bits of IER, at the end of the last access */
	bool irq;    /* ops to call when the lock has been released */
	bool wake;
	bool room_wanted; /* serial_input() was given more than it could take */

	u16 fifo[FIFO_SIZE]; /* received, for RBR */
	unsigned fifo_head, fifo_len;
	u16 wire[WIRE_SIZE]; /* sent by the user, not received yet */
	unsigned wire_head, wire_len;
	u8 out[SERIAL_OUT]; /* sent by the guest, not drained yet */
	unsigned out_head, out_len;
};

/* THRE promises a whole FIFO: drivers look once and then write 16 bytes. */
static bool transmitter_empty(const struct serial *s)
{
	return SERIAL_OUT - s->out_len >= FIFO_SIZE;
}

static bool head_is_break(const struct serial *s)
{
	return s->fifo_len && s->fifo[s->fifo_head] & BREAK;
}

/* The enabled causes of an interrupt that are there now. */
static u8 causes(const struct serial *s)
{
	u8 c = 0;

	if (s->overrun || head_is_break(s))
		c |= UART_IER_RLSI;
	if (s->fifo_len)
		c |= UART_IER_RDI;
	if (s->thri)
		c |= UART_IER_THRI;
	if (s->msr & UART_MSR_ANY_DELTA)
		c |= UART_IER_MSI;
	return c & s->ier;
}

/*
 * At the end of every access.  The interrupt is an edge and a driver may
 * leave before it has served everything (Linux gives up after some hundred
 * rounds).  So it is raised for each cause that is new, and again when one
 * was served and another is still there.
 */
static void settle(struct serial *s)
{
	const u8 now = causes(s);

	if (now & ~s->raised || (now && s->raised & ~now))
		s->irq = true;
	s->raised = now;
}

static void lock(struct serial *s)
{
	pthread_mutex_lock(&s->lock);
}

static void unlock(struct serial *s)
{
	bool irq, wake;

	settle(s);
	irq = s->irq;
	wake = s->wake;
	s->irq = s->wake = false;
	pthread_mutex_unlock(&s->lock);
	if (irq)
		s->ops->irq(s->opaque);
	if (wake)
		s->ops->wake(s->opaque);
}

/* Into the receiver, from the wire or in a loop from our own transmitter. */
static void receive(struct serial *s, u16 byte)
{
	const unsigned depth = s->fcr & UART_FCR_ENABLE_FIFO ? FIFO_SIZE : 1;

	if (s->fifo_len < depth) {
		s->fifo[(s->fifo_head + s->fifo_len++) % FIFO_SIZE] = byte;
		return;
	}
	/* A full FIFO keeps what it has; a lone RBR is overwritten. */
	s->overrun = true;
	if (depth == 1)
		s->fifo[s->fifo_head] = byte;
}

/*
 * What waits on the wire arrives, as much as fits.  As this is a new arrival,
 * a receiver that was empty gets a new interrupt even if the guest has not
 * been seen to leave its handler.
 */
static void arrive(struct serial *s)
{
	const unsigned depth = s->fcr & UART_FCR_ENABLE_FIFO ? FIFO_SIZE : 1;

	if (s->mcr & UART_MCR_LOOP || !(s->mcr & UART_MCR_RTS))
		return;
	if (!s->fifo_len && s->wire_len)
		s->raised &= ~UART_IER_RDI;
	while (s->wire_len && s->fifo_len < depth) {
		receive(s, s->wire[s->wire_head]);
		s->wire_head = (s->wire_head + 1) % WIRE_SIZE;
		s->wire_len--;
	}
	/* Half of it, so that a long paste does not wake for every byte. */
	if (s->room_wanted && s->wire_len <= WIRE_SIZE / 2) {
		s->room_wanted = false;
		s->wake = true;
	}
}

static void clear_receiver(struct serial *s)
{
	s->fifo_head = s->fifo_len = 0;
	s->overrun = false;
}

static u8 read_rbr(struct serial *s)
{
	u8 byte;

	if (!s->fifo_len)
		return 0;
	byte = s->fifo[s->fifo_head];
	s->fifo_head = (s->fifo_head + 1) % FIFO_SIZE;
	if (!--s->fifo_len)
		arrive(s);
	return byte;
}

static void write_thr(struct serial *s, u8 byte)
{
	s->thri = false;
	if (s->mcr & UART_MCR_LOOP) {
		receive(s, byte);
	} else if (s->out_len < SERIAL_OUT) {
		/* Full is for those who write without asking: the byte is lost. */
		if (!s->out_len)
			s->wake = true;
		s->out[(s->out_head + s->out_len++) % SERIAL_OUT] = byte;
	}
	/*
	 * And it is gone, so the transmitter is empty once more.  If the guest
	 * read IIR before this byte, that is a new interrupt, one per FIFO
	 * load; if it did not, the old one still stands.
	 */
	s->thri = transmitter_empty(s);
}

/* The modem is always there; in a loop our own outputs are the inputs. */
static void update_msr(struct serial *s)
{
	u8 levels = MSR_CONNECTED, changed;

	if (s->mcr & UART_MCR_LOOP) {
		levels = 0;
		if (s->mcr & UART_MCR_RTS)
			levels |= UART_MSR_CTS;
		if (s->mcr & UART_MCR_DTR)
			levels |= UART_MSR_DSR;
		if (s->mcr & UART_MCR_OUT1)
			levels |= UART_MSR_RI;
		if (s->mcr & UART_MCR_OUT2)
			levels |= UART_MSR_DCD;
	}
	changed = (s->msr ^ levels) & MSR_LEVELS;
	if (changed & UART_MSR_RI && levels & UART_MSR_RI)
		changed &= ~UART_MSR_RI; /* only its end is reported */
	/* Each level has its change four bits below. */
	s->msr = levels | (s->msr & UART_MSR_ANY_DELTA) | changed >> 4;
}

static u8 read_iir(struct serial *s)
{
	const u8 c = causes(s);
	u8 iir = s->fcr & UART_FCR_ENABLE_FIFO ? IIR_16550A : 0;

	/* The most urgent one, in this order. */
	if (c & UART_IER_RLSI)
		return iir | UART_IIR_RLSI;
	/*
	 * Fewer bytes than the trigger level would be reported four character
	 * times later, as a timeout; here all of it is data available at once.
	 */
	if (c & UART_IER_RDI)
		return iir | UART_IIR_RDI;
	if (c & UART_IER_THRI) {
		s->thri = false; /* telling it is serving it */
		return iir | UART_IIR_THRI;
	}
	if (c & UART_IER_MSI)
		return iir | UART_IIR_MSI;
	return iir | UART_IIR_NO_INT;
}

static u8 read_lsr(struct serial *s)
{
	u8 lsr = transmitter_empty(s) ? LSR_EMPTY : 0;

	if (s->fifo_len)
		lsr |= UART_LSR_DR;
	if (s->overrun)
		lsr |= UART_LSR_OE;
	if (head_is_break(s)) {
		lsr |= UART_LSR_BI;
		s->fifo[s->fifo_head] &= ~BREAK;
	}
	s->overrun = false;
	return lsr;
}

static u8 read_msr(struct serial *s)
{
	const u8 msr = s->msr;

	s->msr &= MSR_LEVELS;
	return msr;
}

static void write_ier(struct serial *s, u8 value)
{
	/*
	 * Enabling it with an empty transmitter raises the interrupt even if
	 * that was told before: this is how Linux starts to transmit.
	 */
	if (value & ~s->ier & UART_IER_THRI && transmitter_empty(s))
		s->thri = true;
	s->ier = value & IER_BITS;
}

static void write_fcr(struct serial *s, u8 value)
{
	/* Clearing the transmitter loses nothing: what was in it is gone. */
	if ((value ^ s->fcr) & UART_FCR_ENABLE_FIFO || value & UART_FCR_CLEAR_RCVR)
		clear_receiver(s);
	s->fcr = value & UART_FCR_ENABLE_FIFO;
	arrive(s);
}

u8 serial_read(struct serial *s, unsigned reg)
{
	u8 value = 0;
	bool dlab;

	lock(s);
	dlab = s->lcr & UART_LCR_DLAB;
	switch (reg) {
	case UART_RX:
		value = dlab ? s->dll : read_rbr(s);
		break;
	case UART_IER:
		value = dlab ? s->dlm : s->ier;
		break;
	case UART_IIR:
		value = read_iir(s);
		break;
	case UART_LCR:
		value = s->lcr;
		break;
	case UART_MCR:
		value = s->mcr;
		break;
	case UART_LSR:
		value = read_lsr(s);
		break;
	case UART_MSR:
		value = read_msr(s);
		break;
	case UART_SCR:
		value = s->scr;
		break;
	}
	unlock(s);
	return value;
}

void serial_write(struct serial *s, unsigned reg, u8 value)
{
	bool dlab;

	lock(s);
	dlab = s->lcr & UART_LCR_DLAB;
	switch (reg) {
	case UART_TX:
		if (dlab)
			s->dll = value;
		else
			write_thr(s, value);
		break;
	case UART_IER:
		if (dlab)
			s->dlm = value;
		else
			write_ier(s, value);
		break;
	case UART_FCR:
		write_fcr(s, value);
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		s->mcr = value & MCR_BITS;
		update_msr(s);
		arrive(s);
		break;
	case UART_SCR:
		s->scr = value;
		break;
	}
	unlock(s);
}

size_t serial_drain(struct serial *s, u8 *buf, size_t size)
{
	bool was_empty;
	size_t n = 0;

	lock(s);
	was_empty = transmitter_empty(s);
	while (n < size && s->out_len) {
		buf[n++] = s->out[s->out_head];
		s->out_head = (s->out_head + 1) % SERIAL_OUT;
		s->out_len--;
	}
	if (!was_empty && transmitter_empty(s))
		s->thri = true;
	unlock(s);
	return n;
}

size_t serial_input(struct serial *s, const u8 *buf, size_t len)
{
	size_t n = 0;

	lock(s);
	s->room_wanted = false;
	for (;;) {
		while (n < len && s->wire_len < WIRE_SIZE) {
			s->wire[(s->wire_head + s->wire_len) % WIRE_SIZE] = buf[n++];
			s->wire_len++;
		}
		arrive(s);
		if (n == len || s->wire_len == WIRE_SIZE)
			break;
	}
	s->room_wanted = n < len;
	unlock(s);
	return n;
}

/* They must get through: on a full wire the last bytes give way. */
static void send_urgent(struct serial *s, const u16 *bytes, unsigned n)
{
	lock(s);
	s->wire_len = MIN(s->wire_len, WIRE_SIZE - n);
	for (unsigned i = 0; i < n; i++)
		s->wire[(s->wire_head + s->wire_len++) % WIRE_SIZE] = bytes[i];
	arrive(s);
	unlock(s);
}

void serial_break(struct serial *s)
{
	send_urgent(s, (const u16[]){ BREAK }, 1);
}

void serial_sysrq(struct serial *s, u8 key)
{
	send_urgent(s, (const u16[]){ BREAK, key }, 2);
}

struct serial *serial_new(const struct serial_ops *ops, void *opaque)
{
	struct serial *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	if (pthread_mutex_init(&s->lock, NULL)) {
		free(s);
		return NULL;
	}
	s->ops = ops;
	s->opaque = opaque;
	s->msr = MSR_CONNECTED;
	s->dll = DIVISOR_115200;
	return s;
}

void serial_free(struct serial *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}
