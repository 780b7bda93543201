#!/bin/sh
# The schema of the compose specification, from the module of the program that reads it. Needs Go; seconds.
# compose.sh FOLDER PYTHON
set -eu
command -v go >/dev/null || { echo "compose.sh: needs go" >&2; exit 1; }
mkdir -p "$1"
module=$(cd / && go mod download -json github.com/compose-spec/compose-go/v2@v2.16.2 | sed -n 's/.*"Dir": "\(.*\)",*/\1/p')
install -m 644 "$module/schema/compose-spec.json" "$1/compose-spec.json"
