/* weft/par.h -- combinators of control: several branches at once, and what counts.
 *
 *   long n;
 *   double s;
 *   weft_exit e = weft_zip_par(WEFT_BR(fetch, &n, "x"), WEFT_BR(square, &s, 3.0));
 *
 *   size_t who;
 *   e = weft_race(&who, WEFT_BR(fetch, &n, "primary"), WEFT_BR(fetch, &n, "mirror"));
 *
 *   weft_zip_par      all of them; the first that fails cancels the others      none: ok
 *   weft_race         the first that completes, with a value or a failure       none: {FAIL, WEFT_E_INVALID}
 *   weft_any          the first with a value; all failed: the causes combined   none: {FAIL, WEFT_E_INVALID}
 *   weft_all_settled  all of them, each to its own end, with an exit for each   none: ok
 *
 * Branches are typed tasks (weft/fork.h); one fails by weft_fail, as a fiber does.  They run concurrently, and yet a branch is a
 * plain call until it must be a fiber: the first runs as a call, the others when it has returned; they run elsewhere if a worker
 * without work takes one, and on this worker while the first one waits.  So nothing is allocated, no fiber comes into being
 * where nothing waits, and of a race whose first branch never waits the others never start.
 *
 * No combinator returns before each of its branches has ended, or can never start.  Who is not needed any more is cancelled,
 * as by a scope's cancel (weft/cancel.h), and waited for, cleaning up included.  The fibers that a branch spawns belong to the
 * combinator, as to a scope.  A caller that is interrupted interrupts the branches, waits for them, and returns the interrupt,
 * unless all that was asked for is there by then: a value wins.
 *
 * Whose a value is: it is copied to the branch's `out` if it counts; else it goes to the branch's drop hook.
 * A branch that was stopped has neither failed nor completed, so it never hides a failure, and wins no race.
 *
 * On a plain thread branches are calls, in the order of the arguments, of a race and of weft_any only the first; nothing fails.
 *
 * Source: effectpy's zip_par, race and for_each_par; ZIO's, whose first failure keeps the others attached; Kotlin's supervision.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_PAR_H
#define WEFT_PAR_H

#include <weft/cancel.h>

WEFT_BEGIN_C

/* What happens to those that are not needed any more. */
typedef enum weft_rest {
    WEFT_CANCEL = 0, /* cancelled and waited for */
    WEFT_KEEP,       /* they go on, as fibers of the caller's scope; their values go to the drop hook */
} weft_rest;

/* Zero means default everywhere. */
typedef struct weft_par_options {
    weft_rest rest;
} weft_par_options;

/* A branch: made by WEFT_BR, in the caller's frame.  Its fields are the library's. */
typedef struct weft_branch {
    weft_task task;
    const weft_site *site;
    void (*run)(weft_task *call, weft_head head);
    weft_task *call;        /* the task's own descriptor: its input, then its value */
    void *out;
    void (*drop)(void *value);
    struct weft__par *par;
    uint16_t size, at, bytes; /* of *call; the value's offset in it, and size */
    uint16_t state;
    weft_exit exit;         /* if it did not end well */
} weft_branch;

static inline __attribute__((always_inline)) weft_branch weft__branch(const weft_site *site,
                                                                      void (*run)(weft_task *, weft_head), weft_task *call,
                                                                      void *out, void (*drop)(void *), size_t size,
                                                                      size_t at, size_t bytes) {
    weft_branch b; /* the rest is written when it is begun */
    b.site = site;
    b.run = run;
    b.call = call;
    b.out = out;
    b.drop = drop;
    b.size = (uint16_t)size;
    b.at = (uint16_t)at;
    b.bytes = (uint16_t)bytes;
    b.state = 0;
    return b;
}

/* WEFT_BR(name, name_out *out, input...)
 * The branch name(input), for use among the arguments of a combinator; `input` initialises a name_in, as in weft_fork.  out: where
 * its value goes if it counts, NULL: nowhere.  Branches of a race may share it. */
#define WEFT_BR(name, out, ...) WEFT__BR(name, out, NULL, __VA_ARGS__)
/* The same, with a hook for a value that is not delivered: that of a loser, or of a branch whose sibling failed.  Called on the
 * caller's fiber once all branches have ended.  Must not suspend. */
#define WEFT_BR_DROP(name, out, drop, ...) WEFT__BR(name, out, drop, __VA_ARGS__)
#define WEFT__BR(name, out_, drop_, ...)                                                     \
    weft__branch(__extension__({                                                             \
                     static const weft_site weft_site_ = {weft__branch_run, #name, __FILE__, __LINE__}; \
                     &weft_site_;                                                            \
                 }),                                                                         \
                 name##__run, WEFT__CALL(name, __VA_ARGS__),                                 \
                 (name##_out *){out_}, (drop_), sizeof(name##_task), offsetof(name##_task, io), \
                 sizeof(name##_out))

/* weft_exit weft_zip_par(branches...)
 * All of them.  ok: each value is where it belongs.  Else the failure that came first, with those that followed attached
 * (WEFT_CAUSE_BOTH), or the caller's interrupt; no value is delivered then.
 * [any thread] [suspends: cancellation point] */
#define weft_zip_par(...) WEFT__PAR(weft_all_of(weft_b_, weft_n_, NULL), __VA_ARGS__)
#define weft_all(...) weft_zip_par(__VA_ARGS__)

/* weft_exit weft_race(size_t *who, branches...)
 * The exit of the branch that completes first, and its value if that is ok; *who (may be NULL) is its number, from 0.  If the
 * caller is interrupted before one has completed: the interrupt, and *who is the number of branches.
 * A loser's failure is attached to a winner's, and else is nobody's.
 * Errors (tag FAIL): WEFT_E_INVALID (no branch).  [any thread] [suspends: cancellation point] */
#define weft_race(who, ...) WEFT__PAR(weft_race_of((who), weft_b_, weft_n_, NULL), __VA_ARGS__)

/* weft_exit weft_any(size_t *who, branches...)
 * The value of the first that ends well.  If none does, all their causes combined.  Otherwise as weft_race. */
#define weft_any(who, ...) WEFT__PAR(weft_any_of((who), weft_b_, weft_n_, NULL), __VA_ARGS__)

/* weft_exit weft_all_settled(weft_exit exits[], branches...)
 * All of them, each to its own end; exits[i] is that of branch i, and its value is delivered if that is ok.  A branch that was
 * stopped has {INTERRUPT, WEFT_E_CANCELLED}.  Causes live as those of an await do.
 * Returns ok; or the interrupt, if the caller's stopped a branch; or the failure of a fiber that a branch spawned.
 * [any thread] [suspends: cancellation point] */
#define weft_all_settled(exits, ...) WEFT__PAR(weft_settle_of((exits), weft_b_, weft_n_), __VA_ARGS__)

#ifndef __cplusplus
#define WEFT__CALL(name, ...) &(name##_task[1]){name##__with((name##_in){__VA_ARGS__})}->task
#define WEFT__PAR(call, ...)                                                                 \
    __extension__({                                                                          \
        weft_branch weft_b_[] = {__VA_ARGS__};                                               \
        const size_t weft_n_ = sizeof weft_b_ / sizeof(weft_branch);                         \
        call;                                                                                \
    })
#else /* what the branches work on are temporaries, which live until the call has returned; weft_branch arrays are for C */
#define WEFT__CALL(name, ...) weft__lend(name##__with(name##_in{__VA_ARGS__}))
#define WEFT__PAR(call, ...) \
    weft__these(__VA_ARGS__).to([&](weft_branch *weft_b_, size_t weft_n_) { (void)weft_n_; return call; })
#endif

/* The same for branches in an array, and with options (may be NULL):
 *
 *   weft_branch b[] = {WEFT_BR(fetch, &n, "x"), WEFT_BR(fetch, &m, "y")};
 *   weft_exit e = weft_race_of(&who, b, 2, &(weft_par_options){.rest = WEFT_KEEP});
 *
 * With WEFT_KEEP each branch is a fiber of the caller's scope from the start.  Errors: also WEFT_E_NOMEM and those of weft_spawn;
 * WEFT_E_INVALID (a number of branches, but no array).  [any thread] [suspends: cancellation point] */
WEFT_API weft_exit weft_all_of(weft_branch *branches, size_t n, const weft_par_options *options);
WEFT_API weft_exit weft_race_of(size_t *who, weft_branch *branches, size_t n, const weft_par_options *options);
WEFT_API weft_exit weft_any_of(size_t *who, weft_branch *branches, size_t n, const weft_par_options *options);
WEFT_API weft_exit weft_settle_of(weft_exit *exits, weft_branch *branches, size_t n);

/* ---- and time ---------------------------------------------------------------------------------------- */

/* weft_exit weft_timeout_to(weft_duration d, branch, fallback)
 * The branch, at most for d (as weft_timeout); if it was stopped by that, the fallback, another branch.  A branch that fails by itself has
 * no fallback, and a value that comes with the end of the time counts.
 * Errors: WEFT_E_INVALID (negative; not two branches).  [any thread] [suspends: cancellation point] */
#define weft_timeout_to(d, ...) WEFT__PAR(weft_timeout_to_of((d), weft_b_, weft_n_), __VA_ARGS__)
WEFT_API weft_exit weft_timeout_to_of(weft_duration d, weft_branch *branches, size_t n);

/* weft_exit weft_hedge(size_t *who, weft_duration delay, branch, backup)
 * The first value of the two, where the backup starts only when the branch has had neither value nor failure for so long, or at
 * once when it fails.  Otherwise as weft_any.  Errors: also WEFT_E_INVALID (negative; not two branches).
 * Source: Dean and Barroso, The Tail at Scale (2013).  [any thread] [suspends: cancellation point] */
#define weft_hedge(who, delay, ...) WEFT__PAR(weft_hedge_of((who), (delay), weft_b_, weft_n_), __VA_ARGS__)
WEFT_API weft_exit weft_hedge_of(size_t *who, weft_duration delay, weft_branch *branches, size_t n);

/* ---- many items --------------------------------------------------------------------------------------- */

#define WEFT_UNLIMITED INT64_MAX

/* Zero means default everywhere. */
typedef struct weft_each_options {
    int64_t parallelism; /* items that are being worked on at once, at most; 0: 1; WEFT_UNLIMITED: all */
    int64_t grain;       /* items that are taken at a time, one after the other by the same hand; 0: 1 */
} weft_each_options;

/* weft_exit weft_for_each_par(name, const name_in items[], size_t n, name_out results[], options...)
 * results[i] = name(items[i]) for each i below n; results may be NULL.  At most .parallelism items are begun and not ended at
 * any moment, and they are begun in the order of their numbers.  The caller works on items itself; others come to help while it
 * waits in one, or when a worker is without work.  Whoever helps costs a stack only while it waits.
 * The first failure cancels the others, and no further item is begun; it is returned, with those that followed attached.  Then
 * nothing is promised of the results of items that failed, were stopped, or were not begun.
 * Errors (tag FAIL): WEFT_E_INVALID (a negative option; n items, but no array).
 * [any thread] [suspends: cancellation point] */
#define weft_for_each_par(name, items, n, results, ...)                                      \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {weft__lane_run, #name, __FILE__, __LINE__};     \
        const weft__each_call weft_c_ = {name##__each, (const name##_in *){items}, \
                                         (name##_out *){results}, (n), &weft_site_}; \
        const weft_each_options weft_o_ = {__VA_ARGS__};                                     \
        weft__for_each(&weft_c_, &weft_o_);                                                  \
    })

/* weft_exit weft_map(name, const name_in items[], size_t n, name_out results[])
 * The same without a limit. */
#define weft_map(name, items, n, results) weft_for_each_par(name, items, n, results, .parallelism = WEFT_UNLIMITED)

/* ---- many results, one after the other ------------------------------------------------------------------ */

/* Zero means default everywhere. */
typedef struct weft_stream_options {
    int64_t parallelism; /* items that are being worked on at once, at most; 0: 1; WEFT_UNLIMITED: as many as the window has */
    int64_t window;      /* items begun whose results were not taken yet, at most; 0: as .parallelism; at most WEFT_WINDOW_MAX */
    bool unordered;      /* results in the order of their becoming; else in that of the items */
    void (*drop)(void *value); /* of a result that is not taken.  On the caller's fiber, in close.  Must not suspend */
} weft_stream_options;

#define WEFT_WINDOW_MAX (1 << 20)

/* A stream that is open; the field is the library's. */
typedef struct weft_stream {
    struct weft__stream *stream;
} weft_stream;

/* weft_exit weft_stream_open(weft_stream *s, name, const name_in items[], size_t n, options...)
 * bool weft_stream_next(weft_stream *s, name, size_t *i, name_out *value)
 * weft_exit weft_stream_close(weft_stream *s)
 *
 *   weft_stream s;
 *   weft_exit e = weft_stream_open(&s, fetch, urls, n, .parallelism = 8);
 *   while (weft_stream_next(&s, fetch, &i, &page)) use(i, page);
 *   e = weft_stream_close(&s);
 *
 * The values name(items[i]), one at each call of next; i and value may be NULL.  Nothing is begun before it fits into the window,
 * so who does not call next holds the others up.  next works on an item itself if none is ready, and waits if it may not begin
 * another.  False: all were taken, one failed, or the caller is interrupted; close says which.
 * open and close are a bracket, as a scope is: what the caller does in between is inside, and interrupted when an item fails;
 * what was opened last is closed first, in the function that opened it.  close may come early: items that are being worked on are
 * cancelled, and waited for.  The items must stay until then.
 * Errors of open (then next is false, and there is nothing to close): WEFT_E_INVALID (an option out of range; n items, but no
 * array), WEFT_E_NOMEM.
 * close: the failure that came first, with those that followed attached; or the interrupt.
 * [on a fiber; on a plain thread next calls] [open never suspends; next, close suspend, next: cancellation point] */
#define weft_stream_open(s, name, items, n, ...)                                             \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {weft__stream_lane, #name, __FILE__, __LINE__};  \
        const weft__stream_call weft_c_ = {name##__each, (const name##_in *){items}, (n), \
                                           sizeof(name##_in), sizeof(name##_out), &weft_site_}; \
        const weft_stream_options weft_o_ = {__VA_ARGS__};                                   \
        weft__stream_open((s), &weft_c_, &weft_o_);                                          \
    })
#define weft_stream_next(s, name, i, value) weft__stream_next((s), (i), (name##_out *){value})
WEFT_API weft_exit weft_stream_close(weft_stream *s);

/* weft_exit weft_stream_each(name, const name_in items[], size_t n, deliver, void *arg, options...)
 * The same as a call: deliver(arg, i, &value) for each, one at a time, by the caller.  A deliver that does not return ok ends it, and
 * its exit is returned, unless an item failed. */
#define weft_stream_each(name, items, n, deliver, arg, ...)                                  \
    __extension__({                                                                          \
        static const weft_site weft_site_ = {weft__stream_lane, #name, __FILE__, __LINE__};  \
        const weft__stream_call weft_c_ = {name##__each, (const name##_in *){items}, (n), \
                                           sizeof(name##_in), sizeof(name##_out), &weft_site_}; \
        const weft_stream_options weft_o_ = {__VA_ARGS__};                                   \
        name##_out weft_v_;                                                                  \
        weft__stream_each(&weft_c_, &weft_o_, (deliver), (arg), &weft_v_);                   \
    })

/* ---- below: what the macros use ----------------------------------------------------------------------- */

/* A branch that was forked and is run elsewhere. */
WEFT_API void weft__branch_run(weft_task *task, weft_head head);

typedef struct weft__each_call {
    void (*call)(const void *items, void *results, size_t i);
    const void *items;
    void *results;
    size_t n;
    const weft_site *site;
} weft__each_call;
WEFT_API weft_exit weft__for_each(const weft__each_call *call, const weft_each_options *options);
WEFT_API void weft__lane_run(weft_task *task, weft_head head);

typedef struct weft__stream_call {
    void (*call)(const void *items, void *results, size_t i);
    const void *items;
    size_t n, in, out; /* items, and the bytes of one, and of a result */
    const weft_site *site;
} weft__stream_call;
typedef weft_exit weft_deliver_fn(void *arg, size_t i, void *value);
WEFT_API weft_exit weft__stream_open(weft_stream *s, const weft__stream_call *call, const weft_stream_options *options);
WEFT_API bool weft__stream_next(weft_stream *s, size_t *i, void *value);
WEFT_API weft_exit weft__stream_each(const weft__stream_call *call, const weft_stream_options *options,
                                     weft_deliver_fn *deliver, void *arg, void *value);
WEFT_API void weft__stream_lane(weft_task *task, weft_head head);

WEFT_END_C

#ifdef __cplusplus
template <class Task> static inline weft_task *weft__lend(Task &&t) { return &t.task; }
template <size_t n> struct weft__branches {
    weft_branch all[n + 1];
    template <class Call> weft_exit to(Call call) { return call(all, n); }
};
template <class... Branch> static inline weft__branches<sizeof...(Branch)> weft__these(Branch... b) { return {{b..., {}}}; }
#endif
#endif
