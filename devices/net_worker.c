// SPDX-License-Identifier: MIT
/*
 * net_worker.c - the device thread: one loop that moves frames while there
 * are any, then asks to be told of more, looks once again, and sleeps.
 *
 * Kicks are off while it is awake.  Used buffers are published at once, where
 * a polling guest sees them; the interrupt is decided on when nothing more is
 * waiting, once for all of them, or after a bounded number, so that a wire
 * that is never quiet cannot keep the guest asleep.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "barrier.h"
#include "log.h"
#include "net_worker.h"

/* Received frames that share one interrupt at most (vhost-net's figure). */
#define MAX_UNDECIDED 64

static void apply_features(struct net_worker *w, u64 accepted)
{
	struct net_rx *rx = &w->rx;
	unsigned offload = 0;
	int err;

	rx->gso_allowed = 0;
	rx->mergeable = accepted & VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF);
	rx->csum_allowed = accepted & VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM);
	if (rx->csum_allowed)
		offload |= TUN_F_CSUM;
	if (accepted & VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4)) {
		offload |= TUN_F_TSO4;
		rx->gso_allowed |= 1u << VIRTIO_NET_HDR_GSO_TCPV4;
	}
	if (accepted & VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6)) {
		offload |= TUN_F_TSO6;
		rx->gso_allowed |= 1u << VIRTIO_NET_HDR_GSO_TCPV6;
	}
	if (accepted & VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN)) {
		offload |= TUN_F_TSO_ECN;
		rx->gso_allowed |= 1u << 7;
	}
	err = tap_set_offload(w->tap_fd, offload);
	if (err && err != -ENOTTY) /* not a tap: a test's socket */
		guest_warn("tap %s: cannot set offloads: %s", w->tap_name, strerror(-err));
}

/*
 * What came before this driver was not meant for it, and may be of a kind
 * that it declined.  Bounded: a busy wire must not hold the guest up.
 */
static void drain_tap(struct net_worker *w)
{
	u8 byte;

	for (unsigned i = 0; i < 4096; i++)
		if (read(w->tap_fd, &byte, 1) < 0)
			return;
}

static void command_start(struct net_worker *w, bool fresh)
{
	struct virtio_dev *dev = w->dev;

	if (fresh || !dev->queue[NET_RXQ].ready)
		rx_reset(&w->rx);
	if (fresh)
		tx_reset(&w->tx);
	w->rx.vq = dev->queue[NET_RXQ].ready ? &dev->vq[NET_RXQ] : NULL;
	w->tx.vq = dev->queue[NET_TXQ].ready ? &dev->vq[NET_TXQ] : NULL;
	if (fresh) {
		apply_features(w, dev->accepted);
		drain_tap(w);
	}
	if (w->rx.vq)
		virtq_kicks_off(w->rx.vq);
	w->serving = true;
}

static void handle_events(struct net_worker *w);

/* Nothing that points into guest memory is in flight when this returns. */
static void command_stop(struct net_worker *w)
{
	if (!w->serving)
		return;
	w->engine->ops->cancel(w->engine, true);
	while (w->rx.in_flight || w->tx.in_flight) {
		w->engine->ops->enter(w->engine, true);
		handle_events(w);
	}
	if (w->tx.vq)
		virtq_publish(w->tx.vq);
	w->rx.vq = w->tx.vq = NULL;
	w->serving = false;
}

/* Answer the call that is pending, if any. */
static void handle_command(struct net_worker *w)
{
	pthread_mutex_lock(&w->lock);
	switch (w->command) {
	case WORKER_NONE:
		break;
	case WORKER_START:
	case WORKER_START_FRESH:
		command_start(w, w->command == WORKER_START_FRESH);
		break;
	case WORKER_STOP:
		command_stop(w);
		break;
	case WORKER_EXIT:
		command_stop(w);
		w->exiting = true;
		break;
	}
	STORE_ONCE(&w->command, WORKER_NONE);
	pthread_cond_signal(&w->answered);
	pthread_mutex_unlock(&w->lock);
}

/*
 * Looked at in every round: an engine need not report the control eventfd to a
 * thread that never sleeps, and a reset must not wait for the traffic to end.
 */
static bool is_called(const struct net_worker *w)
{
	return LOAD_ONCE(&w->command) != WORKER_NONE;
}

void worker_call(struct net_worker *w, enum worker_command c)
{
	u64 one = 1;

	pthread_mutex_lock(&w->lock);
	STORE_ONCE(&w->command, c);
	if (write(w->engine->fd.control, &one, sizeof(one)) < 0)
		warn("net: control eventfd: %s", strerror(errno));
	while (w->command != WORKER_NONE)
		pthread_cond_wait(&w->answered, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

static void handle_events(struct net_worker *w)
{
	struct engine_event ev;

	while (w->engine->ops->next(w->engine, &ev)) {
		switch (ev.type) {
		case ENGINE_READ:
			rx_completed(w, ev.slot, ev.result);
			break;
		case ENGINE_WRITTEN:
			tx_completed(w, ev.slot, ev.result);
			break;
		case ENGINE_KICK:
			COUNT(w->count.kicks, 1);
			break;
		case ENGINE_CONTROL:
			break; /* we are awake, see is_called() */
		}
	}
}

static void check_rings(struct net_worker *w)
{
	const struct virtq *rx = w->rx.vq, *tx = w->tx.vq;
	const char *what = rx && rx->broken ? "receive queue" : "transmit queue";
	const char *rule = rx && rx->broken ? rx->broken : tx ? tx->broken : NULL;

	if (!rule)
		return;
	/* Not a byte more for this driver, in either direction. */
	command_stop(w);
	virtio_needs_reset(w->dev, what, rule);
}

static void decide(struct net_worker *w, struct virtq *vq, bool *raise)
{
	if (!vq || vq->decided == vq->published)
		return;
	if (virtq_wants_interrupt(vq))
		*raise = true;
	else
		COUNT(w->count.interrupts_suppressed, 1);
}

static void publish_and_interrupt(struct net_worker *w)
{
	struct net_rx *rx = &w->rx;
	bool raise = false;

	if (rx->vq)
		virtq_publish(rx->vq);
	if (w->tx.vq)
		virtq_publish(w->tx.vq);
	decide(w, w->tx.vq, &raise);
	if (rx_drained(rx) || rx->undecided >= MAX_UNDECIDED) {
		rx->undecided = 0;
		decide(w, rx->vq, &raise);
	}
	if (raise) {
		COUNT(w->count.interrupts, 1);
		virtio_interrupt(w->dev);
	}
}

/* Both rings asked to tell us of more; true if there is more already. */
static bool kicks_on(struct net_worker *w)
{
	bool more = false;

	/* When every write waits for room in the tap, one that ends wakes us. */
	if (w->tx.vq && w->tx.idle_slots)
		more |= virtq_kicks_on(w->tx.vq);
	if (w->rx.vq && w->rx.starved)
		more |= virtq_kicks_on(w->rx.vq);
	return more;
}

static void kicks_off(struct net_worker *w)
{
	if (w->tx.vq)
		virtq_kicks_off(w->tx.vq);
	if (w->rx.vq && w->rx.starved)
		virtq_kicks_off(w->rx.vq);
}

/* One round: move what there is; sleep if there was nothing. */
static void serve(struct net_worker *w)
{
	struct engine *e = w->engine;
	unsigned sent, posted, given;

	given = rx_deliver(w);
	sent = tx_post(w);
	posted = rx_post(w);
	if (sent || posted || w->rx.cancelling) {
		e->ops->enter(e, false);
		handle_events(w);
		rx_adapt(&w->rx, posted);
		given += rx_deliver(w);
	}
	publish_and_interrupt(w);
	check_rings(w);
	if (is_called(w) || !w->serving || sent || given || w->rx.cancelling)
		return;
	/* A read that failed left nobody to wait in the tap: post another. */
	if (w->rx.vq && !rx_drained(&w->rx))
		return;

	if (!kicks_on(w)) {
		COUNT(w->count.sleeps, 1);
		e->ops->enter(e, true);
		handle_events(w);
	}
	check_rings(w); /* the last look may have met a broken index */
	kicks_off(w);
}

static void pin(struct net_worker *w)
{
	cpu_set_t set;

	if (!w->n_cpus)
		return;
	CPU_ZERO(&set);
	for (unsigned i = 0; i < w->n_cpus; i++)
		if (w->cpus[i] < CPU_SETSIZE)
			CPU_SET(w->cpus[i], &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		warn("cannot pin the device thread: none of those processors is there");
}

static void *worker_main(void *arg)
{
	struct net_worker *w = arg;
	struct engine *e = w->engine;
	int err;

	pin(w);
	err = e->ops->attach(e);
	pthread_mutex_lock(&w->lock);
	w->attached = err ? err : 1;
	pthread_cond_signal(&w->answered);
	pthread_mutex_unlock(&w->lock);
	if (err)
		return NULL;

	while (!w->exiting) {
		if (w->serving) {
			serve(w);
		} else {
			e->ops->enter(e, true);
			handle_events(w);
		}
		if (is_called(w))
			handle_command(w);
		STORE_ONCE(&w->count.enters, e->enters);
	}
	e->ops->detach(e);
	return NULL;
}

int worker_start(struct net_worker *w)
{
	sigset_t all, old;
	int err;

	/* Signals are main's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	pthread_setname_np(w->thread, "net/0");

	pthread_mutex_lock(&w->lock);
	while (!w->attached)
		pthread_cond_wait(&w->answered, &w->lock);
	pthread_mutex_unlock(&w->lock);
	if (w->attached < 0) {
		pthread_join(w->thread, NULL);
		return w->attached;
	}
	w->started = true;
	return 0;
}
