#!/bin/bash
# What is set up wrongly is a sentence in the log of the process it concerns,
# and a state that probes show: docs/operations.md, "What goes wrong".
#
#   bad_input.sh PROGRAMS
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/integration/lib.sh" "$1"
. "$source/tests/integration/noop.sh"

SINTER=$BIN/sinter "$source/deploy/secrets.sh" made 2>secrets.log || fail "$(cat secrets.log)"
SINTER=$BIN/sinter "$source/deploy/secrets.sh" others 2>secrets.log || fail "$(cat secrets.log)"
[ "$(id -u)" != 0 ] || chown -R root: made others
port=$(free_port)
start redis redis-server --port "$port" --bind 127.0.0.1 --dir "$WORK" --save '' --appendonly no \
    --maxmemory-policy noeviction
wait_until 10 "redis" redis-cli -p "$port" ping

broker_with() { # NAME OPTION...
    rm -f "$1.ready"
    start "$1" sinter-broker --store "redis://127.0.0.1:$port" --depot "$WORK/depot" \
        --workers "ipc://$WORK/$1-workers" --clients "ipc://$WORK/$1-clients" \
        --http 127.0.0.1:0 --http-token-file made/tokens --ready-file "$WORK/$1.ready" "${@:2}"
}
ends() { # NAME CODE WORDS: as a container that is restarted
    await "$1"
    assert_equal "exit of $1" "$STATUS" "$2"
    assert_contains "$1.log" "$3"
}

# ---- no key where others could connect; a Redis that forgets

start open sinter-broker --store "redis://127.0.0.1:$port" --workers 'tcp://*:0' \
    --http-token-file made/tokens
ends open 2 "can be reached by other machines"
keys=(--key made/broker.key --allow made/allow)
broker_with forgetful "${keys[@]}"
ends forgetful 1 "appendonly"
redis-cli -p "$port" config set appendonly yes >/dev/null
broker_with a --standby "${keys[@]}"
wait_until 20 "broker a" test -s a.ready
http() { jq -r .http "$1.ready"; }
health() { sinter-broker health --http "$(http "$1")"; }
wait_until 10 "the leader" health a

# ---- two brokers by mistake: one waits, and says so

broker_with b --standby "${keys[@]}"
wait_until 20 "broker b" test -s b.ready
assert_equal "health of the second" "$(health b)" "ok standby leader=$(http a)"
assert_equal "health of the first" "$(health a)" "ok leader"
stop b

# ---- a key that is not allowed, a broker that is another: alive, not ready

worker_with() { # NAME KEY BROKER-KEY TOKEN
    start "$1" sinter-worker --broker "ipc://$WORK/a-workers" --name "$1" --slots 1 \
        --cache "$WORK/$1.cache" --key "$2" --broker-key "$3" --http-token-file "$4"
}
worker_with stranger others/worker.key made/broker.pub made/token
worker_with misled made/worker.key others/broker.pub made/token
for name in stranger misled; do
    wait_until 30 "a word from $name" grep -q "not let in" $name.log
    assert_exit 0 sinter-worker health --cache "$WORK/$name.cache"
    assert_exit 1 sinter-worker health --welcome --cache "$WORK/$name.cache"
    assert_contains err.txt "no broker that lets it in"
    stop $name
done
export SINTER_BROKER=ipc://$WORK/a-clients SINTER_KEY=made/admin.key
export SINTER_BROKER_KEY=made/broker.pub SINTER_HTTP_TOKEN_FILE=made/token

# ---- a wrong token: the job says so

cat >token.yaml <<'YAML'
sinter: 1
name: token
stages:
  base:
    train:
      init: {architecture: llama, hidden: 16, layers: 1, heads: 2}
      data: {builtin: tasks, mix: {reverse: 1}}
      steps: 1
parameters: {scale: [1.0]}
evaluate:
  work: {builtin: noop, value: $scale}
  rev: {builtin: accuracy, model: $stages.base.model, data: {builtin: tasks, task: reverse, split: test, items: 2}}
objective: {metric: work.value, goal: maximize}
limits: {failures: 1}
YAML
worker_with mistaken made/worker.key made/broker.pub others/token
ready() { sinter-worker health --welcome --cache "$WORK/$1.cache"; }
wait_until 20 "a welcome" ready mistaken
failed() { timeout 5 sinter trials "$1" --failed >"$1.txt" && grep -qF -- "$2" "$1.txt"; }
sinter submit token.yaml >/dev/null 2>submit.log || fail "$(cat submit.log)"
wait_until 60 "a word about the token" failed token "is the token right?"

# ---- Redis is full: nothing restarts, and the status says why

page() { curl -s -o page -w '%{http_code}' -H "Authorization: Bearer $(cat made/token)" "http://$(http a)/$1"; }
redis-cli -p "$port" config set maxmemory 1mb >/dev/null
noop_sweep full.yaml full 2000 1ms
timeout 5 sinter --timeout 3s submit full.yaml >/dev/null 2>full.txt || true
away() { page metrics >/dev/null && grep -q '^sinter_store_away 1' page; }
wait_until 20 "the store to be away" away
assert_contains full.txt "memory is full"
assert_equal "liveness without a store" "$(page livez)" 200
redis-cli -p "$port" config set maxmemory 0 >/dev/null
back() { page metrics >/dev/null && grep -q '^sinter_store_away 0' page; }
wait_until 30 "the store to be back" back
stop mistaken
