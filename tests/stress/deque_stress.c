/* The shared ring under fire: one owner offers, takes back and grows, thieves steal; each item exactly once.
 *
 * Items are numbered; whoever gets one marks it with an exchange.  The owner's moves come from a seed: offers of
 * 1 to 40, takes of the newest, takes of a buried one (which must be refused), pops.  The ring starts at 2 slots.
 *   deque_stress [seed]
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/san.h"
#include "sched/deque.h"
#include <pthread.h>
#include <sched.h>

enum { ITEMS = WEFT__SAN_STACKS > 1 ? 60000 : 600000, MOST_THIEVES = 8 };

typedef struct item {
    _Atomic uint32_t taken;
    uint32_t number; /* plain: published with the item */
    uint64_t place;
} item;

static item items[ITEMS];
static deque d;
static _Atomic uint32_t left, closed;
static uint64_t seed = 1;

static void got(item *it) {
    CHECK_EQ(it->number, (uint32_t)(it - items));
    CHECK_EQ(atom_xchg_rlx(&it->taken, 1), 0);
    atom_sub_ar(&left, 1);
}

static void *thief(void *arg) {
    uint64_t *count = arg;
    void *it;
    for (;;) {
        switch (deque_steal(&d, &it)) {
        case DEQUE_OK:
            got(it);
            ++*count;
            break;
        case DEQUE_EMPTY:
            if (atom_load_acq(&closed)) return NULL;
            sched_yield();
            break;
        default:
            break;
        }
    }
}

static deque_ring *ring_of(uint64_t capacity) {
    deque_ring *r = calloc(1, DEQUE_RING_BYTES(capacity));
    CHECK(r != NULL);
    r->capacity = capacity;
    return r;
}

static uint64_t draw(uint64_t below) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

static uint32_t offer(uint32_t next, uint32_t n) {
    for (uint32_t done = 0; done < n;) {
        uint64_t room, at = deque_end(&d, &room), k = 0;
        if (room == 0) {
            deque_grow(&d, ring_of(atom_load_rlx(&d.ring)->capacity * 2));
            continue;
        }
        for (; k < room && done < n; k++, done++, next++) {
            items[next].number = next;
            items[next].place = (at + k) & DEQUE_TOP_MASK;
            deque_put(&d, at + k, &items[next]);
        }
        deque_offer(&d, k);
    }
    return next;
}

/* Takes up to n of the newest offers back; `last` is the number after the newest. */
static void take_back(uint32_t last, uint32_t n) {
    if (last >= 2 && deque_take(&d, items[last - 2].place, &items[last - 2]) == DEQUE_OK) got(&items[last - 2]);
    for (uint32_t i = last; n > 0 && i > 0; n--, i--)
        if (deque_take(&d, items[i - 1].place, &items[i - 1]) == DEQUE_OK) got(&items[i - 1]);
}

static void owner(void) {
    uint32_t next = 0;
    while (next < ITEMS) {
        uint32_t n = 1 + (uint32_t)draw(40);
        if (n > ITEMS - next) n = ITEMS - next;
        next = offer(next, n);
        if (draw(2)) take_back(next, (uint32_t)draw(30));
        for (uint64_t pops = draw(4); pops > 0; pops--) {
            item *it = deque_pop(&d);
            if (it) got(it);
        }
        if (draw(16) == 0) sched_yield();
    }
    for (item *it; (it = deque_pop(&d)) != NULL;) got(it);
}

static void run(int thieves) {
    pthread_t t[MOST_THIEVES];
    uint64_t stolen[MOST_THIEVES] = {0}, sum = 0;
    memset(items, 0, sizeof items);
    memset(&d, 0, sizeof d);
    atom_store_rlx(&d.ring, ring_of(2));
    atom_store_rlx(&left, ITEMS);
    atom_store_rlx(&closed, 0);
    for (int i = 0; i < thieves; i++) CHECK_EQ(pthread_create(&t[i], NULL, thief, &stolen[i]), 0);
    owner();
    atom_store_rel(&closed, 1);
    for (int i = 0; i < thieves; i++) {
        pthread_join(t[i], NULL);
        sum += stolen[i];
    }
    CHECK_EQ(atom_load_acq(&left), 0);
    CHECK(deque_audit(&d, NULL, NULL));
    CHECK(thieves > 0 || sum == 0);
    fprintf(stderr, "    %d thieves stole %llu of %d, last ring %llu\n", thieves, (unsigned long long)sum, ITEMS,
            (unsigned long long)atom_load_rlx(&d.ring)->capacity);
    for (deque_ring *r = atom_load_rlx(&d.ring); r;) {
        deque_ring *older = r->replaced;
        free(r);
        r = older;
    }
}

TEST(the_owner_alone_gets_every_item) { run(0); }
TEST(with_one_thief_each_item_is_got_once) { run(1); }
TEST(with_two_thieves_each_item_is_got_once) { run(2); }
TEST(with_eight_thieves_each_item_is_got_once) { run(8); }

int main(int argc, char **argv) {
    if (argc > 1) seed = strtoull(argv[1], NULL, 0);
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    return test_main(1, argv);
}
