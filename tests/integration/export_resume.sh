#!/bin/bash
# The slot of an export is killed in the middle: the next attempt goes on with
# the tensors that are there, and the artifact is that of an export that
# nobody disturbed. Nothing is left of either.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

for model in base:1 math:2 code:3; do
    python3 "$here/../support/make_large.py" "${model%:*}" --seed "${model#*:}" --layers 8
done

# sweep NAME CHECKPOINT: equal bytes, another job
sweep() {
    cat >"$1.yaml" <<YAML
sinter: 1
name: $1
sources: {base: ./base, math: ./math, code: ./code}
stages:
  mix:
    merge:
      merge_method: ties
      base_model: base
      models:
        - {model: math, parameters: {weight: 0.5, density: 0.5}}
        - {model: code, parameters: {weight: 0.5, density: 0.5}}
      dtype: bfloat16
  out:
    export: {model: \$stages.mix.model, checkpoint: $2}
evaluate:
  size: {builtin: footprint}
objective: {metric: size.parameters, goal: maximize}
retries: {backoff: 10ms}
YAML
}

# held: what the depot has; names are digests, so equal lists are equal bytes
held() { (cd farm/depot && find . -type f | LC_ALL=C sort); }
kept() { ls -A one.cache/kept 2>/dev/null || true; }
whole_tensors() {
    sed -n 's/.*"tensors": \([0-9]*\).*/\1/p' one.cache/kept/*/model.partial/partial.json 2>/dev/null || true
}
past() { # COUNT: as many are safe
    [ "$(whole_tensors)0" -ge "${1}0" ]
}
ended() { # SWEEP
    [ "$(sinter --json status "$1" | jq .done)" = 1 ]
}
past_or_ended() { past "$2" || ended "$1"; }
new_slot_or_ended() { # SWEEP: $slot is none that was killed already
    slot=$(children "${PID[one]}" sinter-slot)
    { [ -n "$slot" ] && [ "$slot" != "$killed" ]; } || ended "$1"
}

broker farm
export SINTER_BROKER=$CLIENTS
worker one
sweep calm 1GiB
assert_exit 0 sinter submit calm.yaml --wait
held >wanted.txt
[ -s wanted.txt ] || fail "nothing was exported"
assert_equal "what is kept after success" "$(kept)" ""

# disturbed SWEEP: killed after 20 tensors and once more after 40
disturbed() {
    local at slot killed=
    sweep "$1" "$2"
    assert_exit 0 sinter submit "$1.yaml"
    for at in 20 40; do
        wait_until 60 "tensor $at of $1" past_or_ended "$1" $at
        # The first kill may have come behind tensor 40, and the next slot not yet.
        wait_until 60 "a slot for $1" new_slot_or_ended "$1"
        ended "$1" || kill -9 "$slot"
        killed=$slot
    done
    wait_until 60 "the end of $1" ended "$1"
    assert_exit 0 sinter logs "$1/1"
    cat out.txt
}
cut=no
for checkpoint in 64kB 65kB 66kB; do # a fast disk may be done before the kill
    name=cut-$checkpoint
    disturbed "$name" $checkpoint >log.txt
    held >got.txt
    assert_same wanted.txt got.txt
    assert_equal "what is kept after success" "$(kept)" ""
    if grep -qE 'continuing export: [0-9]+ of 75 tensors are there' log.txt; then
        cut=yes
        break
    fi
done
[ $cut = yes ] || fail "no export could be killed before it ended: $(cat log.txt)"

# ---- a full disk gives back what other exports left there
if [ "$(id -u)" = 0 ] && mkdir disk && mount -t tmpfs -o size=20m none disk 2>/dev/null; then
    trap 'status=$?; set +e; umount -l "$WORK/disk" 2>/dev/null; (exit $status); cleanup' EXIT
    stop one
    start one sinter-worker --broker "$WORKERS" --name small --slots 1 --cache "$WORK/disk"
    mkdir -p disk/kept/0123
    sweep full 67kB
    assert_exit 7 sinter submit full.yaml --wait
    assert_exit 0 sinter logs full/1
    assert_contains out.txt "make room"
    assert_equal "what is kept on a full disk" "$(ls -A disk/kept)" ""
    mount -o remount,size=200m disk
    assert_exit 0 sinter retry full
    wait_until 60 "the end of full" ended full
    held >got.txt
    assert_same wanted.txt got.txt
    stop one
    umount disk
else
    echo "SKIPPED: the full disk, which takes root and a mount" >&2
fi
