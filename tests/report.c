// SPDX-License-Identifier: MIT
/*
 * report.c - documents in their three forms, and that what is said to be JSON
 * is: a decoder that is not ours must read the same values back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "driver.h"
#include "report.h"

static char *text;
static size_t size;
static FILE *f;
static struct report r;

static void begin(enum report_format format)
{
	free(text);
	text = NULL;
	f = open_memstream(&text, &size);
	CHECK(f);
	report_begin(&r, f, format);
}

static const char *end(void)
{
	report_end(&r);
	fclose(f);
	return text;
}

static void document(void)
{
	const u64 many[4] = { 5, 0, 2, 0 }, none[4] = { 0 };

	report_string(&r, "schema", "x/1");
	report_number(&r, "n", 7);
	report_number(&r, "zero", 0);
	report_group(&r, "net");
	report_string(&r, "tap", "tap0");
	report_group(&r, "rx");
	report_number(&r, "packets", ~0ULL);
	report_numbers(&r, "sizes", many, 4);
	report_numbers(&r, "nothing", none, 4);
	report_close(&r);
	report_group(&r, "tx");
	report_number(&r, "packets", 0);
	report_close(&r);
	report_list(&r, "features", "csum,mac");
	report_list(&r, "refused", "");
	report_close(&r);
	report_array(&r, "vcpus");
	for (unsigned i = 0; i < 2; i++) {
		report_group(&r, NULL);
		report_number(&r, "exits", i + 1);
		report_null(&r, "kvm");
		report_close(&r);
	}
	report_close(&r);
	report_array(&r, "errors");
	report_close(&r);
	report_number(&r, "last", 1);
}

static void json(void)
{
	begin(REPORT_JSON);
	document();
	CHECK_STR(end(), "{\"schema\":\"x/1\",\"n\":7,\"zero\":0,\"net\":{\"tap\":\"tap0\","
			 "\"rx\":{\"packets\":18446744073709551615,\"sizes\":[5,0,2,0],\"nothing\":[0,0,0,0]},"
			 "\"tx\":{\"packets\":0},\"features\":[\"csum\",\"mac\"],\"refused\":[]},"
			 "\"vcpus\":[{\"exits\":1,\"kvm\":null},{\"exits\":2,\"kvm\":null}],\"errors\":[],\"last\":1}\n");
}

static void plain(void)
{
	begin(REPORT_TEXT);
	document();
	CHECK_STR(end(), "schema x/1, n 7\n"
			 "net: tap tap0\n"
			 "net rx: packets 18446744073709551615, sizes 5/0/2\n"
			 "net: features csum,mac, refused none\n"
			 "vcpus 0: exits 1, kvm -\n"
			 "vcpus 1: exits 2, kvm -\n"
			 "last 1\n");
}

static void flat(void)
{
	begin(REPORT_FLAT);
	document();
	CHECK_STR(end(), "schema x/1\nn 7\nzero 0\nnet.tap tap0\nnet.rx.packets 18446744073709551615\n"
			 "net.rx.sizes.0 5\nnet.rx.sizes.1 0\nnet.rx.sizes.2 2\nnet.rx.sizes.3 0\n"
			 "net.rx.nothing.0 0\nnet.rx.nothing.1 0\nnet.rx.nothing.2 0\nnet.rx.nothing.3 0\n"
			 "net.tx.packets 0\nnet.features csum,mac\nnet.refused none\n"
			 "vcpus.0.exits 1\nvcpus.0.kvm -\nvcpus.1.exits 2\nvcpus.1.kvm -\nlast 1\n");
}

static void formats(void)
{
	CHECK_EQ(report_format("json"), REPORT_JSON);
	CHECK_EQ(report_format("text"), REPORT_TEXT);
	CHECK_EQ(report_format("flat"), REPORT_FLAT);
	CHECK_EQ(report_format(""), -1);
	CHECK_EQ(report_format("jso"), -1);
	CHECK_EQ(report_format("jsonx"), -1);
}

static const char *json_string(const char *s)
{
	begin(REPORT_JSON);
	report_string(&r, "s", s);
	return end();
}

static void strings(void)
{
	CHECK_STR(json_string("a\"b\\c/d"), "{\"s\":\"a\\\"b\\\\c/d\"}\n");
	CHECK_STR(json_string("\n\t\x01\x1f\x7f"), "{\"s\":\"\\u000a\\u0009\\u0001\\u001f\\u007f\"}\n");
	CHECK_STR(json_string("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa7"),
		  "{\"s\":\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa7\"}\n");
	/* Alone, cut off, too long, a surrogate, beyond the last: not UTF-8. */
	CHECK_STR(json_string("\xfc"), "{\"s\":\"\\u00fc\"}\n");
	CHECK_STR(json_string("\xc3"), "{\"s\":\"\\u00c3\"}\n");
	CHECK_STR(json_string("\xc0\xaf"), "{\"s\":\"\\u00c0\\u00af\"}\n");
	CHECK_STR(json_string("\xed\xa0\x80"), "{\"s\":\"\\u00ed\\u00a0\\u0080\"}\n");
	CHECK_STR(json_string("\xf4\x90\x80\x80"), "{\"s\":\"\\u00f4\\u0090\\u0080\\u0080\"}\n");
	begin(REPORT_TEXT);
	report_string(&r, "s", "a\033[2J\nb");
	CHECK_STR(end(), "s a?[2J?b\n");
}

/* Any bytes at all, and Perl reads what was meant. */
static void others_can_read_it(void)
{
	char path[] = "/tmp/ringlet-report.XXXXXX", command[256], s[64];
	int fd = mkstemp(path);
	u64 seed = 7;

	CHECK(fd >= 0);
	for (unsigned i = 0; i < 300; i++) {
		unsigned n = random_next(&seed) % (sizeof(s) - 1);

		for (unsigned k = 0; k < n; k++)
			s[k] = (char)(random_next(&seed) % 255 + 1);
		s[n] = '\0';
		json_string(s);
		CHECK_EQ(write(fd, text, size), size);
		begin(REPORT_JSON);
		document();
		end();
		CHECK_EQ(write(fd, text, size), size);
	}
	close(fd);
	snprintf(command, sizeof(command),
		 "perl -MJSON::PP -ne 'my $d = decode_json($_); $n++ if exists $d->{s} || $d->{net}{rx}{sizes}[2] == 2; "
		 "END { exit($n != 600) }' %s", path);
	CHECK_EQ(system(command), 0);
	unlink(path);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "JSON has it all, in one line", json },
		{ "text has a line per group, without zeroes", plain },
		{ "flat lines have it all, each with its path", flat },
		{ "formats are known by their names", formats },
		{ "strings hold any bytes", strings },
		{ "another program reads the JSON", others_can_read_it },
	};
	int status = check_run(tests, ARRAY_SIZE(tests));

	free(text);
	return status;
}
