/* effect/explain_svg.c -- a plan as a picture: a box for each item, those a node is made of below it, side by side.
 *
 * The layout is that of a tree: a box stands over the middle of what belongs to it, each row is as high as its highest box.
 * Two passes over the items do it, since operands come behind what they are made into: backwards widths are summed up, forwards
 * places are given out.  A node that is used again is a small box with its number, not a line across the picture.
 *
 * A box says, a line each: kind and name; details; place; counts.  The more of the whole time a node took for itself, the
 * darker it is.
 *
 * All letters are taken to be as wide as each other; a font that is wider or narrower than that is stretched (textLength).
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/heap.h"
#include "effect/explain.h"
#include <string.h>

enum {
    LINE = 15,    /* height */
    PAD = 8,      /* of a box, inside */
    GAP_X = 14,
    GAP_Y = 26,
    EDGE = 10,    /* of the picture */
    MOST_LETTERS = 46,
    LINES = 4,
};

/* Tenths of a pixel, at a size of 12. */
static int width_of(int letters) { return (letters * 72 + 9) / 10; }

typedef struct box {
    char line[LINES][MOST_LETTERS * 4 + 4]; /* UTF-8 */
    uint8_t letters[LINES], lines;
    bool bold;
} box;

typedef struct spot {
    int32_t w, h;       /* of the box */
    int64_t wide, sum;  /* of the box and all below; of what is below */
    int64_t left, next; /* where that begins; where the next one below begins */
} spot;

typedef struct picture {
    const plan *p;
    spot *spots;
    int64_t *rows; /* how high each is, then where it begins */
    size_t n_rows;
    int64_t width, height;
    weft_duration whole;
} picture;

/* ---- what stands in a box ------------------------------------------------------------------------------ */

/* What is too long is cut, at the end or (a path) at the beginning, and ends or begins with an ellipsis. */
static void add_line(box *b, const char *text, bool keep_end) {
    size_t letters = 0, skip = 0, bytes = 0;
    for (const char *t = text; *t; letters++) t += weft__utf8_length(t) ? weft__utf8_length(t) : 1;
    char *to = b->line[b->lines];
    bool cut = letters > MOST_LETTERS;
    if (cut && keep_end) skip = letters - (MOST_LETTERS - 1);
    for (; skip; skip--) text += weft__utf8_length(text) ? weft__utf8_length(text) : 1;
    if (cut && keep_end) memcpy(to, "\xe2\x80\xa6", bytes = 3);
    for (size_t left = cut ? MOST_LETTERS - 1 : letters; left; left--) {
        size_t n = weft__utf8_length(text) ? weft__utf8_length(text) : 1;
        memcpy(to + bytes, text, n);
        bytes += n;
        text += n;
    }
    if (cut && !keep_end) memcpy(to + bytes, "\xe2\x80\xa6", 3), bytes += 3;
    to[bytes] = 0;
    b->letters[b->lines++] = (uint8_t)(cut ? MOST_LETTERS : letters);
}

static void title(const plan *p, const plan_item *i, paper *on) {
    if (i->number) weft__paper_print(on, "(%u) ", i->number);
    if (i->kind == PLAN_SAME) weft__paper_print(on, "see (%u)", p->items[i->same].number);
    if (i->kind == PLAN_STALE) weft__paper_print(on, "(does not live any more)");
    if (i->kind == PLAN_MORE && !i->more) weft__paper_print(on, "...");
    if (i->kind == PLAN_MORE && i->more) weft__paper_print(on, "... %llu more", (unsigned long long)i->more);
    if (i->kind != PLAN_NODE && i->kind != PLAN_MADE) return;
    weft__paper_print(on, "%s", weft__plan_kind(i));
    if (weft__plan_name(i)) weft__paper_print(on, " %s", weft__plan_name(i));
}

static void fill(const plan *p, const plan_item *i, box *b) {
    char text[600];
    paper on = paper_on(text, sizeof text);
    b->lines = 0;
    title(p, i, &on);
    add_line(b, text, false);
    if (i->kind != PLAN_NODE && i->kind != PLAN_MADE) return;
    if (i->node && weft__plan_detail(i->node, text, sizeof text)) add_line(b, text, false);
    on = paper_on(text, sizeof text);
    if (p->places && i->site) {
        weft__paper_print(&on, "%s:%d", i->site->file, i->site->line);
        add_line(b, text, true);
    }
    on = paper_on(text, sizeof text);
    if (!i->counted) return;
    weft__paper_print(&on, "%llu run%s, ", (unsigned long long)i->count.runs, i->count.runs == 1 ? "" : "s");
    if (i->count.failures) weft__paper_print(&on, "%llu failed, ", (unsigned long long)i->count.failures);
    weft__paper_duration(&on, i->count.total);
    weft__paper_print(&on, ", own ");
    weft__paper_duration(&on, i->count.own);
    add_line(b, text, false);
}

/* ---- where it stands ---------------------------------------------------------------------------------- */

static void measure(picture *pic, size_t i) {
    const plan_item *item = &pic->p->items[i];
    spot *s = &pic->spots[i];
    box b;
    int letters = 0;
    fill(pic->p, item, &b);
    for (int k = 0; k < b.lines; k++)
        if (b.letters[k] > letters) letters = b.letters[k];
    s->w = width_of(letters) + 2 * PAD;
    s->h = b.lines * LINE + PAD;
    if (s->h > pic->rows[item->depth]) pic->rows[item->depth] = s->h;
    if (item->counted) pic->whole += item->count.own;
}

/* Operands come behind what they are made into, so backwards the widths below are known. */
static void widths(picture *pic) {
    for (size_t i = pic->p->n; i-- > 0;) {
        spot *s = &pic->spots[i];
        uint32_t parent = pic->p->items[i].parent;
        s->wide = s->sum > s->w ? s->sum : s->w;
        int64_t *sum = parent == PLAN_NONE ? &pic->width : &pic->spots[parent].sum;
        *sum += s->wide + (*sum ? GAP_X : 0);
    }
}

static void places(picture *pic) {
    int64_t roots = EDGE, y = EDGE;
    for (size_t i = 0; i < pic->p->n; i++) {
        spot *s = &pic->spots[i];
        uint32_t parent = pic->p->items[i].parent;
        int64_t *next = parent == PLAN_NONE ? &roots : &pic->spots[parent].next;
        s->left = *next;
        *next += s->wide + GAP_X;
        s->next = s->left + (s->wide - s->sum) / 2;
    }
    for (size_t r = 0; r < pic->n_rows; r++) {
        int64_t h = pic->rows[r];
        pic->rows[r] = y;
        y += h + GAP_Y;
    }
    pic->width += 2 * EDGE;
    pic->height = y - GAP_Y + EDGE;
}

/* ---- drawing ------------------------------------------------------------------------------------------ */

static int64_t middle(const spot *s) { return s->left + s->wide / 2; }

static void draw_edge(const picture *pic, size_t i, paper *out) {
    const plan_item *item = &pic->p->items[i];
    if (item->parent == PLAN_NONE) return;
    const spot *from = &pic->spots[item->parent], *to = &pic->spots[i];
    long long x0 = middle(from), y0 = pic->rows[item->depth - 1] + from->h, x1 = middle(to), y1 = pic->rows[item->depth];
    weft__paper_print(out, "<path d=\"M%lld %lld V%lld C%lld %lld %lld %lld %lld %lld\"%s/>\n", x0, y0, y1 - GAP_Y, x0,
                      y1 - GAP_Y / 2, x1, y1 - GAP_Y / 2, x1, y1, item->kind == PLAN_MADE ? " stroke-dasharray=\"3 3\"" : "");
    if (!item->role) return;
    weft__paper_print(out, "<text x=\"%lld\" y=\"%lld\" class=\"role\">", x1 + 4, y1 - 5);
    weft__paper_xml(out, item->role);
    weft__paper_print(out, "</text>\n");
}

/* From white to orange. */
static void colour(const picture *pic, const plan_item *i, char text[8]) {
    static const char *const plain[] = {"#ffffff", "#f2f2f2", "#ffd0d0", "#f2f2f2", "#f7f7ff"};
    paper on = paper_on(text, 8);
    double share = i->counted && pic->whole > 0 ? (double)i->count.own / (double)pic->whole : 0;
    if (share < 0) share = 0;
    if (i->counted)
        weft__paper_print(&on, "#ff%02x%02x", 0xff - (unsigned)(share * 0x60), 0xff - (unsigned)(share * 0xb0));
    else
        weft__paper_print(&on, "%s", plain[i->kind]);
}

static void draw_box(const picture *pic, size_t at, paper *out) {
    const plan_item *item = &pic->p->items[at];
    const spot *s = &pic->spots[at];
    long long x = middle(s) - s->w / 2, y = pic->rows[item->depth];
    box b;
    char fill_colour[8];
    fill(pic->p, item, &b);
    colour(pic, item, fill_colour);
    weft__paper_print(out, "<rect x=\"%lld\" y=\"%lld\" width=\"%d\" height=\"%d\" rx=\"5\" fill=\"%s\"%s/>\n", x, y, s->w,
                      s->h, fill_colour, item->kind == PLAN_NODE ? "" : " stroke-dasharray=\"3 3\"");
    for (int k = 0; k < b.lines; k++) {
        weft__paper_print(out, "<text x=\"%lld\" y=\"%lld\" textLength=\"%d\"%s>", x + PAD, y + PAD / 2 + (k + 1) * LINE - 4,
                          width_of(b.letters[k]), k == 0 ? " font-weight=\"bold\"" : " fill=\"#555555\"");
        weft__paper_xml(out, b.line[k]);
        weft__paper_print(out, "</text>\n");
    }
}

static void draw(const picture *pic, paper *out) {
    weft__paper_print(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                           "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%lld\" height=\"%lld\" "
                           "viewBox=\"0 0 %lld %lld\">\n",
                      (long long)pic->width, (long long)pic->height, (long long)pic->width, (long long)pic->height);
    weft__paper_print(out, "<style>text { font-family: monospace; font-size: 12px; white-space: pre; stroke: none } "
                           ".role { fill: #888888; font-size: 11px }</style>\n"
                           "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n");
    weft__paper_print(out, "<g fill=\"none\" stroke=\"#888888\">\n");
    for (size_t i = 0; i < pic->p->n; i++) draw_edge(pic, i, out);
    weft__paper_print(out, "</g>\n<g stroke=\"#444444\">\n");
    for (size_t i = 0; i < pic->p->n; i++) draw_box(pic, i, out);
    weft__paper_print(out, "</g>\n</svg>\n");
}

bool weft__plan_svg(const plan *p, paper *out) {
    picture pic = {.p = p};
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].depth >= pic.n_rows) pic.n_rows = p->items[i].depth + 1u;
    size_t spots = (p->n + 1) * sizeof(spot), rows = (pic.n_rows + 1) * sizeof(int64_t);
    pic.spots = weft__heap_alloc(spots, 0);
    pic.rows = pic.spots ? weft__heap_alloc(rows, 0) : NULL;
    if (pic.rows) {
        for (size_t i = 0; i < p->n; i++) measure(&pic, i);
        widths(&pic);
        places(&pic);
        draw(&pic, out);
    }
    bool done = pic.rows != NULL;
    weft__heap_free(pic.rows, rows);
    weft__heap_free(pic.spots, spots);
    return done;
}
