#!/bin/bash
# SPDX-License-Identifier: MIT
#
# pcap.t [lab] - captured packets, as Wireshark's own tools read them: all that
# the device counted, to the byte what tcpdump sees on the tap, live, in several
# files, cut; and that no guest waits for who reads them.
#
# netecho is at the other end, on any KVM; "lab" is a shorter pass with Linux, which
# sends segments to be cut up later, and can say itself what it sent and received.
# Wireshark's tools read what that has left here, where they take no time.
. "$(dirname "$0")/lib.sh"
lab=${1:-}

NET=tap=tap1,ip=10.0.1.1/24,guest_ip=10.0.1.2
GUEST=10.0.1.2
json() { perl -MJSON::PP -e 'local $/; my $d = decode_json(<STDIN>); print join(" ", eval $ARGV[0]), "\n"' "$1"; }

# tshark says that it runs as root, each time.
T_SHARK() { tshark "$@" 2>"$T/tshark.err"; }
count() { T_SHARK -r "$1" -Y "$2" -T fields -e frame.number | wc -l; }
capinfo() { capinfos -M "$@" 2>/dev/null | sed -n 's/^[^:]*: *//p' | tail -n 1; }

# digests [ADDRESS PREFIX PORTS...] <PCAP: one of each packet's bytes; or of those that
# an IPv4 address received and sent, in PREFIX.received and PREFIX.sent, but for TCP to
# and from these ports.
digests() {
	perl -MDigest::MD5=md5_hex -e '
		my ($address, $prefix, @ports) = @ARGV;
		my %not = map { $_ => 1 } @ports;
		my %to = ("" => *STDOUT);
		if ($prefix) { open $to{$_}, ">", "$prefix.$_" or die "$prefix.$_: $!\n" for "sent", "received" }
		binmode STDIN;
		read STDIN, my $head, 24;
		while (read STDIN, $head, 16) {
			my (undef, undef, $kept, $len) = unpack "L4", $head;
			my $way = "";
			read STDIN, my $data, $kept;
			if ($address) {
				my ($type, $protocol, @at) = unpack "x12 n x9 C x2 C8", $data;
				next if $type != 0x800 || $protocol == 6 && grep { $not{$_} } unpack "x34 n2", $data;
				$way = join(".", @at[0 .. 3]) eq $address ? "sent" : join(".", @at[4 .. 7]) eq $address ? "received" : next;
			}
			print { $to{$way} } "$len $kept ", md5_hex($data), "\n";
		}' "$@"
}

# What the lab left of a capture, with the guest's own.
captured_in_lab() {
	read -r rx tx rx_gso tx_gso < <(json 'map { $d->{net}{$_->[0]}{$_->[1]} } [qw(rx packets)], [qw(tx packets)], [qw(rx gso)], [qw(tx gso)]' <"$T/l.json")
	read -r in out in_gso out_gso no_size no_csum < <(
		T_SHARK -r "$T/l.pcapng" -T fields -e frame.packet_flags_direction -e frame.len -e frame.comment | awk -F '\t' '
			{ way = substr($1, length($1)); n[way]++; gso[way] += / gso=/ }
			# 1500 less 40 of headers and 12 of time stamps
			$2 > 1514 && !/ gso=tcp4 gso_size=1448/ { size++ }
			$2 > 1514 && !/ csum=needed,34\+16 / { csum++ }
			END { print n[1] + 0, n[2] + 0, gso[1] + 0, gso[2] + 0, size + 0, csum + 0 }')
	is "each packet is in the file" "$in $out" "$rx $tx"
	is "and so is each that stands for several" "$in_gso $out_gso" "$rx_gso $tx_gso"
	holds "there are some, both ways" "rx_gso > 0 && tx_gso > 0"
	is "each says of what size the pieces are to be" "$no_size" 0
	is "and that its checksum is not finished" "$no_csum" 0
	editcap -F pcap "$T/l.pcapng" - 2>/dev/null | digests "$GUEST" "$T/ours" 2323 89
	digests "$GUEST" "$T/guests" 2323 89 <"$T/seen"
	for way in received sent; do
		is "what the guest has $way is what it saw, to the byte and in order" \
			"$(cmp "$T/ours.$way" "$T/guests.$way" 2>&1 && wc -l <"$T/ours.$way")" "$(wc -l <"$T/guests.$way")"
		diag "$(awk '{ large += $1 > 1514 } END { print NR " packets, " large " of them large" }' "$T/guests.$way")"
	done
}
if [ -n "$lab" ]; then
	afterwards() { captured_in_lab; }
	in_lab "$@"
	plan 10 7
else
	in_sandbox "$@"
	plan 40
fi

# up NAME OPTIONS...: netecho with these keys of --net.
up() {
	local name=$1 keys=$2
	shift 2
	boot "$name" guest:netecho --stats=json:"$T/$name.json" -n "$NET,$keys" "$@"
	until_true 10 eval "says $T/$name.out netecho=up || says $T/$name.err netecho=up"
	until_true 5 ping -q -c 1 -W 5 $GUEST >/dev/null
}
# down NAME: what was counted is in $rx $tx $captured $dropped
down() {
	kill "${pid[$1]}"
	ended "$1"
	read -r rx tx captured dropped < <(json 'my $n = $d->{net}; ($n->{rx}{packets}, $n->{tx}{packets}, @{$n->{thread}}{qw(captured capture_dropped)})' <"$T/$1.json")
}

diag "where: $WHERE"
ip tuntap add tap1 mode tap vnet_hdr
echo 1 >/proc/sys/net/ipv6/conf/tap1/disable_ipv6
ip link set tap1 up

# On the tap, so that each packet is there when it has passed.
tap_begin() {
	tcpdump -i tap1 -w "$T/tap.pcap" -U --immediate-mode -B 16384 -s 0 2>"$T/tcpdump.err" &
	dump=$!
	running[$!]=tcpdump
	until_true 10 says "$T/tcpdump.err" "listening on"
}
tap_end() {
	kill "$dump"
	wait "$dump" 2>/dev/null
	unset "running[$dump]"
}

# --- Linux, which sends what is to be cut up, and looks for itself ---

# with_tcpdump INITRD: the same with tcpdump in a second archive, to stdout.  It is
# more than all that the guest has to unpack for the other tests.
with_tcpdump() {
	local program lib
	program=$(command -v tcpdump)
	install -D "$program" "$T/root/bin/tcpdump"
	ldd "$program" | awk '$1 ~ /^\// { print $1 } $3 ~ /^\// { print $3 }' | while read -r lib; do
		install -D "$lib" "$T/root$lib"
	done
	# It will be root, whom it wants to know by name.
	mkdir "$T/root/etc" && echo "root:x:0:0::/:/bin/sh" >"$T/root/etc/passwd"
	cat "$1"
	(cd "$T/root" && find . | cpio -o -H newc -R 0:0 --quiet)
}

# look NAME: the guest captures what its driver gets and gives, with room for all of
# it.  The device's file must have the same bytes, offloads or not: checksums that are
# left to others and segments to be cut up are so in both.  Only what the guest joins
# behind its driver (GRO) the device never saw.
look() {
	guest "$1" 'ethtool -K eth0 gro off
		tcpdump -Z root -n -p -U -B 32768 -i eth0 -w /tmp/seen "ip and not port 2323 or ether proto 0x88b6" </dev/null >/tmp/said 2>&1 &
		until grep -q "listening on" /tmp/said; do kill -0 $! || { cat /tmp/said; exit 1; }; usleep 20000; done'
}
# looked NAME: a frame of a type of its own ends it; $T/seen is what it has.
looked() {
	frames "$1" 1 0 60 ${BROADCAST}88b6
	guest "$1" 'i=0
		until tail -c 100 /tmp/seen | grep -q xxxxxxxxxx || [ $((i += 1)) = 500 ]; do usleep 20000; done
		killall -INT tcpdump
		while pidof tcpdump >/dev/null; do usleep 20000; done
		cat /tmp/said'
	"$BUSYBOX" nc -l -p 89 <>"$T/never" >"$T/seen" 2>/dev/null &
	local job=$!
	until_true 5 listens 89
	guest "$1" "nc ${ip[$1]%.*}.1 89 </tmp/seen" && wait $job
}

# Datagrams and echoes of these sizes; the last goes in two pieces.
SIZES="0 18 101 1472 2500"
sized_to() {
	local size
	perl -MSocket -e '
		socket my $s, PF_INET, SOCK_DGRAM, 0 or die "socket: $!";
		my $to = pack_sockaddr_in(9, inet_aton(shift));
		for my $size (@ARGV) { send $s, join("", map { chr int rand 256 } 1 .. $size), 0, $to or die "send: $!" }' "${ip[$1]}" $SIZES
	for size in $SIZES; do ping -q -c 1 -s "$size" "${ip[$1]}" >/dev/null || return 1; done
}
sized_from() {
	guest "$1" "for size in $SIZES; do ping -q -c 1 -s \$size ${ip[$1]%.*}.1 >/dev/null || exit 1; done
		tcpblast --udp -q -s 1472 -c 3 ${ip[$1]%.*}.1:9 >/dev/null 2>&1; true"
}

if [ -n "$lab" ]; then
	. tests/traffic.sh
	ip link delete tap1
	quiet_host
	with_tcpdump build/guest/cloud/initrd >"$T/initrd"
	kernel=vmlinux net=pcap=$T/l.pcapng boot_linux l cloud -i "$T/initrd" --stats=json:"$T/l.json" -m 256M -p quiet
	prepare l && acquaint l || bail "no guest"
	ok "a capture begins in the guest as well" look l
	make_file 2
	is "2 MiB to the guest arrive as they were" "$(to_guest l 2)" "$(digest 2)"
	is "and back" "$(from_guest l 2)" "$(digest 2)"
	ok "packets of all sizes go to the guest" sized_to l
	ok "and from it" sized_from l
	ok "segments are turned off" guest l 'ethtool -K eth0 tso off gso off rx-gro-hw off'
	make_file 1
	is "1 MiB without them to the guest" "$(to_guest l 1)" "$(digest 1)"
	is "and back" "$(from_guest l 1)" "$(digest 1)"
	like "the guest has seen all of it" "$(looked l)" "*[0-9] packets captured*"$'\n'"0 packets dropped by kernel"
	off l "the guest powers off, and says no more"
	cp "$T"/{l.pcapng,l.json,seen} "$LEFT/"
	exit
fi

# --- a file ---

tap_begin
up a pcap="$T/a.pcapng"
ok "packets are captured, and the guest answers" pings 200 -f
ok "small ones, and such as are sent in pieces" eval "pings 5 -i 0.01 -s 0 && pings 5 -i 0.01 -s 4000"
down a
tap_end
is "all that the device counted is in the file" \
	"$(capinfo -c "$T/a.pcapng") $(count "$T/a.pcapng" "frame.packet_flags_direction == 1") $(count "$T/a.pcapng" "frame.packet_flags_direction == 2")" "$((rx + tx)) $rx $tx"
is "as its counters say" "$captured $dropped" "$((rx + tx)) 0"
is "tshark understands all of it" "$(grep -v '^Running as user' "$T/tshark.err")" ""
T_SHARK -r "$T/a.pcapng" -Y "ip.proto == 1" -F pcap -w - | digests | sort >"$T/ours"
T_SHARK -r "$T/tap.pcap" -Y "ip.proto == 1" -F pcap -w - | digests | sort >"$T/taps"
is "to the byte it is what tcpdump saw on the tap" "$(cmp "$T/ours" "$T/taps" && wc -l <"$T/ours")" "$(wc -l <"$T/taps")"
holds "which were the pings and their answers" "$(wc -l <"$T/ours") >= 2 * (200 + 5 + 15)"
is "each packet has a comment, with all there is to say of any" "$(count "$T/a.pcapng" \
	'frame.comment matches "^queue=[rt]x0 batch=[1-9][0-9]* head=[0-9]+ buffers=1 irq=(deferred,)?(raised|suppressed) irq_ns=[0-9]+ csum=(needed,[0-9]+\\+[0-9]+|valid|none)$"')" "$((rx + tx))"
is "what the guest received says so twice" \
	"$(count "$T/a.pcapng" 'frame.packet_flags_direction == 1 and frame.comment contains "queue=rx0"')" "$rx"
like "batches are numbered from the first to the last" \
	"$(T_SHARK -r "$T/a.pcapng" -Y "frame.packet_flags_direction == 1" -T fields -e frame.comment | sed 's/.*batch=//; s/ .*//' | sort -nu | tr '\n' ' ')" "1 2 3 *"
is "the last of them is the last that was counted" \
	"$(T_SHARK -r "$T/a.pcapng" -Y "frame.packet_flags_direction == 1" -T fields -e frame.comment | sed 's/.*batch=//; s/ .*//' | sort -n | tail -n 1)" \
	"$(json '$d->{net}{rx}{batches}' <"$T/a.json")"
holds "some interrupts were raised" "$(count "$T/a.pcapng" 'frame.comment contains "irq=raised"') > 0"
like "the file says who made it" "$(capinfos "$T/a.pcapng" 2>/dev/null)" "*Capture application: ringlet *Name = tap1*"
is "times are nanoseconds, and in order" "$(capinfo -o "$T/a.pcapng") $(capinfos "$T/a.pcapng" 2>/dev/null | grep -c 'precision:.*nanoseconds (9)')" "True 1"
is "and are today's" "$(T_SHARK -r "$T/a.pcapng" -c 1 -T fields -e frame.time_epoch | cut -c 1-7)" "$(date +%s | cut -c 1-7)"

# --- cut ---

up cut pcap="$T/cut.pcapng",snaplen=60
ok "with snaplen the guest gets all of each packet" pings 20 -i 0.01 -s 1000
down cut
is "and the file the first bytes of it" "$(count "$T/cut.pcapng" "frame.cap_len > 60") $(count "$T/cut.pcapng" "frame.len == 1042 and frame.cap_len == 60")" "0 40"

# --- live ---

mkfifo "$T/fifo"
T_SHARK -l -r "$T/fifo" -T fields -e icmp.type -e frame.comment >"$T/live" &
shark=$!
running[$!]=tshark
up live pcap="$T/fifo"
ok "a FIFO's reader" pings 10 -i 0.01
answered() { (($(grep -c "^0.*queue=tx0" "$1") >= $2)); }
ok "sees each packet while the guest runs" until_true 10 answered "$T/live" 10
down live
wait $shark
unset "running[$shark]"
is "to the last one" "$(wc -l <"$T/live")" "$((rx + tx))"

mkfifo "$T/pipe"
T_SHARK -l -r - -T fields -e icmp.type -e frame.comment <"$T/pipe" >"$T/dash" &
shark=$!
running[$!]=tshark
"$RINGLET" --timeout 60 guest:netecho -n "$NET,pcap=-" >"$T/pipe" 2>"$T/dash.err" </dev/null &
job=$!
running[$!]=ringlet
until_true 10 says "$T/dash.err" netecho=up
ok "standard output is for packets: the guest's words go to standard error" says "$T/dash.err" netecho=up
ok "and it answers" pings 10 -i 0.01
ok "and they are there" until_true 10 answered "$T/dash" 10
kill $job
wait $job $shark
unset "running[$job]" "running[$shark]"
is "what tshark got it understood, to the end" "$(grep -v '^Running as user' "$T/tshark.err")" ""

# --- files in turn ---

up turn pcap="$T/turn",pcap_max=1M
ok "5 MB of packets" pings 40 -A -s 65000
down turn
is "are in four files, and no more" "$(cd "$T" && echo turn*)" "turn turn.1 turn.2 turn.3 turn.err turn.in turn.json turn.out"
is "none of which is larger than it may be" "$(find "$T" -name 'turn*' -size +1100k)" ""
holds "three or more of them are full" "$(find "$T" -name 'turn*' -size +900k | wc -l) >= 3"

# --- a reader that does not read ---

mkfifo "$T/stuck"
exec 9<>"$T/stuck"
up stuck pcap="$T/stuck"
ok "a reader that sleeps: the guest answers 150 large pings" pings 150 -A -s 65000
down stuck
exec 9<&-
holds "and that is counted" "dropped > 100 && captured + dropped == rx + tx" "$captured captured, $dropped dropped of $rx and $tx"
like "in the end it says so" "$(<"$T/stuck.err")" "ringlet: capture $T/stuck: its reader takes nothing; it has ended with * packets, and the guest goes on*"

head -c 2000 "$T/fifo" >"$T/some" &
up gone pcap="$T/fifo"
ok "a reader that leaves: the guest goes on" pings 50 -i 0.01
ok "and it is told" until_true 5 says "$T/gone.err" "capture $T/fifo: its reader is gone; it has ended with [0-9]* packets, and the guest goes on"
ok "still" pings 5 -i 0.01
down gone

# --- at any time ---

ask() { "$RINGLET" ctl "$T/s.sock" "$@" 2>&1; }
mkdir "$T/any"
up any snaplen=200 --sock "$T/s.sock"
pings 5 -i 0.01 >/dev/null
like "it begins when it is asked to" "$(ask pcap start "$T/any/1")" "started: $T/any/1"
pings 5 -i 0.01 >/dev/null
like "and ends" "$(ask pcap stop)" "stopped: $T/any/1"
pings 5 -i 0.01 >/dev/null
is "not into a file that is there already" "$(ask pcap start "$T/any/1")" \
	"ringlet: $T/any/1 is there already: remove it, or choose another name"
is "what passed in between is in the file" "$(count "$T/any/1" "icmp.type == 8") $(count "$T/any/1" "icmp.type == 0")" "5 5"
down any

# --- refusals ---

refused() {
	local claim=$1 sentence=$2
	shift 2
	timeout 20 "$RINGLET" "$@" >"$T/refused" 2>&1 </dev/null
	is "$claim" "$? $(<"$T/refused")" "35 ringlet: $sentence"
}
refused "pcap=- beside a command, whose standard output it is" \
	"--net pcap=-: standard output is the command's; name a file or a FIFO" -k build/guest/cloud/vmlinux -n "$NET,pcap=-" -- true
refused "a file that cannot be" "--net pcap=$T/nowhere/x: cannot write $T/nowhere/x: No such file or directory" \
	guest:netecho -n "$NET,pcap=$T/nowhere/x"
