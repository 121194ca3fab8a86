// SPDX-License-Identifier: MIT
/*
 * log.c - what is said is one whole line, and a guest cannot make us say it
 * without end.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "driver.h"

static char said[1 << 20];

static unsigned lines(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

static void a_warning_is_one_line(void)
{
	stderr_capture();
	warn("tap %s has %d ends", "tap0", 2);
	stderr_release(said, sizeof(said));
	CHECK_STR(said, "ringlet: tap tap0 has 2 ends\n");
}

static void raw_terminals_get_a_return(void)
{
	stderr_capture();
	log_raw_terminal(true);
	warn("a");
	log_raw_terminal(false);
	warn("b");
	stderr_release(said, sizeof(said));
	CHECK_STR(said, "ringlet: a\r\nringlet: b\n");
}

static void info_needs_v(void)
{
	stderr_capture();
	log_verbose = false;
	info("quiet");
	log_verbose = true;
	info("loud");
	log_verbose = false;
	stderr_release(said, sizeof(said));
	CHECK_STR(said, "ringlet: loud\n");
}

static void long_lines_are_whole(void)
{
	static char x[100000];
	size_t n;

	memset(x, 'x', sizeof(x) - 1);
	x[sizeof(x) - 1] = '\0';
	for (int raw = 0; raw < 2; raw++) {
		stderr_capture();
		log_raw_terminal(raw);
		warn("%s", x);
		log_raw_terminal(false);
		n = stderr_release(said, sizeof(said));
		CHECK_EQ(n, strlen("ringlet: ") + sizeof(x) - 1 + strlen(raw ? "\r\n" : "\n"));
		CHECK_EQ(lines(said), 1);
		CHECK_EQ(said[n - 1], '\n');
		CHECK_EQ(said[n - 2] == '\r', raw);
	}
}

static void errno_survives(void)
{
	stderr_capture();
	errno = ENOMEDIUM;
	warn("something");
	CHECK_EQ(errno, ENOMEDIUM);
	stderr_release(said, sizeof(said));
}

static void a_closed_stderr_is_survived(void)
{
	int saved = dup(STDERR_FILENO);

	close(STDERR_FILENO);
	errno = 0;
	warn("nobody hears this");
	CHECK_EQ(errno, 0);
	dup2(saved, STDERR_FILENO);
	close(saved);
}

static unsigned warnings_said(unsigned asked)
{
	stderr_capture();
	for (unsigned i = 0; i < asked; i++)
		guest_warn("guest mistake %u", i);
	stderr_release(said, sizeof(said));
	return lines(said);
}

static void few_guest_warnings_are_all_said(void)
{
	CHECK_EQ(warnings_said(1), 1);
	CHECK_EQ(warnings_said(10), 10);
	CHECK_HAS(said, "ringlet: guest mistake 0\n");
	CHECK_HAS(said, "ringlet: guest mistake 9\n");
}

static void many_guest_warnings_are_not(void)
{
	unsigned n = warnings_said(100000);

	/* A window's edge may fall into the run; more than a few it cannot. */
	CHECK(n >= 10 && n <= 100);
	CHECK_HAS(said, "ringlet: guest mistake 0\n");
	CHECK(!strstr(said, "guest mistake 99999"));
}

static void later_ones_are_said_again(void)
{
	unsigned n = 0;

	stderr_capture();
	for (unsigned minute = 0; minute < 5; minute++) {
		for (unsigned i = 0; i < 1000; i++)
			guest_warn("minute %u", minute);
		clock_advance(60);
	}
	n = stderr_release(said, sizeof(said)) ? lines(said) : 0;
	CHECK(n >= 5 && n <= 200);
	for (unsigned minute = 0; minute < 5; minute++) {
		char line[40];

		snprintf(line, sizeof(line), "ringlet: minute %u\n", minute);
		CHECK_HAS(said, line);
	}
}

static void *warn_a_lot(void *arg)
{
	for (unsigned i = 0; i < 2000; i++)
		guest_warn("thread %p", arg);
	return NULL;
}

static void threads_share_the_limit(void)
{
	pthread_t t[4];

	stderr_capture();
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, warn_a_lot, NULL);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	stderr_release(said, sizeof(said));
	CHECK(lines(said) <= 100);
	/* Each line is whole. */
	for (char *s = strtok(said, "\n"); s; s = strtok(NULL, "\n"))
		CHECK(!strncmp(s, "ringlet: thread ", 16) && !strstr(s + 1, "ringlet"));
}

static int exit_status_of(void (*f)(void))
{
	int status;
	pid_t pid;

	stderr_capture();
	pid = fork();
	if (!pid) {
		f();
		_exit(99);
	}
	waitpid(pid, &status, 0);
	stderr_release(said, sizeof(said));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A pipe that is full is stderr; what is read of it afterwards: said. */
static void with_a_full_pipe(void (*f)(void))
{
	int saved = dup(STDERR_FILENO), p[2];
	ssize_t n;

	CHECK(!pipe2(p, O_NONBLOCK));
	while (write(p[1], said, PIPE_BUF) > 0)
		;
	fcntl(p[1], F_SETFL, 0);
	dup2(p[1], STDERR_FILENO);
	close(p[1]);
	log_open();
	f();
	while (read(p[0], said, sizeof(said)) > 0)
		;
	warn("heard");
	n = read(p[0], said, sizeof(said) - 1);
	said[MAX(n, 0)] = '\0';
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(p[0]);
}

static void say_to_nobody(void)
{
	errno = ENOMEDIUM;
	for (int i = 0; i < 10; i++)
		guest_warn("not heard");
	CHECK_EQ(errno, ENOMEDIUM);
	warn("not heard");
}

static void say_nothing(void)
{
}

static void who_does_not_read_is_not_waited_for(void)
{
	with_a_full_pipe(say_to_nobody);
	CHECK_STR(said, "\nringlet: 11 messages lost here: nobody read standard error\nringlet: heard\n");
	with_a_full_pipe(say_nothing);
	CHECK_STR(said, "ringlet: heard\n");
}

static void call_die(void)
{
	die("no %s", "memory");
}

static void call_die_args(void)
{
	die_args("no such %s", "option");
}

static void dying_has_a_status(void)
{
	CHECK_EQ(exit_status_of(call_die), EXIT_HOST_ERROR);
	CHECK_STR(said, "ringlet: no memory\n");
	CHECK_EQ(exit_status_of(call_die_args), EXIT_BAD_ARGS);
	CHECK_STR(said, "ringlet: no such option\n");
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "a warning is one line that says who speaks", a_warning_is_one_line },
		{ "while the terminal is raw a line ends in carriage return and newline", raw_terminals_get_a_return },
		{ "info is said only with -v", info_needs_v },
		{ "a long message is whole, in one line", long_lines_are_whole },
		{ "saying something leaves errno alone", errno_survives },
		{ "a closed stderr is survived", a_closed_stderr_is_survived },
		{ "a guest's first mistakes are all reported", few_guest_warnings_are_all_said },
		{ "a guest's hundred thousand mistakes are not all reported", many_guest_warnings_are_not },
		{ "a minute later a guest's mistakes are reported again", later_ones_are_said_again },
		{ "threads share the limit and do not mix their lines", threads_share_the_limit },
		{ "die and die_args say one line and end with their status", dying_has_a_status },
		/* The last, as the pipe stays where messages go. */
		{ "who does not read stderr is not waited for, and told", who_does_not_read_is_not_waited_for },
	};
	return check_run(tests, ARRAY_SIZE(tests));
}
