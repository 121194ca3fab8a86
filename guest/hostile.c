// SPDX-License-Identifier: MIT
/*
 * hostile.c - breaks the rule of the rings that rule=NAME names, says whether
 * the device asked for a reset, and whether it serves again after one.  Without
 * rule= it lists them.
 *
 *	needs_reset	DEVICE_NEEDS_RESET is in Status
 *	told		an interrupt said so; not before DRIVER_OK
 *	recovered	reset and set up again, it sends a packet
 */
#include "net.h"

#define NOWHERE (1ULL << 45) /* no guest has so much memory */
#define PATIENCE 5000000000ULL /* ns */

static struct queue *const rx = &net_queue[RX], *const tx = &net_queue[TX];

/* A header and a frame of a type for experiments, to everybody. */
static u8 packet[12 + 60] = {
	[12] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, [24] = 0x88, 0xb5,
};
static struct vring_desc table[4] __attribute__((aligned(16)));

static struct vring_desc good(void)
{
	return (struct vring_desc){ (u64)packet, sizeof(packet), 0, 0 };
}

static void offer(struct queue *q, u16 head)
{
	u16 idx = q->avail.idx;

	queue_add(q, &idx, head);
	queue_publish(q, idx);
}

static void send(struct vring_desc d)
{
	tx->desc[0] = d;
	offer(tx, 0);
}

static void send_table(u32 len, u16 flags)
{
	send((struct vring_desc){ (u64)table, len, (u16)(VRING_DESC_F_INDIRECT | flags), 1 });
}

/* --- queues that are none --- */

static void set_tx(u32 size, u64 desc, u64 used)
{
	net_set_queue(TX, size, desc, (u64)&tx->avail, used);
}

static void queue_size(void)
{
	set_tx(3, (u64)tx->desc, (u64)&tx->used);
}

static void queue_aligned(void)
{
	set_tx(32, (u64)tx->desc + 8, (u64)&tx->used);
}

static void queue_outside(void)
{
	set_tx(32, (u64)tx->desc, NOWHERE);
}

/* --- rings and chains --- */

static void index_jumps(void)
{
	queue_publish(tx, tx->size + 1);
}

static void head_outside(void)
{
	offer(tx, tx->size);
}

static void next_outside(void)
{
	send((struct vring_desc){ (u64)packet, sizeof(packet), VRING_DESC_F_NEXT, tx->size });
}

static void loop(void)
{
	send((struct vring_desc){ (u64)packet, sizeof(packet), VRING_DESC_F_NEXT, 0 });
}

static void buffer_outside(void)
{
	send((struct vring_desc){ NOWHERE, sizeof(packet), 0, 0 });
}

static void buffer_wraps(void)
{
	send((struct vring_desc){ ~0ULL - 8, sizeof(packet), 0, 0 });
}

static void buffer_too_long(void)
{
	send((struct vring_desc){ (u64)packet, ~0U, 0, 0 });
}

static void wrong_order(void)
{
	tx->desc[1] = good();
	send((struct vring_desc){ (u64)packet, sizeof(packet), VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1 });
}

static void table_nested(void)
{
	table[0] = (struct vring_desc){ (u64)table, sizeof(table), VRING_DESC_F_INDIRECT, 0 };
	send_table(sizeof(table), 0);
}

static void table_next(void)
{
	table[0] = good();
	send_table(sizeof(table), VRING_DESC_F_NEXT);
}

static void table_length(void)
{
	table[0] = good();
	send_table(sizeof(table) - 1, 0);
}

static void table_outside(void)
{
	send((struct vring_desc){ NOWHERE, sizeof(table), VRING_DESC_F_INDIRECT, 0 });
}

static void table_entry(void)
{
	table[0] = good();
	table[0].flags = VRING_DESC_F_NEXT;
	table[0].next = ARRAY_SIZE(table);
	send_table(sizeof(table), 0);
}

static void table_declined(void)
{
	table[0] = good();
	send_table(sizeof(table), 0);
}

/* --- what the device's queues are for --- */

static void transmit_writable(void)
{
	send((struct vring_desc){ (u64)packet, sizeof(packet), VRING_DESC_F_WRITE, 0 });
}

static void receive_readable(void)
{
	rx->desc[0] = good();
	offer(rx, 0);
}

static void receive_short(void)
{
	rx->desc[0] = (struct vring_desc){ (u64)packet, 4, VRING_DESC_F_WRITE, 0 };
	offer(rx, 0);
}

static void control_unanswerable(void)
{
	net_queue[CONTROL].desc[0] = (struct vring_desc){ (u64)packet, 3, 0, 0 };
	offer(&net_queue[CONTROL], 0);
}

static const struct rule {
	const char *name;
	void (*break_it)(void);
	enum { RUNNING, SETTING_UP, WITHOUT_INDIRECT } when;
} rules[] = {
	{ "queue-size", queue_size, SETTING_UP },
	{ "queue-aligned", queue_aligned, SETTING_UP },
	{ "queue-outside", queue_outside, SETTING_UP },
	{ "index-jumps", index_jumps, RUNNING },
	{ "head-outside", head_outside, RUNNING },
	{ "next-outside", next_outside, RUNNING },
	{ "loop", loop, RUNNING },
	{ "buffer-outside", buffer_outside, RUNNING },
	{ "buffer-wraps", buffer_wraps, RUNNING },
	{ "buffer-too-long", buffer_too_long, RUNNING },
	{ "wrong-order", wrong_order, RUNNING },
	{ "table-nested", table_nested, RUNNING },
	{ "table-next", table_next, RUNNING },
	{ "table-length", table_length, RUNNING },
	{ "table-outside", table_outside, RUNNING },
	{ "table-entry", table_entry, RUNNING },
	{ "table-declined", table_declined, WITHOUT_INDIRECT },
	{ "transmit-writable", transmit_writable, RUNNING },
	{ "receive-readable", receive_readable, RUNNING },
	{ "receive-short", receive_short, RUNNING },
	{ "control-unanswerable", control_unanswerable, RUNNING },
};

static void set_up(const struct rule *r)
{
	u64 features = BIT(VIRTIO_NET_F_CTRL_VQ);

	if (r->when != WITHOUT_INDIRECT)
		features |= BIT(VIRTIO_RING_F_INDIRECT_DESC);
	net_open(features);
}

static void add_queues(void)
{
	net_add_queue(RX);
	net_add_queue(TX);
	if (net_features & BIT(VIRTIO_NET_F_CTRL_VQ))
		net_add_queue(CONTROL);
	net_start();
}

static bool needs_reset(void)
{
	return net_status() & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static bool was_told(void)
{
	return LOAD_ONCE(&net_config_changed);
}

static bool packet_sent(void)
{
	return queue_used(tx);
}

static u64 comes(bool (*what)(void))
{
	u64 until = clock_ns() + PATIENCE;

	while (!what() && clock_ns() < until)
		let_interrupts_in();
	return what();
}

static void run(const struct rule *r)
{
	set_up(r);
	if (r->when != SETTING_UP)
		add_queues();
	r->break_it();
	print("rule=%s\nneeds_reset=%u\n", r->name, comes(needs_reset));
	print("told=%u\n", r->when == SETTING_UP ? 0 : comes(was_told));
	set_up(r);
	add_queues();
	send(good());
	print("recovered=%u\n", comes(packet_sent));
}

void main(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
		if (param_is("rule", rules[i].name)) {
			run(&rules[i]);
			return;
		}
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
		print("rule=%s\n", rules[i].name);
	if (param("rule"))
		fail("there is no such rule");
}
