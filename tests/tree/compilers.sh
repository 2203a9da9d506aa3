#!/bin/sh
# The tests that force migrations, built whole with each compiler, with and without link-time optimisation: what a
# compiler may keep across a suspension shows only when it sees everything at once.
#   compilers.sh <source folder> <work folder>
# SPDX-License-Identifier: Apache-2.0 OR MIT
set -eu
root=$1 work=$2
mkdir -p "$work"
cd "$root"

sources="alloc/*.c sched/*.c"
[ "$(uname -m)" = x86_64 ] && sources="$sources sched/slow_x86_64.S sched/coro_x86_64.S"
passed=0 skipped=0

common="-std=gnu11 -DWEFT_ALLOC_SYSTEM=1 -I$root -I$root/alloc/include -I$root/sched/include -I$root/tests"

# build NAME TESTS COMPILER FLAGS...: the library with these flags, and each of the tests with it.
build() {
    name=$1 tests=$2
    shift 2
    if ! command -v "$1" >/dev/null 2>&1; then
        echo "$name: $1 is not installed, skipped"
        skipped=$((skipped + 1))
        return
    fi
    rm -rf "${work:?}/$name"
    mkdir "$work/$name"
    # shellcheck disable=SC2046,SC2086
    (cd "$work/$name" && "$@" $common -c $(printf "$root/%s " $(cd "$root" && echo $sources)))
    for test in $tests; do
        out=$work/$name-$test
        # shellcheck disable=SC2086
        "$@" $common "tests/unit/${test}_test.c" "$work/$name"/*.o -lboost_context -lpthread -o "$out"
        "$out" >"$out.out" 2>&1 || { cat "$out.out"; echo "$name $test failed"; exit 1; }
        grep -q ' passed, 0 failed' "$out.out" || { echo "$name $test did not finish"; exit 1; }
        passed=$((passed + 1))
    done
}

for flags in -O2 -O3 "-O2 -flto" "-O2 -fPIC -fPIE -pie"; do
    # shellcheck disable=SC2086
    build "gcc$(printf %s "$flags" | tr -d ' ')" "migration fork errno" gcc $flags
done
for flags in -O2 -O3; do build "clang$flags" "migration fork errno" clang "$flags"; done
if command -v ld.lld >/dev/null 2>&1; then build clang-lto "migration errno" clang -O2 -flto -fuse-ld=lld; fi

# Against a shared library bound lazily, as most programs are: the first call of each function goes through the
# dynamic linker, which keeps fewer registers than the slow paths promise.
gcc -O2 -fPIC -shared -std=gnu11 -DWEFT_ALLOC_SYSTEM=1 -I. -Ialloc/include -Isched/include $sources \
    -lboost_context -lpthread -o "$work/libwhole.so"
for compiler in gcc clang; do
    command -v $compiler >/dev/null 2>&1 || continue
    $compiler -O2 -std=gnu11 -I. -Ialloc/include -Isched/include -Itests tests/unit/registers_test.c \
        -L"$work" -lwhole -Wl,-z,lazy -Wl,-rpath,"$work" -lpthread -o "$work/lazy-$compiler"
    LD_BIND_NOW= "$work/lazy-$compiler" >"$work/lazy.out" 2>&1 || { cat "$work/lazy.out"; echo "lazy-$compiler failed"; exit 1; }
    passed=$((passed + 1))
done
[ "$passed" -gt 0 ]
echo "$passed passed, 0 failed, $skipped skipped"
