// SPDX-License-Identifier: MIT
/*
 * vconsole.c - the console device and a driver of ours: how ports come to be
 * known, bytes both ways, who waits for whom, the end of a stream; and drivers
 * that break the rules.  Clauses are those of virtio 1.2.
 */
#include "vconsole.h"

#include <linux/virtio_console.h>

#include "barrier.h"
#include "check.h"
#include "driver.h"

#define FEATURES (VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_CONSOLE_F_MULTIPORT))
#define SIZE 64
#define PORTS 3
#define QUEUES (2 * PORTS + 2)
#define CONTROL_RX 2
#define CONTROL_TX 3
#define RX(port) ((port) ? 2 * (port) + 2 : 0)
#define TX(port) (RX(port) + 1)
#define ROOM 4096u

static struct guest g;
static struct vconsole *vc;
static struct virtio_dev *dev;
static struct ring ring[QUEUES];
static u64 buffers[QUEUES]; /* gpa, ROOM bytes for each head */
static char said[1 << 16];

/* The host's ends: what came, what there is to give. */
static struct {
	char got[1 << 16];
	size_t n_got, most; /* most: bytes to take at a time, 0: none */
	bool gone;
	const char *input; /* NULL: none now, "": its end */
	unsigned asked;
} host[PORTS];

static ssize_t take(void *opaque, unsigned port, const struct iovec *iov, unsigned n)
{
	size_t taken = 0;

	(void)opaque;
	if (host[port].gone)
		return -1;
	for (unsigned i = 0; i < n; i++) {
		size_t len = MIN(iov[i].iov_len, host[port].most - taken);

		memcpy(host[port].got + host[port].n_got, iov[i].iov_base, len);
		host[port].n_got += len;
		taken += len;
	}
	return (ssize_t)taken;
}

static ssize_t give(void *opaque, unsigned port, const struct iovec *iov, unsigned n)
{
	size_t len;

	(void)opaque;
	(void)n;
	host[port].asked++;
	if (!host[port].input)
		return 0;
	len = MIN(strlen(host[port].input), iov->iov_len);
	if (!len)
		return -1;
	memcpy(iov->iov_base, host[port].input, len);
	host[port].input += len;
	return (ssize_t)len;
}

static const struct vconsole_ops ops = { .take = take, .give = give };

/* A new driver, as far as DRIVER_OK; its rings are empty. */
static void attach(void)
{
	CHECK(driver_negotiate(dev, FEATURES));
	for (unsigned i = 0; i < QUEUES; i++) {
		ring_restart(&ring[i]);
		CHECK(driver_enable_queue(dev, i, &ring[i].where));
	}
	driver_ok(dev);
}

static void open_device(void)
{
	static const char *const names[PORTS] = { NULL, "one", "two" };

	if (vc) {
		vconsole_free(vc);
		guest_close(&g);
	}
	memset(host, 0, sizeof(host));
	for (unsigned i = 0; i < PORTS; i++)
		host[i].most = sizeof(host[i].got);
	guest_open(&g, 4 * MiB, 1 * MiB);
	vc = vconsole_new(&g.mem, names, PORTS, false, &ops, NULL);
	CHECK(vc);
	dev = vconsole_virtio(vc);
	CHECK_EQ(dev->nvq, QUEUES);
	for (unsigned i = 0; i < QUEUES; i++) {
		ring_init(&ring[i], &g, SIZE, false, false);
		buffers[i] = guest_alloc(&g, 0, SIZE * ROOM, 64);
	}
	attach();
}

static void settle(void)
{
	while (vconsole_serve(vc))
		;
}

/* Give the device a buffer of that length to fill. */
static void post(unsigned queue, u32 len)
{
	struct segment s = { .gpa = buffers[queue] + ring[queue].free * ROOM, .len = len, .write = true };

	CHECK(ring_add(&ring[queue], &s, 1) >= 0);
	ring_show(&ring[queue]);
}

static void send(unsigned queue, const void *data, u32 len)
{
	struct segment s = { .gpa = buffers[queue] + ring[queue].free * ROOM, .len = len };

	memcpy(guest_at(&g, s.gpa), data, len);
	CHECK(ring_add(&ring[queue], &s, 1) >= 0);
	ring_show(&ring[queue]);
}

static void request(u32 id, u16 event, u16 value)
{
	struct virtio_console_control c = { id, event, value };

	send(CONTROL_TX, &c, sizeof(c));
}

/* The next buffer that was filled, as a string; NULL: there is none. */
static const char *next(unsigned queue, u32 *len)
{
	static char text[ROOM + 1];
	u16 head;

	if (ring_take(&ring[queue], &head, len) != 1)
		return NULL;
	CHECK(*len <= ROOM);
	memcpy(text, guest_at(&g, buffers[queue] + head * ROOM), *len);
	text[*len] = '\0';
	return text;
}

static void expect_message(u32 id, u16 event, u16 value, const char *text)
{
	struct virtio_console_control c;
	u32 len;
	const char *message = next(CONTROL_RX, &len);

	CHECK(message);
	CHECK(len >= sizeof(c));
	memcpy(&c, message, sizeof(c));
	CHECK_EQ(c.id, id);
	CHECK_EQ(c.event, event);
	CHECK_EQ(c.value, value);
	CHECK_STR(message + sizeof(c), text);
}

/* Both ports known, connected and opened by a program in the guest. */
static void open_ports(void)
{
	u32 len;

	for (unsigned i = 0; i < 16; i++)
		post(CONTROL_RX, ROOM);
	request(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (u32 i = 1; i < PORTS; i++) {
		request(i, VIRTIO_CONSOLE_PORT_READY, 1);
		request(i, VIRTIO_CONSOLE_PORT_OPEN, 1);
	}
	settle();
	while (next(CONTROL_RX, &len) || next(CONTROL_TX, &len))
		;
	for (unsigned i = 0; i < 16; i++)
		post(CONTROL_RX, ROOM);
	CHECK(vconsole_is_open(vc, 1) && vconsole_is_open(vc, 2));
}

static void ports_are_told(void)
{
	open_device();
	for (unsigned i = 0; i < 8; i++)
		post(CONTROL_RX, ROOM);
	request(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	settle();
	expect_message(1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	expect_message(2, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	request(2, VIRTIO_CONSOLE_PORT_READY, 1);
	settle();
	expect_message(2, VIRTIO_CONSOLE_PORT_NAME, 1, "two");
	expect_message(2, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	CHECK(!vconsole_is_open(vc, 2));
	request(2, VIRTIO_CONSOLE_PORT_OPEN, 1);
	settle();
	CHECK(vconsole_is_open(vc, 2) && !vconsole_is_open(vc, 1));
	request(2, VIRTIO_CONSOLE_PORT_OPEN, 0);
	settle();
	CHECK(!vconsole_is_open(vc, 2));
	CHECK_EQ(ring_waiting(&ring[CONTROL_RX]), 0);
}

static void messages_wait(void)
{
	open_device();
	for (unsigned i = 0; i < 40; i++)
		request(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	settle();
	post(CONTROL_RX, ROOM);
	settle();
	expect_message(1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	for (unsigned i = 0; i < 40; i++)
		post(CONTROL_RX, ROOM);
	settle();
	expect_message(2, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	CHECK_EQ(ring_waiting(&ring[CONTROL_RX]), 0);
}

static void bytes_come_out(void)
{
	u32 len;

	open_device();
	open_ports();
	host[1].most = 7;
	send(TX(1), "what the guest says", 19);
	send(TX(1), ", and more", 10);
	send(TX(2), "elsewhere", 9);
	settle();
	CHECK_STR(host[1].got, "what the guest says, and more");
	CHECK_STR(host[2].got, "elsewhere");
	CHECK(next(TX(1), &len) && next(TX(1), &len) && !next(TX(1), &len));
	CHECK_EQ(len, 0);
}

static void a_slow_reader_is_waited_for(void)
{
	u32 len;

	open_device();
	open_ports();
	host[1].most = 0;
	for (unsigned i = 0; i < SIZE; i++)
		send(TX(1), "0123456789", 10);
	settle();
	CHECK_EQ(host[1].n_got, 0);
	CHECK(!next(TX(1), &len));
	/* The other stream is not held up. */
	send(TX(2), "elsewhere", 9);
	settle();
	CHECK_STR(host[2].got, "elsewhere");
	host[1].most = 13;
	settle();
	CHECK_EQ(host[1].n_got, 10 * SIZE);
	CHECK_STR(host[1].got + 10 * SIZE - 10, "0123456789");
	CHECK_EQ(ring_waiting(&ring[TX(1)]), SIZE);
}

static void nobody_wants_it_any_more(void)
{
	u32 len;

	open_device();
	open_ports();
	host[1].gone = true;
	send(TX(1), "lost", 4);
	send(TX(1), "lost, too", 9);
	settle();
	CHECK(next(TX(1), &len) && next(TX(1), &len));
	expect_message(1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	CHECK_EQ(ring_waiting(&ring[CONTROL_RX]), 0);
}

static void bytes_go_in(void)
{
	u32 len;

	open_device();
	open_ports();
	host[1].input = "typed";
	settle();
	CHECK_EQ(ring_waiting(&ring[RX(1)]), 0);
	post(RX(1), 3);
	post(RX(1), 3);
	post(RX(1), 3);
	host[1].input = "typed";
	settle();
	CHECK_STR(next(RX(1), &len), "typ");
	CHECK_STR(next(RX(1), &len), "ed");
	/* At the end of the input: the last byte first, then the word, once. */
	CHECK(!next(RX(1), &len));
	expect_message(1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	host[1].asked = 0;
	settle();
	CHECK_EQ(host[1].asked, 0);
	CHECK_EQ(ring_waiting(&ring[CONTROL_RX]), 0);
}

static void a_buffer_is_kept_for_later(void)
{
	u32 len;

	open_device();
	open_ports();
	post(RX(1), 100);
	settle();
	settle();
	CHECK(!next(RX(1), &len));
	host[1].input = "at last";
	settle();
	CHECK_STR(next(RX(1), &len), "at last");
}

static void nothing_before_it_is_open(void)
{
	open_device();
	post(RX(1), 100);
	host[1].input = "too early";
	settle();
	CHECK_EQ(host[1].asked, 0);
}

static void a_new_driver_starts_anew(void)
{
	u32 len;

	open_device();
	open_ports();
	host[1].most = 5;
	host[1].n_got = 0;
	send(TX(1), "abcdefghijkl", 12);
	host[1].most = 0;
	settle();
	attach();
	settle();
	CHECK(!vconsole_is_open(vc, 1));
	open_ports();
	host[1].most = 100;
	send(TX(1), "new", 3);
	settle();
	CHECK_STR(host[1].got, "new");
	CHECK(next(TX(1), &len));
}

static void one_port_is_refused(void)
{
	open_device();
	stderr_capture();
	CHECK(!driver_negotiate(dev, VIRTIO_BIT(VIRTIO_F_VERSION_1)));
	stderr_release(said, sizeof(said));
	CHECK_HAS(said, "MULTIPORT");
}

/* --- drivers that break the rules ----------------------------------------------- */

static void nonsense_is_harmless(void)
{
	struct virtio_console_control c = { .id = 7, .event = VIRTIO_CONSOLE_PORT_READY, .value = 1 };
	u64 state = 1;

	open_device();
	for (unsigned i = 0; i < 16; i++)
		post(CONTROL_RX, ROOM);
	send(CONTROL_TX, &c, sizeof(c));      /* no such port */
	send(CONTROL_TX, &c, sizeof(c) - 1);  /* too short */
	request(0, VIRTIO_CONSOLE_PORT_READY, 1); /* a port that is left out */
	for (unsigned i = 0; i < 40; i++) {
		c = (struct virtio_console_control){ (u32)random_next(&state), (u16)(random_next(&state) | 0x100), 1 };
		send(CONTROL_TX, &c, sizeof(c));
	}
	settle();
	CHECK_EQ(ring_waiting(&ring[CONTROL_TX]), 43);
	CHECK_EQ(ring_waiting(&ring[CONTROL_RX]), 0);
}

static void expect_broken(const char *rule)
{
	unsigned lines = 0;

	stderr_capture();
	settle();
	settle();
	stderr_release(said, sizeof(said));
	for (const char *s = said; *s; s++)
		lines += *s == '\n';
	CHECK_HAS(said, rule);
	CHECK_EQ(lines, 1);
	CHECK(reg_read(dev, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* It gets over it. */
	attach();
	open_ports();
	host[2].n_got = 0;
	send(TX(2), "alive", 6);
	settle();
	CHECK_STR(host[2].got, "alive");
}

static void broken_rules(void)
{
	struct segment s;

	open_device();
	open_ports();
	post(TX(1), 10);
	expect_broken("writable descriptor in a transmit chain");
	send(RX(1), "x", 1);
	expect_broken("receive buffer that nothing can be written to");
	s = (struct segment){ .gpa = 0, .len = 10 };
	CHECK(ring_add(&ring[TX(2)], &s, 1) >= 0);
	ring_show(&ring[TX(2)]);
	expect_broken("outside guest memory");
	STORE_RELEASE(&ring[TX(1)].avail->idx, (u16)(ring[TX(1)].added + SIZE + 1));
	expect_broken("available index");
	ring[CONTROL_TX].avail->ring[ring[CONTROL_TX].added & (SIZE - 1)] = 5000;
	STORE_RELEASE(&ring[CONTROL_TX].avail->idx, (u16)(ring[CONTROL_TX].added + 1));
	expect_broken("does not exist");
}

static void a_message_without_room(void)
{
	open_device();
	post(CONTROL_RX, 7);
	request(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	expect_broken("no room for a message");
}

/* A round is bounded: a guest that always has more does not keep main for ever. */
static void a_round_ends(void)
{
	open_device();
	open_ports();
	host[1].most = 1;
	for (unsigned i = 0; i < SIZE; i++)
		send(TX(1), "0123456789", 10);
	CHECK(vconsole_serve(vc));
	CHECK(host[1].n_got < 10 * SIZE);
	settle();
	CHECK_EQ(host[1].n_got, 10 * SIZE);
}

int main(void)
{
	static const struct check_test tests[] = {
		{ "ports are announced, named and connected (5.3.6.2)", ports_are_told },
		{ "messages wait for buffers and do not pile up", messages_wait },
		{ "bytes come out in order, in portions of any size", bytes_come_out },
		{ "a reader that takes nothing holds up its own stream only", a_slow_reader_is_waited_for },
		{ "when a reader is gone the guest is told and nothing is stuck", nobody_wants_it_any_more },
		{ "bytes go in, and the end of the input behind the last", bytes_go_in },
		{ "a buffer is kept until there is something for it", a_buffer_is_kept_for_later },
		{ "nothing is read for a port that nobody has opened", nothing_before_it_is_open },
		{ "a new driver finds everything as at first", a_new_driver_starts_anew },
		{ "a driver that wants one port only is refused", one_port_is_refused },
		{ "control messages without a meaning are ignored", nonsense_is_harmless },
		{ "a broken rule is one line, a reset away from working again", broken_rules },
		{ "a control buffer that is too small breaks its queue", a_message_without_room },
		{ "a round has an end", a_round_ends },
	};

	return check_run(tests, ARRAY_SIZE(tests));
}
