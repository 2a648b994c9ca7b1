#!/bin/bash
# Two brokers, one log in a real Redis: whatever becomes of the one that leads,
# the other takes over, every sweep ends with the same results, and nothing
# that was finished runs again.
set -euo pipefail
. "$(dirname "$0")/lib.sh" "$1"
. "$(dirname "$0")/noop.sh"

POINTS=40
redis_port=$(free_port)
redis redis "$redis_port"
TOKEN=$(head -c 24 /dev/urandom | base64)
(umask 077 && echo "read $TOKEN" >token)

# standby NAME: its sockets are ipc:NAME/{workers,clients}
standby() {
    mkdir -p "$WORK/$1"
    rm -f "$WORK/$1/ready"
    start "$1" sinter-broker --standby --leader-ttl 1500ms \
        --store "redis://127.0.0.1:$redis_port" --depot "$WORK/depot" \
        --workers "ipc://$WORK/$1/workers" --clients "ipc://$WORK/$1/clients" \
        --http 127.0.0.1:0 --http-token-file "$WORK/token" --heartbeat 200ms --lease 5s \
        --ready-file "$WORK/$1/ready"
    wait_until 20 "broker $1" test -s "$WORK/$1/ready"
}
role() { [ "$(jq -r .role "$1/ready")" = "$2" ]; }
asks() { curl -s -H "Authorization: Bearer $TOKEN" "$@"; }
http_of() { jq -r .http "$1/ready"; }
count() { # LOG WORDS: lines
    grep -cF -- "$2" "$1" || true
}
submit() { # NAME SLEEP: differs, so that no two sweeps have a job in common
    noop_sweep "$1.yaml" "$1" $POINTS "$2"
    sinter submit "$1.yaml" >/dev/null
}
done_of() { sinter --json status "$1" | jq .done; }
half_done() { [ "$(done_of "$1")" -ge $((POINTS / 4)) ]; }
ended() { [ "$(sinter --json status "$1" | jq -r .state)" = "done" ]; }

# All results of a sweep, and how often its jobs ran: once each.
check() { # NAME
    wait_until 60 "the end of $1" ended "$1"
    assert_equal "trials of $1" "$(done_of "$1")" "$POINTS"
    sinter trials "$1" -o csv --columns 'id,state,work.value' >"$1.csv"
    [ "$(wc -l <"$1.csv")" = $((POINTS + 1)) ] || fail "$1.csv: $(cat "$1.csv")"
}

standby a
wait_until 10 "a leader" role a leader
standby b
role b standby || fail "two leaders: $(cat b/ready)"
export SINTER_BROKER="ipc://$WORK/a/clients,ipc://$WORK/b/clients"
start w1 sinter-worker --broker "ipc://$WORK/a/workers,ipc://$WORK/b/workers" \
    --name w1 --slots 2 --cache "$WORK/w1.cache" --log debug
start w2 sinter-worker --broker "ipc://$WORK/b/workers,ipc://$WORK/a/workers" \
    --name w2 --slots 2 --cache "$WORK/w2.cache" --log debug

two_workers() { [ "$(sinter --json workers | jq '.workers | length')" = 2 ]; }
wait_until 20 "the workers" two_workers

# Every commit, with the time at which a worker said so.
# shellcheck disable=SC2016 # that shell's variables
start commits bash -c 'while read -r line; do
    case $line in *\"committed\"*) echo "$EPOCHREALTIME $line" ;; esac
done < <(exec tail --pid="$1" -n +1 -q -s 0.01 -F w1.log w2.log 2>/dev/null)' - "${PID[w1]}"

# ---- a standby answers everybody, if only with the name of the leader

sinter ls --broker "ipc://$WORK/b/clients,ipc://$WORK/a/clients" >out.txt 2>err.txt
assert_contains err.txt "ipc://$WORK/b/clients is not the leader, asking ipc://$WORK/a/clients"
assert_equal "health of a standby" \
    "$(curl -s "http://$(http_of b)/readyz")" "ok standby leader=$(http_of a)"
for path in scaling sweeps; do
    assert_equal "$path, asked of a standby" "$(asks "http://$(http_of b)/api/v1/$path")" \
        "$(asks "http://$(http_of a)/api/v1/$path")"
done
asks -f "http://$(http_of b)/api/v1/scaling" | jq -e '.desired_workers | numbers' >/dev/null ||
    fail "a standby does not say how many workers there should be"
assert_equal "a sweep that is not there" "$(asks -o out.txt -w '%{http_code}' \
    "http://$(http_of b)/api/v1/sweeps/no%20such/trials")" 404
assert_equal "a question that was forwarded" "$(asks -o out.txt -w '%{http_code}' \
    "http://$(http_of b)/api/v1/scaling?forwarded=1")" 503
assert_equal "it names the leader" "$(jq -r .leader out.txt)" "$(http_of a)"
blob="depot/$(printf '%064d' 0)"
assert_equal "the depot of a standby" "$(asks -o out.txt -w '%{http_code}' \
    "http://$(http_of b)/$blob")" 503
assert_equal "it names the leader" "$(jq -r .leader out.txt)" "$(http_of a)"
for pair in a:1 b:0; do
    asks "http://$(http_of "${pair%:*}")/metrics" >out.txt
    assert_contains out.txt "sinter_leader ${pair#*:}"
done
assert_equal "without the token" "$(curl -s -o out.txt -w '%{http_code}' \
    "http://$(http_of b)/api/v1/scaling")" 401
assert_equal "health of the leader" "$(sinter-broker health --http "$(http_of a)")" "ok leader"
assert_equal "health of a standby" "$(sinter-broker health --http "$(http_of b)")" \
    "ok standby leader=$(http_of a)"
sinter-broker health --http 127.0.0.1:1 2>err.txt && fail "nobody is healthy"
assert_contains err.txt "the broker at 127.0.0.1:1 is not ready"
curl -sf "http://$(http_of b)/livez" >/dev/null || fail "the standby is not alive"

# ---- kill -9 of the leader

submit killed 60ms
wait_until 30 "some results" half_done killed
stop a KILL
wait_until 20 "b to take over" role b leader
check killed

# ---- SIGSTOP: it wakes when another leads, and notices before it says a word

standby a
submit stopped 61ms
wait_until 30 "some results" half_done stopped
kill -STOP "${PID[b]}"
# What the paused one would answer is waiting for it.
start asker sinter --broker "ipc://$WORK/b/clients" --timeout 30s --json status stopped
wait_until 20 "a to take over" role a leader
check stopped
kill -CONT "${PID[b]}"
await b
assert_equal "exit of a leader that was fenced" "$STATUS" 75
kill "${PID[asker]}"
await asker
assert_lacks asker.log '"done"'
[ "$(done_of stopped)" = $POINTS ]

# ---- SIGTERM: a handover; running jobs go on

standby b
submit handed 62ms
wait_until 30 "some results" half_done handed
stop a TERM
assert_equal "exit of a leader that was told to stop" "$STATUS" 0
wait_until 5 "b to take over" role b leader
check handed

# The longest time between the last COMMITTED of one epoch and the first of the
# next, in ms: that of the handover is the last there was.
gap() {
    awk '{ match($0, /epoch=[0-9]+/); epoch = substr($0, RSTART + 6, RLENGTH - 6)
           if (last != "" && epoch != before) gap = $1 - last
           last = $1; before = epoch } END { printf "%.0f\n", gap * 1000 }' commits.log
}
echo "handover: $(gap) ms without a commit"

# ---- nothing ran twice

for sweep in killed stopped handed; do
    sinter trials "$sweep" -o csv --columns 'id,state,work.value' >again.csv
    assert_same again.csv "$sweep.csv"
done
sed -n 's/.*committed.* key=\([0-9a-f]*\) .*/\1/p' w1.log w2.log | sort >keys
# A result may be durable and its COMMITTED lost with the leader; the next one
# then says "drop it".
[ -s keys ] || fail "no worker says what was committed"
assert_equal "jobs that were committed twice" "$(uniq -d keys)" ""
stop b
