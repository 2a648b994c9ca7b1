#!/bin/bash
# The same numbers and the same bytes from 1 and 2 workers, from SQLite and
# Redis; the same sweep again computes nothing; the exported model is measured
# again to the same numbers.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
cp "$here/small.yaml" .

columns=(--columns 'id,state,case,lambda,density,seed,reverse.accuracy,reverse.loss,text.perplexity')
# once NAME OPTION...: runs small.yaml in a state of its own
once() {
    local name=$1
    shift
    mkdir "$name"
    (cd "$name" && sinter run ../small.yaml "$@" >out.txt 2>err.txt) ||
        fail "$name: $(tail -n 5 "$name/err.txt")"
    (cd "$name" && sinter trials small -o csv "${columns[@]}" >trials.csv)
}

port=$(free_port)
redis redis "$port"
once one --workers 1
once two --workers 2
once stored --workers 2 --store "redis://127.0.0.1:$port"
grep -q ',done,' one/trials.csv || fail "nothing was done: $(cat one/trials.csv)"
assert_lacks one/trials.csv ",failed,"
assert_same one/trials.csv two/trials.csv
assert_same one/trials.csv stored/trials.csv
for file in model.safetensors config.json recipe.json; do
    assert_same "one/best/$file" "two/best/$file"
    assert_same "one/best/$file" "stored/best/$file"
done

cd one
assert_exit 0 sinter run ../small.yaml --workers 1
computed=$(sinter --json status small | sed -n 's/^ *"computed": \([0-9]*\),*$/\1/p')
known=$(sinter --json status small | sed -n 's/^ *"known": \([0-9]*\),*$/\1/p')
assert_exit 0 sinter run ../small.yaml --workers 1
cat out.txt err.txt >again.txt
assert_contains again.txt "computed 0"
assert_equal "computed after the same again" \
    "$(sinter --json status small | sed -n 's/^ *"computed": \([0-9]*\),*$/\1/p')" "$computed"
[ -n "$known" ] || fail "status does not say what was known"

cat >again.yaml <<'YAML'
sinter: 1
name: again
sources:
  best: ./best
evaluate:
  reverse: {builtin: accuracy, model: best, data: {builtin: tasks, mix: {reverse: 1}, split: test, items: 32}}
  text: {builtin: perplexity, model: best, data: {builtin: tasks, mix: {reverse: 1, sort: 1}, split: test, items: 32}}
objective: {metric: reverse.accuracy, goal: maximize}
YAML
assert_exit 0 sinter run again.yaml --workers 1
best=$(sinter best small -n 1 --json | jq '.points[0].trial')
# measured TRIAL: what does not depend on the sweep that asked
measured() {
    sinter --json trials "$1" |
        jq -S ".trials[] | select(.trial == $2) | .metrics"
}
measured small "$best" >wanted.json
measured again 1 >got.json
assert_contains got.json reverse.accuracy
assert_same wanted.json got.json
