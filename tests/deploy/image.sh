#!/usr/bin/env bash
# Builds deploy/container/Containerfile with buildah, without a container engine or a registry, and runs
# what came of it: another user than root, a root that nobody can write to.
#
#   image.sh build | run CONFIG | files | clean
#
# The builder is an image that holds nothing: this machine's own compiler and Rust are mounted into it.
#
# IMAGE_DATA   images and mounts (a directory of its own)
# IMAGE_CARGO  where crates are kept between builds (default: this machine's own)
# FEATURES     as in the Containerfile
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

data=${IMAGE_DATA:?IMAGE_DATA is not set}
mkdir -p "$data/tmp"
export TMPDIR=$data/tmp BUILDAH_ISOLATION=chroot
b() { buildah --root "$data/images" --runroot "$data/run" --storage-driver vfs "$@"; }

builder() {
  local container mount
  container=$(b from scratch)
  mount=$(b mount "$container")
  mkdir -p "$mount"/{etc/ssl/certs,tmp,proc,sys,dev,usr,build,image,root}
  ln -s usr/bin usr/lib usr/lib64 usr/sbin "$mount"
  cp -L /etc/ssl/certs/ca-certificates.crt "$mount/etc/ssl/certs/"
  cp /etc/passwd /etc/group /etc/nsswitch.conf "$mount/etc/"
  b umount "$container" >/dev/null
  b config --env PATH=/toolchain/bin:/usr/bin --env CARGO_HOME=/cargo "$container"
  b commit --quiet --rm "$container" lacuna-builder >/dev/null
}

build() {
  local toolchain cargo=${IMAGE_CARGO:-${CARGO_HOME:-$HOME/.cargo}}
  toolchain=$(rustc --print sysroot)
  builder
  b bud --isolation chroot --network host --quiet --layers=false \
    --volume /usr:/usr:ro --volume /etc/alternatives:/etc/alternatives:ro \
    --volume "$toolchain:/toolchain:ro" --volume "$cargo:/cargo" \
    --build-arg BUILDER=localhost/lacuna-builder --build-arg FEATURES="${FEATURES-tls}" \
    --build-arg REVISION="$(git rev-parse --short HEAD)" \
    -f deploy/container/Containerfile -t lacuna .
}

# The image's files, as they are.
rootfs() {
  [ -e "$data/container" ] || b from --pull-never localhost/lacuna >"$data/container"
  b mount "$(cat "$data/container")"
}

case ${1:-} in
  build) build ;;
  files) rootfs ;;
  run)
    root=$(rootfs)
    # As an orchestrator with readOnlyRootFilesystem does it; the configuration is mounted in.
    exec unshare --mount bash -c '
      set -e
      mount --bind "$0" "$0"
      touch "$0/etc/lacuna/lacuna.toml"
      mount --bind "$1" "$0/etc/lacuna/lacuna.toml"
      mount -o remount,ro,bind "$0"
      exec env -i LACUNA_HTTP__LISTEN="$2" LACUNA_STATE__PATH=none /usr/sbin/chroot --userspec=65532:65532 "$0" /usr/bin/lacuna run --config /etc/lacuna/lacuna.toml
    ' "$root" "$(realpath "$2")" "$3"
    ;;
  clean)
    b umount --all >/dev/null 2>&1 || true
    b rm --all >/dev/null 2>&1 || true
    rm -rf "$data"
    ;;
  *)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
    exit 64
    ;;
esac
