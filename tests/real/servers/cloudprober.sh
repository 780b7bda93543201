#!/bin/sh
# cloudprober, which `make bench` compares with where it is there. Needs Go; ten minutes.
# cloudprober.sh FOLDER
set -eu
command -v go >/dev/null || { echo "cloudprober.sh: needs go" >&2; exit 1; }
mkdir -p "$1"
cd "$1"
# As what a module needs, because `go install` also wants the list of all versions, which not every proxy has.
[ -e go.mod ] || go mod init peer
go mod edit -require=github.com/cloudprober/cloudprober@v0.14.0
GOFLAGS=-mod=mod go build -o cloudprober github.com/cloudprober/cloudprober/cmd/cloudprober
