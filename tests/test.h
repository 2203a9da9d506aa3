/* tests/test.h -- tests, one behaviour each, named after it.
 *
 *   TEST(a_stolen_child_is_seen_by_its_joiner) { CHECK_EQ(f(), 3); }
 *   TEST_MAIN
 *
 * A program runs all its tests in order of definition, or those whose names contain argv[1].  The
 * first failed check ends the program with the place and both values.  It closes with a line
 * "N passed, 0 failed".  EXPECT_DEATH runs a statement in a forked child that must end by SIGABRT (or
 * the given signal) and whose standard error must contain a text.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_TESTS_TEST_H
#define WEFT_TESTS_TEST_H

#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

typedef struct test_case {
    const char *name;
    void (*body)(void);
    struct test_case *next;
} test_case;

__attribute__((unused)) static test_case *test_first, **test_last = &test_first;

#define TEST(name_)                                                                        \
    static void test_##name_(void);                                                        \
    __attribute__((constructor)) static void test_add_##name_(void) {                      \
        static test_case c = {#name_, test_##name_, NULL};                                 \
        *test_last = &c;                                                                   \
        test_last = &c.next;                                                               \
    }                                                                                      \
    static void test_##name_(void)

/* What a failed check says besides: which of many runs it was.  NULL: nothing. */
static char test_noted[160];
__attribute__((unused, format(printf, 1, 2))) static void test_note(const char *format, ...) {
    va_list args;
    test_noted[0] = 0;
    if (!format) return;
    va_start(args, format);
    vsnprintf(test_noted, sizeof test_noted, format, args);
    va_end(args);
}

#define CHECK(cond)                                                                        \
    do {                                                                                   \
        if (!(cond)) {                                                                     \
            fprintf(stderr, "%s:%d: check failed: %s\n%s\n", __FILE__, __LINE__, #cond, test_noted); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

#define CHECK_EQ(a, b)                                                                     \
    do {                                                                                   \
        long long a_ = (long long)(a), b_ = (long long)(b);                                \
        if (a_ != b_) {                                                                    \
            fprintf(stderr, "%s:%d: %s is %lld, %s is %lld\n%s\n", __FILE__, __LINE__, #a, a_, #b, b_, \
                    test_noted);                                                           \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

/* Runs body(arg) in a child process; its standard error goes to `text`.  Returns the wait status. */
static inline int test_in_child(void (*body)(void *), void *arg, char *text, size_t size) {
    int fd[2];
    CHECK(pipe(fd) == 0);
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(fd[1], 2);
        close(fd[0]);
        close(fd[1]);
#ifdef VALGRIND_CLO_CHANGE
        VALGRIND_CLO_CHANGE("--leak-check=no"); /* most end with everything in use */
#endif
        body(arg);
        _exit(0);
    }
    close(fd[1]);
    size_t n = 0;
    for (ssize_t got; n + 1 < size && (got = read(fd[0], text + n, size - 1 - n)) > 0;) n += (size_t)got;
    text[n] = 0;
    close(fd[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
}

#define EXPECT_DEATH(body, arg, signal_, needle)                                           \
    do {                                                                                   \
        char text_[8192];                                                                  \
        int st_ = test_in_child((body), (arg), text_, sizeof text_);                       \
        if (!WIFSIGNALED(st_) || WTERMSIG(st_) != (signal_) || !strstr(text_, (needle))) { \
            fprintf(stderr, "%s:%d: expected death by signal %d with \"%s\"; status %x, said:\n%s\n", \
                    __FILE__, __LINE__, (signal_), (needle), (unsigned)st_, text_);        \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

__attribute__((unused)) static int test_main(int argc, char **argv) {
    int passed = 0;
    for (test_case *c = test_first; c; c = c->next) {
        if (argc > 1 && !strstr(c->name, argv[1])) continue;
        fprintf(stderr, "  %s\n", c->name);
        c->body();
        passed++;
    }
    printf("%d passed, 0 failed\n", passed);
    return passed ? 0 : 1;
}

#define TEST_MAIN \
    int main(int argc, char **argv) { return test_main(argc, argv); }

#endif
