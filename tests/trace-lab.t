#!/bin/bash
# SPDX-License-Identifier: MIT
#
# trace-lab.t - trace.t in the lab: where the host's own KVM is a software one, a
# real one's acknowledgements are to be seen as well.
cd "$(dirname "$0")/.." || exit 1
if [ "$(tests/lab/lab --kind)" = hardware ]; then
	echo "1..0 # SKIP trace.t has run on a real KVM"
	exit
fi
exec tests/trace.t lab
