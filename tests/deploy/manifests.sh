#!/bin/bash
# Every overlay renders, what is rendered is what Kubernetes knows, and its
# names, ports, secrets, paths and flags lead somewhere.
#
#   manifests.sh PROGRAMS STATE      STATE keeps what npm fetched
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$2"
state=$(cd "$2" && pwd)
. "$source/tests/integration/lib.sh" "$1"

python3 -c 'import yaml' 2>/dev/null || skip "no yaml for python3 here"

# ---- what needs nobody to render it

python3 "$source/tests/deploy/manifests.py" "$BIN" flags "$source/deploy/compose/compose.yaml" \
    "$source"/deploy/k8s/base/*.yaml || fail "see above"
if command -v docker-compose >/dev/null; then
    docker-compose -f "$source/deploy/compose/compose.yaml" --profile ha --profile observability \
        --profile tools --profile test config -q || fail "not what compose knows"
fi
command -v kubectl >/dev/null || skip "no kubectl here"
kubectl kustomize "$source/deploy/k8s/base" >base.yaml 2>err.txt ||
    { grep -q 'unknown field' err.txt && skip "this kubectl is too old: $(head -n 1 err.txt)"; }

# ---- they render

mkdir rendered
for folder in "$source"/deploy/k8s/base "$source"/deploy/k8s/overlays/*; do
    kubectl kustomize "$folder" >"rendered/${folder##*/}.yaml" || fail "$folder"
done
# A component is nothing by itself.
mkdir external
ln -s "$source/deploy/k8s" k8s
printf 'resources: [../k8s/overlays/ha]\ncomponents: [../k8s/components/external-redis]\n' \
    >external/kustomization.yaml
kubectl kustomize --load-restrictor LoadRestrictionsNone external >rendered/external.yaml ||
    fail "components/external-redis"

# ---- what they name is there

SINTER=$BIN/sinter "$source/deploy/secrets.sh" made 2>secrets.log || fail "$(cat secrets.log)"
"$source/deploy/secrets.sh" made kubernetes >secrets.yaml
assert_exit 1 env "SINTER=$BIN/sinter" "$source/deploy/secrets.sh" made # never written over
for file in made/*; do
    mode=$(stat -c %a "$file")
    [ "$mode" = 600 ] || [ "${file##*/}" = redis.acl ] || fail "$file has mode $mode"
done
python3 "$source/tests/deploy/manifests.py" "$BIN" secrets.yaml \
    "$source/deploy/observability/rules.yaml" rendered/*.yaml || fail "see above"
broker b
for path in /livez /readyz /metrics; do
    curl -sf -o "page${path#/}" "http://127.0.0.1:$HTTP$path" || fail "nobody serves $path"
done

# ---- the alarms and the page ask for what the broker measures

python3 - "$source/deploy/observability" >asked <<'PY'
import json, re, sys
import yaml

texts = [r["expr"] for g in yaml.safe_load(open(sys.argv[1] + "/rules.yaml"))["groups"] for r in g["rules"]]
page = json.load(open(sys.argv[1] + "/grafana/sinter.json"))
texts += [t["expr"] for p in page["panels"] for t in p.get("targets", [])]
print("\n".join(sorted({n for t in texts for n in re.findall(r"\bsinter_[a-z_]+", t)})))
PY
[ "$(wc -l <asked)" -gt 8 ] || fail "only these are asked for: $(cat asked)"
while read -r name; do
    grep -qE "^${name}[ {]" pagemetrics || fail "$name is not at /metrics"
done <asked
while read -r alert; do
    grep -qF "\`$alert\`" "$source/docs/operations.md" ||
        fail "docs/operations.md does not say what $alert means"
done < <(sed -n 's/.*- alert: //p' "$source/deploy/observability/rules.yaml")

# ---- Kubernetes knows them

packages=(kubernetes-models@4 @kubernetes-models/keda@2 @kubernetes-models/prometheus-operator@6
    js-yaml@4 typescript@5)
fetch() {
    [ -e "$state/npm/done" ] && return
    mkdir -p "$state/npm"
    timeout 120 npm install --prefix "$state/npm" --no-audit --no-fund --loglevel error \
        "${packages[@]}" >npm.log 2>&1 && touch "$state/npm/done"
}
if ! command -v npm >/dev/null || ! fetch; then
    ! grep -qsE 'ETARGET|E404' npm.log || fail "$(cat npm.log)"
    echo "SKIPPED: schemas: $(tail -n 1 npm.log 2>/dev/null || echo no npm here)"
    exit 0
fi
export NODE_PATH=$state/npm/node_modules
node "$source/tests/deploy/schemas.js" "$state/npm/all.ts" rendered/*.yaml | sort -u
compile() {
    (cd "$state/npm" && node_modules/.bin/tsc --noEmit --strict --skipLibCheck \
        --module esnext --moduleResolution bundler "$1")
}
compile all.ts || fail "not what Kubernetes knows"
echo "$(grep -c '^import' "$state/npm/all.ts") objects have the fields of their schemas"
# It would say so, were it otherwise.
sed '0,/"replicas":/s//"replicants":/' "$state/npm/all.ts" >"$state/npm/wrong.ts"
! compile wrong.ts >wrong.txt || fail "an unknown field was not noticed"
assert_contains wrong.txt replicants
