/* effect/schedule.c -- schedules as values: making them, following them, writing them down.
 *
 * A schedule is an expression in postfix form in an array: the operands of part i end at i - 1 (the only one, or the second)
 * and at i - first.  A value of fixed size needs no owner, so it may be a literal's operand, a global, or a field of an effect,
 * and it bounds the depth of the recursion below.
 *
 * A run's state has two words for each part:
 *   recurs       n: how often it said yes              exponential  b: the next delay
 *   linear       n: the same                           and_then     n: the first is over
 *   fixed, up_to n: when it began; fixed b: when the last run should have begun
 *   either       n: bit 0, the first is over; bit 1, the second is
 *
 * Rejected: nodes linked by pointers (compound literals whose lives end with a block nobody sees; an arena for each schedule);
 * a function and a state of unknown size, as ZIO has (allocated, cannot be printed).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/schedule.h>
#include "alloc/arch.h"
#include "alloc/mix.h"
#include "effect/paper.h"
#include "sched/det.h"
#include "sched/thread.h"
#include "sched/worker.h"
#include <math.h>
#include <string.h>

enum { RECURS = 1, SPACED, FIXED, LINEAR, EXPONENTIAL, CAPPED, UP_TO, WHILE, UNTIL, JITTERED, AND_THEN, BOTH, EITHER };
enum { FIRST_OVER = 1, SECOND_OVER = 2 };

typedef weft__schedule_part part;

/* ---- making them -------------------------------------------------------------------------------------- */

static weft_schedule in_error(weft_schedule s, weft_err error) {
    if (!s.error) s.error = (uint8_t)error;
    return s;
}

static weft_schedule with_part(weft_schedule s, part p) {
    if (s.error) return s;
    if (s.parts >= WEFT_SCHEDULE_PARTS) return in_error(s, WEFT_E_LIMIT);
    s.timed |= p.kind == FIXED || p.kind == UP_TO;
    s.random |= p.kind == JITTERED;
    s.part[s.parts++] = p;
    return s;
}

static weft_schedule with_duration(weft_schedule s, uint8_t kind, weft_duration d) {
    return d < 0 ? in_error(s, WEFT_E_INVALID) : with_part(s, (part){kind, 0, {.n = d}, {.n = 0}});
}

static weft_schedule with_fn(weft_schedule s, uint8_t kind, weft_schedule_fn *fn, void *arg) {
    return !fn ? in_error(s, WEFT_E_INVALID) : with_part(s, (part){kind, 0, {.fn = fn}, {.arg = arg}});
}

static const weft_schedule none;

weft_schedule weft_schedule_recurs(uint64_t n) {
    return with_duration(none, RECURS, n > INT64_MAX ? INT64_MAX : (int64_t)n);
}
weft_schedule weft_schedule_spaced(weft_duration d) { return with_duration(none, SPACED, d); }
weft_schedule weft_schedule_fixed(weft_duration d) { return with_duration(none, FIXED, d); }
weft_schedule weft_schedule_linear(weft_duration d) { return with_duration(none, LINEAR, d); }

weft_schedule weft_schedule_exponential(weft_duration d, double factor) {
    if (d < 0 || !(factor >= 0) || isinf(factor)) return in_error(none, WEFT_E_INVALID);
    return with_part(none, (part){EXPONENTIAL, 0, {.n = d}, {.x = factor}});
}

weft_schedule weft_schedule_capped(weft_schedule s, weft_duration most) { return with_duration(s, CAPPED, most); }
weft_schedule weft_schedule_up_to(weft_schedule s, weft_duration total) { return with_duration(s, UP_TO, total); }
weft_schedule weft_schedule_while(weft_schedule s, weft_schedule_fn *fn, void *arg) { return with_fn(s, WHILE, fn, arg); }
weft_schedule weft_schedule_until(weft_schedule s, weft_schedule_fn *fn, void *arg) { return with_fn(s, UNTIL, fn, arg); }

weft_schedule weft_schedule_jittered(weft_schedule s, double lo, double hi) {
    if (!(lo >= 0) || !(hi >= lo) || isinf(hi)) return in_error(s, WEFT_E_INVALID);
    return with_part(s, (part){JITTERED, 0, {.x = lo}, {.x = hi}});
}

weft_schedule weft_schedule_seeded(weft_schedule s, uint64_t seed) {
    s.seeded = true;
    s.seed = seed;
    return s;
}

static weft_schedule joined(uint8_t kind, weft_schedule a, weft_schedule b) {
    if (a.error) return a;
    if (b.error) return in_error(a, b.error);
    if (a.parts + b.parts >= WEFT_SCHEDULE_PARTS) return in_error(a, WEFT_E_LIMIT);
    memcpy(a.part + a.parts, b.part, b.parts * sizeof(part));
    a.parts = (uint8_t)(a.parts + b.parts);
    a.timed |= b.timed;
    a.random |= b.random;
    if (!a.seeded && b.seeded) a = weft_schedule_seeded(a, b.seed);
    return with_part(a, (part){kind, (uint8_t)(b.parts + 1), {.n = 0}, {.n = 0}});
}

weft_schedule weft_schedule_and_then(weft_schedule a, weft_schedule b) { return joined(AND_THEN, a, b); }
weft_schedule weft_schedule_both(weft_schedule a, weft_schedule b) { return joined(BOTH, a, b); }
weft_schedule weft_schedule_either(weft_schedule a, weft_schedule b) { return joined(EITHER, a, b); }
weft_schedule weft_schedule_times(weft_schedule s, uint64_t n) { return weft_schedule_both(s, weft_schedule_recurs(n)); }

weft_err weft_schedule_check(const weft_schedule *s) {
    return !s || (!s->error && !s->parts) ? WEFT_E_INVALID : (weft_err)s->error;
}

/* ---- numbers ------------------------------------------------------------------------------------------ */

static int64_t added(int64_t a, int64_t b) { return __builtin_add_overflow(a, b, &a) ? INT64_MAX : a; }
static int64_t elapsed(int64_t since, int64_t now) {
    int64_t d;
    return __builtin_sub_overflow(now, since, &d) ? INT64_MAX : d < 0 ? 0 : d;
}
/* At least 0. */
static int64_t rounded(double d) { return d >= 0x1p63 ? INT64_MAX : (int64_t)d; }

/* A seed that no two runs share, unless they are of the same deterministic run. */
static uint64_t drawn(void) {
    fiber *f = thread_fiber();
    if (!f) return mixed(arch_ticks());
    uint64_t x = mixed_next(&f->w->rng), salt = f->w->rt->det ? f->w->rt->det->explorer.seed : arch_ticks();
    return x ^ mixed(salt);
}

static double times_random(weft_schedule_state *s, double lo, double hi) {
    return lo + (hi - lo) * ((double)(mixed_next(&s->random) >> 11) * 0x1p-53);
}

/* ---- following them ----------------------------------------------------------------------------------- */

/* The parts from `from` to `to` begin. */
static void begin(weft_schedule_state *s, int from, int to, int64_t now) {
    for (int i = from; i <= to; i++) {
        const part *p = &s->schedule->part[i];
        s->part[i].n = p->kind == FIXED || p->kind == UP_TO ? now : 0;
        s->part[i].b.n = p->kind == FIXED ? now : 0;
        if (p->kind == EXPONENTIAL) s->part[i].b.x = (double)p->a.n;
    }
}

weft_err weft_schedule_begin(weft_schedule_state *state, const weft_schedule *s, weft_time now) {
    weft_err error = weft_schedule_check(s);
    state->schedule = s;
    state->over = error != WEFT_OK;
    if (error) return error;
    state->random = s->seeded ? s->seed : s->random ? drawn() : 0;
    begin(state, 0, s->parts - 1, now);
    return WEFT_OK;
}

static int64_t next_fixed(weft_schedule_state *s, int i, int64_t now) {
    int64_t d = s->schedule->part[i].a.n, wait = 0;
    if (elapsed(s->part[i].b.n, now) < d) wait = d - elapsed(s->part[i].n, now) % d;
    s->part[i].b.n = added(now, wait);
    return wait;
}

static bool next(weft_schedule_state *s, int i, int64_t now, int32_t code, int64_t *delay);

static bool next_and_then(weft_schedule_state *s, int i, int64_t now, int32_t code, int64_t *delay) {
    int first = i - s->schedule->part[i].first;
    if (!s->part[i].n) {
        if (next(s, first, now, code, delay)) return true;
        s->part[i].n = FIRST_OVER;
        begin(s, first + 1, i - 1, now);
    }
    return next(s, i - 1, now, code, delay);
}

static bool next_either(weft_schedule_state *s, int i, int64_t now, int32_t code, int64_t *delay) {
    int first = i - s->schedule->part[i].first;
    int64_t a = INT64_MAX, b = INT64_MAX;
    if (!(s->part[i].n & FIRST_OVER) && !next(s, first, now, code, &a)) s->part[i].n |= FIRST_OVER;
    if (!(s->part[i].n & SECOND_OVER) && !next(s, i - 1, now, code, &b)) s->part[i].n |= SECOND_OVER;
    if (s->part[i].n & FIRST_OVER) a = INT64_MAX;
    if (s->part[i].n & SECOND_OVER) b = INT64_MAX;
    *delay = a < b ? a : b;
    return s->part[i].n != (FIRST_OVER | SECOND_OVER);
}

static bool next_both(weft_schedule_state *s, int i, int64_t now, int32_t code, int64_t *delay) {
    int64_t a, b;
    if (!next(s, i - s->schedule->part[i].first, now, code, &a) || !next(s, i - 1, now, code, &b)) return false;
    *delay = a > b ? a : b;
    return true;
}

static bool next_of_one(weft_schedule_state *s, int i, int64_t now, int32_t code, int64_t *delay) {
    const part *p = &s->schedule->part[i];
    if (p->kind == WHILE && !p->a.fn(code, p->b.arg)) return false;
    if (p->kind == UNTIL && p->a.fn(code, p->b.arg)) return false;
    if (!next(s, i - 1, now, code, delay)) return false;
    if (p->kind == CAPPED && *delay > p->a.n) *delay = p->a.n;
    if (p->kind == JITTERED) *delay = rounded((double)*delay * times_random(s, p->a.x, p->b.x));
    return p->kind != UP_TO || added(elapsed(s->part[i].n, now), *delay) <= p->a.n;
}

static bool next(weft_schedule_state *s, int i, int64_t now, int32_t code, int64_t *delay) {
    const part *p = &s->schedule->part[i];
    switch (p->kind) {
    case RECURS: *delay = 0; return s->part[i].n < p->a.n ? s->part[i].n++, true : false;
    case SPACED: *delay = p->a.n; return true;
    case FIXED: *delay = next_fixed(s, i, now); return true;
    case LINEAR:
        if (__builtin_mul_overflow(p->a.n, added(s->part[i].n, 1), delay)) *delay = INT64_MAX;
        s->part[i].n = added(s->part[i].n, 1);
        return true;
    case EXPONENTIAL:
        *delay = rounded(s->part[i].b.x);
        s->part[i].b.x *= p->b.x;
        return true;
    case AND_THEN: return next_and_then(s, i, now, code, delay);
    case BOTH: return next_both(s, i, now, code, delay);
    case EITHER: return next_either(s, i, now, code, delay);
    default: return next_of_one(s, i, now, code, delay);
    }
}

bool weft_schedule_next(weft_schedule_state *state, weft_time now, int32_t code, weft_duration *delay) {
    *delay = 0;
    if (state->over) return false;
    if (!next(state, state->schedule->parts - 1, now, code, delay)) {
        state->over = true;
        *delay = 0;
        return false;
    }
    if (added(now, *delay) == INT64_MAX) *delay = WEFT_FOREVER;
    return true;
}

/* ---- writing them down -------------------------------------------------------------------------------- */

static void put_part(paper *t, const weft_schedule *s, int i);

/* What `times` makes. */
static bool is_times(const weft_schedule *s, int i) {
    return s->part[i].kind == BOTH && s->part[i].first == 2 && s->part[i - 1].kind == RECURS;
}
static void put_times(paper *t, const weft_schedule *s, int i) {
    weft__paper_print(t, "times(");
    put_part(t, s, i - 2);
    weft__paper_print(t, ", %lld)", (long long)s->part[i - 1].a.n);
}

static void put_part(paper *t, const weft_schedule *s, int i) {
    static const char *const names[] = {"",       "recurs", "spaced", "fixed",    "linear",   "exponential", "capped",
                                        "up_to", "while",  "until",  "jittered", "and_then", "both",        "either"};
    const part *p = &s->part[i];
    if (is_times(s, i)) return put_times(t, s, i);
    weft__paper_print(t, "%s(", names[p->kind]);
    if (p->kind >= AND_THEN) {
        put_part(t, s, i - p->first);
        weft__paper_print(t, ", ");
    }
    if (p->kind >= CAPPED) put_part(t, s, i - 1);
    switch (p->kind) {
    case RECURS: weft__paper_print(t, "%lld", (long long)p->a.n); break;
    case EXPONENTIAL: weft__paper_duration(t, p->a.n), weft__paper_print(t, ", %.6g", p->b.x); break;
    case JITTERED: weft__paper_print(t, ", %.6g, %.6g", p->a.x, p->b.x); break;
    case CAPPED:
    case UP_TO: weft__paper_print(t, ", "); /* fallthrough */
    case SPACED:
    case FIXED:
    case LINEAR: weft__paper_duration(t, p->a.n); break;
    case WHILE:
    case UNTIL: weft__paper_print(t, ", fn"); break;
    default: break;
    }
    weft__paper_print(t, ")");
}

char *weft_schedule_format(const weft_schedule *s, char *buffer, size_t bytes) {
    paper t = paper_on(buffer, bytes);
    if (weft_schedule_check(s) == WEFT_OK)
        put_part(&t, s, s->parts - 1);
    else
        weft__paper_print(&t, "a schedule in error");
    return buffer;
}
