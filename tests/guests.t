#!/bin/bash
# SPDX-License-Identifier: MIT
#
# guests.t [lab] - ringlet's own guests: what each one says of itself is what
# ringlet and the host counted, netecho loses nothing and changes nothing, and
# whichever rule hostile breaks, the device asks for a reset, ringlet says which
# rule it was in one line and is alive.
#
# They need no Linux and run on any KVM, so this runs where it is started;
# "lab" is a shorter pass on the KVM that people have.
. "$(dirname "$0")/lib.sh"
lab=${1:-}
if [ -n "$lab" ]; then in_lab "$@"; else in_sandbox "$@"; fi
engines=(uring poll) many=1000
if [ -n "$lab" ]; then many=200; plan 61; else plan 137; fi

NET=ip=10.0.1.1/24,guest_ip=10.0.1.2
GUEST=10.0.1.2
OFF="ringlet: the guest powered off"

# run COMMAND...: $out, $err, $status
run() {
	timeout -k 1 60 "$@" </dev/null >"$T/run.out" 2>"$T/run.err"
	status=$?
	out=$(tr '\n' ' ' <"$T/run.out") err=$(<"$T/run.err")
}
value() { sed -n "s/^$1=//p" "$T/run.out"; }
tap_counts() { cat "/sys/class/net/tap1/statistics/$1"; }

diag "where: $WHERE"
ip tuntap add tap1 mode tap vnet_hdr

if [ -n "$lab" ]; then
	run "$RINGLET" probe
	like "ringlet probe: a Linux guest can run" "$status $out" "0 *A Linux guest can run here. "
	like "ringlet probe: by a KVM that is real" "$out" \
		"*kind of KVM *ok *@(hardware|nested) (kvm_*): +([0-9]) million instructions/s, *"
fi

# --- hello ---

run "$RINGLET" run guest:hello
is "hello says so and powers off" "$status $out $err" "0 hello=world  $OFF"
run "$RINGLET" -k guest:hello -m 64M
is "-k takes a guest's name, too" "$status $out $err" "0 hello=world  $OFF"
# After that it is QEMU's: it loads the same file.
if qemu-system-x86_64 -accel help 2>/dev/null | grep -q kvm; then
	run qemu-system-x86_64 -M microvm,pic=off,pit=off,rtc=off -accel kvm -cpu host,-arch-capabilities -m 64 \
		-nodefaults -no-user-config -display none -no-reboot -serial stdio -kernel build/guest/hello.elf
	is "QEMU's microvm boots it as well" "$status $out" "0 hello=world "
else
	skip "QEMU's microvm boots it as well" "there is no QEMU that can"
fi

# --- names ---

names="guest:hello, guest:irq, guest:netecho, guest:hostile"
run "$RINGLET" run guest:
is "without a name it lists them" "$status $err" "35 ringlet: there is no 'guest:'; there are $names"
run "$RINGLET" run guest:netehco
is "of a wrong name it names the nearest" "$status $err" \
	"35 ringlet: there is no 'guest:netehco'; did you mean 'guest:netecho'? There are $names"
run "$RINGLET" -k guest:xyzzy --dry-run
is "a name like no other is refused before anything else" "$status $err" \
	"35 ringlet: there is no 'guest:xyzzy'; there are $names"
run "$RINGLET" guest:netecho
is "a guest that lacks its network says how to give it one" "$status $out $err" \
	"34 failed: there is no network device; ringlet makes one with -n ip=10.0.0.1/24,guest_ip=10.0.0.2  ringlet: the guest's kernel panicked"
run "$RINGLET" guest:netecho -n tap=tap1
is "and so it does without an address" "$status $out $err" \
	"34 failed: there is no address; ringlet gives one with -n ip=10.0.0.1/24,guest_ip=10.0.0.2  ringlet: the guest's kernel panicked"

# --- irq ---

for io in "${engines[@]}"; do
	for strict in "" --mmio-strict; do
		run "$RINGLET" guest:irq -v $strict -n "tap=tap1,io=$io" -p count=500
		like "irq, $io $strict: of 500 kicks each is answered, by an interrupt each" "$status $out" \
			"0 round_trips=500 answered=500 kicks=500 interrupts=500 ns=*"
		like "irq, $io $strict: as ringlet has counted" "$err" \
			"*net control: interrupts 500, commands 500, kicks *$OFF" # what is 0 is not said
	done
done

# --- netecho ---

# udp_echoed SIZE...: datagrams of random bytes come back as they were.
udp_echoed() {
	perl -MIO::Socket::INET -e '
		my $to = shift;
		my $s = IO::Socket::INET->new(Proto => "udp", PeerAddr => $to, PeerPort => 7) or die;
		my $got;
		alarm 20;
		for my $size (@ARGV) {
			my $sent = join "", map { chr int rand 256 } 1 .. $size;
			defined $s->send($sent) or die "send $size: $!\n";
			defined $s->recv($got, 65536) && $got eq $sent or die "$size bytes came back otherwise\n";
		}' $GUEST "$@"
}
neighbour() { ip neigh show "$1" dev tap1; }

for keys in io=uring io=poll,csum=off,event_idx=off,queue_size=32; do
	boot echo guest:netecho -v -n "tap=tap1,$NET,mac=02:00:00:00:00:77,$keys"
	ok "netecho, $keys: it comes up" until_true 10 says "$T/echo.out" netecho=up
	ip neigh flush dev tap1
	ok "netecho, $keys: $many of $many pings" pings $many -f
	like "netecho, $keys: it said where it is" "$(neighbour $GUEST)" "*lladdr 02:00:00:00:00:77 *"
	ok "netecho, $keys: the largest pings, and those of which a byte or two is left over" \
		eval "pings 10 -i 0.01 -s 65507 && pings 10 -i 0.01 -s 1472 && pings 10 -i 0.01 -s 1473 && pings 10 -i 0.01 -s 2954 && pings 10 -i 0.01 -s 0"
	ok "netecho, $keys: datagrams of all sizes come back as they were" \
		udp_echoed 0 1 2 3 17 18 64 1471 1472 1473 1474 9000 20001 65507
	ok "netecho, $keys: nothing is lost that it never answers" \
		eval "ping -q -c 2 -i 0.01 -W 0.1 10.0.1.3; pings 100 -f"
	unlike "netecho, $keys: it speaks for nobody else" "$(neighbour 10.0.1.3)" "*lladdr*"
	kill "${pid[echo]}"
	ended echo
	# What is 0 is not said.
	is "netecho, $keys: ringlet counts packets both ways, and none that it dropped" \
		"${status[echo]} $(grep -oE "net (rx|tx): packets|drop_[a-z]*|errors" "$T/echo.err" | tr '\n' ' ')" \
		"143 net rx: packets net tx: packets "
done

# receive COUNT SIZE: takes so many datagrams of that size, then says so; no
# other socket has so much room.
receive() {
	perl -MIO::Socket::INET -e '
		my ($count, $size) = @ARGV;
		my $s = IO::Socket::INET->new(Proto => "udp", LocalPort => 9) or die;
		$s->setsockopt(SOL_SOCKET, 33, 1 << 28) or die; # SO_RCVBUFFORCE
		my $n = 0;
		$SIG{ALRM} = sub { print "$n of $count\n"; exit };
		alarm 10;
		while ($n < $count) { $s->recv(my $got, 65536); $n++ if length $got == $size }
		print "all\n"' "$@" >"$T/received" &
	receiver=$!
	running[$!]=receiver
	until_true 5 listens
}
listens() { [ -n "$(ss -Hlun "sport = :9")" ]; }

# blast CLAIM KEYS PARAMS PACKETS BYTES DATAGRAMS SIZE
blast() {
	local packets bytes n
	packets=$(tap_counts rx_packets) bytes=$(tap_counts rx_bytes)
	receive "$6" "$7"
	run "$RINGLET" guest:netecho -n "tap=tap1,$NET,$2" -p "$3"
	like "blast, $1: the guest's figures" "$status $out" "0 packets=$4 bytes=$5 kicks=[0-9]* packets_per_second=[1-9]*"
	# And one question for an address.
	is "blast, $1: are the tap's" \
		"$(($(tap_counts rx_packets) - packets)) $(($(tap_counts rx_bytes) - bytes))" "$(($4 + 1)) $(($5 + 42))"
	wait "$receiver"
	unset "running[$receiver]"
	is "blast, $1: every datagram arrives whole" "$(<"$T/received")" all
	# None at all where the device still looks around for more and finds the whole ring full.
	n=$(value kicks)
	holds "blast, $1: with fewer kicks than packets" "n < $4" "$n kicks"
}

for io in "${engines[@]}"; do
	blast "$io, small" "io=$io" "blast=5000" 5000 $((5000 * 106)) 5000 64
	blast "$io, segments" "io=$io" "blast=100 size=57920 gso=1448" 100 $((100 * 57962)) 4000 1448
done

boot asked guest:netecho -n "tap=tap1,$NET" -p "blast=300 wait=1"
until_true 10 says "$T/asked.out" netecho=up
blasted() { [ "$(grep -c '^packets=300' "$T/asked.out")" = "$1" ]; }
# ask TIMES: it answers before, between, and after
ask() {
	local i
	for ((i = 1; i <= $1; i++)); do
		pings 20 -f >/dev/null && echo >/dev/udp/$GUEST/19 && until_true 10 blasted "$i" || return
	done
	pings 20 -f
}
ok "blast, wait=1: whenever it is asked, and between it answers" ask 3
kill "${pid[asked]}"
ended asked
run "$RINGLET" guest:netecho -n "tap=tap1,$NET,uso=off" -p "blast=10 size=60000 gso=1448"
like "blast: without the offload for it, it says so" "$status $out" "34 failed: the device lacks the offloads *"

# --- hostile ---

B="descriptor points outside guest memory"
declare -A sentence=(
	[queue-size]="queue 1: queue size is not a power of two within QueueNumMax"
	[queue-aligned]="queue 1: queue address is not aligned"
	[queue-outside]="queue 1: queue is not wholly in guest memory"
	[index-jumps]="transmit queue: available index moved past the queue's size"
	[head-outside]="transmit queue: available ring names a descriptor that does not exist"
	[next-outside]="transmit queue: descriptor index is not in the table"
	[loop]="transmit queue: chain is longer than the queue"
	[buffer-outside]="transmit queue: $B" [buffer-wraps]="transmit queue: $B" [buffer-too-long]="transmit queue: $B"
	[wrong-order]="transmit queue: readable descriptor behind a writable one"
	[table-nested]="transmit queue: indirect descriptor in an indirect table"
	[table-next]="transmit queue: indirect descriptor with a next one"
	[table-length]="transmit queue: indirect table has a wrong length"
	[table-outside]="transmit queue: indirect table is not in guest memory"
	[table-entry]="transmit queue: descriptor index is not in the table"
	[table-declined]="transmit queue: indirect descriptor was not negotiated"
	[transmit-writable]="transmit queue: writable descriptor in a transmit chain"
	[receive-readable]="receive queue: readable descriptor in a receive chain"
	[receive-short]="receive queue: receive chain has no room for the header"
	[control-unanswerable]="control queue: control command without room for the answer"
)
run "$RINGLET" guest:hostile -n tap=tap1
is "hostile lists its rules, and they are those known here" \
	"$(value rule | sort | tr '\n' ' ')" "$(printf '%s\n' "${!sentence[@]}" | sort | tr '\n' ' ')"
run "$RINGLET" guest:hostile -n tap=tap1 -p rule=chian
like "a rule that is not among them is no success" "$status $out" "34 *failed: there is no such rule "
run "$RINGLET" guest:irq -n tap=tap1 -p count=1o
like "nor is a number that is none" "$status $out" "34 failed: a parameter is to be a number, and is none "
rules=("${!sentence[@]}")
[ -z "$lab" ] || rules=(queue-outside loop receive-short)

hostile() {
	local rule told io
	for rule in "${rules[@]}"; do
		told=1
		[[ $rule != queue-* ]] || told=0
		for io in "${engines[@]}"; do
			run "$RINGLET" guest:hostile -n "tap=tap1,io=$io" -p "rule=$rule"
			is "$rule, $io$1: that rule is named, and the device is there again after a reset" \
				"$status $out $err" \
				"0 rule=$rule needs_reset=1 told=$told recovered=1  ringlet: net: ${sentence[$rule]}; the device asks for a reset"$'\n'"$OFF"
		done
	done
}
hostile ""
if [ -z "$lab" ] && [ -x "${RINGLET%/*}/address/ringlet" ]; then
	RINGLET=${RINGLET%/*}/address/ringlet
	# What is left at the end cannot be looked for by a process that is nobody.
	export ASAN_OPTIONS=detect_leaks=0
	hostile ", with the sanitizers"
elif [ -z "$lab" ]; then
	for rule in "${rules[@]}" "${rules[@]}"; do skip "$rule, with the sanitizers" "they are not built"; done
fi
