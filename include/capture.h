/* SPDX-License-Identifier: MIT */
/*
 * capture.h - packets on their way from a device thread to a file: what the
 * device knows of each, and its first bytes.
 *
 * A record is made when the packet is sent or delivered, and held back until
 * it is decided whether the guest is interrupted for the batch that it is in:
 * for some microseconds mostly, or up to a deadline.  It then tells what became
 * of that and how long it took.
 */
#ifndef RINGLET_CAPTURE_H
#define RINGLET_CAPTURE_H

#include <linux/virtio_net.h>

#include "stream.h"

/* What becomes of the interrupt for what was published. */
enum net_fate {
	NET_FATE_NONE,	     /* there is nothing to decide; in a record: that was not waited for */
	NET_FATE_WAITS,	     /* more is on its way: one decision for all of it */
	NET_FATE_DEFERRED,   /* to a deadline */
	NET_FATE_RAISED,
	NET_FATE_SUPPRESSED, /* the driver did not want one */
};

enum capture_way { CAPTURE_NOTHING, CAPTURE_RX, CAPTURE_TX };

struct capture_record {
	u32 bytes; /* the stream's */
	u32 lost;  /* packets dropped between this one and the last */
	u64 ns;	   /* CLOCK_MONOTONIC */
	u32 len;   /* of the frame, without the virtio-net header */
	u32 captured; /* bytes of it in data */
	u32 batch; /* which batch of the queue's, as its counter numbers them; 0: not known */
	u16 head;
	u16 buffers; /* of the ring, when received; segments, when sent */
	struct virtio_net_hdr_v1 header;
	u8 way;	     /* enum capture_way */
	u8 fate;     /* enum net_fate: raised, suppressed or none */
	u8 deferred; /* it waited for a deadline */
	u8 slot;     /* the device thread's */
	u32 irq_ns;  /* from ns to the decision */
	u8 data[];
};
#define CAPTURE_RECORD offsetof(struct capture_record, data)

/* Of one pair of queues.  Its device thread writes, see net_capture(). */
struct capture {
	struct stream stream;
	u32 snaplen; /* bytes of a frame at most */
	u64 lost;    /* the device thread's: dropped when the last record was added */
};

#endif
