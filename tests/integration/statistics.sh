#!/bin/bash
# Statistics of the whole model as jobs of their own: the models are those of
# merges that count by themselves, and later sweeps use the rounds that do not
# depend on what they changed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/sources.sh"

make_model base --shards 2
make_model a --shards 2 --seed 2 --base base
make_model b --shards 2 --seed 3 --base base

# sweep NAME PARTS RATIOS LAMBDAS
sweep() {
    cat >"$1.yaml" <<YAML
sinter: 1
name: $1
sources: {base: ./base, a: ./a, b: ./b}
merge:
  merge_method: pcb
  base_model: base
  models: [{model: a}, {model: b}]
  parameters: {ratio: \$ratio, lambda: \$lambda}
  dtype: float32
  statistics: {parts: $2}
parameters: {ratio: [$3], lambda: [$4]}
evaluate:
  sum:
    command: [cksum, "\${model_dir}/model.safetensors"]
    read: {stdout: '^([0-9]+)'}
YAML
}
# sums NAME FILE: the checksums of a sweep that has run
sums() {
    assert_exit 0 sinter trials "$1" -o csv --columns ratio,lambda,sum.value \
        --sort id
    cp out.txt "$2"
}
run() {
    assert_exit 0 sinter run "$1.yaml" --workers 2
}

sweep inside 0 "0.1, 0.3" "1.0, 1.5"
run inside
assert_contains err.txt "computed 4 jobs, already known 0"
sums inside inside.csv

# Of four rounds of three parts the first two are for all; the third is counted
# once and settled for each ratio, the fourth is for each ratio. Four models.
sweep parts 3 "0.1, 0.3" "1.0, 1.5"
assert_exit 0 sinter check parts.yaml
run parts
assert_contains err.txt "computed 25 jobs, already known 0"
sums parts parts.csv
assert_same inside.csv parts.csv

# Another ratio: all that does not know it is there.
sweep ratio 3 "0.2" "1.0"
run ratio
assert_contains err.txt "computed 6 jobs, already known 11"

# Another lambda: it is in the model alone.
sweep lambda 3 "0.3" "0.7"
run lambda
assert_contains err.txt "computed 1 job, already known 16"

# TIES of the paper as well; a density of 1 keeps all.
for parts in 0 2; do
    cat >"ties$parts.yaml" <<YAML
sinter: 1
name: ties$parts
sources: {base: ./base, a: ./a, b: ./b}
merge:
  merge_method: ties
  variant: original
  base_model: base
  models: [{model: a}, {model: b}]
  parameters: {density: \$density}
  statistics: {parts: $parts}
parameters: {density: [0.2, 1.0]}
evaluate:
  sum:
    command: [cksum, "\${model_dir}/model.safetensors"]
    read: {stdout: '^([0-9]+)'}
YAML
    run "ties$parts"
    assert_exit 0 sinter trials "ties$parts" -o csv --columns density,sum.value
    cp out.txt "ties$parts.csv"
done
assert_same ties0.csv ties2.csv

# The example, with a program of one's own that measures.
ln -s a math
ln -s b code
cat >evaluate-model <<'SH'
#!/bin/sh
echo "accuracy: 0.$(cksum "$1/model.safetensors" | cut -c 1-6)"
SH
chmod +x evaluate-model
PATH="$WORK:$PATH"
cp "$here/../../examples/whole-model.yaml" example.yaml
assert_exit 0 sinter check --strict example.yaml
assert_exit 0 sinter run example.yaml --workers 2
assert_contains err.txt "computed 25 jobs, already known 0"
assert_exit 0 sinter trials whole-model -o csv --columns ratio,lambda,dev.accuracy --sort id
cp out.txt example.csv
sed 's/parts: 3/parts: 0/' example.yaml >alone.yaml
assert_exit 0 sinter run alone.yaml --set name=alone --workers 2
assert_exit 0 sinter trials alone -o csv --columns ratio,lambda,dev.accuracy --sort id
assert_same example.csv out.txt

# An export knows them too.
assert_exit 0 sinter export parts/1 -o exported
assert_exit 0 sinter export inside/1 -o counted
assert_same exported/model.safetensors counted/model.safetensors

# How many parts there are decides which stages there are.
sweep wrong 3 "0.1" "1.0"
sed -i 's/parts: 3/parts: $lambda/' wrong.yaml
assert_exit 3 sinter check wrong.yaml
assert_contains err.txt "cannot be a parameter"
sed -i 's/parts: \$lambda/parts: 60/' wrong.yaml
assert_exit 3 sinter check wrong.yaml
assert_contains err.txt "fewer parts"
