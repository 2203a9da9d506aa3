/* sched/promise.h -- what select wants to know of promises.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_PROMISE_H
#define WEFT_SCHED_PROMISE_H

#include <weft/promise.h>

/* pre: it is completed.  As weft_promise_await returns it; value may be NULL. */
weft_exit weft__promise_outcome(weft_promise *p, void **value);

#endif
