#!/bin/sh
# Each public header compiles alone, as C11 and as C++17, with gcc and with clang, without a warning,
# and twice in one file.  usage: headers.sh ROOT
# SPDX-License-Identifier: Apache-2.0 OR MIT
set -eu
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings="-Wall -Wextra -Wconversion -Werror"
dirs=""
for layer in alloc sched effect; do
    if [ -d "$root/$layer/include" ]; then dirs="$dirs -I$root/$layer/include"; fi
done

# alone COMPILER STANDARD LANGUAGE HEADER, the header as it is written in #include <...>
alone() {
    printf '#include <%s>\n#include <%s>\nint weft_header_is_alone(void);\n' "$4" "$4" > "$work/alone.$3"
    # shellcheck disable=SC2086
    "$1" -std="$2" $warnings $dirs -I"$work" -fsyntax-only "$work/alone.$3"
}

every_way() {
    alone gcc gnu11 c "$1" && alone clang gnu11 c "$1" && alone g++ c++17 cc "$1" && alone clang++ c++17 cc "$1"
}

# Would it notice?  A header that needs another one first, one that is no C++, one without a guard.
echo 'size_t needs_stddef(void);' > "$work/needs.h"
echo 'int class(void);' > "$work/only_c.h"
echo 'enum unguarded { UNGUARDED };' > "$work/unguarded.h"
for fault in needs only_c unguarded; do
    if every_way "$fault.h" 2>/dev/null; then
        echo "headers.sh does not notice the fault in $fault.h" >&2
        exit 2
    fi
done

count=0
failed=0
for header in "$root"/alloc/include/weft/*.h "$root"/sched/include/weft/*.h "$root"/effect/include/weft/*.h; do
    [ -f "$header" ] || continue
    count=$((count + 1))
    every_way "weft/${header##*/}" || { echo "$header does not compile alone" >&2; failed=$((failed + 1)); }
done
echo "$count public headers, $failed failed"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
