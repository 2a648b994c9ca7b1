# shellcheck shell=bash
# shellcheck disable=SC2154 # $here is the script that reads this
# sources.sh -- small models behind URLs, for the integration scripts.

make_model() { # DIRECTORY [OPTION...]: tests/support/make_model.py
    python3 "$here/../support/make_model.py" "$@"
}

# merge_sweep FILE NAME ROOT-URL: two points over ROOT/base, ROOT/a, ROOT/b
merge_sweep() {
    cat >"$1" <<YAML
sinter: 1
name: $2
sources:
  base: $3/base/
  a: $3/a/
  b: $3/b/
merge:
  merge_method: ties
  base_model: base
  models:
    - {model: a, parameters: {weight: \$weight, density: 0.5}}
    - {model: b, parameters: {weight: 0.5, density: 0.5}}
  dtype: float32
parameters:
  weight: [0.5, 1.0]
evaluate:
  size: {builtin: footprint}
objective: {metric: size.nonzero, goal: maximize}
YAML
}
