/* SPDX-License-Identifier: MIT */
/*
 * net_worker.h - the device thread and its two directions, private to the
 * net device.
 *
 * The worker's struct is its ownership list: what is not in it, or reached
 * from it, the device thread does not touch.  The hand-over is one call at a
 * time, worker_call(), made by a vCPU thread or by main and answered by the
 * worker between two rounds of its loop.
 */
#ifndef RINGLET_NET_WORKER_H
#define RINGLET_NET_WORKER_H

#include <pthread.h>

#include "engine.h"
#include "net.h"
#include "tap.h"
#include "virtio.h"

/* Count without a locked instruction: one writer, whole words. */
#define COUNT(counter, n) STORE_ONCE(&(counter), (counter) + (n))

/* Segments of one receive chain that we use; more than any driver posts. */
#define RX_CHAIN_IOV 20
/* Guest segments of one read; the spill behind them takes what is left. */
#define RX_READ_IOV (ENGINE_READ_IOV - 1)
/* Receive chains that one frame may take. */
#define RX_FRAME_CHAINS 128

/* A receive chain fetched from the ring and not yet given back. */
struct rx_chain {
	u16 head;
	u16 n_iov;
	u32 len;
	struct iovec iov[RX_CHAIN_IOV];
};

/* A read of one frame: guest buffers first, then the spill. */
struct rx_slot {
	u32 direct; /* bytes of guest memory in the read */
	u32 frame;  /* bytes that came */
	bool waits; /* queued as a waiting read */
	u16 n_chains;
	struct rx_chain *chain[RX_FRAME_CHAINS];
	struct iovec iov[ENGINE_READ_IOV];
	u8 *spill;
};

struct net_rx {
	struct virtq *vq;
	bool mergeable;
	u8 gso_allowed;	   /* bit per VIRTIO_NET_HDR_GSO_* type accepted; bit 7: ECN */
	bool csum_allowed; /* frames without a checksum accepted */

	struct rx_chain *pool; /* VIRTQ_MAX_SIZE of them, all below point in */
	struct rx_chain **free;
	unsigned n_free;
	struct rx_chain **spare; /* fetched, in no read */
	unsigned n_spare;

	struct rx_slot slot[ENGINE_READS];
	u8 *spills; /* one mapping, a piece per slot */
	u32 idle_slots;	  /* bit per slot */
	unsigned in_flight; /* reads in the engine */
	unsigned waiting;   /* those of them that wait for a frame */

	u8 done[ENGINE_READS]; /* frames that came, oldest first, not yet placed */
	unsigned n_done;

	u32 depth;	/* guest bytes to offer per read: follows the frames */
	unsigned burst; /* reads to try ahead: follows success */
	unsigned came;	/* frames found since the last reads were posted */
	bool starved;	/* no guest buffer for what came or may come */
	bool cancelling;
	bool dead;	  /* the tap is gone */
	unsigned failures; /* in a row */
	unsigned undecided; /* frames since the last decision on an interrupt */
};

struct net_tx {
	struct virtq *vq;
	u64 idle_slots;
	unsigned in_flight;
	u16 head[ENGINE_WRITES];
	struct iovec iov[2 * VIRTQ_MAX_SIZE]; /* of one round's writes */
};

enum worker_command { WORKER_NONE, WORKER_START, WORKER_START_FRESH, WORKER_STOP, WORKER_EXIT };

struct net_worker {
	struct net *net;
	struct virtio_dev *dev;
	struct engine *engine;
	struct net_rx rx;
	struct net_tx tx;
	struct net_counters count;
	int tap_fd;
	const char *tap_name;
	bool serving; /* between start and stop */
	bool exiting;

	pthread_t thread;
	const u16 *cpus;
	unsigned n_cpus;
	bool started;

	/* The hand-over. */
	pthread_mutex_t lock;
	pthread_cond_t answered;
	enum worker_command command; /* written under lock, atomic to peek at */
	int attached;		     /* under lock: 1, or -errno; 0: not yet */
};

/* The device: what its driver sees, and the thread behind it. */
struct net {
	struct virtio_dev dev;
	struct net_worker worker;
};

enum { NET_RXQ, NET_TXQ };

/* Main thread. */
int worker_start(struct net_worker *w) MUST_CHECK;
/* vCPU threads (dev->lock held) and main: returns when it is done. */
void worker_call(struct net_worker *w, enum worker_command c);

/* The rest: the device thread only, but for init and fini (main). */

int rx_init(struct net_rx *rx) MUST_CHECK;
void rx_fini(struct net_rx *rx);
/* Forget every chain and frame: the queue is new. */
void rx_reset(struct net_rx *rx);
/* Post what reads make sense now; how many were posted. */
unsigned rx_post(struct net_worker *w);
/* A read completed. */
void rx_completed(struct net_worker *w, unsigned slot, int result);
/* After a round's reads: learn how far to read ahead. */
void rx_adapt(struct net_rx *rx, unsigned posted);
/* Give the guest what has come, as far as it has buffers; frames given. */
unsigned rx_deliver(struct net_worker *w);
/* Nothing more is waiting in the tap that we could deliver. */
bool rx_drained(const struct net_rx *rx);

void tx_reset(struct net_tx *tx);
/* Queue writes for what the guest sent; how many chains were taken. */
unsigned tx_post(struct net_worker *w);
void tx_completed(struct net_worker *w, unsigned slot, int result);

#endif
