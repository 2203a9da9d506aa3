/* effect/handler.c -- installing handlers, and performs that are more than a plain call.  What must hold: effect/handler.h.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/handler.h"
#include "alloc/arch.h"
#include "effect/par.h"
#include "sched/cause.h"
#include "sched/coro.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include "sched/local.h"
#include "sched/misuse.h"
#include "sched/thread.h"
#include <stdio.h>
#include <string.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* ---- what a handler installs -------------------------------------------------------------------------- */

size_t weft__handler_items(const weft_handler *h, size_t *payload) {
    size_t n = 0;
    *payload = 0;
    if (h->n && !h->clauses) return SIZE_MAX;
    for (size_t i = 0; i < h->n; i++) {
        const weft_clause *c = &h->clauses[i];
        if (!c->effect || c->kind > WEFT__PASS || (c->kind != WEFT__PASS && !c->fn)) return SIZE_MAX;
        n += c->kind != WEFT__PASS;
        if (c->kind == WEFT__ABORT && c->effect->payload > *payload) *payload = c->effect->payload;
    }
    return n;
}

size_t weft__handler_fill(const weft_handler *h, prompt *p, evidence_item *items) {
    size_t n = 0;
    for (size_t i = 0; i < h->n; i++) {
        const weft_clause *c = &h->clauses[i];
        if (c->kind == WEFT__PASS) continue;
        weft__tail_fn *tail = c->kind == WEFT__TAIL ? (weft__tail_fn *)c->fn : NULL;
        weft__apart_fn *apart = tail ? NULL : c->kind == WEFT__ONCE ? weft__perform_once : weft__perform_abort;
        items[n++] = (evidence_item){c->effect, {.tail = tail, .apart = apart, .self = h->self, .clause = c, .prompt = p}};
    }
    return n;
}

bool weft__handler_once(const weft_handler *h) {
    for (size_t i = 0; i < h->n; i++)
        if (h->clauses[i].kind == WEFT__ONCE) return true;
    return false;
}

/* ---- a body on its caller's stack --------------------------------------------------------------------- */

static const weft__evidence *evidence_here(const fiber *f) { return f ? f->pub.env : weft__evidence_of_thread(); }

/* E4 of sched/evidence.h */
static void evidence_now(fiber *f, const weft__evidence *e) {
    if (f)
        f->pub.env = e;
    else
        weft__evidence_set_thread(e);
}

weft_exit weft__prompt_answer(prompt *p, void *answer) {
    typedef weft_exit abort_fn(const void *payload, void *answer, void *self);
    return ((abort_fn *)p->aborted_by->fn)(p->payload, answer, p->handler->self);
}

weft_exit weft__body_exit(fiber *f, weft_exit said, bool stopped) {
    bool interrupt = said.tag == WEFT_EXIT_INTERRUPT;
    weft_exit e = stopped && (interrupt || weft_ok(said)) ? weft__par_interrupt(f) : success; /* the caller is told, too */
    if (weft_ok(said)) return e;
    return f ? weft__hold_own(f, said) : said;
}

static void leave_region(prompt *p, fiber *f) {
    weft__region *r = &p->at.region;
    if (WEFT_LIKELY(weft__region_untouched(r, &f->pub))) return weft__region_leave(r, &f->pub);
    if (f->pub.head != &r->mark)
        weft__misuse("the body of a handler returned with a forked child outstanding; join it before returning");
    if (atom_load_acq(&r->node.state) & NODE_HELD) weft__release_held(f, &r->node);
    const weft_cause *why = r->node.why;
    weft__region_end(r, f);
    weft__cause_drop(why);
}

/* Returns what it said, a reference. */
static weft_exit run_body(const weft__body *b, fiber *f) {
    b->site->run(b->call, f ? f->pub.head : NULL);
    weft_exit said = f ? f->exit : success;
    if (!b->exit || !weft_ok(said)) return said;
    weft__cause_keep(b->exit->cause);
    return *b->exit;
}

/* P5 of effect/par.h: what the body says and is told is set aside. */
static weft_exit run_on_fiber(prompt *p, fiber *f, const weft__body *b) {
    weft_exit own = f->exit;
    uint16_t told = f->told;
    bool seen = f->seen;
    f->exit = success;
    f->told = TOLD_NOTHING;
    weft_exit said = run_body(b, f);
    bool stopped = f->told <= p->at.region.node.depth;
    f->exit = own;
    f->told = told;
    f->seen = seen;
    const weft__evidence *outer = p->at.evidence->outer;
    weft__evidence_end(p->at.evidence); /* H2 */
    bool aborted = prompt_aborted(p);
    leave_region(p, f);
    evidence_leave(&p->at, outer, f);
    if (!aborted) return weft__body_exit(f, said, stopped);
    weft_exit e = weft__prompt_answer(p, b->out);
    if (said.tag == WEFT_EXIT_INTERRUPT || weft_ok(e)) return weft__cause_drop(said.cause), e;
    return weft_ok(said) ? e : weft__hold_own(f, weft__exit_then(e, said));
}

static weft_exit run_on_thread(prompt *p, const weft__body *b) {
    weft_exit said = run_body(b, NULL);
    const weft__evidence *outer = p->at.evidence->outer;
    weft__evidence_end(p->at.evidence);
    weft__evidence_set_thread(outer);
    return prompt_aborted(p) ? weft__prompt_answer(p, b->out) : said;
}

static weft_exit refuse(void) {
    return FAILED(WEFT_E_INVALID,
                  "weft_handle: a clause has no effect or no function; make clauses with WEFT_TAIL, WEFT_ABORT, "
                  "WEFT_ONESHOT or WEFT_PASS");
}

static weft_exit handle_here(fiber *f, const weft_handler *h, const weft__body *b, size_t items, size_t payload) {
    const weft__evidence *outer = evidence_here(f);
    prompt p;
    evidence_item *item = __builtin_alloca((items + 1) * sizeof *item);
    weft__observer see = {h->observe, h->self, NULL, NULL};
    p.handler = h;
    p.owner = f;
    p.body = NULL;
    atom_store_rlx(&p.state, PROMPT_OPEN);
    p.payload = __builtin_alloca(payload + 16);
    items = weft__handler_fill(h, &p, item);
    void *room = __builtin_alloca(weft__evidence_room(outer, item, items, h->shared) + EVIDENCE_ALIGN);
    room = (void *)(((uintptr_t)room + EVIDENCE_ALIGN - 1) & ~(uintptr_t)(EVIDENCE_ALIGN - 1));
    p.at.evidence = weft__evidence_make(room, outer, item, items, h->observe ? &see : NULL, h->shared);
    if (f)
        evidence_enter(&p.at, f);
    else
        weft__evidence_set_thread(p.at.evidence);
    weft_exit e = f ? run_on_fiber(&p, f, b) : run_on_thread(&p, b);
    if (weft_ok(e) && !prompt_aborted(&p)) par_copy(b->out, (char *)b->call + b->at, b->bytes);
    return e;
}

static weft_exit handle_one(const weft_handler *h, const weft__body *b);

typedef struct aside {
    const weft_handler *h;
    const weft__body *b;
    weft_exit exit;
} aside;

static void run_aside(void *arg) {
    aside *a = arg;
    a->exit = handle_one(a->h, a->b);
    weft__cause_keep(a->exit.cause);
}

/* This stack runs short.  False: there is no other. */
static bool handle_aside(fiber *f, const weft_handler *h, const weft__body *b, weft_exit *e) {
    aside a = {h, b, success};
    if (!weft__coro_call(f, run_aside, &a)) return false;
    *e = weft_ok(a.exit) ? a.exit : weft__hold_own(f, a.exit);
    return true;
}

static weft_exit handle_one(const weft_handler *h, const weft__body *b) {
    fiber *f = thread_fiber();
    size_t payload, items = weft__handler_items(h, &payload);
    if (WEFT_UNLIKELY(items == SIZE_MAX)) return refuse();
    if (WEFT_UNLIKELY(f && arch_sp() < f->low)) {
        weft_exit e;
        if (handle_aside(f, h, b, &e)) return e;
    }
    if (!weft__handler_once(h)) return handle_here(f, h, b, items, payload);
    if (f) return weft__handle_once(h, b);
    return FAILED(WEFT_E_INVALID, "weft_handle: a handler with a once clause needs a fiber; call it inside weft_run");
}

/* Several are one around the rest.  If that is apart, behind it is room for the result. */
typedef struct rest {
    weft_task call;
    weft_site site;
    const weft_handler *h;
    size_t n;
    const weft__body *body;
    bool apart; /* it runs on a stack of its own, and may outlive the frames that h and body lie in */
    _Alignas(16) weft_exit exit;
} rest;

static weft_exit handle_from(const weft_handler *h, size_t n, const weft__body *b);

#define COPY(from, bytes) memcpy(__builtin_alloca((bytes) + 1), (from), (bytes))

/* What no clause and no body writes stays as it is. */
static weft_exit handle_copies(rest *r) {
    weft__body b = *r->body;
    weft_handler *h = COPY(r->h, r->n * sizeof *h);
    for (size_t i = 0; i < r->n; i++) h[i].clauses = COPY(h[i].clauses, h[i].n * sizeof *h[i].clauses);
    b.call = COPY(b.call, b.size);
    b.out = memcpy(r + 1, b.out, b.bytes);
    return handle_from(h, r->n, &b);
}

static void run_rest(weft_task *call, weft_head head) {
    rest *r = (rest *)call;
    (void)head;
    call->site = (uintptr_t)&r->site;
    r->exit = r->apart ? handle_copies(r) : handle_from(r->h, r->n, r->body);
}

static weft_exit handle_from(const weft_handler *h, size_t n, const weft__body *b) {
    if (n == 1) return handle_one(h, b);
    bool apart = weft__handler_once(h);
    size_t bytes = apart ? b->bytes : 0;
    rest *r = __builtin_alloca(sizeof *r + bytes);
    *r = (rest){.site = {run_rest, b->site->name, b->site->file, b->site->line}, .h = h + 1, .n = n - 1, .body = b, .apart = apart};
    const weft__body inner = {&r->call, &r->site, b->out, sizeof *r + bytes, sizeof *r, bytes, &r->exit};
    return handle_one(h, &inner);
}

weft_exit weft__handle(const weft_handler *h, size_t n, const weft__body *b) {
    static const weft_handler none = {.name = "safe"};
    if (n && !h) return refuse();
    return n ? handle_from(h, n, b) : handle_one(&none, b);
}

/* ---- performing --------------------------------------------------------------------------------------- */

static const weft_cause over = WEFT__CAUSE_STATIC(WEFT_CAUSE_INTERRUPT, "an effect has ended the body of its handler");
static const weft_exit aborted = {WEFT_EXIT_INTERRUPT, WEFT_E_ABORTED, &over};

static const char *name_here(fiber *f) {
    const char *name = f ? weft__fiber_name(f) : NULL;
    return f ? name ? name : "the main task" : "a plain thread";
}

static weft_exit defect(fiber *f, weft_err code, const char *what, const weft_effect *effect, const weft_place *at) {
    char text[WEFT_CAUSE_TEXT_MAX + 1];
    snprintf(text, sizeof text, "effect '%s' performed at %s:%d by %s %s", effect->name, at->file, at->line, name_here(f),
             what);
    weft_exit e = {WEFT_EXIT_DIE, (int)code, weft__cause_leaf(WEFT_CAUSE_DIE, (int)code, text, at->file, at->line)};
    if (!f) return e;
    if (f->carried) weft__expect(e); /* under a driver it fails the task, whether or not it looks */
    return weft__hold_own(f, e);
}

static weft_exit unhandled(fiber *f, const weft_effect *effect, const weft_place *at) {
    return defect(f, WEFT_E_UNHANDLED, "has no handler here; install one with weft_handle, shared if it is for children",
                  effect, at);
}

/* H1, unless somebody else did; that one may not have cancelled the region yet, and who performs is told at once: so each
 * does. */
static void claim(prompt *p, const weft__entry *e, const void *payload) {
    uint32_t open = PROMPT_OPEN;
    if (!atom_cas_ar(&p->state, &open, PROMPT_CLAIMED)) return;
    memcpy(p->payload, payload, e->clause->effect->payload);
    p->aborted_by = e->clause;
    atom_store_rel(&p->state, PROMPT_ABORTED);
}

static weft__node *node_of(prompt *p) { return p->body ? &p->body->base : &p->at.region.node; }

/* Of a body that forked nothing and is in no scope, everything is known to its fiber alone. */
static void stop_body(prompt *p, fiber *f) {
    weft__node *n = node_of(p);
    if (f == p->owner && !p->body && f->pub.scope == n && f->pub.head == &p->at.region.mark) {
        atom_or_ar(&n->state, NODE_CANCELLED | NODE_STOPPING);
        cancel_look_again(f);
    } else {
        weft__node_cancel(n, &over);
    }
}

static weft_exit abort_copy(fiber *f, const weft__entry *e, const void *payload, const weft_effect *effect,
                            const weft_place *at) {
    weft__copy *c = e->copy;
    spin_lock(&c->lock);
    prompt *p = c->prompt;
    if (p) {
        claim(p, e, payload);
        weft__node_cancel(node_of(p), &over);
        if (f) weft__node_tells(f, node_of(p));
    }
    spin_unlock(&c->lock);
    if (p) return aborted;
    return defect(f, WEFT_E_STALE, "is for a handler used after its frame; let no child outlive the body that it may end",
                  effect, at);
}

weft_exit weft__perform_abort(const weft__entry *e, const weft_effect *effect, const void *payload, void *reply,
                              const weft_place *at) {
    fiber *f = thread_fiber();
    (void)reply;
    if (WEFT_UNLIKELY(e->copy != NULL)) return abort_copy(f, e, payload, effect, at);
    prompt *p = e->prompt;
    claim(p, e, payload);
    if (!f) return aborted;
    stop_body(p, f);
    weft__node_tells(f, node_of(p));
    return aborted;
}

static weft_exit perform_found(fiber *f, const weft__entry *e, const weft_effect *effect, const void *payload, void *reply,
                               const weft_place *at) {
    if (!e->tail) return e->apart(e, effect, payload, reply, at);
    const weft__evidence *here = evidence_here(f);
    evidence_now(f, e->outer);
    weft_exit x = e->tail(payload, reply, e->self);
    evidence_now(f, here);
    return x;
}

/* Not in this vector: of a body that has a stack of its own, where that is driven from. */
static const weft__entry *found(const weft__evidence **from, uint64_t slot) {
    for (;;) {
        const weft__evidence *here = *from;
        const weft__entry *e = slot < here->slots ? here->at[slot] : NULL;
        if (WEFT_LIKELY(e && e->clause && e != &weft__entry_elsewhere)) return e;
        if ((e && !e->clause) || !here->root) return NULL;
        *from = here->root->driver->pub.env;
    }
}

/* e's clause has passed.  O(1) memory, however many do; and of each only its entry is looked at. */
static inline __attribute__((always_inline)) weft_exit pass_on(fiber *f, const weft__entry *e, const weft_effect *effect,
                                                               const void *payload, void *reply, const weft_place *at) {
    const weft__evidence *here = evidence_here(f);
    for (;;) {
        const weft__entry *next = e->next;
        if (WEFT_UNLIKELY(!next || !next->tail)) return weft__perform_outwards(effect, payload, reply, at, e->outer);
        evidence_now(f, next->outer);
        __builtin_prefetch(next->next); /* frames lie apart */
        weft_exit x = next->tail(payload, reply, next->self);
        evidence_now(f, here);
        if (x.tag != WEFT__PASSED) return x;
        e = next;
    }
}

weft_exit weft__perform_outwards(const weft_effect *effect, const void *payload, void *reply, const weft_place *at,
                                 const weft__evidence *from) {
    fiber *f = thread_fiber();
    const weft__entry *e = found(&from, weft__look(&effect->slot));
    if (!e) return unhandled(f, effect, at);
    weft_exit x = perform_found(f, e, effect, payload, reply, at);
    return WEFT_LIKELY(x.tag != WEFT__PASSED) ? x : pass_on(f, e, effect, payload, reply, at);
}

/* Who performed has forgotten the entry: it would have had to keep it over each call.  It was on a fiber. */
weft_exit weft__perform_passed(const weft_effect *effect, const void *payload, void *reply, const weft_place *at) {
    fiber *f = thread_fiber();
    if (!f) __builtin_unreachable();
    return pass_on(f, evidence_here(f)->at[weft__look(&effect->slot)], effect, payload, reply, at);
}

/* An entry around a body that only its driver knows: there are such that are not shared. */
static weft_exit perform_elsewhere(const weft__entry *e, const weft_effect *effect, const void *payload, void *reply,
                                   const weft_place *at) {
    (void)e;
    return weft__perform_outwards(effect, payload, reply, at, evidence_here(thread_fiber()));
}
static const weft_clause elsewhere = {NULL, NULL, WEFT__ELSEWHERE};
const weft__entry weft__entry_elsewhere = {.apart = perform_elsewhere, .clause = &elsewhere};

static weft_exit observe(fiber *f, const weft__evidence *here, const weft_effect *effect, const void *payload,
                         const weft_place *at) {
    weft_exit x = success;
    for (const weft__observer *o = here->observers; o && weft_ok(x); o = o->next) {
        evidence_now(f, o->outer);
        x = o->see(effect, payload, at, o->self);
    }
    evidence_now(f, here);
    return x;
}

weft_exit weft__perform_slow(const weft_effect *effect, const void *payload, void *reply, const weft_place *at) {
    fiber *f = thread_fiber();
    const weft__evidence *here = evidence_here(f);
    if (WEFT_UNLIKELY(here->observers != NULL)) {
        weft_exit x = observe(f, here, effect, payload, at);
        if (!weft_ok(x)) return x;
    }
    return weft__perform_outwards(effect, payload, reply, at, here);
}
