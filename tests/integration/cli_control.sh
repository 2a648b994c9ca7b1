#!/bin/bash
# Orders from the command line against a farm of separate programs: each said
# twice, and still true after the broker was killed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"

broker farm
worker w1
export SINTER_BROKER=$CLIENTS
HTTP_PORT=$HTTP

one_worker() { [ "$(sinter -q workers | wc -l)" = 1 ]; }
wait_until 20 "the worker" one_worker

# what NAME: of the status document
what() { sinter status "$1" --json | sed -n "s/.*\"$2\": *\"\{0,1\}\([^,\"}]*\).*/\1/p" | head -n 1; }
running_none() { [ "$(what "$1" running)" = 0 ]; }

# pause, resume
noop_sweep demo.yaml demo 40 50ms
id=$(sinter submit demo.yaml 2>/dev/null)
assert_exit 0 sinter pause demo
assert_contains err.txt "is paused"
assert_exit 0 sinter pause "$id" --json
assert_contains out.txt '"schema":"sinter.pause/1"'
wait_until 20 "what ran" running_none demo
done_then=$(what demo "done")
assert_exit 0 sinter ls
assert_contains out.txt paused
assert_exit 0 sinter why demo
assert_contains out.txt "is paused; \`sinter resume"
stop farm KILL
HTTP=$HTTP_PORT broker farm
wait_until 20 "the worker" one_worker
assert_equal "done while paused" "$(what demo "done")" "$done_then"
assert_exit 0 sinter status demo
assert_contains out.txt paused
assert_exit 0 sinter priority demo 7 --weight 2
assert_contains err.txt "has priority 7, weight 2"
assert_exit 0 sinter priority demo 7 --weight 2
assert_exit 1 sinter priority demo 1000
assert_contains err.txt "-100 to 100"
assert_exit 2 sinter pause demo/3
assert_contains err.txt "paused as a whole"
# Submitted again it stays so, and whoever waits for it is told.
assert_exit 0 sinter submit demo.yaml
assert_contains err.txt "was submitted before and is paused; \`sinter resume $id"
start waiting sinter -q submit demo.yaml --wait
wait_until 20 "a word about the pause" grep -q "warning: demo is paused" waiting.log
assert_exit 0 sinter resume demo
assert_exit 0 sinter resume demo

# cordon, drain, uncordon
assert_exit 0 sinter workers --cordon w1
wait_until 20 "the last job" running_none demo
assert_exit 0 sinter workers
assert_contains out.txt cordoned
assert_exit 0 sinter why w1
assert_contains out.txt "it is cordoned"
assert_exit 0 sinter why demo
assert_contains out.txt "cordoned or drains"
stop farm KILL
HTTP=$HTTP_PORT broker farm
wait_until 20 "the worker" one_worker
assert_exit 0 sinter workers
assert_contains out.txt cordoned
assert_exit 5 sinter workers --drain nobody
assert_contains err.txt "no worker \"nobody\""
assert_exit 0 sinter workers --drain w1
assert_exit 0 sinter workers --uncordon w1
assert_exit 0 sinter watch demo
await waiting
assert_equal "exit of the one that waited" "$STATUS" 0
assert_exit 0 sinter submit demo.yaml
assert_contains err.txt "was submitted before and is done"
assert_equal "done" "$(what demo "done")" 40

# extend
cat >search.yaml <<YAML
sinter: 1
name: search
parameters:
  x: {min: 0, max: 1}
strategy: {method: random, trials: 3, seed: 1}
evaluate:
  work: {builtin: noop, value: \$x}
objective: {metric: work.value, goal: maximize}
YAML
assert_exit 0 sinter submit search.yaml --wait
sinter trials search -o csv --columns id,x >three.csv
assert_exit 2 sinter extend search
assert_exit 0 sinter extend search --trials 2
assert_contains err.txt "goes on to 5 trials"
assert_exit 0 sinter watch search
assert_equal "trials" "$(what search "done")" 5
sinter trials search -o csv --columns id,x | head -n 4 >again.csv
assert_same three.csv again.csv

# why: a trial, done and failed
assert_exit 0 sinter why search/2
assert_contains out.txt "#2 is done."
failing_sweep bad.yaml bad
assert_exit 7 sinter submit bad.yaml --wait
failed=$(sinter trials bad --state failed -q | head -n 1)
assert_exit 0 sinter why "$failed"
assert_contains out.txt "Not tried again: the same inputs give the same result."
assert_exit 0 sinter why bad --json
assert_contains out.txt '"code": "ended_failed"'
assert_exit 5 sinter why nobody
assert_contains err.txt 'no worker "nobody"'

# dead letters, and another try
assert_exit 0 sinter trials bad --failed
assert_contains out.txt "work"
assert_contains out.txt "told to fail"
assert_exit 0 sinter retry --failed bad
assert_contains err.txt "1 trial of bad tried again"
assert_exit 7 sinter watch bad

# rm
assert_exit 0 sinter submit demo.yaml --wait
assert_exit 0 sinter rm demo search
assert_exit 5 sinter status demo
assert_exit 5 sinter rm demo
noop_sweep demo.yaml demo 40 50ms
assert_exit 0 sinter submit demo.yaml --wait
assert_equal "known again" "$(sinter status demo --json | sed -n 's/.*"known": *\([0-9]*\).*/\1/p')" 40

stop w1
stop farm
assert_equal "exit of a stopped broker" "$STATUS" 0
