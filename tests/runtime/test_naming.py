"""Names of others beside a model: who answers, and on which maps."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cooper_ros.core.errors import QuestionError
from cooper_ros.core.named_maps import NamedBox, NamedImage, name_maps
from cooper_ros.core.types import AnsweredBy, DepthMap, Frame, Intrinsics, ScaleSource, Status
from cooper_ros.runtime.asking import understand
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.measured import MeasuredPipeline
from cooper_ros.runtime.measuring import NEAREST_SURFACE
from cooper_ros.runtime.naming import MEASURED, MODEL, NOT_BY_MODEL, Naming
from cooper_ros.runtime.pipeline import CooperPipeline

CAMERA = Intrinsics.from_fov(60.0, 64, 48)
FRAME = Frame(np.full((48, 64, 3), 90, np.uint8), CAMERA, 5, "eye")
NAMES = ("cordless drill", "vise")


def sensor() -> DepthMap:
    z = np.full((48, 64), 3.0, np.float32)
    z[16:32, 10:24] = 1.5
    return DepthMap(z, z, z, True, ScaleSource.EXTERNAL, CAMERA, 5, "eye")


def see(pipeline: Any, names: tuple[str, ...] = NAMES) -> Any:
    context = pipeline.see(FRAME)
    if context.has_model:
        context.perceive()  # as the node does before it puts what others see
    context.put_depth(sensor())
    box = NamedBox(names.index("cordless drill"), 0.9, (9, 15, 16, 18), "/yolo")
    context.put_segmentation(name_maps(NamedImage(names, (box,)), sensor(), (64, 48)))
    return context


def test_without_a_model_the_maps_answer() -> None:
    pipeline = MeasuredPipeline()
    pipeline.naming = Naming(names=NAMES)
    answer = see(pipeline).answer("how far is the cordless drill?")
    assert answer.status is Status.OK and answer.answered_by is AnsweredBy.MEASURED
    assert answer.value == pytest.approx(1.55, abs=0.1) and answer.model_id == "none"
    assert answer.message == f"the cordless drill {NEAREST_SURFACE}"
    assert answer.scale_source is ScaleSource.EXTERNAL
    assert see(pipeline).answer("how far is the vise?").status is Status.NOT_VISIBLE
    with pytest.raises(QuestionError, match="vise"):
        see(pipeline).answer("how far is the wombat?")


def test_an_image_without_names_or_depth_gives_no_value() -> None:
    pipeline = MeasuredPipeline()
    pipeline.naming = Naming(names=NAMES, missing="no detections for this image")
    context = pipeline.see(FRAME)
    answer = context.answer("how far is the vise?")
    assert answer.status is Status.NO_IMAGE and "no detections" in answer.message
    context.naming = Naming(names=NAMES)
    assert context.answer("how much free space is ahead?").status is Status.NOT_METRIC


def toy(engine: Engine, **naming: Any) -> CooperPipeline:
    pipeline = CooperPipeline(engine, "toy")
    pipeline.naming = Naming(names=NAMES, **naming)
    return pipeline


def named(pipeline: CooperPipeline) -> Any:
    settings = pipeline.spec.segmentation
    assert settings is not None
    return see(pipeline, (*settings.names, *NAMES))


def test_what_the_model_has_no_word_for_is_measured(engine: Engine) -> None:
    answer = named(toy(engine)).answer("how far is the cordless drill?")
    assert answer.answered_by is AnsweredBy.MEASURED and answer.status is Status.OK


def test_answers_measured_takes_no_text_of_the_model(engine: Engine) -> None:
    context = named(toy(engine, answers=MEASURED))
    answer = context.answer("how many mugs are there?")
    assert answer.answered_by is AnsweredBy.MEASURED and answer.value == 0.0


def test_answers_model_refuses_what_it_was_not_taught(engine: Engine) -> None:
    with pytest.raises(QuestionError, match=NOT_BY_MODEL[:30]):
        named(toy(engine, answers=MODEL)).answer("how far is the cordless drill?")


def test_the_names_of_a_context_are_its_own(engine: Engine) -> None:
    pipeline = toy(engine)
    context = named(pipeline)
    pipeline.naming = replace(pipeline.naming, names=())
    assert context.answer("how far is the cordless drill?").status is Status.OK


def test_free_text_cannot_be_measured() -> None:
    asked = SimpleNamespace(
        has_model=True,
        spec=SimpleNamespace(segmentation=None),
        naming=Naming(names=NAMES),
        engine=SimpleNamespace(tokenizer=SimpleNamespace(word_level=False)),
    )
    assert understand(asked, "what is the vise for?") == (None, "what is the vise for?")
    query, _ = understand(asked, "how far is the vise?")
    assert query is not None and query.objects == ("vise",)
    asked.naming = Naming(MEASURED, NAMES)
    with pytest.raises(QuestionError):
        understand(asked, "what is the vise for?")
