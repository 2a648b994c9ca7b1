#!/bin/bash
# The farm of overlays/dev on a real cluster of one node, as docs/kubernetes.md
# tells it: while a sweep runs, pods of workers, broker and Redis are deleted
# and killed, programs are replaced by those of the next version, and the number
# of workers changes. Its table is that of a run on this machine. Then what is
# set up wrongly is seen with kubectl. Run by hand: it takes some ten minutes.
#
#   cluster.sh PROGRAMS STATE KUBERNETES TOOLS   TOOLS has next/, chaos_history
set -euo pipefail
. "$(dirname "$0")/kubernetes.sh" "$@"
. "$SOURCE/tests/integration/noop.sh"
tools=$(cd "$4" && pwd)

POINTS=6000
began=$SECONDS
say() { printf '%4d s  %s\n' $((SECONDS - began)) "$*"; }

# ---- images, and two volumes

have $IMAGE || sinter_image
servers
docker tag $SERVERS redis:7-bookworm
printf 'FROM %s\nCOPY sinter-broker sinter-worker /usr/local/bin/\n' $IMAGE >next.Dockerfile
docker build -q -f next.Dockerfile -t sinter:next "$tools/next" >build.log 2>&1 ||
    fail "no next version: $(tail -n 3 build.log)"
volume depot 2Gi
volume redis 1Gi

# ---- the farm, of which an API before 1.21 has one object by an older name

render() { # as cluster.yaml; the history wants all that was logged
    mkdir -p farm
    kubectl kustomize "$SOURCE/deploy/k8s/overlays/dev" >farm/dev.yaml || fail "overlays/dev"
    kubectl api-versions | grep -qx policy/v1 || sed -i 's:policy/v1$:policy/v1beta1:; /unhealthyPodEvictionPolicy/d' farm/dev.yaml
    cat >farm/kustomization.yaml <<'YAML'
resources: [dev.yaml]
patches:
  - target: {kind: Deployment, name: sinter-broker}
    patch: |
      - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: SINTER_SNAPSHOT, value: "0"}}
  - target: {kind: Deployment, name: sinter-worker}
    patch: |
      - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: SINTER_LOG, value: debug}}
YAML
    kubectl kustomize farm >cluster.yaml
}
cli() { timeout "${LIMIT:-600}" kubectl exec -i deploy/sinter-client -- sinter "$@" 2>>cli.log; }
pods() { kubectl get pods --no-headers -l "app.kubernetes.io/name=sinter-$1"; }
first() { pods "$1" | awk '$3 == "Running" { print $1; exit }'; }
ready() { # WHAT COUNT: so many pods, all ready
    [ "$(pods "$1" | grep -c .)" = "$2" ] && [ "$(pods "$1" | grep -cE ' 1/1 +Running ')" = "$2" ]
}
workers() { [ "$(LIMIT=20 cli -q workers | grep -c .)" = "$1" ]; }
image_of() { # WHAT TAG: all run it
    ! kubectl get pods -l "app.kubernetes.io/name=sinter-$1" \
        -o 'jsonpath={range .items[*]}{.spec.containers[0].image}{"\n"}{end}' | grep -vx "sinter:$2"
}
kill_in() { # WHAT: process 1 of its first pod
    docker kill -s KILL "$(docker ps -q --filter "name=k8s_${1}_sinter-$1" | head -n 1)" >/dev/null
}

SINTER=$BIN/sinter "$SOURCE/deploy/secrets.sh" secrets 2>secrets.log || fail "$(cat secrets.log)"
"$SOURCE/deploy/secrets.sh" secrets kubernetes >secrets.yaml
kubectl apply -f secrets.yaml >/dev/null
render
say "apply"
kubectl apply -f cluster.yaml >apply.log 2>&1 || fail "apply: $(cat apply.log)"
for part in redis broker worker client; do
    wait_until 180 "a ready $part" ready $part 1
    say "$part is ready"
done

# What workers are told is committed, for the history.
follow() {
    local pod
    mkdir -p logs
    while :; do
        for pod in $(pods worker | awk '$3 == "Running" { print $1 }'); do
            [ -e "logs/$pod" ] || kubectl logs -f "$pod" >"logs/$pod" 2>/dev/null &
        done
        read -r -t 1 <> <(:) || true
    done
}
start follow follow

# ---- the quickstart

say "quickstart"
cli submit --watch - <"$SOURCE/examples/quickstart.yaml" >quickstart.txt ||
    fail "quickstart: $(cat quickstart.txt cli.log)"
say "quickstart has ended"
same() { # SWEEP FILE TRIALS COLUMNS: the table of a run on this machine
    cli trials "$1" -o csv --columns "$4" >"$1.farm"
    sinter --home local run "$2" >run.log 2>&1 || fail "run here: $(tail -n 3 run.log)"
    sinter --home local trials "$1" -o csv --columns "$4" >"$1.here"
    assert_equal "trials of $1" "$(grep -c ',done,' "$1.farm")" "$3"
    assert_same "$1.farm" "$1.here"
}
same quickstart "$SOURCE/examples/quickstart.yaml" 141 'id,state,case,*.*'

# ---- a sweep, and what happens meanwhile

noop_sweep kills.yaml kills $POINTS 300ms
done_of() { LIMIT=20 cli --json status kills | jq .done; }
beyond() { local n; n=$(done_of) && [ "${n:-0}" -ge "$1" ]; }
meanwhile() { # WHAT COMMAND...: and how long it and twenty results more take
    local before at
    before=$(done_of)
    at=$SECONDS
    say "$1, at $before results"
    "${@:2}" >>meanwhile.log 2>&1 || fail "$1: $(tail -n 3 meanwhile.log)"
    wait_until 120 "results after: $1" beyond $((before + 20))
    say "... 20 more after $((SECONDS - at)) s"
}
scale() { kubectl scale deployment/sinter-worker --replicas "$1"; }
delete() { kubectl delete pod "$(first "$1")" --wait=false; }
update() { # WHAT TAG
    kubectl set image "deployment/sinter-$1" "$1=sinter:$2" &&
        kubectl rollout status "deployment/sinter-$1" --timeout 300s
}
settled() { # WHAT COUNT
    wait_until 180 "$2 ready pods of $1" ready "$1" "$2"
    say "... all of $1 are ready"
}

scale 2 >/dev/null
settled worker 2
wait_until 60 "two workers" workers 2
cli submit - <kills.yaml >accepted || fail "submit: $(tail -n 5 cli.log)"
wait_until 60 "some results" beyond 20
meanwhile "a worker's pod is deleted" delete worker
settled worker 2
meanwhile "a worker is killed" kill_in worker
settled worker 2
meanwhile "the broker's pod is deleted" delete broker
settled broker 1
meanwhile "the broker is killed" kill_in broker
settled broker 1
meanwhile "the pod of Redis is deleted" delete redis
settled redis 1
meanwhile "Redis is killed" kill_in redis
settled redis 1
meanwhile "one worker" scale 1
settled worker 1
meanwhile "three workers" scale 3
settled worker 3
meanwhile "the next version of the broker" update broker next
wait_until 60 "nothing but the next version" image_of broker next
meanwhile "the next version of the workers" update worker next
wait_until 180 "nothing but the next version" image_of worker next
meanwhile "the older broker again" update broker local
say "at $(done_of) results"
cli submit --wait - <kills.yaml >/dev/null || fail "the end: $(tail -n 5 cli.log)"
say "the sweep has ended"
noop_sweep kills.yaml kills $POINTS 0ms # here it need not take as long
same kills kills.yaml $POINTS id,state,work.value

# ---- results have one story

kubectl scale deployment/sinter-broker --replicas 0 >/dev/null
wait_until 60 "no broker" ready broker 0
stop follow KILL
sed -n 's/.*"committed" key=\([0-9a-f]*\) epoch=\([0-9]*\) attempt=\([0-9]*\).*/\1 \2 \3/p' \
    logs/* >committed
[ -s committed ] || fail "no worker says what was committed"
store=$(kubectl get pod sinter-redis-0 -o 'jsonpath={.status.podIP}')
"$tools/chaos_history" "redis://sinter:$(cat secrets/redis-password)@$store:6379" sinter \
    accepted committed || fail "a promise was broken"

kubectl scale deployment/sinter-broker --replicas 1 >/dev/null
kubectl scale deployment/sinter-worker --replicas 1 >/dev/null
settled broker 1

# ---- nodes that are for workers only

kubectl label node node1 sinter-pool=workers >/dev/null
kubectl taint node node1 sinter-pool=workers:NoSchedule >/dev/null
sed '/^ *containers:/,$d' "$SOURCE/deploy/k8s/overlays/prod/worker.yaml" >pool.yaml
kubectl patch deployment sinter-worker --patch-file pool.yaml >/dev/null
kubectl rollout status deployment/sinter-worker --timeout 180s >/dev/null ||
    fail "no worker on a node for workers: $(pods worker)"
kubectl taint node node1 sinter-pool- >/dev/null
say "a worker is on a node that is for workers only"

# ---- what is set up wrongly, as kubectl shows it

shown() { kubectl get pods -l "app.kubernetes.io/name=sinter-$1" | sed 's/^/        /'; }
logged() { # WHAT WORDS: the sentence, of whichever pod or run of it
    local pod
    for pod in $(pods "$1" | awk '{ print $1 }'); do
        { kubectl logs "$pod" || true; kubectl logs -p "$pod" || true; } >said 2>/dev/null
        grep -m 1 -F -- "$2" said && return
    done
    return 1
}
seen() { # WHAT WORDS
    wait_until 120 "'$2' of $1" logged "$1" "$2"
    logged "$1" "$2" | sed 's/^/        /'
    shown "$1"
}
restarts() { pods "$1" | awk -v most="$2" '$4 >= most' | grep -q .; }
aof() { # yes or no
    kubectl patch statefulset sinter-redis --type json -p "[{op: replace, value: '$1',
        path: /spec/template/spec/containers/0/args/8}]" >/dev/null
    kubectl rollout status statefulset/sinter-redis --timeout 120s >/dev/null
}

say "a Redis without AOF"
kubectl scale deployment/sinter-broker --replicas 0 >/dev/null
wait_until 60 "no broker" ready broker 0
aof no
kubectl scale deployment/sinter-broker --replicas 1 >/dev/null
wait_until 120 "a broker that is restarted" restarts broker 1
seen broker appendonly
aof yes
kubectl delete pod -l app.kubernetes.io/name=sinter-broker >/dev/null
settled broker 1

say "two brokers"
kubectl patch deployment sinter-broker --patch-file "$SOURCE/deploy/k8s/overlays/ha/broker.yaml" >/dev/null
settled broker 2
seen broker standby
kubectl scale deployment/sinter-broker --replicas 1 >/dev/null

say "keys and a password that are not allowed"
SINTER=$BIN/sinter "$SOURCE/deploy/secrets.sh" others 2>secrets.log || fail "$(cat secrets.log)"
strange() { # FILE...: these are of another farm
    rm -rf mixed
    cp -r secrets mixed
    for file; do cp "others/$file" "mixed/$file"; done
    "$SOURCE/deploy/secrets.sh" mixed kubernetes | kubectl apply -f - >/dev/null
}
wait_until 60 "one broker" ready broker 1
strange worker.key
kubectl rollout restart deployment/sinter-worker >/dev/null
! kubectl rollout status deployment/sinter-worker --timeout 30s >/dev/null 2>&1 ||
    fail "workers that no broker lets in have replaced those it knows"
seen worker "not let in"
strange
kubectl rollout restart deployment/sinter-worker >/dev/null
kubectl rollout status deployment/sinter-worker --timeout 180s >/dev/null || fail "workers"
strange redis-password
kubectl delete pod -l app.kubernetes.io/name=sinter-broker >/dev/null
wait_until 120 "a broker that is restarted" restarts broker 1
seen broker WRONGPASS

say "no Secret"
kubectl delete secret sinter-broker >/dev/null
kubectl delete pod -l app.kubernetes.io/name=sinter-broker >/dev/null
named() { kubectl get events --field-selector reason=FailedMount | grep -F 'sinter-broker" not found'; }
wait_until 120 "an event that names the Secret" named
named | tail -n 1 | sed 's/^/        /'
shown broker
strange
settled broker 1
wait_until 60 "the worker" workers 1
say "the end"
