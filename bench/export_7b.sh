#!/bin/bash
# A merge of two models shaped like a 7B Llama (2 x 13.5 GB of bfloat16,
# random, not sparse) by `sinter merge`: rate and resident memory.
#
#     bench/export_7b.sh BIN [options]
#       --layers N        32 is a 7B model (default), 8 about a quarter
#       --runs 'M:T ...'  methods and threads; none with '' (default: all three
#                         methods, with one thread and with two)
#       --models DIR      make the models there, once; they stay
#       --out DIR         results go below (default: where the models are; a
#                         tmpfs shows the rate without that disk)
#       --cold            before each run the inputs leave the page cache
#
# Without --models all data goes at the end. Beside each rate: the share of
# what `cat` of the inputs and a synced `dd` of the output would take one after
# the other. "Beside" is what is resident without pages of the inputs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage() {
    sed -n '5,12s/^# \{0,4\}//p' "$0" >&2
    exit 2
}

[ $# -gt 0 ] || usage
BIN=$(cd "$1" && pwd)
shift
layers=32 models='' out='' cold=no
runs='task_arithmetic:1 dare_ties:1 ties:1 task_arithmetic:2 dare_ties:2 ties:2'
while [ $# -gt 0 ]; do
    case $1 in
    --cold) cold=yes && shift && continue ;;
    esac
    [ $# -gt 1 ] || usage
    case $1 in
    --layers) layers=$2 ;;
    --runs) runs=$2 ;;
    --models) models=$2 ;;
    --out) out=$2 ;;
    *) usage ;;
    esac
    shift 2
done

made=''
result=''
trap 'rm -rf "$made" "$result"' EXIT
if [ -z "$models" ]; then
    made=$(mktemp -d /tmp/sinter-bench.XXXXXX)
    models=$made
fi
mkdir -p "$models"
models=$(cd "$models" && pwd)
result=$(mktemp -d "${out:-$models}/sinter-bench.XXXXXX")
export OPENBLAS_NUM_THREADS=1 # its buffers would count as ours

now() { date +%s.%N; }
since() { echo "$(now) $1" | awk '{ printf "%.2f", $1 - $2 }'; }
room() { # DIR MB
    local free
    free=$(df -m --output=avail "$1" | tail -n 1)
    [ "$free" -gt "$2" ] || {
        echo "$1 has $free MB, $2 are needed" >&2
        exit 1
    }
}

seed=0
for model in base math; do
    seed=$((seed + 1))
    [ ! -s "$models/$model/config.json" ] || continue
    room "$models" $((layers * 405 + 1000))
    began=$(now)
    python3 "$here/../tests/support/make_large.py" "$models/$model" --seed $seed \
        --layers "$layers" --hidden 4096 --intermediate 11008 --vocab 32000
    sync
    echo "$model: $layers layers, made in $(since "$began") s" >&2
done
[ -n "$runs" ] || exit 0
inputs=("$models"/{base,math}/*.safetensors)
bytes=$(cat "${inputs[@]}" | wc -c)
room "$result" $((bytes / 2000000 + 1000))

# write METHOD [MORE]: a config
write() {
    cat >"$result/$1.yaml" <<YAML
merge_method: $1
base_model: $models/base
models:
  - model: $models/math
    parameters: {weight: 0.7${2:-}}
dtype: bfloat16
YAML
}
write task_arithmetic
write dare_ties ', density: 0.5'
write ties ', density: 0.2'

forget() {
    [ $cold = no ] || for file in "${inputs[@]}"; do
        dd if="$file" iflag=nocache count=0 status=none
    done
}

# Once for a directory of models: later runs of this script read it there.
floor=$models/floor.$cold
if [ ! -s "$floor" ]; then
    forget
    began=$(now)
    cat "${inputs[@]}" >/dev/null
    reading=$(since "$began")
    began=$(now)
    dd if=/dev/zero of="$result/zeros" bs=8M count=$((bytes / 2 / 8388608)) conv=fsync status=none
    echo "$reading $(since "$began")" >"$floor"
    rm "$result/zeros"
fi
read -r reading writing <"$floor"
echo "inputs $bytes bytes, cold: $cold; cat $reading s, dd of the output $writing s" >&2

# watch PID: peaks of resident MB: total, without the inputs, anonymous
watch() {
    awk -v pid="$1" -v models="$models/" '
    function more(name, kilobytes) {
        if (kilobytes > peak[name]) peak[name] = kilobytes
    }
    BEGIN {
        maps = "/proc/" pid "/smaps"
        for (;;) {
            total = inputs = anonymous = 0
            while ((getline line < maps) > 0) {
                split(line, part, " ")
                if (line ~ /^[0-9a-f]+-/) is_input = index(line, models)
                else if (part[1] == "Rss:") {
                    total += part[2]
                    if (is_input) inputs += part[2]
                } else if (part[1] == "Anonymous:") anonymous += part[2]
            }
            close(maps)
            if (total == 0) break
            more("total", total)
            more("beside", total - inputs)
            more("anonymous", anonymous)
            system("sleep 0.1")
        }
        printf "%d %d %d\n", peak["total"] / 1024, peak["beside"] / 1024,
            peak["anonymous"] / 1024
    }'
}

echo "| method | threads | seconds | GB/s of input | of cat + dd | read GB | RSS MB: total | beside | anonymous |"
echo "|---|---|---|---|---|---|---|---|---|"
for run in $runs; do
    method=${run%:*} threads=${run#*:}
    forget
    "$BIN/sinter" --json merge "$result/$method.yaml" -o "$result/$method" \
        --threads "$threads" >"$result/result.json" &
    pid=$!
    read -r total beside anonymous < <(watch $pid)
    wait $pid
    seconds=$(sed -n 's/.*"seconds": \([0-9.]*\).*/\1/p' "$result/result.json")
    read_bytes=$(sed -n 's/.*"bytes_read": \([0-9]*\).*/\1/p' "$result/result.json")
    echo "$method $threads $seconds $bytes $reading $writing $read_bytes $total $beside $anonymous" |
        awk '{ printf "| %s | %d | %.1f | %.2f | %.0f %% | %.1f | %d | %d | %d |\n",
               $1, $2, $3, $4 / $3 / 1e9, ($5 + $6) / $3 * 100, $7 / 1e9, $8, $9, $10 }'
    rm -rf "${result:?}/$method"
done
