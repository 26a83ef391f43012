#!/usr/bin/env bash
# Builds the image without a daemon, and has tests/image run it as locked up as the chart does: `make image`.
#
# BASE=… names another base than the Dockerfile's. If the Dockerfile's can neither be pulled nor is here already, Debian's
# Python of the same version stands in for it. What was built stays in build/image, so that the next time needs no network;
# `make clean` removes it. Nothing else is left behind: no container, no mount, no process.
set -euo pipefail
cd "$(dirname "$0")/.."

state=$PWD/build/image                                           # podman's images
run=/run/pushgate-image-$(printf %s "$PWD" | sha256sum | cut -c1-8) # its locks and pipes; their names have to be short
tag=localhost/pushgate

say() { printf 'image: %s\n' "$*" >&2; }

skip() {
  say "skipped, because $*"
  exit 0
}

clean_up() {
  podman rm --all --force --time 0 >/dev/null 2>&1 || say "containers are left in $state"
  podman image unmount --all --force >/dev/null 2>&1 || say "mounts are left below $state"
  rm -rf "$run"
  # Its groups stay otherwise; those that somebody else's containers are in cannot be removed.
  rmdir /sys/fs/cgroup/{,*/}libpod_parent/{conmon,} 2>/dev/null || true
}

set_podman_up() { # from here on, `podman` is one that shares nothing with the machine's own
  mkdir -p "$state" "$run"
  exec 9>"$state/lock"
  flock --nonblock 9 || skip "another run of this script is using $state"
  export CONTAINERS_CONF=$run/containers.conf CONTAINERS_STORAGE_CONF=$run/storage.conf
  # Limits that may be set where limits may not be raised, as on some build machines.
  limits=("nofile=$(ulimit -Hn):$(ulimit -Hn)" "nproc=4096:4096")
  cat >"$CONTAINERS_CONF" <<EOF
[containers]
default_ulimits = ["${limits[0]}", "${limits[1]}"]
[engine]
runtime = "runc"
events_logger = "none"
tmp_dir = "$run/tmp"
EOF
  cat >"$CONTAINERS_STORAGE_CONF" <<EOF
[storage]
driver = "overlay"
graphroot = "$state/storage"
runroot = "$run/storage"
EOF
  trap clean_up EXIT
}

find_base() { # sets base: what was named; or else what is here already, what can be pulled, or Debian's Python
  local name python image
  name=$(sed -n 's/^ARG BASE=//p' Dockerfile)
  python=docker.io/library/$name image=localhost/debian-$name
  if [ -n "${BASE:-}" ]; then
    base=$BASE
    podman image exists "$base" || pull "$base" || { cat "$state/pull.log" >&2 && return 1; }
    return
  fi
  for base in "$python" "$image"; do
    podman image exists "$base" && return
  done
  base=$python
  pull "$base" && return
  base=$image
  make_base || skip "$python cannot be pulled, nor Debian's Python be had; see $state/*.log"
}

pull() { # IMAGE
  say "pulling $1"
  timeout 60 podman pull --quiet "$1" >/dev/null 2>"$state/pull.log"
}

make_base() { # Debian 12's Python is 3.11; like python:slim it comes without documentation and without bytecode
  say "it cannot be pulled; installing Debian's Python into a base of its own (a minute)"
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --customize-hook='find "$1/usr" -name __pycache__ -prune -exec rm -rf {} +' \
    bookworm "$run/base.tar" >"$state/base.log" 2>&1 &&
    podman import --quiet "$run/base.tar" "$base" >/dev/null 2>>"$state/base.log"
  local status=$?
  rm -f "$run/base.tar"
  return $status
}

# How this machine reaches its index is mounted while packages are installed, and becomes part of no layer.
find_index() { # sets index: mounts for `podman build`
  local certificates url
  certificates=${PIP_CERT:-$(.venv/bin/pip config get global.cert 2>/dev/null || true)}
  url=${PIP_INDEX_URL:-$(.venv/bin/pip config get global.index-url 2>/dev/null || true)}
  printf '[global]\n' >"$run/pip.conf"
  index=(--volume "$run/pip.conf:/etc/pip.conf:ro")
  [ -z "$url" ] || printf 'index-url = %s\n' "$url" >>"$run/pip.conf"
  [ -r "$certificates" ] || return 0
  printf 'cert = /etc/pip.pem\n' >>"$run/pip.conf"
  index+=(--volume "$certificates:/etc/pip.pem:ro")
}

build() { # BASE [OPTION…]
  podman build --network host --format docker --ulimit "${limits[0]}" --ulimit "${limits[1]}" "${index[@]}" \
    --build-arg "BUILDER=$base" --build-arg "BASE=$1" \
    --build-arg "VERSION=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' src/pushgate/__init__.py)" \
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    --build-arg "CREATED=$(git log -1 --format=%cI 2>/dev/null || echo unknown)" \
    "${@:2}" . >"$state/build.log" 2>&1 || {
    tail -n 40 "$state/build.log" >&2
    say "it cannot be built; all of it is in $state/build.log"
    return 1
  }
}

take_shells_away() { # from a base, by the name of $tag-bare
  podman build --network host --tag "$tag-bare" --ulimit "${limits[0]}" --ulimit "${limits[1]}" --file - . >"$state/bare.log" 2>&1 <<EOF
FROM $base
RUN ["rm", "-f", "/bin/sh", "/bin/bash", "/bin/dash", "/bin/rbash", "/usr/bin/sh", "/usr/bin/bash", "/usr/bin/dash"]
EOF
}

[ "$(id -u)" = 0 ] || skip "it takes root to install a base and to run what was built"
case $(uname -m) in
  x86_64 | aarch64) ;;
  *) skip "there are no wheels of everything for $(uname -m)" ;;
esac
for program in podman runc mmdebstrap; do
  command -v $program >/dev/null || skip "$program is not installed"
done

set_podman_up
find_base
podman run --rm --network host "$base" python3 -c '' 2>"$state/run.log" || skip "containers cannot be run here: $(tail -n 1 "$state/run.log")"
find_index
say "building on $base"
podman tag "$base" "$tag-base"
build "$base" --target build --tag "$tag-build" # by a name of its own, or the next build would begin from nothing
build "$base" --tag "$tag"
take_shells_away
build "$tag-bare" --tag "$tag-without-shell"
podman image prune --force >/dev/null # what the build before was made of
say "running it"
PUSHGATE_IMAGE=$tag .venv/bin/python -m pytest -q tests/image
