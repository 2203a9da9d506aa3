#!/bin/sh
# expect-output.sh FILE COMMAND...: the command must end with status 0 and print exactly FILE.  A fiber
# entry that returned would end the process with status 0 too, in silence; so the status alone proves
# nothing.  SPDX-License-Identifier: Apache-2.0 OR MIT
set -eu
expected=$1
shift
got=$(mktemp)
trap 'rm -f "$got"' EXIT
"$@" > "$got" || {
    echo "status $? from: $*" >&2
    cat "$got" >&2
    exit 1
}
diff -u --label expected --label printed "$expected" "$got" >&2
