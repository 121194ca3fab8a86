// SPDX-License-Identifier: MIT
/*
 * chaos.c - what virtq_add_used() does when it is to lie.
 *
 * Only what the driver reads is wrong: what is outstanding is counted as it is,
 * so that nothing here leads out of the ring.  A driver that believes a lie may
 * break a rule because of it, which is said as ever.
 */
#include "chaos.h"

#include <string.h>

#include "virtq.h"

#define HOLD_MOST_NS 10000000

static const char *const names[CHAOS_KINDS] = {
	[CHAOS_DELAY] = "delay", [CHAOS_DROP] = "drop", [CHAOS_DUP] = "dup",   [CHAOS_REORDER] = "reorder",
	[CHAOS_BADID] = "badid", [CHAOS_LEN] = "len",   [CHAOS_IRQ] = "spurious-irq",
};

const char *chaos_name(unsigned kind)
{
	return kind < CHAOS_KINDS ? names[kind] : NULL;
}

/* splitmix64: any seed will do, 0 as well. */
static u64 next_random(u64 *state)
{
	u64 x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static bool draw(const struct chaos *c, u64 *state, enum chaos_kind kind)
{
	return next_random(state) % CHAOS_ALWAYS < c->config->millionth[kind];
}

void chaos_init(struct chaos *c, const struct chaos_config *config, unsigned number)
{
	memset(c, 0, sizeof(*c));
	c->config = config;
	c->random = config->seed;
	c->random = next_random(&c->random) + number;
}

static void give(struct virtq *vq, u16 head, u32 len)
{
	virtq_put_used(vq, head, len);
	vq->outstanding--;
}

static bool hold(struct chaos *c, u64 *state, u16 head, u32 len, bool next)
{
	if (c->n == CHAOS_HELD)
		return false;
	c->held[c->n++] = (struct chaos_held){
		.head = head,
		.len = len,
		.next = next,
		.wait = 1 + next_random(state) % HOLD_MOST_NS,
	};
	return true;
}

static u32 wrong_id(u64 *state, const struct virtq *vq, u16 head)
{
	u64 r = next_random(state);

	if (r & 1)
		return (u32)(vq->size + (r >> 1) % 65536); /* there is none such */
	return (u32)(head + 1 + (r >> 1) % MAX(vq->size - 1, 1)) & (vq->size - 1u);
}

static u32 wrong_len(u64 *state, u32 len)
{
	u64 r = next_random(state);

	switch (r % 3) {
	case 0:
		return len ? 0 : 1;
	case 1:
		return len + 1 + (u32)(r >> 32) % 65536;
	default:
		return ~0u;
	}
}

/* Those that waited for this one to come back. */
static void give_behind(struct virtq *vq, struct chaos *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n; i++)
		if (c->held[i].next)
			give(vq, c->held[i].head, c->held[i].len);
		else
			c->held[n++] = c->held[i];
	c->n = n;
}

void chaos_add_used(struct virtq *vq, u16 head, u32 len)
{
	struct chaos *c = vq->chaos;
	u64 state = next_random(&c->random); /* a buffer's own: what becomes of it moves no other's */
	bool is[CHAOS_IRQ];

	for (unsigned k = 0; k < CHAOS_IRQ; k++)
		is[k] = draw(c, &state, k);
	if (is[CHAOS_DROP])
		return; /* it stays outstanding */
	if ((is[CHAOS_DELAY] || is[CHAOS_REORDER]) && hold(c, &state, head, len, !is[CHAOS_DELAY]))
		return;
	if (is[CHAOS_LEN])
		len = wrong_len(&state, len);
	if (is[CHAOS_DUP])
		virtq_put_used(vq, head, len);
	virtq_put_used(vq, is[CHAOS_BADID] ? wrong_id(&state, vq, head) : head, len);
	vq->outstanding--;
	give_behind(vq, c);
}

unsigned chaos_release(struct virtq *vq, u64 now)
{
	struct chaos *c = vq->chaos;
	unsigned n = 0, was = c->n;

	for (unsigned i = 0; i < was; i++) {
		struct chaos_held *h = &c->held[i];

		if (!h->due)
			h->due = now + h->wait;
		if (h->due <= now)
			give(vq, h->head, h->len);
		else
			c->held[n++] = *h;
	}
	c->n = n;
	return was - n;
}

u64 chaos_deadline(const struct chaos *c)
{
	u64 first = 0;

	for (unsigned i = 0; i < c->n; i++)
		if (!first || c->held[i].due < first)
			first = MAX(c->held[i].due, 1u);
	return first;
}

bool chaos_interrupts(struct chaos *c)
{
	return draw(c, &c->random, CHAOS_IRQ);
}
