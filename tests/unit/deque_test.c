/* The shared ring, one call at a time.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "sched/deque.h"

static deque d;
static int A, B, C, D;

static deque_ring *ring_of(uint64_t capacity) {
    deque_ring *r = calloc(1, DEQUE_RING_BYTES(capacity));
    CHECK(r != NULL);
    r->capacity = capacity;
    return r;
}

/* Starts with indices near the end of their range, so that every test also passes the wrap. */
static void fresh(uint64_t capacity) {
    memset(&d, 0, sizeof d);
    atom_store_rlx(&d.ts, deque_pack(DEQUE_TOP_MASK, 0));
    atom_store_rlx(&d.ring, ring_of(capacity));
}
static void drop(void) {
    for (deque_ring *r = atom_load_rlx(&d.ring); r;) {
        deque_ring *older = r->replaced;
        free(r);
        r = older;
    }
}
static uint64_t offer_one(void *item) {
    uint64_t room, at = deque_end(&d, &room);
    CHECK(room > 0);
    deque_put(&d, at, item);
    deque_offer(&d, 1);
    return at;
}

TEST(thieves_get_the_oldest_and_the_owner_the_newest) {
    fresh(4);
    void *got;
    CHECK_EQ(deque_steal(&d, &got), DEQUE_EMPTY);
    uint64_t a = offer_one(&A), b = offer_one(&B), c = offer_one(&C);
    CHECK_EQ(deque_size(&d), 3);
    CHECK(deque_audit(&d, NULL, NULL));
    CHECK_EQ(deque_take(&d, a, &A), DEQUE_BURIED);
    CHECK_EQ(deque_steal(&d, &got), DEQUE_OK);
    CHECK(got == &A);
    CHECK_EQ(deque_take(&d, a, &A), DEQUE_GONE);
    CHECK_EQ(deque_take(&d, c, &C), DEQUE_OK);
    CHECK_EQ(deque_take(&d, b, &B), DEQUE_OK);
    CHECK(deque_pop(&d) == NULL);
    drop();
}

/* A child that the owner's loop popped and ran, while its parent waited for another, may find a stranger at its
 * index when it is joined. */
TEST(an_item_that_was_popped_is_not_taken_in_the_shape_of_its_successor) {
    fresh(4);
    offer_one(&A);
    uint64_t b = offer_one(&B);
    CHECK(deque_pop(&d) == &B);
    CHECK_EQ(offer_one(&C), b);
    CHECK_EQ(deque_take(&d, b, &B), DEQUE_GONE);
    CHECK_EQ(deque_take(&d, b, &C), DEQUE_OK);
    drop();
}

/* D1: the last item leaves by the top, so its index never comes back. */
TEST(the_index_of_the_last_item_is_not_used_again) {
    fresh(4);
    uint64_t a = offer_one(&A);
    CHECK_EQ(deque_take(&d, a, &A), DEQUE_OK);
    CHECK(offer_one(&B) != a);
    drop();
}

TEST(growing_keeps_what_is_on_offer) {
    fresh(2);
    uint64_t a = offer_one(&A);
    offer_one(&B);
    uint64_t room;
    deque_end(&d, &room);
    CHECK_EQ(room, 0);
    deque_grow(&d, ring_of(4));
    deque_end(&d, &room);
    CHECK_EQ(room, 2);
    offer_one(&C);
    uint64_t last = offer_one(&D);
    void *got;
    CHECK_EQ(deque_take(&d, last, &D), DEQUE_OK);
    CHECK_EQ(deque_steal(&d, &got), DEQUE_OK);
    CHECK(got == &A);
    CHECK_EQ(deque_take(&d, a, &A), DEQUE_GONE);
    CHECK(deque_pop(&d) == &C);
    CHECK(deque_pop(&d) == &B);
    CHECK(deque_pop(&d) == NULL);
    drop();
}

TEST_MAIN
