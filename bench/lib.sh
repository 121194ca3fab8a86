# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# lib.sh - what the benches share: a place to run in, the two hypervisors and
# a guest in them, counters read from outside, and samples.  A bench begins with
#
#	QUESTION="..."
#	TAKES=8 # minutes
#	. "$(dirname "$0")/lib.sh"
#	place "$@"		it needs real Linux guests; or
#	place_here "$@"		it needs root and taps, no KVM
#
# and from there on is root, in a network namespace of its own, in the project's
# top directory, with a temporary directory $T; the first with a real KVM.
#
# What is measured becomes a sample and only samples become a table: whatever
# could not be measured ends the bench with a sentence and a status that is
# not 0.

set -euo pipefail
NAME=$(basename "$0")
SELF=$(readlink -f "$0")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C

MEMORY=256		# MiB
FLAVOUR=cloud		# of build/guest
OWN=			# one of ringlet's own guests instead, without Linux
MORE=			# for the end of the guest's command line
# Where the results go: run gives all its benches one directory.
RESULTS=${BENCH_RESULTS:-build/bench/$(date -u +%Y-%m-%d-%H%M%S)}
[ -z "${BENCH_BEFORE:-}" ] || BENCH_BEFORE=$(readlink -m "$BENCH_BEFORE")

T=
fail() {
	printf '%s: %s\n' "$NAME" "$*" >&2
	[ -z "$T" ] || : >"$T/said"
	exit 1
}
progress() { printf '%s: %s\n' "$NAME" "$*" >&2; }

# A step is what takes about as long as the others, a guest's round for one.
# steps COUNT: so many there will be; step WHAT: the next one begins.  How long
# it has to go is the bench's own estimate, and then what those before it took.
steps=0 steps_done=0
steps() { steps=$1 SECONDS=0; }
step() {
	local left=$((TAKES * 60)) all=
	((steps_done == 0)) || left=$((SECONDS * (steps - steps_done) / steps_done))
	[ -z "${BENCH_AFTER:-}" ] || all=", $(minutes $((left + BENCH_AFTER * 60))) for all"
	steps_done=$((steps_done + 1))
	progress "$steps_done of $steps, $1; $(minutes $left) to go$all"
}
minutes() { if (($1 < 100)); then echo "$1 s"; else echo "$((($1 + 30) / 60)) min"; fi; }

# need PROGRAM PACKAGE
need() { command -v "$1" >/dev/null || fail "$1 is missing: apt-get install $2"; }
need_file() { [ -e "$1" ] || fail "$1 is missing: run '$2'"; }

# need_before PROGRAM: in the tree of before, if that is given
need_before() { [ -z "${BENCH_BEFORE:-}" ] || need_file "$BENCH_BEFORE/build/$1" "make -C $BENCH_BEFORE all bench-programs"; }

# version_of PACKAGE: as installed, for the head
version_of() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null || echo '?'; }

# --- a place to run in ---

# The host's, asked before the lab hides it.
load() { echo "$(cut -d ' ' -f 1 /proc/loadavg) on $(nproc --all) processors"; }

# Runs the bench again as root where there is a real KVM (tests/lab/lab), in
# new network and mount namespaces; only $RESULTS is written outside.
place() {
	need_file build/ringlet make
	need_before ringlet
	need_file "build/guest/$FLAVOUR/initrd" tests/deps
	local how=(tests/lab/lab --timeout "${BENCH_TIMEOUT:-1800}" --mem "${LAB_MEM:-4096}" --rw "$RESULTS" --)
	[ -n "${BENCH_PLACE:-}" ] || inside "$(tests/lab/lab --kind)" "$@"
	settle
	mount -t debugfs debugfs /sys/kernel/debug || fail "this host's kernel has no debugfs"
	[ -c /dev/kvm ] || fail "there is no /dev/kvm"
	[ -d /sys/kernel/debug/kvm ] || fail "KVM shows no statistics in /sys/kernel/debug/kvm"
	need perl perl
	find_qemu
	choose_cpus
}

# The same on this machine, whatever its KVM.
place_here() {
	local how=()
	[ "$(id -u)" = 0 ] || how=(sudo --)
	[ -n "${BENCH_PLACE:-}" ] || inside here "$@"
	settle
	choose_cpus
}

# inside KIND ARGUMENTS...: this bench again, by way of ${how[@]}, and then what
# it left is made readable here, where the tools for it are not emulated.
inside() {
	local kind=$1 child status=0
	shift
	mkdir -p "$RESULTS"
	"${how[@]}" env BENCH_PLACE="$kind" BENCH_LOAD="$(load)" BENCH_RESULTS="$RESULTS" BENCH_COMMAND="bench/$NAME $*" \
		${BENCH_AFTER:+BENCH_AFTER="$BENCH_AFTER"} ${QEMU:+QEMU="$QEMU"} ${BENCH_BEFORE:+BENCH_BEFORE="$BENCH_BEFORE"} ${BENCH_CPUS:+BENCH_CPUS="$BENCH_CPUS"} \
		unshare -n -m --propagation private "$SELF" "$@" &
	child=$!
	trap 'kill $child 2>/dev/null' HUP INT TERM
	wait $child || status=$?
	while kill -0 $child 2>/dev/null; do wait $child || status=$?; done
	if [ $status = 0 ]; then
		bench/publish "$RESULTS" || status=$?
		ln -sfn "$(basename "$RESULTS")" "$(dirname "$RESULTS")/latest"
	fi
	rmdir "$RESULTS" 2>/dev/null || true
	exit $status
}

settle() {
	# /sys must show the new namespace's network.
	mount -t sysfs sysfs /sys && ip link set lo up || fail "no network namespace to run in"
	mount -t tracefs tracefs /sys/kernel/tracing || fail "this host's kernel has no tracefs"
	T=$(mktemp -d)
	trap finish EXIT
	# Nothing fails silently, not even what nobody thought of.
	set -E
	trap '[ -e "$T/said" ] || fail "line $LINENO: $BASH_COMMAND: failed"' ERR
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	need taskset util-linux
	need ip iproute2
}

vmm=		# the process of the hypervisor at hand
declare -A running=()	# all that were started: column to process
traces=()
finish() {
	local status=$?
	set +e
	trap - ERR
	exec 2>/dev/null
	[ ${#running[@]} = 0 ] || kill -9 "${running[@]}"
	wait
	rm -rf "$T"
	for trace in "${traces[@]}"; do
		echo 0 >"$trace/events/enable"
		echo >"$trace/set_event_pid"
		rmdir "$trace"
	done
	exit "$status"
}

# Tracing of our own, in the directory $trace; nobody else's is touched.
trace_open() {
	trace=/sys/kernel/tracing/instances/ringlet-bench-$$-${#traces[@]}
	mkdir $trace || fail "tracefs gives no instance of its own"
	traces+=("$trace")
	[ -d $trace/events/kvm/kvm_entry ] || fail "this host's kernel has no trace events of KVM"
}

# Where there is none, $qemu_version is empty: its columns are left out.
find_qemu() {
	local usr=build/qemu/usr
	qemu_library="" qemu_version=""
	if [ -z "${QEMU:-}" ]; then
		QEMU=qemu-system-x86_64
		if [ -x $usr/bin/qemu-system-x86_64 ]; then
			QEMU=$usr/bin/qemu-system-x86_64
			[ "$(readlink -f $usr)" = /usr ] || qemu_library=$PWD/$usr/lib/x86_64-linux-gnu
		fi
	fi
	! command -v "$QEMU" >/dev/null || qemu_version=$(qemu --version 2>&1 | sed -n 's/^QEMU emulator version \(.*\)/\1/p') || true
}
qemu() { LD_LIBRARY_PATH=$qemu_library "$QEMU" "$@"; }
# qemu_lacks qemu|q35: why this QEMU cannot be that machine, if so.
qemu_lacks() {
	local machine=${1/#qemu/microvm}
	if [ -z "$qemu_version" ]; then
		echo "$QEMU is missing or does not run: apt-get install qemu-system-x86"
	elif [[ $'\n'$(qemu -M help) != *$'\n'"$machine "* ]]; then
		echo "QEMU $qemu_version has no machine '$machine': apt-get install qemu-system-x86"
	fi
}

# One processor each for the hypervisor's I/O and for the guest, a third for
# whoever talks to the guest.  In the lab that is processor 0, which must
# never run a guest and so is idle.  BENCH_CPUS="IO GUEST CLIENT" overrides.
choose_cpus() {
	local part list=()
	for part in $(sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status | tr , ' '); do
		mapfile -t -O ${#list[@]} list < <(seq "${part%-*}" "${part#*-}" | head -n 3)
	done
	[ "$BENCH_PLACE" != lab ] || list[2]=0
	[ -z "${BENCH_CPUS:-}" ] || read -ra list <<<"$BENCH_CPUS"
	[ ${#list[@]} -ge 2 ] || fail "this needs two processors or more"
	cpu_io=${list[0]} cpu_guest=${list[1]} cpu_client=${list[2]:-$cpu_io,$cpu_guest}
}

client() { taskset -c "$cpu_client" "$@"; }

# --- what the result's head says ---

# kvm_kind: whose KVM, and of what.
kvm_kind() {
	local module=software
	[ ! -e /sys/module/kvm_intel ] || module=kvm_intel
	[ ! -e /sys/module/kvm_amd ] || module=kvm_amd
	case $BENCH_PLACE in
	here) echo "none is used" ;;
	lab) echo "lab: $module on a processor emulated by QEMU; compare ratios and counts, not times" ;;
	*) echo "$module, on this host" ;;
	esac
}

head_line() { printf '# %-9s %s\n' "$1" "$2" | tee -a "$samples"; }

# header [KEY TEXT]...: opens the file of samples.
header() {
	samples=$T/samples
	: >"$samples"
	head_line bench "$NAME, $(date -u '+%Y-%m-%d %H:%M') UTC"
	head_line question "$QUESTION"
	head_line called "${BENCH_COMMAND% }"
	head_line host "Linux $(uname -r), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc --all) processors"
	head_line KVM "$(kvm_kind)"
	head_line load "${BENCH_LOAD:-?} when this began; on a busy host expect wide ranges"
	[ "$BENCH_PLACE" = here ] || [ -n "$OWN" ] ||
		head_line guest "Linux $(basename "$(readlink -f "build/guest/$FLAVOUR/vmlinuz")" | sed 's/^vmlinuz-//') (Debian, unmodified), $vcpus vCPU, $MEMORY MiB"
	head_line ringlet "$(build/ringlet version | sed 's/^ringlet //')$(revision .)"
	[ -z "${BENCH_BEFORE:-}" ] || head_line before "$("$BENCH_BEFORE/build/ringlet" version | sed 's/^ringlet //')$(revision "$BENCH_BEFORE")"
	[ "$BENCH_PLACE" = here ] || head_line QEMU "${qemu_version:-none}"
	while [ $# -ge 2 ]; do
		head_line "$1" "$2"
		shift 2
	done
}

traffic_tools() {
	echo "iperf3 $(version_of iperf3), ping $(version_of iputils-ping), tcpblast $(version_of netdiag), ethtool $(version_of ethtool)"
}
pinning() { echo "VMM's I/O on processor $cpu_io, vCPU on $cpu_guest, clients on $cpu_client"; }

# columns_described COLUMN...: each with its title, policy and command.
columns_described() {
	local c policy
	for c; do
		[[ $c != *#before* ]] || title[$c]="${title[${c/\#before/}]}, before"
		column "$c" "${title[$c]:-$c}"
		vmm_address "$c" # its number is to last
		if [[ $c = ringlet-* ]]; then
			policy=${keys[${c%%[#:]*}]:-}
			[[ ,$policy =~ ,irq=([^,]*) ]] && policy=${BASH_REMATCH[1]} || policy="$(build/ringlet help | sed -n '/irq=POLICY/,/)$/s/.*(\([a-z]*\))$/\1/p') (the default)"
			head_line policy "${title[$c]:-$c}: $policy"
		fi
		head_line command "${title[$c]:-$c}: $(command_text "$c")"
	done
}
features_described() { head_line features "${title[$1]:-$1}: $(negotiated)"; }

revision() {
	local r
	r=$(git -C "$1" -c safe.directory='*' describe --always --dirty 2>/dev/null) || return 0
	echo " ($r)"
}

# --- samples ---

# column KEY TITLE; baseline KEY; row KEY high|low|- TITLE (what is better)
# group TITLE; sample ROUND COLUMN ROW VALUE.  bench/table reads them back.
column() { printf 'column\t%s\t%s\n' "$1" "$2" >>"$samples"; }
baseline() { printf 'baseline\t%s\n' "$1" >>"$samples"; }
group() { printf 'group\t%s\n' "$1" >>"$samples"; }
row() { printf 'row\t%s\t%s\t%s\n' "$1" "$2" "$3" >>"$samples"; }
sample() {
	[[ $4 =~ ^-?[0-9]+(\.[0-9]+)?$ ]] || fail "$2: $3 was not measured (got '$4')"
	printf 'sample\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$samples"
}

# reference NAME COLUMN ROW VALUE: somebody else's ratio to the baseline.
reference() { printf 'reference\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$samples"; }

# The table, and the samples for whoever wants to look closer.
report() {
	progress "done in $(minutes $SECONDS)"
	cp "$samples" "$RESULTS/$NAME.tsv" || fail "cannot write to $RESULTS"
	bench/table "$samples" || fail "no table"
}

# in_turn ROUND COLUMN...: the columns, each round beginning with another.
in_turn() {
	local r=$1 i n
	shift
	n=$#
	for ((i = 0; i < n; i++)); do
		local k=$(((r - 1 + i) % n + 1))
		echo "${!k}"
	done
}

# --- hypervisors ---

# A column names a hypervisor: ringlet-NAME, with keys[] for its --net, qemu-off,
# qemu-on (microvm), q35-off and q35-on (PCI; off and on are vhost).  A "#" and
# what follows tells guests of one kind apart; ":vmlinux" chooses a kernel.
# "#before" is another tree of ringlet, the directory BENCH_BEFORE, built there.
# Without $pin all of a hypervisor's threads may run on both processors.
declare -A keys=([ringlet-uring]=io=uring [ringlet-poll]=io=poll)
declare -A title=([ringlet-uring]="ringlet uring" [ringlet-poll]="ringlet poll"
	[qemu-off]="QEMU microvm" [qemu-on]="microvm vhost" [q35-off]="QEMU q35 PCI" [q35-on]="q35 PCI vhost")
vcpus=1 pin=yes qemu_cpu=host qemu_device=""

# Every guest has a number, and by it a tap and a network of its own.
declare -A number=() stats_of=() vhost_of=()
vmm_address() {
	[ -n "${number[$1]:-}" ] || number[$1]=${#number[@]}
	local n=${number[$1]}
	HOST=192.168.$((77 + n)).1 GUEST=192.168.$((77 + n)).2 TAP=bench$n
	MAC=52:54:00:12:34:$(printf %02x $((0x56 + n)))
	PARAMS="console=ttyS0 panic=-1 quiet nowatchdog ip=$GUEST::$HOST:255.255.255.0::eth0:off${MORE:+ $MORE}"
}

# vmm_command COLUMN: sets the array "command".
tree_of() { if [[ $1 = *#before* ]]; then echo "$BENCH_BEFORE"; else echo .; fi; }
vmm_command() {
	local kind=${1%%[#:]*} kernel=${OWN:-vmlinuz} initrd=build/guest/$FLAVOUR/initrd machine device
	[[ $1 != *:* ]] || kernel=${1#*:}
	if [ -n "$OWN" ]; then kernel=build/guest/$kernel.elf initrd=; else kernel=build/guest/$FLAVOUR/$kernel; fi
	vmm_address "$1"
	command=(taskset -c "$cpu_io,$cpu_guest")
	case $kind in
	ringlet-*)
		# It adds console=ttyS0 and panic=-1 by itself.
		command+=("$(tree_of "$1")/build/ringlet" run -m "${MEMORY}M" -c "$vcpus" -k "$kernel" ${initrd:+-i "$initrd"} -p "${PARAMS#* * }"
			-n "tap=$TAP,mac=$MAC${keys[$kind]:+,${keys[$kind]}}${pin:+,cpus=$cpu_io}" ${pin:+--pin "$cpu_guest"})
		return ;;
	# qboot is Debian's choice for it, and done much sooner than SeaBIOS.
	qemu-*) machine=(-M "microvm,pic=off,pit=off,rtc=off" -bios qboot.rom -global virtio-mmio.force-legacy=false) device=virtio-net-device ;;
	q35-*) machine=(-M q35 -vga none) device=virtio-net-pci,romfile= ;;
	*) fail "$1: no such hypervisor" ;;
	esac
	# force-legacy: without it QEMU offers the transport of before virtio 1.
	command+=("$QEMU" "${machine[@]}" -accel kvm -cpu "$qemu_cpu" -m "$MEMORY" -smp "$vcpus"
		-name debug-threads=on -nodefaults -no-user-config -display none -no-reboot)
	[ -z "$qemu_library" ] ||
		command+=(-L build/qemu/usr/share/qemu -L build/qemu/usr/share/seabios
			-L /usr/share/qemu -L /usr/share/seabios)
	command+=(-chardev "stdio,id=con,signal=off" -serial chardev:con
		-kernel "$kernel" ${initrd:+-initrd "$initrd"} -append "$PARAMS"
		-netdev "tap,id=n,ifname=$TAP,script=no,downscript=no,vhost=${kind#*-}"
		-device "$device,netdev=n,mac=$MAC$qemu_device")
}

command_text() {
	local word
	vmm_command "$1"
	for word in "${command[@]}"; do
		case $word in
		*[\ \"]*) printf "'%s' " "$word" ;;
		*) printf '%s ' "$word" ;;
		esac
	done
}

# All get the same kind of tap, made anew: no neighbour is remembered.
make_tap() {
	local queues=
	[[ ${keys[${1%%[#:]*}]:-} != *queues=* ]] || queues=multi_queue
	[ -c /dev/net/tun ] || fail "there is no /dev/net/tun: modprobe tun"
	vmm_address "$1"
	ip link del $TAP 2>/dev/null || true
	ip tuntap add $TAP mode tap vnet_hdr $queues && ip addr add $HOST/24 dev $TAP && ip link set $TAP up ||
		fail "cannot make a tap"
}

# available COLUMN...: those that this host can run; who cannot is left out by
# name, and everybody is if --only=$only names others.  Behind each of ringlet's
# comes what it was before, if that is given.
available() {
	local c why
	for c; do
		why=
		case $c in
		qemu-* | q35-*) why=$(qemu_lacks "${c%%-*}") ;;
		esac
		[[ $c != *-on || -c /dev/vhost-net ]] || why="this host has no /dev/vhost-net (modprobe vhost_net)"
		[ -z "$only" ] || [[ $only = *,$c,* ]] || continue
		if [ -n "$why" ]; then progress "${title[$c]} is left out: $why"; else echo "$c"; fi
		[[ -z ${BENCH_BEFORE:-} || $c != ringlet-* ]] || echo "$c#before"
	done
}

# compared_with COLUMN: the baseline, if it is one of ${columns[@]}; but what was
# before, if that is.
compared_with() {
	local c
	for c in "${columns[@]}"; do
		[[ $c != *#before* ]] || { baseline "$c"; return; }
	done
	[[ " ${columns[*]} " != *" $1 "* ]] || baseline "$1"
}

# vmm_start COLUMN: boots the guest and returns when it answers.  vmm_spawn begins
# with that, vmm_up waits for its init and vmm_wait for all.
BOOT_SECONDS=120
vmm_start() {
	vmm_spawn "$1"
	vmm_wait "$1"
}
vmm_spawn() {
	make_tap "$1"
	vmm_command "$1"
	: >"$T/console$1" # the last one is up, but not this one
	LD_LIBRARY_PATH=$qemu_library "${command[@]}" </dev/null >"$T/console$1" 2>"$T/err$1" &
	running[$1]=$!
}
vmm_up() {
	local until=$((SECONDS + BOOT_SECONDS))
	vmm_at_hand "$1"
	until grep -qaE '^(init: up|netecho=up)' "$T/console$1"; do
		kill -0 "$vmm" 2>/dev/null || vmm_failed "${title[$1]:-$1} ended instead of booting"
		((SECONDS < until)) || vmm_failed "the guest of ${title[$1]:-$1} did not come up in $BOOT_SECONDS s"
		sleep 0.1
	done
}
vmm_wait() {
	vmm_up "$1"
	[ -n "$OWN" ] || guest true || vmm_failed "the guest of ${title[$1]:-$1} does not answer"
	stats_of[$1]=$(echo /sys/kernel/debug/kvm/"$vmm"-*)
	[ -d "${stats_of[$1]}" ] || fail "KVM has no statistics for $1 (${stats_of[$1]})"
	vhost_of[$1]=$(pgrep -x "vhost-$vmm" || true)
	vmm_at_hand "$1"
	vmm_pin "$1"
}

# From here on $vmm, guest, counts and the clients mean that guest.
vmm_at_hand() {
	at_hand=$1 vmm=${running[$1]}
	stats=${stats_of[$1]:-} vhost_worker=${vhost_of[$1]:-}
	vmm_address "$1"
}

# A guest that is booted once and takes its turn in many rounds sleeps between
# them: a hypervisor that is stopped disturbs nobody.
vmm_rest() { kill -STOP "$vmm"; }
vmm_wake() {
	vmm_at_hand "$1"
	kill -CONT "$vmm" || vmm_failed "${title[$1]:-$1} has ended"
	guest true || vmm_failed "the guest of ${title[$1]:-$1} does not answer any more"
}

vmm_failed() {
	tail -n 20 "$T/console$at_hand" "$T/err$at_hand" >&2
	fail "$*"
}

# The one at hand.
vmm_stop() {
	kill -CONT "$vmm"
	kill "$vmm"
	wait "$vmm" 2>/dev/null || true
	unset "running[$at_hand]"
	vmm=
	ip link del $TAP 2>/dev/null || true
}

# vmm_threads: "vcpu TID" or "other TID", a line each.  Where vhost's worker
# is a kernel thread (before Linux 6.4) it is found by its name.
vmm_threads() {
	local task comm
	for task in /proc/"$vmm"/task/*; do
		{ read -r comm <"$task/comm"; } 2>/dev/null || continue
		case $comm in
		"CPU 0/KVM" | vcpu/*) echo "vcpu ${task##*/}" ;;
		*) echo "other ${task##*/}" ;;
		esac
	done
	[ -z "$vhost_worker" ] || echo "other $vhost_worker"
}

# ringlet pins itself; QEMU's threads are put where ringlet's are.
vmm_pin() {
	local kind tid n=0
	[ -n "$pin" ] || return 0
	while read -r kind tid; do
		case $kind in
		vcpu) taskset -pc "$cpu_guest" "$tid" >/dev/null && n=$((n + 1)) vcpu_thread=$tid ;;
		other) taskset -pc "$cpu_io" "$tid" >/dev/null ;;
		esac || fail "$1: cannot pin thread $tid"
	done < <(vmm_threads)
	[ $n = "$vcpus" ] || fail "$1: found $n vCPU threads, not $vcpus"
}

# --- the guest ---

guest() { build/guest-sh -w 60 -t 30 $GUEST "$@"; }

# What the guest's driver negotiated, in the specification's names.
negotiated() {
	guest 'cat /sys/bus/virtio/devices/virtio0/features; ethtool -g eth0 | sed -n "/Current/,\$p"' | awk '
		BEGIN {
			split("0 CSUM 1 GUEST_CSUM 2 CTRL_GUEST_OFFLOADS 3 MTU 5 MAC 6 GSO 7 GUEST_TSO4 8 GUEST_TSO6 9 GUEST_ECN 10 GUEST_UFO " \
				"11 HOST_TSO4 12 HOST_TSO6 13 HOST_ECN 14 HOST_UFO 15 MRG_RXBUF 16 STATUS 17 CTRL_VQ " \
				"18 CTRL_RX 19 CTRL_VLAN 21 GUEST_ANNOUNCE 22 MQ 23 CTRL_MAC_ADDR 24 NOTIFY_ON_EMPTY 27 ANY_LAYOUT 28 INDIRECT_DESC " \
				"29 EVENT_IDX 32 VERSION_1 33 ACCESS_PLATFORM 34 RING_PACKED 53 NOTF_COAL 54 GUEST_USO4 " \
				"55 GUEST_USO6 56 HOST_USO 57 HASH_REPORT 60 RSS 63 SPEED_DUPLEX", w)
			for (i = 1; i in w; i += 2) name[w[i]] = w[i + 1]
		}
		/^[01]+$/ {
			for (i = 1; i <= length($0); i++)
				if (substr($0, i, 1) == "1") printf "%s ", (i - 1) in name ? name[i - 1] : "bit" i - 1
		}
		/^(RX|TX):/ { printf "%s %s ", tolower(substr($1, 1, 2)), $2 }
		END { print "" }'
}

# --- counters ---

# All counters are read into the array "now".  The guest's come over the same
# network, in some ten packets, which the test beside is charged with.  Few
# programs are started here: in the lab each takes as long as many packets.
declare -A now=() before=()
count_guest() {
	local i p k
	read -r i p k < <(guest figures | awk '{ f[$1] = $2 }
		END { print f["interrupts"] + 0, f["packets"] + 0, "kicks" in f ? f["kicks"] : "-" }') || true
	[[ "${i:-} ${p:-}" =~ ^[1-9][0-9]*\ [1-9][0-9]*$ ]] || vmm_failed "the guest's counters cannot be read"
	now[interrupts]=$i now[packets]=$p now[kicks]=$k
}
count_host() {
	local kind tid ns n f
	now[other_ns]=0 now[vcpu_ns]=0 now[userspace]=0
	while read -r kind tid; do
		read -r ns _ <"/proc/$tid/schedstat" || fail "this host's kernel has no schedstat"
		now[${kind}_ns]=$((now[${kind}_ns] + ns))
		[ "$kind$userspace" = vcputrace ] || continue
		n=$(sed -n "s/^{ common_pid: *$tid } hitcount: *//p" "$trace/events/kvm/kvm_userspace_exit/hist")
		now[userspace]=$((now[userspace] + ${n:-0}))
	done < <(vmm_threads)
	now[us]=${EPOCHREALTIME/./}
	for f in mmio_exits io_exits exits; do
		read -r "now[$f]" <"$stats/$f" || fail "KVM does not count $f"
	done
	[ "$userspace" = trace ] || now[userspace]=$((now[mmio_exits] + now[io_exits]))
}

# counts_open: how a return from KVM_RUN to user space is counted.  KVM's
# statistics know only those for MMIO and port I/O (the latter even when the
# kernel handled it), and not, for one, the IOAPIC's EOI exits of a split
# irqchip; its trace event knows all.
userspace=stats
counts_open() {
	trace_open
	if echo hist:keys=common_pid >"$trace/events/kvm/kvm_userspace_exit/trigger"; then userspace=trace; fi 2>/dev/null
}

counts_begin() {
	local k
	count_guest
	count_host
	for k in "${!now[@]}"; do before[$k]=${now[$k]}; done
}

# counts_end: what lies between is in the array "delta", and the next test has
# begun.
declare -A delta=()
counts_end() {
	local k
	delta=()
	count_host
	count_guest
	for k in "${!now[@]}"; do
		[ "${now[$k]}" = - ] || delta[$k]=$((now[$k] - before[$k]))
		before[$k]=${now[$k]}
	done
	((delta[packets] > 0)) || fail "$at_hand: no packet passed"
}

# counts_sample ROUND COLUMN TEST: samples of the rows that counts_rows made.
counts_sample() {
	local key value
	counts_end
	while read -r key value; do
		sample "$1" "$2" "$3.$key" "$value"
	done < <(awk -v p="${delta[packets]}" -v i="${delta[interrupts]}" -v u="${delta[userspace]}" \
		-v e="${delta[exits]}" -v k="${delta[kicks]:--}" -v other="${delta[other_ns]}" -v vcpu="${delta[vcpu_ns]}" \
		-v us="${delta[us]}" 'BEGIN {
			printf "packets %d\nirqs %.5f\nuexits %.5f\nexits %.5f\n", p, i / p, u / p, e / p
			if (k != "-") printf "kicks %.5f\n", k / p
			printf "iocpu %.3f\nio_us %.3f\nvcpu_us %.3f\n", other / us / 10, other / p / 1000, vcpu / p / 1000
		}')
}

counts_rows() {
	row "$1.irqs" low "interrupts per packet"
	if [ "$userspace" = trace ]; then
		row "$1.uexits" low "exits to user space per packet"
	else
		row "$1.uexits" low "MMIO and port exits per packet"
	fi
	row "$1.exits" low "all exits per packet"
	row "$1.kicks" low "kicks per packet"
	row "$1.iocpu" low "VMM's I/O threads, % of a CPU"
	row "$1.io_us" low "VMM's I/O threads per packet, us"
	row "$1.vcpu_us" low "vCPU threads per packet, us"
	row "$1.packets" - "packets"
}

# with_counts ROUND COLUMN TEST ROW COMMAND...: what it prints is ROW's figure,
# or a figure for each of several rows.
with_counts() {
	local r=$1 c=$2 test=$3 rows=$4 row value
	shift 4
	value=$("$@")
	counts_sample "$r" "$c" "$test"
	for row in $rows; do
		sample "$r" "$c" "$row" "${value%% *}"
		value=${value#* }
	done
}

# ratio A B
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.5f\n", a / b }'; }

# memory_of: in MiB, of all that is not guest RAM: Pss, what of it is anonymous,
# Rss; and the guest RAM in use.  Guest RAM is the one mapping of just its size
# (Debian's kernels do not show the name that ringlet gives it).
memory_of() {
	awk -v ram=$((MEMORY * 1024)) '
		/^[0-9a-f]+-[0-9a-f]+ / { guest = 0 }
		/^Size:/ && $2 == ram { guest = 1; found++ }
		/^Pss:/ { if (guest) in_use += $2; else pss += $2 }
		/^Rss:/ && !guest { rss += $2 }
		/^Anonymous:/ && !guest { anonymous += $2 }
		END {
			if (found != 1 || !pss) exit 1
			printf "%.3f %.3f %.3f %.3f\n", pss / 1024, anonymous / 1024, rss / 1024, in_use / 1024
		}' "/proc/$vmm/smaps" || fail "cannot tell guest RAM from the rest in /proc/$vmm/smaps"
}

# --- traffic ---

services_start() {
	guest 'iperf3 -s -D; nc -ll -p 7777 -e cat >/dev/null 2>&1 & sleep 0.5' ||
		fail "the guest cannot start its services"
}

# iperf3's JSON is in $T/iperf$at_hand; figure BLOCK KEY prints a number of its
# end.  It is indented as ever, a key per line: Perl's parser would take longer
# in the lab than many a test.
iperf_run() {
	local seconds=$1
	shift
	client timeout $((seconds + 30)) iperf3 -J -c $GUEST -t "$seconds" "$@" >"$T/iperf$at_hand" ||
		vmm_failed "iperf3: $(grep -a '"error"' "$T/iperf$at_hand")"
}
figure() {
	awk -v block="\"$1\":" -v key="\"$2\":" '
		$1 == "\"end\":" && $2 == "{" { end = 1 }
		end && $1 == block { inside = 1 }
		inside && $1 == key { sub(/,$/, "", $2); printf "%.6f\n", $2; exit }
	' "$T/iperf$at_hand"
}

# iperf SECONDS [-R] [-P N]: Mbit/s that arrived.
iperf() {
	iperf_run "$@"
	figure sum_received bits_per_second | awk '{ printf "%.1f\n", $1 / 1e6 }'
}

# udp SECONDS BYTES [-R]: packets of that size that arrived, thousands a second,
# and how many of 100 did not, sent as fast as the sender can.
udp() {
	iperf_run "$1" -u -b 0 -l "$2" "${@:3}"
	echo "$(figure sum packets) $(figure sum lost_packets) $(figure sum seconds)" |
		awk 'NF == 3 && $1 { printf "%.3f %.2f\n", ($1 - $2) / $3 / 1000, 100 * $2 / $1 }'
}

# flood COUNT: mean round trip of a ping flood, us.
flood() {
	client timeout 120 ping -q -f -c "$1" $GUEST >"$T/ping" || vmm_failed "ping: $(tail -n 3 "$T/ping")"
	grep -q " $1 received" "$T/ping" || progress "ping: $(grep received "$T/ping")"
	perl -ne 'printf "%.0f\n", 1000 * $1 if m,= [\d.]+/([\d.]+)/,' "$T/ping"
}

# Of a value per line: the mean, and what half, 90 and 99 of 100 do not exceed.
percentiles() {
	sort -n | awk '{ v[NR] = $1; sum += $1 }
		function p(q, i) { i = int(q * NR); return v[i < q * NR ? i + 1 : i] }
		END { if (NR) printf "%.0f %.0f %.0f %.0f\n", sum / NR, p(.5), p(.9), p(.99) }'
}

# ping_times COUNT, one after the other; round_trips COUNT, of a byte over one
# TCP connection: mean, median, 90th and 99th percentile, us.
ping_times() {
	client timeout 120 ping -n -A -c "$1" $GUEST >"$T/ping" || vmm_failed "ping: $(tail -n 3 "$T/ping")"
	sed -n 's/.* time=\([0-9.]*\) ms$/\1/p' "$T/ping" | awk '{ print 1000 * $1 }' | percentiles
}
round_trips() {
	client perl -MIO::Socket::INET -MSocket=IPPROTO_TCP,TCP_NODELAY -MTime::HiRes=time -e '
		my ($address, $count) = @ARGV;
		alarm 60;
		my $s = IO::Socket::INET->new(PeerAddr => $address) or die "round trips: $@\n";
		$s->setsockopt(IPPROTO_TCP, TCP_NODELAY, 1) or die "round trips: $!\n";
		for (0 .. $count) {
			my $start = time;
			defined syswrite $s, "x" and sysread $s, my $answer, 1 or die "round trips: $!\n";
			printf "%.1f\n", 1e6 * (time - $start) if $_;
		}
	' $GUEST:7777 "$1" >"$T/trips" || vmm_failed "no round trips over TCP"
	percentiles <"$T/trips"
}

# blast_to_guest BLOCKS, blast_to_host BLOCKS: seconds until the last byte of so
# many blocks has been read at the other end.  Debian's tcpblast never ends with
# blocks of 64 KiB (it sends what lies behind its buffer, and tries for ever
# when nothing does).
BLOCK=32768
blast_to_guest() {
	client perl bench/blast to $GUEST:9999 tcpblast -o -d "$1" -s $BLOCK -c "$1" $GUEST:9999 ||
		vmm_failed "tcpblast to the guest failed"
}
blast_to_host() {
	rm -f "$T/sink"
	client perl bench/blast from $HOST:9999 $((BLOCK * $1)) "$T/sink" >"$T/blast" &
	local sink=$!
	until [ -e "$T/sink" ]; do
		kill -0 $sink 2>/dev/null || vmm_failed "nobody listens for the guest's tcpblast"
		sleep 0.02
	done
	guest "tcpblast -o -d $1 -s $BLOCK -c $1 $HOST:9999" >"$T/blaster" ||
		vmm_failed "tcpblast in the guest failed: $(tail -n 1 "$T/blaster")"
	wait $sink || vmm_failed "what the guest's tcpblast sent did not arrive"
	cat "$T/blast"
}

# device PROGRAM OPTIONS...: a run of backend.c; its figures are in $passed $busy
# $calls $irqs $kicks.
device() {
	local said
	said=$(taskset -c "$cpu_io,$cpu_guest" "$@" --cpus "$cpu_io,$cpu_guest") || fail "no figures: $*"
	read -r passed busy calls irqs kicks <<<"$said"
}

# What several benches measure of a guest: traffic_rows says it, traffic ROUND
# COLUMN SECONDS PINGS does it.
traffic_rows() {
	group "TCP, host to guest"
	row h2g.rate high "Mbit/s"
	counts_rows h2g
	group "TCP, guest to host"
	row g2h.rate high "Mbit/s"
	counts_rows g2h
	group "ping flood, host to guest"
	row ping.us low "mean round trip, us"
	counts_rows ping
}
traffic() {
	counts_begin
	with_counts "$1" "$2" h2g h2g.rate iperf "$3"
	with_counts "$1" "$2" g2h g2h.rate iperf "$3" -R
	with_counts "$1" "$2" ping ping.us flood "$4"
}

# boot_all COLUMN...: the guests of a bench, each with its services, at rest.
boot_all() {
	local c
	for c; do
		step "booting ${title[$c]:-$c}"
		vmm_start "$c"
		features_described "$c"
		services_start
		iperf 1 >/dev/null # what is slow but once is not to be the first's
		vmm_rest
	done
}
