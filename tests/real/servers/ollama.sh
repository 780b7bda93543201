#!/bin/sh
# Build the Ollama server into a venv that can also make a model for it: ollama.sh FOLDER PYTHON. install.sh calls it; it
# needs go and a C++ compiler, and takes some minutes.
# A Go module leaves out folders named vendor, and with them three headers of llama.cpp: they are taken from the source
# distribution of llama-cpp-python, which carries the same ones.
set -eu
folder=$1 python=$2
for tool in go gcc g++ tar; do
    command -v "$tool" >/dev/null || { echo "ollama.sh: needs $tool" >&2; exit 1; }
done
"$python" -m venv --clear "$folder"
pip="$folder/bin/python -m pip --disable-pip-version-check --quiet"
$pip install gguf==0.19.0 numpy==2.4.6
mkdir "$folder/source"
$pip download --no-deps --no-binary llama-cpp-python --dest "$folder/source" llama-cpp-python==0.3.36
tar -xzf "$folder"/source/*.tar.gz -C "$folder/source" --strip-components 3 --wildcards '*/vendor/llama.cpp/vendor/*'
GOBIN=$folder/bin CGO_CPPFLAGS="-I$folder/source/vendor" CGO_CFLAGS=-O2 CGO_CXXFLAGS=-O2 \
    go install -ldflags '-s -w -X github.com/ollama/ollama/version.Version=0.17.4' github.com/ollama/ollama@v0.17.4
rm -rf "$folder/source"
