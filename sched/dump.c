/* sched/dump.c -- dumps.
 *
 * Three steps: collect rows, a tree of what there is, under the locks that keep it there; look at the fibers, no
 * lock held; write.
 *
 *   collect   blocks of the runtime's own fibers: all that were ever handed out (weft__slab_each); what a scope has:
 *             its lists, under its lock.  A fiber in a scope's list has not ended.  A node in an `inner` stays there as
 *             long as the lock of the outer one is held, and its frame with it; so these are held on the way down.
 *   look      blocks and control blocks keep their memory while the runtime is open.  A fiber's row is good if its id
 *             was the same before and after.
 *   write     equal rows in one place are grouped
 *
 * What is read of fibers that run is written by them without any order: each word is some value that it had, and what
 * does not fit together is a view of two moments.  Pointers that are followed lead to memory of the runtime, to static
 * texts and sites, or are covered by a lock.
 *
 * An explicit name may go when the fiber has ended, as may its `more` and why it was interrupted.  So these are read
 * under the lock of the fiber's scope, or of its end (sched/end.h), or at rest.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/dump.h"
#include "alloc/heap.h"
#include "sched/cancel.h"
#include "sched/clock.h"
#include "sched/mutex.h"
#include "sched/registry.h"
#include "sched/thread.h"
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum {
    CHUNK_ROWS = 64,
    ALL_SHOWN = 8, /* as many equal rows are not grouped */
    RINGS_MOST = 8,
    RING_SHOWN = 16,
};
#define NONE UINT32_MAX

/* ---- looking without order ----------------------------------------------------------------------------
 * These words are written by threads that know nothing of this one; aligned, they are never seen in halves.  A free
 * block is poisoned but for its id. */
#define RACY __attribute__((noinline, no_sanitize("thread", "address")))
typedef uintptr_t __attribute__((may_alias)) any_word;
typedef uint16_t __attribute__((may_alias)) any_half;

static RACY uintptr_t peek(const volatile void *p) { return *(const volatile any_word *)p; }
static RACY uint32_t peek_32(const volatile uint32_t *p) { return *p; }
static RACY uint16_t peek_16(const volatile void *p) { return *(const volatile any_half *)p; }
static RACY uint8_t peek_8(const volatile void *p) { return *(const volatile uint8_t *)p; }

static RACY size_t peek_text(char *to, size_t room, const char *from) {
    const volatile char *at = from;
    size_t n = 0;
    while (n + 1 < room && (to[n] = at[n])) n++;
    to[n] = 0;
    return n;
}

/* ---- text that grows ---------------------------------------------------------------------------------- */

typedef struct text {
    char *at;
    size_t n, room;
    FILE *out; /* NULL: it is kept */
    bool cut;
    char first[256];
} text;

static void text_begin(text *t, FILE *out) {
    t->at = t->first;
    t->n = 0;
    t->room = sizeof t->first;
    t->out = out;
    t->cut = false;
}

static void text_end(text *t) {
    if (t->at != t->first) weft__heap_free(t->at, t->room);
}

static bool text_grow(text *t, size_t need) {
    size_t room = t->room * 2;
    while (room < need) room *= 2;
    char *more = weft__heap_alloc(room, 0);
    if (!more) return false;
    memcpy(more, t->at, t->n);
    text_end(t);
    t->at = more;
    t->room = room;
    return true;
}

static void text_flush(text *t) {
    fwrite(t->at, 1, t->n, t->out);
    t->n = 0;
}

enum { FLUSH_BYTES = 16 * 1024 };

/* Always terminated. */
static void put_n(text *t, const char *s, size_t n) {
    bool fits = n < t->room - t->n;
    if (!fits && (!t->out || t->n + n < FLUSH_BYTES)) fits = text_grow(t, t->n + n + 1);
    if (!fits && t->out) {
        text_flush(t);
        for (; n >= t->room; s += t->room, n -= t->room) fwrite(s, 1, t->room, t->out);
        fits = true;
    }
    if (!fits) n = t->room - t->n - 1;
    t->cut |= !fits;
    memcpy(t->at + t->n, s, n);
    t->at[t->n += n] = 0;
}

static void put(text *t, const char *s) { put_n(t, s, strlen(s)); }

static __attribute__((format(printf, 2, 3))) void put_format(text *t, const char *format, ...) {
    char some[160];
    va_list args;
    va_start(args, format);
    vsnprintf(some, sizeof some, format, args);
    va_end(args);
    put(t, some);
}

/* 49 999 */
static void put_count(text *t, uint64_t n) {
    uint64_t unit = 1;
    while (n / unit >= 1000) unit *= 1000;
    put_format(t, "%" PRIu64, n / unit);
    while (unit > 1) {
        n %= unit;
        unit /= 1000;
        put_format(t, " %03" PRIu64, n / unit);
    }
}

static void put_counted(text *t, uint64_t n, const char *what) {
    put_count(t, n);
    put_format(t, " %s%s", what, n == 1 ? "" : "s");
}

/* ---- rows --------------------------------------------------------------------------------------------- */

typedef enum row_kind { ROW_RUNTIME, ROW_FIBER, ROW_CALL, ROW_CHILD, ROW_NODE } row_kind;

typedef enum row_state {
    IS_UNSTARTED,
    IS_RUNNING,
    IS_READY,
    IS_WAITING, /* for waits_for */
    IS_JOINING, /* a forked child */
    IS_EITHER,  /* the two before last: a task that was not spawned has no status */
    IS_GONE,
} row_state;

typedef struct row {
    weft_fiber *s; /* FIBER */
    uint64_t id;
    fiber *f;      /* its stack, if it has one; not NODE */
    const weft_site *site;
    const char *waits_for;
    const void *waits_on;
    int64_t deadline; /* NODE; INT64_MAX: none */
    uint64_t who;     /* asked it to stop */
    uint32_t parent, child, next, last; /* the tree; last child */
    uint32_t name, who_name, why;       /* offsets in dump.names; 0: none */
    uint32_t like, same;                /* the first of those like it; how many these are */
    uint32_t target;                    /* the row it awaits, or that holds the mutex it waits for */
    uint32_t locks;                     /* that it holds */
    uint32_t live;                      /* NODE: its fibers */
    uint16_t worker;
    uint8_t kind, state, asked, flags;
    uint8_t node_kind, shield, node_state;
    bool masked, done; /* done: put_rings is through with it */
} row;

enum { ASKED_ANY = ASKED_STOP | ASKED_SOON };

typedef struct dump {
    runtime *rt;
    bool rest; /* nothing else of rt runs */
    bool cut;
    uint32_t n;
    row **chunks;
    size_t room; /* of chunks */
    text names;
    const char *last_name; /* interned, at */
    uint32_t last_name_at;
    uint32_t *by_block;    /* rows by the address of their blocks */
    uint32_t by_block_room; /* a power of two; 0: no memory */
    const fiber *last_holder; /* of a mutex, that was looked for among the rows, */
    uint32_t last_holder_at;  /* and found here */
    bool outside;             /* a mutex that is waited for is held by something else than a fiber of rt */
} dump;

static row *row_at(const dump *d, uint32_t i) { return &d->chunks[i / CHUNK_ROWS][i % CHUNK_ROWS]; }

static bool more_chunks(dump *d) {
    size_t used = d->n / CHUNK_ROWS;
    if (used == d->room) {
        size_t room = d->room ? d->room * 2 : 16;
        row **all = weft__heap_alloc(room * sizeof *all, 0);
        if (!all) return false;
        if (used) memcpy(all, d->chunks, used * sizeof *all);
        weft__heap_free(d->chunks, d->room * sizeof *all);
        d->chunks = all;
        d->room = room;
    }
    return (d->chunks[used] = weft__heap_alloc(CHUNK_ROWS * sizeof(row), 0)) != NULL;
}

/* Its parent's first child: the lists it comes from have the newest first.  NONE: no memory, then and from then on. */
static uint32_t add_row(dump *d, uint32_t parent, row_kind kind) {
    if (d->cut || (d->n % CHUNK_ROWS == 0 && !more_chunks(d))) {
        d->cut = true;
        return NONE;
    }
    uint32_t i = d->n++;
    row *r = row_at(d, i);
    *r = (row){.kind = (uint8_t)kind, .parent = parent, .child = NONE, .next = NONE, .last = NONE, .like = i, .same = 1,
               .target = NONE, .deadline = INT64_MAX};
    if (parent == NONE) return i;
    r->next = row_at(d, parent)->child;
    row_at(d, parent)->child = i;
    return i;
}

static void dump_end(dump *d) {
    for (uint32_t i = 0; i < d->n; i += CHUNK_ROWS)
        weft__heap_free(d->chunks[i / CHUNK_ROWS], CHUNK_ROWS * sizeof(row));
    weft__heap_free(d->chunks, d->room * sizeof *d->chunks);
    if (d->by_block_room) weft__heap_free(d->by_block, d->by_block_room * sizeof *d->by_block);
    text_end(&d->names);
}

/* ---- names -------------------------------------------------------------------------------------------- */

static uint32_t intern(dump *d, const char *name) {
    char some[WEFT_CAUSE_TEXT_MAX + 1];
    if (!name) return 0;
    size_t n = peek_text(some, sizeof some, name);
    if (name == d->last_name && strcmp(d->names.at + d->last_name_at, some) == 0) return d->last_name_at;
    uint32_t at = (uint32_t)d->names.n;
    if (d->names.n + n + 1 > UINT32_MAX) return 0;
    put_n(&d->names, some, n + 1);
    if (d->names.cut) return 0;
    d->last_name = name;
    return d->last_name_at = at;
}

static const char *name_at(const dump *d, uint32_t at) { return at ? d->names.at + at : ""; }

static const char *row_name(const dump *d, const row *r) {
    return r->name ? name_at(d, r->name) : r->site ? r->site->name : "?";
}

static void note_why(dump *d, row *r, const weft_cause *why) {
    if (!why || why->kind > WEFT_CAUSE_INTERRUPT) return;
    r->who = why->who;
    r->who_name = intern(d, why->who_name);
    r->why = why->text && *why->text ? intern(d, why->text) : 0;
}

/* What only who keeps r's fiber from ending may read. */
static void look_at_more(dump *d, row *r) {
    spawn_more *m = (spawn_more *)peek(&r->s->more);
    if (m) r->name = intern(d, (const char *)peek(&m->name));
    note_why(d, r, (const weft_cause *)peek(spawn_why_word(r->s)));
}

/* Whoever holds the lock of its end keeps a fiber from ending.  A word that says nothing may be that of a block that is
 * just being made, and is then written without a look; that of a free block says that it is done. */
static RACY bool pin(weft_fiber *s) {
    uintptr_t word = atom_load_acq(&s->task.join);
    while (!(word & QUEUE_DONE) && word & ~QUEUE_LOCK) {
        if (!(word & QUEUE_LOCK) && atom_cas_ar(&s->task.join, &word, word | QUEUE_LOCK)) return true;
        if (word & QUEUE_LOCK) weft__os_yield();
        word = atom_load_acq(&s->task.join);
    }
    return false;
}

static void unpin(weft_fiber *s) { atom_and_ar(&s->task.join, ~QUEUE_LOCK); } /* it may be dropped meanwhile */

static void name_own(dump *d, row *r) {
    if (!peek(&r->s->more) && !peek(spawn_why_word(r->s))) return;
    bool pinned = pin(r->s);
    if ((pinned || d->rest) && peek(&r->s->id) == r->id) look_at_more(d, r);
    if (pinned) unpin(r->s);
}

/* ---- collecting --------------------------------------------------------------------------------------- */

static void add_fiber(dump *d, uint32_t parent, weft_fiber *s, uint64_t id) {
    uint32_t i = add_row(d, parent, ROW_FIBER);
    if (i == NONE) return;
    row_at(d, i)->s = s;
    row_at(d, i)->id = id;
}

static bool belongs_to_runtime(const runtime *rt, const weft_fiber *s) {
    return peek(&s->scope) == (uintptr_t)&rt->root || peek_8(&s->asked) & ASKED_DETACHED;
}

/* The runtime's own fibers.  Others are found in their scopes. */
static void visit_block(void *object, void *arg) {
    weft_fiber *s = object;
    dump *d = arg;
    uint64_t id = peek(&s->id);
    if (!id || peek_8(&s->status) > WEFT_STATUS_SUSPENDED) return;
    if (belongs_to_runtime(d->rt, s)) add_fiber(d, 0, s, id);
}

/* The node's lock is held. */
static void add_members(dump *d, const weft__node *n, uint32_t parent) {
    for (weft_fiber *s = n->fibers; s && !d->cut; s = s->in[0]) {
        add_fiber(d, parent, s, atom_load_rlx(&s->id));
        if (!d->cut) look_at_more(d, row_at(d, d->n - 1));
    }
}

static bool is_asleep(const runtime *rt, unsigned i) { return atom_load_rlx(&rt->idle.mask[i / 64]) >> (i % 64) & 1; }

/* Is f on its worker? */
static bool is_running(const runtime *rt, const fiber *f, uint16_t *on) {
    size_t i = (peek(&f->w) - (uintptr_t)rt->workers) / sizeof(worker);
    *on = (uint16_t)i;
    return i < rt->n_workers && peek(&rt->workers[i].running) == (uintptr_t)f;
}

static void look_at_stack(dump *d, row *r) {
    fiber *f = r->f;
    for (fiber *in; (in = (fiber *)peek(&f->drives)) != NULL;) r->f = f = in; /* it waits for what it drives */
    r->waits_for = (const char *)peek(&f->waits_for);
    r->waits_on = (const void *)peek(&f->waits_on);
    r->masked = peek_16(&f->floor) != 0;
    r->locks = peek_32(&f->pub.locks);
    wait_state how = wait_state_of(atom_load_acq(&f->winner));
    if (is_running(d->rt, f, &r->worker))
        r->state = IS_RUNNING;
    else if (how == WAIT_PARKING || how == WAIT_OPEN)
        r->state = IS_WAITING;
    else
        r->state = how == WAIT_RUNNING ? IS_EITHER : IS_READY;
}

static row_kind kind_of(const weft__node *n) {
    if (n->kind != WEFT__BASE) return ROW_NODE;
    return n->outer && n->outer->outer ? ROW_CHILD : ROW_CALL;
}

/* Its outer node's lock is held, and its own. */
static uint32_t add_node(dump *d, weft__node *n, uint32_t parent) {
    row_kind kind = kind_of(n);
    uint32_t i = add_row(d, parent, kind);
    if (i == NONE) return NONE;
    row *r = row_at(d, i);
    if (kind != ROW_NODE) {
        const weft_task *t = (const weft_task *)peek(&node_owner(n)->task);
        r->f = node_owner(n);
        if (t) r->site = (const weft_site *)(peek(&t->site) & ~(uintptr_t)WEFT__SITE_BITS);
        look_at_stack(d, r);
        return i;
    }
    uint64_t state = atom_load_acq(&n->state);
    r->node_kind = n->kind;
    r->shield = n->shield;
    r->live = n->live;
    r->node_state = (uint8_t)(state & (NODE_CANCELLED | NODE_STOPPING));
    if (n->kind == WEFT__SCOPE) note_why(d, r, n->why);
    if (state & NODE_TIMED) {
        const weft__deadline *limit = (const weft__deadline *)(region_of(n) + 1);
        r->deadline = peek(&limit->entered) ? INT64_MAX : (int64_t)peek(&limit->at);
    }
    return i;
}

/* All below `top`, whose lock is held; it is let go. */
static void add_below(dump *d, weft__node *top, uint32_t parent) {
    weft__node *held = top, *n = node_inner(top);
    for (;;) {
        if (n && !d->cut) {
            node_lock(n);
            held = n;
            uint32_t i = add_node(d, n, parent);
            if (i == NONE) continue;
            add_members(d, n, i);
            parent = i;
            n = node_inner(n);
            continue;
        }
        if (held == top) break;
        n = held->next;
        node_unlock(held);
        held = held->outer;
        if (!d->cut) parent = row_at(d, parent)->parent;
    }
    node_unlock(top);
}

/* ---- looking ------------------------------------------------------------------------------------------ */

static void look_at_fiber(dump *d, row *r) {
    weft_fiber *s = r->s;
    r->f = (fiber *)peek(&s->on);
    r->site = (const weft_site *)(peek(&s->task.site) & ~(uintptr_t)WEFT__SITE_BITS);
    r->asked = peek_8(&s->asked);
    r->flags = peek_8(&s->flags);
    weft_status status = peek_8(&s->status);
    if (r->f) {
        look_at_stack(d, r);
        if (r->state == IS_EITHER) r->state = status == WEFT_STATUS_SUSPENDED ? IS_JOINING : IS_READY;
    } else {
        r->state = status == WEFT_STATUS_RUNNING ? IS_RUNNING : IS_UNSTARTED;
    }
    bool moved = r->parent == 0 && !belongs_to_runtime(d->rt, s);
    if (peek(&s->id) != r->id || status > WEFT_STATUS_SUSPENDED || moved) r->state = IS_GONE;
}

/* While something hangs below its base, and that is locked, a fiber does not end. */
static void look_below(dump *d, uint32_t i) {
    row *r = row_at(d, i);
    if (!r->f || r->state == IS_GONE) return;
    node_lock(&r->f->base);
    if (peek(&r->s->id) == r->id && peek(&r->s->on) == (uintptr_t)r->f)
        add_below(d, &r->f->base, i);
    else
        node_unlock(&r->f->base);
}

static void look_at_fibers(dump *d) {
    for (uint32_t i = 1; i < d->n; i++) { /* rows are added meanwhile */
        row *r = row_at(d, i);
        if (r->kind != ROW_FIBER) continue;
        if (r->parent == 0) name_own(d, r);
        look_at_fiber(d, r);
        look_below(d, i);
    }
}

/* ---- who awaits whom ---------------------------------------------------------------------------------- */

static uint32_t *slot_of(const dump *d, const void *block) {
    uint64_t h = (uint64_t)((uintptr_t)block >> 6) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t at = (uint32_t)(h >> 32) & (d->by_block_room - 1);
    while (d->by_block[at] != NONE && row_at(d, d->by_block[at])->s != block) at = (at + 1) & (d->by_block_room - 1);
    return &d->by_block[at];
}

static void index_blocks(dump *d) {
    uint32_t room = 64;
    while (room < d->n * UINT64_C(2) && room < UINT32_C(1) << 31) room *= 2;
    if (!(d->by_block = weft__heap_alloc(room * sizeof *d->by_block, 0))) {
        d->cut = true;
        return;
    }
    d->by_block_room = room;
    memset(d->by_block, 0xff, room * sizeof *d->by_block);
    for (uint32_t i = 1; i < d->n; i++)
        if (row_at(d, i)->kind == ROW_FIBER && row_at(d, i)->state != IS_GONE) *slot_of(d, row_at(d, i)->s) = i;
}

static bool waits(const row *r, const char *what) { return r->waits_for && strcmp(r->waits_for, what) == 0; }

/* Blocks of spawned fibers are found quickly; for others all rows are looked at, once for many that wait for one. */
static uint32_t row_of_fiber(dump *d, const fiber *f) {
    if (f == d->last_holder) return d->last_holder_at;
    uint32_t i = 1;
    while (i < d->n && (row_at(d, i)->f != f || row_at(d, i)->kind == ROW_NODE || row_at(d, i)->state == IS_GONE)) i++;
    d->last_holder = f;
    return d->last_holder_at = i < d->n ? i : NONE;
}

/* Who holds the mutex that r waits for.  The wait is not over before `lookers` is 0 (sched/mutex.c, let_look): until then the
 * mutex is there. */
static uint32_t holder_for(dump *d, row *r) {
    uintptr_t holder = 0;
    atom_add_seq(&d->rt->lookers, 1);
    wait_state how = wait_state_of(atom_load_seq(&r->f->winner));
    bool still = how == WAIT_OPEN && peek(&r->f->waits_for) == (uintptr_t)weft__waits_for_mutex &&
                 peek(&r->f->waits_on) == (uintptr_t)r->waits_on;
    if (still) holder = weft__mutex_holder(r->waits_on);
    atom_sub_seq(&d->rt->lookers, 1);
    uint32_t i = holder ? row_of_fiber(d, (const fiber *)holder) : NONE;
    if (still && i == NONE) d->outside = true; /* nobody: one who was woken is on the way, and at rest that is not one of rt's */
    return i;
}

static uint32_t awaited_by(const dump *d, const row *r) {
    if (!d->by_block_room || !r->waits_on || !(waits(r, "the end of") || waits(r, "the start of"))) return NONE;
    return *slot_of(d, r->waits_on);
}

static bool on_stack(const fiber *f, const void *p) {
    uintptr_t at = (uintptr_t)p;
    return at >= peek(&f->stk.lo) && at + sizeof(weft__node) <= peek(&f->stk.top);
}

/* Two waits open no winner: that for a fiber which runs in one's place, and that for the fibers of a scope. */
static bool waits_unopened(const dump *d, const row *r, uint32_t target) {
    if (target != NONE) {
        const fiber *to = row_at(d, target)->f;
        return !to || peek(&to->then) == (uintptr_t)r->f;
    }
    if (!waits(r, "the fibers of its scope") || !on_stack(r->f, r->waits_on)) return false;
    return peek(&((const weft__node *)r->waits_on)->closing) == (uintptr_t)r->f;
}

static void resolve(dump *d) {
    index_blocks(d);
    for (uint32_t i = 1; i < d->n; i++) {
        row *r = row_at(d, i);
        if (r->state != IS_WAITING && r->state != IS_JOINING && r->state != IS_EITHER) continue;
        if (!r->f) continue;
        uint32_t target = awaited_by(d, r);
        if (r->state != IS_WAITING && waits_unopened(d, r, target)) r->state = IS_WAITING;
        if (r->state == IS_WAITING) r->target = r->waits_for == weft__waits_for_mutex ? holder_for(d, r) : target;
    }
}

/* ---- the runtime's own fibers in the order of their ids ------------------------------------------------ */

static uint32_t merge(const dump *d, uint32_t a, uint32_t b) {
    uint32_t first = NONE, *last = &first;
    while (a != NONE && b != NONE) {
        uint32_t *less = row_at(d, b)->id < row_at(d, a)->id ? &b : &a;
        *last = *less;
        last = &row_at(d, *less)->next;
        *less = *last;
    }
    *last = a != NONE ? a : b;
    return first;
}

/* runs[k]: 2^k rows in order, or none. */
static uint32_t sorted(const dump *d, uint32_t list) {
    uint32_t runs[33], all = NONE;
    memset(runs, 0xff, sizeof runs);
    while (list != NONE) {
        uint32_t one = list, k = 0;
        list = row_at(d, one)->next;
        row_at(d, one)->next = NONE;
        for (; k < 32 && runs[k] != NONE; k++) {
            one = merge(d, runs[k], one);
            runs[k] = NONE;
        }
        runs[k] = one;
    }
    for (unsigned k = 0; k < 33; k++) all = merge(d, runs[k], all);
    return all;
}

/* ---- grouping ----------------------------------------------------------------------------------------- */

static uint64_t likeness(const dump *d, const row *r) {
    uint64_t h = (uintptr_t)r->site;
    uint64_t parts[] = {(uintptr_t)r->waits_for, r->state, r->asked & ASKED_ANY, r->flags, r->masked, r->who};
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
        h = (h ^ parts[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ h >> 29;
    for (const char *c = name_at(d, r->name); *c; c++) h = (h ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    return h;
}

static bool alike(const dump *d, const row *a, const row *b) {
    return a->site == b->site && a->state == b->state && a->flags == b->flags && a->who == b->who &&
           (a->asked & ASKED_ANY) == (b->asked & ASKED_ANY) && a->masked == b->masked && a->locks == b->locks &&
           (a->state != IS_WAITING || a->waits_for == b->waits_for) &&
           strcmp(name_at(d, a->name), name_at(d, b->name)) == 0;
}

static void group_with(dump *d, uint32_t *seen, uint32_t room, uint32_t i) {
    row *r = row_at(d, i);
    if (r->state != IS_WAITING) r->waits_for = NULL;
    uint32_t at = (uint32_t)(likeness(d, r) >> 20) & (room - 1);
    while (seen[at] != NONE && !alike(d, row_at(d, seen[at]), r)) at = (at + 1) & (room - 1);
    if (seen[at] == NONE) {
        seen[at] = i;
        return;
    }
    r->like = seen[at];
    row_at(d, seen[at])->same++;
}

/* The children of row `parent` that have no children.  Without memory nothing is grouped. */
static void group_children(dump *d, uint32_t parent) {
    uint32_t n = 0, room = 16;
    for (uint32_t i = row_at(d, parent)->child; i != NONE; i = row_at(d, i)->next) n++;
    if (n <= ALL_SHOWN) return;
    while (room < n * UINT64_C(2) && room < UINT32_C(1) << 31) room *= 2;
    uint32_t *seen = weft__heap_alloc(room * sizeof *seen, 0);
    if (!seen) return;
    memset(seen, 0xff, room * sizeof *seen);
    for (uint32_t i = row_at(d, parent)->child; i != NONE; i = row_at(d, i)->next)
        if (row_at(d, i)->child == NONE && row_at(d, i)->kind == ROW_FIBER && row_at(d, i)->state != IS_GONE)
            group_with(d, seen, room, i);
    weft__heap_free(seen, room * sizeof *seen);
}

/* ---- collecting everything ---------------------------------------------------------------------------- */

/* What is alive, in rows below row 0. */
static void dump_begin(dump *d, runtime *rt, bool rest) {
    memset(d, 0, offsetof(dump, names));
    d->rt = rt;
    d->rest = rest;
    d->last_name = NULL;
    d->by_block_room = 0;
    d->last_holder = NULL;
    d->outside = false;
    text_begin(&d->names, NULL);
    put_n(&d->names, "", 1);
    if (add_row(d, NONE, ROW_RUNTIME) == NONE) return;
    for (unsigned c = 0; c < SPAWN_CLASSES; c++) weft__slab_each(rt->blocks[c], visit_block, d);
    row_at(d, 0)->child = sorted(d, row_at(d, 0)->child);
    node_lock(&rt->root);
    add_below(d, &rt->root, 0);
    look_at_fibers(d);
    resolve(d);
    for (uint32_t i = 0; i < d->n; i++) group_children(d, i);
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static void put_seconds(text *t, int64_t ns) { put_format(t, "%.9g s", (double)ns / 1e9); }

static void put_row_name(text *t, const dump *d, const row *r) {
    if (r->kind == ROW_CALL) return put(t, row_name(d, r));
    if (r->kind == ROW_FIBER) put_format(t, "%" PRIu64 " ", r->id);
    else put(t, "forked child ");
    put(t, "'");
    put(t, row_name(d, r));
    put(t, "'");
}

static void put_place(text *t, const row *r) {
    if (!r->site || r->kind == ROW_CALL) return;
    put(t, " at ");
    put(t, r->site->file);
    put_format(t, ":%d", r->site->line);
}

static void put_wait(text *t, const dump *d, const row *r) {
    if (waits(r, "sleep")) return put(t, "sleeps");
    put(t, "waits for ");
    put(t, r->waits_for ? r->waits_for : "something");
    if (waits(r, "the fibers of its scope")) return;
    if (r->waits_for == weft__waits_for_mutex) put_format(t, " (%p)", (void *)(uintptr_t)r->waits_on);
    if (r->target != NONE) {
        put(t, r->waits_for == weft__waits_for_mutex ? " held by " : " ");
        put_row_name(t, d, row_at(d, r->target));
    } else if (r->waits_for == weft__waits_for_mutex) {
        return;
    } else if (r->waits_on && r->waits_on != d->rt) {
        put_format(t, " (%p)", (void *)(uintptr_t)r->waits_on);
    }
}

static void put_state(text *t, const dump *d, const row *r) {
    switch ((row_state)r->state) {
    case IS_UNSTARTED: return put(t, "not started");
    case IS_READY: return put(t, "ready to go on");
    case IS_WAITING: return put_wait(t, d, r);
    case IS_JOINING: return put(t, "waits for a forked child");
    case IS_EITHER: return put(t, "ready to go on, or waits for a forked child");
    default: break;
    }
    put(t, "running");
    if (r->f) put_format(t, " on worker %u", r->worker);
}

static void put_why(text *t, const dump *d, const row *r) {
    if (r->who) {
        put_format(t, " by %" PRIu64, r->who);
        if (r->who_name) {
            put(t, " '");
            put(t, name_at(d, r->who_name));
            put(t, "'");
        }
    }
    if (r->why) {
        put(t, ": ");
        put(t, name_at(d, r->why));
    }
}

static void put_fiber(text *t, const dump *d, const row *r) {
    put_row_name(t, d, r);
    put_place(t, r);
    put(t, ": ");
    put_state(t, d, r);
    if (r->flags & SPAWN_DAEMON) put(t, ", daemon");
    if (r->masked) put(t, ", masked");
    if (r->locks) {
        put(t, ", holds ");
        put_counted(t, r->locks, "lock");
    }
    if (!(r->asked & ASKED_ANY)) return;
    put(t, r->asked & ASKED_STOP ? ", asked to stop" : ", asked to stop soon");
    put_why(t, d, r);
}

static void put_deadline(text *t, const dump *d, const row *r) {
    int64_t left = r->deadline - clock_now(d->rt);
    if (left <= 0) return put(t, ", deadline passed");
    put(t, ", deadline in ");
    put_seconds(t, left);
}

static void put_node(text *t, const dump *d, const row *r) {
    static const char *const kinds[] = {"task", "scope", "mask", "restored part of a mask"};
    put(t, r->shield ? "shielded scope" : kinds[r->node_kind & 3]);
    if (r->live) {
        put(t, ": ");
        put_counted(t, r->live, "fiber");
    }
    if (r->deadline != INT64_MAX) put_deadline(t, d, r);
    if (!r->node_state) return;
    put(t, r->node_state & NODE_CANCELLED ? ", cancelled" : ", to be cancelled soon");
    put_why(t, d, r);
}

static void indent(text *t, unsigned depth) {
    static const char blank[] = "                                ";
    for (size_t n = 2 * (size_t)depth; n > 0;) {
        size_t some = n < sizeof blank - 1 ? n : sizeof blank - 1;
        put_n(t, blank, some);
        n -= some;
    }
}

static void put_row(text *t, const dump *d, const row *r, unsigned depth) {
    put(t, "\n");
    indent(t, depth);
    if (r->kind == ROW_NODE) put_node(t, d, r);
    else put_fiber(t, d, r);
    if (r->same <= ALL_SHOWN) return;
    put(t, "\n");
    indent(t, depth);
    put(t, "(and ");
    put_count(t, r->same - 1);
    put(t, " more like this)");
}

static bool is_shown(const dump *d, uint32_t i) {
    const row *r = row_at(d, i);
    return r->state != IS_GONE && (r->like == i || row_at(d, r->like)->same <= ALL_SHOWN);
}

/* Each row before those below it. */
static void put_rows(text *t, const dump *d) {
    unsigned depth = 0;
    uint32_t i = d->n ? row_at(d, 0)->child : NONE;
    while (i != NONE) {
        const row *r = row_at(d, i);
        if (is_shown(d, i)) put_row(t, d, r, depth);
        if (r->child != NONE && r->state != IS_GONE) {
            i = r->child;
            depth++;
            continue;
        }
        for (; i != NONE && i != 0 && row_at(d, i)->next == NONE; depth--) i = row_at(d, i)->parent;
        i = i == NONE || i == 0 ? NONE : row_at(d, i)->next;
    }
}

/* ---- rings -------------------------------------------------------------------------------------------- */

static bool is_below(const dump *d, uint32_t i, uint32_t of) {
    while (i != NONE && i != of) i = row_at(d, i)->parent;
    return i == of;
}

static bool is_closing(const row *r) { return r->state == IS_WAITING && waits(r, "the fibers of its scope"); }

/* Whom i awaits.  One who closes a scope awaits all in it: the first of them on the way from `origin` to i. */
static uint32_t next_in_ring(const dump *d, uint32_t i, uint32_t origin) {
    const row *r = row_at(d, i);
    if (!is_closing(r)) return r->target;
    while (origin != i && !is_below(d, origin, i)) origin = row_at(d, origin)->target;
    return origin == i ? NONE : origin;
}

static void put_ring(text *t, dump *d, uint32_t from, uint32_t origin) {
    uint32_t i = from, n = 0;
    put(t, "\nring: ");
    do {
        if (n++ < RING_SHOWN) {
            put_row_name(t, d, row_at(d, i));
            put(t, " awaits ");
        }
        row_at(d, i)->done = true;
        i = next_in_ring(d, i, origin);
    } while (i != from);
    if (n > RING_SHOWN) put(t, "... ");
    put_row_name(t, d, row_at(d, from));
}

/* The way from origin led to no ring. */
static void give_up_way(dump *d, uint32_t origin) {
    uint32_t i = origin;
    for (; i != NONE && row_at(d, i)->like == origin && !row_at(d, i)->done; i = row_at(d, i)->target)
        row_at(d, i)->done = true;
}

/* From each row on, as far as it leads.  `like`: the last one that came through.  Ways that end at the same closing
 * scope are walked again and again: within bounds. */
static void put_rings(text *t, dump *d) {
    uint64_t steps = UINT64_C(8) * d->n + 1000;
    unsigned rings = 0;
    for (uint32_t i = 0; i < d->n; i++) row_at(d, i)->like = NONE;
    for (uint32_t origin = 1; origin < d->n && rings < RINGS_MOST && steps; origin++) {
        uint32_t i = origin, last = NONE;
        for (; i != NONE && !row_at(d, i)->done && row_at(d, i)->like != origin && steps; steps--) {
            row_at(d, i)->like = origin;
            last = i;
            i = next_in_ring(d, i, origin);
        }
        if (i != NONE && !row_at(d, i)->done && row_at(d, i)->like == origin) {
            put_ring(t, d, i, origin);
            rings++;
        } else if (last != NONE && !is_closing(row_at(d, last))) {
            give_up_way(d, origin);
        }
    }
}

/* ---- the three that are called ------------------------------------------------------------------------ */

static void put_all(text *t, dump *d) {
    put_rows(t, d);
    put_rings(t, d);
    if (d->cut || d->names.cut) put(t, "\n(cut: there was no memory for the rest)");
}

/* Fibers, daemons not counted. */
static uint64_t fibers_left(runtime *rt) {
    uint64_t ended = 0, spawned = 0;
    for (unsigned i = 0; i < rt->n_workers; i++) ended += atom_load_acq(&rt->workers[i].ended);
    for (unsigned i = 0; i < rt->n_workers; i++) spawned += atom_load_rlx(&rt->workers[i].spawned);
    return spawned + atom_load_acq(&rt->foreign_spawned) - ended;
}

static void put_runtime(text *t, runtime *rt) {
    static const char *const clocks[] = {"real", "manual", "automatic"};
    unsigned asleep = 0;
    for (unsigned i = 0; i < rt->n_workers; i++) asleep += is_asleep(rt, i);
    put(t, "runtime: ");
    put_counted(t, rt->n_workers, "worker");
    if (asleep) put_format(t, " (%u asleep)", asleep);
    put_format(t, ", %s clock", clocks[rt->clock]);
    if (clock_virtual(rt)) {
        put(t, " at ");
        put_seconds(t, clock_now(rt));
    }
    put(t, ", ");
    put_counted(t, weft__clock_armed(rt), "timer");
    if (atom_load_seq(&rt->foreign)) {
        put(t, ", ");
        put_counted(t, atom_load_seq(&rt->foreign), "announced call");
        put(t, " outside");
    }
    put(t, "; ");
    put_counted(t, fibers_left(rt), "fiber");
    put(t, " and ");
    put_counted(t, atom_load_acq(&rt->roots), "call");
    put(t, " have not ended");
}

size_t weft__report_waiters(runtime *rt, const char *title) {
    size_t left = (size_t)fibers_left(rt) + atom_load_acq(&rt->roots);
    if (!rt->on_report) return left;
    fiber *f = thread_fiber();
    dump d;
    text t;
    text_begin(&t, NULL);
    put(&t, title);
    dump_begin(&d, rt, f && f->w->rt == rt);
    put_all(&t, &d);
    if (t.cut) memcpy(t.at + t.n - 6, "\n(cut)", 6);
    rt->on_report(rt->hook_arg, t.at);
    text_end(&t);
    dump_end(&d);
    return left;
}

/* Its wait was won, and it is not ready: whoever has won it is about to make it so. */
static bool is_on_the_way(const row *r) {
    return r->f && r->kind != ROW_NODE && r->state != IS_GONE && wait_state_of(atom_load_acq(&r->f->winner)) >= WAIT_WOKEN;
}

bool weft__waits_outside(runtime *rt) {
    dump d;
    dump_begin(&d, rt, true);
    bool outside = d.outside;
    for (uint32_t i = 1; i < d.n && !outside; i++) outside = is_on_the_way(row_at(&d, i));
    dump_end(&d);
    return outside;
}

static weft_err write_dump(FILE *out, runtime *rt) {
    fiber *f = thread_fiber();
    dump d;
    text t;
    dump_begin(&d, rt, f && f->w->rt == rt && rt->n_workers == 1);
    text_begin(&t, out);
    put_runtime(&t, rt);
    put_all(&t, &d);
    put(&t, "\n");
    text_flush(&t);
    fflush(out);
    text_end(&t);
    weft_err err = d.cut || d.names.cut || t.cut ? WEFT_E_NOMEM : WEFT_OK;
    dump_end(&d);
    return err;
}

weft_err weft_dump(FILE *out) { return weft_dump_runtime(out, NULL); }

weft_err weft_dump_runtime(FILE *out, weft_runtime *handle) {
    fiber *f = thread_fiber();
    if (!out || (!handle && !f)) return WEFT_E_INVALID;
    if (!handle) return write_dump(out, f->w->rt);
    runtime *rt = weft__registry_enter(handle);
    if (!rt) return WEFT_E_CLOSED;
    weft_err err = write_dump(out, rt);
    weft__registry_leave(handle);
    return err;
}

/* A forked child's descriptor lies in a frame that nothing holds: it is not followed. */
static const char *name_of_running(const runtime *rt, const fiber *f) {
    static __thread char name[WEFT_CAUSE_NAME_MAX + 1];
    weft_fiber *s = (weft_fiber *)peek(&f->self);
    if (!s) return peek(&f->base.outer) == (uintptr_t)&rt->root ? "main task" : "a forked child";
    const char *text = ((const weft_site *)(peek(&s->task.site) & ~(uintptr_t)WEFT__SITE_BITS))->name;
    bool pinned = peek(&s->more) && pin(s);
    spawn_more *m = pinned ? (spawn_more *)peek(&s->more) : NULL;
    if (m && peek(&m->name)) text = (const char *)peek(&m->name);
    peek_text(name, sizeof name, text);
    if (pinned) unpin(s);
    return name;
}

const char *weft__busy_name(runtime *rt) {
    for (unsigned i = 0; i < rt->n_workers; i++) {
        const fiber *f = is_asleep(rt, i) ? NULL : (const fiber *)peek(&rt->workers[i].running);
        if (f && peek(&f->task)) return name_of_running(rt, f);
    }
    return "something that could not be seen";
}
