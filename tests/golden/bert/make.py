#!/usr/bin/env python3
"""Makes the files beside it: a small BERT encoder of random numbers, and what
PyTorch's own layers of transformers say about some texts.

    python3 tests/golden/bert/make.py        (torch 1.13 or later)
"""
import json
import os
import struct

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
WIDTH, HEADS, LAYERS, INNER, PLACES = 24, 3, 2, 40, 16
VOCAB = """[PAD] [UNK] [CLS] [SEP] [MASK] ! " , . ? a b c d e s t x
##a ##b ##c ##d ##e ##s ##t ##ing sum the of two number ##s2 write code poem
about sort these words strasse 中 国 ᄀ ##ᅡ é 5""".split()

# A text, and its pieces by hand: [CLS] in front and [SEP] behind.
TEXTS = [
    ("the sum of two", "the sum of two"),
    ("The SUMS, of two!", "the sum ##s , of two !"),
    ("write\tcode about\n these  words.", "write code about these words ."),
    ("tested beads", "t ##e ##s ##t ##e ##d b ##e ##a ##d ##s"),
    ("number\u00ad5? zebra abc", "[UNK] ? [UNK] a ##b ##c"),
    ("\u00c9t\u00e9 e\u0301", "e ##t ##e e"),
    ("two\u4e2d\u56fdwords", "two 中 国 words"),
    ("\uac00 \u201cx\u201d", "ᄀ ##ᅡ [UNK] x [UNK]"),
    ("", ""),
    ("a " * 40, " ".join(["a"] * 14)),
    ("x" * 101 + " x" * 2, "[UNK] x x"),
]


def ids(pieces):
    inside = [VOCAB.index(p) for p in pieces.split()]
    return [VOCAB.index("[CLS]")] + inside + [VOCAB.index("[SEP]")]


def tensors():
    torch.manual_seed(20260101)
    t = {}

    def add(name, *shape, scale=0.3, middle=0.0):
        t[name] = torch.randn(*shape) * scale + middle

    def norm(name):
        add(name + ".LayerNorm.weight", WIDTH, middle=1.0)
        add(name + ".LayerNorm.bias", WIDTH)

    def dense(name, out, inner):
        add(name + ".weight", out, inner)
        add(name + ".bias", out)

    add("embeddings.word_embeddings.weight", len(VOCAB), WIDTH, scale=1.0)
    add("embeddings.position_embeddings.weight", PLACES, WIDTH)
    add("embeddings.token_type_embeddings.weight", 2, WIDTH)
    norm("embeddings")
    for i in range(LAYERS):
        at = f"encoder.layer.{i}."
        for part in ("query", "key", "value"):
            dense(at + "attention.self." + part, WIDTH, WIDTH)
        dense(at + "attention.output.dense", WIDTH, WIDTH)
        norm(at + "attention.output")
        dense(at + "intermediate.dense", INNER, WIDTH)
        dense(at + "output.dense", WIDTH, INNER)
        norm(at + "output")
    dense("pooler.dense", WIDTH, WIDTH)
    return t


def layer_of(t, i):
    """PyTorch's layer, normalised behind the sums, with these numbers."""
    at = f"encoder.layer.{i}."
    layer = torch.nn.TransformerEncoderLayer(
        WIDTH, HEADS, INNER, 0.0, "gelu", 1e-12, batch_first=True
    )
    parts = [at + "attention.self." + p for p in ("query", "key", "value")]
    state = {
        "self_attn.in_proj_weight": torch.cat([t[p + ".weight"] for p in parts]),
        "self_attn.in_proj_bias": torch.cat([t[p + ".bias"] for p in parts]),
    }
    for ours, theirs in (
        ("self_attn.out_proj", "attention.output.dense"),
        ("norm1", "attention.output.LayerNorm"),
        ("linear1", "intermediate.dense"),
        ("linear2", "output.dense"),
        ("norm2", "output.LayerNorm"),
    ):
        state[ours + ".weight"] = t[at + theirs + ".weight"]
        state[ours + ".bias"] = t[at + theirs + ".bias"]
    layer.load_state_dict(state)
    return layer.double().train()  # eval() takes another path


def embed(t, tokens):
    t = {name: x.double() for name, x in t.items()}
    x = (
        t["embeddings.word_embeddings.weight"][tokens]
        + t["embeddings.position_embeddings.weight"][: len(tokens)]
        + t["embeddings.token_type_embeddings.weight"][0]
    )
    x = torch.nn.functional.layer_norm(
        x,
        (WIDTH,),
        t["embeddings.LayerNorm.weight"],
        t["embeddings.LayerNorm.bias"],
        1e-12,
    )
    for i in range(LAYERS):
        x = layer_of(t, i)(x[None])[0]
    return torch.nn.functional.normalize(x.mean(0), dim=0)


def write_tensors(path, t):
    header, at = {}, 0
    for name, x in t.items():
        size = 4 * x.numel()
        header[name] = {
            "dtype": "F32",
            "shape": list(x.shape),
            "data_offsets": [at, at + size],
        }
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for x in t.values():
            out.write(struct.pack(f"<{x.numel()}f", *x.flatten().tolist()))


def main():
    t = tensors()
    cases = []
    for text, pieces in TEXTS:
        tokens = ids(pieces)
        row = [0.0] * WIDTH
        if len(tokens) > 2:
            with torch.no_grad():
                row = [float("%.9g" % x) for x in embed(t, tokens)]
        cases.append({"text": text, "tokens": tokens, "row": row})
    config = {
        "model_type": "bert",
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "intermediate_size": INNER,
        "max_position_embeddings": PLACES,
        "vocab_size": len(VOCAB),
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
    }
    write_tensors(os.path.join(HERE, "model.safetensors"), t)
    for name, text in (
        ("config.json", json.dumps(config, indent=1) + "\n"),
        ("vocab.txt", "\n".join(VOCAB) + "\n"),
        ("cases.json", json.dumps(cases, indent=1) + "\n"),
    ):
        with open(os.path.join(HERE, name), "w", encoding="utf-8") as out:
            out.write(text)


if __name__ == "__main__":
    main()
