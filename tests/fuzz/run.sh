#!/bin/bash
# Each fuzz target for some seconds over its corpus, two at a time:
# tests/fuzz/run.sh BUILD-DIRECTORY SECONDS
set -euo pipefail
build=$(cd "${1:?usage: run.sh BUILD-DIRECTORY SECONDS}" && pwd)
seconds=${2:?usage: run.sh BUILD-DIRECTORY SECONDS}
cd "$(dirname "$0")"

fuzz_one() { # target corpus-name
    local new
    new=$(mktemp -d)
    "$build/tests/fuzz_$2" -max_total_time="$1" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=0 -verbosity=0 -artifact_prefix="$new/" \
        "$new" "corpus/$2" >"$new/log" 2>&1 || {
        echo "fuzz $2 failed; the input is in $new"
        tail -40 "$new/log"
        return 1
    }
    echo "fuzz $2: $1 s, no fault"
    rm -rf "$new"
}
export -f fuzz_one
export build

names=$(for file in fuzz_*.c; do basename "${file#fuzz_}" .c; done)
# $0 and $1 are for the inner shell.
# shellcheck disable=SC2016
xargs -P 2 -I{} bash -c 'fuzz_one "$0" "$1"' "$seconds" {} <<<"$names"
