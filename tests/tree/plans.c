/* Writes a plan: plans FORMAT SEED.  An effect of random shape, whose names and texts hold what formats must escape: quotes,
 * brackets, control characters, and bytes that are no UTF-8.  plans.py reads what comes out.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "alloc/mix.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/explain.h>

WEFT_EFF(eff_long, long);
typedef struct pair {
    long first, second;
} pair;
WEFT_EFF(eff_pair, pair);
static long sum(pair p) { return p.first + p.second; }
WEFT_TASK(sum, long, pair);

enum { NODES = 40 };
static const char *const texts[] = {
    "plain", "\"quoted\" 'twice'", "<a href=\"&amp;\">]]></a>", "back\\slash \\n \\u0041", "line\nfeed\ttab\rreturn",
    "\x01\x02\x1f\x7f",
    "na\xc3\xafve \xe2\x82\xac \xf0\x9f\xa7\xb5", "\xff\xfe broken \xc3", "\xed\xa0\x80 surrogate",
    "\xef\xbf\xbf\xef\xbf\xbe not characters",
    "\xc0\x80 overlong \xe0\x80\x80", "%s%n%d", "", "-- --> */ }]\"",
    "\xf4\x90\x80\x80 beyond", "\xc2\x85\xe2\x80\xa8 other line ends",
};
enum { TEXTS = sizeof texts / sizeof *texts };

int main(int argc, char **argv) {
    uint64_t random = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    static char out[1 << 20];
    weft_eff_arena arena;
    eff_long made[NODES];
    weft_eff_site sites[NODES];
    weft_eff_arena_open(&arena);
    for (unsigned i = 0; i < NODES; i++) {
        unsigned near = i < 6 ? i : 6;
        eff_long a = i ? made[i - 1 - mixed_next(&random) % near] : (eff_long){0};
        eff_long b = i ? made[i - 1 - mixed_next(&random) % near] : (eff_long){0};
        const char *text = texts[mixed_next(&random) % TEXTS];
        unsigned kind = i < 3 ? 0 : (unsigned)(mixed_next(&random) % 3);
        eff_pair two = weft_eff_zip(eff_pair, a, b);
        eff_long leaf = weft_eff_succeed(eff_long, i), noted = weft_eff_annotate(eff_long, a, text);
        eff_long mapped = weft_eff_map(eff_long, two, sum), e = kind == 0 ? leaf : kind == 1 ? noted : mapped;
        sites[i] = (weft_eff_site){texts[mixed_next(&random) % TEXTS], texts[mixed_next(&random) % TEXTS], (int)i};
        ((weft_eff_node *)e.ref)->site = &sites[i];
        made[i] = weft_eff_keep(eff_long, &arena, e);
    }
    weft_explain_options o = {.format = (weft_explain_format)atoi(argv[1]),
                              .most = random % 3 ? 0 : 1 + (uint32_t)(random % 20),
                              .depth = random % 5 ? 0 : 1 + (uint32_t)(random % 7)};
    size_t n = weft_explain_with(made[NODES - 1], &o, out, sizeof out);
    if (!n || n != strlen(out)) return 1;
    fputs(out, stdout);
    weft_eff_arena_close(&arena);
    return 0;
}
