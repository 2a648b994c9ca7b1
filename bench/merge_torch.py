"""What bench/merge measures, in PyTorch: the same formulas by its operations.

    merge_torch.py [MILLIONS [THREADS]]

Base and four tasks of float32 in 16 tensors; prints one JSON object a line,
as the programs of this folder do. Run by merge_peers.sh, which also computes
the ratios. No part of the program depends on it."""
import json
import sys
import time

import torch

TASKS, TENSORS, RUNS = 4, 16, 3
WEIGHT, DENSITY, RATIO, QUANTILE = 0.7, 0.2, 0.1, 0.01


def make(millions):
    """Lists of tensors: the base, then the tasks."""
    each = int(millions * 1e6) // TENSORS // 1000
    generator = torch.Generator().manual_seed(1)

    def uniform():
        return torch.rand(each, 1000, generator=generator) * 2 - 1

    base = [uniform() * 0.02 for _ in range(TENSORS)]
    tasks = [[b + 0.001 * uniform() ** 3 for b in base] for _ in range(TASKS)]
    return base, tasks


def deltas(base, tasks, tensor):
    return [task[tensor] - base[tensor] for task in tasks]


def by_tensor(merge):
    """A method that looks at one tensor at a time."""
    def run(base, tasks):
        return [b + merge(deltas(base, tasks, t)) for t, b in enumerate(base)]
    return run


def arithmetic(rows):
    return sum(WEIGHT * row for row in rows)


def drop(rows):
    return [row * (torch.rand_like(row) >= 1 - DENSITY) / DENSITY
            for row in rows]


def elect(rows, weights, mean):
    values = torch.stack([w * row for w, row in zip(weights, rows)])
    agrees = values * torch.where(values.sum(0) >= 0, 1.0, -1.0) > 0
    total = (values * agrees).sum(0)
    if not mean:
        return total
    shares = torch.tensor(weights).view(-1, *[1] * rows[0].dim())
    share = (agrees * shares).sum(0)
    return total / torch.where(share == 0, torch.ones_like(share), share)


def trim(row):
    """The int(DENSITY x elements) largest."""
    keep = int(row.numel() * DENSITY)
    chosen = torch.zeros(row.numel())
    chosen[torch.topk(row.flatten().abs(), keep, sorted=False).indices] = 1
    return row * chosen.view_as(row)


def as_rows(base, tasks):
    """Each task vector as one row over the model."""
    return [torch.cat([(a - b).flatten() for a, b in zip(task, base)])
            for task in tasks]


def add_row(base, row):
    out, at = [], 0
    for b in base:
        out.append(b + row[at:at + b.numel()].view_as(b))
        at += b.numel()
    return out


def ties_original(base, tasks):
    rows = torch.stack(as_rows(base, tasks))
    number = rows.shape[1] - int(rows.shape[1] * DENSITY)
    size = rows.abs()
    rows = rows * (size >= size.kthvalue(number, dim=1, keepdim=True).values)
    sign = rows.sum(0).sign()
    sign = torch.where(sign == 0, sign.sum().sign(), sign)
    chosen = rows * torch.where(sign > 0, rows > 0, rows < 0)
    count = (chosen != 0).sum(0).clamp(min=1)
    return add_row(base, chosen.sum(0) / count)


def scaled(rows):
    low = rows.min(1, keepdim=True).values
    return (rows - low) / (rows.max(1, keepdim=True).values - low)


def pcb(base, tasks):
    rows = torch.stack(as_rows(base, tasks))
    count, size = rows.shape
    order = rows.abs().sort(1).values
    low = order[:, int(size * QUANTILE)].view(-1, 1)
    high = order[:, int(size * (1 - QUANTILE) - 1)].view(-1, 1)
    clipped = rows.abs().clamp(low, high)
    score = torch.exp(count * scaled(clipped) ** 2)
    score = score * torch.tanh(rows * rows.sum(0))
    order = score.sort(1).values
    least = order[:, int(size * (1 - RATIO))].view(-1, 1)
    share = scaled(score.clamp(min=least))
    merged = (rows.sign() * clipped * share).sum(0)
    return add_row(base, merged / share.sum(0).clamp(min=1e-12))


METHODS = {
    "merge.task_arithmetic": by_tensor(arithmetic),
    "merge.dare_linear.paper": by_tensor(lambda r: arithmetic(drop(r))),
    "merge.dare_ties.mergekit.paper": by_tensor(
        lambda r: elect(drop(r), [WEIGHT] * TASKS, False)),
    "merge.ties.mergekit": by_tensor(
        lambda r: elect([trim(x) for x in r], [WEIGHT] * TASKS, True)),
    "merge.ties.original": ties_original,
    "merge.pcb.nlp": pcb,
}


def main():
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 50.0
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    torch.set_num_threads(threads)
    base, tasks = make(millions)
    size = sum(b.numel() for b in base) * 4 * (1 + TASKS)
    with torch.no_grad():
        for name, method in METHODS.items():
            seconds = []
            for _ in range(RUNS):
                begin = time.perf_counter()
                method(base, tasks)
                seconds.append(time.perf_counter() - begin)
            rate = size / sorted(seconds)[RUNS // 2] / 1e9
            print(json.dumps({"name": f"{name}.threads{threads}",
                              "value": round(rate, 6), "unit": "GB/s",
                              "ratio": None, "against": None}), flush=True)


if __name__ == "__main__":
    main()
