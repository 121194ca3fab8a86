// SPDX-License-Identifier: MIT
/*
 * link.c - the guest's carrier follows the tap's, as long as nobody wants it
 * off; and a guest whose carrier comes back is asked to make itself known.
 */
#include "link.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include "console.h"
#include "net.h"
#include "tap.h"

/* How often a guest is asked to make itself known when its link comes up. */
#define ANNOUNCEMENTS 3

static struct {
	struct net *net;
	const struct tap *tap;
	int fd;		 /* says when the tap may have gone up or down */
	int announce_fd; /* a timer */
	unsigned announcements; /* that are still to be made */
	bool tap_up, wanted, up;
} link_state = { .fd = -1, .announce_fd = -1, .tap_up = true, .wanted = true, .up = true };

/*
 * A guest whose link comes up again may be somewhere else: its neighbours are
 * to be told.  Linux does so before it takes the link up, and so for nothing,
 * when it is asked in the same moment; and a bridge may not forward yet.  So it
 * is asked a little later, and again.
 */
static void ask_to_announce(unsigned times)
{
	const struct itimerspec soon = { .it_value.tv_nsec = 200000000, .it_interval.tv_nsec = 400000000 };

	link_state.announcements = times;
	timerfd_settime(link_state.announce_fd, 0, times ? &soon : &(struct itimerspec){ 0 }, NULL);
}

/* Main thread, from console_run(). */
static void announce(void)
{
	u64 n;

	if (read(link_state.announce_fd, &n, sizeof(n)) != sizeof(n))
		return;
	net_announce(link_state.net);
	if (!--link_state.announcements)
		ask_to_announce(0);
}

static void settle(void)
{
	bool up = link_state.tap_up && link_state.wanted;

	if (up == link_state.up)
		return;
	link_state.up = up;
	net_set_link(link_state.net, up);
	ask_to_announce(up ? ANNOUNCEMENTS : 0);
}

/* Main thread, from console_run(): an interface of the host changed. */
static void tap_changed(void)
{
	link_state.tap_up = tap_is_up(link_state.fd, link_state.tap);
	settle();
}

void link_open(struct net *net, const struct tap *tap)
{
	link_state.net = net;
	link_state.tap = tap;
	link_state.announce_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (link_state.announce_fd < 0)
		return;
	console_watch(link_state.announce_fd, announce);
	link_state.fd = tap_watch();
	if (link_state.fd < 0)
		return;
	tap_changed(); /* a tap of the user's may be down */
	console_watch(link_state.fd, tap_changed);
}

bool link_want(bool up)
{
	link_state.wanted = up;
	settle();
	return link_state.up;
}
