// SPDX-License-Identifier: MIT
/*
 * conf-text.c - what is written about the command line: the full command that
 * means the same, read back through a real shell; the guest's own command
 * line; and the help text and manual page, which must agree with the tables.
 */
#include "conf-words.h"

#include <ctype.h>

static void full_command(void)
{
	struct conf c;
	char *text;

	parse(&c, "vmlinux -m 1536 -n tap=t0,mac=02:00:00:00:00:01,guest_ip=10.0.0.2,cpus=4-5 "
		  "--pin 1-3 -v");
	CHECK_EQ(c.net.queues, 1);
	text = conf_to_command(&c);
	CHECK_STR(text, "ringlet run --kernel vmlinux --mem 1536M --cpus 1 --net mode=tap,tap=t0,"
			"mac=02:00:00:00:00:01,guest_ip=10.0.0.2,queue_size=1024,queues=1,"
			"irq=adaptive,spin=on,io=uring,cpus=4:5 --pin 1,2,3 --verbose");
	free(text);
	conf_free(&c);

	parse(&c, "vmlinux -n mac=02:00:00:00:00:01,uso=off,queues=2,status=on,irq=delay:50,"
		  "csum=off,cpus=1,3");
	text = conf_to_command(&c);
	CHECK_STR(text, "ringlet run --kernel vmlinux --mem 512M --cpus 1 --net mode=tap,"
			"mac=02:00:00:00:00:01,queue_size=1024,queues=2,irq=delay:50,spin=on,io=uring,"
			"cpus=1:3,csum=off,uso=off");
	free(text);
	conf_free(&c);
}

/* With everything a shell could trip over. */
static char *random_text(void)
{
	static const char letters[] = "az09 '\"\\$`!*?~#&;|<>()[]{}=%-,./:\xc3\xa4";
	char text[24];
	unsigned n = 1 + below(sizeof(text) - 2);

	for (unsigned i = 0; i < n; i++)
		text[i] = letters[below(sizeof(letters) - 1)];
	text[n] = 0;
	return strdup(text);
}

static void random_cpus(struct conf_cpus *c)
{
	c->n = below(3) ? below(CONF_MAX_PINS + 1) : 0;
	for (unsigned i = 0; i < c->n; i++)
		c->cpu[i] = below(4096);
}

static void random_features(struct conf_net *n)
{
	unsigned often = 1 + below(4);
	const char *name;

	for (unsigned i = 0; (name = net_feature_switch(i)); i++)
		if (!below(often))
			n->declined ^= net_feature_bits(name);
}

static void random_net(struct conf_net *n)
{
	n->fd = -1;
	n->queue_size = 1024;
	n->queues = 1;
	n->irq = NET_IRQ_ADAPTIVE;
	n->spin = true;
	n->declined = net_features_on_demand();
	n->mmio_strict = below(2);
	n->mode = below(4) ? NET_TAP : NET_NONE;
	if (n->mode == NET_NONE)
		return;
	if (below(2))
		snprintf(n->tap, sizeof(n->tap), "tap'%u\"", below(100));
	else if (below(2))
		n->fd = 3 + below(1000);
	for (int i = 1; i < 6; i++)
		n->mac[i] = below(256);
	n->mac[0] = 2 + 2 * below(127);
	if (below(2)) {
		n->prefix = 1 + below(30);
		n->host_ip = htonl(0x0a000001 | below(2) << 23);
	}
	if (below(2)) {
		n->guest_ip = n->host_ip ? n->host_ip ^ htonl(3) : ip("192.168.7.9");
		n->prefix = n->host_ip ? n->prefix : 24;
	}
	n->mtu = below(2) ? 68 + below(65454) : 0;
	n->queue_size = 32 << below(6);
	if (n->fd < 0)
		n->queues = 1 + below(NET_MAX_PAIRS);
	n->spin = below(2);
	n->irq = below(NET_IRQ_ADAPTIVE + 1);
	if (n->irq == NET_IRQ_DELAY || n->irq == NET_IRQ_PENDING)
		n->irq_usecs = 1 + below(1000000);
	if (below(2))
		random_features(n);
	n->io = below(2) ? IO_POLL : IO_URING;
	random_cpus(&n->cpus);
	if (below(2))
		CHECK(asprintf((char **)&n->pcap, "a b/'%u\".pcapng", below(100)) > 0);
	n->snaplen = below(2) ? 1 + below(262144) : 0;
	n->pcap_max = below(2) ? MiB + below(1000000) : 0;
}

/* So many words, what is given before each. */
static char **random_words(unsigned n, const char *before)
{
	char **words = calloc(n + 1, sizeof(*words));

	for (unsigned i = 0; i < n; i++) {
		char *text = random_text();

		CHECK(asprintf(&words[i], "%s%s", before, text) > 0);
		free(text);
	}
	return words;
}

static void random_conf(struct conf *c)
{
	memset(c, 0, sizeof(*c));
	c->kernel = random_text();
	c->initrd = below(2) ? random_text() : NULL;
	c->params = below(2) ? random_text() : strdup("");
	c->user = below(2) ? random_text() : NULL;
	c->mem = below(2) ? (64 + below(100000)) * MiB : (1 + below(1024)) * GiB;
	c->cpus = 1 + below(MAX_CPUS);
	c->timeout = below(2) ? 1 + below(100000000) : 0;
	c->name = below(2) ? strdup("web-1") : NULL;
	c->sock = below(2) ? random_text() : NULL;
	c->dump_on_panic = below(2) ? random_text() : NULL;
	c->symbols = below(2) ? random_text() : NULL;
	c->net.chaos.on = below(2);
	c->net.chaos.seed = c->net.chaos.on ? below(1u << 31) : 0;
	for (unsigned i = 0; c->net.chaos.on && i < CHAOS_KINDS; i++)
		c->net.chaos.millionth[i] = below(2) ? below(CHAOS_ALWAYS + 1) : 0;
	c->watchdog = below(2) ? 1 + below(86400) : 0;
	c->watchdog_ends = c->watchdog && below(2);
	c->gdb.on = below(2);
	c->gdb.stopped = c->gdb.on && below(2);
	c->gdb.path = c->gdb.on && below(2) ? random_text() : NULL;
	c->gdb.port = c->gdb.on && !c->gdb.path ? below(65536) : 0;
	c->gdb.address = c->gdb.on && !c->gdb.path ? htonl(0x7f000001 + below(2)) : 0;
	c->stats.on = below(2);
	c->stats.format = c->stats.on ? below(REPORT_FORMATS) : 0;
	c->stats.file = c->stats.on && below(2) ? random_text() : NULL;
	c->trace.classes = below(2) ? 1 + below(31) : 0;
	c->trace.file = c->trace.classes ? random_text() : NULL;
	c->dry_run = below(2);
	c->verbose = below(2);
	c->out = below(2) ? random_text() : NULL;
	c->save_initrd = below(2) ? random_text() : NULL;
	c->command = below(2) ? random_words(below(4), "") : NULL;
	c->copies = below(2) ? random_words(1 + below(3), "src:/") : NULL;
	c->environ = below(2) ? random_words(1 + below(3), "NAME=") : NULL;
	random_net(&c->net);
	random_cpus(&c->pin);
}

/*
 * What the shell makes of the next command: each word on a line of its own,
 * then an empty line, which no word is.
 */
static void read_words(FILE *f, struct words *w)
{
	char *at = w->text, *end = w->text + sizeof(w->text);

	w->n = 0;
	w->word[w->n++] = strcpy(at, "ringlet");
	at += 8;
	while (fgets(at, end - at, f) && strcmp(at, "\n")) {
		CHECK(w->n < MAX_WORDS - 1);
		w->word[w->n++] = at;
		at += strlen(at);
		CHECK_EQ(at[-1], '\n');
		at[-1] = 0;
	}
	w->word[w->n] = NULL;
}

static void round_trip(void)
{
	enum { ROUNDS = 300 };
	static struct conf c[ROUNDS];
	FILE *script = tmpfile(), *words;
	char shell[64];
	struct conf back;

	CHECK(script);
	fputs("ringlet() { printf '%s\\n' \"$@\" ''; }\n", script);
	for (int i = 0; i < ROUNDS; i++) {
		char *command;

		random_conf(&c[i]);
		command = conf_to_command(&c[i]);
		CHECK(!strchr(command, '\n'));
		fprintf(script, "%s\n", command);
		free(command);
	}
	CHECK(!fflush(script));
	snprintf(shell, sizeof(shell), "exec sh /dev/fd/%d", fileno(script));
	words = popen(shell, "r");
	CHECK(words);
	for (int i = 0; i < ROUNDS; i++) {
		struct words w;

		read_words(words, &w);
		parse_words(&back, &w);
		check_same(&c[i], &back);
		conf_free(&back);
		conf_free(&c[i]);
	}
	CHECK_EQ(pclose(words), 0);
	fclose(script);
}

static void guest_cmdline(const char *line, const char *expected)
{
	struct conf c;
	char *text;

	parse(&c, line);
	text = conf_guest_cmdline(&c);
	CHECK_STR(text, expected);
	free(text);
	conf_free(&c);
}

static void guest_cmdlines(void)
{
	guest_cmdline("vmlinux", "console=ttyS0 panic=-1 reboot=acpi");
	guest_cmdline("vmlinux -n ip=10.0.0.1/24", "console=ttyS0 panic=-1 reboot=acpi");
	guest_cmdline("vmlinux -p quiet -n ip=10.0.0.1/30,guest_ip=10.0.0.2 -p panic=0",
		      "console=ttyS0 panic=-1 reboot=acpi "
		      "ip=10.0.0.2::10.0.0.1:255.255.255.252::eth0:off quiet panic=0");
	guest_cmdline("vmlinux -n guest_ip=192.168.1.7",
		      "console=ttyS0 panic=-1 reboot=acpi ip=192.168.1.7:::255.255.255.0::eth0:off");
	/* Addresses as in the symbol table, unless somebody wants others. */
	guest_cmdline("vmlinux -s -p quiet", "console=ttyS0 panic=-1 reboot=acpi nokaslr quiet");
	guest_cmdline("vmlinux --gdb unix:x -S", "console=ttyS0 panic=-1 reboot=acpi nokaslr");
	guest_cmdline("vmlinux -s -p kaslr -p quiet", "console=ttyS0 panic=-1 reboot=acpi kaslr quiet");
	guest_cmdline("vmlinux -s -p quiet -p nokaslr", "console=ttyS0 panic=-1 reboot=acpi quiet nokaslr");
	guest_cmdline("vmlinux -s -p nokaslrx=1", "console=ttyS0 panic=-1 reboot=acpi nokaslr nokaslrx=1");
}

static void print_help(void *arg)
{
	(void)arg;
	conf_help();
}

static char *read_manual(void)
{
	FILE *f = fopen("vmm/ringlet.1", "r");
	char *text = calloc(1, 65536);

	CHECK(f && text);
	CHECK(fread(text, 1, 65535, f) > 0);
	fclose(f);
	return text;
}

static bool is_word_char(char ch)
{
	return isalnum((u8)ch) || ch == '-' || ch == '_';
}

/* The word stands in the text with no letter, digit or dash next to it. */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *s = text; (s = strstr(s, word)); s++)
		if ((s == text || !is_word_char(s[-1])) && !is_word_char(s[len]))
			return true;
	return false;
}

static void check_listed(const char *where, bool listed, const char *name)
{
	if (!listed)
		printf("# '%s' is missing in %s\n", name, where);
	CHECK(listed);
}

/* Name and meaning, as they are in the table. */
static void check_counters(const char *manual, const struct counter_table *t)
{
	char mdoc[256];

	for (unsigned i = 0; i < t->n; i++) {
		snprintf(mdoc, sizeof(mdoc), ".It Cm %s\n%s\n", t->counter[i].name, t->counter[i].help);
		check_listed("the manual page", strstr(manual, mdoc), t->counter[i].name);
	}
}

static void tables_are_documented(void)
{
	struct outcome help = in_child(print_help, NULL);
	char *manual = read_manual(), mdoc[64];
	unsigned keys = 0;
	const char *name;

	for (unsigned i = 0; (name = conf_option_name(i)); i++) {
		snprintf(mdoc, sizeof(mdoc), "Fl %s", name + 1);
		check_listed("the help text", has_word(help.text, name), name);
		check_listed("the manual page", has_word(manual, mdoc), name);
	}
	for (unsigned i = 0; (name = conf_net_key_name(i)); i++) {
		snprintf(mdoc, sizeof(mdoc), "Cm %s Ns =", name);
		check_listed("the help text", has_word(help.text, name), name);
		check_listed("the manual page", strstr(manual, mdoc), name);
		keys++;
	}
	for (unsigned i = 0; (name = conf_irq_name(i)); i++) {
		snprintf(mdoc, sizeof(mdoc), ".It Cm %s%s\n", name,
			 i == NET_IRQ_DELAY || i == NET_IRQ_PENDING ? " : Ns Ar usec" : "");
		check_listed("the help text", has_word(help.text, name), name);
		check_listed("the manual page", strstr(manual, mdoc), name);
	}
	check_counters(manual, &net_queue_table);
	check_counters(manual, &net_thread_table);
	for (unsigned i = 0; i < REPORT_FORMATS; i++) {
		snprintf(mdoc, sizeof(mdoc), ".Cm %s\n", report_format_name(i));
		check_listed("the manual page", strstr(manual, mdoc), report_format_name(i));
	}
	/* The parser has one bit for each to know it by. */
	CHECK(keys <= 64);
	free(manual);
}

static bool is_option(const char *name, size_t len)
{
	const char *known;

	for (unsigned i = 0; (known = conf_option_name(i)); i++)
		if (strlen(known) == len && !memcmp(known, name, len))
			return true;
	return false;
}

static bool is_key(const char *name, size_t len)
{
	const char *known;

	for (unsigned i = 0; (known = conf_net_key_name(i)); i++)
		if (strlen(known) == len && !memcmp(known, name, len))
			return true;
	return false;
}

#define KEY_LETTERS "abcdefghijklmnopqrstuvwxyz_"

/* Every word that looks like a key is one, and every feature that is listed. */
static void documented_keys_are_true(void)
{
	static const char key[] = ".It Cm ", switched[] = "FEATURE=on|off   offer it to the guest (on, the last two off):";
	struct outcome help = in_child(print_help, NULL);
	char *manual = read_manual(), *list = strstr(help.text, switched), name[64];
	unsigned n = 0;

	for (const char *s = manual; (s = strstr(s, key)); s++) {
		size_t len = strspn(s + strlen(key), KEY_LETTERS);

		if (strncmp(s + strlen(key) + len, " Ns = ", 6))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)len, s + strlen(key));
		check_listed("the key table", is_key(name, len), name);
		n++;
	}
	for (const char *s = help.text; (s = strstr(s, "\n      ")); s++) {
		size_t len = strspn(s + 7, KEY_LETTERS);

		if (s[7 + len] != '=')
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)len, s + 7);
		check_listed("the key table", !len || is_key(name, len), name);
		n += !!len;
	}
	CHECK(list);
	list += strlen(switched);
	*strstr(list, "\n  --") = 0;
	for (const char *s = strtok(list, " ,\n"); s; s = strtok(NULL, " ,\n")) {
		check_listed("the feature table", net_feature_bits(s), s);
		n++;
	}
	CHECK(n > 50);
	free(manual);
}

/* Every word that looks like an option is one. */
static void documents_are_true(void)
{
	struct outcome help = in_child(print_help, NULL);
	char *manual = read_manual(), name[64];
	unsigned n = 0;

	for (const char *s = help.text; *s; s++) {
		size_t len = strspn(s, "-Sabcdefghijklmnopqrstuvwxyz");

		if (*s != '-' || is_word_char(s[-1]))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)len, s);
		check_listed("the option table", !strcmp(name, "--") || is_option(s, len), name);
		n++;
		s += len - 1;
	}
	for (const char *s = manual; (s = strstr(s, "Fl ")); s++) {
		size_t len = strspn(s + 3, "-Sabcdefghijklmnopqrstuvwxyz");

		snprintf(name, sizeof(name), "-%.*s", (int)len, s + 3);
		check_listed("the option table", !strcmp(name, "--") || is_option(name, strlen(name)),
			     name);
		n++;
	}
	CHECK(n > 60);
	free(manual);
}

static void help_fits(void)
{
	static const char *const needed[] = {
		"Examples:\n", "  0 ", "  32 ", "  33 ", " 34 ", " 35 ", " 36 ", " 125 ", "Ctrl-A x",
	};
	struct outcome help = in_child(print_help, NULL);

	CHECK_EQ(help.status, 0);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		CHECK_HAS(help.text, needed[i]);
	for (char *s = help.text, *end; *s; s = end + 1) {
		end = strchr(s, '\n');
		CHECK(end);
		*end = 0;
		for (char *ch = s; *ch; ch++)
			CHECK(*ch >= ' ' && *ch <= '~');
		if (end - s > 80)
			printf("# too wide: %s\n", s);
		CHECK(end - s <= 80);
	}
}

/* The examples in the help text are ones that work. */
static void examples_parse(void)
{
	struct outcome help = in_child(print_help, NULL);
	char *s = strstr(help.text, "Examples:\n");
	int n = 0;

	CHECK(s);
	for (s = strstr(s, "\n  ringlet "); s; s = strstr(s, "\n  ringlet ")) {
		char line[256], *quote;
		struct conf c;

		s += strlen("\n  ringlet ");
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(s, "\n"), s);
		/* Without a shell the quoted blank would end the word. */
		quote = strchr(line, '\'');
		if (quote)
			*strchr(quote, ' ') = '_';
		parse(&c, line);
		CHECK_EQ(c.verb, VERB_RUN);
		conf_free(&c);
		n++;
	}
	CHECK_EQ(n, 5);
}

static void manual_is_clean(void)
{
	int status = system("command -v mandoc >/dev/null || exit 77;"
			    "mandoc -T lint -W warning vmm/ringlet.1 >&2");

	CHECK(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		SKIP("mandoc is not installed");
	CHECK_EQ(WEXITSTATUS(status), 0);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "the full command line leaves nothing to defaults", full_command },
		{ "a shell and the parser read any full command line back the same", round_trip },
		{ "the guest's command line has ours, the network's, then the user's", guest_cmdlines },
		{ "every option, key and counter is in the help text and the manual page",
		  tables_are_documented },
		{ "every option in the help text and the manual page exists", documents_are_true },
		{ "every key of --net in the help text and the manual page exists",
		  documented_keys_are_true },
		{ "the help text fits 80 columns and lists every exit status", help_fits },
		{ "the examples in the help text parse", examples_parse },
		{ "the manual page has no mdoc mistakes", manual_is_clean },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
