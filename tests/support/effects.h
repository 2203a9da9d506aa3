/* tests/support/effects.h -- effects, made by chance: what they are, how they are made and built, and written down.
 *
 * A program is a tree of specs.  It is built as a weft effect (build), where what is below a flat_map or the like is built
 * while it runs, and it is given a meaning without Weft (support/meant.h).  All effects give a long.
 *
 * Each spec has a number, under which it notes what it does: those are the side effects that are compared.  Durations are drawn
 * from so many that no two things happen at the same time; where they do, a program means nothing certain, and is left out.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_EFFECTS_H
#define WEFT_TESTS_EFFECTS_H

#include "alloc/mix.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <weft/eff.h>
#include <weft/schedule.h>

enum { SPECS = 128, SUBS = 3, ITEMS = 4, NOTES = 5, THEME = 4 };

typedef enum spec_kind {
    SUCCEED, FAIL, DIE, CALL, CALL_FAILS, CALL_DIES, FLAKY, SLEEP, PROMISE, STOP, NEVER, /* leaves, up to here */
    SUSPEND, MAP, MAP_WITH, MAP_ERROR, FOLD, TIMEOUT, RETRY, REPEAT, MEMOISE, ANNOTATE, UNINTERRUPTIBLE, RESTORE, PROVIDE,
    FLAT_MAP, TAP, CATCH_ALL, ACQUIRE, ENSURING, ON_INTERRUPT, ZIP,
    ZIP_PAR, RACE, ANY, EACH, /* parallel, from here on */
    KINDS,
} spec_kind;
static const char *const kind_names[] = {
    "succeed", "fail", "die", "call", "call_fails", "call_dies", "flaky", "sleep", "promise", "stop", "never",
    "suspend", "map", "map_with", "map_error", "fold", "timeout", "retry", "repeat", "memoise", "annotate", "uninterruptible",
    "restore", "provide", "flat_map", "tap", "catch_all", "acquire", "ensuring", "on_interrupt", "zip",
    "zip_par", "race", "any", "each"};

typedef struct spec {
    spec_kind kind;
    int id, n;        /* n: operands, items of each */
    long c;
    weft_duration d;  /* of a sleep, a timeout, a delay */
    struct spec *sub[SUBS];
} spec;
typedef const spec *spec_ref;

/* How durations are taken: on a plain thread time is real, so there nothing sleeps, and nothing is late. */
static bool timeless;

/* ---- what values are, for both sides ---------------------------------------------------------------------- */

static long mix(long x, long c) { return (long)(((uint64_t)x * 31 + (uint64_t)c * 7 + 1) & 0xffffff); }
static long mix_two(long x, long y) { return mix(mix(x, 5), y); }
static int code_after(int code) { return 500 + (code * 7 + 1) % 400; }
static weft_duration nap_of(const spec *s, long x) {
    return timeless ? 0 : s->d + (weft_duration)(mixed((uint64_t)x ^ (uint64_t)s->id << 32) % (uint64_t)s->d);
}
static weft_schedule schedule_of(const spec *s) {
    uint64_t times = 1 + (uint64_t)s->c % 3;
    if (timeless || s->c % 4 == 0) return weft_schedule_recurs(times);
    if (s->c % 4 == 1) return weft_schedule_times(weft_schedule_exponential(s->d, 1.5), times);
    return weft_schedule_up_to(weft_schedule_times(weft_schedule_spaced(s->d), times), s->d * 5 / 2);
}
static weft_duration limit_of(const spec *s) { return timeless ? weft_s(100000) : s->d; }
static unsigned subs_of(spec_kind k, int n) {
    if (k < SUSPEND) return 0;
    if (k == RACE || k == ANY) return (unsigned)n;
    return k == EACH || k < FLAT_MAP ? 1 : 2;
}

/* ---- making programs -------------------------------------------------------------------------------------- */

typedef struct maker {
    uint64_t random;
    spec *pool;
    int used, most;
    spec_kind theme[THEME]; /* of these most of a program is made: what comes together seldom, comes together */
} maker;
enum { IN_PAR = 1, IN_EACH = 2 };

static uint64_t draw(maker *m, uint64_t n) { return mixed_next(&m->random) % n; }
static spec *new_spec(maker *m, spec_kind kind) {
    spec *s = &m->pool[m->used];
    *s = (spec){.kind = kind, .id = m->used++, .c = (long)draw(m, 1000), .d = 1 + (weft_duration)draw(m, UINT64_C(1) << 36)};
    return s;
}

static spec_kind draw_kind(maker *m, unsigned where, int depth) {
    for (;;) {
        bool leaf = depth <= 0 || m->used >= m->most;
        spec_kind k = (spec_kind)draw(m, leaf ? SUSPEND : KINDS);
        if (!leaf && draw(m, 4)) k = m->theme[draw(m, THEME)];
        if (leaf && draw(m, 3) == 0) k = SLEEP;
        if (k < SUSPEND && !leaf && draw(m, 3)) continue; /* leaves are many, programs would be small */
        if (k == NEVER && draw(m, 4)) continue;
        if (k == STOP && (where & IN_PAR || draw(m, 4))) continue;
        if (where & IN_EACH && (k == FLAKY || k == MEMOISE || k == EACH)) continue;
        return k;
    }
}

static spec *make(maker *m, unsigned where, int depth);
static void draw_theme(maker *m) {
    for (int i = 0; i < THEME; i++) m->theme[i] = (spec_kind)(SUSPEND + draw(m, KINDS - SUSPEND));
}
/* Something that takes time, first: branches do not end together. */
static spec *make_branch(maker *m, unsigned where, int depth) {
    spec *s = new_spec(m, FLAT_MAP);
    s->n = 2;
    s->sub[0] = new_spec(m, SLEEP);
    s->sub[1] = make(m, where, depth);
    return s;
}
static spec *make(maker *m, unsigned where, int depth) {
    spec *s = new_spec(m, draw_kind(m, where, depth));
    if (s->kind == RACE || s->kind == ANY) s->n = 1 + (int)draw(m, SUBS);
    if (s->kind == EACH) s->n = 1 + (int)draw(m, ITEMS);
    if (s->kind >= ZIP_PAR) where |= IN_PAR;
    if (s->kind == EACH) where |= IN_EACH;
    unsigned subs = subs_of(s->kind, s->n);
    for (unsigned i = 0; i < subs; i++)
        s->sub[i] = s->kind >= ZIP_PAR ? make_branch(m, where, depth - 1) : make(m, where, depth - 1);
    return s;
}

/* ---- what programs do -------------------------------------------------------------------------------------- */

static _Atomic int noted[SPECS][NOTES];
static _Atomic int attempts[SPECS];
static long items[SPECS][ITEMS], results[SPECS][ITEMS];
static void note(const spec *s, unsigned what) { atomic_fetch_add(&noted[s->id][what], 1); }

WEFT_EFF(eff_long, long);
typedef struct pair {
    long first, second;
} pair;
WEFT_EFF(eff_pair, pair);
typedef struct resource {
    long value;
    spec_ref s;
} resource;
WEFT_EFF(eff_resource, resource);
typedef struct at {
    spec_ref s;
    long x;
} at;
static eff_long_memo memos[SPECS];

static eff_long build(weft_eff_arena *a, const spec *s, long x);

static long act(at w) {
    const spec *s = w.s;
    note(s, 0);
    if (s->kind == CALL_FAILS) weft_failf(310 + (int)(s->c % 10), "call %d", s->id);
    if (s->kind == CALL_DIES) weft_die(320, "a defect");
    if (s->kind == FLAKY && atomic_fetch_add(&attempts[s->id], 1) < s->c % 4) weft_fail(330, "flaky");
    return mix(w.x, s->c);
}
WEFT_TASK(act, long, at);
static long plus(long x) { return mix(x, 3); }
WEFT_TASK(plus, long, long);
static long plus_two(pair p) { return mix_two(p.first, p.second); }
WEFT_TASK(plus_two, long, pair);
static long from_pointer(void *p) { return *(long *)p; }
typedef void *pointer;
WEFT_TASK(from_pointer, long, pointer);
static weft_exit other_code(weft_exit e) { return e.code = code_after(e.code), (weft_exit){e.tag, e.code, NULL}; }
WEFT_TASK(other_code, weft_exit, weft_exit);
static long well(long x) { return mix(x, 11); }
WEFT_TASK(well, long, long);
static long ill(weft_exit e) { return e.code; }
WEFT_TASK(ill, long, weft_exit);

static long after_nap(weft_unit none, const at *w) { return (void)none, mix(w->x, w->s->c); }
WEFT_EFF_FN(after_nap, long, weft_unit, at);
static long with_spec(long x, const spec_ref *s) { return mix(x, (*s)->c); }
WEFT_EFF_FN(with_spec, long, long, spec_ref);
static resource acquired(long x, const spec_ref *s) { return note(*s, 0), (resource){x, *s}; }
WEFT_EFF_FN(acquired, resource, long, spec_ref);
static weft_exit released(resource r, const weft_exit *e) {
    note(r.s, 1 + e->tag);
    return (weft_exit){r.s->c % 4 == 0 ? WEFT_EXIT_FAIL : WEFT_EXIT_OK, r.s->c % 4 == 0 ? 360 : 0, NULL};
}
WEFT_EFF_FN(released, weft_exit, resource, weft_exit);

static eff_long on_value(weft_eff_arena *a, long x, const spec_ref *s) { return build(a, *s, x); }
WEFT_EFF_NEXT_WITH(on_value, eff_long, long, spec_ref);
static eff_long on_failure(weft_eff_arena *a, weft_exit e, const spec_ref *s) { return build(a, *s, e.code); }
WEFT_EFF_NEXT_WITH(on_failure, eff_long, weft_exit, spec_ref);
static eff_long on_resource(weft_eff_arena *a, resource r, const spec_ref *s) { return build(a, *s, r.value); }
WEFT_EFF_NEXT_WITH(on_resource, eff_long, resource, spec_ref);
static eff_long on_start(weft_eff_arena *a, at w) { return build(a, w.s, w.x); }
WEFT_EFF_NEXT(on_start, eff_long, at);
static long sum_of_results(const spec *s) {
    long sum = 0;
    for (int i = 0; i < s->n; i++) sum = mix_two(sum, results[s->id][i]);
    return sum;
}
static long all_results(weft_unit none, const spec_ref *s) { return (void)none, sum_of_results(*s); }
WEFT_EFF_FN(all_results, long, weft_unit, spec_ref);

static weft_exit enter(void *arg, void **state) {
    const spec *s = arg;
    note(s, 0);
    *state = NULL;
    return (weft_exit){s->c % 8 == 0 ? WEFT_EXIT_FAIL : WEFT_EXIT_OK, s->c % 8 == 0 ? 370 : 0, NULL};
}
static weft_exit leave(void *arg, void *state, weft_exit e) {
    const spec *s = arg;
    (void)state;
    note(s, 1 + e.tag);
    return (weft_exit){s->c % 8 == 1 ? WEFT_EXIT_FAIL : WEFT_EXIT_OK, s->c % 8 == 1 ? 371 : 0, NULL};
}

/* ---- as effects of Weft ----------------------------------------------------------------------------------- */

#define KEPT(e) weft_eff_keep(eff_long, a, (e))

static eff_long build_leaf(weft_eff_arena *a, const spec *s, long x) {
    static long promised = 77;
    static weft_promise kept;
    static _Atomic int once;
    switch (s->kind) {
    case SUCCEED: return KEPT(weft_eff_succeed(eff_long, mix(x, s->c)));
    case FAIL: return KEPT(weft_eff_fail(eff_long, 300 + (int)(s->c % 10), "fail"));
    case DIE: return KEPT(weft_eff_die(eff_long, 400, "die"));
    case STOP: return KEPT(weft_eff_exit(eff_long, ((weft_exit){WEFT_EXIT_INTERRUPT, WEFT_E_CANCELLED, NULL})));
    case SLEEP: {
        weft_eff_unit nap = weft_eff_sleep(nap_of(s, x));
        return KEPT(weft_eff_map_with(eff_long, nap, after_nap, s, x));
    }
    case PROMISE: {
        if (!atomic_exchange(&once, 1)) {
            weft_promise_init(&kept);
            weft_promise_complete(&kept, &promised);
        }
        return KEPT(weft_eff_map(eff_long, weft_eff_from_promise(&kept), from_pointer));
    }
    case NEVER: return KEPT(weft_eff_never(eff_long));
    default: return KEPT(weft_eff_call(eff_long, act, s, x));
    }
}

static eff_long build_at_once(weft_eff_arena *a, const spec *s, const eff_long *sub, long x) {
    eff_pair both = weft_eff_zip_par(eff_pair, sub[0], sub[1]);
    switch (s->kind) {
    case ZIP_PAR: return KEPT(weft_eff_map(eff_long, both, plus_two));
    case RACE:
        if (s->n == 1) return KEPT(weft_eff_race(eff_long, sub[0]));
        if (s->n == 2) return KEPT(weft_eff_race(eff_long, sub[0], sub[1]));
        return KEPT(weft_eff_race(eff_long, sub[0], sub[1], sub[2]));
    case ANY:
        if (s->n == 1) return KEPT(weft_eff_any(eff_long, sub[0]));
        if (s->n == 2) return KEPT(weft_eff_any(eff_long, sub[0], sub[1]));
        return KEPT(weft_eff_any(eff_long, sub[0], sub[1], sub[2]));
    default: break;
    }
    for (int i = 0; i < s->n; i++) items[s->id][i] = mix(x, i);
    size_t n = (size_t)s->n;
    weft_eff_unit all = weft_eff_for_each_par_with(items[s->id], n, results[s->id], 1 + s->c % 3, on_value, s->sub[0]);
    return KEPT(weft_eff_map_with(eff_long, all, all_results, s));
}

static eff_long build_over(weft_eff_arena *a, const spec *s, eff_long e) {
    switch (s->kind) {
    case MAP: return KEPT(weft_eff_map(eff_long, e, plus));
    case MAP_WITH: return KEPT(weft_eff_map_with(eff_long, e, with_spec, s));
    case MAP_ERROR: return KEPT(weft_eff_map_error(eff_long, e, other_code));
    case FOLD: return KEPT(weft_eff_fold(eff_long, e, well, ill));
    case TIMEOUT: return KEPT(weft_eff_timeout(eff_long, e, limit_of(s)));
    case RETRY: return KEPT(weft_eff_retry(eff_long, e, schedule_of(s)));
    case REPEAT: return KEPT(weft_eff_repeat(eff_long, e, schedule_of(s)));
    case MEMOISE: return KEPT(weft_eff_memoise(eff_long, e, &memos[s->id]));
    case ANNOTATE: return KEPT(weft_eff_annotate(eff_long, e, "note"));
    case UNINTERRUPTIBLE: return KEPT(weft_eff_uninterruptible(eff_long, e));
    case RESTORE: return KEPT(weft_eff_restore(eff_long, e));
    default: {
        weft_eff_provider p = {enter, leave, (void *)(uintptr_t)s, false};
        return KEPT(weft_eff_provide(eff_long, e, "service", &p));
    }
    }
}

static eff_long build(weft_eff_arena *a, const spec *s, long x) {
    eff_long sub[SUBS] = {{0}};
    if (s->kind < SUSPEND) return build_leaf(a, s, x);
    if (s->kind == SUSPEND) return KEPT(weft_eff_suspend(eff_long, on_start, s->sub[0], x));
    bool second = s->kind >= ENSURING; /* known before it runs */
    unsigned subs = s->kind == EACH ? 0 : second ? subs_of(s->kind, s->n) : 1;
    for (unsigned i = 0; i < subs; i++) sub[i] = build(a, s->sub[i], x);
    if (s->kind >= ZIP_PAR) return build_at_once(a, s, sub, x);
    eff_pair both;
    eff_resource r;
    switch (s->kind) {
    case FLAT_MAP: return KEPT(weft_eff_flat_map_with(eff_long, sub[0], on_value, s->sub[1]));
    case TAP: return KEPT(weft_eff_tap_with(eff_long, sub[0], on_value, s->sub[1]));
    case CATCH_ALL: return KEPT(weft_eff_catch_all_with(eff_long, sub[0], on_failure, s->sub[1]));
    case ENSURING: return KEPT(weft_eff_ensuring(eff_long, sub[0], sub[1]));
    case ON_INTERRUPT: return KEPT(weft_eff_on_interrupt(eff_long, sub[0], sub[1]));
    case ZIP: both = weft_eff_zip(eff_pair, sub[0], sub[1]); return KEPT(weft_eff_map(eff_long, both, plus_two));
    case ACQUIRE:
        r = weft_eff_map_with(eff_resource, sub[0], acquired, s);
        return KEPT(weft_eff_acquire_release_with(eff_long, r, on_resource, released, s->sub[1]));
    default: return build_over(a, s, sub[0]);
    }
}

/* ---- as text ------------------------------------------------------------------------------------------------ */

static void write_spec(FILE *f, const spec *s, int depth) {
    fprintf(f, "%*s%s #%d c=%ld", depth * 2, "", kind_names[s->kind], s->id, s->c);
    bool timed = s->kind == SLEEP || s->kind == TIMEOUT || s->kind == RETRY || s->kind == REPEAT;
    if (timed) fprintf(f, " d=%lldns", (long long)s->d);
    if (s->kind == EACH) fprintf(f, " items=%d", s->n);
    fprintf(f, "\n");
    for (unsigned i = 0; i < subs_of(s->kind, s->n); i++) write_spec(f, s->sub[i], depth + 1);
}

static int size_of(const spec *s) {
    int n = 1;
    for (unsigned i = 0; i < subs_of(s->kind, s->n); i++) n += size_of(s->sub[i]);
    return n;
}

#endif
