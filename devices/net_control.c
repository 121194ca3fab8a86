// SPDX-License-Identifier: MIT
/*
 * net_control.c - what a driver asks for on the control queue (virtio 1.3,
 * 5.1.6.5).  Linux waits for the answer in a busy loop, so commands are
 * answered by a device thread before it looks at packets.
 *
 * A command that is malformed, unknown, or of a feature that was not accepted
 * is answered with VIRTIO_NET_ERR and changes nothing.
 */
#include <linux/virtio_net.h>
#include <string.h>

#include "barrier.h"
#include "net_worker.h"

#define HAS(w, name) ((w)->dev->accepted & VIRTIO_BIT(VIRTIO_NET_F_##name))

enum { CTRL_NOTF_COAL = 6, COAL_TX_SET = 0, COAL_RX_SET, COAL_VQ_SET, COAL_VQ_GET };

struct coal {
	u32 max_packets, max_usecs;
} __attribute__((packed));

struct command {
	const struct iovec *iov; /* all of it, in guest memory */
	unsigned n_iov;
	u8 class, cmd;
	u8 data[16]; /* the start of what follows: all but tables */
	size_t len;  /* of what follows */
	u8 reply[sizeof(struct coal)]; /* goes before the acknowledgement */
	size_t reply_len;
};

/* Read from guest memory, each byte once; false if there are not so many. */
static bool copy_from(const struct command *c, size_t at, void *to, size_t len)
{
	u8 *p = to;

	for (unsigned i = 0; i < c->n_iov && len; i++) {
		size_t part = c->iov[i].iov_len;

		if (at >= part) {
			at -= part;
			continue;
		}
		part = MIN(part - at, len);
		memcpy(p, (const u8 *)c->iov[i].iov_base + at, part);
		p += part;
		len -= part;
		at = 0;
	}
	return !len;
}

/* Have every thread take over what changed; this one included. */
static void configure_all(struct net_worker *w)
{
	for (unsigned i = 0; i < w->net->pairs; i++)
		if (i != w->pair)
			worker_call(w->net->worker[i], WORKER_CONFIGURE);
	worker_configure(w);
}

static bool rx_mode(struct net_worker *w, const struct command *c)
{
	struct net_filter *f = &w->net->set.filter;
	bool on;

	if (c->len != 1 || c->data[0] > 1)
		return false;
	on = c->data[0];
	if (c->cmd > VIRTIO_NET_CTRL_RX_ALLMULTI && !HAS(w, CTRL_RX_EXTRA))
		return false;
	switch (c->cmd) {
	case VIRTIO_NET_CTRL_RX_PROMISC:
		f->promisc = on;
		break;
	case VIRTIO_NET_CTRL_RX_ALLMULTI:
		f->allmulti = on;
		break;
	case VIRTIO_NET_CTRL_RX_ALLUNI:
		f->alluni = on;
		break;
	case VIRTIO_NET_CTRL_RX_NOMULTI:
		f->nomulti = on;
		break;
	case VIRTIO_NET_CTRL_RX_NOUNI:
		f->nouni = on;
		break;
	case VIRTIO_NET_CTRL_RX_NOBCAST:
		f->nobcast = on;
		break;
	default:
		return false;
	}
	return true;
}

/*
 * One of the two tables: a count and so many addresses, of which those that do
 * not fit the filter are only counted.  The caller checks that *at, then its
 * end, is within the command.
 */
static bool take_table(const struct command *c, size_t *at, u8 table[][6], u8 *n, bool *all)
{
	u32 count;

	if (!copy_from(c, *at, &count, sizeof(count)))
		return false;
	*all = count > FILTER_MACS;
	*n = *all ? 0 : (u8)count;
	*at += sizeof(count);
	if (!copy_from(c, *at, table, *n * 6u))
		return false;
	*at += count * 6ULL;
	return true;
}

static bool mac_command(struct net_worker *w, const struct command *c)
{
	struct net_filter *f = &w->net->set.filter, new = *f;
	size_t at = 2;

	switch (c->cmd) {
	case VIRTIO_NET_CTRL_MAC_TABLE_SET:
		if (!HAS(w, CTRL_RX) || !take_table(c, &at, new.uni, &new.n_uni, &new.all_uni) ||
		    !take_table(c, &at, new.multi, &new.n_multi, &new.all_multi) || at != 2 + c->len)
			return false;
		*f = new;
		return true;
	case VIRTIO_NET_CTRL_MAC_ADDR_SET:
		if (!HAS(w, CTRL_MAC_ADDR) || c->len != 6)
			return false;
		memcpy(f->mac, c->data, 6);
		virtio_config_set(w->dev, offsetof(struct virtio_net_config, mac), c->data, 6);
		return true;
	}
	return false;
}

static bool vlan_command(struct net_worker *w, const struct command *c)
{
	u16 id;

	if (!HAS(w, CTRL_VLAN) || c->len != sizeof(id) || c->cmd > VIRTIO_NET_CTRL_VLAN_DEL)
		return false;
	memcpy(&id, c->data, sizeof(id));
	if (id >= 4096)
		return false;
	filter_vlan(&w->net->set.filter, id, c->cmd == VIRTIO_NET_CTRL_VLAN_ADD);
	return true;
}

static bool announce_command(struct net_worker *w, const struct command *c)
{
	if (!HAS(w, GUEST_ANNOUNCE) || c->cmd != VIRTIO_NET_CTRL_ANNOUNCE_ACK || c->len)
		return false;
	net_status_bits(w->net, 0, VIRTIO_NET_S_ANNOUNCE);
	return true;
}

/* Who chooses among the tap's queues; false, and all as it was, if it refuses. */
static bool set_steered(struct net_worker *w, bool steered)
{
	struct net_settings *set = &w->net->set;
	bool was = set->steered;

	if (was == steered)
		return true;
	set->steered = steered;
	if (net_apply_steering(w->net)) {
		set->steered = was;
		return false;
	}
	return true;
}

static void use_pairs(struct net_worker *w, unsigned pairs)
{
	bool fewer = pairs < w->net->set.pairs;

	w->net->set.pairs = pairs;
	/* tun drops what a queue holds that is detached: stop first, or start after. */
	if (fewer)
		configure_all(w);
	net_apply_pairs(w->net);
}

static bool pairs_command(struct net_worker *w, const struct command *c)
{
	u16 pairs;

	if (!HAS(w, MQ) || c->len != sizeof(pairs))
		return false;
	memcpy(&pairs, c->data, sizeof(pairs));
	if (!pairs || pairs > w->net->pairs)
		return false;
	/* Of this and RSS the last one sent counts (5.1.6.5.6). */
	if (!set_steered(w, false))
		return false;
	use_pairs(w, pairs);
	return true;
}

/*
 * What both commands begin and end with; the middle is another length for each.
 * Newer Linux sends a byte more than there is: its structure's padding.
 */
static bool take_hash(const struct command *c, size_t key_at, u8 key_len, struct hash_config *to)
{
	memset(to, 0, sizeof(*to));
	memcpy(&to->types, c->data, sizeof(to->types));
	if (to->types & ~HASH_TYPES || key_len > HASH_KEY || (to->types && !key_len))
		return false;
	if (key_at + key_len != 2 + c->len && key_at + key_len + 1 != 2 + c->len)
		return false;
	return copy_from(c, key_at, to->key, key_len);
}

/* A pair to steer to: the driver may name those alone that it enabled. */
static bool is_pair(const struct net_worker *w, u16 pair)
{
	return pair < w->net->pairs && w->dev->queue[net_rxq(pair)].ready;
}

/* 5.1.6.5.7: types, mask, unclassified; a table; pairs to send with, key. */
static bool rss_command(struct net_worker *w, const struct command *c)
{
	struct { u16 max_tx; u8 key_len; } __attribute__((packed)) tail;
	struct steering_rules r;
	unsigned pairs, n;
	size_t at = 2 + 8;
	u16 mask;

	if (!HAS(w, RSS) || c->len < 8)
		return false;
	memcpy(&mask, c->data + 4, sizeof(mask));
	memcpy(&r.unclassified, c->data + 6, sizeof(r.unclassified));
	n = mask + 1u;
	if (n > STEERING_TABLE || n & mask || !is_pair(w, r.unclassified))
		return false;
	r.n = (u16)n;
	if (!copy_from(c, at, r.pair, n * sizeof(r.pair[0])))
		return false;
	at += n * sizeof(r.pair[0]);
	if (!copy_from(c, at, &tail, sizeof(tail)) ||
	    !take_hash(c, at + sizeof(tail), tail.key_len, &r.hash))
		return false;
	if (!tail.max_tx || tail.max_tx > w->net->pairs)
		return false;
	pairs = MAX(tail.max_tx, r.unclassified + 1u);
	for (unsigned i = 0; i < n; i++) {
		if (!is_pair(w, r.pair[i]))
			return false;
		pairs = MAX(pairs, r.pair[i] + 1u);
	}
	/* If the tap refuses, nobody follows these rules, nor those that were there. */
	steering_set(w->net->steering, &r);
	if (!set_steered(w, true))
		return false;
	w->net->set.hash = r.hash;
	use_pairs(w, pairs);
	return true;
}

/*
 * 5.1.6.5.6.4.  The reserved words in its middle are not looked at: Linux sends
 * what it would for RSS, and for a long time a number of pairs with it.
 */
static bool hash_command(struct net_worker *w, const struct command *c)
{
	struct hash_config hash;

	if (!HAS(w, HASH_REPORT) || c->len < 13 || !take_hash(c, 2 + 13, c->data[12], &hash))
		return false;
	if (!set_steered(w, false))
		return false;
	w->net->set.hash = hash;
	return true;
}

static bool mq_command(struct net_worker *w, const struct command *c)
{
	switch (c->cmd) {
	case VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET:
		return pairs_command(w, c);
	case VIRTIO_NET_CTRL_MQ_RSS_CONFIG:
		return rss_command(w, c);
	case VIRTIO_NET_CTRL_MQ_HASH_CONFIG:
		return hash_command(w, c);
	}
	return false;
}

static bool offloads_command(struct net_worker *w, const struct command *c)
{
	struct net_settings *set = &w->net->set;
	u64 offloads, old = set->offloads;

	if (!HAS(w, CTRL_GUEST_OFFLOADS) || c->cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
	    c->len != sizeof(offloads))
		return false;
	memcpy(&offloads, c->data, sizeof(offloads));
	if (offloads & ~(w->dev->accepted & NET_GUEST_OFFLOADS))
		return false;
	/* First all threads take what may come, then it may. */
	set->offloads = old | offloads;
	configure_all(w);
	set->offloads = offloads;
	if (!net_apply_offloads(w->net))
		return true;
	set->offloads = old;
	configure_all(w);
	return false;
}

/* Where a queue's parameters are; NULL when it has none. */
static struct net_coal *coal_of(struct net_worker *w, u16 queue)
{
	struct net_settings *set = &w->net->set;

	if (queue >= w->net->control_queue || !w->dev->queue[queue].ready)
		return NULL;
	return queue & 1 ? &set->tx[queue / 2] : &set->rx[queue / 2];
}

static bool coal_command(struct net_worker *w, struct command *c)
{
	struct net_settings *set = &w->net->set;
	struct net_coal *to;
	struct coal coal = { 0 };
	u16 queue;

	if (c->cmd == COAL_TX_SET || c->cmd == COAL_RX_SET) {
		if (!(w->dev->accepted & NET_F_NOTF_COAL) || c->len != sizeof(coal))
			return false;
		memcpy(&coal, c->data, sizeof(coal));
		to = c->cmd == COAL_TX_SET ? &set->tx_all : &set->rx_all;
		*to = (struct net_coal){ coal.max_packets, coal.max_usecs };
		for (unsigned i = 0; i < NET_MAX_PAIRS; i++)
			(c->cmd == COAL_TX_SET ? set->tx : set->rx)[i] = *to;
		return true;
	}
	/* {queue, reserved} and, to set, the parameters. */
	if (!(w->dev->accepted & NET_F_VQ_NOTF_COAL) || c->len < 4)
		return false;
	memcpy(&queue, c->data, sizeof(queue));
	to = coal_of(w, queue);
	if (!to)
		return false;
	if (c->cmd == COAL_VQ_SET && c->len == 4 + sizeof(coal)) {
		memcpy(&coal, c->data + 4, sizeof(coal));
		*to = (struct net_coal){ coal.max_packets, coal.max_usecs };
		return true;
	}
	if (c->cmd == COAL_VQ_GET && c->len == 4) {
		coal = (struct coal){ to->max_packets, to->max_usecs };
		memcpy(c->reply, &coal, sizeof(coal));
		c->reply_len = sizeof(coal);
		return true;
	}
	return false;
}

static bool carry_out(struct net_worker *w, struct command *c)
{
	switch (c->class) {
	case VIRTIO_NET_CTRL_RX:
		return HAS(w, CTRL_RX) && rx_mode(w, c);
	case VIRTIO_NET_CTRL_MAC:
		return mac_command(w, c);
	case VIRTIO_NET_CTRL_VLAN:
		return vlan_command(w, c);
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return announce_command(w, c);
	case VIRTIO_NET_CTRL_MQ:
		return mq_command(w, c);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return offloads_command(w, c);
	case CTRL_NOTF_COAL:
		return coal_command(w, c);
	default:
		return false;
	}
}

static u32 scatter(const struct iovec *iov, unsigned n, const u8 *from, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part = MIN(iov[i].iov_len, len - done);

		memcpy(iov[i].iov_base, from + done, part);
		done += part;
	}
	return (u32)done;
}

/* Carry out one command; the bytes answered. */
static u32 answer(struct net_worker *w, const struct virtq_chain *chain, const struct iovec *iov)
{
	struct command c = { .iov = iov, .n_iov = chain->n_out };
	u8 head[2], reply[sizeof(struct coal) + 1];
	size_t reply_len;
	bool ok = false;

	if (copy_from(&c, 0, head, sizeof(head))) {
		c.class = head[0];
		c.cmd = head[1];
		c.len = chain->out_len - sizeof(head);
		ok = copy_from(&c, sizeof(head), c.data, MIN(c.len, sizeof(c.data))) && carry_out(w, &c) &&
		     c.reply_len < chain->in_len;
	}
	if (ok) {
		memcpy(reply, c.reply, c.reply_len);
		reply[c.reply_len] = VIRTIO_NET_OK;
		reply_len = c.reply_len + 1;
	} else {
		/* What was meant is not known, nor where the answer is looked for. */
		memset(reply, VIRTIO_NET_ERR, sizeof(reply));
		reply_len = sizeof(reply);
	}
	COUNT(w->count.control.commands, 1);
	COUNT(w->count.control.refused, !ok);
	if (ok)
		configure_all(w);
	return scatter(iov + chain->n_out, chain->n_in, reply, reply_len);
}

unsigned control_serve(struct net_worker *w)
{
	struct iovec iov[VIRTQ_MAX_SIZE];
	struct virtq_chain chain;
	enum net_fate fate;
	unsigned n = 0;

	/* At most a ring's worth, packets must have their turn; a reset has it now. */
	while (n < w->control->size && !worker_is_called(w) && virtq_pop(w->control, &chain, iov) == VIRTQ_CHAIN) {
		n++;
		if (!chain.in_len) {
			virtq_break(w->control, "control command without room for the answer");
			break;
		}
		virtq_add_used(w->control, chain.head, answer(w, &chain, iov));
		if (w->watched)
			watch_publishing(w, w->control, NULL);
		virtq_publish(w->control);
	}
	if (w->control->decided == w->control->published)
		return n;
	fate = virtq_wants_interrupt(w->control) ? NET_FATE_RAISED : NET_FATE_SUPPRESSED;
	if (w->watched) {
		watch_decided(w, w->control, fate);
		if (fate == NET_FATE_RAISED)
			watch_interrupt(w);
	}
	if (fate == NET_FATE_RAISED) {
		COUNT(w->count.control.interrupts, 1);
		COUNT(w->count.thread.interrupts, 1);
		virtio_interrupt(w->dev);
	} else {
		COUNT(w->count.control.interrupts_suppressed, 1);
	}
	return n;
}
