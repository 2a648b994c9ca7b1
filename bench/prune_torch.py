"""What bench/prune measures, in PyTorch: the same choices by its operations.

    prune_torch.py [THREADS]

Prints one JSON object a line, as the programs of this folder do. Run by
prune_peers.sh, which also computes the ratios. No part of the program depends
on it."""
import json
import sys
import time

import torch

TENSORS, OUTPUTS, INPUTS, SAMPLES, RUNS, BLOCK = 8, 2048, 1024, 4096, 3, 128
SPARSITY = 0.5


def layer(weights, _):
    for w in weights:
        size = w.abs()
        yield size > size.flatten().kthvalue(int(w.numel() * SPARSITY)).values


def row(weights, _):
    for w in weights:
        size = w.abs()
        yield size > size.kthvalue(int(INPUTS * SPARSITY), 1, True).values


def whole(weights, _):
    sizes = [w.abs() for w in weights]
    everything = torch.cat([s.flatten() for s in sizes])
    cut = everything.kthvalue(int(everything.numel() * SPARSITY)).values
    return [s > cut for s in sizes]


def two_of_four(weights, _):
    for w in weights:
        size = w.abs().view(-1, 4)
        least = size.topk(2, 1, largest=False).indices
        yield torch.ones_like(size, dtype=torch.bool).scatter_(
            1, least, False).view_as(w)


def chance(weights, _):
    for w in weights:
        draws = torch.rand_like(w)
        yield draws > draws.flatten().kthvalue(int(w.numel() * SPARSITY)).values


def wanda(weights, norms):
    for w in weights:
        score = w.abs() * norms
        order = score.sort(dim=1, stable=True, descending=False).indices
        least = order[:, :int(INPUTS * SPARSITY)]
        yield torch.ones_like(w, dtype=torch.bool).scatter_(1, least, False)


WAYS = {"magnitude.layer": layer, "magnitude.row": row,
        "magnitude.global": whole, "magnitude.2_4": two_of_four,
        "random": chance, "wanda.row": wanda}


def factor(h):
    h = h + torch.eye(INPUTS) * 0.01 * h.diagonal().mean()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(h))
    return torch.linalg.cholesky(inverse, upper=True)


def sparsegpt(w, upper, group):
    w = w.clone()
    for first in range(0, INPUTS, BLOCK):
        end = first + BLOCK
        block, errors = w[:, first:end].clone(), torch.zeros(OUTPUTS, BLOCK)
        u = upper[first:end, first:end]
        if group == 0:
            score = (block / u.diagonal()) ** 2
            cut = score.flatten().kthvalue(int(score.numel() * SPARSITY)).values
            gone = score <= cut
        else:
            gone = torch.zeros_like(block, dtype=torch.bool)
        for i in range(BLOCK):
            if group and i % group == 0:
                score = (block[:, i:i + group] / u.diagonal()[i:i + group]) ** 2
                least = score.topk(group // 2, 1, largest=False).indices
                gone.scatter_(1, i + least, True)
            kept = block[:, i].masked_fill(gone[:, i], 0.0)
            error = (block[:, i] - kept) / u[i, i]
            block[:, i:] -= error.unsqueeze(1) * u[i, i:].unsqueeze(0)
            block[:, i] = kept
            errors[:, i] = error
        w[:, first:end] = block
        w[:, end:] -= errors @ upper[first:end, end:]
    return w


def median(work):
    seconds = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return sorted(seconds)[RUNS // 2]


def tell(name, count, seconds):
    print(json.dumps({"name": f"prune.{name}", "unit": "GB/s", "ratio": None,
                      "value": round(count * 4 / seconds / 1e9, 6),
                      "against": None}), flush=True)


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    torch.manual_seed(1)
    weights = [torch.randn(OUTPUTS, INPUTS) * 0.02 for _ in range(TENSORS)]
    norms = 1 + torch.rand(INPUTS)
    out = [torch.empty_like(w) for w in weights]
    with torch.no_grad():
        for name, masks in WAYS.items():
            def work():
                for w, o, m in zip(weights, out, masks(weights, norms)):
                    torch.mul(w, m, out=o)
            tell(name, TENSORS * OUTPUTS * INPUTS, median(work))
        x = torch.randn(SAMPLES, INPUTS)
        tell("hessian", SAMPLES * INPUTS, median(lambda: x.t() @ x))
        h = 2 * x.t() @ x
        tell("factor", INPUTS * INPUTS, median(lambda: factor(h)))
        upper = factor(h)
        for name, group in (("sparsegpt", 0), ("sparsegpt.2_4", 4)):
            tell(name, OUTPUTS * INPUTS,
                 median(lambda: sparsegpt(weights[0], upper, group)))


if __name__ == "__main__":
    main()
