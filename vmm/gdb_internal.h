/* SPDX-License-Identifier: MIT */
/*
 * gdb_internal.h - what the files of the gdb stub share: packets, registers,
 * breakpoints, and what one client is about.
 *
 * Main thread only.  Registers and breakpoints are touched only while all
 * vCPUs are held.
 */
#ifndef RINGLET_GDB_INTERNAL_H
#define RINGLET_GDB_INTERNAL_H

#include <linux/kvm.h>

#include "guest_memory.h"
#include "vm.h"

/* --- gdb_packet.c: frames and numbers ------------------------------------------------ */

#define GDB_PACKET 16384 /* bytes in a packet at most, either way */

enum gdb_event {
	GDB_NOTHING,
	GDB_PACKET_CAME, /* data[0..n), and a 0 behind it */
	GDB_WRONG,	 /* one whose checksum is not that; data as well */
	GDB_AGAIN,	 /* '-': send the last answer again */
	GDB_INTERRUPT,	 /* Ctrl-C */
};

struct gdb_reader {
	enum { READ_OUTSIDE, READ_DATA, READ_ESCAPED, READ_SUM_1, READ_SUM_2 } state;
	u8 sum;
	bool wrong, too_long;
	size_t n;
	char data[GDB_PACKET + 1];
};

enum gdb_event gdb_take_byte(struct gdb_reader *r, u8 byte);

#define GDB_FRAME (2 * GDB_PACKET + 5)
/* The frame around n bytes, at most GDB_FRAME bytes of it; its length. */
size_t gdb_frame(const char *data, size_t n, char *to);

/* A hexadecimal number at *s, which moves behind it; false: none, or above 64 bits. */
bool gdb_number(const char **s, u64 *n) MUST_CHECK;
/* That character; *s moves behind it. */
bool gdb_expect(const char **s, char c) MUST_CHECK;
/* digits / 2 bytes; false: something else is among the digits. */
bool gdb_bytes(const char *s, size_t digits, u8 *to) MUST_CHECK;

/* What is put behind its end is left out. */
struct gdb_reply {
	size_t n;
	char data[GDB_PACKET];
};

void gdb_put(struct gdb_reply *r, const char *s);
void gdb_put_number(struct gdb_reply *r, u64 n);
void gdb_put_bytes(struct gdb_reply *r, const void *data, size_t n);
/* That part of a document, as qXfer wants it. */
void gdb_put_part(struct gdb_reply *r, const char *document, u64 from, u64 len);

/* --- gdb_regs.c: registers ----------------------------------------------------------- */

/* Bytes of all registers together at most, as gdb has them. */
#define GDB_REGISTERS 1024

/* All of a vCPU's that gdb is shown. */
struct gdb_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave xsave;
	u64 kernel_gs_base;
};

/* The first names what there is for gdb; NULL: no memory. */
const char *gdb_target_description(struct vcpu *c);
/* From and to KVM; false: it refuses. */
bool gdb_load(struct vcpu *c, struct gdb_state *s) MUST_CHECK;
bool gdb_store(struct vcpu *c, const struct gdb_state *s) MUST_CHECK;
/* The i-th register, up to 16 bytes; its size, 0: there is none. */
size_t gdb_get(const struct gdb_state *s, unsigned i, u8 *to);
size_t gdb_set(struct gdb_state *s, unsigned i, const u8 *from);
size_t gdb_register_size(unsigned i);

/* --- gdb_break.c: breakpoints -------------------------------------------------------- */

/* By the numbers of gdb's Z packets. */
enum gdb_break_type { BREAK_SOFT, BREAK_HARD, WATCH_WRITE, WATCH_READ, WATCH_ACCESS };

#define GDB_SOFT 256
#define GDB_HARD 4

struct gdb_breaks {
	bool no_int3; /* it would go to the guest, see gdb_int3_is_lost() */
	unsigned n_soft;
	struct gdb_soft {
		u64 va, gpa;
		u8 was; /* the byte that int3 took the place of */
	} soft[GDB_SOFT];
	struct gdb_hard {
		bool on;
		enum gdb_break_type type;
		u64 va;
		unsigned len;
	} hard[GDB_HARD];
};

/* Set or clear one; false: it cannot be had.  Setting one twice is setting it. */
bool gdb_break_set(struct gdb_breaks *b, const struct mem *m, const struct paging *p,
		   enum gdb_break_type type, u64 va, u64 len) MUST_CHECK;
bool gdb_break_clear(struct gdb_breaks *b, const struct mem *m, enum gdb_break_type type, u64 va, u64 len) MUST_CHECK;
void gdb_break_clear_all(struct gdb_breaks *b, const struct mem *m);
/* Whether an instruction is where one is set. */
bool gdb_break_at(const struct gdb_breaks *b, u64 va);
/* Memory as it would be without breakpoints. */
size_t gdb_read(struct gdb_breaks *b, const struct mem *m, const struct paging *p, u64 va, u8 *to, size_t len);
size_t gdb_write(struct gdb_breaks *b, const struct mem *m, const struct paging *p, u64 va, const u8 *from, size_t len);

/*
 * Whether KVM is not told of a guest's int3: where kernels are emulated, and in
 * a machine of QEMU's TCG, whose SVM does not intercept it.
 */
bool gdb_int3_is_lost(void);

/* How a vCPU is to run: by a step or without, or as if there were no debugger. */
void gdb_arm(struct vcpu *c, const struct gdb_breaks *b, bool attached, bool step);

/* Why a vCPU trapped. */
enum gdb_why { WHY_GUEST, WHY_STEP, WHY_SOFT, WHY_HARD, WHY_WATCH };
/* at: which one, with WHY_HARD and WHY_WATCH. */
enum gdb_why gdb_why(const struct vcpu *c, struct gdb_breaks *b, bool stepped, struct gdb_hard *at);
/* Whether it still is. */
bool gdb_is_watched(struct gdb_breaks *b, const struct gdb_hard *at);
/* It was the guest's own: have the guest have it. */
void gdb_give_back(struct vcpu *c, const struct gdb_breaks *b, bool step);

/* --- gdb_run.c: stop and go ------------------------------------------------------------- */

/* What stopped the guest. */
struct gdb_hit {
	unsigned vcpu;
	enum gdb_why why;
	struct gdb_hard at;
};

/* Addresses, end not among them; none: a step is one instruction. */
struct gdb_range {
	u64 start, end;
};

struct gdb {
	struct vm *vm;
	const struct ctl_command *commands;
	struct gdb_breaks breaks;
	bool attached; /* a client has said something */
	bool waiting;  /* it waits for the guest to stop */
	bool held;     /* the vCPUs are paused for it, */
	u32 released;  /* but for those, bits */
	u32 stepping;  /* vCPUs that are to take one step, */
	struct gdb_range range[MAX_CPUS]; /* or to go on until they are elsewhere */
	struct gdb_hit hit; /* at the last stop; WHY_GUEST: nothing */
	u32 untold;    /* vCPUs that touched what is watched, and gdb does not know */
	struct gdb_hard untold_at[MAX_CPUS];
	unsigned current; /* vCPU that packets are about */
	unsigned stepped; /* the one that `s` without a number means */
	bool no_ack, knows_swbreak, knows_hwbreak;
	bool physical; /* memory is read and written by its physical address */
	bool detached;	  /* the packet said so */
	char stopped[64]; /* how the guest stopped, as a packet */

	struct gdb_reader in;
	struct gdb_reply reply;
	char *out; /* frames on their way to the client, or NULL */
	size_t n_out, out_at, size_out;
	bool lost; /* something did not fit: the client cannot be served any more */
	char last[GDB_FRAME]; /* frame, should it be wanted again */
	size_t n_last;
};

u32 gdb_all(const struct gdb *g);
/* Hold all vCPUs; none of them is trapped any more then. */
void gdb_stop(struct gdb *g);
/*
 * Let these go on; the answer comes when one stops, or is in g->reply if one has.
 * range: MAX_CPUS of them, for those that step, or NULL.
 */
void gdb_go(struct gdb *g, u32 which, u32 step, const struct gdb_range *range);
/* A vCPU trapped. */
void gdb_trapped(struct gdb *g);
/* The client is gone, or wants to be: as if the guest had never been debugged. */
void gdb_let_go(struct gdb *g);
/* What came from the client, any bytes. */
void gdb_receive(struct gdb *g, const u8 *data, size_t n);
/* Send what is in g->reply, and empty it. */
void gdb_send(struct gdb *g);

/* gdb_command.c: do what a packet says, the vCPUs being held. */
void gdb_packet(struct gdb *g, const char *packet, size_t n);
/* gdb_query.c: the same for those that begin with q or Q; the name is behind that. */
void gdb_query(struct gdb *g, const char *packet);
/* "pPID.TID" or "TID": a vCPU, -1 all, -2 any; false: there is none. */
bool gdb_thread(struct gdb *g, const char **s, int *vcpu) MUST_CHECK;

#endif
