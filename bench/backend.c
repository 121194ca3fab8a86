// SPDX-License-Identifier: MIT
/*
 * backend.c - the network device without a VM: our own driver on one side, a
 * real tap on the other.
 *
 *	backend --engine uring|poll|bare --way tx|rx --size N --batch N --packets N
 *	        [--cpus DRIVER,DEVICE] [--sleep] [--pcap FILE [--snaplen N]] [--trace FILE]
 *
 * moves so many packets, or a little more, and prints one line, all of it per
 * packet: nanoseconds that passed, nanoseconds of processor time of the device
 * thread, system calls of that thread, interrupts, kicks.  "bare" is a loop of
 * write() or read() on the same kind of tap: less than that nobody can do who
 * uses a tap in this way.
 *
 * tx: a batch is made available and the driver sleeps until it is used; what
 * the tap gets is of a type that the host's network does not know and drops.
 * rx: a batch is put into the tap while the driver has no buffers there, which
 * is not timed; then it offers them, and sleeps until they are full.  Frames
 * larger than 1514 bytes are TCP segments to be cut by others (GSO), and they
 * go to an address that is not the host's.
 *
 * With --pcap the packets are captured as well, with --trace all there is to trace
 * of them; what of that had no room goes to stderr.
 *
 * Needs root, in a network namespace of its own.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/perf_event.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../tests/driver.h"
#include "barrier.h"
#include "net.h"
#include "pcap.h"
#include "tap.h"
#include "tracer.h"

#define QUEUE 1024
#define PAGE 4096u	 /* bytes of a receive buffer */
#define SEND_PIECE 32768u /* a driver's largest segment, as Linux has it */
#define PLAIN 1514u	 /* larger frames are GSO */
#define MSS 1448
#define LARGEST (54u + 45 * MSS) /* the host cuts what has 64 KiB or more */
#define PATIENCE_MS 10000
#define RX 0
#define TX 1

#define F(name) VIRTIO_BIT(VIRTIO_NET_F_##name)
#define FEATURES (VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) | \
		  VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) | F(MRG_RXBUF) | F(CSUM) | F(GUEST_CSUM) | \
		  F(HOST_TSO4) | F(GUEST_TSO4))

static struct {
	const char *engine, *way;
	unsigned size, batch, packets;
	bool sleep; /* at once, without looking around for more */
	bool pinned;
	unsigned driver_cpu;
	u16 device_cpu;
	const char *pcap, *trace;
	unsigned snaplen;
} want = { .engine = "uring", .way = "tx", .size = 64, .batch = 64, .packets = 100000 };

static struct {
	struct tap tap;
	int wire; /* packet socket on the tap's other side */
	struct guest g;
	struct net *net;
	struct virtio_dev *dev;
	struct ring ring[2];
	u64 frame;   /* gpa of the frame that is sent, again and again */
	u64 buffers; /* gpa of QUEUE pages */
	u64 passed_ns, busy_ns, interrupts, kicks;
} b;

static void fail(const char *fmt, ...) PRINTF(1, 2) __attribute__((noreturn));
static void fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "backend: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static u64 clock_ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t))
		fail("a thread has no clock: %s", strerror(errno));
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

/* --- frames ------------------------------------------------------------------ */

static u8 frame[TAP_HEADER + LARGEST], scratch[TAP_MAX_FRAME];

static void make_frame(void)
{
	struct virtio_net_hdr_v1 *h = (void *)frame;
	u8 *eth = frame + TAP_HEADER, *ip = eth + ETH_HLEN, *tcp = ip + 20;
	bool gso = want.size > PLAIN;

	/* From and to locally administered addresses that nobody has. */
	memcpy(eth, (u8[]){ 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8 }, 2 * ETH_ALEN);
	eth[12] = gso ? 0x08 : 0x88; /* IPv4; "local experimental" */
	eth[13] = gso ? 0x00 : 0xb5;
	if (!gso)
		return;
	*h = (struct virtio_net_hdr_v1){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = ETH_HLEN + 40,
		.gso_size = MSS,
		.csum_start = ETH_HLEN + 20,
		.csum_offset = 16,
	};
	memcpy(ip, (u8[]){ 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, IPPROTO_TCP, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2 }, 20);
	ip[2] = (u8)((want.size - ETH_HLEN) >> 8);
	ip[3] = (u8)(want.size - ETH_HLEN);
	tcp[12] = 0x50; /* five words of header */
	tcp[13] = 0x10; /* ACK */
}

/* The host's network has so many frames for the tap. */
static void fill_tap(unsigned n)
{
	/* The socket's header is the short one: no count of buffers. */
	const size_t header = sizeof(struct virtio_net_hdr);

	memcpy(scratch, frame, header);
	memcpy(scratch + header, frame + TAP_HEADER, want.size);
	while (n) {
		if (send(b.wire, scratch, header + want.size, 0) >= 0)
			n--;
		else if (errno != ENOBUFS && errno != EINTR)
			fail("cannot send %u bytes to the tap: %s", want.size, strerror(errno));
	}
}

static void open_wire(void)
{
	int one = 1;
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = 0 };

	b.wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	to.sll_ifindex = (int)if_nametoindex(b.tap.name);
	if (b.wire < 0 || setsockopt(b.wire, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
	    bind(b.wire, (struct sockaddr *)&to, sizeof(to)))
		fail("no packet socket: %s", strerror(errno));
}

/* What the host says by itself would be taken for a frame of ours. */
static void silence_tap(void)
{
	char path[100];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", b.tap.name);
	f = fopen(path, "w");
	if (!f)
		return; /* a host without IPv6 is silent */
	fputs("1", f);
	fclose(f);
}

static void open_tap(void)
{
	char err[200];
	unsigned mtu;

	if (tap_open(&b.tap, "", 1, err, sizeof(err)))
		fail("%s", err);
	silence_tap();
	if (tap_configure(&b.tap, 0, 0, 0, &mtu, err, sizeof(err)))
		fail("%s", err);
	open_wire();
}

/* --- counting ---------------------------------------------------------------- */

/* The thread of that name, or ours. */
static pid_t thread_id(const char *name)
{
	DIR *d = name ? opendir("/proc/self/task") : NULL;
	struct dirent *e;
	pid_t tid = 0;

	if (!name)
		return gettid();
	while (d && !tid && (e = readdir(d))) {
		char path[300], comm[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (f && fgets(comm, sizeof(comm), f) && !strncmp(comm, name, strlen(name)))
			tid = atoi(e->d_name);
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	if (!tid)
		fail("there is no thread %s", name);
	return tid;
}

/* The kernel's encoding of a thread's processor time clock: clock_getres(2). */
static clockid_t thread_clock(pid_t tid)
{
	return (clockid_t)(~(unsigned)tid << 3 | 6);
}

/* A counter of a thread's system calls, or -1. */
static int count_syscalls(pid_t tid)
{
	struct perf_event_attr a = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(a) };
	FILE *f = fopen("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id", "r");
	unsigned long long id = 0;

	if (!f || fscanf(f, "%llu", &id) != 1)
		id = 0;
	if (f)
		fclose(f);
	a.config = id;
	return id ? (int)syscall(SYS_perf_event_open, &a, tid, -1, -1, PERF_FLAG_FD_CLOEXEC) : -1;
}

static void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("cannot run on processor %u: %s", cpu, strerror(errno));
}

/* --- bare -------------------------------------------------------------------- */

static void bare_round(void)
{
	bool rx = *want.way == 'r';
	u64 start, busy;

	if (rx)
		fill_tap(want.batch);
	start = clock_ns(CLOCK_MONOTONIC);
	busy = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (unsigned i = 0; i < want.batch; i++) {
		ssize_t n = rx ? read(b.tap.fd[0], scratch, sizeof(scratch))
			       : write(b.tap.fd[0], frame, TAP_HEADER + want.size);

		if (n != (ssize_t)(TAP_HEADER + want.size))
			fail("the tap moved %zd bytes, not %u: %s", n, TAP_HEADER + want.size, n < 0 ? strerror(errno) : "");
	}
	b.busy_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - busy;
	b.passed_ns += clock_ns(CLOCK_MONOTONIC) - start;
}

static void open_bare(void)
{
	open_tap();
	if (tap_set_offload(b.tap.fd[0], TUN_F_CSUM | TUN_F_TSO4))
		fail("the tap takes no segmentation offload: %s", strerror(errno));
}

/* --- the device -------------------------------------------------------------- */

static void begin_trace(void)
{
	char err[200];

	if (tracer_open(want.trace, err, sizeof(err)) || tracer_begin(TRACE_ALL, 0, 1, err, sizeof(err)))
		fail("%s", err);
	net_trace(b.net, 0, tracer_of_pair(0));
}

static void open_device(void)
{
	char err[200];
	struct net_params p = {
		.mac = { 2, 0, 0, 0, 0, 9 },
		.mtu = 1500,
		.queue_size = QUEUE,
		.pairs = 1,
		.poll_engine = !strcmp(want.engine, "poll"),
		/* The driver sleeps until its last packet is used: at once, then. */
		.irq = NET_IRQ_PACKET,
		.spin = !want.sleep,
		.cpus = &want.device_cpu,
		.n_cpus = want.pinned,
	};

	open_tap();
	guest_open(&b.g, 16 * MiB, 0);
	p.tap_fd = b.tap.fd;
	p.tap_name = b.tap.name;
	b.net = net_new(&p, &b.g.mem, err, sizeof(err));
	if (!b.net)
		fail("%s", err);
	if (strcmp(net_engine_name(b.net), p.poll_engine ? "poll" : "io_uring"))
		fail("there is no io_uring here");
	b.dev = net_virtio(b.net);
	for (unsigned i = 0; i < 2; i++)
		ring_init(&b.ring[i], &b.g, QUEUE, true, true);
	b.frame = guest_alloc(&b.g, 0, sizeof(frame), 64);
	memcpy(guest_at(&b.g, b.frame), frame, sizeof(frame));
	b.buffers = guest_alloc(&b.g, 0, (u64)QUEUE * PAGE, PAGE);
	if (want.trace)
		begin_trace();
	if (net_start(b.net))
		fail("the device thread does not start");
	if (!driver_negotiate(b.dev, FEATURES) || !driver_enable_queue(b.dev, RX, &b.ring[RX].where) ||
	    !driver_enable_queue(b.dev, TX, &b.ring[TX].where))
		fail("the device does not take this driver");
	driver_ok(b.dev);
}

static void begin_capture(void)
{
	const struct pcap_setup s = { .net = b.net, .interface = b.tap.name, .snaplen = want.snaplen };
	char err[200];

	pcap_init(&s);
	if (pcap_open(want.pcap, true, err, sizeof(err)) || pcap_begin(err, sizeof(err)))
		fail("%s", err);
}

static void end_trace(void)
{
	fprintf(stderr, "lost %llu events\n", (unsigned long long)tracer_of_pair(0)->stream.dropped);
	tracer_end();
}

static void end_capture(void)
{
	struct net_counters c;

	net_read_counters(b.net, &c);
	fprintf(stderr, "captured %llu, dropped %llu\n", (unsigned long long)c.thread.captured,
		(unsigned long long)c.thread.capture_dropped);
	pcap_stop();
}

/* Sleep until n more are used, and take them; bytes that were written. */
static u64 wait_and_take(struct ring *r, unsigned n)
{
	struct pollfd irq = { .fd = b.dev->irq_fd, .events = POLLIN };
	u64 count, bytes = 0;
	u32 len;
	u16 head;

	STORE_ONCE(ring_used_event(r), (u16)(r->seen + n - 1));
	smp_mb();
	while (ring_waiting(r) < n) {
		if (poll(&irq, 1, PATIENCE_MS) != 1)
			fail("%u of %u packets came in %d s", ring_waiting(r), n, PATIENCE_MS / 1000);
		if (read(irq.fd, &count, sizeof(count)) == sizeof(count))
			b.interrupts += count;
	}
	while (n--) {
		if (ring_take(r, &head, &len) != 1)
			fail("the device used what it was not given");
		bytes += len;
	}
	return bytes;
}

static void show_and_kick(unsigned q)
{
	ring_show(&b.ring[q]);
	if (!ring_must_kick(&b.ring[q]))
		return;
	b.kicks++;
	driver_kick(b.dev, q);
}

static void send_round(void)
{
	struct ring *r = &b.ring[TX];
	struct segment s[1 + (sizeof(frame) + SEND_PIECE - 1) / SEND_PIECE];
	u32 left = TAP_HEADER + want.size;
	unsigned n = 0;
	u64 start;

	for (; left; n++) {
		s[n] = (struct segment){ .gpa = b.frame + n * SEND_PIECE, .len = MIN(left, SEND_PIECE) };
		left -= s[n].len;
	}
	start = clock_ns(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < want.batch; i++)
		if (ring_add(r, s, n) < 0)
			fail("a batch of %u is more than the ring holds", want.batch);
	show_and_kick(TX);
	wait_and_take(r, want.batch);
	b.passed_ns += clock_ns(CLOCK_MONOTONIC) - start;
}

static void receive_round(void)
{
	unsigned each = (TAP_HEADER + want.size + PAGE - 1) / PAGE;
	struct ring *r = &b.ring[RX];
	u64 start, bytes;

	fill_tap(want.batch);
	start = clock_ns(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < want.batch * each; i++) {
		struct segment s = { .gpa = b.buffers + i * PAGE, .len = PAGE, .write = true };

		if (ring_add(r, &s, 1) < 0)
			fail("a batch of %u is more than the ring holds", want.batch);
	}
	show_and_kick(RX);
	bytes = wait_and_take(r, want.batch * each);
	b.passed_ns += clock_ns(CLOCK_MONOTONIC) - start;
	if (bytes != (u64)want.batch * (TAP_HEADER + want.size))
		fail("%llu bytes were received, not %u times %u", (unsigned long long)bytes, want.batch,
		     TAP_HEADER + want.size);
}

/* ----------------------------------------------------------------------------- */

static unsigned number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || !n || n > 100000000)
		fail("'%s' is not a number of use here", text);
	return (unsigned)n;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "engine", required_argument, NULL, 'e' }, { "way", required_argument, NULL, 'w' },
		{ "size", required_argument, NULL, 's' },   { "batch", required_argument, NULL, 'b' },
		{ "packets", required_argument, NULL, 'p' }, { "cpus", required_argument, NULL, 'c' },
		{ "sleep", no_argument, NULL, 'S' },	     { "pcap", required_argument, NULL, 'P' },
		{ "snaplen", required_argument, NULL, 'l' }, { "trace", required_argument, NULL, 't' },
		{ 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'e': want.engine = optarg; break;
		case 'w': want.way = optarg; break;
		case 's': want.size = number(optarg); break;
		case 'b': want.batch = number(optarg); break;
		case 'p': want.packets = number(optarg); break;
		case 'S': want.sleep = true; break;
		case 'P': want.pcap = optarg; break;
		case 't': want.trace = optarg; break;
		case 'l': want.snaplen = number(optarg); break;
		case 'c':
			want.pinned = sscanf(optarg, "%u,%hu", &want.driver_cpu, &want.device_cpu) == 2;
			break;
		default: exit(2);
		}
	}
	if (optind < argc || (strcmp(want.way, "tx") && strcmp(want.way, "rx")) ||
	    (strcmp(want.engine, "uring") && strcmp(want.engine, "poll") && strcmp(want.engine, "bare")))
		fail("usage: backend --engine uring|poll|bare --way tx|rx --size N --batch N --packets N");
	if (want.size < 60 || want.size > LARGEST)
		fail("--size %u: frames have 60 to %u bytes", want.size, LARGEST);
}

int main(int argc, char **argv)
{
	bool bare;
	void (*round)(void);
	unsigned rounds;
	clockid_t clock;
	u64 syscalls = 0, moved, busy;
	pid_t tid;
	int counter;

	parse(argc, argv);
	bare = !strcmp(want.engine, "bare");
	round = bare ? bare_round : *want.way == 'r' ? receive_round : send_round;
	rounds = (want.packets + want.batch - 1) / want.batch;
	make_frame();
	if (bare)
		open_bare();
	else
		open_device();
	if (want.pinned) /* now: the device looks how many processors there are */
		pin(want.driver_cpu);
	if (want.pcap)
		begin_capture();
	tid = thread_id(bare ? NULL : "net/0");
	clock = thread_clock(tid);

	for (unsigned i = 0; i < 1 + rounds / 10; i++) /* what is learnt is learnt */
		round();
	b.passed_ns = b.busy_ns = b.interrupts = b.kicks = 0;
	busy = clock_ns(clock);
	for (unsigned i = 0; i < rounds; i++)
		round();
	if (!bare)
		b.busy_ns = clock_ns(clock) - busy;
	moved = (u64)rounds * want.batch;
	printf("%.1f %.1f ", (double)b.passed_ns / moved, (double)b.busy_ns / moved);

	/* Counting them costs time: on its own. */
	counter = bare ? -1 : count_syscalls(tid);
	if (counter >= 0) {
		rounds = rounds / 4 + 1;
		moved = (u64)rounds * want.batch;
		b.interrupts = b.kicks = 0;
		for (unsigned i = 0; i < rounds; i++)
			round();
		if (read(counter, &syscalls, sizeof(syscalls)) != sizeof(syscalls))
			fail("the kernel does not say how many system calls there were");
		printf("%.4f ", (double)syscalls / moved);
	} else {
		printf("%s ", bare ? "1" : "-");
	}
	printf("%.4f %.4f\n", (double)b.interrupts / moved, (double)b.kicks / moved);
	if (want.pcap)
		end_capture();
	if (want.trace)
		end_trace();
	return 0;
}
