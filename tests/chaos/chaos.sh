#!/bin/bash
# A farm while everything around it breaks: processes are killed and paused,
# connections cut, held, dripped and reset, at moments that a seed decides; and
# people pause, cancel, retry, extend, reorder and drain meanwhile.
# Afterwards the log is read (history.c): whatever was acknowledged is there,
# no job has two results, every accepted sweep ended once, the counts add up.
#
#     chaos.sh BIN TOOLS [SEED [SECONDS [redis|sqlite [SNAPSHOT]]]]
#
# BIN has the programs, TOOLS chaos_proxy and chaos_history. The same seed
# draws the same faults at the same moments; what they hit is up to the machine.
# With SNAPSHOT, a time, the broker cuts its log so often: there is no history
# to be read then, and one more kill shows whether the snapshot has it all.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$2" && pwd)
seed=${3:-1}
seconds=${4:-20}
store=${5:-redis}
snapshot=${6:-0}
. "$here/../integration/lib.sh" "$1"
. "$here/../integration/noop.sh"
. "$here/../integration/sources.sh"
RANDOM=$seed # of bash: 15 bits, repeatable
WORKER_COUNT=3
SWEEP_COUNT=6

below() { echo $((RANDOM % $1)); }
nap() { read -r -t "$1" <> <(:) || true; } # a sleep that is no process

# ---- the farm, kept alive as a supervisor would

# proxy NAME TARGET_PORT: its port is in PORT; orders go to the pipe NAME.orders
declare -A ORDERS=()
proxy() {
    local name=$1 fd
    mkfifo "$name.orders"
    exec {fd}<>"$name.orders"
    ORDERS[$name]=$fd
    "$tools/chaos_proxy" 0 "$2" <"$name.orders" >"$name.port" 2>>"$name.log" &
    PID[$name]=$!
    wait_until 10 "proxy $name" test -s "$name.port"
    PORT=$(head -n 1 "$name.port")
}
order() { # NAME ORDER...
    echo "${*:2}" >&"${ORDERS[$1]}"
}

redis_port=$(free_port)
workers_port=$(free_port)
start_redis() {
    mkdir -p redis
    start redis redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$WORK/redis" \
        --appendonly yes --appendfsync always --save ''
}
if [ "$store" = redis ]; then
    start_redis
    wait_until 10 "redis" redis-cli -p "$redis_port" ping
    proxy store_link "$redis_port"
    store_url=redis://127.0.0.1:$PORT
    real_store=redis://127.0.0.1:$redis_port
else
    store_url=sqlite:$WORK/log.db
    real_store=$store_url
fi
# Models that workers fetch, through a proxy as well, and keep: jobs go there.
for model in base a b; do
    make_model "models/$model" --rows 64 --columns 64 --seed "${#model}"
done
origin_port=$(free_port)
http_server origin "$WORK/models" "$origin_port"
proxy origin_link "$origin_port"
origin=http://127.0.0.1:$PORT
proxy worker_link "$workers_port"
# Of two brokers one leads; workers reach the first through a proxy only.
workers_at=tcp://127.0.0.1:$PORT,ipc://$WORK/standby-workers
export SINTER_BROKER=ipc://$WORK/broker-clients,ipc://$WORK/standby-clients

start_broker() { # NAME WORKERS
    start "$1" sinter-broker --standby --leader-ttl 1s --store "$store_url" \
        --depot "$WORK/depot" --workers "$2" --clients "ipc://$WORK/$1-clients" \
        --http 127.0.0.1:0 --lease 2s --heartbeat 200ms --snapshot "$snapshot"
}
start_worker() { # NAME
    start "$1" sinter-worker --broker "$workers_at" --name "$1" --slots 2 \
        --cache "$WORK/$1.cache" --log debug
}
names=(broker standby)
[ "$store" = sqlite ] || names+=(redis)
for i in $(seq "$WORKER_COUNT"); do names+=("w$i"); done

keep_alive() {
    local name
    for name in "${names[@]}"; do
        [ -n "${PID[$name]:-}" ] && running "$name" && continue
        [ -z "${PID[$name]:-}" ] || await "$name"
        case $name in
        broker) start_broker broker "tcp://127.0.0.1:$workers_port" ;;
        standby) start_broker standby "ipc://$WORK/standby-workers" ;;
        redis) start_redis ;;
        *) start_worker "$name" ;;
        esac
    done
}

# ---- faults

some_broker() { if [ "$(below 2)" = 0 ]; then echo broker; else echo standby; fi; }
some_worker() { echo "w$((1 + RANDOM % WORKER_COUNT))"; }
declare -A PAUSED=()
pause_for_a_while() { # NAME
    kill -STOP "${PID[$1]}" 2>/dev/null || return 0
    PAUSED[$1]=$((now_ms + 200 + $(below 2500)))
}
wake() { # those whose time has come; all: everybody
    local name
    for name in "${!PAUSED[@]}"; do
        [ "${1:-}" = all ] || [ "${PAUSED[$name]}" -le "$now_ms" ] || continue
        kill -CONT "${PID[$name]}" 2>/dev/null || true
        unset "PAUSED[$name]"
    done
}
kill_it() { # NAME [SIGNAL]
    kill "-${2:-KILL}" "${PID[$1]}" 2>/dev/null || true
    # A process that is stopped dies of nothing but KILL.
    kill -CONT "${PID[$1]}" 2>/dev/null || true
    unset "PAUSED[$1]"
}
kill_slot() {
    local slot
    slot=$(children "${PID[$(some_worker)]}")
    slot=${slot%%$'\n'*}
    [ -z "$slot" ] || kill -KILL "$slot" 2>/dev/null || true
}
spoil() { # PROXY: until it is made well again
    case $(below 7) in
    0) order "$1" cut ;;
    1) order "$1" hold both ;;
    2) order "$1" hold up ;;
    3) order "$1" lose down ;;
    4) order "$1" reset "$(below 3000)" ;;
    5) order "$1" delay $((20 + $(below 200))) ;;
    6) order "$1" drip $((50 + $(below 500))) ;;
    esac
    WELL_AT[$1]=$((now_ms + 200 + $(below 3000)))
}
declare -A WELL_AT=()
heal() { # a stream with bytes missing is of no use to anybody
    local name
    for name in "${!WELL_AT[@]}"; do
        [ "${1:-}" = all ] || [ "${WELL_AT[$name]}" -le "$now_ms" ] || continue
        order "$name" pass
        order "$name" cut
        unset "WELL_AT[$name]"
    done
}
break_something() {
    local kinds=12
    [ "$store" = redis ] || kinds=9 # a file cannot be killed or cut off
    case $(below $kinds) in
    0) kill_it "$(some_broker)" ;;
    1) pause_for_a_while "$(some_broker)" ;;
    2) kill_it "$(some_worker)" ;;
    3) pause_for_a_while "$(some_worker)" ;;
    4) kill_slot ;;
    5) kill_it "$(some_worker)" TERM ;;
    6) spoil worker_link ;;
    7) kill_it "$(some_broker)" TERM ;;
    8) spoil origin_link ;;
    9) spoil store_link ;;
    10) kill_it redis ;;
    11) pause_for_a_while redis ;;
    esac
}

# ---- what people do meanwhile

: >accepted
submitted=0
for i in $(seq "$SWEEP_COUNT"); do
    # Some points are common to all: their results are computed once.
    noop_sweep "sweep$i.yaml" "sweep$i" $((60 * i)) $((20 + i * 10))ms
done
failing_sweep broken.yaml broken
merge_sweep fetch.yaml fetch "$origin"
cat >>fetch.yaml <<YAML
retries: {max: 50, backoff: 100ms}
YAML
sed -i 's/weight: \[0.5, 1.0\]/weight: {from: 0.1, to: 1.0, count: 40}/' fetch.yaml
cat >drawn.yaml <<YAML
sinter: 1
name: drawn
parameters:
  x: {min: 0.0, max: 1.0}
strategy: {method: random, seed: 3, trials: 30}
evaluate:
  work: {builtin: noop, value: \$x, sleep: 30ms}
objective: {metric: work.value, goal: maximize}
YAML
files=(fetch drawn)
for i in $(seq "$SWEEP_COUNT"); do files+=("sweep$i"); done
files+=(broken)
submit_next() {
    local id
    [ "$submitted" -lt ${#files[@]} ] || return 0
    id=$(timeout 1 sinter submit "${files[submitted]}.yaml" 2>>submit.log) || return 0
    echo "$id" >>accepted
    submitted=$((submitted + 1))
}

# One order; an answer that does not come may have been one that was carried out.
drawn_trials=30
say() { # COMMAND...
    timeout 1 sinter -q "$@" >answer 2>>orders.log && orders=$((orders + 1))
}
orders=0
order_something() {
    local sweep=${files[$(below $((${#files[@]} - 1)))]} # not the broken one
    case $(below 10) in
    0) say pause "$sweep" ;;
    1 | 2) say resume "$sweep" ;;
    3) say priority --weight $((1 + $(below 3))) "$sweep" "$(below 4)" ;;
    4) say cancel "$sweep" ;;
    5) say retry --failed "$sweep" ;;
    6) if say extend --trials 5 drawn; then drawn_trials=$((drawn_trials + 5)); fi ;;
    7) say workers --drain "$(some_worker)" ;;
    8) say workers --cordon "$(some_worker)" ;;
    9) say workers --uncordon "$(some_worker)" ;;
    esac || true
}

began_ms=$(date +%s%3N)
now_ms=$began_ms
next_fault=$began_ms
next_order=$began_ms
while [ $((now_ms - began_ms)) -lt $((seconds * 1000)) ]; do
    keep_alive
    submit_next
    wake
    heal
    if [ "$now_ms" -ge "$next_fault" ]; then
        break_something
        next_fault=$((now_ms + 100 + $(below 900)))
    fi
    if [ "$now_ms" -ge "$next_order" ]; then
        order_something
        next_order=$((now_ms + $(below 600)))
    fi
    nap 0.05
    now_ms=$(date +%s%3N)
done

# ---- quiet: everything that was accepted ends

wake all
heal all
echo "$orders orders"
made_good() { # what was ordered is taken back, and what was given up runs
    local name
    keep_alive
    submit_next
    [ "$submitted" = ${#files[@]} ] || return 1
    for name in $(seq -f w%g "$WORKER_COUNT"); do
        say workers --uncordon "$name" || return 1
    done
    for name in "${files[@]}"; do
        say resume "$name" || [ $? = 1 ] || return 1
    done
}
wait_until 60 "the last orders" made_good
over() {
    local name
    keep_alive
    timeout 5 sinter --json ls >ls.json || return 1
    # A job of theirs failed when its third slot was killed; or they were cancelled.
    for name in $(jq -r '.sweeps[] | select(.name != "broken" and .state != "running"
            and .failed + .cancelled > 0).name' ls.json); do
        say retry --failed "$name" || true
    done
    [ "$(jq '[.sweeps[] | select(.state == "running"
            or (.name != "broken" and .state != "done"))] | length' ls.json)" = 0 ]
}
wait_until 120 "the end of all sweeps" over
for id in $(sort -u accepted); do
    timeout 20 sinter --json status "$id" >status.json
    jq -e '.done + .failed + .cancelled + .excluded == .trials and .running == 0' \
        status.json >/dev/null || fail "the counts of $id do not add up: $(cat status.json)"
    timeout 20 sinter trials "$id" -o csv >"before.$id.csv"
    assert_equal "trials of $id" \
        "$(timeout 20 sinter trials "$id" -o csv --columns id | sed 1d | sort -u | wc -l)" \
        "$(jq .trials status.json)"
done
for i in $(seq "$SWEEP_COUNT"); do
    assert_equal "what sweep$i found" \
        "$(timeout 20 sinter --json status "sweep$i" | jq -c '[.state, .done]')" \
        "[\"done\",$((60 * i))]"
done
[ "$(timeout 20 sinter --json status drawn | jq .done)" -ge "$drawn_trials" ] ||
    fail "drawn was extended to $drawn_trials trials"

# ---- once more from what is on record

kill_it broker
kill_it standby
there_again() {
    keep_alive
    timeout 5 sinter status "$1"
}
for id in $(sort -u accepted); do
    wait_until 60 "the restarted broker" there_again "$id"
    timeout 20 sinter trials "$id" -o csv >"after.$id.csv"
    assert_same "before.$id.csv" "after.$id.csv"
done
stop standby
stop broker
[ "$snapshot" = 0 ] || exit 0
sort -u -o accepted accepted
sed -n 's/.*"committed" key=\([0-9a-f]*\) epoch=\([0-9]*\) attempt=\([0-9]*\).*/\1 \2 \3/p' \
    w*.log >committed
[ -s committed ] || fail "no worker says what was committed"
"$tools/chaos_history" "$real_store" sinter accepted committed ||
    fail "seed $seed broke a promise"
