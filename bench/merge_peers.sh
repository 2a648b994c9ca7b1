#!/bin/bash
# Merges of this program against the same formulas in PyTorch, in turn
# (torch_peers.sh): the ratio of their rates for each method.
#
#     bench/merge_peers.sh BUILD-DIRECTORY [MILLIONS [ROUNDS]]
set -euo pipefail
build=${1:?usage: bench/merge_peers.sh BUILD-DIRECTORY [MILLIONS [ROUNDS]]}
millions=${2:-10}
. "$(dirname "$0")/torch_peers.sh"

ours() {
    local method
    for method in task_arithmetic dare_linear dare_ties/mergekit \
        ties/mergekit ties/original pcb/nlp; do
        "$build/bench/merge" "$millions" "$method"
    done
}
theirs() { "$python" "$here/merge_torch.py" "$millions" 1; }
in_turn "${3:-3}" ours theirs
