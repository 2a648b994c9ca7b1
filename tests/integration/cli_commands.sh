#!/bin/bash
# Programs of the user beside the sweep file; a store that is refused; the
# same best point whoever is asked; help as a document.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"

mkdir lab
cat >lab/score.sh <<'SH'
#!/bin/sh
cat "$1"
SH
chmod +x lab/score.sh
echo 'accuracy: 0.25' | tee lab/answer.txt >lab/model.safetensors # which it does not read
cat >lab/score.yaml <<'YAML'
sinter: 1
name: score
evaluate:
  e:
    model: ./model.safetensors
    command: [./score.sh, ./answer.txt]
    read: {stdout: {accuracy: 'accuracy: ([0-9.]+)'}}
objective: {metric: e.accuracy, goal: maximize}
YAML
best() {
    sinter --json best "$1" | jq ".points[0].objective.mean"
}
run_score() { # COMPUTED VALUE
    assert_exit 0 sinter run --workers 1 lab/score.yaml
    assert_contains err.txt "computed $1 job"
    assert_equal accuracy "$(best score)" "$2"
}
run_score 1 0.25
run_score 0 0.25
echo 'accuracy: 0.75' >lab/answer.txt
run_score 1 0.75

sed -i 's|\./answer.txt|answer.txt|; s|\[\./score|[./score|' lab/score.yaml
assert_exit 7 sinter run --workers 1 lab/score.yaml
assert_contains err.txt "write ./answer.txt"

# The store of a run that never began is not remembered.
noop_sweep few.yaml few 3 0
assert_exit 1 sinter run --workers 1 --store redis://127.0.0.1:9 few.yaml
assert_contains err.txt "Redis at 127.0.0.1:9: "
assert_exit 0 sinter run --workers 1 few.yaml

# Points are ranked by the mean over seeds, by the broker as well.
assert_exit 0 sinter run --workers 2 "$here/small.yaml"
sinter --json status small |
    jq -c '[.best.trial, .best.value, .best.replicates]' >status.txt
sinter --json best small |
    jq -c '.points[0] | [.trial, .objective.mean, .replicates]' >best.txt
assert_same status.txt best.txt

# Completion: commands, their options, names of sweeps; files are the shell's.
completed() { # WORDS
    COMP_WORDS=(sinter "$@")
    COMP_CWORD=$#
    _sinter
    tr '\n' ' ' <<<"${COMPREPLY[*]}"
}
eval "$(sinter completion bash)"
assert_equal "commands" "$(completed tri)" "trials "
assert_equal "options" "$(completed run x.yaml --wor)" "--workers "
assert_equal "values" "$(completed run --workers "")" " "
assert_equal "sweeps" "$(completed --quiet best sma)" "small "
assert_equal "files" "$(completed check few)" " "
assert_exit 2 sinter completion tcsh
for topic in "" run --all; do
    # shellcheck disable=SC2086 # none or one word
    sinter --json help $topic >out.txt
    assert_equal "help $topic" "$(jq -r .schema out.txt)" sinter.help/1
done
