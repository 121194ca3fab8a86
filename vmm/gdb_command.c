// SPDX-License-Identifier: MIT
/*
 * gdb_command.c - what each packet of gdb's does.  All vCPUs are held meanwhile;
 * processor i is thread i + 1.
 *
 * The sender may be anybody: a packet is taken apart from left to right, and
 * what does not fit is answered with an error (E and an errno) before anything
 * is done.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gdb_internal.h"

static void error(struct gdb *g, int number)
{
	char text[8];

	snprintf(text, sizeof(text), "E%02x", number);
	g->reply.n = 0;
	gdb_put(&g->reply, text);
}

static void ok_or(struct gdb *g, bool ok, int number)
{
	if (ok)
		gdb_put(&g->reply, "OK");
	else
		error(g, number);
}

static struct vcpu *current(struct gdb *g)
{
	return &g->vm->vcpu[g->current];
}

bool gdb_thread(struct gdb *g, const char **s, int *vcpu)
{
	u64 n;

	if (gdb_expect(s, 'p')) { /* the process, of which there is one */
		if (gdb_expect(s, '-'))
			*vcpu = -1;
		if (!gdb_number(s, &n))
			return false;
		if (!gdb_expect(s, '.')) {
			*vcpu = -1;
			return true;
		}
	}
	if (gdb_expect(s, '-')) {
		*vcpu = -1;
		return gdb_number(s, &n) && n == 1;
	}
	if (!gdb_number(s, &n) || n > g->vm->ncpus)
		return false;
	*vcpu = n ? (int)n - 1 : -2;
	return true;
}

/* --- registers ---------------------------------------------------------------------- */

static void read_all(struct gdb *g)
{
	struct gdb_state s;
	u8 value[16];
	size_t n;

	if (!gdb_load(current(g), &s)) {
		error(g, EIO);
		return;
	}
	for (unsigned i = 0; (n = gdb_get(&s, i, value)); i++)
		gdb_put_bytes(&g->reply, value, n);
}

static void write_all(struct gdb *g, const char *digits, size_t n)
{
	u8 values[GDB_REGISTERS];
	struct gdb_state s;
	size_t at = 0, size;

	if (n > 2 * sizeof(values) || !gdb_bytes(digits, n, values) || !gdb_load(current(g), &s)) {
		error(g, EINVAL);
		return;
	}
	for (unsigned i = 0; (size = gdb_register_size(i)); at += size, i++)
		if (at + size > n / 2 || !gdb_set(&s, i, values + at))
			break;
	ok_or(g, at == n / 2 && gdb_store(current(g), &s), EINVAL);
}

static void read_one(struct gdb *g, const char *p)
{
	struct gdb_state s;
	u8 value[16];
	u64 i;

	if (!gdb_number(&p, &i) || i > GDB_REGISTERS || !gdb_register_size((unsigned)i))
		error(g, EINVAL);
	else if (!gdb_load(current(g), &s))
		error(g, EIO);
	else
		gdb_put_bytes(&g->reply, value, gdb_get(&s, (unsigned)i, value));
}

static void write_one(struct gdb *g, const char *p)
{
	struct gdb_state s;
	u8 value[16];
	size_t size;
	u64 i;

	if (!gdb_number(&p, &i) || i > GDB_REGISTERS || !gdb_expect(&p, '=')) {
		error(g, EINVAL);
		return;
	}
	size = gdb_register_size((unsigned)i);
	ok_or(g, size && strlen(p) == 2 * size && gdb_bytes(p, 2 * size, value) && gdb_load(current(g), &s) &&
		 gdb_set(&s, (unsigned)i, value) && gdb_store(current(g), &s), EINVAL);
}

/* --- memory ------------------------------------------------------------------------- */

/* By which tables: those of the vCPU that packets are about. */
static bool paging_of(struct gdb *g, struct paging *p)
{
	struct gdb_state s;

	if (!gdb_load(current(g), &s))
		return false;
	*p = (struct paging){ s.sregs.cr0, s.sregs.cr3, s.sregs.cr4, s.sregs.efer };
	return true;
}

/* The same for memory: none, once gdb has said that its addresses are physical. */
static bool tables(struct gdb *g, struct paging *room, const struct paging **p)
{
	*p = g->physical ? NULL : room;
	return g->physical || paging_of(g, room);
}

/* "ADDR,LEN"; what stands behind it is at *p. */
static bool place(const char **p, u64 *address, u64 *len)
{
	return gdb_number(p, address) && gdb_expect(p, ',') && gdb_number(p, len);
}

/* As much as is there, and as fits. */
static void read_memory(struct gdb *g, const char *p)
{
	u8 data[GDB_PACKET / 2];
	const struct paging *by;
	struct paging room;
	u64 address, len;
	size_t n;

	if (!place(&p, &address, &len) || *p || !tables(g, &room, &by)) {
		error(g, EINVAL);
		return;
	}
	n = gdb_read(&g->breaks, &g->vm->mem, by, address, data, MIN(len, sizeof(data)));
	if (n || !len)
		gdb_put_bytes(&g->reply, data, n);
	else
		error(g, EFAULT);
}

/* M has hexadecimal digits, X the bytes themselves. */
static void write_memory(struct gdb *g, const char *packet, size_t n)
{
	u8 data[GDB_PACKET];
	const struct paging *by;
	struct paging room;
	const char *p = packet + 1;
	u64 address, len;
	size_t rest;
	bool good;

	good = place(&p, &address, &len) && gdb_expect(&p, ':');
	rest = good ? n - (size_t)(p - packet) : 0;
	if (good && *packet == 'M')
		good = rest / 2 == len && gdb_bytes(p, rest, data);
	else if (good && (good = rest == len))
		memcpy(data, p, rest);
	if (!good || !tables(g, &room, &by))
		error(g, EINVAL);
	else
		ok_or(g, gdb_write(&g->breaks, &g->vm->mem, by, address, data, len) == len, EFAULT);
}

static void breakpoint(struct gdb *g, const char *packet)
{
	const char *p = packet + 1;
	u64 type, address, len;
	struct paging paging;

	if (!gdb_number(&p, &type) || type > WATCH_ACCESS)
		return; /* there may be more kinds of them than we know */
	if (!gdb_expect(&p, ',') || !place(&p, &address, &len))
		error(g, EINVAL);
	else if (*packet == 'z')
		ok_or(g, gdb_break_clear(&g->breaks, &g->vm->mem, (enum gdb_break_type)type, address, len), ENOENT);
	else if (!paging_of(g, &paging))
		error(g, EIO);
	else
		ok_or(g, gdb_break_set(&g->breaks, &g->vm->mem, &paging, (enum gdb_break_type)type, address, len),
		      type == BREAK_SOFT ? EFAULT : ENOSPC);
}

/* --- going on ------------------------------------------------------------------------ */

static bool jump(struct gdb *g, unsigned vcpu, u64 rip)
{
	struct gdb_state s;

	if (!gdb_load(&g->vm->vcpu[vcpu], &s))
		return false;
	s.regs.rip = rip;
	return gdb_store(&g->vm->vcpu[vcpu], &s);
}

/* "c[ADDR]", "CSIG[;ADDR]", the same with s.  A signal means nothing to a processor. */
static void go(struct gdb *g, const char *p)
{
	bool step = *p == 's' || *p == 'S', with_signal = *p == 'C' || *p == 'S';
	u64 n;

	p++;
	if (with_signal && (!gdb_number(&p, &n) || (*p && !gdb_expect(&p, ';')))) {
		error(g, EINVAL);
		return;
	}
	if (*p && (!gdb_number(&p, &n) || *p || !jump(g, g->stepped, n))) {
		error(g, EINVAL);
		return;
	}
	gdb_go(g, gdb_all(g), step ? 1u << g->stepped : 0, NULL);
}

/*
 * One of the ";ACTION[:THREAD]" of vCont: to which vCPUs it applies, whether it
 * is a step, and until it is out of which range.
 */
static bool action(struct gdb *g, const char **p, u32 *which, bool *step, struct gdb_range *range)
{
	char what;
	u64 sig;
	int vcpu = -1;

	*range = (struct gdb_range){ 0 };
	if (!gdb_expect(p, ';') || !**p || !strchr("cCsSr", **p))
		return false;
	what = *(*p)++;
	*step = what == 's' || what == 'S' || what == 'r';
	if ((what == 'C' || what == 'S') && !gdb_number(p, &sig))
		return false;
	if (what == 'r' && !place(p, &range->start, &range->end))
		return false;
	if (gdb_expect(p, ':') && !gdb_thread(g, p, &vcpu))
		return false;
	if (vcpu == -2)
		vcpu = (int)g->current;
	*which = vcpu < 0 ? gdb_all(g) : 1u << vcpu;
	return true;
}

/* To each thread the leftmost action applies that names it; to the others none: they stay. */
static void go_each(struct gdb *g, const char *p)
{
	struct gdb_range ranges[MAX_CPUS] = { 0 }, range;
	u32 named = 0, steps = 0, which;
	bool step;

	while (*p) {
		if (!action(g, &p, &which, &step, &range)) {
			error(g, EINVAL);
			return;
		}
		which &= ~named;
		named |= which;
		steps |= step ? which : 0;
		for (unsigned i = 0; i < g->vm->ncpus; i++)
			if (which >> i & 1)
				ranges[i] = range;
	}
	if (named)
		gdb_go(g, named, steps, ranges);
	else
		error(g, EINVAL);
}

static void end_guest(struct gdb *g)
{
	vm_end(g->vm, VM_QUIT, "the debugger ended the guest");
}

static void set_thread(struct gdb *g, const char *p)
{
	char what = *p;
	int vcpu;

	if (what != 'g' && what != 'c')
		return;
	p++;
	if (!gdb_thread(g, &p, &vcpu) || *p) {
		error(g, EINVAL);
		return;
	}
	if (vcpu >= 0 && what == 'g')
		g->current = (unsigned)vcpu;
	if (vcpu >= 0 && what == 'c')
		g->stepped = (unsigned)vcpu;
	gdb_put(&g->reply, "OK");
}

static void is_alive(struct gdb *g, const char *p)
{
	int vcpu;

	ok_or(g, gdb_thread(g, &p, &vcpu) && !*p, EINVAL);
}

static void several_letters(struct gdb *g, const char *packet)
{
	if (!strcmp(packet, "vCont?")) {
		/* No t: to stop one thread of many is for the mode, not ours, in which the others run on. */
		gdb_put(&g->reply, "vCont;c;C;s;S;r");
	} else if (!strncmp(packet, "vCont;", 6)) {
		go_each(g, packet + 5);
	} else if (!strncmp(packet, "vKill;", 6)) {
		gdb_put(&g->reply, "OK");
		end_guest(g);
	}
	/* Others are unknown, which an empty answer says. */
}

void gdb_packet(struct gdb *g, const char *packet, size_t n)
{
	g->reply.n = 0;
	switch (*packet) {
	case '?':
		gdb_put(&g->reply, g->stopped);
		break;
	case 'g':
		read_all(g);
		break;
	case 'G':
		write_all(g, packet + 1, n - 1);
		break;
	case 'p':
		read_one(g, packet + 1);
		break;
	case 'P':
		write_one(g, packet + 1);
		break;
	case 'm':
		read_memory(g, packet + 1);
		break;
	case 'M':
	case 'X':
		write_memory(g, packet, n);
		break;
	case 'z':
	case 'Z':
		breakpoint(g, packet);
		break;
	case 'c':
	case 'C':
	case 's':
	case 'S':
		go(g, packet);
		break;
	case 'H':
		set_thread(g, packet + 1);
		break;
	case 'T':
		is_alive(g, packet + 1);
		break;
	case 'D':
		g->detached = true;
		gdb_put(&g->reply, "OK");
		break;
	case 'k':
		end_guest(g);
		return; /* no answer is expected */
	case 'q':
	case 'Q':
		gdb_query(g, packet);
		break;
	case 'v':
		several_letters(g, packet);
		break;
	}
	if (!g->waiting)
		gdb_send(g);
}
