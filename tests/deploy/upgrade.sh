#!/bin/bash
# A broker is replaced by one of the next minor version while workers of this
# one run jobs, then the workers, and then the broker by the older one again.
# Nothing is lost, nothing counts twice, and nothing begins twice.
#
#   upgrade.sh PROGRAMS TOOLS       TOOLS has next/ and chaos_history
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
tools=$(cd "$2" && pwd)
. "$source/tests/integration/lib.sh" "$1"
. "$source/tests/integration/noop.sh"

POINTS=150
port=$(free_port)
redis redis "$port"
old=$BIN
new=$tools/next
older=$("$old/sinter-broker" --version | cut -d' ' -f2)
newer=$("$new/sinter-broker" --version | cut -d' ' -f2)
[ "${older%.*}" != "${newer%.*}" ] || fail "both are $newer"
broker_of() { # NAME PROGRAMS
    rm -f "$1.ready"
    start "$1" "$2/sinter-broker" --standby --leader-ttl 2s --store "redis://127.0.0.1:$port" \
        --depot "$WORK/depot" --workers "ipc://$WORK/$1-workers" --clients "ipc://$WORK/$1-clients" \
        --http 127.0.0.1:0 --snapshot 0 --ready-file "$WORK/$1.ready"
    wait_until 20 "broker $1" test -s "$1.ready"
}
worker_of() { # NAME PROGRAMS
    start "$1" "$2/sinter-worker" --name "$1" --slots 2 --cache "$WORK/$1.cache" --log debug \
        --broker "ipc://$WORK/a-workers,ipc://$WORK/b-workers"
}
leads() { [ "$(jq -r .role "$1.ready")" = leader ]; }
done_of() { timeout 5 sinter --json status "$1" | jq .done; }
some_more() { [ "$(done_of "$1")" -gt "$2" ]; }
versions() { timeout 5 sinter --json workers | jq -r '.workers[].version' | sort -u; }
all_are() { [ "$(versions)" = "$1" ]; }
submit() { # NAME SLEEP
    noop_sweep "$1.yaml" "$1" $POINTS "$2"
    timeout 20 sinter submit "$1.yaml" >>accepted 2>>submit.log
    wait_until 30 "some results of $1" some_more "$1" 10
}
handover() { # FROM TO PROGRAMS SWEEP: as a rolling update does it
    local at
    broker_of "$2" "$3"
    stop "$1" TERM
    assert_equal "exit of $1" "$STATUS" 0
    wait_until 20 "$2 to lead" leads "$2"
    at=$(done_of "$4")
    wait_until 30 "results from $2" some_more "$4" "$((at + 5))"
}
ended() { # SWEEP
    wait_until 60 "the end of $1" some_more "$1" $((POINTS - 1))
    sinter trials "$1" -o csv --columns 'id,state,work.value' >"$1.csv"
    assert_equal "trials of $1" "$(grep -c ',done,' "$1.csv")" $POINTS
}
export SINTER_BROKER=ipc://$WORK/a-clients,ipc://$WORK/b-clients

broker_of a "$old"
worker_of w1 "$old"
worker_of w2 "$old"
wait_until 20 "the workers" all_are "$older"

# ---- a newer broker, older workers; then newer workers

submit up 60ms
handover a b "$new" up
assert_equal "version of the workers" "$(versions)" "$older"
ended up
submit workers 61ms
for name in w1 w2; do
    stop $name TERM
    assert_equal "exit of $name" "$STATUS" 0
    worker_of $name "$new"
done
wait_until 20 "newer workers" all_are "$newer"
ended workers

# ---- an older broker takes over from the newer: the way back

submit down 62ms
handover b a "$old" down
ended down

# ---- results have one story

stop a
sed -n 's/.*"committed" key=\([0-9a-f]*\) epoch=\([0-9]*\) attempt=\([0-9]*\).*/\1 \2 \3/p' \
    w?.log >committed
"$tools/chaos_history" "redis://127.0.0.1:$port" sinter accepted committed || fail "a promise was broken"
assert_equal "workers that a successor did without" "$(grep -h '"worker did not come back"' a.log b.log || true)" ""
assert_equal "workers that were not told" "$(grep -h '"the broker is silent"' w?.log || true)" ""
assert_equal "jobs that began twice" \
    "$(sed -n 's/.*"began" key=\([0-9a-f]*\) .*/\1/p' w?.log | sort | uniq -d)" ""
echo "$older and $newer"
