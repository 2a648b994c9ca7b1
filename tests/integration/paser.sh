#!/bin/bash
# The example with one seed: what is rare and damaged most comes back with data
# chosen by the damage, more of it than with as much data drawn at random; and
# a look at what was chosen.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

assert_exit 0 sinter init paser
cp out.txt paser.yaml
sed -i 's/budget: \[0.04, 0.1, 0.2, 1\]/budget: [0.1, 1]/' paser.yaml
assert_exit 0 sinter run paser.yaml --workers 2 --set replicates=1
cat out.txt
assert_contains paser.md "| case |"
python3 - <<'PY'
import csv
rows = {(r["case"], r["budget"]): r for r in csv.DictReader(open("paser.csv"))}
back = lambda case, budget: float(rows[case, budget]["back.value"])
add = lambda case, budget: float(rows[case, budget]["add.accuracy"])
assert back("none", "") == 0.0
for case in ("random", "topjsd", "paser"):
    assert back(case, "1") > 0.3, (case, back(case, "1"))
for case in ("topjsd", "paser"):
    assert back(case, "0.1") > back("random", "0.1") + 0.05, (case, back(case, "0.1"))
    assert add(case, "0.1") > add("random", "0.1"), (case, add(case, "0.1"))
PY

trial=$(sinter trials @last --json | jq '[.trials[] | select(.values.case == "paser")][0].trial')
assert_exit 0 sinter inspect "@last/$trial" --svg plane.svg
assert_contains out.txt "paser: "
assert_contains out.txt "degradation"
[ -s plane.svg ]
