/* weft/handler.h -- effects that code performs, and handlers that give them a meaning.
 *
 *   WEFT_EFFECT(ask, long, const char *key;)              // an effect: its reply, and what it carries
 *   WEFT_EFFECT(stop, int, long with;)
 *
 *   static long sum(int n);
 *   WEFT_TASK(sum, long, int);                            // weft/fork.h
 *   static long sum(int n) {
 *       long each;
 *       if (!weft_ok(weft_perform(ask, &each, .key = "each"))) return 0;
 *       if (each < 0 && !weft_ok(weft_perform(stop, NULL, .with = each))) return 0;
 *       return n * each;
 *   }
 *
 *   static weft_exit on_ask(const ask_op *op, long *reply, void *self) { *reply = look_up(self, op->key); return weft_done; }
 *   static weft_exit on_stop(const stop_op *op, void *answer, void *self) { *(long *)answer = op->with; return weft_done; }
 *
 *   weft_handler settings = WEFT_HANDLER(&table, WEFT_TAIL(ask, on_ask), WEFT_ABORT(stop, on_stop));
 *   weft_exit e = weft_handle(&settings, sum, &total, 10);
 *
 * weft_handle runs its body with the handler in force.  A perform finds the innermost handler of its effect at once, however
 * many others lie between.  What becomes of the body then is the clause's kind:
 *
 *   WEFT_TAIL    a plain call on the performer's stack: fills the reply, and the body goes on
 *   WEFT_ABORT   ends the body: the perform returns {INTERRUPT, WEFT_E_ABORTED}, and so does everything in the body that may
 *                suspend, until the body has returned.  Then the clause runs, and answers for it.  Nothing is unwound behind
 *                the program's back: frames return, scopes cancel and wait for what is theirs, finalizers run
 *   WEFT_ONESHOT gets the rest of the body as a continuation, to go on with once: now, later, from another fiber
 *                (weft/continuation.h).  A body under such a handler has a stack of its own
 *   WEFT_PASS    not handled here: the next one out is asked.  A tail or once clause can decide that by `return weft_pass`
 *
 * A clause runs outside of its own handler: what it performs goes further out.  Handlers are deep: the body stays in force
 * of them, whatever it was resumed from.  An effect without a handler is {DIE, WEFT_E_UNHANDLED}.
 *
 * Children, forked or spawned, taken by another worker or not, see only handlers that are shared (WEFT_SHARED_HANDLER):
 * their clauses may run on several workers at once, and `self` must live as long as any of these children.  A child that
 * performs an effect with an abort clause ends its parent's body; if the handler has gone by then it is {DIE, WEFT_E_STALE}.
 * Whether what a clause forks sees the handlers around the clause or those around its performer is not promised; nor whether a
 * child that is joined below a shared handler installed after it was forked sees that one; nor what a
 * child in the kernel form (weft/kernel.h) sees of handlers that are not shared.
 *
 * Source: Plotkin and Pretnar (2009); clause kinds as in libmprompt and Lexa; doeff's handlers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_HANDLER_H
#define WEFT_HANDLER_H

#include <weft/evidence.h>
#include <weft/fork.h>

WEFT_BEGIN_C

/* The body of a handler, held at a perform: a value that can be copied, good for one use (weft/continuation.h). */
typedef struct weft_k {
    struct fiber *body;
    uint64_t ticket; /* generation, runtime */
} weft_k;

/* ---- performing ---------------------------------------------------------------------------------------- */

/* A perform that is not a plain call to a clause nearby.  Returns what weft_perform does.  [any thread] */
WEFT_API weft_exit weft__perform_slow(const weft_effect *effect, const void *payload, void *reply,
                                                const weft_place *at);
/* Go on outwards: the innermost clause has passed.  [on a fiber; what is in force is what it was at the perform] */
WEFT_API weft_exit weft__perform_passed(const weft_effect *effect, const void *payload, void *reply, const weft_place *at);

enum { WEFT__PASSED = 16, WEFT__TRANSFERRED }; /* tags of exits that only say: ask the next one out; go on with a continuation */

static inline __attribute__((always_inline)) weft_exit weft__perform(const weft_effect *effect, const void *payload,
                                                                     void *reply, const weft_place *at) {
    struct weft__fiber *f = weft__self();
    uint64_t slot = weft__look(&effect->slot);
    if (WEFT_LIKELY(f != NULL)) {
        const weft__evidence *here = f->env;
        if (WEFT_LIKELY(slot < here->fast)) {
            const weft__entry *e = here->at[slot];
            if (WEFT_LIKELY(e != NULL)) {
                if (!e->tail) return e->apart(e, effect, payload, reply, at);
                f->env = e->outer;
                weft_exit x = e->tail(payload, reply, e->self);
                f->env = here;
                if (WEFT_LIKELY(weft_ok(x)) || x.tag != WEFT__PASSED) return x; /* the caller asks the former, too */
                return weft__perform_passed(effect, payload, reply, at);
            }
        }
    }
    return weft__perform_slow(effect, payload, reply, at);
}

/* ---- effects ------------------------------------------------------------------------------------------ */

/* WEFT_EFFECT(name, Reply, members...)
 * The effect `name`, at file scope, also in a header: the types name_op, a struct of the members, and name_reply; the object
 * name_effect.  Effects of one name are one effect, in all of a program. */
#define WEFT_EFFECT(name, Reply, ...)                                                        \
    typedef struct name##_op {                                                               \
        __VA_ARGS__                                                                          \
    } name##_op;                                                                             \
    typedef Reply name##_reply;                                                              \
    typedef weft_exit name##__tail(const name##_op *op, name##_reply *reply, void *self);    \
    typedef weft_exit name##__abort(const name##_op *op, void *answer, void *self);          \
    typedef weft_exit name##__once(weft_k k, const name##_op *op, void *answer, void *self); \
    __attribute__((weak, visibility("default"))) weft_effect name##_effect = {               \
        0, #name, __FILE__, __LINE__, sizeof(name##_op), sizeof(name##_reply)}

/* weft_exit weft_perform(name, name_reply *reply, members...)
 * Performs the effect; ok: *reply (may be NULL) is the reply.  What the members point to stays valid until then.
 * Not ok: what the clause returned; {INTERRUPT, WEFT_E_ABORTED}: return, the body is over; {DIE, WEFT_E_UNHANDLED} with a
 * cause that names effect, fiber and place; what a continuation was discontinued with.
 * [any thread] [may suspend, if a clause does; a cancellation point then] */
#define weft_perform(name, reply_, ...)                                                      \
    __extension__({                                                                          \
        static const weft_place weft_at_ = {__FILE__, __LINE__};                             \
        name##_reply weft_none_, *weft_r_ = (reply_);                                        \
        const name##_op weft_op_ = {__VA_ARGS__};                                            \
        weft__perform(&name##_effect, &weft_op_, weft_r_ ? weft_r_ : &weft_none_, &weft_at_); \
    })

/* ---- handlers ----------------------------------------------------------------------------------------- */

/* Sees an effect that is performed, before its clause does.  An exit that is not ok is what the perform returns. */
typedef weft_exit weft_observe_fn(const weft_effect *effect, const void *payload, const weft_place *at, void *self);

/* May be copied.  Made by the macros below, or by hand; zero means default. */
typedef struct weft_handler {
    const weft_clause *clauses;
    size_t n;
    void *self;               /* for its clauses */
    weft_observe_fn *observe; /* or NULL */
    const char *name;         /* for traces; NULL */
    weft_place at;
    bool shared;              /* children see it */
} weft_handler;

/* WEFT_HANDLER(void *self, clauses...), WEFT_SHARED_HANDLER(void *self, clauses...)
 * Initialisers of a weft_handler; the clauses live as long as the block it stands in, outside of functions as the program. */
#define WEFT_HANDLER(self_, ...) WEFT__HANDLER(self_, false, __VA_ARGS__)
#define WEFT_SHARED_HANDLER(self_, ...) WEFT__HANDLER(self_, true, __VA_ARGS__)
/* One that only observes: weft_observe_fn *see.  Children are observed as well, so that it may be called on several workers. */
#define WEFT_OBSERVER(see, self_) {NULL, 0, (self_), (see), "observer", {__FILE__, __LINE__}, true}
#define WEFT__HANDLER(self_, shared_, ...)                                                   \
    {(const weft_clause[]){__VA_ARGS__}, sizeof((const weft_clause[]){__VA_ARGS__}) / sizeof(weft_clause), (self_), \
     NULL, NULL, {__FILE__, __LINE__}, shared_}

/* Clauses.  fn: weft_exit fn(const name_op *op, name_reply *reply, void *self) */
#define WEFT_TAIL(name, f) WEFT__CLAUSE(name, tail, f, WEFT__TAIL)
/* weft_exit fn(const name_op *op, void *answer, void *self); *op is a copy.  answer: where the body's result was to go.  Runs on
 * the handler's own fiber when the body has returned; its exit is weft_handle's. */
#define WEFT_ABORT(name, f) WEFT__CLAUSE(name, abort, f, WEFT__ABORT)
/* weft_exit fn(weft_k k, const name_op *op, void *answer, void *self); weft/continuation.h */
#define WEFT_ONESHOT(name, f) WEFT__CLAUSE(name, once, f, WEFT__ONCE)
#define WEFT_PASS(name) {&name##_effect, NULL, WEFT__PASS}
#ifdef __cplusplus
#define WEFT__CLAUSE(name, form, f, kind) {&name##_effect, (void (*)(void))static_cast<name##__##form *>(f), kind}
#else
#define WEFT__CLAUSE(name, form, f, kind) {&name##_effect, (void (*)(void))_Generic((f), name##__##form *: (f)), kind}
#endif

/* What a clause returns when all is well, and when the next handler out is to be asked. */
static const weft_exit weft_done = {WEFT_EXIT_OK, 0, NULL};
static const weft_exit weft_pass = {WEFT__PASSED, 0, NULL};

/* weft_exit weft_handle(const weft_handler *h, name, name_out *out, input...)
 * name(input), a typed task, with h in force.  ok: *out (may be NULL) is its result.  Else what it said by weft_fail; the exit of
 * an abort clause (which has written *out, if that is ok); or the interrupt, if it was stopped.
 * Errors (tag FAIL): WEFT_E_INVALID (a clause without effect or function; a once clause on a plain thread), WEFT_E_NOMEM.
 * [any thread] [suspends if the body does] */
#define weft_handle(h, name, out, ...) weft_handle_list((h), 1, name, (out), __VA_ARGS__)

/* weft_exit weft_handle_list(const weft_handler h[], size_t n, name, name_out *out, input...)
 * The same with several: the first is the outermost, the last sees effects first. */
#define weft_handle_list(h, n_, name, out_, ...)                                             \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {name##__run, #name, __FILE__, __LINE__};        \
        name##_in weft_in_ = {__VA_ARGS__};                                                  \
        name##_task weft_t_ = name##__with(weft_in_);                                        \
        name##_out weft_dead_, *weft_to_ = (out_);                                           \
        const weft__body weft_b_ = {&weft_t_.task, &weft_site_, weft_to_ ? weft_to_ : &weft_dead_, sizeof weft_t_, \
                                    offsetof(name##_task, io), sizeof(name##_out), NULL};          \
        weft__handle((h), (n_), &weft_b_);                                                   \
    })

/* Make the calls below the handlers' own, as weft_handle does, by hand: the handlers in force where this is called, innermost
 * first, as text, a line for each: for traces.  Returns the length it would have, as snprintf does.  [any thread] */
WEFT_API size_t weft_handlers_format(char *buffer, size_t bytes);

/* ---- below: what the macros use ----------------------------------------------------------------------- */

typedef struct weft__body {
    weft_task *call;       /* its input, and then its result */
    const weft_site *site; /* how it is run */
    void *out;
    size_t size, at, bytes; /* of the call; of the result in it, and its own */
    const weft_exit *exit; /* that of a call that has one; or NULL */
} weft__body;

WEFT_API weft_exit weft__handle(const weft_handler *h, size_t n, const weft__body *body);

WEFT_END_C
#endif
