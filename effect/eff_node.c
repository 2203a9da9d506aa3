/* effect/eff_node.c -- what nodes and stacks look like from outside: names, children, what is pending.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/eff_frame.h"

const char *weft__eff_kind_name(unsigned kind) {
    static const char *const names[] = {
        "?",         "succeed",  "fail",      "exit",         "call",    "perform", "from_promise", "sleep",    "never",
        "suspend",   "map",      "map", "map_with",  "flat_map",     "tap",     "map_error", "catch_all",  "fold",     "zip",
        "zip_par",   "race",     "any",       "for_each_par", "timeout", "retry",   "repeat",       "ensuring", "on_interrupt",
        "acquire_release", "provide", "uninterruptible", "restore", "memoise", "annotate", "now"};
    _Static_assert(sizeof names / sizeof *names == WEFT__EFF_KINDS, "a name for each kind");
    return kind < WEFT__EFF_KINDS ? names[kind] : names[0];
}

size_t weft__eff_children(const weft_eff_node *n, eff_ref *out, size_t most) {
    eff_ref two[2] = {n->a, 0};
    const eff_ref *from = two;
    size_t count = n->a != 0;
    switch (n->kind) {
    case WEFT__EFF_ZIP:
    case WEFT__EFF_ZIP_PAR:
    case WEFT__EFF_ENSURING:
    case WEFT__EFF_ON_INTERRUPT: two[1] = n->u.two.b, count = 2; break;
    case WEFT__EFF_RACE:
    case WEFT__EFF_ANY: from = n->u.leaf.with, count = n->count; break;
    default: break;
    }
    for (size_t i = 0; i < count && i < most; i++) out[i] = from[i];
    return count;
}

bool weft__eff_pending_next(weft__eff_pending *p) {
    for (;;) {
        uintptr_t word = *--p->at;
        if (!(word & EFF_FRAME)) {
            p->node = eff_node(word & ~(uintptr_t)EFF_INDEXED);
            p->state = word & EFF_INDEXED ? (unsigned)*--p->at : EFF_FIRST;
            return true;
        }
        const eff_frame *f = (const eff_frame *)(word & ~(uintptr_t)EFF_FRAME);
        if (f->n.kind == EFF_BOTTOM) return false;
        p->at = f->below;
        p->node = &f->n;
        p->state = f->state;
        if (f->n.kind < WEFT__EFF_KINDS) return true;
    }
}
