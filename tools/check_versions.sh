#!/usr/bin/env bash
# Installs the package, without torch, for other Pythons or for ROS 2 Kilted, and runs the tests of
# what a robot needs. Not part of `make test`: it needs those interpreters and several minutes each.
# What was run is recorded in docs/verification.md.
#
#   tools/check_versions.sh WORK PYTHON... [-- pytest arguments]
#   ROS=kilted tools/check_versions.sh WORK python3.12
#
# WORK: folder for the virtual environments and logs; kept, so that a second run is quick.
set -euo pipefail
cd "$(dirname "$0")/.."
work="$1"
shift
ros="${ROS:-jazzy}"
pythons=()
while [[ $# -gt 0 && "$1" != "--" ]]; do pythons+=("$1"); shift; done
[[ "${1:-}" == "--" ]] && shift
tests=("$@")
[[ ${#tests[@]} -eq 0 ]] && tests=(tests/core tests/reasoning tests/runtime tests/ros)
mkdir -p "$work"

# The names of pyproject.toml hold Jazzy; these are the same packages of Kilted.
kilted_build=(setuptools\<81 wheel "cmake>=3.22,<4" ninja catkin-pkg==1.1.1 empy==4.2.1
  lark-parser==0.12.0 ros-ament-package
  ros-kilted-ament-cmake ros-kilted-ament-cmake-gmock ros-kilted-ament-cmake-gtest
  ros-kilted-ament-cmake-include-directories ros-kilted-ament-cmake-pytest
  ros-kilted-ament-cmake-python ros-kilted-ament-cmake-ros ros-kilted-ament-cmake-ros-core
  ros-kilted-rmw-fastrtps-cpp ros-kilted-rosidl-core-generators
  ros-kilted-rosidl-default-generators)
kilted_run=("ros-rclpy[fastrtps]>=9,<10" ros-kilted-sensor-msgs ros-kilted-diagnostic-msgs
  ros-kilted-visualization-msgs ros-kilted-std-srvs ros-kilted-rosidl-default-runtime)
tools=(pytest pytest-timeout "ruff>=0.8")

install() {  # PYTHON VENV; called in an `if`, where -e does not count
  [[ -x "$2/bin/python" ]] || "$1" -m venv "$2" || return 1
  local pip=("$2/bin/python" -m pip --disable-pip-version-check --no-input install
    --constraint tools/constraints.txt)
  "${pip[@]}" --upgrade pip || return 1  # the one of an old Python resolves for many minutes
  if [[ "$ros" == kilted ]]; then
    "${pip[@]}" "${kilted_build[@]}" "${kilted_run[@]}" "numpy<2.3" || return 1
    # the build must see the ROS of this environment, and the extra `ros` would ask for Jazzy
    PATH="$PWD/$2/bin:$2/bin:$PATH" COOPER_ROS_INTERFACES=require "${pip[@]}" \
      --no-build-isolation --editable '.[ort,sim,bag,view]' || return 1
  else
    COOPER_ROS_INTERFACES=require "${pip[@]}" --editable '.[ros,ort,sim,bag,view]' || return 1
  fi
  "${pip[@]}" "${tools[@]}"
}

status=0
for python in "${pythons[@]}"; do
  label="$ros-$("$python" -c 'import platform; print(platform.python_version())')"
  venv="$work/$label"
  echo "== $label"
  if ! install "$python" "$venv" >"$work/$label.install.log" 2>&1; then
    tail -n 20 "$work/$label.install.log"
    echo "$label: INSTALLATION FAILED"
    status=1
    continue
  fi
  "$venv/bin/python" - <<'PY'
import importlib.metadata as m, sys
assert "torch" not in {d.metadata["Name"].lower() for d in m.distributions()}, "torch is installed"
names = ("ros-rclpy", "numpy", "opencv-python-headless", "onnxruntime")
print("  " + ", ".join(f"{n} {m.version(n)}" for n in names))
PY
  env -u AMENT_PREFIX_PATH -u PYTHONPATH -u _ROS_WHEELS_BOOTSTRAP_COMPLETE -u LD_LIBRARY_PATH \
    OMP_NUM_THREADS=1 "$venv/bin/python" -m pytest -q -p no:cacheprovider --timeout 600 \
    "${tests[@]}" >"$work/$label.test.log" 2>&1 || status=1
  tail -n 1 "$work/$label.test.log"
done
exit "$status"
