#!/bin/bash
# What a cluster would run, without one: the arguments, users, Secrets and
# read-only roots of overlays/ha as processes on a network of their own. A
# worker is cut off for 20 s and comes back; then the leader's host and that of
# the other worker are gone for good. The sweep ends, and nothing was lost or
# counted twice.
#
#   pods.sh PROGRAMS TOOLS           TOOLS has chaos_history
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
. "$source/tests/integration/alone.sh" "a network to cut" --mount --net -- "$@"
for program in ip kubectl setpriv jq; do
    command -v $program >/dev/null || skip "no $program here"
done
python3 -c 'import yaml' 2>/dev/null || skip "no yaml for python3 here"
tools=$(cd "$2" && pwd)
. "$source/tests/integration/lib.sh" "$1"
. "$source/tests/integration/noop.sh"
. "$here/network.sh"

POINTS=400
kubectl kustomize "$source/deploy/k8s/overlays/ha" >rendered.yaml 2>err.txt ||
    skip "this kubectl cannot: $(head -n 1 err.txt)"
SINTER=$BIN/sinter "$source/deploy/secrets.sh" made 2>secrets.log || fail "$(cat secrets.log)"
"$source/deploy/secrets.sh" made kubernetes >secrets.yaml
AT=([redis]=10.78.0.1 [a]=10.78.0.2 [b]=10.78.0.3 [w1]=10.78.0.11 [w2]=10.78.0.12
    [client]=10.78.0.20)
network
names "${AT[redis]} sinter-redis"$'\n'"${AT[a]} sinter-broker"$'\n'"${AT[b]} sinter-broker"

pod redis sinter-redis sinter-redis "$BIN" /data
password=$(cat made/redis-password)
wait_until 10 "Redis" ip netns exec redis redis-cli -e --user health --pass any ping
mkdir depot # the volume that both mount
broker_pod() { # POD
    # The history wants the whole log.
    POD_ENVIRONMENT=(SINTER_LOG=debug SINTER_SNAPSHOT=0)
    mkdir -p "$WORK/$1/depot"
    mount --bind depot "$WORK/$1/depot"
    pod "$1" sinter-broker sinter-broker "$BIN" /depot
    POD_ENVIRONMENT=(SINTER_LOG=debug)
}
ready() { ip netns exec "$1" sinter-broker health; }
role() { ready "$1" | grep -q "^ok $2"; }
broker_pod a
wait_until 30 "a to lead" role a leader
broker_pod b
wait_until 30 "b to wait" role b standby
for name in w1 w2; do
    pod $name sinter-worker sinter-worker "$BIN" /cache
done
plug client
outside() { ip netns exec client timeout 20 sinter "$@"; }
export SINTER_BROKER=tcp://${AT[a]}:7421,tcp://${AT[b]}:7421
export SINTER_KEY=$WORK/made/client.key SINTER_BROKER_KEY=$WORK/made/broker.pub
export SINTER_HTTP_TOKEN_FILE=$WORK/made/token
chown -R root: made
workers() { [ "$(outside -q workers | wc -l)" = 2 ]; }
wait_until 30 "two workers" workers

# ---- as strictly as the manifest says

for name in a w1; do
    pid=$(pgrep -P "${PID[$name]}" . | head -n 1 || true)
    pid=${pid:-${PID[$name]}}
    [ ! -e "/proc/$pid/status" ] || assert_equal "user of $name" \
        "$(awk '/^Uid/ { print $2 }' "/proc/$pid/status")" 65532
    ! ip netns exec $name chroot "$WORK/$name/root" touch /x 2>/dev/null || fail "$name can write to /"
done

# ---- a link is cut for 20 s and healed

noop_sweep gone.yaml gone $POINTS 300ms
outside submit gone.yaml >accepted 2>>submit.log || fail "submit: $(cat submit.log)"
done_of() { outside --json status gone | jq .done; }
some() { [ "$(done_of)" -ge "$1" ]; }
wait_until 60 "some results" some 20
cut_off w1
read -r -t 20 <> <(:) || true
heal w1
committed() { grep -cF '"committed"' "$1.log" || true; }
before=$(committed w1)
more() { [ "$(committed w1)" -gt "$before" ]; }
wait_until 40 "w1 to go on" more

# ---- two hosts are gone for good: the leader's and that of a worker

for name in a w2; do
    vanish $name
    stop $name KILL
done
names "${AT[redis]} sinter-redis"$'\n'"${AT[b]} sinter-broker" # as for a node that is not ready
wait_until 40 "b to lead" role b leader
export SINTER_BROKER=tcp://${AT[b]}:7421
ended() { [ "$(outside --json status gone | jq -c '[.state, .done]')" = "[\"done\",$POINTS]" ]; }
wait_until 120 "the end" ended

# ---- nothing lost, nothing doubled

outside trials gone -o csv --columns 'id,state,work.value' >gone.csv
assert_equal "trials that are done" "$(grep -c ',done,' gone.csv)" $POINTS
stop b
assert_equal "exit of a broker that was told to stop" "$STATUS" 0
sed -n 's/.*"committed" key=\([0-9a-f]*\) epoch=\([0-9]*\) attempt=\([0-9]*\).*/\1 \2 \3/p' \
    w?.log >committed
[ -s committed ] || fail "no worker says what was committed"
ip netns exec redis "$tools/chaos_history" "redis://sinter:$password@${AT[redis]}:6379" sinter \
    accepted committed || fail "a promise was broken"
stop w1
assert_equal "exit of a worker that was told to stop" "$STATUS" 0
