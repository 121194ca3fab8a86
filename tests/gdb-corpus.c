// SPDX-License-Identifier: MIT
/*
 * gdb-corpus.c - all that a client of the gdb stub ever sends, from its first
 * byte to its end: the guest is held or runs as the stub thinks, and in the end
 * nothing of the client is left.
 */
#include "corpus.h"
#include "gdb-fake.h"

/* "dump", in hexadecimal: the one request that makes files, by name. */
#define WRITES "64756d70"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (memmem(data, size, WRITES, strlen(WRITES)))
		return 0;
	fake_fresh();
	for (size_t i = 0; i < size && !g.lost; i++) {
		gdb_receive(&g, &data[i], 1);
		MUST(vm.pauses == g.held && (g.attached || !g.held));
		MUST(g.current < CPUS && g.stepped < CPUS && g.breaks.n_soft <= GDB_SOFT);
		g.n_out = 0; /* it reads */
	}
	gdb_let_go(&g);
	MUST(!vm.pauses && !g.breaks.n_soft);
	for (unsigned i = 0; i < CPUS; i++)
		MUST(!vm.vcpu[i].exempt && !vm.vcpu[i].trapped && !fake[i].debug.control);
	return 0;
}

#ifndef LIBFUZZER

static void replay(void)
{
	corpus_replay("gdb", 10);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "what was once found to lead somewhere leaves nothing behind", replay },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}

#endif
