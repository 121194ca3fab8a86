// SPDX-License-Identifier: MIT
/*
 * ctl_request.c - `ringlet ctl`: one request, and the file that it has the guest
 * write, which is made here.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"
#include "conf.h"
#include "ctl.h"
#include "ctl_internal.h"
#include "log.h"

/* What a request writes; removed unless all of it was written. */
static const char *partial;

static void remove_partial(void)
{
	if (partial)
		unlink(partial);
	partial = NULL;
}

static void killed(int signo)
{
	remove_partial();
	signal(signo, SIG_DFL);
	raise(signo);
}

/*
 * A file is this user's to make, here, not the guest's: which may have become
 * somebody else and be somewhere else.
 */
static int make_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;

	/* Who has made a FIFO waits for us, or comes. */
	if (fd < 0 && errno == EEXIST && !stat(name, &st) && S_ISFIFO(st.st_mode)) {
		fd = open(name, O_WRONLY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		errno = EPERM;
	}
	if (fd < 0 && errno == EEXIST)
		die_args("%s is there already: remove it, or choose another name", name);
	if (fd < 0)
		die_args("cannot make %s: %s", name, strerror(errno));
	partial = name;
	atexit(remove_partial);
	signal(SIGINT, killed);
	signal(SIGTERM, killed);
	signal(SIGHUP, killed);
	return fd;
}

static bool send_with_file(int fd, const char *line, int file)
{
	struct iovec iov = { .iov_base = (char *)line, .iov_len = strlen(line) };
	union {
		struct cmsghdr head;
		u8 space[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.head), &file, sizeof(file));
	return sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)iov.iov_len;
}

/* The last word of these is a file to be written. */
static bool writes_file(char *const *words)
{
	return !strcmp(words[0], "dump") || (!strcmp(words[0], "pcap") && words[1] && !strcmp(words[1], "start"));
}

/* The words as a line; without the file, which is *file. */
static void make_line(char *const *words, char line[CTL_LINE], const char **file)
{
	size_t n = 0;

	*file = NULL;
	for (unsigned i = 0; words[i]; i++) {
		if (i && !words[i + 1] && writes_file(words)) {
			*file = words[i];
			break;
		}
		n += (size_t)snprintf(line + n, CTL_LINE - n, "%s%s", i ? " " : "", words[i]);
		if (n >= CTL_LINE - 1)
			die_args("'%.20s...': no request is that long", words[0]);
	}
	if (writes_file(words) && !*file)
		die_args("%s%s: the name of a file is expected behind it", words[0], words[1] ? " start" : "");
	strcpy(line + n, "\n");
}

int ctl_request(const struct conf_client *c)
{
	int fd, file = -1;
	u64 until = ctl_patience();
	char line[CTL_LINE], *text;
	const char *name;
	bool ok = false, sent;

	make_line(c->words, line, &name);
	fd = ctl_find_guest(c->guest);
	if (name)
		file = make_file(name);
	sent = name ? send_with_file(fd, line, file) : ctl_send(fd, line, until);
	/* A file takes as long as it takes; if the guest goes, the connection does. */
	text = sent ? ctl_receive(fd, name ? clock_ns() + 86400 * 1000000000ULL : until, &ok) : NULL;
	if (!text)
		die("the guest %s", name ? "ended before it had answered" : "does not answer on its control socket");
	if (ok) {
		partial = NULL;
		fputs(text, stdout);
	} else {
		text[strcspn(text, "\n")] = '\0';
		warn("%s", text);
	}
	free(text);
	close(fd);
	return !ok;
}
