#!/bin/sh
# Unpack the arm64 libraries that the aarch64 preset links and runs with into build/aarch64-sysroot/root.
# Needs no root and changes nothing of the host's packages: apt gets folders of its own.  Returns at
# once when the folder is complete.
# SPDX-License-Identifier: Apache-2.0 OR MIT
set -eu
cd "$(dirname "$0")/.."
dir=$PWD/build/aarch64-sysroot
[ -f "$dir/complete" ] && exit 0

rm -rf "$dir"
mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial" "$dir/debs" "$dir/root"

# apt APT-PROGRAM ARGUMENTS: as the host is configured, but for arm64 and with no package installed.
for_arm64() {
    program=$1
    shift
    "$program" -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State="$dir/state" \
        -o Dir::State::status=/dev/null -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root "$@"
}
for_arm64 apt-get update

# The packages linked against, with the libraries that they bring; what the cross compiler brings
# itself (libc, libstdc++) is left out.  1.81 is Debian 12's Boost; others have another default.
boost=libboost-context1.81-dev
for_arm64 apt-cache show "$boost" >/dev/null 2>&1 ||
    boost=$(for_arm64 apt-cache depends libboost-context-dev | awk '$1 == "Depends:" { print $2; exit }')
wanted="$boost libjemalloc-dev libxxhash-dev libcjson-dev"
# shellcheck disable=SC2086
brought=$(for_arm64 apt-cache depends --no-recommends --no-suggests $wanted |
    awk '$1 == "Depends:" && $2 ~ /^lib(boost-context|jemalloc|xxhash|cjson)/ { print $2 }')
# shellcheck disable=SC2086
(cd "$dir/debs" && for_arm64 apt-get download $wanted $brought)

for deb in "$dir"/debs/*.deb; do
    dpkg-deb -x "$deb" "$dir/root"
done
rm -rf "$dir/state" "$dir/cache" "$dir/debs"
: > "$dir/complete"
