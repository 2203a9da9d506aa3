/* The inbox under fire: threads push, one or two drain; each item exactly once, each pusher's items in its order.
 *
 * Items are reused in rounds, as fibers are: an item goes in again as soon as its drainer has let go of it, so that
 * the head often takes a value it has had before.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/san.h"
#include "sched/inbox.h"
#include <pthread.h>
#include <sched.h>

enum { PUSHERS = 4, PUSHES = WEFT__SAN_STACKS > 1 ? 10000 : 150000, OWN = 100, MOST_DRAINERS = 2 };

typedef struct letter {
    uintptr_t link;
    int from;
    uint32_t number;          /* plain: published with the item */
    _Atomic uint32_t waiting; /* 1 from before the push until it is drained */
} letter;

static letter letters[PUSHERS][OWN];
static inbox box;
static _Atomic uint32_t pushers_left;

static void *pusher(void *arg) {
    letter *own = arg;
    for (uint32_t i = 0; i < PUSHES; i++) {
        letter *l = &own[i % OWN];
        while (atom_load_acq(&l->waiting)) sched_yield();
        atom_store_rlx(&l->waiting, 1);
        l->number = i;
        inbox_push(&box, (uintptr_t)l, &l->link);
    }
    atom_sub_ar(&pushers_left, 1);
    return NULL;
}

/* Oldest first, as sched/queue.c turns them round. */
static letter *turned(uintptr_t newest) {
    letter *list = NULL;
    while (newest) {
        letter *l = (letter *)newest;
        newest = l->link;
        l->link = (uintptr_t)list;
        list = l;
    }
    return list;
}

typedef struct drain_log {
    uint64_t items, drains;
} drain_log;

static void *drainer(void *arg) {
    drain_log *log = arg;
    uint32_t next[PUSHERS] = {0}, idle = 0;
    for (;;) {
        bool last = atom_load_acq(&pushers_left) == 0;
        letter *l = turned(inbox_drain(&box));
        if (!l && last) return NULL;
        if (!l && ++idle % 200 == 0) sched_yield();
        log->drains += l != NULL;
        while (l) {
            letter *after = (letter *)l->link;
            CHECK(l->from >= 0 && l->from < PUSHERS);
            CHECK(l->number >= next[l->from]); /* what another drainer got is skipped */
            next[l->from] = l->number + 1;
            CHECK_EQ(atom_xchg_ar(&l->waiting, 0), 1);
            log->items++;
            l = after;
        }
    }
}

static void run(int drainers) {
    pthread_t p[PUSHERS], d[MOST_DRAINERS];
    drain_log log[MOST_DRAINERS];
    uint64_t items = 0, drains = 0;
    memset(letters, 0, sizeof letters);
    memset(log, 0, sizeof log);
    atom_store_rlx(&pushers_left, PUSHERS);
    for (int i = 0; i < PUSHERS; i++) {
        for (int k = 0; k < OWN; k++) letters[i][k].from = i;
        CHECK_EQ(pthread_create(&p[i], NULL, pusher, letters[i]), 0);
    }
    for (int i = 0; i < drainers; i++) CHECK_EQ(pthread_create(&d[i], NULL, drainer, &log[i]), 0);
    for (int i = 0; i < PUSHERS; i++) pthread_join(p[i], NULL);
    for (int i = 0; i < drainers; i++) {
        pthread_join(d[i], NULL);
        items += log[i].items;
        drains += log[i].drains;
    }
    /* An item that came twice or never would have stopped its pusher or failed the exchange; the sum says so again. */
    CHECK_EQ(items, (uint64_t)PUSHERS * PUSHES);
    CHECK(!inbox_any(&box));
    fprintf(stderr, "    %d drainers: %llu items in %llu drains\n", drainers, (unsigned long long)items,
            (unsigned long long)drains);
}

TEST(one_drainer_gets_each_item_once_in_order) { run(1); }
TEST(two_drainers_get_each_item_once_in_order) { run(2); }

TEST_MAIN
