#!/bin/bash
# The example's table shows what was published: a share of a per cent of the
# parameters closes most of the gap, and the order of the methods.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

assert_exit 0 sinter init perp
cp out.txt perp.yaml
assert_exit 0 sinter run perp.yaml --workers 2
cat out.txt
assert_contains perp.md "| case |"
python3 - <<'PY'
import csv
rows = {r["case"]: r for r in csv.DictReader(open("perp.csv"))}
def closed(case, column="unstructured, sparsity 0.7"):
    return float(rows[case][column + " closed"])
def ppl(case, column="unstructured, sparsity 0.7"):
    return float(rows[case][column])
assert ppl("none") > ppl("none", "unstructured, sparsity 0.5") + 0.2
assert closed("norm") >= 0.55, closed("norm")
assert closed("bias_norm") >= 0.70, closed("bias_norm")
assert closed("mask_lora") >= 0.90, closed("mask_lora")
assert closed("head") <= 0.60, closed("head")
order = ["mask_lora", "scale_lora", "lora_prune", "bias_norm", "norm", "head", "none"]
found = [ppl(case) for case in order]
assert found == sorted(found), dict(zip(order, found))
assert closed("bias") > closed("head")
PY
