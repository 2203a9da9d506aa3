/* effect/env.c -- the environment: providing values, reading them, telling what is there.  What must hold: effect/env.h.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/env.h"
#include "effect/handler.h"
#include "effect/par.h"
#include "sched/cause.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include "sched/local.h"
#include "sched/misuse.h"
#include "sched/thread.h"
#include <stdio.h>
#include <string.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- brackets ------------------------------------------------------------------------------------------ */

static const weft__evidence *evidence_here(const fiber *f) { return f ? f->pub.env : weft__evidence_of_thread(); }

const weft__evidence *weft__env_here(void) { return evidence_here(thread_fiber()); }

#define HEAD ((sizeof(weft__provided) + 15) & ~(size_t)15)

size_t weft__provide_room_in(const weft__evidence *outer, const evidence_item *items, size_t n) {
    return HEAD + weft__evidence_room(outer, items, n, true);
}

weft__provided *weft__provide_begin_in(void *room, const weft__evidence *outer, const evidence_item *items, size_t n) {
    weft__provided *p = room;
    p->f = thread_fiber();
    p->before = evidence_here(p->f);
    p->at.evidence = weft__evidence_make((char *)room + HEAD, outer, items, n, NULL, true);
    for (size_t i = 0; i < n; i++) /* V2 */
        if (!items[i].entry.self && items[i].entry.lazy) weft__lazy_installed(items[i].entry.lazy, p->at.evidence);
    if (p->f)
        evidence_enter(&p->at, p->f);
    else
        weft__evidence_set_thread(p->at.evidence);
    return p;
}

static void leave_region(weft__region *r, fiber *f) {
    if (WEFT_LIKELY(weft__region_untouched(r, &f->pub))) return weft__region_leave(r, &f->pub);
    if (f->pub.head != &r->mark)
        weft__misuse("what a value was provided for ended with a forked child, or an inner scope or mask, outstanding; join "
                     "it, or end it, before");
    if (atom_load_acq(&r->node.state) & NODE_HELD) weft__release_held(f, &r->node);
    const weft_cause *why = r->node.why;
    weft__region_end(r, f);
    weft__cause_drop(why);
}

weft__provided *weft__provide_end(weft__provided *p) {
    const weft__evidence *e = p->at.evidence;
    weft__evidence_end(e);
    for (size_t i = 0; i < e->n_own; i++)
        if (!e->own[i].self) weft__lazy_drop(e->own[i].lazy);
    if (p->f) {
        leave_region(&p->at.region, p->f);
        evidence_leave(&p->at, p->before, p->f);
    } else {
        weft__evidence_set_thread(p->before);
    }
    return NULL;
}

/* ---- lists --------------------------------------------------------------------------------------------- */

static bool is_good(const weft_binding *list, size_t n) {
    if (n && !list) return false;
    for (size_t i = 0; i < n; i++)
        if (!list[i].key || !(list[i].value || list[i].make)) return false;
    return true;
}

static void fill(const weft_binding *list, size_t n, evidence_item *items) {
    for (size_t i = 0; i < n; i++) {
        items[i] = (evidence_item){list[i].key, {.self = (void *)(uintptr_t)list[i].value, .bytes = list[i].key->reply}};
        if (!list[i].value) items[i].entry.lazy = weft__lazy_new(&list[i]);
    }
}

size_t weft__provide_room(const weft_binding *list, size_t n) {
    if (!is_good(list, n))
        weft__misuse("WEFT_PROVIDE_LIST: a binding has no key, or neither value nor function; make bindings with WEFT_BIND or "
                     "WEFT_BIND_LAZY");
    evidence_item *items = __builtin_alloca((n + 1) * sizeof *items);
    for (size_t i = 0; i < n; i++) items[i].effect = list[i].key;
    return weft__provide_room_in(weft__env_here(), items, n);
}

weft__provided *weft__provide_begin(void *room, const weft_binding *list, size_t n) {
    evidence_item *items = __builtin_alloca((n + 1) * sizeof *items);
    fill(list, n, items);
    return weft__provide_begin_in(room, weft__env_here(), items, n);
}

/* ---- calls --------------------------------------------------------------------------------------------- */

/* P5 of effect/par.h: what the task says and is told is set aside.  Its failure is held by who provides. */
static weft_exit run_on_fiber(weft__provided *p, const weft__body *b) {
    fiber *f = p->f;
    weft_exit own = f->exit;
    uint16_t told = f->told;
    bool seen = f->seen;
    f->exit = success;
    f->told = TOLD_NOTHING;
    b->site->run(b->call, f->pub.head);
    weft_exit said = f->exit;
    bool stopped = f->told <= p->at.region.node.depth;
    f->exit = own;
    f->told = told;
    f->seen = seen;
    weft__provide_end(p);
    return weft__body_exit(f, said, stopped);
}

weft_exit weft__provide(const weft_binding *list, size_t n, const weft__body *b) {
    if (!is_good(list, n))
        return FAILED(WEFT_E_INVALID, "weft_provide_list: a binding has no key, or neither value nor function; make bindings "
                                      "with WEFT_BIND or WEFT_BIND_LAZY");
    char *room = __builtin_alloca(weft__provide_room(list, n) + 16);
    weft__provided *p = weft__provide_begin(room + (-(uintptr_t)room & 15), list, n);
    weft_exit e = success;
    if (p->f) {
        e = run_on_fiber(p, b);
    } else {
        weft_exit *outer = weft__said_to(&e);
        b->site->run(b->call, 0);
        weft__said_to(outer);
        weft__provide_end(p);
    }
    if (weft_ok(e)) par_copy(b->out, (char *)b->call + b->at, b->bytes);
    return e;
}

weft_exit weft__env_call(weft_exit (*fn)(void *arg), void *arg) {
    fiber *f = thread_fiber();
    weft_exit own = success, said = success, *outer = NULL;
    if (f) {
        own = f->exit;
        f->exit = success;
    } else {
        outer = weft__said_to(&said);
    }
    weft_exit e = fn(arg);
    if (f) {
        said = f->exit;
        f->exit = own;
        weft__cause_keep(e.cause);
    } else {
        weft__said_to(outer);
        if (e.cause == said.cause) said.cause = NULL; /* lent by `said`; anything else a plain thread has already */
    }
    if (weft_ok(e)) return said;
    weft__cause_drop(said.cause);
    return e;
}

weft_exit weft__env_call_with(const weft_binding *list, size_t n, weft_exit (*fn)(void *arg), void *arg) {
    char *room = __builtin_alloca(weft__provide_room(list, n) + 16);
    weft__provided *p = weft__provide_begin(room + (-(uintptr_t)room & 15), list, n);
    weft_exit e = weft__env_call(fn, arg);
    weft__provide_end(p);
    return e;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static weft_exit missing(const weft_effect *key, const weft_place *at) {
    fiber *f = thread_fiber();
    char text[WEFT_CAUSE_TEXT_MAX + 1];
    snprintf(text, sizeof text, "nothing is provided for key '%s' (%s:%d) where it was asked for; provide it around this, with "
                                "weft_provide or a layer", key->name, key->file, key->line);
    weft_exit e = {WEFT_EXIT_FAIL, WEFT_E_MISSING,
                   weft__cause_leaf(WEFT_CAUSE_FAIL, WEFT_E_MISSING, text, at->file, at->line)};
    return f ? weft__hold_own(f, e) : e;
}

weft_exit weft__env_get(const weft_effect *key, void *value, const weft_place *at) {
    const weft__entry *e = weft__evidence_find(weft__env_here(), key);
    if (!e || !entry_is_value(e)) return missing(key, at);
    const void *found = e->self;
    weft_exit x = found ? success : weft__lazy_ask(e, &found);
    if (weft_ok(x) && value) memcpy(value, found, key->reply);
    return x;
}

/* ---- what is there ------------------------------------------------------------------------------------- */

void weft_env_each(void (*fn)(const weft_env_entry *entry, void *arg), void *arg) {
    const weft__evidence *here = weft__env_here();
    unsigned depth = 0;
    for (const weft__evidence *level = here; level && level != &weft__no_evidence; level = level->outer, depth++) {
        for (uint32_t i = level->n_own; i-- > 0;) {
            const weft__entry *e = &level->own[i];
            if (!entry_is_value(e)) continue;
            const weft__entry *holds = weft__evidence_find(here, e->effect);
            const weft_env_entry told = {.key = e->effect,
                                         .value = e->self ? e->self : weft__lazy_value(e->lazy),
                                         .depth = depth,
                                         .overridden = holds != e,
                                         .lazy = !e->self};
            fn(&told, arg);
        }
    }
}

typedef struct text {
    char *buffer;
    size_t bytes, length;
} text;

static void put_entry(const weft_env_entry *e, void *arg) {
    text *t = arg;
    char line[256];
    int n = snprintf(line, sizeof line, "%s%s: %u bytes%s%s%s", t->length ? "\n" : "", e->key->name, e->key->reply,
                     e->lazy ? ", made when asked for" : "", e->value ? "" : ", not yet", e->overridden ? ", overridden" : "");
    size_t length = (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    if (t->length < t->bytes) snprintf(t->buffer + t->length, t->bytes - t->length, "%s", line);
    t->length += length;
}

size_t weft_env_format(char *buffer, size_t bytes) {
    text t = {buffer, bytes, 0};
    if (bytes) *buffer = 0;
    weft_env_each(put_entry, &t);
    return t.length;
}
