#!/bin/bash
# A Redis that must not write without its replica (min-replicas-to-write): when
# that goes away the broker says so and acknowledges nothing, when it is back
# work goes on. Then the replica's data take the place of the master's, and at
# last a copy that is older by half a sweep: the broker appends what they lack.
#
#     replica.sh BIN TOOLS           TOOLS has chaos_history
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$2" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"

POINTS=120
port=$(free_port)
replica_port=$(free_port)
server() { # NAME PORT [OPTION...]: its data are in the directory NAME
    mkdir -p "$1"
    start "$1" redis-server --port "$2" --bind 127.0.0.1 --dir "$WORK/$1" \
        --appendonly yes --appendfsync always --save '' "${@:3}"
    wait_until 20 "redis $1" redis-cli -p "$2" ping
}
replica() { server replica "$replica_port" --replicaof 127.0.0.1 "$port"; }
in_step() { [ "$(redis-cli -p "$port" wait 1 100)" = 1 ]; }

server master "$port" --repl-diskless-sync-delay 0
replica
wait_until 20 "the replica" in_step
redis-cli -p "$port" config set min-replicas-to-write 1 >/dev/null

broker farm --store "redis://127.0.0.1:$port" --snapshot 0
export SINTER_BROKER=$CLIENTS
worker w1 --log debug

ask() { sinter --json status "$1" >"$1.json"; }
at_least() { ask "$1" && [ "$(jq .done "$1.json")" -ge "$2" ]; }
says() { ask "$1" && jq -re '.store_error // ""' "$1.json" | grep -qF "$2"; }
committed() { grep -cF '"committed"' w1.log || true; }
ended() { ask "$1" && [ "$(jq -c '[.state, .done]' "$1.json")" = "[\"done\",$POINTS]" ]; }
sweep() { # NAME SLEEP: differs, so that no job is in two sweeps
    noop_sweep "$1.yaml" "$1" $POINTS "$2"
    sinter submit "$1.yaml" 2>>submit.log >>accepted
    wait_until 30 "some results of $1" at_least "$1" $((POINTS / 6))
}

# ---- the replica goes away and comes back

sweep alone 20ms
stop replica KILL
wait_until 20 "a word about it" says alone "its min-replicas-to-write is not met"
before=$(committed)
noop_sweep late.yaml late $POINTS 21ms
assert_exit 124 timeout 1 sinter submit late.yaml
assert_equal "commits without a replica" "$(committed)" "$before"
replica
wait_until 60 "the end with the replica" ended alone
says alone "" || fail "the broker still says: $(jq .store_error alone.json)"
sinter submit late.yaml 2>>submit.log >>accepted
wait_until 60 "the end of what was refused" ended late

# ---- its data instead of the master's

sweep failover 22ms
stop master KILL
stop replica KILL
mv master lost
mv replica master
server master "$port"
wait_until 60 "the end on the replica's data" ended failover

# ---- an older copy of the data

sweep behind 23ms
cp -r master older
wait_until 30 "more results" at_least behind $((POINTS / 2))
stop master KILL
rm -r master
mv older master
server master "$port"
wait_until 60 "the end on an older copy" ended behind

stop w1
stop farm
sed -n 's/.*"committed" key=\([0-9a-f]*\) epoch=\([0-9]*\) attempt=\([0-9]*\).*/\1 \2 \3/p' \
    w1.log >committed
assert_equal "results that were acknowledged" "$(wc -l <committed)" $((4 * POINTS))
"$tools/chaos_history" "redis://127.0.0.1:$port" sinter accepted committed ||
    fail "a promise was broken"
