// bench/suite/entries.h -- what can be measured, by name.
// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <string>
#include <vector>

#include "../common/machine.h"

struct Pace {
    double seconds; // of rows in one repetition
    int rows_min;
};

struct Entry {
    std::string name;
    std::function<void(benchmark::State &, const Pace &)> measure;
    bool once = false; // not repeated: takes seconds
};

// Tasks, fibers and machinery, with the context the library was configured with.
std::vector<Entry> all_entries(const machine &m, bool targets);

// The entries of fibers once more, called native/...: weft-bench-native measures them.
std::vector<Entry> native_entries(const machine &m);

// Closes what the last entry kept open.
void entries_done();
