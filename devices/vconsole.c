// SPDX-License-Identifier: MIT
/*
 * vconsole.c - streams between a program in the guest and one here.
 *
 * Two of the rings carry the ports' coming and going (5.3.6.2), the others
 * their bytes.  What is to be told to the guest is a set of flags per port and
 * not a queue of messages, so that a guest which asks without listening makes
 * nothing grow.
 *
 * Whoever holds vc->lock owns the rings: vconsole_serve() while it runs, and
 * start() and stop(), which the vCPU threads call.  No call here waits, so a
 * reset waits for one round at the most; that is why this device needs no
 * thread of its own.
 */
#include "vconsole.h"

#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"
#include "virtio.h"

#define QUEUE_SIZE 64
#define CONTROL_RX 2
#define CONTROL_TX 3
/* Of bytes and messages in one round, so that main looks at its clock. */
#define ROUND_CHAINS 256

/* What the guest has yet to be told of a port. */
#define TELL_ADD 1u
#define TELL_NAME 2u
#define TELL_OPEN 4u

/* One direction: the chain at hand, of which a part may be done. */
struct flow {
	bool held;
	u16 head;
	struct iovec iov[QUEUE_SIZE], *rest;
	unsigned n_rest;
};

struct vport {
	const char *name;
	bool open;     /* by a program in the guest */
	bool ended;    /* here */
	unsigned tell; /* TELL_* */
	struct flow out, in;
};

struct vconsole {
	struct virtio_dev dev;
	const struct vconsole_ops *ops;
	void *opaque;
	unsigned n;

	pthread_mutex_t lock; /* all below, and the rings while serving */
	bool serving;
	struct vport port[VCONSOLE_MAX_PORTS];
};

/* 5.3.2: the first port's rings come before those of control. */
static unsigned port_rx(unsigned port)
{
	return port ? 2 * port + 2 : 0;
}

static unsigned port_tx(unsigned port)
{
	return port_rx(port) + 1;
}

static struct virtq *ready(struct vconsole *vc, unsigned i)
{
	return vc->dev.queue[i].ready && !vc->dev.vq[i].broken ? &vc->dev.vq[i] : NULL;
}

static size_t copy_from(void *to, size_t size, const struct iovec *iov, unsigned n)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < size; i++) {
		size_t len = MIN(iov[i].iov_len, size - done);

		memcpy((u8 *)to + done, iov[i].iov_base, len);
		done += len;
	}
	return done;
}

static size_t copy_to(const struct iovec *iov, unsigned n, const void *from, size_t size)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < size; i++) {
		size_t len = MIN(iov[i].iov_len, size - done);

		memcpy(iov[i].iov_base, (const u8 *)from + done, len);
		done += len;
	}
	return done;
}

/* --- control ---------------------------------------------------------------- */

static void heed(struct vconsole *vc, const struct virtio_console_control *c)
{
	struct vport *p = c->id < vc->n && vc->port[c->id].name ? &vc->port[c->id] : NULL;

	switch (c->event) {
	case VIRTIO_CONSOLE_DEVICE_READY:
		for (unsigned i = 0; c->value && i < vc->n; i++)
			vc->port[i].tell |= vc->port[i].name ? TELL_ADD : 0;
		break;
	case VIRTIO_CONSOLE_PORT_READY:
		if (p && c->value)
			p->tell |= TELL_NAME | TELL_OPEN;
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		if (p)
			p->open = c->value;
		break;
	}
}

/* One message from the guest. */
static bool listen_to(struct vconsole *vc, unsigned port)
{
	struct virtq *vq = ready(vc, CONTROL_TX);
	struct virtio_console_control c;
	struct iovec iov[QUEUE_SIZE];
	struct virtq_chain chain;

	(void)port;
	if (!vq || virtq_pop(vq, &chain, iov) != VIRTQ_CHAIN)
		return false;
	/* A short one says nothing. */
	if (copy_from(&c, sizeof(c), iov, chain.n_out) == sizeof(c))
		heed(vc, &c);
	virtq_add_used(vq, chain.head, 0);
	return true;
}

/* One message into one buffer of the guest's; false if there is none. */
static bool say(struct vconsole *vc, u32 id, u16 event, u16 value, const char *text)
{
	struct virtq *vq = ready(vc, CONTROL_RX);
	struct virtio_console_control c = { .id = id, .event = event, .value = value };
	u8 message[sizeof(c) + 64];
	size_t len = sizeof(c) + strlen(text);
	struct iovec iov[QUEUE_SIZE];
	struct virtq_chain chain;

	if (!vq || virtq_pop(vq, &chain, iov) != VIRTQ_CHAIN)
		return false;
	memcpy(message, &c, sizeof(c));
	memcpy(message + sizeof(c), text, len - sizeof(c));
	if (chain.in_len < len) {
		virtq_break(vq, "no room for a message in a control buffer");
		return false;
	}
	virtq_add_used(vq, chain.head, (u32)copy_to(iov + chain.n_out, chain.n_in, message, len));
	return true;
}

static void tell(struct vconsole *vc, unsigned i)
{
	struct vport *p = &vc->port[i];

	if (p->tell & TELL_ADD && say(vc, i, VIRTIO_CONSOLE_PORT_ADD, 1, ""))
		p->tell &= ~TELL_ADD;
	if (p->tell & TELL_NAME && say(vc, i, VIRTIO_CONSOLE_PORT_NAME, 1, p->name))
		p->tell &= ~TELL_NAME;
	if (p->tell & TELL_OPEN && say(vc, i, VIRTIO_CONSOLE_PORT_OPEN, !p->ended, ""))
		p->tell &= ~TELL_OPEN;
}

static void end_port(struct vport *p)
{
	p->ended = true;
	p->tell |= TELL_OPEN;
}

/* --- bytes ------------------------------------------------------------------ */

/* The next chain, which must be of one direction; false: there is none. */
static bool hold(struct flow *f, struct virtq *vq, bool in)
{
	struct virtq_chain chain;

	if (f->held)
		return true;
	if (virtq_pop(vq, &chain, f->iov) != VIRTQ_CHAIN)
		return false;
	if (in ? chain.n_out || !chain.n_in : chain.n_in) {
		virtq_break(vq, in ? "receive buffer that nothing can be written to" :
				     "writable descriptor in a transmit chain");
		return false;
	}
	f->head = chain.head;
	f->rest = f->iov;
	f->n_rest = chain.n_in + chain.n_out;
	f->held = true;
	return true;
}

static void let_go(struct flow *f, struct virtq *vq, size_t written)
{
	virtq_add_used(vq, f->head, (u32)written);
	f->held = false;
}

/* Go on behind so many bytes; true if that was all. */
static bool skip(struct flow *f, size_t len)
{
	while (f->n_rest && len >= f->rest->iov_len) {
		len -= f->rest->iov_len;
		f->rest++;
		f->n_rest--;
	}
	if (!f->n_rest)
		return true;
	f->rest->iov_base = (u8 *)f->rest->iov_base + len;
	f->rest->iov_len -= len;
	return false;
}

/* From the guest.  What comes after the end is thrown away. */
static bool take_some(struct vconsole *vc, unsigned i)
{
	struct virtq *vq = ready(vc, port_tx(i));
	struct vport *p = &vc->port[i];
	struct flow *f = &p->out;
	ssize_t taken;

	if (!vq || !hold(f, vq, false))
		return false;
	if (f->n_rest && !p->ended) {
		taken = vc->ops->take(vc->opaque, i, f->rest, f->n_rest);
		if (!taken)
			return false;
		if (taken < 0)
			end_port(p);
		else if (!skip(f, (size_t)taken))
			return true;
	}
	let_go(f, vq, 0);
	return true;
}

/* To the guest, while somebody reads there: Linux throws away what comes before. */
static bool give_some(struct vconsole *vc, unsigned i)
{
	struct virtq *vq = ready(vc, port_rx(i));
	struct vport *p = &vc->port[i];
	struct flow *f = &p->in;
	ssize_t given;

	if (!vq || !p->open || p->ended || !hold(f, vq, true))
		return false;
	given = vc->ops->give(vc->opaque, i, f->rest, f->n_rest);
	if (given < 0)
		end_port(p);
	if (given <= 0)
		return false;
	let_go(f, vq, (size_t)given);
	return true;
}

/* --- the device ------------------------------------------------------------- */

static bool settle(struct vconsole *vc, unsigned i)
{
	struct virtio_queue *q = &vc->dev.queue[i];
	struct virtq *vq = &vc->dev.vq[i];
	char what[32];

	if (!q->ready)
		return true;
	if (vq->broken) {
		snprintf(what, sizeof(what), "queue %u", i);
		virtio_needs_reset(&vc->dev, what, vq->broken);
		return false;
	}
	virtq_publish(vq);
	if (virtq_wants_interrupt(vq))
		virtio_interrupt(&vc->dev);
	return true;
}

/* As long as there is something to do, and a round allows; true: there may be more. */
static bool keep_on(struct vconsole *vc, unsigned port, bool (*step)(struct vconsole *vc, unsigned port))
{
	for (unsigned n = 0; n < ROUND_CHAINS; n++)
		if (!step(vc, port))
			return false;
	return true;
}

static bool serve(struct vconsole *vc)
{
	bool more = keep_on(vc, 0, listen_to);

	for (unsigned i = 0; i < vc->n; i++) {
		more |= keep_on(vc, i, take_some);
		more |= keep_on(vc, i, give_some);
		/* The last byte before the word that it was the last. */
		virtq_publish(&vc->dev.vq[port_rx(i)]);
		tell(vc, i);
	}
	for (unsigned i = 0; i < vc->dev.nvq; i++)
		/* Not a byte more for this driver. */
		if (!settle(vc, i)) {
			vc->serving = false;
			return false;
		}
	return more;
}

bool vconsole_serve(struct vconsole *vc)
{
	bool more = false;
	u64 kicks;

	pthread_mutex_lock(&vc->lock);
	/* Before the look at the rings; EAGAIN: it is for another reason. */
	if (read(vc->dev.kick_fd[0], &kicks, sizeof(kicks)) < 0)
		kicks = 0;
	more = vc->serving && serve(vc);
	pthread_mutex_unlock(&vc->lock);
	return more;
}

bool vconsole_is_open(struct vconsole *vc, unsigned port)
{
	bool open;

	pthread_mutex_lock(&vc->lock);
	open = vc->port[port].open;
	pthread_mutex_unlock(&vc->lock);
	return open;
}

static struct vconsole *of(struct virtio_dev *dev)
{
	return (struct vconsole *)((u8 *)dev - offsetof(struct vconsole, dev));
}

static const char *check_features(struct virtio_dev *dev, u64 accepted)
{
	(void)dev;
	/* One port alone would be a terminal, of which there is the serial port. */
	return accepted & VIRTIO_BIT(VIRTIO_CONSOLE_F_MULTIPORT) ? NULL :
								   "a console without VIRTIO_CONSOLE_F_MULTIPORT";
}

static void start(struct virtio_dev *dev, bool fresh)
{
	struct vconsole *vc = of(dev);
	u64 one = 1;

	pthread_mutex_lock(&vc->lock);
	for (unsigned i = 0; i < vc->n; i++) {
		struct vport *p = &vc->port[i];

		p->out.held &= !fresh && dev->queue[port_tx(i)].ready;
		p->in.held &= !fresh && dev->queue[port_rx(i)].ready;
		if (fresh) {
			p->open = false;
			p->tell = 0;
		}
	}
	vc->serving = true;
	pthread_mutex_unlock(&vc->lock);
	/* What was made available before needs no kick. */
	if (write(dev->kick_fd[0], &one, sizeof(one)) < 0)
		return;
}

static void stop(struct virtio_dev *dev)
{
	struct vconsole *vc = of(dev);

	pthread_mutex_lock(&vc->lock);
	vc->serving = false;
	pthread_mutex_unlock(&vc->lock);
}

static const struct virtio_ops virtio_ops = {
	.check_features = check_features,
	.start = start,
	.stop = stop,
};

struct vconsole *vconsole_new(const struct mem *m, const char *const *name, unsigned n, bool strict,
			      const struct vconsole_ops *ops, void *opaque)
{
	struct virtio_console_config config = { .max_nr_ports = n };
	struct vconsole *vc = calloc(1, sizeof(*vc));
	struct virtio_dev *dev;
	int kick;

	if (!vc)
		return NULL;
	vc->ops = ops;
	vc->opaque = opaque;
	vc->n = n;
	pthread_mutex_init(&vc->lock, NULL);
	dev = &vc->dev;
	dev->ops = &virtio_ops;
	dev->mem = m;
	dev->name = "console";
	dev->id = VIRTIO_ID_CONSOLE;
	dev->offered = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_CONSOLE_F_MULTIPORT);
	dev->nvq = 2 * n + 2;
	dev->strict = strict;
	dev->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = 0; i < n; i++)
		vc->port[i].name = name[i];
	for (unsigned i = 0; i < dev->nvq; i++) {
		dev->queue[i].max = QUEUE_SIZE;
		dev->kick_fd[i] = kick;
	}
	if (dev->irq_fd < 0 || kick < 0 || virtio_init(dev)) {
		free(vc);
		return NULL;
	}
	virtio_config_set(dev, 0, &config, sizeof(config));
	return vc;
}

void vconsole_free(struct vconsole *vc)
{
	virtio_quiesce(&vc->dev);
	virtio_fini(&vc->dev);
	close(vc->dev.irq_fd);
	close(vc->dev.kick_fd[0]);
	pthread_mutex_destroy(&vc->lock);
	free(vc);
}

struct virtio_dev *vconsole_virtio(struct vconsole *vc)
{
	return &vc->dev;
}

int vconsole_kick_fd(const struct vconsole *vc)
{
	return vc->dev.kick_fd[0];
}
