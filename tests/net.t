#!/bin/bash
# SPDX-License-Identifier: MIT
#
# net.t - traffic between the host and unmodified Linux guests, and what
# happens to it when rings run dry, bursts end, interfaces go down and up and
# drivers come and go: nothing is lost that need not be, nothing stalls.
#
# Four guests: one for each engine with everything, the second with memory on both
# sides of the hole below 4 GiB; one with the smallest ring; one with --mmio-strict
# on a host whose io_uring is switched off.  The last two run under the sanitizers,
# if a ringlet was built with them.  The guest is asked over its serial console
# wherever a packet more could cover up that the network stands still.
. "$(dirname "$0")/lib.sh"
in_lab "$@"
. tests/traffic.sh
plan 54

MIB=64

# --- tools ---

# flood NAME, calm: a ping flood in the background, as a load.
flood() { ping -q -f "${ip[$1]}" >"$T/flood" 2>&1 & flooding=$! running[$!]=flood; }
calm() {
	kill -INT "$flooding"
	wait "$flooding"
	unset "running[$flooding]"
}

# settles NAME COUNT: the guest waits until they are that many, silently.
settles() {
	console "$1" "i=0; until [ \$(awk '$snmp_udp' /proc/net/snmp) = $2 ] || [ \$i = 100 ]; do i=\$((i + 1)); usleep 20000; done; awk '$snmp_udp' /proc/net/snmp"
}
burst() { datagrams "$1" 9 "$2" 4009; }

packets() { console "$1" 'cd /sys/class/net/eth0/statistics; echo $(($(cat rx_packets) + $(cat tx_packets)))'; }

# resumes CLAIM NAME: at once when asked, and without loss from then on.
resumes() {
	if until_true 10 answers "$2"; then ok "$1" pinged "$2" 100; else fail "$1" "no answer within 10 s"; fi
}

# --- the claims that hold for either engine ---

everything() {
	local name=$1 io=$2 before n bad i q m p

	is "$io: the driver takes all that is offered and lacks nothing" \
		"$(guest "$name" 'cat /sys/bus/virtio/devices/virtio0/features')" \
		1111010111011101111101010000110010000000000000000000010000000001
	is "$io: the interface does checksums, segmentation both ways and scattering" \
		"$(guest "$name" 'ethtool -k eth0' | grep -E '^(rx-checksumming|tx-checksumming|scatter-gather|tcp-segmentation-offload|rx-gro-hw):|tx-tcp6?-(ecn-)?segmentation:' |
			sed 's/^[[:space:]]*//; s/ \[fixed\]//' | tr '\n' ' ')" \
		"rx-checksumming: on tx-checksumming: on scatter-gather: on tcp-segmentation-offload: on tx-tcp-segmentation: on tx-tcp-ecn-segmentation: on tx-tcp6-segmentation: on rx-gro-hw: on "
	is "$io: its rings have 1024 entries" \
		"$(guest "$name" 'ethtool -g eth0' | awk '/^[RT]X:/ { print $2 }' | tr '\n' ' ')" "1024 1024 1024 1024 "

	ok "$io: 1000 pings, none lost" pinged "$name" 1000
	q=$(interrupts "$name") m=$(kvm_stat "$name" mmio_exits) p=$(packets "$name")
	is "$io: $MIB MiB to the guest arrive as they were" "$(to_guest "$name" $MIB)" "$(digest $MIB)"
	q=$(($(interrupts "$name") - q)) m=$(($(kvm_stat "$name" mmio_exits) - m))
	p=$(($(packets "$name") - p))
	diag "bulk to the guest: $p packets, $q interrupts, $m exits to ringlet"
	holds "$io: with no more interrupts than packets" "q > 0 && q <= p" "$q interrupts, $p packets"
	holds "$io: and with fewer than one exit to ringlet in ten interrupts" "m * 10 < q" "$m exits, $q interrupts"
	is "$io: $MIB MiB from the guest arrive as they were" "$(from_guest "$name" $MIB)" "$(digest $MIB)"

	# Transmitting alone.
	before=$(udp_here) n=$(stat_of "$name" tx_packets)
	console "$name" "tcpblast --udp -q -s 64 -c 20000 ${ip[$name]%.*}.1:9 </dev/null >/dev/null 2>&1" >/dev/null
	all_came() { ((before + 20000 == $(udp_here))); }
	ok "$io: of 20000 datagrams that the guest sends, each arrives" until_true 10 all_came
	n=$(($(stat_of "$name" tx_packets) - n))
	holds "$io: though it received next to nothing meanwhile" "n < 10" "$n packets"

	# No packet follows the last one of a burst, so nothing can push it.
	n=$(udp_there "$name") bad=
	for i in 1 2 3 10 64 300 900; do
		burst "$name" $i
		n=$((n + i))
		p=$(settles "$name" $n)
		[ "$p" = $n ] || { bad+=" $i: $((n - p)) missing;" n=$p; }
	done
	is "$io: the last packet of a burst arrives, of 1, 2, 3, 10, 64, 300 and 900" "$bad" ""

	flood "$name"
	console "$name" 'for i in 1 2 3 4 5; do usleep 100000; ip link set eth0 down; usleep 50000; ip link set eth0 up; done' >/dev/null
	calm
	resumes "$io: traffic resumes after the guest's interface went down and up five times under load" "$name"

	flood "$name"
	console "$name" "((while [ ! -e /tmp/stop ]; do tcpblast --udp -q -s 1000 -c 200 ${ip[$name]%.*}.1:9; done) </dev/null >/dev/null 2>&1 &)" >/dev/null
	for i in 1 2 3 4 5; do
		until_true 5 moves "$name"
		ip link set dev "$name" down
		sleep 0.05
		ip link set dev "$name" up
	done
	console "$name" 'touch /tmp/stop' >/dev/null
	calm
	resumes "$io: traffic resumes after the tap went down and up five times under load both ways" "$name"

	flood "$name"
	bad=$(console "$name" "for i in 1 2 3 4 5 6 7 8 9 10; do rmmod virtio_net && modprobe virtio_net && /bin/network >/dev/null || echo failed \$i; usleep 50000; done")
	calm
	is "$io: the driver can be removed and loaded ten times under load" "$bad" ""
	resumes "$io: and then works as before" "$name"
	is "$io: 16 MiB to the guest arrive as they were" "$(to_guest "$name" 16)" "$(digest 16)"
	is "$io: the guest's kernel complained of nothing" \
		"$(guest "$name" 'dmesg' | grep -E 'Call Trace|BUG:|WARNING: CPU|nobody cared|NETDEV WATCHDOG|not a head|TX timeout|bad gso|rcu_.*stall')" ""
}

# moves NAME: packets pass in both directions.
moves() {
	local r t
	r=$(stat_of "$1" rx_packets) t=$(stat_of "$1" tx_packets)
	sleep 0.02
	(($(stat_of "$1" rx_packets) > r && $(stat_of "$1" tx_packets) > t))
}

diag "where: $WHERE"
kernel=vmlinux
net=io=uring boot_linux u cloud -m 256M -p quiet
net=io=poll boot_linux p generic -m 5G -c 2 -p quiet
make_file $MIB
make_file 16
prepare u
prepare p
diag "$(since "$started") s: two guests are up"
everything u uring
diag "$(since "$started") s"
everything p poll
diag "$(since "$started") s"
off u "uring: ringlet has said nothing all the while but how it ended"
off p "poll: ringlet has said nothing all the while but how it ended"

# --- a small ring, and the other options; a host without io_uring ---

if [ -x "${RINGLET%/*}/address/ringlet" ]; then
	RINGLET=${RINGLET%/*}/address/ringlet
	export ASAN_OPTIONS=detect_leaks=0 # nobody may not look into himself
	diag "from here on with the sanitizers"
fi
net=queue_size=32,mac=02:00:5e:10:00:01,mtu=4000 boot_linux s cloud -v -m 256M -p quiet
uring=/proc/sys/kernel/io_uring_disabled was= io=uring
# On somebody's machine we leave its settings alone.
if [ "$WHERE" = lab ] && [ -e $uring ]; then was=$(<$uring) && echo 2 >$uring; else io=poll; fi
net=queue_size=256,io=$io boot_linux x cloud -v --mmio-strict -m 256M -c 2 -p quiet
until_true 10 says "$T/x.err" "net: tap"
[ -z "$was" ] || echo "$was" >$uring
prepare s
prepare x
diag "$(since "$started") s: two more guests are up"

is "mac=, mtu= and queue_size= are what the guest sees" \
	"$(guest s 'cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu; ethtool -g eth0 | awk "/^[RT]X:/ { print \$2 }"' | tr '\n' ' ')" \
	"02:00:5e:10:00:01 4000 32 32 32 32 "
ok "a ring of 32: 1000 pings, none lost" pinged s 1000
n=$(udp_there s) bad=
for i in 31 32 33 100 500 900; do
	burst s $i
	n=$((n + i))
	p=$(settles s $n)
	[ "$p" = $n ] || { bad+=" $i: $((n - p)) missing;" n=$p; }
done
is "a ring of 32: of bursts of up to 900 packets none is lost, nor the last one late" "$bad" ""
is "a ring of 32: 16 MiB to the guest arrive as they were" "$(to_guest s 16)" "$(digest 16)"
is "a ring of 32: 16 MiB from the guest arrive as they were" "$(from_guest s 16)" "$(digest 16)"
ok "a ring of 32: large pings, none lost" \
	bash -c "ping -q -c 200 -i 0.005 -s 3900 ${ip[s]} | grep '200 received, 0% packet loss'"
ok "a ring of 32: 1000 pings more, none lost" pinged s 1000
echo "poweroff -f" >>"$T/s.in"
ended s
is "a ring of 32: it ended as it should" "${status[s]} $(tail -1 "$T/s.err")" "0 ringlet: the guest powered off"
dry=$(sed -n 's/.*net rx: .*starved \([0-9]*\).*/\1/p' "$T/s.err")
holds "a ring of 32: it ran dry more than once" "${dry:-0} > 1" "$(grep "net:" "$T/s.err")"

if [ -n "$was" ]; then
	ok "where io_uring is switched off ringlet says so" \
		grep -q "^ringlet: io_uring is switched off here .*: taking io=poll" "$T/x.err"
else
	skip "where io_uring is switched off ringlet says so" "the machine's setting is its owner's"
fi
ok "and takes io=poll" grep -q "engine poll" "$T/x.err"
ok "--mmio-strict: 1000 pings, none lost" pinged x 1000
q=$(interrupts x) m=$(kvm_stat x mmio_exits)
is "--mmio-strict: 16 MiB to the guest arrive as they were" "$(to_guest x 16)" "$(digest 16)"
q=$(($(interrupts x) - q)) m=$(($(kvm_stat x mmio_exits) - m))
diag "bulk to the guest: $q interrupts, $m exits to ringlet"
holds "--mmio-strict: each interrupt is acknowledged in ringlet, so the exits above were counted" "m >= q && q > 0" \
	"$m exits, $q interrupts"
is "--mmio-strict: 16 MiB from the guest arrive as they were" "$(from_guest x 16)" "$(digest 16)"
flood x
bad=$(console x "for i in 1 2 3; do rmmod virtio_net && modprobe virtio_net && /bin/network >/dev/null || echo failed \$i; usleep 50000; done")
calm
is "--mmio-strict: the driver can be removed and loaded again under load" "$bad" ""
resumes "--mmio-strict: and then works as before" x
echo "poweroff -f" >>"$T/x.in"
ended x
is "--mmio-strict: it ended as it should" "${status[x]} $(tail -1 "$T/x.err")" "0 ringlet: the guest powered off"
