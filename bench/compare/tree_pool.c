/* bench/compare/tree_pool.c -- the same walk as people write it with threads: a pool, one queue, a lock.
 * The queue is last in, first out, so that it stays short.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdlib.h>

#include "tree.h"

typedef struct pool {
    pthread_mutex_t lock;
    pthread_cond_t more; /* something to do, or all is done */
    tree_at *queue;
    size_t count, room;
    unsigned busy; /* threads that work on an entry and may still queue others */
    tree_sum sum;
} pool;

/* pre: p->lock is held. */
static void push(pool *p, tree_at at) {
    if (p->count == p->room) {
        p->room = p->room ? 2 * p->room : 1024;
        p->queue = realloc(p->queue, p->room * sizeof *p->queue);
        if (!p->queue) fail("tree: not enough memory for a queue of %zu entries", p->room);
    }
    p->queue[p->count++] = at;
}

/* An entry is done, and found to be directory `l` if that is not NULL.  pre: p->lock is held. */
static void finish(pool *p, tree_at done, tree_listing *l) {
    uint32_t found = l ? l->count : 0;
    for (uint32_t i = 0; i < found; i++) push(p, (tree_at){done.t, l, i});
    if (l && found == 0) tree_listing_free(l);
    if (done.in && --done.in->left == 0) tree_listing_free(done.in);
    p->busy--;
    if (found > 0 || (p->busy == 0 && p->count == 0)) pthread_cond_broadcast(&p->more);
}

static void *work(void *arg) {
    pool *p = arg;
    tree_sum sum = {0};
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->count == 0 && p->busy > 0) pthread_cond_wait(&p->more, &p->lock);
        if (p->count == 0) break;
        tree_at at = p->queue[--p->count];
        p->busy++;
        pthread_mutex_unlock(&p->lock);
        tree_listing *l = tree_enter(at, &sum);
        pthread_mutex_lock(&p->lock);
        finish(p, at, l);
    }
    tree_add(&p->sum, &sum);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

uint64_t tree_threads_round(job *j) {
    tree *t = j->data;
    pthread_t thread[WORKERS_MAX];
    pool p = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};
    unsigned started = 0;
    push(&p, (tree_at){.t = t});
    while (started < j->m->workers && pthread_create(&thread[started], NULL, work, &p) == 0) started++;
    for (unsigned i = 0; i < started; i++) pthread_join(thread[i], NULL);
    if (started < j->m->workers) j->error = "not that many threads can be started here";
    free(p.queue);
    return tree_finish(j, &p.sum);
}
