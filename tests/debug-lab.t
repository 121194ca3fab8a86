#!/bin/bash
# SPDX-License-Identifier: MIT
#
# debug-lab.t - the same with Linux: it stands still and goes on, its memory
# can be read by gdb with no more than its symbols, it takes SysRq keys from
# outside, a panic is told by name wherever the kernel was put, one that is
# idle does not hang, and its driver notices a device that lies.
#
# In the lab the names come from a guest's own /proc/kallsyms.  The core of the
# one that panicked is opened here, by crash and gdb with all that the compiler had
# to say of that kernel: half a gigabyte, too much to read for an emulated processor.
. "$(dirname "$0")/lib.sh"
debug=(build/debug/vmlinux-*)
[ -e "${debug[0]}" ] || bail "${debug[0]} is missing: tests/deps check"

afterwards() {
	local offset crash=('sys' 'bt' 'task -R comm 0' 'p init_task.comm' 'ps' 'log')
	lz4 -dq "$LEFT/core.lz4" "$T/core"
	for i in "${!crash[@]}"; do echo "${crash[i]} > $T/crash.$i"; done >"$T/crash.in"
	echo quit >>"$T/crash.in"
	crash -s -i "$T/crash.in" "${debug[0]}" "$T/core" </dev/null >"$T/crash.out" 2>&1 || diag "$(<"$T/crash.out")"
	crash_said() { cat "$T/crash.$1" 2>&1; }
	like "crash opens the core, and knows what of" "$(crash_said 0)" \
		"*CPUS: 2*RELEASE: 6.1.*-cloud-amd64*PANIC: \"Kernel panic - not syncing: sysrq triggered crash\"*"
	like "and who panicked, all the way" "$(crash_said 1)" \
		"*COMMAND: \"sh\"*panic at *sysrq_handle_crash at *vfs_write at *entry_SYSCALL_64_after_hwframe at *"
	like "a task's name" "$(crash_said 2)" '*PID: 0 *comm = "swapper/0*'
	like "a variable" "$(crash_said 3)" '* = "swapper/0*'
	like "tasks, and that the one is on a processor" "$(crash_said 4)" "* RU * \[swapper/1\]*>+( )+([0-9]) * sh"
	like "the kernel's messages" "$(crash_said 5)" \
		"\[ *Linux version 6.1.*Kernel panic - not syncing: sysrq triggered crash*sysrq_handle_crash+0x*"

	offset=$(grep -a -o -m1 'KERNELOFFSET=[0-9a-f]*' "$T/core" | head -1)
	gdb -nx -q -batch -iex 'set auto-load off' -iex 'set debuginfod enabled off' -ex "core-file $T/core" \
		-ex "symbol-file -o 0x${offset#*=} ${debug[0]}" -ex 'p init_task.comm' -ex 'info threads' \
		-ex 'thread apply all bt' >"$T/gdb.out" 2>&1
	like "gdb, told where the kernel is, finds the same" "$(<"$T/gdb.out")" '*$1 = "swapper/0*'
	is "two processors" "$(grep -cE '^[* ] [12] +LWP' "$T/gdb.out")" 2
	like "and the way to the panic, from its registers" "$(<"$T/gdb.out")" \
		"* in panic (*sysrq triggered crash*sysrq_handle_crash (*vfs_write (*entry_SYSCALL_64*"
}
in_lab "$@"
. tests/traffic.sh
plan 22 9

export XDG_RUNTIME_DIR=$T/run
mkdir -m 711 "$XDG_RUNTIME_DIR"
chmod 777 "$T"
ctl() { "$RINGLET" ctl "$@" 2>&1 </dev/null; echo "$?"; }
address() { awk -v name="$1" '$3 == name { print "0x" $1; exit }' "$T/map"; }

kernel=vmlinux boot_linux web cloud --name web --watchdog 2 -m 256M -c 2 -p "quiet sysrq_always_enabled"
guest web "cat /proc/kallsyms" >"$T/map" || {
	diag "$(tail -c 300 "$T/map")" "$("$RINGLET" ctl web info 2>&1)"
	autopsy web
	bail "no guest, or not all of its symbols"
}
like "Linux answers, and has symbols" "$(address linux_banner)" "0xffffffff8*"
boot_linux lied cloud --name lied --symbols "$T/map" --dump-on-panic "$T/core" -m 256M -c 2 \
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

console_open lied || bail "the driver's guest is gone: $(tail -n 5 "$T/lied.err")"
echo "echo c >/proc/sysrq-trigger" >>"$T/lied.in"
ended lied 60
is "a panic: 34, and the last line says so" "${status[lied]} $(tail -1 "$T/lied.err")" "34 ringlet: the guest's kernel panicked"
like "with the way to it, by name" "$(<"$T/lied.err")" "*called from, as far as the stack tells:*panic+0x*sysrq_handle_crash+0x*"
like "and registers" "$(<"$T/lied.err")" "*vCPU 0: RIP 0010:ffffffff*+0x*, RFLAGS *RAX *code *"
lz4 -q <"$T/core" >"$LEFT/core.lz4" # which anybody may read, and is quicker to carry out
is "nothing but the core is left behind" "$(find "$XDG_RUNTIME_DIR" -name '*.sock')" ""
