#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ctl.t - what can be done to a guest while it runs: each request has its
# effect on a guest that answers pings, and says so; what is none is refused,
# and the guest goes on.
. "$(dirname "$0")/lib.sh"
in_sandbox "$@"
plan 49

export XDG_RUNTIME_DIR=$T/run # where control sockets are; not nobody's
mkdir -m 711 "$XDG_RUNTIME_DIR"

# neighbour NAME OPTIONS...: a guest that answers.
nets=0
neighbour() {
	local name=$1
	shift
	nets=$((nets + 1))
	ip[$name]=10.0.$nets.2
	boot "$name" --name "$name" -n "tap=$name,ip=10.0.$nets.1/24,guest_ip=10.0.$nets.2" "$@" guest:netecho
	until_true 10 says "$T/$name.out" "netecho=up" || bail "no guest"
}
answers() { ping -q -c 1 -W 1 "${ip[$1]}" >/dev/null; }
silent() { ! ping -q -c 3 -i 0.2 -W 1 "${ip[$1]}" >/dev/null; }
# ctl WORDS...: what it prints on both streams, and its status.
ctl() { "$RINGLET" ctl "$@" 2>&1 </dev/null; echo "$?"; }
info() { ctl "$1" info flat | sed -n "s/^$2 //p"; }

neighbour web
ok "the guest answers" until_true 10 answers web

# --- standing still ---

is "pause says so" "$(ctl web pause)" "paused"$'\n'0
ok "then no ping is answered" silent web
is "nor are two pauses more than one, and that is said" "$(ctl web pause)" "paused already"$'\n'0
is "info shows it" "$(info web state)" paused
is "a guest that stands still can be asked for its counters" "$(ctl web stats flat | grep -c '^net.rx.packets ')" 1
is "resume says so" "$(ctl web resume)" "running"$'\n'0
ok "and pings are answered again" until_true 10 answers web
is "resume of one that runs is no mistake either" "$(ctl web resume)" "running already"$'\n'0
is "info shows that, too" "$(info web state)" running

# --- the network ---

policy() { ctl web stats flat | sed -n 's/^net.irq //p'; }
is "a guest starts with the policy that it was given" "$(policy)" adaptive
is "another one is taken" "$(ctl web irq delay:50)" "irq=delay:50"$'\n'0
is "and shown" "$(policy)" "delay:50"
ok "and pings are answered" answers web
like "one that does not exist is refused, with those that do" "$(ctl web irq sometimes)" \
	"ringlet: 'sometimes': not a policy; write packet, drain, delay:USEC, *"$'\n'1
is "and changes nothing" "$(policy)" "delay:50"
is "the carrier can be taken away" "$(ctl web link down)" "link down"$'\n'0
ip link set web down
waits_for_tap() { [ "$(ctl web link up)" = "link up as soon as the tap is; ip link set it up"$'\n'0 ]; }
ok "where the tap is down, too, it does not come back before that does" until_true 10 waits_for_tap
ip link set web up
link_is_up() { [ "$(ctl web link up)" = "link up"$'\n'0 ]; }
ok "and then it does" until_true 10 link_is_up

# --- who asks ---

is "help lists what there is" "$(ctl web help | cut -f1 | grep -cxE 'stats|info|pause|resume|stop|reset|nmi|sysrq|link|dump|irq')" 11
like "an unknown request is refused, with what there is" "$(ctl web frobnicate)" \
	"ringlet: unknown command; there are stats, info, *pause, *, help"$'\n'1
is "a guest is found by its process as well" "$(ctl "${pid[web]}" resume)" "running already"$'\n'0
like "there must be one of that name" "$(ctl wbe pause)" "*no guest called 'wbe' is running; did you mean 'web'?"$'\n'35
is "a processor that is not there gets no NMI" "$(ctl web nmi 1)" "ringlet: '1': not one of the processors 0 to 0"$'\n'1
for _ in 1 2 3 4 5 6 7 8; do ctl web pause >/dev/null & ctl web resume >/dev/null & done
wait $(jobs -p | grep -vx "${pid[web]}")
ctl web resume >/dev/null
ok "many who ask at once leave it as it was" answers web

# --- dumps ---

mkdir "$T/d"
mine() { (cd "$T/d" && "$RINGLET" "$@" 2>&1 </dev/null; echo "$?"); }
header() { od -An -tx1 -N18 "$T/d/$1" | tr -d ' \n'; }
is "there must be a file to dump to" "$(ctl web dump)" "ringlet: dump: the name of a file is expected behind it"$'\n'35
like "a dump goes into a file of the one who asks, and the guest goes on" "$(mine dump web a)" "512 MiB, * of them on disk, in * s, for which the guest paused [0-9]*.[0-9] ms"$'\n'0
ok "and pings are answered" answers web
is "it is an ELF core, for its maker only" "$(header a) $(stat -c %a "$T/d/a")" "7f454c460201010000000000000000000400 600"
holds "with all memory, and holes where that is empty" \
	"$(stat -c %s "$T/d/a") >= 512 << 20 && $(stat -c %b "$T/d/a") * 512 < 8 << 20" "$(stat "$T/d/a")"
is "what is there is not overwritten" "$(mine dump web a)" "ringlet: a is there already: remove it, or choose another name"$'\n'35
like "nor is anything made where nothing can be" "$(mine dump web x/y)" "ringlet: cannot make x/y: No such file or directory"$'\n'35
mine dump nosuch b >/dev/null
is "nor for a guest that there is not" "$(ls "$T/d")" a
# It reads all 512 MiB: no memory gives that in less than a millisecond.
like "--consistent: it stands still meanwhile" "$(mine dump --consistent web b)" "512 MiB, * s, for which the guest paused [1-9]*.[0-9] ms"$'\n'0
is "and goes on" "$(info web state)" running
mkdir "$T/small" && mount -t tmpfs -o size=8k none "$T/small"
is "a full disk is said, and leaves nothing behind" "$("$RINGLET" dump web "$T/small/c" 2>&1; ls "$T/small")" \
	"ringlet: cannot write the dump: No space left on device"
umount "$T/small"
# A client that is ended while it waits, because ringlet has no time for it.
kill -STOP "${pid[web]}"
"$RINGLET" dump "$(find "$XDG_RUNTIME_DIR" -name web.sock)" "$T/d/e" 2>/dev/null &
until_true 10 test -e "$T/d/e"
kill $!
wait $!
is "a client that is ended takes its file with it" "$? $(find "$T/d" -name e)" "143 "
kill -CONT "${pid[web]}"
dumps() { [[ $(mine dump web f) == "512 MiB, "* ]]; } # not while the other is being ended
ok "and harms nobody" until_true 10 dumps
ctl web pause >/dev/null
like "one that stands still can be dumped, too" "$(mine ctl web dump d)" "512 MiB, *"$'\n'0
ctl web resume >/dev/null
# asks WITH: request by hand, with a descriptor of that kind.
asks() {
	perl -MSocket -e '
		socket my $s, AF_UNIX, SOCK_STREAM, 0 or die;
		connect $s, pack_sockaddr_un($ARGV[0]) or die "connect: $!";
		open my $f, $ARGV[1] or die "$ARGV[1]: $!";
		my $c = pack "QiiL x4", 20, 1, 1, fileno $f;
		my $line = "dump\n";
		my $iov = pack "PQ", $line, length $line;
		my $h = pack "QLx4PQPQLx4", 0, 0, $iov, 1, $c, length $c, 0;
		syscall(46, fileno $s, $h, 0) > 0 or die "sendmsg: $!";
		shutdown $s, 1; print while <$s>' "$(find "$XDG_RUNTIME_DIR" -name web.sock)" "$1"
}
mkfifo "$T/fifo"
for file in "<$T/d/a" ">>$T/d/a" "+<$T/d/a" "+<$T/fifo"; do
	like "a file that will not do is refused: ${file%%/*}" "$(asks "$file")" \
		"ringlet/1 error *a regular file, empty and open for writing, must come with the request"
done

# --- ends ---

is "stop ends it" "$(ctl web stop)" "stopped"$'\n'0
ends "as Ctrl-A x does" web 0 "stopped by ringlet ctl"
neighbour db
ctl db pause >/dev/null
is "reset ends one that stands still" "$(ctl db reset)" "reset"$'\n'0
ends "with the status of a reset" db 32 "reset by ringlet ctl"
neighbour nmi
ctl nmi nmi 0 >/dev/null
ended nmi
like "an NMI arrives" "$(tail -1 "$T/nmi.out")" "exception=2 *"
is "all sockets are gone" "$(find "$XDG_RUNTIME_DIR" -name '*.sock')" ""
