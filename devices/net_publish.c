// SPDX-License-Identifier: MIT
/*
 * net_publish.c - what was used is shown to the driver, and then: is it to be
 * interrupted for it?  When that is due is net_irq.c's to say, whether it is
 * wanted the driver's, in the ring.  It is asked of both rings together, as one
 * interrupt has the driver look at both.
 */
#include "net_worker.h"

void worker_publish(struct net_worker *w, struct virtq *vq)
{
	if (w->watched)
		watch_publishing(w, vq, NULL);
	if (vq)
		virtq_publish(vq);
}

static struct net_queue_counters *count_of(struct net_worker *w, const struct net_moderation *m)
{
	return m->transmit ? &w->count.tx : &w->count.rx;
}

/* Raised is what the driver wants to be, by the caller. */
static enum net_fate decide(struct net_worker *w, struct virtq *vq, struct net_moderation *m)
{
	bool raise = virtq_wants_interrupt(vq);

	if (raise)
		COUNT(count_of(w, m)->interrupts, 1);
	else
		COUNT(count_of(w, m)->interrupts_suppressed, 1);
	irq_reset(m);
	return raise ? NET_FATE_RAISED : NET_FATE_SUPPRESSED;
}

static bool is_undecided(const struct virtq *vq)
{
	return vq && vq->decided != vq->published;
}

/* An interrupt for what was published: is it due, and is it wanted? */
static enum net_fate consider(struct net_worker *w, struct virtq *vq, struct net_moderation *m, bool drained,
			      bool starved)
{
	u16 undecided;

	if (!is_undecided(vq))
		return NET_FATE_NONE;
	/*
	 * A ring's worth: the driver may have nothing left to give.  If it
	 * polls it may have more, but the distance has 16 bits.
	 */
	undecided = (u16)(vq->published - vq->decided);
	if (irq_due(m, w->now, drained, starved || undecided >= vq->size))
		return decide(w, vq, m);
	if (!m->deadline)
		return NET_FATE_WAITS;
	/* A driver that polls needs no interrupt, and we no timer for a lone one. */
	if (m->lone_usecs && !irq_is_wished(m) && !virtq_would_interrupt(vq))
		return decide(w, vq, m);
	COUNT(count_of(w, m)->interrupts_deferred, 1);
	return NET_FATE_DEFERRED;
}

/* What chaos has held back long enough; and an interrupt for nothing. */
static void let_go(struct net_worker *w, struct virtq *vq, struct net_moderation *m)
{
	for (unsigned n = vq ? chaos_release(vq, w->now) : 0; n; n--)
		irq_add(m, 0, w->now);
}

static void be_chaotic(struct net_worker *w)
{
	let_go(w, w->rx.vq, &w->rx.irq);
	let_go(w, w->tx.vq, &w->tx.irq);
	if (chaos_interrupts(&w->irq_chaos))
		virtio_interrupt(w->dev);
}

static inline __attribute__((always_inline)) void interrupt(struct net_worker *w, bool watched)
{
	struct net_rx *rx = &w->rx;
	struct net_tx *tx = &w->tx;
	enum net_fate rx_fate, tx_fate;
	bool raise;

	if (watched)
		watch_publishing(w, rx->vq, tx->vq);
	if (rx->vq)
		virtq_publish(rx->vq);
	if (tx->vq)
		virtq_publish(tx->vq);
	rx_fate = consider(w, rx->vq, &rx->irq, w->quiet && rx_drained(rx), rx->starved);
	tx_fate = consider(w, tx->vq, &tx->irq, w->quiet && !w->looks, false);
	raise = rx_fate == NET_FATE_RAISED || tx_fate == NET_FATE_RAISED;
	if (raise) {
		/*
		 * Its handler looks at every ring: what a policy keeps waiting there
		 * need not any longer.  What the driver wished itself is done literally.
		 */
		if (is_undecided(rx->vq) && !irq_is_wished(&rx->irq))
			rx_fate = decide(w, rx->vq, &rx->irq);
		if (is_undecided(tx->vq) && !irq_is_wished(&tx->irq))
			tx_fate = decide(w, tx->vq, &tx->irq);
		COUNT(w->count.thread.interrupts, 1);
	}
	if (watched) {
		watch_decided(w, rx->vq, rx_fate);
		watch_decided(w, tx->vq, tx_fate);
		if (raise)
			watch_interrupt(w);
	}
	if (raise)
		virtio_interrupt(w->dev);
	if (watched)
		watch_published(w, rx_fate, tx_fate);
}

void worker_interrupt(struct net_worker *w)
{
	if (w->chaos)
		be_chaotic(w);
	if (w->watched)
		interrupt(w, true);
	else
		interrupt(w, false);
}
