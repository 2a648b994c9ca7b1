#!/bin/bash
# A sweep of drop rates and scales reads its models once a batch: byte
# counters of a real farm. The models are those of a farm that shares nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/sources.sh"

mkdir root
make_model root/base --shards 2
make_model root/a --shards 2 --seed 2 --base root/base
make_model root/b --shards 2 --seed 3 --base root/base
port=$(free_port)
http_server web "$WORK/root" "$port"

# 8 rates x 4 scales, each looked at by two evaluators
cat >rates.yaml <<YAML
sinter: 1
name: rates
sources:
  base: http://127.0.0.1:$port/base/
  a: http://127.0.0.1:$port/a/
  b: http://127.0.0.1:$port/b/
merge:
  merge_method: dare_linear
  base_model: base
  models:
    - {model: a, parameters: {weight: 1.0, density: \$density}}
    - {model: b, parameters: {weight: 0.5, density: \$density}}
  parameters: {lambda: \$lambda}
  dtype: float32
parameters:
  density: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
  lambda: [0.25, 0.5, 1.0, 1.5]
evaluate:
  size: {builtin: footprint}
  sum:
    command: [cksum, "\${model_dir}/model.safetensors"]
    read: {stdout: '^([0-9]+)'}
objective: {metric: size.nonzero, goal: maximize}
YAML

columns=(--columns 'id,state,density,lambda,size.nonzero,sum.value')
# farm NAME WORKERS [OPTION...]: the sweep on a farm of its own
farm() {
    local name=$1 count=$2 i
    shift 2
    unset HTTP
    broker "$name"
    # All workers are there before there is work, so each gets its share.
    for i in $(seq "$count"); do
        worker "$name$i" --allow-command cksum "$@"
    done
    export SINTER_BROKER=$CLIENTS
    all_there() { [ "$(sinter -q workers | wc -l)" = "$count" ]; }
    wait_until 20 "$count workers" all_there
    assert_exit 0 sinter submit rates.yaml --wait
    sinter trials rates --json >"$name.json"
    sinter trials rates -o csv "${columns[@]}" >"$name.csv"
    for i in $(seq "$count"); do
        stop "$name$i"
    done
    stop "$name"
}
numbers() { # FILE MEMBER: those that are not 0, one a line
    jq ".trials[].$2 | select(. != 0)" "$1"
}
total() { # FILE MEMBER
    jq "[.trials[].$2] | add" "$1"
}

farm alone 1 --keep 1
farm one 1
farm two 2

assert_equal "rows that are done" "$(grep -c ',done,' one.csv)" 32
assert_same alone.csv one.csv
assert_same alone.csv two.csv
# So many different models as points.
assert_equal "models" "$(tail -n +2 one.csv | cut -d, -f6 | sort -u | wc -l)" 32

files=$(find root -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')
assert_equal "bytes one worker fetched" "$(total one.json bytes_fetched)" "$files"
assert_equal "bytes two workers fetched" "$(total two.json bytes_fetched)" $((2 * files))

# 3 models of 4 tensors of 64 x 64 floats
pass=$((3 * 4 * 64 * 64 * 4))
assert_equal "nothing kept: a pass for each job" "$(total alone.json bytes_read)" $((64 * pass))
# 64 jobs are one batch of one slot, or one batch of 32 for each of two.
assert_equal "bytes read in one batch" "$(numbers one.json bytes_read)" "$pass"
# What one has not begun when the other is idle moves there: one more pass.
passes=$(numbers two.json bytes_read | wc -l)
[ "$passes" -ge 2 ] && [ "$passes" -le 4 ] || fail "$passes passes of two workers"
assert_equal "bytes read by two workers" "$(total two.json bytes_read)" $((passes * pass))

# The plan says so before: a pass for each slot of this machine.
unset SINTER_BROKER # nobody is there to be asked
sinter plan rates.yaml --json 2>/dev/null | jq '.slots as $slots | .stages[0] |
    [.passes.points, .passes.passes == ([$slots, 32] | min),
     .passes.bytes == .passes.passes * .reads_bytes,
     .passes.bytes_alone == 32 * .reads_bytes, .reads_bytes > 0]' >plan.json
assert_equal "the plan" "$(jq -c . plan.json)" "[32,true,true,true,true]"
sinter plan rates.yaml >plan.txt 2>/dev/null
assert_contains plan.txt "without sharing"

# People see them when they ask.
unset HTTP
broker one
export SINTER_BROKER=$CLIENTS
assert_exit 0 sinter trials rates --columns id,read,fetched -n 1
assert_contains out.txt read
assert_contains out.txt fetched
sinter trials rates -o csv --columns read,fetched >again.csv
assert_equal "bytes after a restart of the broker" \
    "$(tail -n +2 again.csv | awk -F, '{ r += $1; f += $2 } END { print r, f }')" "$pass $files"
stop one
