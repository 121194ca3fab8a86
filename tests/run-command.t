#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run-command.t - commands in stock kernels: their status, their streams, what
# they bring and leave; kernels whose drivers are built in, modules, packed or
# missing; and that none of it takes root.
#
# Each case is a guest of its own, two at a time; the claims come when all
# have ended.
. "$(dirname "$0")/lib.sh"
in_lab "$@"
plan 48

# Nothing to decompress in the guest: these are up sooner.
generic=build/guest/generic/vmlinux lab=build/guest/lab/vmlinux
R=("$RINGLET" --timeout 100 -m 256M)
# The host's programs, with a busybox, whether it has one or not; and without.
mkdir "$T/bin" "$T/few"
cp build/busybox/bin/busybox "$T/bin"
ln -s /bin/sh "$(command -v xz)" "$T/few"
PATH=$T/bin:$PATH

# case_of NAME COMMAND...: in the background; $T/NAME.out, .err and .status.
jobs=()
case_of() {
	local name=$1
	shift
	if ((${#jobs[@]} > 1)); then
		wait "${jobs[0]}"
		unset "running[${jobs[0]}]"
		jobs=("${jobs[@]:1}")
	fi
	{
		"$@" >"$T/$name.out" 2>"$T/$name.err"
		echo $? >"$T/$name.status"
	} </dev/null &
	jobs+=($!)
	running[$!]=$name
}
# result NAME: the status and what was said.
result() { echo "$(<"$T/$1.status") $(end_of "$(<"$T/$1.err")")"; }

# A kernel's directory with its modules packed by a program.
packed() {
	local to=$T/$1 version
	version=$(basename build/kernels/generic/lib/modules/*)
	mkdir -p "$to/boot" "$to/lib/modules"
	cp build/kernels/generic/boot/vmlinuz-* "$to/boot/vmlinuz"
	mkdir "$to/lib/modules/$version"
	(cd build/kernels/generic/lib/modules/"$version" && cp --parents modules.builtin{,.modinfo} modules.order \
		kernel/drivers/virtio/{virtio,virtio_ring,virtio_mmio}.ko kernel/drivers/char/virtio_console.ko \
		kernel/drivers/net/{virtio_net,net_failover}.ko kernel/net/core/failover.ko \
		"$to/lib/modules/$version/")
	find "$to" -name '*.ko' -exec "${@:2}" {} +
	depmod -b "$to" "$version"
}
packed zst zstd -q --rm
packed missing rm -f

# --- the cases ---

pipes() { seq 10 | "${R[@]}" $generic -- wc -l; }
binary() {
	"${R[@]}" $lab -- cat <"$T/data" | tee >(sha256sum >"$T/binary.sum") | wc -c
	return "${PIPESTATUS[0]}"
}
# 200 KiB where there is room for 64, and a standard output that takes nothing.
full() {
	mkdir -p "$T/disk" && mount -t tmpfs -o size=64k tmpfs "$T/disk" && mkdir "$T/disk/out" || return
	"${R[@]}" --user root --out "$T/disk/out" $lab -- sh -c \
		'dd if=/dev/zero of=/out/a bs=1k count=200 2>/dev/null; echo b >/out/b; echo c' >/dev/full
}
reader_gone() {
	"${R[@]}" $lab -- yes | head -n 1
	return "${PIPESTATUS[0]}"
}
interrupt() {
	# Not "&" alone: that would have the shell ignore the signal for it.
	env --default-signal=INT "${R[@]}" $lab -- sh -c \
		'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 1; done' >"$T/interrupt.text" &
	until_true 60 says "$T/interrupt.text" ready
	kill -INT $!
	wait $!
}
twice() {
	env --default-signal=INT "${R[@]}" $lab -- sh -c 'trap "" INT; echo ready; while :; do sleep 1; done' >"$T/twice.text" &
	local pid=$!
	until_true 60 says "$T/twice.text" ready
	# One, and when it is through to the command, the other.
	kill -INT $pid
	sleep 1
	kill -INT $pid
	wait $pid
}
closed() { "${R[@]}" $lab -- sh -c 'cat; echo end; tty' <&-; }
files() {
	"${R[@]}" --copy "$T/src:/there" --copy tests/run-command.t --env A='b c' --env HOME=/tmp --cwd /there \
		--out "$T/left" --user root $generic -- sh -c 'pwd; cat one; ls -l script; ./script; echo "$A $HOME"
			head -n 1 '"$PWD"'/tests/run-command.t; mkdir -p /out/d; echo kept >/out/d/f; ln -s /etc/passwd /out/l'
}
user() {
	setpriv --reuid 1000 --regid 1000 --clear-groups "$T/ringlet" --timeout 100 -m 256M -n queues=1 \
		--ns-exec 'ping -c 2 -i 0.2 -w 20 192.168.77.2' "$T/zst/boot/vmlinuz" -- \
		sh -c 'sleep 1; ping -c 1 -w 10 192.168.77.1; cat /etc/resolv.conf; id -u'
}
elsewhere() { [ "$(readlink /proc/"$1"/ns/net)" != "$(readlink /proc/self/ns/net)" ]; }
# An outside, beyond this host: a name server that knows one address, and a web server.
outside() {
	unshare -n sleep 1000 &
	running[$!]=outside
	until_true 5 elsewhere $!
	ip link add out0 type veth peer name in0 netns $!
	ip addr add 10.99.0.2/24 dev out0 && ip link set out0 up && ip route add default via 10.99.0.1
	nsenter -t $! -n ip addr add 10.99.0.1/24 dev in0
	nsenter -t $! -n ip link set in0 up
	echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range
	echo "nameserver 10.99.0.1" >"$T/resolv.conf"
	mount --bind "$T/resolv.conf" /etc/resolv.conf
	nsenter -t $! -n perl -MIO::Socket::INET -e '
		unless (fork) {
			my $dns = IO::Socket::INET->new(Proto => "udp", LocalAddr => "10.99.0.1:53") or die;
			while ($dns->recv(my $q, 512)) {
				my $question = substr $q, 12, index($q, "\0", 12) - 12 + 5;
				my $a = "\0\1" eq substr $question, -4, 2;
				$dns->send(pack("a2 n5", $q, 0x8180, 1, $a, 0, 0) . $question .
					($a ? pack("n3 N n C4", 0xc00c, 1, 1, 60, 4, 10, 99, 0, 1) : ""));
			}
		}
		my $web = IO::Socket::INET->new(Listen => 5, ReuseAddr => 1, LocalAddr => "10.99.0.1:80") or die;
		while (my $c = $web->accept) {
			while (<$c>) { last if /^\r?\n/ }
			print $c "HTTP/1.0 200 OK\r\n\r\nfrom outside\n";
		}' &
	running[$!]=servers
}
out() {
	setpriv --reuid 1000 --regid 1000 --clear-groups "$T/ringlet" --timeout 100 -m 256M -n user \
		"$T/zst/boot/vmlinuz" -- sh -c 'nslookup outside.test; wget -q -O - http://10.99.0.1/; ping -c 1 -w 10 10.99.0.1'
}
on_terminal() {
	script -qec "stty rows 33 cols 99; ${R[*]} $lab -- sh -c 'tty; stty size; echo err >&2; exit 3'" /dev/null
}

# Nothing on its command line but the kernel, and somebody at the terminal.
shell() {
	script -qec "stty rows 33 cols 99; ${R[*]} $lab; echo status \$?" /dev/null < <(
		until_true 60 says "$T/shell.out" "/ #"
		echo 'echo $((6 * 7)); stty size; exit 4'
		until_true 60 says "$T/shell.out" "status" # its end would be the terminal's
	)
}

head -c 10485760 /dev/urandom >"$T/data"
mkdir -m 755 "$T/src"
echo contents >"$T/src/one"
printf '#!/bin/sh\necho a script\n' >"$T/src/script"
chmod 755 "$T/src/script"
cp "$RINGLET" "$T/ringlet"
chmod -R a+rX "$T/zst" && chmod 666 /dev/kvm /dev/net/tun

case_of pipes pipes
case_of binary binary
case_of seven "${R[@]}" "$T/zst/boot/vmlinuz" -- sh -c 'exit 7'
case_of killed "${R[@]}" -v $generic -- sh -c 'kill -9 $$'
case_of nosuch "${R[@]}" $lab -- nosuch-program
case_of alone env PATH="$T/few" "${R[@]}" $lab -- sh -c 'ls'
case_of full full
case_of reader_gone reader_gone
case_of late "$RINGLET" --timeout 6 -m 256M $lab -- sleep 1000
case_of panic "${R[@]}" $lab -- sh -c 'echo before; sleep 0.2; echo c >/proc/sysrq-trigger'
case_of interrupt interrupt
case_of closed closed
case_of files files
case_of initrd "${R[@]}" -i build/guest/lab/initrd $lab -- sh -c "ls /bin/agent"
case_of twice twice
case_of shell shell
case_of user user
case_of on_terminal on_terminal
outside
case_of out out
case_of missing "${R[@]}" "$T/missing/boot/vmlinuz" -- true
wait "${jobs[@]}"
running=()

# --- the claims ---

is "a command's output is the command's, and nothing else (modules as files)" "$(<"$T/pipes.out")" 10
is "and nothing on standard error, status 0" "$(result pipes)" "0 "
is "10 MiB go in and come out (drivers built in, others packed by xz)" "$(<"$T/binary.out")" 10485760
is "every bit of them" "$(<"$T/binary.sum")" "$(sha256sum <"$T/data")"
is "with nothing on standard error" "$(result binary)" "0 "
is "exit 7: 7 (modules packed by zstd)" "$(result seven)" "7 "
is "a signal: 128 and its number" "$(<"$T/killed.status")" 137
like "a program that does not exist: 127, and a sentence" "$(result nosuch)" "127 *nosuch-program*"
like "where the host has no busybox, that is said of programs that are not there" "$(result alone)" \
	"127 *ls: not found*ringlet: no other programs are in the guest, as this host has no busybox: *"
like "and of a shell at once" \
	"$(script -qec "env PATH=$T/few $RINGLET --dry-run $lab" /dev/null </dev/null)" "*ringlet: no other programs are in the guest, *"
unlike "which a shell with a busybox need not be told" \
	"$(script -qec "$RINGLET --dry-run $lab" /dev/null </dev/null)" "*no other programs*"
is "where the host has no room for what it wrote: 125" "$(<"$T/full.status")" 125
like "which is said of standard output" "$(<"$T/full.err")" \
	"*ringlet: cannot write standard output: No space left on device*"
like "and of a file" "$(<"$T/full.err")" "*ringlet: --out: cannot write a: No space left on device*"
is "of which nothing is left; for the next one there is room" "$(ls "$T/disk/out") $(cat "$T/disk/out/b")" "b b"
umount "$T/disk"
is "a reader that goes away ends the command, by SIGPIPE" "$(result reader_gone) $(<"$T/reader_gone.out")" "141  y"
like "a time limit: 36" "$(result late)" "36 *ringlet: the guest was still running after 6 s"
like "a panic: 34, and its sentence" "$(result panic)" "34 *ringlet: the guest's kernel panicked"
like "with what the kernel said last" "$(<"$T/panic.err")" "*</TASK>*Kernel Offset: *"
is "and what the command had said before" "$(<"$T/panic.out")" before
holds "of the kernel's words the last lines only" "$(sed '/^vCPU 0: /,$d' "$T/panic.err" | wc -l) <= 53"
is "Ctrl-C is the command's" "$(<"$T/interrupt.text") $(result interrupt)" "ready"$'\n'"caught 9 "
is "the second one is ringlet's" "$(<"$T/twice.text") $(<"$T/twice.status")" "ready 130"
is "with -i the command is one of what that has" "$(<"$T/initrd.out") $(result initrd)" "/bin/agent 0 "
like "without a command, at a terminal, there is a shell" "$(tr -d '\r' <"$T/shell.out")" "*"$'\n'"42"$'\n'"33 99"*
like "and its status is ours" "$(tr -d '\r' <"$T/shell.out")" "*"$'\n'"status 4"*
is "closed standard input is an empty one" "$(<"$T/closed.out")" "end"$'\n'"not a tty"
is "and no trouble" "$(result closed)" "1 "
is "directories are there, --cwd and --env hold" "$(sed '3s/ .* / /;3s/^\(.\{10\}\).*/\1/' "$T/files.out")" \
	"/there"$'\n'"contents"$'\n'"-rwxr-xr-x"$'\n'"a script"$'\n'"b c /tmp"$'\n'"#!/bin/bash"
is "with status 0" "$(cut -d' ' -f1 <<<"$(result files)")" 0
is "what is left in /out comes back" "$(cat "$T/left/d/f")" kept
is "but no links" "$(find "$T/left" -type l)" ""
like "an ordinary user has a network without rights" "$(result user)" "0 *"
like "of which he is told" "$(<"$T/user.err")" "*ringlet: no right to make a tap: the guest's network is a namespace of its own (mode=ns)*"
like "the other end reaches the guest" "$(<"$T/user.err")" "*64 bytes from 192.168.77.2*"
like "and the guest the other end" "$(<"$T/user.out")" "*1 packets received*"
like "with mode=user he has the outside one: its names" "$(<"$T/out.out")" "*Address: 10.99.0.1*"
like "connections" "$(<"$T/out.out")" "*from outside*"
like "and ping" "$(<"$T/out.out")" "*1 packets received*"
is "with nothing to be said of it" "$(result out)" "0 "
is "of pasta nothing is left" "$(pgrep -x pasta || pgrep -f pasta.avx2)" ""
is "nothing of it is left" "$(ip -br link | grep -c ringlet)" 0
like "at a terminal the command has one" "$(tr -d '\r' <"$T/on_terminal.out")" "*/dev/pts/0"$'\n'"33 99"$'\n'"err*"
is "and its status is ours" "$(<"$T/on_terminal.status")" 3
like "a kernel without a module: one sentence names it" "$(result missing)" \
	"35 ringlet: this kernel has no virtio_mmio: it is neither built in nor among the modules in $T/missing/*"
is "in one line" "$(wc -l <"$T/missing.err")" 1
like "with -v the kernel's messages are on standard error" "$(<"$T/killed.err")" "*Linux version*"
is "and the output is still the command's alone" "$(<"$T/killed.out")" ""
