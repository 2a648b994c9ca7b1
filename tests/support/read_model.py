#!/usr/bin/env python3
"""Reads a safetensors file by the format's own rules, with none of our code:
read_model.py FILE. Prints what it holds; fails on anything a reader of the
format would refuse."""
import json
import struct
import sys

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}

with open(sys.argv[1], "rb") as file:
    data = file.read()
size = struct.unpack("<Q", data[:8])[0]
assert size <= 100_000_000 and 8 + size <= len(data), "header length"
text = data[8:8 + size].decode("utf-8")
assert text.startswith("{"), "a header begins with {"
header = json.loads(text)
metadata = header.pop("__metadata__", {})
assert all(isinstance(value, str) for value in metadata.values()), "metadata are texts"
at, elements = 0, 0
for name, row in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
    first, last = row["data_offsets"]
    count = 1
    for extent in row["shape"]:
        count *= extent
    assert first == at, f"{name}: hole or overlap"
    assert last - first == count * SIZES[row["dtype"]], f"{name}: size"
    if row["dtype"] == "F32":
        values = struct.unpack(f"<{count}f", data[8 + size + first:8 + size + last])
        assert all(v == v and abs(v) < 1e30 for v in values), f"{name}: not finite"
    at, elements = last, elements + count
assert 8 + size + at == len(data), "bytes behind the last tensor"
print(f"{len(header)} tensors, {elements} parameters, metadata {metadata}")
