// bench/suite/entries.cc -- see entries.h.
//
// An iteration of Google Benchmark is one whole measurement of an entry (session.h), and the manual time
// reported for it is the nanoseconds of one operation; so real_time is ns_per_op.  cpu_time covers the
// baseline slices too and means nothing here.
// SPDX-License-Identifier: Apache-2.0 OR MIT
#include "entries.h"

#include <memory>

#include "machinery.h"
#include "session.h"
#include "workload.h"

namespace {

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
        if (m.baseline_ns > 0) {
            state.counters["baseline_ns"] = m.baseline_ns;
            state.counters["ratio"] = m.ratio;
        }
        state.counters["rows"] = m.rows;
        state.counters["rows_disturbed"] = m.again;
        if (workers == 1) continue;
        state.counters["one_worker_ns"] = m.one_worker_ns;
        state.counters["speedup"] = m.speedup;
        state.counters["over_one_worker_ns"] = m.over_one_worker_ns;
    }
    const peer *p = peer_of(w);
    std::string over = p ? std::string(", over ") + p->name + (p->run ? "" : ", which is not there: no ratio") : "";
    state.SetLabel(std::string("op: ") + w->op + over);
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

void measure_threads(benchmark::State &state, const Pace &pace) {
    current.reset();
    for (auto _ : state) {
        spawned_report r;
        const char *why = "";
        if (!spawn_from_threads(pace.seconds, pace.rows_min, &r, &why)) {
            state.SkipWithError(why);
            return;
        }
        report_time(state, r.ns);
        state.counters["rows"] = r.rows;
        state.counters["rows_disturbed"] = r.again;
    }
    state.SetLabel("op: fiber");
}

void measure_wake(benchmark::State &state) {
    current.reset();
    for (auto _ : state) {
        wake_report r;
        const char *why = "";
        if (!wake_latency(&r, &why)) {
            state.SkipWithError(why);
            return;
        }
        report_time(state, r.weft_ns);
        state.counters["baseline_ns"] = r.bare_ns;
        state.counters["ratio"] = r.ratio;
        state.counters["samples"] = r.samples;
        state.counters["rows_disturbed"] = r.again;
    }
    state.SetLabel("op: wake");
}

void measure_apart(benchmark::State &state, const Pace &pace) {
    current.reset();
    for (auto _ : state) {
        apart_report r;
        const char *why = "";
        if (!channels_apart(pace.seconds, pace.rows_min, &r, &why)) {
            state.SkipWithError(why);
            return;
        }
        report_time(state, r.ns);
        state.counters["baseline_ns"] = r.line_ns;
        state.counters["ratio"] = r.ratio;
        state.counters["rows"] = r.rows;
        state.counters["rows_disturbed"] = r.again;
    }
    state.SetLabel("op: round trip");
}

void measure_sleepers(benchmark::State &state, const Pace &pace) {
    current.reset();
    for (auto _ : state) {
        sleepers_report r;
        const char *why = "";
        if (!sleepers(pace.rows_min, &r, &why)) {
            state.SkipWithError(why);
            return;
        }
        report_time(state, r.cpu_ns);
        state.counters["cpu_ms"] = r.cpu_ms;
        state.counters["late_p50_us"] = r.late_p50_us;
        state.counters["late_p99_us"] = r.late_p99_us;
        state.counters["rows"] = r.rows;
        state.counters["rows_disturbed"] = r.again;
    }
    state.SetLabel("op: sleeper, processor time");
}

void measure_crowd(benchmark::State &state, const Pace &pace) {
    current.reset();
    for (auto _ : state) {
        crowd_report r;
        const char *why = "";
        if (!mutex_crowd(pace.rows_min, &r, &why)) {
            state.SkipWithError(why);
            return;
        }
        report_time(state, r.ns);
        state.counters["jain"] = r.jain;
        state.counters["baseline_ns"] = r.baseline_ns;
        state.counters["ratio"] = r.ratio;
        state.counters["rows"] = r.rows;
        state.counters["rows_disturbed"] = r.again;
    }
    state.SetLabel("op: lock and unlock");
}

void measure_parked(benchmark::State &state, const Pace &pace, bool tiny) {
    current.reset();
    for (auto _ : state) {
        parked_report r;
        const char *why = "";
        if (!parked_million(tiny, pace.rows_min, &r, &why)) {
            state.SkipWithError(why);
            return;
        }
        report_time(state, r.ns);
        state.counters["baseline_ns"] = r.baseline_ns;
        state.counters["ratio"] = r.ratio;
        state.counters["bytes_per_fiber"] = r.bytes;
        state.counters["maps"] = static_cast<double>(r.maps);
        state.counters["maps_more"] = static_cast<double>(r.maps_more);
        state.counters["rows"] = r.rows;
        state.counters["rows_disturbed"] = r.again;
    }
    state.SetLabel("op: fiber");
}

// 1, 2, and powers of two up to the CPUs there are; the targets stop at 2.
std::vector<unsigned> worker_counts(const machine &m, bool targets) {
    std::vector<unsigned> counts = {1, 2};
    for (int n = 4; !targets && n <= m.cpus && n <= 64; n *= 2) counts.push_back(static_cast<unsigned>(n));
    return counts;
}

bool is_fibers(const listing &l) {
    return l.kind == FIBERS || l.kind == FIBERS_ALONE;
}

bool is_alone(const listing &l) {
    return l.kind == FIBERS_ALONE || l.kind == ALONE;
}

void add_listing(std::vector<Entry> &entries, const listing &l, const std::string &prefix,
                 const std::vector<unsigned> &counts) {
    const workload *w = l.w;
    for (unsigned n : is_alone(l) ? std::vector<unsigned>{1} : counts) {
        std::string name = prefix + w->name;
        if (!is_alone(l)) name += "/workers:" + std::to_string(n);
        entries.push_back(
            {name, [=](benchmark::State &s, const Pace &p) { measure_workload(s, p, name, w, n); }, l.kind == FORKS_LONG});
    }
}

// A hundred thousand, and a million at once.
void add_crowd_entries(std::vector<Entry> &entries, const std::string &prefix) {
    entries.push_back({prefix + "timer/sleepers:100000", measure_sleepers, true});
    entries.push_back({prefix + "mutex/fibers:64/workers:2", measure_crowd, true});
    for (bool tiny : {false, true})
        entries.push_back({prefix + (tiny ? "parked/tiny:1000000" : "parked/fibers:1000000"),
                           [=](benchmark::State &s, const Pace &p) { measure_parked(s, p, tiny); }, true});
}

// What plain threads do to a runtime.
void add_thread_entries(std::vector<Entry> &entries, const std::string &prefix) {
    entries.push_back({prefix + "spawn/threads:4", measure_threads});
    entries.push_back({prefix + "chan/pingpong/apart", measure_apart});
    entries.push_back({prefix + "wake/latency", [](benchmark::State &s, const Pace &) { measure_wake(s); }});
}

} // namespace

std::vector<Entry> all_entries(const machine &m, bool targets) {
    std::vector<Entry> entries;
    for (int i = 0; i < workload_count; i++)
        add_listing(entries, workloads[i], "", worker_counts(m, targets));
    add_thread_entries(entries, "");
    add_crowd_entries(entries, "");
    for (bool native : {false, true})
        entries.push_back({native ? "switch/native" : "switch/fcontext",
                           [=](benchmark::State &s, const Pace &p) { measure_switch(s, p, native); }});
    entries.push_back({"idle/cpu", [](benchmark::State &s, const Pace &) { measure_idle(s); }});
    return entries;
}

std::vector<Entry> native_entries(const machine &m) {
    std::vector<Entry> entries;
    for (int i = 0; i < workload_count; i++)
        if (is_fibers(workloads[i])) add_listing(entries, workloads[i], "native/", worker_counts(m, false));
    add_thread_entries(entries, "native/");
    add_crowd_entries(entries, "native/");
    return entries;
}

void entries_done() {
    current.reset();
}
