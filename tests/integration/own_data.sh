#!/bin/bash
# Files of every form that people bring, through the examples that take them:
# a model with a tokenizer of its own, packed tokens, text, JSONL, IDX, CIFAR.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
mkdir www

# A small model, which gets a tokenizer.json: bytes and seven merges.
cat >start.yaml <<'YAML'
sinter: 1
name: start
train: {init: {architecture: gpt2, hidden: 32, layers: 2, heads: 2, vocab: 264, positions: 96}, data: {builtin: text}, length: 64, batch: 4, steps: 20, optimizer: {lr: 3e-3}}
evaluate: {size: {builtin: footprint}}
YAML
assert_exit 0 sinter run start.yaml --workers 1
assert_exit 0 sinter export start/1 -o www/model
python3 - <<'PY'
import json, os, random, struct
random.seed(1)
c = json.load(open("www/model/config.json"))
for key in ("tokenizer_class", "bos_token_id", "eos_token_id"):
    c.pop(key, None)
json.dump(c, open("www/model/config.json", "w"))
prints = lambda b: 33 <= b <= 126 or 161 <= b <= 172 or b >= 174
letters = [chr(b) for b in range(256) if prints(b)] + [chr(256 + i) for i in range(256 - sum(map(prints, range(256))))]
vocab = {c: i for i, c in enumerate(letters)}
merges = []
for left, right in (("\u0120", "t"), ("\u0120", "a"), ("h", "e"), ("i", "n"), ("r", "e"), ("o", "n"), ("\u0120t", "he")):
    merges.append(left + " " + right)
    vocab[left + right] = len(vocab)
json.dump({"version": "1.0", "model": {"type": "BPE", "vocab": vocab, "merges": merges},
           "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
           "normalizer": None, "post_processor": None, "added_tokens": []}, open("www/model/tokenizer.json", "w"))

text = "".join("the ant and the bee ran to the den, line %d.\n" % i for i in range(80))
open("text.txt", "w").write(text)
ids = [vocab[c] if c != "\n" else 5 for c in text.replace(" ", "\u0120")]
head = "{'descr': '<u2', 'fortran_order': False, 'shape': (%d,), }" % len(ids)
head += " " * (63 - (10 + len(head)) % 64) + "\n"
open("www/tokens.npy", "wb").write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head.encode() + struct.pack("<%dH" % len(ids), *ids))
def lines(name, count, make):
    open(name, "w").write("".join(json.dumps(make(i)) + "\n" for i in range(count)))
lines("lessons.jsonl", 24, lambda i: {"prompt": "%d and one is " % (i % 5), "answer": "%d" % (i % 5 + 1)})
lines("exam.jsonl", 5, lambda i: {"prompt": "%d and one is " % i, "answer": "%d" % (i + 1)})
lines("choices.jsonl", 6, lambda i: {"question": "%d and one is" % i, "choices": ["%d" % i, "%d" % (i + 1)], "answer": "B"})

def idx(name, count):
    labels = [i % 10 for i in range(count)]
    pixels = bytes(min(255, 25 * label + random.randrange(30)) for label in labels for _ in range(784))
    open(name + "-images-idx3-ubyte", "wb").write(struct.pack(">4I", 0x803, count, 28, 28) + pixels)
    open(name + "-labels-idx1-ubyte", "wb").write(struct.pack(">2I", 0x801, count) + bytes(labels))
idx("train", 640)
idx("t10k", 100)
for name in ["data_batch_%d.bin" % i for i in range(1, 6)] + ["test_batch.bin"]:
    open("www/" + name, "wb").write(b"".join(bytes([i % 10]) + bytes((37 * i + random.randrange(40)) % 256 for _ in range(3072)) for i in range(10)))
PY

# The model and its tokens come by HTTP, the rest lies beside the file.
port=$(free_port)
http_server files "$WORK/www" "$port"
assert_exit 0 sinter init own-data
cp out.txt own-data.yaml
own=(--set "sources.start=http://127.0.0.1:$port/model/" --set "sources.tokens=http://127.0.0.1:$port/tokens.npy")
assert_exit 0 sinter run own-data.yaml --workers 2 "${own[@]}" --set steps=12
sinter trials own-data --json >trials.json
jq -e '[.trials[].metrics] | length == 2 and all(.[]; .["exam.accuracy"] >= 0 and .["choice.accuracy"] <= 1 and
    .["text.perplexity"] < .["before.perplexity"] and .["pupil.loss"] > 0)' trials.json >/dev/null ||
    fail "$(jq -c '[.trials[].metrics]' trials.json)"
assert_exit 0 sinter export own-data/best -o tuned
assert_same tuned/tokenizer.json www/model/tokenizer.json

assert_exit 0 sinter init images
cp out.txt images.yaml
assert_exit 0 sinter run images.yaml --workers 2
sinter trials images --json >trials.json
jq -e '[.trials[].metrics] | length == 3 and all(.[]; .["dense_error.error"] < 0.4) and (map(.["error.error"]) | min < 0.1 and max > 0.3)' trials.json >/dev/null ||
    fail "$(jq -c '[.trials[].metrics]' trials.json)"

assert_exit 0 sinter init three-regime-cifar
cp out.txt three-regime-cifar.yaml
assert_exit 0 sinter plan three-regime-cifar.yaml
sed "s|https://data.lab/cifar-10-batches-bin|http://127.0.0.1:$port|" three-regime-cifar.yaml >cifar.yaml
small=(--set 'batch=[8, 16]' --set 'density=[0.2]' --set 'dense_seed=[1, 2]' --set replicates=2 --set stages.dense.train.steps=2
    --set 'stages.dense.train.init.widths=[4, 4, 8]' --set 'stages.dense.train.init.blocks=[1, 1, 1]'
    --set stages.again.retrain.epochs=1 --set stages.again.retrain.batch=16 --set evaluate.lmc.points=3
    --set report.phase.default=16 --set 'report.phase.files=[cifar.csv]')
assert_exit 0 sinter run cifar.yaml --workers 2 "${small[@]}"
assert_equal "cells" "$(wc -l <cifar.csv)" 3
