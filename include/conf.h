/* SPDX-License-Identifier: MIT */
/*
 * conf.h - the command line, parsed and checked once, immutable after.
 */
#ifndef RINGLET_CONF_H
#define RINGLET_CONF_H

#include <stdio.h>

#include "base.h"
#include "chaos.h"
#include "layout.h"
#include "net.h"
#include "report.h"

enum conf_verb { VERB_RUN, VERB_PROBE, VERB_STAT, VERB_LIST, VERB_CTL, VERB_TRACE, VERB_VERSION, VERB_HELP };
/* NET_NS: a tap in a network namespace of ringlet's own; NET_USER: and pasta beside it. */
enum conf_net_mode { NET_NONE, NET_TAP, NET_NS, NET_USER };
enum conf_io { IO_URING, IO_POLL };

#define CONF_MAX_PINS 64

struct conf_cpus {
	unsigned n; /* 0: not given */
	u16 cpu[CONF_MAX_PINS];
};

struct conf_net {
	enum conf_net_mode mode;
	bool may_be_ns; /* NET_TAP, and nobody said so nor named a tap */
	char tap[16];	/* interface name, "" = let the kernel choose ringlet%d */
	int fd;		/* an open tap, or -1 */
	u8 mac[6];	/* with a tap always set: random, locally administered, if not given */
	u32 host_ip;	/* address for the tap, network byte order, 0 = none */
	u8 prefix;	/* of the network both addresses are in; 0 when there is neither */
	u32 guest_ip;	/* network byte order, 0 = none */
	u16 mtu;	/* 0 = the tap's own */
	u16 queue_size; /* power of two, 32 to 1024 */
	u8 queues;	/* pairs, 1 to NET_MAX_PAIRS; 1 with fd */
	enum net_irq_policy irq;
	u32 irq_usecs;	/* with NET_IRQ_DELAY and NET_IRQ_PENDING 1 to 1000000, else 0 */
	bool spin;	/* the device threads look around before they sleep */
	u64 declined;	/* feature bits not to offer, see net_feature_bits() */
	enum conf_io io;
	bool mmio_strict; /* InterruptStatus exactly as in the specification */
	struct conf_cpus cpus; /* processors for the device threads */
	const char *pcap; /* where packets are to be captured to, "-": standard output, NULL: nowhere */
	u32 snaplen;	  /* bytes kept of each; 0: all */
	u64 pcap_max;	  /* bytes of a file; 0: no limit */
	struct chaos_config chaos; /* how the device is to lie */
};

#define CONF_MAX_NAME 48 /* bytes of a guest's name */
#define CONF_NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* Whether to report what was counted, at the end and on SIGUSR1. */
struct conf_stats {
	bool on;
	enum report_format format;
	const char *file; /* NULL: standard error */
};

/* Where gdb can connect. */
struct conf_gdb {
	bool on;
	bool stopped;	  /* the guest is not to run before gdb says so */
	const char *path; /* of a Unix socket; NULL: a TCP port */
	u32 address;	  /* network byte order */
	u16 port;	  /* 0: any that is free */
};

/* What VERB_STAT, VERB_LIST, VERB_CTL and (json) VERB_PROBE go by, and nothing else. */
struct conf_client {
	const char *guest; /* name, process or socket; NULL: the only one; in argv */
	char *const *words; /* the request, in argv; ended by NULL */
	unsigned interval_ms;
	unsigned count; /* 0: until the guest ends */
	bool json;
};

/* Which events to record, and where. */
struct conf_trace_to {
	unsigned classes;  /* of trace.h; 0: none */
	const char *file;
};

/* What VERB_TRACE shows. */
enum conf_trace_form { TRACE_AS_TEXT, TRACE_AS_JSON, TRACE_AS_LATENCY };
struct conf_trace {
	const char *file; /* in argv */
	enum conf_trace_form form;
};

struct conf {
	enum conf_verb verb;
	const char *kernel;   /* file; found by conf_find_kernel() if not given */
	bool kernel_is_found; /* nobody named it */
	const char *initrd;   /* or NULL */
	char *params;	      /* -p's, in order, joined by one space; "" if none */
	u64 mem;	      /* bytes, whole MiB */
	unsigned cpus;
	struct conf_net net;
	struct conf_cpus pin; /* processors for the vCPU threads, in turn */
	unsigned timeout;     /* seconds, 0 = none */
	const char *ns_exec;  /* shell command for the tap's end in a namespace, or NULL */
	/* Words behind "--" (NULL: there was no "--"), --copy's, --env's; ended by NULL. */
	char **command, **copies, **environ;
	const char *cwd, *out; /* directories: the command's, the one for its files; or NULL */
	const char *save_initrd; /* file for a copy of the initramfs that is made, or NULL */
	bool session;	      /* a command is run, or a shell; set by main */
	const char *user;     /* whom to become, NULL = nobody if root */
	struct conf_stats stats;
	struct conf_trace_to trace;
	const char *dump_on_panic; /* file, or NULL */
	const char *symbols;  /* of the guest's kernel: file, or NULL */
	unsigned watchdog;    /* seconds, 0 = none */
	bool watchdog_ends;   /* and a guest that hangs is ended */
	const char *name;     /* of the guest, NULL: by its process */
	const char *sock;     /* where its control socket is to be, NULL: see ctl.h */
	struct conf_gdb gdb;
	bool dry_run;
	bool verbose;
	struct conf_client client;
	struct conf_trace trace_show;
};

/*
 * Main thread.  Parse and check; on any mistake die_args() with one sentence
 * that names the argument and the nearest valid one.  Never touches the
 * host's state.  With a verb other than VERB_RUN nothing else counts.
 * The strings are copies: argv may go.
 */
void conf_parse(struct conf *c, int argc, char **argv);
void conf_free(struct conf *c);

/* The kernel to boot if none is named, malloc'ed; NULL if there is none. */
char *conf_find_kernel(void);

/* The complete command line that means the same, one line, malloc'ed. */
char *conf_to_command(const struct conf *c);

/*
 * The guest's kernel command line: our defaults, then ip= for the network,
 * then the user's own, which therefore win.  malloc'ed.
 */
char *conf_guest_cmdline(const struct conf *c);

/* The tap's end is in a namespace of ringlet's own. */
static inline bool conf_net_has_namespace(const struct conf_net *net)
{
	return net->mode == NET_NS || net->mode == NET_USER;
}

/* Of a prefix from 1 to 32, network byte order. */
u32 conf_netmask(unsigned prefix);

/* Make it NET_NS, unless it is NET_USER, with addresses if there are none. */
void conf_net_in_namespace(struct conf_net *net);

/* An address with colons; returns buf. */
#define CONF_MAC_TEXT 18
const char *conf_mac_text(const u8 mac[6], char buf[CONF_MAC_TEXT]);

/* What --chaos would have to be, without a line feed. */
void conf_chaos_print(const struct chaos_config *c, FILE *f);

/* The help text, on stdout. */
void conf_help(void);

/*
 * The i-th spelling of an option ("--mem", "-m", "-append") or key of --net
 * that is understood, aliases and feature switches included; NULL behind the
 * last.  What the help text and the manual page are compared with.
 */
const char *conf_option_name(unsigned i);
const char *conf_net_key_name(unsigned i);

/* "drain", "delay:50": false if it is none.  Any thread. */
bool conf_irq_parse(const char *value, enum net_irq_policy *policy, u32 *usecs);

/* The word for an enum net_irq_policy, without its time; NULL behind the last. */
const char *conf_irq_name(unsigned policy);
/* And for an enum conf_net_mode. */
const char *conf_net_mode_name(unsigned mode);

#endif
