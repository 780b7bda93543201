#!/bin/sh
# axe-core, which checks pages for what keeps people out. Needs npm (Debian: apt-get install npm).
# axe.sh FOLDER
set -eu
command -v npm >/dev/null || { echo "axe.sh: needs npm" >&2; exit 1; }
mkdir -p "$1"
cd "$1"
npm pack --silent axe-core@4.14.0 >/dev/null
tar -xzf axe-core-4.14.0.tgz package/axe.min.js
