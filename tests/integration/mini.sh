# shellcheck shell=bash
# mini.sh -- the smallest sweep that trains, fine-tunes and merges.

# mini_begin: a file as far as its stages; what varies and is measured follows
mini_begin() {
    cat <<'YAML'
sinter: 1
name: mini
stages:
  base:
    train:
      init: {architecture: llama, hidden: 32, layers: 2, heads: 2}
      data: {builtin: tasks, mix: {reverse: 1, sort: 1}}
      steps: 20
      optimizer: {name: adamw, lr: 2e-3}
  one:
    train:
      model: $stages.base.model
      data: {builtin: tasks, mix: {reverse: 1}}
      steps: 20
      optimizer: {name: adamw, lr: 2e-3}
  mix:
    merge:
      merge_method: dare_linear
      base_model: $stages.base.model
      models:
        - {model: $stages.one.model, parameters: {weight: $lambda, density: 0.5}}
      dtype: float32
YAML
}
