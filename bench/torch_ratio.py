"""torch_ratio.py OURS THEIRS: medians of rates with the same name in two files
of lines of JSON, and their ratio."""
import json
import statistics
import sys


def rates(path):
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in map(json.loads, file):
            found.setdefault(line["name"], []).append(line["value"])
    return {name: statistics.median(values) for name, values in found.items()}


ours, theirs = rates(sys.argv[1]), rates(sys.argv[2])
for name in theirs:
    print(json.dumps({"name": name, "value": ours[name], "unit": "GB/s",
                      "ratio": round(ours[name] / theirs[name], 2),
                      "against": "PyTorch"}))
