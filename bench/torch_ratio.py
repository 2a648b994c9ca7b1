"""torch_ratio.py OURS THEIRS: rates with the same name in two files of lines of
JSON, the ratio of each pair in turn, and their median."""
import json
import statistics
import sys


def rates(path):
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in map(json.loads, file):
            found.setdefault(line["name"], []).append(line)
    return found


ours, theirs = rates(sys.argv[1]), rates(sys.argv[2])
for name, others in theirs.items():
    mine = [line["value"] for line in ours[name]]
    pairs = [x / line["value"] for x, line in zip(mine, others)]
    print(json.dumps({"name": name, "value": statistics.median(mine),
                      "unit": others[0]["unit"],
                      "ratio": round(statistics.median(pairs), 2),
                      "against": "PyTorch",
                      "pairs": [round(p, 2) for p in pairs]}))
