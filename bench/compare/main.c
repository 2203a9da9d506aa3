/* bench/compare/main.c -- weft-compare.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "compare.h"
#include "report.h"

static void say(const char *format, va_list ap) {
    fputs("weft-compare: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
}

void complain(const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    say(format, ap);
    va_end(ap);
}

void fail(const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    say(format, ap);
    va_end(ap);
    _Exit(1); /* perhaps on a worker: leave the other threads alone */
}

void fail_of(weft_exit e) {
    char line[256];
    fail("a fiber failed: %s", weft_exit_format(e, line, sizeof line));
}

static bool measure_all(report *r, const modes *all, tree *t, outcome *outcomes) {
    sizes n = {.fib = r->o->quick ? 20 : 32, .leaves = r->o->quick ? 10000 : 1000000};
    struct {
        const workload *w;
        void *data;
    } list[] = {{&work_fib, &n},
                {&work_skynet, &n},
                {&work_small100, &n},
                {&work_sleep100, NULL},
                {&work_tree, t}};
    load_mark before, after;
    load_read(&before);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        if (!measure(&outcomes[i], list[i].w, list[i].data, all, r->o->quick)) return false;
        if (outcomes[i].changes) complain("%s: the input changed; measured anew", list[i].w->name);
        r->count++;
    }
    load_read(&after);
    r->load = load_between(&before, &after);
    r->input = t->sum;
    return true;
}

int main(int argc, char **argv) {
    static outcome outcomes[5];
    static tree t;
    modes all;
    options o = options_parse(argc, argv);
    tree_open(&t, o.input);
    if (!modes_open(&all, o.workers)) return 1;
    report r = {.o = &o, .all = &all, .t = &t, .outcomes = outcomes};
    machine_read(&r.m);
    bool good = measure_all(&r, &all, &t, outcomes);
    if (good) report_print(&r);
    if (good && o.json) good = report_json(&r, o.json);
    modes_close(&all);
    tree_close(&t);
    return good ? 0 : 1;
}
