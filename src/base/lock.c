/* SPDX-License-Identifier: Apache-2.0 */
/* lock.c - waiting for a lock.
 *
 * Most locks here are held for one or two microseconds. Sleeping costs the waiter a switch, and
 * the holder a wake-up: together five to ten times what there is to wait for. glibc's adaptive
 * mutexes do the same, but cannot be recursive, as the catalog's must be. */
#include <varve/cleanup.h>

/* Pauses before each look, doubled every time. Together, where a pause takes 140 cycles (x86 since
 * 2015), about as long as going to sleep and being woken. */
#define PAUSES_MAX 32

static inline void
pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

void
varve_lock_wait(pthread_mutex_t *mutex)
{
    for (int pauses = 1; pauses <= PAUSES_MAX; pauses *= 2) {
        for (int i = 0; i < pauses; i++)
            pause_briefly();
        if (pthread_mutex_trylock(mutex) == 0)
            return;
    }
    if (pthread_mutex_lock(mutex) != 0)
        abort(); /* only a bug makes a lock fail */
}
