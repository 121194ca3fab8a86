#!/bin/bash
# SPDX-License-Identifier: MIT
#
# cli-sanitized.t - all of cli.t again, with the ringlet that was built with
# the address and undefined behaviour sanitizers: make SAN=address,undefined
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}/address
if [ ! -x "$BUILD/ringlet" ]; then
	echo "1..0 # SKIP there is no $BUILD/ringlet"
	exit
fi
# What is left at the end cannot be looked for by a process that is nobody.
BUILD=$BUILD ASAN_OPTIONS=detect_leaks=0 exec tests/cli.t
