"""The gate before a model is used: does it compute here what it computed where it was exported?"""

from __future__ import annotations

from typing import Any

from cooper_ros.core.errors import BackendError
from cooper_ros.runtime.selftest import run_selftest


def check_pipeline(pipeline: Any) -> str:
    """Run the golden inputs of the model folder; returns a sentence for people.

    Raises BackendError that names the worst output when this machine's results differ by more than
    is allowed, ModelFolderError when the folder's self-test is missing or damaged.
    """
    results = run_selftest(pipeline.folder, pipeline.engine.backend)
    worst = max(results, key=lambda result: result.error / result.allowed)
    if not all(result.passed for result in results):
        raise BackendError(
            f"the self-test failed on {pipeline.backend_name}: output {worst.output} of graph "
            f"{worst.graph} differs by {worst.error:.2e} (allowed {worst.allowed:g}); this "
            "inference engine gives wrong results here, choose another one (parameter backend)"
        )
    return f"passed, largest relative error {worst.error:.1e}"
