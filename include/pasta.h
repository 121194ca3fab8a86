/* SPDX-License-Identifier: MIT */
/*
 * pasta.h - the outside network without rights: passt's pasta(1), attached to a
 * network namespace of ours.  It hands on connections as any program of the user's
 * makes them; what the guest sends to it is routed there from the guest's tap.
 * Main thread, before there is another.
 */
#ifndef RINGLET_PASTA_H
#define RINGLET_PASTA_H

#include "base.h"

/* pasta's end in the namespace: nobody's addresses but there. */
#define PASTA_NETWORK "10.0.2.0"
#define PASTA_PREFIX 24
#define PASTA_DNS "10.0.2.3" /* questions to it go to the host's name server */

/*
 * Still outside: start the process that stays there.  It ends pasta when we are
 * gone, however that comes.  0, or -1 and a sentence: among other things, that pasta
 * is not installed.
 */
int pasta_prepare(char *err, size_t err_size) MUST_CHECK;
/*
 * In the namespaces: the users of root's are mapped there from here on, packets
 * are handed on, and pasta's interface is there.  0, or -1 and a sentence.
 */
int pasta_start(char *err, size_t err_size) MUST_CHECK;

#endif
