// SPDX-License-Identifier: MIT
/*
 * gdb_break.c - what makes a processor stop: an int3 written over the code, or
 * one of four debug registers.
 *
 * A software breakpoint gets a register, too, as long as nobody else wants it:
 * that needs no code to be there yet, changes none, and works where KVM is not
 * told of an int3.  Software breakpoints are ours and not written by gdb, because only who knows
 * where they are can tell them from the guest's own int3, of which Linux is
 * full (ftrace, kprobes, every patched branch); and because they are
 * remembered by physical address, so that they go away even when the tables
 * by which they came are gone.
 */
#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "barrier.h"
#include "gdb_internal.h"
#include "log.h"

#define INT3 0xcc
#define BP_VECTOR 3
#define DR6_STEP (1u << 14)
#define DR7_ALWAYS 0x400ULL
#define DR7_EXACT 0x200ULL

/* --- software ---------------------------------------------------------------------- */

static struct gdb_soft *find_soft(struct gdb_breaks *b, u64 va)
{
	for (unsigned i = 0; i < b->n_soft; i++)
		if (b->soft[i].va == va)
			return &b->soft[i];
	return NULL;
}

static bool set_soft(struct gdb_breaks *b, const struct mem *m, const struct paging *p, u64 va)
{
	struct gdb_soft s = { .va = va };
	struct guest_page page;
	u8 *at;

	if (find_soft(b, va))
		return true;
	if (b->no_int3 || b->n_soft == GDB_SOFT || !guest_translate(m, p, va, &page))
		return false;
	s.gpa = page.gpa + (va - page.va);
	at = mem_at(m, s.gpa, 1);
	if (!at)
		return false;
	/* One page may be at two addresses: then the byte is not int3 but what it was. */
	gdb_read(b, m, p, va, &s.was, 1);
	STORE_ONCE(at, INT3);
	b->soft[b->n_soft++] = s;
	return true;
}

static bool has_soft_at(const struct gdb_breaks *b, u64 gpa)
{
	for (unsigned i = 0; i < b->n_soft; i++)
		if (b->soft[i].gpa == gpa)
			return true;
	return false;
}

static bool clear_soft(struct gdb_breaks *b, const struct mem *m, u64 va)
{
	struct gdb_soft *s = find_soft(b, va), old;
	u8 *at;

	if (!s)
		return false;
	old = *s;
	*s = b->soft[--b->n_soft];
	at = mem_at(m, old.gpa, 1);
	/* The guest may have written something else there: that is to stay. */
	if (at && LOAD_ONCE(at) == INT3 && !has_soft_at(b, old.gpa))
		STORE_ONCE(at, old.was);
	return true;
}

/* --- hardware ---------------------------------------------------------------------- */

static struct gdb_hard *find_hard(struct gdb_breaks *b, enum gdb_break_type type, u64 va, u64 len)
{
	for (unsigned i = 0; i < GDB_HARD; i++) {
		struct gdb_hard *h = &b->hard[i];

		if (h->on && h->type == type && h->va == va && h->len == len)
			return h;
	}
	return NULL;
}

/* A register that is free, or that a software breakpoint can do without. */
static struct gdb_hard *free_hard(struct gdb_breaks *b, const struct mem *m, const struct paging *p,
				  enum gdb_break_type type)
{
	for (unsigned i = 0; i < GDB_HARD; i++)
		if (!b->hard[i].on)
			return &b->hard[i];
	for (unsigned i = 0; type != BREAK_SOFT && i < GDB_HARD; i++)
		if (b->hard[i].type == BREAK_SOFT && set_soft(b, m, p, b->hard[i].va))
			return &b->hard[i];
	return NULL;
}

/* A register takes 1, 2, 4 or 8 bytes that are aligned. */
static bool set_hard(struct gdb_breaks *b, const struct mem *m, const struct paging *p, enum gdb_break_type type,
		     u64 va, u64 len)
{
	struct gdb_hard *h;

	if (find_hard(b, type, va, len))
		return true;
	if ((len != 1 && len != 2 && len != 4 && len != 8) || va % len)
		return false;
	h = free_hard(b, m, p, type);
	if (h)
		*h = (struct gdb_hard){ true, type, va, (unsigned)len };
	return h;
}

static u64 debug_control(const struct gdb_breaks *b)
{
	static const u8 access[] = { [BREAK_SOFT] = 0, [BREAK_HARD] = 0, [WATCH_WRITE] = 1, [WATCH_READ] = 3, [WATCH_ACCESS] = 3 };
	static const u8 length[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };
	u64 dr7 = 0;

	for (unsigned i = 0; i < GDB_HARD; i++) {
		const struct gdb_hard *h = &b->hard[i];

		if (h->on)
			dr7 |= 2ULL << 2 * i | (u64)(access[h->type] | length[h->len] << 2) << (16 + 4 * i);
	}
	return dr7;
}

/* --- both -------------------------------------------------------------------------- */

bool gdb_break_set(struct gdb_breaks *b, const struct mem *m, const struct paging *p,
		   enum gdb_break_type type, u64 va, u64 len)
{
	/* Of an instruction only the first byte counts, whatever gdb says. */
	if (type == BREAK_SOFT || type == BREAK_HARD)
		len = 1;
	if (type == BREAK_SOFT && find_soft(b, va))
		return true;
	return set_hard(b, m, p, type, va, len) || (type == BREAK_SOFT && set_soft(b, m, p, va));
}

bool gdb_break_clear(struct gdb_breaks *b, const struct mem *m, enum gdb_break_type type, u64 va, u64 len)
{
	struct gdb_hard *h;

	h = find_hard(b, type, va, type == BREAK_SOFT || type == BREAK_HARD ? 1 : len);
	if (h)
		h->on = false;
	return h || (type == BREAK_SOFT && clear_soft(b, m, va));
}

void gdb_break_clear_all(struct gdb_breaks *b, const struct mem *m)
{
	while (b->n_soft)
		if (!clear_soft(b, m, b->soft[b->n_soft - 1].va))
			break;
	*b = (struct gdb_breaks){ .no_int3 = b->no_int3 };
}

bool gdb_break_at(const struct gdb_breaks *b, u64 va)
{
	for (unsigned i = 0; i < b->n_soft; i++)
		if (b->soft[i].va == va)
			return true;
	for (unsigned i = 0; i < GDB_HARD; i++)
		if (b->hard[i].on && b->hard[i].va == va && b->hard[i].type <= BREAK_HARD)
			return true;
	return false;
}

/* The breakpoint at an address, through whatever tables. */
static struct gdb_soft *soft_at(struct gdb_breaks *b, const struct mem *m, const struct paging *p, u64 va)
{
	struct guest_page page;

	if (!b->n_soft || !guest_translate(m, p, va, &page))
		return NULL;
	for (unsigned i = 0; i < b->n_soft; i++)
		if (b->soft[i].gpa == page.gpa + (va - page.va))
			return &b->soft[i];
	return NULL;
}

size_t gdb_read(struct gdb_breaks *b, const struct mem *m, const struct paging *p, u64 va, u8 *to, size_t len)
{
	size_t n = guest_read(m, p, va, to, len);

	for (size_t i = 0; b->n_soft && i < n; i++) {
		const struct gdb_soft *s = to[i] == INT3 ? soft_at(b, m, p, va + i) : NULL;

		if (s)
			to[i] = s->was;
	}
	return n;
}

size_t gdb_write(struct gdb_breaks *b, const struct mem *m, const struct paging *p, u64 va, const u8 *from, size_t len)
{
	size_t n = guest_write(m, p, va, from, len);

	for (size_t i = 0; b->n_soft && i < n; i++) {
		const u8 int3 = INT3;
		struct gdb_soft *s = soft_at(b, m, p, va + i);

		if (s && guest_write(m, p, va + i, &int3, 1))
			s->was = from[i];
	}
	return n;
}

/* --- the processor's side ---------------------------------------------------------- */

bool gdb_int3_is_lost(void)
{
	u32 eax, signature[3] = { 0 }, ecx;

	if (x86_kvm_is_software())
		return true;
	__cpuid(1, eax, signature[0], ecx, signature[1]);
	if (!(ecx >> 31))
		return false;
	__cpuid(0x40000000, eax, signature[0], signature[1], signature[2]);
	return !memcmp(signature, "TCGTCGTCGTCG", sizeof(signature));
}

/* What this KVM knows of these; asked once. */
static u32 supported(const struct vm *vm)
{
	static int flags = -1;

	if (flags < 0)
		flags = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);
	return flags > 0 ? (u32)flags : 0;
}

static void set_debug(struct vcpu *c, const struct gdb_breaks *b, u32 control)
{
	struct kvm_guest_debug d = { .control = control };
	u64 dr7 = debug_control(b);

	if (control && dr7) {
		d.control |= KVM_GUESTDBG_USE_HW_BP;
		d.arch.debugreg[7] = dr7 | DR7_EXACT | DR7_ALWAYS;
		for (unsigned i = 0; i < GDB_HARD; i++)
			d.arch.debugreg[i] = b->hard[i].va;
	}
	if (ioctl(c->fd, KVM_SET_GUEST_DEBUG, &d) && c->started)
		warn("gdb: KVM refuses to debug vCPU %u: %s", c->index, strerror(errno));
}

/*
 * A step goes into no interrupt handler: it would be the timer's each time,
 * because more than a tick has passed since the last one.
 */
static u32 control_for(const struct vcpu *c, bool step)
{
	u32 control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;

	if (step)
		control |= KVM_GUESTDBG_SINGLESTEP | (supported(c->vm) & KVM_GUESTDBG_BLOCKIRQ);
	return control;
}

void gdb_arm(struct vcpu *c, const struct gdb_breaks *b, bool attached, bool step)
{
	set_debug(c, b, attached ? control_for(c, step) : 0);
	/* A Linux that is told does not take the gap for a lockup of its own. */
	ioctl(c->fd, KVM_KVMCLOCK_CTRL, 0);
}

void gdb_give_back(struct vcpu *c, const struct gdb_breaks *b, bool step)
{
	bool int3 = c->run->debug.arch.exception == BP_VECTOR;

	set_debug(c, b, control_for(c, step) | (int3 ? KVM_GUESTDBG_INJECT_BP : KVM_GUESTDBG_INJECT_DB));
}

bool gdb_is_watched(struct gdb_breaks *b, const struct gdb_hard *at)
{
	return find_hard(b, at->type, at->va, at->len);
}

enum gdb_why gdb_why(const struct vcpu *c, struct gdb_breaks *b, bool stepped, struct gdb_hard *at)
{
	const struct kvm_debug_exit_arch *d = &c->run->debug.arch;

	if (d->exception == BP_VECTOR)
		return find_soft(b, d->pc) ? WHY_SOFT : WHY_GUEST;
	for (unsigned i = 0; i < GDB_HARD; i++) {
		if (!(d->dr6 >> i & 1) || !b->hard[i].on)
			continue;
		*at = b->hard[i];
		return at->type == BREAK_SOFT ? WHY_SOFT : at->type == BREAK_HARD ? WHY_HARD : WHY_WATCH;
	}
	return stepped && d->dr6 & DR6_STEP ? WHY_STEP : WHY_GUEST;
}
