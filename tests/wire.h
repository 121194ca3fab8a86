/* SPDX-License-Identifier: MIT */
/*
 * wire.h - a network device on the bench: its driver on one side, and on the
 * other, where the tap would be, one end of a socket pair.
 *
 * The socket keeps datagrams apart and cuts one to the size of the read, as a
 * tap does; the tap's ioctls fail on it, which the device puts up with.  There
 * is one bench at a time; a test that failed leaves it to the next to clear.
 */
#ifndef RINGLET_TESTS_WIRE_H
#define RINGLET_TESTS_WIRE_H

#include <errno.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../devices/net_worker.h"
#include "barrier.h"
#include "check.h"
#include "clock.h"
#include "driver.h"
#include "engines.h"

#define V1 VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define EVENT VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define F(name) VIRTIO_BIT(VIRTIO_NET_F_##name)
#define OFFLOADS (F(CSUM) | F(GUEST_CSUM) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN) | \
		  F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN))
/* What Linux takes of a device such as this. */
#define USUAL (V1 | EVENT | INDIRECT | F(MAC) | F(STATUS) | F(MTU) | F(MRG_RXBUF) | OFFLOADS)
#define CONTROL (F(CTRL_VQ) | F(CTRL_RX) | F(CTRL_RX_EXTRA) | F(CTRL_VLAN) | F(CTRL_MAC_ADDR) | \
		 F(CTRL_GUEST_OFFLOADS) | F(GUEST_ANNOUNCE) | NET_F_NOTF_COAL | NET_F_VQ_NOTF_COAL)
#define RING_RESET VIRTIO_BIT(40)
#define SPEED_DUPLEX VIRTIO_BIT(63)
#define USO (NET_F_HOST_USO | NET_F_GUEST_USO)
/* All that is offered by a device with one pair, on a tap without UDP segmentation. */
#define OFFERED (USUAL | CONTROL | RING_RESET | SPEED_DUPLEX | F(HASH_REPORT))

#define HEADER 12u
#define LARGEST 65550u /* bytes of the largest frame without its header */
#define GAP 64u	       /* bytes between receive buffers that nobody may touch */
#define PATIENCE_MS 5000

struct bench_setup {
	enum kind kind;
	u64 features;	/* 0: USUAL */
	u16 queue_size; /* 0: 256 */
	u32 rx_len;	/* bytes of a receive buffer; 0: 1526 */
	u16 rx_parts;	/* segments that it is made of; 0: 1 */
	u32 tx_len;	/* bytes of the largest frame sent; 0: 1514 */
	bool strict;
	bool datagram; /* SOCK_DGRAM instead of SOCK_SEQPACKET */
	unsigned pairs; /* 0: 1 */
	bool uso;	/* a tap that takes UDP segmentation */
	struct steering *steering;
	u64 declined;
	enum net_irq_policy irq;
	u32 irq_usecs;
	bool no_spin;
	const struct chaos_config *chaos;
	void (*before_start)(void);
};

/* The driver's half of a queue pair, and the wire that belongs to it. */
struct side {
	struct ring rx, tx;
	u64 rx_base, tx_base; /* gpa of the buffers: one per head */
	int wire, tap;
};

static struct bench {
	struct bench_setup setup;
	struct guest g;
	struct net *net;
	struct virtio_dev *dev;
	/* The pair at hand, see bench_pair(): as in struct side. */
	unsigned pair;
	int wire, tap;
	struct ring rx, tx;
	u64 rx_base, tx_base;
	struct side side[NET_MAX_PAIRS]; /* the others */
	u32 rx_stride, tx_stride;
	struct ring control;
	u64 command; /* gpa of COMMAND_ROOM bytes for what is sent there */
} b;

#define CONTROL_SIZE 64
#define COMMAND_ROOM 32768u

/* From here on b.rx, b.tx and b.wire are those of that pair. */
static inline void bench_pair(unsigned i)
{
	struct side *s = &b.side[b.pair];

	if (i == b.pair)
		return;
	*s = (struct side){ b.rx, b.tx, b.rx_base, b.tx_base, b.wire, b.tap };
	s = &b.side[i];
	b.rx = s->rx;
	b.tx = s->tx;
	b.rx_base = s->rx_base;
	b.tx_base = s->tx_base;
	b.wire = s->wire;
	b.tap = s->tap;
	b.pair = i;
}

static inline void bench_close(void)
{
	if (b.net)
		net_free(b.net);
	for (unsigned i = 0; i < NET_MAX_PAIRS; i++) {
		bench_pair(i);
		if (b.wire > 0)
			close(b.wire);
		if (b.tap > 0)
			close(b.tap);
	}
	if (b.g.mem.n)
		guest_close(&b.g);
	memset(&b, 0, sizeof(b));
}

/* A device and its memory, no driver yet. */
static inline void bench_open(struct bench_setup setup)
{
	struct net_params p = {
		.mac = { 2, 0, 0, 1, 2, 3 },
		.mtu = 1500,
		.queue_size = setup.queue_size ? setup.queue_size : 256,
		.poll_engine = setup.kind == POLL,
		.strict = setup.strict,
		.pairs = setup.pairs ? setup.pairs : 1,
		.declined = setup.declined,
		.irq = setup.irq,
		.irq_usecs = setup.irq_usecs,
		.spin = !setup.no_spin,
		.chaos = setup.chaos,
		.tap_uso = setup.uso,
		.tap_name = "tap9",
		.steering = setup.steering,
	};
	int s[2], size = 212992; /* what every host allows */
	int taps[NET_MAX_PAIRS];
	u64 per_queue = (u64)p.queue_size * (16 * RING_TABLE + 32);
	char err[200];

	bench_close();
	setup.features = setup.features ? setup.features : USUAL;
	setup.queue_size = p.queue_size;
	setup.pairs = p.pairs;
	setup.rx_len = setup.rx_len ? setup.rx_len : 1526;
	setup.rx_parts = setup.rx_parts ? setup.rx_parts : 1;
	setup.tx_len = setup.tx_len ? setup.tx_len : 1514;
	b.setup = setup;
	b.tx_stride = ALIGN_UP(setup.tx_len + HEADER + GAP, 64);
	b.rx_stride = ALIGN_UP(setup.rx_len + GAP, 64);

	/* Rings and what is sent in low memory, what is received in high. */
	guest_open(&b.g, ALIGN_UP(p.pairs * (2 * per_queue + (u64)p.queue_size * b.tx_stride + 4096) +
				  (u64)CONTROL_SIZE * (16 * RING_TABLE + 32) + COMMAND_ROOM + 8192, 4096),
		   ALIGN_UP((u64)p.pairs * p.queue_size * b.rx_stride, 4096));
	for (unsigned i = 0; i < p.pairs; i++) {
		bench_pair(i);
		CHECK_EQ(socketpair(AF_UNIX, (setup.datagram ? SOCK_DGRAM : SOCK_SEQPACKET) |
				    SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s), 0);
		for (unsigned k = 0; k < 2; k++)
			setsockopt(s[k], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		b.tap = taps[i] = s[0];
		b.wire = s[1];
		ring_init(&b.rx, &b.g, p.queue_size, setup.features & EVENT, setup.features & INDIRECT);
		ring_init(&b.tx, &b.g, p.queue_size, setup.features & EVENT, setup.features & INDIRECT);
		b.tx_base = guest_alloc(&b.g, 0, (u64)p.queue_size * b.tx_stride, 64);
		b.rx_base = guest_alloc(&b.g, 1, (u64)p.queue_size * b.rx_stride, 64);
	}
	bench_pair(0);
	ring_init(&b.control, &b.g, MIN(CONTROL_SIZE, p.queue_size), setup.features & EVENT,
		  setup.features & INDIRECT);
	b.command = guest_alloc(&b.g, 0, COMMAND_ROOM, 64);
	p.tap_fd = taps;

	b.net = net_new(&p, &b.g.mem, err, sizeof(err));
	CHECK(b.net);
	b.dev = net_virtio(b.net);
	b.setup.features &= b.dev->offered; /* a small ring is offered less */
	if (setup.kind != POLL && strcmp(net_engine_name(b.net), "io_uring"))
		SKIP("io_uring is switched off here");
	for (unsigned i = 0; setup.kind == URING_WAITING && i < p.pairs; i++)
		b.net->worker[i]->engine->nowait = false;
	if (setup.before_start)
		setup.before_start();
	CHECK_EQ(net_start(b.net), 0);
}

/* Pairs that this driver knows of, and where its control queue is (5.1.2). */
static inline unsigned bench_pairs(void)
{
	return b.setup.features & (F(MQ) | F(RSS)) ? b.setup.pairs : 1;
}

/* A driver from FEATURES_OK to DRIVER_OK, with empty rings, at pair 0. */
static inline void bench_queues(void)
{
	for (unsigned i = bench_pairs(); i--;) {
		bench_pair(i);
		ring_restart(&b.rx);
		ring_restart(&b.tx);
		CHECK(driver_enable_queue(b.dev, net_rxq(i), &b.rx.where));
		CHECK(driver_enable_queue(b.dev, net_txq(i), &b.tx.where));
	}
	ring_restart(&b.control);
	if (b.setup.features & F(CTRL_VQ))
		CHECK(driver_enable_queue(b.dev, 2 * bench_pairs(), &b.control.where));
	driver_ok(b.dev);
}

/* The same from reset on. */
static inline void bench_up(void)
{
	CHECK(driver_negotiate(b.dev, b.setup.features));
	bench_queues();
}

static inline void bench_start(struct bench_setup setup)
{
	bench_open(setup);
	bench_up();
}

static inline void bench_reset(void)
{
	reg_write(b.dev, VIRTIO_MMIO_STATUS, 0);
}

static inline struct net_counters counters(void)
{
	struct net_counters c;

	net_read_counters(b.net, &c);
	return c;
}

static inline u64 now_ms(void)
{
	return clock_of(CLOCK_MONOTONIC_RAW) / 1000000;
}

/* Interrupts since the last call. */
static inline u64 interrupts(void)
{
	u64 n = 0;

	return read(b.dev->irq_fd, &n, sizeof(n)) > 0 ? n : 0;
}

static inline bool wait_interrupt(int ms)
{
	struct pollfd p = { .fd = b.dev->irq_fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static inline void kick_if_asked(struct ring *r)
{
	if (ring_must_kick(r))
		driver_kick(b.dev, r == &b.control ? 2 * bench_pairs() : 2 * b.pair + (r == &b.tx));
}

/*
 * Wait as a driver does, by interrupt and nothing else, for n used entries:
 * one that does not come is a failure.
 */
static inline bool wait_used_for(struct ring *r, u16 n, int ms)
{
	u64 end = now_ms() + (u64)ms;

	while (ring_waiting(r) < n) {
		s64 left = (s64)(end - now_ms());

		/* "Tell me of the next": the entries that are there are not yet taken. */
		if (r->event_idx)
			STORE_ONCE(ring_used_event(r), (u16)(r->seen + n - 1));
		else
			STORE_ONCE(&r->avail->flags, 0);
		smp_mb();
		if (ring_waiting(r) >= n)
			break;
		if (left <= 0 || !wait_interrupt((int)left))
			return false; /* even if it is there: nobody told us */
		interrupts();
	}
	return true;
}

static inline bool wait_used(struct ring *r, u16 n)
{
	return wait_used_for(r, n, PATIENCE_MS);
}

static inline bool wait_count(const u64 *counter, u64 at_least)
{
	u64 end = now_ms() + PATIENCE_MS;

	while (LOAD_ONCE(counter) < at_least) {
		if (now_ms() > end)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

/* A counter of the pair's own worker, to wait for. */
#define COUNTER(name) (&b.net->worker[b.pair]->count.name)

/* --- host to guest ----------------------------------------------------------- */

static inline u64 rx_buffer(u16 head)
{
	return b.rx_base + (u64)head * b.rx_stride;
}

/* Post n empty buffers; how many there was room for. */
static inline unsigned rx_post_buffers(unsigned n)
{
	unsigned i;

	for (i = 0; i < n && b.rx.n_free; i++) {
		struct segment s[RING_TABLE];
		u64 at = rx_buffer(b.rx.free);
		u32 left = b.setup.rx_len;
		unsigned parts = b.setup.rx_parts;

		memset(guest_at(&b.g, at), 0xee, b.rx_stride);
		for (unsigned k = 0; k < parts; k++) {
			u32 len = k == parts - 1 ? left : b.setup.rx_len / parts;

			s[k] = (struct segment){ .gpa = at, .len = len, .write = true };
			at += len;
			left -= len;
		}
		if (ring_add(&b.rx, s, parts) < 0)
			break;
	}
	ring_show(&b.rx);
	kick_if_asked(&b.rx);
	return i;
}

static inline unsigned rx_post_all(void)
{
	return rx_post_buffers(b.setup.queue_size);
}

/* Put a frame on the wire: its content depends on number and length. */
static inline bool wire_try_send(u32 number, u32 len, const struct virtio_net_hdr_v1 *h)
{
	static u8 frame[HEADER + LARGEST + 4096];

	memset(frame, 0, HEADER);
	if (h)
		memcpy(frame, h, HEADER);
	random_fill(frame + HEADER, len, ((u64)len << 32) + number);
	return send(b.wire, frame, HEADER + len, MSG_NOSIGNAL) == (ssize_t)(HEADER + len);
}

static inline void wire_send(u32 number, u32 len)
{
	CHECK(wire_try_send(number, len, NULL));
}

/* Take the next frame from the receive ring, if it is whole there. */
static inline bool rx_take(u8 *frame, u32 *total, struct virtio_net_hdr_v1 *h)
{
	u16 head;
	u32 len, n = 1;

	*total = 0;
	for (u32 i = 0; i < n; i++) {
		const u8 *at;

		if (ring_take(&b.rx, &head, &len) != 1)
			return false;
		at = guest_at(&b.g, rx_buffer(head));
		if (len > b.setup.rx_len || *total + len > HEADER + LARGEST + 4096)
			return false;
		memcpy(frame + *total, at, len);
		*total += len;
		if (!i) {
			memcpy(h, at, HEADER);
			n = h->num_buffers;
			if (!n)
				return false;
		}
		/* 5.1.6.4: all but the last are used whole. */
		if (i < n - 1 && len != b.setup.rx_len)
			return false;
		/* Nothing behind the buffer is touched. */
		for (u32 k = b.setup.rx_len; k < b.rx_stride; k++)
			if (at[k] != 0xee)
				return false;
	}
	return true;
}

/* The next frame received is this one, to the byte. */
static inline void rx_expect(u32 number, u32 len)
{
	static u8 got[HEADER + LARGEST + 8192], want[LARGEST + 4096];
	struct virtio_net_hdr_v1 h;
	u32 total, room = b.setup.rx_len;

	CHECK(wait_used(&b.rx, 1));
	CHECK(rx_take(got, &total, &h));
	CHECK_EQ(total, HEADER + len);
	random_fill(want, len, ((u64)len << 32) + number);
	CHECK(!memcmp(got + HEADER, want, len));
	CHECK_EQ(h.num_buffers, (total + room - 1) / room);
	CHECK(!memcmp(&h, (u8[10]){ 0 }, 10));
}

/* --- guest to host ----------------------------------------------------------- */

static inline u64 tx_buffer(u16 head)
{
	return b.tx_base + (u64)head * b.tx_stride;
}

/*
 * Make a frame available: header and data lie in parts, whose lengths are
 * given (0 ends the list, the last part takes the rest).
 */
static inline bool tx_add(u32 number, u32 len, const u32 *parts)
{
	struct segment s[RING_TABLE];
	u64 at = tx_buffer(b.tx.free);
	u8 *p = guest_at(&b.g, at);
	u32 left = HEADER + len;
	unsigned n = 0;

	if (!b.tx.n_free || (!b.tx.indirect && b.tx.n_free < 8))
		return false;
	memset(p, 0, HEADER);
	random_fill(p + HEADER, len, ((u64)len << 32) + number);
	for (; parts && *parts && *parts < left; parts++) {
		s[n++] = (struct segment){ .gpa = at, .len = *parts };
		at += *parts;
		left -= *parts;
	}
	s[n++] = (struct segment){ .gpa = at, .len = left };
	return ring_add(&b.tx, s, n) >= 0;
}

static inline void tx_show(void)
{
	ring_show(&b.tx);
	kick_if_asked(&b.tx);
}

/* The next frame on the wire is this one, to the byte. */
static inline void wire_expect(u32 number, u32 len)
{
	static u8 got[HEADER + LARGEST + 8192], want[HEADER + LARGEST + 4096];
	struct pollfd p = { .fd = b.wire, .events = POLLIN };

	CHECK_EQ(poll(&p, 1, PATIENCE_MS), 1);
	CHECK_EQ(recv(b.wire, got, sizeof(got), 0), HEADER + len);
	memset(want, 0, HEADER);
	random_fill(want + HEADER, len, ((u64)len << 32) + number);
	CHECK(!memcmp(got, want, HEADER + len));
}

static inline bool wire_is_silent(void)
{
	u8 byte;

	return recv(b.wire, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

/* Everything sent so far comes back, all with length 0. */
static inline void tx_reap(unsigned n)
{
	u16 head;
	u32 len;

	while (n--) {
		CHECK(wait_used(&b.tx, 1));
		CHECK_EQ(ring_take(&b.tx, &head, &len), 1);
		CHECK_EQ(len, 0);
	}
}

/* A frame is received, another one sent, and its buffer comes back. */
static inline void one_each_way(u32 number, u32 rx_len, u32 tx_len)
{
	wire_send(number, rx_len);
	rx_expect(number, rx_len);
	CHECK(tx_add(number, tx_len, NULL));
	tx_show();
	wire_expect(number, tx_len);
	tx_reap(1);
}

static inline bool needs_reset(void)
{
	u64 end = now_ms() + PATIENCE_MS;

	while (!(reg_read(b.dev, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		if (now_ms() > end)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

/* --- memory that nobody is to touch ------------------------------------------- */

#define PATTERN 0x5a

static inline void paint(void)
{
	for (unsigned i = 0; i < b.g.mem.n; i++)
		memset(b.g.view[i], PATTERN, b.g.mem.region[i].size);
}

static inline bool is_painted(void)
{
	for (unsigned i = 0; i < b.g.mem.n; i++) {
		const u8 *p = b.g.view[i];

		if (*p != PATTERN || memcmp(p, p + 1, b.g.mem.region[i].size - 1))
			return false;
	}
	return true;
}

#endif
