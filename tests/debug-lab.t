#!/bin/bash
# SPDX-License-Identifier: MIT
#
# debug-lab.t - the same with Linux: it stands still and goes on, its memory
# can be read by gdb with no more than its symbols, it takes SysRq keys from
# outside, a panic is told by name wherever the kernel was put, one that is
# idle does not hang, and its driver notices a device that lies.
#
# The names come from a guest's own /proc/kallsyms: the package with a vmlinux
# for crash(8) is 300 MB, too much for a test.  What crash looks for in a core is
# in core.c.
. "$(dirname "$0")/lib.sh"
in_lab "$@"
. tests/traffic.sh
plan 24

export XDG_RUNTIME_DIR=$T/run
mkdir -m 711 "$XDG_RUNTIME_DIR"
chmod 777 "$T"
ctl() { "$RINGLET" ctl "$@" 2>&1 </dev/null; echo "$?"; }
address() { awk -v name="$1" '$3 == name { print "0x" $1; exit }' "$T/map"; }

kernel=vmlinux boot_linux web cloud --name web --watchdog 2 -m 256M -c 2 -p "quiet sysrq_always_enabled"
guest web "cat /proc/kallsyms" >"$T/map"
like "Linux answers, and has symbols" "$(address linux_banner)" "0xffffffff8*"
boot_linux lied cloud --name lied --symbols "$T/map" --dump-on-panic "$T/core" -m 256M \
	--chaos badid:0.2,seed:3 -p "quiet sysrq_always_enabled"

# --- standing still ---

is "pause" "$(ctl web pause)" "paused"$'\n'0
ok "no ping is answered" eval '! ping -q -c 3 -i 0.2 -W 1 "${ip[web]}" >/dev/null'
sleep 3 # longer than the watchdog's time
is "resume" "$(ctl web resume)" "running"$'\n'0
ok "they are again" until_true 20 ping -q -c 1 -W 1 "${ip[web]}"

# --- memory ---

like "it is dumped while it runs" "$("$RINGLET" dump web "$T/live" 2>&1)" "256 MiB, *"
ok "and goes on" ping -q -c 1 -W 5 "${ip[web]}"
in_core() { gdb -q -batch -ex "core-file $1" -ex "$2" 2>&1 | tail -1; }
like "gdb finds its banner where its text is mapped" "$(in_core "$T/live" "x/s $(address linux_banner)")" "*Linux version 6.1.*"
is "and two processors" "$(gdb -q -batch -ex "core-file $T/live" -ex 'info threads' 2>&1 | grep -cE '^[* ] +[12] +')" 2
is "Linux's description of itself is in it" "$(grep -a -o -m1 'OSRELEASE=6[0-9.-]*-cloud-amd64' "$T/live" | head -1)" \
	"OSRELEASE=$(guest web 'uname -r')"

# --- SysRq ---

is "SysRq h goes out" "$(ctl web sysrq h)" "a break and 'h' on the serial line"$'\n'0
ok "and is heard" until_true 20 says "$T/web.out" "sysrq: HELP"
is "an NMI, for one processor" "$(ctl web nmi 1)" "an NMI for processor 1"$'\n'0
ok "is noticed by the kernel" until_true 20 says "$T/web.out" "NMI"
is "a guest that was idle, busy or paused did not hang" "$(<"$T/web.err")" ""
ctl web sysrq o >/dev/null
ends "SysRq o has it power off" web 0 "the guest powered off"

# --- a device that lies ---

ok "the driver says what it thinks of that" until_true 90 eval \
	'ping -q -c 1 -W 1 "${ip[lied]}" >/dev/null; says "$T/lied.out" "is not a head!\|out of range"'
like "it was said at the start that it does" "$(<"$T/lied.err")" \
	"ringlet: --chaos: the network device lies to its driver on purpose, seed 3"

# --- a panic ---

console_open lied
ctl lied sysrq c >/dev/null
ended lied 60
is "a panic: 34, and the last line says so" "${status[lied]} $(tail -1 "$T/lied.err")" "34 ringlet: the guest's kernel panicked"
like "with the way to it, by name" "$(<"$T/lied.err")" "*called from, as far as the stack tells:*panic+0x*sysrq_handle_crash+0x*"
like "and registers" "$(<"$T/lied.err")" "*vCPU 0: RIP 0010:ffffffff*+0x*, RFLAGS *RAX *code *"
offset=$(sed -n 's/.*Kernel Offset: \(0x[0-9a-f]*\) from.*/\1/p' "$T/lied.out" | tr -d '\r')
diag "the kernel was moved by ${offset:-nothing}"
like "its memory was kept, wherever the kernel was" \
	"$(in_core "$T/core" "x/s $(address linux_banner) + ${offset:-0}")" "*Linux version 6.1.*"
like "the stack of the processor that panicked is in it" "$(in_core "$T/core" 'x/2gx $rsp')" "0xffff*:*0x*"
is "nothing but the core is left behind" "$(find "$XDG_RUNTIME_DIR" -name '*.sock')" ""
