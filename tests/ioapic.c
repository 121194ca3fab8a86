// SPDX-License-Identifier: MIT
/*
 * ioapic.c - the I/O APIC by scripts of register accesses, as kernels write
 * them, asserting every commit and every signal that they cause, in order.
 * The recorder checks at each commit that the routes are complete and that
 * masked pins have none.
 */
#include "ioapic.h"

#include "check.h"

#define REGSEL 0x00
#define WIN 0x10
#define MASKED 0x10000u

enum { COMMIT = -1 }; /* an event; pins that were signalled are 0 and up */

static struct {
	int event[256];
	unsigned n;
	struct ioapic_msi route[IOAPIC_PINS]; /* as of the last commit */
	u32 unmasked;
} seen;

static struct ioapic io;

static void record_commit(void *opaque, const struct ioapic_msi route[IOAPIC_PINS], u32 unmasked)
{
	CHECK(opaque == &seen);
	CHECK(seen.n < ARRAY_SIZE(seen.event));
	CHECK_EQ(unmasked >> IOAPIC_PINS, 0);
	seen.event[seen.n++] = COMMIT;
	memcpy(seen.route, route, sizeof(seen.route));
	seen.unmasked = unmasked;
}

static void record_unmasked(void *opaque, unsigned pin)
{
	CHECK(opaque == &seen);
	CHECK(seen.n < ARRAY_SIZE(seen.event));
	CHECK(seen.unmasked & 1u << pin); /* committed before it is signalled */
	seen.event[seen.n++] = pin;
}

static const struct ioapic_ops ops = { record_commit, record_unmasked };

static void start(void)
{
	memset(&io, 0xa5, sizeof(io));
	memset(&seen, 0, sizeof(seen));
	ioapic_init(&io, &ops, &seen);
}

static u32 get(u32 reg)
{
	ioapic_write(&io, REGSEL, 4, reg);
	return ioapic_read(&io, WIN, 4);
}

static void put(u32 reg, u32 value)
{
	ioapic_write(&io, REGSEL, 4, reg);
	ioapic_write(&io, WIN, 4, value);
}

static void put_low(unsigned pin, u32 value)
{
	put(0x10 + 2 * pin, value);
}

static void put_high(unsigned pin, u32 value)
{
	put(0x11 + 2 * pin, value);
}

/* The way Linux writes an entry. */
static void put_entry(unsigned pin, u32 low, u32 dest)
{
	put_high(pin, dest << 24);
	put_low(pin, low);
}

/* Since the last call, exactly these happened. */
#define CHECK_EVENTS(...)                                                 \
	do {                                                              \
		static const int want_[] = { __VA_ARGS__ };               \
		CHECK_EQ(seen.n, ARRAY_SIZE(want_));                      \
		for (size_t i_ = 0; i_ < ARRAY_SIZE(want_); i_++)         \
			CHECK_EQ(seen.event[i_], want_[i_]);              \
		seen.n = 0;                                               \
	} while (0)
#define CHECK_NO_EVENTS() CHECK_EQ(seen.n, 0)

#define CHECK_ROUTE(pin, addr, dat)                                       \
	do {                                                              \
		CHECK(seen.unmasked & 1u << (pin));                       \
		CHECK_EQ(seen.route[pin].address, addr);                  \
		CHECK_EQ(seen.route[pin].data, dat);                      \
	} while (0)

/* --- registers ------------------------------------------------------------ */

static void reset_masks_everything(void)
{
	start();
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		CHECK_EQ(get(0x10 + 2 * pin), MASKED);
		CHECK_EQ(get(0x11 + 2 * pin), 0);
	}
	CHECK_EQ(io.unmasked, 0);
	CHECK_NO_EVENTS();
}

static void version_is_11_with_24_pins(void)
{
	start();
	CHECK_EQ(get(1), 0x00170011);
	put(1, 0xffffffff);
	CHECK_EQ(get(1), 0x00170011);
}

static void id_has_four_bits(void)
{
	start();
	CHECK_EQ(get(0), 0);
	put(0, 0xffffffff);
	CHECK_EQ(get(0), 0x0f000000);
	CHECK_EQ(get(2), 0x0f000000); /* arbitration follows */
	put(2, 0);
	CHECK_EQ(get(2), 0x0f000000);
	put(0, 0x03000000);
	CHECK_EQ(get(0), 0x03000000);
	CHECK_NO_EVENTS();
}

static void select_is_read_back(void)
{
	start();
	ioapic_write(&io, REGSEL, 4, 0x12345639);
	CHECK_EQ(ioapic_read(&io, REGSEL, 4), 0x39);
}

static void read_only_bits_stay(void)
{
	start();
	put_entry(3, 0xffffffff, 0xff);
	CHECK_EQ(get(0x16), 0x1afff); /* not 12, not 14, nothing above 16 */
	put_high(3, 0xffffffff);
	CHECK_EQ(get(0x17), 0xff000000);
	put_low(3, 0x5000); /* delivery status and remote IRR only */
	CHECK_EQ(get(0x16), 0);
}

static void halves_are_independent(void)
{
	start();
	put_low(7, MASKED | 0x31);
	put_high(7, 0x05000000);
	CHECK_EQ(get(0x1e), MASKED | 0x31);
	CHECK_EQ(get(0x1f), 0x05000000);
	put_low(7, MASKED | 0x32);
	CHECK_EQ(get(0x1f), 0x05000000);
	put_high(7, 0x06000000);
	CHECK_EQ(get(0x1e), MASKED | 0x32);
	CHECK_EQ(get(0x1d), 0); /* neighbours */
	CHECK_EQ(get(0x20), MASKED);
}

static void registers_that_are_not_there(void)
{
	static const u32 reg[] = { 3, 0xf, 0x40, 0x41, 0xff };

	start();
	for (unsigned i = 0; i < ARRAY_SIZE(reg); i++) {
		put(reg[i], 0x31);
		CHECK_EQ(get(reg[i]), 0);
	}
	CHECK_NO_EVENTS();
	CHECK_EQ(get(0x3e), MASKED); /* the last one that is */
	put_entry(23, 0x41, 0);
	CHECK_EVENTS(COMMIT, 23);
}

static void odd_accesses_are_ignored(void)
{
	static const unsigned len[] = { 0, 1, 2, 3, 8 };
	static const u64 off[] = { 1, 4, 0xc, 0x11, 0x12, 0x14, 0x20, 0x40, 0xff0, ~0ULL };

	start();
	ioapic_write(&io, REGSEL, 4, 0x10);
	for (unsigned i = 0; i < ARRAY_SIZE(len); i++) {
		ioapic_write(&io, WIN, len[i], 0x31);
		ioapic_write(&io, REGSEL, len[i], 0x12);
		CHECK_EQ(ioapic_read(&io, WIN, len[i]), 0);
		CHECK_EQ(ioapic_read(&io, REGSEL, len[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(off); i++) {
		ioapic_write(&io, off[i], 4, 0x31);
		CHECK_EQ(ioapic_read(&io, off[i], 4), 0);
	}
	CHECK_EQ(ioapic_read(&io, REGSEL, 4), 0x10);
	CHECK_EQ(ioapic_read(&io, WIN, 4), MASKED);
	CHECK_NO_EVENTS();
}

/* --- messages ------------------------------------------------------------- */

static void message_of_a_fixed_edge(void)
{
	start();
	put_entry(5, 0x0031, 3);
	CHECK_EVENTS(COMMIT, 5);
	CHECK_EQ(seen.unmasked, 1u << 5);
	CHECK_ROUTE(5, 0xfee03000, 0x31);
}

static void message_of_logical_lowest_priority(void)
{
	start();
	put_entry(5, 0x0931, 0xff);
	CHECK_EVENTS(COMMIT, 5);
	CHECK_ROUTE(5, 0xfeeff004, 0x131);
}

static void message_of_an_nmi(void)
{
	start();
	put_entry(5, 0x0400, 1);
	CHECK_EVENTS(COMMIT, 5);
	CHECK_ROUTE(5, 0xfee01000, 0x400);
}

static void message_of_a_level_entry(void)
{
	start();
	put_entry(5, 0xa031, 0); /* level, active low */
	CHECK_EVENTS(COMMIT, 5);
	CHECK_ROUTE(5, 0xfee00000, 0x8031);
}

static void what_does_not_deliver_counts_as_masked(void)
{
	/* SMI, reserved, INIT, reserved, ExtINT; vectors of exceptions. */
	static const u32 low[] = { 0x231, 0x331, 0x531, 0x631, 0x731, 0x000, 0x00f, 0x10f };

	start();
	for (unsigned i = 0; i < ARRAY_SIZE(low); i++) {
		put_entry(5, low[i], 0);
		CHECK_EQ(get(0x1a), low[i]); /* reads as written */
		CHECK_NO_EVENTS();
	}
	put_low(5, 0x10);
	CHECK_EVENTS(COMMIT, 5);
	put_low(5, 0x710);
	CHECK_EVENTS(COMMIT);
	CHECK_EQ(seen.unmasked, 0);
}

/* --- when the routes are committed ---------------------------------------- */

/* Linux clears every pin at boot: reads, masks, zeroes, reads again. */
static void boot_commits_nothing(void)
{
	start();
	for (unsigned round = 0; round < 2; round++)
		for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
			get(0x10 + 2 * pin);
			get(0x11 + 2 * pin);
			put_low(pin, MASKED);
			put_high(pin, 0);
			CHECK_EQ(get(0x10 + 2 * pin), MASKED);
		}
	CHECK_NO_EVENTS();
}

static void masked_writes_commit_nothing(void)
{
	start();
	put_entry(5, MASKED | 0x31, 1);
	put_entry(5, MASKED | 0x42, 2);
	put_high(5, 0x03000000);
	put_low(5, MASKED | 0x8943);
	CHECK_NO_EVENTS();
}

static void the_same_again_commits_nothing(void)
{
	start();
	put_entry(5, 0x31, 1);
	CHECK_EVENTS(COMMIT, 5);
	put_entry(5, 0x31, 1);
	put_entry(5, 0x31, 1);
	CHECK_NO_EVENTS();
	put_low(5, 0x2031); /* another polarity is no other message */
	put_low(5, 0x5031); /* read-only bits */
	put_high(5, 0x01ffffff); /* reserved bits */
	CHECK_NO_EVENTS();
}

static void unmasking_commits_then_signals(void)
{
	start();
	put_entry(5, MASKED | 0x31, 1);
	CHECK_NO_EVENTS();
	put_low(5, 0x31);
	CHECK_EVENTS(COMMIT, 5);
	CHECK_ROUTE(5, 0xfee01000, 0x31);
}

static void masking_removes_the_route(void)
{
	start();
	put_entry(5, 0x31, 1);
	put_entry(6, 0x32, 1);
	CHECK_EVENTS(COMMIT, 5, COMMIT, 6);
	put_low(5, MASKED | 0x31);
	CHECK_EVENTS(COMMIT);
	CHECK_EQ(seen.unmasked, 1u << 6);
	CHECK_EQ(seen.route[5].address, 0);
	CHECK_ROUTE(6, 0xfee01000, 0x32);
}

/*
 * How Linux moves an edge interrupt from its handler: mask, write the entry
 * (high, low, still masked), unmask.  One route less, one more, one signal.
 */
static void moving_while_masked_takes_two_commits(void)
{
	start();
	put_entry(5, 0x31, 1);
	CHECK_EVENTS(COMMIT, 5);

	put_low(5, MASKED | 0x31);
	ioapic_read(&io, WIN, 4);
	CHECK_EVENTS(COMMIT);
	put_high(5, 0x02000000);
	put_low(5, MASKED | 0x42);
	CHECK_NO_EVENTS();
	put_low(5, 0x42);
	CHECK_EVENTS(COMMIT, 5);
	CHECK_ROUTE(5, 0xfee02000, 0x42);
}

static void high_half_of_an_unmasked_entry_takes_effect(void)
{
	start();
	put_entry(5, 0x31, 1);
	CHECK_EVENTS(COMMIT, 5);
	put_high(5, 0x02000000);
	CHECK_EVENTS(COMMIT); /* and no signal: nothing was lost */
	CHECK_ROUTE(5, 0xfee02000, 0x31);
}

static void low_half_of_an_unmasked_entry_takes_effect(void)
{
	start();
	put_entry(5, 0x31, 1);
	CHECK_EVENTS(COMMIT, 5);
	put_low(5, 0x42);
	CHECK_EVENTS(COMMIT);
	CHECK_ROUTE(5, 0xfee01000, 0x42);
	put_low(5, 0x842); /* logical: only the address changes */
	CHECK_EVENTS(COMMIT);
	CHECK_ROUTE(5, 0xfee01004, 0x42);
}

static void high_first_has_no_transient_route(void)
{
	start();
	put_entry(5, MASKED | 0x31, 1);
	put_high(5, 0x02000000);
	put_low(5, 0x42);
	CHECK_EVENTS(COMMIT, 5); /* the first route ever is the right one */
	CHECK_ROUTE(5, 0xfee02000, 0x42);
	/* ioapic_mask_entry: low first, so that no half entry is live. */
	put_low(5, MASKED);
	put_high(5, 0);
	CHECK_EVENTS(COMMIT);
	CHECK_EQ(seen.unmasked, 0);
}

static void every_pin_has_its_own_route(void)
{
	start();
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		put_entry(pin, 0x30 + pin, pin);
		CHECK_EQ(seen.n, 2);
		CHECK_EQ(seen.event[1], pin);
		seen.n = 0;
	}
	CHECK_EQ(seen.unmasked, 0xffffff);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		CHECK_ROUTE(pin, 0xfee00000 | pin << 12, 0x30 + pin);
}

static void every_unmasking_signals_once(void)
{
	start();
	put_entry(5, 0x31, 1);
	for (unsigned i = 0; i < 20; i++) {
		seen.n = 0;
		put_low(5, MASKED | 0x31);
		put_low(5, MASKED | 0x31);
		put_low(5, 0x31);
		put_low(5, 0x31);
		CHECK_EVENTS(COMMIT, COMMIT, 5);
	}
}

/*
 * Whatever a guest writes: a commit happens exactly when what the entries say
 * has changed, and what was committed last is what they say.
 */
static void random_writes_keep_the_routes_true(void)
{
	u32 seed = 1, commits = 0, quiet = 0;

	start();
	for (unsigned i = 0; i < 200000; i++) {
		struct ioapic_msi route[IOAPIC_PINS];
		u32 unmasked = seen.unmasked, r;
		unsigned signals = 0;

		memcpy(route, seen.route, sizeof(route));
		seed = seed * 1664525 + 1013904223;
		r = seed >> 8;
		/* Few values, so that many writes change nothing. */
		put(0x0c + r % 0x38, (r >> 8 & 1 ? MASKED : 0) | (r >> 9 & 7) << 8 |
				     (r >> 12 & 3) << 24 | (r >> 14 & 3) << 4);

		CHECK(seen.n <= 2);
		if (seen.n) {
			CHECK_EQ(seen.event[0], COMMIT);
			CHECK(unmasked != seen.unmasked || memcmp(route, seen.route, sizeof(route)));
			signals = seen.n - 1;
			commits++;
		} else {
			quiet++;
		}
		/* One signal if a pin was added, none otherwise. */
		CHECK_EQ(signals, !!(seen.unmasked & ~unmasked));
		seen.n = 0;

		for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
			u32 low = get(0x10 + 2 * pin), high = get(0x11 + 2 * pin);
			unsigned mode = low >> 8 & 7;
			bool live = !(low & MASKED) && (mode == 4 || (mode < 2 && (low & 0xff) >= 16));

			CHECK_EQ(!!(seen.unmasked & 1u << pin), live);
			if (live)
				CHECK_ROUTE(pin, 0xfee00000 | high >> 24 << 12 | (low & 0x800) >> 9,
					    low & 0x7ff);
		}
	}
	CHECK(commits > 1000 && quiet > 1000);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "after reset all pins are masked", reset_masks_everything },
		{ "it is of version 0x11 with 24 pins", version_is_11_with_24_pins },
		{ "the id has four bits and arbitration follows it", id_has_four_bits },
		{ "the select register reads back", select_is_read_back },
		{ "delivery status, remote IRR and reserved bits cannot be set", read_only_bits_stay },
		{ "the halves of an entry are written separately", halves_are_independent },
		{ "registers that do not exist read 0 and ignore writes", registers_that_are_not_there },
		{ "accesses of other sizes and offsets do nothing", odd_accesses_are_ignored },
		{ "the message of a fixed edge entry", message_of_a_fixed_edge },
		{ "the message of a logical, lowest-priority entry", message_of_logical_lowest_priority },
		{ "the message of an NMI, which needs no vector", message_of_an_nmi },
		{ "a level entry has the trigger bit", message_of_a_level_entry },
		{ "ExtINT, SMI, INIT and vectors below 16 count as masked",
		  what_does_not_deliver_counts_as_masked },
		{ "a kernel's clearing of the table at boot commits nothing", boot_commits_nothing },
		{ "writes to masked entries commit nothing", masked_writes_commit_nothing },
		{ "writing the same message again commits nothing", the_same_again_commits_nothing },
		{ "unmasking commits first and then signals", unmasking_commits_then_signals },
		{ "masking removes this route and leaves the others", masking_removes_the_route },
		{ "moving an interrupt as Linux does takes two commits and one signal",
		  moving_while_masked_takes_two_commits },
		{ "a new destination of an unmasked entry takes effect at once",
		  high_half_of_an_unmasked_entry_takes_effect },
		{ "a new vector of an unmasked entry takes effect at once",
		  low_half_of_an_unmasked_entry_takes_effect },
		{ "high half first, then unmasking: no wrong route in between",
		  high_first_has_no_transient_route },
		{ "every pin has a route of its own", every_pin_has_its_own_route },
		{ "every unmasking signals exactly once", every_unmasking_signals_once },
		{ "after any write the committed routes are what the entries say",
		  random_writes_keep_the_routes_true },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
