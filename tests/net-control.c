// SPDX-License-Identifier: MIT
/*
 * net-control.c - the control queue as its driver sees it: each command, right
 * and wrong, what it is answered, and where the queue is.  What commands do is
 * in net-settings.c and net-coal.c.  Clauses are those of virtio 1.3.
 */
#include "control.h"

static void start(enum kind kind, u64 features)
{
	bench_start((struct bench_setup){ .kind = kind, .features = features });
	rx_post_all();
}

/* --- what is answered -------------------------------------------------------- */

/* A command that is right, and what it takes to have it. */
static const struct right {
	u64 feature;
	u8 class, cmd;
	u32 len;
	u8 data[20];
} rights[] = {
	{ F(CTRL_RX), 0, 0, 1, { 1 } },
	{ F(CTRL_RX), 0, 1, 1, { 1 } },
	{ F(CTRL_RX) | F(CTRL_RX_EXTRA), 0, 2, 1, { 1 } },
	{ F(CTRL_RX) | F(CTRL_RX_EXTRA), 0, 3, 1, { 1 } },
	{ F(CTRL_RX) | F(CTRL_RX_EXTRA), 0, 4, 1, { 1 } },
	{ F(CTRL_RX) | F(CTRL_RX_EXTRA), 0, 5, 1, { 1 } },
	{ F(CTRL_RX), 1, 0, 20, { 1, 0, 0, 0, 2, 3, 4, 5, 6, 7, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1 } },
	{ F(CTRL_RX), 1, 0, 8, { 0 } },
	{ F(CTRL_MAC_ADDR), 1, 1, 6, { 2, 2, 2, 2, 2, 2 } },
	{ F(CTRL_VLAN), 2, 0, 2, { 0xff, 0x0f } },
	{ F(CTRL_VLAN), 2, 1, 2, { 7, 0 } },
	{ F(GUEST_ANNOUNCE), 3, 0, 0, { 0 } },
	{ F(CTRL_GUEST_OFFLOADS), 5, 0, 8, { 0 } },
	{ NET_F_NOTF_COAL, 6, 0, 8, { 1, 0, 0, 0, 1 } },
	{ NET_F_NOTF_COAL, 6, 1, 8, { 1, 0, 0, 0, 1 } },
	{ NET_F_VQ_NOTF_COAL, 6, 2, 12, { 1, 0, 0xee, 0xee, 1, 0, 0, 0, 1 } },
};

static void every_command(enum kind kind)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rights); i++) {
		const struct right *r = &rights[i];

		/* With just what it takes, and with all but one of that. */
		start(kind, V1 | F(CTRL_VQ) | r->feature);
		CHECK_EQ(command(r->class, r->cmd, r->data, r->len), OK);
		for (unsigned bit = 0; bit < 64; bit++) {
			if (!(r->feature & VIRTIO_BIT(bit)))
				continue;
			start(kind, FULL & ~VIRTIO_BIT(bit));
			CHECK_EQ(command(r->class, r->cmd, r->data, r->len), ERR);
			CHECK_EQ(counters().control.commands, 1);
			CHECK_EQ(counters().control.refused, 1);
		}
	}
}

static void wrong_lengths(enum kind kind)
{
	u8 data[40] = { 0 };

	start(kind, FULL);
	for (unsigned i = 0; i < ARRAY_SIZE(rights); i++)
		for (u32 len = 0; len <= 40; len++) {
			memcpy(data, rights[i].data, sizeof(rights[i].data));
			CHECK_EQ(command(rights[i].class, rights[i].cmd, data, len),
				 len == rights[i].len ? OK : ERR);
		}
	CHECK_EQ(counters().control.commands, ARRAY_SIZE(rights) * 41);
	CHECK_EQ(counters().control.refused, ARRAY_SIZE(rights) * 40);
}

static void unknown_commands(enum kind kind)
{
	u8 data[20] = { 0 };
	struct coal coal;

	start(kind, FULL);
	for (unsigned class = 0; class < 256; class++)
		for (unsigned cmd = 0; cmd < 256; cmd += cmd < 8 || cmd > 250 ? 1 : 41) {
			bool known = class == COAL && cmd == VQ_GET;

			for (unsigned i = 0; i < ARRAY_SIZE(rights); i++)
				known |= rights[i].class == class && rights[i].cmd == cmd;
			if (!known)
				for (u32 len = 0; len <= 12; len += len < 2 ? 1 : 2)
					CHECK_EQ(command((u8)class, (u8)cmd, data, len), ERR);
		}
	CHECK_EQ(counters().control.commands, counters().control.refused);
	/* Less than a class and a command. */
	CHECK_EQ(send_chain("", (u32[]){ 1 }, 1, (u32[]){ 1 }, 1), 1);
	CHECK_EQ(*answer_at(1), ERR);
	CHECK_EQ(send_chain("", NULL, 0, (u32[]){ 1 }, 1), 1);
	CHECK_EQ(*answer_at(0), ERR);
	CHECK_EQ(get_coal(0, &coal), OK);
}

static void wrong_values(enum kind kind)
{
	start(kind, FULL);
	for (u8 cmd = 0; cmd <= 5; cmd++) {
		CHECK_EQ(rx_mode(cmd, 0), OK);
		CHECK_EQ(rx_mode(cmd, 2), ERR);
		CHECK_EQ(rx_mode(cmd, 255), ERR);
	}
	for (u8 cmd = 0; cmd <= 1; cmd++) {
		CHECK_EQ(command_u16(VIRTIO_NET_CTRL_VLAN, cmd, 0), OK);
		CHECK_EQ(command_u16(VIRTIO_NET_CTRL_VLAN, cmd, 4095), OK);
		CHECK_EQ(command_u16(VIRTIO_NET_CTRL_VLAN, cmd, 4096), ERR);
		CHECK_EQ(command_u16(VIRTIO_NET_CTRL_VLAN, cmd, 65535), ERR);
	}
	/* Offloads: what was not negotiated, and what is none. */
	CHECK_EQ(set_offloads(F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN)), OK);
	CHECK_EQ(set_offloads(0), OK);
	CHECK_EQ(set_offloads(F(GUEST_CSUM) | NET_F_GUEST_USO4), ERR);
	CHECK_EQ(set_offloads(F(GUEST_UFO)), ERR);
	CHECK_EQ(set_offloads(F(CSUM)), ERR);
	CHECK_EQ(set_offloads(~0ULL), ERR);
	start(kind, FULL & ~F(GUEST_TSO6));
	CHECK_EQ(set_offloads(F(GUEST_CSUM) | F(GUEST_TSO4)), OK);
	CHECK_EQ(set_offloads(F(GUEST_CSUM) | F(GUEST_TSO6)), ERR);
	/* One pair only: there is no MQ to set. */
	for (u16 pairs = 0; pairs < 3; pairs++)
		CHECK_EQ(set_pairs(pairs), ERR);
}

/* Two tables, with counts that lie about what follows them. */
static void lying_tables(enum kind kind)
{
	static u8 data[COMMAND_ROOM];
	const struct { u32 uni, multi; s64 wrong; bool fine; } t[] = {
		{ 0, 0, 0, true }, { 1, 0, 0, true }, { 0, 1, 0, true }, { 64, 64, 0, true },
		{ 65, 0, 0, true }, { 0, 65, 0, true }, { 1000, 1000, 0, true }, { 4000, 1000, 0, true },
		{ 0, 5000, 0, true }, { 5000, 0, -1, false }, { 5000, 1, -6, false },
		{ 1, 1, 1, false }, { 1, 1, -1, false }, { 1, 1, -6, false }, { 1, 1, 6, false },
		{ 0, 0, 1, false }, { 64, 64, -12, false },
	};
	const u32 lies[] = { 0x40000000, 0x80000000, 0xffffffff, 0x2aaaaaab, 0x2aaaaaac, 0x15555556, 3 };

	start(kind, FULL);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		u32 second = 4 + 6 * t[i].uni, len = second + 4 + 6 * t[i].multi;

		memset(data, 2, sizeof(data));
		memcpy(data, &t[i].uni, 4);
		memcpy(data + second, &t[i].multi, 4);
		CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, len + (u32)t[i].wrong),
			 t[i].fine ? OK : ERR);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++)
		for (unsigned at = 0; at < 2; at++) {
			memset(data, 0, 32);
			memcpy(data + 4 * at, &lies[i], 4);
			CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, 8 + 6), ERR);
		}
	/* Counts of nothing, in front of much. */
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, 20000), ERR);
}

/* 2.7.4.1: however the chain is cut. */
static void any_layout(enum kind kind)
{
	u8 table[22] = { 1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 7, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1 };

	for (unsigned indirect = 0; indirect < 2; indirect++) {
		start(kind, indirect ? FULL : FULL & ~INDIRECT);
		for (u32 cut = 1; cut < sizeof(table); cut++) {
			const u32 out[] = { cut, (u32)sizeof(table) - cut };
			const u32 in[] = { 0, 1 };

			CHECK_EQ(send_chain(table, out, 2, in, 2), 1);
			CHECK_EQ(*answer_at(sizeof(table)), OK);
		}
		/* In crumbs, some of them of nothing. */
		u32 crumbs[26];

		for (unsigned i = 0; i < 26; i++)
			crumbs[i] = i % 13 < 2 ? 0 : 1;
		CHECK_EQ(send_chain(table, crumbs, 26, (u32[]){ 1 }, 1), 1);
		CHECK_EQ(*answer_at(22), OK);
		/* It did what it says. */
		CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
		wire_number(other, NO_VLAN, 1);
		wire_number(group, NO_VLAN, 2);
		CHECK_EQ(rx_number(), 1);
		CHECK_EQ(rx_number(), 2);
	}
}

/* A reply lies before the acknowledgement, which is wherever the driver's room is cut. */
static void reply_in_pieces(enum kind kind)
{
	const u8 get[] = { COAL, VQ_GET, 1, 0, 0, 0 }, set[] = { 0, 0, 1 };
	const u32 want[2] = { 0x01020304, 0x05060708 };

	start(kind, FULL);
	CHECK_EQ(set_coal_of(1, want[0], want[1]), OK);
	for (u32 cut = 1; cut < 9; cut++) {
		CHECK_EQ(send_chain(get, (u32[]){ 6 }, 1, (u32[]){ cut, 9 - cut }, 2), 9);
		CHECK(!memcmp(answer_at(6), want, 8));
		CHECK_EQ(answer_at(6)[8], OK);
	}
	CHECK_EQ(send_chain(get, (u32[]){ 1, 1, 1, 1, 1, 1 }, 6, (u32[]){ 1, 1, 1, 1, 1, 1, 1, 1, 1 }, 9), 9);
	CHECK(!memcmp(answer_at(6), want, 8));
	CHECK_EQ(answer_at(6)[8], OK);
	/* With too little room it is refused, wherever the driver looks for that. */
	for (u32 room = 1; room < 9; room++) {
		CHECK_EQ(send_chain(get, (u32[]){ 6 }, 1, &room, 1), room);
		for (u32 i = 0; i < room; i++)
			CHECK_EQ(answer_at(6)[i], ERR);
	}
	/* More room than that stays as it is. */
	CHECK_EQ(send_chain(get, (u32[]){ 6 }, 1, (u32[]){ 100 }, 1), 9);
	CHECK_EQ(answer_at(6)[8], OK);
	CHECK_EQ(answer_at(6)[9], UNANSWERED);
	CHECK_EQ(send_chain(set, (u32[]){ 3 }, 1, (u32[]){ 100 }, 1), 1);
	CHECK_EQ(answer_at(3)[0], OK);
	CHECK_EQ(answer_at(3)[1], UNANSWERED);
	/* A command that it does not know may have its answer anywhere. */
	CHECK(send_chain("\x08\x01", (u32[]){ 2 }, 1, (u32[]){ 1, 100 }, 2) >= 1);
	CHECK_EQ(*answer_at(2), ERR);
}

static void no_room_for_an_answer(enum kind kind)
{
	char said[4096];

	for (unsigned i = 0; i < 3; i++) {
		struct segment s = { .gpa = b.command, .len = 3 };

		start(kind, FULL);
		s.gpa = b.command;
		memcpy(guest_at(&b.g, b.command), (u8[3]){ 0 }, 3);
		CHECK_EQ(rx_mode(0, 1), OK);
		interrupts();
		stderr_capture();
		CHECK(ring_add(&b.control, &s, 1) >= 0);
		ring_show(&b.control);
		kick_if_asked(&b.control);
		CHECK(needs_reset());
		CHECK(wait_interrupt(PATIENCE_MS));
		CHECK(reg_read(b.dev, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
		poll(NULL, 0, 2);
		stderr_release(said, sizeof(said));
		CHECK_HAS(said, "net: control queue: ");
		CHECK_HAS(said, "without room for the answer");
		CHECK_EQ(ring_waiting(&b.control), 0);
		bench_reset();
		bench_up();
		rx_post_all();
		CHECK_EQ(rx_mode(0, 0), OK);
		wire_number(own, NO_VLAN, 3);
		CHECK_EQ(rx_number(), 3);
	}
}

/* Many at once: all are answered, in order, with packets in between. */
static void a_full_queue(enum kind kind)
{
	u16 head;
	u32 len;

	start(kind, FULL);
	for (unsigned i = 0; i < 20; i++) {
		u8 *p = guest_at(&b.g, b.command);

		ring_interrupts_on(&b.control);
		for (u32 k = 0; k < CONTROL_SIZE; k++, p += 16) {
			struct segment s[2] = {
				{ .gpa = b.command + 16 * k, .len = 4 },
				{ .gpa = b.command + 16 * k + 8, .len = 1, .write = true },
			};

			memcpy(p, (u8[4]){ 2, k & 1, (u8)k, k & 2 ? 0x10 : 0 }, 4);
			p[8] = UNANSWERED;
			CHECK(ring_add(&b.control, s, 2) >= 0);
		}
		ring_show(&b.control);
		kick_if_asked(&b.control);
		/* By interrupt this time: one for all will do. */
		CHECK(wait_used(&b.control, CONTROL_SIZE));
		p = guest_at(&b.g, b.command);
		for (u32 k = 0; k < CONTROL_SIZE; k++, p += 16) {
			CHECK_EQ(ring_take(&b.control, &head, &len), 1);
			CHECK_EQ(len, 1);
			CHECK_EQ(p[8], k & 2 ? ERR : OK);
		}
		wire_number(own, NO_VLAN, i);
		CHECK_EQ(rx_number(), i);
	}
	CHECK_EQ(counters().control.commands, 20 * CONTROL_SIZE);
	CHECK_EQ(counters().control.refused, 20 * CONTROL_SIZE / 2);
}

/* --- where it is ------------------------------------------------------------- */

static void its_index(enum kind kind)
{
	const struct { unsigned pairs; bool mq; unsigned index; } t[] = {
		{ 1, false, 2 }, { 2, true, 4 }, { 2, false, 2 }, { 4, true, 8 }, { 4, false, 2 },
		{ 16, true, 32 }, { 16, false, 2 },
	};
	struct coal coal;

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		bench_start((struct bench_setup){
			.kind = kind, .features = FULL | (t[i].mq ? F(MQ) : 0), .pairs = t[i].pairs,
			.queue_size = 64,
		});
		CHECK_EQ(2 * bench_pairs(), t[i].index);
		reg_write(b.dev, VIRTIO_MMIO_QUEUE_SEL, 2 * t[i].pairs);
		CHECK_EQ(reg_read(b.dev, VIRTIO_MMIO_QUEUE_NUM_MAX), 64);
		reg_write(b.dev, VIRTIO_MMIO_QUEUE_SEL, 2 * t[i].pairs + 1);
		CHECK_EQ(reg_read(b.dev, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		for (unsigned k = 0; k < 2; k++) {
			rx_post_all();
			CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
			wire_number(other, NO_VLAN, 1);
			wire_number(own, NO_VLAN, 2);
			CHECK_EQ(rx_number(), 2);
			CHECK_EQ(set_pairs(1), t[i].mq ? OK : ERR);
			/* Every queue has parameters but this one and those that are not there. */
			for (u16 q = 0; q < 40; q++)
				CHECK_EQ(get_coal(q, &coal), q < t[i].index ? OK : ERR);
			CHECK_EQ(get_coal(0xffff, &coal), ERR);
			/* And after a reset it is in the same place. */
			bench_reset();
			bench_up();
		}
	}
}

/* A queue that is not enabled has no parameters (5.1.6.5.8.6). */
static void queues_not_enabled(enum kind kind)
{
	struct coal coal;

	bench_start((struct bench_setup){
		.kind = kind, .features = FULL | F(MQ) | RING_RESET, .pairs = 2, .queue_size = 64,
	});
	for (u16 q = 0; q < 4; q++) {
		CHECK_EQ(set_coal(RX_SET, 1, 2), OK);
		CHECK_EQ(set_coal(TX_SET, 3, 4), OK);
		CHECK_EQ(set_coal_of(q, 50, 60), OK);
		reg_write(b.dev, VIRTIO_MMIO_QUEUE_SEL, q);
		reg_write(b.dev, 0x0c0, 1);
		CHECK_EQ(reg_read(b.dev, 0x0c0), 0);
		CHECK_EQ(get_coal(q, &coal), ERR);
		CHECK_EQ(set_coal_of(q, 7, 8), ERR);
		CHECK_EQ(get_coal(q ^ 1, &coal), OK);
		/* It comes back with what was set for all of its kind. */
		bench_pair(q / 2);
		ring_restart(q & 1 ? &b.tx : &b.rx);
		CHECK(driver_enable_queue(b.dev, q, q & 1 ? &b.tx.where : &b.rx.where));
		CHECK_EQ(get_coal(q, &coal), OK);
		CHECK_EQ(coal.max_packets, q & 1 ? 3 : 1);
		CHECK_EQ(coal.max_usecs, q & 1 ? 4 : 2);
		CHECK_EQ(get_coal(q ^ 2, &coal), OK);
	}
}

/* With MQ declined there are two queues and the one for control (5.1.2). */
static void queues_that_are_not_there(enum kind kind)
{
	bench_open((struct bench_setup){ .kind = kind, .features = FULL, .pairs = 4, .queue_size = 64 });
	CHECK(driver_negotiate(b.dev, b.setup.features));
	CHECK(driver_enable_queue(b.dev, 0, &b.rx.where));
	CHECK(driver_enable_queue(b.dev, 1, &b.tx.where));
	CHECK(driver_enable_queue(b.dev, 2, &b.control.where));
	bench_pair(1);
	CHECK(driver_enable_queue(b.dev, 3, &b.tx.where));
	CHECK(tx_add(1, 100, NULL));
	ring_show(&b.tx);
	CHECK(driver_enable_queue(b.dev, 8, &b.rx.where));
	driver_ok(b.dev);
	for (unsigned q = 2; q < 9; q++)
		driver_kick(b.dev, q);
	bench_pair(0);
	rx_post_all();
	wire_number(own, NO_VLAN, 1);
	CHECK_EQ(rx_number(), 1);
	CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	bench_pair(1);
	poll(NULL, 0, 5);
	CHECK(wire_is_silent());
	CHECK_EQ(ring_waiting(&b.tx), 0);
}

EACH(every_command)
EACH(wrong_lengths)
EACH(unknown_commands)
EACH(wrong_values)
EACH(lying_tables)
EACH(any_layout)
EACH(reply_in_pieces)
EACH(no_room_for_an_answer)
EACH(a_full_queue)
EACH(its_index)
EACH(queues_not_enabled)
EACH(queues_that_are_not_there)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("each command is taken with its features and refused without (5.1.6.5)", every_command),
		ROWS("a command of another length is refused", wrong_lengths),
		ROWS("an unknown command is refused", unknown_commands),
		ROWS("values that are not allowed are refused", wrong_values),
		ROWS("address tables whose counts lie are refused (5.1.6.5.2)", lying_tables),
		ROWS("a command may be cut in any way (2.7.4.1)", any_layout),
		ROWS("a reply comes before the acknowledgement, in any pieces", reply_in_pieces),
		ROWS("a command without room for the answer breaks the queue (2.1.2)", no_room_for_an_answer),
		ROWS("a full queue of commands is answered in order", a_full_queue),
		ROWS("the control queue is behind the others that the driver knows of (5.1.2)", its_index),
		ROWS("a queue that is not enabled has no parameters, and gets the common ones back (5.1.6.5.8)", queues_not_enabled),
		ROWS("queues that are not there are not served (5.1.2)", queues_that_are_not_there),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
