/* effect/paper.h -- text that is written into a buffer: what fits is kept, all is counted.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef WEFT_EFFECT_PAPER_H
#define WEFT_EFFECT_PAPER_H

#include <stddef.h>
#include <stdint.h>

typedef struct paper {
    char *at;      /* where the next byte goes, */
    size_t left;   /* and how many there is room for, the terminator included; 0: nothing is written, not even that */
    size_t length; /* of all that was written, terminator not included */
} paper;

static inline paper paper_on(char *buffer, size_t bytes) {
    if (bytes) *buffer = 0;
    return (paper){buffer, bytes, 0};
}

void weft__paper_bytes(paper *p, const char *text, size_t n);
__attribute__((format(printf, 2, 3))) void weft__paper_print(paper *p, const char *format, ...);
void weft__paper_duration(paper *p, int64_t ns); /* 1.5ms; forever */

/* With what is special there escaped.  What is no UTF-8, and what XML forbids, becomes U+FFFD. */
void weft__paper_json(paper *p, const char *text); /* without quotes */
void weft__paper_xml(paper *p, const char *text);
/* On one line: control characters become spaces. */
void weft__paper_line(paper *p, const char *text);

/* Bytes of the first character of text, which is not empty; 0: they are no UTF-8. */
size_t weft__utf8_length(const char *text);

#endif
