#!/bin/bash
# Workers that serve each other: a shard leaves its origin once for all of them,
# and whoever dies, is damaged or has the wrong token costs nothing but time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
unset SINTER_HTTP_TOKEN_FILE

umask 077
echo wwwwwwww-0123-4567-89ab-cdef01234567 >token
echo xxxxxxxx-0123-4567-89ab-cdef01234567 >wrong
umask 022

assert_exit 2 timeout 20 sinter-worker --broker ipc:///nowhere --serve 0.0.0.0:0
assert_contains err.txt "give --http-token-file"

# ---- two models of one tensor, and their origin ----
# model NAME MIB: bytes that are not all the same, in little time
model() {
    mkdir -p "models/$1"
    python3 - "models/$1/model.safetensors" "$2" <<'PY'
import json, struct, sys

size = int(sys.argv[2]) << 20
head = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<Q", len(head)) + head.encode())
    for i in range(size >> 20):
        f.write(struct.pack("<I", i) * (1 << 18))
PY
    SUM[$1]=$(sha256sum "models/$1/model.safetensors" | cut -d ' ' -f 1)
}
declare -A SUM=()
model small 1
model big 192
origin=$(free_port)
http_server origin "$WORK/models" "$origin"
# gets MODEL: how often its bytes left the origin
gets() {
    awk -v path="/$1/model.safetensors" -v size="$(stat -c %s "models/$1/model.safetensors")" \
        '$6 == "\"GET" && $7 == path { sent += $10 } END { print sent / size }' origin/access.log
}

# run NAME MODEL POINTS: each looks at the bytes, and takes a while
run() {
    cat >"$1.yaml" <<YAML
sinter: 1
name: $1
sources:
  m: {url: "http://127.0.0.1:$origin/$2/", sha256: {model.safetensors: ${SUM[$2]}}}
parameters:
  x: {from: 1, to: $3, count: $3}
evaluate:
  look:
    command: [sh, -c, 'sleep 0.4; cksum <"\$\$1/model.safetensors"', sh, "\${model_dir}", "$1 \${x}"]
    model: m
    read: {stdout: {crc: "^([0-9]+) "}}
    needs: files
objective: {metric: look.crc, goal: maximize}
YAML
    assert_exit 0 sinter submit "$1.yaml" "${@:4}"
}
# ended_well NAME MODEL POINTS WORKER...: and these have the very bytes
ended_well() {
    local name=$1 model=$2 points=$3 file
    assert_equal "trials of $name that are done" \
        "$(sinter trials "$name" -o csv --columns id,state | grep -c ,done)" "$points"
    shift 3
    for w; do
        file=$(grep -lr "${SUM[$model]}" "$WORK/$w.cache/sources" --include=entry.json)
        assert_same "${file%entry.json}files/model.safetensors" "models/$model/model.safetensors"
    done
}
joined() { sinter -q workers | grep -qx "$1"; }
serving_worker() { # NAME [TOKEN]
    worker "$1" --serve 127.0.0.1:0 --http-token-file "${2:-token}" --allow-command sh
    wait_until 20 "$1" joined "$1"
}

# ---- three workers, one fetch ----
broker farm --fetches 1 --heartbeat 200ms
export SINTER_BROKER=$CLIENTS
for w in w1 w2 w3; do serving_worker $w; done
run spread small 9 --wait
ended_well spread small 9 w1 w2 w3
assert_equal "fetches from the origin by three workers" "$(gets small)" 1
curl -fsS "http://127.0.0.1:$HTTP/metrics" >metrics.txt
assert_contains metrics.txt "sinter_pulled_bytes_total $((2 * $(stat -c %s models/small/model.safetensors)))"
assert_contains metrics.txt "sinter_pulls_failed_total 0"

# ---- who serves dies in the middle of it ----
stop w2
stop w3
run first big 1 --wait
assert_exit 0 sinter workers --cordon w1
serving_worker w4
run second big 1
part_grew() { find "$WORK/w4.cache" -name '*.lent.part' -size +4M | grep -q .; }
wait_until 20 "a part of it" part_grew
stop w1 KILL
assert_exit 0 sinter submit second.yaml --wait # the same one
ended_well second big 1 w4
assert_equal "fetches from the origin" "$(gets big)" 2
sinter logs second/1 >logs.txt
assert_contains logs.txt "from another worker"

# ---- a file that has rotted ----
run third small 1 --wait
before=$(gets small)
python3 - "$(find "$WORK/w4.cache/sources" -name model.safetensors -size -4M)" <<'PY'
import os, sys

times = os.stat(sys.argv[1])
with open(sys.argv[1], "r+b") as f:
    f.seek(500000)
    f.write(b"rot")
os.utime(sys.argv[1], ns=(times.st_atime_ns, times.st_mtime_ns))
PY
assert_exit 0 sinter workers --cordon w4
serving_worker w5
run fourth small 1 --wait
ended_well fourth small 1 w5
assert_equal "fetches from the origin" "$(gets small)" $((before + 1))
sinter logs fourth/1 >logs.txt
assert_contains logs.txt "sha256"

# ---- a wrong token ----
assert_exit 0 sinter workers --cordon w5
serving_worker w6 wrong
run fifth small 1 --wait
ended_well fifth small 1 w6
assert_equal "fetches from the origin" "$(gets small)" $((before + 2))
sinter logs fifth/1 >logs.txt
assert_contains logs.txt "is the token right"
