#!/bin/bash
# SPDX-License-Identifier: MIT
#
# probe.t - 'ringlet probe' on hosts from which something was taken: the row that
# is about it says so and what helps, no other row changes, and nothing stays
# behind.
. "$(dirname "$0")/lib.sh"
in_sandbox "$@"
plan 29

ringlet=$T/ringlet # where an ordinary user may run it, too
cp "$RINGLET" "$ringlet"
mkdir "$T/empty"
cd "$T/empty" || exit 1
PATH=/usr/bin:/bin:/usr/sbin:/sbin

interfaces() { ip -o link | sed 's/^[0-9]*: //; s/: .*//' | sort | tr '\n' ' '; }

# probe COMMAND...: that, and 'ringlet probe' behind it; $status, $T/table
probe() {
	"$@" timeout 30 "$ringlet" probe </dev/null >"$T/table" 2>"$T/err"
	status=$?
	[ ! -s "$T/err" ] || diag "said: $(<"$T/err")"
}
# row NAME: "STATE FOUND", and "; ADVICE" if there is any
row() {
	awk -v name="$1" '
		index($0, name) == 1 { inside = 1; $0 = substr($0, 19); sub(/ +/, " "); printf "%s", $0; next }
		inside && /^ / { sub(/^ +/, "; "); printf "%s", $0 }
		{ inside = 0 }' "$T/table"
}
# others NAME...: the states of all rows but these
others() {
	local name text
	text=$(sed '/^$/,$d; /^ /d; s/^\(.\{17\}\) \([^ ]*\).*/\1 \2/; s/  */ /g' "$T/table")
	for name; do text=$(grep -v "^$name" <<<"$text"); done
	tr '\n' ';' <<<"$text"
}

# What kind this one is, nobody here knows better than the modules.
software=1
[ ! -e /sys/module/kvm_intel ] && [ ! -e /sys/module/kvm_amd ] || software=0

# --- as it is ---

before=$(interfaces)
probe env
is "there is a row for everything" "$(others | sed 's/ [^ ;]*;/;/g')" \
	"/dev/kvm;KVM capabilities;kind of KVM;taps;tap offloads;io_uring;user namespaces;hugepages;passt;busybox-static;kernel;"
is "its status and its last line say whether a Linux guest can run" "$status $(tail -n 1 "$T/table")" \
	"$software $( ((software)) && echo No || echo A) Linux guest can run here."
if ((software)); then
	like "the kind of KVM was measured: it is a software one, and what to do" "$(row "kind of KVM")" \
		"NO software (*): +([0-9]).+([0-9]) million instructions/s, +([0-9]).+([0-9]) us to ringlet and back; *the lab*"
else
	like "the kind of KVM was measured: it is real" "$(row "kind of KVM")" \
		"ok @(hardware|nested) (kvm_*): +([0-9]) million instructions/s, +([0-9]).+([0-9]) us to ringlet and back"
fi
is "/dev/kvm is fine" "$(row /dev/kvm)" "ok may be read and written, and makes guests"
like "its capabilities are" "$(row "KVM cap")" "@(ok|warn) all that are needed*"
is "root may make taps" "$(row taps)" "ok may be made"
like "what taps can do was tried" "$(row "tap off")" "@(ok|warn) headers, checksums, TCP segmentation*"
all=$(others)
is "no interface was made or taken here" "$(interfaces)" "$before"
is "nor any file" "$(ls -A)" ""
"$ringlet" probe --json >"$T/json" 2>&1
is "--json says the same" "$? $(perl -MJSON::PP -0777 -ne '
	my $j = decode_json($_);
	my %state = ("no" => "NO", "unknown" => "-");
	print $j->{linux} ? "A" : "No", " ";
	print "$_->{name} ", $state{$_->{state}} // $_->{state}, ";" for @{ $j->{rows} }' "$T/json")" \
	"$software $( ((software)) && echo No || echo A) $all"
"$ringlet" probe --jsno >"$T/out" 2>"$T/err"
is "it has no other option" "$? $(<"$T/out")$(<"$T/err")" "35 ringlet: probe: '--jsno': it takes nothing but --json"

"$ringlet" --json >"$T/out" 2>"$T/err"
is "which a run has not" "$? $(<"$T/out")$(<"$T/err")" "35 ringlet: --json is for another thing: 'ringlet probe --json'"

# --- KVM ---

probe with_dev "tun=666"
is "no /dev/kvm" "$status $(row /dev/kvm)" \
	"1 NO there is no /dev/kvm; switch virtualisation on in the firmware and load kvm_intel or kvm_amd; in a virtual machine, have nesting enabled"
is "of which nothing more is asked then" "$(row "KVM cap") $(row "kind of KVM")" "- not looked at - not looked at"
probe with_dev "kvm=600 tun=666" "${NOBODY[@]}"
is "no right to /dev/kvm" "$status $(row /dev/kvm)" \
	"1 NO no right to open /dev/kvm; run as root, or join its group (usually: adduser \$USER kvm)"
probe unshare -m sh -c 'mount --bind /dev/null /dev/kvm && exec "$@"' -
like "something else in its place" "$status $(row /dev/kvm)" "1 NO /dev/kvm is not KVM's device; *"

# --- the network ---

probe with_dev "kvm=666"
like "no /dev/net/tun, without which a guest can still run" "$status $(row taps)" \
	"$software warn /dev/net/tun cannot be opened: No such file or directory; modprobe tun; *"
probe with_dev "kvm=666 tun=600" "${NOBODY[@]}"
like "no right to it" "$status $(row taps)" "$software warn /dev/net/tun cannot be opened: Permission denied; *"
probe with_dev "kvm=666 tun=666" "${NOBODY[@]}"
like "an ordinary user is told how to have a tap made" "$status $(row taps)" \
	"$software warn may be used, not made; have one made: ip tuntap add mode tap *"
# A user namespace without room for others: as where they are forbidden.
# shellcheck disable=SC2016 # for the inner shell
probe unshare -U -r sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' -
like "no user namespaces, and the setting to change" "$(row "user name")" \
	"warn not for ordinary users: *; sysctl user.max_user_namespaces=10000"

# --- io_uring ---

probe no_uring
is "no io_uring" "$status $(row io_uring)" \
	"$software warn cannot be set up: Operation not permitted; a container's filter may forbid it; else io=poll is taken"
is "all else is as it was" "$(others io_uring)" "${all/io_uring ok;}"
echo 2 >"$T/disabled"
# shellcheck disable=SC2016
probe unshare -m bash -c 'mount --bind "$0" /proc/sys/kernel/io_uring_disabled && exec "$@"' "$T/disabled" \
	"$BASH" -c "$(declare -f no_uring); no_uring \"\$@\"" -
like "switched off by the setting to change" "$(row io_uring)" \
	"warn cannot be set up: Operation not permitted; sysctl kernel.io_uring_disabled=0 (it is 2); *"

# --- the rest ---

thp=/sys/kernel/mm/transparent_hugepage/enabled
if [ -e $thp ]; then
	echo "always madvise [never]" >"$T/never"
	# shellcheck disable=SC2016
	probe unshare -m sh -c 'mount --bind "$0" '$thp' && exec "$@"' "$T/never"
	is "no huge pages" "$(row huge)" "warn no transparent ones; echo madvise >$thp"
else
	skip "no huge pages" "this kernel knows none"
fi
mkdir "$T/bin" "$T/few" && ln -s "$(command -v timeout)" "$T/few"
for program in pasta busybox; do printf '#!/bin/sh\n' >"$T/bin/$program" && chmod 755 "$T/bin/$program"; done
probe env PATH="/nowhere:$T/bin:$PATH"
is "passt is looked for where programs are" "$(row passt)" "ok $T/bin/pasta"
is "so is busybox" "$(row busybox-static)" "ok $T/bin/busybox"
probe env PATH="$T/few"
like "of both it says what they are good for" "$(row passt)$(row busybox-static)" \
	"warn not installed; apt-get install passt, *warn not installed; apt-get install busybox-static, *"
tiny_kernel bzImage f4
probe env
is "a kernel is found where ringlet looks for one" "$(row kernel)" "ok ./bzImage"
echo "a text" >bzImage
probe env
like "and looked at" "$(row kernel)" "warn cannot boot './bzImage'; it is a text file; *"
rm bzImage
