#!/bin/bash
# A broker that cuts its log ten times a second is killed in the middle of a
# sweep, three times: from its snapshot and the short log behind it the next one
# knows all that is done, and no job begins a second time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"

POINTS=240
done_of() { sinter --json status "$1" | jq .done; }
at_least() { [ "$(done_of "$1")" -ge "$2" ]; }
began() { sed -n 's/.*"began" key=\([0-9a-f]*\) .*/\1/p' "$1".log | sort; }
last_cut() { # the number of a record of this broker: a snapshot stands for all up to it
    sed -n 's/.*event="snapshot" sequence=\([0-9]*\) .*/\1/p' farm.log | tail -n 1
}
cut_to() { [ "0$(last_cut)" -ge "$1" ]; }
cut_all() { # three times as long as between two of them there was nothing new
    local last
    last=$(last_cut)
    sleep 0.3
    [ "$(last_cut)" = "$last" ]
}
broker_again() {
    broker farm --store "$STORE" --snapshot 100ms --log debug
    export SINTER_BROKER=$CLIENTS
}

for kind in redis sqlite; do
    mkdir "$kind"
    case $kind in
    redis)
        port=$(free_port)
        redis redis "$port"
        STORE=redis://127.0.0.1:$port
        ;;
    sqlite) STORE=sqlite:$WORK/$kind/log.db ;;
    esac
    rm -f farm.log
    broker_again
    start "w-$kind" sinter-worker --broker "$WORKERS" --name "w-$kind" --slots 2 \
        --cache "$WORK/w.cache" --log debug
    noop_sweep work.yaml work $POINTS 20ms
    sinter -q submit work.yaml

    for share in 1 2 3; do
        wait_until 60 "share $share of the results" at_least work $((POINTS * share / 4))
        wait_until 20 "a snapshot of that" cut_to 3
        known=$(done_of work)
        stop farm KILL
        mv farm.log "farm-$kind-$share.log"
        broker_again
        # One may have been shown before it was durable: its worker says it again.
        wait_until 20 "$known results, as before" at_least work "$known"
    done
    wait_until 60 "the end" at_least work $POINTS
    began "w-$kind" >keys
    assert_equal "jobs that began twice" "$(uniq -d keys)" ""
    assert_equal "jobs that began" "$(wc -l <keys)" "$POINTS"

    # Another worker, and a sweep with nothing new in it.
    stop "w-$kind"
    wait_until 20 "a snapshot" cut_to 1
    wait_until 20 "the last snapshot" cut_all
    stop farm KILL
    broker_again
    start "v-$kind" sinter-worker --broker "$WORKERS" --name "v-$kind" --slots 2 \
        --cache "$WORK/v.cache" --log debug
    noop_sweep again.yaml again $POINTS 20ms
    sinter -q submit again.yaml
    wait_until 60 "what is known already" at_least again $POINTS
    assert_equal "jobs that began for it" "$(began "v-$kind")" ""
    stop "v-$kind"
    stop farm
done
