// bench/suite/targets.h -- what every measured number should be at most (or at least).
// SPDX-License-Identifier: Apache-2.0 OR MIT
#pragma once

#include <string>
#include <vector>

struct Target {
    const char *entry;
    const char *counter;
    bool at_least; // the number must not be below; otherwise it must not be above
    double limit;
};

// The targets of the entry called `name`.
std::vector<const Target *> targets_of(const std::string &name);

// "ratio <= 1.30"
std::string target_text(const Target &t);

bool target_met(const Target &t, double measured);
