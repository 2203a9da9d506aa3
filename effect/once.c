/* effect/once.c -- bodies with a stack of their own: continuations.
 *
 * A body under a handler with a once clause is a task on a coro (sched/coro.h): its frames, scopes, children and locks are that
 * fiber's.  Who calls weft_handle drives it.  A perform of such an effect, from the body or from anything it drives itself,
 * leaves for the driver, with a `wake` that says why:
 *
 *   DRIVEN --perform--> HELD --resume, transfer, discontinue--> DRIVEN ... --the body returns--> over
 *                        |  \--keep--> KEPT --the same, from any worker--> DRIVEN
 *
 *   K1 fiber.ticket of the body says so (effect/ticket.h): a continuation is the body, and the generation of a perform
 *   K2 only who has it, or drives it, touches the body, its `once` and its wake.  What the last one wrote is seen through the
 *      compare-and-swap: release by who keeps it, acquire by who uses it
 *   K3 while nobody drives it the body is in nobody's scope: a perform puts its base under the runtime's node, driving under
 *      the driver's innermost.  Of a body without scopes and children nobody else has a node: it stays where it is
 *   K4 the driver gives the coro back, and runs an abort clause, once the body has returned, with the body's last frame intact
 *
 * Between a switch and the program lies no return that could be mispredicted: sched/coro.h.
 * Resuming below many clauses continues on another stack when this one runs short.
 *
 * Rejected: capturing frames by copying (addresses of locals change); a fiber of the scheduler for each body (two queue
 * operations a perform); continuations as addresses of frames (a second use would read a dead one).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/arch.h"
#include "effect/handler.h"
#include "effect/par.h"
#include "effect/ticket.h"
#include "sched/cause.h"
#include "sched/coro.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include "sched/local.h"
#include <string.h>
#include <weft/continuation.h>

static const weft_exit success = {WEFT_EXIT_OK, 0, NULL};

/* Another one for each runtime of the process, as far as the bits go: handles are numbered. */
static inline uint64_t number_of(const runtime *rt) { return (uint64_t)(uintptr_t)rt->handle >> 1; }
/* Without a look at the body, whose runtime may be gone. */
static inline bool is_of(const fiber *f, weft_k k) { return ticket_is_of(k.ticket, number_of(f->rt)); }

/* Why the driver goes on: a perform, or (by NULL) the end. */
typedef struct wake {
    const weft__entry *by; /* what was found for it: a clause of this handler */
    const void *payload;
    void *reply;
    const weft_place *at;
    weft_exit exit; /* what the perform is to return, held by its fiber; or how the body ended, a reference */
    bool stopped;
} wake;

/* In the body's first frame. */
typedef struct once {
    prompt p;             /* must be first */
    weft_handler handler; /* a copy: the original's frame may go */
    size_t at, bytes;
    weft_task *call;
    const weft__evidence *kept;
    fiber *inner;         /* K2: the driver was left for by the body, or the innermost that it drives, */
    wake wake;            /* for this */
} once;

/* What a driver is at: a coro_drive. */
typedef struct drive {
    weft_exit exit;
    ctx *from;
    ctx *(*step)(coro_drive *d, void *note);
    fiber *f;
    fiber *body;
    void *answer;
    bool fixed; /* the body goes on only to end: this is what the clause has said */
    weft_exit says;
    struct {    /* until the body has begun */
        const weft_handler *h;
        const weft__body *body;
        const weft__evidence *kept;
        size_t items, payload;
    } start;
} drive;
_Static_assert(sizeof(drive) <= sizeof(coro_drive) && offsetof(drive, from) == offsetof(coro_drive, from) &&
                   offsetof(drive, step) == offsetof(coro_drive, step),
               "one is used as the other");

static once *once_of(fiber *body) { return body->coro_arg; }

/* ---- the body's side ---------------------------------------------------------------------------------- */

#define ROOM(bytes) \
    (void *)(((uintptr_t)__builtin_alloca((bytes) + EVIDENCE_ALIGN) + EVIDENCE_ALIGN - 1) & ~(uintptr_t)(EVIDENCE_ALIGN - 1))

/* K4: what the driver needs of the body stays in its first frame, below which the last switch is. */
static void body_over(once *o, fiber *self) {
    o->wake.by = NULL;
    o->wake.exit = self->exit;
    o->wake.stopped = self->told == 0;
    self->exit = success;
    weft__evidence_end(o->p.at.evidence);
    weft__coro_ends(self);
    weft__evidence_drop(o->kept);
    coro_switch(self, self->driver, o);
}

static void run_body(void *arg) {
    const drive *d = arg;
    const weft_handler *h = d->start.h;
    const weft__body *b = d->start.body;
    fiber *self = thread_fiber();
    const weft__evidence *around = d->f->pub.env, *kept = d->start.kept;
    weft_clause *clauses = ROOM(h->n * sizeof *clauses);
    evidence_item *items = ROOM(d->start.items * sizeof *items);
    weft_task *call = ROOM(b->size);
    const weft_exit *said = b->exit ? (const void *)((char *)call + ((const char *)b->exit - (const char *)b->call)) : NULL;
    const weft_site *site = b->site;
    once o = {.p = {.owner = self, .body = self}, .handler = *h, .at = b->at, .bytes = b->bytes, .call = call, .kept = kept};
    memcpy(clauses, h->clauses, h->n * sizeof *clauses);
    memcpy(call, b->call, b->size);
    o.handler.clauses = clauses;
    o.p.handler = &o.handler;
    o.p.payload = ROOM(d->start.payload);
    size_t n = weft__handler_fill(&o.handler, &o.p, items);
    weft__observer see = {o.handler.observe, o.handler.self, NULL, NULL};
    const weft__evidence *root = weft__evidence_root(ROOM(weft__evidence_root_room(around)), around, kept, self,
                                                    &weft__entry_elsewhere);
    void *room = ROOM(weft__evidence_room(root, items, n, o.handler.shared));
    o.p.at.evidence = weft__evidence_make(room, root, items, n, o.handler.observe ? &see : NULL, o.handler.shared);
    self->coro_arg = &o;
    self->task = call;
    ticket_begin(&self->ticket, number_of(self->rt));
    evidence_set(self, self->env = o.p.at.evidence);
    weft_task *head = self->pub.head;
    site->run(call, head);
    check_over(self, call, head, 0);
    if (said && weft_ok(self->exit)) self->exit = (weft_exit){said->tag, said->code, weft__cause_keep(said->cause)};
    body_over(&o, self);
}

/* K3.  False: it was discontinued. */
static WEFT_COLD bool leave_tree(fiber *f, fiber *body) {
    if (atom_load_acq(&body->base.state) & NODE_CANCELLED) return false;
    before_leaving(f);
    if (f->pub.epoch == EPOCH_LOOK) weft__look_around(f); /* its deadlines run from now on */
    weft__node_move(&body->base, &f->rt->root);
    return true;
}

SWITCH_INLINE bool is_alone(const fiber *f, const fiber *body) {
    return f == body && f->pub.scope == &body->base && f->pub.head == &f->root && !weft__look(&body->base.state);
}

weft_exit weft__perform_once(const weft__entry *e, const weft_effect *effect, const void *payload, void *reply,
                             const weft_place *at) {
    static const weft_cause over = WEFT__CAUSE_STATIC(WEFT_CAUSE_INTERRUPT, "the body of the handler was discontinued");
    fiber *f = thread_fiber();
    once *o = (once *)(void *)e->prompt;
    fiber *body = o->p.body, *driver = body->driver;
    if (WEFT_UNLIKELY(!is_alone(f, body)) && !leave_tree(f, body))
        return (weft_exit){WEFT_EXIT_INTERRUPT, WEFT_E_ABORTED, &over};
    (void)effect;
    o->wake.by = e;
    o->wake.payload = payload;
    o->wake.reply = reply;
    o->wake.at = at;
    o->inner = f;
    ticket_hold(&body->ticket);
    coro_pass(f, driver);
    return weft__coro_hop(&f->ctx, &driver->ctx, o, &o->wake.exit);
}

/* ---- the driver's side -------------------------------------------------------------------------------- */

/* T1.  Others look at it. */
static inline ticket_holder *holder_of(fiber *body) { return (ticket_holder *)(void *)&body->driver; }

/* K1.  By f. */
SWITCH_INLINE bool claim(fiber *f, fiber *body, uint64_t ticket, uint64_t *was) {
    bool got = ticket_take(&body->ticket, ticket, holder_of(body), (uintptr_t)f, f->rt->n_workers == 1, was);
    if (got && *was == TICKET_KEPT) worker_count(&f->w->stats.used);
    return got;
}

static void give_back(fiber *f, fiber *body, uint64_t ticket, uint64_t was) {
    if (was == TICKET_KEPT) worker_count(&f->w->stats.kept);
    ticket_give_back(&body->ticket, ticket, was);
}

/* K3: f drives the body from now on, from another place, or there is something else to see to. */
static WEFT_COLD void adopt_slow(fiber *f, fiber *body, once *o) {
    weft__coro_driven(f);
    if (body->base.outer != f->pub.scope) weft__node_move(&body->base, f->pub.scope);
    for (fiber *c = body;; c = atom_load_rlx(&c->drives)) { /* outermost first: the locals of a body go on into those of its driver */
        weft__locals_root(c, c->driver->locals);
        c->where = f->where;
        cancel_look_again(c);
        if (c == o->inner) return;
    }
}

/* The same place, also if there is another driver, or another scope, where the last one was; and f has looked at least as
 * late as the body whether something there is cancelled. */
SWITCH_INLINE bool is_as_before(const fiber *f, const fiber *body, const fiber *inner) {
    uint64_t looked = inner->pub.epoch;
    return body->base.outer == f->pub.scope && body->locals == f->locals && body->where == f->where &&
           (looked == EPOCH_LOOK || looked == f->pub.epoch) && !coro_cares(f);
}

SWITCH_INLINE void adopt(fiber *f, fiber *body, once *o) {
    atom_store_rlx(holder_of(body), (uintptr_t)f);
    if (WEFT_UNLIKELY(!is_as_before(f, body, o->inner))) adopt_slow(f, body, o);
}

static WEFT_COLD weft_exit ended(fiber *f, drive *d, once *o) {
    fiber *body = o->p.body;
    weft_exit said = o->wake.exit, e;
    void *answer = d->answer ? d->answer : __builtin_alloca(o->bytes + 1);
    if (prompt_aborted(&o->p)) {
        weft__cause_drop(said.cause);
        e = weft__prompt_answer(&o->p, answer);
    } else if (d->fixed) {
        weft__cause_drop(said.cause);
        e = d->says;
    } else {
        e = weft__body_exit(f, said, o->wake.stopped);
        if (weft_ok(e)) par_copy(answer, (char *)o->call + o->at, o->bytes);
    }
    weft__cause_drop(body->base.why);
    body->base.why = NULL;
    weft__coro_put(f->w, body);
    return e;
}

/* What the perform returns: e is lent, and held by the performer. */
static void perform_returns(once *o, weft_exit e) {
    o->wake.exit = weft_ok(e) ? e : weft__hold(o->inner, e);
}

/* The body's perform returns e, and all that may suspend in it an interrupt. */
static void stop(fiber *body, once *o, weft_exit e) {
    perform_returns(o, e);
    weft__cause_keep(e.cause);
    weft__node_cancel(&body->base, e.cause);
    cancel_look_again(o->inner);
}

/* The clause has returned x and left its continuation alone: the body goes on. */
static WEFT_COLD void left_alone(fiber *f, drive *d, once *o, weft_exit x) {
    static const weft_cause why = WEFT__CAUSE_STATIC(WEFT_CAUSE_INTERRUPT, "the clause returned without going on with its body");
    const wake *w = &o->wake;
    if (x.tag == WEFT__PASSED) { /* further out, from here, and back */
        perform_returns(o, weft__perform_outwards(w->by->clause->effect, w->payload, w->reply, w->at, f->pub.env));
    } else if (!weft_ok(x)) { /* it is the perform that failed */
        perform_returns(o, x);
    } else {
        d->fixed = true;
        d->says = x;
        stop(d->body, o, (weft_exit){WEFT_EXIT_INTERRUPT, WEFT_E_ABORTED, &why});
    }
}

SWITCH_INLINE ctx *go_to(drive *d, fiber *to) {
    atom_store_rlx(&d->f->drives, d->body);
    coro_pass(d->f, to);
    return &to->ctx;
}

static weft_exit used(void);

/* The body was left: its clause, or its end. */
static ctx *step(coro_drive *cd, void *note) {
    typedef weft_exit once_fn(weft_k k, const void *payload, void *answer, void *self);
    drive *d = (drive *)(void *)cd;
    once *o = note;
    fiber *f = d->f, *body = o->p.body;
    atom_store_rlx(&f->drives, NULL);
    if (WEFT_UNLIKELY(!o->wake.by)) return d->exit = ended(f, d, o), NULL;
    weft_k k = {body, atom_load_rlx(&body->ticket) - TICKET_HELD};
    size_t bytes = o->bytes;
    d->body = body;
    weft_exit x = ((once_fn *)o->wake.by->clause->fn)(k, o->wake.payload, d->answer, o->wake.by->self);
    if (x.tag == WEFT__TRANSFERRED) {
        d->body = (fiber *)(uintptr_t)x.cause;
        o = once_of(d->body);
        if (WEFT_UNLIKELY(o->bytes != bytes)) d->answer = NULL; /* there is no room for it */
    } else {
        uint64_t was;
        if (!ticket_is_held(&body->ticket, k.ticket) || !claim(f, body, k.ticket, &was))
            return d->exit = WEFT_UNLIKELY(x.tag == WEFT__PASSED) ? used() : x, NULL;
        left_alone(f, d, o, x);
    }
    adopt(f, d->body, o);
    return go_to(d, o->inner);
}

SWITCH_INLINE void drive_begins(drive *d, fiber *f, fiber *body, void *answer) {
    d->from = &f->ctx;
    d->step = step;
    d->f = f;
    d->body = body;
    d->answer = answer;
    d->fixed = false;
}

static ctx *refuse_drive(drive *d, weft_exit e) { return d->exit = e, NULL; }

static ctx *begin_body(void *handler, uint64_t none, const void *b, const void *none_either, void *answer, coro_drive *cd) {
    drive *d = (drive *)(void *)cd;
    fiber *f = thread_fiber(), *body;
    const weft__body *what = b;
    (void)none, (void)none_either;
    d->start.h = handler;
    d->start.body = b;
    d->start.kept = weft__evidence_keep(f->pub.env);
    body = d->start.kept ? weft__coro_get(f->w) : NULL;
    if (!body) {
        if (d->start.kept) weft__evidence_drop(d->start.kept);
        return refuse_drive(d, FAILED(WEFT_E_NOMEM, "weft_handle: no stack for the body of a handler with a once clause"));
    }
    d->start.items = weft__handler_items(d->start.h, &d->start.payload);
    what->call->site = (uintptr_t)what->site;
    weft__coro_begins(body, f, what->call, run_body, d, false);
    drive_begins(d, f, body, answer);
    return go_to(d, body);
}

weft_exit weft__handle_once(const weft_handler *h, const weft__body *b) {
    return weft__coro_drive((void *)(uintptr_t)h, 0, b, NULL, b->out, begin_body);
}

/* ---- continuations ------------------------------------------------------------------------------------ */

static weft_exit used(void) {
    static const weft_cause twice =
        WEFT__CAUSE_STATIC(WEFT_CAUSE_DIE, "a continuation was used twice, or is of no body; go on with each one once, and keep it in "
                                           "its clause if that is to be later");
    return (weft_exit){WEFT_EXIT_DIE, WEFT_E_TWICE, &twice};
}

static weft_exit other_effect(void) {
    static const weft_cause other =
        WEFT__CAUSE_STATIC(WEFT_CAUSE_DIE, "a continuation was given the reply of another effect than it waits in; name the one that "
                                           "its clause is for");
    return (weft_exit){WEFT_EXIT_DIE, WEFT_E_INVALID, &other};
}

/* Whoever is told ok has it. */
SWITCH_INLINE weft_exit take(fiber *f, weft_k k, const weft_effect *effect, uint64_t *was) {
    if (!k.body) return used();
    if (!f || !is_of(f, k))
        return FAILED(WEFT_E_CLOSED, "the continuation belongs to a runtime that is closed, or is not the caller's; go on with it on a "
                                     "fiber of its own runtime");
    if (!claim(f, k.body, k.ticket, was)) return used();
    if (!effect || once_of(k.body)->wake.by->clause->effect == effect) return success;
    give_back(f, k.body, k.ticket, *was);
    return other_effect();
}

SWITCH_INLINE void reply_with(fiber *body, const weft_effect *effect, const void *reply) {
    wake *w = &once_of(body)->wake;
    if (effect->reply == 1)
        memcpy(w->reply, reply, 1);
    else
        par_copy(w->reply, reply, effect->reply);
    w->exit = success;
}

SWITCH_INLINE ctx *go_on_here(drive *d, fiber *f, fiber *body, void *answer) {
    once *o = once_of(body);
    adopt(f, body, o);
    drive_begins(d, f, body, answer);
    return go_to(d, o->inner);
}

static ctx *begin_again(void *body, uint64_t none, const void *none_2, const void *none_3, void *answer, coro_drive *cd) {
    (void)none, (void)none_2, (void)none_3;
    return go_on_here((drive *)(void *)cd, thread_fiber(), body, answer);
}

typedef struct aside {
    fiber *body;
    void *answer;
    weft_exit exit;
} aside;

static void go_on_aside(void *arg) {
    aside *a = arg;
    a->exit = weft__coro_drive(a->body, 0, NULL, NULL, a->answer, begin_again);
    weft__cause_keep(a->exit.cause);
}

/* This stack runs short. */
static WEFT_COLD bool on_more_stack(fiber *f, fiber *body, void *answer, weft_exit *e) {
    aside a = {body, answer, success};
    if (!weft__coro_call(f, go_on_aside, &a)) return false;
    *e = weft_ok(a.exit) ? a.exit : weft__hold_own(f, a.exit);
    return true;
}

/* Its perform has what it returns. */
SWITCH_INLINE ctx *go_on(drive *d, fiber *f, fiber *body, void *answer) {
    if (WEFT_UNLIKELY(arch_sp() < f->low) && on_more_stack(f, body, answer, &d->exit)) return NULL;
    return go_on_here(d, f, body, answer);
}

static ctx *begin_resume(void *body, uint64_t ticket, const void *effect, const void *reply, void *answer, coro_drive *cd) {
    drive *d = (drive *)(void *)cd;
    fiber *f = thread_fiber();
    uint64_t was;
    weft_exit e = take(f, (weft_k){body, ticket}, effect, &was);
    if (WEFT_UNLIKELY(!weft_ok(e))) return refuse_drive(d, e);
    reply_with(body, effect, reply);
    return go_on(d, f, body, answer);
}

weft_exit weft__resume(weft_k k, const weft_effect *effect, const void *reply, void *answer) {
    return weft__coro_drive(k.body, k.ticket, effect, reply, answer, begin_resume);
}

weft_exit weft__transfer(weft_k k, const weft_effect *effect, const void *reply) {
    uint64_t was;
    weft_exit e = take(thread_fiber(), k, effect, &was);
    if (WEFT_UNLIKELY(!weft_ok(e))) return e;
    reply_with(k.body, effect, reply);
    return (weft_exit){WEFT__TRANSFERRED, 0, (const weft_cause *)(const void *)k.body};
}

static ctx *begin_end(void *body, uint64_t ticket, const void *why, const void *none, void *answer, coro_drive *cd) {
    drive *d = (drive *)(void *)cd;
    fiber *f = thread_fiber();
    uint64_t was;
    weft_exit e = take(f, (weft_k){body, ticket}, NULL, &was);
    (void)none;
    if (!weft_ok(e)) return refuse_drive(d, e);
    stop(body, once_of(body), *(const weft_exit *)why);
    return go_on(d, f, body, answer);
}

weft_exit weft_discontinue(weft_k k, weft_exit e, void *answer) {
    if (weft_ok(e)) return FAILED(WEFT_E_INVALID, "weft_discontinue: needs an exit that is not ok; with a reply use weft_resume");
    return weft__coro_drive(k.body, k.ticket, &e, NULL, answer, begin_end);
}

/* Nothing is left of the driver: its locals may go, and that they were told to stop is between them and it. */
static WEFT_COLD void forget_driver(fiber *c, const fiber *body) {
    for (;; c = c->driver) {
        if (c->told == 0) c->told = TOLD_NOTHING;
        c->seen = false;
        if (c->locals) weft__locals_root(c, NULL);
        if (c == body) return;
    }
}

weft_k weft_keep(weft_k k) {
    fiber *f = thread_fiber();
    if (!k.body || !f || !is_of(f, k)) return k;
    if (!ticket_is_held(&k.body->ticket, k.ticket) || atom_load_rlx(holder_of(k.body)) != (uintptr_t)f) return k;
    worker_count(&f->w->stats.kept);
    fiber *inner = once_of(k.body)->inner;
    if (WEFT_UNLIKELY(inner != k.body || inner->told == 0 || inner->odd || inner->locals)) forget_driver(inner, k.body);
    ticket_keep(&k.body->ticket, k.ticket);
    return k;
}

bool weft_k_is_open(weft_k k) {
    fiber *f = thread_fiber();
    return k.body && f && is_of(f, k) && ticket_is_open(&k.body->ticket, k.ticket);
}
