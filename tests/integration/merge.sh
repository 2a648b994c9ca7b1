#!/bin/bash
# sinter merge: the examples run; a merge that is killed goes on to the same
# bytes; a directory appears whole or not at all; memory is bounded; mistakes
# end in a sentence and the documented exit code.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
export OPENBLAS_NUM_THREADS=1 # its buffers would count as ours
export XDG_CACHE_HOME="$WORK/.cache"

seed=0
for model in base math code; do
    seed=$((seed + 1))
    python3 "$here/../support/make_large.py" "$model" --seed $seed --layers 8
    echo "{\"model\": \"$model\"}" >"$model/tokenizer.json"
done
python3 "$here/../support/make_large.py" extended --seed 4 --layers 8 --vocab 4099
cp "$here"/../../examples/merge/*.yaml .

# same DIRECTORY DIRECTORY: file by file
same() {
    assert_equal "files of $1" "$(ls "$1")" "$(ls "$2")"
    for file in "$1"/*; do
        cmp -s "$file" "$2/${file##*/}" || fail "$file is not as in $2"
    done
}

# good DIRECTORY: what its sums say it is, and nothing else
good() {
    (cd "$1" && sha256sum -c --quiet --strict SHA256SUMS) || fail "$1: sums differ"
    assert_equal "files with a sum" "$(sed 's/^[^ ]*  //' "$1/SHA256SUMS")" \
        "$(cd "$1" && find . -type f ! -name SHA256SUMS | sed 's/^..//' | LC_ALL=C sort)"
    [ ! -e "$1.partial" ] || fail "$1.partial was left"
}

# ---- the examples, and what must not change a byte

for config in task-arithmetic ties dare-ties slerp extended-vocabulary; do
    assert_exit 0 sinter merge $config.yaml -o whole-$config --threads 1
    assert_equal "what is printed" "$(cat out.txt)" whole-$config
    assert_contains err.txt "written: "
    good whole-$config
    assert_same whole-$config/tokenizer.json \
        "$([ $config = slerp ] && echo math || echo base)/tokenizer.json"
    assert_contains whole-$config/recipe.json '"model_digest"'
    assert_exit 0 sinter merge $config.yaml -o again --threads 3 --memory 4MiB
    same whole-$config again
    rm -r again
done

# tensors DIRECTORY: name, shape and sum of each
tensors() {
    python3 - "$1/model.safetensors" <<'PY'
import hashlib, json, struct, sys
data = open(sys.argv[1], "rb").read()
body = 8 + struct.unpack("<Q", data[:8])[0]
for name, row in sorted(json.loads(data[8:body]).items()):
    if name != "__metadata__":
        first, last = row["data_offsets"]
        print(name, row["shape"], hashlib.sha256(data[body + first:body + last]).hexdigest())
PY
}
tensors base >base.txt
tensors whole-extended-vocabulary >rows.txt
assert_equal "shapes" "$(cut -d ' ' -f 1-3 rows.txt)" "$(cut -d ' ' -f 1-3 base.txt)"
assert_equal "what is as in the base" "$(comm -12 base.txt rows.txt | cut -d ' ' -f 1)" \
    "$(grep -o '^[^ ]*norm[^ ]*' base.txt)"
sed 's/: submatrix/: skip/' extended-vocabulary.yaml >skip.yaml
assert_exit 0 sinter merge skip.yaml -o skipped
tensors skipped >skipped.txt
assert_equal "what skip changes" \
    "$(comm -13 rows.txt skipped.txt | cut -d ' ' -f 1 | tr '\n' ' ')" \
    "lm_head.weight model.embed_tokens.weight "
sed '/^on_shape_mismatch/d' extended-vocabulary.yaml >bad.yaml
assert_exit 1 sinter merge bad.yaml -o bad
assert_contains err.txt "lm_head.weight"

assert_exit 0 sinter --json merge ties.yaml -o cut --shard-size 20MB
good cut
[ -s cut/model.safetensors.index.json ] || fail "no index: $(ls cut)"
jq -r .model_digest whole-ties/recipe.json >wanted.txt
jq -r .model_digest out.txt >got.txt
assert_same wanted.txt got.txt
assert_equal "bytes of the document" "$(jq .bytes out.txt)" \
    "$(jq '.metadata.total_size' cut/model.safetensors.index.json)"
rm -r cut
sinter -q merge - -o piped <ties.yaml >/dev/null || fail "from standard input"
same whole-ties piped

# From somewhere else: paths are taken from the file.
mkdir elsewhere
(cd elsewhere && assert_exit 0 sinter merge ../ties.yaml -o there)
same whole-ties elsewhere/there

# ---- killed in the middle

# whole_tensors: as the journal of out.partial has it
whole_tensors() {
    sed -n 's/.*"tensors": \([0-9]*\).*/\1/p' out.partial/partial.json 2>/dev/null || true
}
past() { # COUNT: as many are safe, or all is over
    [ -e out ] || ! running merge || [ "$(whole_tensors)0" -ge "${1}0" ]
}
kept=0
for config in dare-ties ties; do
    for signal in KILL INT TERM; do
        for at in 3 20 50; do
            start merge sinter merge $config.yaml -o out --checkpoint 64kB --threads 1
            wait_until 60 "tensor $at of $config" past $at
            stop merge $signal
            if [ ! -e out ]; then
                [ -d out.partial ] || fail "nothing is left after $signal"
                case $signal in
                INT) assert_equal "exit after INT" "$STATUS" 130 ;;
                TERM) assert_equal "exit after TERM" "$STATUS" 143 ;;
                esac
            fi
        done
        if [ ! -e out ]; then
            assert_exit 0 sinter --json merge $config.yaml -o out
            [ "$(jq .bytes_kept out.txt)" -gt 0 ] || fail "nothing was kept"
            kept=$((kept + 1))
        fi
        good out
        same whole-$config out
        rm -r out
    done
done
[ $kept -gt 0 ] || fail "no merge could be killed before it ended"
assert_contains merge.log "out.partial holds what is done; the same command goes on"

# Begun for something else, or with models that have changed since.
begin() {
    while :; do
        start merge sinter merge ties.yaml -o out --checkpoint 64kB --threads 1
        wait_until 60 "some tensors" past 3
        stop merge KILL
        [ -e out ] || return 0
        rm -r out
    done
}
begin
assert_exit 0 sinter merge dare-ties.yaml -o out
assert_contains err.txt "another recipe or layout"
same whole-dare-ties out
rm -r out
begin
touch -d '2001-01-01' code/model.safetensors
assert_exit 0 sinter merge ties.yaml -o out
assert_contains err.txt "another recipe or layout"
same whole-ties out

# ---- one writer, one directory

assert_exit 1 sinter merge ties.yaml -o out
assert_contains err.txt "out exists; remove it or name another directory"
mkdir taken.partial
start lock flock --no-fork taken.partial sh -c 'touch locked; exec sleep 600'
wait_until 10 "the lock" test -e locked
assert_exit 1 sinter merge ties.yaml -o taken
assert_contains err.txt "taken is being written by another process"
stop lock
assert_exit 0 sinter merge ties.yaml -o taken
same whole-ties taken

# ---- memory: what is written is larger than what may be taken

if grep -qE '__(asan|tsan)_init' "$BIN/sinter"; then
    echo "SKIPPED: the bounds of memory, which a sanitizer's own would pass" >&2
else
    assert_exit 0 bash -c 'ulimit -d 48000 && sinter merge ties.yaml -o small --memory 8MiB --threads 2'
    same whole-ties small
    # Order statistics of 64 models at once.
    for model in flat steep; do
        python3 "$here/../support/make_large.py" $model --seed ${#model} --layers 1 \
            --hidden 320 --intermediate 1024 --vocab 1000
    done
    for method in breadcrumbs ties; do
        {
            echo "merge_method: $method"
            echo 'base_model: ./flat'
            echo 'dtype: bfloat16'
            echo 'parameters: {weight: 0.1, density: 0.5}'
            echo 'models:'
            printf '  - model: ./steep # %s\n' {1..64}
        } >many.yaml
        assert_exit 0 bash -c 'ulimit -d 64000 && sinter merge many.yaml -o many --memory 8MiB --threads 2'
        rm -r many
    done
    cat >peak.py <<'PY'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
PY
    peak=$(python3 peak.py sinter merge task-arithmetic.yaml -o peaked --memory 8MiB --threads 1)
    inputs=$(du -kc base code math | tail -n 1 | cut -f 1)
    [ "$peak" -lt $((inputs * 2 / 3)) ] ||
        fail "$peak KB were resident for $inputs KB of inputs: mapped pages stay"
fi

# ---- a full disk

if [ "$(id -u)" = 0 ] && mkdir disk && mount -t tmpfs -o size=20m none disk 2>/dev/null; then
    trap 'status=$?; set +e; umount -l "$WORK/disk" 2>/dev/null; (exit $status); cleanup' EXIT
    assert_exit 1 sinter merge ties.yaml -o disk/out
    assert_contains err.txt "make room, or name a directory on another disk"
    assert_equal "what is left on the disk" "$(ls -A disk)" ""
    mount -o remount,size=200m disk
    assert_exit 0 sinter merge ties.yaml -o disk/out
    same whole-ties disk/out
    umount disk
else
    echo "SKIPPED: the full disk, which takes root and a mount" >&2
fi

# ---- mistakes

assert_exit 2 sinter merge ties.yaml
assert_contains err.txt "say -o DIR"
sed 's/merge_method: ties/merge_method: tise/' ties.yaml >bad.yaml
assert_exit 3 sinter merge bad.yaml -o bad
assert_contains err.txt "bad.yaml:3:15"
assert_contains err.txt "did you mean \`ties\`?"
sed 's/dtype:/dytpe:/' ties.yaml >bad.yaml
assert_exit 3 sinter merge bad.yaml -o bad
assert_contains err.txt "bad.yaml:11:1"
sed 's/\.\/code/.\/lost/' ties.yaml >bad.yaml
assert_exit 3 sinter merge bad.yaml -o bad
assert_contains err.txt '"./lost" is no path that exists'
assert_contains err.txt "bad.yaml:8:12"
sed 's/\.\/code/\/nowhere\/code/' ties.yaml >bad.yaml
assert_exit 5 sinter merge bad.yaml -o bad
assert_contains err.txt "/nowhere/code"
assert_exit 3 sinter merge ties.yaml -o bad --variant nope
assert_contains err.txt 'no variant "nope"'
assert_exit 3 sinter merge "$here/small.yaml" -o bad
assert_contains err.txt "this is a sweep file"
assert_exit 1 sinter merge absent.yaml -o bad
python3 "$here/../support/make_large.py" other --hidden 256 --layers 8
sed 's/\.\/code/.\/other/' ties.yaml >bad.yaml
assert_exit 1 sinter merge bad.yaml -o bad
assert_contains err.txt "other"
cp -r code broken
printf '\xc0\x7f' | dd of=broken/model.safetensors bs=1 seek=20000000 conv=notrunc status=none
sed 's/\.\/code/.\/broken/' ties.yaml >bad.yaml
assert_exit 1 sinter merge bad.yaml -o bad
assert_contains err.txt "broken"
assert_contains err.txt "element"
[ ! -e bad ] || fail "a failed merge leaves no directory"
