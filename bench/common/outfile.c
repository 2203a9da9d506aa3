/* bench/common/outfile.c -- see outfile.h.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_special(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

/* The file the text is written to first. */
static int partial_name(char *out, size_t room, const char *path) {
    int n = snprintf(out, room, "%s.%ld.partial", path, (long)getpid());
    return n < 0 || (size_t)n >= room ? ENAMETOOLONG : 0;
}

/* The existing file must be a writable one, and its folder must take a new file. */
int outfile_check(const char *path) {
    char partial[PATH_MAX];
    struct stat st;
    int err;
    if (!*path) return ENOENT;
    if (is_special(path)) return access(path, W_OK) == 0 ? 0 : errno;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return EISDIR;
        if (access(path, W_OK) != 0) return errno;
    }
    if ((err = partial_name(partial, sizeof partial, path))) return err;
    int fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return errno;
    close(fd);
    unlink(partial);
    return 0;
}

static int write_all(int fd, const char *text, size_t bytes) {
    while (bytes > 0) {
        ssize_t n = write(fd, text, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n < 0 ? errno : EIO;
        text += n;
        bytes -= (size_t)n;
    }
    return 0;
}

int outfile_write(const char *path, const char *text, size_t bytes) {
    char partial[PATH_MAX];
    bool direct = is_special(path);
    int err = direct ? 0 : partial_name(partial, sizeof partial, path);
    if (err) return err;
    int fd = direct ? open(path, O_WRONLY | O_CLOEXEC | O_APPEND)
                    : open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return errno;
    err = write_all(fd, text, bytes);
    if (close(fd) != 0 && !err) err = errno;
    if (direct) return err;
    if (!err && rename(partial, path) != 0) err = errno;
    if (err) unlink(partial);
    return err;
}
