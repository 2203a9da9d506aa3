/* bench/compare/modes.c -- the ways to run a workload.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdio.h>
#include <string.h>

#include "../common/clock.h"
#include "compare.h"

typedef enum crew { NO_CREW, ONE, ALL } crew;

static const struct {
    mode_kind kind;
    const char *name; /* "fork" becomes "fork:1" and "fork:N" */
    crew workers;     /* of a runtime that is opened for it */
} table[] = {
    {MODE_DIRECT, "direct", NO_CREW},
    {MODE_FORK, "fork", ONE},
    {MODE_FORK, "fork", ALL},
    {MODE_FIBER, "fiber", ONE},
    {MODE_FIBER, "fiber", ALL},
    {MODE_THREADS, "threads", NO_CREW},
};
enum { LINES = sizeof table / sizeof *table };
_Static_assert((int)LINES <= (int)MODES_MAX, "");

/* Modes of as many workers share a runtime. */
static weft_runtime *opened(const modes *all, unsigned workers) {
    for (int i = 0; i < all->count; i++)
        if (all->of[i].rt && all->of[i].workers == workers) return all->of[i].rt;
    return NULL;
}

static weft_runtime *open_runtime(unsigned workers) {
    weft_runtime *rt;
    weft_options o = WEFT_OPTIONS(.workers = workers);
    weft_err err = weft_open(&o, &rt);
    if (err) complain("cannot open a runtime of %u workers: %s", workers, weft_err_text(err));
    return err ? NULL : rt;
}

/* How many workers there really are when `wanted` (0: Weft's choice) are asked for; 0 on failure. */
static unsigned crew_size(unsigned wanted) {
    weft_runtime *rt = open_runtime(wanted);
    if (!rt) return 0;
    unsigned n = weft_workers(rt);
    weft_close(rt);
    if (wanted && n < wanted) complain("only %u of %u workers could be started", n, wanted);
    return n;
}

bool modes_open(modes *all, unsigned workers) {
    memset(all, 0, sizeof *all);
    unsigned crew = crew_size(workers);
    if (crew == 0) return false;
    for (int i = 0; i < LINES; i++) {
        mode m = {.kind = table[i].kind, .workers = table[i].workers == ONE ? 1 : crew};
        bool again = table[i].workers == ALL && crew == 1; /* on one worker both are the same */
        if (again) continue;
        if (table[i].workers == NO_CREW) {
            snprintf(m.name, sizeof m.name, "%s", table[i].name);
            if (m.kind == MODE_DIRECT) m.workers = 1;
        } else {
            m.rt = opened(all, m.workers);
            if (!m.rt) m.rt = open_runtime(m.workers);
            if (!m.rt) {
                modes_close(all);
                return false;
            }
            snprintf(m.name, sizeof m.name, "%s:%u", table[i].name, m.workers);
        }
        all->of[all->count++] = m;
    }
    return true;
}

void modes_close(modes *all) {
    for (int i = 0; i < all->count; i++) {
        weft_runtime *rt = all->of[i].rt;
        for (int j = i; j < all->count; j++)
            if (all->of[j].rt == rt) all->of[j].rt = NULL;
        if (rt) weft_close(rt);
    }
}

/* The way into the runtime and back is not timed: it is paid once, not for every task. */
static void slice_body(void *arg) {
    job *j = arg;
    uint64_t (*round)(job *) = j->w->round[j->m->kind];
    int64_t start = wall_ns();
    for (uint64_t i = 0; i < j->rounds && !j->error; i++) {
        uint64_t answer = round(j);
        if (i > 0 && answer != j->answer) j->unsteady = true;
        j->answer = answer;
    }
    j->ns = wall_ns() - start;
}

void slice_run(job *j) {
    j->unsteady = false;
    j->began_ns = clock_ns(CLOCK_REALTIME);
    if (!j->m->rt) {
        slice_body(j);
        return;
    }
    weft_err err = weft_call(j->m->rt, slice_body, j);
    if (err) j->error = weft_err_text(err);
}
