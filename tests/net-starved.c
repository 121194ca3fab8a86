// SPDX-License-Identifier: MIT
/*
 * net-starved.c - a guest with few receive buffers, or none for a while: every
 * frame that its buffers can hold at all arrives, in order, as soon as there
 * are enough of them, and no later.
 *
 * What must come is computed from how many buffers the device has; a frame
 * that does not come although it has room is a stall, however it arose.
 */
#include "wire.h"

#define MAX_QUEUED 40

static u32 queued[MAX_QUEUED]; /* lengths of frames sent and not received */
static unsigned n_queued;
static u32 first; /* number of the oldest of them */
static unsigned in_device; /* buffers posted and not come back */

static void start(struct bench_setup setup)
{
	bench_start(setup);
	n_queued = first = in_device = 0;
}

static unsigned buffers_for(u32 len)
{
	return (HEADER + len + b.setup.rx_len - 1) / b.setup.rx_len;
}

static bool send_one(u32 len)
{
	if (n_queued == MAX_QUEUED || !wire_try_send(first + n_queued, len, NULL))
		return false;
	queued[n_queued++] = len;
	return true;
}

static void post(unsigned n)
{
	in_device += rx_post_buffers(n);
}

/* Everything for which the device has room arrives. */
static void receive_what_fits(void)
{
	while (n_queued && buffers_for(queued[0]) <= in_device) {
		rx_expect(first, queued[0]);
		in_device -= buffers_for(queued[0]);
		memmove(queued, queued + 1, --n_queued * sizeof(queued[0]));
		first++;
	}
	CHECK_EQ(ring_waiting(&b.rx), 0);
}

static void dry_and_refilled(enum kind kind)
{
	for (unsigned have = 0; have <= 40; have += have < 4 ? 1 : 12) {
		start((struct bench_setup){ .kind = kind });
		post(have);
		while (send_one(200))
			;
		receive_what_fits();
		CHECK_EQ(n_queued, MAX_QUEUED - MIN(have, (unsigned)MAX_QUEUED));
		poll(NULL, 0, 5);
		CHECK_EQ(ring_waiting(&b.rx), 0);
		/* One by one, each with its own kick. */
		for (unsigned i = 0; i < 5; i++) {
			post(1);
			receive_what_fits();
		}
		post(256);
		receive_what_fits();
		CHECK_EQ(n_queued, 0);
		/* It has not forgotten how. */
		for (unsigned i = 0; i < 5; i++) {
			send_one(100);
			receive_what_fits();
		}
		CHECK_EQ(counters().rx.errors + counters().rx.drop_too_big, 0);
	}
}

/*
 * After a burst it reads ahead; so many reads may take every buffer that there
 * is, find nothing, and leave nobody to wait for the next frame.
 */
static void few_left_after_a_burst(enum kind kind)
{
	for (unsigned left = 1; left <= 18; left++)
		for (unsigned burst = 1; burst <= 31; burst += 10) {
			start((struct bench_setup){ .kind = kind, .rx_len = 2100 });
			post(burst + left);
			for (unsigned i = 0; i < burst; i++)
				CHECK(send_one(100));
			receive_what_fits();
			CHECK_EQ(in_device, left);
			/* The guest has nothing more to give. */
			for (unsigned i = 0; i < left; i++) {
				if (left % 4 == 1)
					poll(NULL, 0, 1);
				CHECK(send_one(100));
				receive_what_fits();
			}
			CHECK_EQ(in_device, 0);
		}
}

/* A read that waits holds some of the buffers that a frame from before needs. */
static void buffers_in_a_waiting_read(enum kind kind)
{
	for (u32 rx_len = 100; rx_len <= 700; rx_len += 200)
		for (unsigned have = 2; have <= 30; have += 4) {
			u32 largest = have * rx_len - HEADER;

			start((struct bench_setup){ .kind = kind, .rx_len = rx_len });
			post(have);
			poll(NULL, 0, 1); /* a read waits now */
			CHECK(send_one(largest));
			receive_what_fits();
			CHECK_EQ(in_device, 0);
			post(have);
			CHECK(send_one(1));
			CHECK(send_one(largest - rx_len));
			receive_what_fits();
			CHECK_EQ(n_queued, 0);
		}
}

/*
 * Small frames that were read ahead hold the buffers that a large one before
 * them needs, and the guest has no others.
 */
static void buffers_under_later_frames(enum kind kind)
{
	for (unsigned behind = 1; behind <= 30; behind++) {
		start((struct bench_setup){ .kind = kind, .queue_size = 16, .rx_len = 1526 });
		post(16);
		/* Teach it to read far ahead. */
		for (unsigned i = 0; i < 12; i++) {
			for (unsigned k = 0; k < 4; k++)
				CHECK(send_one(100));
			receive_what_fits();
			post(16);
		}
		post(16);
		CHECK_EQ(in_device, 16);
		CHECK(send_one(behind & 1 ? 14 * 1526 : 16 * 1526 - HEADER));
		for (unsigned i = 0; i < behind; i++)
			CHECK(send_one(100 + i));
		receive_what_fits();
		post(16);
		receive_what_fits();
		post(16);
		receive_what_fits();
		CHECK_EQ(n_queued, 0);
		CHECK_EQ(counters().rx.drop_too_big, 0);
	}
}

/* A frame that all the guest can ever post does not hold is dropped, and only that. */
static void larger_than_all_buffers(enum kind kind)
{
	start((struct bench_setup){ .kind = kind, .queue_size = 16, .rx_len = 1526 });
	post(16);
	for (unsigned i = 0; i < 20; i++) {
		CHECK(wire_try_send(1000, 16 * 1526 - HEADER + 1 + i * 1000, NULL));
		CHECK(send_one(100));
		CHECK(send_one(5000));
		receive_what_fits();
		CHECK_EQ(n_queued, 0);
		post(16);
		CHECK_EQ(in_device, 16);
	}
	CHECK_EQ(counters().rx.drop_too_big, 20);
}

static void at_random(enum kind kind)
{
	u64 seed = 1;

	for (unsigned round = 0; round < 40; round++) {
		const u16 sizes[] = { 16, 16, 32, 64, 256 };
		const u32 lens[] = { 100, 333, 1526, 1526, 4096 };
		u16 size = sizes[random_next(&seed) % 5];
		u32 rx_len = lens[random_next(&seed) % 5];
		u32 most = MIN(MIN((u32)size, 128u) * rx_len - HEADER, LARGEST);

		start((struct bench_setup){
			.kind = kind, .queue_size = size, .rx_len = rx_len, .rx_parts = (u16)(1 + round % 2),
			.features = round % 3 ? USUAL : USUAL & ~EVENT,
		});
		for (unsigned step = 0; step < 60; step++) {
			u64 r = random_next(&seed);

			if (r % 4)
				post((unsigned)(random_next(&seed) % size));
			for (unsigned i = (unsigned)(r >> 8) % 12; i; i--) {
				u64 k = random_next(&seed);

				if (!send_one(k % 8 ? 60 + (u32)(k >> 32) % MIN(most - 60, 1450u)
						    : 60 + (u32)(k >> 32) % (most - 60)))
					break;
			}
			if (r & 16)
				poll(NULL, 0, r & 32 ? 1 : 0);
			receive_what_fits();
		}
		while (n_queued) {
			post(size);
			receive_what_fits();
		}
		CHECK_EQ(counters().rx.errors + counters().rx.drop_too_big, 0);
	}
}

/* As FreeBSD posts them without MRG_RXBUF: 34 pieces of 2 KiB each. */
static void many_pieces(enum kind kind)
{
	struct segment s[34];
	u16 head;
	u32 len;

	start((struct bench_setup){ .kind = kind, .features = V1 | EVENT | OFFLOADS, .rx_len = 2048, .queue_size = 256 });
	for (unsigned c = 0; c < 4; c++) {
		for (unsigned k = 0; k < ARRAY_SIZE(s); k++)
			s[k] = (struct segment){
				.gpa = rx_buffer((u16)(c * ARRAY_SIZE(s) + k)), .len = 2048, .write = true
			};
		CHECK(ring_add(&b.rx, s, ARRAY_SIZE(s)) >= 0);
	}
	ring_show(&b.rx);
	kick_if_asked(&b.rx);
	for (u32 n = 40000; n <= 60000; n += 20000) {
		wire_send(n, n);
		CHECK(wait_used_for(&b.rx, 1, PATIENCE_MS));
		CHECK_EQ(ring_take(&b.rx, &head, &len), 1);
		CHECK_EQ(len, HEADER + n);
	}
	CHECK_EQ(counters().rx.drop_too_big, 0);
}

EACH(many_pieces)
EACH(dry_and_refilled)
EACH(few_left_after_a_burst)
EACH(buffers_in_a_waiting_read)
EACH(buffers_under_later_frames)
EACH(larger_than_all_buffers)
EACH(at_random)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("a buffer of many pieces holds what has room in it", many_pieces),
		ROWS("frames wait for a dry ring to be refilled, none is lost", dry_and_refilled),
		ROWS("the last few buffers are all used, after any burst", few_left_after_a_burst),
		ROWS("buffers in a waiting read go to the frame that needs them", buffers_in_a_waiting_read),
		ROWS("buffers under later frames go to the frame that needs them", buffers_under_later_frames),
		ROWS("only a frame that no ring of buffers could hold is dropped", larger_than_all_buffers),
		ROWS("with any number of buffers what fits arrives", at_random),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	bench_close();
	return r;
}
