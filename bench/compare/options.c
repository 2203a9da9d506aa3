/* bench/compare/options.c -- the command line.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/outfile.h"
#include "compare.h"

static const char help[] =
    "weft-compare [--input DIR] [--workers N] [--json FILE] [--quick]\n"
    "\n"
    "What does a fiber cost against a direct call?  Runs the same work by plain calls, by weft_fork and\n"
    "weft_join and by weft_spawn and weft_await, each on 1 and on N workers, and with threads, and\n"
    "compares.\n"
    "\n"
    "  --input DIR    the tree whose files are read and digested (default /usr/include)\n"
    "  --workers N    1 to 1024 (default: one for every CPU this process may use)\n"
    "  --json FILE    write machine, input and results\n"
    "  --quick        small sizes and few repetitions: shows that it works, not how fast\n"
    "\n"
    "Exit status: 0 all answers agree; 1 they do not, or something failed; 2 bad arguments or input.\n";

static unsigned parse_workers(const char *text) {
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno || end == text || *end || n < 1 || n > WORKERS_MAX) {
        complain("--workers %s: not a number from 1 to %d", text, WORKERS_MAX);
        exit(2);
    }
    return (unsigned)n;
}

options options_parse(int argc, char **argv) {
    static const struct option known[] = {
        {"input", required_argument, NULL, 'i'}, {"workers", required_argument, NULL, 'w'},
        {"json", required_argument, NULL, 'j'},  {"quick", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
    };
    options o = {.input = "/usr/include"};
    for (int c; (c = getopt_long(argc, argv, "h", known, NULL)) != -1;) switch (c) {
        case 'i': o.input = optarg; break;
        case 'w': o.workers = parse_workers(optarg); break;
        case 'j': o.json = optarg; break;
        case 'q': o.quick = true; break;
        case 'h': fputs(help, stdout); exit(0);
        default: fputs("weft-compare --help lists the options\n", stderr); exit(2);
        }
    if (optind < argc) {
        complain("unexpected argument %s (a directory is given with --input)", argv[optind]);
        exit(2);
    }
    int err = o.json ? outfile_check(o.json) : 0;
    if (err) {
        complain("cannot write --json %s: %s", *o.json ? o.json : "\"\"", strerror(err));
        exit(2);
    }
    return o;
}
