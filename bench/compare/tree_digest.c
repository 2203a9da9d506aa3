/* bench/compare/tree_digest.c -- opening by path, and XXH3 of a file in pieces.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "tree.h"

/* A path longer than the kernel takes at once is walked in steps. */
int tree_open_below(int root, char *path, int flags, int *fd) {
    int at = root, error = 0;
    while (strlen(path) >= PATH_MAX) {
        char *cut = path + PATH_MAX - 1;
        while (*cut != '/') cut--; /* there is one: a name has at most 255 bytes */
        *cut = 0;
        int next = openat(at, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        error = next < 0 ? errno : 0;
        *cut = '/';
        if (at != root) close(at);
        if (error) return error;
        at = next;
        path = cut + 1;
    }
    *fd = openat(at, path, flags);
    if (*fd < 0) error = errno;
    if (at != root) close(at);
    return error;
}

/* *got = 0 at the end of the file; a piece is short only there. */
static int read_chunk(int fd, unsigned char *chunk, size_t *got) {
    *got = 0;
    while (*got < TREE_CHUNK) {
        ssize_t n = read(fd, chunk + *got, TREE_CHUNK - *got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) break;
        *got += (size_t)n;
    }
    return 0;
}

static int digest_pieces(int fd, tree_reader *r, size_t got, uint64_t *digest, uint64_t *bytes) {
    XXH3_state_t *state = XXH3_createState();
    if (!state) return ENOMEM;
    XXH3_64bits_reset(state);
    int error = 0;
    while (got > 0 && !error) {
        XXH3_64bits_update(state, r->chunk, got);
        *bytes += got;
        error = read_chunk(fd, r->chunk, &got);
    }
    *digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return error;
}

int tree_digest(int fd, tree_reader *r, uint64_t *digest, uint64_t *bytes) {
    size_t got;
    int error = read_chunk(fd, r->chunk, &got);
    if (error) return error;
    *bytes = 0;
    if (got == TREE_CHUNK) return digest_pieces(fd, r, got, digest, bytes);
    *bytes = got;
    *digest = XXH3_64bits(r->chunk, got);
    return 0;
}

uint64_t tree_mix(const char *path, char kind, uint64_t content) {
    uint64_t v[3] = {XXH3_64bits(path, strlen(path)), (unsigned char)kind, content};
    return XXH3_64bits(v, sizeof v);
}
