#!/bin/bash
# What the parts of a farm take: the table "Sizing" of docs/operations.md. What
# a connected worker takes is measured by bench/fleet.
#
#     bench/sizing.sh [PROGRAMS [POINTS]]
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
. "$source/tests/integration/lib.sh" "${1:-$source/build/release/bin}"
. "$source/tests/integration/noop.sh"

points=${2:-100000}
port=$(free_port)
kb() { awk -v what="$2:" '$1 == what { print $2 }' "/proc/$1/status"; }
mb() { # WHAT KILOBYTES
    awk -v what="$1" -v kb="$2" 'BEGIN { printf "%-32s %8.1f MB\n", what, kb / 1024 }'
}
of_redis() { redis-cli -p "$port" info "$1" | tr -d '\r' | sed -n "s/^$2://p"; }
calm() { read -r -t "$1" <> <(:) || true; }
done_all() { [ "$(sinter --json status "$1" | jq .done)" = "$points" ]; }

# ---- nothing to do

redis redis "$port"
unset HTTP
broker farm --store "redis://127.0.0.1:$port"
export SINTER_BROKER=$CLIENTS
worker one
calm 2
idle=$(kb "${PID[farm]}" VmRSS)
mb broker.idle "$idle"
mb worker.idle "$(kb "${PID[one]}" VmRSS)"
stop one
empty=$(of_redis memory used_memory)

# ---- points that wait, and that are done

noop_sweep points.yaml points "$points" 0s
sinter submit points.yaml >/dev/null 2>&1
calm 1
mb "broker.$points.waiting" $(($(kb "${PID[farm]}" VmRSS) - idle))
worker one --slots 2
worker two --slots 2
wait_until 120 "the end" done_all points
calm 1
mb "broker.$points.done" $(($(kb "${PID[farm]}" VmRSS) - idle))
mb "redis.$points.memory" $((($(of_redis memory used_memory) - empty) / 1024))
mb "redis.$points.aof" $(($(of_redis persistence aof_current_size) / 1024))
mb worker.after "$(kb "${PID[one]}" VmRSS)"
mb slot.idle "$(kb "$(children "${PID[one]}" | head -n 1)" VmRSS)"
stop one
stop two

# ---- a model in so many files: what the slot that merges it takes at most

web=$(free_port)
make_model() { python3 "$source/tests/support/make_model.py" "$@"; }
for shards in 1 64; do
    make_model "models/$shards/base" --tensors 64 --rows 64 --columns 64 --shards $shards
    make_model "models/$shards/a" --tensors 64 --rows 64 --columns 64 --shards $shards --seed 2 --base "models/$shards/base"
done
http_server shards "$WORK/models" "$web"
for shards in 1 64; do
    cat >merge.yaml <<YAML
sinter: 1
name: merge-$shards
sources: {base: http://127.0.0.1:$web/$shards/base/, a: http://127.0.0.1:$web/$shards/a/}
merge:
  merge_method: task_arithmetic
  base_model: base
  models: [{model: a, parameters: {weight: 0.5}}]
  dtype: float32
evaluate: {size: {builtin: footprint}}
YAML
    worker "w$shards"
    sinter submit --wait merge.yaml >/dev/null 2>&1
    slot=$(children "${PID[w$shards]}" | head -n 1)
    mb "slot.merge.$shards.files" "$(kb "$slot" VmHWM)"
    stop "w$shards"
done
