#!/bin/bash
# SPDX-License-Identifier: MIT
#
# gdb-linux.t - Debian's gdb and a stock Linux guest: a kernel that runs, idle
# and busy, its modules, single steps among interrupts, watchpoints, gdb that
# leaves, comes back and is killed; then another kernel from its first
# instruction on.
#
# Symbols: a Debian kernel's are in a package of their own, a gigabyte of it,
# and its System.map is empty.  The guest itself has them in /proc/kallsyms,
# where modules are, too.  Those that are asked for here are put into a copy
# of vmlinux, which has sections, so that they are functions and variables
# to gdb.  With nokaslr, which --gdb adds, they are where they are said to be.
. "$(dirname "$0")/lib.sh"
in_lab "$@"
. tests/gdb.sh
plan 31

symbols="startup_64|start_kernel|x86_64_start_kernel|kernel_init|schedule|linux_banner|jiffies_64"
symbols+="|__entry_text_start|__entry_text_end|virtnet_poll|net_rx_action"

# kernel_symbols MAP FILE: vmlinux with those symbols of the map.
kernel_symbols() {
	local -a add=()
	local address type name section start size
	while read -r address type name _; do
		while read -r section start size; do
			((0x$address >= 0x$start && 0x$address < 0x$start + 0x$size)) || continue
			add+=(--add-symbol "$name=$section:$((0x$address - 0x$start)),global$([[ $section != *text ]] || echo ,function)")
		done <<<"$sections"
	done <"$1"
	objcopy --only-keep-debug "${add[@]}" build/guest/cloud/vmlinux "$2"
}
sections=$(readelf -SW build/guest/cloud/vmlinux | sed 's/^ *\[ *[0-9]*\] *//' |
	awk '$1 ~ /^\.(text|init\.text|rodata|data)$/ { print $1, $3, $5 }')
address_of() { awk -v s="$1" '$3 == s { print $1; exit }' "$T/map"; }
answers() { ping -q -c 3 -i 0.2 -w 20 "${ip[one]}"; }
silent() { ! ping -q -c 1 -w 2 "${ip[one]}"; }

# --- a kernel that runs ---

boot_linux one cloud -c 2 --gdb tcp:0 -p quiet
guest one "grep -E ' ($symbols)(\$|[[:space:]])' /proc/kallsyms" >"$T/map"
kernel_symbols "$T/map" "$T/vmlinux"
gdb_start "$T/vmlinux"
to=$(target one)
ask "$to" 'info threads'
like "both processors are there" "$said" "*1*vCPU 0*2*vCPU 1*"
ok "the guest stands still" silent
ask 'p (char *)&linux_banner'
like "a symbol, and memory at it" "$said" "*Linux version 6.*"
ask 'thread 1' 'p/x $gs_base' 'thread 2' 'p/x $gs_base'
is "each has its own registers" "$(grep -o '= 0xffff[0-9a-f]*' <<<"$said" | sort -u | wc -l)" 2
ask 'thread 1' 'p/x $cr0' 'p/x $cr4 & 0x20' 'p/x $efer & 0xd01' 'p/x $cr3 != 0' 'p/x $k_gs_base < 0x800000000000'
like "the control registers are those of a kernel" "$(tr -s ' \n' ' ' <<<"$said")" "*= 0x8005003?*= 0x20*= 0xd01*= 0x1*= 0x1*"
ask 'p $xmm0.uint128' 'p $ymm1.v8_int32' 'p $mxcsr'
like "and there are those for numbers" "$said" "*= *= {*}*= *"
ask 'x/x 0xffff000000000000' 'x/x 0'
like "memory that is not there is an error, and no more" "$said" \
	"*Cannot access memory at address 0xffff000000000000*Cannot access memory at address 0x0*"
type_in continue
ok "let go, it answers" answers
ctrl_c
gdb_says
like "Ctrl-C in an idle guest" "$said" "*SIGINT*"
type_in continue
guest one 'for i in 1 2 3; do yes >/dev/null 2>&1 & done'
ctrl_c
gdb_says
like "Ctrl-C in a busy guest" "$said" "*SIGINT*"
type_in continue
guest one 'killall yes'
ctrl_c
gdb_says

# --- breakpoints, steps, what is watched ---

ping -i 0.1 "${ip[one]}" >/dev/null &
pinging=$!
running[$pinging]=ping
ask "break *0x$(address_of virtnet_poll)" 'break net_rx_action' 'continue' 'p (long)$pc - (long)&net_rx_action < 8' 'bt 2'
like "a breakpoint by name" "$said" "*Breakpoint 2, *net_rx_action*= 1*#1 *"
ask 'continue' "p \$pc == (void (*)())0x$(address_of virtnet_poll)"
like "and in a module" "$said" "*Breakpoint 1, *= 1*"
ask 'delete' 'set $entered = 0' 'set $i = 0' 'set $moved = 0' \
	'while $i < 100' 'set $old = $pc' 'stepi' \
	'if $pc >= (void (*)())&__entry_text_start && $pc < (void (*)())&__entry_text_end' 'set $entered = $entered + 1' 'end' \
	'set $moved = $moved + ($pc != $old)' 'set $i = $i + 1' 'end' \
	'printf "entered %d, moved %d\n", $entered, $moved > 90'
like "a hundred steps, none into an interrupt" "$said" "*entered 0, moved 1"
ask 'watch *(long *)&jiffies_64' 'continue'
like "a watchpoint: time goes by" "$said" "*Hardware watchpoint*Old value = +([0-9])*New value = +([0-9])*"
ask 'rwatch *(long *)&jiffies_64' 'delete' 'hbreak *0xffff000000000000' 'delete'
type_in continue
kill $pinging
wait $pinging 2>/dev/null
unset "running[$pinging]"
# The guest's own int3 is its own.
tiny_kernel "$T/trap" cc
is "a program's own breakpoint reaches it" "$(guest one "printf '$(od -An -v -tx1 "$T/trap" | tr -d '\n' | sed 's/ /\\x/g')' >/tmp/trap
	chmod +x /tmp/trap; /tmp/trap; echo \$?" | tail -1)" 133
is "and so do the kernel's, by which it patches itself" \
	"$(guest one 'for i in 1 0 1 0; do echo $i >/proc/sys/kernel/sched_schedstats || break; done; echo $i')" 0
ctrl_c
gdb_says

# --- the driver author's window ---

ask 'monitor vq'
like "the rings of a running virtio-net" "$said" \
	"*net: status 0xf *receive 0): event_idx, +([0-9]) entries*the driver's index *transmit 0): *"
ask 'monitor vq 0'
like "what it has there for frames to come" "$said" "*available +([0-9]): head +([0-9]), waiting*bytes, to write*"
ask 'monitor info mem' 'monitor irq' 'monitor net'
like "the kernel's pages, interrupts, the network" "$said" "*ffffffff81000000-* r?x-*line 5 *vCPU 1: *net rx: *"

# --- leaving ---

ask detach
ok "gdb leaves: it answers" answers
ask "$to" 'break schedule' 'p 1'
like "it comes back" "$said" "*Breakpoint * at *= 1*"
ask 'continue'
like "and stops it again" "$said" "*Breakpoint *schedule*"
ask 'delete' "break *0x$(address_of virtnet_poll)" 'hbreak start_kernel'
type_in continue
ping -q -c 1 -w 5 "${ip[one]}" >/dev/null
gdb_says
like "a frame stops it" "$said" "*Breakpoint *"
gdb_kill
ok "gdb is killed at a breakpoint: it answers" answers
is "it is as it was" "$(guest one 'echo alive')" alive
kill "${pid[one]}"
ended one

# --- from the first instruction on ---

boot_linux early cloud -c 2 --gdb "unix:$T/early" -S
until_true 10 listens early
gdb_start "$T/vmlinux"
ask "$(target early)" 'hbreak *((long)&startup_64 - 0xffffffff80000000)' 'continue' 'p/x $pc' 'p/x $cr3 != 0'
like "-S, then the kernel's first instruction, where it was loaded" "$said" "*= 0x1000000*= 0x1*"
ask 'delete' 'hbreak start_kernel' 'continue' 'bt 2'
like "early boot, by name, and who called" "$said" "*Breakpoint *start_kernel*#0 *start_kernel*#1 *"
ask 'delete' 'break kernel_init' 'continue'
like "and the next one" "$said" "*Breakpoint *kernel_init*"
# More than there are debug registers: int3, if KVM is told of it.
if [ "$WHERE" = lab ]; then
	skip "a breakpoint that is in memory" "QEMU's SVM does not intercept int3"
else
	ask 'delete' 'break *0x100' 'break *0x101' 'break *0x102' 'break *0x103' 'break schedule' 'continue' 'delete'
	like "a breakpoint that is in memory" "$said" "*Breakpoint *schedule*"
fi
ask 'detach'
is "let go, it boots" "$(guest early 'echo up')" up
like "and was told where to be" "$(guest early 'cat /proc/cmdline')" "*nokaslr*"
kill "${pid[early]}"
ended early
