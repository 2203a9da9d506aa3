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
 *   p       pop, by a worker that looks for work
 *   g       try to take what was popped last, for its joiner (GONE)
 *   a       wait until the thieves are done, then audit
 * Items the owner took back are offered again (their memory is reused, as a frame's is).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/deque.h"
#include "tests/model/explorer/model.h"
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 8, RINGS = 4, RING_MAX = 8 };
enum { P_CAPACITY, P_STEALS, P_WRAP };

typedef struct item {
    model_data content;
} item;

static item items[ITEMS];
static deque d;
static _Atomic uint32_t done; /* thieves */
static struct {
    _Alignas(deque_ring) char room[sizeof(deque_ring) + RING_MAX * sizeof(void *)];
} rings[RINGS];
static unsigned n_rings;

/* What the checks remember, and the owner's list of what is on offer as far as it knows, oldest first. */
static struct {
    bool offered[ITEMS], had[ITEMS];
    model_count n_had;
    uint64_t n_offered, n_list;
    item *list[ITEMS], *popped;
    uint64_t place[ITEMS];
} now;

/* Mutants by flag. */
static bool reuse_top, read_late, offer_first, no_room_test, grow_loses, grow_late, take_any, steal_no_count,
    place_only;

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
    memset((void *)&now, 0, sizeof now);
    n_rings = 0;
    atomic_init(&done, 0);
    const int *param = model_instance_->param;
    uint64_t top = param[P_WRAP] ? DEQUE_TOP_MASK - (uint64_t)param[P_WRAP] + 1 : 0;
    atomic_init(&d.ts, deque_pack(top, 0));
    atomic_init(&d.ring, new_ring((uint64_t)param[P_CAPACITY]));
}

static void had(item *t) {
    model_check(t && now.offered[t - items]);
    model_check(!now.had[t - items]); /* twice */
    now.had[t - items] = true;
    model_count_add(&now.n_had, 1);
    model_check(model_read(&t->content) == now.place[t - items] + 100);
}

/* ---- owner ---------------------------------------------------------------------------------------- */

/* Not the one that was offered last, or its second tenancy could not be told from its first. */
static item *free_item(void) {
    for (uint64_t i = now.n_offered; i < now.n_offered + ITEMS; i++)
        if (!now.offered[i % ITEMS]) return &items[i % ITEMS];
    model_assume(false);
    return NULL;
}

static void grow(void) {
    deque_ring *old = atom_load_rlx(&d.ring), *r = new_ring(old->capacity * 2);
    if (grow_late) { /* published before it is filled */
        atom_store_rel(&d.ring, r);
        uint64_t ts = atom_load_rlx(&d.ts), end = deque_top(ts) + deque_n(ts);
        for (uint64_t i = deque_top(ts); i != end; i++)
            atom_store_rlx(&r->slot[i & (r->capacity - 1)],
                           atom_load_rlx(&old->slot[i & (old->capacity - 1)]));
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
            now.offered[t - items] = true;
            now.had[t - items] = false;
            now.place[t - items] = (at + n) & DEQUE_TOP_MASK;
            model_write(&t->content, now.place[t - items] + 100);
            deque_put(&d, at + n, t);
            now.list[now.n_list++] = t;
            now.n_offered++;
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

/* The place alone says what is there. */
static deque_result take_by_place(uint64_t at) {
    deque_ring *r = atom_load_rlx(&d.ring);
    return deque_take(&d, at, atom_load_rlx(&r->slot[at & (r->capacity - 1)]));
}

static deque_result take_at(item *t) {
    uint64_t at = now.place[t - items];
    if (reuse_top || take_any) return take_reusing_top(at);
    return place_only ? take_by_place(at) : deque_take(&d, at, t);
}

static void got_back(item *t) {
    had(t);
    now.offered[t - items] = false; /* ours again */
}

static void take_newest(void) {
    if (now.n_list == 0) return;
    item *t = now.list[--now.n_list];
    deque_result r = take_at(t);
    model_check(r == DEQUE_OK || r == DEQUE_GONE);
    if (r == DEQUE_OK) got_back(t);
}

static void take_below(void) {
    if (now.n_list < 2) return;
    item *t = now.list[now.n_list - 2];
    deque_result r = take_at(t);
    model_check(r == DEQUE_BURIED || r == DEQUE_GONE);
}

static bool pop(void) {
    item *t = deque_pop(&d);
    if (!t) return false;
    model_check(now.n_list > 0 && t == now.list[now.n_list - 1]); /* the newest the owner knows of */
    now.n_list--;
    now.popped = t;
    had(t); /* somebody runs it, so it is not offered again here */
    return true;
}

static void take_popped(void) {
    if (now.popped) model_check(take_at(now.popped) == DEQUE_GONE);
}

static bool thieves_done(void *arg) {
    (void)arg;
    return model_peek(&done) == model_instance_->threads - 1;
}

static bool offered_at(void *item, uint64_t at, void *arg) {
    (void)arg;
    return now.offered[(struct item *)item - items] && now.place[(struct item *)item - items] == at;
}

static void audit(void) {
    model_await(thieves_done, NULL);
    (void)atom_load_acq(&done);
    model_check(deque_audit(&d, offered_at, NULL));
}

static void owner(void) {
    for (const char *s = model_instance_->script; *s; s++) {
        model_forget((uintptr_t)s);
        switch (*s) {
        case 't': take_newest(); break;
        case 'b': take_below(); break;
        case 'p': (void)pop(); break;
        case 'g': take_popped(); break;
        case 'a': audit(); break;
        default: offer((unsigned)(*s - '0'));
        }
    }
    while (pop()) {}
    now.n_list = 0;
}

/* ---- thieves -------------------------------------------------------------------------------------- */

static deque_result steal(void **out) {
    if (!read_late && !steal_no_count) return deque_steal(&d, out);
    uint64_t ts = atom_load_acq(&d.ts);
    uint64_t top = deque_top(ts), n = deque_n(ts);
    if (n == 0) return DEQUE_EMPTY;
    deque_ring *r = atom_load_acq(&d.ring);
    if (steal_no_count) { /* forgets to count down */
        *out = atom_load_rlx(&r->slot[top & (r->capacity - 1)]);
        return atom_cas_ar(&d.ts, &ts, deque_pack(top + 1, n)) ? DEQUE_OK : DEQUE_LOST;
    }
    if (!atom_cas_ar(&d.ts, &ts, deque_pack(top + 1, n - 1))) return DEQUE_LOST;
    *out = atom_load_rlx(&r->slot[top & (r->capacity - 1)]);
    return DEQUE_OK;
}

static void thief(void) {
    for (int i = 0; i < model_instance_->param[P_STEALS]; i++) {
        model_forget((uint64_t)i);
        void *got = NULL;
        if (steal(&got) == DEQUE_OK) had(got);
    }
    if (strchr(model_instance_->script, 'a')) atom_add_ar(&done, 1);
}

static void thread(unsigned self) {
    if (self == 0)
        owner();
    else
        thief();
}

static void finish(void) {
    model_check(deque_n(model_peek(&d.ts)) == 0);
    model_check(now.n_had == now.n_offered); /* none lost */
}

static const model_instance instances[] = {
    {.name = "one-thief", .threads = 2, .param = {2, 3, 0}, .script = "2bt1t1"},
    {.name = "one-thief-long", .threads = 2, .param = {2, 4, 0}, .script = "1t12bt12tp1"},
    {.name = "growth", .threads = 2, .param = {1, 3, 0}, .script = "1121t"},
    {.name = "growth-twice", .threads = 2, .param = {1, 3, 0}, .script = "13t1"},
    {.name = "two-thieves", .threads = 3, .param = {2, 2, 0}, .script = "2t1t1"},
    {.name = "two-thieves-growth", .threads = 3, .param = {1, 2, 0}, .script = "12t1"},
    {.name = "popped", .threads = 2, .param = {2, 2, 0}, .script = "2p1g1g"},
    {.name = "audited", .threads = 2, .param = {1, 1, 0}, .script = "12a"},
    {.name = "wrap", .threads = 2, .param = {2, 3, 2}, .script = "2bt121"},
    {0},
};

static const model_mutant mutants[] = {
    {"offer-relaxed", "one-thief", NULL, "deque_offer", "add_seq(&d->ts)", "rlx"},
    {"offer-acquire", "one-thief", NULL, "deque_offer", "add_seq(&d->ts)", "acq"},
    {"steal-load-relaxed", "one-thief", NULL, "deque_steal", "load_acq(&d->ts)", "rlx"},
    {"steal-ring-relaxed", "growth", NULL, "deque_steal", "load_acq(&d->ring)", "rlx"},
    {"grow-relaxed", "growth", NULL, "deque_grow", "store_rel(&d->ring)", "rlx"},
    {"slot-read-after-claim", "one-thief", &read_late, NULL, NULL, NULL},
    {"top-offered-again", "one-thief-long", &reuse_top, NULL, NULL, NULL},
    {"take-of-buried", "one-thief", &take_any, NULL, NULL, NULL},
    {"offer-before-slots", "one-thief", &offer_first, NULL, NULL, NULL},
    {"no-room-test", "growth", &no_room_test, NULL, NULL, NULL},
    {"growth-without-copy", "growth", &grow_loses, NULL, NULL, NULL},
    {"growth-published-early", "growth", &grow_late, NULL, NULL, NULL},
    {"take-by-place-only", "popped", &place_only, NULL, NULL, NULL},
    {"steal-without-count", "one-thief", &steal_no_count, NULL, NULL, NULL},
    {0},
};

const model the_model = {"deque", setup, thread, finish, &now, sizeof now, instances, mutants};
