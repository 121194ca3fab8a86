// SPDX-License-Identifier: MIT
/*
 * conf_kernel.c - which kernel to boot when none is named, and whether the one
 * named may be one of ringlet's own.
 */
#include "conf_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "guests.h"
#include "log.h"

static const char *const kernel_places[] = {
	"./arch/x86/boot/bzImage",
	"./bzImage",
	"./vmlinux",
};

static bool is_file(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

#define OWN_KERNEL "/boot/vmlinuz-"

char *conf_find_kernel(void)
{
	struct utsname host;
	char own[sizeof(OWN_KERNEL) + sizeof(host.release)];

	/* Where people who build kernels have one, then the host's own. */
	for (size_t i = 0; i < ARRAY_SIZE(kernel_places); i++)
		if (is_file(kernel_places[i]))
			return conf_copy(kernel_places[i]);
	if (uname(&host))
		die("cannot tell the version of the host's kernel; name a kernel to boot");
	snprintf(own, sizeof(own), OWN_KERNEL "%s", host.release);
	return is_file(own) ? conf_copy(own) : NULL;
}

static void find_kernel(struct conf *c)
{
	struct utsname host = { 0 };

	c->kernel = conf_find_kernel();
	c->kernel_is_found = true;
	if (c->kernel)
		return;
	uname(&host);
	die_args("no kernel is named and there is none at %s, %s, %s or " OWN_KERNEL "%s; "
		 "write 'ringlet FILE'",
		 kernel_places[0], kernel_places[1], kernel_places[2], host.release);
}

/* A kernel "guest:NAME" that is none of ours is a slip: say which there are. */
static void check_guest(const char *kernel)
{
	const char *near, *name = kernel + strlen(GUEST_PREFIX);
	char names[200];
	size_t n = 0;
	u64 size;

	if (strncmp(kernel, GUEST_PREFIX, strlen(GUEST_PREFIX)) || guest_image(kernel, &size))
		return;
	for (unsigned i = 0; guest_name(i) && n < sizeof(names); i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s" GUEST_PREFIX "%s", i ? ", " : "",
				      guest_name(i));
	near = suggest_nearest(name, guest_name);
	if (near)
		die_args("there is no '%s'; did you mean '" GUEST_PREFIX "%s'? There are %s", kernel, near, names);
	die_args("there is no '%s'; there are %s", kernel, names);
}

void conf_choose_kernel(struct conf *c)
{
	if (c->kernel)
		check_guest(c->kernel);
	else
		find_kernel(c);
}
