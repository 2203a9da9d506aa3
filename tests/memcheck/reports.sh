#!/bin/sh
# reports.sh WORDS COMMAND...: the command must end with memcheck's status 9 and one kind of error, and have said the words.
# SPDX-License-Identifier: Apache-2.0 OR MIT
set -eu
words=$1
shift
status=0
said=$("$@" 2>&1) || status=$?
case $status,$said in
9,*"$words"*"from 1 contexts"*) ;;
*)
    printf '%s\nstatus %s; expected 9, "%s", and nothing else\n' "$said" "$status" "$words" >&2
    exit 1
    ;;
esac
