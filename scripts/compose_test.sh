#!/usr/bin/env bash
# Runs tests/compose: the images are built and `docker compose up` is really done. Usage: compose_test.sh path/to/pytest [option of pytest]
#
# An engine that answers is used as it is. Without one, on Debian and as root, this installs one, runs it in a folder of its own and ends it
# afterwards; without a registry that answers, scripts/standin_base.sh makes the base image. Nothing of this is known to the Dockerfile.
set -euo pipefail
cd "$(dirname "$0")/.."
pytest=("$@")
base=$(sed -n 's/^ARG PYTHON=//p' Dockerfile)
work=$(mktemp -d)
made_base='' engine=''

finish() {
  if [ -n "$engine" ]; then
    stop_engine
  elif [ -n "$made_base" ]; then
    docker rmi --force "$base" >/dev/null # nobody else shall take it for the real one
  fi
  rm -rf --one-file-system "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf -- '--- %s (%d s)\n' "$*" $SECONDS; }

# Two runs at a time would fight over the engine's bridge.
exec 9>"${TMPDIR:-/tmp}/headrace-compose-test.lock"
flock 9

loud_if_it_fails() { "$@" >"$work/command.log" 2>&1 || { cat "$work/command.log"; exit 1; }; }

need() { # a command, and the package that has it
  command -v "$1" >/dev/null && return
  say "installing $2"
  if [ ! -e "$work/updated" ]; then
    loud_if_it_fails apt-get --quiet update
    touch "$work/updated"
  fi
  DEBIAN_FRONTEND=noninteractive loud_if_it_fails apt-get --quiet --yes --no-install-recommends install "$2"
}

mirror() { apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Label: Debian' | head -1; }

trixie() { # apt-get on lists apart from the machine's own, which may be of another release
  apt-get --quiet -o "Dir::Etc::SourceList=$work/apt/sources" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/apt/lists" \
    -o "Dir::Cache=$work/apt/cache" -o APT::Sandbox::User=root "$@"
}

unpack() { # a package's files into $work/root, without installing it
  if [ ! -e "$work/apt" ]; then
    mkdir -p "$work"/apt/{lists,cache/archives}/partial
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) trixie main" >"$work/apt/sources"
    loud_if_it_fails trixie update
  fi
  (cd "$work/apt" && rm -f ./*.deb && loud_if_it_fails trixie download "$1" && dpkg-deb -x ./*.deb "$work/root")
}

start_engine() {
  engine=$work/engine
  mkdir -p "$engine"
  export DOCKER_HOST=unix://$engine/socket
  for table in filter nat; do # so that both are there to be saved, and can be as empty again as they may be now
    iptables --table $table --new-chain HEADRACE
    iptables --table $table --delete-chain HEADRACE
  done
  iptables-save >"$engine/iptables"
  ip link show docker0 >/dev/null 2>&1 || touch "$engine/no-bridge"
  # Away from the terminal's process group: a Ctrl-C must reach the test first, which still needs the engine to clean up.
  setsid dockerd --host "$DOCKER_HOST" --data-root "$engine/data" --exec-root "$engine/exec" --pidfile "$engine/pid" >"$engine/log" 2>&1 9>&- &
  local deadline=$((SECONDS + 60))
  until docker info >/dev/null 2>&1; do
    if [ $SECONDS -ge $deadline ] || ! kill -0 $! 2>/dev/null; then
      tail -20 "$engine/log"
      exit 1
    fi
    sleep 0.2
  done
}

stop_engine() {
  if [ -e "$engine/pid" ]; then
    local pid
    pid=$(cat "$engine/pid")
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
  fi
  # The engine leaves its bridge and its rules behind, a FORWARD policy of DROP among them.
  if [ -e "$engine/no-bridge" ]; then ip link delete docker0 2>/dev/null || true; fi
  iptables-restore <"$engine/iptables"
}

if ! docker info >/dev/null 2>&1; then
  [ "$(id -u)" = 0 ] || { echo "no Docker engine answers, and only root could start one" >&2; exit 2; }
  need dockerd docker.io
  need docker docker-cli # a package of its own from Debian 13 on
  need iptables iptables
  need ip iproute2
  # Where there is an init system, it has started the engine by now.
  docker info >/dev/null 2>&1 || { say "starting an engine"; start_engine; }
fi

if ! docker compose version >/dev/null 2>&1 || ! docker buildx version >/dev/null 2>&1; then
  say "fetching compose and buildx"
  unpack docker-compose
  unpack docker-buildx
  export DOCKER_CONFIG=$work/config
  mkdir -p "$DOCKER_CONFIG"
  ln -s "$work/root/usr/libexec/docker/cli-plugins" "$DOCKER_CONFIG/cli-plugins"
fi
if ! command -v prometheus >/dev/null || ! command -v promtool >/dev/null; then
  say "fetching Prometheus"
  unpack prometheus
  unpack promtool
  PATH=$work/root/usr/bin:$PATH
fi

if ! docker image inspect "$base" >/dev/null 2>&1 && ! docker pull --quiet "$base" 2>/dev/null; then
  say "$base cannot be pulled: making a stand-in"
  need debootstrap debootstrap
  scripts/standin_base.sh "$base" "$work/base" "$(mirror)"
  made_base=yes
fi

say "testing"
"${pytest[@]}" tests/compose
