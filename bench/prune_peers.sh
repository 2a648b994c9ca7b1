#!/bin/bash
# Prunes of this program against the same choices in PyTorch, on one thread and
# in turn, so that both meet the machine in the same moods: the ratio of their
# rates. Needs Debian's python3-torch; says so and leaves if it is not there.
#
#     bench/prune_peers.sh BUILD-DIRECTORY [ROUNDS]
set -euo pipefail
build=${1:?usage: bench/prune_peers.sh BUILD-DIRECTORY [ROUNDS]}
rounds=${2:-3}
here=$(cd "$(dirname "$0")" && pwd)
python=/usr/bin/python3 # whose package it is
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "python3-torch is not installed: nothing to compare with"
    exit 0
fi
for ((round = 0; round < rounds; round++)); do
    "$build/bench/prune" >>"$results/ours"
    "$python" "$here/prune_torch.py" 1 >>"$results/theirs"
done
"$python" "$here/torch_ratio.py" "$results/ours" "$results/theirs"
