/* bench/compare/printable.c -- what is shown: file names are bytes, terminals and JSON want text; answers.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

/* Length of the valid UTF-8 sequence at p (the string ends with a zero byte), or 0. */
static size_t utf8_length(const unsigned char *p) {
    size_t n = 0;
    if (p[0] < 0x80) n = 1;
    if (p[0] >= 0xc2 && p[0] < 0xe0) n = 2;
    if (p[0] >= 0xe0 && p[0] < 0xf0) n = 3;
    if (p[0] >= 0xf0 && p[0] < 0xf5) n = 4;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool beyond = (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf4 && p[1] >= 0x90);
    bool control = p[0] == 0xc2 && p[1] < 0xa0;
    return overlong || beyond || control ? 0 : n;
}

char *printable(const char *text) {
    static const char digits[] = "0123456789abcdef";
    char *out = malloc(4 * strlen(text) + 1), *o = out;
    if (!out) return NULL;
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t n = utf8_length(p);
        if (n == 0 || *p < 0x20 || *p == 0x7f || *p == '\\') {
            *o++ = '\\';
            *o++ = 'x';
            *o++ = digits[*p >> 4];
            *o++ = digits[*p & 15];
            p++;
            continue;
        }
        memcpy(o, p, n);
        o += n;
        p += n;
    }
    *o = 0;
    return out;
}

const char *answer_text(const workload *w, uint64_t answer, char out[24]) {
    snprintf(out, 24, w->hexadecimal ? "%016" PRIx64 : "%" PRIu64, answer);
    return out;
}
