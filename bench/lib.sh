# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# lib.sh - what the benches share: a place to run in, the two hypervisors and
# a guest in them, counters read from outside, and samples.  A bench begins with
#
#	QUESTION="..."
#	. "$(dirname "$0")/lib.sh"
#	place "$@"
#
# and from there on is root, where there is a real KVM, in a network namespace
# of its own, in the project's top directory, with a temporary directory $T.
#
# What is measured becomes a sample and only samples become a table: whatever
# could not be measured ends the bench with a sentence and a status that is
# not 0.

set -euo pipefail
NAME=$(basename "$0")
SELF=$(readlink -f "$0")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C

HOST=192.168.77.1 GUEST=192.168.77.2 TAP=bench0 MAC=52:54:00:12:34:56
MEMORY=256		# MiB
FLAVOUR=cloud		# of build/guest
OWN=			# one of ringlet's own guests instead, without Linux
PARAMS="console=ttyS0 panic=-1 quiet ip=$GUEST::$HOST:255.255.255.0::eth0:off"
RESULTS=build/bench

T=
fail() {
	printf '%s: %s\n' "$NAME" "$*" >&2
	[ -z "$T" ] || : >"$T/said"
	exit 1
}
progress() { printf '%s: %s\n' "$NAME" "$*" >&2; }

# need PROGRAM PACKAGE
need() { command -v "$1" >/dev/null || fail "$1 is missing: apt-get install $2"; }
need_file() { [ -e "$1" ] || fail "$1 is missing: run '$2'"; }

# --- a place to run in ---

# The host's, asked before the lab hides it.
load() { echo "$(cut -d ' ' -f 1 /proc/loadavg) on $(nproc --all) processors"; }

# Runs the bench again as root where there is a real KVM (tests/lab/lab), in
# new network and mount namespaces; only $RESULTS is written outside.
place() {
	need_file build/ringlet make
	need_file "build/guest/$FLAVOUR/initrd" tests/deps
	if [ -z "${BENCH_PLACE:-}" ]; then
		local kind
		kind=$(tests/lab/lab --kind)
		mkdir -p "$RESULTS"
		exec tests/lab/lab --timeout "${BENCH_TIMEOUT:-1800}" --rw "$RESULTS" -- \
			env BENCH_PLACE="$kind" BENCH_LOAD="$(load)" ${QEMU:+QEMU="$QEMU"} ${BENCH_CPUS:+BENCH_CPUS="$BENCH_CPUS"} \
			unshare -n -m --propagation private "$SELF" "$@"
	fi
	# /sys must show the new namespace's network.
	mount -t sysfs sysfs /sys && ip link set lo up || fail "no network namespace to run in"
	mount -t debugfs debugfs /sys/kernel/debug || fail "this host's kernel has no debugfs"
	mount -t tracefs tracefs /sys/kernel/tracing || fail "this host's kernel has no tracefs"
	[ -c /dev/kvm ] || fail "there is no /dev/kvm"
	[ -d /sys/kernel/debug/kvm ] || fail "KVM shows no statistics in /sys/kernel/debug/kvm"
	T=$(mktemp -d)
	trap finish EXIT
	# Nothing fails silently, not even what nobody thought of.
	set -E
	trap '[ -e "$T/said" ] || fail "line $LINENO: $BASH_COMMAND: failed"' ERR
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	need taskset util-linux
	need perl perl
	need ip iproute2
	find_qemu
	choose_cpus
}

vmm=		# the running hypervisor's process
traces=()
finish() {
	local status=$?
	set +e
	trap - ERR
	exec 2>/dev/null
	[ -z "$vmm" ] || kill -9 "$vmm"
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

find_qemu() {
	local usr=build/qemu/usr
	qemu_library=
	if [ -z "${QEMU:-}" ]; then
		if [ -x $usr/bin/qemu-system-x86_64 ]; then
			QEMU=$usr/bin/qemu-system-x86_64
			[ "$(readlink -f $usr)" = /usr ] || qemu_library=$PWD/$usr/lib/x86_64-linux-gnu
		else
			need qemu-system-x86_64 qemu-system-x86
			QEMU=qemu-system-x86_64
		fi
	fi
	qemu_version=$(qemu --version 2>&1 | sed -n 's/^QEMU emulator version \(.*\)/\1/p') || true
	[ -n "$qemu_version" ] || fail "$QEMU does not run"
	[[ $(qemu -M help) = *$'\n'microvm* ]] || fail "QEMU $qemu_version has no machine 'microvm': apt-get install qemu-system-x86"
}
qemu() { LD_LIBRARY_PATH=$qemu_library "$QEMU" "$@"; }

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
	head_line host "Linux $(uname -r), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc --all) processors"
	head_line KVM "$(kvm_kind)"
	head_line load "${BENCH_LOAD:-?} when this began; on a busy host expect wide ranges"
	[ -n "$OWN" ] || head_line guest "Linux $(basename "$(readlink -f "build/guest/$FLAVOUR/vmlinuz")" | sed 's/^vmlinuz-//') (Debian, unmodified), $vcpus vCPU, $MEMORY MiB"
	head_line ringlet "$(build/ringlet version | sed 's/^ringlet //')$(revision)"
	head_line QEMU "$qemu_version"
	while [ $# -ge 2 ]; do
		head_line "$1" "$2"
		shift 2
	done
}

revision() {
	local r
	r=$(git -c safe.directory='*' describe --always --dirty 2>/dev/null) || return 0
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

# The table, and the samples for whoever wants to look closer.
report() {
	cp "$samples" "$RESULTS/$NAME.tsv" || fail "cannot write to $RESULTS"
	bench/table "$samples" || fail "no table"
	echo "samples: $RESULTS/$NAME.tsv"
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

# Their columns: ringlet-... with these keys for --net, and qemu-off and qemu-on
# (vhost).  vmm_command COLUMN [KERNEL]: sets the array "command".  Without $pin
# all of a hypervisor's threads may run on both processors.
declare -A keys=([ringlet-uring]=io=uring [ringlet-poll]=io=poll)
vcpus=1 pin=yes qemu_cpu=host qemu_device= qemu_bios=
vmm_command() {
	local kernel=build/guest/$FLAVOUR/${2:-vmlinuz} initrd=build/guest/$FLAVOUR/initrd
	[ -z "$OWN" ] || { kernel=build/guest/${2:-$OWN}.elf initrd=; }
	command=(taskset -c "$cpu_io,$cpu_guest")
	case $1 in
	ringlet-*)
		# It adds console=ttyS0 and panic=-1 by itself.
		command+=(build/ringlet run -m "${MEMORY}M" -c "$vcpus" -k "$kernel" ${initrd:+-i "$initrd"} -p "${PARAMS#* * }"
			-n "tap=$TAP,mac=$MAC,${keys[$1]}${pin:+,cpus=$cpu_io}" ${pin:+--pin "$cpu_guest"}) ;;
	qemu-*)
		# force-legacy: without it QEMU offers the transport of before virtio 1.
		command+=("$QEMU" -M "microvm,pic=off,pit=off,rtc=off" -global virtio-mmio.force-legacy=false -accel kvm -cpu "$qemu_cpu" -m "$MEMORY" -smp "$vcpus"
			-name debug-threads=on -nodefaults -no-user-config -display none -no-reboot)
		[ -z "$qemu_library" ] ||
			command+=(-L build/qemu/usr/share/qemu -L build/qemu/usr/share/seabios
				-L /usr/share/qemu -L /usr/share/seabios)
		command+=(${qemu_bios:+-bios "$qemu_bios"} -chardev "stdio,id=con,signal=off" -serial chardev:con
			-kernel "$kernel" ${initrd:+-initrd "$initrd"} -append "$PARAMS"
			-netdev "tap,id=n,ifname=$TAP,script=no,downscript=no,vhost=${1#*-}"
			-device "virtio-net-device,netdev=n,mac=$MAC$qemu_device") ;;
	esac
}

command_text() {
	local word
	vmm_command "$@"
	for word in "${command[@]}"; do
		case $word in
		*[\ \"]*) printf "'%s' " "$word" ;;
		*) printf '%s ' "$word" ;;
		esac
	done
}

# Both get the same kind of tap, made anew: no neighbour is remembered.
make_tap() {
	local queues=
	[[ $1 != *queues=* ]] || queues=multi_queue
	[ -c /dev/net/tun ] || fail "there is no /dev/net/tun: modprobe tun"
	ip link del $TAP 2>/dev/null || true
	ip tuntap add $TAP mode tap vnet_hdr $queues && ip addr add $HOST/24 dev $TAP && ip link set $TAP up ||
		fail "cannot make a tap"
}

# vmm_start COLUMN: boots the guest and returns when it answers.
vmm_start() {
	local until=$((SECONDS + 90))
	make_tap "${keys[$1]:-}"
	vmm_command "$1"
	: >"$T/console" # the last one is up, but not this one
	LD_LIBRARY_PATH=$qemu_library "${command[@]}" </dev/null >"$T/console" 2>"$T/err" &
	vmm=$!
	until grep -qaE '^(init: up|netecho=up)' "$T/console"; do
		kill -0 $vmm 2>/dev/null || vmm_failed "$1 ended instead of booting"
		((SECONDS < until)) || vmm_failed "the guest of $1 did not come up in 90 s"
		sleep 0.1
	done
	[ -n "$OWN" ] || guest true || vmm_failed "the guest of $1 does not answer"
	stats=$(echo /sys/kernel/debug/kvm/$vmm-*)
	[ -d "$stats" ] || fail "KVM has no statistics for $1 ($stats)"
	vhost_worker=$(pgrep -x "vhost-$vmm" || true)
	vmm_pin "$1"
}

vmm_failed() {
	tail -n 20 "$T/console" "$T/err" >&2
	fail "$*"
}

vmm_stop() {
	kill "$vmm"
	wait "$vmm" 2>/dev/null || true
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

guest() { tests/lab/guest-sh -w 60 -t 30 $GUEST "$@"; }

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
	read -r i p k < <(guest 'ethtool -S eth0 | awk "
		/kicks:/ { kicks += \$2; seen = 1 }
		/ virtio[0-9]/ { for (n = 2; \$n ~ /^[0-9]+\$/; n++) irqs += \$n }
		/eth0:/ { sub(/.*:/, \"\"); packets = \$2 + \$10 }
		END { printf \"%d %d %s\\n\", irqs, packets, seen ? kicks : \"-\" }" - /proc/interrupts /proc/net/dev') || true
	[[ "${i:-} ${p:-}" =~ ^[1-9][0-9]*\ [1-9][0-9]*$ ]] || vmm_failed "the guest's counters cannot be read"
	now[interrupts]=$i now[packets]=$p now[kicks]=$k
}
count_host() {
	local kind tid ns f
	now[io_ns]=0
	while read -r kind tid; do
		[ "$kind" = other ] || continue
		read -r ns _ <"/proc/$tid/schedstat" || fail "this host's kernel has no schedstat"
		now[io_ns]=$((now[io_ns] + ns))
	done < <(vmm_threads)
	now[us]=${EPOCHREALTIME/./}
	for f in mmio_exits io_exits exits; do
		read -r "now[$f]" <"$stats/$f" || fail "KVM does not count $f"
	done
	if [ "$userspace" = trace ]; then
		now[userspace]=$(sed -n "s/^{ common_pid: *$vcpu_thread } hitcount: *//p" "$trace/events/kvm/kvm_userspace_exit/hist")
		: "${now[userspace]:=0}"
	else
		now[userspace]=$((now[mmio_exits] + now[io_exits]))
	fi
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

# counts_end ROUND COLUMN TEST: samples of what lies between, and the next
# test's beginning.
counts_end() {
	local k key value
	declare -A d=()
	count_host
	count_guest
	for k in "${!now[@]}"; do
		[ "${now[$k]}" = - ] || d[$k]=$((now[$k] - before[$k]))
		before[$k]=${now[$k]}
	done
	((d[packets] > 0)) || fail "$2: no packet passed in $3"
	while read -r key value; do
		sample "$1" "$2" "$3.$key" "$value"
	done < <(awk -v p="${d[packets]}" -v i="${d[interrupts]}" -v u="${d[userspace]}" \
		-v e="${d[exits]}" -v k="${d[kicks]:--}" -v ns="${d[io_ns]}" -v us="${d[us]}" 'BEGIN {
			printf "packets %d\nirqs %.5f\nuexits %.5f\nexits %.5f\n", p, i / p, u / p, e / p
			if (k != "-") printf "kicks %.5f\n", k / p
			printf "iocpu %.3f\n", ns / us / 10
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
	row "$1.packets" - "packets"
}

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

# iperf SECONDS [-R]: Mbit/s that arrived.
iperf() {
	local seconds=$1
	shift
	client timeout $((seconds + 20)) iperf3 -J -c $GUEST -t "$seconds" "$@" >"$T/iperf" ||
		vmm_failed "iperf3: $(grep -a '"error"' "$T/iperf")"
	perl -MJSON::PP -0777 -ne 'printf "%.1f\n", decode_json($_)->{end}{sum_received}{bits_per_second} / 1e6' "$T/iperf"
}

# flood COUNT: mean round trip of a ping flood, us
flood() {
	client timeout 60 ping -q -f -c "$1" $GUEST >"$T/ping" || vmm_failed "ping: $(tail -n 3 "$T/ping")"
	grep -q " $1 received" "$T/ping" || progress "ping: $(grep received "$T/ping")"
	perl -ne 'printf "%.0f\n", 1000 * $1 if m,= [\d.]+/([\d.]+)/,' "$T/ping"
}

# round_trips COUNT: of one byte over one TCP connection; mean and p99, us.
round_trips() {
	client perl -MIO::Socket::INET -MSocket=IPPROTO_TCP,TCP_NODELAY -MTime::HiRes=time -e '
		my ($address, $count, @us) = @ARGV;
		alarm 60;
		my $s = IO::Socket::INET->new(PeerAddr => $address) or die "round trips: $@\n";
		$s->setsockopt(IPPROTO_TCP, TCP_NODELAY, 1) or die "round trips: $!\n";
		for (0 .. $count) {
			my $start = time;
			defined syswrite $s, "x" and sysread $s, my $answer, 1 or die "round trips: $!\n";
			push @us, 1e6 * (time - $start) if $_;
		}
		my $sum = 0;
		$sum += $_ for @us;
		printf "%.0f %.0f\n", $sum / @us, (sort { $a <=> $b } @us)[0.99 * @us];
	' $GUEST:7777 "$1" || vmm_failed "no round trips over TCP"
}
