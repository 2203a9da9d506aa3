// bench/suite/main.cc -- weft-bench: the entries, run by Google Benchmark.
//
// Which context a library switches by is chosen when it is built.  So there are two programs of these
// sources: weft-bench, and, linked with a library of the native context, weft-bench-native, which has the
// entries native/... and is run by the first (native.h).
// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <benchmark/benchmark.h>
#include <getopt.h>
#include <regex.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../common/machine.h"
#include "../common/outfile.h"
#include "entries.h"
#include "machinery.h"
#include "native.h"
#include "report.h"

#ifndef BENCH_NATIVE
#define BENCH_NATIVE 0 // 1 in weft-bench-native
#endif

namespace {

struct Options {
    std::string filter, json;
    int repetitions = 0; // 0: 5, or 3 for the targets
    bool targets = false, list = false;
};

[[noreturn]] void usage_error(const std::string &text) {
    fprintf(stderr, "weft-bench: %s (weft-bench --help)\n", text.c_str());
    exit(2);
}

std::vector<Entry> matching(std::vector<Entry> entries, const std::string &filter) {
    regex_t re;
    char why[128];
    if (filter.empty()) return entries;
    if (int err = regcomp(&re, filter.c_str(), REG_EXTENDED | REG_NOSUB)) {
        regerror(err, &re, why, sizeof why);
        usage_error("--filter " + filter + ": " + why);
    }
    std::vector<Entry> kept;
    for (Entry &e : entries)
        if (regexec(&re, e.name.c_str(), 0, nullptr, 0) == 0) kept.push_back(e);
    regfree(&re);
    return kept;
}

void help() {
    puts("weft-bench [--filter REGEX] [--json FILE] [--repetitions N] [--targets] [--list]\n"
         "\n"
         "  --filter REGEX     only entries whose name matches this extended regular expression\n"
         "  --json FILE        write all repetitions and aggregates as one Google Benchmark JSON file\n"
         "  --repetitions N    measure every entry N times (default 5, with --targets 3)\n"
         "  --targets          short: measured against target, about a minute; a miss is no error\n"
         "  --list             print the names and stop\n"
         "\n"
         "Exit status: 0 measured; 1 an entry could not run or the file could not be written; 2 bad "
         "arguments.");
}

Options parse(int argc, char **argv) {
    static const option known[] = {{"filter", required_argument, nullptr, 'f'},
                                   {"json", required_argument, nullptr, 'j'},
                                   {"repetitions", required_argument, nullptr, 'r'},
                                   {"targets", no_argument, nullptr, 't'},
                                   {"list", no_argument, nullptr, 'l'},
                                   {"help", no_argument, nullptr, 'h'},
                                   {nullptr, 0, nullptr, 0}};
    Options o;
    for (int c; (c = getopt_long(argc, argv, "h", known, nullptr)) != -1;) {
        if (c == 'f') o.filter = optarg;
        if (c == 'j') o.json = optarg;
        if (c == 'j' && o.json.empty()) usage_error("--json needs a file name");
        if (c == 't') o.targets = true;
        if (c == 'l') o.list = true;
        if (c == 'r') {
            char *end;
            long n = strtol(optarg, &end, 10);
            if (*end || end == optarg || n < 1 || n > 1000)
                usage_error("--repetitions takes a number from 1 to 1000");
            o.repetitions = static_cast<int>(n);
        }
        if (c == 'h') {
            help();
            exit(0);
        }
        if (c == '?') exit(2);
    }
    if (optind < argc) usage_error(std::string("unexpected argument ") + argv[optind]);
    if (!o.repetitions) o.repetitions = o.targets ? 3 : 5;
    return o;
}

// Measures and prints.
void run(const std::vector<Entry> &entries, const Options &o, Report &report) {
    Pace pace = o.targets ? Pace{0.25, 2} : Pace{0.5, 5};
    for (const Entry &e : entries)
        benchmark::RegisterBenchmark(e.name.c_str(), [=](benchmark::State &s) { e.measure(s, pace); })
            ->Iterations(1)
            ->Repetitions(e.once ? 1 : o.repetitions)
            ->Unit(benchmark::kNanosecond)
            ->UseManualTime();
    char name[] = "weft-bench", *argv[] = {name, nullptr};
    int argc = 1;
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks(&report, ".");
    entries_done();
}

bool write_json(const std::string &text, const std::string &path) {
    int err = outfile_write(path.c_str(), text.data(), text.size());
    if (err) fprintf(stderr, "weft-bench: cannot write %s: %s\n", path.c_str(), strerror(err));
    return !err;
}

} // namespace

// OpenMP reads it before main: threads that have nothing to do sleep, as everybody else's here.
static void openmp_waits_passively(char **argv) {
    if (getenv("OMP_WAIT_POLICY")) return;
    setenv("OMP_WAIT_POLICY", "passive", 1);
    execv("/proc/self/exe", argv);
}

int main(int argc, char **argv) {
    openmp_waits_passively(argv);
    if (argc == 3 && strcmp(argv[1], "--parked") == 0) return parked_child(argv[2]); // parked.c
    Options o = parse(argc, argv);
    machine m;
    machine_read(&m);
    std::vector<Entry> here, there; // `there` is weft-bench-native; no target is about those
    here = matching(BENCH_NATIVE ? native_entries(m) : all_entries(m, o.targets), o.filter);
    if (!BENCH_NATIVE && !o.targets) there = matching(native_entries(m), o.filter);
    if (here.empty() && there.empty())
        usage_error("no benchmark matches " + o.filter + "; --list shows the names");
    if (o.list) {
        for (const auto *entries : {&here, &there})
            for (const Entry &e : *entries) puts(e.name.c_str());
        return 0;
    }
    if (!o.json.empty())
        if (int err = outfile_check(o.json.c_str()))
            usage_error("cannot write " + o.json + ": " + strerror(err));
    if (here.empty()) native_instead(argv);

    Report report(o.targets, m);
    run(here, o, report);
    bool good = !report.failed();
    std::string text = report.json();
    if (!there.empty()) good = native_run(o.filter, o.repetitions, o.json.empty() ? nullptr : &text) && good;
    if (!o.json.empty()) good = write_json(text, o.json) && good;
    return good ? 0 : 1;
}
