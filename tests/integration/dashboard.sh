#!/bin/bash
# The page and what it reads, from a real broker: the assets with their types
# and a policy that allows nothing from elsewhere, the sweeps as JSON.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"

broker farm
worker w1
noop_sweep sweep.yaml seen 3 0
SINTER_BROKER=$CLIENTS assert_exit 0 sinter submit --wait sweep.yaml

base=http://127.0.0.1:$HTTP
for asset in / /app.js /style.css; do
    curl -sS -D head.txt -o body.txt "$base$asset"
    grep -q '^HTTP/1.1 200' head.txt || fail "$asset: $(head -n 1 head.txt)"
    assert_contains head.txt "Content-Security-Policy: default-src 'self'"
    [ -s body.txt ] || fail "$asset is empty"
done
curl -sS -o /dev/null -w '%{http_code}' "$base/nothing.js" >code.txt
assert_equal "an unknown asset" "$(cat code.txt)" 404

curl -sS "$base/api/v1/sweeps" >sweeps.json
id=$(jq -r '.sweeps[] | select(.name == "seen") | .id' sweeps.json)
assert_equal "state" "$(curl -sS "$base/api/v1/sweeps/$id" | jq -r .state)" "done"
assert_equal "trials" \
    "$(curl -sS "$base/api/v1/sweeps/$id/trials" | jq '[.trials[] | select(.state == "done")] | length')" 3
# Numbers in the fewest digits that read back.
cat >tenth.yaml <<'YAML'
sinter: 1
name: tenth
evaluate:
  work: {builtin: noop, value: 0.1}
YAML
SINTER_BROKER=$CLIENTS assert_exit 0 sinter submit --wait tenth.yaml
curl -sS "$base/api/v1/sweeps/$(cat out.txt)/trials" >tenth.json
assert_contains tenth.json '"work.value":0.1}'
curl -sS "$base/metrics" >metrics.txt
assert_contains metrics.txt sinter_
