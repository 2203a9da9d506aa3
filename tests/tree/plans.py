#!/usr/bin/env python3
"""Plans as they are printed can be read: JSON by a JSON parser, SVG by an XML parser, text line by line.

usage: plans.py SEEDS WRITER...  WRITER... FORMAT SEED writes the plan of a random effect with names that need escapes.
Before it looks at them it proves that it would notice an escape that is missing.
SPDX-License-Identifier: Apache-2.0 OR MIT"""

import json
import subprocess
import sys
import xml.etree.ElementTree as xml

TEXT, JSON, DOT, SVG = range(4)
BOX = "{http://www.w3.org/2000/svg}"


def graph(data):
    """What is wrong with a plan in JSON; None: nothing."""
    try:
        plan = json.loads(data.decode("utf-8"))
    except ValueError as error:
        return str(error)
    ids = [node["id"] for node in plan["nodes"]]
    if len(set(ids)) != len(ids):
        return "an id is used twice"
    for edge in plan["edges"]:
        if edge["from"] not in ids or edge["to"] not in ids:
            return f"an edge without a node: {edge}"
    reached = {ids[0]} | {edge["to"] for edge in plan["edges"]}
    if reached != set(ids):
        return "a node that nothing leads to"
    shown = sum(node["kind"] not in ("more", "stale") for node in plan["nodes"])
    cut = [node["nodes"] for node in plan["nodes"] if node["kind"] == "more"]
    if plan["total"] > shown + sum(cut) or (not cut and plan["total"] != shown):
        return f"{plan['total']} nodes, of which {shown} are shown and {sum(cut)} left out"
    return None


def picture(data):
    """The same of a plan in SVG."""
    try:
        root = xml.fromstring(data.decode("utf-8"))
    except (xml.ParseError, ValueError) as error:
        return str(error)
    boxes = [[float(r.get(k)) for k in ("x", "y", "width", "height")] for r in root.iter(BOX + "rect") if r.get("rx")]
    width, height = float(root.get("width")), float(root.get("height"))
    for i, (x, y, w, h) in enumerate(boxes):
        if x < 0 or y < 0 or x + w > width or y + h > height:
            return f"box {i} stands outside of the picture"
        for other in boxes[:i]:
            if x < other[0] + other[2] and other[0] < x + w and y < other[1] + other[3] and other[1] < y + h:
                return f"box {i} covers another one"
    return None if boxes else "no boxes"


def dot(data):
    """The same of a graph: each line is a statement, whose strings end where they should."""
    lines = [line for line in data.decode("utf-8").split("\n") if line]
    for line in lines[1:-1]:
        bare = line.replace("\\\\", "").replace('\\"', "")
        if bare.count('"') % 2 or not line.endswith(";"):
            return f"cannot be read: {line}"
    return None if lines[0].startswith("digraph") and lines[-1] == "}" else "no graph"


def text(data):
    """The same of a tree: nobody is more than one step further in than the line before."""
    before = -1
    for line in data.decode("utf-8").split("\n")[:-1]:
        depth = (len(line) - len(line.lstrip(" "))) // 2
        if depth > before + 1 or not line.strip():
            return f"a line that belongs to none: {line!r}"
        before = depth
    return None if before >= 0 else "nothing"


CHECKS = {TEXT: text, JSON: graph, DOT: dot, SVG: picture}
PLANTED = {
    TEXT: b"zip\n    fail\n",
    JSON: b'{"nodes":[{"id":0,"kind":"a "quoted" one"}],"edges":[],"total":1}',
    DOT: b'digraph plan {\n  n0 [label="a "quoted one"];\n}\n',
    SVG: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect rx="1" x="0" y="0" width="9" height="9"/>'
         b"<text>a & b</text></svg>",
}


def main():
    seeds, writer = int(sys.argv[1]), sys.argv[2:]
    for form, planted in PLANTED.items():
        if CHECKS[form](planted) is None:
            print(f"plans.py does not notice a fault in {planted}", file=sys.stderr)
            return 2
    failed = 0
    for seed in range(seeds):
        for form, check in CHECKS.items():
            run = subprocess.run([*writer, str(form), str(seed)], capture_output=True)
            wrong = f"status {run.returncode} {run.stderr.decode()}" if run.returncode else check(run.stdout)
            if wrong:
                print(f"format {form}, seed {seed}: {wrong}", file=sys.stderr)
                failed += 1
    print(f"{seeds * len(CHECKS)} plans read, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
