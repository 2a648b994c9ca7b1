#!/bin/bash
# A farm with keys and tokens: who has the right ones works as ever, who has
# not is told so, and no secret is to be found anywhere but in its file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"
unset SINTER_KEY SINTER_BROKER_KEY SINTER_HTTP_TOKEN_FILE SINTER_PLAINTEXT HF_TOKEN

# ---- keys ----
assert_exit 0 sinter keygen secrets
assert_contains out.txt "secrets/admin.key"
assert_equal "mode of a secret" "$(stat -c %a secrets/broker.key)" 600
assert_exit 1 sinter keygen secrets
assert_contains err.txt "not written over"
assert_exit 0 sinter keygen secrets --role client visitor
assert_exit 2 sinter keygen secrets --role king
assert_exit 2 sinter keygen secrets nameless
assert_exit 1 sinter keygen secrets --role client ../elsewhere
assert_exit 0 sinter keygen other --role worker stranger
[ -e elsewhere.key ] && fail "a key outside of its directory"
mkdir allowed
cp secrets/*.pub allowed/

# ---- tokens ----
umask 077
write=wwwwwwww-0123-4567-89ab-cdef01234567
read=rrrrrrrr-0123-4567-89ab-cdef01234567
echo "$write" >secrets/write
echo "$read" >secrets/read
printf 'write %s\nread %s\n' "$write" "$read" >secrets/tokens
redis_password=pppppppp-0123-4567-89ab-cdef01234567
echo "$redis_password" >secrets/redis
export HF_TOKEN=hhhhhhhh-0123-4567-89ab-cdef01234567 # of the workers, for the Hub
umask 022

# ---- what is refused before anything listens ----
refused() { # WORDS OPTION...
    local words=$1
    shift
    assert_exit 2 sinter-broker --store sqlite:refused.db --depot refused "$@"
    assert_contains err.txt "$words"
}
refused --plaintext --workers 'tcp://*:0'
refused --plaintext --clients 'tcp://0.0.0.0:0'
refused --http-open --http 0.0.0.0:0
refused "go together" --key secrets/broker.key
refused "go together" --allow allowed
assert_exit 1 sinter-broker --store sqlite:refused.db --depot refused \
    --key secrets/worker.key --allow allowed --http 127.0.0.1:0
assert_contains err.txt "the key of a worker"
assert_exit 1 timeout 20 sinter-worker --broker tcp://10.0.0.1:7420 --cache refused
assert_contains err.txt "--plaintext"
assert_exit 4 sinter ls --broker 10.0.0.1
assert_contains err.txt "--plaintext"

# ---- the farm; it listens where everybody could connect ----
port=$(free_port)
mkdir redis
cat >secrets/redis.conf <<CONF
port $port
bind 127.0.0.1
dir $WORK/redis
appendonly yes
appendfsync always
save ""
requirepass $redis_password
CONF
start redis redis-server secrets/redis.conf
wait_until 10 "redis" listening "$port"
mkdir farm
start broker sinter-broker --store "redis://127.0.0.1:$port" \
    --redis-password-file secrets/redis --depot farm/depot \
    --workers 'tcp://0.0.0.0:*' --clients 'tcp://0.0.0.0:*' --http 0.0.0.0:0 \
    --depot-url http://127.0.0.1:0 --key secrets/broker.key --allow allowed \
    --http-token-file secrets/tokens --log debug --ready-file ready
wait_until 20 "the broker" test -s ready
port_of() { sed -n "s/.*\"$1\": *\"[^\"]*:\\([0-9]*\\)\".*/\\1/p" ready; }
http=$(port_of http)
workers=tcp://127.0.0.1:$(port_of workers)
clients=tcp://127.0.0.1:$(port_of clients)

# The depot's address is known only now: the broker again, in the same place.
stop broker
start broker sinter-broker --store "redis://127.0.0.1:$port" \
    --redis-password-file secrets/redis --depot farm/depot \
    --workers "tcp://0.0.0.0:${workers##*:}" --clients "tcp://0.0.0.0:${clients##*:}" \
    --http "0.0.0.0:$http" --depot-url "http://127.0.0.1:$http" \
    --key secrets/broker.key --allow allowed \
    --http-token-file secrets/tokens --log debug --ready-file ready
wait_until 20 "the broker" listening "$http"
a_worker() { # NAME KEY OPTION...
    local name=$1 key=$2
    shift 2
    start "$name" sinter-worker --broker "$workers" --name "$name" --slots 1 \
        --cache "$name.cache" --key "$key" --broker-key secrets/broker.pub --log debug "$@"
}
a_worker w1 secrets/worker.key --http-token-file secrets/write
export SINTER_BROKER=$clients SINTER_BROKER_KEY=secrets/broker.pub
export SINTER_KEY=secrets/client.key SINTER_HTTP_TOKEN_FILE=secrets/read
joined() { sinter -q workers | grep -qx "$1"; }
wait_until 20 "the worker" joined w1

# ---- HTTP: health is open, the rest takes a token, writing one that may ----
code() { curl -s -o body.txt -w '%{http_code}' "$@"; }
url=http://127.0.0.1:$http
blob=$(printf hello | sha256sum | cut -d' ' -f1)
with() { printf 'Authorization: Bearer %s' "$1"; }
assert_equal livez "$(code "$url/livez")" 200
assert_equal readyz "$(code "$url/readyz")" 200
assert_equal page "$(code "$url/")" 200
for path in /metrics /api/v1/sweeps "/depot/$blob"; do
    assert_equal "$path" "$(code "$url$path")" 401
    assert_equal "$path, wrong" "$(code -H "$(with "${read}x")" "$url$path")" 401
done
assert_contains body.txt "--http-token-file"
assert_equal metrics "$(code -H "$(with $read)" "$url/metrics")" 200
assert_equal api "$(code -H "$(with $read)" "$url/api/v1/workers")" 200
put() { code -X PUT --data-binary hello "$@" "$url/depot/$blob"; }
assert_equal "put without" "$(put)" 401
assert_equal "put, read only" "$(put -H "$(with $read)")" 403
assert_equal "nothing was stored" "$(code -H "$(with $read)" "$url/depot/$blob")" 404
assert_equal "put" "$(put -H "$(with $write)")" 201
assert_equal "get" "$(code -H "$(with $read)" "$url/depot/$blob")" 200

# ---- a sweep that trains, merges, exports: through the depot, by its token ----
cat >mini.yaml <<'YAML'
sinter: 1
name: mini
stages:
  base:
    train:
      init: {architecture: llama, hidden: 32, layers: 2, heads: 2}
      data: {builtin: tasks, mix: {reverse: 1, sort: 1}}
      steps: 5
      optimizer: {name: adamw, lr: 2e-3}
parameters:
  scale: [0.5, 1.0]
evaluate:
  rev: {builtin: accuracy, model: $stages.base.model, data: {builtin: tasks, task: reverse, split: test, items: 8}}
  work: {builtin: noop, value: $scale}
objective: {metric: work.value, goal: maximize}
YAML
assert_exit 0 sinter check mini.yaml
assert_exit 0 sinter submit mini.yaml --watch
assert_contains err.txt " 2/2"

# ---- roles ----
assert_exit 0 sinter cancel mini
assert_exit 4 sinter rm mini
assert_contains err.txt "admin"
SINTER_KEY=secrets/worker.key assert_exit 4 sinter ls
assert_contains err.txt "--allow"
SINTER_KEY='' SINTER_BROKER_KEY='' assert_exit 4 sinter ls --timeout 2s
assert_contains err.txt "--broker-key"
a_worker w2 other/stranger.key
wait_until 30 "a word about the stranger" grep -q "does not let this key in" w2.log
assert_contains broker.log "connection refused"
stop w2

# ---- struck off and let in again, without a restart ----
assert_exit 0 env SINTER_KEY=secrets/visitor.key sinter ls
mv allowed/visitor.pub .
kill -HUP "${PID[broker]}"
wait_until 10 "the new list" grep -q -- "--allow read again" broker.log
SINTER_KEY=secrets/visitor.key assert_exit 4 sinter ls
echo "nonsense" >allowed/broken.pub
kill -HUP "${PID[broker]}"
wait_until 10 "a word about the broken list" grep -q "the old list holds" broker.log
assert_exit 0 sinter ls
rm allowed/broken.pub
cp visitor.pub allowed/
cp secrets/write secrets/tokens # the read token is gone
kill -HUP "${PID[broker]}"
visitor() { SINTER_KEY=secrets/visitor.key sinter ls; }
wait_until 10 "the visitor" visitor
assert_equal "a token that is gone" "$(code -H "$(with $read)" "$url/metrics")" 401
assert_equal "one that stays" "$(code -H "$(with $write)" "$url/metrics")" 200

# ---- no secret anywhere ----
export SINTER_KEY=secrets/admin.key
sinter status mini --json >status.json
sinter trials mini --json >trials.json
sinter workers --json >workers.json
sinter logs mini/1 >logs.txt 2>&1 || true
curl -s -H "$(with $write)" "$url/metrics" >metrics.txt
curl -s -H "$(with $write)" "$url/api/v1/sweeps" >api.json
for program in sinter sinter-broker sinter-worker; do
    $program --help >"$program.help"
done
REDISCLI_AUTH=$redis_password redis-cli -p "$port" --no-auth-warning config set save "" >/dev/null
for pid in "${PID[@]}" $(children "${PID[w1]}"); do
    tr '\0' '\n' <"/proc/$pid/cmdline" >>processes.txt
done
assert_contains processes.txt "--http-token-file"
secret_of() { awk '/^[a-z]/ { print $4 }' "secrets/$1.key"; }
for secret in "$write" "$read" "$redis_password" "$HF_TOKEN" \
    "$(secret_of broker)" "$(secret_of worker)" "$(secret_of client)" "$(secret_of admin)"; do
    [ ${#secret} -ge 30 ] || fail "no secret to look for"
    found=$(grep -rlaF --exclude-dir=secrets -- "$secret" . || true)
    [ -z "$found" ] || fail "a secret (${secret:0:4}...) is in $found"
done
assert_exit 0 sinter rm mini
stop w1
stop broker
assert_equal "exit of a stopped broker" "$STATUS" 0
