#!/bin/sh
# OTLP receivers: the OpenTelemetry collector with a receiver and a file, and Prometheus 3. Needs Go; ten minutes.
# otlp.sh FOLDER
set -eu
command -v go >/dev/null || { echo "otlp.sh: needs go" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
(cd "$here/../otlp/collector" && go build -o "$folder/collector" .)
# Without these tags a dependency is missing.
GOBIN="$folder" go install -tags remove_all_sd,enable_kubernetes_sd github.com/prometheus/prometheus/cmd/prometheus@v0.316.0
