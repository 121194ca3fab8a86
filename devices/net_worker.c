// SPDX-License-Identifier: MIT
/*
 * net_worker.c - the device thread: one loop that moves frames while there
 * are any, looks around for a moment, then asks to be told of more, looks once
 * again, and sleeps.
 *
 * Kicks are off while it is awake.  Used buffers are published at once, where
 * a polling guest sees them; the interrupt is decided on (net_publish.c) when
 * nothing more is waiting, once for all of them, or after a bounded number, so
 * that a wire that is never quiet cannot keep the guest asleep.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "barrier.h"
#include "clock.h"
#include "log.h"
#include "net_worker.h"
#include "thread.h"

static enum engine_event_type handle_events(struct net_worker *w);

/*
 * Its pair is not in use any more: when this returns no frame arrives in its
 * queue (5.1.6.5.5), and the tap's may be let go.
 */
static void stop_receiving(struct net_worker *w)
{
	struct net_rx *rx = &w->rx;

	rx->starved = false;
	if (!rx->in_flight && !rx->n_done)
		return;
	rx->cancelling = rx->in_flight;
	w->engine->ops->cancel(w->engine, false);
	while (rx->in_flight) {
		w->engine->ops->enter(w->engine, ENGINE_FOREVER);
		handle_events(w);
	}
	/* For those that came in time there is room, or there will never be. */
	w->now = clock_ns();
	rx_deliver(w);
	if (w->watched)
		watch_forgotten(w);
	rx_forget(rx);
	worker_publish(w, rx->vq);
}

void worker_configure(struct net_worker *w)
{
	const struct net_settings *set = &w->net->set;
	struct net_rx *rx = &w->rx;

	rx->filter = set->filter;
	rx->off = w->pair >= set->pairs;
	rx->mergeable = w->dev->accepted & VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF);
	w->header = net_header(w->net);
	rx->reports_hash = w->dev->accepted & VIRTIO_BIT(VIRTIO_NET_F_HASH_REPORT);
	rx->looks_at = rx->reports_hash ? HASH_FRAME_HEAD : FILTER_FRAME_HEAD;
	if (rx->reports_hash && memcmp(&rx->hash, &set->hash, sizeof(rx->hash))) {
		rx->hash = set->hash;
		hash_build(rx->hash_table, rx->hash.key);
	}
	rx->csum_allowed = set->offloads & VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM);
	rx->gso_allowed = 0;
	if (set->offloads & VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4))
		rx->gso_allowed |= 1u << VIRTIO_NET_HDR_GSO_TCPV4;
	if (set->offloads & VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6))
		rx->gso_allowed |= 1u << VIRTIO_NET_HDR_GSO_TCPV6;
	if (set->offloads & NET_F_GUEST_USO)
		rx->gso_allowed |= 1u << NET_HDR_GSO_UDP_L4;
	if (set->offloads & VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN))
		rx->gso_allowed |= 1u << 7;
	rx->irq.max_packets = set->rx[w->pair].max_packets;
	rx->irq.max_usecs = set->rx[w->pair].max_usecs;
	w->tx.irq.max_packets = set->tx[w->pair].max_packets;
	w->tx.irq.max_usecs = set->tx[w->pair].max_usecs;
	if (rx->off)
		stop_receiving(w);
}

/* How long a driver waits to free one small packet that was sent. */
#define LONE_USECS 2000

void worker_moderate(struct net_worker *w)
{
	const struct net *net = w->net;
	struct net_moderation *rx = &w->rx.irq, *tx = &w->tx.irq;

	rx->policy = net->irq;
	rx->policy_usecs = net->irq_usecs;
	tx->transmit = true;
	tx->policy = net->irq == NET_IRQ_ADAPTIVE ? NET_IRQ_ADAPTIVE : NET_IRQ_DRAIN;
	tx->lone_usecs = net->irq == NET_IRQ_PACKET ? 0 : LONE_USECS;
	rx->hold_ns = tx->hold_ns = 0; /* adaptive's, which sets them every round */
}

static struct virtq *ready_queue(const struct net_worker *w, unsigned i)
{
	return w->dev->queue[i].ready ? &w->dev->vq[i] : NULL;
}

static void kicks_off(struct net_worker *w)
{
	if (w->tx.vq)
		virtq_kicks_off(w->tx.vq);
	if (w->rx.vq && w->rx.starved)
		virtq_kicks_off(w->rx.vq);
	if (w->control)
		virtq_kicks_off(w->control);
}

static void count_ring(struct virtq *vq, struct net_queue_counters *c)
{
	if (vq)
		vq->count = &c->ring;
}

/* A new queue has none yet; one that goes on keeps what it holds back. */
static void lie(struct net_worker *w, struct virtq *vq, struct chaos *c, unsigned number)
{
	if (!w->chaos || !vq || vq->chaos)
		return;
	chaos_init(c, w->chaos, number);
	vq->chaos = c;
}

static void command_start(struct net_worker *w, bool fresh)
{
	w->rx.vq = w->tx.vq = w->control = NULL;
	/* 5.1.2: pairs behind the control queue are not there, whatever is set up. */
	if (net_rxq(w->pair) < w->net->control_queue) {
		w->rx.vq = ready_queue(w, net_rxq(w->pair));
		w->tx.vq = ready_queue(w, net_txq(w->pair));
	}
	if (w->net->control_pair == w->pair && w->dev->accepted & VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ))
		w->control = ready_queue(w, w->net->control_queue);
	if (fresh || !w->rx.vq) {
		if (w->watched)
			watch_forgotten(w);
		rx_reset(&w->rx);
	}
	if (fresh || !w->tx.vq)
		tx_reset(&w->tx);
	count_ring(w->rx.vq, &w->count.rx);
	count_ring(w->tx.vq, &w->count.tx);
	count_ring(w->control, &w->count.control);
	lie(w, w->rx.vq, &w->rx_chaos, net_rxq(w->pair));
	lie(w, w->tx.vq, &w->tx_chaos, net_txq(w->pair));
	worker_configure(w);
	/* A new ring wants kicks; we are awake. */
	if (w->rx.vq)
		virtq_kicks_off(w->rx.vq);
	kicks_off(w);
	w->serving = w->rx.vq || w->tx.vq || w->control;
}

/* Nothing that points into guest memory is in flight when this returns. */
static void command_stop(struct net_worker *w)
{
	if (!w->serving)
		return;
	w->engine->ops->cancel(w->engine, true);
	while (w->rx.in_flight || w->tx.in_flight) {
		w->engine->ops->enter(w->engine, ENGINE_FOREVER);
		handle_events(w);
	}
	worker_publish(w, w->tx.vq);
	worker_publish(w, w->control);
	w->rx.vq = w->tx.vq = w->control = NULL;
	w->serving = false;
	if (w->watched)
		watch_stopped(w);
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
	case WORKER_CONFIGURE:
		if (w->serving)
			worker_configure(w);
		break;
	case WORKER_WATCH:
		watch_change(w);
		break;
	case WORKER_MODERATE:
		worker_moderate(w);
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
bool worker_is_called(const struct net_worker *w)
{
	return LOAD_ONCE(&w->command) != WORKER_NONE;
}

/*
 * No circle: whoever serves the control queue may call the others, who call
 * nobody.  A vCPU or main waits with dev->lock held, which no thread here takes.
 */
void worker_call(struct net_worker *w, enum worker_command c)
{
	u64 one = 1;

	pthread_mutex_lock(&w->callers);
	pthread_mutex_lock(&w->lock);
	STORE_ONCE(&w->command, c);
	if (write(w->engine->fd.control, &one, sizeof(one)) < 0)
		warn("net: control eventfd: %s", strerror(errno));
	while (w->command != WORKER_NONE)
		pthread_cond_wait(&w->answered, &w->lock);
	pthread_mutex_unlock(&w->lock);
	pthread_mutex_unlock(&w->callers);
}

/* What was the first of them. */
static enum engine_event_type handle_events(struct net_worker *w)
{
	enum engine_event_type first = ENGINE_NOTHING;
	unsigned had = w->rx.n_done;
	struct engine_event ev;

	while (w->engine->ops->next(w->engine, &ev)) {
		if (first == ENGINE_NOTHING)
			first = ev.type;
		switch (ev.type) {
		case ENGINE_READ:
			rx_completed(w, ev.slot, ev.result);
			break;
		case ENGINE_WRITTEN:
			tx_completed(w, ev.slot, ev.result);
			break;
		case ENGINE_KICK:
			COUNT(w->count.thread.kicks, 1);
			if (w->watched)
				watch_kicked(w);
			break;
		case ENGINE_CONTROL:
		case ENGINE_NOTHING:
			break; /* we are awake, see worker_is_called() */
		}
	}
	if (w->watched && w->rx.n_done > had)
		watch_came(w, w->rx.n_done - had);
	return first;
}

/* Its engine's own figures, where others may see them. */
static void count_engine(struct net_worker *w)
{
	struct net_thread_counters *c = &w->count.thread;

	STORE_ONCE(&c->enters, w->engine->enters);
	STORE_ONCE(&c->submissions, w->engine->submissions);
	STORE_ONCE(&c->completions, w->engine->completions);
}

static void count_wake(struct net_worker *w, enum engine_event_type woken_by)
{
	struct net_thread_counters *c = &w->count.thread;

	switch (woken_by) {
	case ENGINE_READ:
		COUNT(c->wakes_frame, 1);
		break;
	case ENGINE_WRITTEN:
		COUNT(c->wakes_sent, 1);
		break;
	case ENGINE_KICK:
		COUNT(c->wakes_kick, 1);
		break;
	case ENGINE_CONTROL:
		COUNT(c->wakes_control, 1);
		break;
	case ENGINE_NOTHING:
		COUNT(c->wakes_timer, 1);
		break;
	}
}

static void check_rings(struct net_worker *w)
{
	const struct {
		const struct virtq *vq;
		const char *name;
	} rings[] = {
		{ w->rx.vq, "receive queue" },
		{ w->tx.vq, "transmit queue" },
		{ w->control, "control queue" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rings); i++) {
		if (!rings[i].vq || !rings[i].vq->broken)
			continue;
		/* Not a byte more for this driver by this thread. */
		const char *rule = rings[i].vq->broken;

		command_stop(w);
		virtio_needs_reset(w->dev, rings[i].name, rule);
		return;
	}
}

/*
 * Is this the moment for interrupts?  When a round moved nothing; or, because
 * one direction may be without an end while the other one waits, when those
 * before it moved enough.
 */
static bool is_quiet(struct net_worker *w, unsigned moved)
{
	w->moved += moved;
	if (moved && w->moved < NET_IRQ_MOST)
		return false;
	w->moved = 0;
	return true;
}

/* Of two times, of which 0 is none. */
static u64 earlier(u64 a, u64 b)
{
	return !a ? b : !b ? a : MIN(a, b);
}

static u64 held_until(const struct virtq *vq)
{
	return vq ? chaos_deadline(vq->chaos) : 0;
}

/* How long to sleep: until an interrupt that was put off is due. */
static s64 sleep_ns(const struct net_worker *w)
{
	u64 first = earlier(w->rx.irq.deadline, w->tx.irq.deadline);

	if (w->chaos)
		first = earlier(first, earlier(held_until(w->rx.vq), held_until(w->tx.vq)));
	if (!first)
		return ENGINE_FOREVER;
	return first > w->now ? (s64)(first - w->now) : 1;
}

/* More, or a rule broken: of neither will it be told by a kick. */
static bool has_more(struct virtq *vq)
{
	return virtq_waiting(vq) || vq->broken;
}

static bool asks_for_more(struct virtq *vq)
{
	return virtq_kicks_on(vq) || vq->broken;
}

/* The rings asked to tell us of more; true if there is more already. */
static bool kicks_on(struct net_worker *w)
{
	bool more = false;

	/* When every write waits for room in the tap, one that ends wakes us. */
	if (w->tx.vq && w->tx.idle_slots)
		more |= asks_for_more(w->tx.vq);
	if (w->rx.vq && w->rx.starved)
		more |= asks_for_more(w->rx.vq);
	if (w->control)
		more |= asks_for_more(w->control);
	return more;
}

/* Does somebody ask for another round by what is in memory? */
static bool is_asked(struct net_worker *w)
{
	return worker_is_called(w) || (w->tx.vq && w->tx.idle_slots && has_more(w->tx.vq)) ||
	       (w->rx.vq && w->rx.starved && has_more(w->rx.vq)) ||
	       (w->control && has_more(w->control));
}

/*
 * Look around for a moment before going to sleep, kicks off: what comes now
 * costs the guest no exit and this thread no wake-up, and finds those before
 * it still to be told of.  True if something came.
 */
static bool look_around(struct net_worker *w)
{
	struct engine *e = w->engine;
	s64 due = sleep_ns(w), spin = irq_spin(&w->pace);
	u64 completed = e->completions;
	u64 until = w->now + (u64)(due > 0 ? MIN(due, spin) : spin);

	do {
		for (unsigned i = 0; i < 32; i++)
			__builtin_ia32_pause();
		/* It may be a kick of before, or a read's for a frame that another got. */
		if (e->ops->ready(e)) {
			e->ops->enter(e, ENGINE_NO_WAIT);
			handle_events(w);
			if (e->completions != completed)
				return true;
		}
		if (is_asked(w))
			return true;
	} while (clock_ns() < until);
	return false;
}

/* Look at the clock, once a round; a round without a sleep tells the pace. */
static void start_round(struct net_worker *w)
{
	u64 now = clock_ns();

	if (w->in_round)
		irq_pace(&w->pace, w->in_round, now - w->now);
	w->now = now;
	if (w->rx.irq.policy == NET_IRQ_ADAPTIVE) {
		w->rx.irq.hold_ns = irq_hold(&w->pace, false, now);
		w->tx.irq.hold_ns = irq_hold(&w->pace, true, now);
	}
}

static void sleep_until_woken(struct net_worker *w)
{
	u64 since = w->watched ? clock_ns() : 0;
	enum engine_event_type woken_by;

	w->engine->ops->enter(w->engine, sleep_ns(w));
	woken_by = handle_events(w);
	count_wake(w, woken_by);
	if (since)
		watch_slept(w, since, woken_by);
}

/* One round: move what there is; sleep if there was nothing. */
static void serve(struct net_worker *w)
{
	struct engine *e = w->engine;
	unsigned sent, posted, given, commands = 0;
	bool was_busy = w->in_round;

	start_round(w);
	if (w->control)
		commands = control_serve(w);
	given = rx_deliver(w);
	sent = tx_post(w);
	posted = rx_post(w);
	if (sent || posted || w->rx.cancelling) {
		e->ops->enter(e, ENGINE_NO_WAIT);
		handle_events(w);
		rx_adapt(&w->rx, posted);
		given += rx_deliver(w);
	}
	w->in_round = sent + given;
	w->quiet = is_quiet(w, sent + given);
	w->looks = w->spin && was_busy && !w->in_round && irq_spins(&w->pace);
	worker_interrupt(w);
	check_rings(w);
	if (worker_is_called(w) || !w->serving || sent || given || commands || w->rx.cancelling)
		return;
	/* A read that failed left nobody to wait in the tap: post another. */
	if (w->rx.vq && !rx_drained(&w->rx))
		return;

	w->in_round = 0;
	if (w->looks) {
		bool won;

		COUNT(w->count.thread.spins, 1);
		won = look_around(w);
		irq_spun(&w->pace, won);
		COUNT(w->count.thread.spins_won, won);
		return;
	}
	if (!kicks_on(w)) {
		count_engine(w);
		COUNT(w->count.thread.sleeps, 1);
		sleep_until_woken(w);
	}
	check_rings(w); /* the last look may have met a broken index */
	kicks_off(w);
}

static void pin(struct net_worker *w)
{
	cpu_set_t set;

	if (!w->n_cpus)
		return;
	/* One processor each where there are several threads; in turn. */
	CPU_ZERO(&set);
	for (unsigned i = 0; i < w->n_cpus; i++)
		if (w->cpus[i] < CPU_SETSIZE && (w->net->pairs == 1 || i == w->pair % w->n_cpus))
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
	/* A moderated interrupt is due to the microsecond, not within 50. */
	prctl(PR_SET_TIMERSLACK, 1);
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
			e->ops->enter(e, ENGINE_FOREVER);
			handle_events(w);
		}
		if (worker_is_called(w))
			handle_command(w);
		count_engine(w);
	}
	e->ops->detach(e);
	return NULL;
}

int worker_start(struct net_worker *w)
{
	char name[16];
	int err;

	snprintf(name, sizeof(name), "net/%u", w->pair);
	err = thread_start(&w->thread, name, worker_main, w, 0);
	if (err)
		return -err;
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
