# SPDX-License-Identifier: MIT
#
# traffic.sh - what the tests of the network device share, on top of lib.sh:
# files and frames to send, a look at the wire, and what the guest
# has counted.  The guest is asked over its serial console wherever a packet
# more would spoil the count.

BUSYBOX=$PWD/build/busybox/bin/busybox

# Nobody answers here that nobody listens: one ICMP message in twelve days.
echo 1000000000 >/proc/sys/net/ipv4/icmp_ratelimit
# This host says nothing by itself that a guest would count.
quiet_host() { echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; }

# --- what was counted ---

stat_of() { cat "/sys/class/net/$1/statistics/$2"; }
snmp_udp='/^Udp:/ { n = $2 + $3 + $4 } END { print n }'
# UDP datagrams that reached this host, and the guest, wanted or not.
udp_here() { awk "$snmp_udp" /proc/net/snmp; }
udp_there() { console "$1" "awk '$snmp_udp' /proc/net/snmp"; }
seen() { console "$1" "cat /sys/class/net/eth0/statistics/$2"; }
interrupts() { console "$1" "awk '/virtio0/ { for (i = 2; i <= NF && \$i ~ /^[0-9]+\$/; i++) n += \$i } END { print n }' /proc/interrupts"; }

# came NAME BYTES: wait until the guest received so many more than when
# counting NAME was called, or five seconds; the packets that were it.
declare -A bytes_before=() packets_before=()
counting() {
	# shellcheck disable=SC2046 # two words
	set -- "$1" $(console "$1" 'cd /sys/class/net/eth0/statistics; echo $(cat rx_bytes rx_packets)')
	bytes_before[$1]=$2 packets_before[$1]=$3
}
came() {
	console "$1" "cd /sys/class/net/eth0/statistics; i=0; until [ \$((\$(cat rx_bytes) - ${bytes_before[$1]})) -ge $2 ] || [ \$i = 250 ]; do i=\$((i + 1)); usleep 20000; done; echo \$((\$(cat rx_packets) - ${packets_before[$1]}))"
}

# mean NAME: bytes in the mean of what the guest receives in half a second, its
# ring's content at the beginning left out: that came by an older setting.  One
# read gives both figures; between two there may be many packets.
mean() {
	console "$1" 'now() { awk "/eth0:/ { sub(/.*:/, \"\"); print \$1, \$2 }" /proc/net/dev; }
		usleep 200000; was=$(now); usleep 500000; echo $was $(now) | awk "{ print int((\$3 - \$1) / (\$4 - \$2)) }"'
}

# --- single frames ---

# frames TAP COUNT GAP SIZE HEAD...: put COUNT frames on the wire for each
# HEAD, GAP microseconds apart.  A HEAD is hexadecimal: the address, and if it
# is not for experiments (88b5) the type and what follows; ours is put between.
frames() {
	perl -e '
		my ($tap, $n, $gap, $size, @heads) = @ARGV;
		socket my $s, 17, 3, 0 or die "no packet socket: $!";
		open my $f, "<", "/sys/class/net/$tap/ifindex" or die $!;
		my $to = pack "S n l S C C x8", 17, 0, <$f>, 0, 0, 6;
		for my $head (@heads) {
			my ($mac, $rest) = (substr($head, 0, 12), substr($head, 12) || "88b5");
			my $frame = pack "H* H* H*", $mac, "0200000000fe", $rest;
			$frame .= "x" x ($size - length $frame);
			for (1 .. $n) {
				select undef, undef, undef, $gap / 1e6 if $gap;
				send $s, $frame, 0, $to or die "send: $!";
			}
		}' "$@"
}

BROADCAST=ffffffffffff
# heard NAME HEAD...: of five frames each, how many reach the guest.  A large
# one for everybody goes behind: when that is there, nothing is on its way.
heard() {
	counting "$1"
	frames "$1" 5 0 60 "${@:2}"
	frames "$1" 1 0 1400 $BROADCAST
	echo $(($(came "$1" 1400) - 1))
}

# trickle NAME COUNT: the guest's interrupts while frames come in one by one.
trickle() {
	local q
	q=$(interrupts "$1")
	counting "$1"
	frames "$1" "$2" 2000 60 $BROADCAST
	came "$1" $(($2 * 60)) >/dev/null
	echo $(($(interrupts "$1") - q))
}

# --- the wire ---

# watch NAME FILTER: keep the frames on the tap that tcpdump's FILTER takes;
# unwatch NAME; seen_on_wire NAME FILTER: how many of those kept were so.
# A frame of our own, of a type of its own, tells that all before it are kept.
watch() {
	tcpdump -p -n -U --immediate-mode -s 128 -i "$1" -w "$T/$1.pcap" "ether proto 0x88b6 or ($2)" >/dev/null 2>"$T/$1.tcpdump" &
	watching=$! running[$!]=tcpdump
	until_true 10 says "$T/$1.tcpdump" "listening on"
}
all_kept() { [ "$(seen_on_wire "$1" "ether proto 0x88b6")" != 0 ]; }
unwatch() {
	frames "$1" 1 0 60 02000000007788b6
	until_true 10 all_kept "$1" || diag "the capture has no end"
	kill -INT "$watching"
	wait "$watching"
	unset "running[$watching]"
}
seen_on_wire() { tcpdump -n -r "$T/$1.pcap" "$2" 2>/dev/null | wc -l; }

# offloads_seen NAME: of a capture with both directions of some TCP, which
# frames were larger than the MTU, and which checksums were left to finish.
OFFLOADS="tcp and (greater 1515 or tcp[tcpflags] & tcp-syn != 0)"
offloads_seen() {
	local way
	for way in "to:dst" "from:src"; do
		[ "$(seen_on_wire "$1" "greater 1515 and ${way#*:} host ${ip[$1]}")" = 0 ] || echo "large-${way%:*}"
		! tcpdump -n -vv -r "$T/$1.pcap" "tcp[tcpflags] & tcp-syn != 0 and ${way#*:} host ${ip[$1]}" 2>/dev/null |
			grep -q "cksum .*incorrect" || echo "unfinished-${way%:*}"
	done | tr '\n' ' '
}

# --- files ---

# listens PORT: somebody does, for TCP.
listens() {
	local text hex
	printf -v hex %04X "$1"
	text_of /proc/net/tcp && [[ $text == *":$hex 00000000:0000 0A"* ]] ||
		{ text_of /proc/net/tcp6 && [[ $text == *":$hex 00000000000000000000000000000000:0000 0A"* ]]; }
}

# prepare NAME: what the tests need in the guest.
prepare() {
	console_open "$1" && guest "$1" '
		printf "#!/bin/sh\ncat >/tmp/file; sha256sum /tmp/file\n" >/bin/store; chmod 755 /bin/store
		nc -ll -p 9997 -e /bin/store </dev/null >/dev/null 2>&1 &
		until netstat -ltn | grep -q ":9997 "; do usleep 10000; done
		echo 1000000000 >/proc/sys/net/ipv4/icmp_ratelimit'
}
# acquaint NAME: neither side ever has to ask for the other's address.
acquaint() {
	guest "$1" "
		arp -i eth0 -s ${ip[$1]%.*}.1 $(<"/sys/class/net/$1/address")
		cat /sys/class/net/eth0/address" >"$T/$1.mac" &&
		ip neigh replace "${ip[$1]}" dev "$1" nud permanent lladdr "$(<"$T/$1.mac")"
}

make_file() { head -c "$1M" /dev/urandom >"$T/file$1" && sha256sum <"$T/file$1" >"$T/sum$1"; }
digest() { cut -d' ' -f1 "$T/sum$1"; }
# The guest keeps what it gets and says its digest; then it sends that back.
to_guest() { timeout 60 "$BUSYBOX" nc "${ip[$1]}" 9997 <"$T/file$2" | cut -d' ' -f1; }
from_guest() {
	"$BUSYBOX" nc -l -p 88 <>"$T/never" 2>/dev/null | sha256sum >"$T/returned" &
	local job=$!
	until_true 5 listens 88
	guest "$1" "nc ${ip[$1]%.*}.1 88 </tmp/file" && wait $job
	cut -d' ' -f1 "$T/returned"
}

# still NAME: the guest sends nothing by itself.  The interrupt for a packet of
# its own would bring in what is to wait.
still() { console "$1" 'echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6' >/dev/null; }

answers() { ping -q -c 1 -W 1 "${ip[$1]}" >/dev/null 2>&1; }
# pinged NAME COUNT: that many without one lost.
pinged() {
	local said
	said=$(ping -q -c "$2" -i 0.001 "${ip[$1]}")
	[[ $said == *"$2 packets transmitted, $2 received, 0% packet loss"* ]] || { echo "$said"; return 1; }
}
# microseconds: the middle one of the round trips that ping prints
middle() { sed -n 's/.* time=\([0-9.]*\) ms$/\1/p' | sort -n | awk '{ t[NR] = $1 } END { print int(t[int((NR + 1) / 2)] * 1000) }'; }
# microseconds: the least round trip in what ping prints
least() { awk -F '[ =/]+' '/^(rtt|round-trip)/ { for (i = 1; i < NF; i++) if ($i == "min") { while ($i !~ /^[0-9.]+$/) i++; print int($i * 1000); exit } }'; }

# load NAME: TCP to the guest, as much as goes; unload.
load() { tcpblast -q -s 32768 -c 10000000 "${ip[$1]}:9999" >/dev/null 2>&1 & loading=$! running[$!]=load; }
unload() {
	kill "$loading"
	wait "$loading" 2>/dev/null
	unset "running[$loading]"
}

TROUBLE='Call Trace|BUG:|WARNING: CPU|nobody cared|NETDEV WATCHDOG|not a head|TX timeout|bad gso|rcu_.*stall|Failed to'
trouble() { console "$1" "dmesg | grep -E '$TROUBLE'"; }

off() {
	echo "poweroff -f" >>"$T/$1.in"
	ends "$2" "$1" 0 "the guest powered off"
}
