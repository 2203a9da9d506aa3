/* tests/unit/alloc_slab_test.c -- slabs and the remote list.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "alloc/os.h"
#include "alloc/remote_list.h"
#include "alloc/slab.h"
#include "tests/test.h"

enum { MANY = 3000 };

TEST(a_drain_takes_everything_newest_first) {
    remote_list l = {NULL};
    remote_node n[3];
    CHECK(remote_drain(&l) == NULL);
    for (int i = 0; i < 3; i++) remote_push(&l, &n[i]);
    remote_node *got = remote_drain(&l);
    CHECK(got == &n[2] && got->next == &n[1] && n[1].next == &n[0] && n[0].next == NULL);
    CHECK(remote_drain(&l) == NULL);
}

TEST(objects_do_not_overlap_and_are_aligned) {
    static const size_t sizes[] = {16, 24, 64, 100, 128, 1024, 1040, 4096};
    static unsigned char *got[MANY];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        slab_pool *p;
        size_t bytes = sizes[s], align = bytes % 128 == 0 ? 128 : bytes % 64 == 0 ? 64 : 16;
        CHECK_EQ(weft__slab_pool_open(&p, bytes), WEFT_OK);
        slab_cache *c = weft__slab_cache_open(p);
        for (int i = 0; i < MANY; i++) {
            got[i] = weft__slab_get(c);
            CHECK(got[i] && (uintptr_t)got[i] % align == 0);
            memset(got[i], i & 255, bytes);
        }
        for (int i = 0; i < MANY; i++) {
            for (size_t k = 0; k < bytes; k++) CHECK_EQ(got[i][k], i & 255);
        }
        CHECK_EQ(weft__slab_live(c), MANY);
        for (int i = 0; i < MANY; i++) weft__slab_put(c, got[i]);
        weft__slab_audit(c);
        CHECK_EQ(weft__slab_live(c), 0);
        weft__slab_cache_close(c);
        weft__slab_pool_close(p);
    }
}

TEST(sizes_out_of_range_are_refused) {
    slab_pool *p;
    CHECK_EQ(weft__slab_pool_open(&p, 15), WEFT_E_INVALID);
    CHECK_EQ(weft__slab_pool_open(&p, 4097), WEFT_E_INVALID);
}

TEST(the_last_object_put_is_the_next_one_got) {
    slab_pool *p;
    CHECK_EQ(weft__slab_pool_open(&p, 64), WEFT_OK);
    slab_cache *c = weft__slab_cache_open(p);
    void *a = weft__slab_get(c), *b = weft__slab_get(c);
    weft__slab_put(c, a);
    weft__slab_put(c, b);
    CHECK(weft__slab_get(c) == b);
    CHECK(weft__slab_get(c) == a);
    weft__slab_put(c, a);
    weft__slab_put(c, b);
    weft__slab_cache_close(c);
    weft__slab_pool_close(p);
}

TEST(an_object_freed_elsewhere_goes_home) {
    slab_pool *p;
    CHECK_EQ(weft__slab_pool_open(&p, 64), WEFT_OK);
    slab_cache *a = weft__slab_cache_open(p), *b = weft__slab_cache_open(p);
    CHECK(a != b);
    void *x = weft__slab_get(a), *y = weft__slab_get(a);
    weft__slab_put(b, x);
    weft__slab_put_foreign(y);
    CHECK(weft__slab_get(b) != x);
    CHECK_EQ(weft__slab_live(a), 0);
    CHECK_EQ(weft__slab_live(b), 1);
    void *z = weft__slab_get(a);
    CHECK(z == x || z == y);
    weft__slab_audit(a);
    weft__slab_audit(b);
    weft__slab_cache_close(a);
    weft__slab_cache_close(b);
    weft__slab_pool_close(p);
}

TEST(a_closed_cache_is_adopted_with_its_live_objects) {
    slab_pool *p;
    CHECK_EQ(weft__slab_pool_open(&p, 64), WEFT_OK);
    slab_cache *a = weft__slab_cache_open(p);
    void *x = weft__slab_get(a), *y = weft__slab_get(a);
    weft__slab_put(a, y);
    weft__slab_cache_close(a);
    weft__slab_put_foreign(x); /* nobody owns the cache now */
    slab_cache *b = weft__slab_cache_open(p);
    CHECK_EQ(weft__slab_live(b), 0);
    void *u = weft__slab_get(b), *v = weft__slab_get(b);
    CHECK((u == x && v == y) || (u == y && v == x));
    weft__slab_cache_close(b);
    weft__slab_pool_close(p);
}

TEST(no_closed_cache_is_forgotten) {
    slab_pool *p;
    CHECK_EQ(weft__slab_pool_open(&p, 64), WEFT_OK);
    slab_cache *a[3], *b[3];
    for (int i = 0; i < 3; i++) a[i] = weft__slab_cache_open(p);
    for (int i = 0; i < 3; i++) weft__slab_cache_close(a[i]);
    for (int i = 0; i < 3; i++) {
        b[i] = weft__slab_cache_open(p);
        CHECK(b[i] == a[0] || b[i] == a[1] || b[i] == a[2]);
        for (int k = 0; k < i; k++) CHECK(b[i] != b[k]);
    }
    for (int i = 0; i < 3; i++) weft__slab_cache_close(b[i]);
    weft__slab_pool_close(p);
}

/* One life of a pool with room for two chunks; false when some allocation failed on the way. */
static bool live_once(void) {
    slab_pool *p;
    enum { N = 20 };
    void *got[N];
    if (weft__slab_pool_open(&p, 4096) != WEFT_OK) return false;
    slab_cache *c = weft__slab_cache_open(p);
    int n = 0;
    while (c && n < N && (got[n] = weft__slab_get(c))) n++;
    for (int i = 0; i < n; i++) weft__slab_put(c, got[i]);
    if (c) {
        weft__slab_audit(c);
        CHECK_EQ(weft__slab_live(c), 0);
        weft__slab_cache_close(c);
    }
    weft__slab_pool_close(p);
    return n == N;
}

TEST(every_allocation_may_fail_and_nothing_leaks) {
    uint64_t before = weft__heap_live();
    weft__heap_fail_at(0, 0);
    CHECK(live_once());
    uint64_t all = weft__heap_asked();
    CHECK_EQ(all, 4); /* pool, cache, two chunks */
    for (uint64_t n = 1; n <= all; n++) {
        for (int persistent = 0; persistent < 2; persistent++) {
            weft__heap_fail_at(n, persistent);
            CHECK(!live_once());
            CHECK_EQ(weft__heap_live(), before);
        }
    }
    weft__heap_fail_at(0, 0);
}

static void free_twice(void *foreign) {
    slab_pool *p;
    CHECK_EQ(weft__slab_pool_open(&p, 64), WEFT_OK);
    slab_cache *c = weft__slab_cache_open(p);
    void *x = weft__slab_get(c);
    weft__slab_get(c);
    for (int i = 0; i < 2; i++) foreign ? weft__slab_put_foreign(x) : weft__slab_put(c, x);
    weft__slab_audit(c);
}

TEST(an_audit_reports_an_object_freed_twice) {
    EXPECT_DEATH(free_twice, NULL, SIGABRT, "free twice");
    EXPECT_DEATH(free_twice, (void *)1, SIGABRT, "freed twice");
}

static void close_early(void *arg) {
    (void)arg;
    slab_pool *p;
    CHECK_EQ(weft__slab_pool_open(&p, 64), WEFT_OK);
    weft__slab_cache_open(p);
    weft__slab_pool_close(p);
}

TEST(closing_a_pool_before_its_caches_is_reported) {
    EXPECT_DEATH(close_early, NULL, SIGABRT, "1 caches open");
}

TEST_MAIN
