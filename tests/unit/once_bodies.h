/* unit/once_bodies.h -- the effects that the tests of once clauses perform, and the bodies that perform them.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_ONCE_BODIES_H
#define WEFT_TESTS_ONCE_BODIES_H

#include "support/runs.h"
#include <stdatomic.h>
#include <weft/continuation.h>
#include <weft/promise.h>
#include <weft/scope.h>

WEFT_EFFECT(ask, long, long x;);
WEFT_EFFECT(other, int, int x;);
WEFT_EFFECT(stop, char, long with;);

static const weft_exit fine = {WEFT_EXIT_OK, 0, NULL};

/* Asks n times, for 1 to n; the sum of the replies.  What does not reply adds nothing. */
static long sums(long n);
WEFT_TASK(sums, long, long);
static inline long sums(long n) {
    long sum = 0;
    for (long i = 1; i <= n; i++) {
        long r = 0;
        if (weft_ok(weft_perform(ask, &r, i))) sum += r;
    }
    return sum;
}

/* Asks once, and tells what the perform said. */
typedef struct told {
    weft_exit *perform;
    int *finalized;
} told;
static inline weft_exit counts_up(void *n) {
    ++*(int *)n;
    return weft_done;
}
static long tells(told to);
WEFT_TASK(tells, long, told);
static inline long tells(told to) {
    long r = -1;
    weft_exit e;
    WEFT_SCOPE(s, &e) {
        CHECK(weft_defer(s, counts_up, to.finalized, 0) == WEFT_OK);
        *to.perform = weft_perform(ask, &r, 7);
        if (!weft_ok(*to.perform)) weft_exit_keep(*to.perform);
    }
    return r;
}

/* A generator by hand: the clause keeps what the body is held at. */
typedef struct kept {
    weft_k k;
    long x;
    int n;
} kept;
static inline weft_exit keeps(weft_k k, const ask_op *op, void *answer, void *self) {
    kept *to = self;
    (void)answer;
    to->x = op->x;
    to->n++;
    to->k = weft_keep(k);
    return weft_done;
}
#define KEEPER(to) WEFT_HANDLER((to), WEFT_ONESHOT(ask, keeps))

static inline void is_used(weft_exit e) {
    CHECK_EQ(e.tag, WEFT_EXIT_DIE);
    CHECK_EQ(e.code, WEFT_E_TWICE);
    CHECK(e.cause && e.cause->text);
}

#endif
