// SPDX-License-Identifier: MIT
/*
 * gdb.c - the gdb stub without gdb: frames, what each packet is answered with
 * and what it does to a guest, and when the guest's own traps are its own.
 */
#include "gdb-fake.h"

static char answer[8 * GDB_FRAME];

/* What was sent since, with what is binary taken for text. */
static const char *sent(void)
{
	size_t n = MIN(g.n_out, sizeof(answer) - 1);

	memcpy(answer, g.out ? g.out : "", n);
	answer[n] = '\0';
	g.n_out = 0;
	return answer;
}

static void receive(const char *bytes)
{
	gdb_receive(&g, (const u8 *)bytes, strlen(bytes));
}

/* One packet, and what it is answered with, without the frames. */
static const char *ask(const char *packet)
{
	static char frame[GDB_FRAME + 1];
	char *end;

	g.no_ack = true;
	frame[gdb_frame(packet, strlen(packet), frame)] = '\0';
	receive(frame);
	sent();
	end = strrchr(answer, '#');
	if (!*answer)
		return "nothing";
	CHECK(*answer == '$' && end && end[3] == '\0');
	*end = '\0';
	return answer + 1;
}

static bool runs(unsigned i)
{
	return vm.pauses <= vm.vcpu[i].exempt;
}

/* As KVM and the vCPU's thread do it. */
static void trap(unsigned i, u32 exception, u64 pc, u64 dr6)
{
	vm.vcpu[i].run->debug.arch = (struct kvm_debug_exit_arch){ .exception = exception, .pc = pc, .dr6 = dr6 };
	vm.vcpu[i].trapped = true;
	gdb_trapped(&g);
}

/* --- frames -------------------------------------------------------------------------- */

static struct gdb_reader reader;

static enum gdb_event take(const char *bytes)
{
	enum gdb_event e = GDB_NOTHING;

	for (; *bytes; bytes++)
		e = gdb_take_byte(&reader, (u8)*bytes);
	return e;
}

static void frames(void)
{
	char frame[GDB_FRAME];

	CHECK_EQ(take("$OK#9a"), GDB_PACKET_CAME);
	CHECK_STR(reader.data, "OK");
	CHECK_EQ(take("+++$#00"), GDB_PACKET_CAME);
	CHECK_EQ(reader.n, 0);
	CHECK_EQ(take("$OK#9b"), GDB_WRONG);
	CHECK_EQ(take("$OK#zz"), GDB_WRONG);
	CHECK_EQ(take("-"), GDB_AGAIN);
	CHECK_EQ(take("\3"), GDB_INTERRUPT);
	CHECK_EQ(take("$cut off$OK#9a"), GDB_PACKET_CAME);
	CHECK_STR(reader.data, "OK");
	frame[gdb_frame("a}b$c#d*", 8, frame)] = '\0';
	CHECK_STR(frame, "$a}]b}\4c}\3d}\n#ec");
	CHECK_EQ(take(frame), GDB_PACKET_CAME);
	CHECK_EQ(reader.n, 8);
	CHECK_STR(reader.data, "a}b$c#d*");
}

static void long_frames(void)
{
	CHECK_EQ(take("$"), GDB_NOTHING);
	for (unsigned i = 0; i < 3 * GDB_PACKET; i++)
		CHECK_EQ(gdb_take_byte(&reader, 0), GDB_NOTHING);
	CHECK_EQ(take("#00"), GDB_PACKET_CAME);
	CHECK_EQ(reader.n, 0);
	CHECK_EQ(take("$OK#9a"), GDB_PACKET_CAME);
	CHECK_EQ(reader.n, 2);
}

static void numbers(void)
{
	const char *s = "ffffffffffffffff,0";
	u64 n;
	u8 bytes[2];

	CHECK(gdb_number(&s, &n));
	CHECK_EQ(n, ~0ULL);
	CHECK(gdb_expect(&s, ',') && gdb_number(&s, &n) && !*s);
	s = "10000000000000000";
	CHECK(!gdb_number(&s, &n));
	s = "x";
	CHECK(!gdb_number(&s, &n));
	CHECK(gdb_bytes("aF01", 4, bytes));
	CHECK_EQ(bytes[0], 0xaf);
	CHECK(!gdb_bytes("aF0", 3, bytes));
	CHECK(!gdb_bytes("ag", 2, bytes));
}

static void acknowledgements(void)
{
	fake_fresh();
	receive("-"); /* again, what there was not */
	CHECK_STR(sent(), "");
	receive("$qC#b4");
	CHECK_STR(sent(), "+$QC1#c5");
	receive("-");
	CHECK_STR(sent(), "$QC1#c5");
	receive("$qC#b5");
	CHECK_STR(sent(), "-");
	receive("$QStartNoAckMode#b0");
	CHECK_STR(sent(), "+$OK#9a");
	receive("$qC#b4-");
	CHECK_STR(sent(), "$QC1#c5");
}

/* --- what there is ---------------------------------------------------------------------- */

static void questions(void)
{
	fake_fresh();
	CHECK_HAS(ask("qSupported:multiprocess+;swbreak+;hwbreak+"), "PacketSize=4000;");
	CHECK_HAS(answer, "vContSupported+");
	CHECK_STR(ask("?"), "T05thread:1;");
	CHECK_STR(ask("qAttached"), "1");
	CHECK_STR(ask("qfThreadInfo"), "m1,2");
	CHECK_STR(ask("qsThreadInfo"), "l");
	CHECK_STR(ask("qThreadExtraInfo,2"), "7643505520312c2068616c746564"); /* vCPU 1, halted */
	CHECK_STR(ask("qThreadExtraInfo,3"), "E16");
	CHECK_STR(ask("T2"), "OK");
	CHECK_STR(ask("T3"), "E16");
	CHECK_STR(ask("Hg2"), "OK");
	CHECK_STR(ask("qC"), "QC2");
	CHECK_STR(ask("Hgp1.1"), "OK");
	CHECK_STR(ask("qC"), "QC1");
	CHECK_STR(ask("Hg3"), "E16");
	CHECK_STR(ask("Hg-1"), "OK");
	CHECK_STR(ask("vCont?"), "vCont;c;C;s;S;r");
	CHECK_STR(ask("vMustReplyEmpty"), "");
	CHECK_STR(ask("qXfer:threads:read::0,40"),
		  "m<?xml version=\"1.0\"?><threads><thread id=\"1\" core=\"0\" name=\"vCPU");
	CHECK_STR(ask("qXfer:nonsense:read:x:0,40"), "E00");
}

static void description(void)
{
	static const char *const features[] = { "core", "sse", "avx", "segments", "system" };
	char whole[16384] = "", packet[64];
	const char *at = whole;
	size_t n = 0;

	fake_fresh();
	do {
		snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,3e8", n);
		CHECK(n < sizeof(whole) - 1100);
		n += (size_t)snprintf(whole + n, sizeof(whole) - n, "%s", ask(packet) + 1);
	} while (answer[1] == 'm');
	CHECK_EQ(answer[1], 'l');
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		at = strstr(at, features[i]);
		CHECK(at);
	}
	CHECK_HAS(whole, "</target>");
	CHECK_STR(ask("qXfer:features:read:target.xml:ffffffffffffffff,ffffffffffffffff"), "l");
	CHECK_STR(ask("qXfer:features:read:target.xml:0"), "E16");
}

static void registers(void)
{
	char all[2 * GDB_REGISTERS + 1], packet[2 * GDB_REGISTERS + 2];
	size_t at = 0;

	fake_fresh();
	fake[0].state.regs.rax = 0x1122334455667788;
	fake[1].state.regs.rax = 7;
	fake[0].state.sregs.cs.selector = 0x10;
	fake[0].state.sregs.cr3 |= 0; /* one of ours, at the end */
	snprintf(all, sizeof(all), "%s", ask("g"));
	CHECK(!strncmp(all, "8877665544332211", 16));
	/* Each by itself is where it is among all. */
	for (unsigned i = 0; gdb_register_size(i); i++) {
		snprintf(packet, sizeof(packet), "p%x", i);
		CHECK(!strncmp(ask(packet), all + at, 2 * gdb_register_size(i)));
		at += 2 * gdb_register_size(i);
	}
	CHECK_EQ(at, strlen(all));
	CHECK_STR(ask("pffff"), "E16");
	CHECK_STR(ask("P0=0100000000000000"), "OK");
	CHECK_EQ(fake[0].state.regs.rax, 1);
	CHECK_STR(ask("P0=01"), "E16");
	CHECK_STR(ask("P12=10000000"), "OK"); /* cs, as it is */
	CHECK_STR(ask("P12=18000000"), "E16");
	CHECK_STR(ask("Hg2"), "OK");
	CHECK(!strncmp(ask("g"), "0700000000000000", 16));
	snprintf(packet, sizeof(packet), "G%s", all);
	CHECK_STR(ask(packet), "E16"); /* another cs */
	fake[1].state.sregs.cs.selector = 0x10;
	CHECK_STR(ask(packet), "OK");
	CHECK_EQ(fake[1].state.regs.rax, 0x1122334455667788);
	CHECK_STR(ask("G00"), "E16");
	CHECK_STR(ask("G"), "OK"); /* of none, none */
	fake[1].refuses = true;
	CHECK_STR(ask("g"), "E05");
	CHECK_STR(ask("m0,1"), "E16");
}

static void float_registers(void)
{
	u16 tags = 0xfffc; /* one in use */
	u8 value[16];

	fake_fresh();
	((u8 *)&fake[0].state.xsave)[4] = 1;
	CHECK_STR(ask("p22"), "fcff0000"); /* ftag */
	CHECK_EQ(gdb_get(&fake[0].state, 0x22, value), 4);
	CHECK(!memcmp(value, &tags, 2));
	CHECK_STR(ask("P22=ffff0000"), "OK");
	CHECK_EQ(((u8 *)&fake[0].state.xsave)[4], 0);
	/* What is set is there from now on. */
	CHECK_STR(ask("P28=00112233445566778899aabbccddeeff"), "OK"); /* xmm0 */
	CHECK_EQ(((u8 *)&fake[0].state.xsave)[161], 0x11);
	CHECK_EQ(((u8 *)&fake[0].state.xsave)[512], 3);
}

/* --- memory ------------------------------------------------------------------------------ */

static void memory(void)
{
	char packet[64];

	fake_fresh();
	memcpy(fake_at(DATA), "guest", 5);
	snprintf(packet, sizeof(packet), "m%llx,5", DATA);
	CHECK_STR(ask(packet), "6775657374");
	snprintf(packet, sizeof(packet), "M%llx,2:4142", DATA);
	CHECK_STR(ask(packet), "OK");
	snprintf(packet, sizeof(packet), "X%llx,1:C", DATA + 2);
	CHECK_STR(ask(packet), "OK");
	CHECK(!memcmp(fake_at(DATA), "ABCst", 5));
	snprintf(packet, sizeof(packet), "X%llx,0:", DATA);
	CHECK_STR(ask(packet), "OK");
	/* What is not there is said not to be. */
	snprintf(packet, sizeof(packet), "m%llx,1", HOLE);
	CHECK_STR(ask(packet), "E0e");
	snprintf(packet, sizeof(packet), "M%llx,1:00", HOLE);
	CHECK_STR(ask(packet), "E0e");
	snprintf(packet, sizeof(packet), "m%llx,100", HOLE - 2);
	CHECK_STR(ask(packet), "0000");
	CHECK_STR(ask("mffffffffffffffff,ffffffffffffffff"), "E0e");
	/* Lies about lengths. */
	snprintf(packet, sizeof(packet), "M%llx,3:4142", DATA);
	CHECK_STR(ask(packet), "E16");
	snprintf(packet, sizeof(packet), "M%llx,1:414", DATA);
	CHECK_STR(ask(packet), "E16");
	snprintf(packet, sizeof(packet), "X%llx,ffffffffffffffff:C", DATA);
	CHECK_STR(ask(packet), "E16");
	CHECK_STR(ask("M"), "E16");
	CHECK_STR(ask("m1000"), "E16");
	CHECK_EQ(*(u8 *)fake_at(DATA), 'A');
}

/* The debug registers, so that there is nothing but int3. */
static void take_registers(void)
{
	CHECK_STR(ask("Z1,100,1"), "OK");
	CHECK_STR(ask("Z1,101,1"), "OK");
	CHECK_STR(ask("Z1,102,1"), "OK");
	CHECK_STR(ask("Z1,103,1"), "OK");
}

static void physical_memory(void)
{
	char packet[64];

	fake_fresh();
	CHECK_STR(ask("qqemu.PhyMemMode"), "0");
	CHECK_STR(ask("Qqemu.PhyMemMode:1"), "OK");
	CHECK_STR(ask("qqemu.PhyMemMode"), "1");
	memcpy(fake_at(DATA), "guest", 5);
	snprintf(packet, sizeof(packet), "m%llx,5", GUEST_LOW + DATA - BASE);
	CHECK_STR(ask(packet), "6775657374");
	snprintf(packet, sizeof(packet), "M%llx,2:4142", GUEST_LOW + DATA - BASE);
	CHECK_STR(ask(packet), "OK");
	CHECK(!memcmp(fake_at(DATA), "ABest", 5));
	/* Where the tables have a hole there is memory nonetheless, and none at a linear address, */
	snprintf(packet, sizeof(packet), "M%llx,1:77", GUEST_LOW + HOLE - BASE);
	CHECK_STR(ask(packet), "OK");
	CHECK_EQ(*(u8 *)fake_at(HOLE), 0x77);
	snprintf(packet, sizeof(packet), "m%llx,1", DATA);
	CHECK_STR(ask(packet), "E0e");
	/* nor behind the end, where nothing is written of what would reach over it. */
	snprintf(packet, sizeof(packet), "M%llx,2:4142", GUEST_LOW + 1 * MiB - 1);
	CHECK_STR(ask(packet), "E0e");
	CHECK_EQ(*(u8 *)guest_at(&ram, GUEST_LOW + 1 * MiB - 1), 0);
	CHECK_STR(ask("mfffffffffffff000,1"), "E0e");
	/* Breakpoints are where they are, and seen neither way. */
	take_registers();
	snprintf(packet, sizeof(packet), "Z0,%llx,1", DATA);
	CHECK_STR(ask(packet), "OK");
	CHECK_EQ(*(u8 *)fake_at(DATA), 0xcc);
	snprintf(packet, sizeof(packet), "m%llx,2", GUEST_LOW + DATA - BASE);
	CHECK_STR(ask(packet), "4142");
	CHECK_STR(ask("Qqemu.PhyMemMode:"), "E16");
	CHECK_STR(ask("Qqemu.PhyMemMode:2"), "E16");
	CHECK_STR(ask("Qqemu.PhyMemMode:0"), "OK");
	CHECK_STR(ask(packet), "E0e");
	/* The next one begins as ever. */
	CHECK_STR(ask("Qqemu.PhyMemMode:1"), "OK");
	CHECK_STR(ask("D"), "OK");
	CHECK_STR(ask("qqemu.PhyMemMode"), "0");
}

/* As long as there are registers, software breakpoints take them. */
static void registers_first(void)
{
	u8 *code = fake_at(DATA);
	char packet[64];

	fake_fresh();
	memset(code, 0x90, 16);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(packet, sizeof(packet), "Z0,%llx,1", DATA + i);
		CHECK_STR(ask(packet), "OK");
		CHECK_STR(ask(packet), "OK");
	}
	CHECK(!memcmp(code, "\x90\x90\x90\x90", 4));
	CHECK_STR(ask("c"), "nothing");
	trap(0, 1, DATA + 2, 1 << 2);
	CHECK_HAS(sent(), "T05thread:1;");
	snprintf(packet, sizeof(packet), "Z0,%llx,1", DATA + 4);
	CHECK_STR(ask(packet), "OK");
	CHECK_EQ(code[4], 0xcc);
	CHECK_STR(ask("Z2,1000,8"), "OK"); /* one makes room */
	CHECK_EQ(code[0], 0xcc);
	CHECK_EQ(g.breaks.n_soft, 2);
	for (unsigned i = 0; i < 5; i++) {
		snprintf(packet, sizeof(packet), "z0,%llx,1", DATA + i);
		CHECK_STR(ask(packet), "OK");
		CHECK_STR(ask(packet), "E02");
	}
	CHECK_EQ(code[0], 0x90);
	/* Where code is not there yet. */
	snprintf(packet, sizeof(packet), "Z0,%llx,1", HOLE);
	CHECK_STR(ask(packet), "OK");
	/* Where int3 is of no use there are four and no more. */
	gdb_let_go(&g);
	g.breaks.no_int3 = true;
	take_registers();
	snprintf(packet, sizeof(packet), "Z0,%llx,1", DATA);
	CHECK_STR(ask(packet), "E0e");
	gdb_let_go(&g);
	CHECK(g.breaks.no_int3);
}

static void software(void)
{
	u8 *code = fake_at(DATA);
	char packet[64];

	fake_fresh();
	take_registers();
	memset(code, 0x90, 16);
	snprintf(packet, sizeof(packet), "Z0,%llx,1", DATA + 1);
	CHECK_STR(ask(packet), "OK");
	CHECK_STR(ask(packet), "OK"); /* twice is once */
	CHECK_EQ(code[1], 0xcc);
	snprintf(packet, sizeof(packet), "m%llx,3", DATA);
	CHECK_STR(ask(packet), "909090");
	snprintf(packet, sizeof(packet), "M%llx,3:414243", DATA);
	CHECK_STR(ask(packet), "OK");
	CHECK_EQ(code[1], 0xcc);
	snprintf(packet, sizeof(packet), "m%llx,3", DATA);
	CHECK_STR(ask(packet), "414243");
	snprintf(packet, sizeof(packet), "z0,%llx,1", DATA + 1);
	CHECK_STR(ask(packet), "OK");
	CHECK_EQ(code[1], 0x42);
	CHECK_STR(ask(packet), "E02");
	/* What the guest has written there meanwhile stays. */
	snprintf(packet, sizeof(packet), "Z0,%llx,1", DATA + 1);
	CHECK_STR(ask(packet), "OK");
	code[1] = 0x55;
	snprintf(packet, sizeof(packet), "z0,%llx,1", DATA + 1);
	CHECK_STR(ask(packet), "OK");
	CHECK_EQ(code[1], 0x55);
	snprintf(packet, sizeof(packet), "Z0,%llx,1", HOLE);
	CHECK_STR(ask(packet), "E0e");
	/* There is an end to them. */
	for (unsigned i = 0; i < GDB_SOFT; i++) {
		snprintf(packet, sizeof(packet), "Z0,%llx,1", DATA + i);
		CHECK_STR(ask(packet), "OK");
	}
	snprintf(packet, sizeof(packet), "Z0,%llx,1", DATA + GDB_SOFT);
	CHECK_STR(ask(packet), "E0e");
	/* By the physical address: the tables may be gone. */
	memset(guest_at(&ram, GUEST_LOW), 0, 4 * 4096);
	gdb_let_go(&g);
	for (unsigned i = 0; i < GDB_SOFT; i++)
		CHECK(code[i] != 0xcc);
}

static void hardware(void)
{
	fake_fresh();
	CHECK_STR(ask("Z1,1003,1"), "OK");
	CHECK_STR(ask("Z1,1003,1"), "OK");
	CHECK_STR(ask("Z2,2000,8"), "OK");
	CHECK_STR(ask("Z3,3004,4"), "OK");
	CHECK_STR(ask("Z4,4002,2"), "OK");
	CHECK_STR(ask("Z1,5000,1"), "E1c");
	CHECK_STR(ask("z4,4002,2"), "OK");
	CHECK_STR(ask("Z2,4002,4"), "E1c"); /* not aligned */
	CHECK_STR(ask("Z2,4000,3"), "E1c");
	CHECK_STR(ask("Z9,4000,3"), "");
	CHECK_STR(ask("Z1,"), "E16");
	CHECK_STR(ask("c"), "nothing");
	for (unsigned i = 0; i < CPUS; i++) {
		CHECK_EQ(fake[i].debug.control,
			 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP);
		CHECK_EQ(fake[i].debug.arch.debugreg[0], 0x1003);
		CHECK_EQ(fake[i].debug.arch.debugreg[1], 0x2000);
		CHECK_EQ(fake[i].debug.arch.debugreg[2], 0x3004);
		/* RW and LEN of the third, second, first; G2 G1 G0. */
		CHECK_EQ(fake[i].debug.arch.debugreg[7] >> 16, 0x0f90);
		CHECK_EQ(fake[i].debug.arch.debugreg[7] & 0xff, 0x2a);
	}
	trap(1, 1, 0x9999, 1 << 1);
	CHECK_STR(sent(), "$T05watch:2000;thread:2;#26");
	CHECK(!runs(0) && !runs(1));
	gdb_let_go(&g);
	CHECK_EQ(fake[0].debug.control, 0);
	CHECK(runs(0) && runs(1));
}

/* --- going and stopping -------------------------------------------------------------------- */

static void going(void)
{
	fake_fresh();
	CHECK(runs(0) && runs(1));
	ask("?");
	CHECK(!runs(0) && !runs(1));
	CHECK_STR(ask("vCont;c"), "nothing");
	CHECK(runs(0) && runs(1));
	receive("\3");
	CHECK_STR(sent(), "$T02thread:1;#d4");
	CHECK(!runs(0) && !runs(1));
	CHECK_STR(ask("vCont;s:2"), "nothing");
	CHECK(!runs(0) && runs(1));
	CHECK(fake[1].debug.control & KVM_GUESTDBG_SINGLESTEP && fake[1].debug.control & KVM_GUESTDBG_BLOCKIRQ);
	vm_pause(&vm); /* somebody else, for a moment */
	CHECK(!runs(0) && !runs(1));
	vm_resume(&vm);
	CHECK(!runs(0) && runs(1));
	trap(1, 1, 0, 1 << 14);
	CHECK_STR(sent(), "$T05thread:2;#d8");
	CHECK_STR(ask("vCont;s:p1.1;c"), "nothing");
	CHECK(runs(0) && runs(1));
	CHECK(fake[0].debug.control & KVM_GUESTDBG_SINGLESTEP);
	CHECK(!(fake[1].debug.control & KVM_GUESTDBG_SINGLESTEP));
	trap(0, 1, 0, 1 << 14);
	sent();
	CHECK_STR(ask("Hc2"), "OK");
	CHECK_STR(ask("s1234"), "nothing");
	CHECK_EQ(fake[1].state.regs.rip, 0x1234);
	CHECK(fake[1].debug.control & KVM_GUESTDBG_SINGLESTEP);
	receive("\3");
	CHECK_STR(sent(), "$T02thread:1;#d4");
	receive("\3"); /* it stands already */
	CHECK_STR(sent(), "");
}

/* Has vCPU 0 stepped to pc, and nobody been told? */
static bool steps_silently(u64 pc)
{
	bool again;

	fake[0].debug.control = 0;
	trap(0, 1, pc, 1 << 14);
	again = fake[0].debug.control & KVM_GUESTDBG_SINGLESTEP;
	return !*sent() && again && runs(0) && !vm.vcpu[0].trapped;
}

static void ranges(void)
{
	fake_fresh();
	CHECK_STR(ask("vCont;r1000,1010:1;c"), "nothing");
	CHECK(fake[0].debug.control & KVM_GUESTDBG_SINGLESTEP);
	CHECK(!(fake[1].debug.control & KVM_GUESTDBG_SINGLESTEP));
	CHECK(steps_silently(0x1000));
	CHECK(steps_silently(0x100f));
	CHECK(runs(1));
	trap(0, 1, 0x1010, 1 << 14);
	CHECK_STR(sent(), "$T05thread:1;#d7");
	CHECK(!runs(0) && !runs(1));
	/* Below is out as well, and one without addresses is a step. */
	CHECK_STR(ask("vCont;r1000,1010:1"), "nothing");
	CHECK(runs(0) && !runs(1));
	trap(0, 1, 0xfff, 1 << 14);
	CHECK_HAS(sent(), "T05thread:1;");
	CHECK_STR(ask("vCont;r1000,1000"), "nothing");
	trap(0, 1, 0x1000, 1 << 14);
	CHECK_HAS(sent(), "T05thread:1;");
	/* The next packet knows nothing of it. */
	CHECK_STR(ask("vCont;r1000,1010:1"), "nothing");
	receive("\3");
	CHECK_HAS(sent(), "T02thread:1;");
	CHECK_STR(ask("vCont;s:1"), "nothing");
	trap(0, 1, 0x1004, 1 << 14);
	CHECK_HAS(sent(), "T05thread:1;");
	/* The leftmost range that names a thread is its own. */
	CHECK_STR(ask("vCont;r1000,1010:1;r2000,2010"), "nothing");
	CHECK(steps_silently(0x1000));
	trap(1, 1, 0x1000, 1 << 14);
	CHECK_HAS(sent(), "T05thread:2;");
}

static void ends_of_ranges(void)
{
	fake_fresh();
	CHECK_STR(ask("Z1,1004,1"), "OK");
	CHECK_STR(ask("Z2,1008,4"), "OK");
	/* A breakpoint that a step came to, and what is watched at such an address, which is no code. */
	CHECK_STR(ask("vCont;r1000,1010:1;c"), "nothing");
	CHECK(steps_silently(0x1002));
	CHECK(steps_silently(0x1008));
	trap(0, 1, 0x1004, 1 << 14);
	CHECK_HAS(sent(), "T05thread:1;");
	/* What a step in the range touched. */
	CHECK_STR(ask("vCont;r1000,1010:1;c"), "nothing");
	trap(0, 1, 0x1006, 1 << 14 | 1 << 1);
	CHECK_HAS(sent(), "watch:1008;thread:1;");
	/* The guest's own traps are its own there, too. */
	CHECK_STR(ask("vCont;r1000,1010:1;c"), "nothing");
	trap(0, 3, 0x1002, 0);
	CHECK_EQ(fake[0].injected[3], 1);
	CHECK(fake[0].debug.control & KVM_GUESTDBG_SINGLESTEP && runs(0));
	/* Another processor's breakpoint is told, not that one is on its way. */
	vm.vcpu[0].run->debug.arch = (struct kvm_debug_exit_arch){ .exception = 1, .pc = 0x1002, .dr6 = 1 << 14 };
	vm.vcpu[0].trapped = true;
	trap(1, 1, 0x1004, 1);
	CHECK_HAS(sent(), "thread:2;");
	CHECK(!vm.vcpu[0].trapped && !vm.vcpu[1].trapped);
}

static void lies(void)
{
	static const char *const packets[] = {
		"vCont;", "vCont;x", "vCont;c:", "vCont;c:9", "vCont;cc", "vCont;C", "vCont;s:1:2", "vCont;c;;",
		"vCont;c:pz", "C", "Szz", "c;", "sx", "C05;x", "vCont;r", "vCont;r1000", "vCont;r1000,", "vCont;r1000,2000:9",
		"vCont;r1000,2000;x",
	};

	fake_fresh();
	for (unsigned i = 0; i < ARRAY_SIZE(packets); i++) {
		CHECK_STR(ask(packets[i]), "E16");
		CHECK(!runs(0) && !runs(1));
	}
	CHECK_STR(ask("vCont"), "");
	CHECK_STR(ask(""), "");
	/* A packet while it runs: it stops, and the answer is that of the packet. */
	CHECK_STR(ask("c"), "nothing");
	CHECK_STR(ask("qC"), "QC1");
	CHECK(!runs(0) && !runs(1));
}

static void own_traps(void)
{
	char packet[64];

	fake_fresh();
	take_registers();
	ask("qSupported:swbreak+;hwbreak+");
	snprintf(packet, sizeof(packet), "Z0,%llx,1", DATA);
	CHECK_STR(ask(packet), "OK");
	CHECK_STR(ask("c"), "nothing");
	trap(0, 3, DATA + 8, 0); /* an int3 that is not ours */
	CHECK_STR(sent(), "");
	CHECK_EQ(fake[0].injected[3], 1);
	CHECK(runs(0) && !vm.vcpu[0].trapped);
	trap(1, 1, DATA + 8, 1 << 14); /* it steps through something itself */
	CHECK_STR(sent(), "");
	CHECK_EQ(fake[1].injected[1], 1);
	trap(0, 3, DATA, 0);
	CHECK_STR(sent(), "$T05swbreak:;thread:1;#3b");
	CHECK_EQ(fake[0].injected[3], 1);
	CHECK(!runs(0) && !runs(1) && !vm.vcpu[0].trapped);
}

static void two_at_once(void)
{
	fake_fresh();
	CHECK_STR(ask("Z1,1000,1"), "OK");
	CHECK_STR(ask("Z2,2000,4"), "OK");
	CHECK_STR(ask("c"), "nothing");
	vm.vcpu[0].run->debug.arch = (struct kvm_debug_exit_arch){ .exception = 1, .pc = 0x1000, .dr6 = 1 };
	vm.vcpu[0].trapped = true;
	trap(1, 1, 0, 2);
	CHECK_HAS(sent(), "watch:2000;thread:2;"); /* which would not come again */
	CHECK_STR(ask("c"), "nothing");
	CHECK(!vm.vcpu[0].trapped); /* and this one will */
	/* Of two that would not come again one is told after the other. */
	vm.vcpu[0].run->debug.arch.dr6 = 2;
	vm.vcpu[0].trapped = true;
	trap(1, 1, 0, 2);
	CHECK_HAS(sent(), "watch:2000;thread:2;");
	CHECK_HAS(ask("c"), "watch:2000;thread:1;");
	CHECK(!runs(0) && !runs(1));
	CHECK_STR(ask("c"), "nothing");
	/* Unless it is not watched any more. */
	vm.vcpu[0].trapped = true;
	trap(1, 1, 0, 2);
	CHECK_HAS(sent(), "watch:2000;thread:2;");
	CHECK_STR(ask("z2,2000,4"), "OK");
	CHECK_STR(ask("c"), "nothing");
}

/* gdb takes its breakpoints out while the guest stands, and lets one vCPU go first. */
static void both_at_a_breakpoint(void)
{
	char packet[64];

	fake_fresh();
	take_registers();
	snprintf(packet, sizeof(packet), "Z0,%llx,1", DATA);
	CHECK_STR(ask(packet), "OK");
	CHECK_STR(ask("c"), "nothing");
	vm.vcpu[0].run->debug.arch = (struct kvm_debug_exit_arch){ .exception = 3, .pc = DATA };
	vm.vcpu[0].trapped = true;
	trap(1, 3, DATA, 0);
	CHECK_HAS(sent(), "thread:");
	*packet = 'z';
	CHECK_STR(ask(packet), "OK");
	CHECK_STR(ask("vCont;s:1"), "nothing");
	CHECK_EQ(fake[0].injected[3], 0);
	CHECK_EQ(fake[1].injected[3], 0);
	trap(0, 1, DATA + 1, 1 << 14);
	CHECK_HAS(sent(), "T05thread:1;");
	CHECK_STR(ask("c"), "nothing");
	CHECK_EQ(fake[1].injected[3], 0);
}

static void leaving(void)
{
	fake_fresh();
	ask("?");
	/* Somebody else wants it to stand still, too. */
	vm_pause(&vm);
	CHECK_STR(ask("D"), "OK");
	CHECK_EQ(vm.pauses, 1);
	vm_resume(&vm);
	CHECK(runs(0) && runs(1) && !g.attached);
	ask("?");
	CHECK(!runs(0));
	gdb_let_go(&g);
	gdb_let_go(&g);
	CHECK(runs(0) && runs(1));
	CHECK_STR(ask("k"), "nothing");
	CHECK_EQ(vm.end, VM_QUIT);
	fake_fresh();
	CHECK_STR(ask("vKill;1"), "OK");
	CHECK_EQ(vm.end, VM_QUIT);
}

/* What they are asked for there differs from what the control socket is. */
static void monitor_own(void)
{
	fake_fresh();
	CHECK_HAS(ask("qRcmd,7374617473"), "6b65726e656c2066616b65"); /* stats: kernel fake, not "kernel":"fake" */
	CHECK_HAS(ask("qRcmd,697271"), "O6c696e652030"); /* irq: line 0 */
	CHECK_HAS(ask("qRcmd,69727120647261696e"), "6e6f206e6574776f726b20646576696365"); /* irq drain: no network device */
	CHECK_HAS(ask("qRcmd,71756974"), "OK"); /* quit */
	CHECK_EQ(vm.end, VM_QUIT);
}

static void monitor(void)
{
	char *all;

	fake_fresh();
	g.no_ack = true;
	receive("$qRcmd,68656c6c6f2061#93"); /* hello a */
	CHECK_HAS(sent(), "$O68656c6c6f20610a#");
	CHECK_HAS(answer, "$OK#9a");
	receive("$qRcmd,696e666f202068656c6c6f2062#6a"); /* info  hello b */
	CHECK_HAS(sent(), "$O68656c6c6f20620a#");
	receive("$qRcmd,6d756368#00"); /* more than a packet */
	all = strdup(sent());
	CHECK(all && strlen(all) > 100000);
	free(all);
	CHECK_STR(ask("qRcmd,4"), "E16");
	CHECK_STR(ask("qRcmd,zz"), "E16");
	CHECK_HAS(ask("qRcmd,"), "OK");
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "frames, sums, escapes", frames },
		{ "a frame that is too long is none, and the next one is", long_frames },
		{ "hexadecimal numbers", numbers },
		{ "acknowledgements, until they are not wanted", acknowledgements },
		{ "what gdb asks", questions },
		{ "the description of the registers, in pieces", description },
		{ "registers, one and all", registers },
		{ "floating-point and vector registers", float_registers },
		{ "memory, and what is none", memory },
		{ "the same by its physical address", physical_memory },
		{ "software breakpoints in registers, as long as there are some", registers_first },
		{ "software breakpoints, which are not seen and leave nothing behind", software },
		{ "hardware breakpoints and what is watched", hardware },
		{ "going on, stepping, Ctrl-C", going },
		{ "stepping on in a range, as one step", ranges },
		{ "what ends such a step early", ends_of_ranges },
		{ "a packet that does not fit lets nothing go", lies },
		{ "the guest's own traps are the guest's", own_traps },
		{ "two processors trap at once", two_at_once },
		{ "a trap is what it was when it came, whatever is a breakpoint later", both_at_a_breakpoint },
		{ "leaving", leaving },
		{ "monitor", monitor },
		{ "monitor, where it is not the control socket", monitor_own },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
