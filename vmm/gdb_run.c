// SPDX-License-Identifier: MIT
/*
 * gdb_run.c - the guest that stops and goes on for gdb, and the bytes between
 * the two: what came becomes packets, answers become what is to be sent.
 *
 * A vCPU that traps stands by itself until it was looked at here.  Is the trap
 * the guest's own, it gets it and goes on, and no other vCPU notices.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdb_internal.h"
#include "log.h"

#define OUT_MOST (16 * MiB) /* bytes on their way to the client */

u32 gdb_all(const struct gdb *s)
{
	return s->vm->ncpus == 32 ? ~0u : (1u << s->vm->ncpus) - 1;
}

/* --- stop and go on ----------------------------------------------------------------- */

static void let_have(struct gdb *s, struct vcpu *c)
{
	gdb_give_back(c, &s->breaks, s->stepping >> c->index & 1);
	vcpu_untrap(c);
}

/*
 * A step inside the range that gdb named is one of many, unless it led to a
 * breakpoint: not every KVM stops there by itself when it comes by a step.
 */
static bool steps_on(const struct gdb *s, const struct vcpu *c, enum gdb_why why)
{
	const struct gdb_range *r = &s->range[c->index];
	u64 pc = c->run->debug.arch.pc;

	return why == WHY_STEP && pc >= r->start && pc < r->end && !gdb_break_at(&s->breaks, pc);
}

static bool better(const struct gdb_hit *a, const struct gdb_hit *b)
{
	return b->why == WHY_GUEST || a->why == WHY_WATCH || (a->why == WHY_STEP && b->why != WHY_WATCH);
}

/*
 * All vCPUs stand: what they trapped for is found out now, before a breakpoint
 * is changed.  The one told first is s->hit.  A vCPU at a breakpoint will run
 * into it once more, as will one in the middle of a range; an access to what is
 * watched would be lost, and is told later.
 */
static void settle(struct gdb *s)
{
	s->hit.why = WHY_GUEST;
	for (unsigned i = 0; i < s->vm->ncpus; i++) {
		struct vcpu *c = &s->vm->vcpu[i];
		struct gdb_hit hit = { .vcpu = i };

		if (!vcpu_trapped(c))
			continue;
		hit.why = gdb_why(c, &s->breaks, s->stepping >> i & 1, &hit.at);
		if (hit.why == WHY_GUEST) {
			let_have(s, c);
			continue;
		}
		vcpu_untrap(c);
		if (steps_on(s, c, hit.why))
			continue;
		if (hit.why == WHY_WATCH) {
			s->untold |= 1u << i;
			s->untold_at[i] = hit.at;
		}
		if (better(&hit, &s->hit))
			s->hit = hit;
	}
}

void gdb_stop(struct gdb *s)
{
	bool stood = s->held && !s->released;

	if (!s->held)
		vm_pause(s->vm);
	else if (s->released)
		vm_recall(s->vm);
	s->held = true;
	s->released = 0;
	s->waiting = false;
	if (!stood)
		settle(s);
}

static void tell(struct gdb *s, const struct gdb_hit *hit)
{
	static const char *const names[] = { [WATCH_WRITE] = "watch", [WATCH_READ] = "rwatch", [WATCH_ACCESS] = "awatch" };
	char why[40] = "";

	if (hit->why == WHY_SOFT && s->knows_swbreak)
		snprintf(why, sizeof(why), "swbreak:;");
	if (hit->why == WHY_HARD && s->knows_hwbreak)
		snprintf(why, sizeof(why), "hwbreak:;");
	if (hit->why == WHY_WATCH)
		snprintf(why, sizeof(why), "%s:%llx;", names[hit->at.type], (unsigned long long)hit->at.va);
	s->untold &= ~(1u << hit->vcpu);
	s->current = s->stepped = hit->vcpu;
	snprintf(s->stopped, sizeof(s->stopped), "T05%sthread:%x;", why, hit->vcpu + 1);
	gdb_put(&s->reply, s->stopped);
}

/* What came while something else was told, unless nobody wants to know any more. */
static bool tell_next(struct gdb *s)
{
	for (unsigned i = 0; i < s->vm->ncpus; i++) {
		struct gdb_hit hit = { .vcpu = i, .why = WHY_WATCH, .at = s->untold_at[i] };

		if (!(s->untold >> i & 1))
			continue;
		s->untold &= ~(1u << i);
		if (gdb_is_watched(&s->breaks, &hit.at)) {
			tell(s, &hit);
			return true;
		}
	}
	return false;
}

void gdb_go(struct gdb *s, u32 which, u32 step, const struct gdb_range *range)
{
	if (tell_next(s))
		return;
	s->stepping = step;
	memset(s->range, 0, sizeof(s->range));
	if (range)
		memcpy(s->range, range, sizeof(s->range));
	for (unsigned i = 0; i < s->vm->ncpus; i++)
		if (which >> i & 1)
			gdb_arm(&s->vm->vcpu[i], &s->breaks, true, step >> i & 1);
	s->waiting = true;
	if (which == gdb_all(s)) {
		s->held = false;
		vm_resume(s->vm);
	} else {
		s->released = which;
		vm_release(s->vm, which);
	}
}

void gdb_trapped(struct gdb *s)
{
	bool ours = false;

	if (!s->waiting)
		return;
	for (unsigned i = 0; i < s->vm->ncpus; i++) {
		struct vcpu *c = &s->vm->vcpu[i];
		struct gdb_hard at;
		enum gdb_why why;

		if (!vcpu_trapped(c))
			continue;
		why = gdb_why(c, &s->breaks, s->stepping >> i & 1, &at);
		if (why == WHY_GUEST) {
			let_have(s, c);
		} else if (steps_on(s, c, why)) {
			gdb_arm(c, &s->breaks, true, true); /* KVM forgets, where it emulated one */
			vcpu_untrap(c);
		} else {
			ours = true;
		}
	}
	if (!ours)
		return;
	gdb_stop(s);
	tell(s, &s->hit);
	gdb_send(s);
}

void gdb_let_go(struct gdb *s)
{
	if (!s->attached)
		return;
	gdb_stop(s);
	gdb_break_clear_all(&s->breaks, &s->vm->mem);
	for (unsigned i = 0; i < s->vm->ncpus; i++)
		gdb_arm(&s->vm->vcpu[i], &s->breaks, false, false);
	s->attached = s->no_ack = s->knows_swbreak = s->knows_hwbreak = s->physical = s->detached = false;
	s->held = false;
	s->stepping = s->untold = 0;
	vm_resume(s->vm);
}

static void attach(struct gdb *s)
{
	if (!s->attached) {
		s->attached = true;
		s->current = s->stepped = 0;
		snprintf(s->stopped, sizeof(s->stopped), "T05thread:1;");
		info("gdb: attached");
	}
	gdb_stop(s);
}

static void interrupt(struct gdb *s)
{
	if (!s->waiting)
		return;
	gdb_stop(s);
	s->reply.n = 0;
	snprintf(s->stopped, sizeof(s->stopped), "T02thread:%x;", s->current + 1);
	gdb_put(&s->reply, s->stopped);
	gdb_send(s);
}

/* --- bytes --------------------------------------------------------------------------- */

static void put_out(struct gdb *s, const char *data, size_t n)
{
	if (s->n_out + n > s->size_out) {
		size_t size = MAX(2 * s->size_out, s->n_out + n);
		char *grown = size > OUT_MOST ? NULL : realloc(s->out, size);

		if (!grown) {
			s->lost = true;
			return;
		}
		s->out = grown;
		s->size_out = size;
	}
	memcpy(s->out + s->n_out, data, n);
	s->n_out += n;
}

void gdb_send(struct gdb *s)
{
	s->n_last = gdb_frame(s->reply.data, s->reply.n, s->last);
	s->reply.n = 0;
	put_out(s, s->last, s->n_last);
}

static void take_byte(struct gdb *s, u8 byte)
{
	enum gdb_event e = gdb_take_byte(&s->in, byte);

	/* Without acknowledgements nobody would send it again. */
	if (e == GDB_WRONG && !s->no_ack)
		put_out(s, "-", 1);
	else if (e == GDB_AGAIN && s->n_last && !s->no_ack)
		put_out(s, s->last, s->n_last);
	else if (e == GDB_INTERRUPT)
		interrupt(s);
	if (e != GDB_PACKET_CAME)
		return;
	if (!s->no_ack)
		put_out(s, "+", 1);
	attach(s);
	gdb_packet(s, s->in.data, s->in.n);
	if (s->detached)
		gdb_let_go(s);
}

void gdb_receive(struct gdb *s, const u8 *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		take_byte(s, data[i]);
}
