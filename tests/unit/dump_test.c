/* Dumps and reports: what they say of fibers that wait, run, are ready, belong to scopes, await each other in a ring.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "test.h"
#include "alloc/heap.h"
#include "alloc/os.h"
#include "alloc/san.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <weft/continuation.h>
#include <weft/dump.h>
#include <weft/promise.h>
#include <weft/scope.h>

enum { THOUSANDS = WEFT__SAN_STACKS > 1 ? 3000 : 50000 };

static const unsigned worker_counts[] = {1, 2};

static void on_each_size(void (*body)(void *)) {
    for (unsigned i = 0; i < 2; i++) {
        uint64_t before = weft__heap_live();
        CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = worker_counts[i]), body, NULL), WEFT_OK);
        CHECK_EQ(weft__heap_live(), before);
    }
}

/* ---- texts -------------------------------------------------------------------------------------------- */

/* rt NULL: the caller's. */
static char *dumped(weft_runtime *rt) {
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    CHECK(f != NULL);
    CHECK_EQ(weft_dump_runtime(f, rt), WEFT_OK);
    fclose(f);
    return text;
}

static bool has(const char *text, const char *format, ...) {
    char want[400];
    va_list args;
    va_start(args, format);
    vsnprintf(want, sizeof want, format, args);
    va_end(args);
    return strstr(text, want) != NULL;
}

#define SAYS(text, ...)                                                                      \
    do {                                                                                     \
        if (!has((text), __VA_ARGS__)) {                                                     \
            fprintf(stderr, "%s:%d: not said: ", __FILE__, __LINE__);                        \
            fprintf(stderr, __VA_ARGS__);                                                    \
            fprintf(stderr, "\nbut:\n%s\n", (text));                                         \
            abort();                                                                         \
        }                                                                                    \
    } while (0)

static size_t count(const char *text, const char *what) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) n++;
    return n;
}

/* Dumps until it says so: a fiber on another worker takes a moment to get where it is going. */
static char *dumped_with(const char *what) {
    for (;;) {
        char *text = dumped(NULL);
        if (strstr(text, what)) return text;
        free(text);
        weft_yield();
    }
}

/* ---- fibers that do something ------------------------------------------------------------------------- */

static weft_promise door;

static long visitor(long x);
WEFT_TASK(visitor, long, long);
static long visitor(long x) {
    weft_promise_await(&door, NULL);
    return x;
}

static long sleeper(weft_duration d);
WEFT_TASK(sleeper, long, weft_duration);
static long sleeper(weft_duration d) {
    weft_sleep(d);
    return 0;
}

static _Atomic bool release;
static _Atomic int spinning;
static long spinner(long x);
WEFT_TASK(spinner, long, long);
static long spinner(long x) {
    atomic_fetch_add(&spinning, 1);
    while (!atomic_load(&release)) weft__os_yield();
    return x;
}

static long awaiter(weft_handle h);
WEFT_TASK(awaiter, long, weft_handle);
static long awaiter(weft_handle h) {
    weft_fiber_await(h);
    return 0;
}

static void doors_shut(void) {
    weft_promise_init(&door);
    atomic_store(&release, false);
    atomic_store(&spinning, 0);
}

/* ---- states ------------------------------------------------------------------------------------------- */

static void waiting(void *arg) {
    (void)arg;
    doors_shut();
    visitor_fiber v;
    awaiter_fiber a;
    int line = __LINE__ + 1;
    CHECK(weft_ok(weft_spawn(&v, visitor, 1)));
    CHECK(weft_ok(weft_spawn(&a, awaiter, v.handle.fiber, v.handle.id)));
    char *text = dumped_with("the end of");
    free(text);
    text = dumped_with("a promise");
    SAYS(text, "main task: running on worker ");
    SAYS(text, "\n%llu 'visitor' at %s:%d: waits for a promise (%p)", (unsigned long long)v.handle.id, __FILE__, line,
         (void *)&door);
    free(text);
    text = dumped_with("waits for the end of");
    SAYS(text, "%llu 'awaiter' at %s:%d: waits for the end of %llu 'visitor'", (unsigned long long)a.handle.id,
         __FILE__, line + 1, (unsigned long long)v.handle.id);
    free(text);
    weft_promise_complete(&door, NULL);
    weft_await(a, awaiter, NULL);
    weft_drop(a);
    weft_drop(v);
    text = dumped(NULL);
    CHECK(!strstr(text, "visitor") && !strstr(text, "awaiter"));
    free(text);
}
TEST(a_fiber_that_waits_is_shown_with_what_it_waits_for) { on_each_size(waiting); }

TEST(a_fiber_that_runs_is_shown_with_its_worker) {
    for (unsigned i = 0; i < 2; i++) {
        weft_runtime *rt;
        doors_shut();
        CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = worker_counts[i]), &rt), WEFT_OK);
        weft_spawn_options o = {.runtime = rt};
        CHECK(weft_ok(weft_spawn_with((spinner_fiber *)NULL, spinner, o, 1)));
        while (!atomic_load(&spinning)) weft__os_yield();
        char *text = dumped(rt);
        SAYS(text, "'spinner' at %s:%d: running on worker ", __FILE__, __LINE__ - 3);
        free(text);
        atomic_store(&release, true);
        CHECK_EQ(weft_close(rt), WEFT_OK);
    }
}

static void ready_and_unstarted(void *arg) {
    (void)arg;
    doors_shut();
    visitor_fiber ready;
    sleeper_fiber never;
    CHECK(weft_ok(weft_spawn(&ready, visitor, 1)));
    while (weft_fiber_status(ready.handle) != WEFT_STATUS_SUSPENDED) weft_yield();
    weft_promise_complete(&door, NULL);
    CHECK(weft_ok(weft_spawn(&never, sleeper, 0)));
    char *text = dumped(NULL);
    SAYS(text, "'visitor' at %s:%d: ready to go on\n", __FILE__, __LINE__ - 5);
    SAYS(text, "'sleeper' at %s:%d: not started\n", __FILE__, __LINE__ - 3);
    free(text);
    weft_await(ready, visitor, NULL);
    weft_await(never, sleeper, NULL);
    weft_drop(ready);
    weft_drop(never);
}
TEST(a_fiber_that_is_ready_or_has_not_started_is_shown_as_such) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), ready_and_unstarted, NULL), WEFT_OK);
}

static void sleeping(void *arg) {
    (void)arg;
    sleeper_fiber f;
    CHECK(weft_ok(weft_spawn(&f, sleeper, weft_s(1000))));
    char *text = dumped_with(": sleeps");
    SAYS(text, "real clock, 1 timer");
    free(text);
    CHECK(weft_ok(weft_interrupt(f, NULL)));
    weft_drop(f);
}
TEST(a_sleeper_is_shown_and_its_timer_counted) { on_each_size(sleeping); }

/* The second child waits in its parent's place, which makes the first one public; that waits on a stack of its own, and
 * then its parent for it. */
static weft_promise second_door;
static long second(long x);
WEFT_TASK(second, long, long);
static long second(long x) {
    weft_promise_await(&second_door, NULL);
    return x;
}
static long parent(long x);
WEFT_TASK(parent, long, long);
static long parent(long x) {
    visitor_task first;
    second_task other;
    weft_fork(&first, visitor, x);
    weft_fork(&other, second, x);
    weft_join(&other, second);
    return weft_join(&first, visitor);
}
static void joining(void *arg) {
    (void)arg;
    doors_shut();
    weft_promise_init(&second_door);
    parent_fiber p;
    CHECK(weft_ok(weft_spawn(&p, parent, 1)));
    char *text = dumped_with("\n  forked child 'visitor' at ");
    SAYS(text, "'parent' at ");
    free(text);
    weft_promise_complete(&second_door, NULL);
    text = dumped_with(": waits for a forked child\n  forked child 'visitor' at ");
    SAYS(text, "waits for a promise (%p)", (void *)&door);
    free(text);
    weft_promise_complete(&door, NULL);
    weft_await(p, parent, NULL);
    weft_drop(p);
}
TEST(a_forked_child_that_waits_elsewhere_is_shown_below_its_parent) { on_each_size(joining); }

/* ---- scopes ------------------------------------------------------------------------------------------- */

static long family(long children);
WEFT_TASK(family, long, long);
static long family(long children) {
    WEFT_SCOPE(s, NULL, .timeout = weft_s(3600)) {
        for (long i = 0; i < children; i++)
            CHECK(weft_ok(weft_spawn_with((visitor_fiber *)NULL, visitor, ((weft_spawn_options){.name = "child"}), i)));
        if (children > 1) {
            WEFT_SCOPE(inner, NULL, .shield = true)
                CHECK(weft_ok(weft_spawn((family_fiber *)NULL, family, children - 1)));
        }
    }
    return 0;
}

static void nested(void *arg) {
    (void)arg;
    doors_shut();
    family_fiber f;
    CHECK(weft_ok(weft_spawn(&f, family, 3)));
    char *text;
    for (;;) {
        text = dumped(NULL);
        if (count(text, "waits for a promise") == 6 && count(text, "waits for the fibers of its scope") == 3) break;
        free(text);
        weft_yield();
    }
    SAYS(text, "\n%llu 'family' at ", (unsigned long long)f.handle.id);
    SAYS(text, "\n  scope: 3 fibers, deadline in 3");
    SAYS(text, "\n    shielded scope: 1 fiber\n      ");
    SAYS(text, "\n        scope: 2 fibers, deadline in 3");
    SAYS(text, " 'child' at ");
    CHECK_EQ(count(text, "'child' at "), 6);
    CHECK_EQ(count(text, "'family' at "), 3);
    free(text);
    weft_promise_complete(&door, NULL);
    weft_await(f, family, NULL);
    weft_drop(f);
}
TEST(scopes_and_their_fibers_are_shown_below_their_owner) { on_each_size(nested); }

static long stubborn(long x);
WEFT_TASK(stubborn, long, long);
static long stubborn(long x) {
    weft_mask m;
    weft_mask_begin(&m);
    weft_promise_await(&door, NULL);
    weft_mask_end(&m);
    return x;
}

static void asked(void *arg) {
    (void)arg;
    doors_shut();
    stubborn_fiber f, soft;
    CHECK(weft_ok(weft_spawn_with(&f, stubborn, ((weft_spawn_options){.daemon = true}), 1)));
    CHECK(weft_ok(weft_spawn(&soft, stubborn, 1)));
    char *text;
    for (;; weft_yield()) { /* until both are masked: who is asked before that may never wait */
        text = dumped(NULL);
        bool both = count(text, "masked") == 2;
        free(text);
        if (both) break;
    }
    CHECK(weft_ok(weft_interrupt_async(f, "not needed")));
    CHECK_EQ(weft_interrupt_grace(soft, "soon", weft_s(3600)), WEFT_OK);
    CHECK(weft_ok(weft_sleep(weft_ms(1))));
    for (;; weft_yield()) {
        text = dumped(NULL);
        if (count(text, "waits for a promise") == 2) break;
        free(text);
    }
    SAYS(text, ", daemon, masked, asked to stop");
    SAYS(text, ", masked, asked to stop soon");
    if (weft_workers(NULL) == 1) SAYS(text, "asked to stop: not needed");
    free(text);
    weft_promise_complete(&door, NULL);
    weft_await(f, stubborn, NULL);
    weft_await(soft, stubborn, NULL);
    weft_drop(f);
    weft_drop(soft);
}
TEST(who_is_asked_to_stop_is_shown_with_the_reason) { on_each_size(asked); }

static long canceller(weft_scope *s);
WEFT_TASK(canceller, long, weft_scope *);
static long canceller(weft_scope *s) {
    weft_scope_cancel(s, "enough");
    return 0;
}
static void cancelled_scope(void *arg) {
    (void)arg;
    doors_shut();
    WEFT_SCOPE(s, NULL) {
        stubborn_fiber f;
        canceller_fiber c;
        CHECK(weft_ok(weft_spawn(&f, stubborn, 1)));
        free(dumped_with("masked"));
        CHECK(weft_ok(weft_spawn_with(&c, canceller, ((weft_spawn_options){.name = "boss"}), s)));
        weft_fiber_await(c.handle);
        char *text = dumped(NULL);
        SAYS(text, "  scope: ");
        SAYS(text, ", cancelled by %llu 'boss': enough\n", (unsigned long long)c.handle.id);
        SAYS(text, "masked");
        free(text);
        weft_promise_complete(&door, NULL);
    }
}
TEST(a_cancelled_scope_says_by_whom_and_why) { on_each_size(cancelled_scope); }

/* ---- thousands ---------------------------------------------------------------------------------------- */

static void many(void *arg) {
    (void)arg;
    doors_shut();
    static visitor_fiber own[THOUSANDS];
    for (long i = 0; i < THOUSANDS; i++) CHECK(weft_ok(weft_spawn(&own[i], visitor, i)));
    WEFT_SCOPE(s, NULL) {
        for (long i = 0; i < THOUSANDS; i++) CHECK(weft_ok(weft_spawn((visitor_fiber *)NULL, visitor, i)));
        sleeper_fiber odd;
        CHECK(weft_ok(weft_spawn(&odd, sleeper, WEFT_FOREVER)));
        char want[60];
        snprintf(want, sizeof want, "(and %d %03d more like this)", (THOUSANDS - 1) / 1000, (THOUSANDS - 1) % 1000);
        char *text;
        for (;; weft_yield()) {
            text = dumped(NULL);
            if (count(text, want) == 2) break;
            free(text);
        }
        CHECK_EQ(count(text, "'visitor'"), 2);
        CHECK_EQ(count(text, "'sleeper'"), 1);
        CHECK(count(text, "\n") < 12);
        free(text);
        weft_promise_complete(&door, NULL);
        CHECK(weft_ok(weft_interrupt(odd, NULL)));
    }
    for (long i = 0; i < THOUSANDS; i++) {
        weft_await(own[i], visitor, NULL);
        weft_drop(own[i]);
    }
}
TEST(thousands_that_do_the_same_are_one_line_and_a_count) { on_each_size(many); }

static void eight(void *arg) {
    (void)arg;
    doors_shut();
    WEFT_SCOPE(s, NULL) {
        for (long i = 0; i < 8; i++) CHECK(weft_ok(weft_spawn((visitor_fiber *)NULL, visitor, i)));
        char *text;
        for (;; weft_yield()) {
            text = dumped(NULL);
            if (count(text, "waits for a promise") == 8) break;
            free(text);
        }
        CHECK(!strstr(text, "more like this"));
        free(text);
        weft_promise_complete(&door, NULL);
    }
}
TEST(a_few_are_shown_one_by_one) { on_each_size(eight); }

/* ---- from outside ------------------------------------------------------------------------------------- */

static void open_door(void *arg) {
    (void)arg;
    weft_promise_complete(&door, NULL);
}
TEST(a_plain_thread_dumps_a_runtime_it_names) {
    for (unsigned i = 0; i < 2; i++) {
        weft_runtime *rt;
        doors_shut();
        CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = worker_counts[i], .clock = WEFT_CLOCK_MANUAL), &rt), WEFT_OK);
        weft_spawn_options o = {.runtime = rt, .name = "guest"};
        CHECK(weft_ok(weft_spawn_with((visitor_fiber *)NULL, visitor, o, 1)));
        char *text;
        for (;; weft__os_yield()) {
            text = dumped(rt);
            if (strstr(text, "waits for a promise")) break;
            free(text);
        }
        SAYS(text, "runtime: %u worker", worker_counts[i]);
        SAYS(text, "manual clock at 0 s, 0 timers; 1 fiber and 0 calls have not ended\n");
        SAYS(text, "'guest' at "); /* nobody has a handle: it can be held */
        free(text);
        CHECK_EQ(weft_dump(stderr), WEFT_E_INVALID);
        CHECK_EQ(weft_dump_runtime(NULL, rt), WEFT_E_INVALID);
        CHECK_EQ(weft_call(rt, open_door, NULL), WEFT_OK);
        CHECK_EQ(weft_close(rt), WEFT_OK);
        CHECK_EQ(weft_dump_runtime(stderr, rt), WEFT_E_CLOSED);
    }
}

/* ---- without memory ----------------------------------------------------------------------------------- */

static void without_memory(void *arg) {
    (void)arg;
    doors_shut();
    WEFT_SCOPE(s, NULL) {
        for (long i = 0; i < 2000; i++)
            CHECK(weft_ok(weft_spawn_with((visitor_fiber *)NULL, visitor, ((weft_spawn_options){.name = "child"}), i)));
        for (int i = 0; i < 3; i++) weft_yield();
        static char room[1 << 20];
        uint64_t live = weft__heap_live();
        for (uint64_t nth = 1; nth < 40; nth++) {
            FILE *f = fmemopen(room, sizeof room, "w");
            CHECK(f != NULL);
            weft__heap_fail_at(nth, nth % 2);
            weft_err err = weft_dump(f);
            uint64_t asked = weft__heap_asked();
            weft__heap_fail_at(0, 0);
            fclose(f);
            CHECK(err == WEFT_OK || err == WEFT_E_NOMEM);
            SAYS(room, "runtime: ");
            if (err == WEFT_E_NOMEM) SAYS(room, "(cut: there was no memory for the rest)\n");
            CHECK_EQ(err == WEFT_E_NOMEM || asked < nth || strstr(room, "child") != NULL, 1);
        }
        if (weft_workers(NULL) == 1) CHECK_EQ(weft__heap_live(), live);
        weft_promise_complete(&door, NULL);
    }
}
TEST(without_memory_the_dump_is_cut_and_says_so) {
    CHECK_EQ(weft_run(&WEFT_OPTIONS(.workers = 1), without_memory, NULL), WEFT_OK);
}

/* ---- deadlock ----------------------------------------------------------------------------------------- */

typedef struct report {
    char *text;
    int n;
} report;

static void keep(void *arg, const char *text) {
    report *r = arg;
    free(r->text);
    r->text = strdup(text);
    r->n++;
}

static void deadlocks(void (*body)(void *), void (*look)(const char *)) {
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned clock = WEFT_CLOCK_REAL; clock <= WEFT_CLOCK_AUTO; clock++) {
            report r = {NULL, 0};
            uint64_t before = weft__heap_live();
            weft_options o = WEFT_OPTIONS(.workers = worker_counts[i], .clock = (weft_clock)clock, .on_report = keep,
                                          .hook_arg = &r);
            CHECK_EQ(weft_run(&o, body, NULL), WEFT_E_DEADLOCK);
            CHECK_EQ(r.n, 1);
            look(r.text);
            free(r.text);
            CHECK_EQ(weft__heap_live(), before);
        }
    }
}

static weft_handle ring[3];
static long member(long i);
WEFT_TASK(member, long, long);
static long member(long i) {
    weft_promise_await(&door, NULL); /* until all are known */
    weft_exit e = weft_fiber_await(ring[(i + 1) % 3]);
    return weft_ok(e);
}
static void three_in_a_ring(void *arg) {
    (void)arg;
    member_fiber f[3];
    static const char *const names[] = {"anna", "ben", "carl"};
    doors_shut();
    for (long i = 0; i < 3; i++) {
        CHECK(weft_ok(weft_spawn_with(&f[i], member, ((weft_spawn_options){.name = names[i]}), i)));
        ring[i] = f[i].handle;
    }
    weft_promise_complete(&door, NULL);
    weft_await(f[0], member, NULL); /* their handles stay: others await through them */
}
static void names_the_ring(const char *text) {
    SAYS(text, "deadlock: everything that is left waits, and nothing can end any of these waits\nmain task: ");
    const char *found = strstr(text, "\nring: ");
    CHECK(found != NULL);
    CHECK_EQ(count(text, "\nring: "), 1);
    CHECK_EQ(count(found, " awaits "), 3);
    SAYS(found, "'anna' awaits");
    SAYS(found, "'ben' awaits");
    SAYS(found, "'carl' awaits");
    CHECK_EQ(count(text, ": waits for the end of "), 4);
    CHECK(text[strlen(text) - 1] != '\n');
}
TEST(a_deadlock_is_reported_with_its_waiters_and_the_ring) { deadlocks(three_in_a_ring, names_the_ring); }

static weft_handle owner;
static long awaits_owner(long x);
WEFT_TASK(awaits_owner, long, long);
static long awaits_owner(long x) {
    weft_promise_await(&door, NULL);
    weft_fiber_await(owner);
    return x;
}
static long scope_owner(long x);
WEFT_TASK(scope_owner, long, long);
static long scope_owner(long x) {
    WEFT_SCOPE(s, NULL) CHECK(weft_ok(weft_spawn((awaits_owner_fiber *)NULL, awaits_owner, x)));
    return x;
}
static void child_awaits_parent(void *arg) {
    (void)arg;
    scope_owner_fiber f;
    doors_shut();
    CHECK(weft_ok(weft_spawn(&f, scope_owner, 1)));
    owner = f.handle;
    weft_promise_complete(&door, NULL);
    weft_await(f, scope_owner, NULL);
}
static void names_parent_and_child(const char *text) {
    SAYS(text, "'scope_owner' at ");
    SAYS(text, ": waits for the fibers of its scope\n  scope: 1 fiber\n    ");
    const char *found = strstr(text, "\nring: ");
    CHECK(found != NULL);
    SAYS(found, "'scope_owner'");
    SAYS(found, "'awaits_owner' awaits");
}
TEST(a_child_that_awaits_the_owner_of_its_scope_is_a_ring) { deadlocks(child_awaits_parent, names_parent_and_child); }

static void forgotten_promise(void *arg) {
    (void)arg;
    doors_shut();
    visitor_fiber f;
    CHECK(weft_ok(weft_spawn_with(&f, visitor, ((weft_spawn_options){.name = "guest"}), 1)));
    weft_await(f, visitor, NULL);
    weft_drop(f);
}
static void names_the_promise(const char *text) {
    SAYS(text, "'guest' at ");
    SAYS(text, ": waits for a promise (%p)", (void *)&door);
    CHECK(!strstr(text, "ring: "));
}
TEST(a_deadlock_without_a_ring_lists_what_is_waited_for) { deadlocks(forgotten_promise, names_the_promise); }

/* ---- bodies with a stack of their own ------------------------------------------------------------------- */

WEFT_EFFECT(ask, long, long x;);
static weft_exit keeps(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)op, (void)answer;
    *(weft_k *)self = weft_keep(k);
    return weft_done;
}
static weft_exit replies(weft_k k, const ask_op *op, void *answer, void *self) {
    (void)answer, (void)self;
    return weft_transfer(k, ask, op->x);
}
static long asks_and_visits(long n);
WEFT_TASK(asks_and_visits, long, long);
static long asks_and_visits(long n) {
    if (n > 0) { /* a body in a body */
        weft_handler h = WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, replies));
        long out = 0;
        weft_handle(&h, asks_and_visits, &out, n - 1);
        return out;
    }
    weft_perform(ask, NULL, n);
    return visitor(n);
}
static long drives(weft_k *k);
WEFT_TASK(drives, long, weft_k *);
static long drives(weft_k *k) {
    weft_handler h = WEFT_HANDLER(k, WEFT_ONESHOT(ask, keeps));
    weft_handle(&h, asks_and_visits, NULL, 0);
    weft_resume(*k, ask, 1, NULL);
    h = (weft_handler)WEFT_HANDLER(NULL, WEFT_ONESHOT(ask, replies));
    weft_handle(&h, asks_and_visits, NULL, 2);
    return 0;
}
static void driving(void *arg) {
    (void)arg;
    weft_k k = {NULL, 0};
    drives_fiber f;
    doors_shut();
    int line = __LINE__ + 1;
    CHECK(weft_ok(weft_spawn(&f, drives, &k)));
    char *text = dumped_with("a promise");
    SAYS(text, "\n%llu 'drives' at %s:%d: waits for a promise (%p)", (unsigned long long)f.handle.id, __FILE__, line,
         (void *)&door);
    free(text);
    weft_promise_complete(&door, NULL);
    weft_await(f, drives, NULL);
    weft_drop(f);
}
TEST(who_drives_a_body_waits_for_what_the_body_waits_for) { on_each_size(driving); }

static void driven_for_ever(void *arg) {
    weft_k k = {NULL, 0};
    (void)arg;
    drives_fiber f;
    doors_shut();
    CHECK(weft_ok(weft_spawn_with(&f, drives, ((weft_spawn_options){.name = "driver"}), &k)));
    weft_await(f, drives, NULL);
    weft_drop(f);
}
static void names_what_the_body_waits_for(const char *text) {
    SAYS(text, "'driver' at ");
    SAYS(text, ": waits for a promise (%p)", (void *)&door);
    CHECK(!strstr(text, "ring: "));
}
TEST(a_deadlock_of_a_body_names_its_driver) { deadlocks(driven_for_ever, names_what_the_body_waits_for); }

/* ---- under load --------------------------------------------------------------------------------------- */

static long churn(long depth);
WEFT_TASK(churn, long, long);
static long churn(long depth) {
    if (depth == 0) {
        weft_yield();
        return 1;
    }
    churn_fiber f;
    long got = 0;
    WEFT_SCOPE(s, NULL) {
        weft_spawn_options scoped = {.name = "scoped"}, detached = {.name = "detached", .detached = true};
        CHECK(weft_ok(weft_spawn_with((churn_fiber *)NULL, churn, scoped, depth - 1)));
        CHECK(weft_ok(weft_spawn_with(&f, churn, detached, depth - 1)));
        if (depth % 3 == 0) weft_interrupt_async(f, "at random");
        weft_exit e = weft_await(f, churn, &got);
        CHECK(weft_ok(e) || e.tag == WEFT_EXIT_INTERRUPT); /* the child's, or our own if we had begun before it came */
    }
    weft_drop(f);
    return got;
}

static _Atomic bool stop_dumping;
static void *dumper(void *rt) {
    while (!atomic_load(&stop_dumping)) free(dumped(rt));
    return NULL;
}
static void dump_now(void *arg) {
    (void)arg;
    for (int i = 0; i < (WEFT__SAN_STACKS > 1 ? 20 : 200); i++) {
        free(dumped(NULL));
        churn_fiber f;
        CHECK(weft_ok(weft_spawn(&f, churn, 5)));
        weft_await(f, churn, NULL);
        weft_drop(f);
    }
}
TEST(a_dump_while_fibers_come_and_go_harms_nobody) {
    for (unsigned i = 0; i < 2; i++) {
        weft_runtime *rt;
        uint64_t before = weft__heap_live();
        atomic_store(&stop_dumping, false);
        CHECK_EQ(weft_open(&WEFT_OPTIONS(.workers = worker_counts[i]), &rt), WEFT_OK);
        pthread_t t[2];
        for (int k = 0; k < 2; k++) pthread_create(&t[k], NULL, dumper, rt);
        CHECK_EQ(weft_call(rt, dump_now, NULL), WEFT_OK);
        atomic_store(&stop_dumping, true);
        for (int k = 0; k < 2; k++) pthread_join(t[k], NULL);
        CHECK_EQ(weft_close(rt), WEFT_OK);
        CHECK_EQ(weft__heap_live(), before);
    }
}

TEST_MAIN
