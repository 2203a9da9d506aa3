#!/bin/sh
# weft-compare and weft-bench as a user runs them: output, JSON, odd input, bad arguments.
#   programs.sh <check> <weft-compare> <weft-bench> <source folder>
# SPDX-License-Identifier: Apache-2.0 OR MIT
set -eu
check=$1 compare=$2 bench=$3 root=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "$check: $*" >&2
    exit 1
}

# Exit status 2 and a text, for each of these arguments.
refuses() {
    program=$1
    shift
    for arguments in "$@"; do
        status=0
        # shellcheck disable=SC2086
        "$program" $arguments >"$work/out" 2>"$work/err" || status=$?
        [ "$status" = 2 ] || fail "'$arguments' ended with status $status"
        [ -s "$work/err" ] || fail "'$arguments' was refused without a word"
    done
}

case $check in
json)
    "$compare" --quick --input "$root/sched" --json "$work/c.json"
    python3 "$root/tests/tree/compare_shape.py" "$work/c.json"
    ;;
many-workers)
    "$compare" --quick --workers 8 --input "$root/sched" | grep -q 'fork:8' || fail "no mode fork:8"
    ;;
bad-arguments)
    mkdir "$work/empty"
    refuses "$compare" "--quick --input /nonexistent" "--quick --input /etc/passwd" \
        "--quick --input $work/empty" "--workers 0" "--workers abc" "--workers 100000" "--frob" "x" \
        "--quick --json /nonexistent/f" "--quick --json /tmp"
    refuses "$bench" "--filter nosuch" "--filter [" "--json /nonexistent/f" "--frob"
    ;;
unreadable)
    # Root reads everything, so the program runs as somebody else, from a place that one can reach.
    mkdir "$work/tree"
    echo a >"$work/tree/ok"
    echo b >"$work/tree/secret"
    chmod 0 "$work/tree/secret"
    chmod 755 "$work" "$work/tree"
    cp "$compare" "$work/weft-compare"
    as=
    [ "$(id -u)" != 0 ] || as="setpriv --reuid=65534 --regid=65534 --clear-groups"
    $as "$work/weft-compare" --quick --input "$work/tree" >"$work/out"
    grep -q 'unreadable: secret: Permission denied' "$work/out" || fail "the unreadable file is not named"
    ;;
special-files)
    mkfifo "$work/pipe"
    ln -s / "$work/loop"
    ln -s nowhere "$work/dangling"
    echo x >"$work/file"
    "$compare" --quick --input "$work" | grep -q '2 symbolic links, 1 special' || fail "wrong counts"
    ;;
bench-runs)
    "$bench" --filter '^seq/kernel/workers:2$' --json "$work/b.json"
    python3 - "$work/b.json" <<'PYTHON'
import json, sys
entries = json.load(open(sys.argv[1]))["benchmarks"]
median = [e for e in entries if e["name"] == "seq/kernel/workers:2_median"]
assert len(median) == 1 and median[0]["speedup"] > 0 and median[0]["ns_per_op"] > 0, median
assert sum(e["name"] == "seq/kernel/workers:2" for e in entries) >= 5, "fewer than five repetitions"
PYTHON
    "$bench" --list | grep -qx 'fib/api/workers:2' || fail "fib/api/workers:2 is not listed"
    ;;
*) fail "no such check" ;;
esac
