// SPDX-License-Identifier: MIT
/*
 * conf.c - the command line becomes a struct conf, or one sentence about what
 * is wrong with it and how to put it right.
 *
 * Options follow getopt's habits ("--mem 512", "--mem=512", "-m512"), and
 * QEMU's single-dash words are understood where the meaning is the same.
 * Everything that can be judged without looking at the host is judged here and
 * in the other files of the name, so that the rest of the program meets only
 * values it can use; most values are conf_value.c's, the keys of --net
 * conf_net.c's.  Nothing of the host is touched except to look for a kernel
 * when none is named.
 */
#include "conf_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guests.h"
#include "log.h"

#define DEFAULT_MEM (512 * MiB)
#define TIMEOUT_MAX 315360000 /* seconds: ten years, and far from overflowing a timer */

enum option {
	OPT_KERNEL,
	OPT_INITRD,
	OPT_PARAMS,
	OPT_MEM,
	OPT_CPUS,
	OPT_NET,
	OPT_PIN,
	OPT_TIMEOUT,
	OPT_NS_EXEC,
	OPT_COPY,
	OPT_ENV,
	OPT_CWD,
	OPT_OUT,
	OPT_SAVE_INITRD,
	OPT_USER,
	OPT_STATS,
	OPT_TRACE,
	OPT_NAME,
	OPT_SOCK,
	OPT_DUMP_ON_PANIC,
	OPT_SYMBOLS,
	OPT_WATCHDOG,
	OPT_CHAOS,
	OPT_GDB,
	OPT_GDB_HERE,
	OPT_STOPPED,
	OPT_MMIO_STRICT,
	OPT_DRY_RUN,
	OPT_VERBOSE,
	OPT_NOGRAPHIC,
	OPT_JSON,
	OPT_VERSION,
	OPT_HELP,
};

/* Every spelling; of spellings equally near to a mistyped one the first is suggested. */
static const struct spelling {
	const char *name;
	enum option option;
	const char *example; /* of a value, NULL when the option takes none */
} spellings[] = {
	{ "--kernel", OPT_KERNEL, "bzImage" },
	{ "-k", OPT_KERNEL, "bzImage" },
	{ "-kernel", OPT_KERNEL, "bzImage" },
	{ "--initrd", OPT_INITRD, "initrd.img" },
	{ "-i", OPT_INITRD, "initrd.img" },
	{ "-initrd", OPT_INITRD, "initrd.img" },
	{ "--params", OPT_PARAMS, "'root=/dev/ram0 quiet'" },
	{ "-p", OPT_PARAMS, "'root=/dev/ram0 quiet'" },
	{ "--append", OPT_PARAMS, "'root=/dev/ram0 quiet'" },
	{ "-append", OPT_PARAMS, "'root=/dev/ram0 quiet'" },
	{ "--mem", OPT_MEM, "512M" },
	{ "-m", OPT_MEM, "512M" },
	{ "--cpus", OPT_CPUS, "2" },
	{ "-c", OPT_CPUS, "2" },
	{ "--smp", OPT_CPUS, "2" },
	{ "-smp", OPT_CPUS, "2" },
	{ "--net", OPT_NET, "tap,ip=10.0.0.1/24" },
	{ "-n", OPT_NET, "tap,ip=10.0.0.1/24" },
	{ "--pin", OPT_PIN, "1,3-5" },
	{ "--timeout", OPT_TIMEOUT, "60" },
	{ "--ns-exec", OPT_NS_EXEC, "'ping -c 3 192.168.77.2'" },
	{ "--copy", OPT_COPY, "src:/src" },
	{ "--env", OPT_ENV, "LANG=C" },
	{ "--cwd", OPT_CWD, "/src" },
	{ "--out", OPT_OUT, "results" },
	{ "--save-initrd", OPT_SAVE_INITRD, "initrd.cpio" },
	{ "--user", OPT_USER, "nobody" },
	{ "--stats", OPT_STATS, "json" },
	{ "--trace", OPT_TRACE, "net,vq,irq:FILE" },
	{ "--name", OPT_NAME, "web" },
	{ "--sock", OPT_SOCK, "/run/web.sock" },
	{ "--dump-on-panic", OPT_DUMP_ON_PANIC, "core" },
	{ "--symbols", OPT_SYMBOLS, "System.map" },
	{ "--watchdog", OPT_WATCHDOG, "10" },
	{ "--chaos", OPT_CHAOS, "drop:0.001,seed:1" },
	{ "--gdb", OPT_GDB, "tcp:1234" },
	{ "-gdb", OPT_GDB, "tcp:1234" },
	{ "-s", OPT_GDB_HERE, NULL },
	{ "-S", OPT_STOPPED, NULL },
	{ "--mmio-strict", OPT_MMIO_STRICT, NULL },
	{ "--dry-run", OPT_DRY_RUN, NULL },
	{ "--verbose", OPT_VERBOSE, NULL },
	{ "-v", OPT_VERBOSE, NULL },
	{ "--nographic", OPT_NOGRAPHIC, NULL },
	{ "-nographic", OPT_NOGRAPHIC, NULL },
	{ "--json", OPT_JSON, NULL },
	{ "--version", OPT_VERSION, NULL },
	{ "--help", OPT_HELP, NULL },
	{ "-h", OPT_HELP, NULL },
};

/* Where the value goes as it is, or that it was given; 0: what take_option() knows. */
static const struct {
	size_t string, flag;
} places[] = {
	[OPT_KERNEL] = { .string = offsetof(struct conf, kernel) },
	[OPT_INITRD] = { .string = offsetof(struct conf, initrd) },
	[OPT_NS_EXEC] = { .string = offsetof(struct conf, ns_exec) },
	[OPT_CWD] = { .string = offsetof(struct conf, cwd) },
	[OPT_OUT] = { .string = offsetof(struct conf, out) },
	[OPT_SAVE_INITRD] = { .string = offsetof(struct conf, save_initrd) },
	[OPT_USER] = { .string = offsetof(struct conf, user) },
	[OPT_NAME] = { .string = offsetof(struct conf, name) },
	[OPT_SOCK] = { .string = offsetof(struct conf, sock) },
	[OPT_DUMP_ON_PANIC] = { .string = offsetof(struct conf, dump_on_panic) },
	[OPT_SYMBOLS] = { .string = offsetof(struct conf, symbols) },
	[OPT_STOPPED] = { .flag = offsetof(struct conf, gdb.stopped) },
	[OPT_MMIO_STRICT] = { .flag = offsetof(struct conf, net.mmio_strict) },
	[OPT_DRY_RUN] = { .flag = offsetof(struct conf, dry_run) },
	[OPT_VERBOSE] = { .flag = offsetof(struct conf, verbose) },
	[OPT_HELP] = { 0 }, /* the last: there is one for each */
};
_Static_assert(!offsetof(struct conf, verb), "what is at 0 is the place of no value");

/* What is known while the words are gone through, and of no use after that. */
struct parse {
	struct conf *conf;
	const char *kernel_option; /* the spelling that named the kernel, NULL if none did */
	const char *kernel_word;   /* or the word that did without an option */
	bool net_given;
};

static const char *option_name(unsigned i)
{
	return i < ARRAY_SIZE(spellings) ? spellings[i].name : NULL;
}

/* The others of stat, list, trace and dump are spelled like some of these, but for some. */
const char *conf_option_name(unsigned i)
{
	static const char *const others[] = { "--latency", "--consistent" };

	return i - ARRAY_SIZE(spellings) < ARRAY_SIZE(others) ? others[i - ARRAY_SIZE(spellings)] : option_name(i);
}

static const struct spelling *spelling_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++)
		if (strlen(spellings[i].name) == len && !memcmp(spellings[i].name, name, len))
			return &spellings[i];
	return NULL;
}

static const char **string_of(struct conf *c, enum option o)
{
	return (const char **)((u8 *)c + places[o].string);
}

/* Its value may be left away, and is never the next word. */
static bool is_optional(const struct spelling *o)
{
	return o->option == OPT_STATS;
}

/* By itself, without a value in the same word; o may be NULL. */
static bool wants_next_word(const struct spelling *o)
{
	return o && o->example && !is_optional(o);
}

/* Append a copy to a list that NULL ends, or that is NULL. */
static void add_word(char ***list, const char *word)
{
	size_t n = 0;

	while (*list && (*list)[n])
		n++;
	*list = realloc(*list, (n + 2) * sizeof(**list));
	if (!*list)
		die("out of memory while reading the command line");
	if (word)
		(*list)[n++] = conf_copy(word);
	(*list)[n] = NULL;
}

static void free_words(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static void take_environ(struct conf *c, const char *where, const char *value)
{
	if (!strchr(value, '=') || *value == '=')
		die_args("%s%s: not NAME=VALUE; write it like LANG=C", where, value);
	add_word(&c->environ, value);
}

/* dir: the part of the value that names one. */
static void check_guest_dir(const char *where, const char *value, const char *dir)
{
	if (*dir != '/')
		die_args("%s%s: a directory of the guest's begins with a slash", where, value);
}

static void add_params(struct conf *c, const char *value)
{
	size_t len = strlen(c->params);
	char *grown;

	if (!*value)
		return;
	grown = realloc(c->params, len + strlen(value) + 2);
	if (!grown)
		die("out of memory while reading the command line");
	c->params = grown;
	if (len)
		grown[len++] = ' ';
	strcpy(grown + len, value);
}

static _Noreturn void refuse_second_kernel(const struct parse *p, const char *second)
{
	die_args("only one kernel can be booted, and both '%s' and '%s' are named; "
		 "the guest's parameters go behind --params",
		 p->kernel_word ? p->kernel_word : p->conf->kernel, second);
}

static void take_kernel_word(struct parse *p, const char *word)
{
	if (p->kernel_word || p->kernel_option)
		refuse_second_kernel(p, word);
	p->kernel_word = word;
	conf_set_string(&p->conf->kernel, word);
}

/* Returns false when the rest of the command line does not matter any more. */
static bool take_option(struct parse *p, const struct spelling *o, const char *value)
{
	struct conf *c = p->conf;
	char where[32];

	snprintf(where, sizeof(where), "%s ", o->name);
	if (places[o->option].string)
		conf_set_string(string_of(c, o->option), value);
	if (places[o->option].flag)
		*(bool *)((u8 *)c + places[o->option].flag) = true;
	switch (o->option) {
	case OPT_KERNEL:
		if (p->kernel_word)
			refuse_second_kernel(p, value);
		p->kernel_option = o->name;
		break;
	case OPT_PARAMS:
		add_params(c, value);
		break;
	case OPT_MEM:
		c->mem = conf_size(where, value);
		break;
	case OPT_CPUS:
		c->cpus = conf_number(where, value, 1, MAX_CPUS);
		break;
	case OPT_NET:
		if (p->net_given)
			die_args("%s%s: a guest has one network device at most; put all keys into "
				 "one --net", where, value);
		p->net_given = true;
		conf_net_parse(&c->net, value);
		break;
	case OPT_PIN:
		conf_cpu_list(where, value, &c->pin);
		break;
	case OPT_TIMEOUT:
		c->timeout = conf_number(where, value, 1, TIMEOUT_MAX);
		break;
	case OPT_COPY:
		if (strchr(value, ':'))
			check_guest_dir(where, value, strchr(value, ':') + 1);
		add_word(&c->copies, value);
		break;
	case OPT_ENV:
		take_environ(c, where, value);
		break;
	case OPT_CWD:
		check_guest_dir(where, value, value);
		break;
	case OPT_STATS:
		conf_stats_parse("--stats=", value ? value : "text", &c->stats);
		break;
	case OPT_TRACE:
		conf_trace_words(where, value, &c->trace);
		break;
	case OPT_NAME:
		conf_check_name(where, value);
		break;
	case OPT_WATCHDOG:
		conf_watchdog_parse(where, value, c);
		break;
	case OPT_CHAOS:
		conf_chaos_parse(&c->net.chaos, value);
		break;
	case OPT_GDB:
		conf_gdb_parse(where, value, &c->gdb);
		break;
	case OPT_GDB_HERE:
		conf_gdb_parse(where, "tcp:127.0.0.1:1234", &c->gdb);
		break;
	case OPT_JSON:
		die_args("--json is for another thing: 'ringlet probe --json'");
	case OPT_VERSION:
		c->verb = VERB_VERSION;
		return false;
	case OPT_HELP:
		c->verb = VERB_HELP;
		return false;
	default: /* it has its place; or is -nographic, as the console always is */
		break;
	}
	return true;
}

static _Noreturn void refuse_option(const char *word)
{
	int len = MIN(strcspn(word, "="), 200); /* the value is not what is wrong */
	const char *near;
	char name[201];

	snprintf(name, sizeof(name), "%.*s", len, word);
	near = suggest_nearest(name, option_name);
	if (near)
		die_args("unknown option '%s'; did you mean '%s'?", name, near);
	die_args("unknown option '%s'; 'ringlet help' lists them all", name);
}

/*
 * The option of "-m512" or "-k/boot/vmlinuz".  A slip in one of the long
 * words, or one of QEMU's that we do not have, must not be taken for it:
 * "-pin=1" is not the parameter "in=1", nor "-machine" a memory size.
 */
static const struct spelling *attached(const char *word)
{
	const struct spelling *o = spelling_find(word, 2);
	size_t head = strcspn(word, "=");

	if (!o || !o->example)
		return NULL;
	if (o->option == OPT_MEM || o->option == OPT_CPUS)
		return isdigit((u8)word[2]) ? o : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
		const char *bare = spellings[i].name + strspn(spellings[i].name, "-");

		if (strlen(bare) == head - 1 && !memcmp(bare, word + 1, head - 1))
			return NULL;
	}
	return suggest_nearest(word, option_name) ? NULL : o;
}

/* Which option the word is, and the value when it is in the same word. */
static const struct spelling *recognise(const char *word, const char **value)
{
	size_t len = strlen(word), name_len = strcspn(word, "=");
	const struct spelling *o = spelling_find(word, len);

	*value = NULL;
	if (o)
		return o;
	if (name_len < len) {
		o = spelling_find(word, name_len);
		if (o && !o->example)
			die_args("option '%s' takes no value; leave '%s' away", o->name,
				 word + name_len);
		if (o) {
			*value = word + name_len + 1;
			return o;
		}
	}
	if (word[1] != '-' && len > 2) {
		o = attached(word);
		if (o) {
			*value = word + 2;
			return o;
		}
	}
	refuse_option(word);
}

/*
 * A file name or parameter with a line feed in it would break the guest's
 * command line.  The words of a command may have what they like.
 */
static void check_words(int argc, char **argv)
{
	bool is_value = false;

	for (int i = 1; i < argc && (is_value || strcmp(argv[i], "--")); i++) {
		for (const char *s = argv[i]; *s; s++)
			if (iscntrl((u8)*s))
				die_args("argument %d has a control character (0x%02x) in it; "
					 "write it on one line, without tabs", i, (u8)*s);
		is_value = !is_value && wants_next_word(spelling_find(argv[i], strlen(argv[i])));
	}
}

/* Of those that take next to nothing. */
static void take_simple(struct conf *c, enum conf_verb verb, int argc, char **argv)
{
	bool probe = verb == VERB_PROBE;

	c->verb = verb;
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help")) {
			c->verb = VERB_HELP;
			return;
		}
		if (!probe || strcmp(argv[i], "--json"))
			die_args("%s: '%s': it takes nothing%s", argv[1], argv[i], probe ? " but --json" : "");
		c->client.json = true;
	}
}

static int take_verb(struct conf *c, int argc, char **argv)
{
	if (argc < 2)
		return 1;
	if (!strcmp(argv[1], "version"))
		take_simple(c, VERB_VERSION, argc, argv);
	else if (!strcmp(argv[1], "help"))
		take_simple(c, VERB_HELP, argc, argv);
	else if (!strcmp(argv[1], "stat"))
		c->verb = VERB_STAT;
	else if (!strcmp(argv[1], "list"))
		c->verb = VERB_LIST;
	else if (!strcmp(argv[1], "trace"))
		c->verb = VERB_TRACE;
	else if (!strcmp(argv[1], "ctl") || !strcmp(argv[1], "dump"))
		c->verb = VERB_CTL;
	else if (!strcmp(argv[1], "probe"))
		take_simple(c, VERB_PROBE, argc, argv);
	else
		return strcmp(argv[1], "run") ? 1 : 2;
	return argc;
}

void conf_parse(struct conf *c, int argc, char **argv)
{
	struct parse p = { .conf = c };

	memset(c, 0, sizeof(*c));
	c->mem = DEFAULT_MEM;
	c->cpus = 1;
	c->params = conf_copy("");
	conf_net_init(&c->net);
	check_words(argc, argv);

	for (int i = take_verb(c, argc, argv); i < argc; i++) {
		const struct spelling *o;
		const char *value;

		if (argv[i][0] != '-') {
			if (!argv[i][0])
				die_args("argument %d is empty; a kernel's file name is expected",
					 i);
			take_kernel_word(&p, argv[i]);
			continue;
		}
		if (!strcmp(argv[i], "--")) {
			add_word(&c->command, NULL);
			while (++i < argc)
				add_word(&c->command, argv[i]);
			break;
		}
		o = recognise(argv[i], &value);
		if (wants_next_word(o) && !value && i + 1 < argc)
			value = argv[++i];
		if (wants_next_word(o) && !value)
			die_args("option '%s' needs a value, like: %s %s", o->name, o->name,
				 o->example);
		if (value && !*value && o->option != OPT_PARAMS)
			die_args("option '%s' has an empty value; write it like: %s%c%s", o->name,
				 o->name, is_optional(o) ? '=' : ' ', o->example);
		if (!take_option(&p, o, value))
			return;
	}
	if (c->verb == VERB_STAT || c->verb == VERB_LIST || c->verb == VERB_CTL)
		conf_client_parse(c, argc, argv);
	if (c->verb == VERB_TRACE)
		conf_trace_parse(c, argc, argv);
	if (c->ns_exec && !c->net.may_be_ns && !conf_net_has_namespace(&c->net))
		die_args("--ns-exec %s: there is no namespace to run it in; write --net ns", c->ns_exec);
	if (c->gdb.stopped && !c->gdb.on)
		die_args("-S: without gdb nobody could start the guest; write -s -S");
	if (c->command && c->kernel && !strncmp(c->kernel, GUEST_PREFIX, strlen(GUEST_PREFIX)))
		die_args("%s runs no commands; name a Linux kernel", c->kernel);
	if (c->verb == VERB_RUN)
		conf_choose_kernel(c);
}

void conf_free(struct conf *c)
{
	for (unsigned o = 0; o < ARRAY_SIZE(places); o++)
		if (places[o].string)
			free((char *)*string_of(c, o));
	free((char *)c->net.pcap);
	free((char *)c->stats.file);
	free((char *)c->trace.file);
	free((char *)c->gdb.path);
	free_words(c->command);
	free_words(c->copies);
	free_words(c->environ);
	free(c->params);
	memset(c, 0, sizeof(*c));
}
