#!/bin/bash
# SPDX-License-Identifier: MIT
#
# boot.t - unmodified Debian kernels in ringlet: they come up, find the network
# by ACPI alone, see the machine that was asked for and complain of nothing;
# and however they end, ringlet says how, in one line and an exit status.
#
# Kernels, formats, numbers of processors and sizes of memory are spread over
# few guests, so that each value occurs and not each combination.  Two guests
# run at a time.
. "$(dirname "$0")/lib.sh"
in_lab "$@"
plan 64

# What a kernel prints that is in trouble, and what one prints that has to
# find out how fast its clocks run by waiting.
TROUBLE='Call Trace|BUG:|WARNING: CPU|ACPI Error|ACPI BIOS Error|ACPI Warning|nobody cared|do_IRQ|No irq handler|Firmware Bug|unchecked MSR|spurious|soft lockup|rcu_.*detected stalls'
CALIBRATION='PIT calibration|using PIT|HPET calibration|Fast TSC calibration|PMTIMER|APIC timer calibration|Unable to calibrate'

# inspect NAME CPUS MEM(MiB) CMDLINE WHAT: the claims about a guest that is up.
inspect() {
	local name=$1 cpus=$2 mem=$3 cmdline=$4 what=$5 report=$T/$1.report
	local total ram irqs
	# shellcheck disable=SC2016 # for the guest's shell
	guest "$name" 'for f in cmdline meminfo iomem interrupts; do echo "== $f"; cat /proc/$f; done
		echo "== nproc"; nproc
		echo "== clock"; cat /sys/devices/system/clocksource/clocksource0/current_clocksource
		echo "== eth0"; readlink -f /sys/class/net/eth0/device; cat /sys/class/net/eth0/carrier
		echo "== dmesg"; dmesg; echo "== end"' >"$report"
	section() { sed -n "/^== $1\$/,/^== /{/^== /!p}" "$report"; }

	ok "$what: the guest is up and answers" grep -q "^== end" "$report"
	is "$what: its command line is ours, without a word about devices" "$(section cmdline)" "$cmdline"
	is "$what: it has $cpus processor(s)" "$(section nproc)" "$cpus"
	# All but the first page, and 0x9fc00 to 0x100000.
	ram=$(section iomem | sed -n 's/^\([0-9a-f]*\)-\([0-9a-f]*\) : System RAM/\1 \2/p' |
		{ sum=0; while read -r a b; do sum=$((sum + 16#$b - 16#$a + 1)); done; echo $sum; })
	is "$what: it sees $mem MiB of memory, to the byte" "$ram" $((mem * 1024 * 1024 - 0x61400))
	total=$(section meminfo | awk '/^MemTotal/ { print $2 }')
	holds "$what: and can use nearly all of it" "total * 100 > mem * 1024 * 80 && total <= mem * 1024" "MemTotal $total"
	like "$what: its clock is kvm-clock or the TSC" "$(section clock)" "@(kvm-clock|tsc)"
	section dmesg >"$T/dmesg"
	ok "$what: the timer is the TSC deadline" grep -q "TSC deadline timer available" "$T/dmesg"
	ok "$what: the delay loop is preset" grep -q "Calibrating delay loop (skipped)" "$T/dmesg"
	is "$what: nothing is calibrated by waiting" "$(grep -E "$CALIBRATION" "$T/dmesg")" ""
	is "$what: the kernel complains of nothing" "$(grep -iE "$TROUBLE" "$T/dmesg")" ""
	like "$what: eth0 is the virtio device that ACPI tells of, with its link up" "$(section eth0)" \
		"/sys/devices/*/LNRO0005:00/virtio0"$'\n'1
	irqs=$(section interrupts | awk '/ (4|5)-edge / { n = 0; for (i = 2; i < NF && $i ~ /^[0-9]+$/; i++) n += $i; print $NF, (n > 0) }' | sort | tr '\n' ' ')
	is "$what: the serial port and the network interrupt on their lines" "$irqs" "ttyS0 1 virtio0 1 "
	is "$what: and nothing on others" "$(section interrupts | awk '/IO-APIC/ && !/ (4|5)-edge /')" ""
}

# types NAME COMMAND: into the guest's console, as a user would.
types() { echo "$2" >>"$T/$1.in"; }

diag "where: $WHERE"

# --- two at a time ---

boot_linux a cloud -m 256M
boot_linux b generic -m 256M -c 2 -p "quiet reboot=t"
diag "$(since "$started") s"
inspect a 1 256 "console=ttyS0 panic=-1 reboot=acpi ip=10.0.1.2::10.0.1.1:255.255.255.0::eth0:off" \
	"6.1 cloud bzImage, 1 vCPU, 256 MiB"
diag "$(since "$started") s"
inspect b 2 256 "console=ttyS0 panic=-1 reboot=acpi ip=10.0.2.2::10.0.2.1:255.255.255.0::eth0:off quiet reboot=t" \
	"6.1 generic bzImage, 2 vCPUs, 256 MiB"
diag "$(since "$started") s"
types a "poweroff -f"
ends "power off: 0" a 0 "the guest powered off"
types b "reboot -f"
ends "reboot by triple fault: 33" b 33 "triple fault on vCPU [01]"

kernel=vmlinux boot_linux c cloud -m 5G -c 2 -p quiet
newest=lab
[ ! -L build/kernels/lab ] || newest=generic
boot_linux d "$newest" -m 5G -p "quiet reboot=bios"
inspect c 2 5120 "console=ttyS0 panic=-1 reboot=acpi ip=10.0.3.2::10.0.3.1:255.255.255.0::eth0:off quiet" \
	"6.1 cloud vmlinux, 2 vCPUs, 5 GiB"
inspect d 1 5120 "console=ttyS0 panic=-1 reboot=acpi ip=10.0.4.2::10.0.4.1:255.255.255.0::eth0:off quiet reboot=bios" \
	"$(basename build/kernels/$newest/lib/modules/* | cut -d. -f1,2) bzImage, 1 vCPU, 5 GiB"
diag "$(since "$started") s"
types c "echo c >/proc/sysrq-trigger"
ends "crash by sysrq: 34" c 34 "the guest's kernel panicked"
types d "reboot -f"
ends "reboot from real mode: 32" d 32 "the guest reset the machine*"

# --- without an initrd there is nothing to run: the kernel panics ---

# All of their start is before them: they have more time to end than the others.
# No console needed for the first one: init's job is one that fails, and to reboot.
boot h -m 128M -k build/guest/cloud/vmlinux -i build/guest/cloud/initrd \
	-p "quiet reboot=k job=$(base64 -w 0 <<<"agent job $(base64 <<<"exit 7"); reboot -f")"
boot e -m 128M -k build/guest/cloud/vmlinux -p quiet
boot f -m 128M -k build/guest/cloud/vmlinux -p "quiet panic=0"
ends "a panic that resets: 34" e 34 "the guest's kernel panicked" 120
ok "its message has come out" grep -q "Kernel panic - not syncing: VFS" "$T/e.out"
ends "a panic that stays, with panic=0: 34" f 34 "the guest's kernel panicked" 120
ok "its message has come out to the end" grep -q "end Kernel panic - not syncing: VFS" "$T/f.out"

ends "a reboot by the keyboard controller: 32" h 32 "the guest reset the machine (keyboard controller)" 120

like "a job's status is told, and what was counted of the network" "$(tr -d '\r' <"$T/h.out")" \
	"*agent: job ended with status 7"$'\n'"interrupts 0"$'\n'"packets 0"*

boot g -m 128M -k build/guest/cloud/vmlinux -i build/guest/cloud/initrd -p quiet --timeout 2
ends "a guest that takes too long: 36" g 36 "the guest was still running after 2 s"
ok "a stock kernel tells of its start-up without being asked" grep -q "Linux version 6" "$T/a.out"
