/* alloc/remote_list.h -- a list that anyone pushes to and one owner empties.
 *
 * Needs nothing but alloc/atomic.h, so that a model checker can include it.
 *
 *   head -> newest -> ... -> oldest -> NULL        push: any thread     drain: the owner
 *
 * A push retries only when another push or a drain changed the head in between: with n concurrent
 * operations at most n times, so the loop is bounded where threads are.  The owner takes everything at
 * once, so no node is compared by address while it may be gone and back: no ABA, no counter, no hazard.
 *
 * Rejected: exchange first and link afterwards (a push without a loop, but a drain may meet a link
 * that is not written yet and must wait for a thread that may not be running).
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_REMOTE_LIST_H
#define WEFT_ALLOC_REMOTE_LIST_H

#include "alloc/atomic.h"
#include <stddef.h>

/* The first bytes of a free object.  Not atomic: written by the pusher before R2, read by the owner
 * after D1. */
typedef struct remote_node {
    struct remote_node *next;
} remote_node;

typedef struct remote_list {
    _Atomic(remote_node *) head;
} remote_list;

/* Any thread; the node is the caller's.
 *   R1 load head, relaxed   only a guess for R2: what it points to is not read here.
 *   R2 CAS head, release    with D1: the node's link and all that the pusher did with the object.
 *                           Without it the owner could read a link from before the push, and hand
 *                           out memory that the pusher's last writes still reach.
 *                           A CAS continues the release sequences of earlier pushes, so one D1 pairs
 *                           with every R2 since the last drain: on failure nothing more is needed. */
static inline void remote_push(remote_list *l, remote_node *node) {
    remote_node *first = atom_load_rlx(&l->head); /* R1 */
    do {
        node->next = first;
    } while (!atom_cas_rel(&l->head, &first, node)); /* R2 */
}

/* Owner only: everything pushed so far, newest first; NULL when there is nothing.
 *   D0 load head, relaxed       a hint that spares an exchange on an empty list; a push it misses
 *                               is found by the next drain.
 *   D1 exchange head, acquire   with R2 of all nodes taken.  Its store of NULL needs no release: a
 *                               pusher that reads NULL reads nothing through it. */
static inline remote_node *remote_drain(remote_list *l) {
    if (!atom_load_rlx(&l->head)) return NULL;        /* D0 */
    return atom_xchg_acq(&l->head, (remote_node *)0); /* D1 */
}

#endif
