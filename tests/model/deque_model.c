/* tests/model/deque_model.c -- sched/deque.h: an owner and one or two thieves.
 *
 * What must hold: each item that was offered is had by exactly one taker, who sees what was written into it;
 * what `take` answers is true (GONE: a thief has or will have it; BURIED: a newer one lies on it); a thief is
 * told LOST only when somebody else got something.
 *
 * The owner follows the instance's script, then empties its deque:
 *   1 2 3   offer so many, growing when there is no room
 *   t       take back the newest it has not yet taken or missed
 *   b       try to take the one below (BURIED or GONE, and OK only if the newer is gone: it cannot be)
 *   p       pop
 * Items the owner got back are offered again (their memory is reused, as a frame's is).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/deque.h"
#include "tests/model/explorer/model.h"
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 8, RINGS = 4, RING_MAX = 8 };
enum { P_CAPACITY, P_STEALS, P_WRAP };

typedef struct item {
    model_data content;
    uint64_t place;
    bool offered, had;
} item;

static item items[ITEMS];
static deque d;
static struct { _Alignas(deque_ring) char room[sizeof(deque_ring) + RING_MAX * sizeof(void *)]; } rings[RINGS];
static unsigned n_rings;
static item *list[ITEMS]; /* the owner's: on offer as far as it knows, oldest first */
static unsigned n_list, n_offered, n_had;

/* Mutants by flag. */
static bool reuse_top, read_late, offer_first, no_room_test, grow_loses, grow_late, take_any, steal_newest_count;

static deque_ring *new_ring(uint64_t capacity) {
    model_check(n_rings < RINGS && capacity <= RING_MAX);
    deque_ring *r = (deque_ring *)(void *)rings[n_rings++].room;
    r->capacity = capacity;
    r->replaced = NULL;
    return r;
}

static void setup(void) {
    memset(items, 0, sizeof items);
    memset(rings, 0, sizeof rings);
    n_rings = n_list = n_offered = n_had = 0;
    const int *param = model_instance_->param;
    uint64_t top = param[P_WRAP] ? DEQUE_TOP_MASK - (uint64_t)param[P_WRAP] + 1 : 0;
    atomic_init(&d.ts, deque_pack(top, 0));
    atomic_init(&d.ring, new_ring((uint64_t)param[P_CAPACITY]));
}

static void had(item *t) {
    model_check(t && t->offered);
    model_check(!t->had); /* twice */
    t->had = true;
    n_had++;
    model_check(model_read(&t->content) == t->place + 100);
}

/* ---- owner ---------------------------------------------------------------------------------------- */

static item *free_item(void) {
    for (unsigned i = 0; i < ITEMS; i++)
        if (!items[i].offered) return &items[i];
    model_assume(false);
    return NULL;
}

static void grow(void) {
    deque_ring *old = atom_load_rlx(&d.ring), *r = new_ring(old->capacity * 2);
    if (grow_late) { /* published before it is filled */
        atom_store_rel(&d.ring, r);
        uint64_t ts = atom_load_rlx(&d.ts), end = deque_top(ts) + deque_n(ts);
        for (uint64_t i = deque_top(ts); i != end; i++)
            atom_store_rlx(&r->slot[i & (r->capacity - 1)], atom_load_rlx(&old->slot[i & (old->capacity - 1)]));
    } else if (grow_loses) {
        atom_store_rel(&d.ring, r);
    } else {
        deque_grow(&d, r);
    }
}

static void offer(unsigned k) {
    while (k) {
        uint64_t room, at = deque_end(&d, &room), n = 0;
        if (no_room_test) room = k;
        if (room == 0) {
            grow();
            continue;
        }
        if (offer_first) deque_offer(&d, room < k ? room : k);
        for (; n < room && n < k; n++) {
            item *t = free_item();
            t->offered = true;
            t->had = false;
            t->place = (at + n) & DEQUE_TOP_MASK;
            model_write(&t->content, t->place + 100);
            deque_put(&d, at + n, t);
            list[n_list++] = t;
            n_offered++;
        }
        if (!offer_first) deque_offer(&d, n);
        k -= (unsigned)n;
    }
}

/* D1 broken: the last item goes without moving top. */
static deque_result take_reusing_top(uint64_t at) {
    uint64_t ts = atom_load_rlx(&d.ts);
    for (;;) {
        uint64_t top = deque_top(ts), n = deque_n(ts);
        if (((at - top) & DEQUE_TOP_MASK) >= n) return DEQUE_GONE;
        if (!take_any && ((at - top) & DEQUE_TOP_MASK) != n - 1) return DEQUE_BURIED;
        if (atom_cas_rlx(&d.ts, &ts, deque_pack(top, n - 1))) return DEQUE_OK;
    }
}

static deque_result take_at(uint64_t at) {
    return reuse_top || take_any ? take_reusing_top(at) : deque_take(&d, at);
}

static void got_back(item *t) {
    had(t);
    t->offered = false; /* ours again */
}

static void take_newest(void) {
    if (n_list == 0) return;
    item *t = list[--n_list];
    deque_result r = take_at(t->place);
    model_check(r == DEQUE_OK || r == DEQUE_GONE);
    if (r == DEQUE_OK) got_back(t);
}

static void take_below(void) {
    if (n_list < 2) return;
    item *t = list[n_list - 2];
    deque_result r = take_at(t->place);
    model_check(r == DEQUE_BURIED || r == DEQUE_GONE);
}

static bool pop(void) {
    item *t = deque_pop(&d);
    if (!t) return false;
    model_check(n_list > 0 && t == list[n_list - 1]); /* the newest the owner knows of */
    n_list--;
    got_back(t);
    return true;
}

static void owner(void) {
    for (const char *s = model_instance_->script; *s; s++) {
        switch (*s) {
        case 't': take_newest(); break;
        case 'b': take_below(); break;
        case 'p': (void)pop(); break;
        default: offer((unsigned)(*s - '0'));
        }
    }
    while (pop()) {}
    n_list = 0;
}

/* ---- thieves -------------------------------------------------------------------------------------- */

static deque_result steal(void **out) {
    if (!read_late && !steal_newest_count) return deque_steal(&d, out);
    uint64_t ts = atom_load_acq(&d.ts);
    uint64_t top = deque_top(ts), n = deque_n(ts);
    if (n == 0) return DEQUE_EMPTY;
    deque_ring *r = atom_load_acq(&d.ring);
    if (steal_newest_count) { /* forgets to count down */
        *out = atom_load_rlx(&r->slot[top & (r->capacity - 1)]);
        return atom_cas_ar(&d.ts, &ts, deque_pack(top + 1, n)) ? DEQUE_OK : DEQUE_LOST;
    }
    if (!atom_cas_ar(&d.ts, &ts, deque_pack(top + 1, n - 1))) return DEQUE_LOST;
    *out = atom_load_rlx(&r->slot[top & (r->capacity - 1)]);
    return DEQUE_OK;
}

static void thief(void) {
    for (int i = 0; i < model_instance_->param[P_STEALS]; i++) {
        void *got = NULL;
        if (steal(&got) == DEQUE_OK) had(got);
    }
}

static void thread(unsigned self) {
    if (self == 0)
        owner();
    else
        thief();
}

static void finish(void) {
    model_check(deque_n(model_peek(&d.ts)) == 0);
    model_check(n_had == n_offered); /* none lost */
}

static const model_instance instances[] = {
    {"one-thief", 2, {2, 3, 0}, "2tb1t2"},
    {"one-thief-long", 2, {2, 4, 0}, "1t2t12tbp1"},
    {"growth", 2, {1, 3, 0}, "1121t"},
    {"growth-twice", 2, {1, 3, 0}, "13t1"},
    {"two-thieves", 3, {2, 2, 0}, "2t2"},
    {"two-thieves-growth", 3, {1, 2, 0}, "12t1"},
    {"wrap", 2, {2, 3, 2}, "2tb121"},
    {0},
};

static const model_mutant mutants[] = {
    {"offer-relaxed", "one-thief", NULL, "deque_offer", "add_seq(&d->ts)", "rlx"},
    {"offer-acquire", "one-thief", NULL, "deque_offer", "add_seq(&d->ts)", "acq"},
    {"steal-load-relaxed", "one-thief", NULL, "deque_steal", "load_acq(&d->ts)", "rlx"},
    {"steal-ring-relaxed", "growth", NULL, "deque_steal", "load_acq(&d->ring)", "rlx"},
    {"grow-relaxed", "growth", NULL, "deque_grow", "store_rel(&d->ring)", "rlx"},
    {"slot-read-after-claim", "one-thief", &read_late, NULL, NULL, NULL},
    {"top-offered-again", "one-thief", &reuse_top, NULL, NULL, NULL},
    {"take-of-buried", "one-thief", &take_any, NULL, NULL, NULL},
    {"offer-before-slots", "one-thief", &offer_first, NULL, NULL, NULL},
    {"no-room-test", "growth", &no_room_test, NULL, NULL, NULL},
    {"growth-without-copy", "growth", &grow_loses, NULL, NULL, NULL},
    {"growth-published-early", "growth", &grow_late, NULL, NULL, NULL},
    {"steal-without-count", "one-thief", &steal_newest_count, NULL, NULL, NULL},
    {0},
};

const model the_model = {"deque", setup, thread, finish, instances, mutants};
