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

#include <linux/virtio_net.h>
#include <pthread.h>

#include "capture.h"
#include "chaos.h"
#include "counter.h"
#include "engine.h"
#include "net.h"
#include "net_filter.h"
#include "net_hash.h"
#include "net_irq.h"
#include "tap.h"
#include "tap_steering.h"
#include "trace.h"
#include "virtio.h"

/* Not in the uapi headers of every distribution that we build on. */
#define NET_F_HOST_USO VIRTIO_BIT(56)
#define NET_F_GUEST_USO4 VIRTIO_BIT(54)
#define NET_F_GUEST_USO6 VIRTIO_BIT(55)
#define NET_F_GUEST_USO (NET_F_GUEST_USO4 | NET_F_GUEST_USO6)
#define NET_F_NOTF_COAL VIRTIO_BIT(53)
#define NET_F_VQ_NOTF_COAL VIRTIO_BIT(52)
#define NET_HDR_GSO_UDP_L4 5
/* What CTRL_GUEST_OFFLOADS can switch. */
#define NET_GUEST_OFFLOADS                                                               \
	(VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) |    \
	 VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN) |     \
	 NET_F_GUEST_USO)

/* Segments of one receive chain that we use: pages enough for any frame. */
#define RX_CHAIN_IOV 36
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
	bool off;	   /* its pair is not in use (5.1.6.5.5): post no read */
	struct net_filter filter;
	struct net_moderation irq;
	u16 looks_at;	   /* bytes of a frame that must be seen to place it */
	bool reports_hash; /* HASH_REPORT */
	struct hash_config hash; /* what hash_table was built from */
	hash_table hash_table;

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
};

struct net_tx {
	struct virtq *vq;
	u64 idle_slots;
	u64 gso; /* bit per slot: its frame stands for several */
	u64 recorded; /* bit per slot: the newest record with that number is of its frame */
	unsigned in_flight;
	u16 head[ENGINE_WRITES];
	struct iovec iov[2 * VIRTQ_MAX_SIZE]; /* of one round's writes */
	struct net_moderation irq;
};

struct net_coal {
	u32 max_packets, max_usecs;
};

/*
 * What the control queue sets.  It belongs to the thread that serves that
 * queue; the others take copies of what is theirs while they are called.
 */
struct net_settings {
	struct net_filter filter;
	u64 offloads; /* receive offloads in effect, feature bits */
	unsigned pairs;
	bool steered;		 /* by RSS: the rules are in net->steering */
	struct hash_config hash; /* for HASH_REPORT */
	struct net_coal rx_all, tx_all; /* for a queue that is reset */
	struct net_coal rx[NET_MAX_PAIRS], tx[NET_MAX_PAIRS];
};

enum worker_command {
	WORKER_NONE,
	WORKER_START,
	WORKER_START_FRESH,
	WORKER_STOP,
	WORKER_CONFIGURE, /* the settings changed */
	WORKER_WATCH,	  /* next_capture is to be taken over */
	WORKER_MODERATE,  /* the host's policy for interrupts did */
	WORKER_EXIT,
};

struct net_worker {
	struct net *net;
	struct virtio_dev *dev;
	unsigned pair;
	struct engine *engine;
	u32 header; /* bytes of it in front of every frame */
	struct net_rx rx;
	struct net_tx tx;
	struct virtq *control; /* the control queue, if it is this thread's */
	const struct chaos_config *chaos; /* NULL, but for a device that is to lie */
	struct chaos rx_chaos, tx_chaos, irq_chaos;
	struct net_counters count;
	const char *tap_name;
	u64 now;      /* this round's time, ns */
	unsigned in_round; /* frames that the last round moved, if it did not sleep */
	struct net_pace pace;
	unsigned moved; /* frames since the last quiet round */
	bool quiet;	/* no more is waiting, either way: interrupts are due */
	bool spin;	/* constant: look around before sleeping, where the engine can */
	bool looks;	/* about to do so: interrupts for what was sent can wait */
	bool serving; /* between start and stop */
	bool exiting;
	bool watched; /* somebody wants to see each packet: looked at once a round */
	struct capture *capture; /* for whom, or NULL */
	struct trace *trace;	 /* or for whom, or NULL */
	u64 published_at;	 /* for the trace: in this call, ns, or 0 */

	pthread_t thread;
	const u16 *cpus;
	unsigned n_cpus;
	bool started;

	/* The hand-over. */
	pthread_mutex_t callers; /* one at a time: vCPU, main, control queue */
	pthread_mutex_t lock;
	pthread_cond_t answered;
	enum worker_command command; /* written under lock, atomic to peek at */
	struct capture *next_capture; /* before and under a call */
	int attached;		     /* under lock: 1, or -errno; 0: not yet */
};

_Static_assert(NET_MAX_PAIRS <= TAP_MAX_QUEUES && 2 * NET_MAX_PAIRS + 1 <= VIRTIO_MAX_QUEUES,
	       "each pair has a queue of the tap, and two of the device's");

/* The device: its registers, its threads, its settings. */
struct net {
	struct virtio_dev dev;
	unsigned pairs;
	struct net_worker *worker[NET_MAX_PAIRS];
	unsigned control_queue; /* its index, which depends on MQ (5.1.2) */
	unsigned control_pair;	/* whose thread serves it */
	struct net_settings set;
	int tap_fd[NET_MAX_PAIRS];
	const char *tap_name;
	struct steering *steering; /* NULL: there is no RSS */
	u8 mac[6]; /* as made; the driver may set another until reset */
	enum net_irq_policy irq; /* main's; a device thread reads it when main calls it */
	u32 irq_usecs;
	u64 negotiated; /* dev->lock: what the last driver accepted that got to DRIVER_OK */
};

enum { NET_RXQ, NET_TXQ }; /* the first pair's */

static inline unsigned net_rxq(unsigned pair)
{
	return 2 * pair;
}

static inline unsigned net_txq(unsigned pair)
{
	return 2 * pair + 1;
}

/* 5.1.6: in front of every frame, both ways. */
static inline u32 net_header(const struct net *net)
{
	return net->dev.accepted & VIRTIO_BIT(VIRTIO_NET_F_HASH_REPORT) ? TAP_HEADER_HASH : TAP_HEADER;
}

/* Main thread. */
int worker_start(struct net_worker *w) MUST_CHECK;
/*
 * vCPU threads (dev->lock held), main, and the thread that serves the control
 * queue for another: returns when it is done.
 */
void worker_call(struct net_worker *w, enum worker_command c);
/* The device thread: does somebody wait for an answer to that? */
bool worker_is_called(const struct net_worker *w);

/* net.c; the thread that serves the control queue, or vCPU before it serves. */

/* Put set.offloads into the tap; 0 or -errno. */
int net_apply_offloads(struct net *net);
/* Attach as many of the tap's queues as set.pairs says. */
void net_apply_pairs(struct net *net);
/* Have RSS choose the tap's queue, or tun, as set.steered says; 0 or -errno. */
int net_apply_steering(struct net *net);
/* Any thread: bits of the configuration space's status word. */
void net_status_bits(struct net *net, u16 on, u16 off);

/* The rest: the device thread only, but for init and fini (main). */

int rx_init(struct net_rx *rx) MUST_CHECK;
void rx_fini(struct net_rx *rx);
/* Forget every chain and frame: the queue is new. */
void rx_reset(struct net_rx *rx);
/* Post what reads make sense now; how many were posted. */
unsigned rx_post(struct net_worker *w);
/* Drop the frames that came and were not given; no read is in flight. */
void rx_forget(struct net_rx *rx);
/* A read completed. */
void rx_completed(struct net_worker *w, unsigned slot, int result);
/* After a round's reads: learn how far to read ahead. */
void rx_adapt(struct net_rx *rx, unsigned posted);
/* Give the guest what has come, as far as it has buffers; frames given. */
unsigned rx_deliver(struct net_worker *w);
/* Nothing more is waiting in the tap that we could deliver. */
bool rx_drained(const struct net_rx *rx);

/* net_features.c: what to offer; and of what was accepted, what is missing, as a sentence, or NULL. */
u64 net_features_offered(const struct net_params *p);
const char *net_features_missing(u64 accepted);

/* net_control.c: answer the driver's commands; how many. */
unsigned control_serve(struct net_worker *w);

/*
 * net_watch.c: only while watched.  Reads brought so many frames; one is about to
 * be given to the guest, or is not, or none that wait are; a write for one was
 * begun, or failed.
 */
void watch_came(struct net_worker *w, unsigned frames);
void watch_dropped(struct net_worker *w);
void watch_forgotten(struct net_worker *w);
void watch_received(struct net_worker *w, const struct rx_slot *s, const struct virtio_net_hdr_v1 *h);
void watch_sent(struct net_worker *w, unsigned slot, const struct virtq_chain *c, const struct iovec *iov);
void watch_failed(struct net_worker *w, unsigned slot);
void watch_kicked(struct net_worker *w);
/* Slept since then. */
void watch_slept(struct net_worker *w, u64 since, enum engine_event_type woken_by);
/* WORKER_WATCH. */
void watch_change(struct net_worker *w);
/* The rings are gone: nothing will be decided any more. */
void watch_stopped(struct net_worker *w);
/* What was used of the rings, which may be NULL, is about to be published. */
void watch_publishing(struct net_worker *w, const struct virtq *a, const struct virtq *b);
/* Decided, for all that was published; if so an interrupt comes now. */
void watch_decided(struct net_worker *w, const struct virtq *vq, enum net_fate fate);
void watch_interrupt(struct net_worker *w);
/* All that was used is published, and that is how it stands with interrupts. */
void watch_published(struct net_worker *w, enum net_fate rx, enum net_fate tx);

/* net_publish.c: publish what was used of vq (NULL: of none), where no interrupt is to be thought of. */
void worker_publish(struct net_worker *w, struct virtq *vq);
/* Publish what was used, decide on an interrupt where one is due. */
void worker_interrupt(struct net_worker *w);

/* Take over what the settings say for this pair. */
void worker_configure(struct net_worker *w);
/* Take over the host's policy for interrupts; main, before the thread runs. */
void worker_moderate(struct net_worker *w);

void tx_reset(struct net_tx *tx);
/* Queue writes for what the guest sent; how many chains were taken. */
unsigned tx_post(struct net_worker *w);
void tx_completed(struct net_worker *w, unsigned slot, int result);

#endif
