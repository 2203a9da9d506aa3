/* bench/compare/tree.h -- the workload `tree`: read and digest every file below a directory.
 *
 * A task is a directory entry.  Its digest mixes its path below the root, its kind and, for a regular file,
 * its content; the answer is the sum of them all, which does not depend on the order.  Symbolic links are
 * not followed; devices, pipes and sockets are not opened; what cannot be read is counted and named.
 *
 * Bounded by construction: a directory is closed as soon as it is listed and files are opened by their path
 * below the root, so no more than two descriptors are open for each thread; a file is read in pieces into
 * a buffer that is not on the stack.  The functions of tree_list.c and tree_digest.c never suspend, so a
 * buffer is never held across a switch.
 *
 * An entry that is gone when its turn comes is neither counted nor digested.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef COMPARE_TREE_H
#define COMPARE_TREE_H

#include <pthread.h>
#include <stdint.h>

#include "compare.h"

enum { TREE_DEPTH_MAX = 4096, TREE_CHUNK = 256 * 1024 };

/* What a subtree comes to. */
typedef struct tree_sum {
    uint64_t digest, bytes;
    int64_t newest_ns; /* when the last change was made to any of it, of the real-time clock */
    uint32_t entries, files, directories, links, special, unreadable, vanished;
} tree_sum;

static inline void tree_add(tree_sum *to, const tree_sum *s) {
    to->digest += s->digest;
    to->bytes += s->bytes;
    if (to->newest_ns < s->newest_ns) to->newest_ns = s->newest_ns;
    to->entries += s->entries;
    to->files += s->files;
    to->directories += s->directories;
    to->links += s->links;
    to->special += s->special;
    to->unreadable += s->unreadable;
    to->vanished += s->vanished;
}

typedef struct tree_name {
    uint32_t offset;    /* in names */
    unsigned char type; /* DT_REG and so on, as readdir said */
} tree_name;

/* A directory, listed and closed. */
typedef struct tree_listing {
    char *path; /* below the root, "" for the root itself */
    uint32_t count, room;
    tree_name *entries;
    char *names;
    size_t names_bytes, names_room;
    int depth;
    uint32_t left; /* tree_pool.c: entries not done yet */
} tree_listing;

/* Buffers of somebody who is reading. */
typedef struct tree_reader {
    struct tree_reader *next;
    char *path;
    size_t path_room;
    unsigned char chunk[TREE_CHUNK];
} tree_reader;

typedef struct tree_unreadable {
    char *path;
    int error;
} tree_unreadable;

typedef struct tree {
    int root;     /* descriptor */
    tree_sum sum; /* of the last round */
    pthread_mutex_t lock;
    tree_reader *free_readers; /* under lock, as all below */
    bool naming;               /* a pass notes what it cannot read; the first one does */
    tree_unreadable *unreadable;
    size_t unreadable_count, unreadable_room;
} tree;

/* An entry; `in` is NULL for the root. */
typedef struct tree_at {
    tree *t;
    tree_listing *in;
    uint32_t index;
} tree_at;

/* tree.c.  Prints and exits with 2 if `path` is no readable directory, or an empty one. */
void tree_open(tree *t, const char *path);
void tree_close(tree *t);

/* What a round that came to *sum leaves in the job; returns its answer. */
uint64_t tree_finish(job *j, const tree_sum *sum);

/* tree_list.c: the entry itself: adds it to *sum; a directory's listing, or NULL.  [never suspends] */
tree_listing *tree_enter(tree_at at, tree_sum *sum);
void tree_listing_free(tree_listing *l);

/* tree_digest.c.  All return an errno.  [never suspend] */
int tree_open_below(int root, char *path, int flags, int *fd); /* however long the path is */
int tree_digest(int fd, tree_reader *r, uint64_t *digest, uint64_t *bytes);
uint64_t tree_mix(const char *path, char kind, uint64_t content);

/* tree_pool.c */
uint64_t tree_threads_round(job *j);

#endif
