/* tests/stress/slab_stress.c -- objects of a slab pool are made and freed by 1, 2 and 8 threads, in part
 * by others than their maker, while caches are closed and adopted.
 *
 * Every object carries a word that its holder sets and clears: an object handed out twice is seen at
 * once.  At the end everything is free again, and each cache's audit agrees.  WEFT_SEED repeats a run.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/atomic.h"
#include "alloc/os.h"
#include "alloc/slab.h"
#include "tests/test.h"

enum { OPS = 2000000, MOST = 8, SHARED = 64, KEPT = 200, SPAN = 5000 };

typedef struct object {
    void *link; /* the slab's while free */
    _Atomic uint64_t held;
    uint64_t payload[4];
} object;

typedef struct job {
    slab_pool *pool;
    _Atomic(object *) *shared;
    uint64_t random;
    int ops;
    uint64_t got, put;
} job;

static uint64_t next_random(uint64_t *s) {
    *s ^= *s << 13;
    *s ^= *s >> 7;
    return *s ^= *s << 17;
}

static object *take(job *j, slab_cache *c) {
    object *o = weft__slab_get(c);
    CHECK(o != NULL);
    CHECK_EQ(atom_xchg_rlx(&o->held, 1), 0);
    for (int i = 0; i < 4; i++) o->payload[i] = (uint64_t)(uintptr_t)o + (uint64_t)i;
    j->got++;
    return o;
}

static void give(job *j, slab_cache *c, object *o) {
    for (int i = 0; i < 4; i++) CHECK_EQ(o->payload[i], (uint64_t)(uintptr_t)o + (uint64_t)i);
    CHECK_EQ(atom_xchg_rlx(&o->held, 0), 1);
    j->put++;
    if (next_random(&j->random) & 1) weft__slab_put(c, o);
    else weft__slab_put_foreign(o);
}

static object *swap_shared(job *j, object *mine) {
    return atom_xchg_ar(&j->shared[next_random(&j->random) % SHARED], mine);
}

/* One span with one cache: take, give, or exchange with whoever else is there. */
static void span(job *j, int ops) {
    slab_cache *c = weft__slab_cache_open(j->pool);
    object *kept[KEPT];
    int n = 0;
    CHECK(c != NULL);
    for (int i = 0; i < ops; i++) {
        uint64_t r = next_random(&j->random) >> 32;
        if (r % 4 == 0 && n > 0) {
            object *other = swap_shared(j, kept[--n]);
            if (other) kept[n++] = other;
        } else if (n < KEPT && (n == 0 || r & 8)) {
            kept[n++] = take(j, c);
        } else {
            give(j, c, kept[--n]);
        }
    }
    while (n > 0) give(j, c, kept[--n]);
    weft__slab_audit(c);
    weft__slab_cache_close(c);
}

static void work(void *arg) {
    job *j = arg;
    for (int left = j->ops; left > 0; left -= SPAN) span(j, left < SPAN ? left : SPAN);
}

static void run(int threads) {
    static _Atomic(object *) shared[SHARED];
    const char *given = getenv("WEFT_SEED");
    uint64_t seed = (given ? strtoull(given, NULL, 0) : (uint64_t)weft__os_now()) | 1, got = 0, put = 0;
    fprintf(stderr, "    %d threads, WEFT_SEED=%llu\n", threads, (unsigned long long)seed);
    slab_pool *pool;
    os_thread t[MOST];
    job jobs[MOST];
    CHECK_EQ(weft__slab_pool_open(&pool, sizeof(object)), WEFT_OK);
    for (int i = 0; i < threads; i++) {
        uint64_t random = seed * (uint64_t)(2 * i + 1);
        jobs[i] = (job){.pool = pool, .shared = shared, .random = random, .ops = OPS / threads};
        CHECK_EQ(weft__os_thread_start(&t[i], "slab", work, &jobs[i]), WEFT_OK);
    }
    for (int i = 0; i < threads; i++) {
        weft__os_thread_join(t[i]);
        got += jobs[i].got;
        put += jobs[i].put;
    }
    job rest = {.pool = pool, .random = seed};
    slab_cache *c[MOST + 1];
    /* Adopts them all: there were never more than `threads` at once. */
    for (int i = 0; i <= threads; i++) CHECK((c[i] = weft__slab_cache_open(pool)) != NULL);
    for (int i = 0; i < SHARED; i++) {
        object *o = atom_xchg_ar(&shared[i], (object *)0);
        if (o) give(&rest, c[0], o);
    }
    CHECK_EQ(got, put + rest.put);
    for (int i = 0; i <= threads; i++) {
        weft__slab_audit(c[i]);
        CHECK_EQ(weft__slab_live(c[i]), 0);
        weft__slab_cache_close(c[i]);
    }
    weft__slab_pool_close(pool);
}

TEST(one_thread_gets_every_object_once) { run(1); }
TEST(two_threads_get_every_object_once) { run(2); }
TEST(eight_threads_get_every_object_once) { run(8); }

TEST_MAIN
