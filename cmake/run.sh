#!/bin/sh
# One command for each job; each does first what it needs of the earlier ones.
#
#   sh cmake/run.sh deps [--test]            install missing Debian packages (--test: for the gate too)
#   sh cmake/run.sh build                    build the release preset
#   sh cmake/run.sh compare [arguments]      direct calls against fibers (weft-compare --help)
#   sh cmake/run.sh bench [--filter R] [--json F]   the Google Benchmark suite
#   sh cmake/run.sh targets                  measured against promised, under a minute
#   sh cmake/run.sh test                     the whole gate: every preset
#   sh cmake/run.sh test CTEST-ARGUMENTS     tests chosen by ctest arguments: of the release preset, or with -L LABEL of the
#                                            one that tests/labels.txt names first
#   sh cmake/run.sh counts                   write tests/count/expected.txt anew, after a change that is meant
#   sh cmake/run.sh install [--prefix P]     install the release preset (default /usr/local)
# SPDX-License-Identifier: Apache-2.0 OR MIT
set -eu
called_from=$PWD
cd "$(dirname "$0")/.."
jobs=$(nproc)

base_packages="build-essential cmake ninja-build pkg-config libboost-context1.81-dev libjemalloc-dev
    libbenchmark-dev libxxhash-dev libcjson-dev nettle-dev libgomp1 libtbb-dev"
test_packages="clang python3 util-linux valgrind gcc-aarch64-linux-gnu g++-aarch64-linux-gnu
    libc6-dev-arm64-cross qemu-user-static"

say() { printf '%s\n' "$*" >&2; }
die() {
    say "run.sh: $*"
    exit 2
}

# ---- packages -----------------------------------------------------------------------------------

# Those of the given packages that are not installed.
missing() {
    dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
        awk -v want="$*" '$2 == "installed" { have[$1] = 1 }
            END { n = split(want, w); for (i = 1; i <= n; i++) if (!(w[i] in have)) printf "%s ", w[i] }'
}

apt_get() {
    if [ "$(id -u)" = 0 ]; then
        DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null >&2
    elif command -v sudo >/dev/null; then
        sudo DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >&2
    else
        die "not root and no sudo; as root: apt-get $*"
    fi
}

install_missing() {
    # shellcheck disable=SC2068
    need=$(missing $@)
    [ -n "$need" ] || return 0
    say "installing: $need"
    apt_get update
    # shellcheck disable=SC2086
    apt_get install -y --no-install-recommends $need || die "apt-get could not install: $need"
}

deps() {
    command -v dpkg-query >/dev/null || {
        say "not a Debian system: taking it that these are there: $base_packages"
        return 0
    }
    # shellcheck disable=SC2086
    install_missing $base_packages
}

deps_test() {
    deps
    command -v dpkg-query >/dev/null || return 0
    # shellcheck disable=SC2086
    install_missing $test_packages
    # The sanitizers' runtime is a package of clang's own version.
    clang=$(readlink -f "$(command -v clang)")
    clang=${clang##*/clang-}
    clang=${clang##*/llvm-}
    install_missing "libclang-rt-${clang%%/*}-dev"
}

# ---- builds -------------------------------------------------------------------------------------

# configure PRESET: afresh only when there is no build folder, or -DNAME=VALUE are given.
configure() {
    preset=$1
    shift
    if [ $# -gt 0 ] || [ ! -f "build/$preset/build.ninja" ]; then
        cmake --preset "$preset" "$@"
    fi
}

# program NAME: build one program of the release preset, without a word if all is well, so that standard
# output carries the program's own.
program() {
    deps
    mkdir -p build/release
    if [ -t 2 ]; then say "building $1"; fi
    { configure release && cmake --build build/release --target "$1"; } > build/release/run.log 2>&1 || {
        cat build/release/run.log >&2
        die "building $1 failed"
    }
}

build() {
    deps
    configure release
    cmake --build build/release
}

# run PROGRAM ARGUMENTS: where run.sh was called, so that relative names mean what they say.
run() {
    root=$PWD
    cd "$called_from"
    name=$1
    shift
    exec "$root/build/release/bench/$name" "$@"
}

# ---- the gate -----------------------------------------------------------------------------------

passed=0
failed=0
summary=""

# What a preset needs besides packages.
prepare() { [ "$1" != aarch64 ] || sh cmake/aarch64-sysroot.sh; }

# gate PRESET: configure, build, test; one line of the summary.
gate() {
    preset=$1
    start=$(date +%s)
    mkdir -p "build/$preset"
    log=build/$preset/gate.log
    junit=$PWD/build/$preset/junit.xml
    rm -f "$junit"
    say "==== $preset"
    set --
    [ -z "${CI:-}" ] || set -- -DWEFT_WERROR=ON
    tests=0 bad=0 skipped=0 note=""
    built=true
    { prepare "$preset" && configure "$preset" "$@" && cmake --build "build/$preset"; } > "$log" 2>&1 || built=false
    middle=$(date +%s)
    if ! $built; then
        tail -n 60 "$log" >&2
        bad=1 tests=1 note=" (the build failed: $log)"
    elif ! ctest --preset "$preset" -j "$jobs" --output-junit "$junit" >&2; then
        bad=1 tests=1
    fi
    if [ -f "$junit" ]; then
        count() { sed -n 's/.*[[:space:]]'"$1"'="\([0-9]*\)".*/\1/p' "$junit" | head -n 1; }
        tests=$(count tests) bad_tests=$(count failures) skipped=$(count skipped)
        # ctest may fail without a failed test, but never the other way round.
        [ "$bad_tests" -eq 0 ] || bad=$bad_tests
    fi
    good=$((tests - bad - skipped))
    [ "$skipped" -eq 0 ] || note="$note, $skipped skipped"
    passed=$((passed + good))
    failed=$((failed + bad))
    end=$(date +%s)
    line=$(printf '%-8s %4d passed, %d failed%s; built in %d s, tested in %d s' "$preset" "$good" "$bad" "$note" \
        $((middle - start)) $((end - middle)))
    say "$line"
    summary="$summary$line
"
}

test_all() {
    deps_test
    for preset in release debug asan faults tsan native system; do gate $preset; done
    # On ARM64 itself the presets above have said it all.
    if [ "$(uname -m)" = x86_64 ]; then gate aarch64; fi
    printf '\n%s%d passed, %d failed\n' "$summary" "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# preset_of CTEST-ARGUMENTS: where the label that they choose lives.
preset_of() {
    label=
    while [ $# -gt 0 ]; do
        case $1 in -L | --label-regex) label=${2:-} ;; esac
        shift
    done
    awk -v label="$label" '$1 == label { preset = $2 } END { print preset ? preset : "release" }' tests/labels.txt
}

test_some() {
    deps_test
    preset=$(preset_of "$@")
    { prepare "$preset" && configure "$preset" && cmake --build "build/$preset"; } >&2
    ctest --preset "$preset" -j "$jobs" "$@"
}

counts() {
    deps_test
    configure release >&2
    cmake --build build/release --target count.write
}

# ---- verbs --------------------------------------------------------------------------------------

verb=${1:-help}
[ $# -eq 0 ] || shift
case $verb in
    deps)
        if [ "${1:-}" = --test ]; then deps_test; else deps; fi
        ;;
    build) build ;;
    compare)
        program weft-compare
        run weft-compare "$@"
        ;;
    bench)
        program weft-bench
        run weft-bench "$@"
        ;;
    targets)
        program weft-bench
        run weft-bench --targets "$@"
        ;;
    test)
        if [ $# -eq 0 ]; then test_all; else test_some "$@"; fi
        ;;
    counts) counts ;;
    install)
        prefix=/usr/local
        while [ $# -gt 0 ]; do
            case $1 in
                --prefix) [ $# -ge 2 ] || die "--prefix needs a folder"; prefix=$2; shift 2 ;;
                --prefix=*) prefix=${1#--prefix=}; shift ;;
                *) die "install: unknown argument $1" ;;
            esac
        done
        case $prefix in /*) ;; *) prefix=$called_from/$prefix ;; esac
        deps
        configure release >&2
        cmake --build build/release --target weft weft_static >&2
        cmake --install build/release --prefix "$prefix"
        # The cache of the dynamic linker knows /usr/local/lib only after this.
        if [ "$(id -u)" = 0 ] && [ "$prefix" = /usr/local ]; then ldconfig; fi
        ;;
    help | -h | --help) sed -n 's/^# \{0,1\}//; 2,13p' "$0" ;;
    *) die "no such verb: $verb (deps, build, compare, bench, targets, test, counts, install)" ;;
esac
