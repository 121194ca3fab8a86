/* SPDX-License-Identifier: MIT */
/*
 * net.h - the virtio network device (virtio 1.2, 5.1): pairs of a receive and
 * a transmit queue, each with one thread that owns both, a queue of the tap
 * and an engine; and a control queue, served by one of these threads.
 */
#ifndef RINGLET_NET_H
#define RINGLET_NET_H

#include "base.h"
#include "virtq.h"

struct capture;
struct chaos_config;
struct mem;
struct net;
struct steering;
struct trace;
struct virtio_dev;

#define NET_MAX_PAIRS 16

/* When a receive interrupt is raised, for guests that do not say: net_irq.h. */
enum net_irq_policy {
	NET_IRQ_DRAIN,
	NET_IRQ_PACKET,
	NET_IRQ_DELAY,
	NET_IRQ_PENDING,
	NET_IRQ_ADAPTIVE,
};

struct net_params {
	u8 mac[6];
	u16 mtu;
	u16 queue_size; /* power of two, at most 1024 */
	unsigned pairs; /* 1 to NET_MAX_PAIRS */
	bool poll_engine; /* instead of io_uring */
	bool strict;	  /* virtio_dev.strict */
	u64 declined;	  /* feature bits not to offer, see net_feature_bits() */
	enum net_irq_policy irq;
	u32 irq_usecs;
	bool spin; /* look for more for a moment before sleeping */
	const struct chaos_config *chaos; /* how to lie, or NULL; must outlive the device */
	const int *tap_fd; /* one per pair; stay the caller's, must outlive the device */
	bool tap_uso;	   /* the tap takes UDP segmentation */
	const char *tap_name;
	struct steering *steering; /* for RSS, or NULL; as tap_fd */
	const u16 *cpus; /* processors for the device threads, n_cpus of them */
	unsigned n_cpus; /* 0: any */
};

/* Which queues have a counter. */
enum { NET_OF_RX = 1, NET_OF_TX = 2, NET_OF_CONTROL = 4, NET_OF_DATA = 3, NET_OF_ALL = 7 };

/* Those of one queue, besides the ring's own. */
#define NET_QUEUE_COUNTERS(ONE, MANY)                                                                \
	ONE(packets, NET_OF_DATA, "frames moved between the tap and the guest")                      \
	ONE(bytes, NET_OF_DATA, "their size, without the virtio-net header")                         \
	ONE(gso, NET_OF_DATA, "those of them that stand for several")                                \
	ONE(interrupts, NET_OF_ALL, "decisions to interrupt; two queues may share one interrupt")    \
	ONE(interrupts_suppressed, NET_OF_ALL, "decisions to interrupt that the driver did not want") \
	ONE(interrupts_deferred, NET_OF_DATA, "rounds that left an interrupt to a deadline")         \
	ONE(starved, NET_OF_RX, "times the guest had no buffer for what came or might come")         \
	ONE(spilled, NET_OF_RX, "frames whose tail went through the spill")                          \
	ONE(filtered, NET_OF_RX, "not asked for: another address, group or VLAN")                    \
	ONE(drop_declined, NET_OF_RX, "dropped: needed an offload that the guest declined")          \
	ONE(drop_too_big, NET_OF_RX, "dropped: could never fit the guest's buffers")                 \
	ONE(drop_short, NET_OF_TX, "dropped: less than a header")                                    \
	ONE(errors, NET_OF_DATA, "dropped: the tap said no")                                         \
	ONE(commands, NET_OF_CONTROL, "commands carried out or refused")                             \
	ONE(refused, NET_OF_CONTROL, "those answered with VIRTIO_NET_ERR")

struct net_queue_counters {
	NET_QUEUE_COUNTERS(COUNTER_ONE, COUNTER_MANY)
	struct virtq_counters ring;
};

/* Those of a device thread. */
#define NET_THREAD_COUNTERS(ONE, MANY)                                                              \
	ONE(interrupts, 0, "raised for used buffers")                                               \
	ONE(kicks, 0, "notifications that came; several before it looked are one")                  \
	ONE(enters, 0, "system calls of the engine")                                                \
	ONE(submissions, 0, "reads and writes of the tap that were begun")                          \
	ONE(completions, 0, "reads and writes that ended, in whatever way")                         \
	ONE(spins, 0, "times it looked around before it would sleep")                               \
	ONE(spins_won, 0, "times it found something then")                                          \
	ONE(sleeps, 0, "times it waited; each ends in one of the following")                       \
	ONE(wakes_frame, 0, "a read ended: a frame came")                                           \
	ONE(wakes_sent, 0, "a write ended: there is room in the tap")                               \
	ONE(wakes_kick, 0, "the driver's notification")                                             \
	ONE(wakes_control, 0, "a call from another thread: reset, configuration, end")              \
	ONE(wakes_timer, 0, "nothing: a deferred interrupt was due")                                \
	ONE(captured, 0, "frames put into a capture")                                               \
	ONE(capture_dropped, 0, "frames for which a capture had no room")

struct net_thread_counters {
	NET_THREAD_COUNTERS(COUNTER_ONE, COUNTER_MANY)
};

/*
 * A queue pair and its thread, which alone writes them.  The control queue's
 * are zero but with the thread that serves it.
 */
struct net_counters {
	struct net_queue_counters rx, tx, control;
	struct net_thread_counters thread;
};

extern const struct counter_table net_queue_table, net_thread_table;

/*
 * Main thread, while privileged: everything that may fail.  NULL with one
 * sentence in err.  When io_uring cannot be had, says so and takes poll.
 */
struct net *net_new(const struct net_params *p, const struct mem *m, char *err, size_t err_size);
/* Main thread: start the device threads, named net/N.  0 or -errno. */
int net_start(struct net *net) MUST_CHECK;
/* Main thread, when no vCPU runs: stop and join the thread, free everything. */
void net_free(struct net *net);

struct virtio_dev *net_virtio(struct net *net);
unsigned net_pairs(const struct net *net);
/* Any thread but the device's: the features that the last driver accepted. */
u64 net_negotiated(struct net *net);
const char *net_engine_name(const struct net *net);
/* Of all pairs together, or of one. */
void net_read_counters(const struct net *net, struct net_counters *out);
void net_read_pair_counters(const struct net *net, unsigned pair, struct net_counters *out);

/*
 * Main thread: have the packets of a pair captured, from now on, into this one
 * or, NULL, not any more; then the old one is nobody's when this returns.
 */
void net_capture(struct net *net, unsigned pair, struct capture *c);

/* Main thread, before net_start(): what the pair's thread tells of itself. */
void net_trace(struct net *net, unsigned pair, struct trace *t);

/*
 * Main thread: another policy for interrupts; usecs as in struct net_params.
 * The device threads have taken it over when this returns.
 */
void net_set_irq(struct net *net, enum net_irq_policy policy, u32 usecs);
/* Main thread: the one that holds. */
enum net_irq_policy net_irq(const struct net *net, u32 *usecs);

/* Main thread: carrier.  The guest is told when it changed. */
void net_set_link(struct net *net, bool up);
/*
 * Main thread: ask the guest to make itself known to its neighbours, if it
 * can be asked (5.1.6.5.4).
 */
void net_announce(struct net *net);

/*
 * The feature bits behind a name of the command line ("tso", "event_idx"...);
 * 0: there is none of that name.  net_feature_switch(i) lists them, NULL ends.
 */
u64 net_feature_bits(const char *name);
const char *net_feature_switch(unsigned i);
/* Those that are not to be offered unless somebody asks for them. */
u64 net_features_on_demand(void);

/* Names of the feature bits of mask, comma separated, for messages. */
const char *net_feature_names(u64 mask, char *buf, size_t size);

#endif
