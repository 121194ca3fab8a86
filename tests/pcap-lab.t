#!/bin/bash
# SPDX-License-Identifier: MIT
#
# pcap-lab.t - the part of pcap.t with Linux in the guest, in the lab.
cd "$(dirname "$0")/.." || exit 1
exec tests/pcap.t lab
