#!/bin/bash
# A tiny sweep end to end on this machine; the second run computes nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"

noop_sweep tiny.yaml tiny 12 5ms
assert_exit 0 sinter check tiny.yaml
assert_exit 0 sinter plan tiny.yaml
assert_contains out.txt "12 points"
[ ! -e .sinter ] || fail "check and plan leave nothing behind"

assert_exit 0 sinter run tiny.yaml --workers 2
assert_contains out.txt "work.value"
assert_contains err.txt "computed 12 jobs, already known 0"
first=$(sed -n 2p out.txt)
[[ $first =~ ^\ +1\ .*\ 12\ +12$ ]] || fail "the best is not first: $first"

assert_exit 0 sinter run tiny.yaml --workers 2
assert_contains err.txt "computed 0 jobs, already known 12"

# A wider grid computes the new cells only.
noop_sweep tiny.yaml wider 15 5ms
assert_exit 0 sinter run tiny.yaml --workers 1
assert_contains err.txt "computed 3 jobs, already known 12"

# The processors are shared out among the workers; a job may not ask for more.
cores=$(nproc)
noop_sweep wide.yaml wide 3 1ms
echo "resources: {cpus: $cores}" >>wide.yaml
assert_exit 0 sinter --home wide run wide.yaml
assert_contains err.txt ", 1 worker"
assert_contains wide/logs/worker-1.log "slots=$cores"
if [ "$cores" -gt 1 ]; then
    assert_exit 1 sinter --home wide run wide.yaml --workers "$cores"
    assert_contains err.txt "take --workers 1"
fi
noop_sweep wide.yaml wide 3 1ms
echo "resources: {cpus: $((cores + 1))}" >>wide.yaml
assert_exit 1 sinter --home wide run wide.yaml
assert_contains err.txt "this machine grants $cores"

# The other commands read the state that is left.
assert_exit 0 sinter ls
assert_contains out.txt wider
assert_exit 0 sinter -q ls
assert_equal "sweeps" "$(wc -l <out.txt)" 2
assert_exit 0 sinter status tiny
assert_contains out.txt "12 of 12 done"
assert_exit 0 sinter --json status
assert_contains out.txt '"schema": "sinter.status/1"'
assert_exit 0 sinter trials tiny -o csv --columns id,x,work.value --sort x:desc
assert_equal "first row" "$(sed -n 2p out.txt | cut -d, -f2-)" "12,12"
assert_equal "rows" "$(wc -l <out.txt)" 13
assert_exit 0 sinter trials tiny --state failed
assert_contains err.txt "no trial of"
assert_exit 2 sinter trials tiny --state finished
assert_exit 2 sinter trials tiny --sort nothing
assert_exit 0 sinter cancel tiny
assert_contains err.txt "tiny has ended already (done)"
assert_exit 0 sinter best tiny -n3 --json
assert_contains out.txt '"schema": "sinter.best/1"'
assert_exit 2 sinter best tiny --metric nowhere
assert_contains err.txt "no column \`nowhere\`; there are: "
assert_exit 0 sinter logs tiny/3
assert_contains out.txt "work: done"
assert_exit 0 sinter workers
assert_contains err.txt "no workers"
assert_exit 0 sinter plan tiny.yaml --detailed-exitcode
assert_exit 5 sinter status nosuch
assert_exit 5 sinter logs tiny/13
assert_exit 1 sinter export tiny/best -o model
assert_contains err.txt "model"
[ ! -e .sinter/broker.json ] || fail "a broker was left behind"
