/* effect/par_stream.c -- weft_stream_open, next, close: many items, their results one after the other.
 *
 * Lanes as in effect/par_each.c, the first of which is whoever calls next.  Results wait in slots, of which there are as many as
 * the window is wide:
 *
 *   room   a channel of the numbers of free slots: who has one may begin an item.  Ordered: item i goes to slot i mod window
 *          whatever the number says, which is free by then, since items are begun in order and taken in order
 *   done   a channel of the numbers of full slots.  It has room for all: sending never waits
 *   ready  what next has received from done and not handed out yet; next's alone
 *
 * So who may begin, who waits for whom, and what an interrupt does in between, is the channels' affair.
 *
 * Rejected: results through a channel of values (an ordered window needs places, not a queue); a fiber that hands out (it would
 * suspend for each result where a call does).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/par.h"
#include "alloc/heap.h"
#include "sched/cause.h"
#include "sched/fail.h"
#include "sched/local.h"
#include <string.h>
#include <weft/chan.h>

typedef struct lane {
    weft_task task;
    struct weft__stream *of;
    uint64_t number;
} lane;

typedef struct slot {
    size_t item;
    bool ready;
} slot;

typedef struct weft__stream {
    par par;
    weft__stream_call what;
    weft_stream_options options;
    uint64_t most, window, stride;
    weft_chan *room, *done;
    _Atomic uint64_t next; /* item to be begun */
    uint64_t taken;        /* results */
    bool over, direct;     /* next has said so; it is of a plain thread */
    lane second;
    slot *slots;
    char *values;
    size_t bytes;
} stream;

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

static void *value_in(stream *s, size_t at) { return s->values + at * s->stride; }

/* ---- lanes -------------------------------------------------------------------------------------------- */

/* Item i into slot `at`; nodes of f at `depth` and further out are not the item's.  False: it did not end well. */
static bool make(stream *s, fiber *f, size_t i, size_t at, unsigned depth) {
    weft_exit own = f->exit;
    uint16_t told = f->told;
    bool seen = f->seen;
    f->exit = success;
    f->told = TOLD_NOTHING;
    const weft__evidence *env = evidence_child_begins(f);
    s->what.call((const char *)s->what.items + i * s->what.in, value_in(s, at), 0);
    evidence_child_ends(f, env);
    weft_exit e = f->exit;
    bool well = weft_ok(e) && f->told > depth;
    f->exit = own;
    f->told = told;
    f->seen = seen;
    s->slots[at].item = i;
    if (well) return true;
    if (weft_ok(e) || e.tag == WEFT_EXIT_INTERRUPT)
        weft__par_cancel(&s->par); /* stopped, or as good as: there will be no result */
    else
        weft__node_failed(&s->par.region.node, e);
    weft__cause_drop(e.cause);
    return false;
}

static bool make_direct(stream *s, size_t i, size_t at) {
    const weft__evidence *own = evidence_child_begins(NULL);
    s->what.call((const char *)s->what.items + i * s->what.in, value_in(s, at), 0);
    evidence_child_ends(NULL, own);
    s->slots[at].item = i;
    return true;
}

/* The slot of a claimed item. */
static size_t place(const stream *s, size_t i, uint32_t free) { return s->options.unordered ? free : i % s->window; }

static bool any_left(stream *s) { return atom_load_rlx(&s->next) < s->what.n; }

static void fork_next(stream *s, lane *l, uint64_t number) {
    l->of = s;
    l->number = number;
    weft__fork(&l->task, s->what.site);
}

/* One item after the other, while there is room; the room of an item that was not there is not given back, for there is none
 * that would need it. */
static void lane_work(stream *s, fiber *f) {
    uint32_t free;
    while (any_left(s) && weft_ok(weft_chan_receive(s->room, &free))) {
        size_t i = atom_add_rlx(&s->next, 1);
        if (i >= s->what.n) return;
        size_t at = place(s, i, free);
        uint32_t full = (uint32_t)at;
        if (!make(s, f, i, at, 0)) return;
        weft_chan_try_send(s->done, &full);
    }
}

void weft__stream_lane(weft_task *task, weft_head head) {
    lane *l = (lane *)task, next;
    stream *s = l->of;
    fiber *f = thread_fiber();
    bool more = l->number + 1 < s->most && any_left(s);
    (void)head;
    if (more) fork_next(s, &next, l->number + 1);
    lane_work(s, f);
    if (more) (void)weft__take(&next.task);
}

/* ---- opening ------------------------------------------------------------------------------------------ */

static weft_exit bad_options(const weft__stream_call *c, const weft_stream_options *o) {
    if (o->parallelism < 0 || o->window < 0)
        return FAILED(WEFT_E_INVALID, "weft_stream_open: .parallelism or .window is negative; 0 means the default");
    if (o->window > WEFT_WINDOW_MAX)
        return FAILED(WEFT_E_INVALID, "weft_stream_open: .window is more than WEFT_WINDOW_MAX; take results as they become");
    if (c->n && !c->items)
        return FAILED(WEFT_E_INVALID, "weft_stream_open: a number of items, but no items; pass an array of them");
    return success;
}

static void free_stream(stream *s) {
    weft_chan_free(s->room);
    weft_chan_free(s->done);
    weft__heap_free(s, s->bytes);
}

static stream *make_stream(const weft__stream_call *c, const weft_stream_options *o) {
    uint64_t most = o->parallelism ? (uint64_t)o->parallelism : 1, window = o->window ? (uint64_t)o->window : most;
    if (window > WEFT_WINDOW_MAX) window = WEFT_WINDOW_MAX;
    if (window > c->n) window = c->n ? c->n : 1;
    uint64_t stride = (c->out + 15) & ~(uint64_t)15;
    size_t slots = (sizeof(stream) + 63) & ~(size_t)63, values = (slots + window * sizeof(slot) + 63) & ~(size_t)63;
    stream *s = weft__heap_alloc(values + window * stride, 64);
    if (!s) return NULL;
    s->bytes = values + window * stride;
    s->slots = (slot *)(void *)((char *)s + slots);
    s->values = (char *)s + values;
    s->what = *c;
    s->options = *o;
    s->most = most;
    s->window = window;
    s->stride = stride;
    weft_chan_options holds = {.capacity = (int64_t)window};
    if (weft_chan_new(&s->room, sizeof(uint32_t), &holds) || weft_chan_new(&s->done, sizeof(uint32_t), &holds)) {
        free_stream(s);
        return NULL;
    }
    for (uint32_t i = 0; i < window; i++) weft_chan_try_send(s->room, &i);
    return s;
}

weft_exit weft__stream_open(weft_stream *out, const weft__stream_call *c, const weft_stream_options *o) {
    fiber *f = thread_fiber();
    out->stream = NULL;
    weft_exit e = bad_options(c, o);
    if (!weft_ok(e)) return e;
    stream *s = make_stream(c, o);
    if (!s) return FAILED(WEFT_E_NOMEM, "weft_stream_open: no memory for the window; make it smaller");
    out->stream = s;
    s->direct = !f;
    if (!f) return success;
    scheduling_point(f);
    weft__region_enter(&s->par.region, &f->pub, WEFT__SCOPE);
    s->par.owner = f;
    if (s->most > 1) fork_next(s, &s->second, 1);
    return success;
}

/* ---- taking ------------------------------------------------------------------------------------------- */

static bool hand_out(stream *s, size_t at, size_t *i, void *value) {
    uint32_t free = (uint32_t)at;
    s->slots[at].ready = false;
    if (i) *i = s->slots[at].item;
    if (value) memcpy(value, value_in(s, at), s->what.out);
    s->taken++;
    weft_chan_try_send(s->room, &free);
    return true;
}

/* What comes next, if it is there; else the window's size. */
static size_t at_hand(stream *s) {
    uint32_t full;
    size_t wanted = s->taken % s->window;
    while (weft_chan_try_receive(s->done, &full) == WEFT_OK) {
        s->slots[full].ready = true;
        if (s->options.unordered) return full;
    }
    return !s->options.unordered && s->slots[wanted].ready ? wanted : s->window;
}

/* Begin an item here.  False: there is none left, or no room. */
static bool help(stream *s, fiber *f, bool *well, size_t *at) {
    uint32_t free;
    if (!any_left(s) || weft_chan_try_receive(s->room, &free) != WEFT_OK) return false;
    size_t i = atom_add_rlx(&s->next, 1);
    if (i >= s->what.n) return false;
    *at = place(s, i, free);
    *well = s->direct ? make_direct(s, i, *at) : par_goes_on(f) && make(s, f, i, *at, s->par.region.node.depth);
    s->slots[*at].ready = *well;
    return true;
}

bool weft__stream_next(weft_stream *in, size_t *i, void *value) {
    stream *s = in->stream;
    fiber *f = thread_fiber();
    while (s && !s->over && s->taken < s->what.n) {
        size_t at = at_hand(s);
        bool well = true;
        uint32_t full;
        if (at == s->window && help(s, f, &well, &at)) {
            if (well && (s->options.unordered || at == s->taken % s->window)) return hand_out(s, at, i, value);
        } else if (at < s->window) {
            return hand_out(s, at, i, value);
        } else if (weft_ok(weft_chan_receive(s->done, &full))) {
            s->slots[full].ready = true;
            if (s->options.unordered) return hand_out(s, full, i, value);
        } else {
            well = false;
        }
        s->over = !well;
    }
    return false;
}

/* ---- closing ------------------------------------------------------------------------------------------ */

static void drop_rest(stream *s) {
    uint32_t full;
    while (weft_chan_try_receive(s->done, &full) == WEFT_OK) s->slots[full].ready = true;
    for (size_t at = 0; at < s->window; at++)
        if (s->slots[at].ready && s->options.drop) s->options.drop(value_in(s, at));
}

weft_exit weft_stream_close(weft_stream *in) {
    stream *s = in->stream;
    fiber *f = thread_fiber();
    if (!s) return FAILED(WEFT_E_INVALID, "weft_stream_close: the stream is not open");
    bool all = s->taken == s->what.n, stopped = s->over;
    weft_exit e = success;
    in->stream = NULL;
    if (!s->direct) {
        scheduling_point(f);
        if (!all) weft__par_cancel(&s->par);
        weft_chan_shut(s->room);
        if (s->most > 1) (void)weft__take(&s->second.task);
        s->par.exit = f->exit; /* what the caller said in between is its own */
        s->par.told = f->told;
        s->par.seen = f->seen;
        s->par.env = f->pub.env;
        e = weft__par_leave_slow(&s->par, f);
    }
    drop_rest(s);
    free_stream(s);
    if (!weft_ok(e)) return weft__hold_own(f, e);
    return stopped ? weft__par_interrupt(f) : success;
}

weft_exit weft__stream_each(const weft__stream_call *c, const weft_stream_options *o, weft_deliver_fn *deliver, void *arg,
                            void *value) {
    weft_stream s;
    size_t i;
    weft_exit e = weft__stream_open(&s, c, o), delivered = success;
    if (!weft_ok(e)) return e;
    while (weft_ok(delivered) && weft__stream_next(&s, &i, value)) delivered = deliver(arg, i, value);
    weft__cause_keep(delivered.cause); /* it may have come to the stream itself */
    e = weft_stream_close(&s);
    bool own = !weft_ok(delivered) && (weft_ok(e) || e.tag == WEFT_EXIT_INTERRUPT);
    fiber *f = thread_fiber();
    if (own && f) return weft__hold_own(f, delivered);
    weft__cause_drop(delivered.cause);
    return own ? delivered : e;
}
