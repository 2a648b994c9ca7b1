#!/bin/bash
# What goes wrong ends with its exit code and a sentence.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"

cat >wrong.yaml <<'YAML'
sinter: 1
name: wrong
parameters:
  x: [1, 2]
evaluate:
  work: {builtin: nop, value: $y}
YAML
assert_exit 3 sinter check wrong.yaml
assert_contains err.txt "wrong.yaml:6:"
assert_contains err.txt "did you mean"
assert_exit 3 sinter run wrong.yaml
assert_contains err.txt "nothing was started"
assert_exit 3 sinter submit wrong.yaml
assert_exit 3 sinter plan wrong.yaml
assert_exit 3 sinter --json check wrong.yaml
assert_contains out.txt '"schema": "sinter.check/1"'
assert_exit 3 sinter --json run wrong.yaml
assert_contains err.txt '{"error":{'
[ ! -e .sinter ] || fail "a wrong file leaves nothing behind"

assert_exit 1 sinter check missing.yaml
assert_contains err.txt missing.yaml
assert_exit 2 sinter run
assert_exit 2 sinter rnu x.yaml
assert_contains err.txt "did you mean"
assert_exit 2 sinter trials --colums id
assert_exit 6 sinter ls -b "ipc://$WORK/nobody" --timeout 500ms
assert_contains err.txt "no broker answers"
assert_exit 2 sinter ls -b http://127.0.0.1:7422
assert_contains err.txt "http://127.0.0.1:7422 is no address of a broker"

failing_sweep failing.yaml failing
assert_exit 7 sinter run failing.yaml --workers 1
assert_contains err.txt 'noop was told to fail with "failed"'
assert_exit 0 sinter status failing
assert_contains out.txt 'noop was told to fail'
trial=$(sinter trials failing --state failed -o ids | head -n 1)
assert_exit 0 sinter logs "$trial"
assert_contains out.txt 'failed: '
assert_contains out.txt 'noop was told to fail'
assert_exit 0 sinter retry failing --failed
assert_contains err.txt "1 trial of failing tried again"
assert_exit 0 sinter retry "$trial"
assert_contains err.txt "none of these trials of failing has failed"
assert_exit 7 sinter run failing.yaml --workers 1

# Two runs in one directory: the second says who has it.
noop_sweep slow.yaml slow 40 200ms
start first sinter run slow.yaml --workers 1
wait_until 20 "the first run" test -s .sinter/broker.json
assert_exit 1 sinter run slow.yaml
assert_contains err.txt "in use by: sinter run slow.yaml"
wait_until 5 "the address of the page" grep -q "while it runs: http://127" first.log
curl -sS "$(grep -o 'http://[0-9.:]*' first.log)/api/v1/sweeps" >page.json
assert_contains page.json '"slow"'
assert_exit 0 sinter status slow
assert_contains out.txt "slow"
stop first INT
assert_equal "exit of an interrupted run" "$STATUS" 130

# A directory that cannot be written is said before anything is computed.
if [ "$(id -u)" -ne 0 ]; then
    mkdir closed && chmod 0500 closed
    (cd closed && assert_exit 1 sinter run ../slow.yaml) || fail "closed directory"
fi
