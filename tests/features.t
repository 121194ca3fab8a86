#!/bin/bash
# SPDX-License-Identifier: MIT
#
# features.t - what the network device does for an unmodified Linux guest
# that asks for it, seen by its effect: frames that the guest counts, sizes on
# the wire, interrupts, carrier.  Each is looked at before, while it holds, and
# when it was taken back.
#
# Four guests: Linux 6.1 with everything as it comes; Linux 6.12, which knows
# UDP segmentation, with a large MTU; 6.1 with the smallest MTU of IPv6; and
# 6.1 to which nothing of it was offered.
# XDP is in features-xdp-kexec.t.
. "$(dirname "$0")/lib.sh"
in_lab "$@"
. tests/traffic.sh
plan 76

# --- which frames reach a guest ---

filters() {
	local name=$1 own other=020000000077 group=01005e010203 vlan5=81000005 said
	own=$(tr -d : <"$T/$name.mac")

	is "frames for the guest and for everybody reach it" "$(heard "$name" "$own" $BROADCAST)" 10
	is "a frame for another station does not" "$(heard "$name" $other)" 0
	is "nor one for a group that it has not joined" "$(heard "$name" $group)" 0
	is "nor one of a VLAN that it is not in" "$(heard "$name" "${own}${vlan5}88b5")" 0
	is "but one with a priority and no VLAN does" "$(heard "$name" "${own}8100e00088b5")" 5

	console "$name" 'ifconfig eth0 promisc' >/dev/null
	is "promiscuous, it gets all of them" "$(heard "$name" $other $group "${own}${vlan5}88b5")" 15
	console "$name" 'ifconfig eth0 -promisc' >/dev/null
	is "and none of them when it is not any more" "$(heard "$name" $other $group "${own}${vlan5}88b5")" 0

	console "$name" 'ifconfig eth0 allmulti' >/dev/null
	is "listening to all groups, it gets those and no other station's" "$(heard "$name" $group) $(heard "$name" $other)" "5 0"
	console "$name" 'ifconfig eth0 -allmulti' >/dev/null
	is "and no group when it stopped that" "$(heard "$name" $group)" 0

	# An address of IPv6 comes with a group for those who look for it.
	console "$name" 'ip -6 addr add fe80::aa:bbcc/64 dev eth0' >/dev/null
	is "a group that it joined reaches it, and no other" "$(heard "$name" 3333ffaabbcc) $(heard "$name" 3333ffaabbcd)" "5 0"
	console "$name" 'ip -6 addr del fe80::aa:bbcc/64 dev eth0' >/dev/null
	is "until it leaves" "$(heard "$name" 3333ffaabbcc)" 0

	said=$(console "$name" 'modprobe macvlan && ip link add link eth0 name second address 02:00:00:00:00:77 type macvlan && ip link set second up')
	is "a second address of the guest's is heard" "$said$(heard "$name" $other)" 5
	console "$name" 'ip link del second' >/dev/null
	is "until it is given up" "$(heard "$name" $other)" 0

	said=$(console "$name" 'modprobe 8021q && ip link add link eth0 name eth0.5 type vlan id 5 && ip addr add 10.5.0.2/24 dev eth0.5 && ip link set eth0.5 up')
	is "in VLAN 5, the guest gets its frames, and not those of VLAN 6" \
		"$said$(heard "$name" "${own}${vlan5}88b5") $(heard "$name" "${own}8100000688b5")" "5 0"
	ip link add link "$name" name vlan5 type vlan id 5 && ip addr add 10.5.0.1/24 dev vlan5 && ip link set vlan5 up
	like "over the VLAN the host reaches the guest" "$(ping -q -c 50 -i 0.002 10.5.0.2)" "* 50 received, 0% packet loss*"
	like "and the guest the host" "$(console "$name" '/usr/bin/ping -q -c 50 -i 0.002 10.5.0.1')" "* 50 received, 0% packet loss*"
	ip link del vlan5
	console "$name" 'ip link del eth0.5' >/dev/null
	is "and when it leaves the VLAN there is silence again" "$(heard "$name" "${own}${vlan5}88b5")" 0

	console "$name" "ip link set eth0 address 02:00:00:00:00:77" >/dev/null
	is "with another address the guest gets what is for that, and not what is for the old one" \
		"$(heard "$name" $other) $(heard "$name" "$own")" "5 0"
	ip neigh replace "${ip[$name]}" dev "$name" nud permanent lladdr 02:00:00:00:00:77
	ok "and answers 100 pings there" pinged "$name" 100
}

# --- sizes on the wire ---

offloads() {
	local name=$1 on sizes=""

	watch "$name" "$OFFLOADS"
	is "4 MiB to the guest arrive as they were" "$(to_guest "$name" 4)" "$(digest 4)"
	is "4 MiB from the guest arrive as they were" "$(from_guest "$name" 4)" "$(digest 4)"
	unwatch "$name"
	is "in frames larger than the MTU, with checksums left to finish, both ways" \
		"$(offloads_seen "$name")" "large-to unfinished-to large-from unfinished-from "

	load "$name"
	for _ in 1 2 3; do
		console "$name" 'ethtool -K eth0 rx-gro-hw off' >/dev/null
		watch "$name" "greater 1515 and dst host ${ip[$name]}"
		on=$(mean "$name")
		unwatch "$name"
		sizes+="$((on > 500 && on <= 1514 ? 1 : on)) $(seen_on_wire "$name" ip) "
		console "$name" 'ethtool -K eth0 rx-gro-hw on' >/dev/null
		sizes+="$(($(mean "$name") > 1514)), "
	done
	unload
	is "under load, no frame is larger than the MTU when the guest declines, and when it takes them again they are" \
		"$sizes" "1 0 1, 1 0 1, 1 0 1, "
	is "and what comes then is still as it was" "$(to_guest "$name" 4)" "$(digest 4)"
}

# --- interrupts ---

moderation() {
	local name=$1 q few rtt

	still "$name"
	q=$(trickle "$name" 100)
	# tx-frames: without it Linux 6.1 takes the command for "no NAPI".
	is "interrupts can be put off by the guest" \
		"$(console "$name" 'ethtool -C eth0 rx-usecs 20000 rx-frames 64 tx-frames 1 && ethtool -c eth0 | grep -E "^rx-(usecs|frames):"' | tr -s ' \t\n' ' ')" \
		"rx-usecs: 20000 rx-frames: 64 "
	few=$(trickle "$name" 100)
	diag "100 frames one by one: $q interrupts, $few when they may wait"
	holds "100 frames one by one come with about as many interrupts" "q > 50 && q <= 110" "$q interrupts"
	holds "and with few when interrupts may wait for ten times as long" "few > 0 && few * 3 < q" "$few instead of $q interrupts"

	rtt=$(ping -c 7 -i 0.1 "${ip[$name]}" | middle)
	holds "a lone ping is answered after that time" "rtt >= 19500" "$rtt us"
	holds "and not much later" "rtt < 500000" "$rtt us"
	console "$name" 'ethtool -C eth0 rx-usecs 0 rx-frames 1 tx-frames 1' >/dev/null
	rtt=$(ping -q -c 5 -i 0.1 "${ip[$name]}" | least)
	holds "and well before it when nothing is put off any more" "rtt < 19500" "$rtt us"

	console "$name" 'ethtool -C eth0 rx-usecs 100000000 rx-frames 8 tx-frames 1' >/dev/null
	counting "$name"
	frames "$name" 7 0 60 $BROADCAST
	sleep 0.3
	is "seven frames wait where the guest wants to hear of eight" "$(came "$name" 0)" 0
	frames "$name" 1 0 60 $BROADCAST
	is "and come with the eighth" "$(came "$name" 480)" 8
	console "$name" 'ethtool -C eth0 rx-usecs 0 rx-frames 1 tx-frames 1' >/dev/null
	holds "then all is as before" "$(trickle "$name" 100) > 50"
}

# --- carrier ---

carrier_is() { [ "$(console "$1" 'cat /sys/class/net/eth0/carrier')" = "$2" ]; }
carrier() {
	is "the link has a speed, in both directions" "$(console "$1" 'cat /sys/class/net/eth0/speed /sys/class/net/eth0/duplex' | tr '\n' ' ')" "10000 full "
	ip link set dev "$1" down
	ok "when the tap goes down so does the guest's carrier" until_true 10 carrier_is "$1" 0
	# Who it is that asks for his own address makes himself known.
	tcpdump -l -n -i any 'arp[14:4] = arp[24:4]' >"$T/arp" 2>"$T/tcpdump" &
	running[$!]=tcpdump
	until_true 10 says "$T/tcpdump" "listening on"
	ip link set dev "$1" up
	ok "and comes back with it" until_true 10 carrier_is "$1" 1
	ok "and the guest makes itself known" until_true 10 says "$T/arp" "who-has ${ip[$1]} .*tell ${ip[$1]}"
	kill $! && unset "running[$!]"
	ip neigh replace "${ip[$1]}" dev "$1" nud permanent lladdr "$(console "$1" 'cat /sys/class/net/eth0/address')"
	ok "and traffic resumes" until_true 10 answers "$1"
}

# --- a new driver ---

new_driver() {
	local name=$1 own
	own=$(tr -d : <"$T/$name.mac")

	console "$name" 'ifconfig eth0 promisc; ip link set eth0 address 02:00:00:00:00:77; ethtool -K eth0 rx-gro-hw off; ethtool -C eth0 rx-usecs 20000 rx-frames 64 tx-frames 1' >/dev/null
	is "a driver that has set everything" "$(heard "$name" "$own" 020000000077) $(($(trickle "$name" 100) < 50))" "10 1"
	console "$name" 'rmmod virtio_net' >/dev/null
	frames "$name" 50 0 60 $BROADCAST
	is "is removed and loaded again" \
		"$(console "$name" "modprobe virtio_net && /bin/network >/dev/null && arp -i eth0 -s ${ip[$name]%.*}.1 $(<"/sys/class/net/$name/address")")" ""
	ip neigh replace "${ip[$name]}" dev "$name" nud permanent lladdr "$(<"$T/$name.mac")"
	holds "what came meanwhile is not the new one's" "$(seen "$name" rx_packets) < 10"
	is "its address is the first again" "$(console "$name" 'cat /sys/class/net/eth0/address')" "$(<"$T/$name.mac")"
	is "it gets what is for that, and nothing that is for others" "$(heard "$name" "$own") $(heard "$name" 020000000077)" "5 0"
	holds "interrupts are not put off" "$(trickle "$name" 100) > 50"
	load "$name"
	holds "and frames come larger than the MTU" "$(mean "$name") > 1514"
	unload
}

# --- small packets, both ways ---

COUNT=20000
flood() {
	local name=$1 here there dropped lost
	here=$(udp_here) there=$(udp_there "$name")
	dropped=$(stat_of "$name" tx_dropped) lost=$(seen "$name" tx_dropped)

	console "$name" "((tcpblast --udp -q -s 64 -c $COUNT ${ip[$name]%.*}.1:9 </dev/null >/dev/null 2>&1; echo done >/tmp/sent) &)" >/dev/null
	datagrams "$name" 9 $COUNT 0
	ok "a flood of small packets both ways ends" until_true 30 sent_there "$name"
	all_here() { (($(udp_here) - here + $(seen "$name" tx_dropped) - lost == COUNT)); }
	all_there() { (($(udp_there "$name") - there + $(stat_of "$name" tx_dropped) - dropped == COUNT)); }
	until_true 10 all_here
	is "of it, what the guest sent and what it dropped is what arrived here" \
		$(($(udp_here) - here + $(seen "$name" tx_dropped) - lost)) $COUNT
	until_true 10 all_there
	is "what was sent here and what the tap dropped is what arrived in the guest" \
		$(($(udp_there "$name") - there + $(stat_of "$name" tx_dropped) - dropped)) $COUNT
	diag "to the guest: $(($(stat_of "$name" tx_dropped) - dropped)) dropped of $COUNT"
}
sent_there() { [ "$(console "$1" 'cat /tmp/sent')" = "done" ]; }

# --- UDP segmentation ---

# segments NAME: frames in which ten datagrams come that were sent as one.
segments() {
	counting "$1"
	perl -e '
		socket my $s, 2, 2, 0 or die $!;
		setsockopt $s, 17, 103, pack "i", 1000 or die "UDP_SEGMENT: $!";
		send $s, "x" x 10000, 0, pack "S n C4 x8", 2, 9, split /\./, $ARGV[0] or die $!' "${ip[$1]}"
	came "$1" 10000
}

# --- the largest packet ---

# packets_of NAME MTU: as large as that goes both ways, and no larger.
packets_of() {
	local name=$1 mtu=$2
	is "mtu=$mtu is the guest's MTU" "$(console "$name" 'cat /sys/class/net/eth0/mtu')" "$mtu"
	like "packets of $mtu bytes reach the guest and come back" \
		"$(ping -q -M do -s $((mtu - 28)) -c 20 -i 0.002 "${ip[$name]}")" "* 20 received, 0% packet loss*"
	like "and the other way round" \
		"$(console "$name" "/usr/bin/ping -q -M do -s $((mtu - 28)) -c 20 -i 0.002 ${ip[$name]%.*}.1")" "* 20 received, 0% packet loss*"
	like "a larger one the guest does not send" \
		"$(console "$name" "/usr/bin/ping -M do -s $((mtu - 27)) -c 1 -W 1 ${ip[$name]%.*}.1 2>&1")" "*[Mm]essage too long*"
}

# --- IPv6 ---

ipv6() {
	local name=$1 to
	to=$(console "$name" 'ip -6 addr show dev eth0 scope link' | sed -n 's,.*inet6 \([^/]*\)/.*,\1,p')%$name
	like "IPv6: 100 pings to the guest's own address, none lost" "$(ping -6 -q -c 100 -i 0.002 "$to")" "* 100 received, 0% packet loss*"
	watch "$name" "ip6 and greater $((14 + 1 + $(<"/sys/class/net/$name/mtu")))"
	is "IPv6: 4 MiB by TCP arrive as they were" "$(timeout 60 "$BUSYBOX" nc "$to" 9997 <"$T/file4" | cut -d' ' -f1)" "$(digest 4)"
	unwatch "$name"
	holds "IPv6: in frames larger than the MTU" "$(seen_on_wire "$name" ip6) > 0"
}

# --- nothing of it ---

# plain NAME: a guest that was offered none of this, on a tap of MTU 1400.
plain() {
	local name=$1
	# The host's router solicitations would be counted; others here have IPv6.
	echo 1 >"/proc/sys/net/ipv6/conf/$name/disable_ipv6"
	is "offered nothing of it, the driver has nothing of it" \
		"$(console "$name" 'cat /sys/bus/virtio/devices/virtio0/features')" \
		1100010111011101010000000000110010000000000000000000000000000000
	is "frames for others reach the guest" "$(heard "$name" 020000000077 01005e010203 02000000007781000005)" 15
	is "interrupts cannot be put off" "$(console "$name" 'ethtool -C eth0 rx-usecs 20000 rx-frames 64 tx-frames 1 >/dev/null 2>&1 || echo refused')" refused
	is "nor receive offloads be declined" "$(console "$name" 'ethtool -k eth0 | grep rx-gro-hw')" "rx-gro-hw: on [fixed]"
	is "it does not know the MTU" "$(<"/sys/class/net/$name/mtu") $(console "$name" 'cat /sys/class/net/eth0/mtu')" "1400 1500"
	is "nor a speed" "$(console "$name" 'cat /sys/class/net/eth0/speed')" -1
	ip link set dev "$name" down
	sleep 0.3
	is "nor that the link is gone" "$(console "$name" 'cat /sys/class/net/eth0/carrier')" 1
	ip link set dev "$name" up
	ip neigh replace "${ip[$name]}" dev "$name" nud permanent lladdr "$(<"$T/$name.mac")"
	ok "which comes back" until_true 10 answers "$name"
}

diag "where: $WHERE"
make_file 4
quiet_host
kernel=vmlinux
boot_linux a cloud -m 256M -p quiet
# Its packets wait in a plain queue: Debian's fq_codel drops one, and counts that
# nowhere else, if for a tenth of a second they all waited for long.
net=mtu=9000 boot_linux b lab -m 256M -p "quiet sysctl.net.core.default_qdisc=pfifo_fast"
prepare a && acquaint a || bail "no guest"
diag "$(since "$started") s: a guest is up"
filters a
new_driver a
diag "$(since "$started") s"
offloads a
moderation a
carrier a
is "the guest's kernel complained of nothing" "$(trouble a)" ""
off a "ringlet has said nothing all the while but how it ended"
diag "$(since "$started") s"

echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6
net=mtu=1280 boot_linux c cloud -m 256M -p quiet
prepare b && acquaint b || bail "no guest"
flood b
is "a datagram of ten segments comes to Linux 6.12 as one frame" "$(segments b)" 1
console b 'ethtool -K eth0 rx-gro-hw off' >/dev/null
is "as ten when it declines" "$(segments b)" 10
console b 'ethtool -K eth0 rx-gro-hw on' >/dev/null
is "as one when it takes them again" "$(segments b)" 1
packets_of b 9000
is "Linux 6.12 complained of nothing" "$(trouble b)" ""
off b "nor here"
net=ctrl_rx=off,ctrl_vlan=off,ctrl_mac_addr=off,guest_offloads=off,announce=off,notf_coal=off,status=off,speed_duplex=off,mtu_feature=off,mtu=1400 \
	boot_linux d cloud -m 256M -p quiet
prepare c && acquaint c || bail "no guest"
diag "$(since "$started") s"
packets_of c 1280
ipv6 c
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
off c "nor here"
diag "$(since "$started") s"
prepare d && acquaint d || bail "no guest"
plain d
off d "nor here, to the end"
