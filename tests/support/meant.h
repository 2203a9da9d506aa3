/* tests/support/meant.h -- what a program of support/effects.h means: an evaluator without Weft, plain and recursive.
 *
 * It plays time: an effect begins at a time, and ends at one, and what interrupts it is known by when it does.  Branches are
 * evaluated one after the other, each from the same beginning; then it is known who decided, and when, and the others are
 * evaluated again, up to that.
 *
 * Where two things happen at the same time, or no rule says what counts, the meaning is `vague`.
 *
 * It can be made wrong (`plant`), which is how the comparison is shown to notice.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_MEANT_H
#define WEFT_TESTS_MEANT_H

#include "support/effects.h"

typedef struct outcome {
    uint32_t tag;
    int code;
    long value;
} outcome;

/* What evaluating changes. */
typedef struct world {
    int noted[SPECS][NOTES];
    int attempts[SPECS];
    bool known[SPECS];
    outcome remembered[SPECS];
    bool vague, hangs;
} world;
static world now_is;

/* Around what is evaluated, from the inside outwards. */
typedef enum region_kind { ENDS, MASKED, RESTORED } region_kind;
typedef struct region {
    region_kind kind;
    int64_t at;                /* ENDS: interrupted then */
    const struct region *mask; /* RESTORED: which one is not there; MASKED: the restorable one around, in the same run */
    const struct region *outer;
    bool *noticed;             /* ENDS: somebody in it was interrupted by it */
} region;

typedef struct place {
    int64_t t;
    const region *r;
    const region *restorable;  /* the innermost mask of this run that may be lifted */
} place;

static bool meant_directly; /* as weft_run_here */

typedef enum planted { NOTHING, RETRIES_DEFECTS, FORGETS_FINALIZERS, CATCHES_INTERRUPTS, LOSER_WINS, LATE_CANCEL } planted;
static planted plant;

static const outcome stopped = {WEFT_EXIT_INTERRUPT, 0, 0};
static outcome value_is(long x) { return (outcome){WEFT_EXIT_OK, 0, x}; }
static outcome fails_with(int code) { return (outcome){WEFT_EXIT_FAIL, code, 0}; }
static bool good(outcome o) { return o.tag == WEFT_EXIT_OK; }
static outcome then(outcome a, outcome b) { return good(a) ? (good(b) ? a : b) : a; }

/* When what is at r is interrupted; who does it by `now` is noticed. */
static int64_t looked_at(const region *r, int64_t now) {
    const region *lifted[SPECS];
    int n = 0;
    int64_t at = INT64_MAX;
    for (; r; r = r->outer) {
        if (r->kind == ENDS && r->at < at) at = r->at;
        if (r->kind == ENDS && r->at <= now && r->noticed) *r->noticed = true;
        if (r->kind == RESTORED) lifted[n++] = r->mask;
        if (r->kind != MASKED) continue;
        bool is_lifted = false;
        for (int i = 0; i < n; i++) is_lifted |= lifted[i] == r;
        if (!is_lifted) break;
    }
    return at;
}
static int64_t ends_at(const region *r) { return looked_at(r, INT64_MIN); }

/* What was noticed around r is put aside, or put back. */
enum { MOST_REGIONS = 4 * SPECS };
static void keep_noticed(const region *r, bool *kept, bool put_back) {
    for (int i = 0; r && i < MOST_REGIONS; r = r->outer, i++) {
        if (!r->noticed) continue;
        if (put_back) *r->noticed = kept[i];
        else kept[i] = *r->noticed;
    }
}

static outcome meant(const spec *s, long x, place *p);

static outcome stop_here(const place *p) {
    looked_at(p->r, p->t);
    return stopped;
}
static outcome sleeps(place *p, int64_t d) {
    int64_t end = ends_at(p->r);
    if (timeless) return value_is(0);
    if (end <= p->t) return stop_here(p);
    if (p->t + d == end) now_is.vague = true;
    if (p->t + d < end) return p->t += d, value_is(0);
    p->t = end;
    return stop_here(p);
}

/* Where nothing interrupts. */
static outcome meant_masked(const spec *s, long x, place *p, bool restorable) {
    const region mask = {MASKED, 0, p->restorable, p->r, NULL};
    place in = {p->t, &mask, restorable ? &mask : NULL};
    outcome o = meant(s, x, &in);
    p->t = in.t;
    return o;
}

/* ---- leaves and time --------------------------------------------------------------------------------------- */

static outcome meant_leaf(const spec *s, long x, place *p) {
    outcome o;
    switch (s->kind) {
    case SUCCEED: return value_is(mix(x, s->c));
    case FAIL: return fails_with(300 + (int)(s->c % 10));
    case DIE: return (outcome){WEFT_EXIT_DIE, 400, 0};
    case STOP: return stopped;
    case PROMISE: return !timeless && ends_at(p->r) <= p->t ? stop_here(p) : value_is(77); /* a cancellation point */
    case SLEEP: o = sleeps(p, nap_of(s, x)); return good(o) ? value_is(mix(x, s->c)) : o;
    case NEVER:
        if (timeless || ends_at(p->r) == INT64_MAX) return now_is.hangs = true, stopped;
        if (ends_at(p->r) > p->t) p->t = ends_at(p->r);
        return stop_here(p);
    default: break;
    }
    now_is.noted[s->id][0]++;
    if (s->kind == CALL_FAILS) return fails_with(310 + (int)(s->c % 10));
    if (s->kind == CALL_DIES) return (outcome){WEFT_EXIT_DIE, 320, 0};
    if (s->kind == FLAKY && now_is.attempts[s->id]++ < s->c % 4) return fails_with(330);
    return value_is(mix(x, s->c));
}

static outcome meant_timeout(const spec *s, long x, place *p) {
    bool noticed = false;
    const region limit = {ENDS, p->t + limit_of(s), NULL, p->r, &noticed};
    place in = {p->t, &limit, p->restorable};
    outcome o = meant(s->sub[0], x, &in);
    p->t = in.t;
    if (timeless || in.t < limit.at) return o;
    if (ends_at(p->r) <= in.t) now_is.vague = true; /* and from outside as well: which of them was noticed? */
    if (good(o) && noticed) now_is.vague = true;
    return noticed && o.tag == WEFT_EXIT_INTERRUPT ? fails_with(WEFT_E_TIMEOUT) : o;
}

static outcome meant_again(const spec *s, long x, place *p) {
    weft_schedule schedule = schedule_of(s);
    weft_schedule_state state;
    weft_duration delay;
    uint32_t wanted = s->kind == RETRY ? WEFT_EXIT_FAIL : WEFT_EXIT_OK;
    weft_schedule_begin(&state, &schedule, p->t);
    for (;;) {
        outcome o = meant(s->sub[0], x, p);
        bool again = o.tag == wanted || (plant == RETRIES_DEFECTS && s->kind == RETRY && o.tag == WEFT_EXIT_DIE);
        if (now_is.hangs || !again || !weft_schedule_next(&state, p->t, o.code, &delay)) return o;
        outcome slept = sleeps(p, delay);
        if (!good(slept)) return slept;
    }
}

/* ---- one after the other ----------------------------------------------------------------------------------- */

static outcome meant_over(const spec *s, long x, place *p) {
    const region lifted = {RESTORED, 0, p->restorable, p->r, NULL};
    outcome o;
    switch (s->kind) {
    case TIMEOUT: return meant_timeout(s, x, p);
    case RETRY:
    case REPEAT: return meant_again(s, x, p);
    case UNINTERRUPTIBLE: return meant_masked(s->sub[0], x, p, true);
    case RESTORE: {
        if (!p->restorable) return meant(s->sub[0], x, p);
        place in = {p->t, &lifted, p->restorable->mask};
        o = meant(s->sub[0], x, &in);
        p->t = in.t;
        return o;
    }
    case MEMOISE:
        if (now_is.known[s->id]) return now_is.remembered[s->id];
        if (!timeless && ends_at(p->r) <= p->t) now_is.vague = true; /* a lock may be where it is noticed */
        o = meant(s->sub[0], x, p);
        now_is.known[s->id] = o.tag != WEFT_EXIT_INTERRUPT;
        return now_is.remembered[s->id] = o;
    case PROVIDE:
        now_is.noted[s->id][0]++;
        if (s->c % 8 == 0) return fails_with(370);
        o = meant(s->sub[0], x, p);
        now_is.noted[s->id][1 + o.tag]++;
        return then(o, s->c % 8 == 1 ? fails_with(371) : value_is(0));
    default: break;
    }
    o = meant(s->sub[0], x, p);
    bool failed = o.tag == WEFT_EXIT_FAIL;
    switch (s->kind) {
    case MAP: return good(o) ? value_is(mix(o.value, 3)) : o;
    case MAP_WITH: return good(o) ? value_is(mix(o.value, s->c)) : o;
    case MAP_ERROR: return failed ? fails_with(code_after(o.code)) : o;
    case FOLD: return good(o) ? value_is(mix(o.value, 11)) : failed ? value_is(o.code) : o;
    default: return o;
    }
}

static outcome meant_pair(const spec *s, long x, place *p) {
    outcome o = s->kind == ACQUIRE ? meant_masked(s->sub[0], x, p, false) : meant(s->sub[0], x, p), b;
    bool failed = o.tag == WEFT_EXIT_FAIL || (plant == CATCHES_INTERRUPTS && o.tag == WEFT_EXIT_INTERRUPT);
    switch (s->kind) {
    case FLAT_MAP: return good(o) ? meant(s->sub[1], o.value, p) : o;
    case CATCH_ALL: return failed ? meant(s->sub[1], o.code, p) : o;
    case TAP:
        b = good(o) ? meant(s->sub[1], o.value, p) : o;
        return good(b) ? o : b;
    case ENSURING:
        if (plant == FORGETS_FINALIZERS && !good(o)) return o;
        return then(o, meant_masked(s->sub[1], x, p, false));
    case ON_INTERRUPT: return o.tag == WEFT_EXIT_INTERRUPT ? then(o, meant_masked(s->sub[1], x, p, false)) : o;
    case ACQUIRE:
        if (!good(o)) return o;
        now_is.noted[s->id][0]++;
        o = meant(s->sub[1], o.value, p);
        now_is.noted[s->id][1 + o.tag]++;
        return then(o, s->c % 4 == 0 ? fails_with(360) : value_is(0));
    default:
        b = good(o) ? meant(s->sub[1], x, p) : o;
        return good(b) ? value_is(mix_two(o.value, b.value)) : b;
    }
}

/* ---- at once ------------------------------------------------------------------------------------------------ */

enum { ARMS = SUBS > ITEMS ? SUBS : ITEMS };
typedef struct arms {
    const spec *s;
    int n;
    const spec *of[ARMS];
    long x[ARMS];
    bool begun[ARMS], hung[ARMS];
    outcome o[ARMS];
    int64_t end[ARMS];
    int who;        /* decided; -1: nobody did */
    int64_t when;
} arms;

static bool decides(const arms *a, int i) {
    if (!a->begun[i] || a->hung[i]) return false;
    if (a->s->kind == RACE) return a->o[i].tag != WEFT_EXIT_INTERRUPT;
    return a->s->kind == ANY ? good(a->o[i]) : !good(a->o[i]);
}

static void run_arm(arms *a, int i, const place *p, int64_t from, const region *r) {
    place in = {from, r ? r : p->r, NULL};
    a->begun[i] = true;
    a->o[i] = meant(a->of[i], a->x[i], &in);
    a->hung[i] = now_is.hangs; /* for ever, unless it is stopped */
    a->end[i] = now_is.hangs ? INT64_MAX : in.t;
    now_is.hangs = false;
}

/* All of them, those that are not `who` only up to `when`; of a loop at most so many at once, in order. */
static void run_arms(arms *a, const place *p) {
    int64_t free_at[ARMS];
    int hands = a->s->kind == EACH ? 1 + (int)(a->s->c % 3) : ARMS;
    const region over = {ENDS, a->who < 0 ? a->when : a->when + (plant == LATE_CANCEL), NULL, p->r, NULL};
    for (int k = 0; k < ARMS; k++) free_at[k] = p->t;
    for (int i = 0; i < a->n; i++) {
        int hand = 0;
        for (int k = 1; k < hands && k < ARMS; k++)
            if (free_at[k] < free_at[hand]) hand = k;
        int64_t from = free_at[hand];
        a->begun[i] = a->hung[i] = false;
        if (from >= a->when || from >= ends_at(p->r)) continue;
        run_arm(a, i, p, from, i == a->who || a->who < 0 ? NULL : &over);
        free_at[hand] = a->end[i];
    }
}

static void decide(arms *a) {
    for (int i = 0; i < a->n; i++) {
        if (!decides(a, i)) continue;
        if (a->who >= 0 && a->end[i] == a->when && a->o[i].tag != WEFT_EXIT_INTERRUPT) now_is.vague = true;
        bool earlier = a->who < 0 || (plant == LOSER_WINS && a->s->kind == RACE ? a->end[i] > a->when : a->end[i] < a->when);
        if (earlier) a->who = i, a->when = a->end[i];
    }
}

static outcome result_of(const arms *a) {
    bool all = true;
    if (a->who >= 0 && a->o[a->who].tag != WEFT_EXIT_INTERRUPT) return a->o[a->who];
    for (int i = 0; i < a->n; i++) all &= a->begun[i] && a->o[i].tag != WEFT_EXIT_INTERRUPT;
    if (a->s->kind == ANY) return all ? a->o[0] : stopped;
    for (int i = 0; i < a->n && a->s->kind != RACE; i++)
        if (a->begun[i] && !good(a->o[i]) && a->o[i].tag != WEFT_EXIT_INTERRUPT) return a->o[i];
    return all ? value_is(0) : stopped;
}

static outcome combine(const arms *a, outcome o) {
    long sum = 0;
    if (!good(o) || a->s->kind == RACE || a->s->kind == ANY) return o;
    if (a->s->kind == ZIP_PAR) return value_is(mix_two(a->o[0].value, a->o[1].value));
    for (int i = 0; i < a->n; i++) sum = mix_two(sum, a->o[i].value);
    return value_is(sum);
}

static arms arms_of(const spec *s, long x) {
    arms a = {.s = s, .n = s->kind == ZIP_PAR ? 2 : s->n, .who = -1, .when = INT64_MAX};
    for (int i = 0; i < a.n; i++) {
        a.of[i] = s->kind == EACH ? s->sub[0] : s->sub[i];
        a.x[i] = s->kind == EACH ? mix(x, i) : x;
    }
    return a;
}

static outcome meant_at_once(const spec *s, long x, place *p) {
    arms a = arms_of(s, x);
    world before = now_is;
    bool noticed[MOST_REGIONS];
    if (ends_at(p->r) <= p->t) return stop_here(p);
    keep_noticed(p->r, noticed, false);
    run_arms(&a, p);
    decide(&a);
    if (a.who >= 0) {
        bool vague = now_is.vague;
        for (int i = 0; i < a.n; i++)
            if (i != a.who && a.begun[i] && a.end[i] == a.when && a.o[i].tag != WEFT_EXIT_INTERRUPT) vague = true;
        now_is = before;
        now_is.vague |= vague;
        keep_noticed(p->r, noticed, true);
        run_arms(&a, p);
    }
    int64_t end = p->t;
    for (int i = 0; i < a.n; i++) {
        if (a.begun[i] && a.hung[i]) return now_is.hangs = true, stopped;
        if (a.begun[i] && a.end[i] > end) end = a.end[i];
    }
    p->t = end;
    outcome o = combine(&a, result_of(&a));
    return o.tag == WEFT_EXIT_INTERRUPT ? stop_here(p) : o;
}

static outcome meant_in_turn(const spec *s, long x, place *p) {
    arms a = arms_of(s, x);
    outcome first = value_is(0);
    for (int i = 0; i < a.n; i++) {
        a.o[i] = meant(a.of[i], a.x[i], p);
        bool over = s->kind == RACE || (s->kind == ANY ? good(a.o[i]) : !good(a.o[i]));
        if (over || a.o[i].tag == WEFT_EXIT_INTERRUPT) return a.o[i];
        first = good(first) ? a.o[i] : first;
    }
    return combine(&a, s->kind == ANY ? first : value_is(0));
}

static outcome meant(const spec *s, long x, place *p) {
    if (now_is.hangs) return stopped;
    if (s->kind < SUSPEND) return meant_leaf(s, x, p);
    if (s->kind == SUSPEND) return meant(s->sub[0], x, p);
    if (s->kind < FLAT_MAP) return meant_over(s, x, p);
    if (s->kind < ZIP_PAR) return meant_pair(s, x, p);
    return meant_directly ? meant_in_turn(s, x, p) : meant_at_once(s, x, p);
}

/* From time 0 on.  *t: when it ended. */
static outcome meaning(const spec *s, long x, int64_t *t) {
    place p = {0, NULL, NULL};
    memset(&now_is, 0, sizeof now_is);
    outcome o = meant(s, x, &p);
    *t = p.t;
    return o;
}

#endif
