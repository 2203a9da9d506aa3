/* sched/mutex.h -- what dumps know of mutexes.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_MUTEX_H
#define WEFT_SCHED_MUTEX_H

#include <stdint.h>

/* fiber.waits_for of who waits for a mutex; waits_on is it. */
extern const char weft__waits_for_mutex[];
/* Who holds the mutex: a fiber's control block, or no fiber's; 0: nobody. */
uintptr_t weft__mutex_holder(const void *m);

#endif
