/* SPDX-License-Identifier: MIT */
/*
 * net.h - the virtio network device (virtio 1.2, 5.1): one receive and one
 * transmit queue, one thread that owns both, the tap's descriptor and an
 * engine.
 */
#ifndef RINGLET_NET_H
#define RINGLET_NET_H

#include "base.h"

struct mem;
struct net;
struct virtio_dev;

struct net_params {
	u8 mac[6];
	u16 mtu;
	u16 queue_size; /* power of two, at most 1024 */
	bool poll_engine; /* instead of io_uring */
	bool strict;	  /* virtio_dev.strict */
	int tap_fd;	  /* stays the caller's, must outlive the device */
	const char *tap_name;
	const u16 *cpus; /* processors for the device thread, n_cpus of them */
	unsigned n_cpus; /* 0: any */
};

/*
 * Counters of the device thread: written by it alone, read by anybody at any
 * time, each word whole.
 */
struct net_counters {
	u64 rx_packets, rx_bytes, tx_packets, tx_bytes;
	u64 rx_gso;		   /* packets that stand for several */
	u64 rx_drop_declined;	   /* needed an offload that the guest declined */
	u64 rx_drop_too_big;	   /* could never fit the guest's buffers */
	u64 rx_errors, tx_errors;  /* the tap said no */
	u64 tx_drop_short;	   /* the guest sent less than a header */
	u64 rx_spilled;		   /* frames whose tail went through the spill */
	u64 rx_starved;		   /* times the guest had no buffer for us */
	u64 kicks;		   /* notifications that woke us */
	u64 interrupts;		   /* raised */
	u64 interrupts_suppressed; /* decided on and not wanted */
	u64 sleeps, enters;	   /* waits; system calls of the engine */
};

/*
 * Main thread, while privileged: everything that may fail.  NULL with one
 * sentence in err.  When io_uring cannot be had, says so and takes poll.
 */
struct net *net_new(const struct net_params *p, const struct mem *m, char *err, size_t err_size);
/* Main thread: start the device thread, named net/0.  0 or -errno. */
int net_start(struct net *net) MUST_CHECK;
/* Main thread, when no vCPU runs: stop and join the thread, free everything. */
void net_free(struct net *net);

struct virtio_dev *net_virtio(struct net *net);
const char *net_engine_name(const struct net *net);
void net_read_counters(const struct net *net, struct net_counters *out);

/* Names of the feature bits of mask, comma separated, for messages. */
const char *net_feature_names(u64 mask, char *buf, size_t size);

#endif
