// SPDX-License-Identifier: MIT
/*
 * symbols.c - names for a kernel's addresses, from whatever file they are said
 * to be in, and what is made of them when a guest has crashed.
 */
#include "symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "autopsy.h"
#include "check.h"
#include "cpu_state.h"
#include "driver.h"

static char path[] = "/tmp/ringlet-symbols.XXXXXX", err[512];
static struct symbols *s;
static u64 offset;

static void close_all(void)
{
	symbols_free(s);
	s = NULL;
	unlink(path);
	strcpy(path, "/tmp/ringlet-symbols.XXXXXX");
}

static void open_bytes(const void *bytes, size_t size)
{
	int fd;

	close_all();
	fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, bytes, size), size);
	close(fd);
	*err = '\0';
	s = symbols_open(path, err, sizeof(err));
}

static void open_text(const char *text)
{
	open_bytes(text, strlen(text));
}

static const char map[] =
	"0000000000000000 D __per_cpu_start\n"
	"0000000000005000 A cpu_debug_store\n"
	"ffffffff81000000 T startup_64\n"
	"ffffffff81000000 T _stext\n"
	"ffffffff81e00000 T entry_SYSCALL_64\n"
	"ffffffff81000140 t secondary_startup_64\n"
	"ffffffff82000000 D page_offset_base\n"
	"ffffffff81100000 W weak_one\n"
	"ffffffffc0001000 t virtnet_poll\t[virtio_net]\r\n"
	"ffffffff81200000 T last";

static void a_map(void)
{
	open_text(map);
	CHECK(s);
	CHECK_STR(symbols_at(s, 0xffffffff81000000, &offset), "startup_64");
	CHECK_EQ(offset, 0);
	CHECK_STR(symbols_at(s, 0xffffffff8100013f, &offset), "startup_64");
	CHECK_EQ(offset, 0x13f);
	CHECK_STR(symbols_at(s, 0xffffffff81000140, &offset), "secondary_startup_64");
	CHECK_STR(symbols_at(s, 0xffffffff81100007, &offset), "weak_one");
	CHECK_STR(symbols_at(s, 0xffffffffc0001010, &offset), "virtnet_poll");
	CHECK_STR(symbols_at(s, 0xffffffff81200001, &offset), "last");
	CHECK(!symbols_at(s, 0xffffffff80ffffff, &offset));
	CHECK(!symbols_at(s, 0xffffffff81f00000, &offset)); /* too far behind any */
	CHECK(!symbols_at(s, ~0ULL, &offset));
	CHECK(!symbols_at(s, 0, &offset));
	CHECK_EQ(symbols_find(s, "entry_SYSCALL_64"), 0xffffffff81e00000);
	CHECK_EQ(symbols_find(s, "page_offset_base"), 0); /* no function */
	CHECK_EQ(symbols_find(s, "entry"), 0);
}

static void no_maps(void)
{
	static const char *const bad[] = {
		"hello, this is a text\n", "\n\n\n", "ffffffff81000000", "ffffffff81000000 T", "ffffffff81000000 T ",
		"0000000000000000 T _stext\n", "fffffffff81000000 T toolong\n", "ffff T short\n",
		"gfffffff81000000 T _stext\n", "ffffffff81000000 D data\n", "ffffffff81000000  T name\n",
		"ffffffff81000000 T \033[2J\n", "FFFFFFFF81000000 T upper\n", "ffffffff81000000\tT\tname\n",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		open_text(bad[i]);
		CHECK(!s);
		CHECK_HAS(err, ": no System.map; take that of the guest's kernel");
	}
	open_text("");
	CHECK(!s);
	CHECK_HAS(err, "not a file with something in it");
	CHECK(!symbols_open("/proc/self/maps", err, sizeof(err)));
	CHECK_HAS(err, "make a copy");
	CHECK(!symbols_open("/tmp", err, sizeof(err)));
	CHECK(!symbols_open("/nowhere/map", err, sizeof(err)));
	CHECK_STR(err, "--symbols /nowhere/map: No such file or directory");
}

static void long_names(void)
{
	char line[5000];

	memset(line, 'x', sizeof(line));
	memcpy(line, "ffffffff81000000 T ", 19);
	open_bytes(line, sizeof(line));
	CHECK(s);
	CHECK_EQ(strlen(symbols_at(s, 0xffffffff81000000, &offset)), 200);
}

/* --- ELF ------------------------------------------------------------------------------- */

/* This program has symbols. */
static u8 *read_self(size_t *size)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	struct stat st;
	u8 *bytes;

	CHECK_EQ(fstat(fd, &st), 0);
	*size = (size_t)st.st_size;
	bytes = malloc(*size);
	CHECK(bytes);
	CHECK_EQ(read(fd, bytes, *size), *size);
	close(fd);
	return bytes;
}

static void an_elf(void)
{
	size_t size;
	u8 *self = read_self(&size);
	Elf64_Ehdr *eh = (void *)self;
	u64 address;

	open_bytes(self, size);
	CHECK_STR(err, "");
	CHECK(s);
	address = symbols_find(s, "symbols_open");
	CHECK(address);
	CHECK_STR(symbols_at(s, address + 1, &offset), "symbols_open");
	CHECK_EQ(offset, 1);
	CHECK_EQ(symbols_find(s, "stderr"), 0);
	eh->e_shnum = 0; /* as strip would leave it, near enough */
	open_bytes(self, size);
	CHECK(!s);
	CHECK_HAS(err, "it has none, as it was stripped; take the one with debugging information, or a System.map");
	free(self);
}

/* Headers of anything, and half a file. */
static void elves_of_anything(void)
{
	size_t size;
	u8 *self = read_self(&size), *copy = malloc(size);
	const Elf64_Ehdr *eh = (const void *)self;
	unsigned good = 0, bad = 0;
	u64 seed = 42;

	CHECK(copy);
	for (unsigned i = 0; i < 150; i++) {
		size_t at = i % 2 ? eh->e_shoff : 0, span = i % 2 ? size - eh->e_shoff : sizeof(*eh);

		memcpy(copy, self, size);
		for (unsigned n = 1 + random_next(&seed) % 8; n; n--)
			copy[at + 4 * !at + random_next(&seed) % (span - 4)] = (u8)random_next(&seed);
		open_bytes(copy, i % 10 ? size : random_next(&seed) % size + 1);
		if (s) {
			symbols_at(s, random_next(&seed), &offset);
			good++;
		} else {
			CHECK_HAS(err, "--symbols ");
			bad++;
		}
	}
	CHECK(good && bad);
	free(copy);
	free(self);
}

static void maps_of_anything(void)
{
	char text[sizeof(map)];
	u64 seed = 43;

	for (unsigned i = 0; i < 2000; i++) {
		memcpy(text, map, sizeof(map));
		for (unsigned n = random_next(&seed) % 40; n; n--)
			text[random_next(&seed) % (sizeof(map) - 1)] = " \n\tT0f\xff"[random_next(&seed) % 8];
		open_bytes(text, sizeof(map) - 1);
		if (s)
			for (u64 a = 0xffffffff80fffff0; a < 0xffffffff81000200; a += 7)
				symbols_at(s, a, &offset);
	}
}

/* --- a guest that crashed ------------------------------------------------------------------ */

#define TEXT 0xffffffff80000000ULL /* mapped to address 0 */
#define SLIDE 0x7e00000ULL
#define STACK (GUEST_LOW + 0x10000)

static struct guest g;
static struct cpu_state cpu;

static void put(u64 gpa, u64 v)
{
	*(u64 *)guest_at(&g, gpa) = v;
}

static void start_guest(void)
{
	u64 top = GUEST_LOW, middle = GUEST_LOW + 0x1000;

	if (!g.mem.n)
		guest_open(&g, 4 * MiB, 0);
	memset(guest_at(&g, GUEST_LOW), 0, 4 * MiB);
	put(top + 511 * 8, middle | 1);
	put(middle + 510 * 8, 0x81); /* 1 GiB at once */
	cpu = (struct cpu_state){ .started = true, .lstar = 0xffffffff81e00000 + SLIDE };
	cpu.sregs.cr0 = 1u << 31;
	cpu.sregs.cr3 = top;
	cpu.sregs.efer = 1u << 10;
	cpu.regs.rsp = TEXT + STACK;
	cpu.regs.rip = TEXT + GUEST_LOW + 0x100010;
}

static const char *written(u64 slide)
{
	static char text[8192];
	FILE *f = fmemopen(text, sizeof(text), "w");

	autopsy_cpu(f, &g.mem, &cpu, 3, s, slide);
	fclose(f);
	return text;
}

static void how_it_got_there(void)
{
	const u64 call = TEXT + GUEST_LOW + 0x150000, call2 = call + 0x100, none = call + 0x200, thunk = call + 0x300;
	char names[300];
	const char *text;

	start_guest();
	/* A call, an indirect one, and what is none. */
	memcpy(guest_at(&g, call - TEXT - 5), "\xe8\x11\x22\x33\x44", 5);
	memcpy(guest_at(&g, call2 - TEXT - 2), "\xff\xd0", 2);
	memcpy(guest_at(&g, thunk - TEXT - 5), "\xe8\x11\x22\x33\x44", 5);
	memcpy(guest_at(&g, cpu.regs.rip - TEXT), "\x0f\x0b", 2);
	put(STACK, 0x1234);
	put(STACK + 8, call);
	put(STACK + 16, none);
	put(STACK + 24, thunk);
	put(STACK + 32, call2);
	put(STACK + 0x4000, call2 + 1); /* another task's stack */
	snprintf(names, sizeof(names),
		 "%llx T oops\n%llx t caller\n%llx T srso_return_thunk\nffffffff81e00000 T entry_SYSCALL_64\n",
		 (unsigned long long)(TEXT + GUEST_LOW + 0x100000 - SLIDE), (unsigned long long)(call - 0x10 - SLIDE),
		 (unsigned long long)(thunk - 5 - SLIDE));
	open_text(names);
	CHECK(s);
	CHECK_EQ(autopsy_slide(s, &cpu, 1), SLIDE);
	text = written(SLIDE);
	CHECK_HAS(text, "vCPU 3: RIP 0000:ffffffff80200010 oops+0x10, ");
	CHECK_HAS(text, "RSP ffffffff80110000\n");
	CHECK_HAS(text, "00 00 <0f> 0b 00");
	CHECK_HAS(text, "as the stack tells:\n    caller+0x10 ?\n    caller+0x110 ?\n");
	CHECK(!strstr(text, "caller+0x210") && !strstr(text, "thunk"));
	/* Without names there are numbers. */
	symbols_free(s);
	s = NULL;
	CHECK_HAS(written(0), "    0xffffffff80250000 ?\n    0xffffffff80250300 ?\n    0xffffffff80250100 ?\n");
	/* A program's stack is its own. */
	cpu.sregs.cs.dpl = 3;
	CHECK_HAS(written(0), ", in a program\n");
	CHECK(!strstr(written(0), "the stack tells"));
	cpu.started = false;
	CHECK_STR(written(0), "vCPU 3: not started\n");
}

/* Registers that point anywhere, and a processor whose entry is not that of the names. */
static void anywhere(void)
{
	u64 seed = 44;

	open_text(map);
	start_guest();
	CHECK_EQ(autopsy_slide(s, &cpu, 1), SLIDE);
	cpu.lstar += 0x1000;
	CHECK_EQ(autopsy_slide(s, &cpu, 1), 0);
	cpu.lstar = 0;
	CHECK_EQ(autopsy_slide(s, &cpu, 1), 0);
	CHECK_EQ(autopsy_slide(NULL, &cpu, 1), 0);
	for (unsigned i = 0; i < 2000; i++) {
		random_fill(guest_at(&g, STACK), 0x8000, random_next(&seed));
		cpu.regs.rsp = i % 2 ? random_next(&seed) : TEXT + STACK + random_next(&seed) % 0x8000;
		cpu.regs.rip = i % 3 ? random_next(&seed) : ~0ULL - i % 50;
		CHECK_HAS(written(random_next(&seed)), "vCPU 3: RIP ");
	}
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "a System.map, or kallsyms, has the functions", a_map },
		{ "what is none is refused, with what would be one", no_maps },
		{ "long names are cut", long_names },
		{ "a vmlinux has them in its symbol table", an_elf },
		{ "an ELF of anything is read no further than it goes", elves_of_anything },
		{ "a map of anything, too", maps_of_anything },
		{ "registers, code, and what the stack tells of callers", how_it_got_there },
		{ "of registers that point anywhere, too", anywhere },
	};
	int r = check_run(tests, ARRAY_SIZE(tests));

	close_all();
	if (g.mem.n)
		guest_close(&g);
	return r;
}
