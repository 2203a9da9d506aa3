/* sched/item.h -- what run queues hold: an unstarted task or a suspended fiber, told apart by the low bit.
 *
 * An item is on at most one queue, linked through itself, so that making something ready never allocates: a task
 * through `older` and `newer`, which link a forked child to its siblings and mean nothing in other tasks; a fiber through
 * `links`.  The links belong to whoever holds the item: the queue's owner, or the pusher until the push.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_SCHED_ITEM_H
#define WEFT_SCHED_ITEM_H

#include "sched/fiber.h"
#include <stddef.h>

typedef uintptr_t item; /* 0: none */

static inline item item_of_task(weft_task *t) { return (item)t; }
static inline item item_of_fiber(fiber *f) { return (item)f | 1; }
static inline weft_task *item_task(item i) { return i & 1 ? NULL : (weft_task *)i; }
static inline fiber *item_fiber(item i) { return i & 1 ? (fiber *)(i & ~(item)1) : NULL; }

typedef struct item_links {
    item next, prev;
} item_links;

_Static_assert(offsetof(weft_task, newer) == offsetof(weft_task, older) + sizeof(void *), "two links in a row");

static inline item_links *item_link(item i) {
    return i & 1 ? (item_links *)((fiber *)(i & ~(item)1))->links : (item_links *)&((weft_task *)i)->older;
}

/* First in, first out, but any item can be taken out of the middle; one thread. */
typedef struct fifo {
    item first, last;
    unsigned n;
} fifo;

static inline void fifo_push(fifo *q, item i) {
    item_links *l = item_link(i);
    l->next = 0;
    l->prev = q->last;
    if (q->n++ == 0)
        q->first = i;
    else
        item_link(q->last)->next = i;
    q->last = i;
}

static inline void fifo_push_first(fifo *q, item i) {
    item_links *l = item_link(i);
    l->prev = 0;
    l->next = q->n ? q->first : 0;
    if (q->n++ == 0)
        q->last = i;
    else
        item_link(q->first)->prev = i;
    q->first = i;
}

/* pre: i is in q. */
static inline void fifo_remove(fifo *q, item i) {
    item_links *l = item_link(i);
    if (q->first == i)
        q->first = l->next;
    else
        item_link(l->prev)->next = l->next;
    if (q->last == i)
        q->last = l->prev; /* means nothing if i was the only one: n says so */
    else
        item_link(l->next)->prev = l->prev;
    q->n--;
}

/* The one that came last.  pre: n != 0. */
static inline item fifo_pop_last(fifo *q) {
    item i = q->last;
    q->last = item_link(i)->prev; /* means nothing if i was the only one */
    q->n--;
    return i;
}

static inline item fifo_pop(fifo *q) {
    if (q->n == 0) return 0;
    item i = q->first;
    q->first = item_link(i)->next;
    q->n--;
    return i;
}

#endif
