# shellcheck shell=bash
# shellcheck disable=SC2034 # what a script reads after a call
# lib.sh -- for the integration scripts: real programs in a directory of
# their own, deadlines instead of sleeps, nothing left behind.
#
#   set -euo pipefail
#   . "$(dirname "$0")/lib.sh" "$1"        # the directory of the programs
#
# $WORK is an empty directory and the current one; it and every process that
# was started here are gone when the script ends.

BIN=$(cd "$1" && pwd)
PATH="$BIN:$PATH:/usr/sbin:/sbin" # nginx is not on everybody's
WORK=$(mktemp -d /tmp/sinter-test.XXXXXX)
# Fontconfig never gives back what it read of its own files.
LSAN_OPTIONS="suppressions=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../support/fonts.supp:print_suppressions=0"
export LSAN_OPTIONS
cd "$WORK" || exit 1
unset SINTER_BROKER SINTER_CONTEXT SINTER_HOME SINTER_STORE SINTER_JSON
export XDG_CONFIG_HOME="$WORK/.config" # nobody's contexts
export NO_COLOR=1
export XDG_RUNTIME_DIR="$WORK/.run" # what a killed `sinter run` leaves
mkdir -m 0700 "$XDG_RUNTIME_DIR"

declare -A PID=()

cleanup() {
    local status=$? name
    trap - EXIT
    for name in "${!PID[@]}"; do
        kill -9 "${PID[$name]}" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    if [ "$status" -ne 0 ]; then
        echo "--- failed with $status; logs in $WORK:" >&2
        tail -n 20 "$WORK"/*.log "$WORK"/.sinter/logs/*.log >&2 2>/dev/null || true
    fi
    cd /
    [ -n "${KEEP:-}" ] || rm -rf "$WORK"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
skip() { # ctest knows the 77
    echo "SKIPPED: $*"
    exit 77
}

# start NAME COMMAND...: in the background, output to NAME.log
start() {
    local name=$1
    shift
    "$@" >>"$WORK/$name.log" 2>&1 &
    PID[$name]=$!
}

# stop NAME [SIGNAL]: and wait until it is gone; its exit code is STATUS
stop() {
    kill "-${2:-TERM}" "${PID[$1]}" 2>/dev/null || true
    await "$1"
}

# await NAME: wait for its end; its exit code is STATUS
await() {
    STATUS=0
    wait "${PID[$1]}" || STATUS=$?
    unset "PID[$1]"
}

running() {
    kill -0 "${PID[$1]}" 2>/dev/null
}

# wait_until SECONDS WHAT COMMAND...: until the command succeeds
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "waited in vain for $what"
        read -r -t 0.02 <> <(:) || true
    done
}

assert_equal() { # WHAT GOT WANTED
    [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"
}

assert_contains() { # FILE WORDS
    grep -qF -- "$2" "$1" || fail "'$2' is not in $1: $(head -c 2000 "$1")"
}

assert_lacks() { # FILE WORDS
    ! grep -qF -- "$2" "$1" || fail "'$2' is in $1: $(head -c 2000 "$1")"
}

assert_same() { # FILE FILE
    cmp -s "$1" "$2" || fail "$1 and $2 differ: $(diff "$1" "$2" | head -n 20)"
}

# assert_exit CODE COMMAND...: output to out.txt and err.txt
assert_exit() {
    local wanted=$1 got=0
    shift
    "$@" >out.txt 2>err.txt </dev/null || got=$?
    [ "$got" = "$wanted" ] ||
        fail "$*: exit $got, wanted $wanted; $(cat out.txt err.txt | head -c 2000)"
}

# children PID [NAME]: process ids, one a line
children() {
    local pid
    for pid in $(cat "/proc/$1/task/$1/children" 2>/dev/null || true); do
        if [ -z "${2:-}" ] || [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]; then
            echo "$pid"
        fi
    done
}

listening() { # PORT
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        listening "$port" || break
    done
    echo "$port"
}

# http_server NAME ROOT PORT [DIRECTIVES]: nginx in the background
http_server() {
    local name=$1 root=$2 port=$3
    mkdir -p "$WORK/$name"
    cat >"$WORK/$name/nginx.conf" <<CONF
daemon off;
master_process off; # or its child outlives a kill -9
error_log $WORK/$name/error.log;
pid $WORK/$name/nginx.pid;
events { worker_connections 256; }
http {
    access_log $WORK/$name/access.log;
    client_body_temp_path $WORK/$name/body;
    proxy_temp_path $WORK/$name/proxy;
    fastcgi_temp_path $WORK/$name/fastcgi;
    uwsgi_temp_path $WORK/$name/uwsgi;
    scgi_temp_path $WORK/$name/scgi;
    server {
        listen 127.0.0.1:$port;
        root $root;
        ${4:-}
    }
}
CONF
    start "$name" nginx -e "$WORK/$name/error.log" -p "$WORK/$name" \
        -c "$WORK/$name/nginx.conf"
    wait_until 10 "nginx on port $port" listening "$port"
}

# redis NAME PORT: a server of our own that syncs every write
redis() {
    mkdir -p "$WORK/$1"
    start "$1" redis-server --port "$2" --bind 127.0.0.1 --dir "$WORK/$1" \
        --appendonly yes --appendfsync always --save ''
    wait_until 10 "redis on port $2" redis-cli -p "$2" ping
}

# broker NAME [OPTION...]: a broker; its addresses are in WORKERS, CLIENTS
# and HTTP, its state in the directory NAME
broker() {
    local name=$1
    shift
    mkdir -p "$WORK/$name"
    WORKERS=ipc://$WORK/$name/workers
    CLIENTS=ipc://$WORK/$name/clients
    rm -f "$WORK/$name/ready"
    start "$name" sinter-broker --store "sqlite:$WORK/$name/sinter.db" \
        --depot "$WORK/$name/depot" --workers "$WORKERS" \
        --clients "$CLIENTS" --http "127.0.0.1:${HTTP:-0}" \
        --ready-file "$WORK/$name/ready" "$@"
    wait_until 20 "broker $name" test -s "$WORK/$name/ready"
    HTTP=$(sed -n 's/.*"http": *"[^"]*:\([0-9]*\).*/\1/p' "$WORK/$name/ready")
}

# worker NAME [OPTION...]: connected to WORKERS, one slot
worker() {
    local name=$1
    shift
    start "$name" sinter-worker --broker "$WORKERS" --name "$name" --slots 1 \
        --cache "$WORK/$name.cache" "$@"
}

# table FILE SWEEP [OPTION...]: what must not depend on who computed it
table() {
    local file=$1 sweep=$2
    shift 2
    sinter trials "$sweep" -o csv "$@" --columns "id,state,case,${COLUMNS_WANTED:-*.*}" >"$file"
}
