/* sched/explore.c -- schedules and strategies.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/explore.h"
#include "alloc/heap.h"
#include "alloc/mix.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t next_random(explorer *e) { return mixed_next(&e->rng); }

static uint32_t below(explorer *e, uint32_t n) { return (uint32_t)((next_random(e) >> 32) * n >> 32); }

/* ---- schedules ---------------------------------------------------------------------------------------- */

/* Room for one more of n.  False: there is no memory. */
static bool grow(void **items, uint32_t n, uint32_t *room, size_t bytes) {
    if (n < *room) return true;
    uint32_t more = *room ? *room * 2 : 16;
    void *bigger = weft__heap_alloc(more * bytes, 0);
    if (!bigger) return false;
    if (n) memcpy(bigger, *items, n * bytes);
    if (*room) weft__heap_free(*items, *room * bytes);
    *items = bigger;
    *room = more;
    return true;
}

static bool add_turn(schedule *s, uint32_t at, uint32_t chosen) {
    if (s->n == TURNS_MOST || !grow((void **)&s->turns, s->n, &s->room, sizeof *s->turns)) {
        s->cut = true;
        return false;
    }
    s->turns[s->n++] = (turn){at, (uint16_t)chosen};
    return true;
}

static bool add_outside(schedule *s, uint64_t who) {
    if (s->n_outside == TURNS_MOST ||
        !grow((void **)&s->outside, s->n_outside, &s->room_outside, sizeof *s->outside)) {
        s->cut = true;
        return false;
    }
    s->outside[s->n_outside++] = who;
    return true;
}

void weft__schedule_free(schedule *s) {
    if (s->room) weft__heap_free(s->turns, s->room * sizeof *s->turns);
    if (s->room_outside) weft__heap_free(s->outside, s->room_outside * sizeof *s->outside);
    *s = (schedule){.n = 0};
}

size_t weft__schedule_print(const schedule *s, char *to, size_t room) {
    size_t n = 0;
    if (room) *to = 0;
    for (uint32_t i = 0; i < s->n; i++)
        n += (size_t)snprintf(n < room ? to + n : NULL, n < room ? room - n : 0, "%s%" PRIu32 ":%u", i ? "," : "",
                              s->turns[i].at, (unsigned)s->turns[i].chosen);
    for (uint32_t i = 0; i < s->n_outside; i++)
        n += (size_t)snprintf(n < room ? to + n : NULL, n < room ? room - n : 0, "%s%" PRIu64, i ? "," : ";",
                              s->outside[i]);
    return n;
}

static bool number(const char **at, uint64_t *n, uint64_t most) {
    const char *digit = *at;
    for (*n = 0; *digit >= '0' && *digit <= '9'; digit++)
        if (__builtin_mul_overflow(*n, 10, n) || __builtin_add_overflow(*n, *digit - '0', n) || *n > most) return false;
    if (digit == *at) return false;
    *at = digit;
    return true;
}

/* Why one more was not added to n. */
static weft_err no_room(uint32_t n) { return n == TURNS_MOST ? WEFT_E_INVALID : WEFT_E_NOMEM; }

static weft_err parse_turns(schedule *s, const char **at) {
    while (**at && **at != ';') {
        uint64_t choice, chosen;
        if (s->n && *(*at)++ != ',') return WEFT_E_INVALID;
        if (!number(at, &choice, UINT32_MAX) || *(*at)++ != ':' || !number(at, &chosen, UINT16_MAX)) return WEFT_E_INVALID;
        if (!chosen || (s->n && choice <= s->turns[s->n - 1].at)) return WEFT_E_INVALID;
        if (!add_turn(s, (uint32_t)choice, (uint32_t)chosen)) return no_room(s->n);
    }
    return WEFT_OK;
}

static weft_err parse_outside(schedule *s, const char **at) {
    if (**at != ';') return WEFT_OK;
    do {
        uint64_t who;
        ++*at;
        if (!number(at, &who, UINT64_MAX)) return WEFT_E_INVALID;
        if (!add_outside(s, who)) return no_room(s->n_outside);
    } while (**at == ',');
    return **at ? WEFT_E_INVALID : WEFT_OK;
}

weft_err weft__schedule_parse(schedule *s, const char *text) {
    *s = (schedule){.n = 0};
    weft_err err = parse_turns(s, &text);
    if (err == WEFT_OK) err = parse_outside(s, &text);
    if (err != WEFT_OK) weft__schedule_free(s);
    return err;
}

/* ---- strategies --------------------------------------------------------------------------------------- */

static void pct_begin(explorer *e, uint32_t length) {
    if (!length) length = UINT32_C(8) << below(e, 8);
    for (int i = 0; i < PCT_CHANGES; i++) e->pct.change[i] = below(e, length);
}

static uint64_t pct_priority(const explorer *e, uint64_t who) {
    for (int i = PCT_CHANGES; i-- > 0;)
        if (e->pct.low[i] == who && who) return (uint64_t)(PCT_CHANGES - i);
    return mixed(e->seed ^ mixed(who)) | UINT64_C(1) << 63;
}

static uint32_t pct_best(const explorer *e, const uint64_t *who, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (pct_priority(e, who[i]) > pct_priority(e, who[best])) best = i;
    return best;
}

static uint32_t pct_choose(explorer *e, const uint64_t *who, uint32_t n, explore_where where) {
    for (int i = 0; i < PCT_CHANGES; i++)
        if (e->pct.change[i] == e->choices) e->pct.low[i] = who[pct_best(e, who, n)];
    if (where == EXPLORE_YIELD && next_random(e) >> 63) return below(e, n);
    return pct_best(e, who, n);
}

/* Turn by turn: whatever lies between two turns of the schedule is 0. */
static uint32_t replay_choose(explorer *e, uint32_t n) {
    const schedule *s = &e->given;
    if (e->at == s->n || s->turns[e->at].at != e->choices) return 0;
    uint32_t chosen = s->turns[e->at++].chosen;
    if (chosen < n) return chosen;
    e->diverged = true;
    return 0;
}

/* How far ahead it is looked for somebody who is ready. */
#define RECORD_AHEAD 4096

static uint32_t find(const uint64_t *who, uint32_t n, uint64_t name) {
    for (uint32_t i = 0; i < n; i++)
        if (who[i] == name) return i;
    return n;
}

/* Of those who are there, who comes first in the record.  Of who goes on, what he was to do is crossed out; if it was another's
 * turn who is not ready, the record is bent. */
static uint32_t record_choose(explorer *e, const uint64_t *who, uint32_t n, explore_where where) {
    while (e->at_record < e->n_record && !e->record[e->at_record]) e->at_record++;
    uint64_t last = e->at_record + RECORD_AHEAD < e->n_record ? e->at_record + RECORD_AHEAD : e->n_record;
    for (uint64_t i = e->at_record; i < last; i++) {
        uint32_t chosen = e->record[i] ? find(who, n, e->record[i]) : n;
        if (chosen == n) continue;
        if (where == EXPLORE_GO_ON && chosen == 0) {
            e->bends += i != e->at_record;
            e->record[i] = 0;
        }
        return chosen;
    }
    return 0;
}

void weft__explore_follow(explorer *e, uint64_t *names, uint64_t n) {
    e->record = names;
    e->n_record = n;
}

static void note_width(explorer *e, uint32_t n) {
    if (e->choices != e->n_widths || e->choices >= DFS_CHOICES) return;
    if (!grow((void **)&e->widths, e->n_widths, &e->room_widths, sizeof *e->widths)) return;
    e->widths[e->n_widths++] = (uint16_t)n;
}

static uint32_t choose(explorer *e, const uint64_t *who, uint32_t n, explore_where where) {
    switch (e->how) {
    case WEFT_EXPLORE_RANDOM:
        return where == EXPLORE_GO_ON && next_random(e) >> (64 - e->stay) ? 0 : below(e, n);
    case WEFT_EXPLORE_PCT:
        return pct_choose(e, who, n, where);
    case WEFT_EXPLORE_DFS:
        note_width(e, n);
        return replay_choose(e, n);
    case WEFT_EXPLORE_REPLAY:
        return e->record ? record_choose(e, who, n, where) : replay_choose(e, n);
    default:
        return 0;
    }
}

static uint32_t made(explorer *e, uint32_t chosen) {
    if (chosen) add_turn(&e->made, e->choices, chosen);
    e->choices++;
    return chosen;
}

uint32_t weft__explore_choose(explorer *e, const uint64_t *who, uint32_t n, explore_where where) {
    return made(e, choose(e, who, n, where));
}

/* Under PCT it is no matter of priorities. */
bool weft__explore_flip(explorer *e) {
    static const uint64_t nobody[2];
    bool random = e->how == WEFT_EXPLORE_RANDOM || e->how == WEFT_EXPLORE_PCT;
    return made(e, random ? (uint32_t)(next_random(e) >> 63) : choose(e, nobody, 2, EXPLORE_GO_ON));
}

uint64_t weft__explore_outside(const explorer *e) {
    return e->at_outside < e->given.n_outside ? e->given.outside[e->at_outside] : 0;
}

void weft__explore_let_in(explorer *e, uint64_t who) {
    if (e->at_outside < e->given.n_outside) e->at_outside++;
    add_outside(&e->made, who);
}

/* ---- one run, and the next ---------------------------------------------------------------------------- */

void weft__explore_restart(explorer *e, weft_explore how, uint64_t seed, uint32_t length) {
    e->how = how;
    e->seed = e->rng = seed;
    e->choices = e->at = e->at_outside = e->n_widths = 0;
    e->diverged = false;
    e->made.n = e->made.n_outside = 0;
    e->made.cut = false;
    e->stay = 1 + (unsigned)(next_random(e) >> 62);
    memset(&e->pct, 0, sizeof e->pct);
    if (how == WEFT_EXPLORE_PCT) pct_begin(e, length);
}

weft_err weft__explore_begin(explorer *e, weft_explore how, uint64_t seed, uint32_t length, const char *text) {
    *e = (explorer){.how = how};
    weft__explore_restart(e, how, seed, length);
    return how == WEFT_EXPLORE_REPLAY ? weft__schedule_parse(&e->given, text) : WEFT_OK;
}

static bool reserve(void **items, uint32_t *room, uint32_t n, size_t bytes) {
    if (*room >= n) return true;
    void *more = weft__heap_alloc(n * bytes, 0);
    if (!more) return false;
    if (*room) weft__heap_free(*items, *room * bytes);
    *items = more;
    *room = n;
    return true;
}

/* pre: nothing is in it yet. */
static bool reserve_schedule(schedule *s) {
    return reserve((void **)&s->turns, &s->room, TURNS_MOST, sizeof *s->turns) &&
           reserve((void **)&s->outside, &s->room_outside, TURNS_MOST, sizeof *s->outside);
}

bool weft__explore_reserve_made(explorer *e) { return reserve_schedule(&e->made); }

bool weft__explore_reserve(explorer *e) {
    return reserve((void **)&e->widths, &e->room_widths, DFS_CHOICES, sizeof *e->widths) && reserve_schedule(&e->made) &&
           reserve_schedule(&e->given);
}

/* pre: there is room. */
void weft__schedule_copy(schedule *to, const turn *turns, uint32_t n, const uint64_t *outside, uint32_t n_outside) {
    if (n) memcpy(to->turns, turns, n * sizeof *turns);
    if (n_outside) memcpy(to->outside, outside, n_outside * sizeof *outside);
    to->n = n;
    to->n_outside = n_outside;
}

void weft__explore_end(explorer *e) {
    weft__schedule_free(&e->made);
    weft__schedule_free(&e->given);
    if (e->room_widths) weft__heap_free(e->widths, e->room_widths * sizeof *e->widths);
    e->room_widths = 0;
}

/* The schedules in the order of counting: the last choice that can be raised is, and those after it are 0.  A turn more than
 * the bound is not made. */
bool weft__explore_next(explorer *e) {
    schedule *s = &e->given;
    for (uint32_t i = e->n_widths; i-- > 0;) {
        while (s->n && s->turns[s->n - 1].at > i) s->n--;
        bool turned = s->n && s->turns[s->n - 1].at == i;
        if (turned && s->turns[s->n - 1].chosen + 1 < e->widths[i]) {
            s->turns[s->n - 1].chosen++;
        } else if (turned || s->n == DFS_TURNS || !add_turn(s, i, 1)) {
            continue;
        }
        return true;
    }
    return false;
}
