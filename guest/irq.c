// SPDX-License-Identifier: MIT
/*
 * irq.c - how long it takes to be heard and answered: a kick (ioeventfd) wakes
 * the device's thread, whose answer is an interrupt (irqfd).  The command is
 * one of the control queue, so that no packet and no policy about packets is
 * in between.
 *
 * count=N (1000): so many, one after the other.
 */
#include "net.h"

void main(void)
{
	static struct {
		u8 class, cmd, on, answer;
	} command = { VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1, 0xff };
	u64 count = param_number("count", 1000), answered = 0, ns;
	struct queue *q = &net_queue[CONTROL];
	u16 idx = 0;

	net_open(BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_RING_F_EVENT_IDX));
	if (!(net_features & BIT(VIRTIO_NET_F_CTRL_RX)))
		fail("the device takes no commands (ctrl_rx=off)");
	net_add_queue(CONTROL);
	net_start();
	q->desc[0] = (struct vring_desc){ (u64)&command, 3, VRING_DESC_F_NEXT, 1 };
	q->desc[1] = (struct vring_desc){ (u64)&command.answer, 1, VRING_DESC_F_WRITE, 0 };

	ns = clock_ns();
	for (u64 i = 0; i < count; i++) {
		queue_interrupt_after(q, 1);
		queue_add(q, &idx, 0);
		STORE_RELEASE(&q->avail.idx, idx);
		queue_kick(q); /* wanted or not: it is what is timed */
		/* It is not enough that it was used: two interrupts could become one. */
		while (LOAD_ONCE(&net_interrupts) == i)
			wait_for_interrupt();
		q->last_used += queue_used(q);
		answered += LOAD_ONCE(&command.answer) == VIRTIO_NET_OK;
		STORE_ONCE(&command.answer, 0xff);
	}
	ns = clock_ns() - ns;
	let_interrupts_in(); /* one too many would wait here */
	print("round_trips=%u\nanswered=%u\nkicks=%u\ninterrupts=%u\nns=%u\nns_per_round_trip=%u\n", count,
	      answered, q->kicks, net_interrupts, ns, count ? ns / count : 0);
}
