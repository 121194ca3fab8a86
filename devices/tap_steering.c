// SPDX-License-Identifier: MIT
/*
 * tap_steering.c - the program that steers.
 *
 * tun decides which queue a frame goes to long before anybody here sees it, so
 * the decision must be made there: a BPF program that tun calls with each
 * frame.  It does what hash_frame() does and looks the queue up.  Everything
 * that changes lies in a map that both of us have in memory: the program is
 * loaded once, with root's rights, and changing its mind later takes none.
 *
 * Assembled by hand: it is short, has no loops, and jumps only forward.
 */
#include "tap_steering.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "barrier.h"

/* --- an assembler --------------------------------------------------------------- */

/* Places to jump to, besides those of one step, which are numbered. */
enum {
	TYPE_KNOWN, IPV4, IPV6,
	/* Of either family, by place_of(). */
	PROTOCOL_KNOWN, UDP, PORTS, ADDRESSES, ADDRESSES_ONLY,
	PROTOCOL_KNOWN6, UDP6, PORTS6, ADDRESSES6, ADDRESSES_ONLY6,
	HASH, LOOK_UP, UNCLASSIFIED,
	STEPS,
	PLACES = STEPS + HASH_VLAN_TAGS + 3 * HASH_EXTENSIONS,
};

struct assembler {
	struct bpf_insn insn[1024];
	unsigned n;
	unsigned at[PLACES]; /* instructions that they are before */
	u8 jump_to[1024];    /* a place and 1, or 0: is no jump */
	unsigned steps;	     /* places of STEPS that are taken */
};

/* The registers' parts in this.  R1 to R5 are arguments, and lost by a call. */
enum { R0, R1, R2, R3, R4, FRAME = 6, OFFSET, MAP, PROTOCOL, STACK, LENGTH = PROTOCOL };

#define ALU(op, to, from) { .code = BPF_ALU64 | (op) | BPF_X, .dst_reg = (to), .src_reg = (from) }
#define ALU_K(op, to, k) { .code = BPF_ALU64 | (op) | BPF_K, .dst_reg = (to), .imm = (k) }
#define LOAD(size, to, from, o) \
	{ .code = BPF_LDX | BPF_MEM | (size), .dst_reg = (to), .src_reg = (from), .off = (o) }
#define CALL(f) { .code = BPF_JMP | BPF_CALL, .imm = (f) }
#define EXIT { .code = BPF_JMP | BPF_EXIT }
/* R = value: a map's memory, which takes two instructions. */
#define MAP_VALUE(to, fd) \
	{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = (to), .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = (fd) }, { 0 }
#define EMIT(a, ...)                                             \
	emit(a, (const struct bpf_insn[]){ __VA_ARGS__ },        \
	     ARRAY_SIZE(((const struct bpf_insn[]){ __VA_ARGS__ })))

static void emit(struct assembler *a, const struct bpf_insn *insn, unsigned n)
{
	assert(a->n + n <= ARRAY_SIZE(a->insn));
	memcpy(&a->insn[a->n], insn, n * sizeof(*insn));
	a->n += n;
}

/* Go there if the register compares so with k. */
static void jump_if(struct assembler *a, u8 op, u8 reg, int k, unsigned to)
{
	a->jump_to[a->n] = (u8)(to + 1);
	EMIT(a, { .code = BPF_JMP | op | BPF_K, .dst_reg = reg, .imm = k });
}

static void jump(struct assembler *a, unsigned to)
{
	jump_if(a, BPF_JA, 0, 0, to);
}

static void place(struct assembler *a, unsigned here)
{
	a->at[here] = a->n;
}

static unsigned new_place(struct assembler *a)
{
	assert(STEPS + a->steps < PLACES);
	return STEPS + a->steps++;
}

static void set_jumps(struct assembler *a)
{
	for (unsigned i = 0; i < a->n; i++)
		if (a->jump_to[i])
			a->insn[i].off = (int16_t)(a->at[a->jump_to[i] - 1] - i - 1);
}

/* --- the program ---------------------------------------------------------------- */

/*
 * On the stack: the input of the hash, and whatever is in front of addresses
 * when a header is read so that they come to lie where the input begins.
 */
#define INPUT (-40)
#define WORD (-4) /* two bytes that are only looked at */
#define MAP_AT(member) offsetof(struct steering_map, member)

/* Bytes of the frame from OFFSET on; to a place if there are not so many. */
static void read_frame(struct assembler *a, int to, int len, unsigned if_short)
{
	EMIT(a, ALU(BPF_MOV, R1, FRAME), ALU(BPF_MOV, R2, OFFSET), ALU(BPF_MOV, R3, STACK),
	     ALU_K(BPF_ADD, R3, to), ALU_K(BPF_MOV, R4, len), CALL(BPF_FUNC_skb_load_bytes));
	jump_if(a, BPF_JNE, R0, 0, if_short);
}

/* The type behind the tags.  tun keeps the outermost to itself: we see one less. */
static void find_type(struct assembler *a)
{
	EMIT(a, ALU_K(BPF_MOV, OFFSET, 12));
	read_frame(a, WORD, 2, UNCLASSIFIED);
	EMIT(a, LOAD(BPF_H, R1, STACK, WORD));
	for (unsigned i = 0; i < HASH_VLAN_TAGS; i++) {
		unsigned tag = new_place(a);

		jump_if(a, BPF_JEQ, R1, htons(ETH_P_8021Q), tag);
		jump_if(a, BPF_JNE, R1, htons(ETH_P_8021AD), TYPE_KNOWN);
		place(a, tag);
		EMIT(a, ALU_K(BPF_ADD, OFFSET, 4));
		read_frame(a, WORD, 2, UNCLASSIFIED);
		EMIT(a, LOAD(BPF_H, R1, STACK, WORD));
	}
	place(a, TYPE_KNOWN);
	EMIT(a, ALU_K(BPF_ADD, OFFSET, 2));
	jump_if(a, BPF_JEQ, R1, htons(ETH_P_IP), IPV4);
	jump_if(a, BPF_JEQ, R1, htons(ETH_P_IPV6), IPV6);
	jump(a, UNCLASSIFIED);
}

static unsigned place_of(unsigned where, bool ipv6)
{
	return where + (ipv6 ? PROTOCOL_KNOWN6 - PROTOCOL_KNOWN : 0);
}

/* OFFSET is where ports would be: add them to the input, or do without. */
static void choose_input(struct assembler *a, bool ipv6)
{
	const int tcp = ipv6 ? HASH_TCPV6 : HASH_TCPV4, udp = ipv6 ? HASH_UDPV6 : HASH_UDPV4;
	const int any = ipv6 ? HASH_IPV6 : HASH_IPV4, addresses = ipv6 ? 32 : 8;

	place(a, place_of(PROTOCOL_KNOWN, ipv6));
	EMIT(a, LOAD(BPF_W, R1, MAP, MAP_AT(types)));
	jump_if(a, BPF_JEQ, PROTOCOL, IPPROTO_UDP, place_of(UDP, ipv6));
	jump_if(a, BPF_JNE, PROTOCOL, IPPROTO_TCP, place_of(ADDRESSES, ipv6));
	jump_if(a, BPF_JSET, R1, tcp, place_of(PORTS, ipv6));
	jump(a, place_of(ADDRESSES, ipv6));

	place(a, place_of(UDP, ipv6));
	jump_if(a, BPF_JSET, R1, udp, place_of(PORTS, ipv6));
	jump(a, place_of(ADDRESSES, ipv6));

	place(a, place_of(PORTS, ipv6));
	jump_if(a, BPF_JGT, OFFSET, HASH_FRAME_HEAD - 4, place_of(ADDRESSES, ipv6));
	read_frame(a, INPUT + addresses, 4, place_of(ADDRESSES, ipv6));
	EMIT(a, ALU_K(BPF_MOV, LENGTH, addresses + 4));
	jump(a, HASH);

	place(a, place_of(ADDRESSES, ipv6));
	EMIT(a, LOAD(BPF_W, R1, MAP, MAP_AT(types)));
	jump_if(a, BPF_JSET, R1, any, place_of(ADDRESSES_ONLY, ipv6));
	jump(a, UNCLASSIFIED);

	place(a, place_of(ADDRESSES_ONLY, ipv6));
	EMIT(a, ALU_K(BPF_MOV, LENGTH, addresses));
	jump(a, HASH);
}

static void ipv4(struct assembler *a)
{
	const int header = INPUT - 12; /* the addresses are its last 8 of 20 bytes */

	place(a, IPV4);
	read_frame(a, header, 20, UNCLASSIFIED);
	EMIT(a, LOAD(BPF_H, R1, STACK, header + 6));
	jump_if(a, BPF_JSET, R1, htons(0x3fff), ADDRESSES); /* a fragment */
	EMIT(a, LOAD(BPF_B, PROTOCOL, STACK, header + 9), LOAD(BPF_B, R1, STACK, header),
	     ALU_K(BPF_AND, R1, 0xf), ALU_K(BPF_LSH, R1, 2), ALU(BPF_ADD, OFFSET, R1));
	choose_input(a, false);
}

static void skip_one_extension(struct assembler *a)
{
	unsigned found = new_place(a), eights = new_place(a), next = new_place(a);

	jump_if(a, BPF_JEQ, PROTOCOL, IPPROTO_HOPOPTS, found);
	jump_if(a, BPF_JEQ, PROTOCOL, IPPROTO_ROUTING, found);
	jump_if(a, BPF_JEQ, PROTOCOL, IPPROTO_DSTOPTS, found);
	jump_if(a, BPF_JNE, PROTOCOL, IPPROTO_AH, PROTOCOL_KNOWN6);
	place(a, found);
	jump_if(a, BPF_JGT, OFFSET, HASH_FRAME_HEAD - 4, ADDRESSES6);
	read_frame(a, WORD, 2, ADDRESSES6);
	EMIT(a, ALU(BPF_MOV, R2, PROTOCOL), LOAD(BPF_B, PROTOCOL, STACK, WORD), LOAD(BPF_B, R1, STACK, WORD + 1));
	jump_if(a, BPF_JNE, R2, IPPROTO_AH, eights);
	EMIT(a, ALU_K(BPF_ADD, R1, 2), ALU_K(BPF_LSH, R1, 2));
	jump(a, next);
	place(a, eights);
	EMIT(a, ALU_K(BPF_ADD, R1, 1), ALU_K(BPF_LSH, R1, 3));
	place(a, next);
	EMIT(a, ALU(BPF_ADD, OFFSET, R1));
}

static void ipv6(struct assembler *a)
{
	const int header = INPUT - 8; /* the addresses are its last 32 of 40 bytes */

	place(a, IPV6);
	read_frame(a, header, 40, UNCLASSIFIED);
	EMIT(a, LOAD(BPF_B, PROTOCOL, STACK, header + 6), ALU_K(BPF_ADD, OFFSET, 40));
	for (unsigned i = 0; i < HASH_EXTENSIONS; i++)
		skip_one_extension(a);
	choose_input(a, true);
}

/* R0 = the hash of so many bytes of the input as LENGTH says, see hash_bytes(). */
static void hash(struct assembler *a)
{
	place(a, HASH);
	EMIT(a, ALU_K(BPF_MOV, R0, 0), ALU(BPF_MOV, R3, MAP), ALU_K(BPF_ADD, R3, MAP_AT(table)));
	for (int i = 0; i < HASH_INPUT; i++) {
		if (i == 8 || i == 12 || i == 32)
			jump_if(a, BPF_JEQ, LENGTH, i, LOOK_UP);
		EMIT(a, LOAD(BPF_B, R1, STACK, INPUT + i), ALU_K(BPF_LSH, R1, 2), ALU(BPF_MOV, R2, R3),
		     ALU(BPF_ADD, R2, R1), LOAD(BPF_W, R1, R2, 0), ALU(BPF_XOR, R0, R1),
		     ALU_K(BPF_ADD, R3, 256 * sizeof(u32)));
	}
}

static void assemble(struct assembler *a, int map)
{
	EMIT(a, ALU(BPF_MOV, FRAME, R1), MAP_VALUE(MAP, map));
	find_type(a);
	ipv4(a);
	ipv6(a);
	hash(a);

	place(a, LOOK_UP);
	/* The kernel wants to see for itself that it stays in the table. */
	EMIT(a, LOAD(BPF_W, R1, MAP, MAP_AT(mask)), ALU(BPF_AND, R0, R1),
	     ALU_K(BPF_AND, R0, STEERING_TABLE - 1), ALU_K(BPF_LSH, R0, 2), ALU(BPF_ADD, MAP, R0),
	     LOAD(BPF_W, R0, MAP, MAP_AT(pair)), EXIT);

	place(a, UNCLASSIFIED);
	EMIT(a, LOAD(BPF_W, R0, MAP, MAP_AT(unclassified)), EXIT);
	set_jumps(a);
}

/* --- the rest ------------------------------------------------------------------- */

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int load(int map)
{
	struct assembler a = { .n = 0 };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER };

	assemble(&a, map);
	attr.insns = (uintptr_t)a.insn;
	attr.insn_cnt = a.n;
	attr.license = (uintptr_t)"MIT";
	return bpf(BPF_PROG_LOAD, &attr);
}

int steering_open(struct steering *s, char *err, size_t err_size)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = sizeof(struct steering_map),
		.max_entries = 1,
		.map_flags = BPF_F_MMAPABLE,
	};
	void *memory = MAP_FAILED;
	int map = bpf(BPF_MAP_CREATE, &attr), e;

	s->program = -1;
	if (map >= 0)
		memory = mmap(NULL, sizeof(struct steering_map), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (memory != MAP_FAILED)
		s->program = load(map);
	e = errno;
	/* The program and the memory hold the map. */
	if (map >= 0)
		close(map);
	if (s->program >= 0) {
		s->map = memory;
		return 0;
	}
	if (memory != MAP_FAILED)
		munmap(memory, sizeof(struct steering_map));
	snprintf(err, err_size, "cannot load the program that steers: %s%s", strerror(e),
		 e == EPERM ? " (it takes root's rights)" : "");
	return -1;
}

void steering_close(struct steering *s)
{
	if (s->program < 0)
		return;
	close(s->program);
	munmap(s->map, sizeof(*s->map));
	s->program = -1;
}

void steering_set(struct steering *s, const struct steering_rules *r)
{
	struct steering_map *m = s->map;

	STORE_ONCE(&m->types, r->hash.types);
	STORE_ONCE(&m->unclassified, r->unclassified);
	for (unsigned i = 0; i < r->n; i++)
		STORE_ONCE(&m->pair[i], r->pair[i]);
	STORE_ONCE(&m->mask, r->n - 1u);
	hash_build(m->table, r->hash.key);
}
