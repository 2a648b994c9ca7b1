#!/bin/bash
# docs/cli.md is what `sinter help --all` prints, docs/merge-methods.md what
# `sinter help methods` does. $1: directory of the programs; $2 "update" writes
# them anew.
set -euo pipefail
docs=$(cd "$(dirname "$0")/../.." && pwd)/docs
bin=$1
action=${2:-}
fault=0

# page FILE TITLE ARGUMENT: the page that `sinter help ARGUMENT` makes
page() {
    local made
    made=$(
        echo "# $2"
        echo
        echo "Made by \`tests/contract/cli_manual.sh BIN update\` from \`sinter help $3\`."
        echo
        echo '```text'
        env -u SINTER_JSON "$bin/sinter" help "$3"
        echo '```'
    )
    if [ "$action" = update ]; then
        echo "$made" >"$docs/$1"
        return
    fi
    diff "$docs/$1" <(echo "$made") || {
        echo "docs/$1 is old: bash $0 $bin update" >&2
        fault=1
    }
}

page cli.md 'The command line' --all
page merge-methods.md 'Merge methods' methods
exit $fault
