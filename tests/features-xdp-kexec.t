#!/bin/bash
# SPDX-License-Identifier: MIT
#
# features-xdp-kexec.t - a guest that takes the device's offloads away and gives
# them back all by itself, because it has an XDP program to run; and then goes
# on with another kernel while the host keeps sending.
#
# The guest is Linux 6.1, with a large MTU at first.  Of three pairs of queues it
# uses two, one for each processor, and later one, so that two are left for what
# its programs send.  (With more pairs than processors and none left, Linux
# picks a queue for that which is not there.)
. "$(dirname "$0")/lib.sh"
in_lab "$@"
. tests/traffic.sh
plan 29

# --- XDP ---

# attach NAME ACTION: a program, see guest/xdp.c; what that says.
attach() {
	console "$1" "rm -f /tmp/xdp; ((xdp eth0 $2 >/tmp/xdp 2>&1; echo ended >>/tmp/xdp) &); i=0; until [ -s /tmp/xdp ] || [ \$i = 500 ]; do i=\$((i + 1)); usleep 10000; done; head -n 1 /tmp/xdp"
}
# detach NAME: how many echo requests it has met.
detach() {
	console "$1" "killall xdp; i=0; until grep -q ended /tmp/xdp || [ \$i = 500 ]; do i=\$((i + 1)); usleep 10000; done; sed -n 2p /tmp/xdp"
}
# echoes NAME: and how many the guest's own network has.
echoes() { console "$1" "awk '/^Icmp:/ { n = \$10 } END { print n }' /proc/net/snmp"; }

xdp() {
	local name=$1 was m

	like "a program is refused where a frame may be larger than a page" "$(attach "$name" pass)" "xdp: cannot attach*"
	ip link set "$name" mtu 1500
	console "$name" 'ip link set eth0 mtu 1500' >/dev/null
	was=$(echoes "$name")
	load "$name"
	is "under load, a program that passes all on is attached" "$(attach "$name" pass)" attached
	m=$(mean "$name")
	holds "then no frame is larger than the MTU" "m > 500 && m <= 1514" "$m bytes"
	ok "100 pings, none lost" pinged "$name" 100
	is "the program has met them, and the guest as well" "$(detach "$name") $(($(echoes "$name") - was))" "100 100"
	holds "without it frames are larger again" "$(mean "$name") > 1514"
	unload
	answers_by_itself "$name"
	is "the guest does with one pair" "$(console "$name" 'ethtool -L eth0 combined 1')" ""
	answers_by_itself "$name"
	is "and takes two again" "$(console "$name" 'ethtool -L eth0 combined 2')" ""

	was=$(echoes "$name")
	is "a program that drops them is attached" "$(attach "$name" drop)" attached
	like "then they are not answered" "$(ping -q -c 50 -i 0.002 -W 1 "${ip[$name]}")" "*50 packets transmitted, 0 received*"
	is "but 4 MiB each way arrive as they were" "$(to_guest "$name" 4) $(from_guest "$name" 4)" "$(digest 4) $(digest 4)"
	is "the program has met them, and the guest has not" "$(detach "$name") $(($(echoes "$name") - was))" "50 0"
	ok "without it the guest answers" pinged "$name" 100
	is "and 4 MiB each way arrive as they were" "$(to_guest "$name" 4) $(from_guest "$name" 4)" "$(digest 4) $(digest 4)"
}

# What its program sends itself, the driver sends by a queue of its own if it
# has one to spare, and between what it has to send anyway if not.
answers_by_itself() {
	local name=$1 was
	was=$(echoes "$name")
	is "a program that answers echo requests is attached" "$(attach "$name" answer)" attached
	ok "100 of 100 are answered" pinged "$name" 100
	is "by the program, and the guest has not met them" "$(detach "$name") $(($(echoes "$name") - was))" "100 0"
}

# --- kexec ---

# bring NAME DIR: a kernel and its initrd into the guest; their digests.
bring() {
	local file
	for file in vmlinuz initrd; do
		"$BUSYBOX" timeout 60 "$BUSYBOX" nc "${ip[$1]}" 9997 <"$2/$file" | cut -d' ' -f1
		console "$1" "mv /tmp/file /tmp/$file"
	done
}

# next_kernel NAME DIR: go on with that kernel, under load.  It says a few words
# at its very beginning, before it has read that it is to be quiet.
next_kernel() {
	is "a kernel and its initrd arrive as they were" "$(bring "$1" "$2")" \
		"$(for file in "$2"/{vmlinuz,initrd}; do sha256sum <"$file"; done | cut -d' ' -f1)"
	load "$1"
	echo "kexec /tmp/vmlinuz /tmp/initrd \"earlycon=uart8250,io,0x3f8 second \$(cat /proc/cmdline)\"" >>"$T/$1.in"
}

# between NAME: the old driver is not there any more, the new one not yet.
# Linux 6.1 resets its devices when it ends.  6.12 does not: there the frames
# of this while are written into what was the old kernel's memory.
begins() { says "$T/$1.out" "Command line: .* second " || gone "${pid[$1]}"; }
between() {
	local name=$1 was
	until_true 60 begins "$name"
	was=$(stat_of "$name" tx_packets)
	frames "$name" 50 0 60 $BROADCAST
	sleep 0.3
	is "while the new kernel starts, the device takes no frame for the old one" "$(($(stat_of "$name" tx_packets) - was))" 0
}

is_up() { (($(grep -a -c "built-in shell" "$T/$1.out") == 2)) || gone "${pid[$1]}"; }
after() {
	local name=$1
	until_true 90 is_up "$name"
	unload
	console_open "$name" || bail "the new kernel does not come up"
	holds "what came meanwhile is not the new one's" "$(seen "$name" rx_packets) < 50"
	prepare "$name" && acquaint "$name" || bail "the new kernel is not on the network"
	like "the new kernel is up, with its own command line and two processors" \
		"$(console "$name" 'cat /proc/cmdline; nproc')" "earlycon=* second *"$'\n'2
	ok "1000 pings, none lost" pinged "$name" 1000
	is "4 MiB each way arrive as they were" "$(to_guest "$name" 4) $(from_guest "$name" 4)" "$(digest 4) $(digest 4)"
}

diag "where: $WHERE"
make_file 4
quiet_host
kernel=vmlinux
net=queues=3,mtu=9000 boot_linux x cloud -v -m 256M -c 2 -p quiet
prepare x && acquaint x || bail "no guest"
diag "$(since "$started") s: a guest is up"
xdp x
is "the guest's kernel complained of nothing" "$(trouble x)" ""
diag "$(since "$started") s"
next_kernel x build/guest/cloud
between x
after x
diag "$(since "$started") s"
is "nor did the new one" "$(trouble x)" ""
echo "poweroff -f" >>"$T/x.in"
ended x
like "it ended as it should, and no command of either driver was refused" \
	"${status[x]} $(grep -o 'net control: .*' "$T/x.err")" "0 *commands +([0-9]), kicks*"
