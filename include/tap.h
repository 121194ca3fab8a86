/* SPDX-License-Identifier: MIT */
/*
 * tap.h - the host's end of the wire: a tap interface that speaks virtio-net
 * headers.  Knows no virtqueue.
 */
#ifndef RINGLET_TAP_H
#define RINGLET_TAP_H

#include <net/if.h>

#include "base.h"

/*
 * The header in front of every frame: struct virtio_net_hdr_v1, or for drivers
 * that took VIRTIO_NET_F_HASH_REPORT struct virtio_net_hdr_v1_hash.
 */
#define TAP_HEADER 12
#define TAP_HEADER_HASH 20
/* Header, Ethernet with one VLAN tag, and the largest GSO payload. */
#define TAP_MAX_FRAME (TAP_HEADER_HASH + 18 + 65536)

#define TAP_MAX_QUEUES 16

#ifndef TUN_F_USO4 /* older than Linux 6.2's headers */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

struct tap {
	int fd[TAP_MAX_QUEUES]; /* one per queue */
	unsigned queues;
	char name[IFNAMSIZ];
	bool created; /* by us: it goes when the descriptors are closed */
	bool uso;     /* takes UDP segmentation (Linux 6.2) */
};

/*
 * Main thread, while privileged.  All return 0, or -1 with one sentence in
 * err that says what failed and what would help.
 *
 * tap_open: attach to so many queues of the interface, making it if there is
 * none of that name (name "": the kernel numbers it).  tap_adopt: take an open
 * descriptor.  Both leave the descriptors non-blocking, offloads off.
 */
int tap_open(struct tap *t, const char *name, unsigned queues, char *err, size_t err_size) MUST_CHECK;
int tap_adopt(struct tap *t, int fd, char *err, size_t err_size) MUST_CHECK;
void tap_close(struct tap *t);

/*
 * Address (network byte order, 0: leave), MTU (0: leave; *mtu_now is what it
 * is then) and up.
 */
int tap_configure(struct tap *t, u32 ip, unsigned prefix, unsigned mtu, unsigned *mtu_now,
		  char *err, size_t err_size) MUST_CHECK;

/* Any thread, no privilege needed: TUN_F_* that readers of the tap can take. */
int tap_set_offload(int fd, unsigned offload);
/* Any thread, no privilege needed: whether frames are sent to this queue. */
int tap_attach_queue(int fd, bool attach);
/* The same: bytes of the header, of frames read and written from now on. */
int tap_set_header(int fd, unsigned size);
/*
 * The same: let a BPF program choose the queue of each frame; -1: none, tun
 * sends a flow's frames to the queue in which that flow was last written.
 */
int tap_steer(int fd, int program);

/*
 * Main thread: a descriptor that becomes readable when an interface's state
 * changes, or -1; and whether the tap is up, after such a change.
 */
int tap_watch(void);
bool tap_is_up(int watch_fd, const struct tap *t);

#endif
