// SPDX-License-Identifier: MIT
/*
 * aml.c - how a device tells a stock kernel where it is: ACPI machine
 * language, put together byte by byte (ACPI 6.4, chapters 6.4 and 20.2).
 * Knows nothing of our devices or of guest memory.
 *
 * A block's length is written in front of its content, in one to four bytes
 * that count themselves.  So the content is appended first and moved up when
 * the block is closed; inner blocks are closed before outer ones, hence a
 * length once written never changes.
 */
#include "aml.h"

#include <assert.h>
#include <string.h>

enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_EXT = 0x5b,
	OP_EXT_DEVICE = 0x82,
};

/* Resource descriptors: small ones carry their length in the tag. */
enum {
	RES_IO = 0x47,
	RES_END = 0x79,
	RES_MEMORY32_FIXED = 0x86,
	RES_EXT_INTERRUPT = 0x89,
};

static void put(struct aml *a, const void *data, size_t len)
{
	assert(len <= a->size - a->len);
	memcpy(a->buf + a->len, data, len);
	a->len += len;
}

static void put_byte(struct aml *a, u8 byte)
{
	put(a, &byte, 1);
}

static void put_u16(struct aml *a, u16 value)
{
	put(a, &value, sizeof(value));
}

static void put_u32(struct aml *a, u32 value)
{
	put(a, &value, sizeof(value));
}

/* Make room for data in front of what has been written since at. */
static void insert(struct aml *a, size_t at, const void *data, size_t len)
{
	assert(at <= a->len && len <= a->size - a->len);
	memmove(a->buf + at + len, a->buf + at, a->len - at);
	memcpy(a->buf + at, data, len);
	a->len += len;
}

static void put_segment(struct aml *a, const char *name)
{
	assert(strlen(name) == 4);
	put(a, name, 4);
}

/* The shortest encoding, as a compiler would choose. */
static size_t encode_integer(u8 out[9], u64 value)
{
	size_t len;

	if (value <= 1) {
		out[0] = value ? OP_ONE : OP_ZERO;
		return 1;
	}
	if (value <= UINT8_MAX) {
		out[0] = OP_BYTE;
		len = 1;
	} else if (value <= UINT16_MAX) {
		out[0] = OP_WORD;
		len = 2;
	} else if (value <= UINT32_MAX) {
		out[0] = OP_DWORD;
		len = 4;
	} else {
		out[0] = OP_QWORD;
		len = 8;
	}
	memcpy(out + 1, &value, len);
	return 1 + len;
}

static void put_integer(struct aml *a, u64 value)
{
	u8 code[9];

	put(a, code, encode_integer(code, value));
}

/* What follows is the block's content, until aml_end(). */
static void open_block(struct aml *a)
{
	assert(a->depth < AML_MAX_DEPTH);
	a->open[a->depth++] = a->len;
}

void aml_end(struct aml *a)
{
	u8 code[4];
	size_t start, content, total, n = 1;

	assert(a->depth > 0);
	start = a->open[--a->depth];
	content = a->len - start;

	/*
	 * One byte has 6 bits for the length.  With more, the first has the
	 * low 4 bits and the number of bytes to come, the others 8 bits each.
	 */
	if (content + 1 < 1 << 6) {
		code[0] = content + 1;
	} else {
		n = 2;
		while (content + n >= 1UL << (4 + 8 * (n - 1)))
			n++;
		assert(n <= sizeof(code));
		total = content + n;
		code[0] = (n - 1) << 6 | (total & 0xf);
		for (size_t i = 1; i < n; i++)
			code[i] = total >> (4 + 8 * (i - 1));
	}
	insert(a, start, code, n);
}

void aml_init(struct aml *a, void *buf, size_t size)
{
	memset(a, 0, sizeof(*a));
	a->buf = buf;
	a->size = size;
}

size_t aml_finish(const struct aml *a)
{
	assert(a->depth == 0);
	return a->len;
}

void aml_scope(struct aml *a, const char *name)
{
	put_byte(a, OP_SCOPE);
	open_block(a);
	put_segment(a, name);
}

void aml_device(struct aml *a, const char *name)
{
	put_byte(a, OP_EXT);
	put_byte(a, OP_EXT_DEVICE);
	open_block(a);
	put_segment(a, name);
}

static void put_name(struct aml *a, const char *name)
{
	put_byte(a, OP_NAME);
	put_segment(a, name);
}

void aml_name_integer(struct aml *a, const char *name, u64 value)
{
	put_name(a, name);
	put_integer(a, value);
}

void aml_name_string(struct aml *a, const char *name, const char *value)
{
	put_name(a, name);
	put_byte(a, OP_STRING);
	put(a, value, strlen(value) + 1);
}

static unsigned hex_digit(char c)
{
	const char *digits = "0123456789ABCDEF", *p = strchr(digits, c);

	assert(c && p);
	return p - digits;
}

/*
 * Three letters of 5 bits and four hexadecimal digits, big endian; a kernel
 * compares the number, not the text.
 */
void aml_name_eisaid(struct aml *a, const char *name, const char *id)
{
	u32 packed = 0;

	assert(strlen(id) == 7);
	for (unsigned i = 0; i < 3; i++) {
		assert(id[i] >= 'A' && id[i] <= 'Z');
		packed = packed << 5 | (id[i] - '@');
	}
	for (unsigned i = 3; i < 7; i++)
		packed = packed << 4 | hex_digit(id[i]);
	put_name(a, name);
	put_byte(a, OP_DWORD);
	put_u32(a, __builtin_bswap32(packed));
}

void aml_name_package(struct aml *a, const char *name, const u64 *value, unsigned n)
{
	assert(n <= UINT8_MAX);
	put_name(a, name);
	put_byte(a, OP_PACKAGE);
	open_block(a);
	put_byte(a, n);
	for (unsigned i = 0; i < n; i++)
		put_integer(a, value[i]);
	aml_end(a);
}

void aml_crs(struct aml *a)
{
	put_name(a, "_CRS");
	put_byte(a, OP_BUFFER);
	open_block(a);
}

void aml_crs_io(struct aml *a, u16 port, u8 len)
{
	put_byte(a, RES_IO);
	put_byte(a, 1); /* decodes 16 bits of address */
	put_u16(a, port); /* lowest and highest base: it cannot be moved */
	put_u16(a, port);
	put_byte(a, 1); /* alignment, without meaning for a fixed base */
	put_byte(a, len);
}

void aml_crs_memory(struct aml *a, u32 base, u32 size)
{
	put_byte(a, RES_MEMORY32_FIXED);
	put_u16(a, 9); /* bytes to come */
	put_byte(a, 1); /* read and write */
	put_u32(a, base);
	put_u32(a, size);
}

void aml_crs_edge_interrupt(struct aml *a, u32 gsi)
{
	put_byte(a, RES_EXT_INTERRUPT);
	put_u16(a, 6); /* bytes to come */
	put_byte(a, 1 << 0 | 1 << 1); /* consumer, edge; active high, exclusive */
	put_byte(a, 1); /* one interrupt */
	put_u32(a, gsi);
}

void aml_crs_end(struct aml *a)
{
	u8 code[9];
	size_t start;

	put_byte(a, RES_END);
	put_byte(a, 0); /* a checksum of 0 is not checked */

	assert(a->depth > 0);
	start = a->open[a->depth - 1];
	insert(a, start, code, encode_integer(code, a->len - start));
	aml_end(a);
}
