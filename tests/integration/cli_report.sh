#!/bin/bash
# The map over temperature and load in miniature: the example with fewer
# points and steps, from the sweep file to pictures, CSV and the terminal;
# the same again from what the broker knows; and a table.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

assert_exit 0 sinter init three-regime
cp out.txt map.yaml
small=(--set 'batch=[16, 128]' --set 'density=[0.05, 0.4]'
    --set stages.dense.train.steps=60 --set stages.again.retrain.steps=40
    --set report.phase.default=16 --set report.phase.regimes.too_hot=0.95
    --set 'report.phase.files=[figures/map.svg, map.csv, map.png, map.pdf, map.md]')
assert_exit 0 sinter check map.yaml "${small[@]}"
assert_exit 0 sinter run map.yaml --workers 2 "${small[@]}"
cp out.txt first.txt
for words in "error (test.error)" "error minus the best of its column" \
    "LMC (lmc.connectivity)" "CKA (cka.similarity)" "batch, hot first" \
    "at batch 16" "chosen by dense"; do
    assert_contains first.txt "$words"
done

# Two replicates are one pair: of 8 trials 4 comparisons, and one dense run
# serves all densities.
sinter status @last --json >status.json
assert_equal "jobs" "$(jq '.jobs.total' status.json)" \
    $((2 + 8 + 8 + 2 + 4 + 4)) # dense, again, test, dense_test, lmc, cka

# A row for each cell, the hot end first, loads from left to right.
python3 - <<'PY'
import csv
rows = list(csv.DictReader(open("map.csv")))
assert list(rows[0]) == ["temperature", "load", "error", "error_minus_best", "lmc", "cka", "regime"], rows[0]
assert [(r["temperature"], r["load"]) for r in rows] == [("16", "0.05"), ("16", "0.4"), ("128", "0.05"), ("128", "0.4")]
for load in ("0.05", "0.4"):
    column = [r for r in rows if r["load"] == load]
    best = min(float(r["error"]) for r in column)
    assert min(float(r["error_minus_best"]) for r in column) == 0
    for r in column:
        assert abs(float(r["error"]) - best - float(r["error_minus_best"])) < 1e-9
        lmc, cka = float(r["lmc"]), float(r["cka"])
        label = "I" if lmc < -0.05 else "II-A" if cka < 0.988 else "II-B"
        assert r["regime"] == label, r
        assert 0 < cka <= 1
PY
python3 - <<'PY'
import xml.etree.ElementTree as tree
root = tree.parse("figures/map.svg").getroot()
assert float(root.get("width").removesuffix("pt")) > 400
paths = [p.get("style", "") for p in root.iter("{http://www.w3.org/2000/svg}path")]
fills = {s.split("fill:")[1].split(";")[0] for s in paths if "fill:rgb" in s}
assert len(fills) > 20, len(fills)
PY
[ "$(head -c 4 map.pdf)" = "%PDF" ] || fail "no PDF"
[ "$(head -c 4 map.png | tail -c 3)" = "PNG" ] || fail "no PNG"
assert_contains map.md "| density | at batch 16 |"

# Later, from what is known: the files go where they are asked for.
assert_exit 0 sinter report @last -o again
assert_same again/map.csv map.csv
cmp again/map.svg figures/map.svg || fail "another picture"
sed -n '/^three-regime$/,$p' first.txt | cmp - <(sed '1d' out.txt) || fail "another report"
assert_exit 0 sinter report @last --json
jq -e '.schema == "sinter.report/1" and (.phase.cells | length) == 4 and
    (.phase.loads | length) == 2 and .phase.cells[0].certainty == "unknown"' \
    out.txt >/dev/null || fail "$(cat out.txt)"
assert_exit 0 sinter run map.yaml --workers 1 "${small[@]}"
assert_contains err.txt "computed 0 jobs"

# A table; three replicates make three pairs, and their spread is known.
cat >table.yaml <<'YAML'
sinter: 1
name: table
stages:
  base: {train: {init: {architecture: mlp, sizes: [64, 16, 10]}, data: {builtin: teacher10k, split: train}, steps: $steps, batch: 8, seed: $seed}}
parameters: {steps: [2, 4], value: [3, 5, 4]}
replicates: 3
evaluate:
  pair: {builtin: noop, across: replicates, value: $value}
  test: {builtin: error, data: {builtin: teacher10k, split: test}}
  sum: {expr: pair.value + 0 * test.error + 0 * base.parameters}
objective: {metric: sum.value, goal: maximize}
report:
  table: {rows: steps, columns: [sum.value, pair.value, base.steps], best_over: value, format: "%.1f", files: [t.md, t.csv, t.tex]}
YAML
assert_exit 0 sinter run table.yaml --workers 2
assert_contains t.md "| 2 | 5.0 | 5.0 | 2.0 |"
assert_contains t.csv "4,5,0,5,0,4,0"
assert_contains t.tex "4 & 5.0 & 5.0 & 4.0 \\\\"
assert_exit 0 sinter verify table/2 --stage pair
assert_exit 1 sinter report table -o /proc/nowhere

# Other axes: the radius of SAM is a temperature whose hot end is the high one,
# the width of the net a load.
cat >axes.yaml <<'YAML'
sinter: 1
name: axes
stages:
  dense: {train: {init: {architecture: mlp, sizes: [64, $width, $width, 10]}, data: {builtin: teacher10k}, steps: 30, batch: 16, seed: 1, optimizer: {name: sgd, lr: 0.1, rho: $rho}}}
  pruned: {prune: {model: $stages.dense.model, method: magnitude, density: 0.3, exclude: [fc2]}}
  again: {retrain: {model: $stages.pruned.model, train: [full], data: {builtin: teacher10k}, steps: 20, batch: 16, seed: $seed, optimizer: {name: sgd, lr: 0.1}}}
parameters: {rho: [0, 0.05, 0.3], width: [16, 32]}
replicates: 2
evaluate:
  test: {builtin: error, data: {builtin: teacher10k, split: test}}
  lmc: {builtin: lmc, across: replicates, points: 3, data: {builtin: teacher10k, items: 500}}
  cka: {builtin: cka, across: replicates, data: {builtin: teacher10k, items: 500}}
report:
  phase: {x: width, y: rho, hot: high, maps: [test.error, lmc.connectivity, cka.similarity], files: [axes.csv]}
YAML
assert_exit 0 sinter run axes.yaml --workers 2
assert_equal "cells" "$(tail -n +2 axes.csv | cut -d , -f 1,2 | paste -sd ' ')" \
    "0.3,16 0.3,32 0.05,16 0.05,32 0,16 0,32"
assert_equal "errors that differ" "$(tail -n +2 axes.csv | cut -d , -f 3 | sort -u | wc -l)" 6
assert_exit 0 sinter report @last --json
jq -e '[.phase.cells[].certainty] | index("unknown") == null' out.txt >/dev/null || fail "$(cat out.txt)"

# A file that asks for none.
sed -i '/^report:/,$d' table.yaml
assert_exit 0 sinter run table.yaml --workers 1
assert_exit 1 sinter report @last
assert_contains err.txt "asks for no report"
