#!/bin/bash
# SPDX-License-Identifier: MIT
#
# guests-lab.t - the shorter pass of guests.t, in the lab: where the host's own
# KVM is a software one, its counts are to be those of a real one as well.
cd "$(dirname "$0")/.." || exit 1
if [ "$(tests/lab/lab --kind)" = hardware ]; then
	echo "1..0 # SKIP guests.t has run on a real KVM"
	exit
fi
exec tests/guests.t lab
