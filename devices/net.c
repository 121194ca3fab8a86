// SPDX-License-Identifier: MIT
/*
 * net.c - the network device as its driver sees it: features, configuration
 * space, and the hand-over of the queues to the device thread.
 */
#include "net.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "barrier.h"
#include "log.h"
#include "net_worker.h"

static struct net *of(struct virtio_dev *dev)
{
	return (struct net *)dev; /* its first member */
}
_Static_assert(offsetof(struct net, dev) == 0, "of() relies on it");

#define F(name) VIRTIO_BIT(VIRTIO_NET_F_##name)

#define OFFERED                                                                              \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |          \
	 VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) | F(MAC) | F(STATUS) | F(MTU) | F(MRG_RXBUF) |  \
	 F(CSUM) | F(GUEST_CSUM) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN) |               \
	 F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN))

/* The smallest ring in which half of the buffers hold the largest frame. */
#define GSO_QUEUE_SIZE 128

/* 5.1.3.1: what needs what. */
static const struct {
	u64 feature, needs_one_of;
	const char *sentence;
} dependencies[] = {
	{ F(GUEST_TSO4), F(GUEST_CSUM), "GUEST_TSO4 needs GUEST_CSUM" },
	{ F(GUEST_TSO6), F(GUEST_CSUM), "GUEST_TSO6 needs GUEST_CSUM" },
	{ F(GUEST_ECN), F(GUEST_TSO4) | F(GUEST_TSO6), "GUEST_ECN needs GUEST_TSO4 or GUEST_TSO6" },
	{ F(HOST_TSO4), F(CSUM), "HOST_TSO4 needs CSUM" },
	{ F(HOST_TSO6), F(CSUM), "HOST_TSO6 needs CSUM" },
	{ F(HOST_ECN), F(HOST_TSO4) | F(HOST_TSO6), "HOST_ECN needs HOST_TSO4 or HOST_TSO6" },
};

static const struct {
	unsigned bit;
	const char *name;
} feature_names[] = {
	{ VIRTIO_NET_F_CSUM, "csum" },
	{ VIRTIO_NET_F_GUEST_CSUM, "guest_csum" },
	{ VIRTIO_NET_F_MTU, "mtu" },
	{ VIRTIO_NET_F_MAC, "mac" },
	{ VIRTIO_NET_F_GUEST_TSO4, "guest_tso4" },
	{ VIRTIO_NET_F_GUEST_TSO6, "guest_tso6" },
	{ VIRTIO_NET_F_GUEST_ECN, "guest_ecn" },
	{ VIRTIO_NET_F_HOST_TSO4, "host_tso4" },
	{ VIRTIO_NET_F_HOST_TSO6, "host_tso6" },
	{ VIRTIO_NET_F_HOST_ECN, "host_ecn" },
	{ VIRTIO_NET_F_MRG_RXBUF, "mrg_rxbuf" },
	{ VIRTIO_NET_F_STATUS, "status" },
	{ VIRTIO_RING_F_INDIRECT_DESC, "indirect_desc" },
	{ VIRTIO_RING_F_EVENT_IDX, "event_idx" },
	{ VIRTIO_F_VERSION_1, "version_1" },
};

const char *net_feature_names(u64 mask, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(feature_names); i++)
		if (mask & VIRTIO_BIT(feature_names[i].bit) && n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? "," : "",
					      feature_names[i].name);
	return buf[0] ? buf : "none";
}

static const char *check_features(struct virtio_dev *dev, u64 accepted)
{
	(void)dev;
	for (unsigned i = 0; i < ARRAY_SIZE(dependencies); i++)
		if (accepted & dependencies[i].feature && !(accepted & dependencies[i].needs_one_of))
			return dependencies[i].sentence;
	return NULL;
}

static void start(struct virtio_dev *dev, bool fresh)
{
	char accepted[256], declined[256];

	if (fresh)
		info("%s: the driver accepted %s; declined %s; queues of %u and %u", dev->name,
		     net_feature_names(dev->accepted, accepted, sizeof(accepted)),
		     net_feature_names(dev->offered & ~dev->accepted, declined, sizeof(declined)),
		     dev->vq[NET_RXQ].size, dev->vq[NET_TXQ].size);
	worker_call(&of(dev)->worker, fresh ? WORKER_START_FRESH : WORKER_START);
}

static void stop(struct virtio_dev *dev)
{
	worker_call(&of(dev)->worker, WORKER_STOP);
}

static const struct virtio_ops net_ops = {
	.check_features = check_features,
	.start = start,
	.stop = stop,
};

static struct engine *choose_engine(const struct net_params *p, const struct engine_fds *fd)
{
	struct engine *e = p->poll_engine ? NULL : engine_uring_new(fd);

	if (!e && !p->poll_engine) {
		if (errno == EPERM || errno == ENOSYS || errno == EACCES)
			warn("io_uring is switched off here (sysctl kernel.io_uring_disabled, or a container's filter): taking io=poll");
		else if (errno == EINVAL)
			warn("io_uring of this kernel is too old (needs Linux 6.1): taking io=poll");
		else
			warn("io_uring cannot be set up (%s): taking io=poll", strerror(errno));
	}
	return e ? e : engine_poll_new(fd);
}

struct net *net_new(const struct net_params *p, const struct mem *m, char *err, size_t err_size)
{
	struct virtio_net_config config = {
		.status = VIRTIO_NET_S_LINK_UP,
		.max_virtqueue_pairs = 1,
		.mtu = p->mtu,
	};
	struct net *net = calloc(1, sizeof(*net));
	struct net_worker *w;
	struct virtio_dev *dev;
	struct engine_fds fd;
	int e;

	if (!net) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	w = &net->worker;
	dev = &net->dev;
	dev->ops = &net_ops;
	dev->mem = m;
	dev->name = "net";
	dev->id = VIRTIO_ID_NET;
	dev->offered = OFFERED;
	/*
	 * Linux posts new receive buffers when more than half of a small ring
	 * is used up: what it leaves there may not hold a frame of 64 KiB, and
	 * the two of us would wait for each other.
	 */
	if (p->queue_size < GSO_QUEUE_SIZE)
		dev->offered &= ~(F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN));
	dev->nvq = 2;
	dev->queue[NET_RXQ].max = dev->queue[NET_TXQ].max = p->queue_size;
	dev->strict = p->strict;
	dev->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	dev->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fd = (struct engine_fds){
		.tap = p->tap_fd,
		.kick = dev->kick_fd,
		.control = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	if (dev->irq_fd < 0 || dev->kick_fd < 0 || fd.control < 0) {
		snprintf(err, err_size, "cannot make an eventfd: %s", strerror(errno));
		goto no_engine;
	}
	w->engine = choose_engine(p, &fd);
	if (!w->engine) {
		snprintf(err, err_size, "cannot set up the network device: %s", strerror(errno));
		goto no_engine;
	}
	e = rx_init(&w->rx);
	if (e) {
		snprintf(err, err_size, "cannot set up the network device: %s", strerror(-e));
		goto no_rx;
	}
	e = virtio_init(dev);
	if (e) {
		snprintf(err, err_size, "cannot set up the network device: %s", strerror(-e));
		goto no_virtio;
	}
	memcpy(config.mac, p->mac, sizeof(config.mac));
	virtio_config_set(dev, 0, &config, MIN(sizeof(config), (size_t)VIRTIO_CONFIG_SIZE));

	tx_reset(&w->tx);
	w->net = net;
	w->dev = dev;
	w->tap_fd = p->tap_fd;
	w->tap_name = p->tap_name;
	w->cpus = p->cpus;
	w->n_cpus = p->n_cpus;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->answered, NULL);
	return net;

no_virtio:
	rx_fini(&w->rx);
no_rx:
	w->engine->ops->free(w->engine);
no_engine:
	close(fd.control);
	close(dev->kick_fd);
	close(dev->irq_fd);
	free(net);
	return NULL;
}

int net_start(struct net *net)
{
	return worker_start(&net->worker);
}

void net_free(struct net *net)
{
	struct net_worker *w = &net->worker;
	int control = w->engine->fd.control;

	if (w->started) {
		virtio_quiesce(&net->dev);
		worker_call(w, WORKER_EXIT);
		pthread_join(w->thread, NULL);
	}
	w->engine->ops->free(w->engine);
	rx_fini(&w->rx);
	virtio_fini(&net->dev);
	close(control);
	close(net->dev.kick_fd);
	close(net->dev.irq_fd);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->answered);
	free(net);
}

struct virtio_dev *net_virtio(struct net *net)
{
	return &net->dev;
}

const char *net_engine_name(const struct net *net)
{
	return net->worker.engine->ops->name;
}

void net_read_counters(const struct net *net, struct net_counters *out)
{
	const u64 *from = (const u64 *)&net->worker.count;
	u64 *to = (u64 *)out;

	for (size_t i = 0; i < sizeof(*out) / sizeof(u64); i++)
		to[i] = LOAD_ONCE(&from[i]);
}
