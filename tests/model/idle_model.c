/* tests/model/idle_model.c -- sched/idle.h: workers, a producer, one public source.
 *
 * The source `q` counts public items and stands for every deque and queue: made public by a seq_cst RMW,
 * taken by CAS.  With P_SOURCE it is one of them, for the orders that they owe to this protocol.  An item is a rendezvous: it ends only when all items of the instance have started.  So a
 * lost wake-up, and just as much an item left public while a worker sleeps (work conservation), is a wait
 * that never ends.
 *
 * With `throttle` n a worker that sees n searchers goes to sleep without searching (-1: at first anyway), except after a
 * rescan that found work (sched/search.c).  The permit carries plain data from the waker to the sleeper.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#define RUN_QUEUE_SLOTS 2u
#include "sched/deque.h"
#include "sched/idle.h"
#include "sched/inbox.h"
#include "sched/run_queue.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { WORKERS_MAX = 3 };
enum { P_WORKERS, P_ITEMS, P_ROUNDS, P_THROTTLE, P_PARKED, P_TIMED, P_SOURCE, P_OWN };
enum { COUNT, DEQUE, RUN_QUEUE, INBOX };

static idle d;
static _Atomic uint32_t q, permit[WORKERS_MAX], started, tick; /* tick: the time of worker 0 has come */
static deque fork_deque;
static struct {
    _Alignas(deque_ring) char room[sizeof(deque_ring) + 2 * sizeof(void *)];
} ring;
static run_queue ready;
static inbox box;
static model_data content, reason[WORKERS_MAX]; /* what an item holds; why a worker was woken */

/* Where each thread is in its loop; with the place in the protocol that is all its later steps depend on. */
static unsigned at[WORKERS_MAX + 1];

static void forget(unsigned self, unsigned place) {
    model_forget(at[self] * 8u + place);
}

/* Mutants by flag. */
static bool no_notify, notify_first, no_retest, no_rescan, no_chain, bit_last, rescan_first, keep_bit,
    retest_once, time_without_claim;

static unsigned items(void) {
    return (unsigned)model_instance_->param[P_ITEMS];
}

static void setup(void) {
    const int *param = model_instance_->param;
    memset(&d, 0, sizeof d);
    d.workers = (unsigned)param[P_WORKERS];
    atomic_init(&q, 0);
    memset(&ring, 0, sizeof ring);
    deque_ring *r = (deque_ring *)(void *)ring.room;
    r->capacity = 2;
    atomic_init(&fork_deque.ts, 0);
    atomic_init(&fork_deque.ring, r);
    memset(&ready, 0, sizeof ready);
    memset(&box, 0, sizeof box);
    atomic_init(&started, 0);
    atomic_init(&tick, 0);
    for (unsigned i = 0; i < WORKERS_MAX; i++) atomic_init(&permit[i], 0);
    atomic_init(&d.mask[0], (uint64_t)param[P_PARKED]);
    memset(&content, 0, sizeof content);
    memset(reason, 0, sizeof reason);
    memset(at, 0, sizeof at);
}

/* ---- what sched/idle.h asks for ------------------------------------------------------------------------ */

static int source(void) { return model_instance_->param[P_SOURCE]; }

static bool in_queue(void) {
    return source() == DEQUE ? deque_size(&fork_deque) : source() == RUN_QUEUE ? run_queue_size(&ready) : inbox_any(&box);
}

bool weft__idle_public_work(idle *x) {
    (void)x;
    if (source()) return in_queue();
    return !no_retest && atom_load_seq(&q) > 0;
}

bool weft__idle_rescan(idle *x, unsigned worker) {
    (void)x, (void)worker;
    if (source()) return in_queue();
    return !no_rescan && atom_load_seq(&q) > 0;
}

/* Inboxes are in the inbox model. */
bool weft__idle_own(idle *x, unsigned worker) {
    (void)x, (void)worker;
    return false;
}

void weft__idle_post(idle *x, unsigned worker) {
    (void)x;
    model_write(&reason[worker], 7);
    atom_store_rel(&permit[worker], 1); /* = sched/search.c:weft__idle_post */
    forget(model_self(), 1);
}

static bool awake(void *p) {
    return model_peek((_Atomic uint32_t *)p) != 0 || model_peek(&started) >= items();
}

static bool awake_or_time(void *p) { return awake(p) || model_peek(&tick) == 1; }

bool weft__idle_sleep(idle *x, unsigned worker) {
    (void)x;
    forget(worker, 2);
    bool timed = worker == 0 && model_instance_->param[P_TIMED];
    model_await(timed ? awake_or_time : awake, &permit[worker]);
    if (!atom_load_acq(&permit[worker])) { /* = sched/search.c:weft__idle_sleep */
        if (!timed || atom_load_acq(&tick) != 1) model_exit(); /* all items have started: the end */
        atom_store_rlx(&tick, 2);
        return false;
    }
    model_check(model_read(&reason[worker]) == 7);
    atom_store_rlx(&permit[worker], 0);
    return true;
}

/* Rest is in the quiet model. */
void weft__idle_claimed(idle *x) { (void)x; }

bool weft__idle_rest(idle *x, unsigned worker) {
    (void)x, (void)worker;
    return false;
}

/* ---- mutants of its steps ------------------------------------------------------------------------------ */

static bool park_mutant(unsigned worker, bool searching) {
    uint64_t bit = UINT64_C(1) << worker;
    uint32_t others = 1;
    bool early = false;
    if (!bit_last) atom_or_seq(&d.mask[0], bit);
    if (rescan_first) early = weft__idle_rescan(&d, worker);
    others = searching ? atom_sub_seq(&d.nsearch, 1) - 1 : atom_load_seq(&d.nsearch);
    if (bit_last) {
        if (others == 0) early = weft__idle_rescan(&d, worker);
        atom_or_seq(&d.mask[0], bit);
    }
    if (!bit_last && !rescan_first) early = others == 0 && weft__idle_rescan(&d, worker);
    if (others == 0 && early) {
        if (keep_bit) return false;
        if (idle_claim(&d, worker)) return false;
    }
    while (!weft__idle_sleep(&d, worker))
        if (time_without_claim || idle_claim(&d, worker)) return false;
    return true;
}

static bool wake_one_trying_twice(void) {
    for (int i = 0; i < 2; i++) {
        uint32_t none = 0;
        if (!atom_cas_seq(&d.nsearch, &none, 1)) return false;
        if (idle_wake_any(&d)) return true;
        atom_sub_seq(&d.nsearch, 1);
        if (!weft__idle_public_work(&d) || !idle_any(&d)) return false;
    }
    return false;
}

static void notify(void) {
    if (no_notify) return;
    if (!retest_once) {
        idle_notify(&d);
        return;
    }
    if (!atom_load_seq(&d.nsearch) && idle_any(&d)) wake_one_trying_twice();
}

/* ---- threads ------------------------------------------------------------------------------------------- */

static void publish(uintptr_t item) {
    uint64_t room;
    uintptr_t link;
    switch (source()) {
    case COUNT: atom_add_seq(&q, 1); break;
    case DEQUE:
        deque_put(&fork_deque, deque_end(&fork_deque, &room), (void *)item);
        deque_offer(&fork_deque, 1);
        break;
    case RUN_QUEUE: run_queue_push(&ready, item); break;
    case INBOX: inbox_push(&box, item, &link); break;
    }
}

static bool take(void) {
    void *item = NULL;
    uintptr_t got;
    switch (source()) {
    case DEQUE:
        for (deque_result r = DEQUE_LOST; r == DEQUE_LOST;) r = deque_steal(&fork_deque, &item);
        return item;
    case RUN_QUEUE:
        for (bool lost = true; lost;)
            if (run_queue_take(&ready, &got, 1, &lost)) return true;
        return false;
    case INBOX: return inbox_drain(&box);
    }
    uint32_t n = atom_load_acq(&q);
    while (n > 0)
        if (atom_cas_acq(&q, &n, n - 1)) return true;
    return false;
}

static void producer(void) {
    model_write(&content, 9);
    for (int i = 0; i < model_instance_->param[P_OWN]; i++) {
        publish(1);
        if (!take()) model_assume(false);
    }
    for (unsigned i = 0; i < items(); i++) {
        at[d.workers] = i;
        forget(d.workers, 0);
        if (notify_first) notify();
        publish(1 + i);
        if (!notify_first) notify();
    }
}

static bool all_started(void *arg) {
    (void)arg;
    return model_peek(&started) >= items();
}

static void found(void) {
    if (no_chain)
        atom_sub_ar(&d.nsearch, 1);
    else if (retest_once) {
        if (atom_sub_ar(&d.nsearch, 1) == 1) wake_one_trying_twice();
    } else
        idle_found(&d);
}

static void run_item(void) {
    model_check(model_read(&content) == 9);
    forget(model_self(), 3);
    atom_add_ar(&started, 1);
    model_await(all_started, NULL);
    model_exit();
}

static bool may_search(void) {
    int limit = model_instance_->param[P_THROTTLE];
    return limit == 0 || (limit > 0 && atom_load_rlx(&d.nsearch) < (uint32_t)limit);
}

static void worker(unsigned self) {
    bool parked = model_instance_->param[P_PARKED] >> self & 1;
    bool searching = false;
    if (parked) {
        while (!weft__idle_sleep(&d, self))
            if (time_without_claim || idle_claim(&d, self)) {
                idle_search(&d);
                break;
            }
        searching = true;
    } else if (may_search()) {
        idle_search(&d);
        searching = true;
    }
    for (int i = 0; i < model_instance_->param[P_ROUNDS]; i++) {
        at[self] = (unsigned)i;
        if (searching && take()) {
            found();
            run_item();
        }
        forget(self, 4 + searching);
        bool mutated = bit_last || rescan_first || keep_bit || time_without_claim;
        searching = mutated ? park_mutant(self, searching) : idle_park(&d, self, searching);
        if (!searching) {
            idle_search(&d);
            searching = true;
        }
        forget(self, 6);
    }
    model_assume(false);
}

static void thread(unsigned self) {
    if (self == d.workers)
        producer();
    else if (self > d.workers)
        atom_store_rel(&tick, 1);
    else
        worker(self);
}

static void finish(void) {
    model_check(model_peek(&started) == items());
}

static const model_instance instances[] = {
    /* workers + 1 threads: {workers, items, rounds, throttle, mask of those asleep at the start,
     * one more thread: worker 0 sleeps until a time, source, items the producer makes public and takes before} */
    {.name = "one-item", .threads = 3, .param = {2, 1, 3, 0, 0}},
    {.name = "two-items", .threads = 3, .param = {2, 2, 3, 0, 0}},
    {.name = "throttled", .threads = 3, .param = {2, 2, 2, 1, 0}},
    {.name = "parked", .threads = 3, .param = {2, 2, 3, 0, 1}},
    {.name = "one-worker", .threads = 2, .param = {1, 1, 5, 0, 0}},
    {.name = "at-once", .threads = 2, .param = {1, 1, 3, -1, 0}},
    {.name = "two-at-once", .threads = 3, .param = {2, 1, 3, -1, 0}},
    {.name = "parked-at-once", .threads = 3, .param = {2, 2, 2, -1, 1}},
    {.name = "at-once-timed", .threads = 3, .param = {1, 1, 3, -1, 1, 1}},
    {.name = "deque", .threads = 2, .param = {1, 1, 3, 0, 0, 0, DEQUE}},
    {.name = "run-queue", .threads = 2, .param = {1, 1, 3, 0, 0, 0, RUN_QUEUE}},
    {.name = "run-queue-used", .threads = 2, .param = {1, 1, 3, 0, 0, 0, RUN_QUEUE, 2}},
    {.name = "inbox", .threads = 2, .param = {1, 1, 3, 0, 0, 0, INBOX}},
    {.name = "timed", .threads = 3, .param = {1, 1, 4, 0, 1, 1}},
    {.name = "two-timed", .threads = 4, .param = {2, 2, 3, 0, 3, 1}},
    {.name = "three-workers", .threads = 4, .param = {3, 2, 3, 0, 7}},
    {.name = "three-asleep", .threads = 4, .param = {3, 3, 3, 0, 7}, .sc = true},
    {.name = "three-throttled", .threads = 4, .param = {3, 3, 3, 1, 0}, .sc = true},
    {0},
};

static const model_mutant mutants[] = {
    {"bit-acq_rel", "throttled", NULL, "idle_park", "or_seq(&d->mask[worker / 64])", "ar"},
    {"park-count-acq_rel", "two-items", NULL, "idle_park", "sub_seq(&d->nsearch)", "ar"},
    {"park-load-acquire", "throttled", NULL, "idle_park", "load_seq(&d->nsearch)", "acq"},
    {"rescan-acquire", "two-items", NULL, "weft__idle_rescan", "load_seq(&q)", "acq"},
    {"publish-acq_rel", "two-items", NULL, "publish", "add_seq(&q)", "ar"},
    {"notify-load-acquire", "two-items", NULL, "idle_notify", "load_seq(&d->nsearch)", "acq"},
    {"any-load-acquire", "throttled", NULL, "idle_any", "load_seq(&d->mask[i])", "acq"},
    {"untoken-acq_rel", "two-items", NULL, "idle_wake_one", "sub_seq(&d->nsearch)", "ar"},
    {"retest-acquire", "two-items", NULL, "weft__idle_public_work", "load_seq(&q)", "acq"},
    {"post-relaxed", "two-items", NULL, "weft__idle_post", "store_rel(&permit[worker])", "rlx"},
    {"permit-relaxed", "two-items", NULL, "weft__idle_sleep", "load_acq(&permit[worker])", "rlx"},
    {"no-notify", "two-items", &no_notify, NULL, NULL, NULL},
    {"notify-before-publish", "two-items", &notify_first, NULL, NULL, NULL},
    {"no-retest", "two-items", &no_retest, NULL, NULL, NULL},
    {"retest-once", "three-throttled", &retest_once, NULL, NULL, NULL},
    {"no-rescan", "two-items", &no_rescan, NULL, NULL, NULL},
    {"no-chained-wake", "two-items", &no_chain, NULL, NULL, NULL},
    {"bit-after-count", "two-items", &bit_last, NULL, NULL, NULL},
    {"rescan-before-count", "two-items", &rescan_first, NULL, NULL, NULL},
    {"time-without-claim", "two-timed", &time_without_claim, NULL, NULL, NULL},
    {"bit-kept-after-rescan", "two-items", &keep_bit, NULL, NULL, NULL},
    {0},
};

const model the_model = {"idle", setup, thread, finish, NULL, 0, instances, mutants};
