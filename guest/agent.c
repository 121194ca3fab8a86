// SPDX-License-Identifier: MIT
/*
 * agent - what a host wants done in a guest, without a login.
 *
 *	agent			serve, each connection by a process of its own:
 *		port 2323	a command: its output, and its status
 *		port 9999	what comes is thrown away, for tcpblast
 *		port 9998	the sha256 of what came
 *	agent job BASE64	run that shell command here, then say its status
 *				and the figures
 *	figures			(the same program) what the guest counts of its
 *				network device, a "NAME VALUE" per line: interrupts
 *				of the virtio device, frames that passed eth0 (with
 *				segmentation offload one may hold 64 KiB), and
 *				notifications that the driver sent, where it counts them
 *
 * A command comes as a line with a token and itself in base64; behind its output
 * comes a line with the token and the status.  The token tells the end of the
 * output even where the command leaves something running on the connection.  The
 * command "figures" is answered without another program: on an emulated
 * processor one takes as long to start as a hundred packets to send.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define DEVICE "eth0"
#define COMMAND_MAX (1 << 20)

/* --- figures --- */

/* A line of /proc/interrupts: NUMBER: COUNT... CONTROLLER NAME, if it is virtio's. */
static unsigned long long interrupts_of(char *line)
{
	unsigned long long sum = 0;
	char *s = strchr(line, ':'), *end;

	if (!s || !strstr(s, " virtio"))
		return 0;
	for (s++;; s = end) {
		unsigned long long n = strtoull(s, &end, 10);

		if (end == s || *end != ' ')
			return sum;
		sum += n;
	}
}

/* A line of /proc/net/dev: the second and the tenth number are packets in and out. */
static unsigned long long packets_of(char *line)
{
	unsigned long long in, out;
	char *s = strstr(line, DEVICE ":");

	if (!s || sscanf(s + strlen(DEVICE ":"), "%*u %llu %*u %*u %*u %*u %*u %*u %*u %llu", &in, &out) != 2)
		return 0;
	return in + out;
}

static unsigned long long sum_lines(const char *name, unsigned long long (*of)(char *))
{
	unsigned long long sum = 0;
	FILE *f = fopen(name, "re");
	char line[1024];

	while (f && fgets(line, sizeof(line), f))
		sum += of(line);
	if (f)
		fclose(f);
	return sum;
}

static int ask_driver(int s, void *question)
{
	struct ifreq ifr = { .ifr_name = DEVICE, .ifr_data = question };

	return ioctl(s, SIOCETHTOOL, &ifr);
}

/* What ethtool -S shows as kicks of all queues; -1: this driver does not count them. */
static long long kicks(void)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_gstrings *names = NULL;
	struct ethtool_stats *values = NULL;
	long long sum = -1;

	if (!ask_driver(s, &info)) {
		names = calloc(1, sizeof(*names) + (size_t)info.n_stats * ETH_GSTRING_LEN);
		values = calloc(1, sizeof(*values) + info.n_stats * sizeof(values->data[0]));
	}
	if (names && values) {
		names->cmd = ETHTOOL_GSTRINGS;
		names->string_set = ETH_SS_STATS;
		values->cmd = ETHTOOL_GSTATS;
		names->len = values->n_stats = info.n_stats;
		if (ask_driver(s, names) || ask_driver(s, values))
			info.n_stats = 0;
		for (unsigned i = 0; i < info.n_stats; i++) {
			const char *name = (const char *)names->data + i * ETH_GSTRING_LEN;
			size_t len = strnlen(name, ETH_GSTRING_LEN);

			if (len >= 5 && !memcmp(name + len - 5, "kicks", 5))
				sum = (sum < 0 ? 0 : sum) + (long long)values->data[i];
		}
	}
	free(names);
	free(values);
	close(s);
	return sum;
}

static void figures(int to)
{
	long long k = kicks();

	dprintf(to, "interrupts %llu\npackets %llu\n", sum_lines("/proc/interrupts", interrupts_of),
		sum_lines("/proc/net/dev", packets_of));
	if (k >= 0)
		dprintf(to, "kicks %lld\n", k);
}

/* --- commands --- */

/* In place; what is no such digit is passed over. */
static size_t decode(char *s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, n = 0;
	char *to = s, *start = s;

	for (; *s && *s != '='; s++) {
		const char *d = strchr(digits, *s);

		if (!d)
			continue;
		bits = bits << 6 | (unsigned)(d - digits);
		n += 6;
		if (n >= 8)
			*to++ = (char)(bits >> (n -= 8));
	}
	*to = '\0';
	return (size_t)(to - start);
}

/* As a shell would: 128 and a signal's number. */
static int status_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* By a shell, from a file without a name; its output goes to ours. */
static int run(const char *command, size_t len)
{
	int fd = memfd_create("command", 0), status, null;
	char name[32];
	pid_t pid;

	if (fd < 0 || write(fd, command, len) != (ssize_t)len)
		return 126;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	pid = fork();
	if (!pid) {
		null = open("/dev/null", O_RDONLY);
		if (null > 0)
			dup2(null, STDIN_FILENO);
		execl("/bin/sh", "sh", name, (char *)NULL);
		_exit(127);
	}
	close(fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 126;
	return status_of(status);
}

static void serve_command(int c)
{
	FILE *f = fdopen(dup(c), "r");
	char *line = NULL, *token, *command;
	size_t size = 0, len;
	int status = 0;

	if (!f || getline(&line, &size, f) < 0 || strlen(line) > COMMAND_MAX)
		return;
	token = strtok_r(line, " \n", &command);
	if (!token)
		return;
	len = decode(command);
	if (!strcmp(command, "figures\n")) {
		figures(c);
	} else {
		dup2(c, STDOUT_FILENO);
		dup2(c, STDERR_FILENO);
		status = run(command, len);
	}
	dprintf(c, "%s %d\n", token, status);
}

static void serve_discard(int c)
{
	static char buf[65536];

	while (read(c, buf, sizeof(buf)) > 0)
		;
}

static void serve_digest(int c)
{
	dup2(c, STDIN_FILENO);
	dup2(c, STDOUT_FILENO);
	/* The shell knows it; there need be no file of that name. */
	execl("/bin/sh", "sh", "-c", "exec sha256sum", (char *)NULL);
}

/* --- the server --- */

static const struct {
	in_port_t port;
	void (*serve)(int c);
} services[] = { { 2323, serve_command }, { 9999, serve_discard }, { 9998, serve_digest } };

/* For both families, where the kernel has both. */
static int listen_at(in_port_t port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	int s = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, no = 0;
	bool old = s < 0;

	if (old)
		s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!old)
		setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
	if (bind(s, old ? (struct sockaddr *)&four : (struct sockaddr *)&six, old ? sizeof(four) : sizeof(six)) ||
	    listen(s, 64)) {
		fprintf(stderr, "agent: port %u: %s\n", port, strerror(errno));
		exit(1);
	}
	return s;
}

static void take_call(int s, void (*serve)(int c))
{
	int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);

	if (c < 0)
		return;
	if (!fork()) {
		signal(SIGCHLD, SIG_DFL);
		serve(c);
		exit(0);
	}
	close(c);
}

static void serve(void)
{
	struct pollfd p[ARRAY_SIZE(services)];

	signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		p[i] = (struct pollfd){ .fd = listen_at(services[i].port), .events = POLLIN };
	/* Whoever started us may go on: the ports are open. */
	if (daemon(1, 1))
		exit(1);
	for (;;) {
		poll(p, ARRAY_SIZE(p), -1);
		for (size_t i = 0; i < ARRAY_SIZE(services); i++)
			if (p[i].revents)
				take_call(p[i].fd, services[i].serve);
	}
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');

	if (!strcmp(name ? name + 1 : argv[0], "figures")) {
		figures(STDOUT_FILENO);
	} else if (argc == 3 && !strcmp(argv[1], "job")) {
		size_t len = decode(argv[2]);

		printf("agent: job ended with status %d\n", run(argv[2], len));
		fflush(stdout);
		figures(STDOUT_FILENO);
	} else if (argc == 1) {
		serve();
	} else {
		fprintf(stderr, "usage: agent | agent job BASE64 | figures\n");
		return 2;
	}
	return 0;
}
