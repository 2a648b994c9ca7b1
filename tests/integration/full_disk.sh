#!/bin/bash
# The disk under the log is full: Redis that syncs each write (it ends itself),
# Redis that syncs each second (it refuses writes), SQLite. Nothing is
# acknowledged, everybody is told why, even a broker that is killed meanwhile
# costs nothing; and when there is room again everything ends.
#
#     full_disk.sh BIN TOOLS         TOOLS has chaos_history
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/alone.sh" "disks to fill" --mount -- "$@"
. "$here/lib.sh" "$1"
. "$here/noop.sh"
tools=$2

POINTS=400
nap() { read -r -t "$1" <> <(:) || true; } # a sleep that is no process
fill() { # until not a byte more goes
    cat /dev/zero >"$1/ballast" 2>/dev/null || true
    cat /dev/zero >>"$1/ballast2" 2>/dev/null || true
}

unmount() {
    local status=$?
    umount -l "$WORK"/disk-* 2>/dev/null || true
    (exit "$status") || cleanup
    cleanup
}
trap unmount EXIT

# ---- three stores on a disk of their own

begin_store() { # KIND
    mkdir "disk-$1"
    mount -t tmpfs -o size=6m none "disk-$1"
    case $1 in
    sqlite) STORE=sqlite:$WORK/disk-$1/log.db ;;
    *)
        REDIS_PORT=$(free_port)
        STORE=redis://127.0.0.1:$REDIS_PORT
        revive "$1"
        ;;
    esac
}
ping() { redis-cli -p "$REDIS_PORT" ping; }
# As a supervisor would: start Redis again if it has ended.
revive() { # KIND
    [ "$1" != sqlite ] || return 0
    if [ -z "${PID[redis-$1]:-}" ] || ! running "redis-$1"; then
        [ -z "${PID[redis-$1]:-}" ] || await "redis-$1"
        start "redis-$1" redis-server --port "$REDIS_PORT" --bind 127.0.0.1 \
            --dir "$WORK/disk-$1" --appendonly yes --appendfsync "$1" --save ''
        wait_until 10 "redis" ping
    fi
}

begin_broker() { # KIND
    rm -f ready
    start "broker-$1" sinter-broker --store "$STORE" --depot "$WORK/depot-$1" \
        --workers "ipc://$WORK/$1.w" --clients "ipc://$WORK/$1.c" \
        --http 127.0.0.1:0 --heartbeat 200ms --lease 5s --snapshot 0 \
        --ready-file "$WORK/ready"
}
done_of() { sinter --json status "$1" | jq .done; }
some_done() { [ "$(done_of "$1")" -ge 40 ]; }
all_done() { [ "$(done_of "$1")" = $POINTS ]; }
says() { sinter status "$1" | grep -qE "$2"; }
committed() { grep -cF '"committed"' "w-$1.log" || true; }

# What probes show meanwhile: neither broker nor worker is restarted for it.
while_full() { # KIND
    assert_equal "health of the broker" "$(sinter-broker health --http "$(jq -r .http ready)")" "ok leader"
    assert_exit 0 sinter-worker health --welcome --cache "$WORK/cache-$1"
    [ "$1" != everysec ] || assert_exit 1 redis-cli -e -p "$REDIS_PORT" lpushx none none
}

# ---- one life: full in the middle, a broker killed while it is, room again

life() { # KIND WORDS
    local kind=$1 words=$2 before
    begin_store "$kind"
    begin_broker "$kind"
    wait_until 20 "the broker" test -s ready
    export SINTER_BROKER=ipc://$WORK/$kind.c
    start "w-$kind" sinter-worker --broker "ipc://$WORK/$kind.w" --name "w-$kind" \
        --slots 2 --cache "$WORK/cache-$kind" --log debug
    noop_sweep "$kind.yaml" "$kind" $POINTS 3ms
    sinter submit "$kind.yaml" >accepted
    wait_until 30 "some results" some_done "$kind"

    fill "disk-$kind"
    wait_until 30 "the status to say $words" says "$kind" "$words"
    before=$(committed "$kind")
    while_full "$kind"
    sinter why "$kind" >why.txt
    grep -qE "the store is away .*($words)" why.txt || fail "why says: $(cat why.txt)"
    grep -qE "nothing is acknowledged.*($words)" "broker-$kind.log" ||
        fail "the log of the broker does not say $words"
    noop_sweep "late-$kind.yaml" "late-$kind" 5 1ms
    if timeout 3 sinter submit "late-$kind.yaml" >out.txt 2>&1; then
        fail "a sweep was accepted that cannot be kept: $(cat out.txt)"
    fi
    nap 1
    assert_equal "commits on a full disk ($kind)" "$(committed "$kind")" "$before"

    # Killed, and started where nothing can be written: it says why, or waits.
    stop "broker-$kind" KILL
    begin_broker "$kind"
    nap 0.5
    if ! running "broker-$kind"; then
        await "broker-$kind"
        [ "$STATUS" != 0 ] || fail "a broker without a store ended with 0"
    fi
    tail -n 1 "broker-$kind.log"

    rm "disk-$kind"/ballast*
    revive "$kind"
    [ -n "${PID[broker-$kind]:-}" ] && running "broker-$kind" || begin_broker "$kind"
    wait_until 30 "the end of $kind" all_done "$kind"
    sinter submit --wait "late-$kind.yaml" >>accepted 2>/dev/null
    sinter submit "late-$kind.yaml" >>accepted # the same: known already
    sinter trials "$kind" -o csv --columns 'state,work.value' >"$kind.csv"
    seq $POINTS | sed 's/^/done,/' | LC_ALL=C sort >wanted
    sed 1d "$kind.csv" | LC_ALL=C sort >got
    assert_same got wanted

    stop "w-$kind"
    stop "broker-$kind"
    grep -E '^s-' accepted | sort -u >ids
    sed -n 's/.*"committed" key=\([0-9a-f]*\) epoch=\([0-9]*\) attempt=\([0-9]*\).*/\1 \2 \3/p' \
        "w-$kind.log" >commits
    "$tools/chaos_history" "$STORE" sinter ids commits ||
        fail "a full disk under $kind broke a promise"
    [ -z "${PID[redis-$kind]:-}" ] || stop "redis-$kind" KILL
    echo "$kind: $before commits before, none while, all after"
}

life always 'Redis at .*(refused|reset|ended|closed|gone)'
life everysec 'it cannot write to its disk: free some space'
life sqlite 'disk-sqlite/log.db: .*full.*free some space'
