/* effect/paper.c -- writing into a buffer, as snprintf does, piece by piece; with escapes.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "effect/paper.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void weft__paper_bytes(paper *p, const char *text, size_t n) {
    size_t fits = p->left ? p->left - 1 : 0;
    p->length += n;
    if (fits > n) fits = n;
    if (!p->left) return;
    memcpy(p->at, text, fits);
    p->at += fits;
    p->left -= fits;
    *p->at = 0;
}

static void write_text(paper *p, const char *text) { weft__paper_bytes(p, text, strlen(text)); }

void weft__paper_print(paper *p, const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n > 0) weft__paper_bytes(p, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

void weft__paper_duration(paper *p, int64_t d) {
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = {{1000000000, "s"}, {1000000, "ms"}, {1000, "us"}, {1, "ns"}};
    int u = 0;
    if (d == INT64_MAX) return write_text(p, "forever");
    while (u < 3 && d < units[u].ns) u++;
    weft__paper_print(p, "%.12g%s", (double)d / (double)units[u].ns, units[u].name);
}

/* Shortest forms, no surrogates, at most U+10FFFF (Unicode 15, table 3-7). */
size_t weft__utf8_length(const char *text) {
    const unsigned char *t = (const unsigned char *)text;
    unsigned char least = 0x80, most = 0xbf;
    if (t[0] < 0x80) return 1;
    size_t n = t[0] >= 0xc2 && t[0] <= 0xdf ? 2 : (t[0] & 0xf0) == 0xe0 ? 3 : t[0] >= 0xf0 && t[0] <= 0xf4 ? 4 : 0;
    if (t[0] == 0xe0) least = 0xa0;
    if (t[0] == 0xed) most = 0x9f;
    if (t[0] == 0xf0) least = 0x90;
    if (t[0] == 0xf4) most = 0x8f;
    if (n && (t[1] < least || t[1] > most)) return 0;
    for (size_t i = 2; i < n; i++)
        if ((t[i] & 0xc0) != 0x80) return 0;
    return n;
}

#define REPLACEMENT "\xef\xbf\xbd"

void weft__paper_line(paper *p, const char *text) {
    for (size_t n; *text; text += n ? n : 1) {
        n = weft__utf8_length(text);
        if (!n)
            write_text(p, REPLACEMENT);
        else if ((unsigned char)*text < 0x20 || *text == 0x7f)
            write_text(p, " ");
        else
            weft__paper_bytes(p, text, n);
    }
}

void weft__paper_json(paper *p, const char *text) {
    for (size_t n; *text; text += n ? n : 1) {
        n = weft__utf8_length(text);
        unsigned char c = (unsigned char)*text;
        if (!n)
            write_text(p, REPLACEMENT);
        else if (c == '"' || c == '\\')
            weft__paper_print(p, "\\%c", c);
        else if (c == '\n')
            write_text(p, "\\n");
        else if (c < 0x20 || c == 0x7f)
            weft__paper_print(p, "\\u%04x", c);
        else
            weft__paper_bytes(p, text, n);
    }
}

void weft__paper_xml(paper *p, const char *text) {
    for (size_t n; *text; text += n ? n : 1) {
        n = weft__utf8_length(text);
        switch (*text) {
        case '&': write_text(p, "&amp;"); continue;
        case '<': write_text(p, "&lt;"); continue;
        case '>': write_text(p, "&gt;"); continue;
        case '"': write_text(p, "&quot;"); continue;
        case '\'': write_text(p, "&apos;"); continue;
        case '\n':
        case '\t': write_text(p, " "); continue;
        default: break;
        }
        if (!strncmp(text, "\xc2\x85", 2) || !strncmp(text, "\xe2\x80\xa8", 3) || !strncmp(text, "\xe2\x80\xa9", 3))
            write_text(p, " "); /* the other ends of lines */
        else if (!n || (unsigned char)*text < 0x20 || !strncmp(text, "\xef\xbf\xbe", 3) || !strncmp(text, "\xef\xbf\xbf", 3))
            write_text(p, REPLACEMENT);
        else
            weft__paper_bytes(p, text, n);
    }
}
