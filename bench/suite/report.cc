// bench/suite/report.cc -- see report.h.
// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "report.h"

#include <cstdio>
#include <sstream>

#include "targets.h"

Report::Report(bool targets_only, const machine &m) : targets_only_(targets_only), machine_(m) {
    load_read(&start_);
}

bool Report::ReportContext(const Context &) {
    const machine &m = machine_;
    printf("%s, %d CPUs, %s, %s; weft %s, context %s, allocator %s\n", m.cpu, m.cpus, m.kernel, m.compiler,
           m.weft, m.context, m.allocator);
    if (targets_only_)
        printf("%-32s %14s   %-26s\n", "benchmark", "measured", "target");
    else
        printf("%-32s %10s %10s %7s %8s %7s   %s\n", "benchmark", "ns/op", "baseline", "ratio", "speed-up",
               "spread", "target");
    fflush(stdout);
    return true;
}

static double counter(const benchmark::BenchmarkReporter::Run &run, const char *name) {
    auto found = run.counters.find(name);
    return found == run.counters.end() ? 0 : found->second.value;
}

// "1.234", or "-" for what the entry does not have.
static std::string number(double v, const char *format = "%.3f") {
    char text[32];
    snprintf(text, sizeof text, format, v);
    return v == 0 ? "-" : text;
}

// A ratio to a library that was not there.
static bool no_baseline(const Target &t, double v) {
    return v == 0 && std::string(t.counter) == "ratio";
}

void Report::print_target(const Run &median) {
    std::string name = median.run_name.str();
    std::vector<const Target *> list = targets_of(name);
    if (list.empty()) printf("%-32s %11.3f ns   for reference\n", name.c_str(), counter(median, "ns_per_op"));
    for (const Target *t : list) {
        double v = counter(median, t->counter);
        if (no_baseline(*t, v)) {
            printf("%-32s %14s   %-26s skipped: built without the library it is compared with\n", name.c_str(), "-",
                   target_text(*t).c_str());
            continue;
        }
        bool met = target_met(*t, v);
        ++(met ? met_ : missed_);
        printf("%-32s %14.3f   %-26s %s\n", name.c_str(), v, target_text(*t).c_str(), met ? "ok" : "MISS");
    }
}

void Report::print_entry(const Run &median) {
    std::string name = median.run_name.str(), verdict;
    for (const Target *t : targets_of(name)) {
        double v = counter(median, t->counter);
        if (no_baseline(*t, v)) {
            verdict += (verdict.empty() ? "" : ", ") + target_text(*t) + " skipped: no baseline";
            continue;
        }
        bool met = target_met(*t, v);
        ++(met ? met_ : missed_);
        verdict += (verdict.empty() ? "" : ", ") + target_text(*t) + (met ? " ok" : " MISS");
        // The other counters have a column of their own.
        std::string c = t->counter;
        if (c != "ns_per_op" && c != "ratio" && c != "speedup") verdict += ": " + number(v);
    }
    printf("%-32s %10.3f %10s %7s %8s %7s   %s\n", name.c_str(), counter(median, "ns_per_op"),
           number(counter(median, "baseline_ns")).c_str(), number(counter(median, "ratio")).c_str(),
           number(counter(median, "speedup")).c_str(),
           number(counter(median, "spread_percent"), "%.1f%%").c_str(), verdict.c_str());
}

// (max - min) / median of ns_per_op over the repetitions, in percent.
static double spread(const std::vector<benchmark::BenchmarkReporter::Run> &runs, double middle) {
    double low = 1e300, high = 0;
    for (const auto &r : runs) {
        if (r.run_type != benchmark::BenchmarkReporter::Run::RT_Iteration) continue;
        double v = counter(r, "ns_per_op");
        if (v < low) low = v;
        if (v > high) high = v;
    }
    return middle > 0 && high > low ? 100 * (high - low) / middle : 0;
}

// Called for the repetitions of an entry, then for their aggregates.
void Report::ReportRuns(const std::vector<Run> &runs) {
    std::vector<Run> clean = runs;
    for (Run &r : clean) {
        r.run_name.min_time.clear();
        r.run_name.min_warmup_time.clear();
        r.run_name.iterations.clear();
        r.run_name.repetitions.clear();
        r.run_name.time_type.clear();
        r.run_name.threads.clear();
        if (r.error_occurred) {
            failed_ = true;
            fprintf(stderr, "weft-bench: %s: %s\n", r.run_name.str().c_str(), r.error_message.c_str());
        }
    }
    groups_.push_back(clean);
    const Run *shown = nullptr;
    for (const Run &r : clean)
        if (!r.error_occurred && (r.aggregate_name == "median" || r.repetitions == 1)) shown = &r;
    if (!shown) return;
    Run row = *shown;
    const std::vector<Run> &repetitions =
        groups_.size() > 1 && row.repetitions > 1 ? groups_[groups_.size() - 2] : clean;
    row.counters["spread_percent"] = spread(repetitions, counter(row, "ns_per_op"));
    if (targets_only_)
        print_target(row);
    else
        print_entry(row);
    fflush(stdout);
}

void Report::Finalize() {
    load_mark now;
    load_read(&now);
    load_share s = load_between(&start_, &now);
    if (met_ + missed_ > 0) printf("targets: %d met, %d missed\n", met_, missed_);
    printf("foreign load: %.1f %% of the CPUs, stolen by the hypervisor: %.1f %%\n", 100 * s.foreign,
           100 * s.steal);
    benchmark::AddCustomContext("cpu", machine_.cpu);
    benchmark::AddCustomContext("kernel", machine_.kernel);
    benchmark::AddCustomContext("compiler", machine_.compiler);
    benchmark::AddCustomContext("weft_version", machine_.weft);
    benchmark::AddCustomContext("weft_context", machine_.context);
    benchmark::AddCustomContext("weft_allocator", machine_.allocator);
    benchmark::AddCustomContext("foreign_load_percent", number(100 * s.foreign, "%.2f"));
    benchmark::AddCustomContext("steal_percent", number(100 * s.steal, "%.2f"));
}

std::string Report::json() const {
    std::ostringstream out;
    benchmark::JSONReporter reporter;
    reporter.SetOutputStream(&out);
    reporter.SetErrorStream(&out);
    reporter.ReportContext(Context());
    for (const auto &group : groups_) reporter.ReportRuns(group);
    reporter.Finalize();
    return out.str();
}
