/* SPDX-License-Identifier: MIT */
/*
 * link.h - the carrier that the guest sees: up if the tap is and nobody has
 * said otherwise.
 */
#ifndef RINGLET_LINK_H
#define RINGLET_LINK_H

#include "base.h"

struct net;
struct tap;

/*
 * Main thread, while privileged: have console_run() follow the tap's state.
 * Both outlive the guest.
 */
void link_open(struct net *net, const struct tap *tap);

/*
 * Main thread: false keeps the carrier off whatever the tap does; true lets it
 * be the tap's again.  Returns whether it is on then.
 */
bool link_want(bool up);

#endif
