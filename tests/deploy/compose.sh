#!/bin/bash
# The farm of deploy/compose, as the README starts it: a sweep is run while a
# worker, the broker and Redis are killed, a standby takes over and the number
# of workers changes. Its table is that of a run on one machine, and afterwards
# nothing is left.
#
#   compose.sh PROGRAMS STATE
set -euo pipefail
. "$(dirname "$0")/engine.sh" "$@"
. "$SOURCE/tests/integration/noop.sh"

POINTS=700
have $IMAGE || sinter_image
servers
export SINTER_REDIS_IMAGE=$SERVERS SINTER_NGINX_IMAGE=$SERVERS
export SINTER_SWEEPS=$WORK/sweeps SINTER_MODELS=$WORK/models
mkdir sweeps models
cp "$SOURCE/tests/integration/small.yaml" sweeps/quickstart.yaml # in miniature
noop_sweep sweeps/kills.yaml kills $POINTS 200ms
SINTER='' PATH=${PATH#"$BIN:"} "$SOURCE/deploy/secrets.sh" "$WORK/deploy/secrets" 2>secrets.log ||
    fail "no secrets: $(cat secrets.log)"
cp -r "$SOURCE/deploy/compose" "$SOURCE/deploy/observability" deploy/
files=(-f deploy/compose/compose.yaml -f "$here/compose.test.yaml")
farm() { docker-compose "${files[@]}" "$@" 2>>compose.log; }
fail() {
    echo "FAILED: $*" >&2
    farm logs --no-color --tail 25 >services.log || true
    exit 1
}
say() { echo "$SECONDS s: $*"; }
docker-compose -f deploy/compose/compose.yaml --profile ha --profile observability \
    --profile tools --profile test config -q || fail "the file is not what compose knows"
farm up -d --scale worker=2 || fail "up: $(tail -n 5 compose.log)"
say up
container() { # SERVICE [NUMBER]
    docker ps -aq --filter "label=com.docker.compose.service=$1" \
        --filter "label=com.docker.compose.container-number=${2:-1}"
}
inside() { docker exec "$(container "$1")" "${@:2}"; }
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(container "$@")")" = healthy ]; }
for service in redis broker "worker 1" "worker 2"; do
    # shellcheck disable=SC2086 # a service and its number
    wait_until 60 "a healthy $service" healthy $service
done
farm run -d --name cli --entrypoint sleep cli 600 >/dev/null || fail "cli: $(tail -n 5 compose.log)"
cli() { docker exec cli sinter "$@"; }
workers() { [ "$(cli -q workers | wc -l)" = "$1" ]; }
wait_until 30 "two workers" workers 2
say "two workers"

# ---- nothing is open: without keys nobody is heard, and Redis not even reached

! inside worker sinter ls --broker tcp://broker:7421 --plaintext --timeout 2s >out.txt 2>&1 ||
    fail "a broker without keys"
! inside worker sinter-broker health --http redis:6379 >/dev/null 2>err.txt || fail "health of Redis?"
grep -qi resolv err.txt || fail "Redis: $(cat err.txt)"
assert_equal "Redis without a user" "$(inside redis redis-cli get x | cut -c1-6)" NOAUTH
ports=$(docker ps --format '{{.Ports}}' | grep -o '0\.0\.0\.0' || true)
assert_equal "ports that everybody reaches" "$ports" ""

# ---- a sweep, and what may happen meanwhile

cli submit /examples/kills.yaml >id || fail "submit: $(cat id)"
done_of() { cli --json status kills | jq .done; }
at=0
beyond() { local n; n=$(done_of) && [ "$n" -ge $((at + 20)) ]; }
go_on() { # AFTER WHAT: and there is more to do
    wait_until 60 "results $1" beyond
    at=$(done_of)
    [ "$at" -lt $((POINTS - 40)) ] || fail "$at results before all was tried"
    say "$at results $1"
}
killed() { docker kill -s KILL "$(container "$@")" >/dev/null; }
up() { farm up -d --no-recreate "$@" || fail "up again: $(tail -n 5 compose.log)"; }
role() { inside "$1" sinter-broker health | grep -q "^ok $2"; }
go_on "at first"
killed worker 2
go_on "without a worker"
killed broker
up --scale worker=3
go_on "after the broker"
killed redis
up --scale worker=1
go_on "after Redis, by one worker"

# ---- --profile ha: whoever waits takes over, there and back

farm --profile ha up -d --no-recreate || fail "up with a standby: $(tail -n 5 compose.log)"
wait_until 30 "a healthy standby" healthy broker-standby
wait_until 10 "a standby" role broker-standby standby
say "a standby"
killed broker
wait_until 30 "the standby to lead" role broker-standby leader
say "the standby leads"
go_on "from the standby"
docker start "$(container broker)" >/dev/null
wait_until 30 "the broker to wait" role broker standby
farm stop broker-standby || fail "stop: $(tail -n 5 compose.log)"
wait_until 30 "the broker to lead" role broker leader
go_on "from the broker again"

# ---- the end, for which one worker with many slots is enough

farm run -d --name many -e SINTER_SLOTS=32 worker >/dev/null || fail "run: $(tail -n 5 compose.log)"
local_run() { # SWEEP FILE WORKERS
    sinter --home local run -j "$3" "sweeps/$2" >"$1.log" 2>&1 || fail "run here: $(tail -n 3 "$1.log")"
}
same() { # SWEEP TRIALS COLUMNS: the table of a run on this machine
    cli trials "$1" -o csv --columns "$3" >"$1.farm"
    sinter --home local trials "$1" -o csv --columns "$3" >"$1.here"
    assert_equal "trials of $1" "$(grep -c ',done,' "$1.farm")" "$2"
    assert_same "$1.farm" "$1.here"
}
local_run kills kills.yaml 32
cli submit --wait /examples/kills.yaml || fail "kills did not end"
same kills $POINTS id,state,work.value
say "the end of kills"
farm run --rm -T smoke || fail "smoke: $(tail -n 5 compose.log)"
local_run small quickstart.yaml 2
same small 24 'id,state,case,*.*'
say "smoke"

# ---- a model that is served to the workers

cat >sweeps/served.yaml <<'YAML'
sinter: 1
name: served
sources: {best: http://shards:8080/best/}
parameters: {items: [32]}
evaluate:
  text: {builtin: perplexity, model: best, data: {builtin: tasks, mix: {reverse: 1, sort: 1}, split: test, items: $items}}
objective: {metric: text.perplexity, goal: minimize}
YAML
sinter --home local export small/best -o models/best 2>export.log || fail "$(cat export.log)"
farm run --rm -T cli submit --watch /examples/served.yaml || fail "served: $(tail -n 5 compose.log)"
perplexity() { cli trials "$1" -o csv --columns text.perplexity | sed 1d; }
[ -n "$(perplexity served)" ] && perplexity small | grep -qxF "$(perplexity served)" ||
    fail "what is served has a perplexity of '$(perplexity served)'; those of small: $(perplexity small | xargs)"
say "a model that is served"

# ---- nothing is left

docker rm -f cli many >/dev/null
farm --profile ha --profile tools --profile test down -v --remove-orphans || fail "down"
assert_equal "containers that are left" "$(docker ps -aq)" ""
assert_equal "volumes that are left" "$(docker volume ls -q)" ""
assert_equal "networks that are left" "$(docker network ls -q --filter type=custom)" ""
say down
