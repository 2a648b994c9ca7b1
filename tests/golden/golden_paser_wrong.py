#!/usr/bin/env python3
"""What golden_paser says of folders that are wrong: the case, the thing, and no
crash.

    golden_paser_wrong.py PROGRAM FOLDER
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

program, folder = sys.argv[1:]


def tensors(path, change):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data[8 + size :])


def flat(name):
    def change(header):
        rows, width = header[name]["shape"]
        header[name]["shape"] = [rows * width]

    return change


def folded(name):
    """The same numbers in two rows."""

    def change(header):
        rows, width = header[name]["shape"]
        header[name]["shape"] = [2, rows * width // 2]

    return change


def of(kind, name):
    def change(header):
        header[name]["dtype"] = kind

    return change


def named(name, other):
    def change(header):
        header[other] = header.pop(name)

    return change


# case, what is wrong, words of the answer
TENSORS = [
    ("jsd_01", named("logits_orig", "logits_old"), 'no tensor "logits_orig"'),
    ("jsd_01", flat("logits_pruned"), "rows of floats of one shape"),
    ("jsd_02", folded("logits_pruned"), "rows of floats of one shape"),
    ("diffusion_blobs", flat("embeddings"), "1 dimensions"),
    ("diffusion_blobs", of("I32", "embeddings"), '"embeddings" is I32'),
    ("diffusion_blobs", folded("embeddings"), "of 2 embeddings"),
    ("diffusion_knn", folded("embeddings"), "of 2 embeddings"),
    ("cluster_01", folded("S"), "no square matrix"),
    ("nmf_exact", named("S", "T"), 'neither a tensor "S" nor "embeddings"'),
    ("e2e_01", folded("embeddings"), "2 embeddings of 60 samples"),
]
NUMBERS = [
    ("jsd_01", ["params", "prompt_len"], 99, '"prompt_len" is 99 of 7'),
    ("jsd_01", ["params", "prompt_len"], 0, '"prompt_len" is 0 of 7'),
    ("diffusion_blobs", ["params", "K"], 9999, "K is 9999"),
    ("diffusion_blobs", ["expected", "pairs", 0], [1, 70000], "of samples 1 and 70000"),
    ("cluster_02", ["params", "K"], 0, "K is 0"),
    ("budget", ["cases", 1, "size"], [1], '"size" has 1 entries'),
    ("ies", ["inputs", "x_len"], [3], '"x_len" has 1 entries, not 24'),
    ("ies", ["inputs", "cluster", 2], 4000000000, "entry 2 is 4000000000"),
    ("ccg", ["cases", 0, "sequence", 1], ["a", 5], '"sequence": entry 1 is no text'),
    ("ccg", ["cases", 0, "expected", "edges", 0], ["a"], '"edges" has 1 entries'),
    ("concepts", ["stopwords", 3], None, '"stopwords": entry 3 is no text'),
    ("e2e_01", ["inputs", "concepts"], [["a"]], '"concepts" has 1 entries, not 60'),
]


def check(where, case, words):
    run = subprocess.run(
        [program, where] + ([case] if case else []), capture_output=True, text=True
    )
    said = run.stdout + run.stderr
    if run.returncode not in (1, 2) or words not in said:
        sys.exit(f"{case}: exit {run.returncode}, '{words}' wanted in:\n{said}")


def copy(where):
    shutil.rmtree(where, ignore_errors=True)
    shutil.copytree(folder, where)
    for root, _, files in os.walk(where):
        for name in files:
            os.chmod(os.path.join(root, name), 0o644)


with tempfile.TemporaryDirectory() as scratch:
    where = scratch + "/paser"
    for case, change, words in TENSORS:
        copy(where)
        tensors(f"{where}/{case}.safetensors", change)
        check(where, case, words)
    for case, path, value, words in NUMBERS:
        copy(where)
        name = f"{where}/{case}.json"
        whole = json.load(open(name))
        at = whole
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        json.dump(whole, open(name, "w"))
        check(where, case, words)
    copy(where)
    os.remove(where + "/ies.json")
    check(where, "ies", "ies.json")
    os.remove(where + "/jsd_01.safetensors")
    check(where, "jsd_01", "jsd_01.safetensors")
    open(where + "/jsd_02.json", "w").write('{"params": ')
    check(where, "jsd_02", "jsd_02.json")
    check(where, "jsd_99", "names no case that was asked for")
    json.dump({"cases": [{"id": "x", "family": "y"}]}, open(where + "/manifest.json", "w"))
    check(where, "", "knows no family y")
    json.dump({"cases": [{"id": "x", "family": "jsd"}]}, open(where + "/manifest.json", "w"))
    check(where, "", "x names no file")
    json.dump([], open(where + "/manifest.json", "w"))
    check(where, "", "names no case")
    open(where + "/manifest.json", "w").write("{")
    check(where, "", "manifest.json")
    os.remove(where + "/manifest.json")
    check(where, "", "manifest.json")
