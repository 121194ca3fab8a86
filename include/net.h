/* SPDX-License-Identifier: MIT */
/*
 * net.h - the virtio network device (virtio 1.2, 5.1): pairs of a receive and
 * a transmit queue, each with one thread that owns both, a queue of the tap
 * and an engine; and a control queue, served by one of these threads.
 */
#ifndef RINGLET_NET_H
#define RINGLET_NET_H

#include "base.h"

struct mem;
struct net;
struct steering;
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
	const int *tap_fd; /* one per pair; stay the caller's, must outlive the device */
	bool tap_uso;	   /* the tap takes UDP segmentation */
	const char *tap_name;
	struct steering *steering; /* for RSS, or NULL; as tap_fd */
	const u16 *cpus; /* processors for the device threads, n_cpus of them */
	unsigned n_cpus; /* 0: any */
};

/*
 * Counters of the device thread: written by it alone, read by anybody at any
 * time, each word whole.
 */
struct net_counters {
	u64 rx_packets, rx_bytes, tx_packets, tx_bytes;
	u64 rx_gso;		   /* packets that stand for several */
	u64 rx_filtered;	   /* not asked for: address, group or VLAN */
	u64 rx_drop_declined;	   /* needed an offload that the guest declined */
	u64 rx_drop_too_big;	   /* could never fit the guest's buffers */
	u64 rx_errors, tx_errors;  /* the tap said no */
	u64 tx_drop_short;	   /* the guest sent less than a header */
	u64 rx_spilled;		   /* frames whose tail went through the spill */
	u64 rx_starved;		   /* times the guest had no buffer for us */
	u64 kicks;		   /* notifications that woke us */
	u64 interrupts;		   /* raised */
	u64 interrupts_suppressed; /* decided on and not wanted */
	u64 interrupts_deferred;   /* rounds that left one to a deadline */
	u64 control;		   /* commands of the control queue */
	u64 control_refused;	   /* those answered with VIRTIO_NET_ERR */
	u64 spins, spins_won;	   /* times it looked around before sleeping; and found something */
	u64 sleeps, enters;	   /* waits; system calls of the engine */
};

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
const char *net_engine_name(const struct net *net);
/* Of all pairs together, or of one. */
void net_read_counters(const struct net *net, struct net_counters *out);
void net_read_pair_counters(const struct net *net, unsigned pair, struct net_counters *out);

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
