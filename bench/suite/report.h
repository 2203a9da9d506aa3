// bench/suite/report.h -- the table on the console and the Google Benchmark JSON file.
//
// Google Benchmark appends how it was told to measure to every name ("/iterations:1/manual_time").  The
// report takes that off again: a name in the table and in the file is the name of the entry.
// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "../common/load.h"
#include "../common/machine.h"

class Report : public benchmark::BenchmarkReporter {
  public:
    Report(bool targets_only, const machine &m);

    bool ReportContext(const Context &context) override;
    void ReportRuns(const std::vector<Run> &runs) override;
    void Finalize() override;

    // Everything so far as one Google Benchmark JSON document.
    std::string json() const;
    bool failed() const { return failed_; }

  private:
    void print_entry(const Run &median);
    void print_target(const Run &median);

    bool targets_only_, failed_ = false;
    machine machine_;
    load_mark start_;
    std::vector<std::vector<Run>> groups_;
    int met_ = 0, missed_ = 0;
};
