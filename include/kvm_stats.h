/* SPDX-License-Identifier: MIT */
/*
 * kvm_stats.h - the statistics that KVM keeps of a virtual machine and of each
 * virtual processor, by the names that it gives them.
 */
#ifndef RINGLET_KVM_STATS_H
#define RINGLET_KVM_STATS_H

#include "base.h"

struct kvm_stats;

/*
 * Main thread, before the vCPU runs: later KVM would keep us waiting for it.
 * kvm is the descriptor of a VM or a vCPU.  NULL where this KVM has none.
 */
struct kvm_stats *kvm_stats_open(int kvm);
/* The same of the file itself, which becomes ours. */
struct kvm_stats *kvm_stats_adopt(int fd);
void kvm_stats_free(struct kvm_stats *s);

/*
 * Main thread, at any time: the i-th statistic's name and, until the next
 * call, its values, several in the case of a histogram.  NULL behind the last.
 */
const char *kvm_stats_read(struct kvm_stats *s, unsigned i, const u64 **values, unsigned *n);

#endif
