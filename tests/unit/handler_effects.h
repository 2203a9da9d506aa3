/* tests/unit/handler_effects.h -- the effects that tests of handlers perform, and clauses that say who they are.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_HANDLER_EFFECTS_H
#define WEFT_TESTS_HANDLER_EFFECTS_H

#include "support/runs.h"
#include <weft/cancel.h>
#include <weft/handler.h>
#include <weft/par.h>
#include <weft/scope.h>
#include <weft/time.h>

WEFT_EFFECT(who, long);          /* replies the number that is `self` */
WEFT_EFFECT(twice, long, long of;);
WEFT_EFFECT(stop, char, long with;);
WEFT_EFFECT(halt, char, long with;);
WEFT_EFFECT(unknown, int, int n;); /* nobody handles it */

static const weft_exit fine = {WEFT_EXIT_OK, 0, NULL};

#define UNUSED __attribute__((unused)) static

UNUSED weft_exit on_who(const who_op *op, long *reply, void *self) {
    (void)op;
    *reply = *(long *)self;
    return weft_done;
}
UNUSED weft_exit on_twice(const twice_op *op, long *reply, void *self) {
    (void)self;
    *reply = 2 * op->of;
    return weft_done;
}
/* The answer is what was performed with, and the handler's number. */
UNUSED weft_exit on_stop(const stop_op *op, void *answer, void *self) {
    *(long *)answer = op->with + (self ? *(long *)self : 0);
    return weft_done;
}
UNUSED weft_exit on_halt(const halt_op *op, void *answer, void *self) {
    *(long *)answer = 10 * op->with + (self ? *(long *)self : 0);
    return weft_done;
}

#define NUMBERED(n) WEFT_HANDLER((void *)(uintptr_t)&(const long){n}, WEFT_TAIL(who, on_who))
#define NUMBERED_SHARED(n) WEFT_SHARED_HANDLER((void *)(uintptr_t)&(const long){n}, WEFT_TAIL(who, on_who))

/* Who handles `who` here; 0: nobody, and that is said. */
UNUSED long asked(void) {
    long reply = -1;
    weft_exit e = weft_perform(who, &reply);
    if (weft_ok(e)) return reply;
    CHECK_EQ(e.tag, WEFT_EXIT_DIE);
    CHECK_EQ(e.code, WEFT_E_UNHANDLED);
    CHECK_EQ(reply, -1);
    weft_exit_drop(e);
    return 0;
}
static long asks(long n);
WEFT_TASK(asks, long, long);
static long asks(long n) { return asked() + n; }

UNUSED bool is_aborted(weft_exit e) { return e.tag == WEFT_EXIT_INTERRUPT && e.code == WEFT_E_ABORTED; }

/* On workers, on the deterministic executor, and on a plain thread. */
UNUSED void everywhere(void (*body)(void *)) {
    body(NULL);
    on_clock(WEFT_CLOCK_AUTO, body);
}

#endif
