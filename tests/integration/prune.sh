#!/bin/bash
# A model is trained and pruned by every method at several densities in one
# sweep; what is left is counted, looks shared, and exports hold what was
# measured.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

cat >prune.yaml <<'YAML'
sinter: 1
name: prune
stages:
  base:
    train:
      init: {architecture: llama, hidden: 32, layers: 2, heads: 2}
      data: {builtin: tasks, mix: {reverse: 1, sort: 1}}
      steps: 300
      optimizer: {lr: 3e-3}
  pruned:
    prune:
      model: $stages.base.model
      method: $method
      pattern: $pattern
      density: $density
      flow: dense
      calibration:
        data: {builtin: tasks, mix: {reverse: 1, sort: 1}}
        samples: 64
evaluate:
  loss:
    builtin: perplexity
    data: {builtin: tasks, mix: {reverse: 1, sort: 1}, items: 64}
  size: {builtin: footprint}
parameters:
  method: [magnitude, random, wanda, sparsegpt]
  pattern: [unstructured, "2:4"]
  density: [0.25, 0.5, 1]
objective: {metric: loss.perplexity, goal: minimize}
YAML

assert_exit 0 sinter check prune.yaml
assert_exit 0 sinter run prune.yaml --workers 2
# The base, one look for all of wanda and one for all of sparsegpt, what that
# makes of three densities and a pattern, and two numbers of four models of each
# method.
assert_contains err.txt "computed 39 jobs"
assert_exit 0 sinter trials prune -o csv \
    --columns id,method,pattern,density,loss.perplexity,size.nonzero
cp out.txt trials.csv

cat >check.py <<'PY'
import csv

rows = list(csv.DictReader(open("trials.csv")))
assert len(rows) == 24, len(rows)
loss, left = {}, {}
for row in rows:
    key = row["method"], row["pattern"], float(row["density"])
    loss[key], left[key] = float(row["loss.perplexity"]), int(row["size.nonzero"])

methods = ["magnitude", "random", "wanda", "sparsegpt"]
dense = left["random", "unstructured", 1]
matrices = 2 * (dense - left["random", "2:4", 1])
for method in methods:
    assert loss[method, "unstructured", 1] == loss["random", "unstructured", 1], method
    for density in 0.25, 0.5, 1:
        wanted = dense - matrices * (1 - density)
        assert left[method, "unstructured", density] == wanted, (method, density)
        assert left[method, "2:4", density] == dense - matrices / 2, method
for method in "magnitude", "wanda", "sparsegpt":
    assert loss[method, "unstructured", 0.5] < loss["random", "unstructured", 0.5], method
assert loss["sparsegpt", "2:4", 1] < loss["random", "2:4", 1]
PY
python3 check.py

# Nothing is computed twice, and what is exported is what was measured.
assert_exit 0 sinter run prune.yaml --workers 2
assert_contains err.txt "computed 0 jobs"
for method in magnitude wanda sparsegpt; do
    row=$(grep ",$method,2:4,0.5," trials.csv)
    assert_exit 0 sinter export "prune/${row%%,*}" -o "$method"
    python3 - "$method/model.safetensors" "${row##*,}" <<'PY'
import json, struct, sys

with open(sys.argv[1], "rb") as file:
    data = file.read()
size = struct.unpack("<Q", data[:8])[0]
count = (len(data) - 8 - size) // 4
values = struct.unpack(f"<{count}f", data[8 + size:])
assert sum(value != 0 for value in values) == int(sys.argv[2]), sys.argv
PY
done
