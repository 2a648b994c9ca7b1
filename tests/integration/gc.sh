#!/bin/bash
# `sinter gc`: counts, then deletes what no sweep leads to, and nothing else;
# what was deleted is computed again when somebody wants it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

# train FILE NAME SEED: one trial that trains a model and measures it
train() {
    cat >"$1" <<YAML
sinter: 1
name: $2
stages:
  base:
    train:
      init: {architecture: llama, hidden: 16, layers: 1, heads: 2}
      data: {builtin: tasks, mix: {reverse: 1}}
      steps: 2
      batch: 2
      seed: $3
evaluate:
  right: {builtin: accuracy, data: {builtin: tasks, mix: {reverse: 1}, split: test, items: 4}}
objective: {metric: right.accuracy, goal: maximize}
YAML
}

broker farm --gc-least 1s
worker w1
export SINTER_BROKER=$CLIENTS
one_worker() { [ "$(sinter -q workers | wc -l)" = 1 ]; }
wait_until 20 "the worker" one_worker
HTTP_PORT=$HTTP

blobs() { find "$WORK/farm/depot" -type f | wc -l; }
figure() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" out.txt; }

train one.yaml one 1
train two.yaml two 2
assert_exit 0 sinter submit one.yaml --wait
of_one=$(blobs)
[ "$of_one" -ge 2 ] || fail "no artifact in the depot"
assert_exit 0 sinter submit two.yaml --wait
all=$(blobs)
echo "an upload that was cut off" >"$WORK/farm/depot/incoming/XYZ"
orphan=$(printf 'nobody wants this' | sha256sum | cut -d ' ' -f 1)
printf 'nobody wants this' >blob
curl -fsS -T blob "http://127.0.0.1:$HTTP/depot/$orphan"

# Young: everything stays, whatever it is.
assert_exit 0 sinter gc --older 1h --delete --json
assert_equal "young garbage" "$(figure blobs)" 0
assert_exit 1 sinter gc --older 500ms
assert_contains err.txt "may be an upload that waits"

# Old: the orphan only, while the sweeps are kept.
age() { find "$WORK/farm/depot" -path '*/incoming/*' -prune -o -type f -exec touch -d '3 days ago' {} +; }
age
assert_exit 0 sinter gc --json
assert_equal "garbage" "$(figure blobs)" 1
assert_equal "its bytes" "$(figure bytes)" 17
assert_equal "nothing was deleted" "$(blobs)" $((all + 2))
# Somebody asks for it: it counts as young again.
curl -fsS -I "http://127.0.0.1:$HTTP/depot/$orphan" >/dev/null
assert_exit 0 sinter gc --delete --json
assert_equal "asked for" "$(figure blobs)" 0
age
assert_exit 0 sinter gc --delete
assert_contains out.txt "deleted  1 file"
assert_contains out.txt ", untouched for 1d00h"
assert_equal "after the orphan" "$(blobs)" $((all + 1))

# What a sweep that was removed had alone goes; the other keeps its own.
assert_exit 0 sinter rm one
age
assert_exit 0 sinter gc --delete --json
assert_equal "results of the last day" "$(figure results)" 0
sleep 1.1 # the results are to be older than --older
assert_exit 0 sinter gc --older 1s --json
assert_equal "results" "$(figure results)" 1
assert_equal "nothing was deleted" "$(blobs)" $((all + 1))
assert_exit 0 sinter gc --older 1s --delete --json
assert_equal "results" "$(figure results)" 1
left=$(blobs)
# What both have, like the config, is still needed.
[ "$left" -lt $((all + 1)) ] && [ "$left" -ge $((all - of_one + 1)) ] ||
    fail "$left files are left of $((all + 1))"
assert_exit 0 sinter gc --older 1s --json
assert_equal "nothing is left to do" "$(figure blobs)" 0

# A broker that is killed knows it; what is gone is computed again.
stop farm KILL
HTTP=$HTTP_PORT broker farm --gc-least 1s
wait_until 20 "the worker" one_worker
assert_exit 0 sinter gc --older 1s --json
assert_equal "garbage" "$(figure results)" 0
assert_exit 0 sinter submit one.yaml --wait
assert_equal "all blobs again" "$(blobs)" $((all + 1))
assert_exit 0 sinter export one/1 -o model
assert_exit 0 sinter export two/1 -o model2
stop w1
stop farm
assert_equal "exit of a stopped broker" "$STATUS" 0
