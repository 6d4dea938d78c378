"""All calibrations of a model from one evaluation on validation rooms."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.evaluation import calibration, confidence, scores
from cooper_ros.evaluation.table import align, number
from cooper_ros.evaluation.trial import SceneResult
from cooper_ros.runtime.calibration import Calibration
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.runtime.min_score import KEY, MinScore


def forget(model: Path) -> None:
    """Take a calibration out of a manifest that this version cannot read; others stay."""
    path = model / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for key, read in (("calibration", Calibration.from_manifest), (KEY, MinScore.from_manifest)):
        try:
            read(manifest)
        except ModelFolderError:
            del manifest[key]
            path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def least_scores(
    model: Path, found: Sequence[SceneResult]
) -> tuple[dict[str, float], dict[str, Any]]:
    """(least score by class, what that is worth on rooms that took no part in the fit)."""
    settings = ModelFolder.open(model, check="size").spec.segmentation
    if settings is None:
        return {}, {}
    names = [name for name in settings.names if name not in settings.stuff]
    objects = [one for result in found for one in result.scored_objects]
    return scores.fit(objects, names), scores.cross_validated(objects, names)


def calibrate(model: Path, found: Sequence[SceneResult]) -> tuple[Calibration, dict[str, Any]]:
    """(what goes into the manifest, what it is worth on rooms that took no part in its fit).

    Measured: `intervals` by family as `calibration.cross_validated`, `depth_confidence` by kind of
    input as `confidence.cross_validated`.
    """
    spec = ModelFolder.open(model, check="size").spec
    records = [record for result in found for record in result.answers]
    samples = [one for result in found for one in result.confidence_samples]
    fitted = dataclasses.replace(calibration.fit(records), depth=confidence.fit(spec, samples))
    measured = {
        "intervals": calibration.cross_validated(records),
        "depth_confidence": confidence.cross_validated(spec, samples),
    }
    return fitted, measured


def text(measured: Mapping[str, Any]) -> str:
    """Both tables for people."""
    rows = []
    for family, found in measured["intervals"].items():
        by_truth, by_answer = (_bins(found[key]) for key in ("by_truth", "by_answer"))
        width = f"x {number(found['width_factor'], 2)}"
        rows.append(
            [family, str(found["n"]), number(found["coverage"], 2), width, by_truth, by_answer]
        )
    head = ["90 % intervals", "n", "covered", "high/low", "by true range", "by answered range"]
    parts = [align(head, rows)]
    rows = [
        [
            kind.replace("_", " "),
            number(found["right"], 2),
            number(found["ece"], 3),
            number(found["absrel_confident_half"]),
            number(found["absrel_other_half"]),
        ]
        for kind, found in measured["depth_confidence"].items()
    ]
    head = ["depth confidence from", "right", "calibration error", "AbsRel sure half", "other half"]
    return "\n\n".join([*parts, align(head, rows)])


def _bins(bins: Mapping[str, Mapping[str, float]]) -> str:
    return ", ".join(
        f"{name.removesuffix(' m')}: {number(b['coverage'], 2)} ({b['n']})"
        for name, b in bins.items()
    )
