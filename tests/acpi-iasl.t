#!/bin/bash
# SPDX-License-Identifier: MIT
#
# acpi-iasl.t - what ACPICA, the code that kernels use, says to our tables.
# Takes the tables from the test program (BUILD=DIR/tests/acpi --dump), for
# the smallest machine and for the largest, disassembles them with iasl and
# compiles them again.  Needs the package acpica-tools; no rights, no KVM.
#
# The compiler knows nothing of us, so what it makes of the disassembly has to
# be what we made: byte for byte, but for the header, which it signs itself.

set -u
program=${BUILD:-build}/tests/acpi
header=36

if [ ! -x "$program" ]; then
	echo "Bail out! $program is missing: make test-programs"
	exit 1
fi
if ! command -v iasl >/dev/null; then
	echo "Bail out! iasl is missing: apt-get install acpica-tools"
	exit 1
fi

program=$(realpath "$program")
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

n=0 failed=0

# ok CLAIM COMMAND...: what the command prints is shown if it fails.
ok() {
	local claim=$1 out
	shift
	n=$((n + 1))
	if out=$("$@" 2>&1); then
		echo "ok $n - $claim"
	else
		failed=1
		echo "not ok $n - $claim"
		echo "$out" | sed 's/^/# /' | head -40
	fi
}

# complains TABLE: iasl fails, or has anything to say but what it is doing.
complains() {
	local said
	said=$(iasl -d "$1.dat" 2>&1) || { echo "$said"; return 0; }
	{ echo "$said"; cat "$1.dsl"; } |
		grep -iE 'warning|error|invalid|unknown|incorrect|illegal|not valid|\*\*\*\*'
}

is_clean() {
	! complains "$1"
}

compiles() {
	local said
	if ! said=$(iasl "$1.dsl" 2>&1) || [[ $said != *" 0 Errors, 0 Warnings, 0 Remarks"* ]]; then
		echo "$said"
		return 1
	fi
}

same_bytes() {
	cmp -i "$header" "$1.dat" "$1.aml"
}

has() {
	tr -s ' ' <"$1.dsl" | grep -F -- "$2" || { echo "nowhere: $2"; return 1; }
}

virtio_devices() {
	local count
	count=$(grep -c 'Name (_HID, "LNRO0005")' dsdt.dsl)
	[ "$count" -eq "$1" ] || { echo "$count devices, not $1"; return 1; }
}

echo 1..32
for machine in "1 0" "32 8"; do
	# shellcheck disable=SC2086  # two words are meant
	set -- $machine
	what="$1 processor(s), $2 device(s)"
	rm -f ./*
	ok "$what: the tables can be dumped" "$program" --dump . "$1" "$2"
	for t in xsdt facp apic dsdt; do
		ok "$what: iasl has nothing to say to the $t" is_clean $t
		ok "$what: its disassembly of the $t compiles without a remark" compiles $t
		ok "$what: the compiled $t is the one we made" same_bytes $t
	done
	ok "$what: the dsdt has as many virtio devices" virtio_devices "$2"
done

ok "the FADT is hardware-reduced" has facp "Hardware Reduced (V5) : 1"
ok "the last device has its window" has dsdt "0xD000EFA0"

# The judge itself: a table with one wrong byte must not pass.
cp apic.dat wrong.dat
printf '\xff' | dd of=wrong.dat bs=1 seek=9 conv=notrunc status=none
ok "a wrong checksum would have been noticed" complains wrong
head -c 300 dsdt.dat >wrong.dat
ok "a table cut short would have been noticed" complains wrong

exit $failed
