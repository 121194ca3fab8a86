// SPDX-License-Identifier: MIT
/*
 * symbols.c - the functions of a kernel, by address.  The file may be anything
 * that a user took for the right one: every line, offset and length in it is
 * checked, and names are kept only as far as they can be printed.
 */
#include "symbols.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAIL(...) (snprintf(err, err_size, __VA_ARGS__), NULL)

#define NAME_MOST 200		/* bytes; Rust's get longer, and cut */
#define SYMBOLS_MOST (8u << 20) /* many times those of any kernel */
#define FAR (1 * MiB)		/* no function is longer: an address behind is none of its */

struct symbol {
	u64 address;
	u32 name; /* where in names it begins */
};

struct symbols {
	struct symbol *symbol; /* sorted */
	u32 n, room;
	char *names; /* each with its end */
	u32 names_len, names_room;
};

static bool add(struct symbols *s, u64 address, const char *name, size_t len)
{
	len = MIN(len, (size_t)NAME_MOST);
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return true;
	if (!len || !address || s->n == SYMBOLS_MOST)
		return true;
	if (s->n == s->room) {
		u32 room = s->room ? 2 * s->room : 4096;
		struct symbol *grown = realloc(s->symbol, room * sizeof(*grown));

		if (!grown)
			return false;
		s->symbol = grown;
		s->room = room;
	}
	if (s->names_room - s->names_len < NAME_MOST + 1) {
		u32 room = s->names_room ? 2 * s->names_room : 128 * 1024;
		char *grown = room > s->names_room ? realloc(s->names, room) : NULL;

		if (!grown)
			return false;
		s->names = grown;
		s->names_room = room;
	}
	s->symbol[s->n++] = (struct symbol){ address, s->names_len };
	memcpy(s->names + s->names_len, name, len);
	s->names[s->names_len + len] = '\0';
	s->names_len += (u32)len + 1;
	return true;
}

/* "ffffffff81000000 T _stext", with more behind it in kallsyms for a module's. */
static bool take_line(struct symbols *s, const char *line, size_t len)
{
	size_t digits = 0;
	u64 address = 0;

	while (digits < len && digits < 17) {
		const char c = line[digits];
		int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (v < 0)
			break;
		address = address << 4 | (u64)v;
		digits++;
	}
	if (digits < 8 || digits > 16 || len < digits + 4 || line[digits] != ' ' || line[digits + 2] != ' ' ||
	    !memchr("tTwW", line[digits + 1], 4))
		return true;
	line += digits + 3;
	len -= digits + 3;
	for (size_t i = 0; i < len; i++)
		if (line[i] == '\t' || line[i] == ' ' || line[i] == '\r')
			len = i;
	return add(s, address, line, len);
}

static bool read_map(struct symbols *s, const char *text, size_t size)
{
	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t len = end ? (size_t)(end - text) : size;

		if (!take_line(s, text, len))
			return false;
		text += len;
		size -= len;
		if (size) {
			text++;
			size--;
		}
	}
	return true;
}

/* An array of n things in the file; NULL: it is not wholly there. */
static const void *part(const u8 *file, size_t size, u64 at, u64 n, size_t each)
{
	return at > size || n > (size - at) / each ? NULL : file + at;
}

/* Tables need not be aligned in a file that lies. */
#define GET(copy, table, i) memcpy(&(copy), (const u8 *)(table) + (u64)(i) * sizeof(copy), sizeof(copy))

static bool read_elf(struct symbols *s, const u8 *file, size_t size)
{
	const u8 *sections, *symbols;
	const char *names;
	Elf64_Shdr sh, strings, in;
	Elf64_Ehdr eh;
	Elf64_Sym sym;

	GET(eh, file, 0);
	sections = part(file, size, eh.e_shoff, eh.e_shnum, sizeof(sh));
	for (unsigned i = 0; sections && i < eh.e_shnum; i++) {
		GET(sh, sections, i);
		if (sh.sh_type != SHT_SYMTAB || sh.sh_link >= eh.e_shnum)
			continue;
		GET(strings, sections, sh.sh_link);
		symbols = part(file, size, sh.sh_offset, sh.sh_size / sizeof(sym), sizeof(sym));
		names = part(file, size, strings.sh_offset, strings.sh_size, 1);
		for (u64 k = 0; symbols && names && k < sh.sh_size / sizeof(sym); k++) {
			GET(sym, symbols, k);
			if (ELF64_ST_TYPE(sym.st_info) > STT_FUNC || ELF64_ST_TYPE(sym.st_info) == STT_OBJECT ||
			    sym.st_shndx >= eh.e_shnum || sym.st_name >= strings.sh_size)
				continue;
			GET(in, sections, sym.st_shndx);
			if (in.sh_flags & SHF_EXECINSTR &&
			    !add(s, sym.st_value, names + sym.st_name,
				 strnlen(names + sym.st_name, strings.sh_size - sym.st_name)))
				return false;
		}
	}
	return true;
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name; /* as in the file */
}

static struct symbols *parse(const u8 *file, size_t size, const char *path, char *err, size_t err_size)
{
	struct symbols *s = calloc(1, sizeof(*s));
	bool elf = size >= sizeof(Elf64_Ehdr) && !memcmp(file, ELFMAG, SELFMAG);

	if (!s || !(elf ? read_elf(s, file, size) : read_map(s, (const char *)file, size))) {
		symbols_free(s);
		return FAIL("--symbols %s: no memory for all its symbols", path);
	}
	if (!s->n) {
		symbols_free(s);
		return FAIL("--symbols %s: %s", path,
			    elf ? "it has none, as it was stripped; take the one with debugging information, or a System.map" :
				  "no System.map; take that of the guest's kernel, its vmlinux, or as root in the guest /proc/kallsyms");
	}
	qsort(s->symbol, s->n, sizeof(*s->symbol), by_address);
	return s;
}

struct symbols *symbols_open(const char *path, char *err, size_t err_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct symbols *s;
	struct stat st;
	void *file;

	if (fd < 0)
		return FAIL("--symbols %s: %s", path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !st.st_size) {
		close(fd);
		return FAIL("--symbols %s: not a file with something in it; of a guest's /proc/kallsyms make a copy", path);
	}
	file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (file == MAP_FAILED)
		return FAIL("--symbols %s: %s", path, strerror(errno));
	s = parse(file, (size_t)st.st_size, path, err, err_size);
	munmap(file, (size_t)st.st_size);
	return s;
}

void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	free(s->symbol);
	free(s->names);
	free(s);
}

const char *symbols_at(const struct symbols *s, u64 address, u64 *offset)
{
	u32 low = 0, high = s->n;

	/* The first that is behind the address; the one before it is the one. */
	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (s->symbol[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || address - s->symbol[low - 1].address >= FAR)
		return NULL;
	/* Of several names the first. */
	for (low--; low && s->symbol[low - 1].address == s->symbol[low].address;)
		low--;
	*offset = address - s->symbol[low].address;
	return s->names + s->symbol[low].name;
}

u64 symbols_find(const struct symbols *s, const char *name)
{
	for (u32 i = 0; i < s->n; i++)
		if (!strcmp(s->names + s->symbol[i].name, name))
			return s->symbol[i].address;
	return 0;
}
