/* effect/retry.c -- weft_retry and weft_repeat: a function, called as often as a schedule says.
 *
 * An attempt is a scope, so that its fibers end before the next one, and its causes are let go; and the running fiber's own
 * failure (fiber.exit) is set aside meanwhile, so that weft_fail in an attempt is that attempt's failure and not the end of who
 * tries again.  An attempt that succeeds at once costs a scope that nothing happens to: no clock is looked at, unless the
 * schedule has a part that counts from the beginning.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/schedule.h>
#include <weft/scope.h>
#include "sched/cause.h"
#include "sched/fail.h"
#include "sched/local.h"
#include "sched/thread.h"

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* As the body of a timeout without an end: its value counts if it is there, whatever the end of the scope is told. */
static weft_exit attempt(weft_exit (*fn)(void *), void *arg) {
    fiber *f = thread_fiber();
    if (!f) return fn(arg);
    weft_scope s;
    weft_exit own = f->exit;
    f->exit = success;
    weft__scope_enter(&s, NULL, (weft_scope_options){0});
    weft_exit e = fn(arg);
    if (WEFT_LIKELY(weft_ok(e) && weft__region_untouched(&s.region, &f->pub)))
        weft__region_leave(&s.region, &f->pub);
    else
        e = weft__timeout_end(&s, e);
    weft_exit said = f->exit;
    f->exit = own;
    if (!weft_ok(said) && (weft_ok(e) || said.tag == WEFT_EXIT_DIE)) return weft__hold_own(f, said);
    weft__cause_drop(said.cause);
    return e;
}

static weft_exit refused(void) {
    return FAILED(WEFT_E_INVALID, "weft_retry, weft_repeat: there is no function, or the schedule is in error: see "
                                  "weft_schedule_check");
}

/* As long as an attempt ends with `tag`. */
static weft_exit again(const weft_schedule *s, uint32_t tag, weft_exit (*fn)(void *), void *arg) {
    weft_schedule_state state;
    bool begun = false;
    if (!fn || weft_schedule_check(s)) return refused();
    if (s->timed) {
        weft_schedule_begin(&state, s, weft_now());
        begun = true;
    }
    for (;;) {
        weft_duration delay;
        weft_exit e = attempt(fn, arg);
        if (e.tag != tag) return e;
        weft_time now = weft_now();
        if (!begun) weft_schedule_begin(&state, s, now);
        begun = true;
        if (!weft_schedule_next(&state, now, e.code, &delay)) return e;
        weft_exit_drop(e);
        e = weft_sleep(delay);
        if (!weft_ok(e)) return e;
    }
}

weft_exit weft_retry(const weft_schedule *s, weft_exit (*fn)(void *arg), void *arg) {
    return again(s, WEFT_EXIT_FAIL, fn, arg);
}

weft_exit weft_repeat(const weft_schedule *s, weft_exit (*fn)(void *arg), void *arg) {
    return again(s, WEFT_EXIT_OK, fn, arg);
}
