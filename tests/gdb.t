#!/bin/bash
# SPDX-License-Identifier: MIT
#
# gdb.t - Debian's gdb and ringlet's own guests, on any KVM: from the first
# instruction on, registers, memory, breakpoints and steps; clients that come
# and go, in every way, and those that are no gdb.
# What takes a kernel is in gdb-linux.t.
. "$(dirname "$0")/lib.sh"
in_sandbox "$@"
. tests/gdb.sh
plan 52

NET=tap=tap1,ip=10.0.1.1/24,guest_ip=10.0.1.2
ip tuntap add tap1 mode tap vnet_hdr
up() { says "$T/$1.out" netecho=up || gone "${pid[$1]}"; }
answers() { ping -q -c 2 -i 0.1 -w 10 10.0.1.2; }
silent() { ! ping -q -c 1 -w 1 10.0.1.2; }
diag "where: $WHERE"

# Where the guests begin, and are in 64-bit mode.
guests=${RINGLET%/*}/guest
entry=$(($(readelf -h "$guests/hello.elf" | awk '/Entry/ { print $4 }')))
long=$((entry + 0x$(nm "$guests/entry.o" | awk '$3 == "long_mode" { print $1 }')))
hex() { printf '%x' "$1"; }

# --- from the first instruction ---

mkdir -m 1777 "$T/s"

boot first guest:hello --gdb tcp:0 -S
until_true 10 listens first
like "it says what to type, with a port of its own" "$(<"$T/first.err")" "ringlet: gdb: target remote 127.0.0.1:+([0-9])"
gdb_start
ask "$(target first)" 'info threads'
like "the guest waits at its first instruction" "$said" "*1*vCPU 0*running*0x0000000000$(hex $entry)*"
is "and has said nothing" "$(<"$T/first.out")" ""
ask 'info registers rip cs cr0 cr3 efer'
like "the registers, control registers among them" "$(tr -s ' \n' ' ' <<<"$said")" \
	"rip 0x$(hex $entry) 0x$(hex $entry) cs 0x20 32 cr0 0x31 49 cr3 0x0 0 efer 0x0 0 "
ask 'set $rdi = 0x123456789abcdef' 'p/x $rdi' 'set $xmm3.uint128 = 0x55' 'p $xmm3.uint128' 'p $st0'
like "they can be set" "$said" "*0x123456789abcdef*= 85*= 0*"
ask 'set $cs = 8'
like "but for a selector alone" "$said" "*Could not write register*cs*"
ask 'x/s 0x10000c'
like "memory" "$said" "*\"Xen\"*"
ask 'set *(int *)0x200000 = 0x1234567' 'x/wx 0x200000' 'monitor phys 0x200000 4'
like "written memory" "$said" "*0x01234567*67 45 23 01 *"
ask 'monitor phys 0x200001=89 ab' 'x/wx 0x200000' 'monitor phys 0xfffffffff000=00'
like "and by its physical address" "$said" "*89 ab *0x01ab8967*there is no memory at 0xfffffffff000*"
ask 'x/x 0xffffffff00000000'
like "what is not there is an error" "$said" "*Cannot access memory at address 0xffffffff00000000*"
ask 'stepi' 'stepi' 'info registers rip'
like "two steps" "$said" "*rip*0x$(hex $((entry + 12)))*"
ask "hbreak *$long" continue 'info registers rip'
like "a hardware breakpoint" "$said" "*Breakpoint 1, 0x0000000000$(hex $long)*rip*0x$(hex $long)*"
ask 'delete' 'info registers cr0 efer cs'
like "it is in 64-bit mode meanwhile" "$(tr -s ' \n' ' ' <<<"$said")" "cr0 0x80000031 * efer 0x500 1280 cs 0x8 8 "
ask 'maintenance packet Qqemu.PhyMemMode:1' 'set *(char *)0x200000 = 0x68' 'x/wx 0x200000' 'x/x 0x4000000000' \
	'maintenance packet Qqemu.PhyMemMode:0'
like "where there are page tables, past them if so wished" "$said" "*OK*0x01ab8968*Cannot access memory*OK*"
ask 'monitor mem' 'monitor registers 0'
like "monitor tells of pages and registers" "$said" "0000000000000000-*-> 000000000000 rwx-*vCPU 0*efer*0000000000000500*"
# Where kernels are emulated no register watches data; gdb does it step by step.
ask 'set can-use-hw-watchpoints 0' 'set $w = (long)$rsp - 8' 'watch -l *(long *)$w' 'continue'
like "what is watched" "$said" "*Watchpoint*Old value*New value*"
ask 'delete' 'monitor help' 'monitor nonsense' 'monitor dump' 'monitor vq' 'monitor info exits' 'monitor dump /nowhere/x'
like "monitor helps, and knows what it does not know" "$said" "*nmi*phys*unknown command; 'monitor help' lists them all*the name of a file*vCPU 0: *debug*cannot make /nowhere/x: No such file or directory*"
ask "monitor dump $T/s/core"
like "monitor dump" "$said $(readelf -h "$T/s/core")" "*the guest's memory is in $T/s/core*CORE (Core file)*X86-64*"
ask 'continue'
like "it ends, and gdb learns of it" "$said" "*exited normally*"
ended first
like "and ringlet as ever" "${status[first]} $(<"$T/first.err")" "0 ringlet: gdb: *ringlet: the guest powered off"

# --- a guest that runs, and clients that come and go ---

boot echo guest:netecho -c 2 --gdb tcp:0 -n $NET
until_true 20 up echo
to=$(target echo) port=${to##*:}
ok "a guest that nobody has looked at answers" answers
ask "$to" 'info threads'
like "gdb comes to one that runs, and sees its processors" "$said" "*1*vCPU 0*2*vCPU 1*not started*"
ok "it stands still" silent
ask 'thread 2' 'p $_thread' 'thread 1' 'p $_thread'
like "and goes from one to the other" "$said" "*= 2*= 1*"
# Interrupts come only when the guest waits for them, and a step is none.
ask 'monitor vq' 'monitor vq 0'
like "the rings: indices of both sides" "$said" \
	"*net: status 0xf *net queue 0 (receive 0): *the driver's index +([0-9]), the device took *net queue 1 (transmit 0): *"
like "and what is in flight" "$said" "*available +([0-9]): head +([0-9]), waiting*bytes, to write*"
type_in continue
ok "let go, it answers" answers
ctrl_c
gdb_says
like "Ctrl-C stops it, idle as it is" "$said" "*received signal SIGINT*"
ok "really" silent
ask detach
ok "gdb leaves: it answers" answers
ask "$to" 'hbreak *0x100' 'hbreak *0x200'
like "gdb comes back" "$said" "*0x*Hardware assisted breakpoint*Hardware assisted breakpoint*"
type_in continue
ok "with breakpoints it answers" answers
gdb_kill
ok "gdb is killed: it answers" answers
gdb_start
ask "$to"
gdb_kill
ok "killed while it holds the guest: it answers" answers

# --- steps by the line ---

# A guest whose second line takes a thousand instructions.
as -g -o "$T/lines.o" - <<'EOF'
	.globl _start
	.type _start, @function
_start:	mov $1000, %ecx
again:	loop again
	nop
	cli
	hlt
EOF
ld -static -N -Ttext=0x1000078 -o "$T/lines" "$T/lines.o"
boot lines "$T/lines" --gdb tcp:0 -S
until_true 10 listens lines
gdb_start "$T/lines"
ask "$(target lines)" 'step' 'p $rcx' 'set debug remote 1' 'step' 'set debug remote 0' 'p $rcx' 'info registers rip'
like "a step over a line is as many as it takes" "$said" "*= 1000*= 0*<again+2>*"
is "and one packet" "$(grep -c 'Sending packet: $vCont;[rs]' <<<"$said")" 1
ask 'set $rcx = 1000' 'set $pc = again' 'stepi' 'hbreak *again' 'step' 'p $rcx'
like "that ends at a breakpoint" "$said" "*Breakpoint*= 998*"
ask 'delete' 'set $rcx = -1' 'set debug remote 1'
type_in step
stepping() { (($(grep -c 'Sending packet: $vCont;r' "$T/gdb.out") > 1)); }
until_true 20 stepping
ctrl_c
gdb_says
like "and at Ctrl-C" "$said" "*SIGINT*"
ask kill
ended lines

# --- others ---

gdb_start
exec 7<>"/dev/tcp/127.0.0.1/$port"
ok "who connects and says nothing stops nothing" answers
ask "$to"
like "one client at a time" "$said" "*@(closed|disconnected)*"
exec 7>&-
head -c 300000 /dev/urandom >"/dev/tcp/127.0.0.1/$port" 2>/dev/null
perl -e 'print "\$m0,ffffffffffffffff#", "\$Z0,0,1#b8", "\$" . "G" x 100000, "#00", "}" x 1000, "\3" x 1000' \
	>"/dev/tcp/127.0.0.1/$port" 2>/dev/null
ok "nonsense harms nobody" answers
is "who does not begin like gdb is sent away" \
	"$(perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:'"$port"'") or die;
		print $s "POST / HTTP/1.1\r\n\r\n\$?#3f"; $s->read(my $answer, 10); print "answer $answer"')" "answer "
run_out=$("$RINGLET" guest:hello --gdb "tcp:$port" 2>&1)
is "a port in use is one sentence" "$? $run_out" \
	"35 ringlet: --gdb tcp:127.0.0.1:$port: the port is in use; choose another, or --gdb tcp:0 for one that is free"
# It may still be reading all that.
attached() { ask "$to" && [[ $said == *0x* ]]; }
until_true 10 attached
ask 'kill'
ended echo
like "kill ends the guest" "${status[echo]} $(<"$T/echo.err")" "0 *ringlet: the debugger ended the guest"

# --- a Unix socket ---

boot path guest:netecho -n $NET --gdb "unix:$T/s/gdb" -S
until_true 10 listens path
is "the line for a Unix socket" "$(target path)" "target remote $T/s/gdb"
is "only its owner may connect" "$(stat -c %a "$T/s/gdb")" 600
ask "$(target path)" 'detach'
until_true 20 up path
ok "-S, and let go by detach: it runs" answers
run_out=$("$RINGLET" guest:hello --gdb "unix:$T/s/gdb" 2>&1)
like "a socket in use is not taken away" "$? $run_out" "35 ringlet: --gdb unix:$T/s/gdb: Address already in use; *"
ask "$(target path)" 'monitor reset'
ended path
like "monitor reset" "${status[path]} $(<"$T/path.err")" "32 *ringlet: reset by ringlet ctl"
boot path guest:netecho -n $NET --gdb "unix:$T/s/gdb" -S
until_true 10 listens path
ask disconnect "$(target path)" 'monitor quit'
ended path
like "monitor quit" "${status[path]} $(<"$T/path.err")" "0 *ringlet: stopped by ringlet ctl"
boot again guest:hello --gdb "unix:$T/s/gdb"
ended again
is "one that was left behind is replaced" "${status[again]}" 0
run_out=$("$RINGLET" guest:hello -S 2>&1)
is "-S alone would be for ever" "$? $run_out" "35 ringlet: -S: without gdb nobody could start the guest; write -s -S"
type_in quit
