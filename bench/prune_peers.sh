#!/bin/bash
# Prunes of this program against the same choices in PyTorch, on one thread and
# in turn (torch_peers.sh): the ratio of their rates.
#
#     bench/prune_peers.sh BUILD-DIRECTORY [ROUNDS]
set -euo pipefail
build=${1:?usage: bench/prune_peers.sh BUILD-DIRECTORY [ROUNDS]}
. "$(dirname "$0")/torch_peers.sh"

ours() { "$build/bench/prune"; }
theirs() { "$python" "$here/prune_torch.py" 1; }
in_turn "${2:-3}" ours theirs
