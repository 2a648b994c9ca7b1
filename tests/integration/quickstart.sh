#!/bin/bash
# The sweep of the README, whole: the winner beats the base and the uniform
# average, and the same again computes nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

assert_exit 0 sinter run "$here/../../examples/quickstart.yaml"
sinter --json trials quickstart >trials.json
points=$(jq '[.trials[] | select(.state == "done")] | length' trials.json)
[ "$points" -ge 60 ] || fail "only $points trials are done"

# mean_of CASE: of its best trial
mean_of() {
    jq "[.trials[] | select(.values.case == \"$1\") | .metrics[\"mean.value\"]] | max" trials.json
}
winner=$(jq '[.trials[].metrics["mean.value"]] | max' trials.json)
base=$(mean_of base)
average=$(mean_of average)
echo "winner $winner, uniform average $average, base $base"
jq -en "$winner > $average + 0.03 and $average > $base + 0.03" >/dev/null ||
    fail "merging does not matter: winner $winner, average $average, base $base"
[ -s quickstart-best/model.safetensors ] || fail "the winner was not exported"

assert_exit 0 sinter run "$here/../../examples/quickstart.yaml"
assert_contains err.txt "computed 0 jobs"

# Another program reads what was exported.
python3 "$here/../support/read_model.py" quickstart-best/model.safetensors
jq -e '.architectures and .model_type' quickstart-best/config.json >/dev/null ||
    fail "config.json does not say what the model is"
