// SPDX-License-Identifier: MIT
/*
 * netecho.c - a neighbour that answers: ARP, ping, and UDP to port 7, whatever
 * their size.  With blast=N it sends N packets to its gateway instead, prints
 * what that took and powers off.  Its addresses are those of ip=.
 *
 * There is no stack.  A packet received becomes its own answer where it lies,
 * by exchanging addresses, and no byte of it is copied or summed: an exchange
 * changes no checksum, and the header in front of the packet, which may say
 * that its checksum is to be finished, holds for the way back as well.
 * Fragments go back one by one.
 *
 * Buffer i belongs to descriptor i of both rings, and is in one of them.
 *
 *	blast=N		so many packets of UDP
 *	size=BYTES	payload of each (64)
 *	gso=BYTES	to be cut up into payloads of so many (0: not)
 *	port=N		to this port (9)
 *	wait=1		whenever asked to by a datagram to port 19, and answers otherwise
 */
#include "net.h"

#define BUFFER 2048
#define HEADER sizeof(struct virtio_net_hdr_v1)
#define FRAME_MAX (BUFFER - HEADER - 18)
#define BLAST_MAX 65507 /* of UDP over IPv4 */

#define BE16(n) __builtin_bswap16(n)
#define TYPE_IP BE16(0x0800)
#define TYPE_ARP BE16(0x0806)
#define ARP_REQUEST BE16(1)
#define ARP_REPLY BE16(2)
#define PROTO_ICMP 1
#define PROTO_UDP 17
#define FRAGMENT_OFFSET BE16(0x1fff)
#define ICMP_ECHO 8
#define PORT_ECHO BE16(7)
#define PORT_ASK BE16(19) /* of the character generator, once */

#define PACKED __attribute__((packed))

struct arp {
	u16 hardware, protocol;
	u8 hardware_len, protocol_len;
	u16 operation;
	u8 sender[6];
	u32 sender_ip;
	u8 target[6];
	u32 target_ip;
} PACKED;

struct ip {
	u8 version_len, tos;
	u16 len, id, fragment;
	u8 ttl, protocol;
	u16 sum;
	u32 from, to;
} PACKED;

struct udp {
	u16 from, to, len, sum;
} PACKED;

struct icmp {
	u8 type, code;
	u16 sum;
} PACKED;

struct packet {
	struct virtio_net_hdr_v1 header;
	u8 to[6], from[6];
	u16 type;
	union {
		struct arp arp;
		struct {
			struct ip ip;
			union {
				struct udp udp;
				struct icmp icmp;
			};
		};
	};
} PACKED;
#define IP_END (offsetof(struct packet, ip) + sizeof(struct ip))
#define ARP_END (offsetof(struct packet, arp) + sizeof(struct arp))

static u8 buffer[RING][BUFFER] __attribute__((aligned(64)));
static struct queue *const rx = &net_queue[RX], *const tx = &net_queue[TX];
static u16 rx_idx, tx_idx; /* what is to be published */

static u8 mac[6];
static u32 our_ip, gateway;
static u8 gateway_mac[6];
static bool gateway_known, asked;

static void copy_mac(u8 *to, const u8 *from)
{
	*(u32 *)to = *(const u32 *)from;
	*(u16 *)(to + 4) = *(const u16 *)(from + 4);
}

static bool answer_arp(struct packet *p)
{
	struct arp *a = &p->arp;

	if (a->operation == ARP_REPLY && a->sender_ip == gateway) {
		copy_mac(gateway_mac, a->sender);
		gateway_known = true;
	}
	if (a->operation != ARP_REQUEST || a->target_ip != our_ip)
		return false;
	a->operation = ARP_REPLY;
	copy_mac(a->target, a->sender);
	copy_mac(a->sender, mac);
	a->target_ip = a->sender_ip;
	a->sender_ip = our_ip;
	return true;
}

/* Something that it covers became less by n: the checksum, a complement, grows. */
static u16 sum_plus(u16 sum, u16 n)
{
	u32 s = (u32)sum + n;

	return (u16)(s + (s >> 16));
}

static bool answer_ip(struct packet *p, u32 len)
{
	struct ip *ip = &p->ip;
	u16 port;

	if (len < IP_END || ip->version_len != 0x45 || ip->to != our_ip)
		return false;
	/* Only the first fragment has more than data. */
	if (ip->fragment & FRAGMENT_OFFSET) {
		if (ip->protocol != PROTO_ICMP && ip->protocol != PROTO_UDP)
			return false;
	} else if (len < IP_END + sizeof(struct udp)) {
		return false;
	} else if (ip->protocol == PROTO_ICMP && p->icmp.type == ICMP_ECHO) {
		p->icmp.type = 0;
		p->icmp.sum = sum_plus(p->icmp.sum, ICMP_ECHO);
	} else if (ip->protocol == PROTO_UDP && p->udp.to == PORT_ECHO) {
		port = p->udp.from;
		p->udp.from = p->udp.to;
		p->udp.to = port;
	} else {
		asked |= ip->protocol == PROTO_UDP && p->udp.to == PORT_ASK;
		return false;
	}
	ip->to = ip->from;
	ip->from = our_ip;
	return true;
}

static bool answer(struct packet *p, u32 len)
{
	bool ok = false;

	if (p->type == TYPE_IP)
		ok = answer_ip(p, len);
	else if (p->type == TYPE_ARP && len >= ARP_END)
		ok = answer_arp(p);
	if (!ok)
		return false;
	copy_mac(p->to, p->from);
	copy_mac(p->from, mac);
	p->header.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	p->header.num_buffers = 0;
	return true;
}

/* All there is: received ones become answers, sent ones room for more. */
static bool serve(void)
{
	u16 sent = queue_used(tx), received = queue_used(rx);

	for (u16 n = sent; n; n--)
		queue_add(rx, &rx_idx, (u16)tx->used.ring[tx->last_used++ & (tx->size - 1)].id);
	for (u16 n = received; n; n--) {
		struct vring_used_elem e = rx->used.ring[rx->last_used++ & (rx->size - 1)];

		if (answer((struct packet *)buffer[e.id], e.len)) {
			tx->desc[e.id].len = e.len;
			queue_add(tx, &tx_idx, (u16)e.id);
		} else {
			queue_add(rx, &rx_idx, (u16)e.id);
		}
	}
	queue_publish(tx, tx_idx);
	queue_publish(rx, rx_idx);
	return sent | received;
}

/* Sent ones are of interest only where there is little room left. */
static void sleep(void)
{
	u16 out = (u16)(tx_idx - tx->last_used);
	bool more = queue_interrupt_after(rx, 1);

	more |= queue_interrupt_after(tx, out > tx->size / 2 ? 1 : 0);
	if (!more)
		wait_for_interrupt();
	queue_interrupt_after(rx, 0);
}

static void ask_for_gateway(void)
{
	static struct packet p = {
		.to = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		.type = TYPE_ARP,
		.arp = { BE16(1), TYPE_IP, 6, 4, ARP_REQUEST },
	};

	copy_mac(p.from, mac);
	copy_mac(p.arp.sender, mac);
	p.arp.sender_ip = our_ip;
	p.arp.target_ip = gateway;
	/* Buffer 0 is given up for good. */
	tx->desc[0] = (struct vring_desc){ (u64)&p, ARP_END, 0, 0 };
	queue_add(tx, &tx_idx, 0);
	queue_publish(tx, tx_idx);
	while (!queue_used(tx))
		if (!queue_interrupt_after(tx, 1))
			wait_for_interrupt();
	tx->last_used++;
	while (!gateway_known)
		if (!serve())
			sleep();
}

static u16 fold(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)(sum + (sum >> 16));
}

static u32 sum_words(const void *from, unsigned bytes)
{
	const u8 *p = from;
	u32 sum = 0;

	for (unsigned i = 0; i < bytes; i += 2)
		sum += *(const u16 *)(p + i);
	return sum;
}

/* The one packet: its checksum is left to the other side, and so is the cutting. */
static u32 make_packet(struct packet *p, u32 size, u32 gso)
{
	u16 len = BE16((u16)(sizeof(struct udp) + size));

	*p = (struct packet){
		.header = {
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.csum_start = offsetof(struct packet, udp) - HEADER,
			.csum_offset = offsetof(struct udp, sum),
		},
		.type = TYPE_IP,
		.ip = {
			.version_len = 0x45,
			.len = BE16((u16)(sizeof(struct ip) + sizeof(struct udp) + size)),
			.ttl = 64,
			.protocol = PROTO_UDP,
			.from = our_ip,
			.to = gateway,
		},
	};
	if (gso) {
		p->header.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
		p->header.gso_size = (u16)gso;
		p->header.hdr_len = p->header.csum_start + (u16)sizeof(struct udp);
	}
	copy_mac(p->to, gateway_mac);
	copy_mac(p->from, mac);
	p->ip.sum = (u16)~fold(sum_words(&p->ip, sizeof(p->ip)));
	p->udp = (struct udp){ BE16(9), BE16((u16)param_number("port", 9)), len, 0 };
	p->udp.sum = fold(sum_words(&p->ip.from, 8) + BE16(PROTO_UDP) + len);
	return (u32)(IP_END + sizeof(struct udp)) + size;
}

/* The transmit ring is empty before and after. */
static void blast(u64 count)
{
	static u8 bytes[sizeof(struct packet) + BLAST_MAX] __attribute__((aligned(64)));
	u32 size = (u32)param_number("size", 64), gso = (u32)param_number("gso", 0), len;
	u64 sent = 0, done = 0, kicks, interrupts, ns;

	if (size > (gso ? BLAST_MAX : FRAME_MAX - sizeof(struct udp) - sizeof(struct ip)))
		fail("size= is too large");
	if (!(net_features & BIT(VIRTIO_NET_F_CSUM)) || (gso && !(net_features & BIT(NET_F_HOST_USO))))
		fail("the device lacks the offloads for this: csum=on, and uso=on for gso=");
	len = make_packet((struct packet *)bytes, size, gso);

	kicks = tx->kicks, interrupts = net_interrupts;
	ns = clock_ns();
	for (u16 i = 0; i < tx->size; i++) {
		tx->desc[i] = (struct vring_desc){ (u64)bytes, len, 0, 0 };
		if (sent < count)
			queue_add(tx, &tx_idx, i), sent++;
	}
	queue_publish(tx, tx_idx);
	while (done < count) {
		u16 n = queue_used(tx);

		/* In the order in which they come back: it need not be ours. */
		for (done += n; n; n--, tx->last_used++)
			if (sent < count)
				queue_add(tx, &tx_idx, (u16)tx->used.ring[tx->last_used & (tx->size - 1)].id), sent++;
		queue_publish(tx, tx_idx);
		if (done < count && !queue_interrupt_after(tx, (u16)MIN(sent - done, tx->size / 2U)))
			wait_for_interrupt();
	}
	ns = clock_ns() - ns;
	for (u16 i = 0; i < tx->size; i++)
		tx->desc[i].addr = (u64)buffer[i];
	print("packets=%u\nbytes=%u\nkicks=%u\ninterrupts=%u\nns=%u\npackets_per_second=%u\n", count,
	      count * (len - HEADER), tx->kicks - kicks, net_interrupts - interrupts, ns,
	      ns ? count * 1000000000 / ns : 0);
}

void main(void)
{
	u64 packets = param_number("blast", 0);

	our_ip = param_ip(0);
	gateway = param_ip(2);
	net_open(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_MAC) |
		 BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(NET_F_HOST_USO));
	if (!our_ip)
		fail("there is no address; ringlet gives one with -n ip=10.0.0.1/24,guest_ip=10.0.0.2");
	if (net_mtu() > FRAME_MAX)
		fail("the MTU is too large");
	net_read_mac(mac);
	net_add_queue(RX);
	net_add_queue(TX);
	for (u16 i = 0; i < rx->size; i++) {
		rx->desc[i] = (struct vring_desc){ (u64)buffer[i], BUFFER, VRING_DESC_F_WRITE, 0 };
		tx->desc[i].addr = (u64)buffer[i];
		/* The first is a spare one of the transmit ring's, for a question of our own. */
		if (i)
			queue_add(rx, &rx_idx, i);
	}
	net_start();
	queue_publish(rx, rx_idx);
	if (packets)
		ask_for_gateway();
	if (packets && !param("wait")) {
		blast(packets);
		return;
	}
	print("netecho=up\n");
	for (;;) {
		if (!serve())
			sleep();
		while (asked && tx_idx != tx->last_used)
			if (!serve() && !queue_interrupt_after(tx, 1))
				wait_for_interrupt();
		if (asked && packets)
			blast(packets);
		asked = false;
	}
}
