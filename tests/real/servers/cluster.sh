#!/bin/sh
# A Kubernetes API server and its etcd. Needs Go and 5 GB for its cache; twenty minutes.
# Those that are there already are taken from $KUBE_APISERVER and $ETCD.
# cluster.sh FOLDER
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
# have PROGRAM GIVEN PACKAGE
have() {
    if [ -n "$2" ]; then
        ln -sf "$2" "$folder/$1"
        return
    fi
    command -v go >/dev/null || { echo "cluster.sh: needs go" >&2; exit 1; }
    cd "$here/../cluster/server"
    # Its version is not in the source: Helm reads it, and a chart asks for one.
    version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
    go build -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" -o "$folder/$1" "$3"
}
have etcd "${ETCD:-}" go.etcd.io/etcd/server/v3
have kube-apiserver "${KUBE_APISERVER:-}" k8s.io/kubernetes/cmd/kube-apiserver
