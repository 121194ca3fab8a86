#!/bin/bash
# SPDX-License-Identifier: MIT
#
# memory.t - what ringlet itself takes of the host's memory, besides what the
# guest has touched of its own: less than 4 MiB with either engine, when a
# guest is idle and after bulk traffic both ways and bursts of small packets.
# And that KVM gives the guest the large pages that the host has.
# Counted is Pss, which shares out what several processes use.
. "$(dirname "$0")/lib.sh"
in_lab "$@"
. tests/traffic.sh
plan 9

MOST=4096 # kB

# own NAME MIB: Pss of all but the guest's memory, the mapping of just that
# size (its name in smaps needs a kernel with CONFIG_ANON_VMA_NAME).
own() {
	awk -v ram=$(($2 * 1024)) '
		/^Size:/ { is_ram = $2 == ram; found += is_ram }
		/^Pss:/ { if (is_ram) guest += $2; else own += $2 }
		END { if (found != 1) print "found", found + 0, "mappings of the guest'\''s size"; else print own, guest }' \
		"/proc/${pid[$1]}/smaps"
}

check() {
	local pss ram
	read -r pss ram <<<"$(own "$1" 256)"
	diag "$2: $pss kB, and $ram kB of the guest's"
	# Where the guest's memory is not what we take for it, nothing is counted.
	holds "$2: less than $MOST kB" "pss > 0 && pss < MOST && ram > 20000" "$pss kB besides $ram kB"
}

bulk() {
	local address=${ip[$1]} job
	head -c 16M /dev/zero | timeout 60 "$BUSYBOX" nc "$address" 9999 >/dev/null || return
	"$BUSYBOX" nc -l -p 88 <>"$T/never" >/dev/null 2>&1 &
	job=$!
	until_true 5 listens 88
	guest "$1" "head -c 16M /dev/zero | nc ${address%.*}.1 88" && wait $job || return
	tcpblast --udp -q -s 64 -c 5000 "$address:9" >/dev/null 2>&1
	ping -q -c 100 -i 0.002 "$address"
}

diag "where: $WHERE"
kernel=vmlinux
net=io=uring boot_linux uring cloud -m 256M -p quiet
net=io=poll boot_linux poll cloud -m 256M -c 2 -p quiet
for name in uring poll; do
	guest "$name" true
	check "$name" "$name, idle"
	ok "$name: 16 MiB each way, 5000 datagrams" bulk "$name"
	check "$name" "$name, after that"
done
# /sys/kernel/debug/kvm has one directory a guest, called by its process.
large_pages() { [ "$(cat /sys/kernel/debug/kvm/"${pid[uring]}"-*/pages_2m)" -gt 8 ]; }
ok "the guest's memory is mapped by large pages" large_pages

for name in uring poll; do
	kill "${pid[$name]}"
	ended "$name"
	is "$name: SIGTERM ended it" "${status[$name]}" 143
done
