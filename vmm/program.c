// SPDX-License-Identifier: MIT
/*
 * program.c - what a program of the host needs to run elsewhere: its loader
 * and its libraries, as its ELF headers name them and ld.so(8) would find
 * them, or the interpreter behind its #!.
 *
 * Nothing is executed to find out, because whoever gives a program to a
 * sandbox may have a reason.  The files may be damaged or hostile: every
 * offset is checked against the file's size, and what contradicts itself
 * needs nothing.
 */
#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "initramfs.h"
#include "log.h"

#define MAX_DEPTH 16 /* of #! behind #!, and of libraries' libraries */
#define LD_SO_CACHE "/etc/ld.so.cache"

/* A whole file, mapped. */
struct file {
	const u8 *p;
	u64 size;
};

static bool map_file(const char *name, struct file *f, unsigned *mode)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	void *p = MAP_FAILED;

	if (fd < 0)
		return false;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0)
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return false;
	*f = (struct file){ p, (u64)st.st_size };
	*mode = st.st_mode;
	return true;
}

/* len bytes at that offset, or NULL. */
static const void *at(const struct file *f, u64 offset, u64 len)
{
	return offset <= f->size && len <= f->size - offset ? f->p + offset : NULL;
}

/* A string, ended within the file; NULL: not so. */
static const char *string_at(const struct file *f, u64 offset)
{
	const char *s = at(f, offset, 1);

	return s && memchr(s, 0, f->size - offset) ? s : NULL;
}

/* The start of a mapping is aligned, what it speaks of need not be: those are copied. */
static const Elf64_Ehdr *elf(const struct file *f)
{
	const Elf64_Ehdr *e = at(f, 0, sizeof(*e));

	if (!e || memcmp(e->e_ident, ELFMAG, SELFMAG) || e->e_ident[EI_CLASS] != ELFCLASS64 ||
	    e->e_machine != EM_X86_64 || e->e_phentsize != sizeof(Elf64_Phdr) ||
	    !at(f, e->e_phoff, (u64)e->e_phnum * sizeof(Elf64_Phdr)))
		return NULL;
	return e;
}

static Elf64_Phdr segment(const struct file *f, const Elf64_Ehdr *e, unsigned i)
{
	Elf64_Phdr p;

	memcpy(&p, f->p + e->e_phoff + (u64)i * sizeof(p), sizeof(p)); /* elf() saw them */
	return p;
}

/* Where in the file it is that will be at that address. */
static u64 file_offset(const struct file *f, const Elf64_Ehdr *e, u64 address)
{
	for (unsigned i = 0; i < e->e_phnum; i++) {
		Elf64_Phdr p = segment(f, e, i);

		if (p.p_type == PT_LOAD && address >= p.p_vaddr && address - p.p_vaddr < p.p_filesz)
			return p.p_offset + (address - p.p_vaddr);
	}
	return UINT64_MAX;
}

/* --- where libraries are ---------------------------------------------------- */

static const char *const usual[] = {
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib",
};

/* A library of that name for this machine, in that directory. */
static char *try(const char *dir, size_t len, const char *name)
{
	struct file f;
	unsigned mode;
	char *path;
	bool ours;

	if (asprintf(&path, "%.*s/%s", (int)MIN(len, PATH_MAX), dir, name) < 0)
		die("out of memory while looking for libraries");
	ours = map_file(path, &f, &mode);
	if (ours) {
		ours = elf(&f);
		munmap((void *)f.p, f.size);
	}
	if (ours)
		return path;
	free(path);
	return NULL;
}

/* "DIR:DIR", in which $ORIGIN is the directory of what asks. */
static char *try_list(const char *list, const char *asking, const char *name)
{
	static const char origin[] = "$ORIGIN", braced[] = "${ORIGIN}";
	char dir[PATH_MAX], *found = NULL;

	for (const char *s = list; s && *s && !found; s += *s == ':') {
		size_t len = strcspn(s, ":"), skip = 0;

		if (!strncmp(s, origin, strlen(origin)))
			skip = strlen(origin);
		else if (!strncmp(s, braced, strlen(braced)))
			skip = strlen(braced);
		snprintf(dir, sizeof(dir), "%.*s%.*s", skip ? (int)(strrchr(asking, '/') - asking) : 0, asking,
			 (int)MIN(len - skip, PATH_MAX), s + skip);
		if (len)
			found = try(dir, strlen(dir), name);
		s += len;
	}
	return found;
}

/* ld.so.conf(5): a directory in each line, and "include PATTERN". */
static char *try_conf(const char *conf, const char *name, unsigned depth)
{
	char line[PATH_MAX], *found = NULL;
	FILE *f = depth < MAX_DEPTH ? fopen(conf, "re") : NULL;

	while (f && !found && fgets(line, sizeof(line), f)) {
		size_t start = strspn(line, " \t"), len;
		glob_t files;

		line[strcspn(line, "#\n")] = '\0';
		if (!strncmp(line + start, "include ", 8)) {
			if (!glob(line + start + 8, 0, NULL, &files))
				for (size_t i = 0; i < files.gl_pathc && !found; i++)
					found = try_conf(files.gl_pathv[i], name, depth + 1);
			globfree(&files);
		} else if (line[start] == '/') {
			len = strcspn(line + start, " \t");
			found = try(line + start, len, name);
		}
	}
	if (f)
		fclose(f);
	return found;
}

/* As ld.so does.  malloc'ed, NULL: nowhere. */
static char *find_library(const char *name, const char *asking, const char *rpath, const char *runpath)
{
	char *found;

	if (strchr(name, '/'))
		return try("", 0, name);
	found = runpath ? NULL : try_list(rpath, asking, name);
	if (!found)
		found = try_list(getenv("LD_LIBRARY_PATH"), asking, name);
	if (!found)
		found = try_list(runpath, asking, name);
	if (!found)
		found = try_conf("/etc/ld.so.conf", name, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(usual) && !found; i++)
		found = try(usual[i], strlen(usual[i]), name);
	return found;
}

/* --- what is needed --------------------------------------------------------- */

static void add_with_needs(struct initramfs *fs, const char *host, unsigned depth);

static void add_libraries(struct initramfs *fs, const struct file *f, const Elf64_Ehdr *e,
			  const Elf64_Phdr *dynamic, const char *host, unsigned depth)
{
	u64 n = dynamic->p_filesz / sizeof(Elf64_Dyn), strings = UINT64_MAX;
	const void *table = at(f, dynamic->p_offset, n * sizeof(Elf64_Dyn));
	const char *rpath = NULL, *runpath = NULL;
	Elf64_Dyn *d = table && n ? malloc(n * sizeof(*d)) : NULL;

	if (!d)
		return;
	memcpy(d, table, n * sizeof(*d));
	for (u64 i = 0; i < n; i++)
		if (d[i].d_tag == DT_STRTAB)
			strings = file_offset(f, e, d[i].d_un.d_ptr);
	if (strings >= f->size)
		n = 0;
	for (u64 i = 0; i < n && d[i].d_tag != DT_NULL; i++) {
		if (d[i].d_tag == DT_RPATH)
			rpath = string_at(f, strings + d[i].d_un.d_val);
		if (d[i].d_tag == DT_RUNPATH)
			runpath = string_at(f, strings + d[i].d_un.d_val);
	}
	for (u64 i = 0; i < n && d[i].d_tag != DT_NULL; i++) {
		const char *name = d[i].d_tag == DT_NEEDED ? string_at(f, strings + d[i].d_un.d_val) : NULL;
		char *library = name ? find_library(name, host, rpath, runpath) : NULL;

		if (library)
			add_with_needs(fs, library, depth + 1);
		free(library);
	}
	free(d);
}

static void add_elf_needs(struct initramfs *fs, const struct file *f, const Elf64_Ehdr *e, const char *host,
			  unsigned depth)
{
	struct stat st;

	for (unsigned i = 0; i < e->e_phnum; i++) {
		Elf64_Phdr p = segment(f, e, i);
		const char *interpreter = p.p_type == PT_INTERP ? string_at(f, p.p_offset) : NULL;

		if (interpreter && *interpreter == '/') {
			add_with_needs(fs, interpreter, depth + 1);
			/* The guest's loader finds things where the host's does. */
			if (!stat(LD_SO_CACHE, &st))
				initramfs_add_file(fs, LD_SO_CACHE, 0644, LD_SO_CACHE, (u64)st.st_size);
		}
		if (p.p_type == PT_DYNAMIC)
			add_libraries(fs, f, e, &p, host, depth);
	}
}

/* "#! /usr/bin/env python3 -x": env's own argument is a program, too. */
static void add_script_needs(struct initramfs *fs, const struct file *f, unsigned depth)
{
	char line[256], *word, *rest, *found;

	snprintf(line, sizeof(line), "%.*s", (int)MIN(f->size - 2, sizeof(line) - 1), (const char *)f->p + 2);
	line[strcspn(line, "\n")] = '\0';
	word = strtok_r(line, " \t", &rest);
	if (!word || *word != '/')
		return;
	add_with_needs(fs, word, depth + 1);
	if (strcmp(strrchr(word, '/'), "/env"))
		return;
	do
		word = strtok_r(NULL, " \t", &rest);
	while (word && (*word == '-' || strchr(word, '=')));
	found = word ? program_find(word) : NULL;
	if (found)
		add_with_needs(fs, found, depth + 1);
	free(found);
}

static void add_with_needs(struct initramfs *fs, const char *host, unsigned depth)
{
	const Elf64_Ehdr *e;
	struct file f;
	unsigned mode;

	if (depth > MAX_DEPTH || !map_file(host, &f, &mode))
		return;
	/* Known already: so is what it needs, and a circle ends. */
	if (initramfs_add_file(fs, host, mode, host, f.size)) {
		e = elf(&f);
		if (e)
			add_elf_needs(fs, &f, e, host, depth);
		else if (f.size > 2 && !memcmp(f.p, "#!", 2))
			add_script_needs(fs, &f, depth);
	}
	munmap((void *)f.p, f.size);
}

void initramfs_add_program(struct initramfs *fs, const char *host)
{
	add_with_needs(fs, host, 0);
}

static bool is_program(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

char *program_find(const char *name)
{
	const char *path = getenv("PATH");
	char *file, *full;

	if (strchr(name, '/')) {
		/* The directory without its links, the name as it was given. */
		file = strdup(name);
		full = file ? realpath((*strrchr(file, '/') = '\0', *file ? file : "/"), NULL) : NULL;
		free(file);
		if (!full || asprintf(&file, "%s/%s", strcmp(full, "/") ? full : "", strrchr(name, '/') + 1) < 0)
			file = NULL;
		free(full);
		if (file && is_program(file))
			return file;
		free(file);
		return NULL;
	}
	for (const char *s = path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"; *s; s += *s == ':') {
		size_t len = strcspn(s, ":");

		if (*s == '/' && asprintf(&file, "%.*s/%s", (int)len, s, name) >= 0) {
			if (is_program(file))
				return file;
			free(file);
		}
		s += len;
	}
	return NULL;
}
