#!/bin/sh
# Weft used the ways its users use it.
#
#   consumers.sh install WORK BUILD     install BUILD into WORK/prefix; the ways below start from that
#   consumers.sh WAY WORK SOURCE        cmake-shared cmake-static pkg-config-shared pkg-config-static
#                                       moved fetchcontent subdirectory
# Each builds consumer.c as C and as C++, runs both, and compares what they print.
# SPDX-License-Identifier: Apache-2.0 OR MIT
set -eu
way=$1 work=$2 source=$3
prefix=$work/prefix
here=$source/tests/tree/consumer
mkdir -p "$work"

if [ "$way" = install ]; then
    rm -rf "$prefix"
    cmake --install "$source" --prefix "$prefix" >/dev/null
    # The package must not know where it was built.
    if grep -rlI -e "$source" "$prefix/lib" "$prefix/include"; then
        echo "the files above name the build folder" >&2
        exit 1
    fi
    exit 0
fi

dir=$work/$way
rm -rf "$dir"
mkdir -p "$dir"

# says PROGRAM: it ends with status 0 and prints what it should.
says() {
    got=$(env ${path:+LD_LIBRARY_PATH="$path"} "$1") || { echo "$1 failed: $got" >&2; exit 1; }
    [ "$got" = "$(cat "$here/expected")" ] || { echo "$1 printed: $got" >&2; exit 1; }
}

# links PROGRAM yes|no: whether it needs libweft.so.
links() {
    if readelf -d "$1" | grep -q 'NEEDED.*libweft\.so'; then shared=yes; else shared=no; fi
    [ "$shared" = "$2" ] || { echo "$1: needs libweft.so: $shared, expected $2" >&2; exit 1; }
}

path=""
by_cmake() { # HOW TARGET SHARED PREFIX
    cmake -S "$here" -B "$dir/build" -G Ninja -DHOW="$1" -DLIBRARY="$2" -DCMAKE_PREFIX_PATH="$4" \
        -DWEFT_SOURCE="$source" > "$dir/log" 2>&1 &&
        cmake --build "$dir/build" --target consumer_c consumer_cxx >> "$dir/log" 2>&1 ||
        { cat "$dir/log" >&2; exit 1; }
    for program in "$dir/build/consumer_c" "$dir/build/consumer_cxx"; do
        links "$program" "$3"
        says "$program"
    done
}

by_pkg_config() { # PREFIX SHARED [pkg-config flag]
    pc=$(find "$1" -name weft.pc)
    export PKG_CONFIG_PATH="${pc%/*}"
    flags=$(pkg-config ${3:-} --cflags --libs weft)
    libdir=$(pkg-config --variable=libdir weft)
    case $flags in
        *"$1"*) ;;
        *) echo "weft.pc does not point into $1: $flags" >&2; exit 1 ;;
    esac
    # shellcheck disable=SC2086
    cc "$here/consumer.c" $flags -o "$dir/consumer_c"
    # shellcheck disable=SC2086
    c++ -std=c++17 -x c++ "$here/consumer.c" -x none $flags -o "$dir/consumer_cxx"
    path=$libdir
    for program in "$dir/consumer_c" "$dir/consumer_cxx"; do
        links "$program" "$2"
        says "$program"
    done
}

case $way in
    cmake-shared) by_cmake package weft::weft yes "$prefix" ;;
    cmake-static) by_cmake package weft::weft_static no "$prefix" ;;
    pkg-config-shared) by_pkg_config "$prefix" yes ;;
    pkg-config-static)
        # The linker prefers a shared library; this prefix has none, and lies elsewhere.
        cp -a "$prefix" "$dir/prefix"
        find "$dir/prefix" -name 'libweft.so*' -exec rm {} +
        by_pkg_config "$dir/prefix" no --static
        ;;
    moved)
        cp -a "$prefix" "$dir/elsewhere"
        by_cmake package weft::weft yes "$dir/elsewhere"
        ;;
    fetchcontent) by_cmake fetchcontent weft::weft yes "" ;;
    subdirectory) by_cmake subdirectory weft::weft_static no "" ;;
    *) echo "no such way: $way" >&2; exit 2 ;;
esac
