/* bench/compare/report_json.c -- the JSON file: machine, input, workloads.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "../common/outfile.h"
#include "report.h"

/* Whatever bytes `raw` has, as a JSON string. */
static void add_text(cJSON *to, const char *name, const char *raw) {
    char *text = printable(raw);
    cJSON_AddStringToObject(to, name, text ? text : "");
    free(text);
}

static void add_machine(cJSON *root, const report *r) {
    cJSON *m = cJSON_AddObjectToObject(root, "machine");
    add_text(m, "cpu", r->m.cpu);
    cJSON_AddNumberToObject(m, "cpus", r->m.cpus);
    add_text(m, "kernel", r->m.kernel);
    add_text(m, "compiler", r->m.compiler);
    cJSON_AddStringToObject(m, "weft", r->m.weft);
    cJSON_AddStringToObject(m, "context", r->m.context);
    cJSON_AddStringToObject(m, "allocator", r->m.allocator);
    cJSON_AddNumberToObject(m, "foreign_load_percent", 100 * r->load.foreign);
    cJSON_AddNumberToObject(m, "steal_percent", 100 * r->load.steal);
}

static void add_input(cJSON *root, const report *r) {
    const tree_sum *s = &r->input;
    cJSON *in = cJSON_AddObjectToObject(root, "input");
    add_text(in, "path", r->o->input);
    cJSON_AddNumberToObject(in, "entries", s->entries);
    cJSON_AddNumberToObject(in, "files", s->files);
    cJSON_AddNumberToObject(in, "bytes", (double)s->bytes);
    cJSON_AddNumberToObject(in, "directories", s->directories);
    cJSON_AddNumberToObject(in, "symlinks", s->links);
    cJSON_AddNumberToObject(in, "special", s->special);
    cJSON_AddNumberToObject(in, "unreadable", s->unreadable);
    cJSON *names = cJSON_AddArrayToObject(in, "unreadable_files");
    for (size_t i = 0; i < r->t->unreadable_count; i++) {
        cJSON *one = cJSON_CreateObject();
        add_text(one, "path", r->t->unreadable[i].path);
        cJSON_AddStringToObject(one, "reason", strerror(r->t->unreadable[i].error));
        cJSON_AddItemToArray(names, one);
    }
}

/* A digest, and what a double cannot hold, goes as a string. */
static void add_answer(cJSON *to, const workload *w, uint64_t answer) {
    char text[24];
    if (!w->hexadecimal && answer <= UINT64_C(1) << 53) {
        cJSON_AddNumberToObject(to, "answer", (double)answer);
        return;
    }
    cJSON_AddStringToObject(to, "answer", answer_text(w, answer, text));
}

/* Modes that do not apply to a workload are left out. */
static void add_workload(cJSON *array, const report *r, const outcome *out) {
    cJSON *w = cJSON_CreateObject();
    cJSON_AddStringToObject(w, "name", out->w->name);
    cJSON_AddNumberToObject(w, "tasks", (double)out->tasks);
    cJSON *list = cJSON_AddArrayToObject(w, "modes");
    for (int i = 0; i < r->all->count; i++) {
        const result *res = &out->of[i];
        if (!res->ran) continue;
        cJSON *m = cJSON_CreateObject();
        cJSON_AddStringToObject(m, "mode", r->all->of[i].name);
        cJSON_AddNumberToObject(m, "workers", res->workers);
        cJSON_AddNumberToObject(m, "seconds", res->seconds);
        cJSON_AddNumberToObject(m, "ns_per_task", res->ns_per_task);
        cJSON_AddNumberToObject(m, "overhead_percent", res->overhead_percent);
        cJSON_AddNumberToObject(m, "speedup", res->speedup);
        add_answer(m, out->w, res->answer);
        cJSON_AddItemToArray(list, m);
    }
    cJSON_AddItemToArray(array, w);
}

bool report_json(const report *r, const char *path) {
    cJSON *root = cJSON_CreateObject();
    add_machine(root, r);
    add_input(root, r);
    cJSON *list = cJSON_AddArrayToObject(root, "workloads");
    for (int i = 0; i < r->count; i++) add_workload(list, r, &r->outcomes[i]);
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    if (!text) fail("not enough memory for the JSON text");
    size_t bytes = strlen(text);
    text[bytes] = '\n'; /* cJSON ends with a zero byte, which a file does not need */
    int error = outfile_write(path, text, bytes + 1);
    cJSON_free(text);
    if (error) complain("cannot write %s: %s", path, strerror(error));
    return !error;
}
