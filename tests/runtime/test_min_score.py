"""Objects below the least score of their class are hidden, everywhere alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_model import make_engine, write  # type: ignore[import-not-found]

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.types import Frame, Segment, Segmentation, Status
from cooper_ros.runtime.min_score import MinScore
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.runtime.tokenizer import Tokenizer

NAN = float("nan")


def found(*segments: tuple[str, float]) -> Segmentation:
    empty = np.zeros((2, 2), np.uint8)
    return Segmentation(
        empty,
        empty.astype(np.uint16),
        ("floor", "mug", "chair"),
        empty.astype(np.float32),
        tuple(
            Segment(n, n, name, score, (0, 0, 1, 1), 1) for n, (name, score) in enumerate(segments)
        ),
    )


def labels(segmentation: Segmentation) -> list[str]:
    return [segment.label for segment in segmentation.segments]


def test_each_class_has_its_own_least_score_and_floors_none() -> None:
    seen = found(("floor", 0.1), ("mug", 0.29), ("mug", 0.3), ("chair", 0.05), ("mug", NAN))
    least = MinScore({"mug": 0.3, "floor": 0.9})
    kept = least.applied(seen, ("floor",))
    assert labels(kept) == ["floor", "mug", "chair", "mug"]
    assert kept.segments[1].score == 0.3 and kept.labels is seen.labels
    assert MinScore().applied(seen) is seen
    one = MinScore({"mug": 0.3}, everything=0.2).applied(seen, ("floor",))
    assert labels(one) == ["floor", "mug", "mug", "mug"]
    assert MinScore({"mug": 0.3}, everything=0.0).applied(seen) is seen


def test_the_manifest_says_it_or_nothing() -> None:
    assert MinScore.from_manifest({}) == MinScore()
    assert MinScore.from_manifest({"min_score": {"mug": 1}}).of("mug") == 1.0
    for wrong in ([], {"mug": "x"}, {"mug": -0.1}, {"mug": 1.1}, {"mug": NAN}, {"mug": True}, 0.5):
        with pytest.raises(ModelFolderError, match="min_score"):
            MinScore.from_manifest({"min_score": wrong})


def scene(frame: Frame) -> tuple[Any, Any]:
    depth = np.full((frame.height, frame.width), 3.0, np.float32)
    classes = np.ones((frame.height, frame.width), np.uint8)
    depth[20:40, 30:42] = 1.5
    classes[20:40, 30:42] = 20  # a mug
    return depth, classes


def test_what_is_hidden_is_hidden_from_questions_too(tokenizer: Tokenizer, frame: Frame) -> None:
    engine = make_engine(tokenizer)
    pipeline = CooperPipeline(engine)
    statuses = []
    for least in (-1.0, 1.0):
        pipeline.min_score = least
        context = pipeline.see(frame)
        depth, classes = scene(frame)
        context.use_depth(depth)
        context.use_segmentation(classes)
        write(engine, "<answer> 1.50 m </answer>")
        statuses.append(context.answer("How far is the mug?", "maps").status)
    assert Status.NOT_VISIBLE not in statuses[:1] and statuses[1] is Status.NOT_VISIBLE
    assert pipeline.min_score == 1.0


def test_the_shipped_model_has_least_scores() -> None:
    folder = Path(__file__).resolve().parents[2] / "engines" / "cooper-nano"
    import json

    least = MinScore.from_manifest(json.loads((folder / "manifest.json").read_text())).classes
    assert least, "cooper eval calibrate --only min_score writes them"
