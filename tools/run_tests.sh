#!/usr/bin/env bash
# Runs pytest from the checkout against the messages installed in VENV.
#
#   tools/run_tests.sh VENV JOBS [pytest arguments]
#
# COOPER_SKIP_REPORT names a file that then holds one line per skipped test and why.
# COOPER_TEST_BUDGET_S: processor seconds that the run may take, all its processes together.
set -euo pipefail
cd "$(dirname "$0")/.."
venv="$1"
jobs="$2"
shift 2

# Tests run side by side: one thread each. Spinning threads of several sessions starve each other.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
# Never the network, and never what another ROS on this machine has left in the environment.
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
unset AMENT_PREFIX_PATH COLCON_PREFIX_PATH PYTHONPATH

parallel=()
[[ "$jobs" -gt 1 ]] && parallel=(-n "$jobs" --dist loadfile)
# a test that hangs fails, rather than the whole run
exec "$venv/bin/python" tools/within_budget.py "${COOPER_TEST_BUDGET_S:-inf}" \
  "$venv/bin/python" -m pytest -q --timeout 600 "${parallel[@]}" "$@"
