/* alloc/os_linux.c -- the operating system, the only file that calls mmap, madvise, futex, sigaction.
 *
 * Concepts
 *   reservation  address space without backing: MAP_NORESERVE, no huge pages.  Alignment is had by
 *                mapping more and unmapping both ends.
 *   guard        pages that fault.  Markers in the page table (MADV_GUARD_INSTALL, Linux 6.13) cost no
 *                mapping; PROT_NONE costs two and a process may have 65,530, so they come out of a budget
 *                of half of vm.max_map_count; after that there is only the caller's canary.
 *   fault chain  our SIGSEGV/SIGBUS handler writes a report and then does what would have been done
 *                without it: the earlier handler runs, or the default action kills.
 *
 * Invariant: mprotect guards standing == guards_made <= guard budget.
 *
 * Rejected: believing madvise's answer (qemu-user says yes and does nothing, so a system call must be
 * refused a write through the guard); membarrier for steals (an interrupt to every peer costs more than it saves).
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "alloc/os.h"
#include "alloc/arch.h"
#include "alloc/fault.h"
#include "alloc/heap.h"
#include "alloc/san.h"
#include "alloc/spin.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ADVICE_GUARD_INSTALL = 102, /* MADV_GUARD_INSTALL, newer than the headers of 2023 */
    DEFAULT_MAX_MAPS = 65530,
    MAPS_PER_GUARD = 2,
    ALT_STACK_EXTRA = 16 * 1024,
    THREAD_STACK = 256 * 1024,
    TICK_WINDOW_NS = 200 * 1000,
    RESIDENT_STEP = 512,
};

/* ---- pages ---------------------------------------------------------------------------------- */

size_t weft__os_page(void) {
    static _Atomic size_t page;
    size_t n = atom_load_rlx(&page);
    if (WEFT_UNLIKELY(n == 0)) {
        n = (size_t)sysconf(_SC_PAGESIZE);
        atom_store_rlx(&page, n);
    }
    return n;
}

/* Where the last large range was, for the next: opened and closed a thousand times, runtimes then lie in one place.  The kernel
 * would see to that; an emulator (qemu-user) does not, and keeps some megabytes for each place that was ever mapped. */
#define LARGE ((size_t)64 << 20)
static _Atomic(void *) large_hint; /* a hint: nothing is reached through it, so any order would do */

static char *map_reserve(void *hint, size_t bytes) {
    char *p = mmap(hint, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static char *reserve_again(size_t bytes) {
    char *hint = bytes < LARGE ? NULL : atom_xchg_ar(&large_hint, NULL), *p = hint ? map_reserve(hint, bytes) : NULL;
    if (!p || p == hint) return p;
    munmap(p, bytes);
    return NULL;
}

void *weft__os_reserve(size_t bytes, size_t align) {
    size_t whole = bytes + align - weft__os_page();
    if (whole < bytes || weft_fault_point(FAULT_MAP)) return NULL;
    char *again = reserve_again(bytes);
    if (again && ((uintptr_t)again & (align - 1)) == 0) {
        weft_fault_call(FAULT_ERRNO, EINVAL, madvise(again, bytes, MADV_NOHUGEPAGE));
        return again;
    }
    if (again) munmap(again, bytes);
    char *raw = map_reserve(NULL, whole);
    if (!raw) return NULL;
    size_t head = (align - ((uintptr_t)raw & (align - 1))) & (align - 1);
    size_t tail = whole - head - bytes;
    char *base = raw + head;
    if (head) munmap(raw, head);
    if (tail) munmap(base + bytes, tail);
    /* A kernel without huge pages refuses; then there are none. */
    weft_fault_call(FAULT_ERRNO, EINVAL, madvise(base, bytes, MADV_NOHUGEPAGE));
    return base;
}

void weft__os_release(void *base, size_t bytes) {
    munmap(base, bytes);
    if (bytes >= LARGE) atom_store_rel(&large_hint, base);
}

void weft__os_discard(void *base, size_t bytes) {
    weft_fault_call(FAULT_ERRNO, EAGAIN, madvise(base, bytes, MADV_DONTNEED));
}

/* Walks the residency of pages in order: the first resident one, or all of them into *sum. */
static const char *scan_resident(const char *base, size_t bytes, bool only_first, size_t *sum) {
    unsigned char in[RESIDENT_STEP];
    size_t page = weft__os_page();
    const char *end = base + bytes;
    for (const char *at = base; at < end;) {
        size_t run = (size_t)(end - at);
        if (run > RESIDENT_STEP * page) run = RESIDENT_STEP * page;
        if (weft_fault_call(FAULT_ERRNO, EAGAIN, mincore((void *)(uintptr_t)at, run, in)) != 0) return end;
        for (size_t i = 0; i < (run + page - 1) / page; i++) {
            if (!(in[i] & 1)) continue;
            if (only_first) return at + i * page;
            *sum += page;
        }
        at += run;
    }
    return end;
}

size_t weft__os_resident(const void *base, size_t bytes) {
    size_t sum = 0;
    scan_resident(base, bytes, false, &sum);
    return sum;
}

const char *weft__os_first_resident(const void *base, size_t bytes) {
    size_t unused = 0;
    return scan_resident(base, bytes, true, &unused);
}

/* ---- guards --------------------------------------------------------------------------------- */

/* Any thread.  guard_best and guard_maps: 0 is "not yet known", else the value plus one; computing
 * them twice gives the same. */
static _Atomic uint32_t guard_best;
static _Atomic size_t guard_maps;
static _Atomic size_t guards_made; /* by mprotect, standing */
static _Atomic uint32_t guard_floor;

/* Does a write by the kernel to `page` fail?  Asking the kernel needs no signal handler.  *sure turns false when it could
 * not be asked. */
static bool refuses_access(const void *page, bool *sure) {
    int fd[2];
    if (weft_fault_call(FAULT_FD, EMFILE, pipe2(fd, O_CLOEXEC | O_NONBLOCK)) != 0) return *sure = false;
    bool refused = write(fd[1], page, 1) < 0 && errno == EFAULT;
    close(fd[0]);
    close(fd[1]);
    return refused;
}

static WEFT_COLD os_guard probe_guard(bool *sure) {
    size_t page = weft__os_page();
    void *p = weft__os_reserve(page, page);
    os_guard kind = OS_GUARD_CANARY;
    *sure = p != NULL;
    if (!p) return kind;
    if (madvise(p, page, ADVICE_GUARD_INSTALL) == 0 && refuses_access(p, sure)) kind = OS_GUARD_MADVISE;
    else if (*sure && mprotect(p, page, PROT_NONE) == 0 && refuses_access(p, sure)) kind = OS_GUARD_MPROTECT;
    weft__os_release(p, page);
    return kind;
}

/* Without memory or files at this moment the answer is a canary, and not remembered. */
os_guard weft__os_guard_kind(void) {
    uint32_t known = atom_load_rlx(&guard_best);
    if (WEFT_UNLIKELY(known == 0)) {
        bool sure;
        known = (uint32_t)probe_guard(&sure) + 1;
        if (sure) atom_store_rlx(&guard_best, known);
    }
    uint32_t floor = atom_load_rlx(&guard_floor);
    return (os_guard)(known - 1 > floor ? known - 1 : floor);
}

#if defined(WEFT_FAULTS) && WEFT_FAULTS
void weft__os_forget(void) {
    atom_store_rlx(&guard_best, 0);
    atom_store_rlx(&guard_maps, 0);
}
#endif

void weft__os_guard_limit(os_guard best) { atom_store_rlx(&guard_floor, (uint32_t)best); }

static size_t guard_limit(void) {
    size_t known = atom_load_rlx(&guard_maps);
    if (WEFT_LIKELY(known != 0)) return known - 1;
    size_t maps = DEFAULT_MAX_MAPS;
    int fd = weft_fault_call(FAULT_FD, EMFILE, open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC));
    bool later = fd < 0 && (errno == EMFILE || errno == ENFILE); /* no file at this moment: ask again */
    if (fd >= 0) {
        char text[32];
        ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        if (n > 0) {
            text[n] = 0;
            maps = strtoul(text, NULL, 10);
        }
    }
    size_t limit = maps / 2 / MAPS_PER_GUARD;
    if (!later) atom_store_rlx(&guard_maps, limit + 1);
    return limit;
}

size_t weft__os_guard_budget(void) {
    size_t made = atom_load_rlx(&guards_made), limit = guard_limit();
    return made < limit ? limit - made : 0;
}

#define guard_call(call) weft_fault_call(FAULT_MAP, ENOMEM, call)

static bool guard_by_mprotect(void *base, size_t bytes) {
    if (atom_add_rlx(&guards_made, 1) < guard_limit() && guard_call(mprotect(base, bytes, PROT_NONE)) == 0) return true;
    atom_add_rlx(&guards_made, (size_t)-1);
    return false;
}

/* A single refusal (madvise says no on locked memory) falls to the next kind for this range only. */
os_guard weft__os_guard(void *base, size_t bytes) {
    os_guard kind = weft__os_guard_kind();
    if (kind == OS_GUARD_MADVISE && guard_call(madvise(base, bytes, ADVICE_GUARD_INSTALL)) == 0) return OS_GUARD_MADVISE;
    if (kind <= OS_GUARD_MPROTECT && guard_by_mprotect(base, bytes)) return OS_GUARD_MPROTECT;
    return OS_GUARD_CANARY;
}

void weft__os_unguard(void *base, size_t bytes, os_guard kind) {
    if (kind != OS_GUARD_MPROTECT) return;
    mprotect(base, bytes, PROT_READ | PROT_WRITE);
    atom_add_rlx(&guards_made, (size_t)-1);
}

size_t weft__os_guard_bytes(void) {
#if defined(__aarch64__)
    size_t least = 64 * 1024;
#else
    size_t least = 4096;
#endif
    return least > weft__os_page() ? least : weft__os_page();
}

/* ---- threads -------------------------------------------------------------------------------- */

/* Made by the starter, freed by the thread it starts; the alternate stack follows it. */
typedef struct thread_start {
    void (*body)(void *);
    void *arg;
    size_t bytes; /* of this block */
    size_t alt_bytes;
    char name[16];
    _Alignas(64) char alt[];
} thread_start;

static _Atomic uint32_t thread_fail_in;

void weft__os_thread_fail_at(unsigned n) { atom_store_rlx(&thread_fail_in, n); }

static bool thread_should_fail(void) {
    uint32_t n = atom_load_rlx(&thread_fail_in);
    while (n != 0) {
        if (atom_cas_rlx(&thread_fail_in, &n, n - 1)) return n == 1;
    }
    return false;
}

static size_t alt_stack_bytes(void) {
    size_t least = 2048;
#if defined(AT_MINSIGSTKSZ)
    if (getauxval(AT_MINSIGSTKSZ) > least) least = getauxval(AT_MINSIGSTKSZ);
#else
    if (getauxval(51) > least) least = getauxval(51);
#endif
    return (least + ALT_STACK_EXTRA + 63) & ~(size_t)63;
}

/* The alternate stack that was there (a sanitizer's) is put back, so that its owner can free it. */
static void *thread_main(void *start) {
    thread_start *s = start;
    stack_t ours = {.ss_sp = s->alt, .ss_size = s->alt_bytes}, before;
    bool changed = weft_fault_call(FAULT_ERRNO, EPERM, sigaltstack(&ours, &before)) == 0;
    pthread_setname_np(pthread_self(), s->name);
    s->body(s->arg);
    if (changed) {
        if (before.ss_flags & SS_DISABLE) before = (stack_t){.ss_flags = SS_DISABLE};
        sigaltstack(&before, NULL);
    }
    weft__heap_free(s, s->bytes);
    return NULL;
}

/* Signals that report a fault of the thread itself stay open; the rest go to other threads. */
static void block_asynchronous(sigset_t *before) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t mask;
    sigfillset(&mask);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&mask, faults[i]);
    pthread_sigmask(SIG_SETMASK, &mask, before);
}

/* The thread inherits the mask, so no signal finds it open before its body.  A C library whose
 * thread-local data do not fit the small stack says EINVAL; its default size is the second try. */
static int create_thread(pthread_t *out, thread_start *s) {
    sigset_t before;
    pthread_attr_t attr;
    if (thread_should_fail() || weft_fault_point(FAULT_THREAD)) return EAGAIN;
    int rc = pthread_attr_init(&attr);
    if (rc != 0) return rc;
    pthread_attr_setstacksize(&attr, (size_t)THREAD_STACK * WEFT__SAN_STACKS);
    block_asynchronous(&before);
    rc = pthread_create(out, &attr, thread_main, s);
    if (rc == EINVAL) rc = pthread_create(out, NULL, thread_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

weft_err weft__os_thread_start(os_thread *t, const char *name, void (*body)(void *), void *arg) {
    size_t alt = alt_stack_bytes(), bytes = sizeof(thread_start) + alt;
    thread_start *s = weft__heap_alloc(bytes, 64);
    if (!s) return WEFT_E_NOMEM;
    s->body = body;
    s->arg = arg;
    s->bytes = bytes;
    s->alt_bytes = alt;
    for (size_t i = 0; i + 1 < sizeof s->name && name[i]; i++) s->name[i] = name[i];
    pthread_t thread;
    if (create_thread(&thread, s) != 0) {
        weft__heap_free(s, bytes);
        return WEFT_E_THREAD;
    }
    t->handle = thread;
    return WEFT_OK;
}

void weft__os_thread_join(os_thread t) { pthread_join(t.handle, NULL); }

/* ---- waiting and time ----------------------------------------------------------------------- */

void weft__os_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns) {
    if (weft_fault_point(FAULT_ERRNO)) return; /* EINTR and EAGAIN say no more */
    if (weft_fault_point(FAULT_SPURIOUS)) timeout_ns = fault_moment(timeout_ns);
    struct timespec ts = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns < 0 ? NULL : &ts, NULL, 0);
}

void weft__os_thread_stack(char **lo, char **top) {
    static __thread char *known_lo, *known_top; /* for the main thread the C library reads a file */
    pthread_attr_t a;
    void *at = NULL;
    size_t bytes = 0;
    if (!known_top && pthread_getattr_np(pthread_self(), &a) == 0) {
        pthread_attr_getstack(&a, &at, &bytes);
        pthread_attr_destroy(&a);
        known_lo = at;
        known_top = known_lo + bytes;
    }
    *lo = known_lo;
    *top = known_top;
}

const char *weft__os_environment(const char *name) { return getenv(name); }

void weft__os_futex_wake(_Atomic uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

void weft__os_yield(void) { sched_yield(); }

/* ---- the heavy fence ------------------------------------------------------------------------ */

static bool membarrier_registered(void) {
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool weft__os_barrier_works(void) {
    static _Atomic int works; /* 1: yes, 2: no */
    int known = atom_load_rlx(&works);
    if (!known) {
        bool can = membarrier_registered() && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
        atom_store_rlx(&works, known = can ? 1 : 2);
    }
    return known == 1;
}

/* It worked before; in the child of fork(2) it may have to be registered anew. */
void weft__os_barrier(void) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) return;
    if (membarrier_registered() && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) return;
    static const char text[] = "weft: membarrier(2) worked before and is refused now: a filter of system calls must allow it\n";
    weft__os_write_err(text, sizeof text - 1);
    abort();
}

/* Without a system call each time: the child of fork(2) finds the handler's mark. */
_Atomic int weft__os_process;
static void in_child(void) { atom_store_rlx(&weft__os_process, getpid()); }
static void at_fork(void) { pthread_atfork(NULL, NULL, in_child); }

int weft__os_pid(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int pid = atom_load_rlx(&weft__os_process);
    if (WEFT_LIKELY(pid != 0)) return pid;
    pthread_once(&once, at_fork);
    pid = getpid();
    atom_store_rlx(&weft__os_process, pid);
    return pid;
}

int64_t weft__os_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t weft__os_wall_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void weft__os_precise_timers(void) { prctl(PR_SET_TIMERSLACK, 1); }

#if defined(__aarch64__)
static uint64_t tick_rate(void) {
    uint64_t hz;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    return hz / 1000000;
}
#else
/* Both clocks at one moment: the attempt with the shortest distance between two counter reads wins,
 * so that losing the processor between them does not count. */
static void read_both(int64_t *ns, uint64_t *ticks) {
    uint64_t shortest = UINT64_MAX;
    for (int i = 0; i < 8; i++) {
        uint64_t before = arch_ticks();
        int64_t now = weft__os_now();
        uint64_t width = arch_ticks() - before;
        if (width >= shortest) continue;
        shortest = width;
        *ns = now;
        *ticks = before + width / 2;
    }
}

static uint64_t tick_rate(void) {
    int64_t ns0 = 0, ns1 = 0;
    uint64_t t0 = 0, t1 = 0;
    read_both(&ns0, &t0);
    while (weft__os_now() - ns0 < TICK_WINDOW_NS) arch_relax();
    read_both(&ns1, &t1);
    return (t1 - t0) * 1000 / (uint64_t)(ns1 - ns0);
}
#endif

uint64_t weft__os_ticks_per_us(void) {
    static _Atomic uint64_t rate;
    uint64_t r = atom_load_rlx(&rate);
    if (WEFT_LIKELY(r != 0)) return r;
    r = tick_rate();
    if (r == 0) r = 1;
    uint64_t none = 0;
    return atom_cas_rlx(&rate, &none, r) ? r : none; /* everyone uses the first answer */
}

/* ---- faults --------------------------------------------------------------------------------- */

static const int fault_signals[] = {SIGSEGV, SIGBUS};
enum { FAULT_SIGNALS = sizeof fault_signals / sizeof *fault_signals };

/* Under fault_lock; the handler reads `before` of a signal only once it is installed for it, and
 * `explain` alone changes afterwards. */
static spin fault_lock;
static unsigned fault_users;
static struct sigaction fault_before[FAULT_SIGNALS];
static bool fault_installed[FAULT_SIGNALS];
static os_fault_fn *_Atomic fault_explain;

/* What the process had before us.  The default action: put it back and return, so that the faulting
 * instruction repeats and kills with its own signal; a signal somebody sent is sent again. */
static void run_earlier(int which, int sig, siginfo_t *info, void *context) {
    const struct sigaction *old = &fault_before[which];
    if (old->sa_flags & SA_SIGINFO) {
        old->sa_sigaction(sig, info, context);
    } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(sig);
    } else if (old->sa_handler == SIG_DFL || info->si_code > 0) { /* a real fault cannot be ignored */
        struct sigaction standard = {.sa_handler = SIG_DFL};
        sigaction(sig, &standard, NULL);
        if (info->si_code <= 0) raise(sig);
    }
}

static void on_fault(int sig, siginfo_t *info, void *context) {
    int saved = errno;
    os_fault_fn *explain = atom_load_acq(&fault_explain);
    if (explain && info->si_code > 0) (void)explain((uintptr_t)info->si_addr);
    run_earlier(sig == SIGBUS, sig, info, context);
    errno = saved;
}

static bool fault_install(int i) {
    struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (fault_installed[i]) return true;
    if (sigaction(fault_signals[i], NULL, &fault_before[i]) != 0) return false;
    if (sigaction(fault_signals[i], &ours, NULL) != 0) return false;
    fault_installed[i] = true;
    return true;
}

/* If somebody chained over us, our handler stays where it is, with nothing to explain, and the next
 * open finds it still there: installing it twice would make it its own predecessor. */
static void fault_remove(int i) {
    struct sigaction now;
    if (!fault_installed[i] || sigaction(fault_signals[i], NULL, &now) != 0) return;
    if (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_fault) return;
    sigaction(fault_signals[i], &fault_before[i], NULL);
    fault_installed[i] = false;
}

weft_err weft__os_fault_open(os_fault_fn *explain) {
    weft_err err = WEFT_OK;
    spin_lock(&fault_lock);
    if (fault_users++ == 0) {
        atom_store_rel(&fault_explain, explain);
        for (int i = 0; i < FAULT_SIGNALS; i++) {
            if (!fault_install(i)) err = WEFT_E_LIMIT;
        }
    }
    spin_unlock(&fault_lock);
    if (err) weft__os_fault_close();
    return err;
}

void weft__os_fault_close(void) {
    spin_lock(&fault_lock);
    if (--fault_users == 0) {
        for (int i = 0; i < FAULT_SIGNALS; i++) fault_remove(i);
        atom_store_rel(&fault_explain, (os_fault_fn *)NULL);
    }
    spin_unlock(&fault_lock);
}

void weft__os_write_err(const char *text, size_t bytes) {
    while (bytes > 0) {
        ssize_t n = write(STDERR_FILENO, text, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        text += n;
        bytes -= (size_t)n;
    }
}

_Noreturn void weft__os_die(const char *format, ...) {
    char text[512] = "weft: ";
    enum { PREFIX = 6 };
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text + PREFIX, sizeof text - PREFIX - 1, format, args);
    va_end(args);
    size_t length = PREFIX + (n < 0 ? 0 : (size_t)n);
    if (length > sizeof text - 2) length = sizeof text - 2;
    text[length++] = '\n';
    weft__os_write_err(text, length);
    abort();
}

/* ---- files ---------------------------------------------------------------------------------- */

void *weft__os_map_file_new(const char *path, size_t bytes) {
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return NULL;
    void *p = ftruncate(fd, (off_t)bytes) == 0 ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    close(fd);
    return p == MAP_FAILED ? NULL : p;
}

void *weft__os_map_file_copy(const char *path, size_t *bytes) {
    struct stat is;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    bool can = fstat(fd, &is) == 0 && is.st_size > 0;
    void *p = can ? mmap(NULL, (size_t)is.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    close(fd);
    if (p == MAP_FAILED) return NULL;
    *bytes = (size_t)is.st_size;
    return p;
}

void weft__os_unmap_file(void *p, size_t bytes) { munmap(p, bytes); }

/* ---- child processes ------------------------------------------------------------------------ */

void *weft__os_reserve_shared(size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void weft__os_release_shared(void *p, size_t bytes) { munmap(p, bytes); }

os_child weft__os_child(int *status) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) return OS_CHILD_IS;
    if (pid < 0) return OS_CHILD_NONE;
    while (waitpid(pid, status, 0) < 0 && errno == EINTR) {}
    return OS_CHILD_ENDED;
}

_Noreturn void weft__os_child_ends(void) { _exit(0); }

static void (*last_words)(int signal);

/* With the default action, which ends the process, the signal comes again.  A handler that was installed later, and has passed
 * it on, is not asked once more. */
static void dying(int signal) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    last_words(signal);
    sigaction(signal, &standard, NULL);
    raise(signal);
}

void weft__os_dying(void (*last)(int signal), bool loud) {
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    static char stack[64 * 1024];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction a = {.sa_handler = dying, .sa_flags = (int)(SA_NODEFER | SA_ONSTACK)};
    last_words = last;
    sigaltstack(&alternate, NULL);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &a, NULL);
    int nowhere = loud ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere < 0) return;
    dup2(nowhere, STDERR_FILENO);
    close(nowhere);
}
