#!/bin/bash
# SPDX-License-Identifier: MIT
#
# stats.t - what ringlet counts, against others who count the same: the guest,
# the tap, KVM.  Where it is the same thing the figures are equal; where it
# cannot be, the comment says why.  Then how one gets at them: reports, the
# control socket, `ringlet stat` and `ringlet list`.
. "$(dirname "$0")/lib.sh"
in_lab "$@"
. tests/traffic.sh
plan 48

export XDG_RUNTIME_DIR=$T/run
mkdir -m 711 "$XDG_RUNTIME_DIR"
sockets() { find "$XDG_RUNTIME_DIR" -name '*.sock' -printf '%f ' | xargs -rn 1 | sort | tr '\n' ' '; }

# figures NAME: all there is, into the array "now".
declare -A now=() was=()
figures() {
	local name value
	now=()
	while read -r name value; do now[$name]=$value; done < <(ask "$1" "stats flat" | tail -n +2)
}
# ask NAME REQUEST: what comes back over the socket.
ask() {
	perl -MSocket -e '
		socket my $s, AF_UNIX, SOCK_STREAM, 0 or die;
		connect $s, pack_sockaddr_un($ARGV[0]) or die "connect: $!";
		syswrite $s, "$ARGV[1]\n"; shutdown $s, 1;
		print while <$s>' "$(find "$XDG_RUNTIME_DIR" -name "$1.sock")" "$2"
}
remember() { was=(); for k in "${!now[@]}"; do was[$k]=${now[$k]}; done; }
more() { echo $((now[$1] - was[$1])); }
json() { perl -MJSON::PP -e 'local $/; my $d = decode_json(<STDIN>); print eval $ARGV[0], "\n"' "$1"; }

# Each reply is in before the next request goes out.
pinged_slowly() {
	ping -q -c 50 -i 0.02 "${ip[$1]}" | grep -q "50 received, 0% packet loss"
}

quiet_host
kernel=vmlinux
diag "where: $WHERE"
boot_linux a cloud --name web --stats=json:"$T/a.json" -m 256M -p quiet
net=queues=2 boot_linux b cloud --name db -c 2 --stats -m 256M -p quiet
prepare a && acquaint a || bail "no guest"
still a
diag "$(since "$started") s: a guest is up"

# --- the same, counted by others ---

# measure NAME, then measured NAME: what each of them counted in between.  The
# guest is asked over its console, which sends no packet.
there() {
	console "$1" "cd /sys/class/net/eth0/statistics; echo \$(cat rx_packets tx_packets rx_bytes tx_bytes) \$(awk '/virtio0/ { print \$2 }' /proc/interrupts)"
}
measure() {
	figures web && remember
	read -r r t rb tb q < <(there "$1")
	hr=$(stat_of "$1" tx_packets) ht=$(stat_of "$1" rx_packets) hrb=$(stat_of "$1" tx_bytes) htb=$(stat_of "$1" rx_bytes)
}
measured() {
	hr=$(($(stat_of "$1" tx_packets) - hr)) ht=$(($(stat_of "$1" rx_packets) - ht))
	hrb=$(($(stat_of "$1" tx_bytes) - hrb)) htb=$(($(stat_of "$1" rx_bytes) - htb))
	local was_there="$r $t $rb $tb $q"
	read -r r t rb tb q < <(there "$1")
	read -r r t rb tb q < <(echo "$r $t $rb $tb $q $was_there" | awk '{ print $1 - $6, $2 - $7, $3 - $8, $4 - $9, $5 - $10 }')
	figures web
}
same_traffic() {
	is "$1: packets that the device gave the guest, the guest received, the tap gave" "$(more net.rx.packets) $r" "$hr $hr"
	is "$1: packets that the device sent, the guest sent, the tap got" "$(more net.tx.packets) $t" "$ht $ht"
	is "$1: bytes received are the same" "$(more net.rx.bytes) $rb" "$hrb $hrb"
	is "$1: bytes sent are the same" "$(more net.tx.bytes) $tb" "$htb $htb"
}
raised() { echo $(($(more net.thread.interrupts) + $(more net.config_interrupts))); }
sum() { local k n=0; for k in "${!now[@]}"; do [[ $k != $1 ]] || n=$((n + now[$k])); done; echo $n; }

measure a
ok "50 pings, one after the other" pinged_slowly a
measured a
same_traffic "lone packets"
holds "those were the pings, and little else" "r >= 50 && r < 60" "$r"

# An MSI that is still pending when the next is raised is merged with it; so
# each of these comes to a guest that has received the last one.
measure a
for _ in 1 2 3 4 5; do
	counting a
	frames a 1 0 60 $BROADCAST
	came a 60 >/dev/null
done
measured a
is "the guest's agent counts what /proc and ethtool show" "$(console a 'echo $(figures)')" "$(console a \
	"echo interrupts \$(awk '/virtio0/ { print \$2 }' /proc/interrupts) packets \$((\$(cat /sys/class/net/eth0/statistics/rx_packets) + \$(cat /sys/class/net/eth0/statistics/tx_packets))) kicks \$(ethtool -S eth0 | awk '/kicks/ { n += \$2 } END { print n }')")"
is "interrupts: what the device raised is what the guest took" "$(raised) $(more net.rx.packets)" "$q 5"

make_file 4
measure a
is "4 MiB to the guest arrive as they were" "$(to_guest a 4)" "$(digest 4)"
is "and back" "$(from_guest a 4)" "$(digest 4)"
# Until nothing moves any more: TCP takes its leave after the data.
calm() { local n; n=$(stat_of a tx_packets)$(stat_of a rx_packets); sleep 0.3; [ "$n" = "$(stat_of a tx_packets)$(stat_of a rx_packets)" ]; }
until_true 10 calm
measured a
same_traffic "bulk"
holds "bulk: there were frames that stand for several, both ways" \
	"$(more net.rx.gso) > 0 && $(more net.tx.gso) > 0" "$(more net.rx.gso) $(more net.tx.gso)"
holds "bulk: the guest took no more interrupts than were raised" "q > 0 && q <= $(raised)" "$q taken, $(raised) raised"
is "each batch has a size" "$(sum 'net.rx.batch_size.*') $(sum 'net.tx.batch_size.*')" \
	"${now[net.rx.batches]} ${now[net.tx.batches]}"
holds "a thread sleeps once more than it wakes, or as often" \
	"${now[net.thread.sleeps]} - $(sum 'net.thread.wakes_*') <= 1 && ${now[net.thread.sleeps]} >= $(sum 'net.thread.wakes_*')"

# All since the start; nothing is going on now.
is "exits to ringlet for ports: KVM has counted the same" "${now[vcpus.0.exits.io]}" "${now[vcpus.0.kvm.io_exits]}"
is "exits to ringlet for memory: too" "${now[vcpus.0.exits.mmio]}" "${now[vcpus.0.kvm.mmio_exits]}"
is "and so have those who look at it from outside" "$(kvm_stat a mmio_exits)" "${now[vcpus.0.exits.mmio]}"
is "each of those for memory was for a register" "$(sum 'vcpus.0.mmio_reads.*') $(sum 'vcpus.0.mmio_writes.*')" \
	"$((now[vcpus.0.exits.mmio] - $(sum 'vcpus.0.mmio_writes.*'))) $(sum 'vcpus.0.mmio_writes.*')"
is "no kick came to ringlet's register" "${now[vcpus.0.mmio_writes.queue_notify]}" 0
# Unmasking the line is an edge, which a driver finds no reason for and acknowledges.
holds "nor an acknowledgement, but of configuration changes and of the line's first edge" \
	"${now[vcpus.0.mmio_writes.interrupt_ack]} <= ${now[net.config_interrupts]} + 1" \
	"${now[vcpus.0.mmio_writes.interrupt_ack]} ${now[net.config_interrupts]}"
holds "KVM tells how long the processor halted" "${now[vcpus.0.kvm.halt_wait_ns]} > 0"
diag "$(since "$started") s"

# --- several guests ---

prepare b && acquaint b || bail "no second guest"
list=$("$RINGLET" list)
like "list shows both, by name" "$(sed 1d <<<"$list" | awk '{ print $1, $2, $3, $5, $6 }' | tr '\n' ' ')" \
	"db ${pid[b]} vmlinux 2 256M web ${pid[a]} vmlinux 1 256M "
is "as JSON, too" "$("$RINGLET" list --json | perl -MJSON::PP -ne '$d = decode_json($_); print "$d->{schema} $d->{name} $d->{pid} "')" \
	"ringlet-info/1 db ${pid[b]} ringlet-info/1 web ${pid[a]} "
refused() {
	local claim=$1 sentence=$2
	shift 2
	"$RINGLET" "$@" >"$T/refused" 2>&1 </dev/null
	is "$claim" "$? $(<"$T/refused")" "35 ringlet: $sentence"
}
refused "stat wants to know which" "2 guests are running; name one of them: db, web" stat
refused "an unknown name is refused, with the nearest" "no guest called 'wbe' is running; did you mean 'web'?" stat wbe
refused "a name is taken once" "a guest called web is running: choose another --name" --name web -k build/guest/cloud/vmlinux
is "all of that left the sockets as they were" "$(sockets)" "db.sock web.sock "

said=$("$RINGLET" stat -i 0.2 -c 3 web)
is "stat prints a heading and a line for each interval" "$(wc -l <<<"$said") $(awk 'NR > 1 { n += NF } END { print n }' <<<"$said")" "4 30"
"$RINGLET" stat -i 1 -c 1 "${pid[a]}" >"$T/stat" &
job=$!
pinged a 100 >/dev/null
wait $job
holds "and what passes in it" "$(awk 'NR == 2 { print int($1) }' "$T/stat") >= 5" "$(<"$T/stat")"
doc=$("$RINGLET" stat --json -c 1 db)
is "JSON has the pairs one by one, and their sum" \
	"$(json '($d->{schema}, " ", scalar @{$d->{net}{pairs}}, " ", $d->{net}{rx}{packets} == $d->{net}{pairs}[0]{rx}{packets} + $d->{net}{pairs}[1]{rx}{packets})' <<<"$doc")" \
	"ringlet-stats/1 2 1"
is "and the features: those accepted and those refused are what was offered" \
	"$(json '$f = $d->{net}{features}; (@{$f->{accepted}} + @{$f->{refused}} == @{$f->{offered}}) . " " . (grep { $_ eq "version_1" } @{$f->{accepted}})' <<<"$doc")" "1 1"
like "who is not the user cannot ask" \
	"$(setpriv --reuid=65533 --regid=65533 --clear-groups "$RINGLET" stat "$(find "$XDG_RUNTIME_DIR" -name web.sock)" 2>&1)" \
	"ringlet: cannot connect to */web.sock: Permission denied"

# --- reports ---

kill -USR1 "${pid[a]}" "${pid[b]}"
ok "SIGUSR1 asks for a report" until_true 10 says "$T/a.json" '"schema":"ringlet-stats/1"'
ok "which is for people if nothing else is said" until_true 10 says "$T/b.err" "^net thread: .*sleeps [1-9]"
ok "and the guests go on" pinged a 20
is "in the file is a document that a program understands" "$(json '$d->{name}' <"$T/a.json")" web

# --- the end ---

kill -KILL "${pid[b]}"
ended b 2>/dev/null
is "a guest that was killed leaves its socket behind" "$(sockets)" "db.sock web.sock "
is "it is not listed" "$("$RINGLET" list | sed 1d | wc -l)" 1
is "and is cleared away by that" "$(sockets)" "web.sock "
"$RINGLET" stat -i 600 >"$T/stat" 2>&1 &
job=$!
off a "ringlet has said nothing all the while but how it ended"
wait $job
is "stat ends when the guest does" "$? $(<"$T/stat")" "0 "
is "the socket is gone with it" "$(sockets)" ""
is "the last report is the second line of the file" \
	"$(wc -l <"$T/a.json") $(tail -1 "$T/a.json" | json '$d->{net}{rx}{packets} > 0 && $d->{name}')" "2 web"
refused "then there is none" "no guest is running" stat
