#!/bin/bash
# Training and forward of models of text against the same in PyTorch, on one
# thread and in turn (torch_peers.sh): the ratio of their rates, pair by pair.
#
#     bench/text_peers.sh BUILD-DIRECTORY [ROUNDS [1M|10M|gpt2-124M...]]
#
# About a minute and a quarter a round for all three.
set -euo pipefail
build=${1:?usage: bench/text_peers.sh BUILD-DIRECTORY [ROUNDS [SHAPE...]]}
rounds=${2:-5}
shapes=("${@:3}")
. "$(dirname "$0")/torch_peers.sh"

ours() {
    "$build/bench/train" "${shapes[@]}"
    "$build/bench/forward" "${shapes[@]}"
}
theirs() { "$python" "$here/text_torch.py" "${shapes[@]}"; }
in_turn "$rounds" ours theirs
