/* sched/exit.c -- exits: how a fiber is made to fail, two of them as one, and as text.
 *
 * Concepts
 *   record   the exit of the running fiber: the first that is not ok, with a reference of its own to the cause
 *   lead     of a tree, the leaf that tag and code of its exit are about
 *
 * Texts are put together by hand, and one walk ends before the next begins: an exit is printed where things went wrong,
 * and a small fiber has no stack to spare for printf.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "sched/exit.h"
#include "sched/carried.h"
#include "sched/cause.h"
#include "sched/thread.h"
#include <string.h>
#include <weft/fiber.h>

/* ---- failing ------------------------------------------------------------------------------------------ */

static _Thread_local weft_exit *said_to; /* of a plain thread: nothing here switches */

weft_exit *weft__said_to(weft_exit *to) {
    weft_exit *before = said_to;
    said_to = to;
    return before;
}

/* Where the caller's failure goes; NULL: nowhere. */
static weft_exit *record_of(fiber *f) { return f ? &f->exit : said_to; }

/* The first failure of a fiber counts. */
static bool counts(const weft_exit *record, weft_exit e) { return record && weft_ok(*record) && !weft_ok(e); }

static void record(weft_exit e, bool passed_on) {
    fiber *f = thread_fiber();
    weft_exit *to = record_of(f);
    if (!counts(to, e)) return weft__cause_drop(e.cause);
    *to = e;
    if (f) carried_note_failure(f, e, passed_on);
}

void weft__exit_record(weft_exit e) { record(e, true); }

static int code_in_range(int code) { return code < 1 || code > WEFT_CODE_MAX ? WEFT_E_INVALID : code; }

weft_exit weft__fail(int code, const weft_cause *cause) {
    weft_exit e = {cause->kind, code_in_range(code), cause};
    record(e, false);
    return e;
}

weft_exit weft__failf(int code, const weft_cause *unformatted, const char *format, ...) {
    weft_exit e = {unformatted->kind, code_in_range(code), unformatted};
    if (!counts(record_of(thread_fiber()), e)) return e;
    va_list args;
    va_start(args, format);
    e.cause = weft__cause_format(unformatted, e.code, format, args);
    va_end(args);
    record(e, false);
    return e;
}

weft_exit weft__expect(weft_exit e) {
    fiber *f = thread_fiber();
    weft_exit *to = record_of(f);
    if (counts(to, e)) {
        weft__cause_keep(e.cause);
        *to = e;
        if (f) carried_note_failure(f, e, true);
    }
    return e;
}

/* ---- combining ---------------------------------------------------------------------------------------- */

/* Takes over what e carries, which is not ok, and says in the tree what was said only in e. */
static const weft_cause *cause_of(weft_exit e) {
    if (!e.cause) return weft__cause_leaf((weft_cause_kind)e.tag, e.code, NULL, NULL, 0);
    return weft__cause_with_code(e.cause, e.code);
}

static weft_exit join(weft_cause_kind kind, weft_exit a, weft_exit b, bool second_leads) {
    if (weft_ok(a)) return b;
    if (weft_ok(b)) return a;
    weft_exit lead = second_leads ? b : a;
    lead.cause = weft__cause_join(kind, cause_of(a), cause_of(b), second_leads);
    return lead;
}

weft_exit weft__exit_both(weft_exit a, weft_exit b) {
    return join(WEFT_CAUSE_BOTH, a, b, weft_exit_interrupted(a) && !weft_exit_interrupted(b));
}

weft_exit weft__exit_then(weft_exit a, weft_exit b) { return join(WEFT_CAUSE_THEN, a, b, false); }

weft_exit weft__exit_note(weft_exit e, const char *text, const char *file, int line) {
    if (!weft_ok(e)) e.cause = weft__cause_note(cause_of(e), text, file, line);
    return e;
}

/* ---- text --------------------------------------------------------------------------------------------- */

/* start <= at <= last; last is kept for the terminator. */
typedef struct out {
    char *start, *at, *last;
} out;

static out out_to(char *buffer, size_t bytes) { return (out){buffer, buffer, buffer + bytes - 1}; }

static void put_char(out *o, char c) {
    if (o->at < o->last) *o->at++ = c;
}

/* A line stays one. */
static void put(out *o, const char *text) {
    for (; *text; text++) put_char(o, (unsigned char)*text < ' ' ? ' ' : *text);
}

static void put_number(out *o, uint64_t n) {
    char digits[21], *p = digits + 20;
    *p = 0;
    do *--p = (char)('0' + n % 10);
    while (n /= 10);
    put(o, p);
}

static void put_signed(out *o, int64_t n) {
    if (n < 0) put_char(o, '-');
    put_number(o, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

static const char *tag_text(uint32_t tag) {
    static const char *const tags[] = {"ok", "failed", "died", "interrupted"};
    return tag < sizeof tags / sizeof *tags ? tags[tag] : "unknown exit";
}

static void put_code(out *o, int32_t code) {
    if (!code) return;
    put(o, " (code ");
    put_signed(o, code);
    put(o, ")");
}

/* " by fiber 12 'main'"; nothing if not even the place is known. */
static void put_who(out *o, const weft_cause *c) {
    if (c->who || c->who_name)
        put(o, " by");
    else if (c->file)
        put(o, " from outside");
    if (c->who) {
        put(o, " fiber ");
        put_number(o, c->who);
    }
    if (c->who_name) {
        put(o, " '");
        put(o, c->who_name);
        put(o, "'");
    }
}

static void put_place(out *o, const weft_cause *c) {
    if (!c->file) return;
    put(o, " at ");
    put(o, c->file);
    put(o, ":");
    put_signed(o, c->line);
}

/* ": text; what the code means" */
static void put_texts(out *o, const char *text, int32_t code) {
    const char *meaning = code > 0 && code < WEFT_E_USER ? weft_err_text((weft_err)code) : "";
    const char *before = ": ";
    if (*text) {
        put(o, before);
        put(o, text);
        before = "; ";
    }
    if (*meaning) {
        put(o, before);
        put(o, meaning);
    }
}

static void put_leaf(out *o, const weft_cause *c, int32_t code) {
    if (c->kind == WEFT_CAUSE_INTERRUPT) code = 0;
    put(o, tag_text(c->kind));
    if (c->kind == WEFT_CAUSE_INTERRUPT) put_who(o, c);
    put_code(o, code);
    put_place(o, c);
    put_texts(o, c->text, code);
}

static void put_bare(out *o, weft_exit e) {
    put(o, tag_text(e.tag));
    if (weft_ok(e)) return;
    put_code(o, e.code);
    put_texts(o, "", e.code);
}

/* The first leaf of that tag and code, else the first. */
static const weft_cause *lead_of(weft_exit e) {
    cause_walk w;
    cause_visit v;
    const weft_cause *first = NULL;
    for (weft__cause_walk(&w, e.cause); weft__cause_next(&w, &v);) {
        if (!cause_is_leaf(v.cause)) continue;
        if (!first) first = v.cause;
        if (v.cause->kind == e.tag && (!v.cause->code || v.cause->code == e.code)) return v.cause;
    }
    return first;
}

static int32_t code_of(const weft_cause *leaf, const weft_cause *lead, weft_exit e) {
    return leaf->code || leaf != lead ? leaf->code : e.code;
}

static char *end(out *o) {
    *o->at = 0;
    return o->start;
}

static void put_one_line(out *o, weft_exit e, const weft_cause *lead) {
    put_leaf(o, lead, code_of(lead, lead, e));
    uint64_t more = (uint64_t)weft__cause_leaves(e.cause) - 1 + e.cause->dropped;
    if (!more) return;
    put(o, " (and ");
    put_number(o, more);
    put(o, " more)");
}

char *weft_exit_format(weft_exit e, char *buffer, size_t bytes) {
    if (!bytes) return buffer;
    out o = out_to(buffer, bytes);
    if (weft_ok(e) || !e.cause)
        put_bare(&o, e);
    else
        put_one_line(&o, e, lead_of(e));
    return end(&o);
}

static void put_indent(out *o, unsigned depth) {
    if (o->at != o->start) put_char(o, '\n');
    for (unsigned i = 0; i < depth; i++) put(o, "  ");
}

static bool has_line(cause_visit v) {
    if (cause_is_leaf(v.cause)) return true;
    return v.cause->kind == WEFT_CAUSE_BOTH ? v.kind != CAUSE_JOINED : v.kind == CAUSE_AFTER;
}

static const char *both_text(const weft_cause *c) {
    bool more = c->first->kind == WEFT_CAUSE_BOTH || c->second->kind == WEFT_CAUSE_BOTH;
    return more ? "all of:" : "both:";
}

static void put_node(out *o, const weft_cause *c) {
    if (c->kind == WEFT_CAUSE_BOTH) put(o, both_text(c));
    if (c->kind == WEFT_CAUSE_THEN) put(o, "then:");
    if (c->kind != WEFT_CAUSE_NOTE) return;
    put(o, "note");
    put_place(o, c);
    put_texts(o, c->text, 0);
}

static void put_tree(out *o, weft_exit e, const weft_cause *lead) {
    cause_walk w;
    cause_visit v;
    for (weft__cause_walk(&w, e.cause); weft__cause_next(&w, &v);) {
        if (!has_line(v)) continue;
        put_indent(o, v.depth);
        if (cause_is_leaf(v.cause))
            put_leaf(o, v.cause, code_of(v.cause, lead, e));
        else
            put_node(o, v.cause);
    }
    if (!e.cause->dropped) return;
    put_indent(o, 0);
    put(o, "(and ");
    put_number(o, e.cause->dropped);
    put(o, " more, left out)");
}

char *weft_exit_render(weft_exit e, char *buffer, size_t bytes) {
    if (!bytes) return buffer;
    out o = out_to(buffer, bytes);
    if (weft_ok(e) || !e.cause)
        put_bare(&o, e);
    else
        put_tree(&o, e, lead_of(e));
    return end(&o);
}
