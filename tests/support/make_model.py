#!/usr/bin/env python3
"""Writes a small safetensors model for tests; standard library only.

make_model.py DIR [--seed N] [--tensors N] [--rows N] [--columns N]
              [--shards N] [--base DIR] [--nan TENSOR] [--shape TENSOR]
              [--truncate]

With --base the values are the base's plus small differences. --nan puts a NaN
into element 3 of a tensor, --shape makes a tensor one row longer, --truncate
cuts the last 100 bytes of the last shard.
"""
import argparse
import json
import os
import random
import struct


def values_of(directory):
    """All float32 values by tensor name of a model this script wrote."""
    found = {}
    for name in sorted(os.listdir(directory)):
        if not name.endswith(".safetensors"):
            continue
        with open(os.path.join(directory, name), "rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(size))
            body = file.read()
        for tensor, row in header.items():
            if tensor == "__metadata__":
                continue
            first, last = row["data_offsets"]
            found[tensor] = struct.unpack(f"<{(last - first) // 4}f", body[first:last])
    return found


def write_shard(path, tensors):
    header, at = {}, 0
    for name, (shape, values) in tensors.items():
        size = 4 * len(values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, values in tensors.values():
            file.write(struct.pack(f"<{len(values)}f", *values))


def tensors_of(options):
    draw = random.Random(options.seed)
    base = values_of(options.base) if options.base else None
    tensors = {}
    for i in range(options.tensors):
        name = f"model.layers.{i}.weight"
        rows = options.rows + (1 if options.shape == name else 0)
        count = rows * options.columns
        if base:
            old = list(base[name]) + [0.0] * (count - len(base[name]))
            values = [v + draw.gauss(0, 0.001) for v in old]
        else:
            values = [draw.gauss(0, 0.02) for _ in range(count)]
        if options.nan == name:
            values[3] = float("nan")
        tensors[name] = ([rows, options.columns], values)
    return tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tensors", type=int, default=4)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--base")
    parser.add_argument("--nan")
    parser.add_argument("--shape")
    parser.add_argument("--truncate", action="store_true")
    options = parser.parse_args()

    os.makedirs(options.directory)
    tensors = tensors_of(options)
    names = list(tensors)
    if options.shards == 1:
        files = {"model.safetensors": names}
    else:
        files = {f"model-{s + 1:05}-of-{options.shards:05}.safetensors": names[s::options.shards]
                 for s in range(options.shards)}
        index = {"metadata": {"total_size": sum(4 * len(v) for _, v in tensors.values())},
                 "weight_map": {name: file for file, held in files.items() for name in held}}
        with open(os.path.join(options.directory, "model.safetensors.index.json"), "w") as file:
            json.dump(index, file)
    for file, held in files.items():
        path = os.path.join(options.directory, file)
        write_shard(path, {name: tensors[name] for name in held})
    if options.truncate:
        os.truncate(path, os.path.getsize(path) - 100)


main()
