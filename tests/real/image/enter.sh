#!/bin/sh
# Run a command in the root of an image, as the strictest container would: another user, no capabilities and no way to new
# ones, everything read-only, /tmp empty, its own processes. The network is ours, for the test to scrape it. Needs root.
# enter.sh ROOT CONFIG_FOLDER COMMAND...
set -eu
[ "${ENTERED:-}" ] || ENTERED=1 exec unshare --mount --pid --fork --kill-child "$0" "$@"
root=$1 config=$2
shift 2
mount --bind "$root" "$root"
mkdir -p "$root/etc/model-exporter" # as container engines make what is mounted upon
mount --bind "$config" "$root/etc/model-exporter"
mount -o remount,bind,ro "$root/etc/model-exporter"
mount -t proc proc "$root/proc"
mount -o remount,bind,ro "$root"
exec env -i PATH=/opt/model-exporter/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    chroot "$root" setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
