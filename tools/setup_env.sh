#!/usr/bin/env bash
# Makes the virtual environment that `make demo` and `make test` run in.
#
#   tools/setup_env.sh VENV [EXTRA,...]
#
# The package is installed editable with what a robot needs (ROS, inference, simulated camera);
# EXTRA names further extras of pyproject.toml. Each step leaves a stamp of what it was made from,
# so that a second call does nothing and a changed message file is compiled again.
# COOPER_TORCH_INDEX: an index of CPU-only torch wheels, where the default one brings CUDA.
set -euo pipefail
cd "$(dirname "$0")/.."
venv="$1"
extras="${2:-}"
python="${PYTHON:-python3}"
base="ros,ort,sim"

tools/system_packages.sh
if [[ ",$extras," == *,dev,* ]]; then tools/browser.sh; fi

# the settings of tools in pyproject.toml change nothing in the environment
digest() {
  { "$python" --version; sed '/^\[tool\./,$d' pyproject.toml; cat "$@"; } | sha256sum | cut -c1-16
}
shopt -s nullglob
package_key=$(digest setup.py CMakeLists.txt package.xml tools/constraints.txt \
  cooper_ros/_exe_wrapper.in cooper_ros/__init__.py msg/* srv/* action/*)

# run_logged WHAT LOG COMMAND...: one line of output, the end of the log only on failure
run_logged() {
  local what="$1" log="$2" start=$SECONDS
  shift 2
  echo "$what (log: $log)"
  if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "failed: $what; the whole log is in $log" >&2
    exit 1
  fi
  echo "    done in $((SECONDS - start)) s"
}

stamped() { [[ -f "$1" && "$(cat "$1")" == "$2" ]]; }

# The checkout may have moved: scripts in a virtual environment carry its absolute path.
if [[ ! -x "$venv/bin/python" ]] || ! stamped "$venv/.path" "$PWD/$venv"; then
  echo "making the virtual environment $venv"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  printf '%s' "$PWD/$venv" >"$venv/.path"
fi

pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input install
  --constraint tools/constraints.txt)
[[ -n "${COOPER_TORCH_INDEX:-}" ]] && pip+=(--extra-index-url "$COOPER_TORCH_INDEX")

if ! stamped "$venv/.package" "$package_key"; then
  rm -f "$venv/.package" "$venv/.extras"
  COOPER_ROS_INTERFACES=require run_logged \
    "installing cooper_ros with ROS 2, inference and simulator, compiling its messages" \
    "$venv/package.log" "${pip[@]}" --editable ".[$base]"
  printf '%s' "$package_key" >"$venv/.package"
fi

if [[ -n "$extras" ]] && ! stamped "$venv/.extras" "$package_key $extras"; then
  # cooper_ros itself is satisfied by now: pip adds only what the extras name
  run_logged "installing the extras $extras" "$venv/extras.log" \
    "${pip[@]}" "cooper_ros[$extras]"
  printf '%s' "$package_key $extras" >"$venv/.extras"
fi
