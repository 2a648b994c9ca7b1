#!/bin/bash
# deploy/observability, by Prometheus itself: the alarms fire when they should
# and only then; it reads a broker with the token that may only read, and every
# line of the Grafana page has an answer.
#
#   observability.sh PROGRAMS STATE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
state=$2
. "$source/tests/integration/lib.sh" "$1"
. "$source/tests/integration/noop.sh"

fetch() { # all it wants to be installed with is for its own pages
    [ ! -x "$state/prometheus/usr/bin/promtool" ] || return 0
    mkdir -p "$state/prometheus"
    (cd "$state/prometheus" && timeout 120 apt-get download -q prometheus &&
        dpkg-deb -x ./prometheus_*.deb . && rm ./prometheus_*.deb)
}
if ! command -v promtool prometheus >/dev/null; then
    fetch >fetch.log 2>&1 || skip "no Prometheus here: $(tail -n 1 fetch.log)"
    PATH=$PATH:$state/prometheus/usr/bin
fi

# ---- the alarms

cp "$source"/deploy/observability/*.yaml "$here/alarms.yaml" .
promtool check rules rules.yaml >promtool.log 2>&1 || fail "$(cat promtool.log)"
promtool test rules alarms.yaml >promtool.log 2>&1 || fail "$(cat promtool.log)"
assert_same <(sed -n 's/.*- alert: //p' rules.yaml | sort) <(sed -n 's/.*- alertname: //p' alarms.yaml | sort)

# ---- a broker, read

SINTER=$BIN/sinter "$source/deploy/secrets.sh" made 2>secrets.log || fail "$(cat secrets.log)"
[ "$(id -u)" != 0 ] || chown -R root: made
broker b --http-token-file made/tokens
worker w
export SINTER_BROKER=$CLIENTS
noop_sweep some.yaml some 20 10ms
sinter submit --wait some.yaml >submit.log 2>&1 || fail "$(cat submit.log)"
port=$(free_port)
sed -i "s:/run/secrets/read-token:$WORK/made/read-token:; s:/etc/prometheus/:$WORK/:; s/: 15s/: 1s/
    s/\[broker:7422\]/['127.0.0.1:$HTTP']/; s/\[broker-standby:7422\]/['127.0.0.1:1']/" prometheus.yaml
promtool check config prometheus.yaml >promtool.log 2>&1 || fail "$(cat promtool.log)"
start prometheus prometheus --config.file prometheus.yaml --storage.tsdb.path data \
    --web.listen-address "127.0.0.1:$port"
answer() { # EXPRESSION: how many series
    curl -sf "http://127.0.0.1:$port/api/v1/query" --data-urlencode "query=$1" |
        jq -e '.data.result | length | select(. > 0)'
}
wait_until 30 "Prometheus to read the broker" answer 'up{job="sinter"} == 1'
while read -r expression; do
    wait_until 20 "an answer to $expression" answer "$expression"
done < <(jq -r '.panels[].targets[].expr' "$source/deploy/observability/grafana/sinter.json")
evaluated() {
    curl -sf "http://127.0.0.1:$port/api/v1/rules" |
        jq -e '[.data.groups[].rules[] | .health == "ok"] | length > 0 and all'
}
wait_until 20 "the alarms to be evaluated" evaluated
