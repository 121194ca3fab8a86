// SPDX-License-Identifier: MIT
/*
 * trace.c - traces: events from threads to a file and back, as many as the
 * device has counted; what they say of batches; and files that are cut short,
 * damaged, or somebody else's.
 */
#include "wire.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "clock.h"
#include "tracer.h"

static char dir[] = "/tmp/ringlet-trace.XXXXXX";
static char path[PATH_MAX], err[PATH_MAX + 200];
static struct trace_file file;

static const char *in_dir(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void begin(u32 classes, unsigned vcpus, unsigned pairs)
{
	bench_close(); /* a test that failed left it so */
	tracer_end();
	tracer_close();
	CHECK_EQ(tracer_open(in_dir("t"), err, sizeof(err)), 0);
	CHECK_EQ(tracer_begin(classes, vcpus, pairs, err, sizeof(err)), 0);
}

static void end_and_read(void)
{
	tracer_end();
	trace_free(&file);
	CHECK_EQ(trace_read(&file, in_dir("t"), err, sizeof(err)), 0);
}

static u64 count(unsigned thread, enum trace_type type, int queue)
{
	u64 n = 0;

	for (size_t i = 0; i < file.n; i++) {
		const struct trace_event *e = &file.event[i];

		n += e->thread == thread && e->type == type && (queue < 0 || e->queue == queue);
	}
	return n;
}

/* --- writing ---------------------------------------------------------------------- */

static void there_and_back(void)
{
	u64 start = clock_ns();

	begin(TRACE_VQ | TRACE_NET, 2, 1);
	trace_put(tracer_of_main(), TRACE_ACK, 0, 1, 0, 0);
	trace_put_since(tracer_of_vcpu(1), TRACE_EXIT, start, 3, 0);
	trace_put(tracer_of_pair(0), TRACE_BATCH, TRACE_OF_TX, 1ULL << 40, 7, 0);
	trace_put(tracer_of_pair(0), TRACE_RX, TRACE_OF_RX, 1514, 9, 1);
	end_and_read();
	CHECK(file.complete);
	CHECK_EQ(file.lost, 0);
	CHECK_EQ(file.head.classes, TRACE_VQ | TRACE_NET);
	CHECK_EQ(file.head.threads, 4);
	CHECK_STR(file.name[0], "main");
	CHECK_STR(file.name[1], "vcpu/0");
	CHECK_STR(file.name[2], "vcpu/1");
	CHECK_STR(file.name[3], "net/0");
	CHECK_EQ(file.n, 4);
	CHECK(file.event[0].ns == start && file.event[0].type == TRACE_EXIT && file.event[0].a == 3);
	CHECK(file.event[0].took > 0 && file.event[0].thread == 2);
	CHECK(file.event[1].type == TRACE_ACK && file.event[1].ns <= file.event[2].ns);
	CHECK(file.event[2].a == 1ULL << 40 && file.event[2].b == 7 && file.event[2].queue == TRACE_OF_TX);
	CHECK(file.event[3].a == 1514 && file.event[3].b == 9 && file.event[3].detail == 1);
}

/* What is printed of the file. */
static const char *printed(bool json)
{
	static char text[4096];
	FILE *f = fmemopen(text, sizeof(text), "w");

	CHECK(f);
	if (json)
		CHECK_EQ(trace_write_json(&file, f, err, sizeof(err)), 0);
	else
		trace_write_text(&file, f);
	fclose(f);
	return text;
}

/* Longer than the field that has it for all others: a device sleeps as long as nothing comes. */
static void long_sleep(void)
{
	const u64 length = 3600 * 1000000000ULL;

	begin(TRACE_VQ, 0, 1);
	trace_put_since(tracer_of_pair(0), TRACE_SLEEP, clock_ns() - length, length, TRACE_BY_KICK);
	trace_put_since(tracer_of_pair(0), TRACE_SLEEP, clock_ns(), 77777, TRACE_BY_TIMER);
	end_and_read();
	CHECK_EQ(file.n, 2);
	CHECK_HAS(printed(false), "slept 3600000000000 ns, until a kick\n");
	CHECK(!strstr(printed(false), "77777"));
	CHECK_HAS(printed(true), "\"dur\":3600000000.000,\"name\":\"sleep until a kick\"");
}

static void names(void)
{
	CHECK_STR(trace_class_name(0), "exits");
	CHECK_STR(trace_class_name(4), "net");
	CHECK(!trace_class_name(5));
}

#define MANY 400000

static void *put_many(void *arg)
{
	for (unsigned i = 0; i < MANY; i++)
		trace_put(arg, TRACE_KICK, 0, i, 0, 0);
	return NULL;
}

/* Two at once, faster than anybody writes: what is missing is counted. */
static void too_many(void)
{
	pthread_t t[2];
	u64 put = 2 * MANY, last[5] = { 0 };

	begin(TRACE_ALL, 1, 3);
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, put_many, tracer_of_pair(i)), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	end_and_read();
	CHECK(file.complete);
	CHECK_EQ(count(2, TRACE_KICK, -1) + count(3, TRACE_KICK, -1) + file.lost, put);
	CHECK(count(2, TRACE_KICK, -1) > TRACER_RING / 64);
	for (size_t i = 0; i < file.n; i++) {
		const struct trace_event *e = &file.event[i];

		CHECK(e->thread < 5);
		if (e->type != TRACE_KICK)
			continue;
		CHECK(e->a >= last[e->thread]); /* each thread's are in order */
		last[e->thread] = e->a;
	}
}

static void refused(void)
{
	CHECK_EQ(tracer_open("/nowhere/t", err, sizeof(err)), -1);
	CHECK_STR(err, "cannot write /nowhere/t: No such file or directory");
}

/* --- the device ------------------------------------------------------------------- */

static void trace_pair(void)
{
	net_trace(b.net, 0, tracer_of_pair(0));
}

static void device(enum kind kind)
{
	struct net_counters c;

	begin(TRACE_ALL, 0, 1);
	bench_start((struct bench_setup){ .kind = kind, .before_start = trace_pair });
	for (u32 i = 0; i < 300; i++) {
		rx_post_all();
		wire_send(i, 300);
		CHECK(tx_add(i, 400, NULL));
		tx_show();
		if (i % 3 == 2)
			for (u32 k = i - 2; k <= i; k++) {
				rx_expect(k, 300);
				wire_expect(k, 400);
				tx_reap(1);
			}
	}
	wire_send(1, 60);
	rx_expect(1, 60);
	bench_reset();
	end_and_read();
	c = counters();
	CHECK(file.complete && !file.lost);
	CHECK_EQ(c.rx.packets, 301);
	CHECK_EQ(count(1, TRACE_RX, TRACE_OF_RX), c.rx.packets);
	CHECK_EQ(count(1, TRACE_TX, TRACE_OF_TX), c.tx.packets);
	CHECK_EQ(count(1, TRACE_BATCH, TRACE_OF_RX), c.rx.ring.batches);
	CHECK_EQ(count(1, TRACE_BATCH, TRACE_OF_TX), c.tx.ring.batches);
	CHECK_EQ(count(1, TRACE_RAISED, TRACE_OF_RX), c.rx.interrupts);
	CHECK_EQ(count(1, TRACE_RAISED, TRACE_OF_TX), c.tx.interrupts);
	CHECK_EQ(count(1, TRACE_SUPPRESSED, TRACE_OF_RX), c.rx.interrupts_suppressed);
	CHECK_EQ(count(1, TRACE_SUPPRESSED, TRACE_OF_TX), c.tx.interrupts_suppressed);
	CHECK_EQ(count(1, TRACE_DEFERRED, TRACE_OF_RX), c.rx.interrupts_deferred);
	CHECK_EQ(count(1, TRACE_DEFERRED, TRACE_OF_TX), c.tx.interrupts_deferred);
	CHECK_EQ(count(1, TRACE_IRQ_SENT, -1), c.thread.interrupts);
	CHECK_EQ(count(1, TRACE_KICK, -1), c.thread.kicks);
	/* One sleep may have begun before there was a driver, and one not be over. */
	CHECK(count(1, TRACE_SLEEP, -1) <= c.thread.sleeps && count(1, TRACE_SLEEP, -1) + 1 >= c.thread.sleeps);
	bench_close();
}

/* Frames that a driver had no room for until it left: those for the next one are not they. */
static void frames_left_behind(enum kind kind)
{
	u64 came = 0;

	begin(TRACE_NET, 0, 1);
	bench_start((struct bench_setup){ .kind = kind, .rx_len = 300, .before_start = trace_pair });
	CHECK_EQ(rx_post_buffers(1), 1);
	wire_send(0, 1000);
	for (int waits = 1; waits;)
		CHECK_EQ(ioctl(b.tap, FIONREAD, &waits), 0);
	bench_reset();
	bench_up();
	rx_post_all();
	wire_send(1, 60);
	rx_expect(1, 60);
	bench_close();
	end_and_read();
	for (size_t i = 0; i < file.n; i++)
		came += file.event[i].type == TRACE_CAME ? file.event[i].a : 0;
	CHECK_EQ(came, 2);
	CHECK_EQ(count(1, TRACE_RX, -1), 1);
	CHECK_EQ(count(1, TRACE_DROP, -1), 1);
}

/* Those that wait while another queue is reset are given after it. */
static void frames_that_wait_over_a_reset(enum kind kind)
{
	begin(TRACE_NET, 0, 1);
	bench_start((struct bench_setup){
		.kind = kind, .features = USUAL | RING_RESET, .rx_len = 300, .before_start = trace_pair });
	CHECK_EQ(rx_post_buffers(1), 1);
	wire_send(0, 1000);
	for (int waits = 1; waits;)
		CHECK_EQ(ioctl(b.tap, FIONREAD, &waits), 0);
	reg_write(b.dev, VIRTIO_MMIO_QUEUE_SEL, 1);
	reg_write(b.dev, 0x0c0, 1);
	CHECK_EQ(reg_read(b.dev, 0x0c0), 0);
	rx_post_buffers(10);
	rx_expect(0, 1000);
	bench_close();
	end_and_read();
	CHECK_EQ(count(1, TRACE_CAME, -1), 1);
	CHECK_EQ(count(1, TRACE_RX, -1), 1);
	CHECK_EQ(count(1, TRACE_DROP, -1), 0);
}

static void only_what_is_asked_for(void)
{
	begin(TRACE_IRQ, 0, 1);
	bench_start((struct bench_setup){ .kind = POLL, .before_start = trace_pair });
	rx_post_all();
	wire_send(1, 60);
	rx_expect(1, 60);
	bench_close();
	end_and_read();
	CHECK(count(1, TRACE_RAISED, TRACE_OF_RX) == 1 && count(1, TRACE_IRQ_SENT, -1) == 1);
	for (size_t i = 0; i < file.n; i++)
		CHECK(file.event[i].type >= TRACE_RAISED && file.event[i].type <= TRACE_IRQ_SENT);
}

/* --- batches ---------------------------------------------------------------------- */

static struct trace_event made[100];
static size_t n_made;

static void made_up(u64 ns, enum trace_type type, u8 thread, u8 queue, u64 a)
{
	made[n_made++] = (struct trace_event){ .bytes = 32, .ns = ns, .type = (u8)type, .thread = thread,
					       .queue = queue, .a = a, .b = 1 };
}

static struct trace_batch *batches(size_t want)
{
	struct trace_file t = { .head = { .threads = 3, .classes = TRACE_ALL }, .event = made, .n = n_made };
	size_t n;
	struct trace_batch *got = trace_batches(&t, &n);

	n_made = 0;
	CHECK(got);
	CHECK_EQ(n, want);
	return got;
}

static bool is_batch(const struct trace_batch *x, u32 packets, u64 came, u64 shown, u64 interrupt, u64 acknowledged)
{
	return x->packets == packets && x->came == came && x->shown == shown && x->interrupt == interrupt &&
	       x->acknowledged == acknowledged;
}

static void where_the_time_went(void)
{
	struct trace_batch *got;

	made_up(100, TRACE_CAME, 1, 0, 3);
	made_up(110, TRACE_RX, 1, 0, 60);
	made_up(111, TRACE_DROP, 1, 0, 0);
	made_up(112, TRACE_BATCH, 1, 0, 1);
	made_up(113, TRACE_DEFERRED, 1, 0, 1);
	made_up(120, TRACE_CAME, 1, 0, 1);
	made_up(130, TRACE_RX, 1, 0, 60); /* the third of those that came first */
	made_up(131, TRACE_RX, 1, 0, 60);
	made_up(132, TRACE_BATCH, 1, 0, 2);
	made_up(133, TRACE_CAME, 1, 0, 1);
	made_up(134, TRACE_RX, 1, 0, 60);
	made_up(135, TRACE_BATCH, 1, 0, 3);
	made_up(140, TRACE_RAISED, 1, 0, 3);
	made_up(150, TRACE_ACK, 0, 0, 1);
	made_up(160, TRACE_CAME, 1, 0, 1);
	made_up(161, TRACE_RX, 1, 0, 60);
	made_up(162, TRACE_BATCH, 1, 0, 4);
	made_up(163, TRACE_SUPPRESSED, 1, 0, 4);
	made_up(170, TRACE_ACK, 0, 0, 1); /* of nothing that we know */
	got = batches(4);
	CHECK(is_batch(&got[0], 1, 100, 112, 140, 150) && got[0].deferred && !got[0].suppressed);
	CHECK(is_batch(&got[1], 2, 100, 132, 140, 150) && !got[1].deferred);
	CHECK(is_batch(&got[2], 1, 133, 135, 140, 150));
	CHECK(is_batch(&got[3], 1, 160, 162, 0, 0) && got[3].suppressed);
	free(got);
}

/* What happened between events that were lost cannot be told: it begins anew. */
static void after_a_loss(void)
{
	struct trace_batch *got;

	made_up(90, TRACE_CAME, 2, 0, 1);
	made_up(100, TRACE_CAME, 1, 0, 1);
	made_up(101, TRACE_RX, 1, 0, 60);
	made_up(102, TRACE_BATCH, 1, 0, 1);
	made_up(110, TRACE_CAME, 1, 0, 1);
	made_up(200, TRACE_LOST, 1, 0, 5); /* one to the guest, and what became of its batch */
	made_up(300, TRACE_CAME, 1, 0, 1);
	made_up(310, TRACE_RX, 1, 0, 60);
	made_up(311, TRACE_BATCH, 1, 0, 3);
	made_up(312, TRACE_RAISED, 1, 0, 3);
	made_up(320, TRACE_RX, 2, 0, 60); /* another thread's were not lost */
	made_up(321, TRACE_BATCH, 2, 0, 1);
	got = batches(3);
	CHECK(is_batch(&got[0], 1, 100, 102, 0, 0));
	CHECK(is_batch(&got[1], 1, 300, 311, 312, 0));
	CHECK(is_batch(&got[2], 1, 90, 321, 0, 0));
	free(got);
}

static void queues_apart(void)
{
	struct trace_batch *got;

	made_up(100, TRACE_CAME, 1, 0, 1);
	made_up(101, TRACE_CAME, 2, 0, 1);
	made_up(102, TRACE_TX, 1, 1, 60);
	made_up(110, TRACE_RX, 2, 0, 60);
	made_up(111, TRACE_RX, 1, 0, 60);
	made_up(120, TRACE_BATCH, 1, 1, 1);
	made_up(121, TRACE_BATCH, 1, 0, 1);
	made_up(122, TRACE_BATCH, 2, 0, 1);
	made_up(123, TRACE_BATCH, 1, 2, 1); /* the control queue's: no packets */
	made_up(130, TRACE_RAISED, 1, 0, 1);
	made_up(131, TRACE_RAISED, 2, 0, 1);
	made_up(140, TRACE_ACK, 0, 0, 1); /* of one device: it is all queues' */
	got = batches(3);
	CHECK(is_batch(&got[0], 1, 102, 120, 0, 0) && got[0].queue == 1);
	CHECK(is_batch(&got[1], 1, 100, 121, 130, 140) && got[1].thread == 1);
	CHECK(is_batch(&got[2], 1, 101, 122, 131, 140) && got[2].thread == 2);
	free(got);
}

static void without_packets(void)
{
	struct trace_batch *got;

	made_up(100, TRACE_RX, 1, 0, 60); /* it came before there was a trace */
	made_up(101, TRACE_BATCH, 1, 0, 1);
	made_up(102, TRACE_BATCH, 1, 0, 2);
	made_up(103, TRACE_ACK, 0, 0, 1);
	got = batches(2);
	CHECK(is_batch(&got[0], 1, 0, 101, 0, 0));
	CHECK(is_batch(&got[1], 0, 0, 102, 0, 0));
	free(got);
	free(batches(0));
}

/* --- files of all kinds ------------------------------------------------------------ */

static u8 good[64 * KiB];
static size_t good_size;

/* A trace with something of everything. */
static void make_good(void)
{
	int fd;

	begin(TRACE_ALL, 2, 1);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned type = 1; type < TRACE_LOST; type++)
			for (u8 queue = 0; queue < 4; queue++)
				trace_put(tracer_of_pair(0), type, queue, i, i, 1);
	tracer_end();
	fd = open(in_dir("t"), O_RDONLY);
	good_size = (size_t)read(fd, good, sizeof(good));
	close(fd);
	CHECK(good_size > 1000 && good_size < sizeof(good));
}

static void put_file(const u8 *bytes, size_t n)
{
	int fd = open(in_dir("x"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

/* Whatever is in it: a sentence, or all ways to show it work. */
static int show_all(void)
{
	FILE *null = fopen("/dev/null", "w");
	int r;

	CHECK(null);
	trace_free(&file);
	r = trace_read(&file, in_dir("x"), err, sizeof(err));
	if (r) {
		CHECK(strlen(err) > 20 && !strchr(err, '\n'));
	} else {
		trace_write_text(&file, null);
		CHECK_EQ(trace_write_json(&file, null, err, sizeof(err)), 0);
		if (trace_write_latency(&file, null, err, sizeof(err)))
			CHECK(!(file.head.classes & TRACE_VQ) || !(file.head.classes & TRACE_IRQ));
	}
	fclose(null);
	return r;
}

static void cut_short(void)
{
	size_t head = sizeof(struct trace_header) + 4 * TRACE_NAME;

	make_good();
	for (size_t n = 0; n <= good_size; n++) {
		put_file(good, n);
		CHECK_EQ(show_all(), n < head ? -1 : 0);
		if (n < sizeof(struct trace_header))
			CHECK_HAS(err, " is no trace of ringlet's");
		else if (n < head)
			CHECK_HAS(err, " is cut short: it ends before the first event");
		else
			CHECK_EQ(file.complete, n == good_size);
		if (n >= head && n < good_size)
			CHECK_EQ(file.n, (n - head) / 32);
	}
}

static void foreign(void)
{
	struct trace_header *h = (struct trace_header *)good;

	make_good();
	put_file((const u8 *)"#!/bin/sh\necho this is no trace, and longer than a header is\n", 60);
	CHECK_EQ(show_all(), -1);
	CHECK_HAS(err, "/x is no trace of ringlet's");
	h->version = 2;
	put_file(good, good_size);
	CHECK_EQ(show_all(), -1);
	CHECK_HAS(err, "/x is a trace of version 2, and this ringlet reads version 1; use the one that wrote it");
	h->version = 1;
	h->threads = TRACE_MAX_THREADS + 1;
	put_file(good, good_size);
	CHECK_EQ(show_all(), -1);
	CHECK_HAS(err, "/x is damaged: a trace of 65 threads");
	CHECK_EQ(trace_read(&file, "/dev/zero", err, sizeof(err)), -1);
	CHECK_STR(err, "/dev/zero is no file");
	CHECK_EQ(trace_read(&file, "/nowhere", err, sizeof(err)), -1);
	CHECK_STR(err, "cannot read /nowhere: No such file or directory");
}

/* Nothing but the promise of many events: it is not memory that they take. */
static void hollow(void)
{
	struct rusage before, after;

	make_good();
	put_file(good, good_size - 32); /* without its end, or all else would be behind that */
	CHECK_EQ(truncate(in_dir("x"), 512 * MiB), 0);
	getrusage(RUSAGE_SELF, &before);
	CHECK_EQ(show_all(), 0);
	getrusage(RUSAGE_SELF, &after);
	CHECK(after.ru_maxrss - before.ru_maxrss < 128 * 1024); /* KiB */
	CHECK_EQ(file.n, (good_size - sizeof(struct trace_header) - 4 * TRACE_NAME) / 32 - 1);
	CHECK(!file.complete);
}

/* A name that would end a string, or move the cursor. */
static void names_are_harmless(void)
{
	make_good();
	memcpy(good + sizeof(struct trace_header), "a\"b\\c\033[2Jdddddddddd", TRACE_NAME);
	put_file(good, good_size);
	CHECK_EQ(show_all(), 0);
	CHECK_STR(file.name[0], "a?b?c?[2Jdddddd");
}

static void damaged(void)
{
	static u8 bytes[sizeof(good)];
	u64 seed = 20;

	make_good();
	for (unsigned round = 0; round < 4000; round++) {
		unsigned n = 1 + (unsigned)(random_next(&seed) % 30);

		memcpy(bytes, good, good_size);
		while (n--) {
			size_t at = random_next(&seed) % good_size;

			/* Mostly in the events: a header that is broken is soon refused. */
			if (at >= 12 || random_next(&seed) % 8 == 0)
				bytes[at] = random_next(&seed) % 3 ? (u8)random_next(&seed) : 0xff;
		}
		put_file(bytes, random_next(&seed) % 4 ? good_size : random_next(&seed) % good_size);
		show_all();
	}
}

EACH(device)
EACH(frames_left_behind)
EACH(frames_that_wait_over_a_reset)

int main(void)
{
	static const struct check_test tests[] = {
		{ "events come back as they were put, by time", there_and_back },
		{ "a sleep is as long as it was", long_sleep },
		{ "the words for what can be traced", names },
		{ "what comes too fast is lost, and counted in the file", too_many },
		{ "a file that cannot be written is refused", refused },
		ROWS("there is an event for all that is counted", device),
		ROWS("a frame that a driver leaves behind is told", frames_left_behind),
		ROWS("one that waits while another queue is reset is not", frames_that_wait_over_a_reset),
		{ "nothing is recorded that was not asked for", only_what_is_asked_for },
		{ "where the time of a batch went", where_the_time_went },
		{ "what was lost is not taken for what came later", after_a_loss },
		{ "queues are told apart, and acknowledged together", queues_apart },
		{ "what was not seen is not made up", without_packets },
		{ "a file that is cut short anywhere is read as far as it goes", cut_short },
		{ "a file of somebody else's is refused in a sentence", foreign },
		{ "a file that is mostly nothing takes no memory", hollow },
		{ "names in a file do no harm", names_are_harmless },
		{ "nothing in a damaged file is trusted", damaged },
	};
	char rm[100];
	int r;

	if (!mkdtemp(dir))
		return 1;
	r = check_run(tests, ARRAY_SIZE(tests));
	tracer_end();
	bench_close();
	tracer_close();
	trace_free(&file);
	snprintf(rm, sizeof(rm), "rm -rf %s", dir);
	return system(rm) ? 1 : r;
}
