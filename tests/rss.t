#!/bin/bash
# SPDX-License-Identifier: MIT
#
# rss.t - a Linux guest says which of its queues a packet goes to: its table,
# its key and its choice of fields are followed by the kernel's program in the
# tap, by a ringlet that has no rights any more.  Seen by the guest's kernel,
# with flows that differ in a port alone.
#
# Three guests with four pairs of queues: Linux 6.12 as it is, the same with
# hash reports, and 6.1.
. "$(dirname "$0")/lib.sh"
in_lab "$@"
plan 27

BUSYBOX=$PWD/build/busybox/bin/busybox
FLOWS=100 EACH=4

# flows NAME: so many packets each of so many UDP flows to the guest, which
# nobody there reads.
flows() {
	# Ports from all over the range: the hash is linear, and of a hundred neighbours
	# one key in forty leaves nearly nothing to one of the queues.
	local ports=() i
	for ((i = 0; i < FLOWS; i++)); do ports+=($((5000 + i * (i + 1) / 2 * 7919 % 32768))); done
	datagrams "$1" 9 "$EACH" "${ports[@]}"
}

# The guest's kernel notes of each of these packets its queue, counted from 1,
# and the hash that came with it.
watch() {
	# While an address is being asked for a burst is more than the kernel keeps.
	until_true 10 ping -q -c 1 -W 5 "${ip[$1]}" >/dev/null
	console "$1" 'mount -t tracefs tracefs /sys/kernel/tracing; cd /sys/kernel/tracing/events/net/napi_gro_receive_entry && echo "len == 92" >filter && echo 1 >enable' >/dev/null
}

# spread NAME: how many of the flows' packets came in each of four queues.
spread() {
	console "$1" 'echo >/sys/kernel/tracing/trace' >/dev/null
	flows "$1"
	noted() {
		console "$1" "grep -c napi_gro_receive_entry: /sys/kernel/tracing/trace" >"$T/n"
		(($(<"$T/n") == FLOWS * EACH))
	}
	until_true 10 noted "$1"
	console "$1" "awk '/napi_gro_receive_entry:/ { for (i = 1; i <= NF; i++) if (sub(/^queue_mapping=/, \"\", \$i)) n[\$i]++ } END { print n[1] + 0, n[2] + 0, n[3] + 0, n[4] + 0 }' /sys/kernel/tracing/trace"
}

# goes CLAIM NAME QUEUE: all to that one.
goes() {
	local want=(0 0 0 0)
	want[$3]=$((FLOWS * EACH))
	is "$1" "$(spread "$2")" "${want[*]}"
}

# spreads CLAIM NAME: each queue has its part.
spreads() {
	local share q least=$((FLOWS * EACH))
	read -ra share <<<"$(spread "$2")"
	for q in "${share[@]}"; do ((q >= least)) || least=$q; done
	holds "$1" "${#share[@]} == 4 && least >= FLOWS * EACH / 10" "packets in each: ${share[*]}"
}

# does CLAIM NAME COMMAND: succeeds in the guest, without a word.
does() { is "$1" "$(console "$2" "$3 2>&1 || echo failed")" ""; }

head -c 16M /dev/urandom >"$T/file"
digest=$(sha256sum <"$T/file" | cut -d' ' -f1)
arrives() { "$BUSYBOX" timeout 60 "$BUSYBOX" nc "${ip[$1]}" 9998 <"$T/file" | cut -d' ' -f1; }

off() {
	echo "poweroff -f" >>"$T/$1.in"
	ended "$1"
	like "$1: it ended as it should, and no command of its driver was refused" \
		"${status[$1]} $(grep -o 'net control: .*' "$T/$1.err")" "0 *commands +([0-9]), kicks*"
}

diag "where: $WHERE"
kernel=vmlinux
net=queues=4,rss=on boot_linux n lab -v -m 256M -c 2 -p quiet
net=queues=4,rss=on,hash_report=on boot_linux h lab -v -m 256M -c 2 -p quiet
console_open n
console_open h
diag "$(since "$started") s: two guests are up"
net=queues=4,rss=on boot_linux c cloud -v -m 256M -c 2 -p quiet # meanwhile
for name in n h; do
	console $name 'ethtool -L eth0 combined 4; echo 1000000000 >/proc/sys/net/ipv4/icmp_ratelimit' >/dev/null
	watch $name
done

like "the driver takes RSS, and no hash reports unasked" \
	"$(grep accepted "$T/n.err")" "*accepted *,rss*; declined *"
unlike "which are not offered" "$(grep accepted "$T/n.err")" "*hash_report*"
like "hash_report=on: it takes both" "$(grep accepted "$T/h.err")" "*accepted *,hash_report,rss*; declined *"
does "hash_report=on: receive hashing can be switched on" h 'ethtool -K eth0 rxhash on'

for name in n h; do
	spreads "$name: flows spread over four queues" $name
	does "$name: ethtool -X equal 1" $name 'ethtool -X eth0 equal 1'
	goes "$name: all flows come in the first queue" $name 0
	does "$name: ethtool -X weight 0 1 0 0" $name 'ethtool -X eth0 weight 0 1 0 0'
	goes "$name: all flows come in the second" $name 1
done
key=$(for i in $(seq 10 49); do printf ':%02x' "$i"; done)
key=${key:1}
does "a key and a table are set" n "ethtool -X eth0 hkey $key weight 0 0 0 1"
like "ethtool -x shows the table and the key" "$(console n 'ethtool -x eth0' | tr -d '\r' | tr -s ' \t\n' ' ')" \
	"*with 4 RX ring(s): 0: 3 3 3 3 3 3 3 3 8: 3 *120: 3 3 3 3 3 3 3 3 *$key*"
goes "and all flows come in the last" n 3

# Flows that differ in their ports alone are one by their addresses.
console h 'ethtool -X eth0 equal 4; ethtool -N eth0 rx-flow-hash udp4 sd' >/dev/null
like "hash_report=on: by addresses alone all are one flow" " $(spread h) " "* $((FLOWS * EACH)) *"
console h 'ethtool -N eth0 rx-flow-hash udp4 sdfn' >/dev/null
spreads "hash_report=on: with ports they spread again" h

# The hash in the header is the one that steers: it is the guest's own.
is "hash_report=on: the guest has the hash of every packet, one for each flow" \
	"$(console h "awk '/napi_gro_receive_entry:/ { for (i = 1; i <= NF; i++) if (\$i ~ /^hash=/) h[\$i]++ } END { for (i in h) if (i != \"hash=0x00000000\" && h[i] % $EACH == 0) n++; print n + 0 }' /sys/kernel/tracing/trace")" "$FLOWS"

is "16 MiB arrive as they were" "$(arrives n)" "$digest"
is "hash_report=on: 16 MiB arrive as they were" "$(arrives h)" "$digest"
off n
off h

# --- an older driver ---

console_open c
console c 'ethtool -L eth0 combined 4; echo 1000000000 >/proc/sys/net/ipv4/icmp_ratelimit; ethtool -X eth0 weight 0 0 1 0' >/dev/null
watch c
goes "Linux 6.1: all flows come in the third queue" c 2
off c

# --- a host that does not let us load programs ---

# hlt, for ever
tiny_kernel "$T/halt" f4ebfd
printf '#!/bin/sh\nexec setpriv --bounding-set=-bpf,-sys_admin --inh-caps=-bpf,-sys_admin %s "$@"\n' "$RINGLET" >"$T/unable"
chmod 755 "$T/unable"
RINGLET=$T/unable
boot q -v -m 64M -n queues=2,rss=on -k "$T/halt" --timeout 1
ended q
like "without rights for bpf(2) ringlet does without RSS, and says so" "${status[q]} $(<"$T/q.err")" \
	"36 *rss=on: cannot load the program that steers: *"
