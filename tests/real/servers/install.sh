#!/bin/sh
# Install real model servers, each in a venv of its own: install.sh [mlserver|mlflow|litserve]...
# They go to $MODEL_EXPORTER_REAL (default: .real in the repository). What is there already is left alone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
real=${MODEL_EXPORTER_REAL:-$(cd "$here/../../.." && pwd)/.real}
python=
for candidate in ${MODEL_EXPORTER_REAL_PYTHON:-} python3.11 python3 python3.12 python3.13; do
    # The pinned servers are known to work on 3.11; newer ones are tried where it is absent.
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "install.sh: no Python >= 3.11 found" >&2; exit 1; }
[ $# -gt 0 ] || set -- litserve mlserver mlflow

# uv installs the gigabyte of these three in seconds where pip takes minutes.
uv=$real/uv/bin/uv
if [ ! -x "$uv" ]; then
    "$python" -m venv "$real/uv"
    "$real/uv/bin/python" -m pip install --disable-pip-version-check --quiet uv
fi
export UV_CACHE_DIR="${UV_CACHE_DIR:-$real/uv-cache}" UV_SYSTEM_CERTS=1
[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX="$PIP_INDEX_URL"

for server in "$@"; do
    pins=$here/$server.txt
    [ -e "$pins" ] || pins=$here/$server.sh
    stamp=$real/$server/.installed-$(cksum <"$pins" | tr -cd '0-9')
    [ -e "$stamp" ] && continue
    [ -e "$pins" ] || { echo "install.sh: unknown server $server" >&2; exit 2; }
    echo "installing $server into $real/$server"
    if [ "$pins" = "$here/$server.sh" ]; then
        "$pins" "$real/$server" "$python"
        touch "$stamp"
        continue
    fi
    "$uv" --quiet venv --clear --python "$python" "$real/$server"
    "$uv" --quiet pip install --python "$real/$server" -r "$pins"
    touch "$stamp"
done
