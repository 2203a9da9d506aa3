// bench/suite/main.cc -- weft-bench: the entries, run by Google Benchmark.
//
// An iteration of Google Benchmark is one whole measurement of an entry (session.h), and the manual time
// reported for it is the nanoseconds of one operation; so real_time is ns_per_op.  cpu_time covers the
// baseline slices too and means nothing here.
// SPDX-License-Identifier: Apache-2.0 OR MIT
#include <benchmark/benchmark.h>
#include <getopt.h>
#include <regex.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../common/machine.h"
#include "../common/outfile.h"
#include "machinery.h"
#include "report.h"
#include "session.h"
#include "workload.h"

namespace {

struct Options {
    std::string filter, json;
    int repetitions = 0; // 0: 5, or 3 for the targets
    bool targets = false, list = false;
};

struct Pace {
    double seconds; // of rows in one repetition
    int rows_min;
};

struct Entry {
    std::string name;
    std::function<void(benchmark::State &, const Pace &)> measure;
};

// The session of the entry that is being repeated.  Only one is open at any time.
std::unique_ptr<session, decltype(&session_close)> current(nullptr, session_close);
std::string current_name;

session *session_for(const std::string &name, const workload *w, unsigned workers, const char **why) {
    if (!current || current_name != name) {
        current.reset();
        current.reset(session_open(w, workers, why));
        current_name = name;
    }
    return current.get();
}

void report_time(benchmark::State &state, double ns) {
    state.SetIterationTime(ns / 1e9);
    state.counters["ns_per_op"] = ns;
}

void measure_workload(benchmark::State &state, const Pace &pace, const std::string &name, const workload *w,
                      unsigned workers) {
    const char *why = "";
    session *s = session_for(name, w, workers, &why);
    if (!s) {
        state.SkipWithError(why);
        return;
    }
    for (auto _ : state) {
        measured m;
        session_measure(s, pace.seconds, pace.rows_min, &m);
        report_time(state, m.ns_per_op);
        state.counters["baseline_ns"] = m.baseline_ns;
        state.counters["ratio"] = m.ratio;
        state.counters["rows"] = m.rows;
        state.counters["rows_disturbed"] = m.again;
        if (workers == 1) continue;
        state.counters["one_worker_ns"] = m.one_worker_ns;
        state.counters["speedup"] = m.speedup;
        state.counters["over_one_worker_ns"] = m.over_one_worker_ns;
    }
    state.SetLabel(std::string("op: ") + w->op);
}

void measure_switch(benchmark::State &state, const Pace &pace, bool native) {
    current.reset();
    for (auto _ : state) {
        int again;
        report_time(state, switch_round_trip(native, pace.seconds, &again));
        state.counters["rows_disturbed"] = again;
    }
    state.SetLabel("op: round trip");
}

void measure_idle(benchmark::State &state) {
    current.reset();
    for (auto _ : state) {
        idle_report r;
        const char *why = "";
        if (!idle_second(&r, &why)) {
            state.SkipWithError(why);
            return;
        }
        report_time(state, r.wall_ns);
        state.counters["cpu_us"] = r.cpu_us;
    }
    state.SetLabel("op: idle second");
}

// 1, 2, and powers of two up to the CPUs there are; the targets stop at 2.
std::vector<unsigned> worker_counts(const machine &m, bool targets) {
    std::vector<unsigned> counts = {1, 2};
    for (int n = 4; !targets && n <= m.cpus && n <= 64; n *= 2) counts.push_back(static_cast<unsigned>(n));
    return counts;
}

std::vector<Entry> all_entries(const machine &m, bool targets) {
    std::vector<Entry> entries;
    for (int i = 0; i < workload_count; i++) {
        const workload *w = workloads[i];
        for (unsigned n : worker_counts(m, targets)) {
            std::string name = std::string(w->name) + "/workers:" + std::to_string(n);
            entries.push_back(
                {name, [=](benchmark::State &s, const Pace &p) { measure_workload(s, p, name, w, n); }});
        }
    }
    for (bool native : {false, true})
        entries.push_back({native ? "switch/native" : "switch/fcontext",
                           [=](benchmark::State &s, const Pace &p) { measure_switch(s, p, native); }});
    entries.push_back({"idle/cpu", [](benchmark::State &s, const Pace &) { measure_idle(s); }});
    return entries;
}

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
         "  --targets          short: measured against target, under a minute; a miss is no error\n"
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

int write_json(const Report &report, const std::string &path) {
    std::string text = report.json();
    int err = outfile_write(path.c_str(), text.data(), text.size());
    if (err) fprintf(stderr, "weft-bench: cannot write %s: %s\n", path.c_str(), strerror(err));
    return err;
}

} // namespace

int main(int argc, char **argv) {
    Options o = parse(argc, argv);
    machine m;
    machine_read(&m);
    std::vector<Entry> entries = matching(all_entries(m, o.targets), o.filter);
    if (entries.empty()) usage_error("no benchmark matches " + o.filter + "; --list shows the names");
    if (o.list) {
        for (const Entry &e : entries) puts(e.name.c_str());
        return 0;
    }
    if (!o.json.empty())
        if (int err = outfile_check(o.json.c_str()))
            usage_error("cannot write " + o.json + ": " + strerror(err));

    Pace pace = o.targets ? Pace{0.25, 2} : Pace{0.5, 5};
    for (const Entry &e : entries)
        benchmark::RegisterBenchmark(e.name.c_str(), [=](benchmark::State &s) { e.measure(s, pace); })
            ->Iterations(1)
            ->Repetitions(o.repetitions)
            ->Unit(benchmark::kNanosecond)
            ->UseManualTime();
    int one = 1;
    benchmark::Initialize(&one, argv);
    Report report(o.targets, m);
    benchmark::RunSpecifiedBenchmarks(&report, ".");
    current.reset();
    if (!o.json.empty() && write_json(report, o.json)) return 1;
    return report.failed() ? 1 : 0;
}
