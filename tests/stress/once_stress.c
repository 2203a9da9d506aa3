/* Kept continuations under load: many bodies, each in a body of another handler, thrown among fibers on several workers, which
 * go on with them, discontinue them, are interrupted meanwhile, and then try what they have used.  Each use is one fiber's alone,
 * each body ends once, each finalizer runs once, no memory is left.
 *   once_stress [seed [rounds]]
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/san.h"
#include "support/runs.h"
#include <stdatomic.h>
#include <weft/continuation.h>
#include <weft/scope.h>
#include <weft/sync.h>

enum { BODIES = 48, PLAYERS = 6, ASKS = 12 };

static unsigned seed = 1, rounds = WEFT__SAN_STACKS > 1 ? 20 : 200;
static unsigned next(unsigned *s) { return (*s = *s * 1103515245u + 12345u) >> 8; }

WEFT_EFFECT(outer, long, long x;);
WEFT_EFFECT(inner, long, long x;);

static weft_mutex lock;
static weft_k some[BODIES];
static weft_k seen[BODIES]; /* copies of what was kept once */
static int n_some;
static _Atomic long begun, ended, deferred, finalized, kept_count, used_count;

static weft_exit into_the_pool(weft_k k, const outer_op *op, void *answer, void *self) {
    weft_mask m;
    (void)op, (void)answer, (void)self;
    k = weft_keep(k);
    atomic_fetch_add(&kept_count, 1);
    weft_mask_begin(&m);
    weft_mutex_lock(&lock);
    seen[n_some] = some[n_some] = k;
    n_some++;
    weft_mutex_unlock(&lock);
    weft_mask_end(&m);
    return weft_done;
}
static weft_exit replies(weft_k k, const inner_op *op, void *answer, void *self) {
    (void)self;
    if (op->x % 3) return weft_transfer(k, inner, op->x);
    return weft_resume(k, inner, op->x, answer);
}
static weft_exit finalizes(void *arg) {
    (void)arg;
    atomic_fetch_add(&finalized, 1);
    return weft_done;
}

static long leaf(long x);
WEFT_TASK(leaf, long, long);
static long leaf(long x) {
    if (x % 2) weft_yield();
    return x;
}
typedef struct body_in {
    unsigned seed, depth;
} body_in;
static long works(body_in in);
WEFT_TASK(works, long, body_in);
static long works(body_in in) {
    long sum = 0, r;
    atomic_fetch_add(&begun, in.depth == 0);
    WEFT_SCOPE(s, NULL) {
        if (weft_defer(s, finalizes, NULL, 0) == WEFT_OK) atomic_fetch_add(&deferred, 1);
        for (int i = 0; i < ASKS; i++) {
            leaf_task t;
            weft_exit e = {WEFT_EXIT_OK, 0, NULL};
            weft_fork(&t, leaf, i);
            switch (next(&in.seed) % 6) {
            case 0: e = weft_perform(inner, &r, i); break;
            case 1: e = weft_yield(); break;
            case 2: e = weft_sleep(weft_us(next(&in.seed) % 3)); break;
            case 3: weft_start(s, leaf, i); break;
            default: e = weft_perform(outer, &r, i);
            }
            sum += weft_join(&t, leaf);
            if (!weft_ok(e)) break;
        }
    }
    atomic_fetch_add(&ended, in.depth == 0);
    return sum;
}
static long inside(body_in in);
WEFT_TASK(inside, long, body_in);
static long inside(body_in in) {
    long out = 0;
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(inner, replies));
    weft_handle(&h, works, &out, in.seed, in.depth);
    return out;
}

/* Whatever is there, until nothing is to come. */
static long plays(unsigned s);
WEFT_TASK(plays, long, unsigned);
static long plays(unsigned s) {
    static const weft_exit no = {WEFT_EXIT_FAIL, 300, NULL};
    for (;;) {
        weft_k k = {NULL, 0}, old = {NULL, 0};
        weft_mask m;
        weft_mask_begin(&m);
        weft_mutex_lock(&lock);
        if (n_some) k = some[--n_some];
        old = seen[next(&s) % BODIES];
        bool over = !k.body && atomic_load(&ended) == BODIES;
        weft_mutex_unlock(&lock);
        weft_mask_end(&m);
        if (over) return 0;
        if (!k.body) {
            if (!weft_ok(weft_sleep(weft_us(1)))) return 0;
            continue;
        }
        weft_exit e = next(&s) % 16 ? weft_resume(k, outer, 1, NULL) : weft_discontinue(k, no, NULL);
        CHECK(!weft_ok(e) || e.code == 0);
        CHECK(e.code != WEFT_E_TWICE && e.code != WEFT_E_CLOSED);
        CHECK_EQ(weft_resume(k, outer, 1, NULL).code, WEFT_E_TWICE);
        if (old.body == k.body && old.ticket == k.ticket) CHECK(!weft_k_is_open(old));
        atomic_fetch_add(&used_count, 1);
    }
}
static void game(void *arg) {
    plays_fiber f[PLAYERS];
    weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(outer, into_the_pool));
    (void)arg;
    lock = (weft_mutex)WEFT_MUTEX;
    n_some = 0;
    begun = ended = deferred = finalized = kept_count = used_count = 0;
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < BODIES; i++) weft_handle(&h, inside, NULL, next(&seed), 0);
    for (int i = 0; i < PLAYERS; i++) CHECK(weft_ok(weft_spawn(&f[i], plays, next(&seed))));
    for (unsigned n = next(&seed) % 40; n > 0; n--) weft_yield();
    for (int i = 1; i < PLAYERS; i++)
        if (next(&seed) % 3 == 0) weft_interrupt_async(f[i], "by chance");
    for (int i = 0; i < PLAYERS; i++) {
        weft_await(f[i], plays, NULL);
        weft_drop(f[i]);
    }
    plays(next(&seed)); /* what the interrupted have left */
    CHECK_EQ(begun, BODIES);
    CHECK_EQ(ended, BODIES);
    CHECK_EQ(finalized, deferred);
    CHECK_EQ(used_count, kept_count);
}
TEST(bodies_thrown_among_workers_end_once_each) {
    for (unsigned i = 0; i < rounds; i++)
        run_ends(&WEFT_OPTIONS(.workers = 1 + i % 4, .clock = i % 8 < 4 ? WEFT_CLOCK_REAL : WEFT_CLOCK_AUTO), game, NULL,
                 WEFT_OK);
}
TEST(bodies_thrown_among_fibers_end_once_each_in_every_schedule) {
    for (unsigned i = 0; i < rounds; i++)
        run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = i, .clock = WEFT_CLOCK_AUTO,
                               .explore = i % 2 ? WEFT_EXPLORE_RANDOM : WEFT_EXPLORE_PCT), game, NULL, WEFT_OK);
}

int main(int argc, char **argv) {
    if (argc > 1) seed = (unsigned)strtoul(argv[1], NULL, 0);
    if (argc > 2) rounds = (unsigned)atoi(argv[2]);
    return test_main(1, argv);
}
