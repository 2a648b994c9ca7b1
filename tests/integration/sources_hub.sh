#!/bin/bash
# Models from a hub and from an object store, as nginx can play them: a sweep
# gives the same model as from files, plan reads headers only, a merge by slices
# fetches the bytes of its layers only, and no token is left anywhere.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/sources.sh"
unset HF_ENDPOINT HF_TOKEN AWS_ENDPOINT_URL_S3 AWS_SESSION_TOKEN AWS_DEFAULT_REGION
export XDG_CACHE_HOME="$WORK/.cache"
commit=0123456789abcdef0123456789abcdef01234567
hub=$(free_port)
cdn=$((hub + 1))
s3=$((hub + 2))

mkdir -p hub/www/api
make_model cdn/www/base --rows 256 --columns 256 --seed 1
make_model cdn/www/a --rows 256 --columns 256 --seed 2 --base cdn/www/base
make_model cdn/www/b --rows 256 --columns 256 --seed 3 --base cdn/www/base --shards 2

# The hub: an API, small files of its own, large ones by redirect; for those
# who have the token.
locations="if (\$http_authorization != 'Bearer hf_very_secret') { return 401; }"
for model in base a b; do
    mkdir -p "hub/www/lab/$model/resolve/$commit" "hub/www/api/models/lab/$model/revision"
    siblings=
    for file in "cdn/www/$model"/*; do
        name=${file##*/}
        siblings="$siblings{\"rfilename\": \"$name\"},"
        if [[ $name == *.json ]]; then
            cp "$file" "hub/www/lab/$model/resolve/$commit/"
            continue
        fi
        locations="$locations
        location = /lab/$model/resolve/$commit/$name {
            add_header X-Repo-Commit $commit;
            add_header X-Linked-Size $(stat -c %s "$file");
            add_header X-Linked-Etag '\"$(sha256sum <"$file" | cut -d' ' -f1)\"';
            return 302 http://127.0.0.1:$cdn/$model/$name?X-Amz-Signature=$RANDOM; }"
    done
    echo "{\"sha\": \"$commit\", \"siblings\": [${siblings%,}]}" \
        >"hub/www/api/models/lab/$model/revision/main"
    cp "hub/www/api/models/lab/$model/revision/main" \
        "hub/www/api/models/lab/$model/revision/$commit"
done
http_server hub "$WORK/hub/www" "$hub" "$locations"
# A store takes no second authorization.
http_server cdn "$WORK/cdn/www" "$cdn" "if (\$http_authorization) { return 400; }"
export HF_ENDPOINT=http://127.0.0.1:$hub

# hub_sweep FILE ROOT END: as merge_sweep, with sources of any form
hub_sweep() {
    merge_sweep "$1" hub X
    sed -i "s|X/base/|$2base$3|; s|X/a/|$2a$3|; s|X/b/|$2b$3|" "$1"
}

# ---- without the token nothing is to be had; plan says why and goes on

hub_sweep hub.yaml lab/ ""
assert_exit 0 sinter plan hub.yaml
assert_contains out.txt HF_TOKEN

# ---- with it: headers for plan, all for the sweep

export HF_TOKEN=hf_very_secret
: >cdn/access.log
assert_exit 0 sinter plan hub.yaml
assert_lacks out.txt HF_TOKEN
assert_lacks cdn/access.log '" 200 1' # no whole file
assert_contains cdn/access.log '" 206 '
assert_exit 0 sinter run hub.yaml --workers 1
assert_exit 0 sinter export hub/1 -o from-hub
assert_lacks hub/access.log /resolve/main/
! grep -rl hf_very_secret .sinter .cache ./*.log cdn 2>/dev/null || fail "the token was left"

mkdir files && cd files
hub_sweep file.yaml "file://$WORK/cdn/www/" /
assert_exit 0 sinter run file.yaml --workers 1
assert_exit 0 sinter export hub/1 -o from-file
cd ..
assert_same from-hub/model.safetensors files/from-file/model.safetensors

# ---- an object store that wants signatures

http_server s3 "$WORK/cdn" "$s3" \
    "if (\$http_authorization !~ '^AWS4-HMAC-SHA256 Credential=AKID/[0-9]+/eu-test-1/s3/aws4_request, ') { return 403; }"
export AWS_ENDPOINT_URL=http://127.0.0.1:$s3 AWS_REGION=eu-test-1
export AWS_ACCESS_KEY_ID=AKID AWS_SECRET_ACCESS_KEY=aws_very_secret
mkdir store && cd store
hub_sweep s3.yaml s3://www/ /
assert_exit 0 sinter plan s3.yaml
assert_exit 0 sinter run s3.yaml --workers 1
assert_exit 0 sinter export hub/1 -o from-s3
cd ..
assert_same store/from-s3/model.safetensors files/from-file/model.safetensors
! grep -rl aws_very_secret store s3 ./*.log || fail "the key was left"

# ---- a slice is fetched by its bytes: a layer is 256 KiB

cat >slices.yaml <<YAML
slices:
  - sources: [{model: lab/a, layer_range: [0, 1]}]
  - sources: [{model: lab/b, layer_range: [3, 4]}]
merge_method: passthrough
dtype: float32
YAML
: >cdn/access.log
assert_exit 0 sinter merge slices.yaml -o sliced-hub
bytes=$(awk '$6 == "\"GET" { sum += $10 } END { print sum }' cdn/access.log)
if [ "$bytes" -lt $((2 * 262144)) ] || [ "$bytes" -gt $((2 * 262144 + 8192)) ]; then
    fail "$bytes bytes came for two layers: $(cat cdn/access.log)"
fi
sed "s|lab/|$WORK/cdn/www/|" slices.yaml >slices-file.yaml
assert_exit 0 sinter merge slices-file.yaml -o sliced-file
assert_same sliced-hub/model.safetensors sliced-file/model.safetensors

# ---- a command reads models by name, too

assert_exit 0 sinter inspect lab/a --base lab/base
assert_contains out.txt "model.layers"
assert_exit 0 sinter inspect "$WORK/cdn/www/a" --base "$WORK/cdn/www/base"
mv out.txt by-path.txt
assert_exit 0 sinter inspect s3://www/a --base s3://www/base
assert_same out.txt by-path.txt

# ---- a worker fetches what it may only

hub_sweep denied.yaml hf://lab/ ""
sed -i 's/name: hub/name: denied/' denied.yaml
broker broker
worker w1 --allow-url hf://other/
export SINTER_BROKER=$CLIENTS
assert_exit 0 sinter submit denied.yaml
wait_until 30 "the failure" sh -c "sinter trials denied -o csv --columns state | grep -q failed"
sinter trials denied -o csv --columns error >error.txt 2>&1 || true
sinter logs denied/1 >>error.txt 2>&1 || true
assert_contains error.txt "--allow-url"
