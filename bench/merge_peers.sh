#!/bin/bash
# Merges of this program against the same formulas in PyTorch, in turn, so that
# both meet the machine in the same moods: the ratio of their rates for each
# method. Needs Debian's python3-torch; says so and leaves if it is not there.
#
#     bench/merge_peers.sh BUILD-DIRECTORY [MILLIONS [ROUNDS]]
set -euo pipefail
build=${1:?usage: bench/merge_peers.sh BUILD-DIRECTORY [MILLIONS [ROUNDS]]}
millions=${2:-10}
rounds=${3:-3}
here=$(cd "$(dirname "$0")" && pwd)
python=/usr/bin/python3 # whose package it is
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "python3-torch is not installed: nothing to compare with"
    exit 0
fi
for ((round = 0; round < rounds; round++)); do
    for method in task_arithmetic dare_linear dare_ties/mergekit \
        ties/mergekit ties/original pcb/nlp; do
        "$build/bench/merge" "$millions" "$method" >>"$results/ours"
    done
    "$python" "$here/merge_torch.py" "$millions" 1 >>"$results/theirs"
done
"$python" "$here/torch_ratio.py" "$results/ours" "$results/theirs"
