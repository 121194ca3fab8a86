// SPDX-License-Identifier: MIT
/*
 * net-chaos.c - the device with --chaos: each lie reaches the driver, with an
 * interrupt, frames that are late come without another one's help, and a reset
 * finds nothing left of it.
 */
#include "control.h"

static struct chaos_config chaos;

static void start(enum kind kind, enum chaos_kind what, u32 millionth)
{
	bench_close(); /* it reads that */
	chaos = (struct chaos_config){ .on = true, .seed = 7 };
	chaos.millionth[what] = millionth;
	bench_start((struct bench_setup){ .kind = kind, .features = FULL, .chaos = &chaos });
	rx_post_all();
	interrupts();
}

static void late(enum kind kind)
{
	start(kind, CHAOS_DELAY, CHAOS_ALWAYS);
	for (u32 i = 0; i < 20; i++)
		one_each_way(i, 100, 100);
}

static void behind_the_next(enum kind kind)
{
	start(kind, CHAOS_REORDER, CHAOS_ALWAYS);
	for (u32 i = 0; i < 4; i++) {
		u16 before = b.rx.seen;

		wire_send(i, 100);
		CHECK(wait_used(&b.rx, 1)); /* alone, it comes when its time is over */
		b.rx.seen = (u16)(before + 1);
	}
}

/* What the driver makes of it is its own business; that it sees it is ours. */
static void wrong_ids(enum kind kind)
{
	unsigned beyond = 0, doubled = 0;
	u16 last = 0xffff;

	start(kind, CHAOS_BADID, CHAOS_ALWAYS);
	for (u32 i = 0; i < 20; i++) {
		wire_send(i, 100);
		CHECK(wait_used(&b.rx, 1));
		beyond += b.rx.used->ring[b.rx.seen++ % b.rx.size].id >= b.rx.size;
	}
	CHECK(beyond && beyond < 20);
	start(kind, CHAOS_DUP, CHAOS_ALWAYS);
	for (u32 i = 0; i < 5; i++) {
		wire_send(i, 100);
		CHECK(wait_used(&b.rx, 2));
		last = (u16)b.rx.used->ring[b.rx.seen++ % b.rx.size].id;
		doubled += last == b.rx.used->ring[b.rx.seen++ % b.rx.size].id;
	}
	CHECK_EQ(doubled, 5);
}

static void interrupts_for_nothing(enum kind kind)
{
	start(kind, CHAOS_IRQ, CHAOS_ALWAYS);
	ring_interrupts_off(&b.rx);
	ring_interrupts_off(&b.tx);
	wire_send(1, 100);
	CHECK(wait_interrupt(PATIENCE_MS));
}

/* Frames held back, a reset in the middle, and the next driver's come; so do commands. */
static void a_reset_in_between(enum kind kind)
{
	start(kind, CHAOS_DELAY, CHAOS_ALWAYS);
	for (u32 round = 0; round < 20; round++) {
		for (u32 i = 0; i < 5; i++)
			wire_send(i, 100);
		CHECK(wait_count(COUNTER(rx.packets), 5 * (round + 1)));
		bench_reset();
		CHECK_EQ(reg_read(b.dev, VIRTIO_MMIO_STATUS), 0);
		bench_up();
		rx_post_all();
		CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_ALLMULTI, 0), OK);
	}
	bench_reset();
	chaos.millionth[CHAOS_DELAY] = 0;
	bench_up();
	rx_post_all();
	wire_send(77, 100);
	rx_expect(77, 100);
}

/* Everything at once, with a driver that takes what it is given. */
static void everything(enum kind kind)
{
	start(kind, CHAOS_DROP, 0);
	bench_reset();
	for (unsigned k = 0; k < CHAOS_KINDS; k++)
		chaos.millionth[k] = 30000;
	bench_up();
	rx_post_all();
	for (unsigned round = 0; round < 30; round++) {
		for (u32 i = 0; i < 20; i++) {
			if (tx_add(i, 100, NULL))
				tx_show();
			wire_try_send(i, 100, NULL);
		}
		poll(NULL, 0, 1);
		bench_reset();
		bench_up();
		rx_post_all();
	}
	/* What it sent is still on the wire. */
	while (recv(b.wire, (u8[2048]){ 0 }, 2048, MSG_DONTWAIT) >= 0)
		;
	bench_reset();
	memset(chaos.millionth, 0, sizeof(chaos.millionth));
	bench_up();
	rx_post_all();
	wire_send(78, 100);
	rx_expect(78, 100);
}

static void none(enum kind kind)
{
	bench_start((struct bench_setup){ .kind = kind, .features = FULL });
	rx_post_all();
	for (u32 i = 0; i < 100; i++) {
		wire_send(i, 100);
		rx_expect(i, 100);
	}
	CHECK(!b.dev->vq[0].chaos && !b.dev->vq[1].chaos);
}

EACH(late)
EACH(behind_the_next)
EACH(wrong_ids)
EACH(interrupts_for_nothing)
EACH(a_reset_in_between)
EACH(everything)
EACH(none)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("delay: frames come later, by themselves", late),
		ROWS("reorder: one with none behind it comes", behind_the_next),
		ROWS("badid, dup: the driver gets to see it", wrong_ids),
		ROWS("spurious-irq: an interrupt without a buffer", interrupts_for_nothing),
		ROWS("what was held back does not survive a reset", a_reset_in_between),
		ROWS("after all of it at once a new driver is served", everything),
		ROWS("without it the device is honest", none),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
