"""The shape of weft-compare's JSON file: others read it.  compare_shape.py FILE

SPDX-License-Identifier: Apache-2.0 OR MIT"""
import json
import sys

MODE_KEYS = {"mode", "workers", "seconds", "ns_per_task", "overhead_percent", "speedup", "answer"}

document = json.load(open(sys.argv[1]))
assert set(document) == {"machine", "input", "workloads"}, sorted(document)
assert [w["name"] for w in document["workloads"]] == ["fib", "skynet", "small100", "sleep100", "tree"]
for workload in document["workloads"]:
    modes = workload["modes"]
    assert workload["tasks"] > 0 and modes[0]["mode"] == "direct", workload["name"]
    for mode in modes:
        assert set(mode) == MODE_KEYS, (workload["name"], sorted(mode))
        assert mode["answer"] == modes[0]["answer"], (workload["name"], mode["mode"])
        assert mode["seconds"] > 0 and mode["workers"] >= 1, mode
