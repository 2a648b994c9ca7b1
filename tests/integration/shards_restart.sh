#!/bin/bash
# Shards come from a real nginx that dies in the middle of a download and
# comes back: the sweep ends, the download went on where it stopped, and the
# model is the same as from files.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/sources.sh"

make_model models/base --rows 512 --columns 512 --seed 1
make_model models/a --rows 512 --columns 512 --seed 2 --base models/base
make_model models/b --rows 512 --columns 512 --seed 3 --base models/base --shards 2

port=$(free_port)
http_server slow "$WORK/models" "$port" "limit_rate 700k;"
merge_sweep http.yaml shards "http://127.0.0.1:$port"
start run sinter run http.yaml --workers 1

part_grew() {
    local size
    size=$(find "$WORK/.sinter/cache" -name '*.part' -printf '%s\n' | sort -n | tail -n 1)
    [ "${size:-0}" -gt 500000 ]
}
wait_until 30 "half a shard" part_grew
stop slow # cuts its connections at once
http_server slow "$WORK/models" "$port"
await run
assert_equal "exit of the run" "$STATUS" 0
grep -q '" 206 ' slow/access.log || fail "nothing was resumed: $(cat slow/access.log)"

assert_equal "trials done" "$(sinter trials shards -o csv --columns id,state | grep -c ',done')" 2
assert_exit 0 sinter export shards/1 -o from-http

mkdir files && cd files
merge_sweep file.yaml shards "file://$WORK/models"
assert_exit 0 sinter run file.yaml --workers 1
assert_exit 0 sinter export shards/1 -o from-file
cd ..
assert_same from-http/model.safetensors files/from-file/model.safetensors
