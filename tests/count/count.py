"""Instructions per operation, by cachegrind: the difference of two runs of paths.c, divided by the operations between them.

  count.py check   PROGRAM COMPILER EXPECTED PATH       as written in EXPECTED, to a hundredth?
  count.py write   PROGRAM COMPILER EXPECTED PATH...    write what is measured into EXPECTED
  count.py notices PROGRAM COMPILER                     would `check` notice?

A count that is too low fails like one that is too high: it is to be written down, or the next loss would hide behind it.
Exit status 77: no valgrind, or EXPECTED says nothing about this build (compiler, context, allocator).

SPDX-License-Identifier: Apache-2.0 OR MIT"""
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FEW, MANY = 20_000, 520_000  # operations; at FEW all that happens once has happened
TOLERANCE = 0.01             # ten runs of a path lie within 0.0005 of each other
REWRITE = "sh cmake/run.sh counts"
SKIP = 77


def instructions(program, path, operations):
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run([*command, program, path, str(operations)], capture_output=True, text=True)
    refs = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode != 0 or not refs:
        sys.exit(f"{path} {operations} ended with status {done.returncode}:\n{done.stderr}")
    return int(refs[1].replace(",", ""))


def measure(program, path):
    return (instructions(program, path, MANY) - instructions(program, path, FEW)) / (MANY - FEW)


def build_of(program, compiler):
    return (compiler, *subprocess.run([program, "--build"], capture_output=True, text=True, check=True).stdout.split())


# EXPECTED: a line for each path and build.
HEAD = f"""# Instructions of one operation of tests/count/paths.c.  Not written by hand: {REWRITE}
# path, count, compiler, context, allocator
"""


def read(expected):
    lines = [line.split() for line in Path(expected).read_text().splitlines() if line and line[0] != "#"]
    return {(path, *build): float(count) for path, count, *build in lines}


def write(program, compiler, expected, paths):
    build = build_of(program, compiler)
    counts = read(expected) if Path(expected).exists() else {}
    counts = {key: count for key, count in counts.items() if key[1:] != build}
    for path in paths:
        counts[path, *build] = measure(program, path)
        print(f"{path}: {counts[path, *build]:.2f}", flush=True)
    rows = [f"{path:<20}{count:10.2f}  {'  '.join(build)}\n" for (path, *build), count in counts.items()]
    Path(expected).write_text(HEAD + "".join(sorted(rows, key=lambda row: row.split()[2:])))


def check(program, compiler, expected, path, says=print, really=None):
    """The exit status.  `really`: the path that is run in its place."""
    build, counts = build_of(program, compiler), read(expected)
    if build not in {key[1:] for key in counts}:
        says(f"skipped: {expected} has no counts for {' '.join(build)}; to write them: {REWRITE}")
        return SKIP
    if (path, *build) not in counts:
        says(f"{path}: no count is expected in {expected}; to write it: {REWRITE}")
        return 1
    want, got = counts[path, *build], measure(program, really or path)
    if abs(got - want) > TOLERANCE * want:  # once is no proof
        got = statistics.median([got, measure(program, really or path), measure(program, really or path)])
    off = got / want - 1
    if abs(off) <= TOLERANCE:
        says(f"{path}: {got:.2f} instructions, expected {want:.2f}")
        return 0
    says(f"{path}: expected {want:.2f} instructions, got {got:.2f} ({off:+.1%}; allowed are {TOLERANCE:.0%} either way).\n"
         f"If that is meant, write it down: {REWRITE}")
    return 1


def notices(program, compiler):
    """Complaints about `check`."""
    build = build_of(program, compiler)
    true = measure(program, "fork_join")

    def status(factor, path="fork_join", of=build, really=None):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as doctored:
            print("fork_join", true * factor, *of, file=doctored, flush=True)
            said = []
            return check(program, compiler, doctored.name, path, said.append, really), "\n".join(said)

    def expect(what, got, code, *words):
        if got[0] != code or not all(word in got[1] for word in words):
            yield f"{what}: status {got[0]}, said: {got[1]}"

    yield from expect("the true count", status(1), 0)
    yield from expect("within the tolerance", status(1.007), 0)
    yield from expect("too many", status(1 / 1.02), 1, "fork_join", f"expected {true / 1.02:.2f}", REWRITE)
    yield from expect("too few", status(1.02), 1, f"expected {true * 1.02:.2f}", REWRITE)
    yield from expect("a slow path", status(1, really="planted_slow_path"), 1, "fork_join", REWRITE)
    yield from expect("a path without a count", status(1, path="yield"), 1, "yield", REWRITE)
    yield from expect("another build", status(1, of=("other-1.0", *build[1:])), SKIP, *build)


def main():
    verb, program, compiler, *rest = sys.argv[1:]
    if not shutil.which("valgrind"):
        print("skipped: there is no valgrind")
        return SKIP
    if verb == "check":
        return check(program, compiler, *rest)
    if verb == "write":
        return write(program, compiler, rest[0], rest[1:])
    complaints = list(notices(program, compiler))
    print(*complaints, sep="\n")
    return 1 if complaints else 0


sys.exit(main())
