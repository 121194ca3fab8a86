#!/bin/bash
# SPDX-License-Identifier: MIT
#
# features-mq.t - several queue pairs, and what is set for one queue alone.
#
# Linux gives each processor a transmit queue of its own, and the tap answers
# in the pair that asked: so a ping that is bound to a processor of the guest
# tells which pair it goes through.
. "$(dirname "$0")/lib.sh"
in_lab "$@"
. tests/traffic.sh
plan 29

# pings NAME CPU COUNT: by the guest, from this processor.
pings() { console "$1" "taskset $((1 << $2)) /usr/bin/ping -q -c $3 -i 0.002 ${ip[$1]%.*}.1"; }

# pairs NAME: packets so far, as "rx0 tx0 rx1 tx1".
pairs() {
	console "$1" 'ethtool -S eth0' |
		awk '{ sub(/:$/, "", $1); n[$1] = $2 } END { for (i = 0; i < 2; i++) printf "%d %d ", n["rx_queue_" i "_packets"] + n["rx" i "_packets"], n["tx_queue_" i "_packets"] + n["tx" i "_packets"] }'
}
# used NAME CPU: which of them a hundred pings from there go through.  The
# tap learns where to answer when it has passed on the first of a flow.
used() {
	local before after i
	read -r -a before <<<"$(pairs "$1")"
	pings "$1" "$2" 100 >/dev/null
	read -r -a after <<<"$(pairs "$1")"
	for i in 0 1 2 3; do echo $((after[i] - before[i] >= 90)); done | tr '\n' ' '
}

# flows NAME: of forty datagrams, each of a flow that the tap has not met, how
# many arrive, whichever pair it chooses for them.
flows() {
	counting "$1"
	datagrams "$1" 9 1 {4100..4139}
	came "$1" $((40 * 106))
}

threads() { cat /proc/"${pid[$1]}"/task/*/comm | grep net/ | sort | tr '\n' ' '; }
combined() { console "$1" 'ethtool -l eth0' | awk '/^Combined/ { printf "%s ", $2 }'; }

queue_pairs() {
	local name=$1 job downs

	is "each of two pairs has a thread" "$(threads "$name")" "net/0 net/1 "
	is "the guest can have two pairs and takes them" "$(combined "$name")" "2 2 "
	is "what its first processor sends and gets goes through the first pair" "$(used "$name" 0)" "1 1 0 0 "
	is "what its second does through the second" "$(used "$name" 1)" "0 0 1 1 "

	is "the guest can do with one" "$(console "$name" 'ethtool -L eth0 combined 1')$(combined "$name")" "2 1 "
	is "then all goes through the first" "$(used "$name" 1)" "1 1 0 0 "
	is "and so does what the tap would have put into the second" "$(flows "$name")" 40
	is "and with two again" "$(console "$name" 'ethtool -L eth0 combined 2')$(combined "$name")" "2 2 "
	is "then the second is used as before" "$(used "$name" 1)" "0 0 1 1 "
	is "and of many flows none is lost" "$(flows "$name")" 40

	downs=$(console "$name" 'cat /sys/class/net/eth0/carrier_down_count')
	guest "$name" 'iperf3 -s </dev/null >/dev/null 2>&1 &'
	timeout 120 iperf3 --bidir -P 2 -t 600 -c "${ip[$name]}" >"$T/iperf" 2>&1 &
	job=$! running[$!]=iperf3
	until_true 20 moves "$name"
	is "the pairs change between one and two fifty times under four streams" \
		"$(console "$name" 'i=0; until [ $i = 50 ]; do i=$((i + 1)); ethtool -L eth0 combined 1 && usleep 5000 && ethtool -L eth0 combined 2 || echo failed $i; usleep 5000; done')" ""
	ok "the streams go on" moves "$name"
	kill -INT $job
	wait $job
	unset "running[$job]"
	is "none of them was broken" "$(grep -i -e error -e refused -e reset "$T/iperf" | grep -v "interrupt - the client has terminated")" ""
	is "the link was never lost" "$(console "$name" 'cat /sys/class/net/eth0/carrier_down_count')" "$downs"
	ok "and 1000 pings are not" pinged "$name" 1000

	# virtio-mmio of Linux 6.1 to 6.12 cannot reset a single queue: the
	# driver must not be left with half a ring because it asked.
	like "its rings cannot be made smaller while it runs" "$(console "$name" 'ethtool -G eth0 rx 256 || echo refused')" "*refused*"
	is "and stay as they are" "$(console "$name" 'ethtool -g eth0' | awk '/^[RT]X:/ { print $2 }' | tr '\n' ' ')" "1024 1024 1024 1024 "
	ok "with traffic as before" pinged "$name" 1000
}

# moves NAME: packets pass in both directions.
moves() {
	local r t
	r=$(stat_of "$1" rx_packets) t=$(stat_of "$1" tx_packets)
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		sleep 0.1
		(($(stat_of "$1" rx_packets) <= r + 100 || $(stat_of "$1" tx_packets) <= t + 100)) || return 0
	done
	return 1
}

# usecs NAME MASK: how long interrupts of these queues may wait, says the guest.
usecs() { console "$1" "ethtool --per-queue eth0 queue_mask $2 --show-coalesce" | awk '/^rx-usecs:/ { print $2 }' | tr '\n' ' '; }
# meet NAME CPU: one that this processor sends, to which all others are answers.
# The tap forgets in three seconds where it came from.
meet() { console "$1" "taskset $((1 << $2)) tcpblast --udp -q -s 64 -c 1 -p 4009 ${ip[$1]%.*}.1:9 </dev/null >/dev/null 2>&1" >/dev/null; }
# eight NAME CPU BYTES: packets received when BYTES of seven datagrams are
# there, and after an eighth.
eight() {
	counting "$1"
	meet "$1" "$2"
	datagrams "$1" 4009 7 9
	sleep 0.3
	came "$1" "$3"
	meet "$1" "$2"
	datagrams "$1" 4009 1 9
	came "$1" $((8 * 106))
}
wait_for_eight() { eight "$1" "$2" 0 | tr '\n' ' '; }
come_at_once() { eight "$1" "$2" $((7 * 106)) | tr '\n' ' '; }

one_queue() {
	local name=$1 said wait="rx-usecs 100000000 rx-frames 8" dont="rx-usecs 0 rx-frames 1"

	still "$name"
	said=$(console "$name" "ethtool --per-queue eth0 queue_mask 2 --coalesce $wait")
	is "Linux 6.12 puts interrupts off for one queue alone" "$said$(usecs "$name" 3)" "0 100000000 "
	is "then seven frames in that queue wait for an eighth" "$(wait_for_eight "$name" 1)" "0 8 "
	is "and none in the other" "$(come_at_once "$name" 0)" "7 8 "
	is "for the device it holds for each queue" \
		"$(console "$name" "ethtool -C eth0 $wait")$(usecs "$name" 3)$(wait_for_eight "$name" 0)$(wait_for_eight "$name" 1)" \
		"100000000 100000000 0 8 0 8 "
	like "the guest may adapt them by itself" "$(console "$name" 'ethtool -C eth0 adaptive-rx on && ethtool -c eth0')" "*Adaptive RX: on*"
	ok "while it does 1000 pings are not lost" pinged "$name" 1000
	like "and may stop that" "$(console "$name" "ethtool -C eth0 adaptive-rx off && ethtool -C eth0 $dont && ethtool -c eth0")" "*Adaptive RX: off*"
	is "then no frame waits for another" "$(come_at_once "$name" 0)$(come_at_once "$name" 1)" "7 8 7 8 "
}

diag "where: $WHERE"
quiet_host
kernel=vmlinux
net=queues=2 boot_linux m cloud -v -m 256M -c 2 -p quiet
net=queues=2 boot_linux n lab -v -m 256M -c 2 -p quiet
prepare m && acquaint m || bail "no guest"
diag "$(since "$started") s: a guest is up"
queue_pairs m
is "the guest's kernel complained of nothing" "$(trouble m)" ""
echo "poweroff -f" >>"$T/m.in"
ended m
diag "$(since "$started") s"
prepare n && acquaint n || bail "no guest"
one_queue n
is "Linux 6.12 complained of nothing" "$(trouble n)" ""
echo "poweroff -f" >>"$T/n.in"
ended n
like "every command of either was carried out" "$(grep -h -o "net control: .*" "$T"/[mn].err)" \
	"*commands +([0-9]), kicks*"$'\n'"*commands +([0-9]), kicks*"
