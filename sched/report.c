/* sched/report.c -- the stack overflow report.
 *
 * Runs in the signal handler, on the alternate stack of the thread that faulted.  The control block at the top
 * of the overflowed stack says which task the carrier runs; tasks called inline further down are not recorded,
 * their forks that are still outstanding are: the newest names the place the recursion was at.
 *
 * Async-signal-safe: no locks, no allocation, no stdio.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/report.h"
#include "alloc/os.h"
#include "sched/thread.h"
#include "sched/worker.h"
#include <string.h>

typedef struct line {
    char text[640];
    size_t n;
} line;

static void put(line *l, const char *s) {
    while (s && *s && l->n < sizeof l->text) l->text[l->n++] = *s++;
}

static void put_number(line *l, uint64_t v) {
    char digits[21], *d = digits + 20;
    *d = 0;
    do *--d = (char)('0' + v % 10);
    while (v /= 10);
    put(l, d);
}

/* name: what the user called it, NULL for the function's name. */
static void put_site(line *l, const weft_task *t, const char *name) {
    const weft_site *site = (const weft_site *)(t->site & ~(uintptr_t)WEFT__SITE_BITS);
    if (!site) return;
    put(l, " '");
    put(l, name ? name : site->name);
    put(l, "' forked at ");
    put(l, site->file);
    put(l, ":");
    put_number(l, (uint64_t)site->line);
}

static void report(const fiber *f) {
    line l = {.n = 0};
    put(&l, "weft: stack overflow in task");
    if (f->task) put_site(&l, f->task, f->self ? spawn_name(f->self) : NULL);
    put(&l, ", worker ");
    put_number(&l, f->w->index);
    put(&l, ", stack of ");
    put_number(&l, weft__stack_class_bytes(f->stk.cls) / 1024);
    put(&l, " KiB");
    if (f->pub.head != &f->root) {
        put(&l, "; newest child not yet joined:");
        put_site(&l, f->pub.head, NULL);
    }
    put(&l, "; open the runtime with a larger .stack_bytes, or recurse through fork and join\n");
    weft__os_write_err(l.text, l.n);
}

/* An overflow faults in the guard of the very stack the thread is on; anything else is somebody else's fault. */
static bool explain(uintptr_t address) {
    const fiber *f = thread_fiber();
    if (!f) return false;
    uintptr_t lo = (uintptr_t)f->stk.lo;
    if (address >= lo || address < lo - weft__os_guard_bytes()) return false;
    report(f);
    return true;
}

weft_err weft__report_open(void) { return weft__os_fault_open(explain); }
void weft__report_close(void) { weft__os_fault_close(); }
