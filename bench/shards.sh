#!/bin/bash
# A model that all workers want, from an origin with a limit of its own: how
# many bytes leave it, and how long it takes until all have them, with workers
# that serve each other and without.
#
#   shards.sh PROGRAMS [WORKERS [MIB [KIB/S of a connection]]]
#
# At most two workers fetch from the origin at a time, by four connections each.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tests/integration/lib.sh" "$1"
unset SINTER_HTTP_TOKEN_FILE
workers=${2:-8} mib=${3:-64} rate=${4:-4096}

mkdir -p models/m
python3 - "$mib" <<'PY'
import json, os, struct, sys

size = int(sys.argv[1]) << 20
head = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
with open("models/m/model.safetensors", "wb") as f:
    f.write(struct.pack("<Q", len(head)) + head.encode() + os.urandom(size))
PY
sum=$(sha256sum models/m/model.safetensors | cut -d ' ' -f 1)

have() { # as many as there are workers
    [ "$(find "$WORK/$1" -path '*/sources/*/entry.json' | wc -l)" = "$workers" ]
}
joined() { [ "$(sinter -q workers | wc -l)" = "$workers" ]; }

# round NAME [OPTION of the workers...]
round() {
    local name=$1 i began port
    shift
    port=$(free_port)
    http_server "$name-origin" "$WORK/models" "$port" "limit_rate ${rate}k;"
    broker "$name-farm" --fetches 2
    export SINTER_BROKER=$CLIENTS
    for ((i = 0; i < workers; i++)); do
        start "$name-$i" sinter-worker --broker "$WORKERS" --name "$name-$i" --slots 1 \
            --cache "$WORK/$name/$i" --allow-command sh "$@"
    done
    wait_until 20 "the workers" joined
    cat >"$name.yaml" <<YAML
sinter: 1
name: $name
sources:
  m: {url: "http://127.0.0.1:$port/m/", sha256: {model.safetensors: $sum}}
parameters:
  x: {from: 1, to: $workers, count: $workers}
evaluate:
  e:
    command: [sh, -c, "sleep 60", "\${model_dir}", "\${x}"]
    model: m
    needs: files
    read: {stdout: {n: "([0-9]+)"}}
objective: {metric: e.n, goal: maximize}
YAML
    began=$EPOCHREALTIME
    sinter -q submit "$name.yaml" >/dev/null
    wait_until 300 "all to have it" have "$name"
    awk -v name="$name" -v took="$(awk "BEGIN { print $EPOCHREALTIME - $began }")" \
        -v size=$((mib << 20)) '$7 ~ /safetensors$/ { sent += $10 } END {
            printf "%-8s %6.1f s  %6.0f MiB from the origin (%.2f times the model)\n",
                name, took, sent / 1048576, sent / size }' "$name-origin/access.log"
    sinter -q cancel "$name" >/dev/null
    for ((i = 0; i < workers; i++)); do stop "$name-$i" KILL; done 2>/dev/null
    stop "$name-farm"
    stop "$name-origin"
    HTTP=
}

echo "$workers workers, $mib MiB, $rate KiB/s a connection"
round apart
round served --serve 127.0.0.1:0
