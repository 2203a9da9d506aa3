/* bench/compare/report.c -- the table.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "4.61 ms": three digits that matter, in the unit that fits. */
static const char *duration(double seconds, char out[24]) {
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
    size_t i = 0;
    while (i < 3 && seconds < units[i].unit) i++;
    double v = seconds / units[i].unit;
    snprintf(out, 24, "%.*f %s", v < 10 ? 2 : v < 100 ? 1 : 0, v, units[i].name);
    return out;
}

static void print_result(const char *workload_name, const mode *m, const result *r, bool first) {
    char time[24], overhead[24] = "-", speedup[24];
    if (!r->ran) {
        printf("%-10s %-10s %7s %10s %10s %10s %9s\n", workload_name, m->name, "-", "-", "-", "-", "-");
        return;
    }
    double percent = r->overhead_percent;
    if (!first) snprintf(overhead, sizeof overhead, "%+.*f %%", percent < 1000 ? 1 : 0, percent);
    snprintf(speedup, sizeof speedup, r->speedup < 0.01 ? "%.1e" : "%.2f", r->speedup);
    printf("%-10s %-10s %7u %10s %10.*f %10s %9s\n", workload_name, m->name, r->workers,
           duration(r->seconds, time), r->ns_per_task < 1000 ? 2 : 0, r->ns_per_task, overhead, speedup);
}

static void print_outcome(const report *r, const outcome *out) {
    for (int i = 0; i < r->all->count; i++)
        print_result(i ? "" : out->w->name, &r->all->of[i], &out->of[i], i == 0);
    char answer[24];
    printf("%-10s %" PRIu64 " tasks, each %s; all modes answer %s\n\n", "", out->tasks, out->w->task,
           answer_text(out->w, out->of[0].answer, answer));
}

static void print_input(const report *r) {
    const tree_sum *s = &r->input;
    char *path = printable(r->o->input);
    printf("input: %s: %u entries: %u files (%.1f MB), %u directories, %u symbolic links, %u special files, "
           "%u unreadable\n",
           path ? path : "", s->entries, s->files, (double)s->bytes / 1e6, s->directories, s->links,
           s->special, s->unreadable);
    free(path);
    for (size_t i = 0; i < r->t->unreadable_count; i++) {
        path = printable(r->t->unreadable[i].path);
        printf("  unreadable: %s: %s\n", path ? path : "", strerror(r->t->unreadable[i].error));
        free(path);
    }
}

void report_print(const report *r) {
    const machine *m = &r->m;
    printf("%s, %d CPUs, %s, %s; weft %s, context %s, allocator %s\n", m->cpu, m->cpus, m->kernel,
           m->compiler, m->weft, m->context, m->allocator);
    print_input(r);
    printf("\n%-10s %-10s %7s %10s %10s %10s %9s\n", "workload", "mode", "workers", "time", "ns/task",
           "overhead", "speed-up");
    for (int i = 0; i < r->count; i++) print_outcome(r, &r->outcomes[i]);
    printf("Medians of interleaved repetitions; time is of one round; overhead and speed-up are over direct "
           "calls.\n");
    if (r->o->quick) printf("--quick: sizes are too small for the numbers to mean much.\n");
    printf("foreign load: %.1f %% of the CPUs, stolen by the hypervisor: %.1f %%\n", 100 * r->load.foreign,
           100 * r->load.steal);
}
