#!/bin/bash
# Jobs that do nothing, through sinter's broker and through the queues that
# are installed here, one after the other and all of it ROUNDS times: times
# swing, only neighbours compare.
#
#     bench/queue_peers.sh BENCH [ROUNDS]
#
# BENCH holds the built benches (build/release/bench). BullMQ and
# its ioredis are looked for where NODE_PATH says. What is missing says so on standard error.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bench=$(cd "$1" && pwd)
rounds=${2:-3}
work=$(mktemp -d /tmp/sinter-peers.XXXXXX)
PATH="$PATH:/usr/sbin"
server=
stop() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    server=
}
trap 'stop; rm -rf "$work"' EXIT

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
python=${PYTHON:-python3}
port=0
serve() { # COMMAND...: with PORT in place of its port; the port is in $port
    stop
    port=$((20000 + RANDOM % 12000))
    rm -rf "$work/state" && mkdir "$work/state"
    "${@//PORT/$port}" >"$work/log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        ! listening "$port" || return 0
        sleep 0.05
    done
    echo "$1 does not listen: $(tail -n 3 "$work/log")" >&2
    return 1
}
here_is() {
    command -v "$1" >/dev/null || {
        echo "$1 is not installed: left out" >&2
        return 1
    }
}

beanstalkd_row() { # LABEL OPTION...
    serve beanstalkd -l 127.0.0.1 -p PORT "${@:2}"
    "$bench/peers" beanstalkd "$port" "$1"
}
redis_row() { # COMMAND...: with PORT in place of its port
    serve redis-server --port PORT --bind 127.0.0.1 --dir "$work/state" \
        --appendonly yes --appendfsync everysec --save ''
    "${@//PORT/$port}" || true
}

for _ in $(seq "$rounds"); do
    "$bench/dispatch"
    if here_is beanstalkd; then
        beanstalkd_row volatile
        beanstalkd_row fsync50ms -b "$work/state" -f 50
        beanstalkd_row fsync_each -b "$work/state" -f 0
    fi
    if here_is gearmand; then
        serve gearmand -L 127.0.0.1 -p PORT -l stderr -t 2
        "$bench/peers" gearmand "$port" volatile
    fi
    if "$python" -c "import celery, redis" 2>/dev/null; then
        redis_row env PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1 \
            "$python" "$here/peer_celery.py" redis://127.0.0.1:PORT/0
    else
        echo "celery is not installed: left out" >&2
    fi
    if here_is node && node -e 'require("bullmq"); require("ioredis")' 2>/dev/null; then
        redis_row node "$here/peer_bullmq.js" PORT
    else
        echo "bullmq with ioredis is not installed: left out" >&2
    fi
done
