#!/bin/bash
# The slot of a training is killed in the middle: the next attempt goes on with
# what was stored, and the model is that of a training nobody disturbed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

# sweep NAME LENGTH: equal bytes, another job: items are shorter than both
sweep() {
    cat >"$1.yaml" <<YAML
sinter: 1
name: $1
stages:
  dense:
    train:
      init: {architecture: opt, hidden: 128, layers: 3, heads: 4}
      data: {builtin: tasks}
      length: $2
      steps: $steps
evaluate:
  size: {builtin: footprint}
objective: {metric: size.parameters, goal: maximize}
retries: {backoff: 10ms}
YAML
}

# held: what the depot has; names are digests, so equal lists are equal bytes
held() { (cd farm/depot && find . -type f | LC_ALL=C sort); }
states() { find one.cache/kept -maxdepth 2 -name 'state-*' 2>/dev/null || true; }
ended() { # SWEEP
    [ "$(sinter --json status "$1" | jq .done)" = 1 ]
}
stored_or_ended() { [ -n "$(states)" ] || ended "$1"; }

# stores STEPS: whether a training of so many stores a state before its end
stores() {
    name=cut-$1
    steps=$1
    sweep "$name" 100
    assert_exit 0 sinter submit "$name.yaml"
    wait_until 120 "a state of the training" stored_or_ended "$name"
    ! ended "$name"
}

broker farm
export SINTER_BROKER=$CLIENTS
worker one
stores "${STEPS:-260}" || stores 1000 || stores 4000 || fail "trained faster than it stores"
kill -9 "$(children "${PID[one]}" sinter-slot)"
wait_until 240 "the end of the training" ended "$name"
assert_exit 0 sinter logs "$name/1"
assert_contains out.txt "goes on behind step"
held >got.txt
[ -s got.txt ] || fail "nothing was trained"
assert_equal "what is kept after success" "$(states)" ""

sweep calm 101
assert_exit 0 sinter submit calm.yaml --wait
held >wanted.txt
assert_same wanted.txt got.txt
