/* bench/compare/measure.c -- one untimed pass of every mode, then interleaved repetitions, medians.
 *
 * Every slice's answer must be that of the direct pass.  Where the input can change under our feet, a
 * different answer is first met with another direct pass: if that differs from the first too, or finds that
 * the input was changed since the slice began, the measurement of this workload starts anew.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/samples.h"
#include "compare.h"

enum { REPETITIONS = 5, REPETITIONS_QUICK = 3, CHANGES_MAX = 10 };
#define SLICE_NS 20e6
#define SLICE_QUICK_NS 1e6
#define ROUNDS_MAX 1e6
#define CLOCK_SLACK_NS 20000000 /* file systems stamp with the time of the last tick */

typedef enum verdict { RIGHT, WRONG, CHANGED } verdict;

static void progress(const char *what, const char *mode, int repetition) {
    if (!isatty(STDERR_FILENO)) return;
    fprintf(stderr, "\r\033[K%s", what);
    if (mode && repetition) fprintf(stderr, ": %s, repetition %d", mode, repetition);
    if (mode && !repetition) fprintf(stderr, ": %s, untimed pass", mode);
}

/* On CHANGED, *reference is the new answer. */
static verdict check(const job *j, job *reference) {
    if (j->answer == reference->answer && !j->unsteady) return RIGHT;
    if (j->w->may_change) {
        uint64_t before = reference->answer;
        slice_run(reference);
        if (reference->answer != before || reference->unsteady) return CHANGED;
        if (reference->input_changed_ns > j->began_ns - CLOCK_SLACK_NS) return CHANGED;
    }
    char ours[24], theirs[24];
    progress("", NULL, 0);
    complain("%s: wrong answer: %s says %s%s, direct calls say %s", j->w->name, j->m->name,
             answer_text(j->w, j->answer, ours), j->unsteady ? " (and not every time)" : "",
             answer_text(j->w, reference->answer, theirs));
    return WRONG;
}

/* The untimed passes of one mode: more and more rounds, until it is known how many make a slice. */
static verdict calibrate(job *j, job *reference, double slice_ns) {
    j->rounds = 1;
    for (;;) {
        slice_run(j);
        if (j->error) return RIGHT;
        verdict v = check(j, reference);
        if (v != RIGHT) return v;
        double ns = (double)(j->ns > 0 ? j->ns : 1);
        if (ns < slice_ns / 4 && (double)j->rounds < ROUNDS_MAX) {
            j->rounds *= 4;
            continue;
        }
        double rounds = (double)j->rounds * slice_ns / ns;
        j->rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? (uint64_t)ROUNDS_MAX : (uint64_t)rounds;
        return RIGHT;
    }
}

static verdict repeat(job *jobs, int count, job *reference, int repetitions, double (*seconds)[MODES_MAX]) {
    for (int r = 0; r < repetitions; r++)
        for (int i = 0; i < count; i++) {
            int at = r % 2 ? count - 1 - i : i;
            job *j = &jobs[at];
            if (j->error) continue;
            progress(j->w->name, j->m->name, r + 1);
            slice_run(j);
            if (j->error) continue;
            verdict v = check(j, reference);
            if (v != RIGHT) return v;
            seconds[r][at] = (double)j->ns / 1e9 / (double)j->rounds;
        }
    return RIGHT;
}

static void conclude(outcome *out, const job *jobs, int count, int repetitions,
                     double (*seconds)[MODES_MAX]) {
    double times[REPETITIONS];
    for (int i = 0; i < count; i++) {
        result *r = &out->of[i];
        r->why_not = jobs[i].error;
        r->ran = !jobs[i].error;
        if (!r->ran) continue;
        for (int k = 0; k < repetitions; k++) times[k] = seconds[k][i];
        bool threads = jobs[i].m->kind == MODE_THREADS;
        r->workers = threads && out->w->threads ? out->w->threads : jobs[i].m->workers;
        r->answer = jobs[i].answer;
        r->seconds = median(times, (size_t)repetitions);
        r->ns_per_task = out->tasks ? r->seconds * 1e9 / (double)out->tasks : 0;
        r->speedup = r->seconds > 0 ? out->of[0].seconds / r->seconds : 0;
        r->overhead_percent = i && out->of[0].seconds > 0 ? 100 * (r->seconds / out->of[0].seconds - 1) : 0;
    }
}

static verdict attempt(outcome *out, job *reference, void *data, const modes *all, bool quick) {
    double seconds[REPETITIONS][MODES_MAX];
    job jobs[MODES_MAX];
    int repetitions = quick ? REPETITIONS_QUICK : REPETITIONS;
    verdict v = RIGHT;
    for (int i = 0; i < all->count && v == RIGHT; i++) {
        jobs[i] = (job){.w = out->w, .m = &all->of[i], .data = data};
        if (!out->w->round[all->of[i].kind]) jobs[i].error = "makes no sense here";
        if (jobs[i].error) continue;
        progress(out->w->name, all->of[i].name, 0);
        v = calibrate(&jobs[i], reference, quick ? SLICE_QUICK_NS : SLICE_NS);
    }
    if (v == RIGHT) v = repeat(jobs, all->count, reference, repetitions, seconds);
    if (v == RIGHT) {
        out->tasks = reference->tasks;
        conclude(out, jobs, all->count, repetitions, seconds);
    }
    progress("", NULL, 0);
    return v;
}

bool measure(outcome *out, const workload *w, void *data, const modes *all, bool quick) {
    job reference = {.w = w, .m = &all->of[0], .data = data, .rounds = 1};
    *out = (outcome){.w = w};
    progress(w->name, "direct", 0);
    slice_run(&reference);
    for (;;) {
        verdict v = attempt(out, &reference, data, all, quick);
        if (v != CHANGED) return v == RIGHT;
        if (++out->changes == CHANGES_MAX) {
            complain("%s: the input keeps changing while it is read; give --input a directory at rest",
                     w->name);
            return false;
        }
    }
}
