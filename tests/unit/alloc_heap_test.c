/* tests/unit/alloc_heap_test.c -- the general heap, its accounts, its failure hook; error texts.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "tests/test.h"
#include <weft/base.h>

TEST(a_block_is_zeroed_and_aligned_even_when_its_memory_was_used_before) {
    for (int round = 0; round < 3; round++) {
        for (size_t align = 0; align <= 65536; align = align ? align * 2 : 1) {
            size_t bytes = 24 + align / 3;
            unsigned char *p = weft__heap_alloc(bytes, align);
            CHECK(p != NULL);
            CHECK_EQ((uintptr_t)p % (align < 16 ? 16 : align), 0);
            for (size_t i = 0; i < bytes; i++) CHECK_EQ(p[i], 0);
            memset(p, 0xa5, bytes);
            weft__heap_free(p, bytes);
        }
    }
}

TEST(live_counts_what_is_not_yet_freed) {
    uint64_t before = weft__heap_live();
    void *a = weft__heap_alloc(100, 0), *b = weft__heap_alloc(48, 64);
    CHECK_EQ(weft__heap_live() - before, 148);
    weft__heap_free(a, 100);
    CHECK_EQ(weft__heap_live() - before, 48);
    weft__heap_free(b, 48);
    weft__heap_free(NULL, 7);
    CHECK_EQ(weft__heap_live(), before);
}

TEST(the_hook_fails_exactly_the_nth_allocation) {
    for (uint64_t n = 1; n <= 4; n++) {
        weft__heap_fail_at(n, 0);
        for (uint64_t i = 1; i <= 5; i++) {
            void *p = weft__heap_alloc(16, 0);
            CHECK_EQ(p == NULL, i == n);
            weft__heap_free(p, 16);
        }
        CHECK_EQ(weft__heap_asked(), 5);
    }
    weft__heap_fail_at(0, 0);
}

TEST(the_persistent_hook_fails_every_later_allocation) {
    weft__heap_fail_at(2, 1);
    void *p = weft__heap_alloc(16, 0);
    CHECK(p != NULL);
    weft__heap_free(p, 16);
    for (int i = 0; i < 3; i++) CHECK(weft__heap_alloc(16, 0) == NULL);
    weft__heap_fail_at(0, 0);
    p = weft__heap_alloc(16, 0);
    CHECK(p != NULL);
    weft__heap_free(p, 16);
}

TEST(the_heap_names_its_allocator) {
#if defined(WEFT_ALLOC_SYSTEM) && WEFT_ALLOC_SYSTEM
    CHECK(strcmp(weft__heap_name(), "system") == 0);
#else
    CHECK(strcmp(weft__heap_name(), "jemalloc") == 0);
#endif
}

TEST(every_error_code_has_a_sentence_of_its_own) {
    for (int a = WEFT_OK; a <= WEFT_E_FORKED + 1; a++) {
        CHECK(strlen(weft_err_text((weft_err)a)) > 20);
        CHECK(strchr(weft_err_text((weft_err)a), ';') != NULL); /* what happened; what to do */
        for (int b = WEFT_OK; b < a; b++) CHECK(weft_err_text((weft_err)a) != weft_err_text((weft_err)b));
    }
}

TEST(the_version_is_that_of_the_headers) {
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", WEFT_VERSION_MAJOR, WEFT_VERSION_MINOR, WEFT_VERSION_PATCH);
    CHECK(strcmp(weft_version(), text) == 0);
}

TEST_MAIN
