# shellcheck shell=bash
# noop.sh -- sweep files whose jobs do nothing but take time.

# noop_sweep FILE NAME POINTS SLEEP
noop_sweep() {
    cat >"$1" <<YAML
sinter: 1
name: $2
parameters:
  x: {from: 1, to: $3, count: $3}
evaluate:
  work: {builtin: noop, value: \$x, sleep: $4}
objective: {metric: work.value, goal: maximize}
YAML
}

# failing_sweep FILE NAME: two trials, one of which fails for good
failing_sweep() {
    cat >"$1" <<YAML
sinter: 1
name: $2
parameters:
  how: ["", failed]
evaluate:
  work: {builtin: noop, value: 3, fail: \$how}
objective: {metric: work.value, goal: maximize}
limits: {failures: 0}
YAML
}
