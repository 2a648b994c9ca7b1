#!/usr/bin/env python3
"""The shapes of bench/text_models.c with PyTorch on one thread: tokens a
second, forward and in training. text_torch.py [1M|10M|gpt2-124M...]
With OPENBLAS_NUM_THREADS=1, or products take all processors; see
text_peers.sh."""
import json
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

# name, hidden, layers, heads, vocabulary, length, sequences, batches a round
SHAPES = [("1M", 128, 4, 4, 258, 128, 8, 10),
          ("10M", 320, 8, 8, 1024, 256, 4, 2),
          ("gpt2-124M", 768, 12, 12, 50257, 256, 1, 1)]
ROUNDS = 3


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x, mask):
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).split(d, dim=2)
        q, k, v = (a.view(b, t, self.heads, d // self.heads).transpose(1, 2)
                   for a in (q, k, v))
        a = q @ k.transpose(2, 3) / (d // self.heads) ** 0.5
        a = F.softmax(a.masked_fill(mask, float("-inf")), dim=3)
        x = x + self.out((a @ v).transpose(1, 2).reshape(b, t, d))
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))


class Model(nn.Module):
    def __init__(self, d, layers, heads, vocab, length):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocab, d), nn.Embedding(length, d)
        self.blocks = nn.ModuleList(Block(d, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(d)
        self.register_buffer("mask", torch.ones(length, length).triu(1).bool())

    def forward(self, ids, labels):
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x, self.mask)
        logits = self.norm(x) @ self.tokens.weight.t()
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def rate(step, tokens, rounds):
    step()
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(rounds):
            step()
        times.append((time.perf_counter() - begin) / rounds)
    return tokens / sorted(times)[ROUNDS // 2]


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    for name, d, layers, heads, vocab, length, sequences, rounds in SHAPES:
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        model = Model(d, layers, heads, vocab, length)
        adamw = torch.optim.AdamW(model.parameters(), 1e-4, (0.9, 0.99),
                                  foreach=True)  # the faster one
        ids = torch.randint(vocab, (sequences, length))
        labels = torch.randint(vocab, (sequences, length))

        def train():
            adamw.zero_grad(set_to_none=True)
            model(ids, labels).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adamw.step()

        def forward():
            with torch.no_grad():
                model(ids, labels)

        for what, step in (("train", train), ("forward", forward)):
            print(json.dumps({"name": f"{what}.{name}", "unit": "tokens/s",
                              "value": rate(step, ids.numel(), rounds)}), flush=True)


main()
