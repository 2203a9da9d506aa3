/* tests/stress/stack_stress.c -- stacks of a pool are taken, exchanged and given back by 1, 2 and 8
 * threads, while pages are trimmed, addresses looked up and caches closed.
 *
 * Every stack carries a word that its holder sets and clears, which discarding clears too: a stack
 * handed out twice, or trimmed while somebody holds it, is seen at once.  At the end every slot is in
 * the depot.  WEFT_SEED repeats a run.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/atomic.h"
#include "alloc/heap.h"
#include "alloc/os.h"
#include "alloc/stack.h"
#include "tests/test.h"

enum { OPS = 400000, MOST = 8, SHARED = 64, KEPT = 150, SPAN = 3000 };

typedef struct job {
    stack_pool *pool;
    _Atomic(stack *) *shared;
    uint64_t random;
    int ops;
    uint64_t got, put;
} job;

static uint64_t next_random(uint64_t *s) {
    *s ^= *s << 13;
    *s ^= *s >> 7;
    return *s ^= *s << 17;
}

/* The description of a stack travels on the stack itself, where the scheduler keeps its own. */
typedef struct holder {
    stack self;
    _Atomic uint64_t held;
} holder;

static holder *holder_of(const stack *s) {
    return (holder *)(void *)(s->top - ((sizeof(holder) + 63) & ~(size_t)63));
}

static stack *take(job *j, stack_cache *c) {
    static const stack_class classes[] = {STACK_64K, STACK_64K, STACK_16K, STACK_256K};
    stack s;
    CHECK(weft__stack_get(c, classes[next_random(&j->random) >> 40 & 3], &s));
    holder *h = holder_of(&s);
    CHECK_EQ(atom_xchg_rlx(&h->held, 1), 0);
    h->self = s;
    j->got++;
    return &h->self;
}

static void give(job *j, stack_cache *c, stack *at) {
    stack s = *at, found;
    bool guard;
    CHECK_EQ(atom_xchg_rlx(&holder_of(&s)->held, 0), 1);
    CHECK(weft__stack_find(j->pool, (uintptr_t)at, &found, &guard) && !guard);
    CHECK(found.lo == s.lo && found.top == s.top && found.cls == s.cls);
    j->put++;
    weft__stack_put(c, s);
}

static void span(job *j, int ops) {
    stack_cache *c = weft__stack_cache_open(j->pool);
    stack *kept[KEPT];
    int n = 0;
    CHECK(c != NULL);
    for (int i = 0; i < ops; i++) {
        uint64_t r = next_random(&j->random) >> 32;
        if (r % 4 == 0 && n > 0) {
            stack *other = atom_xchg_ar(&j->shared[next_random(&j->random) % SHARED], kept[--n]);
            if (other) kept[n++] = other;
        } else if (n < KEPT && (n == 0 || r & 8)) {
            kept[n++] = take(j, c);
        } else {
            give(j, c, kept[--n]);
        }
        if (r % 1024 == 5) weft__stack_pool_trim(j->pool, 20);
        if (r % 1024 == 9) weft__stack_pool_audit(j->pool);
    }
    while (n > 0) give(j, c, kept[--n]);
    weft__stack_cache_close(c);
}

static void work(void *arg) {
    job *j = arg;
    for (int left = j->ops; left > 0; left -= SPAN) span(j, left < SPAN ? left : SPAN);
}

static void run(int threads) {
    static _Atomic(stack *) shared[SHARED];
    const char *given = getenv("WEFT_SEED");
    uint64_t seed = (given ? strtoull(given, NULL, 0) : (uint64_t)weft__os_now()) | 1, got = 0, put = 0;
    fprintf(stderr, "    %d threads, WEFT_SEED=%llu\n", threads, (unsigned long long)seed);
    uint64_t before = weft__heap_live();
    stack_pool *pool;
    os_thread t[MOST];
    job jobs[MOST];
    CHECK_EQ(weft__stack_pool_open(&pool), WEFT_OK);
    for (int i = 0; i < threads; i++) {
        uint64_t random = seed * (uint64_t)(2 * i + 1);
        jobs[i] = (job){.pool = pool, .shared = shared, .random = random, .ops = OPS / threads};
        CHECK_EQ(weft__os_thread_start(&t[i], "stack", work, &jobs[i]), WEFT_OK);
    }
    for (int i = 0; i < threads; i++) {
        weft__os_thread_join(t[i]);
        got += jobs[i].got;
        put += jobs[i].put;
    }
    job rest = {.pool = pool, .random = seed};
    stack_cache *c = weft__stack_cache_open(pool);
    for (int i = 0; i < SHARED; i++) {
        stack *s = atom_xchg_ar(&shared[i], (stack *)0);
        if (s) give(&rest, c, s);
    }
    weft__stack_cache_close(c);
    CHECK_EQ(got, put + rest.put);
    weft__stack_pool_audit(pool);
    stack_stats st = weft__stack_pool_stats(pool);
    CHECK_EQ(st.free, st.mapped);
    weft__stack_pool_close(pool, false);
    CHECK_EQ(weft__heap_live(), before);
}

TEST(one_thread_gets_every_stack_once) { run(1); }
TEST(two_threads_get_every_stack_once) { run(2); }
TEST(eight_threads_get_every_stack_once) { run(8); }

static void run_with_canaries(void) {
    weft__os_guard_limit(OS_GUARD_CANARY);
    run(2);
    weft__os_guard_limit(OS_GUARD_MADVISE);
}

TEST(stacks_without_hardware_guards_keep_their_canaries) { run_with_canaries(); }

TEST_MAIN
