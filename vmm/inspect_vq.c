// SPDX-License-Identifier: MIT
/*
 * inspect_vq.c - the rings of the virtio devices, for who writes a driver: what
 * it has made available, how far the device has come, what is in flight, and
 * what the headers of packets on their way out say.
 *
 * The vCPUs stand still, so that no register changes; device threads go on,
 * and so does what they share with the guest.  Ring memory is the guest's: it
 * is looked up anew by what the driver said of it, each word is read once, and
 * an index, a length or an address is used when it has been checked.
 */
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "barrier.h"
#include "inspect.h"
#include "virtio.h"
#include "vm.h"

#define CHAINS_MOST 32	 /* shown of a queue */
#define SEGMENTS_MOST 20 /* shown of a chain */
#define USED_SHOWN 4
#define NET_HDR sizeof(struct virtio_net_hdr_v1)
#define NET_HDR_HASH 20 /* struct virtio_net_hdr_v1_hash */
#define ETHERNET 14

/* A queue, its parts being in memory. */
struct look {
	FILE *to;
	const struct virtio_dev *dev;
	unsigned index;
	u16 size;
	const struct vring_desc *desc;
	const struct vring_avail *avail;
	const struct vring_used *used;
	/* The device's indices, as they were a moment ago. */
	u16 last_avail, published;
	bool quiet; /* chains are followed, and not shown */
};

/* --- names --------------------------------------------------------------------------- */

static bool has(const struct virtio_dev *dev, unsigned feature)
{
	return dev->accepted >> feature & 1;
}

enum use { OTHER, RECEIVE, TRANSMIT, CONTROL };

static enum use use_of(const struct virtio_dev *dev, unsigned queue)
{
	bool several = has(dev, VIRTIO_NET_F_MQ) || has(dev, VIRTIO_NET_F_RSS);

	if (dev->id != VIRTIO_ID_NET)
		return OTHER;
	if (queue == (several ? dev->nvq - 1 : 2))
		return CONTROL;
	return queue % 2 ? TRANSMIT : RECEIVE;
}

static void put_name(FILE *f, const struct virtio_dev *dev, unsigned queue)
{
	static const char *const uses[] = { [RECEIVE] = "receive", [TRANSMIT] = "transmit" };
	enum use use = use_of(dev, queue);

	fprintf(f, "%s queue %u", dev->name, queue);
	if (use == CONTROL)
		fputs(" (control)", f);
	else if (use != OTHER)
		fprintf(f, " (%s %u)", uses[use], queue / 2);
}

/* --- chains --------------------------------------------------------------------------- */

/* The first bytes of what goes one way, put together from its segments. */
struct start {
	u8 bytes[NET_HDR_HASH + ETHERNET];
	size_t n;
	u64 len; /* of all of it */
};

static void add_segment(const struct look *l, struct start *s, u64 gpa, u32 len)
{
	size_t n = MIN(len, sizeof(s->bytes) - s->n);
	const void *at = n ? mem_at(l->dev->mem, gpa, n) : NULL;

	if (at) {
		memcpy(s->bytes + s->n, at, n);
		s->n += n;
	}
	s->len += len;
}

static void PRINTF(2, 3) say(const struct look *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!l->quiet)
		vfprintf(l->to, fmt, ap);
	va_end(ap);
}

/* Follow a table of n descriptors from one on; an indirect one is followed into its own. */
static void put_chain(const struct look *l, const struct vring_desc *table, u32 n, u16 at, bool nested,
		      struct start *out, struct start *in)
{
	for (u32 steps = 0; steps < n; steps++) {
		struct vring_desc d;

		if (at >= n) {
			say(l, "      %u: there is no such descriptor\n", at);
			return;
		}
		d.addr = LOAD_ONCE(&table[at].addr);
		d.len = LOAD_ONCE(&table[at].len);
		d.flags = LOAD_ONCE(&table[at].flags);
		d.next = LOAD_ONCE(&table[at].next);
		if (steps < SEGMENTS_MOST)
			say(l, "      %s%u: %#llx, %u bytes, %s%s\n", nested ? "  " : "", at,
				(unsigned long long)d.addr, d.len,
				d.flags & VRING_DESC_F_INDIRECT ? "a table" :
				d.flags & VRING_DESC_F_WRITE	? "to write" : "to read",
				mem_at(l->dev->mem, d.addr, d.len) ? "" : ", not in memory");
		else if (steps == SEGMENTS_MOST)
			say(l, "      ...\n");
		if (d.flags & VRING_DESC_F_INDIRECT) {
			u32 entries = MIN(d.len / sizeof(d), VIRTQ_MAX_SIZE);
			const void *inner = mem_at(l->dev->mem, d.addr, entries * sizeof(d));

			if (inner && !nested && d.addr % 16 == 0)
				put_chain(l, inner, entries, 0, true, out, in);
			return;
		}
		add_segment(l, d.flags & VRING_DESC_F_WRITE ? in : out, d.addr, d.len);
		if (!(d.flags & VRING_DESC_F_NEXT))
			return;
		at = d.next;
	}
	say(l, "      the chain does not end\n");
}

static const char *gso_name(u8 type)
{
	switch (type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return "none";
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return "TCPv4";
	case VIRTIO_NET_HDR_GSO_UDP:
		return "UDP";
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return "TCPv6";
	case 5:
		return "UDP_L4";
	default:
		return "unknown";
	}
}

static void put_mac(FILE *f, const u8 *m)
{
	fprintf(f, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

/* 5.1.6, and the beginning of the frame. */
static void put_packet(const struct look *l, const struct start *s)
{
	size_t size = has(l->dev, VIRTIO_NET_F_HASH_REPORT) ? NET_HDR_HASH : NET_HDR;
	const u8 *frame = s->bytes + size;
	struct virtio_net_hdr_v1 h;

	if (s->n < size) {
		fprintf(l->to, "      no whole header\n");
		return;
	}
	memcpy(&h, s->bytes, sizeof(h));
	fprintf(l->to, "      header: flags %#x%s%s, gso %s%s", h.flags,
		h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? " needs_csum" : "",
		h.flags & VIRTIO_NET_HDR_F_DATA_VALID ? " data_valid" : "", gso_name(h.gso_type),
		h.gso_type & VIRTIO_NET_HDR_GSO_ECN ? " ecn" : "");
	if (h.gso_type)
		fprintf(l->to, ", hdr_len %u, gso_size %u", h.hdr_len, h.gso_size);
	if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		fprintf(l->to, ", csum_start %u, csum_offset %u", h.csum_start, h.csum_offset);
	fprintf(l->to, ", num_buffers %u\n", h.num_buffers);
	if (s->n < size + ETHERNET || s->len < size + ETHERNET)
		return;
	fputs("      frame: ", l->to);
	put_mac(l->to, frame + 6);
	fputs(" > ", l->to);
	put_mac(l->to, frame);
	fprintf(l->to, ", type %04x, %llu bytes\n", frame[12] << 8 | frame[13],
		(unsigned long long)(s->len - size));
}

static void put_head(const struct look *l, u16 head)
{
	struct start out = { .n = 0 }, in = { .n = 0 };
	enum use use = use_of(l->dev, l->index);

	put_chain(l, l->desc, l->size, head, false, &out, &in);
	if (use == TRANSMIT)
		put_packet(l, &out);
	else if (use == CONTROL && out.n >= 2)
		fprintf(l->to, "      command: class %u, number %u\n", out.bytes[0], out.bytes[1]);
}

/* --- a queue ---------------------------------------------------------------------------- */

/* Where the driver said that the parts are; false: it did not, or not yet. */
static bool find_queue(struct look *l, struct virtio_dev *dev, unsigned queue)
{
	const struct virtio_queue *q = &dev->queue[queue];
	u16 size = q->want.size;

	l->dev = dev;
	l->index = queue;
	if (!q->ready || !size || size > VIRTQ_MAX_SIZE || size & (size - 1) || q->want.desc % 16 ||
	    q->want.avail % 2 || q->want.used % 4)
		return false;
	l->size = size;
	l->desc = mem_at(dev->mem, q->want.desc, size * sizeof(*l->desc));
	l->avail = mem_at(dev->mem, q->want.avail, 6 + 2ULL * size);
	l->used = mem_at(dev->mem, q->want.used, 6 + 8ULL * size);
	l->published = LOAD_ONCE(&dev->vq[queue].published);
	l->last_avail = LOAD_ONCE(&dev->vq[queue].last_avail);
	return l->desc && l->avail && l->used;
}

static void put_indices(const struct look *l)
{
	const struct virtq_layout *where = &l->dev->queue[l->index].want;
	const struct virtq *vq = &l->dev->vq[l->index];
	const char *broken = LOAD_ONCE(&vq->broken);
	u16 avail = LOAD_ONCE(&l->avail->idx), used = LOAD_ONCE(&l->used->idx);
	u16 avail_flags = LOAD_ONCE(&l->avail->flags), used_flags = LOAD_ONCE(&l->used->flags);
	bool event_idx = has(l->dev, VIRTIO_RING_F_EVENT_IDX);
	u16 waits = avail - l->last_avail;

	fprintf(l->to, "%s%u entries; descriptors %#llx, available %#llx, used %#llx\n", event_idx ? "event_idx, " : "",
		l->size, (unsigned long long)where->desc, (unsigned long long)where->avail,
		(unsigned long long)where->used);
	fprintf(l->to, "  available: the driver's index %u, the device took %u, %u wait; flags %#x%s", avail,
		l->last_avail, waits, avail_flags, avail_flags & VRING_AVAIL_F_NO_INTERRUPT ? " no_interrupt" : "");
	if (event_idx)
		fprintf(l->to, ", used_event %u", LOAD_ONCE(&l->avail->ring[l->size]));
	fprintf(l->to, "\n  used: index %u, the device has %u in its hands; flags %#x%s", used,
		LOAD_ONCE(&vq->outstanding), used_flags, used_flags & VRING_USED_F_NO_NOTIFY ? " no_notify" : "");
	if (event_idx)
		fprintf(l->to, ", avail_event %u", LOAD_ONCE((const u16 *)&l->used->ring[l->size]));
	fputs("\n", l->to);
	if (waits > l->size)
		fprintf(l->to, "  more than the ring has room for: the driver's index is wrong\n");
	if (broken)
		fprintf(l->to, "  broken: %s\n", broken);
}

/* Made available and not yet used, in the order in which it was. */
static void put_in_flight(const struct look *l)
{
	u16 end = LOAD_ONCE(&l->avail->idx), n = end - l->published, shown = 0;

	if (n > l->size)
		return;
	for (u16 i = l->published; i != end && shown < CHAINS_MOST; i++, shown++) {
		u16 head = LOAD_ONCE(&l->avail->ring[i % l->size]);

		fprintf(l->to, "    available %u: head %u, %s\n", i, head,
			(u16)(i - l->published) < (u16)(l->last_avail - l->published) ? "taken" : "waiting");
		put_head(l, head);
	}
	if (n > shown)
		fprintf(l->to, "    ... and %u more\n", n - shown);
}

/* What came, if the descriptors still are what they were then. */
static void put_received(const struct look *l, u32 head, u32 len)
{
	struct start out = { .n = 0 }, in = { .n = 0 };
	struct look silent = *l;

	silent.quiet = true;
	if (head < l->size)
		put_chain(&silent, l->desc, l->size, (u16)head, false, &out, &in);
	in.len = len;
	if (len >= NET_HDR && in.n)
		put_packet(l, &in);
}

static void put_last_used(const struct look *l)
{
	u16 n = MIN(MIN(l->size, USED_SHOWN), l->published);

	for (u16 i = l->published - n; i != l->published; i++) {
		const struct vring_used_elem *e = &l->used->ring[i % l->size];
		u32 head = LOAD_ONCE(&e->id), len = LOAD_ONCE(&e->len);

		fprintf(l->to, "    used %u: head %u, %u bytes written\n", i, head, len);
		if (use_of(l->dev, l->index) == RECEIVE)
			put_received(l, head, len);
	}
}

static void put_queue(FILE *f, struct virtio_dev *dev, unsigned queue, bool whole)
{
	struct look l = { .to = f };

	put_name(f, dev, queue);
	fputs(": ", f);
	if (!find_queue(&l, dev, queue)) {
		fprintf(f, "not in use\n");
		return;
	}
	put_indices(&l);
	if (!whole)
		return;
	put_last_used(&l);
	put_in_flight(&l);
}

static void put_device(FILE *f, const struct virtio_dev *dev)
{
	static const char *const names[] = {
		"acknowledge", "driver", "driver_ok", "features_ok", NULL, NULL, "needs_reset", "failed",
	};
	/* virtio_reg() is for who may write. */
	u32 status = LOAD_ONCE(&dev->page[(VIRTIO_MMIO_STATUS - VIRTIO_PAGE_START) / 4]);

	fprintf(f, "%s: status %#x", dev->name, status);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (status >> i & 1 && names[i])
			fprintf(f, " %s", names[i]);
	fprintf(f, "; features %#llx\n", (unsigned long long)dev->accepted);
}

/* "N" of the first device, or "D.N". */
static bool parse(const struct vm *vm, const char *s, unsigned long *device, unsigned long *queue)
{
	char *end;

	*device = 0;
	*queue = strtoul(s, &end, 10);
	if (end == s)
		return false;
	if (*end == '.') {
		*device = *queue;
		s = end + 1;
		*queue = strtoul(s, &end, 10);
	}
	return end != s && !*end && *device < vm->nvirtio && *queue < vm->virtio[*device]->nvq;
}

bool inspect_vq(const char *argument, FILE *f)
{
	struct vm *vm = inspect_vm();
	unsigned long device = 0, queue = 0;

	if (*argument && !parse(vm, argument, &device, &queue)) {
		fprintf(f, "there is no such queue; write it like: vq 1, or vq 0.1\n");
		return false;
	}
	vm_pause(vm);
	if (*argument)
		put_queue(f, vm->virtio[device], (unsigned)queue, true);
	for (unsigned d = 0; !*argument && d < vm->nvirtio; d++) {
		put_device(f, vm->virtio[d]);
		for (unsigned q = 0; q < vm->virtio[d]->nvq; q++)
			put_queue(f, vm->virtio[d], q, false);
	}
	vm_resume(vm);
	return true;
}
