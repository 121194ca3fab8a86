// SPDX-License-Identifier: MIT
/*
 * pcap.c - who writes down what the device threads captured: one thread of low
 * priority, which looks into their streams a few hundred times a second.  They
 * never wake it and never wait for it; where it is too slow, or whoever reads
 * what it writes is, packets are dropped, and the file says how many.
 *
 * When the reader is gone or the disk is full it says so and ends; main then
 * takes the streams from the device.
 *
 * All files are opened at the start, because later there may be no right to.
 */
#include "pcap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "barrier.h"
#include "clock.h"
#include "ctl.h"
#include "log.h"
#include "net.h"
#include "pcapng.h"
#include "sink.h"
#include "tap.h"

#define SPEED 10000000000ULL /* bit/s: what the guest is told, too */

#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), -1)

_Static_assert(TAP_MAX_FRAME + PCAPNG_ROOM < SINK_BUFFER, "a packet fits");

static struct pcap_setup setup;

static struct {
	struct sink sink;
	int fd[PCAP_FILES]; /* the sink's is one of them */
	unsigned n_files, file;
	bool on; /* there is a thread */
	int ended; /* eventfd: the thread ended by itself */
	struct capture capture[NET_MAX_PAIRS];
	unsigned pairs;
	u64 start, epoch; /* the thread's; of this file: ns since 1970, and of the monotonic clock's zero */
} pcap = { .sink = { .what = "capture", .records = "packets" }, .ended = -1 };

void pcap_init(const struct pcap_setup *s)
{
	setup = *s;
	setup.ring = s->ring ? s->ring : PCAP_RING;
}

/* --- the thread: writing --------------------------------------------------------- */

static void begin_file(void)
{
	struct utsname host = { 0 };
	char os[150];
	const struct pcapng_section section = {
		.hardware = "virtio-net, x86-64", .os = os, .application = "ringlet " RINGLET_VERSION,
	};
	struct pcapng_interface interface = { .name = setup.interface, .speed = SPEED, .snaplen = setup.snaplen };

	uname(&host);
	snprintf(os, sizeof(os), "%.60s %.80s", host.sysname, host.release);
	memcpy(interface.mac, setup.mac, sizeof(interface.mac));
	pcap.sink.in_file = 0;
	pcap.start = clock_real_ns();
	pcap.epoch = pcap.start - clock_ns();
	sink_wrote(&pcap.sink, pcapng_section(sink_room(&pcap.sink, PCAPNG_ROOM), &section));
	sink_wrote(&pcap.sink, pcapng_interface(sink_room(&pcap.sink, PCAPNG_ROOM), &interface));
}

static u64 dropped(void)
{
	u64 n = 0;

	for (unsigned i = 0; i < pcap.pairs; i++)
		n += LOAD_ONCE(&pcap.capture[i].stream.dropped);
	return n;
}

static void end_file(void)
{
	struct pcapng_statistics s = { .start = pcap.start, .now = clock_real_ns(), .dropped = dropped() };

	s.seen = pcap.sink.n + s.dropped;
	sink_wrote(&pcap.sink, pcapng_statistics(sink_room(&pcap.sink, PCAPNG_ROOM), &s));
	sink_flush(&pcap.sink);
}

/* The oldest of the files is emptied and written anew. */
static void next_file(void)
{
	end_file();
	pcap.file = (pcap.file + 1) % pcap.n_files;
	pcap.sink.fd = pcap.fd[pcap.file];
	if (ftruncate(pcap.sink.fd, 0) || lseek(pcap.sink.fd, 0, SEEK_SET))
		sink_fail(&pcap.sink, strerror(errno));
	begin_file();
}

/* --- the thread: reading --------------------------------------------------------- */

/* The pair whose next record is the oldest, or -1: there is none. */
static int oldest(void)
{
	u64 first = ~0ULL;
	int pair = -1;

	for (unsigned i = 0; i < pcap.pairs; i++) {
		const struct capture_record *r = stream_peek(&pcap.capture[i].stream);

		if (!r || r->ns >= first)
			continue;
		first = r->ns;
		pair = (int)i;
	}
	return pair;
}

static void put(unsigned pair)
{
	const struct capture_record *r = stream_peek(&pcap.capture[pair].stream);
	size_t most = PCAPNG_ROOM + r->captured;

	if (r->way != CAPTURE_NOTHING) {
		if (pcap.n_files > 1 && pcap.sink.in_file + most > setup.max)
			next_file();
		sink_wrote(&pcap.sink, pcapng_packet(sink_room(&pcap.sink, most), r, pair, pcap.epoch));
		pcap.sink.n++;
	}
	stream_take(&pcap.capture[pair].stream);
}

static void drain(void)
{
	int pair;

	while (!pcap.sink.failed && (pair = oldest()) >= 0)
		put((unsigned)pair);
	sink_flush(&pcap.sink);
}

static void *writer(void *arg)
{
	struct sink *s = arg;
	u64 one = 1;

	begin_file();
	sink_serve(s, drain);
	end_file();
	if (s->failed && write(pcap.ended, &one, sizeof(one)) < 0)
		return NULL;
	return NULL;
}

/* --- main ------------------------------------------------------------------------ */

static void close_all(void)
{
	for (unsigned i = 0; i < pcap.n_files; i++)
		close(pcap.fd[i]);
	pcap.n_files = 0;
	for (unsigned i = 0; i < pcap.pairs; i++)
		stream_fini(&pcap.capture[i].stream);
	pcap.pairs = 0;
}

/* The reader is to see the end when we close ours: it must be the only one. */
static int take_stdout(void)
{
	int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && null >= 0)
		dup2(null, STDOUT_FILENO);
	close(null);
	return fd;
}

static bool is_file(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode);
}

/* The next of the files, by its name, which is for messages as well; -1 and errno. */
static int open_next(const char *file, bool wait, char name[PATH_MAX])
{
	int n = snprintf(name, PATH_MAX, pcap.n_files ? "%s.%u" : "%s", file, pcap.n_files);

	if (n < PATH_MAX)
		return sink_open_file(name, wait, &pcap.sink.on_disk);
	errno = ENAMETOOLONG;
	return -1;
}

int pcap_open(const char *file, bool wait, char *err, size_t err_size)
{
	bool dash = !strcmp(file, "-");
	struct sink *s = &pcap.sink;
	char name[PATH_MAX] = "-";

	snprintf(s->name, sizeof(s->name), "%s", file);
	pcap.n_files = 0;
	do {
		int fd = dash ? take_stdout() : open_next(file, wait, name), cause = errno;

		if (fd < 0) {
			close_all();
			if (cause == ENXIO)
				return FAIL("nobody reads %s; start the reader first", name);
			return FAIL("cannot write %s: %s", name, strerror(cause));
		}
		pcap.fd[pcap.n_files++] = fd;
		if (dash)
			s->on_disk = is_file(fd);
	} while (setup.max && s->on_disk && !dash && pcap.n_files < PCAP_FILES);
	return 0;
}

static int prepare(void)
{
	if (pcap.ended < 0 && (pcap.ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0 && setup.ended)
		setup.ended(pcap.ended);
	if (pcap.ended < 0)
		return errno;
	for (pcap.pairs = 0; pcap.pairs < net_pairs(setup.net); pcap.pairs++) {
		struct capture *c = &pcap.capture[pcap.pairs];
		int r = stream_init(&c->stream, setup.ring);

		if (r)
			return -r;
		c->snaplen = setup.snaplen ? setup.snaplen : PCAP_SNAPLEN_MAX;
		c->lost = 0;
	}
	pcap.file = 0;
	pcap.sink.fd = pcap.fd[0];
	return sink_start(&pcap.sink, "pcap", writer);
}

int pcap_begin(char *err, size_t err_size)
{
	int r = prepare();

	if (r) {
		close_all();
		return FAIL("cannot capture packets: %s", strerror(r));
	}
	pcap.on = true;
	for (unsigned i = 0; i < pcap.pairs; i++)
		net_capture(setup.net, i, &pcap.capture[i]);
	return 0;
}

/* Its name is for messages only. */
static void adopt(int fd)
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, pcap.sink.name, sizeof(pcap.sink.name) - 1);
	pcap.sink.name[MAX(n, 0)] = '\0';
	pcap.sink.on_disk = is_file(fd);
	pcap.fd[0] = fd;
	pcap.n_files = 1;
}

int pcap_start(int fd, char *err, size_t err_size)
{
	int flags = fcntl(fd, F_GETFL);

	if (setup.net && !pcap.on && flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) {
		adopt(fd);
		return pcap_begin(err, err_size);
	}
	if (fd >= 0)
		close(fd);
	if (!setup.net)
		return FAIL("the guest has no network device");
	if (pcap.on)
		return FAIL("packets are being captured to %s; stop that first", pcap.sink.name);
	return FAIL("a file or FIFO, open for writing, must come with the request");
}

void pcap_stop(void)
{
	u64 n;

	if (!pcap.on)
		return;
	for (unsigned i = 0; i < pcap.pairs; i++)
		net_capture(setup.net, i, NULL);
	sink_stop(&pcap.sink);
	if (pcap.sink.failed && read(pcap.ended, &n, sizeof(n)) < 0)
		warn("capture: eventfd: %s", strerror(errno));
	if (!pcap.sink.failed)
		info("capture %s: %llu packets, %llu dropped", pcap.sink.name, (unsigned long long)pcap.sink.n,
		     (unsigned long long)dropped());
	pcap.on = false;
	close_all();
}

bool pcap_is_on(void)
{
	return pcap.on;
}

bool pcap_command(const char *argument, FILE *answer)
{
	char err[PATH_MAX + 200];

	if (!strcmp(argument, "stop")) {
		if (pcap.on)
			fprintf(answer, "stopped: %s\n", pcap.sink.name);
		else
			fprintf(answer, "no packets are being captured\n");
		pcap_stop();
		return true;
	}
	if (strcmp(argument, "start")) {
		fprintf(answer, "pcap: write 'pcap start FILE' or 'pcap stop'\n");
		return false;
	}
	if (pcap_start(ctl_take_fd(), err, sizeof(err))) {
		fprintf(answer, "%s\n", err);
		return false;
	}
	fprintf(answer, "started: %s\n", pcap.sink.name);
	return true;
}
