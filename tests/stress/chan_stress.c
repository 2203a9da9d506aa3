/* Channels, selects and hubs under load: fibers on several workers, plain threads, random interrupts.
 *
 * A round: senders (fibers and threads) send numbered values by every way there is; receivers (the same) take them; some fibers
 * are interrupted at random moments.  Conservation: each value that was accepted is received or dropped, once; each sender's
 * values arrive in order at each receiver.  A hang is the failure of the test's time limit.
 *   chan_stress [seed [rounds]]
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#define _GNU_SOURCE /* pthread_tryjoin_np */
#include "alloc/san.h"
#include "support/runs.h"
#include <pthread.h>
#include <stdatomic.h>
#include <weft/hub.h>
#include <weft/scope.h>
#include <weft/select.h>

WEFT_CHAN(numbers, long);

enum { SENDERS = 12, THREADS = 2, RECEIVERS = 8, CHANNELS = 3, EACH = WEFT__SAN_STACKS > 1 ? 150 : 600 };

static uint64_t seed = 1;
static int rounds = WEFT__SAN_STACKS > 1 ? 12 : 60;

static uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}
static uint64_t draw(uint64_t *state, uint64_t below) { return mix(*state += UINT64_C(0x9e3779b97f4a7c15)) % below; }

static numbers_chan chans[CHANNELS];
static _Atomic uint8_t accepted[SENDERS][EACH], received[SENDERS][EACH];
static void drop_value(void *v) { atomic_fetch_add(&received[*(long *)v / EACH][*(long *)v % EACH], 1); }

typedef struct role {
    int id;
    uint64_t random;
} role;

static void sends(role r, bool fiber) {
    for (int i = 0; i < EACH; i++) {
        long v = (long)r.id * EACH + i;
        int which;
        weft_exit e;
        numbers_chan c = chans[draw(&r.random, CHANNELS)], d = chans[draw(&r.random, CHANNELS)];
        switch (draw(&r.random, 5)) {
        case 0: e = weft_send_for(c, weft_us((int64_t)draw(&r.random, 30)), v); break;
        case 1: e = weft_select(&which, WEFT_SEND(c, &v), WEFT_SEND(d, &v)); break;
        case 2:
            e = weft_select(&which, WEFT_SEND(c, &v), WEFT_SEND(d, &v), WEFT_AFTER(weft_us(20)));
            if (weft_ok(e) && which == 2) e.code = WEFT_E_TIMEOUT;
            break;
        case 3:
            if (weft_try_send(c, v) == WEFT_OK) {
                e = (weft_exit){WEFT_EXIT_OK, 0, NULL};
                break;
            } /* fall through */
        default: e = weft_send(c, v); break;
        }
        if (weft_ok(e) && e.code != WEFT_E_TIMEOUT) atomic_fetch_add(&accepted[r.id][i], 1);
        if (!weft_ok(e) && e.code != WEFT_E_TIMEOUT) break;
        if (fiber && draw(&r.random, 16) == 0) weft_yield();
    }
}

static void takes(role r, bool leaves) {
    int last[CHANNELS][SENDERS];
    memset(last, 0, sizeof last);
    bool open[CHANNELS] = {true, true, true};
    while (open[0] || open[1] || open[2]) {
        numbers_chan off = {NULL};
        long v = -1;
        int which = (int)draw(&r.random, CHANNELS);
        weft_exit e;
        if (draw(&r.random, 3) == 0 && open[which])
            e = weft_receive_for(chans[which], &v, weft_us(50));
        else
            e = weft_select(&which, WEFT_RECEIVE(open[0] ? chans[0] : off, &v), WEFT_RECEIVE(open[1] ? chans[1] : off, &v),
                            WEFT_RECEIVE(open[2] ? chans[2] : off, &v));
        if (weft_ok(e)) {
            int from = (int)(v / EACH), i = (int)(v % EACH);
            atomic_fetch_add(&received[from][i], 1);
            CHECK(last[which][from] <= i);
            last[which][from] = i + 1;
        } else if (e.code == WEFT_E_CLOSED) {
            open[which] = false;
        } else if (e.code != WEFT_E_TIMEOUT) {
            CHECK(leaves);
            return;
        }
    }
}

static long sending(role r);
WEFT_TASK(sending, long, role);
static long sending(role r) { return sends(r, true), 0; }
static long taking(role r);
WEFT_TASK(taking, long, role);
static long taking(role r) { return takes(r, true), 0; }
static void *sending_thread(void *arg) { return sends(*(role *)arg, false), NULL; }
static void *taking_thread(void *arg) { return takes(*(role *)arg, false), NULL; }

static void round_of(void *arg) {
    uint64_t random = *(uint64_t *)arg;
    static const int64_t capacities[] = {0, 1, 3, 64, WEFT_UNBOUNDED};
    memset((void *)accepted, 0, sizeof accepted);
    memset((void *)received, 0, sizeof received);
    for (int i = 0; i < CHANNELS; i++)
        CHECK_EQ(weft_chan_open(&chans[i], .capacity = capacities[draw(&random, 5)], .drop = drop_value,
                                .outside = thread_fiber()->w->rt->handle), WEFT_OK);
    pthread_t ts[THREADS], tr[THREADS];
    role rs[THREADS], rr[THREADS];
    sending_fiber s[SENDERS];
    taking_fiber r[RECEIVERS];
    for (int i = 0; i < RECEIVERS; i++) CHECK(weft_ok(weft_spawn(&r[i], taking, i, draw(&random, UINT64_MAX))));
    for (int i = 0; i < THREADS; i++) {
        rr[i] = (role){i, draw(&random, UINT64_MAX)};
        pthread_create(&tr[i], NULL, taking_thread, &rr[i]);
        rs[i] = (role){i, draw(&random, UINT64_MAX)};
        pthread_create(&ts[i], NULL, sending_thread, &rs[i]);
    }
    for (int i = THREADS; i < SENDERS; i++) CHECK(weft_ok(weft_spawn(&s[i], sending, i, draw(&random, UINT64_MAX))));
    for (int i = 0; i < 6; i++) {
        weft_sleep(weft_us((int64_t)draw(&random, 100)));
        if (draw(&random, 2))
            weft_interrupt_async(s[THREADS + draw(&random, SENDERS - THREADS)], "random");
        else
            weft_interrupt_async(r[draw(&random, RECEIVERS)], "random");
    }
    for (int i = THREADS; i < SENDERS; i++) {
        weft_await(s[i], sending, NULL);
        weft_drop(s[i]);
    }
    for (int i = 0; i < THREADS; i++) /* they need the receivers, which need this worker */
        while (pthread_tryjoin_np(ts[i], NULL)) weft_sleep(weft_us(100));
    for (int i = 0; i < CHANNELS; i++) weft_chan_close(chans[i]);
    for (int i = 0; i < RECEIVERS; i++) {
        weft_await(r[i], taking, NULL);
        weft_drop(r[i]);
    }
    for (int i = 0; i < THREADS; i++)
        while (pthread_tryjoin_np(tr[i], NULL)) weft_sleep(weft_us(100));
    for (int i = 0; i < CHANNELS; i++) weft_chan_destroy(chans[i]);
    for (int i = 0; i < SENDERS; i++)
        for (int k = 0; k < EACH; k++) CHECK_EQ(accepted[i][k], received[i][k]);
}

TEST(nothing_is_lost_among_fibers_and_threads) {
    for (int i = 0; i < rounds; i++) {
        uint64_t start = mix(seed * 1000003 + (uint64_t)i);
        test_note("round %d, seed %llu", i, (unsigned long long)seed);
        run_ends(&WEFT_OPTIONS(.workers = (unsigned)(1 + i % 3)), round_of, &start, WEFT_OK);
    }
    test_note(NULL);
}

/* ---- short lives: the receiver destroys the channel at once --------------------------------------------- */

typedef struct reply {
    numbers_chan to;
    long v;
} reply;
static long answer(reply r);
WEFT_TASK(answer, long, reply);
static long answer(reply r) { return weft_ok(weft_send(r.to, r.v)); }
static void short_lives(void *arg) {
    (void)arg;
    for (long i = 0; i < (WEFT__SAN_STACKS > 1 ? 2000 : 20000); i++) {
        numbers_chan c;
        long v = 0;
        CHECK_EQ(weft_chan_open(&c, .capacity = i & 1), WEFT_OK);
        CHECK(weft_ok(weft_spawn((answer_fiber *)NULL, answer, c, i)));
        if (i % 3)
            CHECK(weft_ok(weft_receive(c, &v)));
        else
            while (weft_try_receive(c, &v) != WEFT_OK) weft_yield();
        CHECK_EQ(v, i);
        weft_chan_destroy(c);
    }
}
TEST(a_channel_may_go_with_its_last_value) {
    run_ends(&WEFT_OPTIONS(.workers = 1), short_lives, NULL, WEFT_OK);
    run_ends(&WEFT_OPTIONS(.workers = 2), short_lives, NULL, WEFT_OK);
}

/* ---- a hub ---------------------------------------------------------------------------------------------- */

static _Atomic long copies, gone, taken;
static void copied(void *v) { (void)v, atomic_fetch_add(&copies, 1); }
static void lost(void *v) { (void)v, atomic_fetch_add(&gone, 1); }
typedef struct member {
    weft_hub *h;
    uint64_t random;
} member;
static long listening(member m);
WEFT_TASK(listening, long, member);
static long listening(member m) {
    for (int i = 0; i < 30; i++) {
        numbers_chan c;
        long v;
        if (weft_subscribe(m.h, &c, .capacity = (int64_t)draw(&m.random, 4), .policy = draw(&m.random, 2) ? WEFT_DROPPING : WEFT_BLOCK) != WEFT_OK)
            return 0;
        for (uint64_t n = draw(&m.random, 20); n > 0 && weft_ok(weft_receive(c, &v)); n--) atomic_fetch_add(&taken, 1);
        CHECK_EQ(weft_unsubscribe(m.h, c), WEFT_OK);
    }
    return 0;
}
static long publishing(member m);
WEFT_TASK(publishing, long, member);
static long publishing(member m) {
    for (long v = 0; weft_ok(weft_publish(m.h, &v)); v++) weft_yield();
    return 0;
}
static void hub_round(void *arg) {
    (void)arg;
    enum { N = 6, P = 2 };
    member m = {.random = seed};
    copies = gone = taken = 0;
    CHECK_EQ(weft_hub_open(&m.h, sizeof(long), &(weft_hub_options){.copied = copied, .drop = lost}), WEFT_OK);
    listening_fiber l[N];
    publishing_fiber p[P];
    for (int i = 0; i < N; i++) CHECK(weft_ok(weft_spawn(&l[i], listening, m.h, draw(&m.random, UINT64_MAX))));
    for (int i = 0; i < P; i++) CHECK(weft_ok(weft_spawn(&p[i], publishing, m.h, 0)));
    for (int i = 0; i < N; i++) {
        weft_await(l[i], listening, NULL);
        weft_drop(l[i]);
    }
    CHECK_EQ(weft_hub_close(m.h), WEFT_OK);
    for (int i = 0; i < P; i++) {
        weft_await(p[i], publishing, NULL);
        weft_drop(p[i]);
    }
    CHECK_EQ(weft_hub_subscribers(m.h), 0);
    CHECK_EQ(copies, gone + taken);
    weft_hub_destroy(m.h);
}
TEST(subscribers_come_and_go) {
    for (int i = 0; i < rounds; i++) run_ends(&WEFT_OPTIONS(.workers = (unsigned)(1 + i % 2)), hub_round, NULL, WEFT_OK);
}

int main(int argc, char **argv) {
    if (argc > 1) seed = strtoull(argv[1], NULL, 0);
    if (argc > 2) rounds = atoi(argv[2]);
    return test_main(1, argv);
}
