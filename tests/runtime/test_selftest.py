"""The self-test: small inputs as they are, and real sizes by a seed and a few sums."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.paths import find_model_folder
from cooper_ros.runtime.examples import example_inputs
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.runtime.onnx_backend import OnnxBackend
from cooper_ros.runtime.selftest import (
    SELFTEST,
    SKETCH_SUMS,
    SMALL,
    read_selftest,
    relative_error,
    renew_outputs,
    run_selftest,
    save_selftest,
    seeded_inputs,
    selftest_cases,
    sketch,
)


@pytest.fixture(scope="module")
def folder() -> ModelFolder:
    return ModelFolder.open(find_model_folder())


@pytest.mark.parametrize("error", [1e-4, 1e-2, 0.5])
def test_a_sketch_tells_the_error_of_an_output(error: float) -> None:
    random = np.random.RandomState(0)
    value = random.normal(size=(3, 50, 70)).astype(np.float32)
    wrong = value + error * random.normal(size=value.shape).astype(np.float32)
    seen = relative_error(sketch(wrong), sketch(value))
    assert seen == pytest.approx(relative_error(wrong, value), rel=0.15)
    assert sketch(value).shape == (SKETCH_SUMS,)


def test_a_sketch_notices_one_bad_number_and_an_exchange() -> None:
    value = np.random.RandomState(0).normal(size=20_000)
    for change in (np.nan, np.inf, 1e4):
        wrong = value.copy()
        wrong[777] = change
        assert not relative_error(sketch(wrong), sketch(value)) < 1.0
    assert relative_error(sketch(value[::-1]), sketch(value)) > 1.0


def test_inputs_of_real_size_are_the_same_everywhere() -> None:
    """They are made anew on the robot: numpy's frozen generator, whatever its version."""
    signature = ModelFolder.open(find_model_folder(), check="size").graphs["autoencoder_encoder"]
    values = example_inputs(signature, {"height": 8, "width": 8}, 64, seed=1)["image"]
    assert values.reshape(-1)[:3] == pytest.approx([0.66344768, 0.8559860, 0.37180594], abs=1e-6)


def test_both_sizes_of_every_graph_are_tested(folder: ModelFolder) -> None:
    arrays = read_selftest(folder)
    assert folder.files[SELFTEST].size < 2 * 2**20
    for graph in folder.graphs:
        small, real = selftest_cases(arrays, folder, graph)
        usual = {s: v[1] for s, v in folder.manifest["graphs"][graph]["profile"].items()}
        for tensor in folder.graphs[graph].inputs:
            assert real.inputs[tensor.name].shape == tensor.resolve(usual)
        first = folder.graphs[graph].input_names()[0]
        assert real.inputs[first].size > 5 * small.inputs[first].size


class AtRealSizes:
    """Right for small inputs, wrong for large ones, as fused attention of TensorRT has been."""

    def __init__(self, backend: OnnxBackend, graph: str) -> None:
        self._backend, self._graph = backend, graph

    def run(self, graph: str, inputs: Any) -> dict[str, Any]:
        outputs = self._backend.run(graph, inputs)
        if graph == self._graph and len(inputs["position_ids"]) > 20:
            outputs["velocity"][:, -20:] = outputs["velocity"][:, :20]
        return outputs


def test_an_engine_that_is_wrong_at_real_sizes_alone_is_found(folder: ModelFolder) -> None:
    backend = OnnxBackend(folder, threads=1)
    assert all(result.passed for result in run_selftest(folder, backend))
    failed = [r for r in run_selftest(folder, AtRealSizes(backend, "gen")) if not r.passed]
    assert [(r.graph, r.output, r.case) for r in failed] == [("gen", "velocity", "real")]


def test_outputs_can_be_renewed(folder: ModelFolder) -> None:
    """As for int8: what another arithmetic gives becomes what is expected."""

    class Double:
        def run(self, graph: str, inputs: Any) -> dict[str, Any]:
            return {n: 2 * v for n, v in backend.run(graph, inputs).items()}

    folder = ModelFolder.open(folder.path)
    backend, arrays = OnnxBackend(folder, threads=1), read_selftest(folder)
    renew_outputs(arrays, folder, Double(), "autoencoder_encoder")
    for case in selftest_cases(arrays, folder, "autoencoder_encoder"):
        value = backend.run("autoencoder_encoder", case.inputs)["latent"]
        assert case.error("latent", 2 * value) < 1e-4 < 0.4 < case.error("latent", value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gen/real/sizes": np.array([1, 2], np.int64)}, "do not fit their names"),
        ({"gen/real/sizes": np.array([1.0, 2.0, 3.0])}, "no sizes"),
        ({"gen/real/sizes": np.array([1, 2**40, 3], np.int64)}, "that no model has"),
        ({"gen/real/sizes": np.array([1, -1, 3], np.int64)}, "that no model has"),
        ({"gen/real/symbols": np.array(["batch", "nothing", "past"])}, "symbol 'tokens'"),
        ({"gen/real/symbols": np.array([1, 2, 3])}, "no sizes"),
    ],
)
def test_a_damaged_case_of_real_size_is_explained(
    folder: ModelFolder, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], reason: str
) -> None:
    stored = io.BytesIO()
    arrays = read_selftest(folder) | change
    np.savez(stored, **arrays)
    content = memoryview(stored.getvalue())
    monkeypatch.setattr(folder, "content", lambda name: content)
    with pytest.raises(ModelFolderError, match=reason):
        list(selftest_cases(read_selftest(folder), folder, "gen"))


def test_the_self_test_of_a_large_model_is_seeds_and_sums(
    folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole small cases of 7B would have more megabytes than are allowed."""
    backend = OnnxBackend(ModelFolder.open(folder.path), threads=1)
    sizes = {"height": 16, "width": 24}
    graph = "autoencoder_encoder"
    inputs = seeded_inputs(SMALL, folder.graphs[graph], folder.spec, sizes)
    outputs = backend.run(graph, inputs)
    stored = io.BytesIO()
    save_selftest(stored, {}, {SMALL: {graph: (sizes, outputs)}})
    monkeypatch.setattr(folder, "content", lambda name: memoryview(stored.getvalue()))
    (case,) = selftest_cases(read_selftest(folder), folder, graph)
    assert case.name == SMALL and case.sketched and len(stored.getvalue()) < 10_000
    assert case.error("latent", backend.run(graph, case.inputs)["latent"]) < 1e-6
    assert case.error("latent", outputs["latent"] * np.float32(1.01)) > 5e-3
    with pytest.raises(ModelFolderError, match="no case of graph 'und'"):
        list(selftest_cases(read_selftest(folder), folder, "und"))


def test_folders_of_format_2_have_the_small_case_alone(
    folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = {n: v for n, v in read_selftest(folder).items() if "/real/" not in n}
    stored = io.BytesIO()
    np.savez(stored, **arrays)
    monkeypatch.setattr(folder, "content", lambda name: memoryview(stored.getvalue()))
    results = run_selftest(folder, OnnxBackend(ModelFolder.open(folder.path), threads=1))
    assert results and all(r.passed and r.case == "small" for r in results)
