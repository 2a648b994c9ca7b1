#!/bin/bash
# The disk of a worker's cache and that of the depot are full: the job says
# which disk it is, is tried again, elsewhere or when there is room, and what
# comes of it is what comes of it on roomy disks.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/alone.sh" "disks to fill" --mount -- "$@"
. "$here/lib.sh" "$1"
make_model() { # DIRECTORY [OPTION...]
    python3 "$here/../support/make_model.py" "$@"
}
unmount() {
    local status=$?
    umount -l cache-disk depot-disk 2>/dev/null || true
    (exit "$status") || cleanup
    cleanup
}
trap unmount EXIT

make_model models/base --rows 256 --columns 128
make_model models/a --rows 256 --columns 128 --seed 2 --base models/base
make_model models/b --rows 256 --columns 128 --seed 3 --base models/base
port=$(free_port)
http_server shards "$WORK/models" "$port"

# sweep NAME WEIGHT: merges, measures and exports; another weight, other jobs
sweep() {
    local root=http://127.0.0.1:$port
    cat >"$1.yaml" <<YAML
sinter: 1
name: $1
sources: {base: $root/base/, a: $root/a/, b: $root/b/}
parameters:
  weight: [0.5, $2]
stages:
  mix:
    merge:
      merge_method: ties
      base_model: base
      models:
        - {model: a, parameters: {weight: \$weight, density: 0.5}}
        - {model: b, parameters: {weight: 0.5, density: 0.5}}
      dtype: float32
  out:
    export: {model: \$stages.mix.model}
evaluate:
  size: {builtin: footprint, model: \$stages.mix.model}
objective: {metric: size.nonzero, goal: maximize}
retries: {max: 100, backoff: 100ms}
YAML
}
state() { sinter --json status "$1" | jq -r '[.state, .done] | join(" ")'; }
ended() { [ "$(state "$1")" = "done 2" ]; }
# told SWEEP WORDS: in the log of its second trial
told() {
    sinter logs "$1/2" >told.txt 2>&1 && grep -qE "$2" told.txt
}
# What a worker can do nothing about: alive, not ready, and its log says why.
look() { sinter-worker health "${@:3}" --cache "$2" --name "$1"; }
not_ready() { # NAME CACHE WORDS
    ! look "$1" "$2" --welcome >/dev/null 2>"$1.health" && look "$1" "$2" &&
        grep -qF "$3" "$1.health" && grep -qF "$3" "$1.log"
}
numbers() { # SWEEP FILE
    sinter trials "$1" -o csv --columns 'id,state,size.*' >"$2"
}
# What is in the depot is what its name says, and nothing is half there.
check_depot() { # DIRECTORY
    (cd "$1" && find . -type f -path './??/*' | LC_ALL=C sort) >blobs
    [ -s blobs ] || fail "nothing in the depot $1"
    while read -r blob; do
        assert_equal "digest of $blob" "$(sha256sum <"$1/$blob" | cut -d ' ' -f 1)" \
            "$(tr -d ./ <<<"$blob")"
    done <blobs
    assert_equal "uploads left in $1" "$(ls -A "$1/incoming")" ""
}

# ---- as it should be

broker calm
export SINTER_BROKER=$CLIENTS
worker zero
sweep calm 1.0
assert_exit 0 sinter submit --wait calm.yaml
numbers calm calm.csv
check_depot calm/depot
mv blobs calm.blobs
stop zero
unset HTTP

# ---- the cache of a worker

mkdir cache-disk depot-disk
mount -t tmpfs -o size=600k none cache-disk
broker farm
export SINTER_BROKER=$CLIENTS
worker small --cache "$WORK/cache-disk/cache"
sweep cache 1.0
assert_exit 0 sinter submit cache.yaml
wait_until 30 "the log to name the disk" told cache \
    "bytes are to be fetched, the disk of $WORK/cache-disk/cache has [0-9]+ left"
wait_until 20 "the worker to be not ready" not_ready small cache-disk/cache "the disk of $WORK/cache-disk/cache"
worker roomy # elsewhere
wait_until 60 "the end of cache" ended cache
numbers cache cache.csv
assert_same cache.csv calm.csv
check_depot farm/depot
assert_same blobs calm.blobs
stop roomy

sweep room 0.7
assert_exit 0 sinter submit room.yaml
wait_until 30 "the log to name the disk" told room "the disk of $WORK/cache-disk/cache"
mount -o remount,size=100m cache-disk # when there is room
wait_until 60 "the end of room" ended room
wait_until 20 "the worker to be ready" look small cache-disk/cache --welcome
sinter verify room/2 >verify.txt 2>&1 || fail "verify: $(cat verify.txt)"
stop small
unset HTTP

# ---- the depot

mount -t tmpfs -o size=100k none depot-disk
broker depot --depot "$WORK/depot-disk/depot"
export SINTER_BROKER=$CLIENTS
worker three
sweep depot 1.0
assert_exit 0 sinter submit depot.yaml
wait_until 30 "the log to name the disk" told depot \
    "depot: write $WORK/depot-disk/depot/.*No space left"
wait_until 20 "the worker to be not ready" not_ready three three.cache "No space left"
assert_equal "uploads left" "$(ls -A depot-disk/depot/incoming)" ""
mount -o remount,size=100m depot-disk
wait_until 60 "the end of depot" ended depot
numbers depot depot.csv
assert_same depot.csv calm.csv
check_depot depot-disk/depot
assert_same blobs calm.blobs
