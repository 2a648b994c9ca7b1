#!/bin/bash
# Bad models and data, on a real worker: each ends its trial with a sentence
# that names the thing, nothing is tried twice, and what is sound goes on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

cat >base.yaml <<'YAML'
sinter: 1
name: base
train:
  init: {architecture: llama, hidden: 16, layers: 2, heads: 2, positions: 64, tied: $tied}
  data: {builtin: tasks}
  steps: 2
parameters: {tied: [true, false]}
evaluate: {size: {builtin: footprint}}
YAML
assert_exit 0 sinter run base.yaml --workers 1
assert_exit 0 sinter export base/1 -o base
assert_exit 0 sinter export base/2 -o untied

# Each copy has one fault.
python3 - <<'PY'
import json, shutil, struct

def read(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + size]), data[8 + size:]

def write(path, header, data):
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)

def spoil(name, tensors=None, config=None, tokenizer=None, cut=0):
    shutil.copytree("base", name)
    path = name + "/model.safetensors"
    if tensors:
        header, data = read(path)
        data = tensors(header, data) or data
        write(path, header, data)
    if cut:
        data = open(path, "rb").read()
        open(path, "wb").write(data[:-cut])
    if config:
        json_path = name + "/config.json"
        c = json.load(open(json_path))
        c.update(config)
        json.dump(c, open(json_path, "w"))
    if tokenizer:
        json.dump(tokenizer, open(name + "/tokenizer.json", "w"))

down = "model.layers.1.mlp.down_proj.weight"
norm = "model.norm.weight"
def rename(header, data):
    header["model.norm.weigth"] = header.pop(norm)
def turn(header, data):
    header[down]["shape"].reverse()
def blow_up(header, data): # finite, but not what is made of it
    at = header[down]["data_offsets"][0]
    return data[:at] + struct.pack("<4f", 3e38, 3e38, 3e38, 3e38) + data[at + 16:]
spoil("arch", config={"model_type": "gpt5"})
spoil("missing", rename)
spoil("shape", turn)
spoil("cut", cut=16)
def empty(header, data): # a layer of zeros
    first, end = header[down]["data_offsets"]
    return data[:first] + bytes(end - first) + data[end:]
spoil("huge", blow_up)
spoil("void", empty)
spoil("unigram", config={"tokenizer_class": "T"}, tokenizer={"model": {"type": "Unigram", "vocab": []}})
spoil("wordlevel", config={"tokenizer_class": "ByteTokenizer2"},
      tokenizer={"model": {"type": "WordLevel", "vocab": {"a": 0}}})
open("good.txt", "w").write("some text to read\n" * 20)
open("empty.txt", "w")
open("odd.bin", "wb").write(b"\1\0\2")
open("good.bin", "wb").write(bytes(64))
open("far.bin", "wb").write(struct.pack("<4H", 1, 2, 300, 3))
open("broken.jsonl", "w").write('{"text": "fine"}\n{"text": \n')
open("number.jsonl", "w").write('{"prompt": "1 + 1 = ", "answer": 2}\n')
shutil.copytree("base", "bare")
c = json.load(open("bare/config.json"))
del c["tokenizer_class"]
json.dump(c, open("bare/config.json", "w"))
open("bare/tokenizer.model", "w").write("a program of its own")
open("short.npy", "wb").write(b"\x93NUMPY\1\0\x76\0")
def idx(name, pixels, labels):
    open(name, "wb").write(struct.pack(">4I", 0x803, 4, 2, 2) + bytes(pixels))
    open(name + ".labels", "wb").write(struct.pack(">2I", 0x801, 4) + bytes(labels))
idx("cut.idx", range(13), range(4))
idx("classes.idx", range(16), [1, 2, 3, 77])
open("cut.cifar", "wb").write(bytes(3073 + 99))
PY

cat >bad.yaml <<'YAML'
sinter: 1
name: bad

cases:
  good: {set: {model: ./base, data: ./good.txt, context: 32}}
  arch: {set: {model: ./arch, data: ./good.txt, context: 32}}
  missing: {set: {model: ./missing, data: ./good.txt, context: 32}}
  shape: {set: {model: ./shape, data: ./good.txt, context: 32}}
  cut: {set: {model: ./cut, data: ./good.txt, context: 32}}
  unigram: {set: {model: ./unigram, data: ./good.txt, context: 32}}
  wordlevel: {set: {model: ./wordlevel, data: ./good.txt, context: 32}}
  empty: {set: {model: ./base, data: ./empty.txt, context: 32}}
  odd: {set: {model: ./base, data: ./odd.bin, context: 32}}
  far: {set: {model: ./base, data: ./far.bin, context: 32}}
  broken: {set: {model: ./base, data: ./broken.jsonl, context: 32}}
  short: {set: {model: ./base, data: ./short.npy, context: 32}}
  number: {set: {model: ./base, data: ./number.jsonl, context: 32}}
  bare: {set: {model: ./bare, data: ./good.txt, context: 32}}
  bare_tokens: {set: {model: ./bare, data: ./good.bin, context: 32}}
  long: {set: {model: ./base, data: ./good.txt, context: 65}}
retries: {max: 2, backoff: 1h}
evaluate:
  text: {builtin: perplexity, model: $model, data: $data, context: $context}
YAML
# Whatever was tried again would wait for an hour.
assert_exit 0 timeout 60 sinter run bad.yaml --workers 1
sinter trials bad --json >trials.json

# fails CASE WORDS...: the trial ended with these words
fails() {
    local case=$1 words
    shift
    for words; do
        jq -e --arg case "$case" --arg words "$words" '.trials[] | select(.values.case == $case) |
            .state == "failed" and (.failure.message | contains($words))' trials.json >/dev/null ||
            fail "$case: $(jq -c --arg case "$case" '.trials[] | select(.values.case == $case) | .failure' trials.json), wanted '$words'"
    done
}
fails arch "/arch: " gpt5 "known are: llama, mistral"
fails missing "/missing: " '"model.norm.weight" is missing'
fails shape "model.layers.1.mlp.down_proj.weight" "config.json asks for"
fails cut model.safetensors
fails unigram Unigram
fails wordlevel WordLevel
fails empty "empty.txt is empty"
fails odd odd.bin
fails far "far.bin: token 300, number 3 of the data, is outside the model's vocabulary of 258"
fails broken "broken.jsonl: line 2"
fails short "short.npy"
fails number "number.jsonl, line 1: the answer is a number"
fails bare "tokenizer.model, which is not known"
fails long "65" "64"
assert_equal "sound trials" "$(jq '[.trials[] | select(.state == "done")] | length' trials.json)" 2

# What is trained: a loss that is lost, no biases, sequences too long, a head
# that is the embedding, more memory than there is.
cat >train.yaml <<'YAML'
sinter: 1
name: train
stages:
  again:
    retrain:
      model: $model
      mode: $mode
      train: $train
      dense: ./base
      data: {builtin: text}
      length: $length
      steps: 4
      optimizer: {lr: $lr}
cases:
  lost: {set: {model: ./huge, mode: retrain, train: [full], lr: 1e-3, length: 32}}
  lost_block: {set: {model: ./huge, mode: reconstruct, train: [mask_lora], lr: 1e-3, length: 32}}
  bias: {set: {model: ./base, mode: retrain, train: [bias], lr: 1e-3, length: 32}}
  long: {set: {model: ./base, mode: retrain, train: [norm], lr: 1e-3, length: 65}}
  tied: {set: {model: ./base, mode: retrain, train: [head], lr: 1e-3, length: 32}}
  untied: {set: {model: ./untied, mode: retrain, train: [head], lr: 1e-3, length: 32}}
retries: {max: 2, backoff: 1h}
evaluate: {size: {builtin: footprint}}
YAML
assert_exit 0 timeout 60 sinter run train.yaml --workers 1
sinter trials train --json >trials.json
fails lost "step 1: " "layer 1" "lower optimizer.lr"
fails lost_block "block 2: " "layer 1" "lower optimizer.lr"
fails bias 'no "bias"'
fails long "65" "64"
assert_equal "heads" "$(jq '[.trials[] | select(.state == "done") | .values.case] | sort == ["tied", "untied"]' trials.json)" true

# Images that end too early, and labels that no class has.
cat >images.yaml <<'YAML'
sinter: 1
name: images
train: {init: {architecture: mlp, sizes: [$pixels, 10]}, data: $images, steps: 2, batch: 2}
cases:
  cut: {set: {pixels: 4, images: {format: idx, file: ./cut.idx, labels: ./cut.idx.labels}}}
  classes: {set: {pixels: 4, images: {format: idx, file: ./classes.idx, labels: ./classes.idx.labels}}}
  cifar: {set: {pixels: 3072, images: {format: cifar10, file: ./cut.cifar}}}
  size: {set: {pixels: 5, images: {builtin: teacher10k}}}
retries: {max: 2, backoff: 1h}
evaluate: {size: {builtin: footprint}}
YAML
assert_exit 7 timeout 60 sinter run images.yaml --workers 1
sinter trials images --json >trials.json
fails cut "cut.idx, byte 29: ends too early"
fails classes "classes.idx.labels, byte 11: label 77; there are 10 classes"
fails cifar "cut.cifar, byte 3172: ends inside a record"
fails size "64" "5"

# What is pruned: nothing at all, groups that do not fill a row, a layer that
# was 0 before. That everything goes is refused before anything runs.
cat >prune.yaml <<'YAML'
sinter: 1
name: prune
stages:
  less: {prune: {model: $model, method: $method, pattern: $pattern, sparsity: $sparsity, calibration: {data: {builtin: text}, samples: 4}}}
cases:
  nothing: {set: {model: ./base, method: magnitude, pattern: unstructured, sparsity: 0}}
  groups: {set: {model: ./base, method: magnitude, pattern: "3:5", sparsity: 0.6}}
  void: {set: {model: ./void, method: magnitude, pattern: unstructured, sparsity: 0.5}}
  void_wanda: {set: {model: ./void, method: wanda, pattern: unstructured, sparsity: 0.5}}
  void_sparsegpt: {set: {model: ./void, method: sparsegpt, pattern: unstructured, sparsity: 0.5}}
evaluate: {size: {builtin: footprint}}
YAML
assert_exit 0 timeout 60 sinter run prune.yaml --workers 1
sinter trials prune --json >trials.json
# Of 2 x (4 x 16 x 16 + 3 x 16 x 48) weights; 16 = 5 + 5 + 5 + 1 inputs lose 10,
# 48 lose 30. In the layer of zeros the half that stays is 0 as well.
left() { jq ".trials[] | select(.values.case == \"$1\") | .metrics[\"size.zeros\"]" trials.json; }
assert_equal "nothing" "$(left nothing)" 0
assert_equal "groups" "$(left groups)" 4160
for case in void void_wanda void_sparsegpt; do
    assert_equal $case "$(left $case)" $((3328 + 384))
done
assert_exit 3 sinter check prune.yaml --set stages.less.prune.sparsity=1
assert_contains err.txt "a sparsity of 1 leaves no weight"

# Groups that blocks would cut, and a warm-up longer than the training, are
# found before anything runs.
sed '/void_sparsegpt/s/unstructured/"3:5"/' prune.yaml >blocks.yaml
assert_exit 3 sinter check blocks.yaml --set stages.less.prune.block=16
assert_contains err.txt "make \`block\` a multiple of it"
assert_exit 3 sinter check train.yaml --set stages.again.retrain.optimizer.warmup=5
assert_contains err.txt "a warm-up of 5 steps leaves nothing of 4"

# A file that is not there stops what would run here before it begins; so does
# a job that no worker of this machine could ever take.
sed 's/good.txt/nowhere.txt/' bad.yaml >nowhere.yaml
for command in run plan; do
    code=$([ $command = plan ] && echo 3 || echo 1)
    assert_exit $code timeout 60 sinter $command nowhere.yaml
    assert_contains err.txt "/nowhere.txt: No such file"
done
assert_exit 3 sinter plan bad.yaml
assert_contains err.txt "cut/model.safetensors"
assert_exit 1 timeout 60 sinter run train.yaml --set 'resources={memory: 1000TiB}'
assert_contains err.txt "again asks for 1048576000 MiB of memory, and this machine grants"

cat >large.yaml <<'YAML'
sinter: 1
name: large
train:
  init: {architecture: llama, hidden: 512, layers: 8, heads: 8}
  data: {builtin: tasks}
  steps: 1
evaluate: {size: {builtin: footprint}}
YAML
broker farm
worker small --memory 128MiB
export SINTER_BROKER=$CLIENTS
assert_exit 0 sinter submit large.yaml
says_memory() {
    sinter why large/1 >why.txt 2>&1 && grep -q "memory" why.txt
}
wait_until 20 "admission to refuse" says_memory
cat why.txt
assert_exit 0 sinter cancel large
