/* effect/par_keep.c -- combinators whose losers, or siblings, go on: WEFT_KEEP.
 *
 * Then a branch may outlive its caller's frame, so each is a fiber of the caller's scope, and what it works on is a copy in a
 * block of the heap that all of them and the caller share.  Who lets go of the block last drops the values that were not
 * delivered, and the causes nobody took.
 *
 * A fiber that is asked to stop before it starts runs no code, and could not let go: so the caller waits, masked, until each
 * has begun, and lets go for those that never will.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/par.h"
#include "alloc/heap.h"
#include "sched/cause.h"
#include "sched/exit.h"
#include "sched/fail.h"
#include "sched/local.h"
#include <string.h>
#include <weft/promise.h>

typedef struct kept_child {
    struct kept *of;
    weft_branch branch; /* its `call` is a copy, in the block */
    bool begun, taken;  /* taken: its value was delivered, or its cause has an owner */
} kept_child;

typedef struct kept {
    _Atomic uint64_t holders;  /* branches that have not ended, and the caller */
    _Atomic uint64_t running;  /* branches that have not ended */
    _Atomic uint64_t first;    /* as par.first */
    weft_promise over;         /* somebody has decided, or all have ended */
    par_kind kind;
    size_t n, bytes;
    kept_child child[];
} kept;

static void let_go(kept *k) {
    if (atom_sub_ar(&k->holders, 1) != 1) return;
    for (size_t i = 0; i < k->n; i++) {
        kept_child *c = &k->child[i];
        if (c->taken) continue;
        weft__branch_drop(&c->branch);
        if (c->branch.state == BRANCH_ENDED_ILL) weft__cause_drop(c->branch.exit.cause);
    }
    weft_promise_drop(&k->over);
    weft__heap_free(k, k->bytes);
}

static bool decides(const kept *k, const weft_branch *b) {
    if (k->kind == PAR_RACE) return b->state != BRANCH_STOPPED;
    return (k->kind == PAR_ANY) == (b->state == BRANCH_ENDED_WELL);
}

/* c has ended, or never will begin. */
static void child_over(kept_child *c) {
    kept *k = c->of;
    uint64_t none = 0, number = (uint64_t)(c - k->child) + 1;
    bool over = c->begun && decides(k, &c->branch) && atom_cas_ar(&k->first, &none, number);
    if (atom_sub_ar(&k->running, 1) == 1) over = true;
    if (over) weft_promise_complete(&k->over, NULL);
    let_go(k);
}

static int kept_branch(kept_child *c);
WEFT_TASK(kept_branch, int, kept_child *);
static int kept_branch(kept_child *c) {
    fiber *f = thread_fiber();
    weft_branch *b = &c->branch;
    c->begun = true;
    weft_started();
    f->told = TOLD_NOTHING;
    b->run(b->call, f->pub.head);
    b->exit = f->exit; /* a failure is the combinator's affair, not the scope's */
    f->exit = par_success;
    b->state = !weft_ok(b->exit) ? BRANCH_ENDED_ILL : f->told == 0 ? BRANCH_STOPPED : BRANCH_ENDED_WELL;
    child_over(c);
    return 0;
}

/* ---- the block ---------------------------------------------------------------------------------------- */

enum { CALL_ALIGN = 64 };
static size_t room(const weft_branch *b) { return ((size_t)b->size + CALL_ALIGN - 1) & ~(size_t)(CALL_ALIGN - 1); }

static kept *copy_of(par_kind kind, const weft_branch *b, size_t n) {
    if (n > SIZE_MAX / 4096) return NULL;
    size_t calls = (sizeof(kept) + n * sizeof(kept_child) + CALL_ALIGN - 1) & ~(size_t)(CALL_ALIGN - 1), bytes = calls;
    for (size_t i = 0; i < n; i++) bytes += room(&b[i]);
    kept *k = weft__heap_alloc(bytes, CALL_ALIGN);
    if (!k) return NULL;
    char *call = (char *)k + calls;
    for (size_t i = 0; i < n; call += room(&b[i++])) {
        memcpy(call, b[i].call, b[i].size);
        k->child[i].of = k;
        k->child[i].branch = b[i];
        k->child[i].branch.state = BRANCH_NOT_BEGUN;
        k->child[i].branch.call = (weft_task *)(void *)call;
    }
    k->kind = kind;
    k->n = n;
    k->bytes = bytes;
    atom_store_rlx(&k->holders, n + 1);
    atom_store_rlx(&k->running, n);
    weft_promise_init(&k->over);
    return k;
}

/* All begin, or those that cannot are over.  Returns why the first of them could not, if it was not asked to stop. */
static weft_exit begin_all(kept *k) {
    weft_exit e = par_success;
    weft_mask m;
    weft_mask_begin(&m);
    for (size_t i = 0; i < k->n; i++) {
        kept_child *c = &k->child[i];
        weft_spawn_options o = {.name = c->branch.site->name, .ready = true};
        weft_exit begun = weft_spawn_with((kept_branch_fiber *)NULL, kept_branch, o, c);
        if (c->begun) continue;
        if (weft_ok(e) && begun.tag == WEFT_EXIT_FAIL) e = begun;
        child_over(c);
    }
    weft_mask_end(&m);
    return e;
}

/* ---- the result --------------------------------------------------------------------------------------- */

static weft_exit take(kept_child *c, fiber *f) {
    c->taken = true;
    if (c->branch.state == BRANCH_STOPPED) return weft__par_interrupt(f);
    if (c->branch.state == BRANCH_ENDED_ILL) return weft__hold_own(f, c->branch.exit);
    branch_deliver(&c->branch);
    return par_success;
}

static weft_exit take_failures(kept *k, fiber *f) {
    weft_exit e = par_success;
    for (size_t i = 0; i < k->n; i++) {
        kept_child *c = &k->child[i];
        if (c->branch.state != BRANCH_ENDED_ILL) continue;
        c->taken = true;
        e = weft__exit_both(e, c->branch.exit);
    }
    return weft__hold_own(f, e);
}

/* Nobody decided, and all have ended, so each is read without a doubt. */
static weft_exit all_over(kept *k, fiber *f) {
    for (size_t i = 0; i < k->n; i++) {
        unsigned state = k->child[i].branch.state;
        if (state == BRANCH_NOT_BEGUN || state == BRANCH_STOPPED) return weft__par_interrupt(f);
    }
    if (k->kind != PAR_ALL) return take_failures(k, f);
    for (size_t i = 0; i < k->n; i++) take(&k->child[i], f);
    return par_success;
}

weft_exit weft__par_keep(par_kind kind, size_t *who, weft_branch *b, size_t n) {
    fiber *f = thread_fiber();
    kept *k = copy_of(kind, b, n);
    if (who) *who = n;
    if (!k) return FAILED(WEFT_E_NOMEM, "WEFT_KEEP: no memory for branches that may go on; none was started");
    weft_exit e = begin_all(k);
    if (weft_ok(e)) e = weft_promise_await(&k->over, NULL);
    if (weft_ok(e) || (e.tag == WEFT_EXIT_INTERRUPT && weft_promise_is_done(&k->over))) {
        size_t first = (size_t)atom_load_acq(&k->first) - 1;
        e = first < n ? take(&k->child[first], f) : all_over(k, f);
        if (who && first < n) *who = first;
    }
    let_go(k);
    return e;
}
