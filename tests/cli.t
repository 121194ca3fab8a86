#!/bin/bash
# SPDX-License-Identifier: MIT
#
# cli.t - ringlet among the things that go wrong on a host: files that are no
# kernels, devices that are missing, forbidden or taken, options that do not
# exist; each is one sentence and one exit status, and nothing stays behind.
# Then what a user relies on when all is well: the terminal, the signals, and
# that no right is left while a guest runs.
#
# The guests here are kernels of a few instructions, which run on any KVM.
# Needs root: it hides, forbids and occupies devices, in namespaces of its own.
. "$(dirname "$0")/lib.sh"
in_sandbox "$@"
plan 155

top=$PWD
ringlet=$T/ringlet # where an ordinary user may run it too
cp "$RINGLET" "$ringlet"
R=(timeout -k 1 20 "$ringlet")
mkdir "$T/empty"
export XDG_RUNTIME_DIR=$T/run # where control sockets are; not nobody's
mkdir -m 711 "$XDG_RUNTIME_DIR"

# Assembled by hand: out to port 0x3f8, a letter each.
letters() {
	local i
	printf 66baf803
	for ((i = 0; i < ${#1}; i++)); do printf 'b0%02xee' "'${1:i:1}"; done
}
HALT=f4ebfd OFF=66ba0006b034ee RESET=66ba0206b001ee PANIC=66ba0505b001ee
CRASH=0f011d000100000f0b # an interrupt table of zeroes, then ud2
tiny_kernel "$T/halt" "$(letters up)b00aee$HALT"
tiny_kernel "$T/off" "$(letters up)b00aee$OFF$HALT"
tiny_kernel "$T/reset" "$RESET$HALT"
tiny_kernel "$T/crash" "$CRASH"
tiny_kernel "$T/int3" "90cc$HALT"
tiny_kernel "$T/panic" "$PANIC$RESET$HALT"

interfaces() { ip -o link | sed 's/^[0-9]*: //; s/: .*//' | sort | tr '\n' ' '; }

# run COMMAND...: in an empty directory that is also the one for temporary
# files; $out, $err, $status and $left, which says what stayed behind.
run() {
	local before
	before=$(interfaces)
	(cd "$T/empty" && TMPDIR=$T/empty "$@" </dev/null >"$T/run.out" 2>"$T/run.err")
	status=$?
	out=$(<"$T/run.out") err=$(<"$T/run.err")
	left=
	[ "$before" = "$(interfaces)" ] || left="interfaces: $(interfaces), before: $before"
	[ -z "$(ls -A "$T/empty")" ] || left+="files: $(ls -A "$T/empty")"
}

# refused CLAIM STATUS SENTENCE COMMAND...: that status, that one line, nothing
# else said, nothing left.  The sentence is a pattern.
refused() {
	local claim=$1 want=$2 sentence="ringlet: $3" how=
	shift 3
	run "$@"
	[ "$status" = "$want" ] || how="status $status, not $want"
	# shellcheck disable=SC2053 # a pattern
	[[ $err == $sentence && $err != *$'\n'* ]] || how+="; said: $err; not: $sentence"
	[ -z "$out" ] || how+="; printed: $out"
	[ -z "$left" ] || how+="; left behind: $left"
	if [ -z "$how" ]; then pass "$claim"; else fail "$claim" "${how#; }"; fi
}

# --- options ---

refused "a mistyped option is refused, and the right one named" 35 \
	"unknown option '--kernal'; did you mean '--kernel'?" "${R[@]}" --kernal x
refused "a mistyped key of --net is refused, and the right one named" 35 \
	"unknown key 'guestip' in --net; did you mean 'guest_ip'?" "${R[@]}" -n guestip=10.0.0.2 "$T/off"
refused "an option like no other is refused by name" 35 \
	"unknown option '--frobnicate'; 'ringlet help' lists them all" "${R[@]}" --frobnicate
refused "a wrong value is refused with its range" 35 \
	"-c 33: not a number from 1 to 32" "${R[@]}" -c 33 "$T/off"
refused "too little memory is refused with the least" 35 \
	"-m 16: too little memory; the least is 64M" "${R[@]}" -m 16 "$T/off"
refused "an unknown user is refused" 35 \
	"--user nosuch: there is no such user" "${R[@]}" --user nosuch "$T/off"

refused "a report that cannot be written is refused" 35 \
	"--stats: cannot write $T/nowhere/x: No such file or directory" "${R[@]}" --stats=json:"$T/nowhere/x" "$T/off"
refused "a place where there can be no socket is refused" 35 \
	"--sock $T/nowhere/x: $T/nowhere/: No such file or directory" "${R[@]}" --sock "$T/nowhere/x" "$T/off"
refused "what is there and no socket stays, and is refused" 35 \
	"cannot make the control socket $T/off: Address already in use" "${R[@]}" --sock "$T/off" "$T/off"
refused "a guest that does not run cannot be watched" 35 "no guest is running" "$ringlet" stat
refused "nor one of that name" 35 "no guest called 'web' is running; *" "$ringlet" stat web

# --- files that are no kernels ---

cloud=build/guest/cloud
K="cannot boot '*': "
refused "a missing kernel" 35 "${K}there is no such file; check the name" "${R[@]}" "$T/nowhere"
refused "a directory" 35 "${K}it is a directory; give a file" "${R[@]}" "$T/empty"
cp "$T/off" "$T/secret" && chmod 600 "$T/secret"
refused "a kernel that the user may not read" 35 \
	"${K}no permission to read it; run ringlet as a user who may, or give it a readable copy" \
	"${NOBODY[@]}" "${R[@]}" "$T/secret"
: >"$T/nothing"
refused "an empty file" 35 "${K}it is empty; copy, build or download it again" "${R[@]}" "$T/nothing"
echo "hello, this is a text" >"$T/text"
refused "a text" 35 "${K}it is a text file; give *" "${R[@]}" "$T/text"
gzip -c <"$top/$cloud/vmlinux" | head -c 100000 >"$T/vmlinux.gz"
refused "a gzip file" 35 "${K}it is a gzip file, not a kernel; unpack it (gunzip) *" "${R[@]}" "$T/vmlinux.gz"
module=$(find "$top"/build/kernels/cloud/lib/modules -name 'virtio_net.ko' | head -1)
refused "a module" 35 "${K}it is a kernel module or another object file, not a kernel; *" "${R[@]}" "$module"
refused "a program" 35 "${K}it is a program to run under Linux, not a kernel; *" "${R[@]}" /bin/ls
head -c 3000000 "$top/$cloud/vmlinuz" >"$T/short"
refused "a bzImage of which half is missing" 35 \
	"${K}it is truncated (3000000 bytes, its header speaks of *); *" "${R[@]}" "$T/short"
head -c 3000000 "$top/$cloud/vmlinux" >"$T/short"
refused "a vmlinux of which most is missing" 35 "${K}it is truncated (3000000 bytes, *" "${R[@]}" "$T/short"
refused "an initrd taken for the kernel" 35 "${K}it is a cpio archive, which is an initrd *" \
	"${R[@]}" "$top/$cloud/initrd"
refused "a missing initrd" 35 "cannot load the initrd '*': there is no such file; check the name" \
	"${R[@]}" -i "$T/nowhere" "$T/off"
refused "too little memory for the kernel, and how much it needs" 35 \
	"cannot boot '*': *64 MiB*-m *" "${R[@]}" -m 64 "$top/$cloud/vmlinuz"
refused "too little memory for kernel and initrd, and how much they need" 35 \
	"cannot boot '*': *initrd*-m *" "${R[@]}" -m 70 -i "$top/$cloud/vmlinux" "$top/$cloud/vmlinuz"

# --- no KVM ---

refused "no /dev/kvm" 125 "there is no /dev/kvm: *" with_dev "" "${R[@]}" "$T/off"
refused "no right to open /dev/kvm" 125 "no right to open /dev/kvm: run as root, or join its group *" \
	with_dev "kvm=600" "${NOBODY[@]}" "${R[@]}" "$T/off"
refused "a /dev/kvm that is something else" 125 "/dev/kvm is not KVM's device*" \
	unshare -m bash -c 'mount --bind /dev/null /dev/kvm && exec "$@"' - "${R[@]}" "$T/off"
refused "no KVM is needed to be told of a wrong kernel" 35 "${K}it is a text file; *" \
	with_dev "" "${R[@]}" "$T/text"

# --- no tap ---

refused "no /dev/net/tun" 125 "there is no /dev/net/tun: *" with_dev "kvm=666" "${R[@]}" -n tap "$T/off"
refused "no right to open /dev/net/tun" 125 "no right to open /dev/net/tun: *" \
	with_dev "kvm=666 tun=600" "${NOBODY[@]}" "${R[@]}" -n tap "$T/off"
refused "no right to make a tap, and how to have one made" 125 \
	"no right to make a tap: run as root, or make one first (ip tuntap add mode tap user \$USER name *" \
	with_dev "kvm=666 tun=666" "${NOBODY[@]}" "${R[@]}" -n tap "$T/off"
ip tuntap add theirs mode tap user root
refused "a tap that belongs to another user" 125 "no right to use theirs: it belongs to another user; *" \
	with_dev "kvm=666 tun=666" "${NOBODY[@]}" "${R[@]}" -n tap=theirs "$T/off"

# --- a network without rights ---

run with_dev "kvm=666 tun=666" "${NOBODY[@]}" "${R[@]}" -n mtu=1400 --timeout 2 \
	--ns-exec "ip -o -4 addr; ping -c 1 192.168.77.1; sleep 100; echo late" "$T/halt"
like "who may not make a tap has one in a namespace of his own, and is told" "$status $err" \
	"36 ringlet: no right to make a tap: the guest's network is a namespace of its own (mode=ns)*ringlet0 *192.168.77.1/24*1 received*"
is "of which nothing is left" "$left" ""
# Root's ringlet is nobody by then, and the command is still root.
# peer NAME COMMAND: a guest, and beside it this, which says when it is ready; $peer is its process.
peer() {
	boot "$1" -n ns --ns-exec "echo peer \$\$; $2" "$T/halt"
	until_true 10 says "$T/$1.err" "^ready"
	read -r _ peer <"$T/$1.err"
}
peer background '(trap "sleep .1; echo flushed; exit" TERM; echo ready; while :; do sleep .1; done) & exit'
kill -TERM "${pid[background]}"
ended background 10
like "what root's --ns-exec left in the background ends with the guest, and may do so in peace" \
	"${status[background]} $(<"$T/background.err")" "143 peer *ready*flushed*ended by signal 15*"
peer obstinate 'trap "" TERM; echo ready; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 1; done'
kill -TERM "${pid[obstinate]}"
ended obstinate 10
is "a command that refuses to end is ended all the same" "${status[obstinate]}" 143
ok "and is gone with ringlet" gone "$peer"
peer orphan 'echo ready; exec sleep 15'
kill -KILL "${pid[orphan]}"
ended orphan 2>/dev/null
ok "SIGKILL leaves no command either" until_true 5 gone "$peer"
forbidden() { unshare -U -r sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all "$@"' sh "$@"; }
refused "user namespaces that are forbidden, and how to allow them" 125 \
	"no network namespace of our own: No space left on device; this host forbids user namespaces: 'sysctl -w user.max_user_namespaces=10000' allows them, *" \
	forbidden "${R[@]}" -n ns "$T/off"
boot busy -n tap=busy "$T/halt"
until_true 10 says "$T/busy.out" up
refused "a tap that is in use" 125 "busy is in use by another program: *" "${R[@]}" -n tap=busy "$T/off"
refused "the same where /sys shows another network" 125 "busy is in use by another program: *" \
	unshare -m bash -c 'umount -l /sys && exec "$@"' - "${R[@]}" -n tap=busy "$T/off"
kill "${pid[busy]}"
ended busy
ip tuntap add many mode tap multi_queue
refused "a multi_queue tap" 125 "many is a multi_queue tap: delete it and make it again without multi_queue, or use queues=" \
	"${R[@]}" -n tap=many "$T/off"
ip tuntap add single mode tap
refused "a tap that is not multi_queue, for several queues" 125 "single is not a multi_queue tap: *" \
	"${R[@]}" -n tap=single,queues=2 "$T/off"
ip tuntap add point mode tun
refused "a tun" 125 "point is a tun, which carries no Ethernet: *" "${R[@]}" -n tap=point "$T/off"
refused "another kind of interface" 125 "lo exists and is not a tap: choose another name for tap=" \
	"${R[@]}" -n tap=lo "$T/off"
run "${R[@]}" -n mtu=65521 "$T/off"
is "the largest MTU is one that a tap takes" "$status $err$left" "0 ringlet: the guest powered off"
exec 8</dev/null
refused "a descriptor that is no tap" 125 "descriptor 8 is not an attached tap" "${R[@]}" -n fd=8 "$T/off"
exec 8<&-
refused "a descriptor that is not open" 125 "descriptor 8 is not open: *" "${R[@]}" -n fd=8 "$T/off"

# with_tap FLAGS NAME COMMAND...: the command inherits a tap as descriptor 7, with
# the send buffer of other sockets, as a macvtap has; what it is then is in $T/room.
with_tap() {
	perl -e '
		use POSIX; my ($room, $flags, $name) = (shift, oct shift, shift);
		sysopen(my $f, "/dev/net/tun", O_RDWR) or die;
		my $ifr = pack("a16 S x22", $name, $flags);
		ioctl($f, 0x400454ca, $ifr) or die "TUNSETIFF: $!";
		my $size = pack "i", 212992;
		ioctl($f, 0x400454d4, $size) or die "TUNSETSNDBUF: $!";
		POSIX::dup2(fileno $f, 7);
		my $status = system @ARGV;
		ioctl($f, 0x800454d3, $size) or die "TUNGETSNDBUF: $!";
		open my $said, ">", $room;
		print $said unpack "i", $size;
		exit $status >> 8' "$T/room" "$@"
}
refused "a descriptor of a tap without headers" 125 \
	"descriptor 7 (bare) must be a tap with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR" \
	with_tap 0x1002 bare "${R[@]}" -n fd=7 "$T/off"
refused "one of another network namespace, to be changed" 125 "far is not in this network namespace: set it up there" \
	with_tap 0x5002 far unshare -n "${R[@]}" -n fd=7,mtu=1400 "$T/off"
run with_tap 0x5002 given "${R[@]}" -n fd=7 "$T/off"
is "a descriptor of a tap as it should be is used" "$status $err$left" "0 ringlet: the guest powered off"
is "and what it has no room for at the moment waits" "$(<"$T/room")" $((2 ** 31 - 1))

# --- how guests end ---

for how in "off 0 the guest powered off" "reset 32 the guest reset the machine" \
	"crash 33 triple fault on vCPU 0" "panic 34 the guest's kernel panicked"; do
	read -r kernel want sentence <<<"$how"
	for io in none uring poll; do
		net=(-n "tap=end,io=$io")
		[ $io != none ] || net=(-n none)
		run "${R[@]}" "${net[@]}" "$T/$kernel"
		is "$sentence ($want), ${net[1]}: that line and status, and nothing is left" \
			"$status $(without_autopsy "$T/run.err")$left" "$want ringlet: $sentence"
	done
done
# Some KVMs emulate the guest's kernel, and not all of it.
why="triple fault on vCPU 0"
[ -e /sys/module/kvm_intel ] || [ -e /sys/module/kvm_amd ] ||
	why="KVM cannot emulate the instruction at RIP 0x1000079, bytes cc f4 eb fd*: a software KVM cannot run stock kernels; use *, or the lab (tests/lab/lab)"
run "${R[@]}" "$T/int3"
like "an int3 nobody waits for: a triple fault, or where it was, what it was, and the way out" \
	"$status $(without_autopsy "$T/run.err")$left" "33 ringlet: $why"
run "${R[@]}" --timeout 1 "$T/halt"
is "a time limit ends the guest" "$status $err$left" "36 ringlet: the guest was still running after 1 s"
is "what the guest printed has come out, all of it" "$out" "up"

# --- panics, as kernels tell of them ---

caller='[    1.234567][    C0] ' said='Kernel panic - not syncing: ' nl=$'\n'
tiny_kernel "$T/caller" "$(letters "$caller${said}x$nl")$RESET$HALT"
tiny_kernel "$T/complete" "$(letters "$caller${said}x$nl$caller---[ end ${said}x ]---$nl")$HALT"
tiny_kernel "$T/typed" "$(letters "${said}old$nl# grep -- '---[ end $said' old.log$nl")$HALT"
tiny_kernel "$T/bare" "$(letters "${said}x$nl---[ end ${said}x ]---$nl")$HALT"
tiny_kernel "$T/ended" "$(letters "---[ end ${said}x ]---$nl")$HALT"
tiny_kernel "$T/then" "$(letters "${said}x$nl")$RESET$HALT"
tiny_kernel "$T/stays" "$(letters "[    1.234567] ${said}x$nl")$HALT"
boot typed --timeout 4 "$T/typed"
boot stays --timeout 9 "$T/stays"
run "${R[@]}" "$T/caller"
is "a panic in an interrupt, by a kernel that says who prints, then a reset" \
	"$status $(tail -n 1 <<<"$err")" "34 ringlet: the guest's kernel panicked"
run "${R[@]}" --timeout 2 "$T/complete"
is "the same that stays: the end of its message is the guest's" \
	"$status $(tail -n 1 <<<"$err")" "34 ringlet: the guest's kernel panicked"
run "${R[@]}" --timeout 2 "$T/bare"
is "so it is for a kernel without time stamps" "$status $(tail -n 1 <<<"$err")" "34 ringlet: the guest's kernel panicked"
run "${R[@]}" "$T/then"
is "whose reset counts, too" "$status $(tail -n 1 <<<"$err")" "34 ringlet: the guest's kernel panicked"
run "${R[@]}" --timeout 1 "$T/ended"
is "an end without a beginning is none" "$status $err" "36 ringlet: the guest was still running after 1 s"
ends "neither are words that any program can print, nor what is typed" typed 36 "the guest was still running after 4 s"
ended stays
is "with a time stamp they are the kernel's, if it does not reset" \
	"${status[stays]} $(tail -n 1 "$T/stays.err")" "34 ringlet: the guest's kernel panicked"

# --- being found, and dry runs ---

cp "$T/off" "$T/empty/bzImage"
run "${R[@]}"
is "with no kernel named it takes ./bzImage, and says so" "$status $err" \
	"0 ringlet: no kernel given: taking ./bzImage"$'\n'"ringlet: the guest powered off"
rm "$T/empty/bzImage"
run with_dev "" "${R[@]}" --dry-run -m 5G -c 2 -n tap=dry,ip=10.1.2.1/24,guest_ip=10.1.2.2 -p quiet "$T/off"
is "--dry-run needs no KVM and touches nothing" "$status $err$left" "0 "
like "it prints the guest's command line" "$out" \
	"*command line  console=ttyS0 panic=-1 reboot=acpi ip=10.1.2.2::10.1.2.1:255.255.255.0::eth0:off quiet"$'\n'*
like "and its memory, on both sides of the hole" "$out" \
	"*-0x0000bfffffff  RAM"$'\n'"*0x000100000000-0x00017fffffff  RAM"$'\n'*
like "and its devices" "$out" "*virtio-net      0xd0000fa0-0xd000119f, line 5,*"
unlike "of which none is for a command" "$out" "*virtio-console*"
generic=$(echo "$top"/build/kernels/generic/boot/vmlinuz-*)
run with_dev "" "${R[@]}" --dry-run -n tap=dry "$generic" -- id
like "with one there is an initramfs made for it, and a console behind the network" "$status $out" \
	"0 *initrd        made for the command"$'\n'*"virtio-console  0xd0002fa0-0xd000319f, line 6,*"
run with_dev "" "${R[@]}" --dry-run -i "$T/text" "$generic" -- id
like "or behind an initrd, or the only one" "$status $out" \
	"0 *initrd        $T/text, and what is made for the command"$'\n'*"virtio-console  0xd0000fa0-*, line 5,*"
for what in "-i $T/nowhere $T/off" "-p $(printf %02048d 0) $T/off" "--user nosuch $T/off" \
	"-m 70 -i $top/$cloud/vmlinux $top/$cloud/vmlinuz"; do
	# shellcheck disable=SC2086 # words
	run "${R[@]}" $what
	said="$status $err"
	# shellcheck disable=SC2086
	run "${R[@]}" --dry-run $what
	is "--dry-run refuses what the run refuses, ${what%% *}" "$status $out$err" "$said"
done
for what in --out=$T/empty/out --copy=/etc/passwd --env=A=b --cwd=/; do
	refused "${what%%=*} without a command is refused" 35 \
		"${what%%=*} is for a command in the guest, and there is none: write -- COMMAND" \
		"${R[@]}" "${what%%=*}" "${what#*=}" "$T/off"
done
refused "and another user, where only root can be one" 35 "--user nobody: only root can become another user" \
	"${NOBODY[@]}" "${R[@]}" --dry-run --user nobody "$T/off"
run "${R[@]}" -v -n none "$T/off"
command=$(sed -n 's/^ringlet: \(ringlet run .*\)/\1/p' <<<"$err")
run bash -c "${command/#ringlet/$ringlet}"
is "-v prints a command line that does the same again" \
	"$status $(sed -n 's/^ringlet: \(ringlet run .*\)/\1/p' <<<"$err")" "0 $command"

# --- reports ---

run "${R[@]}" --stats "$T/off"
like "--stats reports on standard error, then one line says why it ended" "$status $err" \
	"0 schema ringlet-stats/1, *"$'\n'"vcpus 0 exits: io [1-9]*"$'\n'"ringlet: the guest powered off"
run "${R[@]}" --stats=json:"$T/stats" -n tap=t --name web "$T/off"
is "to a file if asked, and standard error is as ever" "$status $err$left" "0 ringlet: the guest powered off"
is "as JSON, with every port access that there was" \
	"$(perl -MJSON::PP -e 'local $/; $d = decode_json(<STDIN>); print "$d->{name} $d->{vcpus}[0]{exits}{io} $d->{net}{rx}{packets}"' <"$T/stats")" \
	"web 4 0"

# --- streams ---

"${R[@]}" -n tap=closed "$T/off" <&- >"$T/run.out" 2>"$T/run.err"
is "it runs with standard input closed" "$? $(<"$T/run.out") $(<"$T/run.err")" "0 up ringlet: the guest powered off"
"${R[@]}" -n tap=closed "$T/off" >&- 2>"$T/run.err" </dev/null
is "it runs with standard output closed" "$? $(<"$T/run.err")" "0 ringlet: the guest powered off"
"$ringlet" --timeout 20 -n tap=closed "$T/halt" <&- >&- 2>&- &
pid[closed]=$! running[$!]=closed
interface_is() { [[ $(interfaces) == *"$1 "* ]]; }
until_true 5 interface_is closed
is "what it opens never is where a closed stream was" \
	"$(readlink "/proc/${pid[closed]}/fd/"{0,1,2} | tr '\n' ' ')" "/dev/null /dev/null /dev/null "
kill "${pid[closed]}"
ended closed
"${R[@]}" "$T/off" 2>"$T/run.err" | true
is "it does not mind that nobody reads its output" "${PIPESTATUS[0]} $(<"$T/run.err")" "0 ringlet: the guest powered off"

for what in help list version; do
	"${R[@]}" $what >/dev/full 2>"$T/run.err"
	is "a full disk is told of, by $what" "$? $(<"$T/run.err")" "125 ringlet: standard output could not be written: is its disk full?"
done
"${R[@]}" "$T/off" >/dev/full 2>"$T/run.err"
is "and of what a guest prints" "$? $(<"$T/run.err")" \
	"0 ringlet: cannot write what the guest prints: No space left on device"$'\n'"ringlet: the guest powered off"
run "${R[@]}" --stats=json:/dev/full "$T/off"
is "and of statistics" "$status $err" \
	"0 ringlet: --stats: cannot write /dev/full: No space left on device"$'\n'"ringlet: the guest powered off"

# A guest that never stops printing, and readers that do not read.
tiny_kernel "$T/spam" be00000001b90010000066baf803f36eebee
mkfifo "$T/full"
exec {full}<>"$T/full"
# unread NAME COMMAND...: its output is a pipe that is full.
unread() {
	"${@:2}" >"$T/full" 2>"$T/$1.err" &
	pid[$1]=$! running[$!]=$1
}
unread late "$ringlet" --timeout 1 "$T/spam"
ends "a time limit holds though nobody reads the output" late 36 "the guest was still running after 1 s" 6
unread term "$ringlet" --timeout 20 --name unread "$T/spam"
until_true 5 timeout 2 "$ringlet" ctl unread info >/dev/null 2>&1
kill "${pid[term]}"
ends "so does SIGTERM" term 143 "ended by signal 15 (Terminated)" 6
unread stop "$ringlet" --timeout 20 --name unread "$T/spam"
until_true 5 timeout 2 "$ringlet" ctl unread stop >"$T/stop.said" 2>&1
ends "and the control socket" stop 0 "*" 6
mkfifo "$T/both"
exec {both}<>"$T/both"
head -c 65536 /dev/zero >"$T/both"
"$ringlet" --timeout 1 "$T/spam" >"$T/both" 2>&1 &
pid[both]=$! running[$!]=both
ended both 6
is "standard error need not be read either" "${status[both]}" 36
exec {both}>&-
# The pipe is root's, and a user without rights cannot open it again.
unread other with_dev "kvm=666" "${NOBODY[@]}" "$ringlet" --timeout 1 "$T/spam"
ends "and another user's pipe" other 36 "the guest was still running after 1 s" 6
# A terminal that says it can be written takes a byte, perhaps.
perl -e 'open my $m, "+<", "/dev/ptmx" or die; my $n = pack "i", 0; ioctl($m, 0x40045431, $n) && ioctl($m, 0x80045430, $n) or die;
	open my $s, ">", "/dev/pts/" . unpack "i", $n or die; open STDOUT, ">&", $s or die; $^F = 99; exit system(@ARGV) >> 8' \
	"${R[@]}" --timeout 1 "$T/spam" 2>"$T/run.err"
is "and a terminal" "$? $(<"$T/run.err")" "36 ringlet: the guest was still running after 1 s"
# 12 KiB and the end, for who reads late.
tiny_kernel "$T/words" "be00000001b90030000066baf803f36e$OFF$HALT"
unread words "$ringlet" --timeout 20 "$T/words"
(sleep 1.5; exec timeout 2 cat "$T/full") >"$T/words.out"
ended words
is "the last words wait for a slow reader" "${status[words]} $(tail -c 12288 "$T/words.out" | head -c 4 | tail -c 3)" "0 ELF"
exec {full}>&-

# --- without io_uring ---

run no_uring "${R[@]}" -n tap=t -v "$T/off"
is "where io_uring is forbidden it says so" "$status $(grep io_uring <<<"$err" | head -1)" \
	"0 ringlet: io_uring is switched off here (sysctl kernel.io_uring_disabled, or a container's filter): taking io=poll"
like "and takes io=poll" "$err" "*engine poll*"
run no_uring "${R[@]}" -n tap=t,io=poll "$T/off"
is "with io=poll it does not even try" "$status $err" "0 ringlet: the guest powered off"
run "${R[@]}" -n tap=t -v "$T/off"
like "else it takes io_uring" "$err" "*engine io_uring*"

# --- what is left of its rights while a guest runs ---

cpus=$(taskset -pc $$ | sed 's/.*: //')
one=$(sed 's/[-,].*//' <<<"$cpus") two=$(sed 's/.*[-,]//' <<<"$cpus")
field() { awk -v f="$2:" '$1 == f { $1 = ""; print substr($0, 2) }' "$1" | sort -u | tr '\t\n' '  '; }
all_threads() { cat /proc/"${pid[$1]}"/task/*/status >"$T/threads"; }

boot rights -c 2 --pin "$one,$two" -n "tap=rights,cpus=$two" "$T/halt"
until_true 10 says "$T/rights.out" up
p=/proc/${pid[rights]}
all_threads rights
none=0000000000000000
is "every thread has lost every capability, and those it could get again" \
	"$(for f in CapInh CapPrm CapEff CapBnd CapAmb; do field "$T/threads" $f; done)" \
	"$none $none $none $none $none "
is "every thread has no_new_privs" "$(field "$T/threads" NoNewPrivs)" "1 "
u=$(id -u nobody) g=$(id -g nobody)
is "every thread is nobody" "$(field "$T/threads" Uid)$(field "$T/threads" Gid)" "$u $u $u $u $g $g $g $g "
is "in no other group" "$(field "$T/threads" Groups | tr -d ' ')" ""
# (KVM itself adds a thread to us, on some kernels.)
is "the threads have names" "$(cat "$p"/task/*/comm | grep -v ^kvm- | sort | tr '\n' ' ')" "net/0 ringlet vcpu/0 vcpu/1 "
allowed() { for t in "$p"/task/*; do [ "$(<"$t/comm")" != "$1" ] || field "$t/status" Cpus_allowed_list; done; }
is "--pin binds the virtual processors in turn, cpus= the device thread" \
	"$(allowed vcpu/0)$(allowed vcpu/1)$(allowed net/0)" "$one $two $two "
is "/dev/kvm and /dev/net/tun are not open to be opened again" \
	"$(find "$p/fd" -lname '/dev/kvm' -o -lname '/dev/net/tun' | wc -l)" 2
is "the tap exists" "$(ip -o link show dev rights | wc -l)" 1
kill -TERM "${pid[rights]}"
ended rights
is "SIGTERM ends it, as the shell sees" "${status[rights]} $(<"$T/rights.err")" \
	"143 ringlet: ended by signal 15 (Terminated)"
unlike "and the tap is gone when it is" "$(interfaces)" "*rights*"

boot rooted --user root -n tap=rooted "$T/halt"
until_true 10 says "$T/rooted.out" up
all_threads rooted
is "--user root stays root, without capabilities" \
	"$(field "$T/threads" Uid)$(for f in CapPrm CapEff CapBnd; do field "$T/threads" $f; done)$(field "$T/threads" NoNewPrivs)" \
	"0 0 0 0 $none $none $none 1 "
kill -KILL "${pid[rooted]}"
ended rooted 2>/dev/null
no_tap() { [[ $(interfaces) != *rooted* ]]; }
ok "SIGKILL leaves no tap either" until_true 5 no_tap

ip tuntap add mine mode tap vnet_hdr user nobody
ip link set dev mine up
run with_dev "kvm=666 tun=666" "${NOBODY[@]}" "${R[@]}" -n tap=mine,mtu=1500 "$T/off"
is "a user without rights runs a guest on a tap made for him" "$status $err" "0 ringlet: the guest powered off"
like "which stays" "$(interfaces)" "*mine*"
refused "of which he cannot change the MTU" 125 \
	"cannot set the MTU of mine to 1400: Operation not permitted; do it first (ip link set mtu), or run as root" \
	with_dev "kvm=666 tun=666" "${NOBODY[@]}" "${R[@]}" -n tap=mine,mtu=1400 "$T/off"
refused "nor the address" 125 \
	"cannot give mine its address: Operation not permitted; do it first (ip addr add), or run as root" \
	with_dev "kvm=666 tun=666" "${NOBODY[@]}" "${R[@]}" -n tap=mine,ip=10.9.9.1/24 "$T/off"
refused "only root can become another user" 35 "--user nobody: only root can become another user" \
	with_dev "kvm=666" "${NOBODY[@]}" "${R[@]}" --user nobody "$T/off"
boot plain -n none "$T/halt"
until_true 10 says "$T/plain.out" up
kill -INT "${pid[plain]}"
ended plain
# A shell lets its background jobs ignore SIGINT; ringlet takes it all the same.
is "SIGINT ends it" "${status[plain]} $(<"$T/plain.err")" "130 ringlet: ended by signal 2 (Interrupt)"

# --- the terminal ---

# terminal NAME COMMAND: a shell on a terminal of its own runs the command;
# we type into $T/NAME.keys and read $T/NAME.screen.
terminal() {
	local name=$1
	mkfifo "$T/$name.keys"
	cat >"$T/$name.sh" <<-END
		tty >$T/$name.tty
		stty -g >$T/$name.before
		$2
		echo \$? >$T/$name.status
		stty -g >$T/$name.after
	END
	script -qefc "bash $T/$name.sh" /dev/null <>"$T/$name.keys" >"$T/$name.screen" 2>&1 &
	pid[$name]=$!
	running[$!]=$name
	until_true 10 says "$T/$name.screen" up
}
restored() { is "$1" "$(<"$T/$2.status") $(<"$T/$2.after")" "$3 $(<"$T/$2.before")"; }
keys() { stty -F "$(<"$T/$1.tty")" -a | grep -oE -- '-?\<(icanon|echo|isig|opost)\>' | sort | tr '\n' ' '; }

terminal quit "$ringlet $T/halt"
is "while the guest runs the terminal is raw" "$(keys quit)" "-echo -icanon -isig -opost "
printf '\001h' >"$T/quit.keys"
ok "Ctrl-A h lists the keys" until_true 5 says "$T/quit.screen" "Ctrl-A x  quit"
unlike "which is not the end" "$(cat "$T/quit.status" 2>&1)" "[0-9]*"
printf '\001x' >"$T/quit.keys"
ended quit
restored "Ctrl-A x quits, and the terminal is as it was" quit 0
like "saying so" "$(<"$T/quit.screen")" "*ringlet: the user quit*"

terminal far "setsid -w $ringlet $T/halt"
is "so it is where there is no job control" "$(keys far)" "-echo -icanon -isig -opost "
printf '\001x' >"$T/far.keys"
ended far
restored "and as it was in the end" far 0
terminal off "$ringlet $T/off"
ended off
restored "the terminal is as it was after a guest that powered off" off 0
terminal crash "echo up; $ringlet $T/crash"
ended crash
restored "and after one that crashed" crash 33
terminal term "$ringlet $T/halt"
pkill -TERM -P "$(pgrep -P "$(pgrep -P "${pid[term]}")" bash || pgrep -P "${pid[term]}")" ringlet
ended term
restored "and after SIGTERM, which the shell sees" term 143
like "SIGTERM is the reason given" "$(<"$T/term.screen")" "*ringlet: ended by signal 15 (Terminated)*"
terminal refused "echo up; $ringlet $T/text"
ended refused
restored "and after a refusal" refused 35
terminal job "set -m; $ringlet $T/off & wait \$!"
ended job
restored "in the background it leaves the terminal alone" job 0
terminal behind "set -m; $ringlet --timeout 2 $T/halt & wait \$!"
echo typed 1<>"$T/behind.keys"
ended behind
restored "and what is typed there, which would stop it" behind 36
terminal before "set -m; $ringlet $T/halt & read -r line; echo got \$line; fg"
echo typed 1<>"$T/before.keys"
ok "which is another's" until_true 5 says "$T/before.screen" "got typed"
is_raw() { [[ $(keys before) == *-icanon* ]]; }
ok "brought to the foreground it takes the terminal" until_true 5 is_raw
printf '\001x' 1<>"$T/before.keys"
ended before
restored "and listens" before 0

# --- and that is all ---

run "${R[@]}" version
like "version" "$status $out$err" "0 ringlet [0-9]*.[0-9]*"
run "${R[@]}" help
like "help lists the options and the exit statuses" "$status $out" "0 usage: ringlet *--net*queue_size=*35  bad arguments*"
"$ringlet" list >/dev/null # of a guest that was killed the socket is left
is "at the end there is no control socket" "$(find "$T/run" -name '*.sock')" ""
is "at the end the interfaces are those that the test made" "$(interfaces)" "lo many mine point single theirs "
