/* Gallery: fibers that end too early, too late, or without cleaning up.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "gallery.h"
#include "alloc/san.h"
#include <sys/mman.h>

static const weft_exit fine = {WEFT_EXIT_OK, 0, NULL};

/* ---- use after scope ------------------------------------------------------------------------------------ */

enum { PAGE = 65536 };

static weft_exit map(void *arg, void **page) {
    (void)arg;
    *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return *page == MAP_FAILED ? weft_fail(WEFT_E_USER, "no memory to map") : fine;
}
static weft_exit unmap(void *page) {
    munmap(page, PAGE);
    return fine;
}
typedef struct journal {
    char *page;
} journal;
static int note(journal j);
WEFT_TASK(note, int, journal);
static int note(journal j) {
    j.page[0] = 'x';
    return 1;
}
static int compute(int n);
WEFT_TASK(compute, int, int);
static int compute(int n) { return n; }

/* Detached, so that the scope has not to wait for what is only a note, and is there long before the rest. */
static void scope_ends_first(weft_test t) {
    (void)t;
    note_fiber f;
    void *page;
    WEFT_SCOPE(s, NULL) {
        compute_fiber c;
        weft_acquire(s, map, NULL, unmap, 0, &page);
        weft_spawn_with(&f, note, {.detached = true}, page);
        weft_spawn(&c, compute, 1);
        weft_await(c, compute, NULL);
    }
    weft_await(f, note, NULL);
    weft_drop(f);
}
static void scope_ends_last(weft_test t) {
    (void)t;
    void *page;
    WEFT_SCOPE(s, NULL) {
        weft_acquire(s, map, NULL, unmap, 0, &page);
        weft_spawn((note_fiber *)NULL, note, page);
    }
}
TEST(use_after_scope) {
    exhibit(&(specimen){.name = "use after scope", .bad = scope_ends_first, .good = scope_ends_last,
                        .expected = WEFT_TEST_DIED, .because = "died", .kills = true});
}

/* The arena of the next scope lies where that of the last one did. */
typedef struct query {
    int number;
} query;
typedef struct job {
    query *of;
} job;
static int answered[2];

static int reply(job j);
WEFT_TASK(reply, int, job);
static int reply(job j) {
    weft_point();
    int n = j.of->number;
    if (n == 0 || n == 1) answered[n]++;
    return n;
}
static void answer_two(weft_test t, bool detached) {
    answered[0] = answered[1] = 0;
    reply_fiber f[2];
    for (int i = 0; i < 2; i++)
        WEFT_SCOPE(s, NULL) {
            compute_fiber c;
            query *q = weft_alloc(s, sizeof *q);
            q->number = i;
            weft_spawn_with(&f[i], reply, {.detached = detached}, q);
            weft_spawn(&c, compute, 1);
            weft_await(c, compute, NULL);
        }
    for (int i = 0; i < 2 && detached; i++) {
        weft_await(f[i], reply, NULL);
        weft_drop(f[i]);
    }
    weft_check(t, answered[0] == 1 && answered[1] == 1);
}
static void queries_of_no_scope(weft_test t) { answer_two(t, true); }
static void queries_of_their_scopes(weft_test t) { answer_two(t, false); }
#ifdef WEFT__ASAN /* it does not wait until the wrong one is answered */
#define WRONG_ANSWER WEFT_TEST_DIED, .because = "the run "
#else
#define WRONG_ANSWER WEFT_TEST_CHECK, .because = "answered[0] == 1"
#endif
TEST(use_of_an_arena_after_its_scope) {
    exhibit(&(specimen){.name = "use of an arena after its scope", .bad = queries_of_no_scope,
                        .good = queries_of_their_scopes, .expected = WRONG_ANSWER, .kills = true});
}

/* ---- missed cancel -------------------------------------------------------------------------------------- */

static int done_after_stop;
static bool stopped;

static int deaf(int steps);
WEFT_TASK(deaf, int, int);
static int deaf(int steps) {
    for (int i = 0; i < steps; i++) {
        weft_checkpoint(); /* it says whether to go on: nobody listens */
        done_after_stop += stopped;
    }
    return steps;
}
static int blind(int steps);
WEFT_TASK(blind, int, int);
static int blind(int steps) {
    for (int i = 0; i < steps; i++) {
        weft_point(); /* computes, and never looks */
        done_after_stop += stopped;
    }
    return steps;
}
static int attentive(int steps);
WEFT_TASK(attentive, int, int);
static int attentive(int steps) {
    for (int i = 0; i < steps; i++) {
        if (!weft_ok(weft_checkpoint())) return i;
        done_after_stop += stopped;
    }
    return steps;
}
typedef struct request {
    weft_handle to;
} request;
static int stop(request r);
WEFT_TASK(stop, int, request);
static int stop(request r) {
    weft__interrupt(r.to, "enough", __FILE__, __LINE__, false);
    stopped = true;
    return 0;
}
static void stop_it(weft_test t, weft_handle h) {
    stop_fiber other;
    weft_spawn(&other, stop, h);
    weft_fiber_await(h);
    weft_await(other, stop, NULL);
    weft_drop(other);
    weft_fiber_drop(h);
    weft_check(t, done_after_stop == 0);
}
static void nothing_stopped(void) {
    done_after_stop = 0;
    stopped = false;
}
static void stop_the_deaf(weft_test t) {
    deaf_fiber f;
    nothing_stopped();
    weft_spawn(&f, deaf, 4);
    stop_it(t, f.handle);
}
static void stop_the_blind(weft_test t) {
    blind_fiber f;
    nothing_stopped();
    weft_spawn(&f, blind, 4);
    stop_it(t, f.handle);
}
static void stop_the_attentive(weft_test t) {
    attentive_fiber f;
    nothing_stopped();
    weft_spawn(&f, attentive, 4);
    stop_it(t, f.handle);
}
TEST(an_interrupt_is_swallowed) {
    exhibit(&(specimen){.name = "an interrupt is swallowed", .bad = stop_the_deaf, .good = stop_the_attentive,
                        .expected = WEFT_TEST_CHECK, .because = "done_after_stop == 0"});
}
TEST(a_loop_never_looks) {
    exhibit(&(specimen){.name = "a loop that never looks", .bad = stop_the_blind, .good = stop_the_attentive,
                        .expected = WEFT_TEST_CHECK, .because = "done_after_stop == 0"});
}

/* ---- cleaning up ---------------------------------------------------------------------------------------- */

static int open_files;

static weft_exit open_file(void *arg, void **file) {
    (void)arg;
    open_files++;
    *file = &open_files;
    return weft_checkpoint(); /* the disk takes its time */
}
static weft_exit close_file(void *file) {
    --*(int *)file;
    return fine;
}

/* A buffer is written before the file is closed: that may wait, and be interrupted. */
static weft_promise disk_ready;
static bool flushed(void) { return weft_ok(weft_promise_await(&disk_ready, NULL)); }

static void nothing_open(void) {
    open_files = 0;
    weft_promise_init(&disk_ready);
    weft_promise_complete(&disk_ready, NULL);
}

static int copy_unshielded(int steps);
WEFT_TASK(copy_unshielded, int, int);
static int copy_unshielded(int steps) {
    open_files++;
    for (int i = 0; i < steps; i++)
        if (!weft_ok(weft_checkpoint())) break;
    if (!flushed()) return -1;
    open_files--;
    return steps;
}
static int copy_shielded(int steps);
WEFT_TASK(copy_shielded, int, int);
static int copy_shielded(int steps) {
    open_files++;
    for (int i = 0; i < steps; i++)
        if (!weft_ok(weft_checkpoint())) break;
    WEFT_SCOPE(s, NULL, .shield = true) flushed();
    open_files--;
    return steps;
}

/* Opened, and then somebody is to close it: but it may be interrupted between the two. */
static int copy_deferred_late(int steps);
WEFT_TASK(copy_deferred_late, int, int);
static int copy_deferred_late(int steps) {
    WEFT_SCOPE(s, NULL) {
        void *file;
        if (!weft_ok(open_file(NULL, &file))) return -1;
        weft_defer(s, close_file, file, 0);
    }
    return steps;
}
static int copy_acquired(int steps);
WEFT_TASK(copy_acquired, int, int);
static int copy_acquired(int steps) {
    WEFT_SCOPE(s, NULL) {
        void *file;
        if (!weft_ok(weft_acquire(s, open_file, NULL, close_file, 0, &file))) return -1;
    }
    return steps;
}
/* As it comes: while it copies, before, or after. */
static void stop_copy(weft_test t, weft_handle h) {
    stop_fiber other;
    weft_spawn(&other, stop, h);
    weft_fiber_await(h);
    weft_await(other, stop, NULL);
    weft_drop(other);
    weft_fiber_drop(h);
    weft_check(t, open_files == 0);
}
static void stop_unshielded(weft_test t) {
    copy_unshielded_fiber f;
    nothing_open();
    weft_spawn(&f, copy_unshielded, 3);
    stop_copy(t, f.handle);
}
static void stop_shielded(weft_test t) {
    copy_shielded_fiber f;
    nothing_open();
    weft_spawn(&f, copy_shielded, 3);
    stop_copy(t, f.handle);
}
static void stop_deferred_late(weft_test t) {
    copy_deferred_late_fiber f;
    nothing_open();
    weft_spawn(&f, copy_deferred_late, 3);
    stop_copy(t, f.handle);
}
static void stop_acquired(weft_test t) {
    copy_acquired_fiber f;
    nothing_open();
    weft_spawn(&f, copy_acquired, 3);
    stop_copy(t, f.handle);
}
TEST(cleanup_without_a_shield) {
    exhibit(&(specimen){.name = "cleanup without a shield", .bad = stop_unshielded, .good = stop_shielded,
                        .expected = WEFT_TEST_CHECK, .because = "open_files == 0"});
}
TEST(interrupted_between_acquire_and_defer) {
    exhibit(&(specimen){.name = "between acquire and defer", .bad = stop_deferred_late, .good = stop_acquired,
                        .expected = WEFT_TEST_CHECK, .because = "open_files == 0"});
}

/* ---- forgotten await ------------------------------------------------------------------------------------ */

static int send_log(int lines);
WEFT_TASK(send_log, int, int);
static int send_log(int lines) {
    for (int i = 0; i < lines; i++) weft_point();
    return lines;
}
static void nobody_awaits(weft_test t) {
    (void)t;
    weft_spawn((send_log_fiber *)NULL, send_log, 2);
    weft_sleep(0); /* lets others run: it is done soon */
}
static void a_scope_awaits(weft_test t) {
    (void)t;
    WEFT_SCOPE(s, NULL) weft_spawn((send_log_fiber *)NULL, send_log, 2);
}
TEST(forgotten_await) {
    exhibit(&(specimen){.name = "forgotten await", .bad = nobody_awaits, .good = a_scope_awaits,
                        .expected = WEFT_TEST_LEAK, .because = "'send_log' at"});
}

/* ---- a failure that nobody looks at --------------------------------------------------------------------- */

enum { E_EMPTY = WEFT_E_USER + 1 };

static int stock;
static int restock(int n);
WEFT_TASK(restock, int, int);
static int restock(int n) { return stock = n; }

static int sell(int n);
WEFT_TASK(sell, int, int);
static int sell(int n) {
    weft_point();
    if (stock < n) weft_failf(E_EMPTY, "%d wanted, %d there", n, stock);
    return stock -= n;
}
static void only_if_it_takes_long(weft_test t) {
    (void)t;
    restock_fiber r;
    sell_fiber f;
    stock = 0;
    weft_spawn(&r, restock, 10);
    weft_spawn(&f, sell, 3);
    weft_await(r, restock, NULL);
    if (!weft_is_done(f)) weft_await(f, sell, NULL);
    weft_drop(r);
    weft_drop(f);
}
static void in_any_case(weft_test t) {
    restock_fiber r;
    sell_fiber f;
    stock = 0;
    weft_spawn(&r, restock, 10);
    weft_spawn(&f, sell, 3);
    weft_await(r, restock, NULL);
    weft_exit e = weft_await(f, sell, NULL);
    weft_check(t, weft_ok(e) ? stock == 7 : e.code == E_EMPTY);
    weft_drop(r);
    weft_drop(f);
}
TEST(unobserved_failure) {
    exhibit(&(specimen){.name = "a failure nobody looks at", .bad = only_if_it_takes_long, .good = in_any_case,
                        .expected = WEFT_TEST_UNOBSERVED, .because = "3 wanted, 0 there"});
}

/* ---- a handle that is not dropped ----------------------------------------------------------------------- */

static int try_to_sell_forgetful(void) {
    sell_fiber f;
    int left = 0;
    weft_spawn(&f, sell, 3);
    if (!weft_ok(weft_await(f, sell, &left))) return -1;
    weft_drop(f);
    return left;
}
static int try_to_sell(void) {
    sell_fiber f;
    int left = -1;
    weft_spawn(&f, sell, 3);
    weft_await(f, sell, &left);
    weft_drop(f);
    return left;
}
static void kept_on_failure(weft_test t) {
    restock_fiber r;
    stock = 0;
    weft_spawn(&r, restock, 10);
    int left = try_to_sell_forgetful();
    weft_await(r, restock, NULL);
    weft_drop(r);
    weft_check(t, left == 7 || left == -1);
}
static void dropped_on_failure(weft_test t) {
    restock_fiber r;
    stock = 0;
    weft_spawn(&r, restock, 10);
    int left = try_to_sell();
    weft_await(r, restock, NULL);
    weft_drop(r);
    weft_check(t, left == 7 || left == -1);
}
TEST(a_handle_is_not_dropped) {
    exhibit(&(specimen){.name = "no drop on an error path", .bad = kept_on_failure, .good = dropped_on_failure,
                        .expected = WEFT_TEST_LEAK, .because = "the handle of 'sell'"});
}

/* ---- a failed promise that is not dropped --------------------------------------------------------------- */

static weft_promise price;

static int ask_price(int n);
WEFT_TASK(ask_price, int, int);
static int ask_price(int n) {
    weft_promise_fail(&price, weft_failf(E_EMPTY, "no price for %d", n));
    return n;
}
static void wait_for_price(bool drops) {
    ask_price_fiber f;
    bool known;
    weft_promise_init(&price);
    weft_spawn(&f, ask_price, 3);
    weft_yield();
    known = weft_promise_is_done(&price);
    if (known || drops) weft_promise_await(&price, NULL); /* else one of last week will do */
    if (known || drops) weft_promise_drop(&price);
    weft_await(f, ask_price, NULL);
    weft_drop(f);
}
static void only_if_known(weft_test t) {
    (void)t;
    wait_for_price(false);
}
static void known_or_not(weft_test t) {
    (void)t;
    wait_for_price(true);
}
/* That it is lost is the mistake; the leak sanitizer need not say so as well. */
extern void __lsan_disable(void) __attribute__((weak));
extern void __lsan_enable(void) __attribute__((weak));

TEST(a_failed_promise_is_not_dropped) {
    if (__lsan_disable) __lsan_disable();
    exhibit(&(specimen){.name = "a failed promise, not dropped", .bad = only_if_known, .good = known_or_not,
                        .expected = WEFT_TEST_MEMORY, .because = "bytes of Weft's"});
    if (__lsan_enable) __lsan_enable();
}

TEST_MAIN
