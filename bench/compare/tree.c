/* bench/compare/tree.c -- the walk, by plain calls, by fork and join, by spawn and await.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/serial.h"

BENCH_SERIAL tree_sum visit(tree_at at) {
    tree_sum sum = {0};
    tree_listing *l = tree_enter(at, &sum);
    if (!l) return sum;
    for (uint32_t i = 0; i < l->count; i++) {
        tree_sum below = visit((tree_at){at.t, l, i});
        tree_add(&sum, &below);
    }
    tree_listing_free(l);
    return sum;
}

static tree_sum visit_forked(tree_at at);
WEFT_TASK(visit_forked, tree_sum, tree_at);

/* A directory may have any number of entries, so their descriptors are on the heap. */
static tree_sum visit_forked(tree_at at) {
    tree_sum sum = {0};
    tree_listing *l = tree_enter(at, &sum);
    if (!l) return sum;
    visit_forked_task *child = malloc((l->count + !l->count) * sizeof *child);
    if (!child) fail("tree: not enough memory for %u tasks", l->count);
    for (uint32_t i = 0; i < l->count; i++) weft_fork(&child[i], visit_forked, at.t, l, i);
    for (uint32_t i = l->count; i-- > 0;) {
        tree_sum below = weft_join(&child[i], visit_forked);
        tree_add(&sum, &below);
    }
    free(child);
    tree_listing_free(l);
    return sum;
}

static tree_sum visit_spawned(tree_at at);
WEFT_TASK(visit_spawned, tree_sum, tree_at);

/* Suspends in await only, when the directory is listed and closed. */
static tree_sum visit_spawned(tree_at at) {
    tree_sum sum = {0};
    tree_listing *l = tree_enter(at, &sum);
    if (!l) return sum;
    visit_spawned_fiber *child = malloc((l->count + !l->count) * sizeof *child);
    if (!child) fail("tree: not enough memory for %u fibers", l->count);
    for (uint32_t i = 0; i < l->count; i++) must(weft_spawn(&child[i], visit_spawned, at.t, l, i));
    for (uint32_t i = 0; i < l->count; i++) {
        tree_sum below;
        must(weft_await(child[i], visit_spawned, &below));
        weft_drop(child[i]);
        tree_add(&sum, &below);
    }
    free(child);
    tree_listing_free(l);
    return sum;
}

uint64_t tree_finish(job *j, const tree_sum *sum) {
    tree *t = j->data;
    t->sum = *sum;
    t->naming = false;
    j->tasks = sum->entries;
    j->input_changed_ns = sum->newest_ns;
    return sum->digest;
}

static uint64_t direct_round(job *j) {
    tree_sum sum = visit((tree_at){.t = j->data});
    return tree_finish(j, &sum);
}

static uint64_t fork_round(job *j) {
    tree_sum sum = visit_forked((tree_at){.t = j->data});
    return tree_finish(j, &sum);
}

static uint64_t fiber_round(job *j) {
    tree_sum sum = visit_spawned((tree_at){.t = j->data});
    return tree_finish(j, &sum);
}

const workload work_tree = {
    .name = "tree",
    .task = "a directory entry",
    .hexadecimal = true,
    .may_change = true,
    .round = {[MODE_DIRECT] = direct_round,
              [MODE_FORK] = fork_round,
              [MODE_FIBER] = fiber_round,
              [MODE_THREADS] = tree_threads_round},
};

static bool is_empty(int fd) {
    bool empty = true;
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = again < 0 ? NULL : fdopendir(again);
    if (!d) return false;
    for (struct dirent *e; empty && (e = readdir(d));)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    closedir(d);
    return empty;
}

void tree_open(tree *t, const char *path) {
    *t = (tree){.lock = PTHREAD_MUTEX_INITIALIZER, .naming = true};
    t->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->root < 0) {
        complain("cannot read --input %s: %s", *path ? path : "\"\"", strerror(errno));
        exit(2);
    }
    if (is_empty(t->root)) {
        complain("--input %s is empty: there is nothing to compare", path);
        exit(2);
    }
}

void tree_close(tree *t) {
    for (tree_reader *r; (r = t->free_readers);) {
        t->free_readers = r->next;
        free(r->path);
        free(r);
    }
    for (size_t i = 0; i < t->unreadable_count; i++) free(t->unreadable[i].path);
    free(t->unreadable);
    close(t->root);
}
