/* tests/unit/alloc_stack_test.c -- the stack pool, with each kind of guard.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "alloc/os.h"
#include "alloc/san.h"
#include "alloc/stack.h"
#include "tests/test.h"
#include <errno.h>

static stack_pool *open_pool(void) {
    stack_pool *p;
    CHECK_EQ(weft__stack_pool_open(&p), WEFT_OK);
    return p;
}

static bool is_guarded(const char *p) {
    int fd[2];
    CHECK(pipe(fd) == 0);
    bool refused = write(fd[1], p, 1) < 0 && errno == EFAULT;
    close(fd[0]);
    close(fd[1]);
    return refused;
}

/* What lies below lo: a guard, or a tiny stack's canary. */
static size_t below(stack_class cls) { return cls == STACK_2K ? 64 : weft__os_guard_bytes(); }

TEST(the_smallest_class_that_holds_the_bytes_is_chosen) {
    CHECK_EQ(weft__stack_class_for(0), STACK_64K);
    CHECK_EQ(weft__stack_class_for(1), STACK_16K);
    CHECK_EQ(weft__stack_class_for(2048), STACK_16K);
    CHECK_EQ(weft__stack_class_for(16 << 10), STACK_16K);
    CHECK_EQ(weft__stack_class_for((16 << 10) + 1), STACK_64K);
    CHECK_EQ(weft__stack_class_for(64 << 10), STACK_64K);
    CHECK_EQ(weft__stack_class_for(200 << 10), STACK_256K);
    CHECK_EQ(weft__stack_class_for(1 << 20), STACK_1M);
    CHECK_EQ(weft__stack_class_for(8 << 20), STACK_8M);
    CHECK_EQ(weft__stack_class_for((8 << 20) + 1), STACK_CLASSES);
}

TEST(a_stack_is_usable_from_top_to_guard) {
    for (stack_class cls = 0; cls < STACK_CLASSES; cls++) {
        for (os_guard best = OS_GUARD_MADVISE; best <= OS_GUARD_CANARY; best++) {
            weft__os_guard_limit(best);
            stack_pool *p = open_pool();
            stack_cache *c = weft__stack_cache_open(p);
            stack s;
            CHECK(weft__stack_get(c, cls, &s));
            CHECK_EQ(s.cls, cls);
            CHECK_EQ((uintptr_t)s.top % 64, 0);
            CHECK((size_t)(s.top - s.lo) + 4096 + 960 >= weft__stack_class_bytes(cls));
            bool guarded = weft__os_guard_kind() != OS_GUARD_CANARY && cls != STACK_2K;
            CHECK_EQ(is_guarded(s.lo - 1), guarded);
            CHECK_EQ(is_guarded(s.lo - below(cls)), guarded);
            memset(s.lo + 64, 1, (size_t)(s.top - s.lo) - 64);
            weft__stack_put(c, s);
            weft__stack_cache_close(c);
            weft__stack_pool_close(p, false);
        }
    }
    weft__os_guard_limit(OS_GUARD_MADVISE);
}

TEST(sixteen_neighbours_have_sixteen_colours) {
    stack_pool *p = open_pool();
    stack_cache *c = weft__stack_cache_open(p);
    stack s[16];
    unsigned seen = 0;
    for (int i = 0; i < 16; i++) {
        CHECK(weft__stack_get(c, STACK_64K, &s[i]));
        size_t colour = (size_t)(-(uintptr_t)s[i].top % 4096);
        CHECK(colour % 64 == 0 && colour < 1024);
        seen |= 1u << (colour / 64);
    }
    CHECK_EQ(seen, 0xffff);
    for (int i = 0; i < 16; i++) weft__stack_put(c, s[i]);
    weft__stack_cache_close(c);
    weft__stack_pool_close(p, false);
}

TEST(the_last_stack_put_is_the_next_one_got) {
    stack_pool *p = open_pool();
    stack_cache *c = weft__stack_cache_open(p);
    stack a, b, x;
    CHECK(weft__stack_get(c, STACK_16K, &a) && weft__stack_get(c, STACK_16K, &b));
    weft__stack_put(c, a);
    weft__stack_put(c, b);
    CHECK(weft__stack_get(c, STACK_16K, &x) && x.lo == b.lo && x.top == b.top);
    CHECK(weft__stack_get(c, STACK_16K, &x) && x.lo == a.lo && x.top == a.top);
    weft__stack_put(c, a);
    weft__stack_put(c, b);
    weft__stack_cache_close(c);
    weft__stack_pool_close(p, false);
}

TEST(many_stacks_are_distinct_travel_through_the_depot_and_are_used_again) {
    enum { N = 400 }; /* the least region has room for them */
    static stack s[N];
    stack_pool *p = open_pool();
    stack_cache *a = weft__stack_cache_open(p), *b = weft__stack_cache_open(p);
    for (int i = 0; i < N; i++) {
        CHECK(weft__stack_get(a, STACK_64K, &s[i]));
        s[i].top[-1] = (char)i;
        *(int *)(void *)(s[i].top - 64) = i;
    }
    for (int i = 0; i < N; i++) CHECK_EQ(*(int *)(void *)(s[i].top - 64), i);
    size_t mapped = weft__stack_pool_stats(p).mapped;
    CHECK(mapped >= N && mapped <= N + 32);
    CHECK_EQ(weft__stack_pool_stats(p).regions, 1);
    weft__stack_pool_audit(p);
    for (int i = 0; i < N; i++) weft__stack_put(b, s[i]);
    CHECK(weft__stack_pool_stats(p).free >= N - 64);
    weft__stack_pool_audit(p);
    for (int i = 0; i < N; i++) CHECK(weft__stack_get(b, STACK_64K, &s[i]));
    CHECK_EQ(weft__stack_pool_stats(p).mapped, mapped);
    for (int i = 0; i < N; i++) weft__stack_put(a, s[i]);
    weft__stack_cache_close(a);
    weft__stack_cache_close(b);
    CHECK_EQ(weft__stack_pool_stats(p).free, mapped);
    weft__stack_pool_audit(p);
    weft__stack_pool_close(p, false);
}

TEST(the_stack_that_holds_an_address_is_found) {
    stack_pool *p = open_pool();
    stack_cache *c = weft__stack_cache_open(p);
    for (stack_class cls = 0; cls < STACK_CLASSES; cls++) {
        stack s, found;
        bool guard;
        CHECK(weft__stack_get(c, cls, &s));
        CHECK(weft__stack_find(p, (uintptr_t)s.top - 1, &found, &guard) && !guard);
        CHECK(found.lo == s.lo && found.top == s.top && found.cls == cls);
        CHECK(weft__stack_find(p, (uintptr_t)s.lo, &found, &guard) && !guard && found.lo == s.lo);
        CHECK(weft__stack_find(p, (uintptr_t)s.lo - 1, &found, &guard) && guard && found.lo == s.lo);
        CHECK(weft__stack_find(p, (uintptr_t)s.lo - below(cls), &found, &guard));
        CHECK(guard && found.lo == s.lo);
        uintptr_t unused = (uintptr_t)s.lo + 8 * weft__stack_slot_bytes(cls);
        CHECK(!weft__stack_find(p, unused, &found, &guard));
        CHECK(!weft__stack_find(p, (uintptr_t)&s, &found, &guard));
        CHECK(!weft__stack_find(p, 0, &found, &guard));
        weft__stack_put(c, s);
    }
    weft__stack_cache_close(c);
    weft__stack_pool_close(p, false);
}

TEST(the_high_water_mark_is_the_lowest_page_touched_and_trimming_resets_it) {
    stack_pool *p = open_pool();
    stack_cache *c = weft__stack_cache_open(p);
    size_t page = weft__os_page();
    stack s;
    CHECK(weft__stack_get(c, STACK_64K, &s));
    CHECK_EQ(weft__stack_high_water(&s), 0);
    s.top[-1] = 1;
    CHECK(weft__stack_high_water(&s) <= page);
    s.lo[2 * page + 1] = 1;
    CHECK_EQ(weft__stack_high_water(&s), s.top - (s.lo + 2 * page));
    weft__stack_put(c, s);
    CHECK_EQ(weft__stack_pool_trim(p, SIZE_MAX), 0);
    weft__stack_cache_close(c);
    CHECK_EQ(weft__stack_pool_trim(p, 0), 0);
    CHECK_EQ(weft__stack_pool_trim(p, SIZE_MAX), 1);
    CHECK_EQ(weft__stack_pool_trim(p, SIZE_MAX), 0);
    CHECK_EQ(weft__stack_high_water(&s), 0);
    weft__stack_pool_audit(p);
    weft__stack_pool_close(p, false);
}

TEST(without_cheap_guards_the_budget_is_kept_and_given_back) {
    enum { N = 100 };
    stack s[N];
    weft__os_guard_limit(OS_GUARD_MPROTECT);
    size_t before = weft__os_guard_budget();
    stack_pool *p = open_pool();
    stack_cache *c = weft__stack_cache_open(p);
    for (int i = 0; i < N; i++) CHECK(weft__stack_get(c, STACK_16K, &s[i]) && is_guarded(s[i].lo - 1));
    CHECK_EQ(weft__os_guard_budget(), before - weft__stack_pool_stats(p).mapped);
    for (int i = 0; i < N; i++) weft__stack_put(c, s[i]);
    weft__stack_cache_close(c);
    weft__stack_pool_close(p, false);
    CHECK_EQ(weft__os_guard_budget(), before);
    weft__os_guard_limit(OS_GUARD_MADVISE);
}

static void break_canary(void *arg) {
    weft__os_guard_limit(OS_GUARD_CANARY);
    stack_cache *c = weft__stack_cache_open(open_pool());
    stack s;
    CHECK(weft__stack_get(c, STACK_16K, &s));
    s.lo[(uintptr_t)arg] ^= 1;
    weft__stack_put(c, s);
}

TEST(a_damaged_canary_is_reported) {
    EXPECT_DEATH(break_canary, (void *)0, SIGABRT, "stack overflow");
    EXPECT_DEATH(break_canary, (void *)63, SIGABRT, "stack overflow");
    char text[1024];
    CHECK_EQ(test_in_child(break_canary, (void *)64, text, sizeof text), 0);
}

TEST(a_canary_survives_trimming) {
    weft__os_guard_limit(OS_GUARD_CANARY);
    stack_pool *p = open_pool();
    stack_cache *c = weft__stack_cache_open(p);
    stack s;
    CHECK(weft__stack_get(c, STACK_16K, &s));
    weft__stack_put(c, s);
    weft__stack_cache_close(c);
    CHECK_EQ(weft__stack_pool_trim(p, 1), 1);
    c = weft__stack_cache_open(p);
    CHECK(weft__stack_get(c, STACK_16K, &s));
    weft__stack_put(c, s);
    weft__stack_cache_close(c);
    weft__stack_pool_close(p, false);
    weft__os_guard_limit(OS_GUARD_MADVISE);
}

static stack_cache *tiny_open(stack *s) {
    stack_cache *c = weft__stack_cache_open(open_pool());
    CHECK(weft__stack_get(c, STACK_2K, s));
    return c;
}

static void overflow_tiny(void *arg) {
    stack s;
    stack_cache *c = tiny_open(&s);
    CHECK(!weft__stack_overflowed(&s));
    s.lo[(intptr_t)arg] ^= 1;
    CHECK_EQ(weft__stack_overflowed(&s), (intptr_t)arg < 0);
    weft__stack_put(c, s);
}

TEST(a_tiny_stack_that_overflowed_is_reported) {
    EXPECT_DEATH(overflow_tiny, (void *)-1, SIGABRT, "stack overflow");
    EXPECT_DEATH(overflow_tiny, (void *)-64, SIGABRT, "stack overflow");
    char text[1024];
    CHECK_EQ(test_in_child(overflow_tiny, (void *)0, text, sizeof text), 0);
}

/* The line between them is the canary of the upper one. */
TEST(tiny_stacks_are_packed_with_a_line_between_them) {
    enum { N = 400 }; /* the least region has room for them */
    static stack s[N];
    stack_pool *p = open_pool();
    stack_cache *c = weft__stack_cache_open(p);
    char *low = (char *)UINTPTR_MAX, *high = NULL;
    for (int i = 0; i < N; i++) {
        CHECK(weft__stack_get(c, STACK_2K, &s[i]));
        CHECK_EQ(s[i].top - s[i].lo, weft__stack_class_bytes(STACK_2K));
        memset(s[i].lo, (i & 127) | 128, (size_t)(s[i].top - s[i].lo));
        low = s[i].lo < low ? s[i].lo : low;
        high = s[i].top > high ? s[i].top : high;
    }
    size_t mapped = weft__stack_pool_stats(p).mapped, stride = weft__stack_class_bytes(STACK_2K) + 64;
    CHECK(mapped <= N + 32 && (size_t)(high - low) <= mapped * stride);
    CHECK_EQ(weft__stack_pool_stats(p).regions, 1);
    for (int i = 0; i < N; i++) CHECK(s[i].lo[0] == s[i].top[-1] && (s[i].lo[0] & 127) == (i & 127));
    weft__stack_pool_audit(p);
    for (int i = 0; i < N; i++) weft__stack_put(c, s[i]);
    weft__stack_cache_close(c);
    weft__stack_pool_audit(p);
    weft__stack_pool_close(p, false);
}

/* Their pages may hold others that are in use. */
TEST(trimming_leaves_tiny_stacks_alone) {
    stack_pool *p = open_pool();
    stack_cache *a = weft__stack_cache_open(p), *b = weft__stack_cache_open(p);
    stack s, kept;
    CHECK(weft__stack_get(a, STACK_2K, &s) && weft__stack_get(b, STACK_2K, &kept));
    memset(kept.lo, 7, 2048);
    weft__stack_put(a, s);
    weft__stack_cache_close(a);
    CHECK_EQ(weft__stack_pool_trim(p, SIZE_MAX), 0);
    CHECK(kept.lo[0] == 7 && kept.lo[2047] == 7);
    CHECK(weft__stack_get(b, STACK_2K, &s)); /* its canary is whole */
    weft__stack_put(b, s);
    weft__stack_put(b, kept);
    weft__stack_cache_close(b);
    weft__stack_pool_close(p, false);
}

TEST(the_high_water_mark_of_a_tiny_stack_is_its_lowest_byte_in_use) {
    stack s;
    stack_pool *p = open_pool();
    stack_cache *c = weft__stack_cache_open(p);
    CHECK(weft__stack_get(c, STACK_2K, &s));
    CHECK_EQ(weft__stack_high_water(&s), 0);
    s.top[-300] = 1;
    CHECK_EQ(weft__stack_high_water(&s), 300);
    weft__stack_put(c, s);
    weft__stack_cache_close(c);
    weft__stack_pool_close(p, false);
}

static void close_in_use(void *arg) {
    (void)arg;
    stack_pool *p = open_pool();
    stack_cache *c = weft__stack_cache_open(p);
    stack s;
    CHECK(weft__stack_get(c, STACK_64K, &s));
    weft__stack_cache_close(c);
    weft__stack_pool_close(p, false);
}

TEST(closing_a_pool_with_a_stack_in_use_is_reported) {
    EXPECT_DEATH(close_in_use, NULL, SIGABRT, "1 stacks of");
}

/* One life of a pool; false when some allocation failed on the way. */
static bool live_once(void) {
    stack_pool *p;
    stack s;
    bool got = false;
    if (weft__stack_pool_open(&p) != WEFT_OK) return false;
    stack_cache *c = weft__stack_cache_open(p);
    if (c) {
        got = weft__stack_get(c, STACK_64K, &s);
        if (got) weft__stack_put(c, s);
        weft__stack_cache_close(c);
    }
    weft__stack_pool_audit(p);
    weft__stack_pool_close(p, false);
    return got;
}

TEST(every_allocation_may_fail_and_nothing_leaks) {
    uint64_t before = weft__heap_live();
    weft__heap_fail_at(0, 0);
    CHECK(live_once());
    uint64_t all = weft__heap_asked();
    CHECK_EQ(all, 4); /* pool, cache, region, its depot */
    for (uint64_t n = 1; n <= all; n++) {
        weft__heap_fail_at(n, 0);
        CHECK(!live_once());
        CHECK_EQ(weft__heap_live(), before);
    }
    weft__heap_fail_at(0, 0);
}

TEST(a_failed_get_leaves_the_pool_usable) {
    stack_pool *p = open_pool();
    stack_cache *c = weft__stack_cache_open(p);
    stack s;
    weft__heap_fail_at(2, 0);
    CHECK(!weft__stack_get(c, STACK_1M, &s));
    CHECK(weft__stack_get(c, STACK_1M, &s));
    weft__heap_fail_at(1, 1);
    for (int i = 0; i < 100; i++) { /* once the class has a region, nothing is allocated */
        weft__stack_put(c, s);
        CHECK(weft__stack_get(c, STACK_1M, &s));
    }
    weft__heap_fail_at(0, 0);
    weft__stack_put(c, s);
    weft__stack_cache_close(c);
    weft__stack_pool_close(p, false);
}

#if defined(WEFT__ASAN)
TEST(red_zones_of_dead_frames_are_lifted) {
    stack_pool *p = open_pool();
    stack_cache *c = weft__stack_cache_open(p);
    stack s;
    CHECK(weft__stack_get(c, STACK_64K, &s));
    san_poison(s.top - 256, 128);
    weft__stack_put(c, s);
    CHECK(weft__stack_get(c, STACK_64K, &s));
    memset(s.top - 512, 1, 512);
    weft__stack_put(c, s);
    weft__stack_cache_close(c);
    weft__stack_pool_close(p, false);
}

TEST(a_block_known_only_to_a_stack_is_no_leak) {
    stack_pool *p = open_pool();
    stack_cache *c = weft__stack_cache_open(p);
    stack s;
    CHECK(weft__stack_get(c, STACK_64K, &s));
    void **hidden = (void **)(void *)(s.top - 128);
    *hidden = malloc(77);
    CHECK_EQ(__lsan_do_recoverable_leak_check(), 0);
    free(*hidden);
    weft__stack_put(c, s);
    weft__stack_cache_close(c);
    weft__stack_pool_close(p, false);
}
#endif

TEST_MAIN
