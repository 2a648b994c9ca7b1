#!/bin/bash
# docs/cli.md is what `sinter help --all` prints. $1: directory of the
# programs; $2 "update" writes it anew.
set -euo pipefail
manual=$(cd "$(dirname "$0")/../.." && pwd)/docs/cli.md
made=$(
    echo '# The command line'
    echo
    echo 'Made by `tests/contract/cli_manual.sh BIN update` from `sinter help --all`.'
    echo
    echo '```text'
    env -u SINTER_JSON "$1/sinter" help --all
    echo '```'
)
if [ "${2:-}" = update ]; then
    echo "$made" >"$manual"
    exit 0
fi
diff "$manual" <(echo "$made") || {
    echo "docs/cli.md is old: bash $0 $1 update" >&2
    exit 1
}
