#!/bin/bash
# SPDX-License-Identifier: MIT
#
# trace.t [lab] - a trace has an event for all that is counted, a program reads
# its JSON, and the time of packets is in it: on any KVM, with netecho at the other
# end; "lab" is a shorter pass on the KVM that people have.
. "$(dirname "$0")/lib.sh"
lab=${1:-}
if [ -n "$lab" ]; then in_lab "$@"; else in_sandbox "$@"; fi
plan 24

NET=tap=tap1,ip=10.0.1.1/24,guest_ip=10.0.1.2
GUEST=10.0.1.2

diag "where: $WHERE"
ip tuntap add tap1 mode tap vnet_hdr
echo 1 >/proc/sys/net/ipv6/conf/tap1/disable_ipv6

# traced NAME EVENTS OPTIONS...: 100 pings, then the end.
traced() {
	boot "$1" guest:netecho --trace "$2:$T/$1.trace" --stats=json:"$T/$1.json" -n "$NET" "${@:3}"
	until_true 10 says "$T/$1.out" netecho=up
	pings 70 -f >/dev/null && pings 30 -i 0.01 >/dev/null
	kill "${pid[$1]}"
	ended "$1"
}
# counted FILE PERL: a figure of the statistics.
counted() { perl -MJSON::PP -e 'local $/; my $d = decode_json(<STDIN>); my ($rx, $tx, $t) = @{$d->{net}}{qw(rx tx thread)}; print join " ", eval $ARGV[0]' "$1"; }
# events NAME: of the trace's JSON, how many there are of each name, as NAME=N.
declare -A n=()
events() {
	local name value
	"$RINGLET" trace --json "$T/$1.trace" >"$T/$1.timeline" 2>"$T/said"
	n=()
	while IFS== read -r name value; do n[$name]=$value; done < <(perl -MJSON::PP -e '
		local $/;
		my %n;
		$n{"$_->{ph} $_->{name}"}++ for @{decode_json(<STDIN>)->{traceEvents}};
		print map { "$_=$n{$_}\n" } keys %n' <"$T/$1.timeline")
}
sum() { local k s=0; for k in "${!n[@]}"; do [[ $k != $1 ]] || s=$((s + n[$k])); done; echo $s; }

# --- all of it ---

traced all all
ok "ringlet trace prints it" eval "'$RINGLET' trace '$T/all.trace' >'$T/text'"
events all
is "and writes JSON, with nothing to add" "$(<"$T/said")" ""
is "each event has what the format wants, and times from the start on" "$(perl -MJSON::PP -e '
	local $/;
	my $d = decode_json(<STDIN>);
	my %threads;
	for my $e (@{$d->{traceEvents}}) {
		$e->{ph} =~ /^[MXibe]$/ && $e->{name} ne "" && $e->{cat} ne "" or die "not an event: ", encode_json($e), "\n";
		$e->{pid} == 1 && $e->{tid} =~ /^[1-3]$/ or die "nobody: ", encode_json($e), "\n";
		$e->{ts} =~ /^[0-9.]+$/ && $e->{ts} < 60e6 or die "at no time: ", encode_json($e), "\n";
		die "no length: ", encode_json($e), "\n" if $e->{ph} eq "X" && $e->{dur} !~ /^[0-9.]+$/;
		die "no id: ", encode_json($e), "\n" if $e->{ph} =~ /[be]/ && $e->{id} eq "";
		$threads{$e->{tid}} = $e->{args}{name} if $e->{name} eq "thread_name";
	}
	print "@threads{1 .. 3}"' <"$T/all.timeline" 2>&1)" "main vcpu/0 net/0"
# Asynchronous bars: each begins before it ends, and what begins ends.
is "each bar of a batch has two ends" "$(perl -MJSON::PP -e '
	local $/;
	my %open;
	for my $e (grep { $_->{ph} =~ /[be]/ } @{decode_json(<STDIN>)->{traceEvents}}) {
		my $k = "$e->{id} $e->{name}";
		if ($e->{ph} eq "b") { $open{$k} = $e->{ts} } else { delete $open{$k} <= $e->{ts} or die "$k runs backwards\n" }
	}
	print scalar keys %open' <"$T/all.timeline" 2>&1)" 0
is "packets: as many as were counted" "${n[i rx packet]} ${n[i tx packet]}" "$(counted '($rx->{packets}, $tx->{packets})' <"$T/all.json")"
holds "which were the pings, at least" "${n[i rx packet]} >= 100 && ${n[i tx packet]} >= 100"
is "frames that came are those" "$(grep -oE '[0-9]+ came' "$T/text" | awk '{ n += $1 } END { print n }')" "${n[i rx packet]}"
is "batches" "${n[i rx batch]} ${n[i tx batch]}" "$(counted '($rx->{batches}, $tx->{batches})' <"$T/all.json")"
is "kicks" "${n[i kick]}" "$(counted '$t->{kicks}' <"$T/all.json")"
is "sleeps, by what ended them" "${n[X sleep until a frame]:-0} ${n[X sleep until a kick]:-0} ${n[X sleep until the time]:-0}" \
	"$(counted '@{$t}{qw(wakes_frame wakes_kick wakes_timer)}' <"$T/all.json")"
is "interrupts" "${n[i interrupt]}" "$(counted '$t->{interrupts}' <"$T/all.json")"
is "decisions on them" \
	"${n[i rx raised]:-0} ${n[i rx suppressed]:-0} ${n[i rx deferred]:-0} ${n[i tx raised]:-0} ${n[i tx suppressed]:-0} ${n[i tx deferred]:-0}" \
	"$(counted '(map { @{$_}{qw(interrupts interrupts_suppressed interrupts_deferred)} } $rx, $tx)' <"$T/all.json")"
is "exits, by reason" "${n[X io]} ${n[X mmio]} ${n[X intr]:-0}" "$(counted '@{$d->{vcpus}[0]{exits}}{qw(io mmio intr)}' <"$T/all.json")"
is "registers read and written" "$(sum 'i read *') $(sum 'i write *') ${n[i write queue_ready]}" \
	"$(counted 'my $v = $d->{vcpus}[0]; my @n = map { my $g = $v->{$_}; my $n = 0; $n += $_ for values %$g; $n } qw(mmio_reads mmio_writes); (@n, $v->{mmio_writes}{queue_ready})' <"$T/all.json")"
is "the text has a line for each of them" "$(wc -l <"$T/text")" "$(perl -MJSON::PP -e 'local $/; print scalar grep { $_->{ph} =~ /[Xi]/ } @{decode_json(<STDIN>)->{traceEvents}}' <"$T/all.timeline")"

# --- where the time goes ---

"$RINGLET" trace --latency "$T/all.trace" >"$T/latency"
is "latencies: a line for each batch" "$(grep -cE '^ +[0-9.]+ net/0 +rx ' "$T/latency") $(grep -cE '^ +[0-9.]+ net/0 +tx ' "$T/latency")" "${n[i rx batch]} ${n[i tx batch]}"
is "every frame's way to the guest is known" "$(awk '$1 == "rx" && $2 == "came>shown" { print $3 }' "$T/latency")" "${n[i rx batch]}"
read -r irq ack < <(awk '$1 == "rx" && $2 == "shown>irq" { i = $3 } $1 == "rx" && $2 == "irq>ack" { a = $3 } END { print i + 0, a + 0 }' "$T/latency")
holds "an interrupt that was raised was acknowledged, but for the last" "irq > 0 && ack > 0 && irq - ack <= 2" "$irq raised, $ack acknowledged"
is "and parts make up the whole" "$(awk '/^ / && $9 ~ /^[0-9]/ { if ($6 + $7 + $8 != $9) print }' "$T/latency")" ""

traced strict irq,mmio --mmio-strict
is "mmio-strict: each acknowledgement is a write, and the trace has both" \
	"$("$RINGLET" trace "$T/strict.trace" | grep -c 'acknowledged, 1')" "$(counted '$d->{vcpus}[0]{mmio_writes}{interrupt_ack}' <"$T/strict.json")"

# --- files ---

refused() {
	local claim=$1 sentence=$2
	shift 2
	"$RINGLET" "$@" >/dev/null 2>"$T/refused" </dev/null
	is "$claim" "$? $(<"$T/refused")" "35 ringlet: $sentence"
}
head -c 5000 "$T/all.trace" >"$T/half"
refused "a trace that is cut short is shown, and it is said" \
	"$T/half is cut short: its guest is still running, or its ringlet was killed, or the disk was full" trace "$T/half"
refused "what is no trace is refused" "$0 is no trace of ringlet's" trace "$0"
traced vq vq
refused "and so is a trace without interrupts, for their latency" \
	"$T/vq.trace: it has no batches or no interrupts; latencies need --trace net,vq,irq" trace --latency "$T/vq.trace"
refused "a file that cannot be written" "--trace: cannot write $T/nowhere/t: No such file or directory" guest:hello --trace "all:$T/nowhere/t"
