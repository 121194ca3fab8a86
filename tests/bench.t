#!/bin/bash
# SPDX-License-Identifier: MIT
#
# bench.t - what the benches do with their samples: medians, ratios, intervals,
# comparisons, JSON; all of it against files of which the answer is known by
# hand.  And that a figure which was not measured is never one: it ends the
# bench.  Boots nothing; the device alone moves some frames through a tap.
. "$(dirname "$0")/lib.sh"
in_sandbox "$@"
plan 60

TAB=$'\t'

# samples FILE [PLUS]: two columns of five rounds, known by heart; PLUS is added
# to every sample of the second.
samples() {
	local r
	{
		echo "# bench     known, 2026-01-01 00:00 UTC"
		echo "# host      Linux 6.1, a processor"
		echo "# command   it: ringlet --with \"quotes\" & <angles>"
		printf 'column\tqemu\tQEMU\ncolumn\tringlet\tringlet\nbaseline\tqemu\n'
		printf 'group\tTCP\nrow\trate\thigh\tMbit/s\nrow\tirqs\tlow\tinterrupts\nrow\tcount\t-\tpackets\n'
		for r in 1 2 3 4 5; do
			printf 'sample\t%d\tqemu\trate\t%d\nsample\t%d\tringlet\trate\t%d\n' $r $((100 * r)) $r $((200 * r + ${2:-0}))
			printf 'sample\t%d\tqemu\tirqs\t%d\nsample\t%d\tringlet\tirqs\t%d\n' $r 4 $r $((r + ${2:-0}))
			printf 'sample\t%d\tqemu\tcount\t%d\nsample\t%d\tringlet\tcount\t%d\n' $r 7 $r 7
		done
		printf 'reference\t2009\tringlet\tirqs\t0.25\n'
	} >"$1"
}
mkdir "$T/a" "$T/b" "$T/c"
samples "$T/a/known.tsv"
samples "$T/b/known.tsv" 2000
cp "$T/a/known.tsv" "$T/c/"

# --- the table ---

table=$(bench/table "$T/a/known.tsv")
like "the table has medians" "$table" "*median of 5 rounds*QEMU*ringlet*Mbit/s*300.0*600.0*interrupts*4.000*3.000*"
like "ratios are taken within rounds: 2 in each" "$table" "*ratio to QEMU (94 % sure)*Mbit/s*2.00 (2.00 to 2.00)*"
like "and their interval is that of the sign test: 1/4 to 5/4" "$table" "*interrupts*0.75 (0.25 to 1.25)*"
like "what others found stands below" "$table" "*2009, ratio to its own*interrupts*0.25*"
unlike "and only where they found something" "${table#*2009, ratio}" "*Mbit/s*"
like "ringlet is not called worse where it is not" "$table" "*ringlet is worse than QEMU in nothing that was measured.*"
sed -i 's/^row\trate\thigh/row\trate\tlow/' "$T/b/known.tsv"
like "and is where it is" "$(bench/table "$T/b/known.tsv")" "*ringlet is worse than QEMU in:*TCP, Mbit/s: 8.67 times*"
samples "$T/b/known.tsv" 2000

interval() { perl -Ibench -MSamples -e 'printf "%g %g %.4f", Samples::interval(@ARGV)' "$@"; }
is "three values: lowest to highest, 3 in 4" "$(interval 3 1 2)" "1 3 0.7500"
is "one value says nothing of the median" "$(interval 5)" "5 5 0.0000"
is "nine values: the second to the eighth" "$(interval 9 8 7 6 5 4 3 2 1)" "2 8 0.9609"
chance() { perl -Ibench -MSamples -e 'printf "%.5f", Samples::chance([ split / /, $ARGV[0] ], [ split / /, $ARGV[1] ])' "$@"; }
is "three below three: 2 of 20 ways" "$(chance "1 2 3" "4 5 6")" 0.10000
is "four below four: 2 of 70 ways" "$(chance "1 2 3 4" "5 6 7 8")" 0.02857
is "a value too far in: 4 of 70" "$(chance "1 2 3 5" "4 6 7 8")" 0.05714
is "the order does not matter" "$(chance "7 5 8 6" "2 1 4 3")" 0.02857
is "the same values: certain" "$(chance "1 1 1" "1 1 1")" 1.00000
is "ties share a rank: 1 2 2 and 2 3 4 is 6 of 20" "$(chance "1 2 2" "2 3 4")" 0.30000
long=$(chance "$(seq -s ' ' 1 12)" "$(seq -s ' ' 13 24)")
ok "many values: next to nothing, by the normal curve" perl -e 'exit !($ARGV[0] > 0 && $ARGV[0] < 0.0001)' "$long"
is "and no difference is none" "$(chance "$(seq -s ' ' 1 2 40)" "$(seq -s ' ' 2 2 40)" | cut -c1-4)" 0.79

# --- a comparison ---

said=$(bench/compare "$T/a" "$T/c")
is "a run compared with itself: nothing is worse" $? 0
like "and nothing differs" "$said" "*6 figures compared: 0 worse, 0 better, 0 different*"
said=$(bench/compare "$T/a" "$T/b")
is "a run that got worse: status 1" $? 1
like "the interrupts are named, with both medians" "$said" "*worse:*known: ringlet, TCP, interrupts: 3.000 -> 2003*"
like "the rate is better" "$said" "*better:*known: ringlet, TCP, Mbit/s: 600.0 -> 2600*"
unlike "and QEMU's, the same, is not named" "$said" "*known: QEMU*"
bench/compare "$T/b" "$T/a" >"$T/said"
is "the other way round the rate is worse: status 1" $? 1
like "and says so" "$(<"$T/said")" "*worse:*Mbit/s: 2600 -> 600.0*"
said=$(bench/compare --ratios "$T/a" "$T/b")
is "by ratios: worse too" $? 1
like "and without the baseline, which has none" "$said" "*3 figures compared*"
bench/compare --least 99.95 "$T/a/known.tsv" "$T/b/known.tsv" >/dev/null
is "--least: what differs less is not counted" $? 0
# Three rounds a side: no overlap is what can be said.
for d in a b; do
	mkdir "$T/3$d"
	grep -v "^sample${TAB}[45]" "$T/$d/known.tsv" >"$T/3$d/known.tsv"
done
like "three rounds: by ranges, with the chance said" "$(bench/compare "$T/3a" "$T/3b")" "*interrupts: 2.000 -> 2002 (*times; by chance 10 in 100)*"
sed 's/^sample\t3\tringlet\tirqs\t.*/sample\t3\tringlet\tirqs\t2/' "$T/3b/known.tsv" >"$T/3c.tsv"
unlike "one of them among the others': nothing is said" "$(bench/compare "$T/3a/known.tsv" "$T/3c.tsv")" "*interrupts:*"
grep -v "^sample${TAB}[2345]" "$T/a/known.tsv" >"$T/1.tsv"
bench/compare "$T/1.tsv" "$T/1.tsv" 2>"$T/err"
is "one round cannot be compared: status 2" $? 2
like "and one sentence" "$(<"$T/err")" "compare: nothing can be compared: a figure needs two rounds or more in both runs*"
bench/compare "$T/a" "$T/nowhere" 2>/dev/null
is "a run that is not there: status 2" $? 2
sed 's/another/&/; s/^# host.*/# host      Linux 7, another/' "$T/a/known.tsv" >"$T/host.tsv"
like "another machine is said" "$(bench/compare "$T/a/known.tsv" "$T/host.tsv")" "*known: another host: Linux 6.1, a processor -> Linux 7, another*"

# --- what programs read ---

bench/publish "$T/a" >"$T/said" 2>"$T/err"
is "publish ends well" $? 0
json() { perl -MJSON::PP -0777 -ne 'my $j = decode_json($_); print '"$1" "$T/a/known.json"; }
is "JSON names its schema" "$(json '$j->{schema}')" ringlet-bench/1
is "has the head as it was" "$(json '$j->{head}{command}[0]')" 'it: ringlet --with "quotes" & <angles>'
is "numbers are numbers, with their rounds" \
	"$(json 'JSON::PP->new->canonical->encode((grep { $_->{row} eq "irqs" && $_->{column} eq "ringlet" } @{ $j->{results} })[0])')" \
	'{"column":"ringlet","high":5,"low":1,"median":3,"ratio":{"high":1.25,"low":0.25,"median":0.75,"rounds":5,"sure":0.9375},"row":"irqs","samples":{"1":[1],"2":[2],"3":[3],"4":[4],"5":[5]}}'
is "CSV has a line per sample and one of names" "$(wc -l <"$T/a/known.csv")" 31
is "and the values" "$(sed -n 's/^known,TCP,Mbit\/s,high,ringlet,4,//p' "$T/a/known.csv")" 800
like "the page escapes what it quotes" "$(<"$T/a/index.html")" "*&quot;quotes&quot; &amp; &lt;angles&gt;*"

# --- what was not measured ---

for bad in "" - nan 1e3 "1 2" ,5; do
	printf 'column\ta\tA\nrow\tr\tlow\tR\nsample\t1\ta\tr\t%s\n' "$bad" >"$T/bad.tsv"
	bench/table "$T/bad.tsv" >/dev/null 2>&1 && break
	bad=refused
done
is "the table takes no sample that is not a number" "$bad" refused

# A bench of three lines that cannot measure; its results would be in $T/r.
cat >"$T/broken" <<END
#!/bin/bash
QUESTION="?"
TAKES=1 # minutes
. "$PWD/bench/lib.sh"
place_here "\$@"
header run once
column a A
row r low "what there is"
sample 1 a r "\$1"
report
END
chmod +x "$T/broken"
broken() { BENCH_RESULTS=$T/r timeout 60 "$T/broken" "$@" 2>"$T/err"; }
broken nothing >"$T/said"
is "a bench that measured no number fails" $? 1
like "with the row's name, and no table" "$(<"$T/said") $(<"$T/err")" "*a: r was not measured (got 'nothing')*"
unlike "no figure is printed" "$(<"$T/said")" "*median of*"
ok "nor left behind" test ! -e "$T/r"
broken 17 >"$T/said"
is "the same bench with a number ends well" $? 0
like "and leaves it" "$(<"$T/r/broken.csv")" "*,what there is,low,A,1,17"

# --- who is not there ---

cat >"$T/peerless" <<END
#!/bin/bash
QUESTION="?"
TAKES=1 # minutes
. "$PWD/bench/lib.sh"
place_here "\$@"
QEMU=/nowhere/qemu only=\${1:-}
find_qemu
available ringlet-uring qemu-off q35-off
exit 3
END
chmod +x "$T/peerless"
said=$(BENCH_RESULTS=$T/p timeout 60 "$T/peerless" 2>"$T/err")
is "a hypervisor that is not installed is left out, ringlet is not" "$said" ringlet-uring
like "by name, and with the package" "$(<"$T/err")" "*QEMU microvm is left out: /nowhere/qemu is missing or does not run: apt-get install qemu-system-x86*QEMU q35 PCI is left out:*"
said=$(BENCH_RESULTS=$T/p timeout 60 "$T/peerless" ,ringlet-poll, 2>"$T/err")
is "what --only does not name is not there, and nothing is said of it" "$said$(<"$T/err")" ""

# --- the device alone ---

backend() { build/bench/backend --batch 8 --packets 800 "$@" 2>&1; }
figures='+([0-9.]) +([0-9.]) @(-|+([0-9.])) +([0-9.]) +([0-9.])'
for way in tx rx; do
	for engine in uring poll bare; do
		said=$(backend --engine $engine --way $way --size 65214)
		if [[ $said = *"no io_uring here" ]]; then
			skip "$engine moves large frames, $way" "$said"
		else
			like "$engine moves large frames, $way" "$said" "$figures"
		fi
	done
done
like "a frame that is too small is refused" "$(backend --size 59)" "backend: --size 59: frames have 60 to 65214 bytes"
like "a batch that the ring cannot hold too" "$(backend --engine poll --batch 2000)" "backend: a batch of 2000 is more than the ring holds"
