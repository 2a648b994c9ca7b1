#!/bin/bash
# A farm on a network of its own, six hosts at a bridge: workers, the store and
# the broker that leads are cut off in the middle of sweeps and come back, a
# worker is heard no more though it hears, hosts vanish for good. Every sweep
# ends, and the history says that nothing was lost and nothing counted twice.
#
#     network.sh BIN TOOLS           TOOLS has chaos_history
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../integration/alone.sh" "a network to cut" --mount --net -- "$@"
command -v ip >/dev/null || skip "no ip(8) here: install iproute2"
tools=$(cd "$2" && pwd)
. "$here/../integration/lib.sh" "$1"
. "$here/../integration/noop.sh"
. "$here/../support/hosts.sh"

POINTS=150
AT=([store]=10.77.0.1 [a]=10.77.0.2 [b]=10.77.0.3 [w1]=10.77.0.11
    [w2]=10.77.0.12 [w3]=10.77.0.13)
network
for host in "${!AT[@]}"; do
    plug "$host" 2>>net.log || skip "no hosts of our own here: $(cat net.log)"
done
mute() { # HOST: what it sends to a broker goes to nobody
    for broker in a b; do
        ip -n "$1" neigh replace "${AT[$broker]}" lladdr 02:00:00:00:00:99 \
            dev eth0 nud permanent
    done
}
unmute() {
    for broker in a b; do ip -n "$1" neigh del "${AT[$broker]}" dev eth0; done
}
on() { # HOST NAME COMMAND...
    start "$2" ip netns exec "$1" "${@:3}"
}

# ---- the farm

on store redis redis-server --port 6379 --bind "${AT[store]}" --dir "$WORK" \
    --protected-mode no --appendonly yes --appendfsync always --save ''
wait_until 10 "redis" ip netns exec store redis-cli -h "${AT[store]}" ping
broker_on() { # HOST
    rm -f "$1.ready"
    on "$1" "$1" sinter-broker --standby --leader-ttl 1s --plaintext \
        --store "redis://${AT[store]}:6379" --depot "$WORK/depot" \
        --workers "tcp://${AT[$1]}:7420" --clients "ipc://$WORK/$1-clients" \
        --http 127.0.0.1:7422 --lease 2s --heartbeat 200ms --snapshot 0 \
        --ready-file "$WORK/$1.ready"
    wait_until 20 "broker $1" test -s "$1.ready"
}
leads() { [ "$(jq -r .role "$1.ready")" = leader ]; }
broker_on a
wait_until 10 "a leader" leads a
broker_on b
for host in w1 w2 w3; do
    on "$host" "$host" sinter-worker --plaintext --name "$host" --slots 2 \
        --broker "tcp://${AT[a]}:7420,tcp://${AT[b]}:7420" \
        --cache "$WORK/$host.cache" --log debug
done
export SINTER_BROKER=ipc://$WORK/a-clients,ipc://$WORK/b-clients

said() { grep -cF "\"$2\"" "$1.log" || true; } # NAME EVENT
ask() { timeout 3 sinter --json status "$1" >"$1.json"; }
some_done() { ask "$1" && [ "$(jq .done "$1.json")" -ge $((POINTS / 5)) ]; }
ended() { ask "$1" && [ "$(jq -c '[.state, .done]' "$1.json")" = "[\"done\",$POINTS]" ]; }
sweep() { # NAME: until it is well under way
    local id
    COUNT=$((${COUNT:-30} + 1))
    noop_sweep "$1.yaml" "$1" $POINTS "${COUNT}ms" # no job is in two sweeps
    id=$(timeout 20 sinter submit "$1.yaml" 2>>submit.log)
    echo "$id" >>accepted
    wait_until 30 "some results of $1" some_done "$1"
}
more_than() { [ "$(said "$1" "$2")" -gt "$3" ]; }

# ---- a worker is cut off for longer than its lease

sweep worker
welcomes=$(said w1 welcome)
cut_off w1
wait_until 60 "the end without w1" ended worker
heal w1
wait_until 30 "w1 to be back" more_than w1 welcome "$welcomes"

# ---- the store is: nothing is acknowledged meanwhile

sweep store
cut_off store
told() { ask store && jq -e '.store_error != null' store.json; }
wait_until 20 "the broker to say that the store is away" told
before=$(said w1 committed)+$(said w2 committed)+$(said w3 committed)
read -r -t 1 <> <(:) || true
assert_equal "commits without a store" \
    "$(said w1 committed)+$(said w2 committed)+$(said w3 committed)" "$before"
heal store
leader_again() { # whoever was first at the key; the other may have ended
    for broker in a b; do
        running "$broker" || {
            await "$broker"
            assert_equal "exit of $broker, which leads no more" "$STATUS" 75
            broker_on "$broker"
        }
    done
    leads a || leads b
}
wait_until 30 "a leader" leader_again
wait_until 60 "the end after the store was away" ended store

# ---- the leader is cut off from everybody: the other takes over

leader_again || fail "nobody leads"
if leads a; then leader=a other=b; else leader=b other=a; fi
sweep leader
cut_off $leader
wait_until 20 "$other to take over" leads $other
export SINTER_BROKER=ipc://$WORK/$other-clients
wait_until 60 "the end with another leader" ended leader
heal $leader
await $leader
assert_equal "exit of a leader that was cut off" "$STATUS" 75
broker_on $leader
SINTER_BROKER=ipc://$WORK/a-clients,ipc://$WORK/b-clients

# ---- a worker hears, and is not heard

sweep mute
welcomes=$(said w2 welcome)
mute w2
wait_until 60 "the end without w2" ended mute
unmute w2
wait_until 30 "w2 to be back" more_than w2 welcome "$welcomes"

# ---- two hosts vanish for good: no connection of theirs is ever closed

sweep gone
for host in $other w3; do
    cut_off "$host"
    stop "$host" KILL
    vanish "$host"
done
export SINTER_BROKER=ipc://$WORK/$leader-clients
wait_until 20 "$leader to take over" leads $leader
wait_until 60 "the end on the hosts that are left" ended gone

# ---- what is on record

for name in worker store leader mute gone; do
    sinter trials "$name" -o csv --columns 'id,state,work.value' >"$name.csv"
    assert_equal "trials of $name that are done" \
        "$(grep -c ',done,' "$name.csv")" "$POINTS"
done
stop $leader
sed -n 's/.*"committed" key=\([0-9a-f]*\) epoch=\([0-9]*\) attempt=\([0-9]*\).*/\1 \2 \3/p' \
    w?.log >committed
[ -s committed ] || fail "no worker says what was committed"
ip netns exec store "$tools/chaos_history" "redis://${AT[store]}:6379" sinter \
    accepted committed || fail "a promise was broken"
