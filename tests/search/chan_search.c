/* Conservation: whatever the schedule and whoever is interrupted when, each value that was accepted is received once or
 * dropped once, each that was not is neither, and each sender's values arrive in its order.  Ten thousand seeds of each strategy.
 *   WEFT_SEEDS=n in the environment for more or fewer.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/san.h"
#include "test.h"
#include <weft/hub.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/test.h>

WEFT_CHAN(numbers, long);

enum { SENDERS = 3, RECEIVERS = 2, EACH = 4, CHANNELS = 2, WAYS = 4 };

static unsigned runs(void) {
    const char *n = getenv("WEFT_SEEDS");
    return n ? (unsigned)atoi(n) : WEFT__SAN_STACKS > 1 ? 300 : 10000;
}

typedef struct world {
    weft_test t;
    numbers_chan c[CHANNELS];
    int accepted[SENDERS][EACH], received[SENDERS][EACH], dropped[SENDERS][EACH];
    int last[RECEIVERS][CHANNELS][SENDERS]; /* number of the last one, + 1 */
} world;
static world *the; /* for the hook */

static long value_of(int sender, int i) { return sender * 100 + i; }
static void drop_value(void *v) { the->dropped[*(long *)v / 100][*(long *)v % 100]++; }

typedef struct role {
    world *w;
    int id, way;
} role;

/* By one of several ways; true: accepted. */
static weft_exit send_somehow(world *w, int way, long v) {
    int which;
    switch (way) {
    case 0: return weft_send(w->c[0], v);
    case 1: return weft_send_for(w->c[1], weft_us(v % 7), v);
    case 2: return weft_select(&which, WEFT_SEND(w->c[0], &v), WEFT_SEND(w->c[1], &v));
    default:
        if (weft_try_send(w->c[1], v) == WEFT_OK) return (weft_exit){WEFT_EXIT_OK, 0, NULL};
        return weft_send(w->c[1], v);
    }
}

static long sender(role r);
WEFT_TASK(sender, long, role);
static long sender(role r) {
    for (int i = 0; i < EACH; i++) {
        weft_exit e = send_somehow(r.w, r.way, value_of(r.id, i));
        if (weft_ok(e)) r.w->accepted[r.id][i]++;
        if (!weft_ok(e) && e.code != WEFT_E_TIMEOUT) break; /* interrupted or closed */
    }
    return 0;
}

static void account(role r, int channel, long v) {
    int from = (int)(v / 100), i = (int)(v % 100);
    r.w->received[from][i]++;
    weft_check(r.w->t, r.w->last[r.id][channel][from] <= i);
    r.w->last[r.id][channel][from] = i + 1;
}

static long receiver(role r);
WEFT_TASK(receiver, long, role);
static long receiver(role r) {
    world *w = r.w;
    for (bool open[CHANNELS] = {true, true}; open[0] || open[1];) {
        long v = -1;
        int which = open[0] ? 0 : 1;
        weft_exit e;
        if (open[0] && open[1] && r.way % 2)
            e = weft_select(&which, WEFT_RECEIVE(w->c[0], &v), WEFT_RECEIVE(w->c[1], &v));
        else if (open[0] && open[1] && r.way == 2)
            e = weft_select(&which, WEFT_RECEIVE(w->c[0], &v), WEFT_RECEIVE(w->c[1], &v), WEFT_AFTER(weft_us(3)));
        else
            e = weft_receive(w->c[which], &v);
        if (weft_ok(e) && v >= 0) account(r, which, v);
        if (weft_ok(e)) continue;
        if (e.code != WEFT_E_CLOSED) break;
        open[which] = false;
    }
    return 0;
}

/* One who stays: so that no sender waits for ever when the others were interrupted. */
static long drainer(role r);
WEFT_TASK(drainer, long, role);
static long drainer(role r) {
    long v;
    while (weft_ok(weft_receive(r.w->c[r.id], &v))) r.w->received[v / 100][v % 100]++;
    return 0;
}

static void conserved(weft_test t) {
    static const int64_t capacities[] = {0, 1, 2, WEFT_UNBOUNDED};
    world w = {.t = t};
    the = &w;
    for (int i = 0; i < CHANNELS; i++)
        weft_check(t, weft_chan_open(&w.c[i], .capacity = capacities[weft_test_random(t) % 4], .drop = drop_value) == WEFT_OK);
    sender_fiber s[SENDERS];
    receiver_fiber r[RECEIVERS];
    drainer_fiber d[CHANNELS];
    for (int i = 0; i < RECEIVERS; i++) weft_spawn(&r[i], receiver, &w, i, (int)(weft_test_random(t) % WAYS));
    for (int i = 0; i < SENDERS; i++) weft_spawn(&s[i], sender, &w, i, (int)(weft_test_random(t) % WAYS));
    uint64_t who = weft_test_random(t);
    for (int k = 0; k < 3; k++, who >>= 8) {
        for (uint64_t n = who % 4; n > 0; n--) weft_yield();
        if (who & 4)
            weft_interrupt_async(s[(who >> 3) % SENDERS], "random");
        else if (who & 64)
            weft_interrupt_async(r[(who >> 3) % RECEIVERS], "random");
    }
    bool closes = who & 1; /* early: senders fail, and keep what they have */
    for (int i = 0; i < CHANNELS; i++) weft_spawn(&d[i], drainer, &w, i, 0);
    if (closes) weft_chan_close(w.c[0]);
    for (int i = 0; i < SENDERS; i++) {
        weft_await(s[i], sender, NULL);
        weft_drop(s[i]);
    }
    if (who & 2) weft_interrupt(d[0], "leave something");
    for (int i = 0; i < CHANNELS; i++) weft_chan_close(w.c[i]);
    if (who & 2) weft_interrupt(r[0], "and more"), weft_interrupt(r[1], "and more");
    for (int i = 0; i < RECEIVERS; i++) {
        weft_await(r[i], receiver, NULL);
        weft_drop(r[i]);
    }
    for (int i = 0; i < CHANNELS; i++) {
        weft_await(d[i], drainer, NULL);
        weft_drop(d[i]);
        weft_chan_destroy(w.c[i]);
    }
    for (int i = 0; i < SENDERS; i++)
        for (int k = 0; k < EACH; k++) {
            weft_check(t, w.accepted[i][k] <= 1);
            weft_check(t, w.received[i][k] + w.dropped[i][k] == w.accepted[i][k]);
        }
}
TEST(no_value_is_lost_or_doubled_random) {
    WEFT_TEST(t, .name = "conserved", .runs = runs(), .explore = WEFT_EXPLORE_RANDOM) { conserved(t); }
}
TEST(no_value_is_lost_or_doubled_pct) {
    WEFT_TEST(t, .name = "conserved", .runs = runs(), .explore = WEFT_EXPLORE_PCT) { conserved(t); }
}

/* ---- selects that meet --------------------------------------------------------------------------------- */

typedef struct party {
    numbers_chan a, b;
    int sent, got, left;
    long out, in;
} party;
typedef party *party_ref;
/* Sends or receives on either, until it is interrupted or there is nobody left to meet. */
static long party_goer(party *p);
WEFT_TASK(party_goer, long, party_ref);
static long party_goer(party *p) {
    for (; p->left > 0; p->left--) {
        int which;
        long v = p->left, in = 0;
        weft_exit e = weft_select(&which, WEFT_SEND(p->a, &v), WEFT_RECEIVE(p->a, &in), WEFT_RECEIVE(p->b, &in), WEFT_SEND(p->b, &v));
        if (!weft_ok(e)) break;
        if (which == 0 || which == 3)
            p->sent++, p->out += v;
        else
            p->got++, p->in += in;
    }
    return 0;
}
static void parties(weft_test t) {
    enum { N = 4 };
    numbers_chan a, b;
    weft_chan_open(&a);
    weft_chan_open(&b);
    party p[N];
    party_goer_fiber f[N];
    for (int i = 0; i < N; i++) {
        p[i] = (party){.a = i % 2 ? a : b, .b = i % 2 ? b : a, .left = 3};
        weft_spawn(&f[i], party_goer, &p[i]);
    }
    uint64_t who = weft_test_random(t);
    if (who & 1) weft_interrupt_async(f[who >> 1 & 3], "random");
    weft_wait_all_blocked(); /* the last one has nobody to meet */
    weft_chan_close(a);
    weft_chan_close(b);
    int sent = 0, got = 0;
    long out = 0, in = 0;
    for (int i = 0; i < N; i++) {
        weft_await(f[i], party_goer, NULL);
        weft_drop(f[i]);
        sent += p[i].sent, got += p[i].got, out += p[i].out, in += p[i].in;
    }
    weft_check(t, sent == got);
    weft_check(t, out == in);
    weft_check(t, sent >= 2);
    weft_chan_destroy(a);
    weft_chan_destroy(b);
}
TEST(two_sides_agree_on_what_happened_random) {
    WEFT_TEST(t, .name = "parties", .runs = runs(), .explore = WEFT_EXPLORE_RANDOM) { parties(t); }
}
TEST(two_sides_agree_on_what_happened_pct) {
    WEFT_TEST(t, .name = "parties", .runs = runs(), .explore = WEFT_EXPLORE_PCT) { parties(t); }
}

/* ---- the hub ------------------------------------------------------------------------------------------- */

static int made, gone, taken;
static void made_copy(void *v) { (void)v, made++; }
static void lost_copy(void *v) { (void)v, gone++; }
typedef struct member {
    weft_hub *h;
    weft_test t;
    int stays; /* receives so many, then leaves */
} member;
static long listener(member m);
WEFT_TASK(listener, long, member);
static long listener(member m) {
    numbers_chan c;
    long v, last = 0;
    if (weft_subscribe(m.h, &c, .capacity = m.stays % 3, .policy = m.stays % 3 == 2 ? WEFT_SLIDING : WEFT_BLOCK) != WEFT_OK) return 0;
    for (int i = 0; i < m.stays && weft_ok(weft_receive(c, &v)); i++, last = v) {
        weft_check(m.t, v > last);
        taken++;
    }
    weft_check(m.t, weft_unsubscribe(m.h, c) == WEFT_OK);
    return 0;
}
static long publisher(member m);
WEFT_TASK(publisher, long, member);
static long publisher(member m) {
    for (long v = 1; v <= 4; v++)
        if (!weft_ok(weft_publish(m.h, &v))) break;
    return 0;
}
static void hub(weft_test t) {
    enum { N = 3 };
    weft_hub *h;
    made = gone = taken = 0;
    weft_check(t, weft_hub_open(&h, sizeof(long), &(weft_hub_options){.copied = made_copy, .drop = lost_copy}) == WEFT_OK);
    listener_fiber l[N];
    publisher_fiber p;
    for (int i = 0; i < N; i++) weft_spawn(&l[i], listener, h, t, (int)(weft_test_random(t) % 6));
    weft_spawn(&p, publisher, h, t, 0);
    uint64_t who = weft_test_random(t);
    for (uint64_t n = who % 4; n > 0; n--) weft_yield();
    if (who & 4) weft_interrupt_async(l[(who >> 3) % N], "random");
    if (who & 64) weft_interrupt_async(p, "random");
    if (who & 128) weft_hub_close(h);
    weft_await(p, publisher, NULL);
    weft_drop(p);
    weft_hub_close(h);
    for (int i = 0; i < N; i++) {
        weft_await(l[i], listener, NULL);
        weft_drop(l[i]);
    }
    weft_check(t, weft_hub_subscribers(h) == 0);
    weft_check(t, made == gone + taken);
    weft_hub_destroy(h);
}
TEST(a_hub_loses_no_copy_random) {
    WEFT_TEST(t, .name = "hub", .runs = runs(), .explore = WEFT_EXPLORE_RANDOM) { hub(t); }
}
TEST(a_hub_loses_no_copy_pct) {
    WEFT_TEST(t, .name = "hub", .runs = runs(), .explore = WEFT_EXPLORE_PCT) { hub(t); }
}

TEST_MAIN
