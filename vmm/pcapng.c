// SPDX-License-Identifier: MIT
/*
 * pcapng.c - packets, and what the device knew of them, as Wireshark shows it.
 *
 * Directions are the guest's: inbound is what it received.  The comment is made
 * of words KEY=VALUE, to be looked for with
 * `frame.comment contains "irq=deferred"`.
 */
#include "pcapng.h"

#include <string.h>

/* Block types and options, by the names that the format gives them. */
enum { SHB = 0x0a0d0d0a, IDB = 1, ISB = 5, EPB = 6 };
enum { OPT_END = 0, OPT_COMMENT = 1 };
enum { SHB_HARDWARE = 2, SHB_OS = 3, SHB_USERAPPL = 4 };
enum { IF_NAME = 2, IF_MACADDR = 6, IF_SPEED = 8, IF_TSRESOL = 9 };
enum { EPB_FLAGS = 2, EPB_DROPCOUNT = 4, EPB_QUEUE = 6 };
enum { ISB_STARTTIME = 2, ISB_ENDTIME = 3, ISB_IFRECV = 4, ISB_IFDROP = 5 };

#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define LINKTYPE_ETHERNET 1
#define NANOSECONDS 9 /* if_tsresol: ten to the minus so much */
#define INBOUND 1
#define OUTBOUND 2

/* UDP segmentation, which not every distribution's headers know. */
#define GSO_UDP_L4 5

static u8 *put(u8 *p, const void *from, size_t n)
{
	memcpy(p, from, n);
	return p + n;
}

static u8 *put16(u8 *p, u16 v)
{
	return put(p, &v, sizeof(v));
}

static u8 *put32(u8 *p, u32 v)
{
	return put(p, &v, sizeof(v));
}

/* Times are two words, the upper one first. */
static u8 *put_time(u8 *p, u64 ns)
{
	return put32(put32(p, (u32)(ns >> 32)), (u32)ns);
}

/* Everything is filled up to four bytes. */
static u8 *put_filled(u8 *p, const void *from, size_t n)
{
	p = put(p, from, n);
	while (n++ & 3)
		*p++ = 0;
	return p;
}

static u8 *put_option(u8 *p, u16 code, const void *value, size_t len)
{
	return put_filled(put16(put16(p, code), (u16)len), value, len);
}

static u8 *put_text(u8 *p, u16 code, const char *text)
{
	return put_option(p, code, text, strnlen(text, 200));
}

static u8 *put_time_option(u8 *p, u16 code, u64 ns)
{
	return put_time(put16(put16(p, code), 8), ns);
}

/* The length at the end, and where it belongs in front. */
static size_t end_block(u8 *block, u8 *p, u32 type)
{
	u32 len;

	p = put16(put16(p, OPT_END), 0);
	len = (u32)(p - block) + 4;
	put32(put32(block, type), len);
	put32(p, len);
	return len;
}

size_t pcapng_section(u8 *to, const struct pcapng_section *s)
{
	u8 *p = put32(to + 8, BYTE_ORDER_MAGIC);

	p = put32(p, 1); /* version 1.0 */
	p = put32(put32(p, ~0u), ~0u); /* how long the section is: nobody knows */
	p = put_text(p, SHB_HARDWARE, s->hardware);
	p = put_text(p, SHB_OS, s->os);
	p = put_text(p, SHB_USERAPPL, s->application);
	return end_block(to, p, SHB);
}

size_t pcapng_interface(u8 *to, const struct pcapng_interface *i)
{
	const u8 resolution = NANOSECONDS;
	u8 *p = put16(put16(to + 8, LINKTYPE_ETHERNET), 0);

	p = put32(p, i->snaplen);
	p = put_text(p, IF_NAME, i->name);
	p = put_option(p, IF_MACADDR, i->mac, sizeof(i->mac));
	p = put_option(p, IF_SPEED, &i->speed, sizeof(i->speed));
	p = put_option(p, IF_TSRESOL, &resolution, sizeof(resolution));
	return end_block(to, p, IDB);
}

/* --- the comment: there are many, and printf() is slow ------------------------- */

static u8 *say(u8 *p, const char *text)
{
	return put(p, text, strlen(text));
}

static u8 *say_number(u8 *p, u32 v)
{
	u8 digits[10];
	unsigned n = 0;

	do
		digits[n++] = (u8)('0' + v % 10);
	while (v /= 10);
	while (n)
		*p++ = digits[--n];
	return p;
}

static u8 *say_gso(u8 *p, const struct virtio_net_hdr_v1 *h)
{
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return p;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		p = say(p, " gso=tcp4");
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		p = say(p, " gso=tcp6");
		break;
	case VIRTIO_NET_HDR_GSO_UDP:
		p = say(p, " gso=ufo");
		break;
	case GSO_UDP_L4:
		p = say(p, " gso=udp");
		break;
	default:
		p = say_number(say(p, " gso="), h->gso_type);
	}
	if (h->gso_type & VIRTIO_NET_HDR_GSO_ECN)
		p = say(p, "+ecn");
	return say_number(say(p, " gso_size="), h->gso_size);
}

static u8 *say_checksum(u8 *p, const struct virtio_net_hdr_v1 *h)
{
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		p = say_number(say(p, " csum=needed,"), h->csum_start);
		return say_number(say(p, "+"), h->csum_offset);
	}
	return say(p, h->flags & VIRTIO_NET_HDR_F_DATA_VALID ? " csum=valid" : " csum=none");
}

static u8 *say_fate(u8 *p, const struct capture_record *r)
{
	p = say(p, r->deferred ? " irq=deferred," : " irq=");
	if (r->fate != NET_FATE_RAISED && r->fate != NET_FATE_SUPPRESSED)
		return say(p, "unknown");
	p = say(p, r->fate == NET_FATE_RAISED ? "raised" : "suppressed");
	return say_number(say(p, " irq_ns="), r->irq_ns);
}

static u8 *put_comment(u8 *option, const struct capture_record *r, unsigned pair)
{
	u8 *text = option + 4, *p = say(text, r->way == CAPTURE_RX ? "queue=rx" : "queue=tx");
	size_t len;

	p = say_number(p, pair);
	p = say_number(say(p, " batch="), r->batch);
	p = say_number(say(p, " head="), r->head);
	p = say_number(say(p, " buffers="), r->buffers);
	p = say_fate(p, r);
	p = say_checksum(p, &r->header);
	p = say_gso(p, &r->header);
	len = (size_t)(p - text);
	while ((p - text) & 3)
		*p++ = 0;
	put16(put16(option, OPT_COMMENT), (u16)len);
	return p;
}

/* ------------------------------------------------------------------------------- */

size_t pcapng_packet(u8 *to, const struct capture_record *r, unsigned pair, u64 epoch)
{
	const u32 flags = r->way == CAPTURE_RX ? INBOUND : OUTBOUND, queue = pair;
	const u64 lost = r->lost;
	u8 *p = put32(to + 8, 0); /* the only interface */

	p = put_time(p, r->ns + epoch);
	p = put32(put32(p, r->captured), r->len);
	p = put_filled(p, r->data, r->captured);
	p = put_option(p, EPB_FLAGS, &flags, sizeof(flags));
	p = put_option(p, EPB_QUEUE, &queue, sizeof(queue));
	if (lost)
		p = put_option(p, EPB_DROPCOUNT, &lost, sizeof(lost));
	p = put_comment(p, r, pair);
	return end_block(to, p, EPB);
}

size_t pcapng_statistics(u8 *to, const struct pcapng_statistics *s)
{
	u8 *p = put_time(put32(to + 8, 0), s->now);

	p = put_time_option(p, ISB_STARTTIME, s->start);
	p = put_time_option(p, ISB_ENDTIME, s->now);
	p = put_option(p, ISB_IFRECV, &s->seen, sizeof(s->seen));
	p = put_option(p, ISB_IFDROP, &s->dropped, sizeof(s->dropped));
	return end_block(to, p, ISB);
}
