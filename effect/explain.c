/* effect/explain.c -- weft_explain, and plans as text, as JSON, and as a graph for Graphviz.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/explain.h"
#include <string.h>

size_t weft__explain(uintptr_t ref, const weft_explain_options *o, char *buffer, size_t bytes) {
    static const weft_explain_options none;
    paper out = paper_on(buffer, bytes);
    plan p;
    bool done = true;
    if (!o) o = &none;
    if (!weft__plan_make(&p, ref, o, __builtin_dwarf_cfa())) return 0;
    switch (o->format) {
    case WEFT_EXPLAIN_JSON: weft__plan_json(&p, &out); break;
    case WEFT_EXPLAIN_DOT: weft__plan_dot(&p, &out); break;
    case WEFT_EXPLAIN_SVG: done = weft__plan_svg(&p, &out); break;
    case WEFT_EXPLAIN_TEXT:
    default: weft__plan_text(&p, &out); break;
    }
    weft__plan_free(&p);
    if (!done && bytes) *buffer = 0;
    return done ? out.length : 0;
}

/* ---- text --------------------------------------------------------------------------------------------------- */

static void write_count(paper *out, const weft_count *c) {
    weft__paper_print(out, "  -- %llu run%s", (unsigned long long)c->runs, c->runs == 1 ? "" : "s");
    if (c->failures) weft__paper_print(out, ", %llu failed", (unsigned long long)c->failures);
    weft__paper_print(out, ", ");
    weft__paper_duration(out, c->total);
    weft__paper_print(out, ", own ");
    weft__paper_duration(out, c->own);
}

static void write_text(paper *out, const char *text) { weft__paper_bytes(out, text, strlen(text)); }

/* "flat_map parse"; "(2) zip" */
static void write_title(paper *out, const plan_item *i) {
    if (i->number) weft__paper_print(out, "(%u) ", i->number);
    if (i->role) weft__paper_print(out, "%s: ", i->role);
    if (i->kind == PLAN_MADE) write_text(out, ": ");
    write_text(out, weft__plan_kind(i));
    if (!weft__plan_name(i)) return;
    write_text(out, " ");
    weft__paper_line(out, weft__plan_name(i));
}

static void write_line(const plan *p, const plan_item *i, paper *out) {
    char detail[300];
    switch (i->kind) {
    case PLAN_MORE:
        write_text(out, "...");
        if (i->more) weft__paper_print(out, " %llu more", (unsigned long long)i->more); /* else: shown, or counted, elsewhere */
        return;
    case PLAN_STALE: write_text(out, "(does not live any more)"); return;
    case PLAN_SAME:
        if (i->role) weft__paper_print(out, "%s: ", i->role);
        weft__paper_print(out, "see (%u)", p->items[i->same].number);
        return;
    default: break;
    }
    write_title(out, i);
    if (i->node && weft__plan_detail(i->node, detail, sizeof detail)) {
        write_text(out, "  ");
        weft__paper_line(out, detail);
    }
    if (p->places && i->site) {
        write_text(out, "  ");
        weft__paper_line(out, i->site->file);
        weft__paper_print(out, ":%d", i->site->line);
    }
    if (i->counted) write_count(out, &i->count);
}

void weft__plan_text(const plan *p, paper *out) {
    for (size_t i = 0; i < p->n; i++) {
        for (uint32_t d = p->items[i].depth; d; d--) weft__paper_bytes(out, "  ", 2);
        write_line(p, &p->items[i], out);
        weft__paper_bytes(out, "\n", 1);
    }
}

/* ---- JSON ----------------------------------------------------------------------------------------------------- */

static void json_text(paper *out, const char *key, const char *text) {
    weft__paper_print(out, ",\"%s\":\"", key);
    weft__paper_json(out, text);
    write_text(out, "\"");
}

static void json_node(const plan *p, size_t at, paper *out) {
    static const char *const kinds[] = {NULL, NULL, "stale", "more", NULL};
    const plan_item *i = &p->items[at];
    char detail[300];
    weft__paper_print(out, "{\"id\":%zu", at);
    json_text(out, "kind", kinds[i->kind] ? kinds[i->kind] : weft__plan_kind(i));
    if (i->kind == PLAN_MORE) weft__paper_print(out, ",\"nodes\":%llu", (unsigned long long)i->more);
    if (i->kind == PLAN_MADE) write_text(out, ",\"made\":true");
    if (i->kind != PLAN_MORE && i->kind != PLAN_STALE && weft__plan_name(i)) json_text(out, "name", weft__plan_name(i));
    if (i->node && weft__plan_detail(i->node, detail, sizeof detail)) json_text(out, "detail", detail);
    if (p->places && i->site) {
        json_text(out, "file", i->site->file);
        weft__paper_print(out, ",\"line\":%d", i->site->line);
    }
    if (i->counted) {
        weft__paper_print(out, ",\"runs\":%llu,\"failures\":%llu", (unsigned long long)i->count.runs,
                          (unsigned long long)i->count.failures);
        weft__paper_print(out, ",\"total_ns\":%lld,\"own_ns\":%lld", (long long)i->count.total, (long long)i->count.own);
    }
    write_text(out, "}");
}

void weft__plan_json(const plan *p, paper *out) {
    const char *between = "";
    write_text(out, "{\"nodes\":[");
    for (size_t i = 0; i < p->n; i++) {
        if (p->items[i].kind == PLAN_SAME) continue;
        weft__paper_print(out, "%s\n", between);
        json_node(p, i, out);
        between = ",";
    }
    write_text(out, "\n],\"edges\":[");
    between = "";
    for (size_t i = 0; i < p->n; i++) {
        const plan_item *to = &p->items[i];
        if (to->parent == PLAN_NONE) continue;
        weft__paper_print(out, "%s\n{\"from\":%u,\"to\":%zu", between, to->parent, to->kind == PLAN_SAME ? (size_t)to->same : i);
        if (to->role) json_text(out, "role", to->role);
        write_text(out, "}");
        between = ",";
    }
    weft__paper_print(out, "\n],\"total\":%llu}\n", (unsigned long long)p->total);
}

/* ---- a graph -------------------------------------------------------------------------------------------------- */

/* One line of a label; what dot would take for itself is escaped as JSON is, and so are newlines. */
static void dot_label(const plan *p, const plan_item *i, paper *out) {
    char line[1024];
    plan_item bare = *i;
    paper on = paper_on(line, sizeof line);
    bare.role = NULL;
    bare.number = 0;
    write_line(p, &bare, &on);
    weft__paper_json(out, line);
}

void weft__plan_dot(const plan *p, paper *out) {
    write_text(out, "digraph plan {\n  node [shape=box, style=rounded, fontname=\"monospace\", fontsize=10];\n");
    for (size_t i = 0; i < p->n; i++) {
        if (p->items[i].kind == PLAN_SAME) continue;
        weft__paper_print(out, "  n%zu [label=\"", i);
        dot_label(p, &p->items[i], out);
        weft__paper_print(out, "\"%s];\n", p->items[i].kind == PLAN_NODE ? "" : ", style=\"rounded,dashed\"");
    }
    for (size_t i = 0; i < p->n; i++) {
        const plan_item *to = &p->items[i];
        if (to->parent == PLAN_NONE) continue;
        weft__paper_print(out, "  n%u -> n%zu", to->parent, to->kind == PLAN_SAME ? (size_t)to->same : i);
        if (to->role) weft__paper_print(out, " [label=\"%s\"]", to->role);
        write_text(out, ";\n");
    }
    write_text(out, "}\n");
}
