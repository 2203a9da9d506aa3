/* effect/result.c -- what a result says: values, and texts.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/run.h"
#include "sched/cause.h"
#include "sched/fail.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool weft_result_is_ok(const weft_result *r) { return weft_ok(r->exit); }
bool weft_result_is_err(const weft_result *r) { return !weft_ok(r->exit); }
weft_exit weft_result_error(const weft_result *r) { return r->exit; }

weft_exit weft__result_value(const weft_result *r, const char *name, size_t bytes, void *to) {
    if (!weft_ok(r->exit)) return r->exit;
    if (bytes != r->bytes || (name && strcmp(name, r->program->name) != 0))
        return FAILED(WEFT_E_INVALID, "weft_result_value: the result is of another task; name the one that was run");
    memcpy(to, r->value, bytes);
    return weft_done;
}

weft_exit weft__result_get(const weft_result *r, const weft_state *key, void *to) {
    const void *v = table_value(r->table, key);
    if (!v) return FAILED(WEFT_E_MISSING, "weft_result_get: the final store has no value under this key");
    memcpy(to, v, key->bytes);
    return weft_done;
}

weft_exit weft__result_ask(const weft_result *r, const weft_effect *key, void *to) {
    const asked *a = r->env;
    while (a && a->key != key) a = a->next;
    if (!a) return FAILED(WEFT_E_MISSING, "weft_result_ask: the program had no value under this key, or never asked for it");
    memcpy(to, a->value, key->reply);
    return weft_done;
}

const weft_log *weft_result_log(const weft_result *r) {
    static const weft_log none;
    return r->run ? &r->run->log : &none;
}

/* ---- texts -------------------------------------------------------------------------------------------- */

typedef struct out {
    char *at;
    size_t left; /* the terminator included */
} out;

static out out_to(char *buffer, size_t bytes) {
    if (bytes) *buffer = 0;
    return (out){buffer, bytes};
}

__attribute__((format(printf, 2, 3))) static void put(out *o, const char *format, ...) {
    va_list args;
    if (o->left < 2) return;
    va_start(args, format);
    int n = vsnprintf(o->at, o->left, format, args);
    va_end(args);
    size_t wrote = n < 0 ? 0 : (size_t)n < o->left ? (size_t)n : o->left - 1;
    o->at += wrote;
    o->left -= wrote;
}

static void put_place(out *o, const char *file, int line) {
    if (file) put(o, " at %s:%d", file, line);
}

static void put_named(out *o, const char *kind, const char *name) {
    put(o, "  %s", kind);
    if (name) put(o, " '%s'", name);
}

static void put_level(out *o, const level *l) {
    put_named(o, l->kind, l->name);
    put_place(o, l->file, l->line);
    put(o, "\n");
}

/* Of an effect value, whose run is over. */
static void put_pending(out *o, const run *r) {
    for (size_t i = 0; i < r->n_pending && i < LEVELS_MOST; i++) put_level(o, &r->pending[i]);
    if (r->n_pending > LEVELS_MOST) put(o, "  (and %zu more)\n", r->n_pending - LEVELS_MOST);
}

static void put_continuation(out *o, const weft_result *r) {
    const failure *w = r->where;
    put(o, "continuation, innermost first:\n");
    if (r->run && !weft_ok(r->exit)) put_pending(o, r->run);
    if (!w) put(o, "  (%s)\n", weft_ok(r->exit) ? "none: the program has ended well" : "not known");
    for (uint32_t i = 0; w && i < w->n; i++) put_level(o, &w->at[i]);
    if (w && w->more) put(o, "  (and %" PRIu32 " more)\n", w->more);
}

static void put_flag(out *o, weft_exit e) {
    static const char *const tags[] = {"", "failed", "died", "interrupted"};
    if (!weft_ok(e)) put(o, "   <-- %s (code %d)", tags[e.tag & 3], e.code);
    put(o, "\n");
}

static void put_tree_line(out *o, const tree *t, unsigned depth) {
    for (unsigned i = 0; i < depth; i++) put(o, "  ");
    put_named(o, t->kind, t->name);
    put_place(o, t->file, t->line);
    if (t->count > 1) put(o, " x%" PRIu64, t->count);
    put_flag(o, t->failed);
}

/* In the order of their coming, without recursion. */
static void put_tree(out *o, const tree *t) {
    for (unsigned depth = 0; t;) {
        put_tree_line(o, t, depth);
        if (t->first) {
            t = t->first;
            depth++;
            continue;
        }
        while (t && !t->next) {
            t = t->up;
            depth--;
        }
        if (t) t = t->next;
    }
}

static void put_effects(out *o, const weft_result *r) {
    put(o, "effects:\n");
    if (r->run && r->run->trace) {
        spin_lock(&r->run->lock);
        put_tree(o, r->run->tree);
        if (r->run->tree_lost) put(o, "  (and %" PRIu64 " for which there was no memory)\n", r->run->tree_lost);
        spin_unlock(&r->run->lock);
        return;
    }
    if (r->program) put(o, "    program '%s' at %s:%d (not traced)\n", r->program->name, r->program->file, r->program->line);
    if (!r->where) return;
    put(o, "      in '%s'", r->where->name);
    put_flag(o, r->where->exit);
}

static void put_places(out *o, const weft_result *r) {
    cause_walk w;
    cause_visit v;
    put(o, "places, innermost first:\n");
    for (weft__cause_walk(&w, r->exit.cause); weft__cause_next(&w, &v);)
        if (cause_is_leaf(v.cause) && v.cause->file) put(o, "  %s:%d: %s\n", v.cause->file, v.cause->line, v.cause->text);
    for (uint32_t i = 0; r->where && i < r->where->n; i++) {
        const level *l = &r->where->at[i];
        bool driver = l->file == r->program->file && l->line == r->program->line;
        if (l->file && !driver) put(o, "  %s:%d: %s %s\n", l->file, l->line, l->kind, l->name ? l->name : "");
    }
    if (r->program) put(o, "  %s:%d: the driver of '%s'\n", r->program->file, r->program->line, r->program->name);
}

static void put_store(out *o, const weft_result *r) {
    put(o, "store:\n");
    for (uint32_t i = 0; r->table && i < r->table->slots; i++) {
        const weft_state *key = table_key(r->table, i);
        if (!key) continue;
        int64_t n = 0;
        put(o, "  %s", key->name);
        if (key->bytes == 4) {
            int32_t small;
            memcpy(&small, table_value(r->table, key), 4);
            n = small;
        }
        if (key->bytes == 8) memcpy(&n, table_value(r->table, key), 8);
        if (key->bytes == 4 || key->bytes == 8) put(o, " = %" PRId64, n);
        put(o, " (%" PRIu32 " bytes)\n", key->bytes);
    }
}

static void put_env(out *o, const weft_result *r) {
    put(o, "environment:\n");
    for (const asked *a = r->env; a; a = a->next) put(o, "  %s (%" PRIu32 " bytes)\n", a->key->name, a->key->reply);
}

static void put_log(out *o, const weft_result *r) {
    put(o, "log:\n");
    for (const weft_log_entry *e = weft_result_log(r)->first; e; e = e->next) put(o, "  %s\n", e->text);
}

static void put_short(out *o, const weft_result *r) {
    char line[512];
    const failure *w = r->where;
    if (weft_ok(r->exit)) return put(o, "ok: '%s'", r->program->name);
    put(o, "%s", weft_exit_format(r->exit, line, sizeof line));
    if (!w) return;
    put(o, "\nin");
    for (uint32_t i = w->n; i > 0; i--)
        if (w->at[i - 1].name) put(o, " > %s", w->at[i - 1].name);
}

static void put_verbose(out *o, const weft_result *r) {
    char tree_text[2048];
    if (weft_ok(r->exit))
        put_short(o, r);
    else
        put(o, "%s", weft_exit_render(r->exit, tree_text, sizeof tree_text));
    put(o, "\n");
    if (r->report) put(o, "%s\n", r->report);
    put_continuation(o, r);
    put_effects(o, r);
    put_places(o, r);
    put_env(o, r);
    put_store(o, r);
    put_log(o, r);
}

char *weft_result_continuation(const weft_result *r, char *buffer, size_t bytes) {
    out o = out_to(buffer, bytes);
    put_continuation(&o, r);
    return buffer;
}

char *weft_result_effects(const weft_result *r, char *buffer, size_t bytes) {
    out o = out_to(buffer, bytes);
    put_effects(&o, r);
    return buffer;
}

char *weft_result_places(const weft_result *r, char *buffer, size_t bytes) {
    out o = out_to(buffer, bytes);
    put_places(&o, r);
    return buffer;
}

char *weft_result_format(const weft_result *r, bool verbose, char *buffer, size_t bytes) {
    out o = out_to(buffer, bytes);
    if (verbose)
        put_verbose(&o, r);
    else
        put_short(&o, r);
    return buffer;
}
