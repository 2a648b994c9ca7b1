#!/bin/bash
# What models hold, and how fine-tunes differ from their base, against sums
# made by another program; and everything a merge would trip over.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

make_model() { python3 "$here/../support/make_model.py" "$@"; }

make_model base --seed 1
make_model math --seed 2 --base base
make_model code --seed 3 --base base --shards 2

# One model: layers, tensors, numbers.
assert_exit 0 sinter inspect base
assert_contains out.txt "base: 4 F32"
assert_contains out.txt "model.layers.3"
assert_contains out.txt "65.5 kB"
assert_exit 0 sinter inspect code -t
assert_contains out.txt "model.layers.2.weight  F32    64x64"
assert_exit 0 sinter inspect base math
assert_contains out.txt "math: 4 F32"

# Fine-tunes beside their base, which may stand among them.
assert_exit 0 sinter inspect base math code --base base --json
cp out.txt one.json
cat >check.py <<'PY'
import json, math, struct, sys
sys.path.insert(0, sys.argv[1])
report = json.load(open("one.json"))
def read(name):
    import os
    found = {}
    for file in sorted(os.listdir(name)):
        if not file.endswith(".safetensors"):
            continue
        with open(os.path.join(name, file), "rb") as f:
            size = struct.unpack("<Q", f.read(8))[0]
            header, body = json.loads(f.read(size)), f.read()
        for tensor, row in header.items():
            first, last = row["data_offsets"]
            found[tensor] = struct.unpack(f"<{(last - first) // 4}f", body[first:last])
    return [x for tensor in sorted(found) for x in found[tensor]]
f32 = lambda x: struct.unpack("<f", struct.pack("<f", x))[0]
base, math_, code = read("base"), read("math"), read("code")
d1 = [f32(a - b) for a, b in zip(math_, base)]
d2 = [f32(a - b) for a, b in zip(code, base)]
dot = lambda x, y: math.fsum(a * b for a, b in zip(x, y))
def near(a, b):
    assert abs(a - b) <= 1e-9 * abs(b), (a, b)
compared = report["compared"]
near(compared["models"][0]["norm"], math.sqrt(dot(d1, d1)))
near(compared["models"][1]["relative"], math.sqrt(dot(d2, d2) / dot(base, base)))
near(compared["cosines"][0][1], dot(d1, d2) / math.sqrt(dot(d1, d1) * dot(d2, d2)))
ranks = sorted(abs(x) for x in d1)
near(compared["models"][0]["quantiles"]["0.99"], ranks[int(len(ranks) * 0.99)])
near(compared["models"][0]["quantiles"]["max"], ranks[-1])
moved = sum(1 for a, b in zip(d1, d2) if a and b)
near(compared["conflict_share"], sum(1 for a, b in zip(d1, d2) if a * b < 0) / moved)
near(report["base"]["norm"], math.sqrt(dot(base, base)))
assert report["base"]["max"] == max(base)
assert report["models"][0]["parameters"] == 16384
assert [row["layer"] for row in compared["layers"]] == [f"model.layers.{i}" for i in range(4)]
assert report["warnings"] == [], report["warnings"]
PY
python3 check.py .
assert_exit 0 sinter inspect base math code --base base --json --threads 3
assert_same out.txt one.json
assert_exit 0 sinter inspect math code --base base
assert_contains out.txt "cosine"
assert_contains out.txt "are pulled both up and down"

# The picture: the same bytes each time, and XML.
assert_exit 0 sinter inspect math code --base base --svg two.svg
assert_exit 0 sinter inspect math code --base base --svg again.svg
assert_same two.svg again.svg
assert_exit 0 sinter inspect math --base base --svg one.svg
python3 - <<'PY'
import xml.etree.ElementTree as tree
for name, cells in (("one.svg", 4), ("two.svg", 8)):
    root = tree.parse(name).getroot()
    paths = [p.get("style", "") for p in root.iter("{http://www.w3.org/2000/svg}path")]
    fills = {s.split("fill:")[1].split(";")[0] for s in paths if "fill:rgb" in s}
    assert len(fills) > 20, (name, len(fills))  # cells and the colour scale
PY

# What a merge would trip over.
make_model broken --seed 4 --base base --nan model.layers.1.weight
assert_exit 0 sinter inspect broken --base base
assert_contains err.txt "broken: model.layers.1.weight has 1 element that is NaN or infinite, the first is element 3"
make_model taller --seed 4 --base base --shape model.layers.2.weight
assert_exit 0 sinter inspect taller --base base
assert_contains err.txt "taller: model.layers.2.weight is 65x64, in base it is 64x64"
make_model fewer --seed 4 --tensors 3 --base base
assert_exit 0 sinter inspect fewer --base base
assert_contains err.txt "fewer lacks model.layers.3.weight, which base has"
assert_exit 0 sinter inspect base --base fewer
assert_contains err.txt "base has model.layers.3.weight, which fewer lacks"
make_model stranger --seed 9
assert_exit 0 sinter inspect stranger --base base
assert_contains err.txt "the base looks wrong. DARE fails"
cp -r base twin
assert_exit 0 sinter inspect twin math --base base
assert_contains err.txt "twin is equal to base: its task vector is zero"
assert_lacks err.txt "math"
assert_exit 0 sinter inspect twin --base base --json
assert_contains out.txt '"zero_share": 1'
python3 - <<'PY'
# all but 100 of 16,384 differences are zero
import os, shutil
shutil.copytree("base", "sparse")
with open("sparse/model.safetensors", "rb") as f:
    whole = bytearray(f.read())
with open("math/model.safetensors", "rb") as f:
    other = f.read()
whole[-400:] = other[-400:]
open("sparse/model.safetensors", "wb").write(whole)
PY
assert_exit 0 sinter inspect sparse --base base
assert_contains err.txt "% of its task vector are zero; PCB gives such a row the weight 0"

assert_exit 5 sinter inspect nowhere
assert_exit 2 sinter inspect base --svg x.svg
assert_exit 2 sinter inspect base --base base
make_model cut --seed 1 --truncate
assert_exit 1 sinter inspect cut

# From a server; what was fetched is kept.
mkdir web && cp -r base code web/
port=$(free_port)
http_server nginx "$WORK/web" "$port"
export XDG_CACHE_HOME="$WORK/cache"
assert_exit 0 sinter inspect "http://127.0.0.1:$port/code/" --base "http://127.0.0.1:$port/base/" --json
jq .compared.models[0].norm out.txt >far.txt
assert_exit 0 sinter inspect code --base base --json
jq .compared.models[0].norm out.txt >near.txt
assert_same far.txt near.txt
# Without a home they lie where one is, not where anybody may write.
env -u HOME -u XDG_CACHE_HOME sinter inspect "http://127.0.0.1:$port/base/" >out.txt
[ -n "$(find .sinter/cache -name '*.safetensors')" ]
assert_exit 5 sinter inspect "http://127.0.0.1:$port/nowhere/"

# A selection: clusters, three examples each, what was left out, and a picture.
mkdir chosen
cat >chosen/selection.json <<'JSON'
{"sinter_selection": 1, "method": "paser", "samples": 9, "kept": 8,
 "budget": 3, "selected": 3, "rejected": 6, "unspent": 0, "gap": 0.2,
 "reasons": {"budget": 3, "conflict": 2, "duplicate": 1},
 "notes": ["a note of the spectrum"],
 "clusters": [
  {"label": 0, "size": 5, "degradation": 0.125, "budget": 2, "taken": 2,
   "conflicts": 2, "share": 0.667,
   "nearest": [{"id": 4, "text": "first\nline"}, {"id": 2, "text": "b"}]},
  {"label": 1, "size": 3, "degradation": 0.0625, "budget": 1, "taken": 1,
   "conflicts": 0, "share": 0.333,
   "nearest": [{"id": 7, "text": "0123456789012345678901234567890123456789012345678901234567äöü"}]}]}
JSON
cat >chosen/rejected.jsonl <<'JSON'
{"id": 1, "reason": "conflict", "pair": ["sum", "list"], "pairs": 2}
{"id": 3, "reason": "conflict", "pair": ["sum", "list"], "pairs": 1}
{"id": 8, "reason": "duplicate", "of": 2}
JSON
cat >chosen/plane.json <<'JSON'
{"id": [0, 1, 2, 3, 4, 5, 6, 7], "x": [0, 1, 0, 1, 0.5, 3, 4, 3.5],
 "y": [0, 0, 1, 1, 0.5, 3, 3, 4], "cluster": [0, 0, 0, 0, 0, 1, 1, 1],
 "selected": [true, false, true, false, false, true, false, false]}
JSON
assert_exit 0 sinter inspect chosen --svg plane.svg
assert_contains out.txt "paser: 3 of 9 samples from 2 clusters"
assert_contains out.txt "      0        5        0.125  66.7 %       2      2          2"
assert_contains out.txt "      0       4  first line"
assert_contains out.txt "               2  b"
assert_contains out.txt "567ä..." # whole characters
assert_contains out.txt "duplicate"
assert_contains out.txt '  conflict of "sum" and "list"        2'
assert_contains err.txt "a note of the spectrum"
# Three are filled, and so are the marks of the legend.
[ "$(grep -c 'fill="rgb' plane.svg)" -ge 5 ] || [ "$(grep -c 'fill:rgb' plane.svg)" -ge 5 ]
for picture in plane.png plane.pdf; do
    assert_exit 0 sinter inspect chosen --svg $picture
    [ -s $picture ]
done
assert_exit 0 sinter inspect chosen --json
python3 - <<'PY'
import json
found = json.load(open("out.txt"))["selection"]
assert found["selected"] == 3 and len(found["clusters"]) == 2
assert found["pairs"] == [{"pair": ["sum", "list"], "samples": 2}]
PY
sed -i 's/"cluster": \[0/"cluster": [2/' chosen/plane.json
assert_exit 1 sinter inspect chosen --svg plane.svg
assert_contains err.txt "plane.json: point 0 is of none of the 2 clusters"
rm chosen/plane.json
assert_exit 1 sinter inspect chosen --svg plane.svg
assert_contains err.txt "there is no plane to draw"
echo '{"id": 1' >>chosen/rejected.jsonl
assert_exit 1 sinter inspect chosen
assert_contains err.txt "rejected.jsonl, line 4"
echo '{}' >chosen/selection.json
assert_exit 1 sinter inspect chosen
assert_contains err.txt "is no selection of a form that is known"
assert_exit 2 sinter inspect chosen base
