"""The door of the runtime: a model folder in, maps and answers for camera images out.

pipeline = CooperPipeline.open("cooper-nano")
context = pipeline.see(frame)          # reads the image, once
depth, segmentation = context.perceive()
answer = context.answer("how far is the mug ?")
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cooper_ros.core.errors import BackendError
from cooper_ros.core.types import Frame
from cooper_ros.runtime.calibration import Calibration
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.runtime.frame_context import FrameContext
from cooper_ros.runtime.loading import open_engine
from cooper_ros.runtime.min_score import MinScore
from cooper_ros.runtime.naming import Naming
from cooper_ros.runtime.real_pictures import RealPictures
from cooper_ros.runtime.selftest import GraphRunner, run_selftest
from cooper_ros.runtime.spec import ModelSpec


class CooperPipeline:
    """One loaded model. `see` gives a context per image; contexts do not disturb each other."""

    has_model = True

    def __init__(
        self,
        engine: Engine,
        model_id: str = "",
        folder: ModelFolder | None = None,
        seed: int = 0,
    ) -> None:
        """`seed` is that of the noise of models that start from noise."""
        self.engine = engine
        self.model_id = model_id
        self.folder = folder
        self.seed = seed
        self.naming = Naming()
        """Names besides the model's, and who answers, for images seen from now on."""
        self.calibration = Calibration.from_manifest(folder.manifest) if folder else None
        self._min_score = MinScore.from_manifest(folder.manifest) if folder else MinScore()
        self.real: RealPictures | None = None
        """What holds on real pictures, None where nobody measured it."""
        if folder is not None:
            self.real = RealPictures.from_manifest(folder.manifest, engine.spec.hidden_size)

    @classmethod
    def open(
        cls,
        model: str | Path | None = None,
        backend: str = "auto",
        threads: int | None = None,
        seed: int = 0,
    ) -> CooperPipeline:
        """Load a model folder by path or name (None: the default model).

        Raises ModelFolderError for a missing, damaged or too new folder, BackendError for an
        inference engine that is not there.
        """
        loaded = open_engine(model, backend, threads)
        return cls(loaded.engine, loaded.model_id, loaded.folder, seed)

    @property
    def spec(self) -> ModelSpec:
        """The model's numbers."""
        return self.engine.spec

    @property
    def min_score(self) -> float:
        """Least score of objects of all classes in images seen from now on; -1: what the model's
        manifest says for each class."""
        return self._min_score.everything

    @min_score.setter
    def min_score(self, value: float) -> None:
        self._min_score = replace(self._min_score, everything=float(value))

    @property
    def backend_name(self) -> str:
        """Name of the inference engine."""
        return self.engine.backend.name

    def see(self, frame: Frame) -> FrameContext:
        """Read an image. Without usable intrinsics its depth will be relative only."""
        return FrameContext(
            self.engine,
            frame,
            self.model_id,
            self.seed,
            self.calibration,
            self._min_score,
            self.real,
            self.naming,
        )

    def self_test(self) -> str:
        """Compare every graph with the outputs stored at export; a line for people.

        Raises BackendError naming the outputs that differ, ModelFolderError for a damaged file.
        """
        backend = self.engine.backend
        if self.folder is None or not hasattr(backend, "run"):
            return "not available"
        runner: GraphRunner = backend  # type: ignore[assignment]
        results = run_selftest(self.folder, runner)
        failed = [result for result in results if not result.passed]
        if failed:
            listed = ", ".join(f"{r.graph}/{r.output} by {r.error:.1e}" for r in failed)
            raise BackendError(
                f"{self.backend_name} does not reproduce model {self.folder.name}: {listed}"
            )
        worst = max(result.error for result in results)
        return f"ok ({len(results)} outputs, largest error {worst:.0e})"
