# SPDX-License-Identifier: MIT
#
# Samples.pm - read what a bench measured, and what may be said of it.
#
# A file of samples has a record per line, fields separated by tabs; lib.sh
# writes them:
#
#	# KEY TEXT			the head: what was measured, where
#	column	KEY TITLE
#	baseline KEY			the column that the others are compared with
#	group	TITLE			heads the rows that follow
#	row	KEY high|low|- TITLE	which is better
#	sample	ROUND COLUMN ROW VALUE
#	reference NAME COLUMN ROW VALUE	somebody else's ratio to the baseline
package Samples;
use strict;
use warnings;
use List::Util qw(max min sum0);

my $NUMBER = qr/^-?[0-9]+(\.[0-9]+)?$/;

sub load {
	my ($class, $file) = @_;
	my $s = bless { file => $file, head => [], columns => [], title => {}, rows => [],
		value => {}, reference => {}, references => [] }, $class;
	my $group = '';
	open my $in, '<', $file or die "$file: $!\n";
	while (<$in>) {
		chomp;
		if (/^# (\S+) +(.*)/) {
			push @{ $s->{head} }, [ $1, $2 ];
			next;
		}
		next if /^(#|$)/;
		my ($kind, @f) = split /\t/;
		if ($kind eq 'column' && @f == 2) {
			push @{ $s->{columns} }, $f[0];
			$s->{title}{ $f[0] } = $f[1];
		} elsif ($kind eq 'baseline' && @f == 1) {
			$s->{base} = $f[0];
		} elsif ($kind eq 'group' && @f == 1) {
			$group = $f[0];
		} elsif ($kind eq 'row' && @f == 3 && $f[1] =~ /^(high|low|-)$/) {
			push @{ $s->{rows} }, { key => $f[0], better => $f[1], title => $f[2], group => $group };
		} elsif ($kind eq 'sample' && @f == 4 && $f[3] =~ $NUMBER) {
			my ($round, $column, $row, $v) = @f;
			push @{ $s->{value}{$row}{$column}{$round} }, $v;
		} elsif ($kind eq 'reference' && @f == 4 && $f[3] =~ $NUMBER) {
			my ($name, $column, $row, $v) = @f;
			push @{ $s->{references} }, $name unless $s->{reference}{$name};
			$s->{reference}{$name}{$row}{$column} = $v;
		} else {
			die "$file: line $.: not a record of a bench: $_\n";
		}
	}
	die "$file: no samples\n" unless %{ $s->{value} };
	$s->{name} = (split /,/, $s->head('bench') // '')[0] || $file =~ s,.*/|\.tsv$,,gr;
	return $s;
}

# The text behind a key of the head; all of them for a list.
sub head {
	my ($s, $key) = @_;
	my @text = map { $_->[1] } grep { $_->[0] eq $key } @{ $s->{head} };
	return wantarray ? @text : $text[0];
}

# Columns and rows of which there is a sample.
sub measured {
	my ($s) = @_;
	my $value = $s->{value};
	return grep { my $c = $_; grep { $value->{$_}{$c} } keys %$value } @{ $s->{columns} };
}
sub rows { my ($s) = @_; return grep { $s->{value}{ $_->{key} } } @{ $s->{rows} } }

sub rounds {
	my ($s) = @_;
	return max map { map { scalar keys %$_ } values %$_ } values %{ $s->{value} };
}

sub median {
	my @v = sort { $a <=> $b } @_;
	return unless @v;
	return ($v[int(@v / 2)] + $v[int((@v - 1) / 2)]) / 2;
}

# What one cell has: the median, lowest and highest of all, each round's own.
sub cell {
	my ($s, $row, $column) = @_;
	my $rounds = $s->{value}{$row}{$column} or return;
	my @all = map { @$_ } values %$rounds;
	return {
		median => median(@all), low => min(@all), high => max(@all),
		round => { map { $_ => median(@{ $rounds->{$_} }) } keys %$rounds },
	};
}

# The interval that holds the true median of such values, and the probability
# with which it does: the sign test's, from one ordered value to its mirror.
# It assumes nothing of how the values are distributed.  Of few values even
# the lowest and the highest hold it with less than 95 in 100.
sub interval {
	my @v = sort { $a <=> $b } @_;
	my $n = @v;
	my ($k, $tail, $term) = (0, 0.5 ** $n, 0.5 ** $n);
	while ($k + 1 < $n / 2) {
		$term *= ($n - $k) / ($k + 1);
		last if 2 * ($tail + $term) > 0.05;
		$tail += $term;
		$k++;
	}
	return ($v[$k], $v[$n - 1 - $k], 1 - 2 * $tail);
}

# A column's ratio to the baseline.  It needs something to be compared with in
# the same round: what disturbs a round disturbs all that run in it.
sub ratios {
	my ($s, $row, $column) = @_;
	return unless defined $s->{base};
	my ($this, $that) = ($s->cell($row, $column), $s->cell($row, $s->{base}));
	return unless $this && $that;
	return map { $this->{round}{$_} / $that->{round}{$_} }
		grep { $that->{round}{$_} } sort keys %{ $this->{round} };
}
sub ratio {
	my ($s, $row, $column) = @_;
	my @r = $s->ratios($row, $column) or return;
	my ($low, $high, $sure) = interval(@r);
	return { median => median(@r), low => $low, high => $high, sure => $sure, rounds => scalar @r };
}

# The probability that two sets of values lie at least this far apart by
# chance: Mann and Whitney's rank test, both sides.  Up to some 10 000 ways to
# deal out the ranks all are counted, ties included; beyond that by the normal
# approximation.
sub chance {
	my ($x, $y) = @_;
	my ($n, $m) = (scalar @$x, scalar @$y);
	my @all = sort { $a <=> $b } @$x, @$y;
	my (%rank, $ties);
	for (my $i = 0; $i < @all;) {
		my $k = $i;
		$k++ while $k < @all && $all[$k] == $all[$i];
		$rank{ $all[$i] } = ($i + $k + 1) / 2;
		$ties += ($k - $i) ** 3 - ($k - $i);
		$i = $k;
	}
	my $mean = $n * ($n + $m + 1) / 2;
	my $off = abs(sum0(map { $rank{$_} } @$x) - $mean);
	my $ways = 1;
	$ways *= ($m + $_) / $_ for 1 .. $n;
	if ($ways > 13_000) {
		my $variance = $n * $m / 12 * ($n + $m + 1 - $ties / (($n + $m) * ($n + $m - 1)));
		return 1 unless $variance > 0;
		return two_sided(max(0, $off - 0.5) / sqrt $variance);
	}
	# $sums[k]{sum}: in how many ways k of the ranks have that sum.
	my @sums = ({ 0 => 1 }, map { {} } 1 .. $n);
	for my $v (@all) {
		for my $k (reverse 1 .. $n) {
			$sums[$k]{ $_ + $rank{$v} } += $sums[$k - 1]{$_} for keys %{ $sums[$k - 1] };
		}
	}
	my $far = sum0(map { $sums[$n]{$_} } grep { abs($_ - $mean) >= $off - 1e-9 } keys %{ $sums[$n] });
	return $far / sum0(values %{ $sums[$n] });
}

# Of the normal distribution: Abramowitz and Stegun, 26.2.17.
sub two_sided {
	my ($z) = @_;
	my $t = 1 / (1 + 0.2316419 * $z);
	my $p = $t * (0.319381530 + $t * (-0.356563782 + $t * (1.781477937 + $t * (-1.821255978 + $t * 1.330274429))));
	return min(1, 2 * $p * exp(-$z * $z / 2) / sqrt(8 * atan2(1, 1)));
}

sub number {
	my ($v) = @_;
	return '-' unless defined $v;
	my $size = abs $v;
	return sprintf $size >= 1000 ? '%.0f' : $size >= 100 ? '%.1f' : $size >= 10 ? '%.2f' : '%.3f', $v;
}
sub factor { my ($v) = @_; return sprintf $v >= 9.95 ? '%.1f' : '%.2f', $v }

1;
