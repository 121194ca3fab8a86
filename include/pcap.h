/* SPDX-License-Identifier: MIT */
/*
 * pcap.h - the network device's packets into a file, a FIFO or standard output,
 * by a thread of its own that nobody waits for.
 *
 * All of it for the main thread.  There is one capture at a time.
 */
#ifndef RINGLET_PCAP_H
#define RINGLET_PCAP_H

#include <stdio.h>

#include "base.h"

struct net;

/* With a limit files are written in turn: FILE, FILE.1, ..., then FILE again. */
#define PCAP_FILES 4
#define PCAP_SNAPLEN_MAX 262144
#define PCAP_MAX_LEAST (1 * MiB)
#define PCAP_RING (8 * MiB) /* room for what is not written yet, per pair of queues */

/* What holds for every capture of this device. */
struct pcap_setup {
	struct net *net;
	const char *interface; /* its name */
	u8 mac[6];
	u32 snaplen; /* bytes kept of each packet; 0: all */
	u64 max;     /* bytes of a file; 0: no limit */
	u64 ring;    /* bytes, a power of two; 0: PCAP_RING */
	void (*ended)(int fd); /* called once with what is readable when a capture ends by itself, or NULL */
};
void pcap_init(const struct pcap_setup *s);

/*
 * Open what to write to, while privileged, which waits for a FIFO's reader if
 * wait says so.  "-" is standard output, which is then nobody else's.  0, or -1
 * and a sentence.
 */
int pcap_open(const char *file, bool wait, char *err, size_t err_size) MUST_CHECK;
/* Begin to write there.  0, or -1, a sentence, and it is closed. */
int pcap_begin(char *err, size_t err_size) MUST_CHECK;

/* The same while the guest runs, with what somebody opened, which is taken over. */
int pcap_start(int fd, char *err, size_t err_size) MUST_CHECK;
/*
 * Write what there is and close it; a reader that takes nothing is waited for
 * a second.  Says why if it had ended before.
 */
void pcap_stop(void);
bool pcap_is_on(void);

/* The control socket's "pcap start", with a descriptor, and "pcap stop". */
bool pcap_command(const char *argument, FILE *answer);

#endif
