#!/bin/bash
# Selections on a farm: a worker is killed in the middle, and what is selected
# is the same as with other parts on another number of workers. A sweep computes
# nothing twice, and says beforehand what it will compute. Data and models that
# do not do are told by name.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

python3 - <<'PY'
import json, random

random.seed(4)
words = "river stone lamp green table window bread paper horse cloud".split()
with open("pool.jsonl", "w") as file:
    for i in range(400):
        some = random.sample(words, 3)
        ways = [
            ("Sort these words", " ".join(some), " ".join(sorted(some))),
            ("Write it backwards", some[0], some[0][::-1]),
            (f"Add {i} and {i % 7}", "", str(i + i % 7)),
        ]
        instruction, given, output = ways[i % 3]
        if i % 50 == 49:
            output = ""
        line = {"instruction": instruction, "output": output}
        if given:
            line["input"] = given
        file.write(json.dumps(line) + "\n")
        if i % 40 == 0:
            file.write(json.dumps(line) + "\n\n")
PY

# sweep NAME PARTS
sweep() {
    cat >"$1.yaml" <<YAML
sinter: 1
name: $1
sources:
  pool: file://$WORK/pool.jsonl
stages:
  base:
    train:
      init: {architecture: llama, hidden: 48, layers: 3, heads: 4}
      data: {builtin: tasks}
      length: 96
      steps: 40
      optimizer: {lr: 3e-3}
  pruned:
    prune: {model: \$stages.base.model, method: magnitude, sparsity: \$sparsity}
  chosen:
    select:
      original: \$stages.base.model
      pruned: \$stages.pruned.model
      data: pool
      method: \$method
      budget: \$budget
      clusters: \$clusters
      conflicts: \$conflicts
      parts: $2
evaluate:
  loss: {builtin: perplexity, model: \$stages.pruned.model, data: \$stages.chosen.data}
parameters:
  sparsity: [0.5, 0.6]
  method: [random, topjsd, paser]
  budget: [0.1, 0.3]
  clusters: [auto, 5]
  conflicts: [true, false]
objective: {metric: loss.perplexity, goal: minimize}
retries: {backoff: 10ms}
YAML
}

# chosen WORKER...: the selections that workers opened, by digest
chosen() {
    local worker
    for worker in "$@"; do
        find "$worker.cache/artifacts" -name selection.json
    done | sed 's,.*/artifacts/,,' | LC_ALL=C sort -u
}
# all_done SWEEP: each trial has its numbers
all_done() {
    local failed
    failed=$(sinter --json status "$1" | jq .failed)
    [ "$failed" = 0 ] || fail "$failed trials of $1 failed: $(sinter status "$1")"
}
results() { # SWEEP
    sinter trials "$1" -o csv --columns \
        id,sparsity,method,budget,clusters,conflicts,loss.perplexity
}
done_jobs() { # AT LEAST
    [ "$(sinter --json status cut | jq .jobs.done)" -ge "$1" ]
}

# One original, two that are pruned of it: three passes over the pool.
sweep cut 3
assert_exit 0 sinter --json plan cut.yaml
runs() { # KIND
    jq "[.stages[] | select(.kind == \"$1\") | .runs] | add" out.txt
}
assert_equal "passes of the original" "$(runs select_hidden)" 3
assert_equal "passes of pruned models" "$(runs select_jsd)" 6
assert_equal "pools" "$(runs select_samples)" 1
assert_equal "embeddings" "$(runs select_embed)" 1
assert_equal "spectra" "$(runs select_spectrum)" 1
assert_equal "clusterings" "$(runs select_clusters)" 2
# paser has 2 x 2 x 2 x 2 points, topjsd 2 x 2, random 2.
assert_equal "selections" "$(runs select)" 22

assert_equal "route" "$(jq -r '[.stages[].remark // empty] | join("|")' out.txt)" \
    "spectrum of up to 410 samples by the route dense, all distances and LAPACK"

broker farm
export SINTER_BROKER=$CLIENTS
worker one
worker two
assert_exit 0 sinter submit cut.yaml
wait_until 60 "some jobs" done_jobs 9
kill -9 "${PID[one]}"
await one
worker one --replaces # which says that the old one is dead
assert_exit 0 sinter watch cut
assert_equal "jobs" "$(sinter --json status cut | jq .jobs.total)" \
    $((1 + 3 + 6 + 1 + 1 + 1 + 2 + 22 + 24))
all_done cut
results cut >cut.csv
stop two
stop farm

sweep calm 2
broker other
export SINTER_BROKER=$CLIENTS
worker three
assert_exit 0 sinter submit calm.yaml --wait
all_done calm
results calm >calm.csv
assert_same calm.csv cut.csv
chosen one two >cut.txt
chosen three >calm.txt
assert_equal "selections" "$(wc -l <calm.txt)" 22
comm -13 calm.txt cut.txt >only.txt
assert_equal "selections of the disturbed sweep alone" "$(cat only.txt)" ""

assert_exit 1 sinter export calm/1 -o model
assert_contains err.txt '"chosen", gives data and no model'

# What was selected, and why.
number=$(sinter trials calm --json | jq '[.trials[] | select(.values.method == "paser")][0].trial')
assert_exit 0 sinter inspect "@last/$number" -o files --svg plane.svg
assert_contains out.txt "of 410 samples"
[ -s files/selection.jsonl ] && [ -s plane.svg ]
cp out.txt far.txt
assert_exit 0 sinter inspect files
assert_same out.txt far.txt
assert_exit 0 sinter inspect "calm/$number" --stage chosen --json
assert_equal "method" "$(jq -r .selection.method out.txt)" "$(jq -r .method files/selection.json)"
assert_exit 0 sinter inspect "calm/$number" --svg trial.svg
assert_same trial.svg plane.svg
assert_exit 1 sinter inspect "calm/$number" --stage base
assert_contains err.txt 'stage "base" selects no data'
assert_exit 5 sinter inspect "calm/$number" --stage nowhere
assert_contains err.txt 'has no stage "nowhere"'

# What cannot be selected from ends its trial at once with a sentence that names
# the file and the line, or the models.
python3 - <<'PY'
good = '{"instruction": "Say a", "output": "a"}\n{"instruction": "Say b", "output": "b"}\n'
open("good.jsonl", "w").write(good)
open("broken.jsonl", "w").write(good + '{"instruction": "Say c", \n')
open("plain.jsonl", "w").write(good + '\n{"text": "a story"}\n')
open("blank.jsonl", "w").write('{"instruction": "Say a", "output": ""}\n' * 2)
PY
cat >wrong.yaml <<'YAML'
sinter: 1
name: wrong
stages:
  base:
    train: {init: {architecture: llama, hidden: 16, layers: 1, heads: 2, vocab: 258}, data: {builtin: tasks}, length: 64, steps: 1}
  other:
    train: {init: {architecture: llama, hidden: 16, layers: 1, heads: 2, vocab: $vocab}, data: {builtin: tasks}, length: 64, steps: 1}
  chosen:
    select: {original: $stages.base.model, pruned: $stages.other.model, data: $pool, embed: $embed, budget: 1, parts: 1}
cases:
  good: {set: {pool: ./good.jsonl, vocab: 258, embed: tfidf}}
  broken: {set: {pool: ./broken.jsonl, vocab: 258, embed: tfidf}}
  plain: {set: {pool: ./plain.jsonl, vocab: 258, embed: tfidf}}
  blank: {set: {pool: ./blank.jsonl, vocab: 258, embed: tfidf}}
  vocabulary: {set: {pool: ./good.jsonl, vocab: 300, embed: tfidf}}
  encoder: {set: {pool: ./good.jsonl, vocab: 258, embed: ./files}}
evaluate:
  loss: {builtin: perplexity, model: $stages.base.model, data: $stages.chosen.data}
retries: {max: 2, backoff: 1h}
YAML
assert_exit 0 timeout 60 sinter submit wrong.yaml --wait
sinter trials wrong --json >trials.json
# fails CASE WORDS...: the trial ended with these words
fails() {
    local case=$1 words message
    message=$(jq -r --arg case "$case" '.trials[] | select(.values.case == $case and .state == "failed") | .failure.message' trials.json)
    shift
    for words; do
        [[ $message == *"$words"* ]] || fail "$case: '$message', wanted '$words'"
    done
}
fails broken "broken.jsonl: line 3"
fails plain "plain.jsonl, line 4" 'no "instruction" and "output"'
fails blank "of 2 samples none can be selected: their answers are empty"
fails vocabulary "the original (result of the job" "has a vocabulary of 258" "of 300"
fails encoder "files" "config.json"
assert_equal "sound trials" "$(jq '[.trials[] | select(.state == "done")] | length' trials.json)" 1
