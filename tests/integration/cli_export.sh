#!/bin/bash
# A sweep that trains, merges and keeps its winner: the directory appears
# whole, is left alone the next time, and measures the same again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/mini.sh"

mini_begin >mini.yaml
cat >>mini.yaml <<'YAML'
parameters:
  lambda: [0.3, 1.0]
replicates: {count: 2}
evaluate:
  rev: {builtin: accuracy, data: {builtin: tasks, task: reverse, split: test, items: 64}}
objective: {metric: rev.loss, goal: minimize}
outputs: {keep: best}
YAML

assert_exit 0 sinter plan mini.yaml
assert_contains out.txt "2 points x 2 seeds = 4 trials"
assert_exit 0 sinter run mini.yaml --workers 2
assert_contains err.txt "is written to mini-best"
[ -s mini-best/model.safetensors ] && [ -s mini-best/config.json ] ||
    fail "mini-best is no model: $(ls mini-best)"
[ ! -e mini-best.part ] || fail "a part was left"
before=$(cat mini-best/* | sha256sum)

assert_exit 0 sinter run mini.yaml --workers 2
assert_contains err.txt "computed 0 jobs"
assert_contains err.txt "is in mini-best already, unchanged"
assert_equal "the kept model" "$(cat mini-best/* | sha256sum)" "$before"

# The same by hand, from the state that is left; hidden sweeps stay hidden.
assert_exit 0 sinter export mini/best -o again
cmp mini-best/model.safetensors again/model.safetensors
assert_exit 0 sinter export mini/best -o sharded --shard-size 40kB
[ -s sharded/model.safetensors.index.json ] || fail "no index: $(ls sharded)"
assert_exit 0 sinter ls
assert_lacks out.txt mini-export
assert_exit 0 sinter ls --all
assert_contains out.txt mini-export
best=$(sinter -q best mini -n 1)
other=$(sinter -q best mini -n 2 | tail -n 1)
assert_exit 1 sinter export "$other" -o again
assert_contains err.txt "again exists and holds something else"
assert_exit 5 sinter export mini/99 -o nothing
[ ! -e nothing ] || fail "a failed export leaves nothing"

# Evaluated again from its files, it gives the same numbers.
cat >check.yaml <<'YAML'
sinter: 1
name: check
evaluate:
  rev: {builtin: accuracy, model: ./mini-best, data: {builtin: tasks, task: reverse, split: test, items: 64}}
YAML
assert_exit 0 sinter plan check.yaml
assert_contains out.txt "are files of this machine"
assert_exit 0 sinter run check.yaml --workers 1
assert_equal "loss of the exported model" \
    "$(sinter trials check -o csv --columns rev.loss | tail -n 1)" \
    "$(sinter trials mini -o csv --columns id,rev.loss | sed -n "s/^${best#*/},//p")"

# Another model in the same directory is other work.
cp again/model.safetensors mini-best/model.safetensors
touch -d '2001-01-01' mini-best/model.safetensors
assert_exit 0 sinter run check.yaml --workers 1
assert_contains err.txt "computed 1 job"

# A trial beyond the number in the file, since the search was extended.
mini_begin | sed 's/^name: .*/name: search/' >search.yaml
cat >>search.yaml <<'YAML'
parameters:
  lambda: {min: 0.1, max: 1.0}
strategy: {method: random, trials: 1, seed: 1}
evaluate:
  rev: {builtin: accuracy, data: {builtin: tasks, task: reverse, split: test, items: 64}}
objective: {metric: rev.loss, goal: minimize}
YAML
assert_exit 0 sinter run search.yaml --workers 2
assert_exit 5 sinter export search/2 -o second
assert_exit 0 sinter extend search --trials 1
assert_exit 0 sinter run search.yaml --workers 2
assert_exit 0 sinter export search/2 -o second
[ -s second/model.safetensors ] || fail "second is no model: $(ls second)"
