# shellcheck shell=bash
# network.sh -- pods without a cluster: hosts (tests/support/hosts.sh), each
# with a root of its own and the Secret, the arguments and the user that the
# manifest gives it.
#
# A directory that pods share is mounted at $WORK/POD/DIRECTORY before they
# start.

pods_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$pods_here/../support/hosts.sh"

on_leaving() {
    local pod
    for pod in "${!PID[@]}"; do kill -9 "${PID[$pod]}" 2>/dev/null || true; done
    for pod in "${!AT[@]}"; do umount -R -l "$WORK/$pod/root" 2>/dev/null || true; done
    mount | awk -v work="$WORK/" 'index($3, work) { print $3 }' | xargs -r umount -l 2>/dev/null || true
}

names() { # what DNS says from now on: "ADDRESS NAME" lines
    printf '127.0.0.1 localhost\n%s\n' "$1" >hosts.new
    cat hosts.new >hosts # they have this file
}

root_of() { # POD SECRET PROGRAMS DIRECTORY...: which the pod may write to
    local pod=$1 secret=$2 programs=$3 root=$WORK/$1/root folder
    mkdir -p "$WORK/$pod"/{root,upper,work,secrets}
    touch hosts
    mount -t overlay overlay -o "lowerdir=/,upperdir=$WORK/$pod/upper,workdir=$WORK/$pod/work" \
        "$root" 2>>net.log || skip "no overlay here: $(tail -n 1 net.log)"
    for folder in "${@:4}" /secrets; do
        mkdir -p "$root$folder" "$WORK/$pod$folder"
        mount --bind "$WORK/$pod$folder" "$root$folder"
    done
    for folder in /proc /dev; do mount --rbind $folder "$root$folder"; done
    mount -t tmpfs none "$root/tmp"
    mount --bind "$programs" "$root/usr/local/bin"
    mount --bind hosts "$root/etc/hosts"
    mount -o remount,ro,bind "$root"
    python3 - "$secret" "$WORK/$pod/secrets" <<'PY'
import base64, sys, yaml
name, folder = sys.argv[1:]
for o in yaml.safe_load_all(open("secrets.yaml")):
    if o["metadata"]["name"] == name:
        for key, value in o["data"].items():
            open(f"{folder}/{key}", "wb").write(base64.b64decode(value))
PY
}

pod() { # POD WORKLOAD SECRET PROGRAMS DIRECTORY...: as rendered.yaml says
    local pod=$1 user folder words
    read -r user words < <(python3 "$pods_here/pods.py" rendered.yaml "$2" "$pod" "${AT[$pod]}")
    [ -d "$WORK/$pod/root" ] || {
        plug "$pod" 2>>net.log || skip "no pods here: $(cat net.log)"
        root_of "$pod" "$3" "$4" "${@:5}"
    }
    for folder in "${@:5}"; do chown "$user:$user" "$WORK/$pod$folder"; done
    chown -R "root:$user" "$WORK/$pod/secrets"
    chmod -R u=rX,g=rX,o= "$WORK/$pod/secrets"
    eval "set -- $words"
    start "$pod" ip netns exec "$pod" chroot "$WORK/$pod/root" \
        setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs \
        --inh-caps=-all --bounding-set=-all \
        env -i PATH=/usr/local/bin:/usr/bin:/bin "${POD_ENVIRONMENT[@]}" "$@"
}
POD_ENVIRONMENT=(SINTER_LOG=debug)
