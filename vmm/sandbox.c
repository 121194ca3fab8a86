// SPDX-License-Identifier: MIT
/*
 * sandbox.c - what may still be done after this: use the descriptors that are
 * open, and what any unprivileged process may.  The guest's bytes are read
 * only after that.
 */
#include "sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "log.h"

static const struct passwd *look_up(const char *name)
{
	const struct passwd *pw = getpwnam(name);

	if (!pw)
		die_args("--user %s: there is no such user", name);
	return pw;
}

uid_t sandbox_uid(const char *user)
{
	if (!geteuid())
		return look_up(user ? user : "nobody")->pw_uid;
	if (user)
		die_args("--user %s: only root can become another user", user);
	return geteuid();
}

static void become(const char *name)
{
	const struct passwd *pw = look_up(name);
	int err;

	if (pw->pw_uid == 0) {
		/* root without capabilities: asked for in so many words */
		if (capng_apply(CAPNG_SELECT_ALL))
			die("cannot drop capabilities: %s", strerror(errno));
		return;
	}
	err = capng_change_id((int)pw->pw_uid, (int)pw->pw_gid,
			      CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING | CAPNG_CLEAR_AMBIENT);
	if (err)
		die("cannot become user %s: %s (capng_change_id: %d); where there is no such user, as in some containers, use --user root",
		    name, strerror(errno), err);
	info("gave up: all capabilities, the bounding set, and root: now user %s (%u), no new privileges",
	     name, pw->pw_uid);
}

void sandbox_enter(const char *user)
{
	bool root = geteuid() == 0;

	capng_clear(CAPNG_SELECT_ALL);
	if (root) {
		become(user ? user : "nobody");
	} else {
		/* An ordinary user's bounding set takes CAP_SETPCAP to clear. */
		bool may_bound;

		capng_get_caps_process();
		may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
		capng_clear(CAPNG_SELECT_ALL);
		if (capng_apply(may_bound ? CAPNG_SELECT_ALL : CAPNG_SELECT_CAPS))
			die("cannot drop capabilities: %s", strerror(errno));
		info("gave up: all capabilities%s, no new privileges",
		     may_bound ? ", the bounding set" : "");
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("cannot set no_new_privs: %s", strerror(errno));

	/* Trust nobody, least of all ourselves. */
	capng_get_caps_process();
	if (capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
		die("some capabilities are still there after dropping them");
	if (root && !(user && !strcmp(user, "root")) && (geteuid() == 0 || getuid() == 0))
		die("still root after becoming another user");
}
