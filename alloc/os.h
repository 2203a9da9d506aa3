/* alloc/os.h -- the contract with the operating system: pages, guards, threads, futex, CPU count,
 * fault reports.  os_linux.c is its only implementation and the only file that calls mmap, madvise,
 * futex or sigaction.
 *
 * Nothing here suspends a fiber.  Sizes are bytes, times are nanoseconds.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_ALLOC_OS_H
#define WEFT_ALLOC_OS_H

#include "alloc/atomic.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/base.h>

/* ---- pages ---------------------------------------------------------------------------------- */

size_t weft__os_page(void); /* size of a page, a power of two */

/* Address space of `bytes` (a multiple of the page), aligned to `align` (a power of two, at least a
 * page), readable and writable, without backing until it is touched and never made of huge pages.
 * NULL when the system refuses.  Any thread. */
void *weft__os_reserve(size_t bytes, size_t align);
void weft__os_release(void *base, size_t bytes); /* pre: exactly one earlier reservation */

/* Give the pages back; they read as zero when touched again.  Guards inside stay. */
void weft__os_discard(void *base, size_t bytes);

/* Bytes of [base, base + bytes) that are resident; page granular. */
size_t weft__os_resident(const void *base, size_t bytes);
/* The first page of [base, base + bytes) that is resident; base + bytes when none is. */
const char *weft__os_first_resident(const void *base, size_t bytes);

/* How guards are made, cheapest first; probed once (a write into a guard must be refused, since some
 * emulators answer yes and do nothing), the answer is kept. */
typedef enum os_guard {
    OS_GUARD_MADVISE,  /* markers in the page table: no extra mapping */
    OS_GUARD_MPROTECT, /* two extra mappings a guard: only within half of vm.max_map_count */
    OS_GUARD_CANARY,   /* none in hardware: a word checked when the stack comes back */
} os_guard;

os_guard weft__os_guard_kind(void);

/* Test hook: no kind cheaper than `best` from now on (OS_GUARD_MADVISE: whatever the system has). */
void weft__os_guard_limit(os_guard best);

/* With WEFT_FAULTS: what was probed is probed again. */
void weft__os_forget(void);

/* Make [base, base + bytes) fault on access, by the best kind that works here.  Returns the kind
 * that holds for this range; OS_GUARD_CANARY when none could be had (the caller plants a canary).
 * Any thread. */
os_guard weft__os_guard(void *base, size_t bytes);
/* Undo one guard that took mappings, before its range is released.  pre: kind is what guard said. */
void weft__os_unguard(void *base, size_t bytes, os_guard kind);

/* Guards that mprotect may still make within the budget. */
size_t weft__os_guard_budget(void);

/* How many bytes at the low end of a stack a guard must cover: compilers probe at this distance
 * (one page on x86-64; 64 KiB on AArch64). */
size_t weft__os_guard_bytes(void);

/* ---- threads -------------------------------------------------------------------------------- */

typedef struct os_thread {
    unsigned long handle;
} os_thread;

/* Start body(arg) on a thread named `name` (cut to 15 characters), all asynchronous signals blocked,
 * with an alternate signal stack for faults.  WEFT_E_THREAD or WEFT_E_NOMEM when it cannot be had;
 * then nothing is left behind. */
weft_err weft__os_thread_start(os_thread *t, const char *name, void (*body)(void *), void *arg);
void weft__os_thread_join(os_thread t); /* pre: started, joined once */

/* The bounds of the calling thread's own stack; asked once for each thread. */
void weft__os_thread_stack(char **lo, char **top);
/* A variable of the environment, NULL: it is not set. */
const char *weft__os_environment(const char *name);

/* Test hook: make thread start number n from now fail (1 = the next one); 0 turns it off. */
void weft__os_thread_fail_at(unsigned n);

unsigned weft__os_cpus(void); /* min(affinity, ceil(cgroup cpu quota)), at least 1 */
/* The cgroup part of it: ceil(quota / period) of the tightest group above the one that the file `proc`
 * (in the format of /proc/self/cgroup) names, with the hierarchies mounted at `mount`; 0: no quota. */
unsigned weft__os_cpu_quota(const char *proc, const char *mount);
bool weft__os_pin(unsigned nth); /* pin the calling thread to the nth CPU of its affinity mask */

/* Wait while *word == expected, at most timeout_ns (negative: without end).  May wake spuriously. */
void weft__os_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns);
void weft__os_futex_wake(_Atomic uint32_t *word, int count);

/* Is there weft__os_barrier (alloc/atomic.h)?  Asks the system at the first call.  Any thread. */
bool weft__os_barrier_works(void);

int64_t weft__os_now(void);        /* monotonic clock */
int64_t weft__os_wall_now(void);   /* ns since 1970, UTC */
void weft__os_precise_timers(void); /* the calling thread's timed waits are not put off to be bundled with others */
uint64_t weft__os_ticks_per_us(void); /* of arch_ticks(); measured or read once */
void weft__os_yield(void);         /* let another thread have the processor */
int weft__os_pid(void);            /* this process, without a system call each time */
extern _Atomic int weft__os_process; /* what that returns, 0 before the first call; changes in the child of fork(2) */

/* ---- files ---------------------------------------------------------------------------------- */

/* A new file of so many zeroed bytes, mapped and shared; NULL: it cannot be made. */
void *weft__os_map_file_new(const char *path, size_t bytes);
/* A private copy of a file; NULL: it cannot be read, or is empty. */
void *weft__os_map_file_copy(const char *path, size_t *bytes);
void weft__os_unmap_file(void *p, size_t bytes);

/* ---- child processes ------------------------------------------------------------------------ */

/* Memory, zeroed, that child processes share; NULL: there is none. */
void *weft__os_reserve_shared(size_t bytes);
void weft__os_release_shared(void *p, size_t bytes);

typedef enum os_child {
    OS_CHILD_IS,    /* the caller is the child process */
    OS_CHILD_ENDED, /* the caller is the parent, the child has ended, *status is what waitpid says */
    OS_CHILD_NONE,  /* there is no process to be had */
} os_child;
/* Go on in a child process, and wait for its end in this one. */
os_child weft__os_child(int *status);
_Noreturn void weft__os_child_ends(void); /* with status 0, and nothing of the parent's done twice */
/* Before the process dies by a signal, last(signal) is called, which must be async-signal-safe.  quiet: what it writes to
 * standard error goes nowhere from now on. */
void weft__os_dying(void (*last)(int signal), bool loud);

/* ---- faults --------------------------------------------------------------------------------- */

/* Called in the signal handler, on the alternate stack, with the faulting address.  Returns true
 * when the address was explained (a report was written); the handler that was there before runs
 * afterwards in any case.  Async-signal-safe code only. */
typedef bool os_fault_fn(uintptr_t address);

/* Install the SIGSEGV and SIGBUS handler once for the process; later calls only count.  The last
 * fault_close puts the old handler back. */
weft_err weft__os_fault_open(os_fault_fn *explain);
void weft__os_fault_close(void);

/* Write text to standard error from a signal handler or before an abort. */
void weft__os_write_err(const char *text, size_t bytes);

/* A checked misuse: write "weft: ", the text and a newline to standard error, and abort. */
_Noreturn void weft__os_die(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

#endif
