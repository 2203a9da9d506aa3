"""No label is empty where labels.txt says that it is not, as ctest sees it through the preset's filters.
labels.py ROOT PRESET

SPDX-License-Identifier: Apache-2.0 OR MIT"""
import json
import subprocess
import sys
from pathlib import Path


def listed(text):
    """The presets of each label."""
    lines = [line.split() for line in text.splitlines() if line and line[0] != "#"]
    return {label: presets for label, *presets in lines}


def labels_of(preset, root):
    """How many tests of the preset carry each label."""
    shown = subprocess.run(["ctest", "--preset", preset, "--show-only=json-v1"], cwd=root,
                           capture_output=True, text=True, check=True).stdout
    count = {}
    for test in json.loads(shown[shown.index("{"):])["tests"]:
        for item in test["properties"]:
            if item["name"] == "LABELS":
                for label in item["value"]:
                    count[label] = count.get(label, 0) + 1
    return count


def complaints(labels, preset, count):
    for label, presets in labels.items():
        if preset in presets and not count.get(label):
            yield f"no test of the preset {preset} has the label {label}"


def main():
    root, preset = Path(sys.argv[1]), sys.argv[2]
    labels = listed((root / "tests/labels.txt").read_text())
    count = labels_of(preset, root)
    found = list(complaints(labels, preset, count))
    if len(list(complaints({**labels, "planted": [preset]}, preset, count))) != len(found) + 1:
        sys.exit("labels.py does not notice a planted label")
    print(", ".join(f"{label} {n}" for label, n in sorted(count.items())))
    if found:
        sys.exit("\n".join(found))


main()
