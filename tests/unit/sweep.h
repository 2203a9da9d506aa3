/* tests/unit/sweep.h -- a scenario, interrupted at each of its steps in turn.
 *
 * One worker, automatic clock: the scenario runs the same way each time.  An interrupter beside it takes turns with it:
 * after k turns it interrupts.  A turn is a yield, so that each stretch between two waits of the scenario is met, and once
 * in a while (when nothing else can run) a little time.  Afterwards `conserved` checks what must hold, and no memory is left.
 * That it hangs is seen as a deadlock of the run, or by the test's time limit.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_SWEEP_H
#define WEFT_TESTS_SWEEP_H

#include "support/runs.h"
#include <weft/cancel.h>

typedef struct sweep_state {
    void (*scenario)(void);
    unsigned at;    /* which step */
    bool completed; /* the scenario had ended by itself before */
} sweep_state;

static int sweep_victim(sweep_state *s);
WEFT_TASK(sweep_victim, int, sweep_state *);
static int sweep_victim(sweep_state *s) {
    s->scenario();
    return 1;
}

/* Steps are half yields, half jumps to the next quarter of a second: the scenarios' times are multiples of a half. */
static void sweep_body(void *arg) {
    sweep_state *s = arg;
    sweep_victim_fiber f;
    thread_fiber()->w->rt->search_ticks = 0; /* nobody could bring work: looking for it would be most of the time */
    CHECK(weft_ok(weft_spawn(&f, sweep_victim, s)));
    for (unsigned i = 0; i < s->at && !weft_is_done(f); i++)
        CHECK(weft_ok(i % 8 < 7 ? weft_yield() : weft_sleep(weft_ms(250))));
    s->completed = weft_is_done(f);
    CHECK(weft_ok(weft_interrupt(f, "sweep")));
    CHECK(weft_is_done(f));
    weft_drop(f);
}

/* Returns at how many steps it was interrupted. */
static unsigned sweep(void (*scenario)(void), void (*conserved)(void)) {
    sweep_state s = {scenario, 0, false};
    for (; !s.completed; s.at++) {
        run_ends(&WEFT_OPTIONS(.workers = 1, .clock = WEFT_CLOCK_AUTO), sweep_body, &s, WEFT_OK);
        conserved();
    }
    return s.at - 1;
}

#endif
