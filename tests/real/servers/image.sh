#!/bin/sh
# Two base images for the Dockerfile, as tars: Debian with Python, and the same with what makes venvs.
# Needs root, debootstrap and a Debian whose apt says which mirror it uses; one minute.
# image.sh FOLDER PYTHON
set -eu
command -v debootstrap >/dev/null || { echo "image.sh: apt-get install debootstrap buildah" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "image.sh: debootstrap needs root" >&2; exit 1; }
. /etc/os-release
mkdir -p "$1"
folder=$(cd "$1" && pwd)
root=$folder/root
mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' | sed -n "s/ $VERSION_CODENAME\$//p" | head -n 1)
rm -rf "$root" "$folder/storage" "$folder/run" # and what was built on an older base

pack() { # what every slim image leaves out; what differs with each build is left out too
    tar -C "$root" --sort=name --one-file-system -cf "$folder/$1.tar" \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/info/*' \
        --exclude='./usr/share/locale/*' --exclude='./var/cache/*' --exclude='./var/lib/apt/lists/*' --exclude='./var/log/*' \
        --exclude='__pycache__' .
}

debootstrap --variant=minbase --include=python3,ca-certificates "$VERSION_CODENAME" "$root" "$mirror" >"$folder/debootstrap.log" 2>&1
pack base
DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -q install -y --no-install-recommends python3-venv >>"$folder/debootstrap.log" 2>&1
pack build
rm -rf "$root"
