#!/bin/bash
# SPDX-License-Identifier: MIT
#
# features-combinations.t - what works alone may fail together.  Eight guests
# have between them every pair of values that two of the device's switches can
# have; each must get just what it was offered, and all of that must work.
. "$(dirname "$0")/lib.sh"
in_lab "$@"
. tests/traffic.sh
plan 49

# A policy for interrupts with each value of every switch, twice the opposite of
# each other; and no two of the switches alike or opposite.  The first claim is
# that this is so.  Kernel and engine come along, each value with each policy.
columns="irq           queue_size event_idx indirect mrg_rxbuf csum tso ctrl_vq queues kernel io"
rows="   drain         1024       on        on       on        on   off on      2      cloud  uring
         drain         64         off       off      off       off  on  off     1      lab    poll
         packet        64         on        on       on        off  on  on      1      lab    uring
         packet        1024       off       off      off       on   off off     2      cloud  poll
         pending:20000 64         on        on       off       on   on  off     2      lab    uring
         pending:20000 1024       off       off      on        off  off on      1      cloud  poll
         adaptive      1024       on        off      on        on   on  off     1      lab    poll
         adaptive      64         off       on       off       off  off on      2      cloud  uring"

# missing: the pairs of values that no row has.
missing() {
	awk '
		NF { n++; for (i = 1; i <= NF; i++) { v[n, i] = $i; value[i, $i] } width = NF }
		END {
			for (r = 1; r <= n; r++)
				for (i = 1; i <= width; i++)
					for (j = i + 1; j <= width; j++)
						have[i, v[r, i], j, v[r, j]]
			for (a in value)
				for (b in value) {
					split(a, x, SUBSEP); split(b, y, SUBSEP)
					if (x[1] + 0 < y[1] + 0 && y[1] < 10 && !((x[1], x[2], y[1], y[2]) in have))
						print x[1], x[2], y[1], y[2]
				}
		}' <<<"$rows"
}

# expected: the feature bits that the guest must have, as the driver of its
# kernel knows them (virtio 1.3, 5.1.3 and 6).
# shellcheck disable=SC2154
expected() {
	local bits=" 0 1 2 3 5 7 8 9 11 12 13 15 16 17 18 19 21 23 28 29 32 53 63 " bit
	[ "$kernel" = cloud ] || bits+="52 54 55 56 "
	[ "$queues" = 1 ] || bits+="22 "
	without() { for bit; do bits=${bits/ $bit / }; done; }
	((queue_size >= 128)) || without 7 8 9 54 55 # no room for the largest frame
	[ "$event_idx" = on ] || without 29
	[ "$indirect" = on ] || without 28
	[ "$mrg_rxbuf" = on ] || without 15
	[ "$csum" = on ] || without 0 1 7 8 9 11 12 13 54 55 56
	[ "$tso" = on ] || without 7 8 9 11 12 13
	[ "$ctrl_vq" = on ] || without 2 17 18 19 21 22 23 52 53
	echo "$bits"
}
has() { [[ $bits == *" $1 "* ]]; }
as_text() { for ((i = 0; i < 64; i++)); do has $i && printf 1 || printf 0; done; }

# start NAME ROW, check NAME ROW: the columns' names are variables here.
# shellcheck disable=SC2086,SC2229
start() {
	local $columns flavour
	read -r $columns <<<"$2"
	flavour=$kernel kernel=vmlinux
	net="irq=$irq,queue_size=$queue_size,event_idx=$event_idx,indirect=$indirect,mrg_rxbuf=$mrg_rxbuf,csum=$csum,tso=$tso,ctrl_vq=$ctrl_vq,queues=$queues,io=$io"
	boot_linux "$1" "$flavour" -m 256M -c "$queues" -p quiet
}

# shellcheck disable=SC2086,SC2229
check() {
	local name=$1 bits want q $columns
	read -r $columns <<<"$2"
	bits=$(expected)

	if ! { prepare "$name" && acquaint "$name"; }; then
		fail "$name: it boots" "$(<"$T/$name.err")" "$(tail -n 5 "$T/$name.out")"
		return
	fi
	is "$name: the driver takes exactly what is offered" \
		"$(console "$name" 'cat /sys/bus/virtio/devices/virtio0/features')" "$(as_text)"
	watch "$name" "$OFFLOADS"
	is "$name: 4 MiB each way arrive as they were" "$(to_guest "$name" 4) $(from_guest "$name" 4)" "$(digest 4) $(digest 4)"
	unwatch "$name"
	want=
	! has 7 || want+="large-to "
	! has 1 || want+="unfinished-to "
	! has 11 || want+="large-from "
	! has 0 || want+="unfinished-from "
	is "$name: large frames and open checksums are on the wire where they are allowed" "$(offloads_seen "$name")" "$want"
	is "$name: frames for others reach the guest if it has no way to decline them" \
		"$(heard "$name" 020000000077)" "$(has 18 && echo 0 || echo 5)"
	q=$(trickle "$name" 100)
	case $irq in
	delay:* | pending:*) holds "$name: a hundred frames one by one, with few interrupts" "q > 0 && q <= 50" "$q interrupts" ;;
	*) holds "$name: a hundred frames one by one, with about as many interrupts" "q > 50 && q <= 110" "$q interrupts" ;;
	esac
	off "$name" "$name: the guest and ringlet end, without a word more"
}

diag "where: $WHERE"
quiet_host
make_file 4
is "every pair of values is in some row" "$(missing)" ""
mapfile -t row <<<"$rows"
for i in "${!row[@]}"; do diag "row$i: $(tr -s ' ' <<<"${row[i]}")"; done
start row0 "${row[0]}"
start row1 "${row[1]}"
for i in "${!row[@]}"; do
	check "row$i" "${row[i]}"
	diag "$(since "$started") s"
	((i + 2 >= ${#row[@]})) || start "row$((i + 2))" "${row[i + 2]}"
done
