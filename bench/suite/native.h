// bench/suite/native.h -- weft-bench-native, found beside this program.
// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <string>

// Become it, with the same arguments.  Exits with 1 if it cannot be started.
[[noreturn]] void native_instead(char **argv);

// Run it; what it prints follows what was printed.  Its benchmarks are added to the Google Benchmark JSON
// document *json, unless that is NULL.  Prints why and returns false if anything failed.
bool native_run(const std::string &filter, int repetitions, std::string *json);
