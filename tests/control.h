/* SPDX-License-Identifier: MIT */
/*
 * control.h - commands on the control queue of the bench in wire.h, frames
 * that filters can tell apart, and a stand-in for what tap.c does to a real
 * tap: what the device asks of it is noted, and can be refused.
 */
#ifndef RINGLET_TESTS_CONTROL_H
#define RINGLET_TESTS_CONTROL_H

#include <linux/if_tun.h>
#include <sched.h>

#include "wire.h"

/* --- the tap ----------------------------------------------------------------- */

static struct {
	unsigned offloads; /* TUN_F_* */
	bool refuses;
	unsigned sets, moves; /* how often offloads were set, queues moved */
	bool detached[NET_MAX_PAIRS];
	unsigned read_while_detached; /* times a queue was let go with reads in it */
	unsigned header[NET_MAX_PAIRS];
	int program; /* that steers, or -1 */
	bool refuses_programs;
} tap;

int tap_set_offload(int fd, unsigned offload)
{
	(void)fd;
	if (LOAD_ONCE(&tap.refuses))
		return -EINVAL;
	STORE_ONCE(&tap.offloads, offload);
	__atomic_fetch_add(&tap.sets, 1, __ATOMIC_SEQ_CST);
	return 0;
}

/* A read of a queue that tun has detached fails, and enough of them end it. */
int tap_attach_queue(int fd, bool attach)
{
	for (unsigned i = 0; i < b.net->pairs; i++) {
		if (b.net->tap_fd[i] != fd || LOAD_ONCE(&tap.detached[i]) == !attach)
			continue;
		STORE_ONCE(&tap.detached[i], !attach);
		__atomic_fetch_add(&tap.moves, 1, __ATOMIC_SEQ_CST);
		if (!attach && b.net->worker[i]->rx.in_flight)
			__atomic_fetch_add(&tap.read_while_detached, 1, __ATOMIC_SEQ_CST);
	}
	return 0;
}

int tap_set_header(int fd, unsigned size)
{
	for (unsigned i = 0; i < b.net->pairs; i++)
		if (b.net->tap_fd[i] == fd)
			STORE_ONCE(&tap.header[i], size);
	return 0;
}

int tap_steer(int fd, int program)
{
	(void)fd;
	if (LOAD_ONCE(&tap.refuses_programs))
		return -EINVAL;
	STORE_ONCE(&tap.program, program);
	return 0;
}

/* A driver that wants all there is for one pair, and can reset it as a whole. */
#define FULL (USUAL | CONTROL)

/* --- commands ---------------------------------------------------------------- */

#define OK VIRTIO_NET_OK
#define ERR VIRTIO_NET_ERR
#define UNANSWERED 0x55 /* what the driver puts where the answer will be */

enum { COAL = 6, TX_SET = 0, RX_SET, VQ_SET, VQ_GET };

struct coal {
	u32 max_packets, max_usecs;
};

struct coal_vq {
	u16 queue, reserved;
	struct coal coal;
};

/* 2.6.2: wait for the control queue as Linux does, which is by looking. */
static inline bool wait_control(void)
{
	u64 end = now_ms() + PATIENCE_MS;

	while (!ring_waiting(&b.control)) {
		if (now_ms() > end)
			return false;
		sched_yield();
	}
	return true;
}

/*
 * Send a chain as it is: the first n_out segments of so many bytes each are
 * the command, the others room for the answer.  How many bytes were answered.
 */
static inline u32 send_chain(const void *what, const u32 *out, unsigned n_out, const u32 *in,
			     unsigned n_in)
{
	struct segment s[RING_TABLE];
	u64 at = b.command;
	u16 head;
	u32 len, total = 0;

	for (unsigned i = 0; i < n_out; i++)
		total += out[i];
	memcpy(guest_at(&b.g, at), what, total);
	for (unsigned i = 0; i < n_out + n_in; i++) {
		s[i] = (struct segment){ .gpa = at, .len = i < n_out ? out[i] : in[i - n_out], .write = i >= n_out };
		if (s[i].write)
			memset(guest_at(&b.g, at), UNANSWERED, s[i].len);
		at += s[i].len;
	}
	CHECK(at <= b.command + COMMAND_ROOM);
	ring_interrupts_off(&b.control);
	CHECK(ring_add(&b.control, s, n_out + n_in) >= 0);
	ring_show(&b.control);
	kick_if_asked(&b.control);
	CHECK(wait_control());
	CHECK_EQ(ring_take(&b.control, &head, &len), 1);
	return len;
}

/* The answer to the last chain, behind its total bytes of command. */
static inline const u8 *answer_at(u32 total)
{
	return guest_at(&b.g, b.command + total);
}

/* A command as Linux sends it; its acknowledgement. */
static inline int command(u8 class, u8 cmd, const void *data, u32 len)
{
	static u8 what[COMMAND_ROOM];
	const u32 out[] = { 2, len }, in[] = { 1 };

	what[0] = class;
	what[1] = cmd;
	if (len)
		memcpy(what + 2, data, len);
	CHECK_EQ(send_chain(what, out, len ? 2 : 1, in, 1), 1);
	return *answer_at(2 + len);
}

static inline int command_u8(u8 class, u8 cmd, u8 v)
{
	return command(class, cmd, &v, sizeof(v));
}

static inline int command_u16(u8 class, u8 cmd, u16 v)
{
	return command(class, cmd, &v, sizeof(v));
}

static inline int rx_mode(u8 cmd, u8 on)
{
	return command_u8(VIRTIO_NET_CTRL_RX, cmd, on);
}

static inline int set_pairs(u16 pairs)
{
	return command_u16(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs);
}

static inline int set_offloads(u64 features)
{
	return command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &features, 8);
}

static inline int set_coal(u8 cmd, u32 packets, u32 usecs)
{
	return command(COAL, cmd, &(struct coal){ packets, usecs }, sizeof(struct coal));
}

static inline int set_coal_of(u16 queue, u32 packets, u32 usecs)
{
	return command(COAL, VQ_SET, &(struct coal_vq){ queue, 0xffff, { packets, usecs } },
		       sizeof(struct coal_vq));
}

/* VQ_GET: what was written before the acknowledgement (virtio 1.3, 5.1.6.5.8). */
static inline int get_coal(u16 queue, struct coal *to)
{
	u8 what[6] = { COAL, VQ_GET, (u8)queue, (u8)(queue >> 8), 0xff, 0xff };
	u32 n = send_chain(what, (u32[]){ 2, 4 }, 2, (u32[]){ sizeof(*to), 1 }, 2);

	CHECK_EQ(n, sizeof(*to) + 1);
	memcpy(to, answer_at(6), sizeof(*to));
	return answer_at(6)[sizeof(*to)];
}

/* --- frames ------------------------------------------------------------------ */

#define FRAME 100u
#define NO_VLAN (-1)

static const u8 own[6] = { 2, 0, 0, 1, 2, 3 } /* the device's, as made */, other[6] = { 2, 0, 0, 0, 0, 7 };
static const u8 group[6] = { 1, 0, 0x5e, 0, 0, 1 }, all[6] = { 255, 255, 255, 255, 255, 255 };

/* A frame to that address, perhaps in a VLAN, that carries a number. */
static inline void wire_number(const u8 to[6], int vlan, u32 number)
{
	u8 frame[HEADER + FRAME] = { 0 }, *p = frame + HEADER;

	memcpy(p, to, 6);
	memcpy(p + 6, (u8[6]){ 2, 9, 9, 9, 9, 9 }, 6);
	p += 12;
	if (vlan != NO_VLAN) {
		*p++ = 0x81;
		*p++ = 0x00;
		*p++ = (u8)(vlan >> 8);
		*p++ = (u8)vlan;
	}
	*p++ = 0x08;
	*p++ = 0x00;
	memcpy(frame + sizeof(frame) - 4, &number, 4);
	CHECK_EQ(send(b.wire, frame, sizeof(frame), MSG_NOSIGNAL), sizeof(frame));
}

/* The number of the next frame received. */
static inline u32 rx_number(void)
{
	static u8 frame[HEADER + LARGEST + 8192];
	struct virtio_net_hdr_v1 h;
	u32 total, number;

	CHECK(wait_used(&b.rx, 1));
	CHECK(rx_take(frame, &total, &h));
	CHECK_EQ(total, HEADER + FRAME);
	memcpy(&number, frame + total - 4, 4);
	return number;
}

#endif
