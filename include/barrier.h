/* SPDX-License-Identifier: MIT */
/*
 * barrier.h - the few memory-ordering words used on memory that the guest
 * writes at the same time.
 *
 * LOAD_ONCE/STORE_ONCE keep the compiler from reading a guest's word twice or
 * tearing it.  An acquire load pairs with the driver's release of the same
 * word (it filled the ring before it moved the index); a release store is
 * ours to the driver.  smp_mb() is the one full fence x86 needs: an earlier
 * store before a later load of another word.
 */
#ifndef RINGLET_BARRIER_H
#define RINGLET_BARRIER_H

#define LOAD_ONCE(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define STORE_ONCE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define LOAD_ACQUIRE(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define STORE_RELEASE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

static inline void compiler_barrier(void)
{
	__asm__ volatile("" ::: "memory");
}

/* A locked add to our own stack: orders like mfence, at a third of its cost. */
static inline void smp_mb(void)
{
	__asm__ volatile("lock; addl $0, -4(%%rsp)" ::: "memory", "cc");
}

#endif
