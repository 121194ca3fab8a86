// SPDX-License-Identifier: MIT
/*
 * gdb-fuzz.c - whatever a client sends, the guest is held by it or runs, what
 * is answered are whole frames, and when the client is gone nothing is left of
 * it: no breakpoint, no pause.
 */
#include "fuzz.h"
#include "gdb-fake.h"

static unsigned packets, errors, gone;

static u64 some_address(void)
{
	const u64 near[] = { 0, BASE, HOLE, HOLE + 4096, BASE + 1 * MiB, ~0ULL, GUEST_LOW, 1ULL << 47 };

	return rnd(3) ? DATA + rnd(300) : near[rnd(ARRAY_SIZE(near))] + rnd(32) - 16;
}

static u64 some_length(void)
{
	const u64 len[] = { 0, 1, 2, 4, 8, 4096, GDB_PACKET / 2, GDB_PACKET, 1ULL << 32, ~0ULL };

	return rnd(2) ? rnd(16) : len[rnd(ARRAY_SIZE(len))];
}

/* What gdb may say, with other numbers in it; its length. */
static size_t some_packet(char *to, size_t size)
{
	static const char *const words[] = {
		"?", "g", "D", "c", "s", "vCont?", "vCont;c", "vCont;s:1;c", "vCont;s:2", "vCont;C05:p1.2;s",
		"qSupported:swbreak+;hwbreak+", "QStartNoAckMode", "qC", "qfThreadInfo", "qsThreadInfo", "Hg0", "Hc-1",
		"Hg2", "T1", "T9", "qAttached", "qRcmd,68656c6c6f", "qThreadExtraInfo,1", "G00", "qXfer:features:read:",
		"vCont;r40000,40100:1;c", "vCont;r0,ffffffffffffffff",
		"Qqemu.PhyMemMode:1", "Qqemu.PhyMemMode:0", "M", "X", "m", "p", "P", "Z", "z", "vCont;", "qRcmd,", "qXfer:threads:read::ffffffffffffffff,1",
	};
	unsigned long long a = some_address(), n = some_length();
	char bytes[65] = "";

	for (unsigned i = 0; i < 2 * MIN(n, 32); i++)
		bytes[i] = "0123456789abcdef"[rnd(16)];
	switch (rnd(10)) {
	case 0:
		return (size_t)snprintf(to, size, "m%llx,%llx", a, n);
	case 1:
		return (size_t)snprintf(to, size, "M%llx,%llx:%s", a, n, bytes);
	case 2:
		return (size_t)snprintf(to, size, "X%llx,%llx:%.*s", a, n, (int)MIN(n, 64), bytes);
	case 3:
	case 4:
		return (size_t)snprintf(to, size, "%c%llx,%llx,%llx", rnd(3) ? 'Z' : 'z', (unsigned long long)rnd(6), a, n);
	case 5:
		return (size_t)snprintf(to, size, "qXfer:features:read:target.xml:%llx,%llx", n, a);
	case 6:
		return (size_t)snprintf(to, size, "P%llx=%s", (unsigned long long)rnd(100), bytes);
	case 7:
		return (size_t)snprintf(to, size, "p%llx", rnd(4) ? (unsigned long long)rnd(100) : a);
	default:
		return (size_t)snprintf(to, size, "%s", words[rnd(ARRAY_SIZE(words))]);
	}
}

static void send_something(void)
{
	char packet[256], frame[600];
	size_t n = some_packet(packet, sizeof(packet));

	n = gdb_frame(packet, n, frame);
	/* A few of them cut off, or with other bytes in them. */
	if (!rnd(16))
		n = rnd(n);
	for (u64 k = rnd(8) ? 0 : rnd(4); k; k--)
		frame[rnd(n + 1)] = (char)rnd_any();
	gdb_receive(&g, (const u8 *)frame, n);
	packets++;
}

static void trap_somewhere(void)
{
	unsigned i = (unsigned)rnd(CPUS);

	if (!g.attached || vm.pauses > vm.vcpu[i].exempt)
		return;
	vm.vcpu[i].run->debug.arch = (struct kvm_debug_exit_arch){
		.exception = rnd(2) ? 3 : 1, .pc = some_address(), .dr6 = rnd(2) ? 1 << 14 : rnd(16),
	};
	vm.vcpu[i].trapped = true;
	gdb_trapped(&g);
}

/* Whole frames and acknowledgements, with the sums that they should have. */
static void check_answers(void)
{
	static struct gdb_reader r;

	memset(&r, 0, sizeof(r));
	for (size_t i = 0; i < g.n_out; i++) {
		enum gdb_event e = gdb_take_byte(&r, (u8)g.out[i]);

		CHECK(e == GDB_NOTHING || e == GDB_PACKET_CAME || e == GDB_AGAIN);
		errors += e == GDB_PACKET_CAME && r.data[0] == 'E';
	}
	CHECK_EQ(r.state, READ_OUTSIDE);
	g.n_out = 0;
}

static void check_held(void)
{
	CHECK_EQ(vm.pauses, g.held);
	for (unsigned i = 0; i < CPUS; i++)
		CHECK_EQ(vm.vcpu[i].exempt, g.released >> i & 1);
	CHECK(!g.released || g.held);
	CHECK(g.attached || !g.held);
	CHECK(g.breaks.n_soft <= GDB_SOFT);
	CHECK(g.current < CPUS && g.stepped < CPUS);
}

static void check_gone(void)
{
	gdb_let_go(&g);
	gone++;
	CHECK_EQ(g.breaks.n_soft, 0);
	CHECK_EQ(vm.pauses, 0);
	for (unsigned i = 0; i < CPUS; i++) {
		CHECK(!vm.vcpu[i].exempt && !vm.vcpu[i].trapped);
		CHECK_EQ(fake[i].debug.control, 0);
	}
	g.n_last = 0;
	memset(&g.in, 0, sizeof(g.in));
}

static void nonsense(void)
{
	struct fuzz_time time = { 0 };

	while (fuzz_goes_on(&time)) {
		fake_fresh();
		for (unsigned i = 0; i < 500; i++) {
			send_something();
			if (!rnd(4))
				trap_somewhere();
			check_answers();
			check_held();
			if (!rnd(200))
				check_gone();
		}
		check_gone();
	}
	printf("# %u packets, %u errors, gone %u times\n", packets, errors, gone);
	CHECK(packets > 1000 && errors > 100 && gone > 10);
}

/* Breakpoints alone, and code that nobody else writes: it is as it was. */
static void code_stays(void)
{
	struct fuzz_time time = { 0 };
	char packet[64], frame[80];
	u8 before[300];

	while (fuzz_goes_on(&time)) {
		fake_fresh();
		for (unsigned i = 0; i < sizeof(before); i++)
			before[i] = (u8)(rnd(4) ? rnd_any() : 0xcc);
		memcpy(fake_at(DATA), before, sizeof(before));
		for (unsigned i = 0; i < 1000; i++) {
			snprintf(packet, sizeof(packet), "%c0,%llx,1", rnd(3) ? 'Z' : 'z',
				 (unsigned long long)some_address());
			gdb_receive(&g, (const u8 *)frame, gdb_frame(packet, strlen(packet), frame));
		}
		CHECK(g.breaks.n_soft > 20);
		check_answers();
		check_gone();
		CHECK(!memcmp(fake_at(DATA), before, sizeof(before)));
	}
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "nonsense harms nothing", nonsense },
		{ "breakpoints leave the code as it was", code_stays },
	};

	fuzz_begin(3);
	return check_run(tests, ARRAY_SIZE(tests));
}
