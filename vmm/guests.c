// SPDX-License-Identifier: MIT
/*
 * guests.c - the table of our own guests.  The files themselves are what the
 * assembler includes; GUEST_DIR is where the Makefile had them linked.
 */
#include "guests.h"

#include <string.h>

#define EMBED(name)                                                            \
	extern const u8 guest_##name[] __attribute__((visibility("hidden")));     \
	extern const u8 guest_##name##_end[] __attribute__((visibility("hidden"))); \
	__asm__(".pushsection .rodata\n"                                       \
		".balign 16\n"                                                 \
		"guest_" #name ": .incbin \"" GUEST_DIR #name ".elf\"\n"       \
		"guest_" #name "_end:\n"                                       \
		".popsection")

EMBED(hello);
EMBED(irq);
EMBED(netecho);
EMBED(hostile);

#define GUEST(name) { #name, guest_##name, guest_##name##_end }

static const struct {
	const char *name;
	const u8 *start, *end;
} guests[] = { GUEST(hello), GUEST(irq), GUEST(netecho), GUEST(hostile) };

const char *guest_name(unsigned i)
{
	return i < ARRAY_SIZE(guests) ? guests[i].name : NULL;
}

const u8 *guest_image(const char *kernel, u64 *size)
{
	size_t n = strlen(GUEST_PREFIX);

	if (strncmp(kernel, GUEST_PREFIX, n))
		return NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(guests); i++) {
		if (strcmp(kernel + n, guests[i].name))
			continue;
		*size = (u64)(guests[i].end - guests[i].start);
		return guests[i].start;
	}
	return NULL;
}
