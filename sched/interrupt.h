/* sched/interrupt.h -- interrupting fibers through their handles.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_INTERRUPT_H
#define WEFT_SCHED_INTERRUPT_H

#include "sched/clock.h"

/* The time of a soft request is over. */
void weft__grace_over(alert *a);
typedef struct grace grace;
/* The fiber is over, its block is freed; pre: nobody asks any more. */
void weft__grace_free(runtime *rt, grace *g);
/* Every fiber of rt that does not belong to a scope, started or not, is told to look. */
void weft__reach_all(runtime *rt);

#endif
