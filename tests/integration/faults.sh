#!/bin/bash
# Bad inputs: each ends its trials with a sentence that names the thing, in
# `sinter status` and in `sinter logs`, and the farm goes on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/sources.sh"

make_model models/base --rows 32
make_model models/a --rows 32 --seed 2 --base models/base
make_model models/b --rows 32 --seed 3 --base models/base
port=$(free_port)
http_server shards "$WORK/models" "$port"

# spoil NAME OPTION...: a set of models whose b has the fault
spoil() {
    local name=$1
    shift
    mkdir "models/$name"
    cp -r models/base models/a "models/$name/"
    make_model "models/$name/b" --rows 32 --seed 3 --base models/base "$@"
    merge_sweep "$name.yaml" "$name" "http://127.0.0.1:$port/$name"
}

# ends_with NAME WORD...: the sweep fails and each word is told in both places
ends_with() {
    local name=$1 word
    shift
    assert_exit 7 sinter run "$name.yaml" --workers 1
    sinter status "$name" >"$name.status" 2>&1
    sinter logs "$name/1" >"$name.logs" 2>&1
    for word; do
        assert_contains "$name.status" "$word"
        assert_contains "$name.logs" "$word"
    done
    echo "$name: $(grep -m 1 -F -- "$1" "$name.status")"
}

spoil truncated --truncate
ends_with truncated model.safetensors

spoil nan --nan model.layers.1.weight
ends_with nan model.layers.1.weight

spoil shape --shape model.layers.2.weight
ends_with shape model.layers.2.weight 33x64 32x64

spoil absent
rm -r models/absent/b
ends_with absent "http://127.0.0.1:$port/absent/b/"

spoil digest
wrong=0000000000000000000000000000000000000000000000000000000000000000
sed -i "s|^  b: \(.*\)|  b: {url: \"\1\", sha256: {model.safetensors: $wrong}}|" digest.yaml
right=$(sha256sum models/digest/b/model.safetensors | cut -d ' ' -f 1)
ends_with digest "$wrong" "$right"

# A good sweep of the same farm is not touched by any of it.
merge_sweep good.yaml good "http://127.0.0.1:$port"
assert_exit 0 sinter run good.yaml --workers 1

# Nowhere to write: a read-only and a full disk, where mounting is allowed.
mkdir readonly full
unmount() {
    local status=$?
    umount readonly full 2>/dev/null || true
    (exit "$status") || cleanup
    cleanup
}
trap unmount EXIT
if mount -t tmpfs -o ro,size=1m tmpfs readonly 2>/dev/null; then
    assert_exit 1 sinter export good/1 -o readonly/model
    assert_contains err.txt "readonly is on a read-only disk"
    umount readonly
    mount -t tmpfs -o size=256k tmpfs full
    broker farm
    worker small --cache "$WORK/full/cache"
    make_model models/big/base --rows 256 --columns 256
    make_model models/big/a --rows 256 --columns 256 --seed 2 --base models/big/base
    make_model models/big/b --rows 256 --columns 256 --seed 3 --base models/big/base
    merge_sweep big.yaml big "http://127.0.0.1:$port/big"
    printf 'retries: {max: 0}\n' >>big.yaml
    export SINTER_BROKER=$CLIENTS
    assert_exit 7 sinter submit --wait big.yaml
    sinter status big >big.status 2>&1
    assert_contains big.status "bytes are to be fetched, the disk of $WORK/full/cache has"
    stop small
    umount full
else
    echo "no right to mount: the read-only and the full disk were not tried"
fi
