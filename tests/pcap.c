// SPDX-License-Identifier: MIT
/*
 * pcap.c - who writes captured packets down, and what may become of the place
 * where they go: files in turn, a reader that sleeps, one that leaves, a disk
 * that is full.  The packets themselves never notice.
 */
#include "wire.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "pcap.h"

static char dir[] = "/tmp/ringlet-pcap.XXXXXX";
static char path[PATH_MAX], said[4096], err[PATH_MAX + 200];

static const char *in_dir(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static unsigned endings;
static int ended_fd = -1;

static void ended(int fd)
{
	ended_fd = fd;
	endings++;
}

static void begin(struct pcap_setup s)
{
	pcap_stop(); /* a test that failed left it so */
	bench_start((struct bench_setup){ .kind = POLL });
	s.net = b.net;
	s.interface = "tap9";
	s.ended = ended;
	pcap_init(&s);
	rx_post_all();
}

/* So many frames each way, all of which arrive. */
static void traffic(u32 n, u32 len)
{
	for (u32 i = 0; i < n; i++) {
		wire_send(i, len);
		rx_expect(i, len);
		rx_post_all();
		CHECK(tx_add(i, len, NULL));
		tx_show();
		wire_expect(i, len);
		tx_reap(1);
	}
}

/* Blocks of that type; every one is whole, and the file ends with the last. */
static unsigned blocks(const char *name, u32 type)
{
	int fd = open(in_dir(name), O_RDONLY);
	unsigned n = 0;
	u32 head[2], tail;
	off_t at = 0;

	CHECK(fd >= 0);
	for (; pread(fd, head, 8, at) == 8; at += head[1]) {
		CHECK(head[1] >= 12 && head[1] % 4 == 0);
		CHECK_EQ(pread(fd, &tail, 4, at + head[1] - 4), 4);
		CHECK_EQ(tail, head[1]);
		n += head[0] == type;
	}
	CHECK_EQ(lseek(fd, 0, SEEK_END), at);
	close(fd);
	return n;
}
#define SHB 0x0a0d0d0a
#define IDB 1
#define ISB 5
#define EPB 6

/* As main does it for pcap=, but without waiting for a reader. */
static int start_in(const char *file)
{
	return pcap_open(file, false, err, sizeof(err)) ? -1 : pcap_begin(err, sizeof(err));
}

static void file(void)
{
	begin((struct pcap_setup){ 0 });
	CHECK(!pcap_is_on());
	CHECK_EQ(start_in(in_dir("one")), 0);
	CHECK(pcap_is_on());
	traffic(100, 700);
	pcap_stop();
	CHECK(!pcap_is_on());
	CHECK_EQ(blocks("one", EPB), 200);
	CHECK(blocks("one", SHB) == 1 && blocks("one", IDB) == 1 && blocks("one", ISB) == 1);
	/* Again, into the same: it is emptied first. */
	CHECK_EQ(start_in(in_dir("one")), 0);
	traffic(3, 60);
	pcap_stop();
	CHECK_EQ(blocks("one", EPB), 6);
	traffic(3, 60);
	CHECK_EQ(blocks("one", EPB), 6);
	CHECK_EQ(access(in_dir("one.1"), F_OK), -1);
}

/* Four files of 64 KiB: the last 256 KiB or so are there, none is larger. */
static void rotation(void)
{
	static const char *const names[] = { "r", "r.1", "r.2", "r.3" };
	unsigned packets = 0;
	struct stat st;

	begin((struct pcap_setup){ .max = 65536 });
	CHECK_EQ(start_in(in_dir("r")), 0);
	traffic(500, 1000); /* 1 MB in all */
	pcap_stop();
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		CHECK_EQ(stat(in_dir(names[i]), &st), 0);
		CHECK(st.st_size <= 65536 + 1024);
		CHECK(blocks(names[i], SHB) == 1 && blocks(names[i], IDB) == 1 && blocks(names[i], ISB) == 1);
		packets += blocks(names[i], EPB);
	}
	CHECK(packets >= 3 * 50 && packets <= 4 * 60);
	CHECK_EQ(access(in_dir("r.4"), F_OK), -1);
}

static void refused(void)
{
	begin((struct pcap_setup){ 0 });
	CHECK_EQ(start_in("/nowhere/x"), -1);
	CHECK_STR(err, "cannot write /nowhere/x: No such file or directory");
	CHECK_EQ(mkfifo(in_dir("fifo"), 0600), 0);
	CHECK_EQ(start_in(path), -1);
	CHECK_HAS(err, "nobody reads ");
	CHECK_EQ(pcap_start(-1, err, sizeof(err)), -1);
	CHECK_HAS(err, "must come with the request");
	CHECK_EQ(pcap_start(open("/dev/null", O_RDONLY), err, sizeof(err)), -1);
	CHECK_HAS(err, "must come with the request");
	CHECK_EQ(start_in(in_dir("two")), 0);
	CHECK_EQ(pcap_start(open("/dev/null", O_WRONLY), err, sizeof(err)), -1);
	CHECK_HAS(err, "/two; stop that first");
	traffic(1, 60);
	pcap_stop();
	CHECK_EQ(blocks("two", EPB), 2);
}

/* The control socket's words. */
static const char *command(const char *argument, bool good)
{
	static char text[PATH_MAX + 300];
	FILE *f = fmemopen(text, sizeof(text), "w");
	bool r = pcap_command(argument, f);

	fclose(f);
	CHECK_EQ(r, good);
	return text;
}

static void commands(void)
{
	begin((struct pcap_setup){ 0 });
	CHECK_HAS(command("", false), "write 'pcap start FILE' or 'pcap stop'");
	CHECK_HAS(command("start /tmp/x", false), "write 'pcap start FILE' or 'pcap stop'");
	CHECK_HAS(command("stop", true), "no packets are being captured");
	CHECK_HAS(command("start", false), "must come with the request");
	CHECK_EQ(pcap_start(open(in_dir("four"), O_WRONLY | O_CREAT, 0600), err, sizeof(err)), 0);
	traffic(1, 60);
	CHECK_HAS(command("stop", true), "stopped: /tmp/");
	CHECK_EQ(blocks("four", EPB), 2);
}

static bool has_ended(int ms)
{
	struct pollfd p = { .fd = ended_fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static int open_fifo(const char *name)
{
	int fd;

	CHECK_EQ(mkfifo(in_dir(name), 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	CHECK(fd >= 0);
	CHECK_EQ(start_in(path), 0);
	return fd;
}

/* It comes while the packets do, not when there are many. */
static void live(void)
{
	struct pollfd p = { .events = POLLIN };
	u8 block[2000];
	u32 words[3] = { 0 };

	begin((struct pcap_setup){ 0 });
	p.fd = open_fifo("live");
	while (words[0] != IDB) {
		CHECK_EQ(poll(&p, 1, PATIENCE_MS), 1);
		CHECK_EQ(read(p.fd, words, 8), 8);
		CHECK(words[1] <= sizeof(block));
		CHECK_EQ(read(p.fd, block, words[1] - 8), words[1] - 8);
	}
	for (u32 i = 0; i < 10; i++) {
		traffic(1, 200);
		for (unsigned k = 0; k < 2; k++) {
			CHECK_EQ(poll(&p, 1, PATIENCE_MS), 1);
			CHECK_EQ(read(p.fd, words, 8), 8);
			CHECK_EQ(words[0], EPB);
			CHECK_EQ(read(p.fd, block, words[1] - 8), words[1] - 8);
		}
	}
	pcap_stop();
	CHECK_EQ(read(p.fd, words, 8), 8);
	CHECK_EQ(words[0], ISB);
	close(p.fd);
}

/* Nobody takes anything out of the pipe: frames go on, and are counted. */
static void stuck_reader(void)
{
	int fd;

	begin((struct pcap_setup){ .ring = 65536 });
	fd = open_fifo("stuck");
	traffic(300, 1400);
	CHECK(counters().thread.capture_dropped > 100);
	CHECK_EQ(counters().thread.captured + counters().thread.capture_dropped, 600);
	stderr_capture();
	pcap_stop();
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, "/stuck: its reader takes nothing; it has ended with ");
	close(fd);
	traffic(3, 60);
	CHECK(!has_ended(0));
}

static void reader_leaves(void)
{
	int fd;

	begin((struct pcap_setup){ 0 });
	fd = open_fifo("left");
	traffic(3, 60);
	stderr_capture();
	close(fd);
	CHECK(has_ended(PATIENCE_MS)); /* though nothing is to be written */
	traffic(3, 60);
	pcap_stop();
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, "ringlet: capture /tmp/");
	CHECK_HAS(said, "/left: its reader is gone; it has ended with ");
	CHECK_HAS(said, " packets, and the guest goes on\n");
	CHECK(strchr(said, '\n') == said + strlen(said) - 1);
	CHECK(!has_ended(0));
	traffic(3, 60);
	CHECK_EQ(endings, 1);
}

static void full_disk(void)
{
	begin((struct pcap_setup){ 0 });
	stderr_capture();
	CHECK_EQ(start_in("/dev/full"), 0);
	CHECK(has_ended(PATIENCE_MS));
	traffic(3, 60);
	pcap_stop();
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, "capture /dev/full: No space left on device; it has ended with ");
}

/* A file that cannot grow: what is said to be in it is, and it ends with a whole block. */
static void said_and_kept(void)
{
	struct rlimit was, some = { .rlim_cur = 40000 };
	const char *number;
	struct stat st = { 0 };

	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &was), 0);
	some.rlim_max = was.rlim_max;
	begin((struct pcap_setup){ 0 });
	CHECK_EQ(start_in(in_dir("limited")), 0);
	stderr_capture();
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &some), 0);
	traffic(10, 700);
	while (st.st_size < 700) /* some of them, at least */
		CHECK_EQ(stat(in_dir("limited"), &st), 0);
	traffic(60, 700);
	CHECK(has_ended(PATIENCE_MS));
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &was), 0);
	pcap_stop();
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, "/limited: File too large; it has ended with ");
	number = strstr(said, "ended with ");
	CHECK(blocks("limited", EPB) > 0);
	CHECK_EQ(blocks("limited", EPB), strtoul(number + strlen("ended with "), NULL, 10));
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "a file has every packet, from start to stop", file },
		{ "files are written in turn, none larger than it may be", rotation },
		{ "what cannot be written is refused in a sentence, and nothing is left", refused },
		{ "the control socket's commands", commands },
		{ "a reader gets each packet at once", live },
		{ "a reader that takes nothing stops no frame", stuck_reader },
		{ "a reader that leaves ends the capture and nothing else", reader_leaves },
		{ "and so does a full disk", full_disk },
		{ "what is said of a file that could not go on is true", said_and_kept },
	};
	char rm[100];
	int r;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (!mkdtemp(dir))
		return 1;
	r = check_run(tests, ARRAY_SIZE(tests));
	pcap_stop();
	bench_close();
	snprintf(rm, sizeof(rm), "rm -rf %s", dir);
	return system(rm) ? 1 : r;
}
