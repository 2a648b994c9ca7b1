#!/usr/bin/env python3
"""Writes a Llama-shaped bfloat16 model of random weights, as fast as the disk
takes it; standard library only. Equal arguments give equal bytes.

The weights are pieces of one pool of random numbers, each from a place and of
a length drawn anew, so that no two tensors are alike.

make_large.py DIR [--seed N] [--layers N] [--hidden N] [--intermediate N]
              [--vocab N] [--shard-bytes N]
"""
import argparse
import json
import os
import random
import struct

POOL = 16 << 20
# High bytes of bfloat16: both signs, magnitudes of 2^-15 to 2.
HIGH = bytes((b & 0x80) | 0x38 | (b & 0x07) for b in range(256))


def shapes(o):
    h, m = o.hidden, o.intermediate
    yield "lm_head.weight", (o.vocab, h)
    yield "model.embed_tokens.weight", (o.vocab, h)
    for i in range(o.layers):
        at = f"model.layers.{i}."
        yield at + "input_layernorm.weight", (h,)
        yield at + "mlp.down_proj.weight", (h, m)
        yield at + "mlp.gate_proj.weight", (m, h)
        yield at + "mlp.up_proj.weight", (m, h)
        yield at + "post_attention_layernorm.weight", (h,)
        for part in "koqv":
            yield at + f"self_attn.{part}_proj.weight", (h, h)
    yield "model.norm.weight", (h,)


def bytes_of(shape):
    size = 2
    for n in shape:
        size *= n
    return size


def cut(tensors, limit):
    shards, held = [{}], 0
    for name, shape in sorted(tensors):
        size = bytes_of(shape)
        if held > 0 and held + size > limit:
            shards.append({})
            held = 0
        shards[-1][name] = shape
        held += size
    return shards


def random_pool(draws):
    pool = bytearray(draws.randbytes(POOL))
    pool[1::2] = pool[1::2].translate(HIGH)
    return memoryview(pool)


def write_shard(path, tensors, pool, draws):
    header, at = {}, 0
    for name, shape in tensors.items():
        size = bytes_of(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        while at > 0:
            begin = 2 * draws.randrange(POOL // 4)
            piece = pool[begin:begin + min(at, 2 * draws.randrange(1, POOL // 4))]
            file.write(piece)
            at -= len(piece)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--intermediate", type=int, default=1408)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--shard-bytes", type=int, default=5 * 10**9)
    o = parser.parse_args()
    os.makedirs(o.directory, exist_ok=True)
    draws = random.Random(o.seed)
    pool = random_pool(draws)
    shards = cut(shapes(o), o.shard_bytes)
    index = {}
    for i, tensors in enumerate(shards):
        name = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        if len(shards) == 1:
            name = "model.safetensors"
        write_shard(os.path.join(o.directory, name), tensors, pool, draws)
        index.update({tensor: name for tensor in tensors})
    if len(shards) > 1:
        with open(os.path.join(o.directory, "model.safetensors.index.json"), "w") as file:
            json.dump({"metadata": {}, "weight_map": index}, file)
    with open(os.path.join(o.directory, "config.json"), "w") as file:
        json.dump({"model_type": "llama", "architectures": ["LlamaForCausalLM"],
                   "hidden_size": o.hidden, "intermediate_size": o.intermediate,
                   "num_hidden_layers": o.layers, "vocab_size": o.vocab,
                   "torch_dtype": "bfloat16"}, file)


main()
