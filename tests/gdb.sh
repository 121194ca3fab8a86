# SPDX-License-Identifier: MIT
#
# gdb.sh - a conversation with Debian's gdb, on top of lib.sh: it reads
# commands from a pipe, and what it says to each is asked for by a mark behind.

gdb_pid= gdb_marks=0

# gdb_start [FILE]: a gdb, with the symbols of that file.
gdb_start() {
	rm -f "$T"/gdb.{in,out}
	mkfifo "$T/gdb.in"
	# Its own group: Ctrl-C is for it alone.  A shell's background job would ignore it.
	setsid perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' gdb -nx -q -iex 'set pagination off' -iex 'set confirm off' \
		-iex 'set auto-load off' -iex 'set debuginfod enabled off' "$@" \
		<>"$T/gdb.in" >"$T/gdb.out" 2>&1 &
	gdb_pid=$!
	running[$gdb_pid]=gdb
	disown # what it dies of is our business
	type_in "echo mark-$gdb_marks\n"
}

# type COMMAND: and wait for nothing.
type_in() { printf '%s\n' "$1" >>"$T/gdb.in"; }

# gdb_says [SECS]: what it said since it was last asked, in $said, when it has
# done all that was typed.
gdb_says() {
	local last=mark-$gdb_marks
	gdb_marks=$((gdb_marks + 1))
	printf 'echo mark-%d\\n\n' $gdb_marks >>"$T/gdb.in"
	marked() { says "$T/gdb.out" "mark-$gdb_marks\$" || gone "$gdb_pid"; }
	until_true "${1:-60}" marked || diag "gdb does not come back"
	said=$(sed 's/^\((gdb) \)*//' "$T/gdb.out" | sed -n "/^$last\$/,/^mark-$gdb_marks\$/{/^mark-/!p}")
}

# ask COMMAND...: what it says to these, in $said.
ask() {
	local command
	for command; do type_in "$command"; done
	gdb_says
}

ctrl_c() { kill -INT "$gdb_pid"; }

gdb_kill() {
	kill -9 "$gdb_pid"
	until_true 10 gone "$gdb_pid"
	unset "running[$gdb_pid]"
}

# What ringlet said that gdb is to be told, and the port in it.
target() { sed -n 's/^ringlet: gdb: \(target remote .*\)/\1/p' "$T/$1.err"; }
listens() { says "$T/$1.err" "target remote" || gone "${pid[$1]}"; }
