#!/bin/bash
# What is set up wrongly is a sentence in the log of the process it concerns,
# and a state that probes show; when the cause is gone work ends as ever. The
# rows of docs/operations.md, "What goes wrong"; disks that are full are in
# tests/integration/full_disk.sh and full_disk_jobs.sh.
#
#   bad_input.sh PROGRAMS
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/integration/lib.sh" "$1"
. "$source/tests/integration/noop.sh"

SINTER=$BIN/sinter "$source/deploy/secrets.sh" made 2>secrets.log || fail "$(cat secrets.log)"
SINTER=$BIN/sinter "$source/deploy/secrets.sh" others 2>secrets.log || fail "$(cat secrets.log)"
[ "$(id -u)" != 0 ] || chown -R root: made others
cp made/redis.acl acl
echo 'user root on nopass ~* &* +@all' >>acl # of this test
port=$(free_port)
start redis redis-server --port "$port" --bind 127.0.0.1 --dir "$WORK" --aclfile "$WORK/acl" \
    --save '' --appendonly no --appendfsync always --maxmemory-policy allkeys-lru
root() { redis-cli -e -p "$port" --no-auth-warning --user root --pass any "$@"; }
wait_until 10 "redis" root ping

# ---- what cannot work ends at once: the container restarts, and says why

mkdir nobody
store="--store redis://127.0.0.1:$port --redis-user-file made/redis-user --redis-password-file"
right="sinter-broker $store made/redis-password --depot $WORK/depot --http 127.0.0.1:0"
keys="--key made/broker.key --allow made/allow"
ends() { # NAME CODE WORDS
    await "$1"
    assert_equal "exit of $1" "$STATUS" "$2"
    assert_contains "$1.log" "$3"
}
ends_at_once() { # lines of: name | exit | words | command
    local name code words command
    while IFS='|' read -r name code words command <&3; do
        read -ra command <<<"$command"
        start "$name" "${command[@]}"
        ends "$name" "$code" "$words"
    done 3<<<"$1"
}
ends_at_once "\
no-keys|2|can be reached by other machines|$right --workers tcp://*:0
no-key|1|--key: stat made/absent.key|$right --key made/absent.key --allow made/allow
no-peers|1|nobody names nobody to let in|$right --key made/broker.key --allow nobody
no-tokens|1|made/absent|$right $keys --http-token-file made/absent
no-store|1|refused|sinter-broker $keys --http 127.0.0.1:0 --store redis://127.0.0.1:1
stranger-to-redis|1|look at --redis-user-file and --redis-password-file|sinter-broker $store others/redis-password --http 127.0.0.1:0
forgets|1|appendonly|$right $keys
worker-no-key|1|made/absent.key|sinter-worker --key made/absent.key --broker-key made/broker.pub --cache no-key
worker-no-broker|1|made/absent.pub|sinter-worker --key made/worker.key --broker-key made/absent.pub --cache no-key"
assert_equal "what they wrote" "$(root dbsize)" 0
root config set appendonly yes >/dev/null
ends_at_once "evicts|1|maxmemory-policy|$right $keys"
root config set maxmemory-policy noeviction >/dev/null

# ---- a standby waits for Redis: alive, not ready

there=127.0.0.1:$(free_port)
read -ra command <<<"$right $keys"
start early "${command[@]}" --standby --store redis://127.0.0.1:1 --http "$there"
wait_until 20 "a word about the store" grep -q "waits for the store.*refused" early.log
assert_exit 1 sinter-broker health --http "$there"
assert_equal "liveness without a store" "$(curl -s -o page -w '%{http_code}' "http://$there/livez")" 200
stop early

# ---- the farm

broker_with() { # NAME OPTION...
    local name=$1 command
    shift
    read -ra command <<<"$right $keys"
    rm -f "$name.ready"
    start "$name" "${command[@]}" --leader-ttl 2s --http-token-file made/tokens \
        --workers "ipc://$WORK/$name-workers" --clients "ipc://$WORK/$name-clients" \
        --ready-file "$WORK/$name.ready" "$@"
    wait_until 20 "broker $name" test -s "$name.ready"
}
http() { jq -r .http "$1.ready"; }
health() { sinter-broker health --http "$(http "$1")"; }
page() { curl -s -o page -w '%{http_code}' -H "Authorization: Bearer $(cat made/token)" "http://$(http a)/$1"; }
worker_with() { # NAME KEY BROKER-KEY TOKEN
    start "$1" sinter-worker --broker "ipc://$WORK/a-workers,ipc://$WORK/b-workers" \
        --name "$1" --slots 1 --labels "row=$1" --cache "$WORK/$1.cache" --fetch-patience 500ms \
        --key "$2" --broker-key "$3" --http-token-file "$4"
}
look() { sinter-worker health "${@:2}" --cache "$WORK/$1.cache" --name "$1"; }
ready() { look "$1" --welcome; }
not_ready() { # NAME WORDS: alive all the same
    ! ready "$1" >/dev/null 2>"$1.health" && look "$1" && grep -qF -- "$2" "$1.health"
}
broker_with a --standby
leads() { [ "$(health "$1")" = "ok leader" ]; }
wait_until 10 "the leader" leads a
export SINTER_BROKER=ipc://$WORK/a-clients,ipc://$WORK/b-clients SINTER_KEY=made/admin.key
export SINTER_BROKER_KEY=made/broker.pub SINTER_HTTP_TOKEN_FILE=made/token

sweep() { # NAME WIDTH DATA: of jobs that worker may do
    cat >"$1.yaml" <<YAML
sinter: 1
name: $1
stages:
  base:
    train:
      init: {architecture: llama, hidden: $2, layers: 1, heads: 2}
      data: $3
      steps: 1
evaluate:
  text: {builtin: perplexity, model: \$stages.base.model, data: $3, context: 32}
retries: {max: 1000, backoff: 100ms}
resources: {labels: {row: $1}}
YAML
    sinter submit "$1.yaml" >/dev/null 2>submit.log || fail "submit $1: $(cat submit.log)"
}

# ---- workers that can do nothing: alive, not ready, and their logs say why

web=$(free_port)
mkdir shards.root
printf 'some text to read %s\n' {1..40} >shards.root/text.txt
http_server shards "$WORK/shards.root" "$web"
sweep shard 16 "http://127.0.0.1:$web/text.txt"
sweep token 32 "{builtin: text, items: 4}"
stop shards

worker_with stranger others/worker.key made/broker.pub made/token
worker_with misled made/worker.key others/broker.pub made/token
worker_with token made/worker.key made/broker.pub others/token
worker_with shard made/worker.key made/broker.pub made/token
while IFS='|' read -r name words state <&3; do
    wait_until 30 "a word of $name" grep -qF -- "$words" "$name.log"
    wait_until 20 "$name to be not ready" not_ready "$name" "$state"
done 3<<<"\
stranger|not let in|no broker has let it in
misled|not let in|no broker has let it in
token|is the token right?|is the token right?
shard|http://127.0.0.1:$web/text.txt|http://127.0.0.1:$web/text.txt"
assert_contains a.log "connection refused"
stop stranger
stop misled
told() { sinter trials token --failed >failed.txt && grep -qF "is the token right?" failed.txt; }
wait_until 20 "the failed trial" told
why() { sinter why shard 2>&1 | grep -qF "text.txt"; } # between two tries
wait_until 20 "sinter why to name the URL" why

# ---- the causes go: the results are those of one machine

stop token
worker_with token made/worker.key made/broker.pub made/token
sinter retry token --failed >/dev/null 2>&1
http_server shards "$WORK/shards.root" "$web"
done_of() { timeout 5 sinter --json status "$1" | jq .done; }
has_done() { [ "$(done_of "$1")" -ge "$2" ]; }
for name in token shard; do
    wait_until 60 "the end of $name" has_done $name 1
    wait_until 20 "$name to be ready" ready $name
    sed -i '/^resources:/d' $name.yaml
    env -u SINTER_BROKER sinter --home local run $name.yaml --workers 1 >run.log 2>&1 || fail "$(cat run.log)"
    table $name.farm $name
    env -u SINTER_BROKER sinter --home local trials $name -o csv --columns 'id,state,case,*.*' >$name.here
    assert_same $name.farm $name.here
    assert_contains $name.farm ",done,"
done

# ---- Redis is full during a sweep: it is not ready, nothing restarts

check=$(sed -n 's/^ *test: \[CMD, \(redis-cli.*\)\]$/\1/p' "$source/deploy/compose/compose.yaml" | tr -d ,)
assert_equal "the check of Redis on a cluster" \
    "$(sed -n 's/.*exec: {command: \[\(redis-cli.*\)\]}$/\1/p' "$source/deploy/k8s/base/redis.yaml" | tr -d ,)" "$check"
read -ra check <<<"${check#redis-cli}"
redis_health() { redis-cli -p "$port" "${check[@]}"; }
assert_exit 0 redis_health
noop_sweep full.yaml full 120 30ms
sinter submit full.yaml >/dev/null 2>submit.log || fail "$(cat submit.log)"
wait_until 30 "some results" has_done full 20
root config set maxmemory 1mb >/dev/null
metric() { page metrics >/dev/null && grep -q "^$1\$" page; }
wait_until 20 "the store to be away" metric "sinter_store_away 1"
assert_contains a.log "memory is full"
assert_exit 1 redis_health
cat out.txt err.txt >redis.health
assert_contains redis.health OOM
at=$(done_of full)
assert_equal "liveness without a store" "$(page livez)" 200
assert_equal "health without a store" "$(health a)" "ok leader"
assert_exit 0 ready token
sinter status full >status.txt
assert_contains status.txt "memory is full"
noop_sweep late.yaml late 1 31ms
timeout 5 sinter --timeout 2s submit late.yaml >/dev/null 2>late.txt && fail "accepted by a full Redis"
assert_contains late.txt "memory is full"
has_done full $((at + 10)) && fail "$(done_of full) results by a full Redis"
root config set maxmemory 0 >/dev/null
wait_until 30 "the store to be back" metric "sinter_store_away 0"
assert_exit 0 redis_health

# ---- two brokers by mistake: one waits, or takes over; the sweep goes on

broker_with b --standby
assert_equal "health of the second" "$(health b)" "ok standby leader=$(http a)"
assert_equal "health of the first" "$(health a)" "ok leader"
stop b
at=$(done_of full)
broker_with b
ends a 75 "another broker took over"
assert_equal "health of who took over" "$(health b)" "ok leader"
wait_until 60 "the end of full" has_done full 120
table full.csv full
for i in {1..120}; do echo ",done,,$i"; done | sort >wanted
sed '1d; s/^[^,]*//; s/\.0$//' full.csv | sort >got
assert_same got wanted
stop token
assert_equal "exit of a worker that was told to stop" "$STATUS" 0
