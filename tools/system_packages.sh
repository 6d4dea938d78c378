#!/usr/bin/env bash
# Makes sure of the few system packages that pip cannot bring: compiler, Python headers, venv and
# an off-screen renderer for the simulated camera. Installs them as root on Debian and Ubuntu;
# otherwise prints the one line to run and ends with status 1. Silent when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"

if ! command -v "$python" >/dev/null; then
  echo "no $python: install python3 (3.10 or newer) first" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
  echo "$("$python" --version) is too old: 3.10 or newer is needed (make PYTHON=python3.11 ...)" >&2
  exit 1
fi

missing=()
command -v g++ >/dev/null || missing+=(g++)
"$python" - <<'PY' || missing+=(python3-dev)
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))
PY
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)

# The simulator knows which renderer it takes, and what it lacks: one choice of packages a line.
# Newer releases have no OSMesa any more; there the next choice is taken.
renderer_problem="$(mktemp)"
trap 'rm -f "$renderer_problem"' EXIT
if ! choices="$("$python" cooper_ros/sim/opengl.py 2>"$renderer_problem")"; then
  if [[ -z "$choices" ]]; then
    cat "$renderer_problem" >&2
    exit 1
  fi
  while read -r packages; do
    wanted="$packages"
    [[ -n "$(apt-cache search --names-only "^${wanted%% *}\$" 2>/dev/null)" ]] && break
  done <<<"$choices"
  read -r -a packages <<<"$wanted"
  missing+=("${packages[@]}")
fi

[[ ${#missing[@]} -eq 0 ]] && exit 0
line="apt-get install -y --no-install-recommends ${missing[*]}"
if [[ "$(id -u)" -ne 0 ]]; then
  echo "system packages are missing. Run this once, then try again:" >&2
  echo "    sudo apt-get update && sudo $line" >&2
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]} (Debian names); install them with this system's package manager" >&2
  exit 1
fi
echo "installing system packages: ${missing[*]}"
log="$(mktemp)"
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive $line; } >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  echo "could not install the system packages; the whole log is in $log" >&2
  exit 1
fi
rm -f "$log"
if ! "$python" cooper_ros/sim/opengl.py >/dev/null; then
  echo "installed ${missing[*]}, and still nothing draws the simulated camera" >&2
  exit 1
fi
