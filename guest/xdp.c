// SPDX-License-Identifier: MIT
/*
 * xdp - attach an XDP program to a network interface, for as long as this runs.
 *
 *	xdp INTERFACE drop|pass|answer
 *
 * What it is about are echo requests of IPv4: they are dropped, or passed on,
 * or answered right there and sent back; everything else is passed on.  It says
 * "attached", waits for a signal to end, detaches and says how many there were.
 *
 * In the driver or not at all: the kernel's generic XDP would work with any
 * device.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int check(int r, const char *what)
{
	if (r >= 0)
		return r;
	printf("xdp: cannot %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- the program ---------------------------------------------------------------- */

/* The registers' parts in this.  Results are in R0, the context comes in R1. */
enum { R0, CONTEXT, FRAME, END, A, B };

#define OP(op, to, from) { .code = BPF_ALU64 | (op) | BPF_X, .dst_reg = (to), .src_reg = (from) }
#define OP_K(op, to, k) { .code = BPF_ALU64 | (op) | BPF_K, .dst_reg = (to), .imm = (k) }
#define LOAD(size, to, from, o) \
	{ .code = BPF_LDX | BPF_MEM | (size), .dst_reg = (to), .src_reg = (from), .off = (o) }
#define STORE(size, to, o, from) \
	{ .code = BPF_STX | BPF_MEM | (size), .dst_reg = (to), .src_reg = (from), .off = (o) }
#define STORE_K(size, to, o, k) \
	{ .code = BPF_ST | BPF_MEM | (size), .dst_reg = (to), .off = (o), .imm = (k) }
/* The next instruction but two is what everything else goes to. */
#define UNLESS(op, reg, k)                                                                     \
	{ .code = BPF_JMP | (op) | BPF_K, .dst_reg = (reg), .off = 2, .imm = (k) },            \
		OP_K(BPF_MOV, R0, XDP_PASS), { .code = BPF_JMP | BPF_EXIT }
#define ADD_ONE(to) \
	{ .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = (to), .src_reg = A, .imm = BPF_ADD }
#define MAP_VALUE(to, fd) \
	{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = (to), .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = (fd) }, { 0 }
#define RETURN(r) OP_K(BPF_MOV, R0, r), { .code = BPF_JMP | BPF_EXIT }

/* Where things are in such a frame. */
enum { TO = 0, FROM = 6, TYPE = 12, PROTOCOL = 23, SOURCE = 26, DESTINATION = 30, ICMP = 34, ICMP_SUM = 36, ICMP_END = 42 };

static int load(int map, int action)
{
	const struct bpf_insn program[] = {
		LOAD(BPF_W, FRAME, CONTEXT, offsetof(struct xdp_md, data)),
		LOAD(BPF_W, END, CONTEXT, offsetof(struct xdp_md, data_end)),
		OP(BPF_MOV, A, FRAME), OP_K(BPF_ADD, A, ICMP_END),
		{ .code = BPF_JMP | BPF_JLE | BPF_X, .dst_reg = A, .src_reg = END, .off = 2 },
		RETURN(XDP_PASS),
		LOAD(BPF_H, A, FRAME, TYPE), UNLESS(BPF_JEQ, A, htons(ETH_P_IP)),
		LOAD(BPF_B, A, FRAME, PROTOCOL), UNLESS(BPF_JEQ, A, IPPROTO_ICMP),
		LOAD(BPF_B, A, FRAME, ICMP), UNLESS(BPF_JEQ, A, ICMP_ECHO),

		MAP_VALUE(B, map), OP_K(BPF_MOV, A, 1), ADD_ONE(B),
		OP_K(BPF_MOV, R0, action),
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = R0, .off = 1, .imm = XDP_TX },
		{ .code = BPF_JMP | BPF_EXIT },

		/* Back to where it came from. */
		LOAD(BPF_W, A, FRAME, TO), LOAD(BPF_W, B, FRAME, FROM),
		STORE(BPF_W, FRAME, TO, B), STORE(BPF_W, FRAME, FROM, A),
		LOAD(BPF_H, A, FRAME, TO + 4), LOAD(BPF_H, B, FRAME, FROM + 4),
		STORE(BPF_H, FRAME, TO + 4, B), STORE(BPF_H, FRAME, FROM + 4, A),
		LOAD(BPF_W, A, FRAME, SOURCE), LOAD(BPF_W, B, FRAME, DESTINATION),
		STORE(BPF_W, FRAME, SOURCE, B), STORE(BPF_W, FRAME, DESTINATION, A),
		/* As an answer: what the type is less, the sum is more (RFC 1624). */
		STORE_K(BPF_B, FRAME, ICMP, ICMP_ECHOREPLY),
		LOAD(BPF_H, A, FRAME, ICMP_SUM), OP_K(BPF_ADD, A, htons(ICMP_ECHO << 8)),
		OP(BPF_MOV, B, A), OP_K(BPF_RSH, B, 16), OP(BPF_ADD, A, B),
		STORE(BPF_H, FRAME, ICMP_SUM, A),
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)program,
		.insn_cnt = ARRAY_SIZE(program),
		.license = (uintptr_t)"MIT",
	};

	return check(bpf(BPF_PROG_LOAD, &attr), "load the program");
}

/* --- the rest ------------------------------------------------------------------- */

static int make_counter(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1,
	};

	return check(bpf(BPF_MAP_CREATE, &attr), "make a counter");
}

static uint64_t count_of(int map)
{
	uint64_t count = 0;
	uint32_t key = 0;
	union bpf_attr attr = { .map_fd = map, .key = (uintptr_t)&key, .value = (uintptr_t)&count };

	check(bpf(BPF_MAP_LOOKUP_ELEM, &attr), "read the counter");
	return count;
}

static int attach(int program, const char *interface)
{
	union bpf_attr attr = {
		.link_create = {
			.prog_fd = program,
			.target_ifindex = if_nametoindex(interface),
			.attach_type = BPF_XDP,
			.flags = XDP_FLAGS_DRV_MODE,
		},
	};

	return check(bpf(BPF_LINK_CREATE, &attr), "attach the program");
}

static int action_of(const char *name)
{
	static const struct {
		const char *name;
		int action;
	} actions[] = { { "drop", XDP_DROP }, { "pass", XDP_PASS }, { "answer", XDP_TX } };

	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++)
		if (!strcmp(name, actions[i].name))
			return actions[i].action;
	return -1;
}

int main(int argc, char **argv)
{
	int action = argc == 3 ? action_of(argv[2]) : -1, map, link, signal;
	sigset_t end;

	if (action < 0) {
		printf("xdp INTERFACE drop|pass|answer\n");
		return 2;
	}
	/* Before anybody can know that we are there to get them. */
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigaddset(&end, SIGINT);
	sigprocmask(SIG_BLOCK, &end, NULL);

	map = make_counter();
	link = attach(load(map, action), argv[1]);
	printf("attached\n");
	fflush(stdout);
	sigwait(&end, &signal);
	close(link); /* detaches */
	printf("%llu\n", (unsigned long long)count_of(map));
	return 0;
}
