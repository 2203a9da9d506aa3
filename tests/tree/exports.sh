#!/bin/sh
# The shared library exports weft_* and nothing else, under the right name, bound at start, without an
# executable stack; every exported name stands in a public header; the archive defines nothing global
# outside weft_ either.
# usage: exports.sh libweft.so libweft.a MAJOR ROOT
# SPDX-License-Identifier: Apache-2.0 OR MIT
set -eu
shared=$1 archive=$2 major=$3 root=$4

foreign() { awk '$NF !~ /^weft_/ && $(NF-1) != "A" { print $NF }'; }

# Would it notice?
if [ "$(printf '0000 T weft_run\n0000 T helper\n0000 A WEFT_0\n' | foreign)" != helper ]; then
    echo "exports.sh does not notice a foreign name" >&2
    exit 2
fi

fail=0
complain() { echo "$*" >&2; fail=1; }

# nm appends the version (weft_run@@WEFT_0), and lists the version itself as absolute.
names=$(nm -D --defined-only "$shared")
bad=$(echo "$names" | foreign)
[ -z "$bad" ] || complain "$shared exports: $bad"
echo "$names" | grep -q ' weft_version' || complain "$shared does not export weft_version"

# What is shared between .c files stays inside, but for what inline code in public headers needs.
headers=$(cat "$root"/*/include/weft/*.h)
for name in $(echo "$names" | awk '$(NF-1) != "A" { sub(/@.*/, "", $NF); print $NF }'); do
    made_of=$name # a macro of a header makes objects of a name
    case $name in *_effect | *_key | *_state) made_of=${name%_*} ;; esac
    echo "$headers" | grep -qw "$name\|$made_of" || complain "$name is exported, but no public header has it"
done

# What a header promises is exported.  The slow halves of fork and join have other names on other processors and compilers.
promised=$(echo "$headers" | tr '\n' ' ' | grep -o 'WEFT_API[^;]*' | grep -o 'weft_[a-z_0-9]*(' | tr -d '(' | sort -u |
    grep -v '^weft__\(never\|fork_slow_\|take_slow_\)')
for name in $promised; do
    echo "$names" | grep -q " $name\(@\|$\)" || complain "$name is in a public header, but not exported"
done

# Fault points are compiled in only where they are asked for (WEFT_FAULTS).
if nm --defined-only "$archive" 2>/dev/null | grep -q ' weft__fault_'; then complain "$archive has fault points"; fi

bad=$(nm -g --defined-only "$archive" 2>/dev/null | awk 'NF == 3' | foreign)
[ -z "$bad" ] || complain "$archive defines outside weft_: $bad"

dynamic=$(readelf -dW "$shared")
echo "$dynamic" | grep -q "SONAME.*\[libweft.so.$major\]" || complain "$shared: SONAME is not libweft.so.$major"
echo "$dynamic" | grep -Eq 'BIND_NOW|\bNOW\b' || complain "$shared: not linked with -z now"
echo "$dynamic" | grep -Eq 'RPATH|RUNPATH' && complain "$shared carries a run path"
echo "$dynamic" | grep -q TEXTREL && complain "$shared has text relocations"
segments=$(readelf -lW "$shared")
echo "$segments" | grep -q GNU_RELRO || complain "$shared: not linked with -z relro"
echo "$segments" | grep -q 'GNU_STACK.*RWE' && complain "$shared wants an executable stack"

echo "$names" | awk '$(NF-1) != "A" { n++ } END { print n + 0 " exported names" }'
exit $fail
