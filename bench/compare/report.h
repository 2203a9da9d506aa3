/* bench/compare/report.h -- the table and the JSON file.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef COMPARE_REPORT_H
#define COMPARE_REPORT_H

#include "../common/load.h"
#include "../common/machine.h"
#include "tree.h"

typedef struct report {
    const options *o;
    machine m;
    load_share load;
    const modes *all;
    const tree *t;
    tree_sum input; /* what the first pass found */
    const outcome *outcomes;
    int count;
} report;

void report_print(const report *r);

/* Prints and returns false if the file cannot be written. */
bool report_json(const report *r, const char *path);

#endif
