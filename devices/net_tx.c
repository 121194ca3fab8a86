// SPDX-License-Identifier: MIT
/*
 * net_tx.c - guest to wire: each chain is one frame, header first, and
 * becomes one write.  tun reads the header itself and refuses a bad one, so
 * it is not looked at here; whatever the tap says of a frame, its chain goes
 * back to the guest and the next one is served.
 */
#include <errno.h>

#include "barrier.h"
#include "net_worker.h"

void tx_reset(struct net_tx *tx)
{
	tx->idle_slots = ~0ULL;
	tx->in_flight = 0;
	irq_reset(&tx->irq);
}

/*
 * For the counters only: does the frame stand for several?  gso_type is the
 * header's second byte, and in its first segment but for odd drivers.
 */
static bool is_gso(const struct iovec *iov, unsigned n)
{
	size_t at = offsetof(struct virtio_net_hdr_v1, gso_type);

	for (unsigned i = 0; i < n; i++) {
		if (at < iov[i].iov_len)
			return LOAD_ONCE(&((const u8 *)iov[i].iov_base)[at]) != VIRTIO_NET_HDR_GSO_NONE;
		at -= iov[i].iov_len;
	}
	return false;
}

static inline __attribute__((always_inline)) unsigned post(struct net_worker *w, bool watched)
{
	struct net_tx *tx = &w->tx;
	unsigned used = 0, taken = 0;
	struct virtq_chain c;

	if (!tx->vq)
		return 0;
	/*
	 * Room for the longest chain that there can be, or stop.  A ring's worth
	 * at most: those that are dropped take no room, and can come again.
	 */
	while (taken < tx->vq->size && tx->idle_slots && used + VIRTQ_MAX_SIZE <= ARRAY_SIZE(tx->iov)) {
		unsigned slot = (unsigned)__builtin_ctzll(tx->idle_slots);

		if (virtq_pop(tx->vq, &c, &tx->iov[used]) != VIRTQ_CHAIN)
			break;
		taken++;
		if (c.n_in) {
			virtq_break(tx->vq, "writable descriptor in a transmit chain");
			break;
		}
		if (c.out_len <= w->header) {
			COUNT(w->count.tx.drop_short, 1);
			virtq_add_used(tx->vq, c.head, 0);
			irq_add(&tx->irq, 0, w->now);
			continue;
		}
		tx->head[slot] = c.head;
		tx->gso &= ~(1ULL << slot);
		tx->gso |= (u64)is_gso(&tx->iov[used], c.n_out) << slot;
		tx->idle_slots &= ~(1ULL << slot);
		tx->in_flight++;
		if (watched)
			watch_sent(w, slot, &c, &tx->iov[used]);
		w->engine->ops->write(w->engine, slot, &tx->iov[used], c.n_out);
		used += c.n_out;
	}
	return taken;
}

/* Two loops, so that one which nobody watches does not ask that per frame. */
unsigned tx_post(struct net_worker *w)
{
	return w->watched ? post(w, true) : post(w, false);
}

void tx_completed(struct net_worker *w, unsigned slot, int result)
{
	struct net_tx *tx = &w->tx;

	tx->idle_slots |= 1ULL << slot;
	tx->in_flight--;
	if (result < 0) {
		COUNT(w->count.tx.errors, 1);
		if (w->watched)
			watch_failed(w, slot);
	} else {
		COUNT(w->count.tx.packets, 1);
		COUNT(w->count.tx.bytes, (u64)result - w->header);
		COUNT(w->count.tx.gso, tx->gso >> slot & 1);
		if (result > NET_IRQ_SMALL)
			w->pace.streamed = w->now;
	}
	if (tx->vq) {
		virtq_add_used(tx->vq, tx->head[slot], 0);
		irq_add(&tx->irq, result > 0 ? (u32)result : 0, w->now);
	}
}
