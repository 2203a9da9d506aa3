/* Gallery: what fibers do to data that they share.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "gallery.h"

/* ---- lost update ---------------------------------------------------------------------------------------- */

static int counter;

static int bump(int times);
WEFT_TASK(bump, int, int);
static int bump(int times) {
    for (int i = 0; i < times; i++) {
        int seen = counter;
        weft_point(); /* no more than what another worker does by itself */
        counter = seen + 1;
    }
    return times;
}
static void two_bump(weft_test t) {
    bump_fiber a, b;
    counter = 0;
    weft_spawn(&a, bump, 3);
    weft_spawn(&b, bump, 3);
    weft_await(a, bump, NULL);
    weft_await(b, bump, NULL);
    weft_drop(a);
    weft_drop(b);
    weft_check(t, counter == 6);
}

static int count(int times);
WEFT_TASK(count, int, int);
static int count(int times) {
    int own = 0;
    for (int i = 0; i < times; i++, own++) weft_point();
    return own;
}
static void two_results_are_added(weft_test t) {
    count_fiber a, b;
    int of_a = 0, of_b = 0;
    weft_spawn(&a, count, 3);
    weft_spawn(&b, count, 3);
    weft_await(a, count, &of_a);
    weft_await(b, count, &of_b);
    weft_drop(a);
    weft_drop(b);
    weft_check(t, of_a + of_b == 6);
}
TEST(lost_update) {
    exhibit(&(specimen){.name = "lost update", .bad = two_bump, .good = two_results_are_added,
                        .expected = WEFT_TEST_CHECK, .because = "counter == 6"});
}

/* ---- atomicity across an await -------------------------------------------------------------------------- */

/* The rate is known already, so that the await does not wait, most of the time. */
static struct {
    int balance;
    weft_promise fee;
} account;

static int pay_late_look(int amount);
WEFT_TASK(pay_late_look, int, int);
static int pay_late_look(int amount) {
    void *fee;
    if (!weft_ok(weft_promise_await(&account.fee, &fee))) return 0;
    amount += (int)(intptr_t)fee;
    if (account.balance < amount) return 0;
    account.balance -= amount;
    return amount;
}
static int pay_early_look(int amount);
WEFT_TASK(pay_early_look, int, int);
static int pay_early_look(int amount) {
    void *fee;
    if (account.balance < amount) return 0;
    if (!weft_ok(weft_promise_await(&account.fee, &fee))) return 0;
    account.balance -= amount + (int)(intptr_t)fee;
    return amount;
}
static void open_account(void) {
    account.balance = 100;
    weft_promise_init(&account.fee);
    weft_promise_complete(&account.fee, (void *)1);
}
static void overdrawn(weft_test t) {
    open_account();
    WEFT_SCOPE(s, NULL) {
        weft_spawn((pay_early_look_fiber *)NULL, pay_early_look, 80);
        weft_spawn((pay_early_look_fiber *)NULL, pay_early_look, 80);
    }
    weft_check(t, account.balance >= 0);
}
static void not_overdrawn(weft_test t) {
    open_account();
    WEFT_SCOPE(s, NULL) {
        weft_spawn((pay_late_look_fiber *)NULL, pay_late_look, 80);
        weft_spawn((pay_late_look_fiber *)NULL, pay_late_look, 80);
    }
    weft_check(t, account.balance >= 0);
}
TEST(atomicity_across_an_await) {
    exhibit(&(specimen){.name = "atomicity across an await", .bad = overdrawn, .good = not_overdrawn,
                        .expected = WEFT_TEST_CHECK, .because = "account.balance >= 0"});
}

/* ---- made twice ----------------------------------------------------------------------------------------- */

static struct {
    int made, connection;
    bool connecting;
    weft_promise connected;
} pool;

static int connect_now(void) {
    weft_yield();
    return ++pool.made;
}
/* There is none, so it makes one: but it is there for others only once it is made. */
static int query_unguarded(int n);
WEFT_TASK(query_unguarded, int, int);
static int query_unguarded(int n) {
    if (!pool.connection) pool.connection = connect_now();
    return n;
}
static int query_guarded(int n);
WEFT_TASK(query_guarded, int, int);
static int query_guarded(int n) {
    if (!pool.connecting) {
        pool.connecting = true;
        pool.connection = connect_now();
        weft_promise_complete(&pool.connected, NULL);
    }
    return weft_ok(weft_promise_await(&pool.connected, NULL)) ? n : -1;
}
static void no_pool(void) {
    memset(&pool, 0, sizeof pool);
    weft_promise_init(&pool.connected);
}
static void connects_twice(weft_test t) {
    no_pool();
    WEFT_SCOPE(s, NULL) {
        weft_spawn((query_unguarded_fiber *)NULL, query_unguarded, 1);
        weft_yield();
        weft_spawn((query_unguarded_fiber *)NULL, query_unguarded, 2);
    }
    weft_check(t, pool.made == 1);
}
static void connects_once(weft_test t) {
    no_pool();
    WEFT_SCOPE(s, NULL) {
        weft_spawn((query_guarded_fiber *)NULL, query_guarded, 1);
        weft_yield();
        weft_spawn((query_guarded_fiber *)NULL, query_guarded, 2);
    }
    weft_check(t, pool.made == 1);
}
TEST(made_twice) {
    exhibit(&(specimen){.name = "check, then make: made twice", .bad = connects_twice, .good = connects_once,
                        .expected = WEFT_TEST_CHECK, .because = "pool.made == 1"});
}

/* ---- published before it is complete -------------------------------------------------------------------- */

typedef struct settings {
    int port;
} settings;
static settings theirs, *published;

static int load_backwards(int port);
WEFT_TASK(load_backwards, int, int);
static int load_backwards(int port) {
    published = &theirs;
    weft_point();
    theirs.port = port;
    return 0;
}
static int load(int port);
WEFT_TASK(load, int, int);
static int load(int port) {
    theirs.port = port;
    weft_point();
    published = &theirs;
    return 0;
}
static int port_or_default(int otherwise);
WEFT_TASK(port_or_default, int, int);
static int port_or_default(int otherwise) {
    weft_point();
    return published ? published->port : otherwise;
}
static int port_read(void) {
    port_or_default_fiber f;
    int port = -1;
    weft_spawn(&f, port_or_default, 80);
    weft_await(f, port_or_default, &port);
    weft_drop(f);
    return port;
}
static void half_of_it(weft_test t) {
    published = NULL;
    theirs.port = 0;
    WEFT_SCOPE(s, NULL) {
        weft_spawn((load_backwards_fiber *)NULL, load_backwards, 8080);
        int port = port_read();
        weft_check(t, port == 80 || port == 8080);
    }
}
static void all_of_it(weft_test t) {
    published = NULL;
    theirs.port = 0;
    WEFT_SCOPE(s, NULL) {
        weft_spawn((load_fiber *)NULL, load, 8080);
        int port = port_read();
        weft_check(t, port == 80 || port == 8080);
    }
}
TEST(published_too_early) {
    exhibit(&(specimen){.name = "published before it is complete", .bad = half_of_it, .good = all_of_it,
                        .expected = WEFT_TEST_CHECK, .because = "port == 80 || port == 8080"});
}

/* ---- two complete one promise --------------------------------------------------------------------------- */

static weft_promise answer;
static int believers;

static int deliver_if_open(int n);
WEFT_TASK(deliver_if_open, int, int);
static int deliver_if_open(int n) {
    if (weft_promise_is_done(&answer)) return 0;
    weft_promise_complete(&answer, (void *)(intptr_t)n);
    believers++;
    return n;
}
static int deliver(int n);
WEFT_TASK(deliver, int, int);
static int deliver(int n) {
    if (weft_promise_complete(&answer, (void *)(intptr_t)n) == WEFT_OK) believers++;
    return n;
}
static void two_believe(weft_test t) {
    weft_promise_init(&answer);
    believers = 0;
    WEFT_SCOPE(s, NULL) {
        weft_spawn((deliver_if_open_fiber *)NULL, deliver_if_open, 1);
        weft_spawn((deliver_if_open_fiber *)NULL, deliver_if_open, 2);
    }
    weft_check(t, believers == 1);
}
static void one_is_told(weft_test t) {
    weft_promise_init(&answer);
    believers = 0;
    WEFT_SCOPE(s, NULL) {
        weft_spawn((deliver_fiber *)NULL, deliver, 1);
        weft_spawn((deliver_fiber *)NULL, deliver, 2);
    }
    weft_check(t, believers == 1);
}
TEST(two_complete_one_promise) {
    exhibit(&(specimen){.name = "two complete one promise", .bad = two_believe, .good = one_is_told,
                        .expected = WEFT_TEST_CHECK, .because = "believers == 1"});
}

/* ---- long enough ---------------------------------------------------------------------------------------- */

static bool written;

static int write_file(int n);
WEFT_TASK(write_file, int, int);
static int write_file(int n) {
    weft_sleep(weft_ms(10)); /* what the disk takes */
    written = true;
    return n;
}
static int read_file(int ms);
WEFT_TASK(read_file, int, int);
static int read_file(int ms) {
    weft_sleep(weft_ms(ms)); /* by then it is there, surely */
    return written ? 1 : 0;
}
static void sleeps_long_enough(weft_test t) {
    write_file_fiber w;
    read_file_fiber r;
    int there = 0;
    written = false;
    weft_spawn(&w, write_file, 1);
    weft_spawn(&r, read_file, 10);
    weft_await(r, read_file, &there);
    weft_await(w, write_file, NULL);
    weft_drop(r);
    weft_drop(w);
    weft_check(t, there);
}
static void waits_for_the_end(weft_test t) {
    write_file_fiber w;
    read_file_fiber r;
    int there = 0;
    written = false;
    weft_spawn(&w, write_file, 1);
    weft_await(w, write_file, NULL);
    weft_spawn(&r, read_file, 0);
    weft_await(r, read_file, &there);
    weft_drop(r);
    weft_drop(w);
    weft_check(t, there);
}
TEST(a_sleep_that_is_surely_long_enough) {
    exhibit(&(specimen){.name = "a sleep that is surely enough", .bad = sleeps_long_enough, .good = waits_for_the_end,
                        .expected = WEFT_TEST_CHECK, .because = "check failed: there"});
}

TEST_MAIN
