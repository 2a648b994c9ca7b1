#!/bin/bash
# The commands of docs/operations.md, "Backup and restore of Redis", as they
# stand there: a backup in the middle of a sweep, more results, a broker that
# dies, Redis loses everything, the restore. What was done before the backup is
# there and not done again, the rest is, and the table is what it always was.
#
#   backup.sh PROGRAMS
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/integration/lib.sh" "$1"
. "$source/tests/integration/noop.sh"

POINTS=150
DATA=$WORK/data # the volume of Redis
port=$(free_port)
mkdir "$DATA"

# ---- what engine and cluster do with a service

redis_start() {
    start redis redis-server --port "$port" --bind 127.0.0.1 --dir "$DATA" \
        --save '' --appendonly yes --appendfsync always
    wait_until 10 "redis" redis-cli -p "$port" ping
}
redis_stop() { ! running_service redis || stop redis; }
broker_start() {
    rm -f ready
    start broker sinter-broker --standby --leader-ttl 1s --snapshot 300ms \
        --store "redis://127.0.0.1:$port" --depot "$WORK/depot" --workers "ipc://$WORK/workers" \
        --clients "ipc://$WORK/clients" --http 127.0.0.1:0 --ready-file "$WORK/ready"
}
broker_stop() { stop broker; }
inside() { # COMMAND...: in the container of Redis
    "${@//\/data/$DATA}"
}
docker() {
    local service what=$2
    case "$1 $2" in
    "compose stop" | "compose start")
        for service in "${@:3}"; do "${service}_$what"; done
        ;;
    "compose run")
        assert_equal "options" "$3 $4 $5 $7" "--rm -T --entrypoint redis"
        ! running_service redis || fail "Redis runs while its data are touched"
        inside "$6" "${@:8}"
        ;;
    *) fail "docker $*" ;;
    esac
}
kubectl() {
    case "$1 $2 ${3:-}" in
    "scale deployment/sinter-broker --replicas=0") broker_stop ;;
    "scale deployment/sinter-broker --replicas=1") broker_start ;;
    "wait --for=delete pod") ! running_service broker || fail "the broker runs" ;;
    "exec sinter-redis-0 --") inside "${@:4}" ;;
    "exec -i sinter-redis-0") inside "${@:5}" ;;
    "delete pod sinter-redis-0")
        redis_stop
        redis_start
        ;;
    *) fail "kubectl $*" ;;
    esac
}
running_service() { [ -n "${PID[$1]:-}" ] && running "$1"; }
grep -qF 'volumes: [redis:/data]' "$source/deploy/compose/compose.yaml" || fail "no /data in compose.yaml"
grep -qF '{name: data, mountPath: /data}' "$source/deploy/k8s/base/redis.yaml" || fail "no /data in redis.yaml"

commands() { # NAME: those between its marks
    awk -v mark="<!-- $1 -->" '$0 == mark { on = 1 } /^<!-- end/ { on = 0 }
        on && /^    / { print substr($0, 5) }' "$source/docs/operations.md" >"$1.sh"
    [ -s "$1.sh" ] || fail "docs/operations.md has no commands for: $1"
    # shellcheck source=/dev/null
    . "./$1.sh"
}

# ---- a farm, and what may be asked of it

redis_start
broker_start
export SINTER_BROKER=ipc://$WORK/clients
start w sinter-worker --broker "ipc://$WORK/workers" --name w --slots 2 --cache "$WORK/cache" --log debug
done_of() { timeout 5 sinter --json status "$1" | jq .done; }
has_done() { [ "$(done_of "$1")" -ge "$2" ]; }
keys_of() { tail -n "+$FROM" w.log | sed -n "s/.*\"$1\" key=\\([0-9a-f]*\\) .*/\\1/p" | sort; }
numbers() { # SWEEP POINTS: its whole table
    sinter trials "$1" -o csv --columns 'state,work.value' | sed 1d | sort >"$1.got"
    seq "$2" | sed 's/^/done,/' | sort >"$1.wanted"
    assert_same "$1.got" "$1.wanted"
}

round() { # WAY NAP: naps differ, so that no job is in two sweeps
    local way=$1 at
    FROM=$(($(wc -l <w.log) + 1)) # what its worker says from now on
    noop_sweep "$way-early.yaml" "$way-early" 20 "$2ms"
    noop_sweep "$way.yaml" "$way" $POINTS "$(($2 + 20))ms"
    timeout 20 sinter submit --wait "$way-early.yaml" >/dev/null 2>>submit.log
    timeout 20 sinter submit "$way.yaml" >/dev/null 2>>submit.log
    wait_until 30 "some results" has_done "$way" 20
    at=$(done_of "$way")
    keys_of committed >"$way.before"
    commands "backup-$way"
    wait_until 30 "results after the backup" has_done "$way" $((at + 20))
    stop broker KILL
    broker_start
    wait_until 30 "results of the next broker" has_done "$way" $((at + 40))

    mkdir -p check
    tar -C check -xf redis.tar
    redis-check-aof check/appendonlydir/appendonly.aof.manifest >check.txt || fail "$(cat check.txt)"
    stop redis KILL
    rm -rf "${DATA:?}"/* check
    commands "restore-$way"
    wait_until 30 "the broker" has_done "$way" "$at"
    numbers "$way-early" 20
    wait_until 60 "the end" has_done "$way" $POINTS
    numbers "$way" $POINTS
    keys_of began | uniq -d >"$way.twice"
    [ -s "$way.twice" ] || fail "nothing was done again: was anything lost?"
    assert_equal "jobs that were in the backup and ran again" "$(comm -12 "$way.before" "$way.twice")" ""
    echo "$way: $(wc -l <"$way.before") results in the backup, $(wc -l <"$way.twice") jobs ran again"
}
round compose 1
round cluster 2
