#!/bin/bash
# The page and what it reads, from a real broker: the assets with their types
# and a policy that allows nothing from elsewhere, the sweeps as JSON.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"

broker farm
worker w1
noop_sweep sweep.yaml seen 3 0
SINTER_BROKER=$CLIENTS assert_exit 0 sinter submit --wait sweep.yaml

base=http://127.0.0.1:$HTTP
for asset in / /app.js /style.css; do
    curl -sS -D head.txt -o body.txt "$base$asset"
    grep -q '^HTTP/1.1 200' head.txt || fail "$asset: $(head -n 1 head.txt)"
    assert_contains head.txt "Content-Security-Policy: default-src 'self'"
    [ -s body.txt ] || fail "$asset is empty"
done
curl -sS -o /dev/null -w '%{http_code}' "$base/nothing.js" >code.txt
assert_equal "an unknown asset" "$(cat code.txt)" 404

curl -sS "$base/api/v1/sweeps" >sweeps.json
id=$(jq -r '.sweeps[] | select(.name == "seen") | .id' sweeps.json)
assert_equal "state" "$(curl -sS "$base/api/v1/sweeps/$id" | jq -r .state)" "done"
assert_equal "trials" \
    "$(curl -sS "$base/api/v1/sweeps/$id/trials" | jq '[.trials[] | select(.state == "done")] | length')" 3
# Numbers in the fewest digits that read back.
cat >tenth.yaml <<'YAML'
sinter: 1
name: tenth
evaluate:
  work: {builtin: noop, value: 0.1}
YAML
SINTER_BROKER=$CLIENTS assert_exit 0 sinter submit --wait tenth.yaml
curl -sS "$base/api/v1/sweeps/$(cat out.txt)/trials" >tenth.json
assert_contains tenth.json '"work.value":0.1}'
curl -sS "$base/metrics" >metrics.txt
assert_contains metrics.txt sinter_

# The map of a phase sweep: the page has the numbers of phase.csv and regime
# borders where two cells differ, also with limits of one's own.
cat >map.yaml <<'YAML'
sinter: 1
name: map
stages:
  base: {train: {init: {architecture: mlp, sizes: [64, 8, 10]}, data: {builtin: teacher10k, split: train}, steps: 2, batch: 8, seed: $seed}}
parameters: {batch: [16, 64, 256], density: [0.03, 0.08, 0.4]}
derive:
  t: 0.05 + if(density < 0.1, 0.02, -0.002) * log(batch / 16)
  l: if(density < 0.1, -0.06 * log(batch / 16), 0.001)
  c: 0.9 + 0.14 * density
  h: 1 / batch
replicates: 2
evaluate:
  some: {builtin: error, data: {builtin: teacher10k, split: test, items: 50}}
  about: {builtin: noop, value: $t}
  test: {expr: about.value + some.error / 100}
  dense: {builtin: noop, value: $h}
  lmc: {builtin: noop, across: replicates, value: $l}
  cka: {builtin: noop, across: replicates, value: $c}
objective: {metric: test.value, goal: minimize}
report: {phase: {x: density, y: batch, maps: [test.value, lmc.value, cka.value], dense: dense.value, files: [phase.svg, phase.csv]}}
YAML
SINTER_BROKER=$CLIENTS assert_exit 0 sinter submit --wait map.yaml
id=$(cat out.txt)
SINTER_BROKER=$CLIENTS assert_exit 0 sinter report "$id" -o .
if ! command -v chromium >/dev/null; then
    echo "chromium is not installed: nobody has looked at the page"
    exit 0
fi
look() { # FILE ADDRESS
    timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --user-data-dir="$WORK/chromium" --virtual-time-budget=3000 --dump-dom "$base/#$2" >"$1" 2>chromium.log ||
        fail "chromium: $(tail -n 3 chromium.log)"
}
failing_sweep failing.yaml failing
SINTER_BROKER=$CLIENTS assert_exit 7 sinter submit --wait failing.yaml
look failing.html "$(cat out.txt)"
look page.html "$id"
look moved.html "$id?lmc=0.1&cka=0.95"
python3 - <<'PY'
import csv, html, re, urllib.parse
import xml.etree.ElementTree as tree

def saved(page, name):
    href = re.search(r'download="%s" href="data:[^,]*,([^"]*)"' % name, page)
    return urllib.parse.unquote(html.unescape(href.group(1)))

def read(text):
    return list(csv.DictReader(text.splitlines()))

def label(row, lmc, cka):
    return "I" if float(row["lmc"]) < -lmc else "II-A" if float(row["cka"]) < cka else "II-B"

def borders(rows):
    names = [row["regime"] for row in rows]
    beside = sum(names[i] != names[i - 1] for i in range(9) if i % 3 > 0)
    return beside + sum(names[i] != names[i - 3] for i in range(3, 9))

# The best first, and what has no number last; what failed says why.
rows = re.findall("<tr[^>]*><td>#.*?</tr>", open("failing.html").read())
assert len(rows) == 2 and "done" in rows[0] and "failed: noop was told" in rows[1], rows

page, moved = open("page.html").read(), open("moved.html").read()
ours, shown, other = read(open("phase.csv").read()), read(saved(page, "phase.csv")), read(saved(moved, "phase.csv"))
assert len(ours) == len(shown) == len(other) == 9
for a, b, c in zip(ours, shown, other):
    assert (a["temperature"], a["load"], a["regime"]) == (b["temperature"], b["load"], b["regime"]), (a, b)
    for name in ("error", "error_minus_best", "lmc", "cka"):
        assert abs(float(a[name]) - float(b[name])) < 1e-11 and b[name] == c[name], (a, b, c)
    assert c["regime"] == label(c, 0.1, 0.95), c
assert {row["regime"] for row in ours} == {"I", "II-A"} and {row["regime"] for row in other} == {"I", "II-A", "II-B"}
for text, rows in (page, shown), (moved, other):
    drawn = tree.fromstring(saved(text, "phase.svg"))
    paths = [p.get("d") for p in drawn.iter("{http://www.w3.org/2000/svg}path") if p.get("class") == "border"]
    assert len(paths) == 8 and {d.count("M") for d in paths} == {borders(rows)}, (paths, borders(rows))
    texts = [t.text for t in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.index("16") < texts.index("64") < texts.index("256"), texts # the hot end on top
assert "at batch 64" in page and "raise" in page
assert re.search('id="crumb">map s-', page) and "<title>map - sinter</title>" in page
PY
