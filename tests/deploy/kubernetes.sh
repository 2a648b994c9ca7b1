# shellcheck shell=bash
# kubernetes.sh -- for scripts that want a cluster: one node, in the namespaces
# of engine.sh, so that nothing of it is left either.
#
#   set -euo pipefail
#   . "$(dirname "$0")/kubernetes.sh" "$@"     # PROGRAMS STATE KUBERNETES
#
# KUBERNETES is a folder with kube-apiserver, kube-controller-manager,
# kube-scheduler, kubelet, kube-proxy and etcd: docs/kubernetes.md builds them.

KUBERNETES=${3:?usage: $0 PROGRAMS STATE KUBERNETES}
for program in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do
    [ -x "$KUBERNETES/$program" ] || { echo "SKIPPED: no $KUBERNETES/$program"; exit 77; }
done
for program in kubectl jq python3 runc; do
    command -v $program >/dev/null || { echo "SKIPPED: no $program here"; exit 77; }
done
KUBERNETES=$(cd "$KUBERNETES" && pwd)

# The kubelet wants sandboxes that are killed last, which not every machine
# lets root have.
if [ -z "${SINTER_TEST_ALONE:-}" ]; then
    mkdir -p "$2/bin"
    cat >"$2/bin/runc" <<RUNC
#!/bin/sh
before=
for argument; do
    [ "\$before" != --bundle ] || [ ! -e "\$argument/config.json" ] ||
        sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "\$argument/config.json"
    before=\$argument
done
exec $(command -v runc) "\$@"
RUNC
    chmod +x "$2/bin/runc"
    PATH=$(cd "$2/bin" && pwd):$PATH
    export PATH
fi
. "$(dirname "${BASH_SOURCE[0]}")/engine.sh" "$@"

# ---- what is mounted for pods goes before the folder does

cluster_stop() {
    local status=$? name
    trap - EXIT
    for name in kubelet controllers scheduler proxy-rules api names etcd; do
        if [ -n "${PID[$name]:-}" ]; then stop $name KILL; fi
    done
    docker ps -aq | xargs -r docker rm -fv >/dev/null 2>&1 || true
    while read -r place; do
        umount "$place" 2>/dev/null || true
    done < <(awk -v under="$WORK/" 'index($5, under) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
    (exit "$status") || engine_stop
    engine_stop
}
trap cluster_stop EXIT

# ---- the control plane

API=https://127.0.0.1:6443
TOKEN=cluster
GATEWAY=$(docker network inspect bridge -f '{{(index .IPAM.Config 0).Gateway}}')
PODS=$(docker network inspect bridge -f '{{(index .IPAM.Config 0).Subnet}}')
SERVICES=10.96.0.0/24
export KUBECONFIG=$WORK/kubeconfig
cat >"$KUBECONFIG" <<YAML
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: here, cluster: {server: "$API", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: $TOKEN}}]
contexts: [{name: here, context: {cluster: here, user: admin}}]
YAML
echo "$TOKEN,admin,1,\"system:masters\"" >tokens.csv
openssl genrsa -out accounts.key 2048 2>/dev/null
mkdir etcd plugins tunables
mount -t tmpfs none /var/log # of the kubelet, which has no other place
mount -t tmpfs none "$WORK/etcd"
# Before the rules of the Services are there nothing may be sent to them.
ip route add blackhole $SERVICES
start etcd "$KUBERNETES/etcd" --data-dir etcd/data
start api "$KUBERNETES/kube-apiserver" --etcd-servers http://127.0.0.1:2379 \
    --bind-address 127.0.0.1 --secure-port 6443 --cert-dir certificates \
    --service-cluster-ip-range $SERVICES --endpoint-reconciler-type none \
    --advertise-address 127.0.0.1 --service-account-issuer "$API" \
    --service-account-signing-key-file accounts.key --service-account-key-file accounts.key \
    --token-auth-file tokens.csv --authorization-mode RBAC --allow-privileged \
    --kubelet-preferred-address-types InternalIP
wait_until 60 "the API" kubectl get --raw /readyz
start controllers "$KUBERNETES/kube-controller-manager" --kubeconfig "$KUBECONFIG" --port 0 \
    --bind-address 127.0.0.1 --cert-dir certificates.controllers --leader-elect=false \
    --service-account-private-key-file accounts.key \
    --controllers '*,-nodeipam,-cloud-node-lifecycle,-route'
start scheduler "$KUBERNETES/kube-scheduler" --kubeconfig "$KUBECONFIG" --port 0 \
    --bind-address 127.0.0.1 --cert-dir certificates.scheduler --leader-elect=false
start names python3 "$SOURCE/tests/deploy/names.py" "$GATEWAY" "$API" "$TOKEN"

# ---- the node; what it would set of the kernel it finds set

while read -r name value; do
    echo "$value" >"tunables/${name//\//.}"
    mount --bind "tunables/${name//\//.}" "/proc/sys/$name"
done <<'SET'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SET

cat >kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $GATEWAY
readOnlyPort: 0
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
clusterDNS: [$GATEWAY]
clusterDomain: cluster.local
resolvConf: ""
volumePluginDir: $WORK/plugins
featureGates: {DevicePlugins: false} # they would be in /var/lib
YAML
base
printf 'FROM %s\nENTRYPOINT ["sh", "-c", "trap exit TERM; sleep infinity & wait"]\n' $BASE |
    docker build -q -t localhost/pause - >build.log 2>&1
start kubelet "$KUBERNETES/kubelet" --config kubelet.yaml --kubeconfig "$KUBECONFIG" \
    --hostname-override node1 --node-ip "$GATEWAY" --docker-endpoint "$DOCKER_HOST" \
    --pod-infra-container-image localhost/pause --root-dir "$WORK/kubelet" \
    --experimental-dockershim-root-directory "$WORK/dockershim" \
    --container-runtime-endpoint "unix://$WORK/dockershim.sock" \
    --cert-dir "$WORK/certificates.kubelet"
start proxy-rules "$KUBERNETES/kube-proxy" --kubeconfig "$KUBECONFIG" --hostname-override node1 \
    --proxy-mode iptables --bind-address 127.0.0.1 --cluster-cidr "$PODS" \
    --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 \
    --conntrack-tcp-timeout-close-wait 0
wait_until 60 "the account of pods" kubectl get serviceaccount default
wait_until 120 "the node" kubectl wait --for=condition=Ready node/node1 --timeout=1s

# volume NAME SIZE: of this node's disk, empty, root's
volume() {
    mkdir -p "$WORK/volumes/$1"
    kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: $1}
spec:
  capacity: {storage: $2}
  accessModes: [ReadWriteOnce, ReadWriteMany]
  persistentVolumeReclaimPolicy: Retain
  local: {path: $WORK/volumes/$1}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node1]}]
YAML
}
