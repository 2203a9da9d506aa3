/* Handlers under load: bodies come and go on several workers while their children perform: values of shared tail clauses,
 * ends of bodies by shared abort clauses, from forked children, branches, and fibers that outlive the frame.  Each perform is
 * answered by the handler it was meant for, or told that there is none any more; each body ends once, by its value or by one of
 * those who ended it; no copy of a frame's handlers is left.  A hang is the failure of the test's time limit.
 *   handler_stress [seed [rounds]]
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/san.h"
#include "support/runs.h"
#include <weft/handler.h>
#include <weft/par.h>
#include <weft/cancel.h>
#include <weft/scope.h>

enum { FAMILIES = 64 };

static unsigned seed = 1, rounds = WEFT__SAN_STACKS > 1 ? 30 : 200;

static unsigned next(unsigned *s) {
    *s ^= *s << 13;
    *s ^= *s >> 17;
    return *s ^= *s << 5;
}

/* What a frame gives its children lives as long as the run: fibers may outlive the frame. */
typedef struct home {
    long number;
    _Atomic long asked, answered; /* by children that see it; by its clause */
    _Atomic int ends;             /* performs of `leave` that were told that the body is over */
} home;
static home homes[FAMILIES * 64];
static _Atomic unsigned settled;

WEFT_EFFECT(whose, long);
WEFT_EFFECT(leave, char, long with;);

static weft_exit on_whose(const whose_op *op, long *reply, void *self) {
    home *h = self;
    (void)op;
    h->answered++;
    *reply = h->number;
    return weft_done;
}
static weft_exit on_leave(const leave_op *op, void *answer, void *self) {
    (void)self;
    *(long *)answer = op->with;
    return weft_done;
}

typedef struct member {
    home *of;
    unsigned seed, depth;
    bool stays; /* its parent's body does not return before it */
} member;
static long lives(member m);
WEFT_TASK(lives, long, member);

/* A body around which a shared handler is. */
static long settles(member m);
WEFT_TASK(settles, long, member);

static long asks(const member *m) {
    long number = -1;
    m->of->asked++;
    weft_exit e = weft_perform(whose, &number);
    CHECK(weft_ok(e)); /* also when the frame has gone: a tail clause needs none */
    CHECK_EQ(number, m->of->number);
    return 1;
}

static void leaves(const member *m) {
    weft_exit e = weft_perform(leave, NULL, m->of->number);
    if (e.tag == WEFT_EXIT_INTERRUPT) {
        CHECK_EQ(e.code, WEFT_E_ABORTED);
        m->of->ends++;
        return;
    }
    CHECK_EQ(e.code, WEFT_E_STALE);
    CHECK(!m->stays);
    weft_exit_drop(e);
}

static long moves_out(const member *m, unsigned s) {
    unsigned at = settled++;
    if (at >= sizeof homes / sizeof *homes) return 0;
    home *h = &homes[at];
    long number = 1000 + (long)at, end = 0;
    h->number = number;
    static const weft_clause clauses[] = {WEFT_TAIL(whose, on_whose), WEFT_ABORT(leave, on_leave)};
    weft_handler around[] = {{.clauses = clauses, .n = 2, .self = h, .shared = true},
                             {.name = "nothing", .shared = (s & 1) != 0}};
    weft_exit e = weft_handle_list(around, 1 + (s >> 1 & 1), settles, &end, h, s, m->depth - 1, true);
    if (weft_ok(e)) CHECK(end == number ? h->ends > 0 : end == -1);
    return 1;
}

static long lives(member m) {
    unsigned s = m.seed * 2654435761u | 1;
    long a = 0, b = 0, n = asks(&m);
    if (m.depth == 0) {
        if (next(&s) % 3 == 0) weft_yield();
        if (next(&s) % 4 == 0) leaves(&m);
        return n;
    }
    switch (next(&s) % 6) {
    case 0: {
        lives_task t[3];
        for (int i = 0; i < 3; i++) weft_fork(&t[i], lives, m.of, next(&s), m.depth - 1, m.stays);
        for (int i = 3; i-- > 0;) n += weft_join(&t[i], lives);
        break;
    }
    case 1:
        weft_zip_par(WEFT_BR(lives, &a, m.of, next(&s), m.depth - 1, m.stays),
                     WEFT_BR(lives, &b, m.of, next(&s), m.depth - 1, m.stays));
        break;
    case 2:
        weft_race(NULL, WEFT_BR(lives, &a, m.of, next(&s), m.depth - 1, m.stays),
                  WEFT_BR(lives, &a, m.of, next(&s), m.depth - 1, m.stays));
        break;
    case 3:
        WEFT_SCOPE(scope, NULL) {
            weft_spawn((lives_fiber *)NULL, lives, m.of, next(&s), m.depth - 1, m.stays);
            weft_start(scope, lives, m.of, next(&s), m.depth - 1, m.stays);
        }
        break;
    case 4:
        CHECK(weft_ok(weft_spawn_with((lives_fiber *)NULL, lives, {.detached = true}, m.of, next(&s), m.depth - 1, false)));
        break;
    default: n += moves_out(&m, next(&s));
    }
    asks(&m);
    return n + a + b;
}
static long settles(member m) {
    lives(m);
    return -1;
}

static int family(unsigned s);
WEFT_TASK(family, int, unsigned);
static int family(unsigned s) {
    moves_out(&(member){.depth = 7}, s);
    long none = 0;
    weft_exit e = weft_perform(whose, &none);
    CHECK_EQ(e.code, WEFT_E_UNHANDLED); /* all is put back */
    return 0;
}
static void families(void *arg) {
    family_fiber f[FAMILIES];
    (void)arg;
    settled = 0;
    memset(homes, 0, sizeof homes);
    for (int i = 0; i < FAMILIES; i++) CHECK(weft_ok(weft_spawn(&f[i], family, next(&seed))));
    for (int i = 0; i < FAMILIES; i++) {
        if (next(&seed) % 8 == 0) weft_interrupt_async(f[i], "by chance");
        weft_await(f[i], family, NULL);
        weft_drop(f[i]);
    }
}
static void balanced(void) {
    for (unsigned i = 0; i < sizeof homes / sizeof *homes; i++) CHECK_EQ(homes[i].asked, homes[i].answered);
}
TEST(each_perform_is_answered_by_its_own_handler_while_frames_come_and_go) {
    for (unsigned i = 0; i < rounds; i++) {
        run_ends(&WEFT_OPTIONS(.workers = 2 + i % 3), families, NULL, WEFT_OK); /* and no memory is left: copies are counted */
        balanced();
    }
}
TEST(the_same_under_searched_schedules) {
    for (unsigned i = 0; i < rounds / 3; i++) {
        run_ends(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC, .seed = i, .explore = WEFT_EXPLORE_RANDOM), families, NULL,
                 WEFT_OK);
        balanced();
    }
}

int main(int argc, char **argv) {
    if (argc > 1) seed = (unsigned)strtoul(argv[1], NULL, 0);
    if (argc > 2) rounds = (unsigned)atoi(argv[2]);
    return test_main(1, argv);
}
