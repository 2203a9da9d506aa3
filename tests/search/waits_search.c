/* Gallery: waiting for what does not come.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "gallery.h"

/* ---- lost wakeup ---------------------------------------------------------------------------------------- */

static struct {
    bool ready;
    weft_promise changed;
} box;

static void empty_box(void) {
    box.ready = false;
    weft_promise_init(&box.changed);
}
static int fill(int n);
WEFT_TASK(fill, int, int);
static int fill(int n) {
    box.ready = true;
    weft_promise_complete(&box.changed, NULL);
    return n;
}
/* Each look at the flag has a promise of its own to wait for: what was completed before is forgotten. */
static int take_forgetful(int n);
WEFT_TASK(take_forgetful, int, int);
static int take_forgetful(int n) {
    while (!box.ready) {
        weft_point();
        weft_promise_init(&box.changed);
        if (!weft_ok(weft_promise_await(&box.changed, NULL))) return -1;
    }
    return n;
}
static int take(int n);
WEFT_TASK(take, int, int);
static int take(int n) {
    weft_point();
    return weft_ok(weft_promise_await(&box.changed, NULL)) ? n : -1;
}
static void wakeup_lost(weft_test t) {
    (void)t;
    empty_box();
    WEFT_SCOPE(s, NULL) {
        weft_spawn((take_forgetful_fiber *)NULL, take_forgetful, 1);
        weft_spawn((fill_fiber *)NULL, fill, 1);
    }
}
static void wakeup_kept(weft_test t) {
    (void)t;
    empty_box();
    WEFT_SCOPE(s, NULL) {
        weft_spawn((take_fiber *)NULL, take, 1);
        weft_spawn((fill_fiber *)NULL, fill, 1);
    }
}
TEST(lost_wakeup) {
    exhibit(&(specimen){.name = "lost wakeup", .bad = wakeup_lost, .good = wakeup_kept,
                        .expected = WEFT_TEST_DEADLOCK, .because = "'take_forgetful' at"});
}

/* ---- a lock made of promises ---------------------------------------------------------------------------- */

/* First come, first served; who unlocks hands the lock to the next. */
typedef struct lock_waiter {
    weft_promise mine;
    struct lock_waiter *next;
} lock_waiter;
typedef struct lock {
    bool held;
    lock_waiter *first;
} lock;

static void lock_leave(lock *l, const lock_waiter *w) {
    for (lock_waiter **at = &l->first; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            return;
        }
}
static bool lock_take(lock *l) {
    weft_point();
    if (!l->held) return l->held = true;
    lock_waiter w = {.mine = WEFT_PROMISE}, **last = &l->first;
    while (*last) last = &(*last)->next;
    *last = &w;
    if (weft_ok(weft_promise_await(&w.mine, NULL))) return true;
    lock_leave(l, &w);
    return false;
}
static void lock_give(lock *l) {
    lock_waiter *w = l->first;
    if (w) {
        l->first = w->next;
        weft_promise_complete(&w->mine, NULL);
    } else {
        l->held = false;
    }
}

/* ---- ABBA ----------------------------------------------------------------------------------------------- */

typedef struct till {
    lock lock;
    int money;
} till;
static till tills[2];

typedef struct transfer {
    till *from, *to;
    int amount;
} transfer;

static int move_both(till *first, till *second, const transfer *x) {
    int moved = 0;
    if (!lock_take(&first->lock)) return 0;
    if (lock_take(&second->lock)) {
        x->from->money -= x->amount;
        x->to->money += x->amount;
        moved = x->amount;
        lock_give(&second->lock);
    }
    lock_give(&first->lock);
    return moved;
}
static int move_from_to(transfer x);
WEFT_TASK(move_from_to, int, transfer);
static int move_from_to(transfer x) { return move_both(x.from, x.to, &x); }
static int move_in_order(transfer x);
WEFT_TASK(move_in_order, int, transfer);
static int move_in_order(transfer x) {
    bool up = x.from < x.to;
    return move_both(up ? x.from : x.to, up ? x.to : x.from, &x);
}
static void tills_open(void) {
    memset(tills, 0, sizeof tills);
    tills[0].money = tills[1].money = 100;
}
static void locked_as_they_come(weft_test t) {
    tills_open();
    WEFT_SCOPE(s, NULL) {
        weft_spawn((move_from_to_fiber *)NULL, move_from_to, &tills[0], &tills[1], 10);
        weft_spawn((move_from_to_fiber *)NULL, move_from_to, &tills[1], &tills[0], 30);
    }
    weft_check(t, tills[0].money == 120);
}
static void locked_in_order(weft_test t) {
    tills_open();
    WEFT_SCOPE(s, NULL) {
        weft_spawn((move_in_order_fiber *)NULL, move_in_order, &tills[0], &tills[1], 10);
        weft_spawn((move_in_order_fiber *)NULL, move_in_order, &tills[1], &tills[0], 30);
    }
    weft_check(t, tills[0].money == 120);
}
TEST(two_locks_in_two_orders) {
    exhibit(&(specimen){.name = "two locks, ABBA", .bad = locked_as_they_come, .good = locked_in_order,
                        .expected = WEFT_TEST_DEADLOCK, .because = "'move_from_to' at"});
}

/* ---- two wait for each other's promise ------------------------------------------------------------------ */

/* Modules that import each other: who finds one that another fiber is loading waits until it is loaded. */
typedef struct module {
    int imports; /* number of the module it needs */
    bool loading;
    weft_promise loaded;
} module;
static module modules[2];

static void modules_new(void) {
    for (int i = 0; i < 2; i++) {
        modules[i] = (module){.imports = 1 - i};
        weft_promise_init(&modules[i].loaded);
    }
}
/* `for_whom`: the module that is loaded by this fiber already, and needs this one; -1: none. */
static bool import(int number, int for_whom) {
    module *m = &modules[number];
    weft_point();
    if (m->loading) return weft_ok(weft_promise_await(&m->loaded, NULL));
    m->loading = true;
    weft_point(); /* reads the file */
    if (m->imports != for_whom && !import(m->imports, number)) return false;
    weft_promise_complete(&m->loaded, NULL);
    return true;
}
static int import_what_it_needs(int number);
WEFT_TASK(import_what_it_needs, int, int);
static int import_what_it_needs(int number) { return import(number, -1); }
/* Whatever a fiber needs, it begins with the first of those that import each other. */
static int import_from_the_first(int number);
WEFT_TASK(import_from_the_first, int, int);
static int import_from_the_first(int number) { return import(0, -1) ? number : -1; }

static void two_import(weft_test t) {
    (void)t;
    modules_new();
    WEFT_SCOPE(s, NULL) {
        weft_spawn((import_what_it_needs_fiber *)NULL, import_what_it_needs, 0);
        weft_spawn((import_what_it_needs_fiber *)NULL, import_what_it_needs, 1);
    }
}
static void two_import_in_order(weft_test t) {
    modules_new();
    WEFT_SCOPE(s, NULL) {
        weft_spawn((import_from_the_first_fiber *)NULL, import_from_the_first, 0);
        weft_spawn((import_from_the_first_fiber *)NULL, import_from_the_first, 1);
    }
    weft_check(t, weft_promise_is_done(&modules[0].loaded) && weft_promise_is_done(&modules[1].loaded));
}
TEST(two_await_each_others_promises) {
    exhibit(&(specimen){.name = "two await each other's promises", .bad = two_import, .good = two_import_in_order,
                        .expected = WEFT_TEST_DEADLOCK, .because = "'import_what_it_needs' at"});
}

/* ---- await after drop ----------------------------------------------------------------------------------- */

static int fetch(int n);
WEFT_TASK(fetch, int, int);
static int fetch(int n) {
    weft_point();
    return n;
}
typedef struct shared_job {
    fetch_fiber job;
} shared_job;

static int look_at_job(shared_job s);
WEFT_TASK(look_at_job, int, shared_job);
static int look_at_job(shared_job s) {
    int got = 0;
    weft_await(s.job, fetch, &got); /* it has ended, and is ok: what could go wrong? */
    return got;
}
/* Two jobs, one after the other; the first one's result is another fiber's as well. */
static void dropped_by_its_owner(weft_test t) {
    fetch_fiber job, next;
    look_at_job_fiber other;
    int others = 0;
    weft_spawn(&job, fetch, 5);
    weft_await(job, fetch, NULL);
    weft_spawn(&other, look_at_job, job);
    weft_spawn(&next, fetch, 6);
    weft_await(next, fetch, NULL);
    weft_drop(job); /* by now the other one has it */
    weft_drop(next);
    weft_await(other, look_at_job, &others);
    weft_drop(other);
    weft_check(t, others == 5);
}
static void dropped_by_the_last(weft_test t) {
    fetch_fiber job, next;
    look_at_job_fiber other;
    int others = 0;
    weft_spawn(&job, fetch, 5);
    weft_await(job, fetch, NULL);
    weft_spawn(&other, look_at_job, job);
    weft_spawn(&next, fetch, 6);
    weft_await(next, fetch, NULL);
    weft_drop(next);
    weft_await(other, look_at_job, &others);
    weft_drop(other);
    weft_drop(job);
    weft_check(t, others == 5);
}
TEST(await_after_drop) {
    exhibit(&(specimen){.name = "await after drop", .bad = dropped_by_its_owner, .good = dropped_by_the_last,
                        .expected = WEFT_TEST_CHECK, .because = "others == 5"});
}

/* ---- interrupted before it has started ------------------------------------------------------------------ */

static weft_promise up;

static int serve(int n);
WEFT_TASK(serve, int, int);
static int serve(int n) {
    weft_promise_complete(&up, NULL);
    weft_started();
    weft_sleep(weft_s(n));
    return n;
}
typedef struct order {
    serve_fiber to;
} order;
static int stop(order o);
WEFT_TASK(stop, int, order);
static int stop(order o) {
    weft_interrupt_async(o.to, "not needed any more");
    return 0;
}
/* One that is interrupted before it starts never does; so it never says that it has. */
static void waits_for_the_start(weft_test t) {
    (void)t;
    serve_fiber f;
    stop_fiber other;
    weft_promise_init(&up);
    weft_spawn(&f, serve, 1);
    weft_spawn(&other, stop, f);
    weft_promise_await(&up, NULL);
    weft_await(f, serve, NULL);
    weft_await(other, stop, NULL);
    weft_drop(other);
    weft_drop(f);
}
static int serve_and_stop(int n);
WEFT_TASK(serve_and_stop, int, int);
static int serve_and_stop(int n) {
    serve_fiber f;
    stop_fiber other;
    weft_spawn(&f, serve, n);
    weft_spawn(&other, stop, f);
    weft_await_for(f, serve, NULL, weft_s(n)); /* its end comes in any case, its start may not */
    weft_await(f, serve, NULL);
    weft_await(other, stop, NULL);
    weft_drop(other);
    weft_drop(f);
    return n;
}
static void waits_for_the_start_or_the_end(weft_test t) {
    (void)t;
    serve_and_stop_fiber f;
    weft_promise_init(&up);
    weft_spawn(&f, serve_and_stop, 1);
    weft_await(f, serve_and_stop, NULL);
    weft_drop(f);
    serve_fiber g;
    weft_exit e = weft_spawn_with(&g, serve, {.ready = true}, 1);
    weft_check(t, weft_ok(e));
    weft_interrupt(g, "not needed any more");
    weft_drop(g);
}
TEST(interrupted_before_it_has_started) {
    exhibit(&(specimen){.name = "interrupted before it has started", .bad = waits_for_the_start,
                        .good = waits_for_the_start_or_the_end, .expected = WEFT_TEST_DEADLOCK,
                        .because = "main task: waits for a promise"});
}

/* ---- nobody advances the clock -------------------------------------------------------------------------- */

static bool listening;

static int listen_at(int port);
WEFT_TASK(listen_at, int, int);
static int listen_at(int port) {
    weft_point();
    listening = true;
    return port;
}
static int dial(int tries);
WEFT_TASK(dial, int, int);
static int dial(int tries) {
    for (int i = 0; i < tries; i++) {
        weft_point();
        if (listening) return 1;
        if (!weft_ok(weft_sleep(weft_s(1)))) return 0;
    }
    return 0;
}
/* On a manual clock: it is there at the first try, and no time is needed. */
static void first_try(weft_test t) {
    dial_fiber f;
    listen_at_fiber l;
    int there = 0;
    listening = false;
    weft_spawn(&l, listen_at, 80);
    weft_spawn(&f, dial, 3);
    weft_await(f, dial, &there);
    weft_await(l, listen_at, NULL);
    weft_drop(l);
    weft_drop(f);
    weft_check(t, there);
}
static void any_try(weft_test t) {
    dial_fiber f;
    listen_at_fiber l;
    int there = 0;
    listening = false;
    weft_spawn(&l, listen_at, 80);
    weft_spawn(&f, dial, 3);
    weft_clock_advance(NULL, weft_s(3));
    weft_await(f, dial, &there);
    weft_await(l, listen_at, NULL);
    weft_drop(l);
    weft_drop(f);
    weft_check(t, there);
}
TEST(nobody_advances_the_clock) {
    exhibit(&(specimen){.name = "nobody advances the clock", .bad = first_try, .good = any_try, .expected = WEFT_TEST_TIME,
                        .because = "'dial' at", .manual_clock = true});
}

TEST_MAIN
