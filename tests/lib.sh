# SPDX-License-Identifier: MIT
#
# lib.sh - what the tests that are shell scripts share: claims (TAP), a place
# of their own to run in, and guests.  A script begins with
#
#	. "$(dirname "$0")/lib.sh"
#	in_lab "$@"		it needs real Linux guests; or
#	in_sandbox "$@"		it needs root, a KVM of any kind, and taps
#	plan 17
#
# and from there on is root, in a network namespace of its own with /sys to
# match, in the project's top directory, with a temporary directory $T.  The
# first runs the script again where there is a real KVM (tests/lab/lab), the
# second does that only if it must.  Nothing here waits for time to pass
# where it can wait for what is to happen.
#
# What needs no guest but a quick processor, which the lab's is not, is a
# function `afterwards` in front of in_lab: it is called here when the script
# has ended there, and finds in $LEFT what that left in its own $LEFT.  Its
# claims are the second number of `plan 17 9`.

set -u
shopt -s extglob
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
LAB_TIMEOUT=800
RINGLET=$(readlink -m "${BUILD:-build}")/ringlet
PATH=$PATH:/usr/sbin:/sbin
export PATH LC_ALL=C

# --- claims ---

made=0 planned=0 failed=0 T= LEFT=${LEFT:-} started=$EPOCHREALTIME

bail() { echo "Bail out! $*"; exit 1; }
diag() { sed 's/^/# /' <<<"$*"; }
plan() {
	planned=$1
	echo "1..$(($1 + ${2:-0}))"
	[ -z "$LEFT" ] || echo "made=$1 planned=$(($1 + ${2:-0}))" >"$LEFT/plan"
}

pass() { made=$((made + 1)); echo "ok $made - $1"; }
fail() {
	made=$((made + 1)) failed=$((failed + 1))
	echo "not ok $made - $1"
	shift
	for line; do diag "$line"; done
}
skip() { made=$((made + 1)); echo "ok $made - $1 # SKIP $2"; }

# The end of a text, if it is long.
end_of() { if ((${#1} > 2000)); then echo "${1: -2000}"; else echo "$1"; fi; }

# ok CLAIM COMMAND...: the command succeeds; what it prints is shown if not.
ok() {
	local claim=$1 said
	shift
	if said=$("$@" 2>&1); then pass "$claim"; else fail "$claim" "$* failed" "$(end_of "$said")"; fi
}

# is CLAIM GOT WANT
is() { if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got:  $2" "want: $3"; fi; }

# like CLAIM TEXT PATTERN (of the shell's kind); unlike
like() {
	# shellcheck disable=SC2053 # a pattern is meant
	if [[ $2 == $3 ]]; then pass "$1"; else fail "$1" "got:  $(end_of "$2")" "want: $3"; fi
}
unlike() {
	# shellcheck disable=SC2053
	if [[ $2 != $3 ]]; then pass "$1"; else fail "$1" "got:  $(end_of "$2")" "not:  $3"; fi
}

# holds CLAIM EXPRESSION [TEXT]: arithmetic
holds() {
	if (($2)); then pass "$1"; else fail "$1" "not so: $2" "${@:3}"; fi
}

finish() {
	local status=$? p
	for p in "${!running[@]}"; do kill -9 "$p" 2>/dev/null; done
	[ -z "$T" ] || rm -rf "$T"
	((planned)) || exit "$status"
	((made == planned)) || diag "planned $planned claims and made $made"
	diag "$(basename "$0"): $(since "$started") s"
	((made == planned && !failed)) || exit 1
}

since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# --- a place to run in ---

# The new namespaces have nothing of the machine's network; /sys must show
# the new one, because that is where people and ringlet look.
settle() {
	[ -x "$RINGLET" ] || bail "$RINGLET is missing: make"
	mount -t sysfs sysfs /sys && ip link set lo up || bail "no namespace of its own to run in"
	[ -e /sys/kernel/debug/kvm ] || mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
	T=$(mktemp -d) && chmod 755 "$T" && mkfifo "$T/never" || exit 1
	exec {never}<>"$T/never"
	trap finish EXIT
	trap 'exit 130' INT TERM HUP
}

in_lab() {
	local lab=tests/lab/lab
	case ${WHERE:-} in
	lab | hardware) settle; return ;;
	esac
	[ -x "$RINGLET" ] || bail "$RINGLET is missing: make"
	if declare -F afterwards >/dev/null; then
		LEFT=$(mktemp -d) && T=$LEFT || exit 1
		trap finish EXIT
		trap 'exit 130' INT TERM HUP
	fi
	local run=($lab --timeout "${LAB_TIMEOUT}" --mem "${LAB_MEM:-4096}" ${LEFT:+--rw "$LEFT"} --
		env WHERE="$($lab --kind)" BUILD="$(dirname "$RINGLET")" LEFT="$LEFT"
		unshare -n -m --propagation private "$0" "$@")
	[ -n "$LEFT" ] || exec "${run[@]}"
	"${run[@]}" || failed=$?
	((failed <= 1)) || exit "$failed"
	# shellcheck disable=SC1091 # what plan left: made, planned
	. "$LEFT/plan"
	afterwards
	exit
}

in_sandbox() {
	case ${WHERE:-} in
	lab | hardware | here) settle; return ;;
	esac
	if [ "$(id -u)" = 0 ] && : 2>/dev/null <>/dev/kvm && : 2>/dev/null <>/dev/net/tun &&
		unshare -n -m true 2>/dev/null; then
		WHERE=here exec unshare -n -m --propagation private "$0" "$@"
	fi
	in_lab "$@"
}

# --- hosts that lack something ---

# with_dev NODES COMMAND...: a /dev that has little more than these devices,
# each "NAME=MODE".
with_dev() {
	# shellcheck disable=SC2016 # for the inner shell
	unshare -m bash -c '
		mount -t tmpfs -o mode=755 none /dev && cd /dev || exit 99
		mknod -m 666 null c 1 3; mknod -m 666 zero c 1 5; mknod -m 666 urandom c 1 9
		mkdir net
		for node in $1; do
			case $node in
			kvm=*) mknod -m ${node#*=} kvm c 10 232 ;;
			tun=*) mknod -m ${node#*=} net/tun c 10 200 ;;
			esac
		done
		cd "$2"
		shift 2
		exec "$@"' - "$1" "$PWD" "${@:2}"
}
NOBODY=(setpriv --reuid=nobody --regid=nogroup --clear-groups)

# A container's filter: io_uring_setup (425) gives EPERM.
no_uring() {
	perl -e '
		my $code = pack("SCCL" x 4, 0x20, 0, 0, 0, 0x15, 0, 1, 425, 6, 0, 0, 0x00050001, 6, 0, 0, 0x7fff0000);
		my $prog = pack("S x6 P", 4, $code);
		syscall(157, 38, 1, 0, 0, 0) == 0 && syscall(157, 22, 2, $prog, 0, 0) == 0 or die "seccomp: $!";
		exec @ARGV' "$@"
}

# --- waiting for what is to happen ---

# Where processors are emulated, and tests wait most, a process costs more than
# what it does: whoever waits looks without making any.

# until_true SECS COMMAND...
until_true() {
	local until=$((SECONDS + $1 + 1))
	shift
	until "$@"; do
		((SECONDS < until)) || return 1
		a_moment
	done
}
a_moment() { read -r -t 0.02 -u "$never" || :; }

# text_of FILE: in $text; what is not there yet is empty.
text_of() { { text=$(<"$1"); } 2>/dev/null || text=; }

# says FILE PATTERN (grep's)
says() {
	local text nl=$'\n'
	case ${2#^} in
	*[][\\.*^$]*) grep -q -e "$2" "$1" 2>/dev/null ;;
	*) text_of "$1" && [[ $nl$text == *"${2/#^/$nl}"* ]] ;;
	esac
}

# --- guests ---

declare -A pid=() status=() ip=() running=() screen=()
nets=0

# boot NAME OPTIONS...: ringlet in the background.  What it prints is in
# $T/NAME.out and .err; $T/NAME.in is its standard input, held open by us.
# It cannot outlive the script: a time limit comes with it.
boot() {
	local name=$1
	shift
	rm -f "$T/$name".{in,out,err}
	mkfifo "$T/$name.in"
	"$RINGLET" --timeout $LAB_TIMEOUT "$@" <>"$T/$name.in" >"$T/$name.out" 2>"$T/$name.err" &
	pid[$name]=$!
	running[$!]=$name
}

# boot_linux NAME FLAVOUR OPTIONS...: a stock kernel with our initrd, and with
# a network of its own, 10.0.N.1 here and 10.0.N.2 there, in which tests/lab/
# guest-sh finds it.  More keys for --net in $net, another kernel in $kernel.
boot_linux() {
	local name=$1 dir=build/guest/$2
	shift 2
	nets=$((nets + 1))
	ip[$name]=10.0.$nets.2
	boot "$name" -k "$dir/${kernel:-vmlinuz}" -i "$dir/initrd" \
		-n "tap=$name,ip=10.0.$nets.1/24,guest_ip=10.0.$nets.2${net:+,$net}" "$@"
}

# guest NAME COMMANDS...: run in the guest, over the network.
guest() { build/guest-sh -w 90 -t 60 "${ip[$1]}" "${@:2}" 2>&1; }

# datagrams NAME PORT COUNT FROM...: COUNT of UDP, of 64 bytes, to the guest's PORT
# from each of ours (0: any).  (No modules: the emulated processor is a quarter of
# a second at those.)
datagrams() {
	perl -e '
		my ($to, $port, $n, @from) = @ARGV;
		my $name = sub { pack "S n C4 x8", 2, shift, split /\./, shift };
		for my $from (@from) {
			socket my $s, 2, 2, 0 or die "socket: $!";
			bind $s, $name->($from, "0.0.0.0") or die "port $from: $!";
			for (1 .. $n) { send $s, "x" x 64, 0, $name->($port, $to) or die "send: $!" }
		}' "${ip[$1]}" "${@:2}"
}

# The guest's console is a shell: the way in that uses no network.
# console_open NAME makes it quiet, console NAME COMMAND runs one line there
# and prints what it prints; 60 seconds are its most.  Leave jobs running by
# "((...) &)" only: busybox's shell may take the end of one of its own for the
# end of its input.
console_open() {
	local fd
	shell_there() { says "$T/$1.out" "built-in shell" || gone "${pid[$1]}"; }
	until_true 90 shell_there "$1"
	! gone "${pid[$1]}" && echo "stty -echo; PS1= ; echo re''ady" >>"$T/$1.in" &&
		until_true 20 says "$T/$1.out" "^ready" && exec {fd}<"$T/$1.out" && screen[$1]=$fd
}
console() {
	local name=$1 mark=mark$RANDOM$RANDOM until=$((SECONDS + 61)) line part='' begun=''
	printf 'echo begin-%s\n%s\necho end-%s\n' "$mark" "$2" "$mark" >>"$T/$name.in"
	while ((SECONDS < until)) && ! gone "${pid[$name]}"; do
		IFS= read -r line <&"${screen[$name]}" || {
			part+=$line
			a_moment
			continue
		}
		line=$part$line part=
		line=${line%$'\r'}
		case $line in
		"begin-$mark") begun=1 ;;
		"end-$mark"*) return ;;
		*) [ -z "$begun" ] || printf '%s\n' "$line" ;;
		esac
	done
	echo "no answer on the console"
	return 1
}

# ended NAME [SECS]: wait for its end; the status is in ${status[NAME]}.
ended() {
	local p=${pid[$1]}
	until_true "${2:-30}" gone "$p" || autopsy "$1"
	wait "$p" 2>/dev/null
	status[$1]=$?
	unset "running[$p]"
}
# What there is to see of a guest that should have ended; then it is ended.
autopsy() {
	local p=${pid[$1]} t
	diag "$1 did not end; its processor: $(cat /sys/kernel/debug/kvm/"$p"-*/{exits,halt_exits,irq_injections} 2>/dev/null | tr '\n' ' ')"
	for t in /proc/"$p"/task/*; do
		diag "$(<"$t/comm"): $(awk '/^State/ { print $2 }' "$t/status") $(cat "$t/wchan") $(cut -d' ' -f14,15 "$t/stat")"
	done
	sleep 1
	diag "a second later: $(cat /sys/kernel/debug/kvm/"$p"-*/{exits,halt_exits,irq_injections} 2>/dev/null | tr '\n' ' ')"
	diag "$(tail -n 12 "$T/$1.out")"
	kill -9 "$p" 2>/dev/null
}
gone() { ! kill -0 "$1" 2>/dev/null; }

# ends CLAIM NAME STATUS SENTENCE [SECS]: with that status, and a standard
# error of this one line alone; but for a crash or a panic, where the guest is
# looked at before that.
ends() {
	ended "$2" "${5:-30}"
	like "$1" "${status[$2]} $(without_autopsy "$T/$2.err")" "$3 ringlet: $4"
}
# without_autopsy FILE: what is in it but for the console's last lines and the
# registers, if the last line but one is of these.
without_autopsy() {
	awk '{ line[NR] = $0 } /^vCPU 0: RIP / { looked = 1 }
		END { for (i = looked ? NR : 1; i <= NR; i++) print line[i] }' "$1"
}

# pings COUNT OPTIONS...: $GUEST answers all.  ping itself may not wait for the last
# ones where the processors are busy: the replies are counted by the kernel.
pings() {
	local n
	n=$(($(replies) + $1))
	ping -q "${@:2}" -c "$1" $GUEST
	all_answered() { (($(replies) == n)); }
	until_true 10 all_answered
}
replies() { awk '/^IcmpMsg: [0-9]/ { print $c } /^IcmpMsg: I/ { for (c = 1; c < NF && $c != "InType0"; c++); }' /proc/net/snmp; }

# A figure of the guest's KVM, all processors together.
kvm_stat() {
	local dir
	for dir in /sys/kernel/debug/kvm/"${pid[$1]}"-*; do
		cat "$dir/$2" 2>/dev/null
		return
	done
}

# tiny_kernel FILE HEX: an ELF kernel that is these instructions and no more.
# It runs on any KVM, at once, and never gives way to surprises.
tiny_kernel() {
	local code=$2 header size
	# little endian: header, one program header (PT_LOAD, RWX), code at 0x78
	header=7f454c46020101000000000000000000
	header+=02003e00010000007800000100000000
	header+=40000000000000000000000000000000
	header+=00000000400038000100000000000000
	header+=0100000007000000000000000000000000000001000000000000000100000000
	size=$((0x78 + ${#code} / 2))
	header+=$(printf '%02x%02x' $((size & 255)) $((size >> 8)))000000000000
	header+=0010000000000000
	header+=0010000000000000
	# shellcheck disable=SC2059 # the format is the text
	printf "$(sed 's/../\\x&/g' <<<"$header$code")" >"$1"
}
