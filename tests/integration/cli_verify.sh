#!/bin/bash
# A trial computed again: equal on a farm and here; a result that was changed
# behind our back is found.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/mini.sh"

mini_begin >mini.yaml
cat >>mini.yaml <<'YAML'
parameters: {lambda: [0.3, 1.0]}
evaluate:
  rev: {builtin: accuracy, data: {builtin: tasks, task: reverse, split: test, items: 64}}
  size: {command: [python3, ./size.py, "${model_dir}"], read: {stdout: {bytes: 'bytes: ([0-9]+)'}}}
  sum: {expr: rev.loss + size.bytes}
objective: {metric: rev.loss, goal: minimize}
YAML
cat >size.py <<'PY'
import os, sys
d = sys.argv[1]
print("bytes:", sum(os.path.getsize(os.path.join(d, f)) for f in os.listdir(d)))
PY

# On a farm of two workers.
broker farm
worker w1 --allow-command python3
worker w2 --allow-command python3
export SINTER_BROKER=$CLIENTS
assert_exit 0 sinter submit mini.yaml --watch
assert_exit 0 sinter verify mini/1
for row in 'base *artifact' 'one *artifact' 'rev *loss' 'rev *scores' 'size *bytes'; do
    grep -Eq "^ $row .* same$" out.txt || fail "no '$row': $(cat out.txt)"
done
grep -Eq '^ mix *model_digest *- .* new$' out.txt || fail "$(cat out.txt)"
assert_contains err.txt "is what it was"
assert_contains err.txt "1 could not be compared"
assert_exit 0 sinter export mini/1 -o kept
assert_exit 0 sinter verify mini/1 --stage mix
grep -Eq '^ mix *model_digest .* same$' out.txt || fail "$(cat out.txt)"
assert_exit 0 sinter verify mini/best --json
assert_contains out.txt '"equal": true'
assert_exit 5 sinter verify mini/1 --stage nothing
assert_exit 5 sinter verify mini/9
assert_exit 0 sinter ls
assert_lacks out.txt mini-verify

# What the farm says, computed here from nothing.
assert_exit 0 sinter verify mini/2 --local
assert_contains err.txt "is what it was"
[ -z "$(ls -d /tmp/sinter-verify-* 2>/dev/null)" ] || fail "files were left"
for name in w1 w2 farm; do stop "$name"; done
unset SINTER_BROKER

# In the state of `sinter run`; then with another number in its store.
assert_exit 0 sinter run mini.yaml --workers 1
assert_exit 0 sinter verify mini/1
assert_contains err.txt "is what it was"
cat >tamper.py <<'PY'
import re, sqlite3, sys
store = sqlite3.connect(".sinter/sinter.db")
changed = 0
for table in "entries", "piece":
    for row, data in store.execute("SELECT id, data FROM %s" % table).fetchall():
        # a digit of the loss of every evaluation; lengths stay
        new = re.sub(rb'("accuracy":[^}]*"loss":[0-9]\.[0-9]{3})([0-9])',
                     lambda m: m[1] + b"%d" % ((int(m[2]) + 1) % 10), data)
        if new != data and b"evaluate.accuracy" in data:
            store.execute("UPDATE %s SET data = ? WHERE id = ?" % table, (new, row))
            changed += 1
store.commit()
sys.exit(0 if changed else 1)
PY
python3 tamper.py
assert_exit 9 sinter verify mini/1
grep -Eq '^ rev *loss *4\.[0-9]+ *4\.[0-9]+ *differs$' out.txt || fail "$(cat out.txt)"
grep -Eq '^ rev *scores .* same$' out.txt || fail "$(cat out.txt)"
assert_contains err.txt "is not what it was: 1 of"
assert_exit 9 sinter verify mini/1 --json
assert_contains out.txt '"equal": false'
assert_exit 0 sinter verify mini/1 --stage base

