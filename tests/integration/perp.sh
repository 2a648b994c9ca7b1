#!/bin/bash
# The example's table shows what was published: a share of a per cent of the
# parameters closes most of the gap, and the order of the methods. The same
# file then takes a text of one's own.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

assert_exit 0 sinter init perp
cp out.txt perp.yaml
# One sparsity, and of two rates the better one: the others cost a minute.
small=(--set 'pattern=[unstructured]' --set 'sparsity=[0.7]')
for case in bias=3e-2 norm=3e-2 bias_norm=3e-2 lora_prune=1e-2 scale_lora=1e-2 mask_lora=1e-2 head=3e-3 full=3e-3; do
    small+=(--set "cases.${case%=*}.parameters.lr=[${case#*=}]")
done
assert_exit 0 sinter run perp.yaml --workers 2 "${small[@]}"
cat out.txt
assert_contains perp.md "| case |"
python3 - <<'PY'
import csv
rows = {r["case"]: r for r in csv.DictReader(open("perp.csv"))}
def closed(case):
    return float(rows[case]["unstructured, sparsity 0.7 closed"])
def ppl(case):
    return float(rows[case]["unstructured, sparsity 0.7"])
def merging(case):
    return float(rows[case]["merging.value"])
assert closed("norm") >= 0.55, closed("norm")
assert closed("bias_norm") >= 0.70, closed("bias_norm")
assert closed("mask_lora") >= 0.90, closed("mask_lora")
assert closed("head") <= 0.60, closed("head")
order = ["mask_lora", "scale_lora", "bias_norm", "norm", "head", "none"]
found = [ppl(case) for case in order]
assert found == sorted(found), dict(zip(order, found))
assert ppl("scale_lora") < ppl("lora_prune") and closed("lora_prune") >= 0.65
assert closed("bias") > closed("head")
# What they trained is what they are merged to; of LoRA-Prune it is not.
assert abs(merging("mask_lora")) < 1e-4 and abs(merging("scale_lora")) < 1e-4
assert merging("lora_prune") > 0.02, merging("lora_prune")
assert rows["full"]["merging.value"] == ""
PY
assert_exit 0 sinter trials @last --columns dense_text.perplexity --json
jq -e '[.trials[].metrics["dense_text.perplexity"]][0] < '"$(python3 -c '
import csv
print([float(r["unstructured, sparsity 0.7"]) for r in csv.DictReader(open("perp.csv")) if r["case"] == "none"][0] - 1.5)')" \
    out.txt >/dev/null || fail "pruning did no harm: $(cat out.txt)"

# A text of one's own, its last tenth to measure with: the file is unchanged.
cat "$here"/../../docs/*.md >mine.txt
assert_exit 0 sinter run perp.yaml --workers 2 --set 'pattern=[unstructured]' --set 'sparsity=[0.5]' \
    --set 'text={file: ./mine.txt, held_out: 0.05}' --set stages.dense.train.steps=20 --set stages.again.retrain.steps=2
assert_contains perp.md "| mask_lora |"
assert_contains perp.csv "unstructured, sparsity 0.5"
