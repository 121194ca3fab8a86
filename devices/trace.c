// SPDX-License-Identifier: MIT
/*
 * trace.c - an event, for those threads to whom things happen.
 */
#include "trace.h"

#include "clock.h"

static const char *const classes[] = { "exits", "mmio", "vq", "irq", "net" };
_Static_assert(TRACE_ALL == (1 << ARRAY_SIZE(classes)) - 1, "a name for each");

const char *trace_class_name(unsigned i)
{
	return i < ARRAY_SIZE(classes) ? classes[i] : NULL;
}

const char *trace_queue_name(unsigned queue)
{
	static const char *const names[] = { "rx", "tx", "control" };

	return queue < ARRAY_SIZE(names) ? names[queue] : "?";
}

const char *trace_wake_name(unsigned wake)
{
	static const char *const names[] = { "a frame", "room in the tap", "a kick", "a call", "the time" };

	return wake < ARRAY_SIZE(names) ? names[wake] : "?";
}

static void put(struct trace *t, const struct trace_event *what)
{
	struct trace_event *e = stream_add(&t->stream, sizeof(*e));

	if (!e)
		return;
	*e = *what;
	stream_show(&t->stream, t->stream.end);
}

void trace_put(struct trace *t, enum trace_type type, u8 queue, u64 a, u32 b, u8 detail)
{
	put(t, &(struct trace_event){ .bytes = sizeof(struct trace_event), .ns = clock_ns(), .a = a, .b = b,
				      .type = (u8)type, .thread = t->thread, .queue = queue, .detail = detail });
}

void trace_put_at(struct trace *t, u64 ns, enum trace_type type, u8 queue, u64 a, u32 b)
{
	put(t, &(struct trace_event){ .bytes = sizeof(struct trace_event), .ns = ns, .a = a, .b = b,
				      .type = (u8)type, .thread = t->thread, .queue = queue });
}

void trace_put_since(struct trace *t, enum trace_type type, u64 since, u64 a, u32 b)
{
	u64 took = clock_ns() - since;

	put(t, &(struct trace_event){ .bytes = sizeof(struct trace_event), .took = (u32)MIN(took, UINT32_MAX),
				      .ns = since, .a = a, .b = b, .type = (u8)type, .thread = t->thread });
}
