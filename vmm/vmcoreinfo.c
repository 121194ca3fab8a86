// SPDX-License-Identifier: MIT
/*
 * vmcoreinfo.c - what Linux says of itself to those who read its memory: where
 * its text is, how large its structures are.
 *
 * It keeps that as an ELF note in pages of its own, for kdump, from the moment
 * it is up.  A firmware of ours, which it could tell the address, there is not;
 * so each page is looked at for the note's first bytes.
 */
#include <elf.h>
#include <string.h>
#include <stdlib.h>

#include "core.h"
#include "layout.h"
#include "mem.h"

#define NAME "VMCOREINFO"

/* As it is in memory, in front of the text. */
struct note_head {
	Elf64_Nhdr h;
	char name[ALIGN_UP(sizeof(NAME), 4)];
	char first[10]; /* of the text */
};

static bool is_text(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((s[i] < ' ' && s[i] != '\n') || s[i] > '~')
			return false;
	return n;
}

/* A page's note, if it begins with one. */
static bool take(const struct mem *m, u64 gpa, struct vmcoreinfo *v)
{
	const size_t before = offsetof(struct note_head, first);
	struct note_head head;
	const void *p = mem_at(m, gpa, sizeof(head)), *text;

	memcpy(&head, p, sizeof(head)); /* the guest may change it */
	if (head.h.n_namesz != sizeof(NAME) || head.h.n_type || memcmp(head.name, NAME, sizeof(NAME)) ||
	    memcmp(head.first, "OSRELEASE=", sizeof(head.first)) || head.h.n_descsz > VMCOREINFO_MOST)
		return false;
	text = mem_at(m, gpa + before, head.h.n_descsz);
	if (!text)
		return false;
	memcpy(v->text, text, head.h.n_descsz);
	v->text[head.h.n_descsz] = '\0';
	v->len = strnlen(v->text, head.h.n_descsz);
	return is_text(v->text, v->len);
}

void vmcoreinfo_find(const struct mem *m, struct vmcoreinfo *v)
{
	for (unsigned i = 0; i < m->n; i++)
		for (u64 at = 0; at < m->region[i].size; at += GUEST_PAGE)
			if (take(m, m->region[i].gpa + at, v))
				return;
	v->len = 0;
	v->text[0] = '\0';
}

bool vmcoreinfo_number(const struct vmcoreinfo *v, const char *name, int base, u64 *n)
{
	size_t len = strlen(name);

	for (const char *s = v->text; *s; s += strcspn(s, "\n"), s += *s == '\n') {
		char *end;

		if (strncmp(s, name, len) || s[len] != '=')
			continue;
		*n = strtoull(s + len + 1, &end, base);
		return end > s + len + 1 && (!*end || *end == '\n');
	}
	return false;
}
