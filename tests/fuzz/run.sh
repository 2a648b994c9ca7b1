#!/bin/bash
# Each fuzz target over its corpus, two at a time: those that read what
# strangers send for so many seconds, the others for a fifth of that. The seed
# is always the same, so that a change is judged and not luck; FUZZ_SEED=0
# takes another each time, for long searches by hand.
# tests/fuzz/run.sh BUILD-DIRECTORY SECONDS
set -euo pipefail
build=$(cd "${1:?usage: run.sh BUILD-DIRECTORY SECONDS}" && pwd)
seconds=${2:?usage: run.sh BUILD-DIRECTORY SECONDS}
cd "$(dirname "$0")"

fuzz_one() { # SECONDS TARGET
    local new
    new=$(mktemp -d)
    "$build/tests/fuzz_$2" -max_total_time="$1" -seed="${FUZZ_SEED:-1}" -timeout=10 -rss_limit_mb=2048 \
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

# $1 and $2 are for the inner shell.
# shellcheck disable=SC2016
for file in fuzz_*.c; do
    name=$(basename "${file#fuzz_}" .c)
    case $name in
    wire | zap | http | store) echo "$seconds" "$name" ;;
    *) echo $(((seconds + 4) / 5)) "$name" ;;
    esac
done | sort -rn | xargs -P 2 -L 1 bash -c 'fuzz_one "$1" "$2"' fuzz
