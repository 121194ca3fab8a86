// SPDX-License-Identifier: MIT
/*
 * net.c - the network device as its driver sees it: configuration space, and
 * the hand-over of the queues to the device threads.
 */
#include "net.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "barrier.h"
#include "log.h"
#include "net_worker.h"

/* Told to guests that ask; a tap has no speed of its own. */
#define SPEED_MBIT 10000
#define DUPLEX_FULL 1

static struct net *of(struct virtio_dev *dev)
{
	return (struct net *)dev; /* its first member */
}
_Static_assert(offsetof(struct net, dev) == 0, "of() relies on it");

#define F(name) VIRTIO_BIT(VIRTIO_NET_F_##name)

/* What the lists in net.h and virtq.h say, as rows. */
#define QUEUE_ONE(name, of, help) COUNTER_ROW(struct net_queue_counters, name, 1, of, help)
#define QUEUE_MANY(name, n, of, help) COUNTER_ROW(struct net_queue_counters, name, n, of, help)
#define RING_ONE(name, of, help) { #name, RING_AT(name), 1, NET_OF_ALL, help },
#define RING_MANY(name, n, of, help) { #name, RING_AT(name), n, NET_OF_ALL, help },
#define RING_AT(name) (offsetof(struct net_queue_counters, ring.name) / sizeof(u64))
#define THREAD_ONE(name, of, help) COUNTER_ROW(struct net_thread_counters, name, 1, of, help)
#define THREAD_MANY(name, n, of, help) COUNTER_ROW(struct net_thread_counters, name, n, of, help)

static const struct counter queue_rows[] = {
	NET_QUEUE_COUNTERS(QUEUE_ONE, QUEUE_MANY)
	VIRTQ_COUNTERS(RING_ONE, RING_MANY)
};
static const struct counter thread_rows[] = { NET_THREAD_COUNTERS(THREAD_ONE, THREAD_MANY) };

const struct counter_table net_queue_table = { queue_rows, ARRAY_SIZE(queue_rows) };
const struct counter_table net_thread_table = { thread_rows, ARRAY_SIZE(thread_rows) };

/* What a tap said to a setting; 0 too if it is none: a test has a socket. */
static int tap_said(const struct net *net, const char *what, int err)
{
	if (!err || err == -ENOTTY)
		return 0;
	guest_warn("tap %s: cannot set %s: %s", net->tap_name, what, strerror(-err));
	return err;
}

int net_apply_offloads(struct net *net)
{
	u64 want = net->set.offloads;
	unsigned tun = 0;

	if (want & F(GUEST_CSUM))
		tun |= TUN_F_CSUM;
	if (want & F(GUEST_TSO4))
		tun |= TUN_F_TSO4;
	if (want & F(GUEST_TSO6))
		tun |= TUN_F_TSO6;
	if (want & F(GUEST_ECN) && tun & (TUN_F_TSO4 | TUN_F_TSO6))
		tun |= TUN_F_TSO_ECN;
	/* tun has the two only together; a frame of the other kind is dropped. */
	if ((want & NET_F_GUEST_USO) == NET_F_GUEST_USO)
		tun |= TUN_F_USO4 | TUN_F_USO6;
	if (!(tun & TUN_F_CSUM))
		tun = 0;
	return tap_said(net, "offloads", tap_set_offload(net->tap_fd[0], tun));
}

void net_apply_pairs(struct net *net)
{
	for (unsigned i = 0; net->pairs > 1 && i < net->pairs; i++)
		tap_attach_queue(net->tap_fd[i], i < net->set.pairs);
}

/*
 * Without RSS there is no program in the tap: tun by itself sends a flow's
 * frames to the pair on which the driver last sent that flow, which is just
 * what automatic receive steering is to do (5.1.6.5.6.1).
 */
int net_apply_steering(struct net *net)
{
	if (!net->steering)
		return 0;
	return tap_said(net, "the steering of frames",
			tap_steer(net->tap_fd[0], net->set.steered ? net->steering->program : -1));
}

static void apply_header(struct net *net)
{
	for (unsigned i = 0; i < net->pairs; i++)
		tap_said(net, "the size of the header", tap_set_header(net->tap_fd[i], net_header(net)));
}

void net_status_bits(struct net *net, u16 on, u16 off)
{
	u16 *status = (u16 *)((u8 *)virtio_reg(&net->dev, VIRTIO_MMIO_CONFIG) +
			      offsetof(struct virtio_net_config, status));

	__atomic_fetch_or(status, on, __ATOMIC_SEQ_CST);
	__atomic_fetch_and(status, (u16)~off, __ATOMIC_SEQ_CST);
}

void net_set_link(struct net *net, bool up)
{
	u16 on = up ? VIRTIO_NET_S_LINK_UP : 0, off = up ? 0 : VIRTIO_NET_S_LINK_UP;

	pthread_mutex_lock(&net->dev.lock);
	net_status_bits(net, on, off);
	pthread_mutex_unlock(&net->dev.lock);
	info("net: link %s", up ? "up" : "down");
	virtio_config_changed(&net->dev);
}

void net_set_irq(struct net *net, enum net_irq_policy policy, u32 usecs)
{
	net->irq = policy;
	net->irq_usecs = usecs;
	for (unsigned i = 0; i < net->pairs; i++)
		worker_call(net->worker[i], WORKER_MODERATE);
}

enum net_irq_policy net_irq(const struct net *net, u32 *usecs)
{
	*usecs = net->irq_usecs;
	return net->irq;
}

void net_announce(struct net *net)
{
	bool asked;

	pthread_mutex_lock(&net->dev.lock);
	asked = net->dev.accepted & F(GUEST_ANNOUNCE);
	if (asked)
		net_status_bits(net, VIRTIO_NET_S_ANNOUNCE, 0);
	pthread_mutex_unlock(&net->dev.lock);
	if (asked)
		virtio_config_changed(&net->dev);
}

/*
 * What came before this driver was not meant for it, and may be of a kind
 * that it declined.  Bounded: a busy wire must not hold the guest up.
 */
static void drain_tap(struct net *net)
{
	u8 header[TAP_HEADER_HASH]; /* tun takes less for a mistake */

	for (unsigned q = 0; q < net->pairs; q++)
		for (unsigned i = 0; i < 4096 && read(net->tap_fd[q], header, sizeof(header)) >= 0; i++)
			;
}

/* A new driver: nothing of what the last one set is left (2.1, 5.1.6.5). */
static void settings_reset(struct net *net)
{
	u64 accepted = net->dev.accepted;

	memset(&net->set, 0, sizeof(net->set));
	filter_reset(&net->set.filter, net->mac, accepted & F(CTRL_RX), accepted & F(CTRL_VLAN));
	net->set.offloads = accepted & NET_GUEST_OFFLOADS;
	net->set.pairs = 1;
	/* 5.1.2: where the control queue is depends on these. */
	net->control_queue = accepted & (F(MQ) | F(RSS)) ? 2 * net->pairs : 2;
	net->control_pair = net->control_queue == 2 * net->pairs ? 0 : 1;
	net_apply_pairs(net);
	net_apply_steering(net);
	net_apply_offloads(net);
	apply_header(net);
	drain_tap(net);
}

static const char *check_features(struct virtio_dev *dev, u64 accepted)
{
	(void)dev;
	return net_features_missing(accepted);
}

static void start(struct virtio_dev *dev, bool fresh)
{
	char accepted[512], declined[512];
	struct net *net = of(dev);

	if (fresh) {
		net->negotiated = dev->accepted;
		info("%s: the driver accepted %s; declined %s; queues of %u and %u", dev->name,
		     net_feature_names(dev->accepted, accepted, sizeof(accepted)),
		     net_feature_names(dev->offered & ~dev->accepted, declined, sizeof(declined)),
		     dev->vq[0].size, dev->vq[1].size);
		settings_reset(net);
	}
	for (unsigned i = 0; i < net->pairs; i++) {
		/* A queue that comes back alone has what was set for all. */
		if (!dev->queue[net_rxq(i)].ready)
			net->set.rx[i] = net->set.rx_all;
		if (!dev->queue[net_txq(i)].ready)
			net->set.tx[i] = net->set.tx_all;
	}
	/* The one with the control queue last: from then on the settings are its. */
	for (unsigned i = 1; i <= net->pairs; i++)
		worker_call(net->worker[(net->control_pair + i) % net->pairs],
			    fresh ? WORKER_START_FRESH : WORKER_START);
}

static void stop(struct virtio_dev *dev)
{
	struct net *net = of(dev);

	for (unsigned i = 0; i < net->pairs; i++)
		worker_call(net->worker[i], WORKER_STOP);
}

static void reset(struct virtio_dev *dev)
{
	struct net *net = of(dev);

	virtio_config_set(dev, offsetof(struct virtio_net_config, mac), net->mac, 6);
	net_status_bits(net, 0, VIRTIO_NET_S_ANNOUNCE);
}

static const struct virtio_ops net_ops = {
	.check_features = check_features,
	.start = start,
	.stop = stop,
	.reset = reset,
};

static struct engine *choose_engine(const struct net_params *p, const struct engine_fds *fd, bool first)
{
	struct engine *e = p->poll_engine ? NULL : engine_uring_new(fd);

	if (!e && !p->poll_engine && first) {
		if (errno == EPERM || errno == ENOSYS || errno == EACCES)
			warn("io_uring is switched off here (sysctl kernel.io_uring_disabled, or a container's filter): taking io=poll");
		else if (errno == EINVAL)
			warn("io_uring of this kernel is too old (needs Linux 6.1): taking io=poll");
		else
			warn("io_uring cannot be set up (%s): taking io=poll", strerror(errno));
	}
	return e ? e : engine_poll_new(fd);
}

static void free_worker(struct net_worker *w)
{
	if (w->engine) {
		struct engine_fds fd = w->engine->fd;

		w->engine->ops->free(w->engine);
		close(fd.control);
		close(fd.kick);
	}
	rx_fini(&w->rx);
	pthread_mutex_destroy(&w->callers);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->answered);
	free(w);
}

/* With a single one nothing can come while its owner looks around. */
static bool has_processors(void)
{
	cpu_set_t set;

	return !sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) > 1;
}

/* 0 or -errno. */
static int add_worker(struct net *net, const struct net_params *p, unsigned pair)
{
	struct net_worker *w = calloc(1, sizeof(*w));
	struct engine_fds fd = { .tap = p->tap_fd[pair], .kick = -1, .control = -1 };
	int err;

	if (!w)
		return -ENOMEM;
	pthread_mutex_init(&w->callers, NULL);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->answered, NULL);
	w->net = net;
	w->dev = &net->dev;
	w->pair = pair;
	w->tap_name = p->tap_name;
	w->cpus = p->cpus;
	w->n_cpus = p->n_cpus;
	w->chaos = p->chaos;
	if (w->chaos)
		chaos_init(&w->irq_chaos, w->chaos, 2 * NET_MAX_PAIRS + pair);
	worker_moderate(w);
	fd.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fd.control = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd.kick >= 0 && fd.control >= 0)
		w->engine = choose_engine(p, &fd, !pair);
	if (!w->engine) {
		err = -errno;
		close(fd.kick);
		close(fd.control);
		goto fail;
	}
	err = rx_init(&w->rx);
	if (err)
		goto fail;
	tx_reset(&w->tx);
	w->spin = p->spin && w->engine->ops->ready && has_processors();
	w->pace.luck = SPIN_LUCKY;
	net->dev.kick_fd[net_rxq(pair)] = net->dev.kick_fd[net_txq(pair)] = fd.kick;
	net->worker[net->pairs++] = w;
	return 0;
fail:
	free_worker(w);
	return err;
}

static void init_config(struct net *net, const struct net_params *p)
{
	struct virtio_net_config config = {
		.status = VIRTIO_NET_S_LINK_UP,
		.max_virtqueue_pairs = (u16)net->pairs,
		.mtu = p->mtu,
		.speed = SPEED_MBIT,
		.duplex = DUPLEX_FULL,
	};

	if (net->dev.offered & (F(RSS) | F(HASH_REPORT))) {
		config.rss_max_key_size = HASH_KEY;
		config.rss_max_indirection_table_length = STEERING_TABLE;
		config.supported_hash_types = HASH_TYPES;
	}
	memcpy(config.mac, p->mac, sizeof(config.mac));
	virtio_config_set(&net->dev, 0, &config, MIN(sizeof(config), (size_t)VIRTIO_CONFIG_SIZE));
}

struct net *net_new(const struct net_params *p, const struct mem *m, char *err, size_t err_size)
{
	struct net *net = calloc(1, sizeof(*net));
	struct virtio_dev *dev;
	int e = -ENOMEM;

	if (!net)
		goto out;
	dev = &net->dev;
	dev->ops = &net_ops;
	dev->mem = m;
	dev->name = "net";
	dev->id = VIRTIO_ID_NET;
	dev->nvq = 2 * p->pairs + 1;
	dev->strict = p->strict;
	for (unsigned i = 0; i < dev->nvq; i++)
		dev->queue[i].max = p->queue_size;
	dev->offered = net_features_offered(p);
	net->tap_name = p->tap_name;
	net->irq = p->irq;
	net->irq_usecs = p->irq_usecs;
	net->steering = p->steering;
	memcpy(net->tap_fd, p->tap_fd, p->pairs * sizeof(int));
	memcpy(net->mac, p->mac, sizeof(net->mac));

	dev->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e = dev->irq_fd < 0 ? -errno : 0;
	while (!e && net->pairs < p->pairs)
		e = add_worker(net, p, net->pairs);
	if (e)
		goto no_worker;
	dev->kick_fd[2 * p->pairs] = dev->kick_fd[0];
	e = virtio_init(dev);
	if (e)
		goto no_worker;
	init_config(net, p);
	return net;

no_worker:
	for (unsigned i = 0; i < net->pairs; i++)
		free_worker(net->worker[i]);
	close(dev->irq_fd);
	free(net);
out:
	snprintf(err, err_size, "cannot set up the network device: %s", strerror(-e));
	return NULL;
}

int net_start(struct net *net)
{
	int err = 0;

	for (unsigned i = 0; !err && i < net->pairs; i++)
		err = worker_start(net->worker[i]);
	return err;
}

void net_free(struct net *net)
{
	virtio_quiesce(&net->dev);
	/* The tap may stay, and the program with it. */
	net->set.steered = false;
	net_apply_steering(net);
	for (unsigned i = 0; i < net->pairs; i++) {
		if (net->worker[i]->started) {
			worker_call(net->worker[i], WORKER_EXIT);
			pthread_join(net->worker[i]->thread, NULL);
		}
		free_worker(net->worker[i]);
	}
	virtio_fini(&net->dev);
	close(net->dev.irq_fd);
	free(net);
}

u64 net_negotiated(struct net *net)
{
	u64 mask;

	pthread_mutex_lock(&net->dev.lock);
	mask = net->negotiated;
	pthread_mutex_unlock(&net->dev.lock);
	return mask;
}

unsigned net_pairs(const struct net *net)
{
	return net->pairs;
}

struct virtio_dev *net_virtio(struct net *net)
{
	return &net->dev;
}

const char *net_engine_name(const struct net *net)
{
	return net->worker[0]->engine->ops->name;
}

void net_read_pair_counters(const struct net *net, unsigned pair, struct net_counters *out)
{
	counters_read(out, &net->worker[pair]->count, sizeof(*out));
}

void net_read_counters(const struct net *net, struct net_counters *out)
{
	struct net_counters one;

	memset(out, 0, sizeof(*out));
	for (unsigned pair = 0; pair < net->pairs; pair++) {
		net_read_pair_counters(net, pair, &one);
		counters_add(out, &one, sizeof(one));
	}
}
