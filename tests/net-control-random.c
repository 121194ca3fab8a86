// SPDX-License-Identifier: MIT
/*
 * net-control-random.c - commands at random, and things at random that are no
 * commands, while frames go both ways: whatever the control queue is given,
 * the sanitizers are content, every command is answered or the device asks
 * for a reset, and a reset brings it all back.
 */
#include "control.h"

static u64 seed;
static char said[1 << 16];

static u32 below(u32 n)
{
	return (u32)(random_next(&seed) >> 32) % n;
}

/* Now and then a value that is just too large, or just not. */
static u32 a_value(void)
{
	const u32 edges[] = { 0, 1, 2, 3, 16, 17, 63, 64, 65, 255, 4095, 4096, 65535, 0x7fffffff, ~0u };

	return below(3) ? edges[below(ARRAY_SIZE(edges))] : below(~0u);
}

/* Something that is nearly a command; its length. */
static u32 make_command(u8 *p)
{
	const u32 lens[] = { 0, 1, 2, 4, 6, 8, 12, 14, 20, 400, 4000 };
	u32 len = 2 + lens[below(ARRAY_SIZE(lens))], v;

	random_fill(p, len, random_next(&seed));
	p[0] = below(16) ? (u8)below(7) : (u8)below(256);
	p[1] = below(16) ? (u8)below(6) : (u8)below(256);
	for (u32 at = 2; at + 4 <= len; at += 4)
		if (below(2)) {
			v = a_value();
			memcpy(p + at, &v, 4);
		}
	/* Half of the tables have counts that are right. */
	if (p[0] == VIRTIO_NET_CTRL_MAC && p[1] == 0 && below(2)) {
		u32 uni = below(100), multi = below(100);

		memcpy(p + 2, &uni, 4);
		memcpy(p + 2 + 4 + 6 * uni, &multi, 4);
		len = 2 + 8 + 6 * (uni + multi);
	}
	v = below(8);
	return below(20) ? len : len - MIN(len, v);
}

/* Cut n bytes into at most max pieces. */
static unsigned cut(u32 n, u32 *piece, unsigned max)
{
	unsigned k = 0;

	while (n && k < max - 1 && below(3)) {
		piece[k] = below(n + 1);
		n -= piece[k++];
	}
	piece[k++] = n;
	return k;
}

static bool is_broken(void)
{
	return reg_read(b.dev, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* One chain, a command or not; false when the device has had enough. */
static bool one_chain(void)
{
	static u8 what[COMMAND_ROOM];
	struct segment s[RING_TABLE];
	u32 out[12], in[6], len = make_command(what), room = below(4) ? 1 : below(20);
	unsigned n_out = cut(len, out, 12), n_in = cut(room, in, 6), n = 0;
	u64 at = b.command, end = now_ms() + PATIENCE_MS;
	u16 head;

	memcpy(guest_at(&b.g, at), what, len);
	for (unsigned i = 0; i < n_out; i++, n++, at += s[n - 1].len)
		s[n] = (struct segment){ .gpa = at, .len = out[i] };
	for (unsigned i = 0; i < n_in; i++, n++, at += s[n - 1].len)
		s[n] = (struct segment){ .gpa = at, .len = in[i], .write = true };
	if (!below(200))
		s[below(n)].gpa = random_next(&seed);
	if (!below(200))
		s[below(n)].write ^= true;
	if (!below(200))
		s[below(n)].len = a_value();
	if (ring_add(&b.control, s, n) < 0)
		return true;
	ring_show(&b.control);
	kick_if_asked(&b.control);
	while (!ring_waiting(&b.control)) {
		if (is_broken())
			return false;
		CHECK(now_ms() < end);
		sched_yield();
	}
	CHECK_EQ(ring_take(&b.control, &head, &len), 1);
	return true;
}

/* Traffic of all pairs that are there; nobody minds what becomes of it. */
static void stir(void)
{
	u8 byte;
	u16 head;
	u32 len;

	for (unsigned i = 0; i < bench_pairs(); i++) {
		bench_pair(i);
		wire_number(below(2) ? own : below(2) ? group : other, below(3) ? NO_VLAN : (int)below(65536), 1);
		if (below(2)) {
			tx_add(1, 60 + below(1000), NULL);
			tx_show();
		}
		while (recv(b.wire, &byte, 1, 0) >= 0)
			;
		while (ring_take(&b.rx, &head, &len) > 0 || ring_take(&b.tx, &head, &len) > 0)
			;
		rx_post_all();
	}
	bench_pair(0);
}

static void works_again(void)
{
	u8 byte;

	for (unsigned i = 0; i < bench_pairs(); i++) {
		bench_pair(i);
		while (recv(b.wire, &byte, 1, 0) >= 0)
			;
	}
	bench_up();
	rx_post_all();
	wire_send(1, 1000);
	rx_expect(1, 1000);
	CHECK(tx_add(2, 1000, NULL));
	tx_show();
	wire_expect(2, 1000);
	CHECK_EQ(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	wire_number(other, NO_VLAN, 3);
	wire_number(own, NO_VLAN, 4);
	CHECK_EQ(rx_number(), 4);
}

static void random_commands(enum kind kind)
{
	const u64 features[] = { FULL | F(MQ) | USO | RING_RESET, (FULL | F(MQ)) & ~(EVENT | INDIRECT), FULL };
	unsigned broken = 0;

	for (unsigned round = 0; round < 24; round++) {
		seed = 100 * round + kind + 1;
		bench_start((struct bench_setup){
			.kind = kind, .features = features[round % 3], .pairs = 1 + round % 4, .uso = true,
			.queue_size = 128, .irq = (enum net_irq_policy)(round % 5), .irq_usecs = 50,
		});
		for (unsigned life = 0; life < 8; life++) {
			stderr_capture();
			for (unsigned i = 0; i < 100; i++) {
				if (i % 4 == 0)
					stir();
				if (!one_chain()) {
					broken++;
					break;
				}
				if (!below(50))
					net_set_link(b.net, below(2));
			}
			bench_reset();
			stderr_release(said, sizeof(said));
			works_again();
			bench_reset();
			bench_up();
		}
	}
	CHECK(broken > 5);
}

/* A ring of bytes at random in the control queue's place, and a hundred of them. */
static void random_rings(enum kind kind)
{
	struct virtq_layout where;

	bench_open((struct bench_setup){ .kind = kind, .features = FULL | F(MQ), .pairs = 2, .queue_size = 128 });
	where = b.control.where;
	for (unsigned round = 0; round < 400; round++) {
		seed = round + 1;
		stderr_capture();
		bench_up();
		/* Some of it makes sense: descriptors in memory, a small index. */
		random_fill(guest_at(&b.g, where.desc), 16 * CONTROL_SIZE, round);
		random_fill(guest_at(&b.g, where.avail), 2 * CONTROL_SIZE, round);
		for (unsigned i = 0; i < CONTROL_SIZE; i++) {
			b.control.desc[i].addr = below(30) ? b.command + below(64) : b.control.desc[i].addr;
			b.control.desc[i].len = below(30) ? below(64) : b.control.desc[i].len;
			b.control.desc[i].flags = (u16)below(below(30) ? 4 : 8);
			b.control.desc[i].next = (u16)below(below(30) ? CONTROL_SIZE : 65536);
			b.control.avail->ring[i] = (u16)below(below(30) ? CONTROL_SIZE : 65536);
			memcpy(guest_at(&b.g, b.command + below(64)), (u8[2]){ (u8)below(7), (u8)below(4) }, 2);
		}
		STORE_RELEASE(&b.control.avail->idx, (u16)below(below(10) ? CONTROL_SIZE + 1 : 65536));
		driver_kick(b.dev, 4);
		stir();
		bench_reset();
		stderr_release(said, sizeof(said));
		/* It says at most which rule was broken. */
		if (round % 10 == 9)
			works_again();
	}
}

EACH(random_commands)
EACH(random_rings)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("whatever commands it is given, a reset brings it all back", random_commands),
		ROWS("whatever lies in the control queue's ring, a reset brings it all back", random_rings),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
