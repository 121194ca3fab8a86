// SPDX-License-Identifier: MIT
/*
 * acpi.c - the ACPI tables byte by byte, at the offsets the specification
 * gives and not through the builder's own structures.  With --dump it writes
 * them to files for tests/acpi-iasl.t, where a second opinion is asked.
 */
#include "acpi.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aml.h"
#include "check.h"
#include "layout.h"
#include "mem.h"

#define AREA (LAYOUT_ACPI_END - LAYOUT_ACPI)
#define HEADER 36

static struct mem mem;
static u64 rsdp;

static u8 *at(u64 gpa, u64 len)
{
	u8 *p = mem_at(&mem, gpa, len);

	CHECK(p);
	return p;
}

static u16 le16(const u8 *p)
{
	return p[0] | p[1] << 8;
}

static u32 le32(const u8 *p)
{
	return le16(p) | (u32)le16(p + 2) << 16;
}

static u64 le64(const u8 *p)
{
	return le32(p) | (u64)le32(p + 4) << 32;
}

static u8 sum(const u8 *p, size_t len)
{
	u8 s = 0;

	while (len--)
		s += *p++;
	return s;
}

static void build(unsigned ncpus, unsigned nvirtio)
{
	struct acpi_device dev[MAX_VIRTIO];
	struct acpi_config c = { .ncpus = ncpus, .virtio = dev, .nvirtio = nvirtio };

	for (unsigned i = 0; i < nvirtio && i < MAX_VIRTIO; i++)
		dev[i] = (struct acpi_device){
			.base = LAYOUT_VIRTIO + i * LAYOUT_VIRTIO_STRIDE,
			.size = LAYOUT_VIRTIO_SIZE,
			.gsi = GSI_VIRTIO + i,
		};
	if (!mem.n)
		CHECK(mem_init(&mem, LAYOUT_RAM_MIN) == 0);
	/* What is not written shows. */
	memset(at(LAYOUT_ACPI, AREA), 0xa5, AREA);
	rsdp = acpi_build(&mem, &c);
}

static u8 *xsdt(void)
{
	return at(le64(at(rsdp, 36) + 24), HEADER + 2 * 8);
}

/* A table that the XSDT names, or NULL. */
static u8 *table(const char *signature)
{
	u8 *x = xsdt();

	for (unsigned i = HEADER; i < le32(x + 4); i += 8) {
		u8 *t = at(le64(x + i), HEADER);

		if (!memcmp(t, signature, 4))
			return t;
	}
	return NULL;
}

static u8 *dsdt(void)
{
	return at(le64(table("FACP") + 140), HEADER);
}

/* --- roots ---------------------------------------------------------------- */

static void rsdp_is_found_by_scanning(void)
{
	unsigned found = 0;

	build(1, 1);
	for (u64 gpa = LAYOUT_ACPI; gpa < LAYOUT_ACPI_END; gpa += 16)
		if (!memcmp(at(gpa, 16), "RSD PTR ", 8)) {
			CHECK_EQ(gpa, rsdp);
			found++;
		}
	CHECK_EQ(found, 1);
}

static void rsdp_has_both_checksums(void)
{
	u8 *r;

	build(1, 1);
	r = at(rsdp, 36);
	CHECK_EQ(sum(r, 20), 0);
	CHECK_EQ(sum(r, 36), 0);
	CHECK_EQ(r[15], 2); /* revision */
	CHECK_EQ(le32(r + 16), 0); /* no RSDT */
	CHECK_EQ(le32(r + 20), 36);
	CHECK(!memcmp(r + 33, "\0\0\0", 3));
	CHECK(!memcmp(at(le64(r + 24), 4), "XSDT", 4));
}

static void xsdt_names_fadt_and_madt(void)
{
	build(1, 1);
	CHECK_EQ(le32(xsdt() + 4), HEADER + 2 * 8);
	CHECK_EQ(xsdt()[8], 1);
	CHECK(table("FACP"));
	CHECK(table("APIC"));
}

static void check_table(const u8 *t, const u8 *signature, u64 *end)
{
	u64 gpa = t - at(0, 1);
	u32 len = le32(t + 4);

	CHECK(!memcmp(t, signature, 4));
	CHECK_EQ(gpa % 8, 0);
	CHECK(gpa >= LAYOUT_ACPI && len >= HEADER && gpa + len <= LAYOUT_ACPI_END);
	CHECK_EQ(sum(t, len), 0);
	CHECK(!memcmp(t + 10, "RINGLT" "RINGLET ", 14));
	CHECK(!memcmp(t + 28, "RNGL", 4));
	CHECK(gpa >= *end); /* called in the order in which they lie */
	*end = gpa + len;
}

static void tables_are_sound_for_every_machine(void)
{
	for (unsigned cpus = 1; cpus <= MAX_CPUS; cpus++)
		for (unsigned n = 0; n <= MAX_VIRTIO; n++) {
			u64 end;

			build(cpus, n);
			end = rsdp + 36;
			check_table(dsdt(), (const u8 *)"DSDT", &end);
			check_table(table("FACP"), (const u8 *)"FACP", &end);
			check_table(table("APIC"), (const u8 *)"APIC", &end);
			check_table(xsdt(), (const u8 *)"XSDT", &end);
		}
}

static void nothing_is_written_outside(void)
{
	static const u8 zero[4096];

	mem_fini(&mem);
	build(MAX_CPUS, MAX_VIRTIO);
	for (u64 gpa = 0; gpa < 2 * MiB; gpa += sizeof(zero))
		if (gpa < LAYOUT_ACPI || gpa >= LAYOUT_ACPI_END)
			CHECK(!memcmp(at(gpa, sizeof(zero)), zero, sizeof(zero)));
}

/* --- FADT ----------------------------------------------------------------- */

static void check_gas(const u8 *gas, u64 port)
{
	CHECK_EQ(gas[0], 1); /* I/O space */
	CHECK_EQ(gas[1], 8); /* bits wide */
	CHECK_EQ(gas[2], 0); /* bit offset */
	CHECK_EQ(gas[3], 1); /* byte access */
	CHECK_EQ(le64(gas + 4), port);
}

static void fadt_is_hardware_reduced(void)
{
	u8 *f;

	build(1, 1);
	f = table("FACP");
	CHECK_EQ(le32(f + 4), 276);
	CHECK_EQ(f[8], 6); /* revision, and its minor */
	CHECK_EQ(f[131], 3);
	/* WBINVD, C1, no fixed buttons, reset register, hardware reduced */
	CHECK_EQ(le32(f + 112), 1 << 0 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 10 | 1 << 20);
	/* no VGA, no CMOS clock; no legacy devices, no 8042 */
	CHECK_EQ(le16(f + 109), 1 << 2 | 1 << 5);
	CHECK(le16(f + 96) > 100);
	CHECK(le16(f + 98) > 1000);
	CHECK(!memcmp(f + 268, "RINGLET", 8));
}

static void fadt_resets_by_port(void)
{
	build(1, 1);
	check_gas(table("FACP") + 116, PORT_ACPI_RESET);
	CHECK_EQ(table("FACP")[128], ACPI_RESET_VALUE);
}

static void fadt_sleeps_by_port(void)
{
	build(1, 1);
	check_gas(table("FACP") + 244, PORT_ACPI_SLEEP);
	check_gas(table("FACP") + 256, PORT_ACPI_SLEEP + 1);
}

static void fadt_points_to_the_dsdt(void)
{
	u8 *f;

	build(1, 1);
	f = table("FACP");
	CHECK(!memcmp(at(le64(f + 140), 4), "DSDT", 4));
	CHECK_EQ(le32(f + 40), le64(f + 140));
	CHECK_EQ(dsdt()[8], 2); /* 64-bit integers */
}

static void fadt_claims_nothing_else(void)
{
	static const struct { u16 from, to; } known[] = {
		{ 0, 36 }, { 40, 44 }, { 96, 100 }, { 109, 111 }, { 112, 129 },
		{ 131, 132 }, { 140, 148 }, { 244, 276 },
	};
	unsigned k = 0;

	build(1, 1);
	for (unsigned i = 0; i < 276; i++) {
		if (k < ARRAY_SIZE(known) && i == known[k].from)
			i = known[k++].to;
		if (i < 276)
			CHECK_EQ(table("FACP")[i], 0);
	}
	CHECK_EQ(k, ARRAY_SIZE(known));
}

/* --- MADT ----------------------------------------------------------------- */

static void check_madt(unsigned ncpus)
{
	u8 *m, *p;

	build(ncpus, 0);
	m = table("APIC");
	CHECK_EQ(m[8], 5);
	CHECK_EQ(le32(m + 4), 44 + 8 * ncpus + 12 + 6);
	CHECK_EQ(le32(m + 36), LAYOUT_LAPIC);
	CHECK_EQ(le32(m + 40), 0); /* no 8259s */
	p = m + 44;
	for (unsigned i = 0; i < ncpus; i++, p += 8) {
		CHECK_EQ(p[0], 0); /* local APIC */
		CHECK_EQ(p[1], 8);
		CHECK_EQ(p[2], i);
		CHECK_EQ(p[3], i);
		CHECK_EQ(le32(p + 4), 1); /* enabled */
	}
	CHECK_EQ(p[0], 1); /* I/O APIC */
	CHECK_EQ(p[1], 12);
	CHECK_EQ(p[2], 0);
	CHECK_EQ(p[3], 0);
	CHECK_EQ(le32(p + 4), LAYOUT_IOAPIC);
	CHECK_EQ(le32(p + 8), 0); /* first GSI */
	p += 12;
	CHECK_EQ(p[0], 4); /* NMI of the local APICs */
	CHECK_EQ(p[1], 6);
	CHECK_EQ(p[2], 0xff); /* of all of them */
	CHECK_EQ(le16(p + 3), 0);
	CHECK_EQ(p[5], 1); /* at LINT1 */
}

static void madt_has_one_cpu(void)
{
	check_madt(1);
}

static void madt_has_all_cpus(void)
{
	check_madt(2);
	check_madt(MAX_CPUS);
}

/* --- DSDT ----------------------------------------------------------------- */

/* Length of a block, counted from p, which its own encoding belongs to. */
static size_t pkg_length(const u8 *p, size_t *self)
{
	size_t len;

	*self = 1 + (p[0] >> 6);
	if (*self == 1)
		return p[0] & 0x3f;
	CHECK_EQ(p[0] & 0x30, 0);
	len = p[0] & 0xf;
	for (size_t i = 1; i < *self; i++)
		len |= (size_t)p[i] << (8 * i - 4);
	return len;
}

/* The content of \_SB's device of that name; NULL if it is not there. */
static const u8 *device(const char *name, size_t *len)
{
	const u8 *p = dsdt() + HEADER, *end = dsdt() + le32(dsdt() + 4);
	size_t self, n;

	CHECK_EQ(p[0], 0x08); /* \_S5 comes first */
	CHECK(!memcmp(p + 1, "_S5_", 4));
	CHECK_EQ(p[5], 0x12);
	p += 6 + pkg_length(p + 6, &self);

	CHECK_EQ(p[0], 0x10); /* then the scope, to the end of the table */
	CHECK_EQ(pkg_length(p + 1, &self), (size_t)(end - (p + 1)));
	p += 1 + self;
	CHECK(!memcmp(p, "_SB_", 4));
	p += 4;

	while (p < end) {
		CHECK_EQ(p[0], 0x5b);
		CHECK_EQ(p[1], 0x82);
		n = pkg_length(p + 2, &self);
		CHECK(n <= (size_t)(end - (p + 2)));
		if (!memcmp(p + 2 + self, name, 4)) {
			*len = n - self - 4;
			return p + 2 + self + 4;
		}
		p += 2 + n;
	}
	CHECK_EQ(p - end, 0);
	return NULL;
}

#define CHECK_DEVICE(name, ...)                                            \
	do {                                                               \
		static const u8 want_[] = { __VA_ARGS__ };                 \
		size_t len_;                                               \
		const u8 *got_ = device(name, &len_);                      \
		CHECK(got_);                                               \
		CHECK_EQ(len_, sizeof(want_));                             \
		for (size_t i_ = 0; i_ < len_; i_++)                       \
			CHECK_EQ(got_[i_], want_[i_]);                     \
	} while (0)

static void s5_has_the_sleep_type(void)
{
	static const u8 want[] = {
		0x08, '_', 'S', '5', '_', 0x12, 7, 4, 0x0a, ACPI_S5_TYPE, 0, 0, 0,
	};

	build(1, 0);
	for (size_t i = 0; i < sizeof(want); i++)
		CHECK_EQ(dsdt()[HEADER + i], want[i]);
}

static void com1_is_a_16550_with_an_edge_interrupt(void)
{
	build(1, 1);
	CHECK_DEVICE("COM1",
		0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01, /* PNP0501 */
		0x08, '_', 'U', 'I', 'D', 0x00,
		0x08, '_', 'C', 'R', 'S', 0x11, 8 + 9 + 2 + 2 + 1, 0x0a, 8 + 9 + 2,
		0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08,
		0x89, 0x06, 0x00, 0x03, 0x01, GSI_SERIAL, 0, 0, 0,
		0x79, 0x00);
}

static void pevt_is_pvpanic(void)
{
	build(1, 1);
	CHECK_DEVICE("PEVT",
		0x08, '_', 'H', 'I', 'D', 0x0d, 'Q', 'E', 'M', 'U', '0', '0', '0', '1', 0,
		0x08, '_', 'S', 'T', 'A', 0x0a, 0x0b,
		0x08, '_', 'C', 'R', 'S', 0x11, 8 + 2 + 2 + 1, 0x0a, 8 + 2,
		0x47, 0x01, PORT_PVPANIC & 0xff, PORT_PVPANIC >> 8, PORT_PVPANIC & 0xff,
		PORT_PVPANIC >> 8, 0x01, 0x01,
		0x79, 0x00);
}

#define VIRTIO_DEVICE(uid_bytes, b0, b1, gsi)                                            \
	0x08, '_', 'H', 'I', 'D', 0x0d, 'L', 'N', 'R', 'O', '0', '0', '0', '5', 0,       \
	0x08, '_', 'U', 'I', 'D', uid_bytes,                                             \
	0x08, '_', 'C', 'C', 'A', 0x01,                                                  \
	0x08, '_', 'C', 'R', 'S', 0x11, 12 + 9 + 2 + 2 + 1, 0x0a, 12 + 9 + 2,            \
	0x86, 0x09, 0x00, 0x01, b0, b1, 0x00, 0xd0, 0x00, 0x02, 0x00, 0x00,              \
	0x89, 0x06, 0x00, 0x03, 0x01, gsi, 0, 0, 0,                                      \
	0x79, 0x00
#define BYTES(...) __VA_ARGS__

static void virtio_windows_have_their_place_and_line(void)
{
	_Static_assert(LAYOUT_VIRTIO == 0xd0000fa0 && LAYOUT_VIRTIO_STRIDE == 0x2000 &&
		       LAYOUT_VIRTIO_SIZE == 0x200, "the bytes below");
	build(1, MAX_VIRTIO);
	CHECK_DEVICE("VIO0", VIRTIO_DEVICE(0x00, 0xa0, 0x0f, 5));
	CHECK_DEVICE("VIO1", VIRTIO_DEVICE(0x01, 0xa0, 0x2f, 6));
	CHECK_DEVICE("VIO2", VIRTIO_DEVICE(BYTES(0x0a, 2), 0xa0, 0x4f, 7));
	CHECK_DEVICE("VIO7", VIRTIO_DEVICE(BYTES(0x0a, 7), 0xa0, 0xef, 12));
}

static void there_are_as_many_virtio_devices_as_asked_for(void)
{
	for (unsigned n = 0; n <= MAX_VIRTIO; n++) {
		build(1, n);
		for (unsigned i = 0; i <= MAX_VIRTIO; i++) {
			char name[] = { 'V', 'I', 'O', '0' + i, 0 };
			size_t len;

			CHECK_EQ(device(name, &len) != NULL, i < n);
		}
	}
}

/* --- our own mistakes ----------------------------------------------------- */

static bool aborts(const struct acpi_config *c)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		signal(SIGABRT, SIG_DFL);
		acpi_build(&mem, c);
		_exit(0);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void impossible_machines_are_asserted(void)
{
	struct acpi_device dev = { .base = LAYOUT_VIRTIO, .size = 0x200, .gsi = GSI_VIRTIO };
	struct acpi_config c = { .ncpus = 1, .virtio = &dev, .nvirtio = 1 };

	build(1, 0);
	CHECK(!aborts(&c));
	c.ncpus = 0;
	CHECK(aborts(&c));
	c.ncpus = MAX_CPUS + 1;
	CHECK(aborts(&c));
	c.ncpus = 1;
	dev.base = 1ULL << 32;
	CHECK(aborts(&c));
	dev.base = 0xffffff00;
	CHECK(aborts(&c)); /* ends above 4 GiB */
	dev.base = LAYOUT_VIRTIO;
	dev.gsi = IOAPIC_PINS;
	CHECK(aborts(&c));
}

/* --- the assembler -------------------------------------------------------- */

static void lengths_take_as_many_bytes_as_they_need(void)
{
	/* Content with the name; the block with its length bytes. */
	static const struct { size_t content; u8 code[3]; size_t n; } want[] = {
		{ 4, { 5 }, 1 },
		{ 62, { 63 }, 1 },
		{ 63, { 0x41, 0x04 }, 2 },
		{ 4093, { 0x4f, 0xff }, 2 },
		{ 4094, { 0x81, 0x00, 0x01 }, 3 },
		{ 70000, { 0x83, 0x17, 0x11 }, 3 },
	};
	static u8 buf[80000];
	static char text[80000];

	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		struct aml a;
		size_t self;

		aml_init(&a, buf, sizeof(buf));
		aml_scope(&a, "_SB_");
		if (want[i].content > 4) {
			size_t n = want[i].content - 4 - 7; /* Name, segment, prefix, NUL */

			memset(text, 'x', n);
			text[n] = 0;
			aml_name_string(&a, "NAME", text);
		}
		aml_end(&a);
		CHECK_EQ(aml_finish(&a), 1 + want[i].n + want[i].content);
		for (size_t k = 0; k < want[i].n; k++)
			CHECK_EQ(buf[1 + k], want[i].code[k]);
		CHECK_EQ(pkg_length(buf + 1, &self), want[i].n + want[i].content);
		CHECK(!memcmp(buf + 1 + want[i].n, "_SB_", 4));
	}
}

static void integers_take_the_shortest_form(void)
{
	static const struct { u64 value; u8 code[9]; size_t n; } want[] = {
		{ 0, { 0x00 }, 1 },
		{ 1, { 0x01 }, 1 },
		{ 2, { 0x0a, 2 }, 2 },
		{ 0xff, { 0x0a, 0xff }, 2 },
		{ 0x100, { 0x0b, 0, 1 }, 3 },
		{ 0xffff, { 0x0b, 0xff, 0xff }, 3 },
		{ 0x12345678, { 0x0c, 0x78, 0x56, 0x34, 0x12 }, 5 },
		{ 0x100000000, { 0x0e, 0, 0, 0, 0, 1, 0, 0, 0 }, 9 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		u8 buf[32];
		struct aml a;

		aml_init(&a, buf, sizeof(buf));
		aml_name_integer(&a, "NAME", want[i].value);
		CHECK_EQ(aml_finish(&a), 5 + want[i].n);
		CHECK(!memcmp(buf, "\x08NAME", 5));
		CHECK(!memcmp(buf + 5, want[i].code, want[i].n));
	}
}

static int dump(const char *dir, const char *name, const void *data, size_t len)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.dat", dir, name);
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, len, f) != len || fclose(f)) {
		perror(path);
		return 1;
	}
	return 0;
}

static int dump_all(const char *dir, unsigned ncpus, unsigned nvirtio)
{
	build(ncpus, nvirtio);
	return dump(dir, "xsdt", xsdt(), le32(xsdt() + 4)) ||
	       dump(dir, "facp", table("FACP"), le32(table("FACP") + 4)) ||
	       dump(dir, "apic", table("APIC"), le32(table("APIC") + 4)) ||
	       dump(dir, "dsdt", dsdt(), le32(dsdt() + 4));
}

int main(int argc, char **argv)
{
	static const struct check_test tests[] = {
		{ "the RSDP is found once by scanning 16-byte boundaries", rsdp_is_found_by_scanning },
		{ "the RSDP is of revision 2 and has both checksums", rsdp_has_both_checksums },
		{ "the XSDT names the FADT and the MADT and nothing else", xsdt_names_fadt_and_madt },
		{ "for every number of processors and devices all tables sum to 0, fit and are apart",
		  tables_are_sound_for_every_machine },
		{ "nothing outside the ACPI area is touched", nothing_is_written_outside },
		{ "the FADT of 6.3 says hardware-reduced, no VGA, 8042 or CMOS clock",
		  fadt_is_hardware_reduced },
		{ "the FADT's reset register is the reset port", fadt_resets_by_port },
		{ "the FADT's sleep registers are the sleep ports", fadt_sleeps_by_port },
		{ "both DSDT fields of the FADT point to the DSDT", fadt_points_to_the_dsdt },
		{ "every other byte of the FADT is 0", fadt_claims_nothing_else },
		{ "the MADT has one processor, the I/O APIC and the NMI line", madt_has_one_cpu },
		{ "the MADT has 2 and 32 processors", madt_has_all_cpus },
		{ "\\_S5 holds the sleep type", s5_has_the_sleep_type },
		{ "COM1 is a PNP0501 at 0x3f8 with an exclusive edge interrupt",
		  com1_is_a_16550_with_an_edge_interrupt },
		{ "PEVT is a hidden QEMU0001 with one port", pevt_is_pvpanic },
		{ "each LNRO0005 has its window and its interrupt", virtio_windows_have_their_place_and_line },
		{ "block lengths nest exactly, for 0 to 8 devices",
		  there_are_as_many_virtio_devices_as_asked_for },
		{ "machines that cannot be described end in an assertion", impossible_machines_are_asserted },
		{ "AML block lengths take one to three bytes", lengths_take_as_many_bytes_as_they_need },
		{ "AML integers take the shortest form", integers_take_the_shortest_form },
	};

	if (argc == 5 && !strcmp(argv[1], "--dump")) {
		/* A failed CHECK says where and ends the dump. */
		if (setjmp(check_out))
			return 1;
		return dump_all(argv[2], atoi(argv[3]), atoi(argv[4]));
	}
	return check_run(tests, ARRAY_SIZE(tests));
}
