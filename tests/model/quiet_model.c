/* tests/model/quiet_model.c -- sched/quiet_core.h over sched/idle.h: two workers, and somebody outside.
 *
 * Public work is a count `q`, as in idle_model.c; its items are run, and end.  The one outside injects items: some
 * unannounced, some as the end of announced work, as an offload does: inject, then foreign_ends.  With P_AGAIN an item begins
 * such work itself, which comes back as the next item.  The action at rest makes an item ready on the worker that acts, which
 * runs it; so time would step, or a deadlock be called.  With P_TIMERS worker 1 wakes by itself at some time and runs what a
 * timer made ready; while one is armed nothing is to be done at rest.
 *
 * What must hold: when the action is done nothing runs, no announced work is out or unfinished, and what was injected before
 * the look has ended; in the end the action was done as often as it is due, and all work is.  (Who misses it sleeps for ever.)
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/spin.h"
#include "sched/quiet_core.h"
#include "tests/model/explorer/model.h"
#include <string.h>

enum { WORKERS_MAX = 2 };
enum { P_WORKERS, P_ITEMS, P_FOREIGN, P_AGAIN, P_ACTIONS, P_PARKED, P_ROUNDS, P_TIMERS };

static idle d;
static _Atomic uint64_t moves;
static spin lock;
static _Atomic uint32_t q, permit[WORKERS_MAX], foreign, request, ended, acted, armed;

static struct {
    uint64_t at[WORKERS_MAX + 1];  /* as in idle_model.c */
    uint64_t running, unfinished; /* items that run; announced work that has not come back and ended */
    uint64_t injected, must[WORKERS_MAX];
    uint64_t ready[WORKERS_MAX]; /* made so by an action; the worker's own */
    uint64_t was_armed;          /* as in sched/quiet.c; under the lock */
} p; /* the_model.plain; for the checks, but `ready` and `was_armed` */

/* Mutants by flag. */
static bool no_lock, bit_kept, no_second_look, once, foreign_last, no_moves, changed_unmoved, claim_unmoved,
    no_last_moves, not_changed, no_work_look, no_asleep_look, armed_last;

static unsigned param(int i) { return (unsigned)model_instance_->param[i]; }
static unsigned items(void) { return param(P_ITEMS) + param(P_FOREIGN) + param(P_AGAIN) + param(P_TIMERS); }

void weft__os_yield(void) {}

static void setup(void) {
    memset(&d, 0, sizeof d);
    d.workers = param(P_WORKERS);
    atomic_init(&d.mask[0], (uint64_t)param(P_PARKED));
    atomic_init(&moves, 0);
    atomic_init(&lock.held, 0);
    atomic_init(&q, 0);
    atomic_init(&foreign, param(P_FOREIGN));
    atomic_init(&request, param(P_FOREIGN));
    atomic_init(&ended, 0);
    atomic_init(&acted, 0);
    atomic_init(&armed, param(P_TIMERS));
    for (unsigned i = 0; i < WORKERS_MAX; i++) atomic_init(&permit[i], 0);
    memset(&p, 0, sizeof p);
    p.unfinished = param(P_FOREIGN);
}

static void forget(unsigned self, unsigned where) { model_forget(p.at[self] * 16u + where); }

/* ---- what sched/idle.h and sched/quiet_core.h ask for -------------------------------------------------- */

bool weft__idle_public_work(idle *x) {
    (void)x;
    return atom_load_seq(&q) > 0;
}
bool weft__idle_rescan(idle *x, unsigned worker) {
    (void)worker;
    return weft__idle_public_work(x);
}
bool weft__idle_own(idle *x, unsigned worker) {
    (void)x, (void)worker;
    return false;
}

void weft__idle_post(idle *x, unsigned worker) {
    (void)x;
    atom_store_rel(&permit[worker], 1);
}

void weft__idle_claimed(idle *x) {
    (void)x;
    if (!claim_unmoved) quiet_moved(&moves);
}

static bool over(void) { return model_peek(&ended) == items() && model_peek(&acted) == param(P_ACTIONS); }

static bool awake(void *mine) {
    bool on_time = mine == &permit[1] && model_peek(&armed);
    return on_time || model_peek((_Atomic uint32_t *)mine) != 0 || over();
}

bool weft__idle_sleep(idle *x, unsigned worker) {
    (void)x;
    forget(worker, 1);
    model_await(awake, &permit[worker]);
    if (!atom_load_acq(&permit[worker])) {
        if (worker == 1 && atom_load_rlx(&armed)) return false; /* its time has come */
        model_exit(); /* the end */
    }
    atom_store_rlx(&permit[worker], 0);
    return true;
}

bool weft__quiet_expects(idle *x) {
    (void)x;
    p.was_armed = atom_load_acq(&armed); /* = sched/wheel.h:wheel_count */
    return !foreign_last && atom_load_seq(&foreign); /* = sched/quiet.c:weft__quiet_expects */
}

bool weft__quiet_act(idle *x, unsigned worker) {
    (void)x;
    if (foreign_last && atom_load_seq(&foreign)) return false;
    if (armed_last ? atom_load_acq(&armed) : p.was_armed) return false;
    if (atom_load_seq(&acted) == param(P_ACTIONS)) return false;
    model_check(p.running == 0);
    model_check(p.unfinished == 0);
    model_check(atom_load_seq(&ended) >= p.must[worker]);
    p.ready[worker] = 1;
    return true;
}

static void quiet_changed(void) {
    if (!changed_unmoved) quiet_moved(&moves);
    if (not_changed || !idle_is_set(&d, 0) || !idle_claim(&d, 0)) return;
    atom_add_seq(&d.nsearch, 1); /* = sched/search.c:weft__wake_this */
    weft__idle_post(&d, 0);
}

/* ---- mutants of the look ------------------------------------------------------------------------------- */

static bool look_mutant(unsigned worker) {
    uint64_t bit = UINT64_C(1) << worker;
    for (int rounds = 0; quiet_maybe(&d); rounds++) {
        model_check(!no_lock || rounds < 3); /* two that keep each other from resting */
        if (!bit_kept && !idle_claim(&d, worker)) return false;
        uint64_t before = atom_load_seq(&moves);
        bool asleep = no_asleep_look || quiet_asleep(&d, worker);
        bool expects = asleep && weft__quiet_expects(&d);
        bool still = asleep && (no_work_look || !quiet_work(&d)) && (no_moves || atom_load_seq(&moves) == before);
        if (still && !expects && weft__quiet_act(&d, worker)) return true;
        if (!bit_kept) atom_or_seq(&d.mask[0], bit);
        if (!no_second_look && weft__idle_public_work(&d) && idle_claim(&d, worker)) return true;
        if (once || (still && (no_last_moves || atom_load_seq(&moves) == before))) return false;
    }
    return false;
}

bool weft__idle_rest(idle *x, unsigned worker) {
    (void)x;
    if (!quiet_maybe(&d)) return false;
    forget(worker, 2);
    p.must[worker] = p.injected;
    if (!no_lock) spin_lock(&lock);
    bool mutated = no_lock || bit_kept || no_second_look || once || no_moves || no_last_moves || no_work_look || no_asleep_look;
    bool got = mutated ? look_mutant(worker) : quiet_look(&d, &moves, worker);
    if (!no_lock) spin_unlock(&lock);
    p.must[worker] = 0;
    forget(worker, got ? 3 : 4);
    return got;
}

/* ---- threads ------------------------------------------------------------------------------------------- */

static void inject(void) {
    atom_add_seq(&q, 1);
    idle_notify(&d);
}

static bool requested(void *arg) {
    (void)arg;
    return model_peek(&request) != 0;
}

static void outsider(void) {
    for (unsigned i = 0; i < param(P_ITEMS); i++) {
        p.at[d.workers] = i;
        forget(d.workers, 5);
        inject();
        p.injected++;
    }
    for (unsigned i = 0; i < param(P_FOREIGN) + param(P_AGAIN); i++) {
        p.at[d.workers] = param(P_ITEMS) + i;
        forget(d.workers, 6);
        model_await(requested, NULL);
        atom_sub_seq(&request, 1);
        inject();
        if (atom_sub_seq(&foreign, 1) == 1) quiet_changed(); /* = sched/quiet.c:weft__foreign_ends */
    }
}

/* = sched/wheel.c: one is taken out by a worker that is awake */
static bool fire(unsigned self) {
    if (self != 1 || !param(P_TIMERS) || !atom_load_rlx(&armed)) return false;
    p.running++;
    atom_store_rel(&armed, atom_load_rlx(&armed) - 1); /* = sched/wheel.h:wheel_unlink */
    return true;
}

static bool take(void) {
    uint32_t n = atom_load_seq(&q);
    while (n > 0)
        if (atom_cas_seq(&q, &n, n - 1)) {
            p.running++;
            return true;
        }
    return false;
}

/* Each item but the last begins something announced, if that is left to be done. */
static void run_item(void) {
    uint32_t n = atom_load_seq(&ended);
    if (n < param(P_AGAIN)) {
        p.unfinished++;
        atom_add_seq(&foreign, 1); /* = sched/quiet.c:weft__foreign_begins */
        atom_add_seq(&request, 1);
    }
    if (p.unfinished && items() > param(P_ITEMS)) p.unfinished--;
    p.running--;
    atom_add_seq(&ended, 1);
}

static void run_ready(unsigned self) {
    p.ready[self] = 0;
    p.running++;
    forget(self, 7);
    atom_add_seq(&acted, 1);
    p.running--;
}

static void worker(unsigned self) {
    bool searching = true;
    bool permit_got = false;
    if (param(P_PARKED) >> self & 1)
        while (!(permit_got = weft__idle_sleep(&d, self)) && !idle_claim(&d, self)) {} /* = the end of idle_park */
    if (!permit_got) idle_search(&d);
    for (unsigned i = 0; i < param(P_ROUNDS); i++) {
        p.at[self] = i;
        if (searching && (p.ready[self] || fire(self) || take())) {
            bool ready = p.ready[self];
            forget(self, ready ? 8 : 9);
            idle_found(&d);
            if (ready)
                run_ready(self);
            else
                run_item();
            forget(self, 10);
            idle_search(&d);
            continue;
        }
        forget(self, 11);
        searching = idle_park(&d, self, searching);
        if (!searching) {
            idle_search(&d);
            searching = true;
        }
    }
    model_assume(false);
}

static void thread(unsigned self) {
    if (self == d.workers)
        outsider();
    else
        worker(self);
}

static void finish(void) { model_check(over()); }

static const model_instance instances[] = {
    /* workers + 1 threads: {workers, items unannounced, announced, begun by items, actions, mask of those asleep, rounds,
     * timers of worker 1} */
    {.name = "one-worker", .threads = 2, .param = {1, 1, 0, 0, 1, 0, 6}},
    {.name = "one-worker-announced", .threads = 2, .param = {1, 0, 1, 0, 1, 0, 6}},
    {.name = "one-worker-again", .threads = 2, .param = {1, 0, 1, 1, 2, 0, 8}, .sc = true},
    {.name = "one-worker-again-weak", .threads = 2, .param = {1, 0, 1, 1, 2, 0, 8}},
    {.name = "two-rest", .threads = 3, .param = {2, 0, 0, 0, 1, 0, 4}},
    {.name = "two-actions", .threads = 3, .param = {2, 0, 0, 0, 2, 0, 5}},
    {.name = "unannounced", .threads = 3, .param = {2, 1, 0, 0, 1, 1, 3}, .sc = true},
    {.name = "announced", .threads = 3, .param = {2, 0, 1, 0, 1, 1, 3}, .sc = true},
    {.name = "announced-two-rounds", .threads = 3, .param = {2, 0, 1, 0, 1, 1, 2}, .sc = true},
    {.name = "announced-both-awake", .threads = 3, .param = {2, 0, 1, 0, 1, 0, 2}, .sc = true},
    {.name = "all-asleep", .threads = 3, .param = {2, 0, 1, 0, 1, 3, 3}, .sc = true},
    {.name = "announced-again", .threads = 3, .param = {2, 0, 1, 1, 1, 3, 4}, .sc = true},
    {.name = "timer", .threads = 3, .param = {2, 0, 0, 0, 1, 2, 3, 1}},
    {0},
};

static const model_mutant mutants[] = {
    {"no-lock", "two-rest", &no_lock, NULL, NULL, NULL},
    {"bit-kept", "two-actions", &bit_kept, NULL, NULL, NULL},
    {"no-second-look", "one-worker", &no_second_look, NULL, NULL, NULL},
    {"look-once", "announced", &once, NULL, NULL, NULL},
    {"announced-read-last", "announced-both-awake", &foreign_last, NULL, NULL, NULL},
    {"no-moves", "announced-both-awake", &no_moves, NULL, NULL, NULL},
    {"changed-without-move", "announced", &changed_unmoved, NULL, NULL, NULL},
    {"claim-without-move", "announced-both-awake", &claim_unmoved, NULL, NULL, NULL},
    {"no-last-look-at-moves", "announced", &no_last_moves, NULL, NULL, NULL},
    {"nobody-told", "all-asleep", &not_changed, NULL, NULL, NULL},
    {"no-look-for-work", "one-worker-announced", &no_work_look, NULL, NULL, NULL},
    {"timer-looked-for-last", "timer", &armed_last, NULL, NULL, NULL},
    {"no-look-at-others", "announced-both-awake", &no_asleep_look, NULL, NULL, NULL},
    {0},
};

const model the_model = {"quiet", setup, thread, finish, &p, sizeof p, instances, mutants};
