/* sched/cause.h -- cause trees: made, combined, counted, walked.
 *
 * A reference is a right to read the tree below a node.  Functions that combine take over the caller's references of
 * their arguments and return one of the result, whatever happens; NULL is an absent part.  Static nodes (bytes == 0)
 * are never counted and never written.  An allocated node is not written while anybody else has a reference.
 *
 * Bounds: WEFT_CAUSE_NODES_MAX nodes, texts and names cut.  What does not fit is the newer part, as a whole; its
 * leaves are counted in `dropped`.  Notes that do not fit are not counted.
 *
 * No memory: a leaf becomes a static one that says so.  A combination is its older part, with the other dropped, and
 * counted if the node can be written without a copy.
 *
 * Any thread.  Nothing here suspends, nothing recurses; the most stack is a walk's, some 600 bytes.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_CAUSE_H
#define WEFT_SCHED_CAUSE_H

#include <stdarg.h>
#include <weft/exit.h>

/* Leaves.  Texts and names are copied, file must live as long as the program.  A NULL text is "". */
const weft_cause *weft__cause_leaf(weft_cause_kind kind, int code, const char *text, const char *file, int line);
const weft_cause *weft__cause_interrupt(uint64_t who, const char *who_name, const char *reason, const char *file,
                                        int line);
/* A copy of the static leaf with another text; without memory, that leaf. */
__attribute__((format(printf, 3, 0))) const weft_cause *
weft__cause_format(const weft_cause *unformatted, int code, const char *format, va_list args);
/* A static node has no code, since that is known to its exit only: this gives a FAIL or DIE without one its own. */
const weft_cause *weft__cause_with_code(const weft_cause *c, int code);

const weft_cause *weft__cause_both(const weft_cause *a, const weft_cause *b);
const weft_cause *weft__cause_then(const weft_cause *a, const weft_cause *b);
/* BOTH or THEN of a and b, both there; keep_second says which stays if only one can. */
const weft_cause *weft__cause_join(weft_cause_kind kind, const weft_cause *a, const weft_cause *b, bool keep_second);
const weft_cause *weft__cause_note(const weft_cause *c, const char *text, const char *file, int line);

const weft_cause *weft__cause_keep(const weft_cause *c); /* returns c */
void weft__cause_drop(const weft_cause *c);
unsigned weft__cause_leaves(const weft_cause *c);

static inline bool cause_is_leaf(const weft_cause *c) { return c->kind <= WEFT_CAUSE_INTERRUPT; }

/* ---- walking in the order of reading -------------------------------------------------------------------
 * THEN and NOTE come twice: before their first part (AT), and after it (AFTER).  A BOTH that is part of a BOTH is
 * JOINED: its parts stand among those of the outer one.  Each node has at most one entry, so there is room. */
typedef enum cause_visit_kind { CAUSE_AT, CAUSE_AFTER, CAUSE_JOINED } cause_visit_kind;

typedef struct cause_visit {
    const weft_cause *cause;
    unsigned depth; /* indentation */
    cause_visit_kind kind;
} cause_visit;

typedef struct cause_walk {
    unsigned n;
    uint8_t how[WEFT_CAUSE_NODES_MAX]; /* {depth:6 | kind:2}: deeper is BOTH's parts and THEN's second, 31 at most */
    const weft_cause *todo[WEFT_CAUSE_NODES_MAX];
} cause_walk;

void weft__cause_walk(cause_walk *w, const weft_cause *root); /* root may be NULL */
bool weft__cause_next(cause_walk *w, cause_visit *out);       /* false: no more */

#endif
