/* tests/unit/alloc_os_test.c -- pages, guards, threads, processor counts, fault reports.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "alloc/arch.h"
#include "alloc/heap.h"
#include "alloc/os.h"
#include "alloc/san.h"
#include "tests/test.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

/* Does the kernel refuse to read this byte? */
static bool is_guarded(const char *p) {
    int fd[2];
    CHECK(pipe(fd) == 0);
    bool refused = write(fd[1], p, 1) < 0 && errno == EFAULT;
    close(fd[0]);
    close(fd[1]);
    return refused;
}

TEST(a_reservation_has_the_alignment_asked_for_and_no_backing) {
    size_t page = weft__os_page(), mb = 1 << 20;
    for (size_t align = page; align <= 64 * mb; align *= 4) {
        char *p = weft__os_reserve(8 * mb, align);
        CHECK(p != NULL);
        CHECK_EQ((uintptr_t)p % align, 0);
        CHECK_EQ(weft__os_resident(p, 8 * mb), 0);
        p[0] = p[8 * mb - 1] = 1;
        CHECK_EQ(weft__os_resident(p, 8 * mb), 2 * page);
        weft__os_release(p, 8 * mb);
    }
}

TEST(a_reservation_beyond_the_address_space_is_refused) {
    CHECK(weft__os_reserve((size_t)1 << 60, 4096) == NULL);
    CHECK(weft__os_reserve(SIZE_MAX & ~(size_t)0xfffff, (size_t)1 << 30) == NULL);
}

TEST(discarded_pages_read_as_zero) {
    size_t page = weft__os_page(), bytes = 16 * page;
    char *p = weft__os_reserve(bytes, page);
    memset(p, 7, bytes);
    CHECK_EQ(weft__os_resident(p, bytes), bytes);
    weft__os_discard(p + page, 3 * page);
    CHECK_EQ(weft__os_resident(p, bytes), bytes - 3 * page);
    CHECK_EQ(p[page], 0);
    CHECK_EQ(p[4 * page], 7);
    weft__os_release(p, bytes);
}

TEST(the_first_resident_page_is_found_across_steps) {
    size_t page = weft__os_page(), bytes = 1500 * page;
    char *p = weft__os_reserve(bytes, page);
    CHECK(weft__os_first_resident(p, bytes) == p + bytes);
    p[1400 * page + 5] = 1;
    CHECK(weft__os_first_resident(p, bytes) == p + 1400 * page);
    p[600 * page] = 1;
    CHECK(weft__os_first_resident(p, bytes) == p + 600 * page);
    weft__os_release(p, bytes);
}

TEST(a_guard_refuses_access_and_its_neighbours_do_not) {
    for (os_guard best = OS_GUARD_MADVISE; best <= OS_GUARD_MPROTECT; best++) {
        size_t n = weft__os_guard_bytes();
        weft__os_guard_limit(best);
        char *p = weft__os_reserve(2 * n, n);
        os_guard kind = weft__os_guard(p, n);
        CHECK_EQ(kind, weft__os_guard_kind());
        CHECK(kind >= best && kind < OS_GUARD_CANARY);
        CHECK(is_guarded(p) && is_guarded(p + n - 1));
        CHECK(!is_guarded(p + n));
        weft__os_discard(p + n, n);
        CHECK(is_guarded(p));
        weft__os_unguard(p, n, kind);
        weft__os_release(p, 2 * n);
    }
    weft__os_guard_limit(OS_GUARD_MADVISE);
}

TEST(mprotect_guards_are_counted_against_their_budget_and_come_back) {
    size_t page = weft__os_page(), n = weft__os_guard_bytes(), before = weft__os_guard_budget();
    weft__os_guard_limit(OS_GUARD_MPROTECT);
    char *p = weft__os_reserve(2 * n, page);
    CHECK_EQ(weft__os_guard(p, n), OS_GUARD_MPROTECT);
    CHECK_EQ(weft__os_guard_budget(), before - 1);
    weft__os_unguard(p, n, OS_GUARD_MPROTECT);
    CHECK_EQ(weft__os_guard_budget(), before);
    CHECK(!is_guarded(p));
    weft__os_guard_limit(OS_GUARD_CANARY);
    CHECK_EQ(weft__os_guard(p, n), OS_GUARD_CANARY);
    CHECK(!is_guarded(p));
    weft__os_guard_limit(OS_GUARD_MADVISE);
    weft__os_release(p, 2 * n);
}

typedef struct seen {
    sigset_t mask;
    stack_t alt;
    char name[32];
} seen;

static void look_around(void *arg) {
    seen *s = arg;
    pthread_sigmask(SIG_SETMASK, NULL, &s->mask);
    sigaltstack(NULL, &s->alt);
    pthread_getname_np(pthread_self(), s->name, sizeof s->name);
}

TEST(a_thread_has_a_name_an_alternate_stack_and_only_fault_signals_open) {
    seen s = {0};
    os_thread t;
    CHECK_EQ(weft__os_thread_start(&t, "weft-worker-with-a-long-name", look_around, &s), WEFT_OK);
    weft__os_thread_join(t);
    CHECK(strcmp(s.name, "weft-worker-wit") == 0);
    CHECK(!(s.alt.ss_flags & SS_DISABLE) && s.alt.ss_size >= 16 * 1024);
    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    static const int shut[] = {SIGINT, SIGTERM, SIGCHLD, SIGUSR1, SIGALRM, SIGPROF, SIGPIPE, SIGURG};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) CHECK_EQ(sigismember(&s.mask, open[i]), 0);
    for (size_t i = 0; i < sizeof shut / sizeof *shut; i++) CHECK_EQ(sigismember(&s.mask, shut[i]), 1);
    sigset_t mine;
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    CHECK_EQ(sigismember(&mine, SIGINT), 0);
}

static void count_up(void *arg) { atom_add_ar((_Atomic uint32_t *)arg, 1); }

TEST(a_thread_that_cannot_start_leaves_nothing_behind) {
    _Atomic uint32_t ran = 0;
    os_thread t;
    uint64_t before = weft__heap_live();
    weft__os_thread_fail_at(2);
    CHECK_EQ(weft__os_thread_start(&t, "a", count_up, &ran), WEFT_OK);
    weft__os_thread_join(t);
    CHECK_EQ(weft__os_thread_start(&t, "b", count_up, &ran), WEFT_E_THREAD);
    CHECK_EQ(weft__heap_live(), before);
    weft__heap_fail_at(1, 0);
    CHECK_EQ(weft__os_thread_start(&t, "c", count_up, &ran), WEFT_E_NOMEM);
    weft__heap_fail_at(0, 0);
    CHECK_EQ(weft__os_thread_start(&t, "d", count_up, &ran), WEFT_OK);
    weft__os_thread_join(t);
    CHECK_EQ(ran, 2);
    CHECK_EQ(weft__heap_live(), before);
}

static void pin_and_count(void *arg) {
    unsigned *cpus = arg;
    CHECK(!weft__os_pin(100000));
    CHECK(weft__os_pin(0));
    *cpus = weft__os_cpus();
}

TEST(a_pinned_thread_counts_one_processor) {
    unsigned cpus = 0;
    os_thread t;
    CHECK(weft__os_cpus() >= 1);
    CHECK_EQ(weft__os_thread_start(&t, "pinned", pin_and_count, &cpus), WEFT_OK);
    weft__os_thread_join(t);
    CHECK_EQ(cpus, 1);
}

static void put_file(const char *dir, const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void put_dir(const char *dir, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK(mkdir(path, 0700) == 0);
}

TEST(the_tightest_quota_above_the_group_counts) {
    char dir[] = "/tmp/weft-cgroup-XXXXXX", proc[64], clean[128];
    CHECK(mkdtemp(dir) != NULL);
    snprintf(proc, sizeof proc, "%s/cgroup", dir);
    CHECK_EQ(weft__os_cpu_quota(proc, dir), 0);
    put_file(dir, "cgroup", "9:name=systemd:/\n0::/a/b\n");
    CHECK_EQ(weft__os_cpu_quota(proc, dir), 0);
    put_dir(dir, "a");
    put_dir(dir, "a/b");
    put_file(dir, "a/b/cpu.max", "max 100000\n");
    CHECK_EQ(weft__os_cpu_quota(proc, dir), 0);
    put_file(dir, "a/cpu.max", "250000 100000\n");
    CHECK_EQ(weft__os_cpu_quota(proc, dir), 3);
    put_file(dir, "a/b/cpu.max", "50000 100000\n");
    CHECK_EQ(weft__os_cpu_quota(proc, dir), 1);
    put_file(dir, "cgroup", "3:memory:/x\n2:cpu,cpuacct:/gone/deep\n0::/\n");
    put_dir(dir, "cpu");
    put_file(dir, "cpu/cpu.cfs_quota_us", "-1\n");
    put_file(dir, "cpu/cpu.cfs_period_us", "100000\n");
    CHECK_EQ(weft__os_cpu_quota(proc, dir), 0);
    put_file(dir, "cpu/cpu.cfs_quota_us", "400000\n");
    CHECK_EQ(weft__os_cpu_quota(proc, dir), 4);
    snprintf(clean, sizeof clean, "rm -r %s", dir);
    CHECK_EQ(system(clean), 0);
}

typedef struct gate {
    _Atomic uint32_t word;
} gate;

static void open_gate(void *arg) {
    gate *g = arg;
    atom_store_rel(&g->word, 1);
    weft__os_futex_wake(&g->word, 1);
}

TEST(a_futex_wait_ends_by_wake_by_value_and_by_timeout) {
    gate g = {0};
    os_thread t;
    CHECK_EQ(weft__os_thread_start(&t, "opener", open_gate, &g), WEFT_OK);
    while (!atom_load_acq(&g.word)) weft__os_futex_wait(&g.word, 0, -1);
    weft__os_thread_join(t);
    weft__os_futex_wait(&g.word, 0, -1); /* the word is 1: returns at once */
    int64_t start = weft__os_now();
    while (weft__os_now() - start < 1000000) weft__os_futex_wait(&g.word, 1, 1000000);
}

TEST(ticks_and_nanoseconds_agree) {
    uint64_t rate = weft__os_ticks_per_us();
    CHECK(rate >= 1 && rate < 20000);
    CHECK_EQ(weft__os_ticks_per_us(), rate);
    int64_t ns = weft__os_now();
    uint64_t ticks = arch_ticks();
    while (weft__os_now() - ns < 2000000) arch_relax();
    uint64_t us = (arch_ticks() - ticks) / rate;
    CHECK(us >= 1000); /* 2000, less what a coarse rate loses; no upper bound, the thread may be off */
}

/* ---- faults ---- */

static char *victim;

static bool explain_victim(uintptr_t address) {
    if (address != (uintptr_t)victim) return false;
    static const char text[] = "the victim was hit\n";
    weft__os_write_err(text, sizeof text - 1);
    return true;
}

static void earlier_info(int sig, siginfo_t *info, void *context) {
    (void)context;
    static const char text[] = "earlier handler ran\n";
    if (sig == SIGSEGV && info->si_addr == victim) weft__os_write_err(text, sizeof text - 1);
    _exit(17);
}

static void hit(void *arg) {
    (void)arg;
    *(volatile char *)victim = 1;
}

static void fault_in_thread(void *arg) {
    struct sigaction earlier = {.sa_handler = SIG_DFL};
    if (arg) {
        earlier.sa_sigaction = earlier_info;
        earlier.sa_flags = SA_SIGINFO | SA_ONSTACK;
    }
    sigaction(SIGSEGV, &earlier, NULL);
    size_t n = weft__os_guard_bytes();
    victim = weft__os_reserve(n, weft__os_page());
    CHECK(weft__os_guard(victim, n) < OS_GUARD_CANARY);
    CHECK_EQ(weft__os_fault_open(explain_victim), WEFT_OK);
    CHECK_EQ(weft__os_fault_open(explain_victim), WEFT_OK);
    weft__os_fault_close();
    os_thread t;
    CHECK_EQ(weft__os_thread_start(&t, "hitter", hit, NULL), WEFT_OK);
    weft__os_thread_join(t);
}

TEST(a_fault_is_explained_and_then_kills_with_its_own_signal) {
    EXPECT_DEATH(fault_in_thread, NULL, SIGSEGV, "the victim was hit");
}

TEST(a_fault_is_explained_and_then_the_earlier_handler_runs) {
    char text[4096];
    int status = test_in_child(fault_in_thread, (void *)1, text, sizeof text);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 17);
    CHECK(strstr(text, "the victim was hit") && strstr(text, "earlier handler ran"));
}

static void send_segv(void *arg) {
    (void)arg;
    signal(SIGSEGV, SIG_DFL);
    CHECK_EQ(weft__os_fault_open(explain_victim), WEFT_OK);
    raise(SIGSEGV);
}

TEST(a_sent_fault_signal_still_kills) { EXPECT_DEATH(send_segv, NULL, SIGSEGV, ""); }

TEST(the_last_close_puts_the_earlier_handlers_back) {
    struct sigaction before, now;
    sigaction(SIGSEGV, NULL, &before);
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(weft__os_fault_open(explain_victim), WEFT_OK);
        CHECK_EQ(weft__os_fault_open(explain_victim), WEFT_OK);
        weft__os_fault_close();
        sigaction(SIGSEGV, NULL, &now);
        CHECK(now.sa_handler != before.sa_handler);
        weft__os_fault_close();
        sigaction(SIGSEGV, NULL, &now);
        CHECK(now.sa_handler == before.sa_handler);
    }
}

static void die(void *arg) { weft__os_die("%s is %d", (const char *)arg, 42); }

TEST(a_checked_misuse_writes_its_text_and_aborts) {
    static char word[] = "answer";
    EXPECT_DEATH(die, word, SIGABRT, "weft: answer is 42\n");
}

TEST_MAIN
