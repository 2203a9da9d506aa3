/* sched/hub.c -- the broadcast hub (weft/hub.h): a list of channels.
 *
 * The list is walked by publishers, who may wait in the middle, and changed by others meanwhile.  So:
 *   H1  list, closed, published, and each subscriber's pins, left: under the lock
 *   H2  a publisher that is at a subscriber pins it; a subscriber that is pinned stays in the list, with its channel
 *   H3  who leaves is marked, its channel closed, so that a publisher that waits for it goes on; it is freed with the last pin
 *   H4  new ones go to the end, with the number of publications begun so far: an older publication passes them by
 * No user's function is called, and nothing is sent, under the lock.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <weft/hub.h>
#include <weft/cancel.h>
#include "alloc/heap.h"
#include "alloc/spin.h"
#include "sched/fail.h"
#include "sched/misuse.h"
#include <string.h>

typedef struct subscriber {
    struct subscriber *next, *prev;
    weft_chan *chan;
    uint64_t since; /* publications begun before */
    unsigned pins;
    bool left;
} subscriber;

struct weft_hub {
    spin lock;
    bool closed;
    size_t element, count; /* count: those that have not left */
    uint64_t published;
    subscriber *first, *last;
    weft_hub_options o;
};

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

#define CLOSED FAILED(WEFT_E_CLOSED, "weft_publish: the hub is closed")
#define NO_HUB FAILED(WEFT_E_INVALID, "weft_publish: no hub: weft_hub_open said why")
#define NO_MEMORY FAILED(WEFT_E_NOMEM, "weft_publish: no memory for a copy")

weft_err weft_hub_open(weft_hub **out, size_t element, const weft_hub_options *o) {
    *out = NULL;
    if (element == 0 || element > WEFT_ELEMENT_MAX) return WEFT_E_INVALID;
    weft_hub *h = weft__heap_alloc(sizeof *h, 0);
    if (!h) return WEFT_E_NOMEM;
    h->element = element;
    if (o) h->o = *o;
    *out = h;
    return WEFT_OK;
}

/* ---- subscribing -------------------------------------------------------------------------------------- */

static void append(weft_hub *h, subscriber *s) {
    s->prev = h->last;
    if (h->last)
        h->last->next = s;
    else
        h->first = s;
    h->last = s;
    h->count++;
}

static void take_out(weft_hub *h, subscriber *s) {
    if (s->prev)
        s->prev->next = s->next;
    else
        h->first = s->next;
    if (s->next)
        s->next->prev = s->prev;
    else
        h->last = s->prev;
}

static void subscriber_free(subscriber *s) {
    weft_chan_free(s->chan);
    weft__heap_free(s, sizeof *s);
}

static void unpin(weft_hub *h, subscriber *s) {
    spin_lock(&h->lock);
    bool gone = --s->pins == 0 && s->left;
    if (gone) take_out(h, s);
    spin_unlock(&h->lock);
    if (gone) subscriber_free(s);
}

weft_err weft_hub_subscribe(weft_hub *h, weft_chan **c, size_t element, const weft_chan_options *options) {
    *c = NULL;
    if (!h || element != h->element) return WEFT_E_INVALID;
    weft_point();
    weft_chan_options o = *options;
    o.drop = h->o.drop;
    subscriber *s = weft__heap_alloc(sizeof *s, 0);
    if (!s) return WEFT_E_NOMEM;
    weft_err err = weft_chan_new(&s->chan, element, &o);
    if (err == WEFT_OK) {
        spin_lock(&h->lock);
        s->since = h->published;
        if (h->closed)
            err = WEFT_E_CLOSED;
        else
            append(h, s);
        spin_unlock(&h->lock);
    }
    if (err == WEFT_OK)
        *c = s->chan;
    else
        subscriber_free(s);
    return err;
}

weft_err weft_hub_unsubscribe(weft_hub *h, weft_chan *c) {
    if (!h || !c) return WEFT_E_INVALID;
    weft_point();
    spin_lock(&h->lock);
    subscriber *s = h->first;
    while (s && (s->chan != c || s->left)) s = s->next;
    if (s) {
        s->left = true;
        s->pins++;
        h->count--;
    }
    spin_unlock(&h->lock);
    if (!s) return WEFT_E_INVALID;
    weft_chan_shut(c);
    unpin(h, s);
    return WEFT_OK;
}

/* ---- publishing --------------------------------------------------------------------------------------- */

/* The next one after s (from the first one if s is NULL) that this publication is for, pinned; s no longer is. */
static subscriber *next_of(weft_hub *h, subscriber *s, uint64_t number, bool *closed) {
    spin_lock(&h->lock);
    subscriber *next = s ? s->next : h->first;
    bool gone = s && --s->pins == 0 && s->left;
    if (gone) take_out(h, s);
    while (next && (next->left || next->since > number)) next = next->next;
    *closed = h->closed;
    if (*closed) next = NULL;
    if (next) next->pins++;
    spin_unlock(&h->lock);
    if (gone) subscriber_free(s);
    return next;
}

/* A copy of its own, or the value itself if nobody counts copies.  {OK} also if the subscriber has left. */
static weft_exit send_copy(weft_hub *h, subscriber *s, const void *value, void *copy) {
    const void *sent = value;
    if (copy) {
        memcpy(copy, value, h->element);
        if (h->o.copied) h->o.copied(copy);
        sent = copy;
    }
    weft_exit e = weft_chan_send(s->chan, sent);
    if (!weft_ok(e) && copy && h->o.drop) h->o.drop(copy);
    return e.code == WEFT_E_CLOSED ? success : e;
}

weft_exit weft_publish(weft_hub *h, const void *value) {
    if (!h) return NO_HUB;
    weft_exit e = weft_checkpoint();
    if (!weft_ok(e)) return e;
    weft_point();
    bool closed = false, counts = h->o.copied || h->o.drop;
    void *copy = counts ? weft__heap_alloc(h->element, 0) : NULL;
    if (counts && !copy) return NO_MEMORY;
    spin_lock(&h->lock);
    uint64_t number = h->published++;
    spin_unlock(&h->lock);
    subscriber *s = next_of(h, NULL, number, &closed);
    while (s) {
        e = send_copy(h, s, value, copy);
        if (!weft_ok(e)) {
            unpin(h, s);
            break;
        }
        s = next_of(h, s, number, &closed);
    }
    if (copy) weft__heap_free(copy, h->element);
    return weft_ok(e) && closed ? CLOSED : e;
}

/* ---- closing ------------------------------------------------------------------------------------------ */

weft_err weft_hub_close(weft_hub *h) {
    if (!h) return WEFT_E_INVALID;
    weft_point();
    spin_lock(&h->lock);
    bool before = h->closed;
    h->closed = true;
    subscriber *s = before ? NULL : h->first;
    if (s) s->pins++;
    spin_unlock(&h->lock);
    while (s) {
        weft_chan_shut(s->chan);
        spin_lock(&h->lock);
        subscriber *next = s->next;
        bool gone = --s->pins == 0 && s->left;
        if (gone) take_out(h, s);
        if (next) next->pins++;
        spin_unlock(&h->lock);
        if (gone) subscriber_free(s);
        s = next;
    }
    return before ? WEFT_E_CLOSED : WEFT_OK;
}

void weft_hub_destroy(weft_hub *h) {
    if (!h) return;
    if (h->first) weft__misuse("weft_hub_destroy: somebody still subscribes; unsubscribe, then destroy the hub");
    weft__heap_free(h, sizeof *h);
}

size_t weft_hub_subscribers(weft_hub *h) {
    if (!h) return 0;
    spin_lock(&h->lock);
    size_t n = h->count;
    spin_unlock(&h->lock);
    return n;
}
