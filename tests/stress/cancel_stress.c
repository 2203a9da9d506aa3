/* Random interrupts against fibers in all kinds of waits.
 *
 * A round: victims, each a random program of waits (sleeps, awaits, promises, scopes with children, joins, masks, offloads,
 * yields) that keeps accounts; interrupters (fibers and a plain thread) that interrupt victims at random moments, by every
 * kind of interrupt; detaching and dropping of handles.  Conservation: each victim begins and ends once or was never
 * started; every cleanup runs once; every promise is completed once, and its value seen only by those who were not
 * interrupted; nothing is left.  A hang is the failure of the test's time limit.
 *   cancel_stress [seed [rounds [name]]]
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/san.h"
#include "support/runs.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <weft/promise.h>
#include <weft/scope.h>

enum { VICTIMS = 24, PROMISES = 8, INTERRUPTERS = 3 };

static uint64_t base_seed = 1;
static int rounds = WEFT__SAN_STACKS > 1 ? 40 : 300;

static uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}
/* A stream of its own for each fiber. */
static uint64_t draw(uint64_t *state, uint64_t below) { return mix(*state += UINT64_C(0x9e3779b97f4a7c15)) % below; }

/* ---- accounts ------------------------------------------------------------------------------------------- */

static _Atomic uint64_t begun, ended, deferred, finalized, acquired, released, masked_begun, masked_done, offloads,
    offload_results;
static weft_promise promises[PROMISES];
static _Atomic int completions[PROMISES];

static const weft_exit fine = {WEFT_EXIT_OK, 0, NULL};
static void plus(_Atomic uint64_t *counter) { atomic_fetch_add(counter, 1); }

static weft_exit finalizer(void *arg) {
    (void)arg;
    CHECK(weft_ok(weft_yield()));
    plus(&finalized);
    return fine;
}
static void defer(weft_scope *s) {
    plus(&deferred);
    CHECK_EQ(weft_defer(s, finalizer, NULL, 0), WEFT_OK);
}
static weft_exit take(void *arg, void **resource) {
    CHECK(weft_ok(weft_sleep(weft_us(*(int *)arg))));
    plus(&acquired);
    *resource = arg;
    return fine;
}
static weft_exit give_back(void *resource) {
    (void)resource;
    plus(&released);
    return fine;
}

/* ---- victims -------------------------------------------------------------------------------------------- */

typedef struct program {
    uint64_t seed;
    int depth;
} program;
static int victim(program p);
WEFT_TASK(victim, int, program);

/* An initialiser is no place for a value of the input's own type. */
#define GIVEN(p) (p).seed, (p).depth

static bool is_interrupt(weft_exit e) {
    CHECK(weft_ok(e) || e.tag == WEFT_EXIT_INTERRUPT || e.code == WEFT_E_TIMEOUT);
    return e.tag == WEFT_EXIT_INTERRUPT && e.code == WEFT_E_INTERRUPTED;
}

static void *blocks(void *arg, weft_offload_call *call) {
    for (int i = 0; i < 100 && !weft_offload_cancelled(call); i++) sched_yield();
    plus(&offloads);
    return arg;
}
static void drop_result(void *result) {
    CHECK(result == &offloads);
    plus(&offload_results);
}

/* One step; true: it was interrupted. */
static bool step(uint64_t *s, int depth) {
    weft_duration d = weft_us((int64_t)draw(s, 200));
    program p = {draw(s, UINT64_MAX), depth - 1};
    weft_exit e = fine, x;
    switch (draw(s, depth > 0 ? 12 : 6)) {
    case 0: return is_interrupt(weft_sleep(d));
    case 1: return is_interrupt(weft_yield());
    case 2: return is_interrupt(weft_checkpoint());
    case 3: {
        unsigned i = (unsigned)draw(s, PROMISES);
        void *value = NULL;
        e = draw(s, 2) ? weft_promise_await(&promises[i], &value) : weft_promise_await_for(&promises[i], &value, d);
        if (weft_ok(e)) CHECK(value == &promises[i]);
        else CHECK(value == NULL);
        return is_interrupt(e);
    }
    case 4: {
        weft_mask m;
        plus(&masked_begun);
        weft_mask_begin(&m);
        CHECK(weft_ok(weft_sleep(d)));
        CHECK(weft_ok(weft_yield()));
        plus(&masked_done);
        CHECK_EQ(weft_mask_end(&m), WEFT_OK);
        return is_interrupt(weft_checkpoint());
    }
    case 5: {
        if (draw(s, 8)) return false;
        void *r = NULL;
        e = weft_offload(blocks, (void *)&offloads, &r, drop_result);
        if (weft_ok(e)) drop_result(r);
        return is_interrupt(e);
    }
    case 6: {
        victim_fiber f;
        CHECK(weft_ok(weft_spawn(&f, victim, GIVEN(p))));
        e = draw(s, 2) ? weft_await(f, victim, NULL) : weft_await_for(f, victim, NULL, d);
        bool stopped = is_interrupt(e);
        if (draw(s, 3) == 0) weft_detach(f);
        else weft_drop(f);
        return stopped;
    }
    case 7: {
        int wait = (int)draw(s, 50);
        WEFT_SCOPE(scope, &e) {
            void *r;
            defer(scope);
            CHECK(weft_ok(weft_acquire(scope, take, &wait, give_back, 0, &r)));
            weft_start(scope, victim, GIVEN(p));
            x = weft_spawn((victim_fiber *)NULL, victim, mix(p.seed), p.depth);
            CHECK(weft_ok(x));
            if (draw(s, 2) && step(s, depth - 1)) break;
            if (draw(s, 4) == 0) weft_scope_cancel(scope, "at random");
        }
        return !weft_ok(weft_checkpoint());
    }
    case 8: {
        victim_task a, b;
        weft_fork(&a, victim, GIVEN(p));
        weft_fork(&b, victim, mix(p.seed), p.depth);
        bool stopped = draw(s, 2) && step(s, depth - 1);
        weft_join(&b, victim);
        weft_join(&a, victim);
        return stopped || !weft_ok(weft_checkpoint());
    }
    case 9: {
        WEFT_SCOPE(scope, &e, .timeout = d, .grace = draw(s, 2) ? d / 2 : 0) {
            defer(scope);
            x = weft_spawn((victim_fiber *)NULL, victim, GIVEN(p));
            CHECK(weft_ok(x) || x.code == WEFT_E_ENDED);
            step(s, depth - 1);
        }
        return !weft_ok(weft_checkpoint());
    }
    case 10: {
        WEFT_SCOPE(scope, &e, .shield = true, .timeout = weft_us(300)) {
            defer(scope);
            weft_start(scope, victim, GIVEN(p));
            step(s, depth - 1);
        }
        return !weft_ok(weft_checkpoint());
    }
    default: {
        victim_fiber f;
        x = weft_spawn_with(&f, victim, {.daemon = true}, GIVEN(p));
        CHECK(weft_ok(x));
        x = draw(s, 2) ? weft_interrupt(f, "by its parent") : weft_interrupt_async(f, "by its parent");
        CHECK(weft_ok(x) || x.code == WEFT_E_INSIDE || is_interrupt(x));
        e = weft_await(f, victim, NULL);
        weft_drop(f);
        return is_interrupt(e);
    }
    }
}

static int victim(program p) {
    uint64_t s = p.seed;
    plus(&begun);
    WEFT_SCOPE(scope, NULL) {
        defer(scope);
        for (uint64_t i = 0, n = draw(&s, 6); i < n; i++)
            if (step(&s, p.depth)) break;
    }
    plus(&ended);
    return 1;
}

/* ---- those who interrupt -------------------------------------------------------------------------------- */

static weft_handle victims[VICTIMS];

static void interrupt_one(uint64_t *s, bool may_wait) {
    victim_fiber f = {victims[draw(s, VICTIMS)]};
    switch (draw(s, may_wait ? 3 : 2)) {
    case 0: CHECK(weft_ok(weft_interrupt_async(f, "at random"))); break;
    case 1: CHECK_EQ(weft_interrupt_grace(f, "at random", weft_us((int64_t)draw(s, 100))), WEFT_OK); break;
    default: CHECK(weft_ok(weft_interrupt(f, "at random"))); CHECK(weft_is_done(f));
    }
}

static int interrupter(uint64_t seed);
WEFT_TASK(interrupter, int, uint64_t);
static int interrupter(uint64_t seed) {
    for (int i = 0; i < 6; i++) {
        CHECK(weft_ok(draw(&seed, 2) ? weft_yield() : weft_sleep(weft_us((int64_t)draw(&seed, 100)))));
        interrupt_one(&seed, true);
    }
    return 0;
}

static void *thread_interrupts(void *arg) {
    uint64_t seed = *(uint64_t *)arg;
    for (int i = 0; i < 6; i++) {
        for (uint64_t n = draw(&seed, 20); n; n--) sched_yield();
        interrupt_one(&seed, true);
    }
    return NULL;
}

static int completer(uint64_t seed);
WEFT_TASK(completer, int, uint64_t);
static int completer(uint64_t seed) {
    for (int i = 0; i < PROMISES; i++) {
        CHECK(weft_ok(weft_sleep(weft_us((int64_t)draw(&seed, 60)))));
        if (weft_promise_complete(&promises[i], &promises[i]) == WEFT_OK) atomic_fetch_add(&completions[i], 1);
    }
    return 0;
}

static void *thread_wait(void *arg, weft_offload_call *call) {
    (void)call;
    pthread_join(*(pthread_t *)arg, NULL);
    return NULL;
}

static void one_round(void *arg) {
    uint64_t seed = *(uint64_t *)arg;
    victim_fiber f[VICTIMS];
    interrupter_fiber g[INTERRUPTERS];
    completer_fiber c[2];
    pthread_t thread;
    for (int i = 0; i < PROMISES; i++) weft_promise_init(&promises[i]), completions[i] = 0;
    for (int i = 0; i < VICTIMS; i++) {
        CHECK(weft_ok(weft_spawn(&f[i], victim, draw(&seed, UINT64_MAX), 3)));
        victims[i] = f[i].handle;
    }
    uint64_t for_thread = draw(&seed, UINT64_MAX);
    CHECK_EQ(pthread_create(&thread, NULL, thread_interrupts, &for_thread), 0);
    for (int i = 0; i < INTERRUPTERS; i++) CHECK(weft_ok(weft_spawn(&g[i], interrupter, draw(&seed, UINT64_MAX))));
    for (int i = 0; i < 2; i++) CHECK(weft_ok(weft_spawn(&c[i], completer, draw(&seed, UINT64_MAX))));
    for (int i = 0; i < INTERRUPTERS; i++) {
        CHECK(weft_ok(weft_await(g[i], interrupter, NULL)));
        weft_drop(g[i]);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(weft_ok(weft_await(c[i], completer, NULL)));
        weft_drop(c[i]);
    }
    for (int i = 0; i < VICTIMS; i++) {
        int got = 0;
        weft_exit e = weft_await(f[i], victim, &got);
        CHECK(weft_ok(e) || e.code == WEFT_E_CANCELLED);
        CHECK_EQ(got, weft_ok(e) ? 1 : 0);
        weft_status how = weft_fiber_status(f[i].handle);
        CHECK_EQ(how, weft_ok(e) ? WEFT_STATUS_DONE : WEFT_STATUS_CANCELLED);
    }
    weft_offload(thread_wait, &thread, NULL, NULL);
    for (int i = 0; i < VICTIMS; i++) CHECK_EQ(weft_drop(f[i]), WEFT_OK);
    for (int i = 0; i < PROMISES; i++) CHECK_EQ(completions[i], 1);
}

static void conserved(void) {
    CHECK_EQ(begun, ended);
    CHECK_EQ(deferred, finalized);
    CHECK_EQ(acquired, released);
    CHECK_EQ(masked_begun, masked_done);
    CHECK_EQ(offloads, offload_results);
}

static void rounds_on(unsigned workers, weft_clock clock) {
    for (int i = 0; i < rounds; i++) {
        uint64_t seed = mix(base_seed * 1000003 + (uint64_t)i);
        run_ends(&WEFT_OPTIONS(.workers = workers, .clock = clock), one_round, &seed, WEFT_OK);
        conserved();
    }
    fprintf(stderr, "    seed %llu, %u workers: %llu programs so far\n", (unsigned long long)base_seed, workers,
            (unsigned long long)begun);
}
TEST(random_interrupts_on_two_workers) { rounds_on(2, WEFT_CLOCK_REAL); }
TEST(random_interrupts_on_four_workers) { rounds_on(4, WEFT_CLOCK_REAL); }

/* ---- detaching at the moment of the end ----------------------------------------------------------------- */

static _Atomic int detached_ended;
static int brief(int spins);
WEFT_TASK(brief, int, int);
static int brief(int spins) {
    weft_checkpoint();
    for (volatile int i = 0; i < spins; i++) {}
    atomic_fetch_add(&detached_ended, 1);
    return 0;
}
static void detaches(void *arg) {
    uint64_t seed = *(uint64_t *)arg;
    enum { N = 200 };
    detached_ended = 0;
    for (int i = 0; i < N; i++) {
        WEFT_SCOPE(s, NULL) {
            brief_fiber f[4];
            for (int k = 0; k < 4; k++) CHECK(weft_ok(weft_spawn(&f[k], brief, (int)draw(&seed, 300))));
            for (volatile uint64_t n = draw(&seed, 2000); n; n--) {}
            for (int k = 0; k < 4; k++) CHECK_EQ(k % 2 ? weft_drop(f[k]) : weft_detach(f[k]), WEFT_OK);
        }
    }
}
TEST(a_fiber_is_detached_while_it_ends) {
    for (int i = 0; i < rounds; i++) {
        uint64_t seed = mix(base_seed + (uint64_t)i);
        run_ends(&WEFT_OPTIONS(.workers = 2), detaches, &seed, WEFT_OK);
        CHECK_EQ(detached_ended, 800);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) base_seed = strtoull(argv[1], NULL, 0);
    if (argc > 2) rounds = atoi(argv[2]);
    fprintf(stderr, "  seed %llu, %d rounds\n", (unsigned long long)base_seed, rounds);
    if (argc > 3) argv[1] = argv[3]; /* only tests whose names contain this */
    return test_main(argc > 3 ? 2 : 1, argv);
}
