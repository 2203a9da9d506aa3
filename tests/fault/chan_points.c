/* tests/fault/chan_points.c -- channels, select and hubs with faults: what was given away is received or dropped, what was not
 * is the sender's.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "driver.h"
#include <weft/hub.h>
#include <weft/select.h>

WEFT_CHAN(thing, void *);

static void lost(void *value) { give(*(void **)value); }

/* Sends, and keeps what was not sent. */
static void put(thing_chan c, bool patient) {
    void *mine = take();
    weft_exit e = patient ? weft_send_for(c, weft_ms(3), mine) : weft_send(c, mine);
    if (weft_ok(e)) return;
    give(mine);
    if (e.code != WEFT_E_CLOSED && e.code != WEFT_E_TIMEOUT) FINE(e);
}

static bool got(weft_exit e, void *value) {
    if (weft_ok(e)) give(value);
    else if (e.code != WEFT_E_CLOSED && e.code != WEFT_E_TIMEOUT) FINE(e);
    return weft_ok(e);
}

static int sender(thing_chan c);
WEFT_TASK(sender, int, thing_chan);
static int sender(thing_chan c) {
    for (int i = 0; i < 3; i++) put(c, i == 1);
    void *mine = take();
    if (weft_try_send(c, mine) != WEFT_OK) give(mine);
    return 0;
}

static int receiver(thing_chan c);
WEFT_TASK(receiver, int, thing_chan);
static int receiver(thing_chan c) {
    void *value;
    got(weft_receive(c, &value), value);
    got(weft_receive_for(c, &value, weft_ms(2)), value);
    got(weft_receive_until(c, &value, weft_now() + weft_ms(2)), value);
    if (weft_try_receive(c, &value) == WEFT_OK) give(value);
    return 0;
}

static void over(weft_chan_options o) {
    thing_chan c;
    sender_fiber f[2];
    receiver_fiber r;
    bool is[3] = {false, false, false};
    if (!FINE_ERR(weft_chan_new(&c.chan, sizeof(void *), &o))) return;
    is[0] = FINE(weft_spawn(&f[0], sender, c.chan));
    is[1] = FINE(weft_spawn(&f[1], sender, c.chan));
    is[2] = FINE(weft_spawn(&r, receiver, c.chan));
    FINE(weft_sleep(weft_ms(1)));
    void *mine = take();
    weft_exit e = weft_send_until(c, weft_now() + weft_ms(1), mine);
    if (!weft_ok(e)) give(mine);
    FINE(weft_sleep(weft_ms(4)));
    CHECK(weft_chan_count(c) <= 64);
    CHECK_EQ(weft_chan_close(c), WEFT_OK);
    for (int i = 0; i < 2; i++) {
        if (!is[i]) continue;
        UNTIL_ENDED(f[i], sender, NULL);
        weft_drop(f[i]);
    }
    if (is[2]) {
        UNTIL_ENDED(r, receiver, NULL);
        weft_drop(r);
    }
    weft_chan_destroy(c);
}
static void rendezvous(void) { over((weft_chan_options){.drop = lost}); }
static void bounded(void) { over((weft_chan_options){.capacity = 2, .drop = lost}); }
static void unbounded(void) { over((weft_chan_options){.capacity = WEFT_UNBOUNDED, .drop = lost}); }
static void sliding(void) { over((weft_chan_options){.capacity = 1, .policy = WEFT_SLIDING, .drop = lost}); }

static int chooser(thing_chan *c);
WEFT_TASK(chooser, int, thing_chan *);
static int chooser(thing_chan *c) {
    for (int i = 0; i < 4; i++) {
        void *in, *out = take();
        int which;
        weft_exit e = weft_select(&which, WEFT_RECEIVE(c[0], &in), WEFT_SEND(c[1], &out), WEFT_AFTER(weft_ms(2)));
        if (weft_ok(e) && which == 0) give(in);
        if (!weft_ok(e) || which != 1) give(out);
        if (!weft_ok(e) && e.code != WEFT_E_CLOSED && !FINE(e)) break;
    }
    return 0;
}
static void selects(void) {
    thing_chan c[2];
    chooser_fiber f[2];
    bool is[2];
    for (int i = 0; i < 2; i++)
        if (!FINE_ERR(weft_chan_open(&c[i], .drop = lost))) c[i].chan = NULL;
    thing_chan swapped[2] = {c[1], c[0]};
    for (int i = 0; i < 2; i++) is[i] = FINE(weft_spawn(&f[i], chooser, i ? swapped : c));
    for (int i = 0; i < 2; i++) {
        if (!is[i]) continue;
        UNTIL_ENDED(f[i], chooser, NULL);
        weft_drop(f[i]);
    }
    for (int i = 0; i < 2; i++) weft_chan_destroy(c[i]);
}

static void copied(void *value) { *(void **)value = take(); }

static int publisher(weft_hub *h);
WEFT_TASK(publisher, int, weft_hub *);
static int publisher(weft_hub *h) {
    void *anything = NULL;
    for (int i = 0; i < 3; i++) {
        weft_exit e = weft_publish(h, &anything);
        if (!weft_ok(e) && e.code != WEFT_E_CLOSED) FINE(e);
    }
    return 0;
}
static void hubs(void) {
    weft_hub *h;
    weft_hub_options o = {copied, lost};
    thing_chan c[2];
    bool is[2];
    if (!FINE_ERR(weft_hub_open(&h, sizeof(void *), &o))) return;
    for (int i = 0; i < 2; i++) is[i] = FINE_ERR(weft_subscribe(h, &c[i], .capacity = 1, .policy = i ? WEFT_SLIDING : WEFT_BLOCK));
    CHECK_EQ(weft_hub_subscribers(h), is[0] + is[1]);
    publisher_fiber f;
    bool spawned = FINE(weft_spawn(&f, publisher, h));
    FINE(weft_sleep(weft_ms(1)));
    void *value;
    if (is[0]) got(weft_receive_for(c[0], &value, weft_ms(1)), value);
    CHECK_EQ(weft_hub_close(h), WEFT_OK);
    if (spawned) {
        UNTIL_ENDED(f, publisher, NULL);
        weft_drop(f);
    }
    for (int i = 0; i < 2; i++)
        if (is[i]) CHECK_EQ(weft_unsubscribe(h, c[i]), WEFT_OK);
    weft_hub_destroy(h);
}

const scenario chan_scenarios[] = {
    {"rendezvous", rendezvous, NULL}, {"bounded", bounded, NULL}, {"unbounded", unbounded, NULL},
    {"sliding", sliding, NULL},       {"selects", selects, NULL}, {"hubs", hubs, NULL},
    {NULL, NULL, NULL},
};
