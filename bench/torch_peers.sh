# shellcheck shell=bash
# torch_peers.sh -- for scripts that measure this program and PyTorch in turn,
# so that both meet the machine in the same moods. Says so and leaves if
# Debian's python3-torch is not there.
#
#     . torch_peers.sh
#     in_turn ROUNDS OURS THEIRS    # functions that print lines of JSON
here=$(cd "$(dirname "$0")" && pwd)
python=/usr/bin/python3 # whose package it is
# torch.set_num_threads(1) does not reach the library that multiplies, which
# takes all processors.
export OPENBLAS_NUM_THREADS=1

if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "python3-torch is not installed: nothing to compare with"
    exit 0
fi

# The ratios of their rates, by name.
in_turn() {
    local round results
    results=$(mktemp -d)
    # shellcheck disable=SC2064 # the directory as it is now
    trap "rm -rf '$results'" EXIT
    for ((round = 0; round < $1; round++)); do
        "$2" >>"$results/ours"
        "$3" >>"$results/theirs"
    done
    "$python" "$here/torch_ratio.py" "$results/ours" "$results/theirs"
}
