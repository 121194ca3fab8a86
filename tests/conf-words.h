/* SPDX-License-Identifier: MIT */
/*
 * conf-words.h - command lines for the tests of conf.h.
 *
 * A refusal ends the process, so whatever may be refused is parsed in a child
 * first; what comes of a good command line is then looked at in this process,
 * where a sanitizer sees every leak.
 */
#ifndef RINGLET_CONF_WORDS_H
#define RINGLET_CONF_WORDS_H

#include "check.h"

#include <arpa/inet.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf.h"
#include "log.h"

#define MAX_WORDS 64
/* How a child ended, and what it said on stdout and stderr. */
struct outcome {
	int status;
	char text[8192];
};

static inline struct outcome in_child(void (*run)(void *arg), void *arg)
{
	struct outcome o = { .status = -1 };
	size_t len = 0;
	ssize_t n;
	int fd[2];
	pid_t pid;

	fflush(stdout);
	CHECK(!pipe(fd));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		dup2(fd[1], STDOUT_FILENO);
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		close(fd[1]);
		run(arg);
		fflush(stdout);
		_exit(0);
	}
	close(fd[1]);
	while ((n = read(fd[0], o.text + len, sizeof(o.text) - 1 - len)) > 0)
		len += n;
	close(fd[0]);
	CHECK_EQ(waitpid(pid, &o.status, 0), pid);
	CHECK(WIFEXITED(o.status));
	o.status = WEXITSTATUS(o.status);
	return o;
}

struct words {
	int n;
	char *word[MAX_WORDS];
	char text[4096];
};

/* "ringlet" and then the words of the line. */
static inline void split_at(struct words *w, const char *line, const char *separator)
{
	char *rest = w->text + 8, *word;

	w->n = 0;
	w->word[w->n++] = strcpy(w->text, "ringlet");
	snprintf(rest, sizeof(w->text) - 8, "%s", line);
	while ((word = strsep(&rest, separator))) {
		CHECK(w->n < MAX_WORDS - 1);
		w->word[w->n++] = word;
	}
	w->word[w->n] = NULL;
}

static inline void split(struct words *w, const char *line)
{
	split_at(w, line, " ");
}

static inline void parse_and_free(void *arg)
{
	struct words *w = arg;
	struct conf c;

	conf_parse(&c, w->n, w->word);
	conf_free(&c);
}

/* Parse words that are expected to be good. */
static inline void parse_words(struct conf *c, struct words *w)
{
	struct outcome o = in_child(parse_and_free, w);

	CHECK_STR(o.text, "");
	CHECK_EQ(o.status, 0);
	conf_parse(c, w->n, w->word);
}

static inline void parse(struct conf *c, const char *line)
{
	struct words w;

	split(&w, line);
	parse_words(c, &w);
}

static inline void refused_words(struct words *w, const char *sentence)
{
	struct outcome o = in_child(parse_and_free, w);

	CHECK_STR(o.text, sentence);
	CHECK_EQ(o.status, EXIT_BAD_ARGS);
}

/* A kernel is named first, so that none is looked for. */
static inline void refused(const char *line, const char *sentence)
{
	char full[512], said[1024];
	struct words w;

	snprintf(full, sizeof(full), "vmlinux %s", line);
	snprintf(said, sizeof(said), "ringlet: %s%s", sentence,
		 sentence[strlen(sentence) - 1] == '\n' ? "" : "\n");
	split(&w, full);
	refused_words(&w, said);
}

static inline u32 ip(const char *text)
{
	struct in_addr in;

	CHECK_EQ(inet_pton(AF_INET, text, &in), 1);
	return in.s_addr;
}

static inline bool same_cpus(const struct conf_cpus *a, const struct conf_cpus *b)
{
	return a->n == b->n && !memcmp(a->cpu, b->cpu, a->n * sizeof(a->cpu[0]));
}

static inline bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* Everything but how the kernel's name was come by. */
static inline bool same_words(char *const *a, char *const *b)
{
	size_t i = 0;

	if (!a || !b)
		return !a && !b;
	while (a[i] && b[i] && !strcmp(a[i], b[i]))
		i++;
	return !a[i] && !b[i];
}

static inline void check_same(const struct conf *a, const struct conf *b)
{
	const struct conf_net *n = &a->net, *m = &b->net;

	CHECK_EQ(a->verb, b->verb);
	CHECK(same_text(a->kernel, b->kernel));
	CHECK(same_text(a->initrd, b->initrd));
	CHECK(same_text(a->params, b->params));
	CHECK(same_text(a->user, b->user));
	CHECK(same_text(a->cwd, b->cwd));
	CHECK(same_text(a->out, b->out));
	CHECK(same_text(a->save_initrd, b->save_initrd));
	CHECK(same_text(a->ns_exec, b->ns_exec));
	CHECK(same_words(a->command, b->command));
	CHECK(same_words(a->copies, b->copies));
	CHECK(same_words(a->environ, b->environ));
	CHECK_EQ(a->mem, b->mem);
	CHECK_EQ(a->cpus, b->cpus);
	CHECK_EQ(a->timeout, b->timeout);
	CHECK_EQ(a->dry_run, b->dry_run);
	CHECK_EQ(a->verbose, b->verbose);
	CHECK(same_text(a->name, b->name));
	CHECK(same_text(a->sock, b->sock));
	CHECK_EQ(a->gdb.on, b->gdb.on);
	CHECK_EQ(a->gdb.stopped, b->gdb.stopped);
	CHECK(same_text(a->gdb.path, b->gdb.path));
	CHECK_EQ(a->gdb.address, b->gdb.address);
	CHECK_EQ(a->gdb.port, b->gdb.port);
	CHECK_EQ(a->stats.on, b->stats.on);
	CHECK_EQ(a->stats.format, b->stats.format);
	CHECK(same_text(a->stats.file, b->stats.file));
	CHECK_EQ(a->trace.classes, b->trace.classes);
	CHECK(same_text(a->trace.file, b->trace.file));
	CHECK(same_cpus(&a->pin, &b->pin));
	CHECK_EQ(n->mode, m->mode);
	CHECK_STR(n->tap, m->tap);
	CHECK_EQ(n->fd, m->fd);
	CHECK(!memcmp(n->mac, m->mac, 6));
	CHECK_EQ(n->host_ip, m->host_ip);
	CHECK_EQ(n->guest_ip, m->guest_ip);
	CHECK_EQ(n->prefix, m->prefix);
	CHECK_EQ(n->mtu, m->mtu);
	CHECK_EQ(n->queue_size, m->queue_size);
	CHECK_EQ(n->queues, m->queues);
	CHECK_EQ(n->irq, m->irq);
	CHECK_EQ(n->irq_usecs, m->irq_usecs);
	CHECK_EQ(n->spin, m->spin);
	CHECK_EQ(n->declined, m->declined);
	CHECK_EQ(n->io, m->io);
	CHECK_EQ(n->mmio_strict, m->mmio_strict);
	CHECK(same_cpus(&n->cpus, &m->cpus));
	CHECK(same_text(n->pcap, m->pcap));
	CHECK_EQ(n->snaplen, m->snaplen);
	CHECK_EQ(n->pcap_max, m->pcap_max);
}

/* Random, and the same in every run. */
static unsigned seed = 1;

static inline unsigned below(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

#endif
