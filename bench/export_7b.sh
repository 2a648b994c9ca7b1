#!/bin/bash
# A merge of two models shaped like a 7B Llama (2 x 13.5 GB of bfloat16,
# random, not sparse) by `sinter merge`: rate and resident memory.
#
#     bench/export_7b.sh BIN [LAYERS [WORK [OUT]]]
#
# LAYERS 32 is a 7B model, 8 about a quarter; WORK holds the sources (a new
# directory below /tmp by default), OUT the result (WORK by default; a tmpfs
# shows the rate without the disk). All data goes at the end. Beside each
# rate: the share of what `cat` of the inputs and a synced `dd` of the output
# would take one after the other.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
BIN=$(cd "$1" && pwd)
layers=${2:-32}
work=$(mktemp -d "${3:-/tmp}/sinter-bench.XXXXXX")
out=$(mktemp -d "${4:-$work}/sinter-bench.XXXXXX")
trap 'rm -rf "$out" "$work"' EXIT
export OPENBLAS_NUM_THREADS=1

needed=$((layers * 405 + 525)) # MB of a model
free=$(df -m --output=avail "$work" | tail -n 1)
[ "$free" -gt $((needed * 3 + 1000)) ] || {
    echo "$work has $free MB, $((needed * 3 + 1000)) are needed" >&2
    exit 1
}

now() { date +%s.%N; }
since() { echo "$(now) $1" | awk '{ printf "%.2f", $1 - $2 }'; }

echo "making 2 models of $layers layers, $needed MB each" >&2
for model in base math; do
    python3 "$here/../tests/support/make_large.py" "$work/$model" --seed ${#model} \
        --layers "$layers" --hidden 4096 --intermediate 11008 --vocab 32000
done
sync

# write METHOD [LINES]: a config
write() {
    cat >"$work/$1.yaml" <<YAML
merge_method: $1
base_model: ./base
models:
  - model: ./math
    parameters: {weight: 0.7${2:-}}
dtype: bfloat16
YAML
}
write task_arithmetic
write dare_ties ', density: 0.5'
write ties ', density: 0.2'

bytes=$(cat "$work"/{base,math}/*.safetensors | wc -c)
began=$(now)
cat "$work"/{base,math}/*.safetensors >/dev/null
reading=$(since "$began")
began=$(now)
dd if=/dev/zero of="$out/zeros" bs=8M count=$((bytes / 2 / 8388608)) conv=fsync status=none
writing=$(since "$began")
rm "$out/zeros"
echo "inputs $bytes bytes: cat $reading s, dd of the output $writing s" >&2

# watch PID: peaks of resident KB, total, anonymous, file
watch() {
    awk -v pid="$1" 'BEGIN {
        status = "/proc/" pid "/status"
        for (;;) {
            seen = 0
            while ((getline line < status) > 0) {
                split(line, part, /[: \t]+/)
                seen = 1
                if (part[1] ~ /^(VmRSS|RssAnon|RssFile)$/ && part[2] + 0 > peak[part[1]])
                    peak[part[1]] = part[2] + 0
                if (part[1] == "State" && part[2] == "Z") seen = 0
            }
            close(status)
            if (!seen) break
            system("sleep 0.1")
        }
        printf "%d %d %d\n", peak["VmRSS"] / 1024, peak["RssAnon"] / 1024, peak["RssFile"] / 1024
    }'
}

echo "| method | threads | seconds | GB/s of input | of cat + dd | read GB | RSS MB: total | anonymous | file |"
echo "|---|---|---|---|---|---|---|---|---|"
for threads in 1 2; do
    for method in task_arithmetic dare_ties ties; do
        "$BIN/sinter" --json merge "$work/$method.yaml" -o "$out/$method" \
            --threads $threads >"$work/result.json" &
        pid=$!
        read -r total anonymous file < <(watch $pid)
        wait $pid
        seconds=$(sed -n 's/.*"seconds": \([0-9.]*\).*/\1/p' "$work/result.json")
        read_bytes=$(sed -n 's/.*"bytes_read": \([0-9]*\).*/\1/p' "$work/result.json")
        echo "$method $threads $seconds $bytes $reading $writing $read_bytes $total $anonymous $file" |
            awk '{ printf "| %s | %d | %.1f | %.2f | %.0f %% | %.1f | %d | %d | %d |\n",
                   $1, $2, $3, $4 / $3 / 1e9, ($5 + $6) / $3 * 100, $7 / 1e9, $8, $9, $10 }'
        rm -rf "${out:?}/$method"
    done
done
