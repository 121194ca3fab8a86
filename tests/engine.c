// SPDX-License-Identifier: MIT
/*
 * engine.c - what the device thread counts on in an engine, asked of each:
 * io_uring, io_uring with a tap that does not know RWF_NOWAIT, and poll.  The
 * tap is one end of a socket pair that keeps datagrams apart as a tap does.
 */
#include "engine.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "driver.h"
#include "engines.h"

static struct engine *e;
static int wire = -1; /* the other end */
static struct engine_fds fd = { -1, -1, -1 };
static u8 buf[ENGINE_READS][70000];
static struct iovec iov[ENGINE_READS];

static void close_engine(void)
{
	if (e)
		e->ops->free(e);
	e = NULL;
	close(wire);
	close(fd.tap);
	close(fd.kick);
	close(fd.control);
}

static void open_engine(enum kind kind, int type)
{
	int s[2], size = 212992; /* what every host allows */

	if (e)
		close_engine();
	CHECK_EQ(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s), 0);
	for (unsigned i = 0; i < 2; i++)
		setsockopt(s[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	fd = (struct engine_fds){
		.tap = s[0],
		.kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.control = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	};
	wire = s[1];
	errno = 0;
	e = kind == POLL ? engine_poll_new(&fd) : engine_uring_new(&fd);
	if (!e && (errno == EPERM || errno == ENOSYS))
		SKIP("io_uring is switched off here");
	CHECK(e);
	CHECK_STR(e->ops->name, kind == POLL ? "poll" : "io_uring");
	CHECK(e->nowait); /* a socket knows it */
	if (kind == URING_WAITING)
		e->nowait = false;
	CHECK_EQ(e->ops->attach(e), 0);
	for (unsigned i = 0; i < ENGINE_READS; i++)
		iov[i] = (struct iovec){ buf[i], sizeof(buf[i]) };
	memset(buf, 0, sizeof(buf));
}

static void send_number(u32 n)
{
	u32 frame[5] = { n, ~n, n, ~n, n };

	CHECK_EQ(send(wire, frame, sizeof(frame), 0), sizeof(frame));
}

static u32 number_in(unsigned slot)
{
	u32 n;

	memcpy(&n, buf[slot], 4);
	return n;
}

static struct engine_event next_event(void)
{
	struct engine_event ev;

	CHECK(e->ops->next(e, &ev));
	return ev;
}

static void no_event(void)
{
	struct engine_event ev;

	CHECK(!e->ops->next(e, &ev));
}

static void signal_fd(int to)
{
	u64 one = 1;

	CHECK_EQ(write(to, &one, sizeof(one)), 8);
}

/* --- writes ------------------------------------------------------------------ */

static void a_write_is_one_datagram(enum kind kind)
{
	static u8 data[65550], got[70000];
	struct iovec part[1024];
	struct engine_event ev;
	size_t at = 0;

	open_engine(kind, SOCK_SEQPACKET);
	random_fill(data, sizeof(data), 1);
	for (unsigned i = 0; i < 1024; i++) {
		part[i] = (struct iovec){ data + at, i < 1023 ? 1 + i % 64 : sizeof(data) - at };
		at += part[i].iov_len;
	}
	e->ops->write(e, 63, part, 1024);
	e->ops->enter(e, ENGINE_NO_WAIT);
	ev = next_event();
	CHECK_EQ(ev.type, ENGINE_WRITTEN);
	CHECK_EQ(ev.slot, 63);
	CHECK_EQ(ev.result, sizeof(data));
	no_event();
	CHECK_EQ(recv(wire, got, sizeof(got), 0), sizeof(data));
	CHECK(!memcmp(got, data, sizeof(data)));
}

static void writes_keep_their_order(enum kind kind)
{
	u32 number[ENGINE_WRITES], got;
	struct iovec one[ENGINE_WRITES];

	open_engine(kind, SOCK_SEQPACKET);
	for (unsigned round = 0; round < 20; round++) {
		for (u32 i = 0; i < ENGINE_WRITES; i++) {
			number[i] = round * ENGINE_WRITES + i;
			one[i] = (struct iovec){ &number[i], 4 };
			e->ops->write(e, i, &one[i], 1);
		}
		e->ops->enter(e, ENGINE_NO_WAIT);
		for (unsigned i = 0; i < ENGINE_WRITES; i++) {
			struct engine_event ev = next_event();

			CHECK_EQ(ev.type, ENGINE_WRITTEN);
			CHECK_EQ(ev.slot, i);
			CHECK_EQ(ev.result, 4);
			CHECK_EQ(recv(wire, &got, 4, 0), 4);
			CHECK_EQ(got, round * ENGINE_WRITES + i);
		}
		no_event();
	}
	if (kind == URING)
		CHECK(e->enters <= 2 * 20); /* a batch is one system call */
}

static unsigned short_submissions; /* of the next ones, the kernel takes a part */

/* In place of the library's. */
int io_uring_submit(struct io_uring *ring)
{
	static int (*real)(struct io_uring *ring);
	unsigned tail = ring->sq.sqe_tail, n = io_uring_sq_ready(ring);
	int r;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "io_uring_submit");
	if (!short_submissions || n < 2)
		return real(ring);
	short_submissions--;
	ring->sq.sqe_tail -= n / 2;
	r = real(ring);
	ring->sq.sqe_tail = tail;
	return r;
}

/* engine.h: the arrays are ours again when enter() returns. */
static void a_short_submission_is_completed(enum kind kind)
{
	static u32 number[16];
	struct iovec data[16];
	u32 got;

	open_engine(kind, SOCK_SEQPACKET);
	short_submissions = 3;
	for (u32 i = 0; i < 16; i++) {
		number[i] = i;
		data[i] = (struct iovec){ &number[i], sizeof(u32) };
		e->ops->write(e, i, &data[i], 1);
	}
	e->ops->enter(e, ENGINE_NO_WAIT);
	memset(data, 0, sizeof(data));
	for (unsigned i = 0; i < 16; i++) {
		struct engine_event ev = next_event();

		CHECK_EQ(ev.type, ENGINE_WRITTEN);
		CHECK_EQ(ev.result, sizeof(u32));
		CHECK_EQ(recv(wire, &got, sizeof(got), 0), sizeof(got));
		CHECK_EQ(got, i);
	}
	no_event();
	CHECK(kind == POLL || !short_submissions);
	short_submissions = 0;
}

static void a_failed_write_is_only_that(enum kind kind)
{
	static u8 huge[8 << 20]; /* more than any send buffer here */
	struct iovec big = { huge, sizeof(huge) }, small = { huge, 10 };

	open_engine(kind, SOCK_SEQPACKET);
	e->ops->write(e, 0, &small, 1);
	e->ops->write(e, 1, &big, 1);
	e->ops->write(e, 2, &small, 1);
	e->ops->enter(e, ENGINE_NO_WAIT);
	/* What failed may be reported behind what did not. */
	for (unsigned i = 0; i < 3; i++) {
		struct engine_event ev = next_event();

		CHECK_EQ(ev.result, ev.slot == 1 ? -EMSGSIZE : 10);
	}
	no_event();
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(recv(wire, huge, sizeof(huge), 0), 10);
	close(wire);
	wire = -1;
	e->ops->write(e, 2, &small, 1);
	e->ops->enter(e, ENGINE_NO_WAIT);
	CHECK_EQ(next_event().result, -EPIPE);
}

/* Fill the wire until it takes no more; how many writes that were. */
static unsigned fill_wire(void)
{
	static u8 frame[30000];
	unsigned n = 0;

	while (send(fd.tap, frame, sizeof(frame), MSG_NOSIGNAL) == sizeof(frame))
		n++;
	return n;
}

static void a_full_wire(enum kind kind)
{
	static u8 frame[30000];
	struct iovec one = { frame, sizeof(frame) };
	struct engine_event ev;
	unsigned n;

	open_engine(kind, SOCK_SEQPACKET);
	n = fill_wire();
	CHECK(n > 2);
	e->ops->write(e, 5, &one, 1);
	e->ops->enter(e, ENGINE_NO_WAIT);
	if (kind != URING_WAITING) {
		ev = next_event(); /* dropped, as a wire does */
		CHECK_EQ(ev.result, -EAGAIN);
		return;
	}
	no_event();
	while (n--)
		CHECK_EQ(recv(wire, frame, sizeof(frame), 0), sizeof(frame));
	e->ops->enter(e, ENGINE_FOREVER);
	ev = next_event();
	CHECK_EQ(ev.type, ENGINE_WRITTEN);
	CHECK_EQ(ev.slot, 5);
	CHECK_EQ(ev.result, sizeof(frame));
	/* And when it stays full, cancelling gets it back. */
	fill_wire();
	e->ops->write(e, 6, &one, 1);
	e->ops->enter(e, ENGINE_NO_WAIT);
	no_event();
	e->ops->cancel(e, false);
	e->ops->enter(e, ENGINE_NO_WAIT);
	no_event();
	e->ops->cancel(e, true);
	e->ops->enter(e, ENGINE_FOREVER);
	ev = next_event();
	CHECK_EQ(ev.type, ENGINE_WRITTEN);
	CHECK_EQ(ev.slot, 6);
	CHECK(ev.result == -ECANCELED || ev.result == -EINTR);
}

/* --- reads ------------------------------------------------------------------- */

static void a_hasty_read_does_not_wait(enum kind kind)
{
	open_engine(kind, SOCK_SEQPACKET);
	if (!e->nowait)
		return;
	e->ops->read(e, 3, &iov[3], 1, false);
	e->ops->enter(e, ENGINE_NO_WAIT);
	CHECK_EQ(next_event().result, -EAGAIN);
	no_event();
	send_number(7);
	e->ops->read(e, 4, &iov[4], 1, false);
	e->ops->enter(e, ENGINE_NO_WAIT);
	CHECK_EQ(next_event().result, 20);
	CHECK_EQ(number_in(4), 7);
}

static void a_patient_read_waits(enum kind kind)
{
	struct engine_event ev;

	open_engine(kind, SOCK_SEQPACKET);
	for (u32 i = 0; i < 100; i++) {
		e->ops->read(e, 9, &iov[9], 1, true);
		e->ops->enter(e, ENGINE_NO_WAIT);
		no_event();
		send_number(i);
		e->ops->enter(e, ENGINE_FOREVER);
		ev = next_event();
		CHECK_EQ(ev.type, ENGINE_READ);
		CHECK_EQ(ev.slot, 9);
		CHECK_EQ(ev.result, 20);
		CHECK_EQ(number_in(9), i);
		no_event();
	}
}

/* A thread that always has something to do never waits, and is to hear of frames. */
static void a_busy_thread_gets_frames(enum kind kind)
{
	open_engine(kind, SOCK_SEQPACKET);
	for (u32 i = 0; i < 100; i++) {
		struct engine_event ev = { .type = ENGINE_NOTHING };

		e->ops->read(e, 3, &iov[3], 1, true);
		e->ops->enter(e, ENGINE_NO_WAIT);
		no_event();
		send_number(i);
		for (unsigned n = 0; n < 1000 && !e->ops->next(e, &ev); n++)
			e->ops->enter(e, ENGINE_NO_WAIT);
		CHECK_EQ(ev.type, ENGINE_READ);
		CHECK_EQ(number_in(3), i);
	}
}

static void a_read_scatters(enum kind kind)
{
	static u8 data[65550], got[70000], spill[70000];
	struct iovec part[ENGINE_READ_IOV];
	size_t at = 0;

	open_engine(kind, SOCK_SEQPACKET);
	random_fill(data, sizeof(data), 3);
	for (unsigned i = 0; i < ENGINE_READ_IOV - 1; i++) {
		part[i] = (struct iovec){ got + at, 1 + 13 * i };
		at += part[i].iov_len;
	}
	part[ENGINE_READ_IOV - 1] = (struct iovec){ spill, sizeof(spill) };
	for (unsigned wait = 0; wait < 2; wait++) {
		if (wait) {
			e->ops->read(e, 0, part, ENGINE_READ_IOV, true);
			e->ops->enter(e, ENGINE_NO_WAIT);
			memset(part, 0, 16); /* not looked at any more */
		}
		CHECK_EQ(send(wire, data, sizeof(data), 0), sizeof(data));
		if (!wait)
			e->ops->read(e, 0, part, ENGINE_READ_IOV, !e->nowait);
		e->ops->enter(e, wait ? ENGINE_FOREVER : ENGINE_NO_WAIT);
		CHECK_EQ(next_event().result, sizeof(data));
		CHECK(!memcmp(got, data, at));
		CHECK(!memcmp(spill, data + at, sizeof(data) - at));
	}
}

/* Read ahead as the device does: hasty ones first, then one that waits. */
static void frames_come_in_order(enum kind kind)
{
	u32 sent = 0, got = 0;
	u64 seed = 5;

	open_engine(kind, SOCK_SEQPACKET);
	while (got < 5000) {
		unsigned ahead = e->nowait ? (unsigned)(random_next(&seed) % (ENGINE_READS - 1)) : 2;
		unsigned in_flight = 0, burst = (unsigned)(random_next(&seed) % 20);
		bool early = random_next(&seed) % 2;

		while (early && burst && sent - got < 100) {
			send_number(sent++);
			burst--;
		}
		for (; in_flight < ahead; in_flight++)
			e->ops->read(e, in_flight, &iov[in_flight], 1, !e->nowait);
		e->ops->read(e, in_flight, &iov[in_flight], 1, true);
		in_flight++;
		e->ops->enter(e, ENGINE_NO_WAIT);
		while (burst-- && sent - got < 100)
			send_number(sent++);
		if (sent == got)
			send_number(sent++);
		while (in_flight) {
			struct engine_event ev;

			while (in_flight && e->ops->next(e, &ev)) {
				CHECK_EQ(ev.type, ENGINE_READ);
				in_flight--;
				if (ev.result == -EAGAIN || ev.result == -ECANCELED)
					continue;
				CHECK_EQ(ev.result, 20);
				CHECK_EQ(number_in(ev.slot), got);
				got++;
			}
			if (in_flight && sent == got) {
				e->ops->cancel(e, false);
				e->ops->enter(e, ENGINE_NO_WAIT);
			} else if (in_flight) {
				e->ops->enter(e, ENGINE_FOREVER);
			}
		}
	}
}

static void the_peer_is_gone(enum kind kind)
{
	open_engine(kind, SOCK_SEQPACKET);
	e->ops->read(e, 0, &iov[0], 1, true);
	e->ops->enter(e, ENGINE_NO_WAIT);
	no_event();
	close(wire);
	wire = -1;
	e->ops->enter(e, ENGINE_FOREVER);
	CHECK(next_event().result <= 0);
	no_event();
}

/* --- cancelling -------------------------------------------------------------- */

static void cancelled_reads_complete(enum kind kind)
{
	u32 seen = 0;

	open_engine(kind, SOCK_SEQPACKET);
	for (unsigned i = 0; i < ENGINE_READS; i++)
		e->ops->read(e, i, &iov[i], 1, true);
	e->ops->enter(e, ENGINE_NO_WAIT);
	no_event();
	e->ops->cancel(e, true);
	for (unsigned n = 0; n < ENGINE_READS;) {
		struct engine_event ev;

		e->ops->enter(e, ENGINE_FOREVER);
		for (; e->ops->next(e, &ev); n++) {
			CHECK_EQ(ev.type, ENGINE_READ);
			CHECK(ev.result == -ECANCELED || ev.result == -EINTR);
			seen |= 1u << ev.slot;
		}
	}
	CHECK_EQ(seen, (1u << ENGINE_READS) - 1);
	no_event();
	/* Nobody is left to take this one, or to write to their memory. */
	send_number(1);
	poll(NULL, 0, 20);
	for (unsigned i = 0; i < ENGINE_READS; i++)
		CHECK_EQ(number_in(i), 0);
	e->ops->read(e, 2, &iov[2], 1, true);
	e->ops->enter(e, ENGINE_FOREVER);
	CHECK_EQ(next_event().result, 20);
	CHECK_EQ(number_in(2), 1);
}

/* A read that is cancelled while a frame comes has it or leaves it. */
static void cancelling_loses_no_frame(enum kind kind)
{
	u32 got = 0;

	open_engine(kind, SOCK_SEQPACKET);
	for (u32 n = 0; n < 1000; n++) {
		unsigned reads = 0;
		bool cancelled = false;

		for (unsigned i = 0; i < 3; i++, reads++)
			e->ops->read(e, i, &iov[i], 1, true);
		if (n & 1)
			e->ops->enter(e, ENGINE_NO_WAIT);
		if (n & 2)
			e->ops->cancel(e, false), cancelled = true;
		send_number(n);
		while (reads) {
			struct engine_event ev;

			if (!cancelled && !(n & 2))
				e->ops->cancel(e, false), cancelled = true;
			e->ops->enter(e, ENGINE_FOREVER);
			while (e->ops->next(e, &ev)) {
				reads--;
				if (ev.result == 20)
					CHECK_EQ(number_in(ev.slot), got++);
			}
		}
		if (got == n) { /* still in the tap */
			u32 frame[5];

			CHECK_EQ(recv(fd.tap, frame, sizeof(frame), 0), 20);
			CHECK_EQ(frame[0], got++);
		}
		CHECK_EQ(got, n + 1);
	}
}

static void nothing_to_cancel(enum kind kind)
{
	open_engine(kind, SOCK_SEQPACKET);
	e->ops->cancel(e, true);
	e->ops->enter(e, ENGINE_NO_WAIT);
	no_event();
}

/* --- being woken ------------------------------------------------------------- */

static void kicks_wake(enum kind kind)
{
	open_engine(kind, SOCK_SEQPACKET);
	/* One that came before anybody waited. */
	signal_fd(fd.kick);
	for (unsigned i = 0; i < 1000; i++) {
		struct engine_event ev;
		unsigned n = 0;

		e->ops->enter(e, ENGINE_FOREVER);
		for (; e->ops->next(e, &ev); n++)
			CHECK_EQ(ev.type, ENGINE_KICK);
		CHECK(n == 1 || !i);
		if (i % 3 == 0) /* the descriptor's counter may be anything */
			signal_fd(fd.kick);
		signal_fd(fd.kick);
		if (i % 3 == 0) {
			e->ops->enter(e, ENGINE_FOREVER);
			while (e->ops->next(e, &ev))
				CHECK_EQ(ev.type, ENGINE_KICK);
			signal_fd(fd.kick);
		}
	}
}

static void control_wakes(enum kind kind)
{
	struct engine_event ev;
	u64 count;

	open_engine(kind, SOCK_SEQPACKET);
	for (unsigned i = 0; i < 1000; i++) {
		bool seen = false;

		if (i & 1)
			signal_fd(fd.kick);
		signal_fd(fd.control);
		while (!seen) {
			e->ops->enter(e, ENGINE_FOREVER);
			while (e->ops->next(e, &ev))
				seen |= ev.type == ENGINE_CONTROL;
		}
		CHECK(read(fd.control, &count, sizeof(count)) < 0); /* read already */
	}
}

/* Kept up to date by the kernel, in memory: asking is no system call. */
static void ready_says_so(enum kind kind)
{
	u64 enters;

	open_engine(kind, SOCK_SEQPACKET);
	if (kind == POLL) {
		CHECK(!e->ops->ready);
		return;
	}
	e->ops->read(e, 0, &iov[0], 1, true);
	e->ops->enter(e, ENGINE_NO_WAIT);
	no_event();
	enters = e->enters;
	CHECK(!e->ops->ready(e));
	send_number(7);
	CHECK(e->ops->ready(e));
	CHECK(e->ops->ready(e));
	CHECK_EQ(e->enters, enters);
	e->ops->enter(e, ENGINE_NO_WAIT);
	CHECK_EQ(e->enters, enters + 1);
	CHECK(e->ops->ready(e));
	CHECK_EQ(next_event().type, ENGINE_READ);
	CHECK_EQ(number_in(0), 7);
	CHECK(!e->ops->ready(e));
	signal_fd(fd.kick);
	CHECK(e->ops->ready(e));
	e->ops->enter(e, ENGINE_NO_WAIT);
	CHECK_EQ(next_event().type, ENGINE_KICK);
	no_event();
	CHECK(!e->ops->ready(e));
	signal_fd(fd.control);
	CHECK(e->ops->ready(e));
}

static void wakes_while_reads_wait(enum kind kind)
{
	struct engine_event ev;

	open_engine(kind, SOCK_SEQPACKET);
	e->ops->read(e, 0, &iov[0], 1, true);
	e->ops->enter(e, ENGINE_NO_WAIT);
	no_event();
	signal_fd(fd.kick);
	e->ops->enter(e, ENGINE_FOREVER);
	CHECK_EQ(next_event().type, ENGINE_KICK);
	while (e->ops->next(e, &ev))
		CHECK_EQ(ev.type, ENGINE_KICK);
	send_number(4);
	e->ops->enter(e, ENGINE_FOREVER);
	CHECK_EQ(next_event().type, ENGINE_READ);
	CHECK_EQ(number_in(0), 4);
}

/* --- the end ----------------------------------------------------------------- */

static unsigned open_files(void)
{
	unsigned n = 0;

	for (int i = 0; i < 1024; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static void nothing_is_left(enum kind kind)
{
	unsigned before;

	if (e)
		close_engine();
	before = open_files();
	for (unsigned i = 0; i < 20; i++) {
		open_engine(kind, SOCK_SEQPACKET);
		e->ops->read(e, 0, &iov[0], 1, true);
		e->ops->enter(e, ENGINE_NO_WAIT);
		close_engine();
	}
	CHECK_EQ(open_files(), before);
}

EACH(a_write_is_one_datagram)
EACH(writes_keep_their_order)
EACH(a_short_submission_is_completed)
EACH(a_failed_write_is_only_that)
EACH(a_full_wire)
EACH(a_hasty_read_does_not_wait)
EACH(a_patient_read_waits)
EACH(a_busy_thread_gets_frames)
EACH(a_read_scatters)
EACH(frames_come_in_order)
EACH(the_peer_is_gone)
EACH(cancelled_reads_complete)
EACH(cancelling_loses_no_frame)
EACH(nothing_to_cancel)
EACH(kicks_wake)
EACH(control_wakes)
EACH(ready_says_so)
EACH(wakes_while_reads_wait)
EACH(nothing_is_left)

int main(void)
{
	static const struct check_test tests[] = {
		ROWS("a write of many segments is one datagram", a_write_is_one_datagram),
		ROWS("writes keep their order and each completes", writes_keep_their_order),
		ROWS("what the kernel does not take at once is submitted again", a_short_submission_is_completed),
		ROWS("a write that fails says why and harms no other", a_failed_write_is_only_that),
		ROWS("a full wire refuses a write or holds it until there is room", a_full_wire),
		ROWS("a read that is not to wait says EAGAIN", a_hasty_read_does_not_wait),
		ROWS("a read that waits gets the next frame and wakes", a_patient_read_waits),
		ROWS("so it does for a thread that never waits", a_busy_thread_gets_frames),
		ROWS("a read scatters over its segments, and their array may go", a_read_scatters),
		ROWS("frames complete in the order in which they came", frames_come_in_order),
		ROWS("a peer that is gone ends a waiting read", the_peer_is_gone),
		ROWS("every cancelled read completes and its memory is left alone", cancelled_reads_complete),
		ROWS("cancelling loses no frame", cancelling_loses_no_frame),
		ROWS("with nothing in flight cancelling does nothing", nothing_to_cancel),
		ROWS("every kick wakes, also one that came before", kicks_wake),
		ROWS("the control event wakes and is consumed", control_wakes),
		ROWS("ready() is true when there is something to enter for, if it can tell", ready_says_so),
		ROWS("kicks and frames wake independently", wakes_while_reads_wait),
		ROWS("freed with a read in flight, it leaves no descriptor open", nothing_is_left),
	};
	int r;

	alarm(120);
	r = check_run(tests, ARRAY_SIZE(tests));
	if (e)
		close_engine();
	return r;
}
