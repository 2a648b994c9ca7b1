#!/bin/bash
# The soup of the examples in miniature: chosen on a farm, told with the
# result, written like any model, and the same bytes when computed again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

assert_exit 0 sinter init soup
cp out.txt soup.yaml
assert_exit 0 sinter check soup.yaml
assert_exit 0 sinter run soup.yaml --workers 2 --set steps=15 --set base_steps=30
sinter trials soup --json >trials.json
assert_equal "trials" "$(jq '[.trials[] | select(.state == "done")] | length' trials.json)" 2

assert_exit 0 sinter export soup/1 -o best
[ -s best/model.safetensors ] && [ -s best/config.json ] || fail "no model: $(ls best)"
python3 "$here/../support/read_model.py" best/model.safetensors
assert_exit 0 sinter verify soup/1 --stage soup --json
jq -e '.equal and ([.rows[].what] | contains(["artifact", "members", "model_digest", "score"]))' \
    out.txt >/dev/null || fail "$(cat out.txt)"
assert_equal "evaluations" \
    "$(jq '.rows[] | select(.what == "evaluations") | .is' out.txt)" 7
members=$(jq '.rows[] | select(.what == "members") | .is' out.txt)
assert_exit 0 sinter logs soup/1 --stage soup
assert_equal "models that were kept" \
    "$(grep -c ', kept$' out.txt || true)" "$((${members%.*} - 1))"
assert_exit 0 sinter run soup.yaml --workers 1 --set steps=15 --set base_steps=30
assert_contains err.txt "computed 0 jobs"

# It is no merge, so mergekit has no words for it.
assert_exit 1 sinter export soup/1 --what recipe
assert_contains err.txt "is not a merge"
