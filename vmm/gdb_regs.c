// SPDX-License-Identifier: MIT
/*
 * gdb_regs.c - a processor's registers: one table says what gdb is told of each
 * (the target description, in the order in which gdb wants the standard
 * features) and where KVM has it.
 *
 * gdb is told of a 64-bit processor always, whatever mode it is in: it cannot
 * change its mind later, and a kernel is in others only for its first moments.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "gdb_internal.h"

#define MSR_KERNEL_GS_BASE 0xc0000102
#define MAX_CPUID 256

/* The area of XSAVE: what FXSAVE has, a header, the upper halves for AVX. */
#define XSAVE_FTAG 4
#define XSAVE_MXCSR 24
#define XSAVE_ST 32
#define XSAVE_XMM 160
#define XSAVE_PRESENT 512
#define XSAVE_YMM 576
#define PRESENT_X87 1u
#define PRESENT_SSE 2u
#define PRESENT_AVX 4u

#define AT(field) offsetof(struct gdb_state, field)
#define XSAVE(offset) (AT(xsave) + (offset))

enum kind {
	PLAIN,
	SELECTOR, /* what belongs to it is hidden: not to be set alone */
	TAGS,	  /* one bit each in the area, two for gdb */
};

struct reg {
	const char *name, *type, *more;
	u16 at;
	u8 size, width; /* bytes for gdb, and of them those that there are */
	u8 kind;
	u8 present; /* in the area only if this bit says so */
};

#define GENERAL(name) { #name, "int64", "", AT(regs.name), 8, 8, PLAIN, 0 }
#define POINTER(name, type) { #name, type, "", AT(regs.name), 8, 8, PLAIN, 0 }
#define SEGMENT(name) { #name, "int32", "", AT(sregs.name.selector), 4, 2, SELECTOR, 0 }
#define ST(i) { "st" #i, "i387_ext", "", XSAVE(XSAVE_ST + 16 * (i)), 10, 10, PLAIN, PRESENT_X87 }
#define X87(name, offset, width, kind) \
	{ #name, "int", " group=\"float\"", XSAVE(offset), 4, width, kind, PRESENT_X87 }
#define XMM(i) { "xmm" #i, "vec128", "", XSAVE(XSAVE_XMM + 16 * (i)), 16, 16, PLAIN, PRESENT_SSE }
#define YMMH(i) { "ymm" #i "h", "uint128", "", XSAVE(XSAVE_YMM + 16 * (i)), 16, 16, PLAIN, PRESENT_AVX }
#define SYSTEM(name, field) { #name, "int64", " group=\"system\"", AT(field), 8, 8, PLAIN, 0 }
#define SIXTEEN(ROW) \
	ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7), \
	ROW(8), ROW(9), ROW(10), ROW(11), ROW(12), ROW(13), ROW(14), ROW(15)

static const struct reg core[] = {
	GENERAL(rax), GENERAL(rbx), GENERAL(rcx), GENERAL(rdx), GENERAL(rsi), GENERAL(rdi),
	POINTER(rbp, "data_ptr"), POINTER(rsp, "data_ptr"),
	GENERAL(r8), GENERAL(r9), GENERAL(r10), GENERAL(r11),
	GENERAL(r12), GENERAL(r13), GENERAL(r14), GENERAL(r15),
	POINTER(rip, "code_ptr"),
	{ "eflags", "i386_eflags", "", AT(regs.rflags), 4, 4, PLAIN, 0 },
	SEGMENT(cs), SEGMENT(ss), SEGMENT(ds), SEGMENT(es), SEGMENT(fs), SEGMENT(gs),
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	X87(fctrl, 0, 2, PLAIN), X87(fstat, 2, 2, PLAIN), X87(ftag, XSAVE_FTAG, 1, TAGS),
	X87(fiseg, 12, 2, PLAIN), X87(fioff, 8, 4, PLAIN), X87(foseg, 20, 2, PLAIN),
	X87(fooff, 16, 4, PLAIN), X87(fop, 6, 2, PLAIN),
};
static const struct reg sse[] = {
	SIXTEEN(XMM),
	{ "mxcsr", "int", " group=\"vector\"", XSAVE(XSAVE_MXCSR), 4, 4, PLAIN, PRESENT_SSE },
};
static const struct reg avx[] = { SIXTEEN(YMMH) };
static const struct reg segments[] = {
	{ "fs_base", "int64", "", AT(sregs.fs.base), 8, 8, PLAIN, 0 },
	{ "gs_base", "int64", "", AT(sregs.gs.base), 8, 8, PLAIN, 0 },
};
static const struct reg control[] = {
	SYSTEM(k_gs_base, kernel_gs_base),
	SYSTEM(cr0, sregs.cr0), SYSTEM(cr2, sregs.cr2), SYSTEM(cr3, sregs.cr3), SYSTEM(cr4, sregs.cr4),
	SYSTEM(cr8, sregs.cr8), SYSTEM(efer, sregs.efer),
};

static const char eflags[] =
	"<flags id=\"i386_eflags\" size=\"4\">"
	"<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>"
	"<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>"
	"<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>"
	"<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"
	"<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>"
	"<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>"
	"<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
	"<field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" start=\"20\" end=\"20\"/>"
	"<field name=\"ID\" start=\"21\" end=\"21\"/></flags>";
static const char vec128[] =
	"<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
	"<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
	"<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
	"<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
	"<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
	"<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
	"<field name=\"uint128\" type=\"uint128\"/></union>";

static struct feature {
	const char *name, *types;
	const struct reg *reg;
	unsigned n;
} features[] = {
	{ "org.gnu.gdb.i386.core", eflags, core, ARRAY_SIZE(core) },
	{ "org.gnu.gdb.i386.sse", vec128, sse, ARRAY_SIZE(sse) },
	{ "org.gnu.gdb.i386.avx", "", avx, ARRAY_SIZE(avx) },
	{ "org.gnu.gdb.i386.segments", "", segments, ARRAY_SIZE(segments) },
	{ "ringlet.system", "", control, ARRAY_SIZE(control) },
};

static const struct reg *find(unsigned i)
{
	for (unsigned f = 0; f < ARRAY_SIZE(features); i -= features[f++].n)
		if (i < features[f].n)
			return &features[f].reg[i];
	return NULL;
}

/* --- what gdb is told -------------------------------------------------------------- */

/* Whether the area has upper halves of the ymm registers, where they always are. */
static bool has_avx(struct vcpu *c)
{
	struct kvm_cpuid2 *id = calloc(1, sizeof(*id) + MAX_CPUID * sizeof(id->entries[0]));
	bool has = false;

	if (!id)
		return false;
	id->nent = MAX_CPUID;
	if (!ioctl(c->fd, KVM_GET_CPUID2, id))
		for (u32 i = 0; i < id->nent; i++)
			has |= id->entries[i].function == 0xd && id->entries[i].index == 2 &&
			       id->entries[i].ebx == XSAVE_YMM;
	free(id);
	return has;
}

static void describe(const struct feature *t, FILE *f)
{
	if (!t->n)
		return;
	fprintf(f, "<feature name=\"%s\">%s", t->name, t->types);
	for (unsigned i = 0; i < t->n; i++)
		fprintf(f, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"%s/>", t->reg[i].name, 8 * t->reg[i].size,
			t->reg[i].type, t->reg[i].more);
	fprintf(f, "</feature>\n");
}

const char *gdb_target_description(struct vcpu *c)
{
	static char *text;
	size_t size;
	FILE *f;

	if (text || !(f = open_memstream(&text, &size)))
		return text;
	if (!has_avx(c))
		features[2].n = 0;
	fprintf(f, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
		   "<target version=\"1.0\"><architecture>i386:x86-64</architecture>\n");
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		describe(&features[i], f);
	fprintf(f, "</target>\n");
	fclose(f);
	return text;
}

/* --- values ------------------------------------------------------------------------ */

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[1];
};

bool gdb_load(struct vcpu *c, struct gdb_state *s)
{
	struct one_msr msr = { .head.nmsrs = 1, .entry = { { .index = MSR_KERNEL_GS_BASE } } };

	memset(s, 0, sizeof(*s));
	if (ioctl(c->fd, KVM_GET_REGS, &s->regs) || ioctl(c->fd, KVM_GET_SREGS, &s->sregs) ||
	    ioctl(c->fd, KVM_GET_XSAVE, &s->xsave))
		return false;
	if (ioctl(c->fd, KVM_GET_MSRS, &msr) == 1)
		s->kernel_gs_base = msr.entry[0].data;
	return true;
}

bool gdb_store(struct vcpu *c, const struct gdb_state *s)
{
	struct one_msr msr = { .head.nmsrs = 1,
			       .entry = { { .index = MSR_KERNEL_GS_BASE, .data = s->kernel_gs_base } } };
	struct gdb_state old;

	/* Only what is new: to set all may be refused for what nobody asked for. */
	if (!gdb_load(c, &old))
		return false;
	if (memcmp(&old.sregs, &s->sregs, sizeof(s->sregs)) && ioctl(c->fd, KVM_SET_SREGS, &s->sregs))
		return false;
	if (memcmp(&old.regs, &s->regs, sizeof(s->regs)) && ioctl(c->fd, KVM_SET_REGS, &s->regs))
		return false;
	if (memcmp(&old.xsave, &s->xsave, sizeof(s->xsave)) && ioctl(c->fd, KVM_SET_XSAVE, &s->xsave))
		return false;
	return old.kernel_gs_base == s->kernel_gs_base || ioctl(c->fd, KVM_SET_MSRS, &msr) == 1;
}

/* Two bits per register, 3: empty; of the others nobody asks what they are. */
static u16 long_tags(u8 used)
{
	u16 tags = 0;

	for (unsigned i = 0; i < 8; i++)
		tags |= used >> i & 1 ? 0 : 3 << 2 * i;
	return tags;
}

static u8 short_tags(u16 tags)
{
	u8 used = 0;

	for (unsigned i = 0; i < 8; i++)
		used |= (tags >> 2 * i & 3) != 3 ? 1 << i : 0;
	return used;
}

size_t gdb_register_size(unsigned i)
{
	const struct reg *r = find(i);

	return r ? r->size : 0;
}

size_t gdb_get(const struct gdb_state *s, unsigned i, u8 *to)
{
	const struct reg *r = find(i);
	u16 tags;

	if (!r)
		return 0;
	memset(to, 0, r->size);
	memcpy(to, (const u8 *)s + r->at, r->width);
	if (r->kind == TAGS) {
		tags = long_tags(*to);
		memcpy(to, &tags, sizeof(tags));
	}
	return r->size;
}

size_t gdb_set(struct gdb_state *s, unsigned i, const u8 *from)
{
	const struct reg *r = find(i);
	u8 *to, *present = (u8 *)s + XSAVE(XSAVE_PRESENT);
	u8 value[16];
	u16 tags;

	if (!r)
		return 0;
	to = (u8 *)s + r->at;
	memcpy(value, from, r->size);
	if (r->kind == TAGS) {
		memcpy(&tags, from, sizeof(tags));
		*value = short_tags(tags);
	}
	if (!memcmp(to, value, r->width))
		return r->size;
	if (r->kind == SELECTOR)
		return 0;
	memcpy(to, value, r->width);
	*present |= r->present;
	return r->size;
}
