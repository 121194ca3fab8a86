// SPDX-License-Identifier: MIT
/*
 * gdb_packet.c - the framing of gdb's remote protocol: "$data#sum", with
 * bytes that mean something to the frame written as '}' and the byte ^ 0x20.
 *
 * Pure functions.  They take any bytes at all, and keep no more of them than a
 * packet may have.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdb_internal.h"

static int digit(u8 c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static void keep(struct gdb_reader *r, u8 byte)
{
	if (r->n < GDB_PACKET)
		r->data[r->n++] = (char)byte;
	else
		r->too_long = true;
}

static enum gdb_event outside(struct gdb_reader *r, u8 byte)
{
	switch (byte) {
	case '$':
		r->state = READ_DATA;
		r->n = 0;
		r->sum = 0;
		r->too_long = false;
		return GDB_NOTHING;
	case 3:
		return GDB_INTERRUPT;
	case '-':
		return GDB_AGAIN;
	default:
		return GDB_NOTHING;
	}
}

static enum gdb_event complete(struct gdb_reader *r)
{
	r->state = READ_OUTSIDE;
	if (r->wrong)
		return GDB_WRONG;
	/* What is longer than we said is none that we know. */
	if (r->too_long)
		r->n = 0;
	r->data[r->n] = '\0';
	return GDB_PACKET_CAME;
}

enum gdb_event gdb_take_byte(struct gdb_reader *r, u8 byte)
{
	switch (r->state) {
	case READ_OUTSIDE:
		return outside(r, byte);
	case READ_DATA:
	case READ_ESCAPED:
		if (byte == '$') /* the one before was cut off */
			return outside(r, byte);
		if (byte == '#') {
			r->state = READ_SUM_1;
			return GDB_NOTHING;
		}
		r->sum = (u8)(r->sum + byte);
		if (r->state == READ_DATA && byte == '}') {
			r->state = READ_ESCAPED;
			return GDB_NOTHING;
		}
		keep(r, r->state == READ_ESCAPED ? byte ^ 0x20 : byte);
		r->state = READ_DATA;
		return GDB_NOTHING;
	case READ_SUM_1:
		r->wrong = digit(byte) != r->sum >> 4;
		r->state = READ_SUM_2;
		return GDB_NOTHING;
	case READ_SUM_2:
		r->wrong |= digit(byte) != (r->sum & 15);
		return complete(r);
	}
	return GDB_NOTHING;
}

size_t gdb_frame(const char *data, size_t n, char *to)
{
	size_t len = 0;
	u8 sum = 0;

	to[len++] = '$';
	for (size_t i = 0; i < n; i++) {
		if (data[i] && strchr("$#}*", data[i])) {
			to[len++] = '}';
			to[len++] = data[i] ^ 0x20;
		} else {
			to[len++] = data[i];
		}
	}
	for (size_t i = 1; i < len; i++)
		sum = (u8)(sum + (u8)to[i]);
	return len + (size_t)sprintf(to + len, "#%02x", sum);
}

bool gdb_number(const char **s, u64 *n)
{
	const char *p = *s;

	for (*n = 0; digit((u8)*p) >= 0; p++) {
		if (*n >> 60)
			return false;
		*n = *n << 4 | (u64)digit((u8)*p);
	}
	if (p == *s)
		return false;
	*s = p;
	return true;
}

bool gdb_expect(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

bool gdb_bytes(const char *s, size_t digits, u8 *to)
{
	for (size_t i = 0; i < digits / 2; i++) {
		int high = digit((u8)s[2 * i]), low = digit((u8)s[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		to[i] = (u8)(high << 4 | low);
	}
	return !(digits % 2);
}

/* --- answers ---------------------------------------------------------------------- */

void gdb_put(struct gdb_reply *r, const char *s)
{
	size_t n = MIN(strlen(s), sizeof(r->data) - r->n);

	memcpy(r->data + r->n, s, n);
	r->n += n;
}

void gdb_put_number(struct gdb_reply *r, u64 n)
{
	char text[17];

	snprintf(text, sizeof(text), "%llx", (unsigned long long)n);
	gdb_put(r, text);
}

void gdb_put_bytes(struct gdb_reply *r, const void *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const u8 *p = data;

	for (size_t i = 0; i < n && r->n + 2 <= sizeof(r->data); i++) {
		r->data[r->n++] = digits[p[i] >> 4];
		r->data[r->n++] = digits[p[i] & 15];
	}
}

void gdb_put_part(struct gdb_reply *r, const char *document, u64 from, u64 len)
{
	u64 size = strlen(document), room = sizeof(r->data) - r->n - 1;

	from = MIN(from, size);
	len = MIN(MIN(len, room), size - from);
	gdb_put(r, from + len < size ? "m" : "l");
	memcpy(r->data + r->n, document + from, len);
	r->n += len;
}
