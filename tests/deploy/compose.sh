#!/bin/bash
# The farm of deploy/compose, as the README starts it: a sweep is run while a
# worker, the broker and Redis are killed and the number of workers changes.
# Its table is that of a run on one machine, and afterwards nothing is left.
#
#   compose.sh PROGRAMS STATE
set -euo pipefail
. "$(dirname "$0")/engine.sh" "$@"
. "$SOURCE/tests/integration/noop.sh"

sinter_image
have localhost/servers || build "$SOURCE/tests/deploy/servers.Dockerfile" localhost/servers \
    "$SOURCE/tests/deploy"
export SINTER_REDIS_IMAGE=localhost/servers SINTER_NGINX_IMAGE=localhost/servers
export SINTER_SWEEPS=$WORK/sweeps SINTER_MODELS=$WORK/models
mkdir sweeps models
SINTER='' PATH=${PATH#"$BIN:"} "$SOURCE/deploy/secrets.sh" "$WORK/deploy/secrets" 2>secrets.log ||
    fail "no secrets: $(cat secrets.log)"
cp -r "$SOURCE/deploy/compose" "$SOURCE/deploy/observability" deploy/
sed -i 's/65536/4096/g' deploy/compose/compose.yaml # this engine may give no more
farm() { docker-compose -f deploy/compose/compose.yaml "$@" 2>>compose.log; }
farm config -q || fail "the file is not what compose knows"
farm --profile ha --profile observability --profile tools --profile test config -q ||
    fail "the file with its profiles is not"
began=$SECONDS
farm up -d --scale worker=2 || fail "up: $(tail -n 5 compose.log)"
echo "up: $((SECONDS - began)) s"
cli() { farm run --rm -T cli "$@"; }
container() { farm ps -q "$1" | sed -n "${2:-1}p"; }
state() { docker inspect -f '{{.State.Health.Status}}' "$(container "$@")"; }
healthy() { [ "$(state "$@")" = healthy ]; }
workers() { [ "$(cli -q workers | wc -l)" = "$1" ]; }
for service in redis broker "worker 1" "worker 2"; do
    # shellcheck disable=SC2086 # a service and its number
    wait_until 60 "a healthy $service" healthy $service
done
wait_until 30 "two workers" workers 2

# ---- nothing is open: without keys nobody is heard, and Redis not even reached

inside() { docker exec "$(container "$1")" "${@:2}"; }
! inside worker sinter ls --broker tcp://broker:7421 --plaintext --timeout 2s >out.txt 2>&1 ||
    fail "a broker without keys"
! inside worker sinter-broker health --http redis:6379 >/dev/null 2>err.txt || fail "health of Redis?"
grep -qi resolv err.txt || fail "Redis: $(cat err.txt)"
assert_equal "Redis without a user" "$(inside redis redis-cli get x | cut -c1-6)" NOAUTH
ports=$(docker ps --format '{{.Ports}}' | grep -o '0\.0\.0\.0' || true)
assert_equal "ports that everybody reaches" "$ports" ""

# ---- a sweep, and what may happen meanwhile

cp "$SOURCE/tests/integration/small.yaml" sweeps/ # the quickstart in miniature
done_of() { cli --json status "$1" | jq .done; }
noop_sweep sweeps/kills.yaml kills 300 100ms
cli submit /examples/kills.yaml >id || fail "submit: $(tail -n 5 compose.log)"
beyond() { local n; n=$(done_of kills) && [ "$n" -ge "$1" ]; }
wait_until 60 "some results" beyond 20
docker kill -s KILL "$(container worker 2)" >/dev/null
wait_until 60 "results without a worker" beyond 60
docker kill -s KILL "$(container broker)" >/dev/null
farm up -d --scale worker=3 || fail "up again: $(tail -n 5 compose.log)"
wait_until 60 "results after the broker" beyond 100
docker kill -s KILL "$(container redis)" >/dev/null
farm up -d --no-recreate --scale worker=3 || fail "up again: $(tail -n 5 compose.log)"
wait_until 60 "results after Redis" beyond 160
farm up -d --no-recreate --scale worker=1 || fail "scale: $(tail -n 5 compose.log)"
cli submit --wait /examples/kills.yaml || fail "the end: $(tail -n 5 compose.log)"
cli submit --watch /examples/small.yaml || fail "small: $(tail -n 5 compose.log)"
same() { # SWEEP TRIALS COLUMNS: the table of a run on this machine
    cli trials "$1" -o csv --columns "$3" >"$1.farm"
    sinter --home local run "$WORK/sweeps/$1.yaml" >run.log 2>&1 || fail "run here: $(tail -n 3 run.log)"
    sinter --home local trials "$1" -o csv --columns "$3" >"$1.here"
    assert_equal "trials of $1" "$(grep -c ',done,' "$1.farm")" "$2"
    assert_same "$1.farm" "$1.here"
}
same kills 300 id,state,work.value
same small 24 'id,state,case,*.*'
docker restart "$(container broker)" >/dev/null # by docker itself
wait_until 60 "a healthy broker" healthy broker

# ---- nothing is left

farm --profile ha --profile tools --profile test down -v --remove-orphans || fail "down"
assert_equal "containers that are left" "$(docker ps -aq)" ""
assert_equal "volumes that are left" "$(docker volume ls -q)" ""
assert_equal "networks that are left" "$(docker network ls -q --filter type=custom)" ""
