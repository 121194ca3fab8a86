// SPDX-License-Identifier: MIT
/*
 * stream.c - records from one thread to another: in order, whole, and those
 * that found no room counted, also when both threads run at once.
 */
#include "stream.h"

#include <pthread.h>
#include <sched.h>

#include "barrier.h"
#include "check.h"

#define SIZE 4096

struct record {
	u32 bytes;
	u32 number;
	u8 data[];
};

static struct stream s;

static void open_stream(void)
{
	stream_fini(&s);
	CHECK_EQ(stream_init(&s, SIZE), 0);
}

/* A record of so much data, each byte of which tells its number. */
static bool add(u32 number, u32 len)
{
	struct record *r = stream_add(&s, (u32)sizeof(*r) + len);

	if (!r)
		return false;
	CHECK_EQ((uintptr_t)r % 8, 0);
	r->number = number;
	memset(r->data, (int)number, len);
	return true;
}

static bool is_whole(const struct record *r, u32 number, u32 len)
{
	for (u32 i = 0; i < len; i++)
		if (r->data[i] != (u8)number)
			return false;
	return r->number == number && r->bytes == ALIGN_UP(sizeof(*r) + len, 8);
}

static void hidden_until_shown(void)
{
	struct record *r;
	u64 at = 0, first = 0;

	open_stream();
	CHECK(!stream_peek(&s));
	for (u32 i = 0; i < 3; i++)
		CHECK(add(i, 5 * i));
	CHECK(!stream_peek(&s));
	for (u32 i = 0; i < 3; i++) {
		r = stream_hidden(&s, &at);
		CHECK(r && is_whole(r, i, 5 * i));
		r->number += 100;
		first = first ? first : at;
	}
	CHECK(!stream_hidden(&s, &at));
	stream_show(&s, first);
	r = (struct record *)stream_peek(&s);
	CHECK(r && r->number == 100);
	CHECK(stream_peek(&s) == r); /* it stays */
	stream_take(&s);
	CHECK(!stream_peek(&s));
	at = 0;
	r = stream_hidden(&s, &at);
	CHECK(r && r->number == 101);
	stream_show(&s, s.end);
	CHECK_EQ(((const struct record *)stream_peek(&s))->number, 101);
	stream_take(&s);
	CHECK_EQ(((const struct record *)stream_peek(&s))->number, 102);
	stream_take(&s);
	CHECK(!stream_peek(&s));
	CHECK_EQ(s.dropped, 0);
}

/* Every size at every place of the ring, the end included. */
static void wraps(void)
{
	u32 number = 0;

	open_stream();
	for (u32 len = 0; len < 700; len++)
		for (unsigned i = 0; i < 23; i++, number++) {
			CHECK(add(number, len));
			stream_show(&s, s.end);
			CHECK(is_whole(stream_peek(&s), number, len));
			stream_take(&s);
			CHECK(!stream_peek(&s));
		}
	CHECK_EQ(s.dropped, 0);
	CHECK(s.end > 100 * SIZE);
}

static void full(void)
{
	u32 number = 0, seen = 0;

	open_stream();
	CHECK(!add(0, SIZE)); /* can never be had */
	CHECK_EQ(s.dropped, 1);
	while (add(number, 56))
		number++;
	CHECK_EQ(number, SIZE / 64);
	CHECK(!add(number, 56));
	CHECK_EQ(s.dropped, 3);
	stream_show(&s, s.end);
	CHECK(is_whole(stream_peek(&s), 0, 56));
	stream_take(&s);
	CHECK(add(number, 56)); /* and there is room for just one more */
	CHECK(!add(number, 0));
	stream_show(&s, s.end);
	for (const struct record *r; (r = stream_peek(&s)); stream_take(&s))
		CHECK_EQ(r->number, ++seen);
	CHECK_EQ(seen, number);
	CHECK_EQ(s.dropped, 4);
}

/* A record that does not fit behind the last is not put over the first. */
static void rest_counts(void)
{
	open_stream();
	CHECK(add(1, 2040)); /* half of it */
	CHECK(add(2, 1016)); /* a quarter */
	stream_show(&s, s.end);
	CHECK_EQ(((const struct record *)stream_peek(&s))->number, 1);
	CHECK(!add(3, 1528)); /* neither behind the second nor in front of the first */
	CHECK(is_whole(stream_peek(&s), 1, 2040));
	stream_take(&s);
	CHECK(add(3, 1528));
	stream_show(&s, s.end);
	CHECK(is_whole(stream_peek(&s), 2, 1016));
	stream_take(&s);
	CHECK(is_whole(stream_peek(&s), 3, 1528));
	CHECK_EQ(s.dropped, 1);
}

#define MANY 200000

static u32 added;

static void *write_many(void *arg)
{
	(void)arg;
	for (u32 i = 0; i < MANY; i++) {
		struct record *r = stream_add(&s, (u32)sizeof(*r) + i % 200);

		if (r) {
			r->number = i;
			memset(r->data, (int)i, i % 200);
			added++;
		} else {
			sched_yield();
		}
		if (i % 7 == 0)
			stream_show(&s, s.end);
	}
	stream_show(&s, s.end);
	return NULL;
}

static void two_threads(void)
{
	pthread_t writer;
	u32 next = 0, got = 0;

	open_stream();
	added = 0;
	CHECK_EQ(pthread_create(&writer, NULL, write_many, NULL), 0);
	while (got + LOAD_ONCE(&s.dropped) < MANY) {
		const struct record *r = stream_peek(&s);

		if (!r) {
			sched_yield();
			continue;
		}
		CHECK(r->number >= next);
		CHECK(is_whole(r, r->number, r->number % 200));
		next = r->number + 1;
		got++;
		stream_take(&s);
	}
	pthread_join(writer, NULL);
	CHECK(!stream_peek(&s));
	CHECK_EQ(got, added);
	CHECK_EQ(added + s.dropped, MANY);
	CHECK(added > SIZE / 16);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "a record can be changed until it is shown, and stays until it is taken", hidden_until_shown },
		{ "records of all sizes pass the end of the ring in one piece", wraps },
		{ "what finds no room is dropped and counted, and nothing else", full },
		{ "a record that must start anew does not run over the oldest", rest_counts },
		{ "two threads: each record comes whole, in order, once, or is counted as dropped", two_threads },
	};
	int r = check_run(tests, ARRAY_SIZE(tests));

	stream_fini(&s);
	return r;
}
