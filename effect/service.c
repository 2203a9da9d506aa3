/* effect/service.c -- clock, random numbers, console: what they are without a provider, and their doubles for tests.
 *
 * The runtime's random numbers have a state for each worker, so that asking costs no shared line; on the deterministic executor
 * there is one worker, and its state begins with the seed.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/service.h>
#include "alloc/heap.h"
#include "alloc/spin.h"
#include "sched/det.h"
#include "sched/fail.h"
#include "sched/misuse.h"
#include "sched/thread.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <weft/fiber.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- clock --------------------------------------------------------------------------------------------- */

weft_time weft_clock_now(void) {
    const weft_clock_service *c = weft_env(weft_clock);
    return c ? c->now(c) : weft_now();
}

weft_exit weft_clock_sleep_until(weft_time t) {
    const weft_clock_service *c = weft_env(weft_clock);
    return c ? c->sleep_until(c, t) : weft_sleep_until(t);
}

weft_exit weft_clock_sleep(weft_duration d) {
    const weft_clock_service *c = weft_env(weft_clock);
    weft_time until;
    if (!c) return weft_sleep(d);
    if (d < 0 || __builtin_add_overflow(c->now(c), d, &until))
        return FAILED(WEFT_E_INVALID, "weft_clock_sleep: the duration is negative, or its end is beyond the end of time");
    return c->sleep_until(c, until);
}

static weft_time fixed_now(const weft_clock_service *c) { return c->at; }
static weft_exit fixed_sleep(const weft_clock_service *c, weft_time t) {
    (void)c;
    (void)t;
    return weft_yield();
}
weft_clock_service weft_clock_fixed(weft_time at) { return (weft_clock_service){fixed_now, fixed_sleep, NULL, at}; }

/* ---- random -------------------------------------------------------------------------------------------- */

#define GAMMA UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* 0 is a state that was not begun. */
static uint64_t begun(const fiber *f, const void *where) {
    uint64_t seed = f && f->rt->det ? f->rt->det->explorer.seed : weft__ticks_now() ^ (uintptr_t)where;
    return mixed(seed + GAMMA) | 1;
}

/* The fiber stays on its worker: nothing here suspends. */
static uint64_t of_runtime(void) {
    static _Thread_local uint64_t of_thread;
    fiber *f = thread_fiber();
    uint64_t *at = f ? &f->w->random : &of_thread;
    if (WEFT_UNLIKELY(!*at)) *at = begun(f, at);
    return mixed(*at += GAMMA);
}

uint64_t weft_random_next(void) {
    const weft_random_service *r = weft_env(weft_random);
    return r ? r->next(r) : of_runtime();
}

/* The high half of a product is evenly spread but for the lowest of the low halves, which are drawn again. */
int64_t weft_random_int(int64_t bound) {
    if (bound <= 0) weft__misuse("weft_random_int: the bound is %lld; give a positive one", (long long)bound);
    uint64_t n = (uint64_t)bound;
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)weft_random_next() * n;
    if ((uint64_t)product < n) {
        uint64_t uneven = -n % n;
        while ((uint64_t)product < uneven) product = (wide)weft_random_next() * n;
    }
    return (int64_t)(uint64_t)(product >> 64);
}

double weft_random_float(void) { return (double)(weft_random_next() >> 11) * 0x1p-53; }

static uint64_t seeded_next(const weft_random_service *r) {
    weft_random_state *s = r->self;
    return mixed(atom_add_rlx(&s->at, GAMMA) + GAMMA);
}
weft_random_service weft_random_seeded(weft_random_state *s, uint64_t seed) {
    atom_store_rlx(&s->at, seed);
    return (weft_random_service){seeded_next, s};
}

/* ---- console ------------------------------------------------------------------------------------------- */

weft_exit weft_console_write(const char *text, size_t bytes) {
    const weft_console_service *c = weft_env(weft_console);
    if (!c) return FAILED(WEFT_E_MISSING, "weft_console_write: no console is provided; provide one for key weft_console");
    return c->write(c, text, bytes);
}

weft_exit weft_console_print(const char *format, ...) {
    char few[1024];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(few, sizeof few, format, args);
    size_t bytes = length < 0 ? 0 : (size_t)length;
    weft_exit e;
    if (bytes < sizeof few) {
        e = weft_console_write(few, bytes);
    } else {
        char *many = weft__heap_alloc(bytes + 1, 0);
        if (many) vsnprintf(many, bytes + 1, format, again);
        e = many ? weft_console_write(many, bytes) : FAILED(WEFT_E_NOMEM, "weft_console_print: no memory for the text");
        weft__heap_free(many, bytes + 1);
    }
    va_end(again);
    va_end(args);
    return e;
}

weft_exit weft_console_read(char *line, size_t bytes) {
    const weft_console_service *c = weft_env(weft_console);
    if (!c || !c->read)
        return FAILED(WEFT_E_MISSING, "weft_console_read: no console with input is provided; provide one for key weft_console");
    return c->read(c, line, bytes);
}

/* ---- a recorded console -------------------------------------------------------------------------------- */

static spin *lock_of(weft_recording *r) { return (spin *)(void *)&r->lock; }

static weft_exit recorded_write(const weft_console_service *c, const char *text, size_t bytes) {
    weft_recording *r = c->self;
    spin_lock(lock_of(r));
    size_t room = r->bytes - 1 - r->used, n = bytes < room ? bytes : room;
    if (n) memcpy(r->text + r->used, text, n);
    r->used += n;
    r->text[r->used] = 0;
    r->lost += bytes - n;
    spin_unlock(lock_of(r));
    return success;
}

static weft_exit recorded_read(const weft_console_service *c, char *line, size_t bytes) {
    weft_recording *r = c->self;
    spin_lock(lock_of(r));
    const char *from = r->input;
    bool more = from && *from;
    if (more) {
        size_t length = strcspn(from, "\n"), n = length < bytes ? length : bytes ? bytes - 1 : 0;
        memcpy(line, from, n);
        if (bytes) line[n] = 0;
        r->input = from + length + (from[length] == '\n');
    }
    spin_unlock(lock_of(r));
    return more ? success : FAILED(WEFT_E_CLOSED, "weft_console_read: there is no further line of input");
}

weft_console_service weft_console_recorded(weft_recording *r, char *buffer, size_t bytes, const char *input) {
    if (!buffer || !bytes)
        weft__misuse("weft_console_recorded: there is no buffer to record into; give one of at least a byte");
    memset(r, 0, sizeof *r);
    r->text = buffer;
    r->bytes = bytes;
    r->input = input;
    *buffer = 0;
    return (weft_console_service){recorded_write, recorded_read, r};
}
