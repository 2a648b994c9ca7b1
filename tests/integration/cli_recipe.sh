#!/bin/bash
# The recipe of a trial as a mergekit configuration: `sinter merge` makes the
# same bytes of it as `sinter export`, and a sweep the same recipe.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

make_model() { python3 "$here/../support/make_model.py" "$@"; }
make_model base --seed 1
make_model math --seed 2 --base base
make_model code --seed 3 --base base

cat >files.yaml <<'YAML'
sinter: 1
name: files
sources: {base: ./base, math: ./math, code: ./code}
merge:
  merge_method: $method
  base_model: base
  models:
    - {model: math, parameters: {weight: [0.2, 0.8], density: $density}}
    - model: code
      parameters:
        weight: 1e-1
        density: [{filter: layers.0, value: 0.5}, {value: 1}]
  dtype: bfloat16
parameters:
  method: [dare_ties, ties]
  density: [0.25, 0.5]
evaluate: {size: {builtin: footprint}}
YAML
assert_exit 0 sinter plan files.yaml --set method=ties --set density=1
assert_contains out.txt "1 point = 1 trial"
assert_exit 0 sinter run files.yaml --workers 1
# no objective: what came out, as it is
assert_contains out.txt "size.parameters"
assert_equal "rows" "$(grep -c ' done ' out.txt)" 4
for trial in 1 4; do
    assert_exit 0 sinter export "files/$trial" -o "model-$trial"
    assert_exit 0 sinter export "files/$trial" --what recipe -o "$trial.yaml"
    assert_contains err.txt "the recipe of #$trial of files"
    assert_contains "$trial.yaml" "# Trial $trial of files"
    assert_contains "$trial.yaml" "#   size.parameters: 16384"
    assert_contains "$trial.yaml" "# model_digest: "
    assert_contains "$trial.yaml" "model: $WORK/math"
    assert_exit 0 sinter merge "$trial.yaml" -o "merged-$trial"
    assert_same "model-$trial/model.safetensors" "merged-$trial/model.safetensors"

    # As the body of a sweep: the same work, so nothing is computed.
    { printf 'sinter: 1\nname: again\nmerge:\n' &&
        sed 's/^/  /' "$trial.yaml" &&
        printf 'evaluate: {size: {builtin: footprint}}\n'; } >again.yaml
    assert_exit 0 sinter run again.yaml --workers 1
    assert_contains err.txt "computed 0 jobs, already known 1"
done

# To standard output, and as JSON.
assert_exit 0 sinter export files/1 --what recipe
assert_same out.txt 1.yaml
assert_exit 0 sinter export files/1 --what recipe --format json
python3 - <<'PY'
import json
recipe = json.load(open("out.txt"))
assert recipe["sinter_recipe"] == 1 and recipe["name"] == "files"
assert recipe["metrics"]["size.parameters"] == 16384
assert recipe["model"]["$recipe"]["kind"] == "merge"
assert len(recipe["model_digest"]) == 64
PY
assert_exit 2 sinter export files/1 --what recipe --json
assert_exit 2 sinter export files/1 --what nothing
assert_exit 2 sinter export files/1 --what recipe --format pdf
assert_exit 5 sinter export files/9 --what recipe

# Messages say which sweep it was.
assert_exit 0 sinter export @last/1 -o last
assert_contains err.txt "written: #1 of again"
assert_exit 0 sinter retry @last --failed
assert_contains err.txt "nothing of again has failed"

# What mergekit has no words for.
assert_exit 0 sinter run files.yaml --workers 1 --set method=pcb --set density=1
assert_exit 1 sinter export @last/1 --what recipe
assert_contains err.txt 'mergekit has no method "pcb"; use --format json'
assert_exit 0 sinter export @last/1 --what recipe --format json
