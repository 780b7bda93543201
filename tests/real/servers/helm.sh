#!/bin/sh
# What the tests of the Helm charts need: helm, helm-docs, helm-unittest, kubeconform, the schemas of Kubernetes, and those of
# the Prometheus operator. Needs Go; four minutes.
# helm.sh FOLDER PYTHON
set -eu
command -v go >/dev/null || { echo "helm.sh: needs go" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/crds"
folder=$(cd "$1" && pwd)
export GOBIN="$folder/bin"
go install helm.sh/helm/v3/cmd/helm@v3.22.0
go install github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2
go install github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
(cd "$here/../../chart/tools" && go build -o "$GOBIN/helm-unittest" github.com/helm-unittest/helm-unittest/cmd/helm-unittest)
module=$(cd / && go mod download -json github.com/prometheus-operator/prometheus-operator@v0.85.0 | sed -n 's/.*"Dir": "\(.*\)",*/\1/p')
for kind in servicemonitors podmonitors probes prometheusrules scrapeconfigs; do
    cp "$module/example/prometheus-operator-crd/monitoring.coreos.com_$kind.yaml" "$folder/crds/"
done
chmod -R u+w "$folder/crds"
"$2" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --disable-pip-version-check --quiet kubernetes-validate==1.37.0
