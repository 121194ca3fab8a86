#!/bin/bash
# SPDX-License-Identifier: MIT
#
# debug.t - what is said of guests that crash, panic or hang, and what is left
# of them; of those that only look like it nothing is said.  The guests are a
# few instructions each, so that it is known what must be said.
. "$(dirname "$0")/lib.sh"
in_sandbox "$@"
plan 26

R=(timeout -k 1 20 "$RINGLET")
export XDG_RUNTIME_DIR=$T/run
mkdir -m 711 "$XDG_RUNTIME_DIR"
# Code begins at 0x1000078.
HALT=f4ebfd PANIC=66ba0505b001ee RESET=66ba0206b001ee
LETTER=66baf803b041eeb00aee # "A" and a line feed to the serial port
RAX=48c7c078563412 # mov rax, 0x12345678
tiny_kernel "$T/crash" "${LETTER}${RAX}0f011d000100000f0b" # an empty interrupt table, ud2
tiny_kernel "$T/panic" "$PANIC$RESET$HALT"
tiny_kernel "$T/spin" "faebfe"
tiny_kernel "$T/busy" "fbebfe"
tiny_kernel "$T/dead" "fa$HALT"
tiny_kernel "$T/idle" "fb$HALT"
tiny_kernel "$T/polls" "fa66bafd03ecebfd" # the serial port's status, for ever
printf '0000000001000078 T start\n00000000ffffffff T end\n' >"$T/map"

run() {
	"$@" </dev/null >"$T/out" 2>"$T/err"
	status=$?
	err=$(<"$T/err")
}
last() { echo "$status ${err##*$'\n'}"; }
lines() { grep -c "$1" "$T/err"; }

# --- crashes and panics ---

run "${R[@]}" --symbols "$T/map" "$T/crash"
is "a crash: the last line says so" "$(last)" "33 ringlet: triple fault on vCPU 0"
like "first comes what the guest said last" "$err" "A"$'\n'"vCPU 0: *"
like "registers, with the function's name" "$err" "*vCPU 0: RIP 0010:*, interrupts off*  RAX 0000000012345678 RBX *  code * <??> *"
if [ -e /sys/module/kvm_amd ]; then
	skip "where it was" "AMD's processors are reset by the fault"
else
	like "where it was" "$err" "*RIP 0010:0000000001000090 start+0x18, *<0f> 0b*"
fi
"${R[@]}" "$T/crash" >"$T/both" 2>&1 </dev/null
is "what is said on the same terminal is not said again" "$(grep -c '^A' "$T/both")" 1
run "${R[@]}" "$T/panic"
is "a panic: the last line says so" "$(last)" "34 ringlet: the guest's kernel panicked"
like "and the registers are before it" "$err" "vCPU 0: RIP 0010:000000000100008*"
run "${R[@]}" guest:netecho
is "one of ringlet's own guests says what is wrong, and needs no registers" "$(lines .)" 1
run "${R[@]}" --timeout 1 "$T/idle"
is "nor does one that is ended" "$(lines .)" 1
run "${R[@]}" --symbols "$T/crash" "$T/crash"
like "symbols that there are not are refused" "$status $err" "35 ringlet: --symbols */crash: it has none, *"
run "${R[@]}" --symbols /dev/null "$T/crash"
like "as is what cannot have any" "$status $err" "35 ringlet: --symbols /dev/null: not a file with something in it; *"

# --- dumps ---

chmod 777 "$T"
run "${R[@]}" --dump-on-panic "$T/core" "$T/panic"
is "--dump-on-panic says where the dump is" "$status $(grep core "$T/err")" "34 ringlet: the guest's memory is in $T/core"
is "still the last line says why" "$(last)" "34 ringlet: the guest's kernel panicked"
rip=$(sed -n 's/^vCPU 0: RIP 0010:0*\([0-9a-f]*\),.*/0x\1/p' "$T/err")
like "gdb reads it: that very instruction" "$(gdb -q -batch -ex "core-file $T/core" -ex 'x/1i $rip' 2>&1)" "*=> $rip:*hlt*"
# A panic, and much that happens before the reset: mov ecx, 1 << 17; pause; loop
tiny_kernel "$T/later" "${PANIC}b900000200f390e2fc$RESET$HALT"
run "${R[@]}" --dump-on-panic "$T/later.core" "$T/later"
like "registers and memory in it are of the same moment, the end" \
	"$status $(gdb -q -batch -ex "core-file $T/later.core" -ex 'p $rcx' 2>&1)" '34 *$1 = 0'
run "${R[@]}" --dump-on-panic "$T/core2" --timeout 1 "$T/idle"
is "without a panic there is none" "$status $(find "$T" -maxdepth 1 -name core2)" "36 "
run "${R[@]}" --dump-on-panic "$T/nowhere/core" "$T/panic"
is "where it cannot be, it is refused at once" "$status $err" \
	"35 ringlet: --dump-on-panic $T/nowhere/core: cannot make it: No such file or directory"
run "${R[@]}" --dump-on-panic "$T/core3" --sock "$T/nowhere/x" "$T/panic"
is "without a guest there is none either" "$status $(find "$T" -maxdepth 1 -name core3)" "35 "
mkdir "$T/small" && mount -t tmpfs -o size=8k,mode=777 none "$T/small"
run "${R[@]}" --dump-on-panic "$T/small/core" "$T/panic"
is "a full disk is said, and leaves nothing" "$(grep -c "small/core: cannot write the dump: No space left" "$T/err") $(ls "$T/small") $(last)" \
	"1  34 ringlet: the guest's kernel panicked"
umount "$T/small"

# --- hangs ---

run "${R[@]}" --watchdog 1:end --symbols "$T/map" "$T/spin"
is "a guest that spins with interrupts off is ended: 37" "$(last)" \
	"37 ringlet: the guest hangs: vCPU 0 has spun at 0x1000079 with interrupts off for 1 s"
like "and where, by name" "$err" "vCPU 0: RIP 0010:0000000001000079 start+0x1, *"
run "${R[@]}" --watchdog 1:end "$T/dead"
is "so is one that halted with interrupts off, which nothing can wake" "$(last)" \
	"37 ringlet: the guest hangs: every processor has halted with interrupts off"
boot spin --watchdog 1 "$T/spin"
ok "without 'end' it is told" until_true 20 says "$T/spin.err" "the guest hangs: vCPU 0"
for kind in busy idle polls; do boot $kind --watchdog 1:end "$T/$kind"; done
# One that is given twice the time, and begins it now, is the clock.
boot clock --watchdog 2:end "$T/spin"
ended clock
alive=
for kind in spin busy idle polls; do
	gone "${pid[$kind]}" || alive+="$kind "
	kill "${pid[$kind]}"
	ended $kind
done
is "and goes on, as do those that are busy, idle or poll a device" "$alive" "spin busy idle polls "
is "it was told once" "$(grep -c "the guest hangs" "$T/spin.err")" 1
is "of the others nothing was" "$(cat "$T"/{busy,idle,polls}.err | sort -u)" "ringlet: ended by signal 15 (Terminated)"
