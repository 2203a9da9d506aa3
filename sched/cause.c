/* sched/cause.c -- cause trees: immutable, shared by reference count, of bounded size.
 *
 * Concepts
 *   leaf     one thing that happened: FAIL, DIE, INTERRUPT
 *   node     a leaf, or BOTH, THEN (two parts), NOTE (one part)
 *   block    the memory of an allocated node: the node, its count, its copied texts
 *   static   a node in the program's image: bytes == 0, never counted, never written
 *
 * nodes == 1 + first->nodes + second->nodes <= WEFT_CAUSE_NODES_MAX.  A part that is shared counts in each place, so
 * this also bounds a walk.  dropped of a node is about the whole tree below it: what its parts lost, and what it did.
 *
 * The count.  keep is relaxed: who keeps has a reference already, so the count cannot reach 0 meanwhile, and nothing is
 * read because of it.  drop is acquire and release: the release hands over this owner's last reads of the node, and
 * whoever brings the count to 0 acquires them all before it frees.  Finding the count at 1 (alone) acquires for the
 * same reason, before a write; nobody else can raise it then, since the only reference is the caller's.
 *
 * Rejected: causes in the arena of a scope, without counts: an exit moves up through scopes that end before it, and
 * would be copied at each.  Rejected: an array of leaves instead of a tree: a finalizer's error belongs to the failure
 * it followed, and a note to what it is about.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/cause.h"
#include "alloc/atomic.h"
#include "alloc/heap.h"
#include <stdio.h>
#include <string.h>

typedef struct block {
    weft_cause cause;
    union {
        _Atomic uint32_t refs;
        struct block *next; /* once refs is 0: the list of those to be freed */
    };
    char text[];
} block;

_Static_assert(sizeof(weft_cause) == 64, "one cache line for each place that fails");
_Static_assert(offsetof(block, cause) == 0, "a node is its block");
_Static_assert(sizeof(block) + WEFT_CAUSE_TEXT_MAX + WEFT_CAUSE_NAME_MAX + 2 <= UINT16_MAX, "bytes has 16 bits");
_Static_assert(WEFT_CAUSE_NODES_MAX <= 64, "a depth has 6 bits");

/* In place of a leaf there was no memory for. */
#define NO_MEMORY(kind) [kind] = WEFT__CAUSE_AT(kind, "(no memory was left to record why)", NULL, 0)
static const weft_cause no_memory[] = {
    NO_MEMORY(WEFT_CAUSE_FAIL),
    NO_MEMORY(WEFT_CAUSE_DIE),
    NO_MEMORY(WEFT_CAUSE_INTERRUPT),
};

/* Only of an allocated node. */
static block *block_of(const weft_cause *c) { return (block *)(uintptr_t)c; }

/* ---- counting ----------------------------------------------------------------------------------------- */

const weft_cause *weft__cause_keep(const weft_cause *c) {
    if (c && c->bytes) atom_add_rlx(&block_of(c)->refs, 1);
    return c;
}

static void release(const weft_cause *c, block **dead) {
    if (!c || !c->bytes) return;
    block *b = block_of(c);
    if (atom_sub_ar(&b->refs, 1) != 1) return;
    b->next = *dead;
    *dead = b;
}

/* The dead are linked through themselves: no recursion. */
void weft__cause_drop(const weft_cause *c) {
    block *dead = NULL;
    release(c, &dead);
    while (dead) {
        block *b = dead;
        dead = b->next;
        release(b->cause.first, &dead);
        release(b->cause.second, &dead);
        weft__heap_free(b, b->cause.bytes);
    }
}

static bool alone(const weft_cause *c) { return c->bytes && atom_load_acq(&block_of(c)->refs) == 1; }

/* ---- making ------------------------------------------------------------------------------------------- */

/* How many bytes of text are copied: a character of several bytes is not cut. */
static size_t fitting(const char *text, size_t most) {
    size_t n = strnlen(text, most + 1);
    if (n <= most) return n;
    for (n = most; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;) n--;
    return n;
}

/* `tail` bytes of zeroes for texts follow the node. */
static block *block_new(const weft_cause *node, size_t tail) {
    size_t bytes = sizeof(block) + tail;
    block *b = weft__heap_alloc(bytes, 0);
    if (!b) return NULL;
    b->cause = *node;
    b->cause.bytes = (uint16_t)bytes;
    atom_store_rlx(&b->refs, 1);
    return b;
}

/* With copies of text and name, which may be NULL. */
static const weft_cause *node_new(const weft_cause *node, const char *text, const char *name) {
    if (!text) text = "";
    size_t text_n = fitting(text, WEFT_CAUSE_TEXT_MAX), name_n = name ? fitting(name, WEFT_CAUSE_NAME_MAX) : 0;
    block *b = block_new(node, text_n + 1 + (name ? name_n + 1 : 0));
    if (!b) return NULL;
    b->cause.text = memcpy(b->text, text, text_n);
    if (name) b->cause.who_name = memcpy(b->text + text_n + 1, name, name_n);
    return &b->cause;
}

const weft_cause *weft__cause_leaf(weft_cause_kind kind, int code, const char *text, const char *file, int line) {
    weft_cause node = {.file = file, .line = line, .code = code, .kind = (uint8_t)kind, .nodes = 1};
    const weft_cause *c = node_new(&node, text, NULL);
    return c ? c : &no_memory[kind];
}

const weft_cause *weft__cause_interrupt(uint64_t who, const char *who_name, const char *reason, const char *file,
                                        int line) {
    weft_cause node = {.file = file, .line = line, .kind = WEFT_CAUSE_INTERRUPT, .nodes = 1, .who = who};
    const weft_cause *c = node_new(&node, reason, who_name);
    return c ? c : &no_memory[WEFT_CAUSE_INTERRUPT];
}

/* The text is made in place: no buffer on a small stack. */
const weft_cause *weft__cause_format(const weft_cause *unformatted, int code, const char *format, va_list args) {
    block *b = block_new(unformatted, WEFT_CAUSE_TEXT_MAX + 1);
    if (!b) return unformatted;
    int n = vsnprintf(b->text, WEFT_CAUSE_TEXT_MAX + 1, format, args);
    if (n >= 0) b->cause.text = b->text;
    b->cause.code = code;
    return &b->cause;
}

/* ---- copying ------------------------------------------------------------------------------------------ */

/* A text of old's own block becomes one of the new block. */
static const char *moved(const char *text, const weft_cause *old, block *b) {
    uintptr_t at = (uintptr_t)text - (uintptr_t)old;
    return at < old->bytes ? (const char *)b + at : text;
}

/* A node that may be written, with the caller's reference of c gone into it; NULL, and nothing done, without memory. */
static weft_cause *writable(const weft_cause *c) {
    if (alone(c)) return &block_of(c)->cause;
    block *b = block_new(c, c->bytes ? c->bytes - sizeof(block) : 0);
    if (!b) return NULL;
    if (c->bytes) memcpy(b->text, block_of(c)->text, c->bytes - sizeof(block));
    b->cause.text = moved(c->text, c, b);
    b->cause.who_name = moved(c->who_name, c, b);
    weft__cause_keep(c->first);
    weft__cause_keep(c->second);
    weft__cause_drop(c);
    return &b->cause;
}

const weft_cause *weft__cause_with_code(const weft_cause *c, int code) {
    if (c->code || !code || c->kind > WEFT_CAUSE_DIE) return c;
    weft_cause *own = writable(c);
    if (!own) return c;
    own->code = code;
    return own;
}

static uint32_t sum(uint32_t a, uint32_t b) { return a > UINT32_MAX - b ? UINT32_MAX : a + b; }

/* c, which loses `part`.  Without memory for a copy it is lost uncounted. */
static const weft_cause *without(const weft_cause *c, const weft_cause *part) {
    uint32_t lost = sum(weft__cause_leaves(part), part->dropped);
    weft__cause_drop(part);
    weft_cause *own = writable(c);
    if (!own) return c;
    own->dropped = sum(own->dropped, lost);
    return own;
}

/* ---- combining ---------------------------------------------------------------------------------------- */

const weft_cause *weft__cause_join(weft_cause_kind kind, const weft_cause *a, const weft_cause *b, bool keep_second) {
    unsigned nodes = 1u + a->nodes + b->nodes;
    if (nodes <= WEFT_CAUSE_NODES_MAX) {
        weft_cause node = {.text = "", .kind = (uint8_t)kind, .nodes = (uint8_t)nodes, .first = a, .second = b};
        node.dropped = sum(a->dropped, b->dropped);
        block *joined = block_new(&node, 0);
        if (joined) return &joined->cause;
    }
    return keep_second ? without(b, a) : without(a, b);
}

const weft_cause *weft__cause_both(const weft_cause *a, const weft_cause *b) {
    return a && b ? weft__cause_join(WEFT_CAUSE_BOTH, a, b, false) : a ? a : b;
}

const weft_cause *weft__cause_then(const weft_cause *a, const weft_cause *b) {
    return a && b ? weft__cause_join(WEFT_CAUSE_THEN, a, b, false) : a ? a : b;
}

const weft_cause *weft__cause_note(const weft_cause *c, const char *text, const char *file, int line) {
    if (!c || c->nodes == WEFT_CAUSE_NODES_MAX) return c;
    weft_cause node = {.file = file, .line = line, .dropped = c->dropped, .kind = WEFT_CAUSE_NOTE, .first = c};
    node.nodes = (uint8_t)(c->nodes + 1);
    const weft_cause *note = node_new(&node, text, NULL);
    return note ? note : c;
}

/* ---- walking ------------------------------------------------------------------------------------------ */

static void push(cause_walk *w, const weft_cause *c, unsigned depth, cause_visit_kind kind) {
    if (!c || w->n == WEFT_CAUSE_NODES_MAX) return;
    w->todo[w->n] = c;
    w->how[w->n++] = (uint8_t)(depth << 2 | kind);
}

/* A part of a BOTH at `depth`. */
static void push_part(cause_walk *w, const weft_cause *c, unsigned depth) {
    bool joined = c && c->kind == WEFT_CAUSE_BOTH;
    push(w, c, joined ? depth : depth + 1, joined ? CAUSE_JOINED : CAUSE_AT);
}

void weft__cause_walk(cause_walk *w, const weft_cause *root) {
    w->n = 0;
    push(w, root, 0, CAUSE_AT);
}

bool weft__cause_next(cause_walk *w, cause_visit *out) {
    if (w->n == 0) return false;
    const weft_cause *c = w->todo[--w->n];
    *out = (cause_visit){c, w->how[w->n] >> 2, (cause_visit_kind)(w->how[w->n] & 3)};
    if (c->kind == WEFT_CAUSE_BOTH) {
        push_part(w, c->second, out->depth);
        push_part(w, c->first, out->depth);
    } else if (!cause_is_leaf(c) && out->kind == CAUSE_AT) {
        push(w, c, out->depth, CAUSE_AFTER);
        push(w, c->first, out->depth, CAUSE_AT);
    } else if (c->kind == WEFT_CAUSE_THEN) {
        push(w, c->second, out->depth + 1, CAUSE_AT);
    }
    return true;
}

unsigned weft__cause_leaves(const weft_cause *c) {
    cause_walk w;
    cause_visit v;
    unsigned n = 0;
    for (weft__cause_walk(&w, c); weft__cause_next(&w, &v);) n += cause_is_leaf(v.cause);
    return n;
}

bool weft_cause_has(const weft_cause *cause, weft_cause_kind kind) {
    cause_walk w;
    cause_visit v;
    for (weft__cause_walk(&w, cause); weft__cause_next(&w, &v);)
        if (v.cause->kind == kind) return true;
    return false;
}
