// SPDX-License-Identifier: MIT
/*
 * stream.c - records from one thread to another: a ring of bytes in which a
 * record that does not fit before the ring's end starts at its beginning, and
 * the rest is a record of its own that nobody sees.
 *
 * Invariant: taken <= shown <= end <= taken + size.  Each side works on its own
 * idea of the other's place and looks again only when that says that there is
 * nothing to do: in full flow hardly a cache line changes hands per record.
 */
#include "stream.h"

#include <errno.h>
#include <sys/mman.h>

#include "barrier.h"

#define REST (1u << 31) /* in a size: nothing but the rest of the ring */

int stream_init(struct stream *s, u64 size)
{
	/* Touched as it is filled: one that is seldom used takes no memory. */
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (data == MAP_FAILED)
		return -errno;
	*s = (struct stream){ .data = data, .size = size, .room_to = size };
	return 0;
}

void stream_fini(struct stream *s)
{
	if (s->data)
		munmap(s->data, s->size);
	s->data = NULL;
}

static u32 *record_at(const struct stream *s, u64 place)
{
	return (u32 *)(s->data + (place & (s->size - 1)));
}

void *stream_add(struct stream *s, u32 bytes)
{
	u64 size = ALIGN_UP((u64)bytes, 8), to_end = s->size - (s->end & (s->size - 1));
	u64 rest = size > to_end ? to_end : 0;
	u32 *record;

	if (s->end + rest + size > s->room_to) {
		/* Acquire: the reader is done with what it took. */
		s->room_to = LOAD_ACQUIRE(&s->taken) + s->size;
		if (s->end + rest + size > s->room_to) {
			STORE_ONCE(&s->dropped, s->dropped + 1);
			return NULL;
		}
	}
	if (rest)
		*record_at(s, s->end) = (u32)rest | REST;
	s->end += rest;
	record = record_at(s, s->end);
	*record = (u32)size;
	s->end += size;
	return record;
}

void *stream_hidden(struct stream *s, u64 *at)
{
	if (!*at)
		*at = s->shown;
	while (*at != s->end) {
		u32 *record = record_at(s, *at);

		*at += *record & ~REST;
		if (!(*record & REST))
			return record;
	}
	return NULL;
}

void stream_show(struct stream *s, u64 place)
{
	/* Release: the records come first. */
	STORE_RELEASE(&s->shown, place);
}

const void *stream_peek(struct stream *s)
{
	for (;;) {
		const u32 *record;

		if (s->taken == s->known)
			s->known = LOAD_ACQUIRE(&s->shown);
		if (s->taken == s->known)
			return NULL;
		record = record_at(s, s->taken);
		if (!(*record & REST))
			return record;
		STORE_RELEASE(&s->taken, s->taken + (*record & ~REST));
	}
}

void stream_take(struct stream *s)
{
	STORE_RELEASE(&s->taken, s->taken + *record_at(s, s->taken));
}
