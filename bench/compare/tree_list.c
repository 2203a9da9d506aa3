/* bench/compare/tree_list.c -- one directory entry: what it is, what it adds, and a directory's listing.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tree.h"

static void *grown(void *block, size_t bytes) {
    block = realloc(block, bytes);
    if (!block) fail("tree: not enough memory for %zu bytes", bytes);
    return block;
}

static void note_change(tree_sum *sum, const struct stat *st) {
    int64_t ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
    if (sum->newest_ns < ns) sum->newest_ns = ns;
}

/* ---- readers ---- */

static tree_reader *reader_take(tree *t) {
    pthread_mutex_lock(&t->lock);
    tree_reader *r = t->free_readers;
    if (r) t->free_readers = r->next;
    pthread_mutex_unlock(&t->lock);
    if (r) return r;
    r = grown(NULL, sizeof *r);
    r->path = NULL;
    r->path_room = 0;
    return r;
}

static void reader_give(tree *t, tree_reader *r) {
    pthread_mutex_lock(&t->lock);
    r->next = t->free_readers;
    t->free_readers = r;
    pthread_mutex_unlock(&t->lock);
}

/* r->path = where the entry is below the root; "." for the root. */
static void reader_name(tree_reader *r, tree_at at) {
    const char *folder = at.in ? at.in->path : "";
    const char *name = at.in ? at.in->names + at.in->entries[at.index].offset : ".";
    size_t a = strlen(folder), b = strlen(name);
    if (r->path_room < a + b + 2) {
        r->path_room = 2 * (a + b + 2);
        r->path = grown(r->path, r->path_room);
    }
    memcpy(r->path, folder, a);
    if (a) r->path[a++] = '/';
    memcpy(r->path + a, name, b + 1);
}

/* ---- listings ---- */

static void listing_add(tree_listing *l, const struct dirent *e) {
    size_t bytes = strlen(e->d_name) + 1;
    if (l->count == l->room) {
        l->room = l->room ? 2 * l->room : 32;
        l->entries = grown(l->entries, l->room * sizeof *l->entries);
    }
    if (l->names_room - l->names_bytes < bytes) {
        l->names_room = 2 * (l->names_room + bytes) + 512;
        l->names = grown(l->names, l->names_room);
    }
    memcpy(l->names + l->names_bytes, e->d_name, bytes);
    l->entries[l->count++] = (tree_name){(uint32_t)l->names_bytes, e->d_type};
    l->names_bytes += bytes;
}

void tree_listing_free(tree_listing *l) {
    free(l->entries);
    free(l->names);
    free(l->path);
    free(l);
}

static int listing_read(int fd, tree_listing *l) {
    DIR *d = fdopendir(fd);
    if (!d) {
        int error = errno;
        close(fd);
        return error;
    }
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e) break;
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) listing_add(l, e);
    }
    int error = errno;
    closedir(d);
    l->left = l->count;
    return error;
}

static int list(tree_at at, tree_reader *r, tree_sum *sum, tree_listing **out) {
    struct stat st;
    int fd, depth = at.in ? at.in->depth + 1 : 0;
    if (depth > TREE_DEPTH_MAX) return ENAMETOOLONG;
    int error = tree_open_below(at.t->root, r->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, &fd);
    if (error) return error;
    if (fstat(fd, &st) == 0) note_change(sum, &st);
    tree_listing *l = grown(NULL, sizeof *l);
    const char *path = at.in ? r->path : "";
    *l = (tree_listing){.depth = depth, .path = grown(NULL, strlen(path) + 1)};
    strcpy(l->path, path);
    error = listing_read(fd, l);
    if (error) {
        tree_listing_free(l);
        return error;
    }
    *out = l;
    return 0;
}

/* ---- entries ---- */

/* For file systems whose readdir does not tell. */
static int look_at(tree_at at, tree_reader *r, unsigned char *type) {
    struct stat st;
    int fd, error = tree_open_below(at.t->root, r->path, O_PATH | O_NOFOLLOW | O_CLOEXEC, &fd);
    if (error) return error;
    error = fstat(fd, &st) == 0 ? 0 : errno;
    close(fd);
    if (!error) *type = (unsigned char)IFTODT(st.st_mode);
    return error;
}

/* Non-blocking, in case the file has meanwhile become a pipe. */
static int read_file(tree_at at, tree_reader *r, tree_sum *sum) {
    struct stat st;
    uint64_t content = 0, bytes = 0;
    int fd, flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int error = tree_open_below(at.t->root, r->path, flags, &fd);
    if (error) return error;
    if (fstat(fd, &st) != 0)
        error = errno;
    else if (!S_ISREG(st.st_mode))
        error = ENOENT;
    else
        error = tree_digest(fd, r, &content, &bytes);
    close(fd);
    if (error) return error;
    note_change(sum, &st);
    sum->files++;
    sum->bytes += bytes;
    sum->digest += tree_mix(r->path, 'f', content);
    return 0;
}

static void note_unreadable(tree *t, const char *path, int error) {
    pthread_mutex_lock(&t->lock);
    if (t->naming) {
        if (t->unreadable_count == t->unreadable_room) {
            t->unreadable_room = t->unreadable_room ? 2 * t->unreadable_room : 16;
            t->unreadable = grown(t->unreadable, t->unreadable_room * sizeof *t->unreadable);
        }
        char *copy = strcpy(grown(NULL, strlen(path) + 1), path);
        t->unreadable[t->unreadable_count++] = (tree_unreadable){copy, error};
    }
    pthread_mutex_unlock(&t->lock);
}

/* Gone, or turned into something else since its directory was listed. */
static bool has_vanished(int error) {
    return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

static int enter(tree_at at, tree_reader *r, tree_sum *sum, tree_listing **l) {
    unsigned char type = at.in ? at.in->entries[at.index].type : DT_DIR;
    int error = type == DT_UNKNOWN ? look_at(at, r, &type) : 0;
    if (error) return error;
    if (type == DT_REG) return read_file(at, r, sum);
    if (type == DT_DIR) {
        error = list(at, r, sum, l);
        if (error || !at.in) return error;
        sum->directories++;
        sum->digest += tree_mix(r->path, 'd', 0);
        return 0;
    }
    *(type == DT_LNK ? &sum->links : &sum->special) += 1;
    sum->digest += tree_mix(r->path, type == DT_LNK ? 'l' : 's', type);
    return 0;
}

__attribute__((noinline)) tree_listing *tree_enter(tree_at at, tree_sum *sum) {
    tree_listing *l = NULL;
    tree_reader *r = reader_take(at.t);
    reader_name(r, at);
    int error = enter(at, r, sum, &l);
    if (at.in) sum->entries++;
    if (error && at.in && has_vanished(error)) {
        sum->entries--;
        sum->vanished++;
    } else if (error) {
        sum->unreadable++;
        sum->digest += tree_mix(r->path, 'u', 0);
        note_unreadable(at.t, r->path, error);
    }
    reader_give(at.t, r);
    return l;
}
